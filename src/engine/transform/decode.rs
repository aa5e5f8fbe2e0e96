//! Decode, validate, metadata and the deletion of tokens: everything that begins with a token.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use goldfin_crypto::{Ciphertext, DataKey, Place, Plaintext, TokenSecret};

use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::fault::{Complaint, Fault};
use crate::model::id::MountId;
use crate::seal::barrier::{Barrier, fault};
use crate::store::convergent;
use crate::store::token_lookup::Parts;
use crate::store::token_rows::TokenRow;
use crate::store::transform;
use crate::store::work::Work;

use super::Transform;
use super::batch::Answered;
use super::encode::{STRETCH, note_ids};
use super::op::{Use, ValuesOp};
use super::per_value::{self, PerValue};
use super::place::{TokenMetadata, TokenRowId, TokenValue};
use super::run::{Ready, Results, input_of, not_a_token, read_metadata};
use super::subjects::{Concerned, note_subjects, unwrap_subject};

/// A token that was read: the transformation that it is one of, its row's number, its secret.
struct Shown<'a> {
    ready: &'a Ready,
    id: i64,
    secret: TokenSecret,
}

/// What opens rows during one request. The keys of subjects are gone with it.
struct Opener<'a> {
    barrier: &'a Barrier,
    mount: MountId,
    now: Timestamp,
    subjects: HashMap<i64, DataKey>,
}

impl Transform {
    pub(super) async fn reveal(&self, op: &ValuesOp, targets: &[Result<Ready, Fault>], work: &mut Work) -> Result<Results, Fault> {
        let shown = show(op, targets);
        let ids: Vec<i64> = shown.iter().flatten().flatten().map(|shown| shown.id).collect();
        note_ids(work, &ids);
        let mut rows = match ids.as_slice() {
            [] => Rows::default(),
            [id] => Rows::of(self.lookup.find(work.store(), *id).await?),
            ids => Rows { parts: Some(Parts::new(work.store(), ids)), ..Rows::default() },
        };
        let (mut concerned, mut asked) = (Vec::with_capacity(shown.len()), 0);
        let mut opener = Opener { barrier: &self.tools.barrier, mount: work.mount_id(), now: work.now(), subjects: HashMap::new() };
        let mut per_value = PerValue::of(targets.iter().flatten());
        let mut results = Vec::with_capacity(shown.len());
        for (position, shown) in shown.into_iter().enumerate() {
            if position % STRETCH == STRETCH - 1 {
                tokio::task::yield_now().await;
            }
            if let Ok(Ok(token)) = &shown {
                rows.reach(asked).await?;
                asked += 1;
                concerned.push(rows.concerned(token));
            } else {
                concerned.push(None);
            }
            let mut named = None;
            results.push(shown.and_then(|token| {
                let opened = token.and_then(|token| {
                    let opened = opener.open(&token, rows.found.get(&token.id), op.usage)?;
                    named = Some((token.ready, token.id));
                    Ok(opened)
                });
                if op.usage == Use::Validate { as_validity(opened) } else { opened }
            }));
            per_value.add(named);
        }
        note_subjects(&concerned, &results, work);
        per_value.note(work);
        if let ([Err(fault)], false) = (results.as_slice(), op.batch) {
            work.facts.reason = reason(fault);
        }
        Ok(results)
    }

    pub(super) async fn delete_tokens(&self, op: &ValuesOp, targets: &[Result<Ready, Fault>], work: &mut Work) -> Result<Results, Fault> {
        let shown = show(op, targets);
        let mut by_number: HashMap<i32, Vec<i64>> = HashMap::new();
        for shown in shown.iter().flatten().flatten() {
            by_number.entry(shown.ready.config.number).or_default().push(shown.id);
        }
        let mut gone = HashSet::new();
        let convergent: HashSet<i32> = shown
            .iter()
            .flatten()
            .flatten()
            .map(|shown| &shown.ready.config)
            .filter(|config| config.convergent)
            .map(|config| config.number)
            .collect();
        for (number, ids) in by_number {
            if convergent.contains(&number) {
                convergent::begin(work, &[]).await?;
                convergent::forget_tokens(work, number, &ids.iter().copied().collect()).await?;
            }
            gone.extend(transform::delete(work, number, &ids).await?);
        }
        let ids: Vec<i64> = shown.iter().flatten().flatten().map(|shown| shown.id).collect();
        note_ids(work, &ids);
        let mut per_value = PerValue::of(targets.iter().flatten());
        for shown in &shown {
            let shown = shown.as_ref().ok().and_then(|shown| shown.as_ref().ok());
            per_value.add(shown.filter(|shown| gone.contains(&shown.id)).map(|shown| (shown.ready, shown.id)));
        }
        per_value.note(work);
        let members = || if op.batch { vec![("deleted".to_owned(), Node::Bool(true))] } else { Vec::new() };
        Ok(shown
            .into_iter()
            .map(|shown| match shown? {
                Ok(shown) if gone.contains(&shown.id) => Ok(members()),
                _ => Err(not_a_token()),
            })
            .collect())
    }
}

/// The rows of the tokens of a request, as far as they have come.
#[derive(Default)]
struct Rows {
    found: HashMap<i64, TokenRow>,
    /// For how many of the tokens it is known whether they have a row.
    known: usize,
    parts: Option<Parts>,
}

impl Rows {
    /// The only one.
    fn of(row: Option<TokenRow>) -> Self {
        Self { found: row.into_iter().map(|row| (row.id, row)).collect(), known: 1, parts: None }
    }

    /// Waits until it is known of the token `at`, counted from 0.
    async fn reach(&mut self, at: usize) -> Result<(), Fault> {
        while at >= self.known
            && let Some(parts) = &mut self.parts
        {
            let (count, rows) = parts.next().await?.ok_or(Fault::Internal("lookup"))?;
            self.known += count;
            self.found.extend(rows.into_iter().map(|row| (row.id, row)));
        }
        Ok(())
    }

    /// Whom the row of a token is about.
    fn concerned<'a>(&self, shown: &Shown<'a>) -> Option<Concerned<'a>> {
        let row = self.found.get(&shown.id).filter(|row| row.transformation == shown.ready.config.number)?;
        let subject = row.subject_hash.as_deref().and_then(|hash| hash.try_into().ok());
        Some(Concerned { subject, class: shown.ready.config.class.as_deref() })
    }
}

/// Reads the tokens. The outer fault is the transformation's or the item's, the inner one the token's.
fn show<'a>(op: &'a ValuesOp, targets: &'a [Result<Ready, Fault>]) -> Vec<Result<Result<Shown<'a>, Fault>, Fault>> {
    op.items
        .iter()
        .map(|item| {
            let (input, ready) = input_of(item, targets)?;
            Ok(ready.read(&input.value).map(|(id, secret)| Shown { ready, id, secret }))
        })
        .collect()
}

impl Opener<'_> {
    fn open(&mut self, shown: &Shown<'_>, row: Option<&TokenRow>, usage: Use) -> Result<Answered, Fault> {
        let (config, mount, now) = (&shown.ready.config, self.mount, self.now);
        let row = row.filter(|row| row.transformation == config.number).ok_or_else(not_a_token)?;
        let value = Ciphertext::from_stored(row.value.clone()).map_err(fault)?;
        let key = match row.subject {
            Some(subject) => self.subject_key(subject, row)?,
            None => version_of(shown.ready, value.key_version())?,
        };
        if row.expires.is_some_and(|expires| expires <= now) {
            return Err(Fault::Gone("the token has expired".into()));
        }
        let mut opened = open_row(mount, &key.message_key(&shown.secret), row, &value, usage)?;
        if usage == Use::Metadata && config.per_value_audit {
            let digest = goldfin_crypto::digest::hex(&per_value::digest(shown.ready, shown.id));
            opened.push(("ledger_token".to_owned(), Node::text(digest)));
        }
        Ok(opened)
    }

    fn subject_key(&mut self, subject: i64, row: &TokenRow) -> Result<&DataKey, Fault> {
        let (Some(wrapped), Some(hash)) = (&row.subject_key, &row.subject_hash) else {
            return Err(Fault::Gone("the subject of this token was erased".into()));
        };
        match self.subjects.entry(subject) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(free) => Ok(free.insert(unwrap_subject(self.barrier, self.mount, subject, hash, wrapped.clone(), self.now)?)),
        }
    }
}

/// Opens a row with the key of its one message. Decrypted for every use: what does not verify is not a valid token's row, whatever
/// else it says.
pub(super) fn open_row(
    mount: MountId,
    message: &DataKey,
    row: &TokenRow,
    value: &Ciphertext<TokenValue>,
    usage: Use,
) -> Result<Answered, Fault> {
    let place = TokenRowId { mount, transformation: row.transformation, id: row.id, expires: row.expires };
    let value = message.decrypt(&TokenValue(place), value).map_err(fault)?;
    let name = |name: &str| name.to_owned();
    Ok(match usage {
        Use::Validate => vec![(name("valid"), Node::Bool(true))],
        Use::Metadata => {
            let metadata = match &row.metadata {
                Some(stored) => read_metadata(&decrypt(message, &TokenMetadata(place), stored.clone())?)?,
                None => Node::Object(Vec::new()),
            };
            let expires = Node::text_or_null(row.expires.map(Timestamp::to_rfc3339));
            vec![(name("metadata"), metadata), (name("expiration_time"), expires)]
        }
        _ => vec![(name("decoded_value"), Node::Text(value))],
    })
}

/// The version of the transformation's key that a ciphertext names.
pub(super) fn version_of(ready: &Ready, version: u32) -> Result<&DataKey, Fault> {
    let (config, keys) = (&ready.config, &ready.keys);
    if version < config.min_available_version {
        return Err(Fault::Gone("the key of this token was destroyed".into()));
    }
    if version < config.min_decryption_version {
        return Err(Fault::Invalid(Complaint::new("the token is older than the transformation's `min_decryption_version`")));
    }
    match keys.version(version) {
        Some(key) => Ok(key),
        // A node that has not heard of a rotation yet.
        None if version > config.latest_version => Err(Fault::conflict("the transformation's key changed at the same moment, try again")),
        None => Err(fault(goldfin_crypto::CryptoError::Integrity)),
    }
}

pub(super) fn decrypt<P: Place>(key: &DataKey, place: &P, stored: Vec<u8>) -> Result<Plaintext, Fault> {
    key.decrypt(place, &Ciphertext::from_stored(stored).map_err(fault)?).map_err(fault)
}

/// A token that cannot be used is an answer here, not a fault.
fn as_validity(opened: Result<Answered, Fault>) -> Result<Answered, Fault> {
    match opened {
        Err(Fault::Invalid(_) | Fault::Gone(_)) => Ok(vec![("valid".to_owned(), Node::Bool(false))]),
        opened => opened,
    }
}

fn reason(fault: &Fault) -> Option<&'static str> {
    match fault {
        Fault::Gone(_) => Some("gone"),
        Fault::Integrity(_) => Some("integrity"),
        Fault::Invalid(_) if *fault == not_a_token() => Some("not_a_token"),
        _ => None,
    }
}
