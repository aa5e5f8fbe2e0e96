//! Encode where the same value gives the same token. The secret in the token comes from the value, the number from a side table whose
//! uniqueness the database enforces; a value that is known is answered without writing anything but its entry.
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
use crate::store::transform::NewTokens;
use crate::store::work::Work;

use super::Transform;
use super::decode::{decrypt, version_of};
use super::encode::{NewRow, Planned, STRETCH, concerned, encode_one, note_ids, subject_of, with_capacity};
use super::op::ValuesOp;
use super::per_value::PerValue;
use super::place::{TokenMetadata, TokenRowId, TokenValue};
use super::run::{Ready, Results};
use super::subjects::{SubjectKey, note_subjects};

/// The derivations of one request. Those under subjects' keys are gone with it.
#[derive(Default)]
pub(super) struct Derivations(HashMap<([u8; 32], i32), Convergent>);

/// A value as it is found: where, and with which secret its token is made.
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
    subject: Option<&'a SubjectKey>,
    value: &'a Plaintext,
    derived: Derived,
    /// The latest end that was asked for.
    expires: Option<Timestamp>,
    metadata: Option<Arc<Plaintext>>,
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
            // Its key is destroyed or out of use, and its metadata with it.
            return Ok(Verdict::Rewrite { expires, metadata: self.metadata.clone() });
        };
        let place = TokenRowId { mount, transformation: self.derived.key.0, id: token.id, expires: token.expires };
        // What does not open is no token of this value: handing it out would lose the value.
        drop(message.decrypt(&TokenValue(place), &Ciphertext::from_stored(token.value.clone()).map_err(fault)?).map_err(fault)?);
        let stored = match &token.metadata {
            Some(stored) => Some(decrypt(&message, &TokenMetadata(place), stored.clone())?),
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
            .write(&self.derived.secret, rows)
    }
}

/// What opens a token's row; none where its version of the transformation's key is not used any more.
pub(super) fn message_key(
    ready: &Ready,
    subject: Option<&SubjectKey>,
    secret: &TokenSecret,
    token: &ValueToken,
) -> Result<Option<DataKey>, Fault> {
    if let Some(subject) = subject {
        return Ok(Some(subject.key.message_key(secret)));
    }
    let value: Ciphertext<TokenValue> = Ciphertext::from_stored(token.value.clone()).map_err(fault)?;
    match version_of(ready, value.key_version()) {
        Ok(key) => Ok(Some(key.message_key(secret))),
        Err(Fault::Gone(_) | Fault::Invalid(_)) => Ok(None),
        Err(other) => Err(other),
    }
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
        let open = known_values(&mut wanted, mount, now, work).await?;
        let plain = sources.iter().filter(|source| matches!(source, Ok(Source::Plain(_)))).count();
        // All that needs a connection of its own comes before the transaction, which holds one.
        let mut ids = self.ids.take(work.store(), open.len() + plain).await?.into_iter();
        let mut rows = with_capacity(open.len() + plain);
        let in_transaction = !open.is_empty();
        if in_transaction {
            convergent::begin(work, &subjects.values().map(|subject| subject.id).collect::<Vec<_>>()).await?;
            settle(&mut wanted, open, &mut ids, &mut rows, work).await?;
        }
        let mut results = Vec::with_capacity(sources.len());
        let mut named = Vec::with_capacity(sources.len());
        let mut per_value = PerValue::of(planned.iter().flatten().map(|plan| plan.ready));
        for (at, source) in sources.into_iter().enumerate() {
            breathe(at).await;
            let token = match source {
                Ok(Source::Value { at, ready }) => {
                    let value = wanted.get(at).ok_or(Fault::Internal("value"))?;
                    let id = value.id.clone().ok_or(Fault::Internal("ids"))?;
                    id.map(|id| (ready, id, ready.keys.format.render(id, &value.derived.secret)))
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
        match (in_transaction, rows.is_empty()) {
            (_, true) => {}
            (true, false) => convergent::insert(work, &rows).await?,
            (false, false) => work.add_tokens(rows)?,
        }
        Ok(results)
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
            None => wanted.push(Wanted { ready: plan.ready, subject, value: &plan.input.value, derived, expires, metadata, id: None }),
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
            _ => open.push(at),
        }
    }
    Ok(open)
}

/// Gives tokens to the values at `open`, in the work's transaction. The rows of those that are new are left to the caller.
async fn settle(
    wanted: &mut [Wanted<'_>],
    open: Vec<usize>,
    ids: &mut impl Iterator<Item = i64>,
    rows: &mut NewTokens,
    work: &mut Work,
) -> Result<(), Fault> {
    let (mount, now) = (work.mount_id(), work.now());
    let mut open: Vec<(ValueKey, usize)> = open.into_iter().filter_map(|at| wanted.get(at).map(|value| (value.derived.key, at))).collect();
    open.sort_unstable();
    for chunk in open.chunks(CHUNK) {
        let keys: Vec<ValueKey> = chunk.iter().map(|(key, _)| *key).collect();
        let fresh: Vec<i64> = ids.take(keys.len()).collect();
        let known = convergent::claim(work, &keys, &fresh).await?;
        let (mut moved, mut moved_ids, mut rewritten) = (Vec::new(), Vec::new(), NewTokens::default());
        for ((key, at), fresh) in chunk.iter().zip(fresh) {
            let value = wanted.get_mut(*at).ok_or(Fault::Internal("value"))?;
            let verdict = match known.get(key) {
                None => None,
                Some(None) => Some((fresh, Ok(Verdict::Replace))),
                Some(Some(token)) => Some((token.id, value.verdict(mount, now, token))),
            };
            value.id = Some(match verdict {
                Some((_, Err(fault))) => Err(fault),
                Some((id, Ok(Verdict::Keep))) => Ok(id),
                Some((id, Ok(Verdict::Rewrite { expires, metadata }))) => {
                    value.write(mount, id, expires, metadata.as_deref(), &mut rewritten)?;
                    Ok(id)
                }
                new => {
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

/// Lets others have their turn on this thread.
pub(super) async fn breathe(at: usize) {
    if at % STRETCH == STRETCH - 1 {
        tokio::task::yield_now().await;
    }
}
