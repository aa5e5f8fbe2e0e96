//! Everything that begins with a token: reading it, opening its row, deleting it.

use std::collections::{HashMap, HashSet};

use goldfin_crypto::{Ciphertext, DataKey, Place, Plaintext, TokenSecret};

use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::fault::{Complaint, Fault};
use crate::model::id::MountId;
use crate::seal::barrier::fault;
use crate::store::convergent;
use crate::store::token_rows::TokenRow;
use crate::store::transform;
use crate::store::work::Work;

use super::Transform;
use super::batch::Answered;
use super::encode::note_ids;
use super::op::{Item, Use, ValuesOp};
use super::per_value::PerValue;
use super::place::{TokenMetadata, TokenRowId, TokenValue};
use super::run::{Ready, Results, input_of, not_a_token, read_metadata};

/// A token that was read: the transformation that it is one of, with its position, its row's number, its secret.
pub(super) struct Shown<'a> {
    pub target: usize,
    pub ready: &'a Ready,
    pub id: i64,
    pub secret: TokenSecret,
}

impl Transform {
    pub(super) async fn delete_tokens(&self, op: &ValuesOp, targets: &[Result<Ready, Fault>], work: &mut Work) -> Result<Results, Fault> {
        let shown = show(&op.items, targets);
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

/// Reads the tokens. The outer fault is the transformation's or the item's, the inner one the token's.
pub(super) fn show<'a>(items: &'a [Item], targets: &'a [Result<Ready, Fault>]) -> Vec<Result<Result<Shown<'a>, Fault>, Fault>> {
    items
        .iter()
        .map(|item| {
            let (input, ready) = input_of(item, targets)?;
            Ok(ready.read(&input.value).map(|(id, secret)| Shown { target: input.target, ready, id, secret }))
        })
        .collect()
}

/// Opens a row with the key of its one message. Decrypted for every use: what does not verify is not a valid token's row, whatever
/// else it says.
pub(super) fn open_row(
    mount: MountId,
    message: &DataKey,
    row: &TokenRow,
    value: &Ciphertext<TokenValue, impl AsRef<[u8]>>,
    usage: Use,
) -> Result<Answered, Fault> {
    let place = TokenRowId { mount, transformation: row.transformation, id: row.id, expires: row.expires };
    let value = message.decrypt(&TokenValue(place), value).map_err(fault)?;
    let name = |name: &str| name.to_owned();
    Ok(match usage {
        Use::Validate => vec![(name("valid"), Node::Bool(true))],
        Use::Metadata => {
            let metadata = match &row.metadata {
                Some(stored) => read_metadata(&decrypt(message, &TokenMetadata(place), stored)?)?,
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

pub(super) fn decrypt<P: Place>(key: &DataKey, place: &P, stored: &[u8]) -> Result<Plaintext, Fault> {
    key.decrypt(place, &Ciphertext::from_stored(stored).map_err(fault)?).map_err(fault)
}

/// A token that cannot be used is an answer here, not a fault.
pub(super) fn as_validity(opened: Result<Answered, Fault>) -> Result<Answered, Fault> {
    match opened {
        Err(Fault::Invalid(_) | Fault::Gone(_)) => Ok(vec![("valid".to_owned(), Node::Bool(false))]),
        opened => opened,
    }
}

pub(super) fn reason(fault: &Fault) -> Option<&'static str> {
    match fault {
        Fault::Gone(_) => Some("gone"),
        Fault::Integrity(_) => Some("integrity"),
        Fault::Invalid(_) if *fault == not_a_token() => Some("not_a_token"),
        _ => None,
    }
}
