//! What the operations do: reading here, changing in `change`. Ciphertexts are opened nowhere else.

use std::borrow::Cow;
use std::sync::Arc;

use goldfin_crypto::digest::hex;
use goldfin_crypto::{Ciphertext, DataKey, Plaintext, WrappedKey};

use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::model::reply::{Answer, Reply};
use crate::seal::barrier::{Barrier, fault};
use crate::store::kv::{self, SecretRow};
use crate::store::work::Work;

use super::Kv;
use super::cache::{Document, Rows, Value};
use super::change;
use super::merge::merge;
use super::op::{Op, Task};
use super::place::{BodyPlace, SecretKeyPlace, ValuePlace, VersionKeyPlace};
use super::shape;
use super::subkeys::subkeys;
use super::versions::{State, Version, Versions};

/// The most names that one listing answers.
const MAX_KEYS: i32 = 100_000;

/// The largest value, as large as the body of a write: patches must not grow one beyond it.
const MAX_VALUE_BYTES: usize = 1024 * 1024;

pub(super) async fn run(engine: &Kv, op: &Op, work: &mut Work) -> Result<Reply, Fault> {
    // What writes is boxed: a read is not to pay for its size.
    let reply = match &op.task {
        Task::Read { version } => read(engine, work, &op.path, *version, ("data", |text| Ok(Node::Written(text)))).await?,
        Task::Subkeys { version, depth } => {
            read(engine, work, &op.path, *version, ("subkeys", |text| Ok(subkeys(parsed(&text)?, *depth)))).await?
        }
        Task::ReadMetadata => read_metadata(engine, work, &op.path).await?,
        Task::List => list(work, &op.path).await?,
        Task::ReadSettings => Reply::data(shape::settings(&*engine.settings(work.mount_id())?)),
        Task::Write { data, cas } => Box::pin(change::write(engine, work, &op.path, data, *cas)).await?,
        Task::Patch { patch, cas } => Box::pin(change::patch(engine, work, &op.path, patch, *cas)).await?,
        Task::DeleteCurrent => Box::pin(change::delete_current(engine, work, &op.path)).await?,
        Task::Delete { versions } => Box::pin(change::delete(engine, work, &op.path, versions)).await?,
        Task::Undelete { versions } => Box::pin(change::undelete(engine, work, &op.path, versions)).await?,
        Task::Destroy { versions } => Box::pin(change::destroy(engine, work, &op.path, versions)).await?,
        Task::WriteMetadata { change } => Box::pin(change::write_metadata(engine, work, &op.path, change)).await?,
        Task::PatchMetadata { change } => Box::pin(change::patch_metadata(engine, work, &op.path, change)).await?,
        Task::DeleteMetadata => Box::pin(change::delete_all(work, &op.path)).await?,
        Task::WriteSettings { change } => Box::pin(change::write_settings(engine, work, change)).await?,
    };
    Ok(reply.warn_of_unknown(op.unknown))
}

/// Answers a version, as it is shown under a name, or a 404 that says what became of it.
async fn read(
    engine: &Kv,
    work: &mut Work,
    path: &str,
    version: i64,
    (name, show): (&str, impl Fn(Plaintext) -> Result<Node, Fault> + Send),
) -> Result<Reply, Fault> {
    let (mount, now) = (work.mount_id(), work.now());
    let rows = rows(engine, work, path, version).await?.ok_or(nothing_here())?;
    let versions = versions(&engine.tools.barrier, mount, path, &rows.document)?;
    let (number, state) = versions.state(version, now);
    work.facts.version = Some(number).filter(|number| *number > 0);
    let (found, value) = match state {
        State::Unknown => return Err(nothing_here()),
        State::Deleted(found) | State::Destroyed(found) => (found, None),
        State::Live(found) => {
            let (text, digest) = open_value(&engine.tools.barrier, mount, path, number, found, rows.value.as_ref())?;
            work.facts.digest = Some(digest);
            (found, Some(show(text)?))
        }
    };
    let metadata = match rows.document.shown(number) {
        Some(text) => Node::Written(Plaintext::new(text.expose().to_vec())),
        None => shape::version(&versions, number, found),
    };
    let metadata = ("metadata", metadata);
    Ok(match value {
        Some(value) => Reply::data(Node::object([(name, value), metadata])),
        None => Reply::new(Answer::Absent(Node::object([(name, Node::Null), metadata]))),
    })
}

async fn read_metadata(engine: &Kv, work: &mut Work, path: &str) -> Result<Reply, Fault> {
    let rows = rows(engine, work, path, 0).await?.ok_or(nothing_here())?;
    let versions = versions(&engine.tools.barrier, work.mount_id(), path, &rows.document)?;
    Ok(Reply::data(shape::secret(&versions)))
}

async fn list(work: &Work, path: &str) -> Result<Reply, Fault> {
    let folder = if path.is_empty() { String::new() } else { format!("{path}/") };
    let names = kv::list(work, &folder, MAX_KEYS).await?;
    let cut_off = i32::try_from(names.len()).is_ok_and(|count| count >= MAX_KEYS);
    let mut reply = Reply::keys(names)?;
    if cut_off {
        reply.warnings.push("only the first 100,000 names are shown".to_owned());
    }
    Ok(reply)
}

/// A secret and one of its versions, from memory where they are hot.
async fn rows(engine: &Kv, work: &Work, path: &str, version: i64) -> Result<Option<Arc<Rows>>, Fault> {
    let (mount, now) = (work.mount_id(), work.now());
    let is_asked_for = |rows: &Rows| version == 0 || rows.value.as_ref().is_some_and(|value| value.row.version == version);
    let find = || engine.cache.find(mount, path, now).filter(|rows| is_asked_for(rows));
    if let Some(rows) = find() {
        return Ok(Some(rows));
    }
    // Only rows of the current version are kept, so that nobody waits for another in vain.
    let mut reading = None;
    if version == 0 {
        match engine.cache.read_first(mount, path) {
            Ok(first) => reading = Some(first),
            Err(mut other) => {
                // An error is the end of that reading.
                while other.changed().await.is_ok() {}
                if let Some(rows) = find() {
                    return Ok(Some(rows));
                }
            }
        }
    }
    let began = engine.cache.begin(mount, path);
    let Some((row, value)) = Box::pin(kv::read(work, path, version)).await? else { return Ok(None) };
    let found = open(&engine.tools.barrier, mount, path, &row)?.versions;
    let is_current = version == 0 || version == found.current;
    let rows = Arc::new(Rows::new(Document::new(row, found), value.map(Value::new), now));
    if is_current {
        engine.cache.keep(began, mount, path, Arc::clone(&rows));
    }
    drop(reading);
    Ok(Some(rows))
}

/// A secret whose row was found to be sound.
pub(super) struct Secret {
    pub versions: Versions,
    pub key: DataKey,
}

pub(super) fn open(barrier: &Barrier, mount: MountId, path: &str, row: &SecretRow) -> Result<Secret, Fault> {
    let wrapped = WrappedKey::from_stored(&row.wrapped_key).map_err(fault)?;
    let key = barrier.unwrap_key(&SecretKeyPlace { mount, path }, &wrapped)?;
    let body = Ciphertext::from_stored(&row.body).map_err(fault)?;
    let text = key.decrypt(&BodyPlace { mount, path, revision: row.revision }, &body).map_err(fault)?;
    let versions: Versions = serde_json::from_slice(text.expose()).map_err(|_| tampered("the document of a secret cannot be read"))?;
    if versions.current != row.current {
        return Err(tampered("a secret's row names another current version than its document"));
    }
    Ok(Secret { versions, key })
}

fn versions<'a>(barrier: &Barrier, mount: MountId, path: &str, document: &'a Document) -> Result<Cow<'a, Versions>, Fault> {
    match document {
        Document::Open { versions, .. } => Ok(Cow::Borrowed(versions)),
        Document::Encrypted(row) => Ok(Cow::Owned(open(barrier, mount, path, row)?.versions)),
    }
}

/// Opens a live version, which the secret's document says must be there with this very ciphertext: JSON as it was written.
pub(super) fn open_value(
    barrier: &Barrier,
    mount: MountId,
    path: &str,
    number: i64,
    version: &Version,
    value: Option<&Value>,
) -> Result<(Plaintext, [u8; 32]), Fault> {
    let value = value.filter(|value| value.row.version == number);
    let Value { row, digest } = value.ok_or_else(|| tampered("the value of a secret's version is missing"))?;
    if hex(digest) != version.digest {
        return Err(tampered("the value of a secret's version is not the one that was written last"));
    }
    let value = Ciphertext::from_stored(&row.value).map_err(fault)?;
    let wrapped = WrappedKey::from_stored(&row.wrapped_key).map_err(fault)?;
    let key = barrier.unwrap_key(&VersionKeyPlace { mount, path, version: number }, &wrapped)?;
    Ok((key.decrypt(&ValuePlace { mount, path, version: number }, &value).map_err(fault)?, *digest))
}

fn parsed(text: &Plaintext) -> Result<Node, Fault> {
    Node::parse(text.expose()).map_err(|_| tampered("the value of a secret's version cannot be read"))
}

/// The value with a merge patch applied, as the JSON text that will be stored.
pub(super) fn patched(value: &Plaintext, patch: &Plaintext) -> Result<Plaintext, Fault> {
    let merged = merge(parsed(value)?, Node::parse(patch.expose())?)?.to_plaintext();
    if merged.len() > MAX_VALUE_BYTES {
        return Err(Fault::TooLarge("the patched secret would be larger than 1 MiB"));
    }
    Ok(merged)
}

/// What is not there looks the same, whatever the reason.
pub(super) fn nothing_here() -> Fault {
    Fault::not_found("")
}

fn tampered(what: &'static str) -> Fault {
    tracing::error!(alarm = "integrity", what, "a stored secret failed its integrity check");
    Fault::Integrity(what)
}
