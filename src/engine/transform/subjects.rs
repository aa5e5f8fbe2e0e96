//! Data subjects: their keys, what is held about them, who saw it, and their erasure.
//!
//! A subject's key is read for one request and gone with it, so that an erasure holds everywhere from its commit on.

use std::collections::{BTreeMap, HashMap};

use goldfin_crypto::digest::hex;
use goldfin_crypto::{DataKey, Plaintext, TokenSecret, WrappedKey};

use crate::model::change::Change;
use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::facts::SubjectCount;
use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::model::mount::Mount;
use crate::model::reply::Reply;
use crate::seal::barrier::{Barrier, fault};
use crate::store::control::ControlKind;
use crate::store::directory::Snapshot;
use crate::store::disclosure::{self, Disclosure, Page};
use crate::store::error::StoreError;
use crate::store::subject::{self, Erased, Holdings, SubjectRow};
use crate::store::transform::{self, ExportRow};
use crate::store::work::Work;

use super::Transform;
use super::config::{Transformation, subject_name};
use super::decode::decrypt;
use super::encode::export_key;
use super::limits::{Harm, Load, Meter};
use super::mount_config::{self, MountConfig};
use super::op::{SubjectAct, SubjectOp};
use super::parse::page_text;
use super::place::{SubjectKeyPlace, TokenMetadata, TokenRowId, TokenSecretPlace, TokenValue, subject_key_id};
use super::purposes;
use super::run::{Results, read_metadata};

/// A living subject's number and key.
#[derive(Debug)]
pub(super) struct SubjectKey {
    pub id: i64,
    pub key: DataKey,
}

/// The actions that reveal a subject's values.
const REVEALING: [&str; 3] = ["decode", "export_subject", "export_pii_tokens"];

/// The path of an entry in place of one that names a subject.
pub(super) fn recorded_path(barrier: &Barrier, mount: &Mount, tail: &str) -> Option<String> {
    let rest = tail.strip_prefix("subjects/")?;
    let (id, behind) = rest.split_once('/').map_or((rest, ""), |(id, behind)| (id, behind));
    let hash = barrier.subject_hash(mount.id, &Plaintext::from_text(id.to_owned()));
    // What follows is a word of the API, or else nobody's business.
    let behind = if matches!(behind, "disclosures" | "export") { format!("/{behind}") } else { String::new() };
    let named = matches!(id, "lookup" | "erase" | "disclosures" | "export");
    Some(if named { format!("{}/subjects/{id}", mount.path) } else { format!("{}/subjects/{}{behind}", mount.path, subject_name(&hash)) })
}

/// Opens the key of a subject as a request, that came at `asked`, found it.
pub(super) fn unwrap_subject(
    barrier: &Barrier,
    mount: MountId,
    id: i64,
    hash: &[u8],
    wrapped: &[u8],
    asked: Timestamp,
) -> Result<DataKey, Fault> {
    if let Some(since) = barrier.erased().known_since(id, &known_hash(hash)?) {
        if since < asked {
            tracing::error!(alarm = "erasure", subject = id, "the key of somebody who was erased was put back; it is not used");
        }
        return Err(Fault::Gone("the subject of this token was erased".into()));
    }
    let key = barrier.unwrap_key(&SubjectKeyPlace { mount, id, hash }, &WrappedKey::from_stored(wrapped).map_err(fault)?)?;
    if key.id() == subject_key_id(id) { Ok(key) } else { Err(fault(goldfin_crypto::CryptoError::Integrity)) }
}

fn known_hash(hash: &[u8]) -> Result<[u8; 32], Fault> {
    hash.try_into().map_err(|_| Fault::Integrity("a subject's hash cannot be"))
}

impl Transform {
    /// The keys of these subjects; those who are not known yet are made known.
    pub(super) async fn subject_keys(
        &self,
        work: &Work,
        subjects: impl Iterator<Item = [u8; 32]>,
    ) -> Result<HashMap<[u8; 32], SubjectKey>, Fault> {
        let mut hashes: Vec<[u8; 32]> = subjects.collect();
        if hashes.is_empty() {
            return Ok(HashMap::new());
        }
        hashes.sort_unstable();
        hashes.dedup();
        let mut keys = self.living(work, &hashes).await?;
        let mut missing: Vec<[u8; 32]> = hashes.into_iter().filter(|hash| !keys.contains_key(hash)).collect();
        if missing.is_empty() {
            return Ok(keys);
        }
        let mut rows = Vec::with_capacity(missing.len());
        let mut made = HashMap::new();
        for (hash, id) in missing.iter().zip(subject::next_ids(work, missing.len()).await?) {
            let key = DataKey::generate(subject_key_id(id)).map_err(fault)?;
            let place = SubjectKeyPlace { mount: work.mount_id(), id, hash };
            rows.push((hash.to_vec(), SubjectRow { id, wrapped_key: self.tools.barrier.wrap(&place, &key)?.into_bytes() }));
            made.insert(*hash, SubjectKey { id, key });
        }
        let written = subject::insert(work, &mut rows).await?;
        if usize::try_from(written).is_ok_and(|written| written == rows.len()) {
            keys.extend(made);
            return Ok(keys);
        }
        // Another request made some of them at the same moment: theirs stand.
        keys.extend(self.living(work, &missing).await?);
        missing.retain(|hash| !keys.contains_key(hash));
        if missing.is_empty() { Ok(keys) } else { Err(StoreError::SubjectGone.into()) }
    }

    pub(super) async fn living(&self, work: &Work, hashes: &[[u8; 32]]) -> Result<HashMap<[u8; 32], SubjectKey>, Fault> {
        let asked: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.to_vec()).collect();
        let mut keys = HashMap::with_capacity(hashes.len());
        for (hash, row) in subject::find(work, &asked).await? {
            let hash = known_hash(&hash)?;
            let erased = self.tools.barrier.erased().known_since(row.id, &hash);
            if erased.is_some_and(|since| since >= work.now()) {
                // Erased since the row was read: the request begins anew, and finds nobody or who came again.
                return Err(StoreError::SubjectGone.into());
            }
            let key = unwrap_subject(&self.tools.barrier, work.mount_id(), row.id, &hash, &row.wrapped_key, work.now())?;
            keys.insert(hash, SubjectKey { id: row.id, key });
        }
        Ok(keys)
    }

    pub(super) async fn about(&self, op: &SubjectOp, account: &str, work: &mut Work) -> Result<Reply, Fault> {
        work.facts.subject = Some(op.hash);
        match &op.act {
            SubjectAct::Read => {
                let held = known(subject::holdings(work, &op.hash).await?)?;
                Ok(Reply::data(holdings_node(&op.hash, &held, &names(&self.snapshot(), work.mount_id())?)))
            }
            SubjectAct::Erase => erase(op, work).await,
            SubjectAct::Export { after, limit, purpose } => self.export(op, account, (*after, *limit), purpose.as_deref(), work).await,
            SubjectAct::Disclosures(asked) => disclosures(op, asked, work).await,
        }
    }

    /// The values of exportable transformations. The others can be read by nobody who does not hold their tokens.
    async fn export(
        &self,
        op: &SubjectOp,
        account: &str,
        (after, limit): (i64, i64),
        purpose: Option<&str>,
        work: &mut Work,
    ) -> Result<Reply, Fault> {
        let held = known(subject::holdings(work, &op.hash).await?)?;
        let Some(SubjectKey { id, key }) = self.living(work, &[op.hash]).await?.remove(&op.hash) else {
            return Err(Fault::Gone("the subject was erased".into()));
        };
        let snapshot = self.snapshot();
        let (names, of_mount) = (names(&snapshot, work.mount_id())?, mount_config::of_mount(&snapshot, work.mount_id())?);
        purposes::check_known(purpose, &of_mount.purposes)?;
        let rows = transform::exportable(work.store(), id, after, limit).await?;
        let more = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
        let next = rows.last().filter(|_| more).map(|row| row.id.to_string());
        let mut shown = Vec::with_capacity(rows.len());
        for row in rows {
            // Of a transformation that is deleted, or past its end: nobody's to read any more.
            let Some((name, config)) = names.get(&row.transformation) else { continue };
            if row.expires.is_some_and(|expires| expires <= work.now()) {
                continue;
            }
            purposes::check(purpose, &config.purposes, &[], true)?;
            shown.push((row, name.as_str(), config.as_ref()));
        }
        self.spend(account, Harm::Revealed, loads(&shown, &of_mount), work).await?;
        let mut classes: Vec<String> = shown.iter().filter_map(|(_, _, config)| config.class.clone()).collect();
        let mut values = Vec::with_capacity(shown.len());
        for (row, name, config) in shown {
            values.push(exported(work.mount_id(), &key, row, name, config)?);
        }
        classes.sort_unstable();
        classes.dedup();
        work.facts.count = u64::try_from(values.len()).ok();
        work.facts.class = (!classes.is_empty()).then(|| classes.join(","));
        let total: i64 = held.tokens.iter().map(|(_, count)| count).sum();
        Ok(Reply::data(Node::object([("held", Node::whole(total)), ("next", Node::text_or_null(next)), ("values", Node::List(values))])))
    }
}

/// What an export is about to reveal of each transformation.
fn loads<'a>(shown: &[(ExportRow, &'a str, &'a Transformation)], of_mount: &MountConfig) -> Vec<Load<'a>> {
    let mut loads: Vec<Load<'a>> = Vec::new();
    for (_, name, config) in shown {
        match loads.iter_mut().find(|load| load.meter == Meter::Transformation(config.number)) {
            Some(load) => load.count += 1,
            None => loads.push(Load {
                meter: Meter::Transformation(config.number),
                name,
                class: config.class.as_deref(),
                limit: of_mount.limit(config, Harm::Revealed),
                count: 1,
            }),
        }
    }
    loads
}

fn exported(mount: MountId, key: &DataKey, row: ExportRow, name: &str, config: &Transformation) -> Result<Node, Fault> {
    let place = TokenRowId { mount, transformation: row.transformation, id: row.id, expires: row.expires };
    let secret = decrypt(&export_key(key, row.id), &TokenSecretPlace(place), &row.secret)?;
    let message = key.message_key(&TokenSecret::from_plaintext(&secret).map_err(fault)?);
    let value = decrypt(&message, &TokenValue(place), &row.value)?;
    let metadata = match row.metadata {
        Some(stored) => read_metadata(&decrypt(&message, &TokenMetadata(place), &stored)?)?,
        None => Node::Null,
    };
    Ok(Node::object([
        ("class", Node::text_or_null(config.class.clone())),
        ("expiration_time", Node::text_or_null(row.expires.map(Timestamp::to_rfc3339))),
        ("metadata", metadata),
        ("transformation", Node::text(name)),
        ("value", Node::Text(value)),
    ]))
}

/// Destroys the subject's key with the entry. Everything under it is unreadable from the commit on.
async fn erase(op: &SubjectOp, work: &mut Work) -> Result<Reply, Fault> {
    let held = known(subject::holdings(work, &op.hash).await?)?;
    let Erased { ids, tokens } = subject::erase(work, &op.hash).await?;
    work.facts.count = u64::try_from(tokens).ok();
    // Who was erased before and did not come again keeps the time of then.
    let at = if ids.is_empty() { held.erased.last().copied() } else { Some(work.now()) };
    let reply = Reply::data(Node::object([
        ("erased", Node::whole(tokens)),
        ("hash", Node::text(hex(&op.hash))),
        ("subject", Node::text(subject_name(&op.hash))),
        ("time", Node::text_or_null(at.map(Timestamp::to_rfc3339))),
    ]));
    Ok(ids.into_iter().fold(reply, |reply, id| reply.then(Change::Subject(id))))
}

/// Who saw values of the subject: newest first, a page at a time.
async fn disclosures(op: &SubjectOp, asked: &Page, work: &mut Work) -> Result<Reply, Fault> {
    let found = disclosure::of_subject(work.store(), &op.hash, &REVEALING.map(str::to_owned), asked).await?;
    let more = i64::try_from(found.len()).is_ok_and(|count| count == asked.limit);
    let next = found.last().filter(|_| more).map(|last| page_text((Timestamp::from_date(last.time), last.stream, last.seq)));
    let seen = found.into_iter().filter(|one| one.count > 0).map(shown).collect();
    Ok(Reply::data(Node::object([("disclosures", Node::List(seen)), ("next", Node::text_or_null(next))])))
}

fn shown(one: Disclosure) -> Node {
    Node::object([
        ("account", Node::text(one.account)),
        ("action", Node::text(one.action)),
        ("class", Node::text_or_null(one.class)),
        ("count", Node::whole(one.count)),
        ("purpose", Node::text_or_null(one.purpose)),
        ("request_id", Node::text(one.request.to_string())),
        ("time", Node::text(Timestamp::from_date(one.time).to_rfc3339())),
    ])
}

/// Whom a value is about, and its class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Concerned<'a> {
    pub subject: Option<[u8; 32]>,
    pub class: Option<&'a str>,
}

/// What an entry says of the subjects of its values. Where all of them are one person's, that one, whatever became of the values; else
/// everybody of whom a value succeeded, so that an accounting of disclosures misses nobody. `values` in the order of `results`; none where
/// nothing is known of the item.
pub(super) fn note_subjects(values: &[Option<Concerned<'_>>], results: &Results, work: &mut Work) {
    let mut known = values.iter().flatten().map(|value| value.subject);
    let first = known.next().flatten();
    if first.is_some() && known.all(|subject| subject == first) {
        work.facts.subject = first;
        return;
    }
    let mut counts: BTreeMap<([u8; 32], Option<&str>), u64> = BTreeMap::new();
    for (value, result) in values.iter().zip(results) {
        if let (Some(Concerned { subject: Some(subject), class }), Ok(_)) = (value, result) {
            *counts.entry((*subject, *class)).or_default() += 1;
        }
    }
    let named =
        |((subject, class), count): (([u8; 32], Option<&str>), u64)| SubjectCount { subject, class: class.map(str::to_owned), count };
    work.facts.subjects = counts.into_iter().map(named).collect();
}

fn known(held: Holdings) -> Result<Holdings, Fault> {
    if held.alive || !held.erased.is_empty() { Ok(held) } else { Err(Fault::not_found("nothing is known about this subject")) }
}

/// The transformations of a mount by their numbers.
fn names(snapshot: &Snapshot, mount: MountId) -> Result<HashMap<i32, (String, std::sync::Arc<Transformation>)>, Fault> {
    let mut names = HashMap::new();
    for name in snapshot.names(ControlKind::Transformation, mount) {
        if let Some(config) = snapshot.get::<Transformation>(ControlKind::Transformation, mount, name)? {
            names.insert(config.number, (name.to_owned(), config));
        }
    }
    Ok(names)
}

fn holdings_node(hash: &[u8; 32], held: &Holdings, names: &HashMap<i32, (String, std::sync::Arc<Transformation>)>) -> Node {
    let held_tokens = held.tokens.iter().map(|(number, count)| {
        let (name, class) = match names.get(number) {
            Some((name, config)) => (Some(name.clone()), config.class.clone()),
            None => (None, None),
        };
        Node::object([("class", Node::text_or_null(class)), ("count", Node::whole(*count)), ("transformation", Node::text_or_null(name))])
    });
    Node::object([
        ("alive", Node::Bool(held.alive)),
        ("erased", Node::texts(held.erased.iter().map(|at| at.to_rfc3339()))),
        ("hash", Node::text(hex(hash))),
        ("held", Node::List(held_tokens.collect())),
        ("subject", Node::text(subject_name(hash))),
    ])
}
