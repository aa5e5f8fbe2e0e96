//! Encode where the same value gives the same token. The secret in the token comes from the value, the number from a side table whose
//! uniqueness the database enforces; a value that is known is answered without writing anything but its entry.
//!
//! A shaped token has no room for a secret: its row's number, counted for the shape, is all that it says, and the secret follows from
//! that number instead of from the value.
//!
//! A token lives as long as the longest life that anybody asked for: an encode may prolong it, never shorten it. Values of a subject
//! are derived under the subject's own key, so that two subjects never share a token and an erasure takes the derivation with it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use goldfin_crypto::{Ciphertext, Convergent, DataKey, Plaintext, TokenSecret};

use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::seal::barrier::fault;
use crate::store::convergent::{self, CHUNK, ValueKey, ValueToken};
use crate::store::error::StoreError;
use crate::store::new_tokens;
use crate::store::transform::NewTokens;
use crate::store::work::Work;

use super::Transform;
use super::decode::{decrypt, version_of};
use super::encode::{NewRow, Planned, STRETCH, concerned, encode_one, note_ids, subject_of};
use super::form::shape::Place;
use super::op::ValuesOp;
use super::per_value::PerValue;
use super::place::{TokenMetadata, TokenRowId, TokenValue};
use super::run::{Ready, Results};
use super::subjects::{SubjectKey, note_subjects};

/// The derivations of one request. Those under subjects' keys are gone with it.
#[derive(Default)]
pub(super) struct Derivations(HashMap<([u8; 32], i32), Convergent>);

/// A value as it is found: where, and with which secret its token is made if that is opaque.
pub(super) struct Derived {
    pub key: ValueKey,
    pub secret: TokenSecret,
}

impl Derivations {
    /// `subject`: the keyed hash and the key of the subject that the value is about.
    pub(super) fn derive(&mut self, ready: &Ready, subject: Option<([u8; 32], &SubjectKey)>, value: &Plaintext) -> Result<Derived, Fault> {
        let number = ready.config.number;
        let convergent = match subject {
            None => ready.keys.convergent.as_ref().ok_or(Fault::Internal("convergent"))?,
            Some((hash, subject)) => self.0.entry((hash, number)).or_insert_with(|| Convergent::new(&subject.key, number)),
        };
        Ok(Derived { key: (number, convergent.index(value)), secret: convergent.secret(value) })
    }
}

/// One value of a request, however often it stands there.
struct Wanted<'a> {
    ready: &'a Ready,
    /// The place of its transformation in the request.
    target: usize,
    /// Where its token stands in the shape, if it gets a shaped one.
    shaped: Option<Place>,
    subject: Option<&'a SubjectKey>,
    value: &'a Plaintext,
    derived: Derived,
    /// The latest end that was asked for.
    expires: Option<Timestamp>,
    metadata: Option<Arc<Plaintext>>,
    /// Whether a token of it was found that goes on living.
    has_token: bool,
    /// The number for a token, where it had none when it was looked for.
    fresh: Option<i64>,
    /// The number of its token, once that is known.
    id: Option<Result<i64, Fault>>,
}

/// What becomes of a value whose token was found.
enum Verdict {
    /// It has what was asked for.
    Keep,
    /// It is written anew under the same number.
    Rewrite { expires: Option<Timestamp>, metadata: Option<Arc<Plaintext>> },
    /// It has ended: the value gets another.
    Replace,
}

impl Wanted<'_> {
    fn verdict(&self, mount: MountId, now: Timestamp, token: &ValueToken) -> Result<Verdict, Fault> {
        if token.expires.is_some_and(|expires| expires <= now) {
            return Ok(Verdict::Replace);
        }
        let expires = later(token.expires, self.expires);
        let Some(message) = message_key(self.ready, self.subject, &self.derived.secret, token)? else {
            // Its key is destroyed or out of use, and its metadata with it. Of a shaped one nobody can tell any more whether it was this
            // value's: it is left as it is.
            return Ok(match self.shaped {
                None => Verdict::Rewrite { expires, metadata: self.metadata.clone() },
                Some(_) => Verdict::Replace,
            });
        };
        let place = TokenRowId { mount, transformation: self.derived.key.0, id: token.id, expires: token.expires };
        open_own(&message, place, token, self.value)?;
        let stored = match &token.metadata {
            Some(stored) => Some(decrypt(&message, &TokenMetadata(place), stored)?),
            None => None,
        };
        let same = match (&self.metadata, &stored) {
            (None, _) => true,
            (Some(given), Some(stored)) => given.constant_time_eq(stored),
            (Some(_), None) => false,
        };
        if same && expires == token.expires {
            return Ok(Verdict::Keep);
        }
        Ok(Verdict::Rewrite { expires, metadata: self.metadata.clone().or_else(|| stored.map(Arc::new)) })
    }

    fn write(
        &self,
        mount: MountId,
        id: i64,
        expires: Option<Timestamp>,
        metadata: Option<&Plaintext>,
        rows: &mut NewTokens,
    ) -> Result<(), Fault> {
        NewRow { mount, id, ready: self.ready, subject: self.subject, expires, value: self.value, metadata }
            .write(&self.ready.secret(id, &self.derived.secret), rows)
    }
}

/// What opens a token's row; none where its version of the transformation's key is not used any more. `derived`: the value's secret.
pub(super) fn message_key(
    ready: &Ready,
    subject: Option<&SubjectKey>,
    derived: &TokenSecret,
    token: &ValueToken,
) -> Result<Option<DataKey>, Fault> {
    let secret = &ready.secret(token.id, derived);
    if let Some(subject) = subject {
        return Ok(Some(subject.key.message_key(secret)));
    }
    let value = Ciphertext::<TokenValue, _>::from_stored(&token.value).map_err(fault)?;
    match version_of(ready, value.key_version()) {
        Ok(key) => Ok(Some(key.message_key(secret))),
        Err(Fault::Gone(_) | Fault::Invalid(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Opens the value of a row that is to be `value`'s. What is another's, or does not open, must not be handed out: the value would be lost.
pub(super) fn open_own(message: &DataKey, place: TokenRowId, token: &ValueToken, value: &Plaintext) -> Result<(), Fault> {
    let stored = message.decrypt(&TokenValue(place), &Ciphertext::from_stored(&token.value).map_err(fault)?).map_err(fault)?;
    // The key of a shaped token's row follows from the row alone, so that it opens whichever value it holds.
    if stored.constant_time_eq(value) { Ok(()) } else { Err(Fault::Integrity("a value leads to the token of another")) }
}

/// None is without end.
fn later(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.zip(other).map(|(one, other)| one.max(other))
}

/// Where the token of an item comes from.
enum Source<'a> {
    Value { at: usize, ready: &'a Ready },
    Plain(&'a Planned<'a>),
}

impl Transform {
    /// A request of which at least one transformation is convergent.
    pub(super) async fn encode_convergent(
        &self,
        op: &ValuesOp,
        planned: Vec<Result<Planned<'_>, Fault>>,
        work: &mut Work,
    ) -> Result<Results, Fault> {
        let (mount, now) = (work.mount_id(), work.now());
        let subjects = self.subject_keys(work, planned.iter().flatten().filter_map(|plan| plan.input.options.subject)).await?;
        let concerned: Vec<_> = planned.iter().map(|plan| plan.as_ref().ok().map(concerned)).collect();
        let (mut wanted, sources) = gather(&planned, &subjects).await?;
        let mut open = known_values(&mut wanted, mount, now, work).await?;
        let plain = sources.iter().filter(|source| matches!(source, Ok(Source::Plain(_)))).count();
        // All that needs a connection of its own comes before the transaction, which holds one.
        self.number(op, &mut wanted, &open, work).await?;
        let mut ids = self.ids.take(work.store(), plain).await?.into_iter();
        let mut rows = NewTokens::with_capacity(open.len() + plain);
        open.retain(|at| wanted.get(*at).is_some_and(|value| value.id.is_none()));
        if !open.is_empty() {
            convergent::begin(work, &subjects.values().map(|subject| subject.id).collect::<Vec<_>>()).await?;
            settle(&mut wanted, open, &mut rows, work).await?;
        }
        let mut results = Vec::with_capacity(sources.len());
        let mut named = Vec::with_capacity(sources.len());
        let mut per_value = PerValue::of(planned.iter().flatten().map(|plan| plan.ready));
        for (at, source) in sources.into_iter().enumerate() {
            breathe(at).await;
            let token = match source {
                Ok(Source::Value { at, ready }) => {
                    let value = wanted.get(at).ok_or(Fault::Internal("value"))?;
                    match value.id.clone().ok_or(Fault::Internal("ids"))? {
                        Ok(id) => Ok((ready, id, ready.token(id, &value.derived.secret, value.value)?)),
                        Err(fault) => Err(fault),
                    }
                }
                Ok(Source::Plain(plan)) => {
                    let id = ids.next().ok_or(Fault::Internal("ids"))?;
                    Ok((plan.ready, id, encode_one(mount, id, plan, &subjects, &mut rows)?))
                }
                Err(fault) => Err(fault),
            };
            named.extend(token.as_ref().ok().map(|(_, id, _)| *id));
            per_value.add(token.as_ref().ok().map(|(ready, id, _)| (*ready, *id)));
            results.push(token.map(|(.., token)| vec![("encoded_value".to_owned(), Node::text(token))]));
        }
        note_ids(work, &named);
        per_value.note(work);
        note_subjects(&concerned, &results, work);
        if !op.batch {
            work.facts.digest = rows.value.first().map(|value| goldfin_crypto::digest::sha256(&[value]));
        }
        if !rows.is_empty() {
            new_tokens::add(work, rows).await?;
        }
        Ok(results)
    }

    /// Numbers for the tokens of the values at `open` that have none. Where a shape has no more, the value is refused.
    async fn number(&self, op: &ValuesOp, wanted: &mut [Wanted<'_>], open: &[usize], work: &Work) -> Result<(), Fault> {
        let (mut opaque, mut shaped): (Vec<usize>, HashMap<usize, Vec<usize>>) = (Vec::new(), HashMap::new());
        for at in open {
            match wanted.get(*at) {
                Some(value) if value.has_token => {}
                Some(Wanted { shaped: Some(_), target, .. }) => shaped.entry(*target).or_default().push(*at),
                _ => opaque.push(*at),
            }
        }
        for (at, id) in opaque.iter().zip(self.ids.take(work.store(), opaque.len()).await?) {
            if let Some(value) = wanted.get_mut(*at) {
                value.fresh = Some(id);
            }
        }
        for (target, places) in shaped {
            let ready = places.first().and_then(|at| wanted.get(*at)).ok_or(Fault::Internal("value"))?.ready;
            let serials = self.serials_of(op, target, ready, places.len(), work).await?;
            for (at, serial) in places.iter().zip(serials) {
                let value = wanted.get_mut(*at).ok_or(Fault::Internal("value"))?;
                let row = value.shaped.ok_or(Fault::Internal("form")).and_then(|place| ready.row(place, serial));
                // A template may admit a value and not the token of it; nothing is written then.
                match row.and_then(|id| ready.token(id, &value.derived.secret, value.value).map(|_| id)) {
                    Ok(id) => value.fresh = Some(id),
                    Err(refused) => value.id = Some(Err(refused)),
                }
            }
        }
        Ok(())
    }
}

/// The values of a request, each once, and where each item has its token from.
async fn gather<'a>(
    planned: &'a [Result<Planned<'a>, Fault>],
    subjects: &'a HashMap<[u8; 32], SubjectKey>,
) -> Result<(Vec<Wanted<'a>>, Vec<Result<Source<'a>, Fault>>), Fault> {
    let mut derivations = Derivations::default();
    let (mut wanted, mut places): (Vec<Wanted<'a>>, HashMap<ValueKey, usize>) = (Vec::new(), HashMap::new());
    let mut sources = Vec::with_capacity(planned.len());
    for (at, plan) in planned.iter().enumerate() {
        breathe(at).await;
        let plan = match plan {
            Ok(plan) => plan,
            Err(fault) => {
                sources.push(Err(fault.clone()));
                continue;
            }
        };
        if !plan.ready.config.convergent {
            sources.push(Ok(Source::Plain(plan)));
            continue;
        }
        let shaped = match plan.ready.fit(&plan.input.value) {
            Ok(shaped) => shaped,
            Err(misfit) => {
                sources.push(Err(misfit));
                continue;
            }
        };
        let subject = subject_of(plan, subjects)?;
        let derived = derivations.derive(plan.ready, plan.input.options.subject.zip(subject), &plan.input.value)?;
        let next = wanted.len();
        let at = match places.entry(derived.key) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => *free.insert(next),
        };
        let (expires, metadata) = (plan.expires, plan.input.options.metadata.clone());
        match wanted.get_mut(at) {
            Some(known) => {
                known.expires = later(known.expires, expires);
                known.metadata = metadata.or_else(|| known.metadata.take());
            }
            None => wanted.push(Wanted {
                ready: plan.ready,
                target: plan.input.target,
                shaped,
                subject,
                value: &plan.input.value,
                derived,
                expires,
                metadata,
                has_token: false,
                fresh: None,
                id: None,
            }),
        }
        sources.push(Ok(Source::Value { at, ready: plan.ready }));
    }
    Ok((wanted, sources))
}

/// Finds the values that have what they need; gives the places of the others.
async fn known_values(wanted: &mut [Wanted<'_>], mount: MountId, now: Timestamp, work: &Work) -> Result<Vec<usize>, Fault> {
    let keys: Vec<ValueKey> = wanted.iter().map(|value| value.derived.key).collect();
    let found = convergent::find(work.store(), &keys).await?;
    let mut open = Vec::new();
    for (at, value) in wanted.iter_mut().enumerate() {
        breathe(at).await;
        match found.get(&value.derived.key).map(|token| (token.id, value.verdict(mount, now, token))) {
            Some((id, Ok(Verdict::Keep))) => value.id = Some(Ok(id)),
            Some((_, Err(fault))) => value.id = Some(Err(fault)),
            other => {
                value.has_token = matches!(other, Some((_, Ok(Verdict::Rewrite { .. }))));
                open.push(at);
            }
        }
    }
    Ok(open)
}

/// Gives tokens to the values at `open`, in the work's transaction. The rows of those that are new are left to the caller.
async fn settle(wanted: &mut [Wanted<'_>], open: Vec<usize>, rows: &mut NewTokens, work: &mut Work) -> Result<(), Fault> {
    let (mount, now) = (work.mount_id(), work.now());
    let mut open: Vec<(ValueKey, usize)> = open.into_iter().filter_map(|at| wanted.get(at).map(|value| (value.derived.key, at))).collect();
    open.sort_unstable();
    for chunk in open.chunks(CHUNK) {
        let known = claim(wanted, chunk, work).await?;
        let (mut moved, mut moved_ids, mut rewritten) = (Vec::new(), Vec::new(), NewTokens::default());
        for (key, at) in chunk {
            let value = wanted.get_mut(*at).ok_or(Fault::Internal("value"))?;
            let verdict = match known.get(key) {
                None => None,
                Some(None) => Some(Ok((0, Verdict::Replace))),
                Some(Some(token)) => Some(value.verdict(mount, now, token).map(|verdict| (token.id, verdict))),
            };
            value.id = Some(match verdict {
                Some(Err(fault)) => Err(fault),
                Some(Ok((id, Verdict::Keep))) => Ok(id),
                Some(Ok((id, Verdict::Rewrite { expires, metadata }))) => {
                    value.write(mount, id, expires, metadata.as_deref(), &mut rewritten)?;
                    Ok(id)
                }
                new => {
                    // None where it had a token a moment ago.
                    let fresh = value.fresh.ok_or(StoreError::Conflict)?;
                    if new.is_some() {
                        moved.push(*key);
                        moved_ids.push(fresh);
                    }
                    value.write(mount, fresh, value.expires, value.metadata.as_deref(), rows)?;
                    Ok(fresh)
                }
            });
        }
        if !moved.is_empty() {
            convergent::lead_to(work, &moved, &moved_ids).await?;
        }
        if !rewritten.is_empty() {
            convergent::rewrite(work, &rewritten).await?;
        }
    }
    Ok(())
}

/// Locks the values of a chunk, and gives numbers to those of them that nobody gave one; the others' tokens are in the answer.
async fn claim(
    wanted: &[Wanted<'_>],
    chunk: &[(ValueKey, usize)],
    work: &mut Work,
) -> Result<HashMap<ValueKey, Option<ValueToken>>, Fault> {
    let (mut new, mut fresh, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for (key, at) in chunk {
        match wanted.get(*at).and_then(|value| value.fresh) {
            Some(id) => {
                new.push(*key);
                fresh.push(id);
            }
            None => known.push(*key),
        }
    }
    let mut found = HashMap::new();
    if !new.is_empty() {
        found = convergent::claim(work, &new, &fresh).await?;
    }
    if !known.is_empty() {
        found.extend(convergent::locked(work, &known).await?);
    }
    Ok(found)
}

/// Lets others have their turn on this thread.
pub(super) async fn breathe(at: usize) {
    if at % STRETCH == STRETCH - 1 {
        tokio::task::yield_now().await;
    }
}
