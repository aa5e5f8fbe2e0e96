//! What begins with a value that may have a token: whether it has one, which, and deleting it. For convergent transformations only,
//! which is decided before anything here runs. A value of a subject is found by whoever names the subject.

use std::collections::{HashMap, HashSet};

use goldfin_crypto::Plaintext;

use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::store::convergent::{self, ValueKey, ValueToken};
use crate::store::transform;
use crate::store::work::Work;

use super::Transform;
use super::convergent::{Derivations, Derived, breathe, message_key, open_own};
use super::encode::note_ids;
use super::op::{Use, ValuesOp};
use super::per_value::PerValue;
use super::place::TokenRowId;
use super::run::{Ready, Results, input_of};
use super::subjects::SubjectKey;

/// A value that was asked for. None: its subject is not known, or was erased.
struct Asked<'a> {
    ready: &'a Ready,
    value: &'a Plaintext,
    subject: Option<&'a SubjectKey>,
    derived: Option<Derived>,
}

impl Transform {
    pub(super) async fn find_values(&self, op: &ValuesOp, targets: &[Result<Ready, Fault>], work: &mut Work) -> Result<Results, Fault> {
        let subjects = self.subjects_of(op, work).await?;
        let asked = derive(op, targets, &subjects).await?;
        let found = convergent::find(work.store(), &keys(&asked)).await?;
        let (mut named, mut per_value) = (Vec::new(), PerValue::of(targets.iter().flatten()));
        let mut results = Vec::with_capacity(asked.len());
        for (at, asked) in asked.into_iter().enumerate() {
            breathe(at).await;
            let token = asked.and_then(|asked| Ok((asked.ready, asked.living(&found, work)?)));
            let id = token.as_ref().ok().and_then(|(ready, token)| token.as_ref().map(|(id, _)| (*ready, *id)));
            named.extend(id.map(|(_, id)| id));
            per_value.add(id);
            results.push(token.map(|(_, token)| match op.usage {
                Use::Tokens => vec![("tokens".to_owned(), Node::texts(token.map(|(_, text)| text)))],
                _ => vec![("tokenized".to_owned(), Node::Bool(token.is_some()))],
            }));
        }
        note_ids(work, &named);
        per_value.note(work);
        Ok(results)
    }

    /// Deletes the tokens of values, those that have ended included.
    pub(super) async fn delete_values(&self, op: &ValuesOp, targets: &[Result<Ready, Fault>], work: &mut Work) -> Result<Results, Fault> {
        let subjects = self.subjects_of(op, work).await?;
        let asked = derive(op, targets, &subjects).await?;
        let mut wanted = keys(&asked);
        wanted.sort_unstable();
        wanted.dedup();
        let mut forgotten = HashMap::new();
        if !wanted.is_empty() {
            convergent::begin(work, &[]).await?;
            forgotten = convergent::forget_values(work, &wanted).await?;
        }
        let mut by_number: HashMap<i32, Vec<i64>> = HashMap::new();
        for ((number, _), id) in &forgotten {
            by_number.entry(*number).or_default().push(*id);
        }
        let mut gone = HashSet::new();
        for (number, ids) in by_number {
            gone.extend(transform::delete(work, number, &ids).await?);
        }
        let (mut named, mut per_value) = (Vec::new(), PerValue::of(targets.iter().flatten()));
        let members = || if op.batch { vec![("deleted".to_owned(), Node::Bool(true))] } else { Vec::new() };
        let results = asked
            .into_iter()
            .map(|asked| {
                let id = asked.as_ref().ok().and_then(|asked| {
                    let id = *forgotten.get(&asked.derived.as_ref()?.key)?;
                    gone.contains(&id).then_some((asked.ready, id))
                });
                named.extend(id.map(|(_, id)| id));
                per_value.add(id);
                asked?;
                id.map(|_| members()).ok_or_else(|| Fault::not_found("the value has no token in this transformation"))
            })
            .collect();
        note_ids(work, &named);
        per_value.note(work);
        Ok(results)
    }

    /// The keys of the subjects that the items name, as far as those are alive; none is made.
    async fn subjects_of(&self, op: &ValuesOp, work: &mut Work) -> Result<HashMap<[u8; 32], SubjectKey>, Fault> {
        let named = op.items.iter().filter_map(|item| item.input.as_ref().ok()).map(|input| input.options.subject);
        let mut hashes: Vec<[u8; 32]> = named.clone().flatten().collect();
        hashes.sort_unstable();
        hashes.dedup();
        if let ([only], true) = (hashes.as_slice(), named.clone().all(|subject| subject.is_some())) {
            work.facts.subject = Some(*only);
        }
        if hashes.is_empty() { Ok(HashMap::new()) } else { self.living(work, &hashes).await }
    }
}

impl Asked<'_> {
    /// The token that the value has, if that can be used: its number and its text.
    fn living(&self, found: &HashMap<ValueKey, ValueToken>, work: &Work) -> Result<Option<(i64, String)>, Fault> {
        let Some(derived) = &self.derived else { return Ok(None) };
        let Some(token) = found.get(&derived.key).filter(|token| token.expires.is_none_or(|expires| expires > work.now())) else {
            return Ok(None);
        };
        let Some(message) = message_key(self.ready, self.subject, &derived.secret, token)? else { return Ok(None) };
        let place = TokenRowId { mount: work.mount_id(), transformation: derived.key.0, id: token.id, expires: token.expires };
        open_own(&message, place, token, self.value)?;
        Ok(Some((token.id, self.ready.token(token.id, &derived.secret, self.value)?)))
    }
}

async fn derive<'a>(
    op: &'a ValuesOp,
    targets: &'a [Result<Ready, Fault>],
    subjects: &'a HashMap<[u8; 32], SubjectKey>,
) -> Result<Vec<Result<Asked<'a>, Fault>>, Fault> {
    let mut derivations = Derivations::default();
    let mut asked = Vec::with_capacity(op.items.len());
    for (at, item) in op.items.iter().enumerate() {
        breathe(at).await;
        let (input, ready) = match input_of(item, targets) {
            Ok(found) => found,
            Err(fault) => {
                asked.push(Err(fault));
                continue;
            }
        };
        let hash = input.options.subject;
        let subject = hash.and_then(|hash| subjects.get(&hash));
        let derived = match (hash, subject) {
            (Some(_), None) => None,
            _ => Some(derivations.derive(ready, hash.zip(subject), &input.value)?),
        };
        asked.push(Ok(Asked { ready, value: &input.value, subject, derived }));
    }
    Ok(asked)
}

fn keys(asked: &[Result<Asked<'_>, Fault>]) -> Vec<ValueKey> {
    asked.iter().flatten().filter_map(|asked| asked.derived.as_ref()).map(|derived| derived.key).collect()
}
