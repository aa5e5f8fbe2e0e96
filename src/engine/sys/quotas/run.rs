//! Reading and writing quotas.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::sys::System;
use crate::model::change::Change;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::quota::{DisclosureQuota, QuotaKind, RateQuota};
use crate::model::reply::Reply;
use crate::store::control::{self, ControlKey, ControlKind, SERVER};
use crate::store::directory::Snapshot;
use crate::store::error::StoreError;
use crate::store::work::Work;

use super::{Draft, QuotaAct, QuotaOp};

impl System {
    pub(in crate::engine::sys) async fn run_quotas(&self, op: &QuotaOp, work: &mut Work) -> Result<Reply, Fault> {
        let snapshot = self.tools.directory.current();
        match &op.act {
            QuotaAct::List => {
                let rows = snapshot.names(ControlKind::Quota, SERVER).filter_map(|row| row.split_once('/'));
                Reply::keys(rows.filter(|(kind, _)| *kind == op.kind.name()).map(|(_, name)| name))
            }
            QuotaAct::Read(name) => read(&snapshot, op.kind, name),
            QuotaAct::Write(name, draft, unknown) => {
                self.write_quota(&key(op.kind, name), draft, work).await.map(|reply| reply.warn_of_unknown(*unknown))
            }
            QuotaAct::Delete(name) => {
                control::delete(work, self.tools.barrier.control(), &key(op.kind, name)).await?;
                Ok(Reply::nothing().then(Change::Directory))
            }
        }
    }

    async fn write_quota(&self, key: &ControlKey, draft: &Draft, work: &mut Work) -> Result<Reply, Fault> {
        let mac = self.tools.barrier.control();
        let row = match control::lock(work, mac, key).await {
            Ok(row) => row,
            // One that is not honoured is deleted before it is written anew: nobody knows what it said.
            Err(StoreError::Integrity(_)) => return Err(Fault::Integrity("the quota is not honoured, delete it first")),
            Err(error) => return Err(error.into()),
        };
        let before = row.as_ref().map_or(0, |row| row.version);
        let stored = row.map(|row| row.body);
        let body = match draft {
            Draft::Disclosure { account, transformation, encoded_per_hour, revealed_per_hour } => {
                let mut quota: DisclosureQuota = parsed(stored.as_deref())?;
                replace(&mut quota.account, account);
                replace(&mut quota.transformation, transformation);
                quota.encoded_per_hour = encoded_per_hour.unwrap_or(quota.encoded_per_hour);
                quota.revealed_per_hour = revealed_per_hour.unwrap_or(quota.revealed_per_hour);
                if quota.encoded_per_hour == 0 && quota.revealed_per_hour == 0 {
                    return Err(Fault::invalid("`encoded_per_hour` and `revealed_per_hour` are both missing or 0, give one of them"));
                }
                written(&quota)?
            }
            Draft::RateLimit { account, path, rate, interval, block_interval } => {
                let mut quota: RateQuota = parsed(stored.as_deref())?;
                replace(&mut quota.account, account);
                if let Some(path) = path {
                    quota.path.clone_from(path);
                }
                quota.rate = rate.unwrap_or(quota.rate);
                quota.interval = interval.unwrap_or(quota.interval);
                quota.block_interval = block_interval.unwrap_or(quota.block_interval);
                if quota.rate <= 0.0 {
                    return Err(Fault::invalid("`rate` is missing, give the requests in each interval"));
                }
                written(&quota)?
            }
        };
        work.facts.version = Some(control::put(work, mac, key, before, &body).await?);
        Ok(Reply::nothing().then(Change::Directory))
    }
}

fn read(snapshot: &Snapshot, kind: QuotaKind, name: &str) -> Result<Reply, Fault> {
    let missing = || Fault::not_found("there is no quota of this name");
    let number = |number: u64| Node::Number(number.to_string().into_boxed_str());
    let row = kind.row(name);
    let node = match kind {
        QuotaKind::Disclosure => {
            let quota = snapshot.get::<DisclosureQuota>(ControlKind::Quota, SERVER, &row)?.ok_or_else(missing)?;
            Node::object([
                ("account", Node::text_or_null(quota.account.clone())),
                ("encoded_per_hour", number(quota.encoded_per_hour)),
                ("name", Node::text(name)),
                ("revealed_per_hour", number(quota.revealed_per_hour)),
                ("transformation", Node::text_or_null(quota.transformation.clone())),
                ("type", Node::text(kind.name())),
            ])
        }
        QuotaKind::RateLimit => {
            let quota = snapshot.get::<RateQuota>(ControlKind::Quota, SERVER, &row)?.ok_or_else(missing)?;
            Node::object([
                ("account", Node::text_or_null(quota.account.clone())),
                ("block_interval", number(quota.block_interval)),
                ("inheritable", Node::Bool(false)),
                ("interval", number(quota.interval)),
                ("name", Node::text(name)),
                ("path", Node::text(quota.path.as_str())),
                ("rate", Node::Number(quota.rate.to_string().into_boxed_str())),
                ("role", Node::text("")),
                ("type", Node::text(kind.name())),
            ])
        }
    };
    Ok(Reply::data(node))
}

fn key(kind: QuotaKind, name: &str) -> ControlKey {
    ControlKey::new(ControlKind::Quota, SERVER, kind.row(name))
}

fn replace(stored: &mut Option<String>, given: &Option<Option<String>>) {
    if let Some(given) = given {
        stored.clone_from(given);
    }
}

fn parsed<Q: DeserializeOwned + Default>(stored: Option<&str>) -> Result<Q, Fault> {
    stored.map_or_else(|| Ok(Q::default()), |body| serde_json::from_str(body).map_err(|_| Fault::Integrity("a quota cannot be read")))
}

fn written<Q: Serialize>(quota: &Q) -> Result<String, Fault> {
    serde_json::to_string(quota).map_err(|_| Fault::Internal("quota"))
}
