//! Enabling, tuning and disabling mounts.
//!
//! Changes of the table of mounts, and of the set of policies, come one after another: each takes the lock of the row of `sys` first and
//! reads what it judges by under that lock.

use std::sync::Arc;

use goldfin_crypto::Accessor;

use crate::engine::sys::System;
use crate::model::change::Change;
use crate::model::fault::Fault;
use crate::model::id::RequestId;
use crate::model::mount::{Kind, Mount};
use crate::model::reply::{Answer, Reply};
use crate::seal::barrier::fault;
use crate::store::control::{self, ControlKey, ControlKind, SERVER};
use crate::store::work::Work;
use crate::store::{auth_token, kv, removed, subject, transform};

use super::{MountOp, New, Tuning, shown};

impl System {
    pub(in crate::engine::sys) async fn run_mounts(&self, op: &MountOp, work: &mut Work) -> Result<Reply, Fault> {
        match op {
            MountOp::List(side) => Ok(Reply::new(Answer::Table(shown::table(&self.tools.directory.current(), *side)))),
            MountOp::Read(path) => Ok(Reply::data(crate::model::document::Node::Object(shown::whole(&*self.mounted(path)?)))),
            MountOp::ReadTuning(path) => {
                let mount = self.mounted(path)?;
                let tuning = shown::tuning(&mount);
                Ok(match tuning {
                    crate::model::document::Node::Object(members) => Reply::new(Answer::Table(members)),
                    other => Reply::data(other),
                })
            }
            MountOp::Enable(path, new) => self.enable(path, new, work).await,
            MountOp::Tune(path, tuning) => self.tune(path, tuning, work).await,
            MountOp::Disable(path) => self.disable(path, work).await,
        }
    }

    /// One change of the directory's shape at a time, across all nodes.
    pub(in crate::engine::sys) async fn lock_directory(&self, work: &mut Work) -> Result<(), Fault> {
        let key = ControlKey::new(ControlKind::Mount, SERVER, "sys");
        match control::lock(work, self.tools.barrier.control(), &key).await? {
            Some(_) => Ok(()),
            None => Err(Fault::Integrity("the row of the mount `sys` is missing")),
        }
    }

    fn mounted(&self, path: &str) -> Result<Arc<Mount>, Fault> {
        self.tools.directory.current().mount(path).map(Arc::clone).ok_or_else(no_mount)
    }

    async fn enable(&self, path: &str, new: &New, work: &mut Work) -> Result<Reply, Fault> {
        self.lock_directory(work).await?;
        let mac = self.tools.barrier.control();
        for row in control::all(work, mac, ControlKind::Mount, SERVER).await? {
            refuse_overlap(path, &row.key.name)?;
        }
        let accessor = Accessor::generate().map_err(fault)?;
        let mount = Mount {
            id: control::next_mount_number(work).await?,
            path: path.to_owned(),
            kind: new.kind,
            accessor: match path.strip_prefix("auth/") {
                Some(_) => format!("auth_{}_{}", new.kind.name(), accessor.get(..8).unwrap_or_default()),
                None => format!("{}_{}", new.kind.name(), accessor.get(..8).unwrap_or_default()),
            },
            uuid: RequestId::generate(work.now()).map_err(fault)?.to_string(),
            description: new.description.clone(),
            created: work.now(),
            default_lease_ttl: new.default_lease_ttl,
            max_lease_ttl: new.max_lease_ttl,
            options: new.options.clone(),
        };
        store(work, mac, &mount, 0).await
    }

    async fn tune(&self, path: &str, tuning: &Tuning, work: &mut Work) -> Result<Reply, Fault> {
        let (mut mount, version) = self.locked(path, work).await?;
        if let Some(description) = &tuning.description {
            mount.description.clone_from(description);
        }
        mount.default_lease_ttl = tuning.default_lease_ttl.unwrap_or(mount.default_lease_ttl);
        mount.max_lease_ttl = tuning.max_lease_ttl.unwrap_or(mount.max_lease_ttl);
        for (name, value) in tuning.options.iter().flatten() {
            mount.options.insert(name.clone(), value.clone());
        }
        store(work, self.tools.barrier.control(), &mount, version).await
    }

    /// Takes everything that lives in the mount with it. Disabling what is not there succeeds, as in Vault.
    async fn disable(&self, path: &str, work: &mut Work) -> Result<Reply, Fault> {
        self.lock_directory(work).await?;
        let (mount, _) = match self.locked(path, work).await {
            Ok(found) => found,
            Err(Fault::NotFound(_)) => return Ok(Reply::nothing()),
            Err(other) => return Err(other),
        };
        // First the row: a login that is under way holds it, and its token is then seen and deleted too.
        control::delete(work, self.tools.barrier.control(), &ControlKey::new(ControlKind::Mount, SERVER, path)).await?;
        match mount.kind {
            Kind::Kv => kv::delete_of_mount(work, mount.id).await?,
            Kind::Transform => {
                removed::note_mount(work, mount.id).await?;
                transform::delete_keys_of_mount(work, mount.id).await?;
                subject::erase_of_mount(work, mount.id).await?;
            }
            Kind::Jwt | Kind::Kerberos => {
                let ended = auth_token::delete_of_mount(work, mount.id).await?;
                work.facts.count = u64::try_from(ended.len()).ok();
            }
            Kind::AuthToken | Kind::System => return Err(Fault::invalid("this mount is part of goldfin and stays")),
        }
        control::delete_of_mount(work, self.tools.barrier.control(), mount.id).await?;
        Ok(Reply::nothing().then(Change::Directory))
    }

    async fn locked(&self, path: &str, work: &mut Work) -> Result<(Mount, i64), Fault> {
        let key = ControlKey::new(ControlKind::Mount, SERVER, path);
        let row = control::lock(work, self.tools.barrier.control(), &key).await?.ok_or_else(no_mount)?;
        let mount = serde_json::from_str(&row.body).map_err(|_| Fault::Integrity("a mount cannot be read"))?;
        Ok((mount, row.version))
    }
}

async fn store(work: &mut Work, mac: &goldfin_crypto::MacKey, mount: &Mount, before: i64) -> Result<Reply, Fault> {
    let body = serde_json::to_string(mount).map_err(|_| Fault::Internal("mount"))?;
    control::put(work, mac, &ControlKey::new(ControlKind::Mount, SERVER, mount.path.clone()), before, &body).await?;
    Ok(Reply::nothing().then(Change::Directory))
}

/// A mount inside another would take paths from it.
fn refuse_overlap(path: &str, other: &str) -> Result<(), Fault> {
    let inside = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if path == other {
        Err(Fault::Invalid(crate::model::fault::Complaint::new("the path is already in use").stored(other)))
    } else if inside(path, other) || inside(other, path) {
        Err(Fault::Invalid(crate::model::fault::Complaint::new("the path lies inside or around another mount").stored(other)))
    } else {
        Ok(())
    }
}

fn no_mount() -> Fault {
    Fault::not_found("nothing is mounted at this path")
}

#[cfg(test)]
mod tests {
    use super::refuse_overlap;

    #[test]
    fn mounts_do_not_nest() {
        for (path, other) in [("a", "a"), ("a/b", "a"), ("a", "a/b"), ("a/b/c", "a/b"), ("auth/x", "auth/x/y")] {
            assert!(refuse_overlap(path, other).is_err(), "{path} {other}");
        }
        for (path, other) in [("a", "b"), ("ab", "a"), ("a", "ab"), ("a/b", "a/c"), ("auth/jwt", "auth/jwt2")] {
            assert!(refuse_overlap(path, other).is_ok(), "{path} {other}");
        }
    }
}
