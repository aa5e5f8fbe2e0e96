//! Encode: values become tokens. Their rows ride in the commit group with the entry; nothing is written here.

use std::collections::HashMap;

use goldfin_crypto::{DataKey, Plaintext, Purpose, TokenSecret};

use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::seal::barrier::fault;
use crate::store::new_tokens::{self, Making};
use crate::store::transform::NewTokens;
use crate::store::work::Work;

use super::Transform;
use super::config::MappingMode;
use super::op::{Input, ValuesOp};
use super::per_value::PerValue;
use super::place::{TokenMetadata, TokenRowId, TokenSecretPlace, TokenValue};
use super::run::{Ready, Results, input_of};
use super::subjects::{Concerned, SubjectKey, note_subjects};

/// Values that are encrypted before others get their turn on this thread.
pub(super) const STRETCH: usize = 128;

/// An item that nothing stands against.
pub(super) struct Planned<'a> {
    pub input: &'a Input,
    pub ready: &'a Ready,
    pub expires: Option<Timestamp>,
}

impl Transform {
    pub(super) async fn encode(&self, op: &ValuesOp, targets: &[Result<Ready, Fault>], work: &mut Work) -> Result<Results, Fault> {
        let (mount, now) = (work.mount_id(), work.now());
        let planned: Vec<Result<Planned<'_>, Fault>> = op
            .items
            .iter()
            .map(|item| {
                let (input, ready) = input_of(item, targets)?;
                let expires = ready.config.expiry(now, input.options.ttl, input.options.expiration)?;
                Ok(Planned { input, ready, expires })
            })
            .collect();
        if planned.iter().flatten().any(|plan| plan.ready.config.convergent) {
            return Box::pin(self.encode_convergent(op, planned, work)).await;
        }
        let count = planned.iter().filter(|plan| plan.is_ok()).count();
        let subjects = Box::pin(self.subject_keys(work, planned.iter().flatten().filter_map(|plan| plan.input.options.subject))).await?;
        let ids = self.ids.take(work.store(), count).await?;
        note_ids(work, &ids);
        let concerned: Vec<_> = planned.iter().map(|plan| plan.as_ref().ok().map(concerned)).collect();

        let mut named = PerValue::of(targets.iter().flatten());
        let mut results = Vec::with_capacity(planned.len());
        let mut ids = ids.into_iter();
        let living: Vec<i64> = subjects.values().map(|subject| subject.id).collect();
        let mut making = Box::pin(Making::begin(work, count, &living)).await?;
        for (position, plan) in planned.into_iter().enumerate() {
            if position % STRETCH == STRETCH - 1 {
                tokio::task::yield_now().await;
                Box::pin(making.pass_on()).await?;
            }
            results.push(match plan {
                Ok(plan) => {
                    let id = ids.next().ok_or(Fault::Internal("ids"))?;
                    named.add(Some((plan.ready, id)));
                    Ok(vec![("encoded_value".to_owned(), Node::text(encode_one(mount, id, &plan, &subjects, &mut making.tokens)?))])
                }
                Err(fault) => {
                    named.add(None);
                    Err(fault)
                }
            });
        }
        let rows = Box::pin(making.finish()).await?;
        note_subjects(&concerned, &results, work);
        named.note(work);
        if !rows.is_empty() {
            if !op.batch {
                work.facts.digest = rows.value.first().map(|value| goldfin_crypto::digest::sha256(&[value]));
            }
            Box::pin(new_tokens::add(work, rows)).await?;
        }
        Ok(results)
    }
}

/// Encrypts one value and gives its token.
pub(super) fn encode_one(
    mount: MountId,
    id: i64,
    plan: &Planned<'_>,
    subjects: &HashMap<[u8; 32], SubjectKey>,
    rows: &mut NewTokens,
) -> Result<String, Fault> {
    let subject = subject_of(plan, subjects)?;
    let secret = TokenSecret::generate().map_err(fault)?;
    let Planned { input, ready, expires } = plan;
    let new = NewRow { mount, id, ready, subject, expires: *expires, value: &input.value, metadata: input.options.metadata.as_deref() };
    new.write(&secret, rows)?;
    Ok(plan.ready.keys.format.render(id, &secret))
}

/// What becomes a row.
pub(super) struct NewRow<'a> {
    pub mount: MountId,
    pub id: i64,
    pub ready: &'a Ready,
    pub subject: Option<&'a SubjectKey>,
    pub expires: Option<Timestamp>,
    pub value: &'a Plaintext,
    pub metadata: Option<&'a Plaintext>,
}

impl NewRow<'_> {
    /// Encrypts the row under the secret of its token.
    pub(super) fn write(&self, secret: &TokenSecret, rows: &mut NewTokens) -> Result<(), Fault> {
        let Self { mount, id, ready, subject, expires, value, metadata } = *self;
        let primary = || ready.keys.version(ready.config.latest_version).ok_or(Fault::Internal("key version"));
        let key = match subject {
            Some(subject) => &subject.key,
            None => primary()?,
        };
        let row = TokenRowId { mount, transformation: ready.config.number, id, expires };
        let message = key.message_key(secret);
        let value = message.encrypt(&TokenValue(row), value).map_err(fault)?;
        let metadata = match metadata {
            Some(metadata) => Some(message.encrypt(&TokenMetadata(row), metadata).map_err(fault)?.into_bytes()),
            None => None,
        };
        let stored_secret = match ready.config.mapping_mode {
            MappingMode::Default => None,
            MappingMode::Exportable => {
                Some(export_key(key, id).encrypt(&TokenSecretPlace(row), &secret.to_plaintext()).map_err(fault)?.into_bytes())
            }
        };
        rows.transformation.push(ready.config.number);
        rows.id.push(id);
        rows.subject.push(subject.map(|subject| subject.id));
        rows.expires.push(expires.map(Timestamp::to_date));
        rows.value.push(value.into_bytes());
        rows.metadata.push(metadata);
        rows.secret.push(stored_secret);
        Ok(())
    }
}

pub(super) fn subject_of<'a>(plan: &Planned<'_>, subjects: &'a HashMap<[u8; 32], SubjectKey>) -> Result<Option<&'a SubjectKey>, Fault> {
    match &plan.input.options.subject {
        Some(hash) => subjects.get(hash).map(Some).ok_or(Fault::Internal("subject")),
        None => Ok(None),
    }
}

/// The key for the stored secret of one exportable token: one message each, so that no count of nonces is needed. The context keeps
/// it apart from the keys of messages, which have none.
pub(super) fn export_key(key: &DataKey, id: i64) -> DataKey {
    DataKey::from_key(key.derive(Purpose::TokenMessage, &[b"export", &id.to_be_bytes()]), key.id())
}

/// The digest over the ids of the tokens: whoever holds the tokens and asks goldfin can tie entries together by it.
pub(super) fn note_ids(work: &mut Work, ids: &[i64]) {
    if !ids.is_empty() {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_be_bytes()).collect();
        work.facts.batch = Some(goldfin_crypto::digest::sha256(&[&bytes]));
    }
}

pub(super) fn concerned<'a>(plan: &Planned<'a>) -> Concerned<'a> {
    Concerned { subject: plan.input.options.subject, class: plan.ready.config.class.as_deref() }
}
