//! The operations that change a secret. Each locks the secret's row, decides, and writes in the transaction that its entry ends.

use goldfin_crypto::digest::hex;
use goldfin_crypto::{DataKey, Plaintext};

use crate::model::change::Change;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::reply::{Answer, Reply};
use crate::seal::barrier::fault;
use crate::store::control::{self, ControlKey, ControlKind};
use crate::store::kv::{self, SecretRow, VersionRow};
use crate::store::work::Work;

use super::Kv;
use super::cache::Value;
use super::place::{BodyPlace, REVISIONS_PER_KEY, SECRET_KEY, SecretKeyPlace, ValuePlace, VersionKeyPlace};
use super::run::{nothing_here, open, open_value, patched};
use super::settings::{self, Settings, SettingsChange};
use super::shape;
use super::versions::{MetadataChange, State, Versions, check_and_set};

pub(super) async fn write(engine: &Kv, work: &mut Work, path: &str, data: &Plaintext, cas: Option<i64>) -> Result<Reply, Fault> {
    let settings = engine.settings(work.mount_id())?;
    let (before, mut versions) = match Locked::take(engine, work, path).await? {
        Some((locked, versions)) => (Some(locked), versions),
        None => (None, Versions::new(work.now())),
    };
    check_and_set(versions.current, cas, settings.cas_required || versions.cas_required)?;
    add(engine, work, path, before, &mut versions, &settings, data).await
}

pub(super) async fn patch(engine: &Kv, work: &mut Work, path: &str, patch: &Plaintext, cas: Option<i64>) -> Result<Reply, Fault> {
    let settings = engine.settings(work.mount_id())?;
    let (locked, mut versions) = Locked::take(engine, work, path).await?.ok_or(nothing_here())?;
    check_and_set(versions.current, cas, settings.cas_required || versions.cas_required)?;
    let (number, state) = versions.state(0, work.now());
    let data = match state {
        State::Unknown => return Err(nothing_here()),
        State::Deleted(current) | State::Destroyed(current) => {
            work.facts.version = Some(number);
            return Ok(Reply::new(Answer::Absent(shape::version(&versions, number, current))));
        }
        State::Live(current) => {
            let row = kv::read_version(work, path, number).await?.map(Value::new);
            let (value, _) = open_value(&engine.tools.barrier, work.mount_id(), path, number, current, row.as_ref())?;
            patched(&value, patch)?
        }
    };
    add(engine, work, path, Some(locked), &mut versions, &settings, &data).await
}

pub(super) async fn delete_current(engine: &Kv, work: &mut Work, path: &str) -> Result<Reply, Fault> {
    let Some((locked, mut versions)) = Locked::take(engine, work, path).await? else { return Ok(Reply::nothing()) };
    let current = versions.current;
    work.facts.version = Some(current).filter(|current| *current > 0);
    let changed = versions.delete(&[current], work.now());
    settle(engine, work, path, locked, &versions, changed).await
}

pub(super) async fn delete(engine: &Kv, work: &mut Work, path: &str, numbers: &[i64]) -> Result<Reply, Fault> {
    let Some((locked, mut versions)) = Locked::take(engine, work, path).await? else { return Ok(Reply::nothing()) };
    name_versions(work, numbers);
    let changed = versions.delete(numbers, work.now());
    settle(engine, work, path, locked, &versions, changed).await
}

pub(super) async fn undelete(engine: &Kv, work: &mut Work, path: &str, numbers: &[i64]) -> Result<Reply, Fault> {
    let settings = engine.settings(work.mount_id())?;
    let Some((locked, mut versions)) = Locked::take(engine, work, path).await? else { return Ok(Reply::nothing()) };
    name_versions(work, numbers);
    let changed = versions.undelete(numbers, work.now(), &settings);
    settle(engine, work, path, locked, &versions, changed).await
}

pub(super) async fn destroy(engine: &Kv, work: &mut Work, path: &str, numbers: &[i64]) -> Result<Reply, Fault> {
    let Some((locked, mut versions)) = Locked::take(engine, work, path).await? else { return Ok(Reply::nothing()) };
    name_versions(work, numbers);
    let gone = versions.destroy(numbers);
    if !gone.is_empty() {
        kv::delete_versions(work, path, &gone).await?;
    }
    settle(engine, work, path, locked, &versions, !gone.is_empty()).await
}

/// Makes a secret without versions where there is none.
pub(super) async fn write_metadata(engine: &Kv, work: &mut Work, path: &str, change: &MetadataChange) -> Result<Reply, Fault> {
    if change.is_empty() {
        return Ok(Reply::nothing());
    }
    let found = Locked::take(engine, work, path).await?;
    apply(engine, work, path, found, change).await
}

pub(super) async fn patch_metadata(engine: &Kv, work: &mut Work, path: &str, change: &MetadataChange) -> Result<Reply, Fault> {
    let found = Locked::take(engine, work, path).await?.ok_or(nothing_here())?;
    apply(engine, work, path, Some(found), change).await
}

pub(super) async fn delete_all(work: &mut Work, path: &str) -> Result<Reply, Fault> {
    let there = kv::delete(work, path).await?;
    Ok(if there { changed(work, path, Reply::nothing()) } else { Reply::nothing() })
}

pub(super) async fn write_settings(engine: &Kv, work: &mut Work, change: &SettingsChange) -> Result<Reply, Fault> {
    if *change == SettingsChange::default() {
        return Ok(Reply::nothing());
    }
    let key = ControlKey::new(ControlKind::Config, work.mount_id(), settings::ROW);
    let mac = engine.tools.barrier.control();
    let (before, mut settings) = match control::lock(work, mac, &key).await? {
        Some(row) => {
            let settings: Settings = serde_json::from_str(&row.body).map_err(|_| Fault::Integrity("a control row cannot be read"))?;
            (row.version, settings)
        }
        None => (0, Settings::default()),
    };
    settings.apply(change);
    let body = serde_json::to_string(&settings).map_err(|_| Fault::Internal("settings"))?;
    work.facts.version = Some(control::put(work, mac, &key, before, &body).await?);
    Ok(Reply::nothing().then(Change::Directory))
}

/// What must be kept of a locked row to replace it.
struct Locked {
    revision: i64,
    key: DataKey,
    wrapped_key: Vec<u8>,
}

impl Locked {
    async fn take(engine: &Kv, work: &mut Work, path: &str) -> Result<Option<(Self, Versions)>, Fault> {
        let mount = work.mount_id();
        let Some(row) = kv::lock(work, path).await? else { return Ok(None) };
        let secret = open(&engine.tools.barrier, mount, path, &row)?;
        Ok(Some((Self { revision: row.revision, key: secret.key, wrapped_key: row.wrapped_key }, secret.versions)))
    }
}

/// Adds a version and answers what is known of it.
async fn add(
    engine: &Kv,
    work: &mut Work,
    path: &str,
    before: Option<Locked>,
    versions: &mut Versions,
    settings: &Settings,
    data: &Plaintext,
) -> Result<Reply, Fault> {
    let (mount, number) = (work.mount_id(), versions.current + 1);
    let key = DataKey::generate(SECRET_KEY).map_err(fault)?;
    let wrapped_key = engine.tools.barrier.wrap(&VersionKeyPlace { mount, path, version: number }, &key)?.into_bytes();
    let value = key.encrypt(&ValuePlace { mount, path, version: number }, data).map_err(fault)?;
    let digest = value.digest();
    let forgotten = versions.add(work.now(), settings, hex(&digest));
    let (revision, row) = encrypt(engine, work, path, before, versions)?;
    let version = VersionRow { version: number, wrapped_key, value: value.into_bytes() };
    kv::put_version(work, path, revision, &row, &version, &forgotten).await?;
    work.facts.version = Some(number);
    work.facts.digest = Some(digest);
    let added = versions.versions.get(&number).ok_or(Fault::Internal("version"))?;
    Ok(changed(work, path, Reply::data(shape::version(versions, number, added))))
}

async fn apply(
    engine: &Kv,
    work: &mut Work,
    path: &str,
    found: Option<(Locked, Versions)>,
    change: &MetadataChange,
) -> Result<Reply, Fault> {
    let ignored = change.cas_required == Some(false) && engine.settings(work.mount_id())?.cas_required;
    let (before, mut versions) = match found {
        Some((locked, versions)) => (Some(locked), versions),
        None => (None, Versions::new(work.now())),
    };
    versions.apply(change)?;
    let mut reply = replace(engine, work, path, before, &versions).await?;
    if ignored {
        // A warning needs a body to stand in.
        reply.answer = Answer::Data(Node::Null);
        reply.warnings.push("\"cas_required\" set to false, but is mandated by backend config. This value will be ignored.".to_owned());
    }
    Ok(reply)
}

async fn settle(engine: &Kv, work: &mut Work, path: &str, before: Locked, versions: &Versions, changed: bool) -> Result<Reply, Fault> {
    if changed { replace(engine, work, path, Some(before), versions).await } else { Ok(Reply::nothing()) }
}

/// Writes the secret's row anew, without a new version.
async fn replace(engine: &Kv, work: &mut Work, path: &str, before: Option<Locked>, versions: &Versions) -> Result<Reply, Fault> {
    let (revision, row) = encrypt(engine, work, path, before, versions)?;
    kv::put(work, path, revision, &row).await?;
    work.facts.digest = Some(goldfin_crypto::digest::sha256(&[&row.body]));
    Ok(changed(work, path, Reply::nothing()))
}

/// The row that follows `before`, and the revision that it replaces; 0 where there is none.
fn encrypt(engine: &Kv, work: &Work, path: &str, before: Option<Locked>, versions: &Versions) -> Result<(i64, SecretRow), Fault> {
    let mount = work.mount_id();
    let replaced = before.as_ref().map_or(0, |locked| locked.revision);
    let revision = replaced + 1;
    let (key, wrapped_key) = match before.filter(|_| revision % REVISIONS_PER_KEY != 0) {
        Some(locked) => (locked.key, locked.wrapped_key),
        None => {
            let key = DataKey::generate(SECRET_KEY).map_err(fault)?;
            let wrapped = engine.tools.barrier.wrap(&SecretKeyPlace { mount, path }, &key)?;
            (key, wrapped.into_bytes())
        }
    };
    let document = Plaintext::new(serde_json::to_vec(versions).map_err(|_| Fault::Internal("document"))?);
    let body = key.encrypt(&BodyPlace { mount, path, revision }, &document).map_err(fault)?.into_bytes();
    Ok((replaced, SecretRow { current: versions.current, revision, wrapped_key, body }))
}

/// The entry can name one version; of several it tells how many.
fn name_versions(work: &mut Work, numbers: &[i64]) {
    match numbers {
        [one] => work.facts.version = Some(*one),
        several => work.facts.count = u64::try_from(several.len()).ok(),
    }
}

fn changed(work: &Work, path: &str, reply: Reply) -> Reply {
    reply.then(Change::Secret(work.mount_id(), path.to_owned()))
}
