//! Decode, validate and metadata: what tokens stand for. The tokens of a large batch are read, looked for and opened in parts, some of
//! them at the same time, so that one request gets more than one core and more than one connection.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use goldfin_crypto::{Ciphertext, DataKey};

use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::seal::barrier::{Barrier, fault};
use crate::store::Store;
use crate::store::token_rows::{self, TokenRow};
use crate::store::work::Work;

use super::Transform;
use super::batch::Answered;
use super::decode::{Shown, as_validity, open_row, reason, show, version_of};
use super::encode::{STRETCH, note_ids};
use super::op::{Item, Use, ValuesOp};
use super::parts::Parts;
use super::per_value::{self, PerValue};
use super::run::{Ready, Results, not_a_token};
use super::subjects::{Concerned, note_subjects, unwrap_subject};

/// What opens tokens.
#[derive(Clone)]
struct Opening {
    barrier: Arc<Barrier>,
    mount: MountId,
    now: Timestamp,
    usage: Use,
}

/// What became of a token, its transformation by its position.
struct Revealed {
    answer: Result<Answered, Fault>,
    /// The number of its row, where it was opened.
    opened: Option<(usize, i64)>,
    /// Whom its row is about, where there is one.
    concerns: Option<(usize, Option<[u8; 32]>)>,
}

/// What became of some of the items of a request.
struct Part {
    /// The numbers of the rows that were looked for.
    ids: Vec<i64>,
    revealed: Result<Vec<Revealed>, Fault>,
}

impl Transform {
    pub(super) async fn reveal(&self, op: &ValuesOp, targets: &[Result<Ready, Fault>], work: &mut Work) -> Result<Results, Fault> {
        let opening = Opening { barrier: Arc::clone(&self.tools.barrier), mount: work.mount_id(), now: work.now(), usage: op.usage };
        let large = op.items.len() > work.store().tuning().lookup_part;
        let Part { ids, revealed } = match large.then(|| self.spread.turn()).flatten() {
            Some(_turn) => Box::pin(opening.in_parts(&op.items, targets, work.store())).await,
            None => self.in_one(&opening, &op.items, targets, work.store()).await,
        };
        note_ids(work, &ids);
        let revealed = revealed?;

        let ready = |target: usize| targets.get(target).and_then(|ready| ready.as_ref().ok());
        let concerned: Vec<_> = revealed
            .iter()
            .map(|one| {
                let (target, subject) = one.concerns?;
                Some(Concerned { subject, class: ready(target)?.config.class.as_deref() })
            })
            .collect();
        let mut per_value = PerValue::of(targets.iter().flatten());
        let mut results = Vec::with_capacity(revealed.len());
        for one in revealed {
            per_value.add(one.opened.and_then(|(target, id)| Some((ready(target)?, id))));
            results.push(one.answer);
        }
        note_subjects(&concerned, &results, work);
        per_value.note(work);
        if let ([Err(fault)], false) = (results.as_slice(), op.batch) {
            work.facts.reason = reason(fault);
        }
        Ok(results)
    }

    /// A single one shares its lookup with those of others.
    async fn in_one(&self, opening: &Opening, items: &[Item], targets: &[Result<Ready, Fault>], store: &Store) -> Part {
        let shown = show(items, targets);
        let ids = ids_of(&shown);
        let rows = match ids.as_slice() {
            [] => Ok(Vec::new()),
            [id] => self.lookup.find(store, *id).await.map(|row| row.into_iter().collect()),
            ids => token_rows::find(store, ids).await,
        };
        let revealed = match rows {
            Ok(rows) => Ok(opening.open(shown, rows).await),
            Err(error) => Err(error.into()),
        };
        Part { ids, revealed }
    }
}

impl Opening {
    async fn in_parts(&self, items: &Arc<Vec<Item>>, targets: &[Result<Ready, Fault>], store: &Store) -> Part {
        let targets: Arc<[Result<Ready, Fault>]> = targets.into();
        let length = items.len().div_ceil(items.len().div_ceil(store.tuning().lookup_part));
        let part = |start: usize| {
            let range = start..items.len().min(start + length);
            self.clone().part(Arc::clone(items), range, Arc::clone(&targets), store.clone())
        };
        let mut parts = Parts::new((0..items.len()).step_by(length).map(part));
        let (mut ids, mut revealed) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        while let Some(part) = parts.next().await {
            match part.and_then(|part| Ok((part.ids, part.revealed?))) {
                Ok((of_part, opened)) => {
                    ids.extend(of_part);
                    revealed.extend(opened);
                }
                // A digest over some of the numbers would be that of another request.
                Err(fault) => return Part { ids: Vec::new(), revealed: Err(fault) },
            }
        }
        Part { ids, revealed: Ok(revealed) }
    }

    async fn part(self, items: Arc<Vec<Item>>, range: Range<usize>, targets: Arc<[Result<Ready, Fault>]>, store: Store) -> Part {
        let shown = show(items.get(range).unwrap_or_default(), &targets);
        let ids = ids_of(&shown);
        let revealed = match token_rows::find(&store, &ids).await {
            Ok(rows) => Ok(self.open(shown, rows).await),
            Err(error) => Err(error.into()),
        };
        Part { ids, revealed }
    }

    async fn open(&self, shown: Vec<Result<Result<Shown<'_>, Fault>, Fault>>, mut rows: Vec<TokenRow>) -> Vec<Revealed> {
        rows.sort_unstable_by_key(|row| row.id);
        let mut subjects = HashMap::new();
        let mut all = Vec::with_capacity(shown.len());
        for (position, shown) in shown.into_iter().enumerate() {
            if position % STRETCH == STRETCH - 1 {
                tokio::task::yield_now().await;
            }
            let mut one = Revealed { answer: Ok(Answered::new()), opened: None, concerns: None };
            one.answer = shown.and_then(|token| {
                let answer = token.and_then(|token| {
                    let at = rows.binary_search_by_key(&token.id, |row| row.id).ok();
                    let row = at.and_then(|at| rows.get(at)).filter(|row| row.transformation == token.ready.config.number);
                    let row = row.ok_or_else(not_a_token)?;
                    one.concerns = Some((token.target, row.subject_hash.as_deref().and_then(|hash| hash.try_into().ok())));
                    let answer = self.open_one(&token, row, &mut subjects)?;
                    one.opened = Some((token.target, token.id));
                    Ok(answer)
                });
                if self.usage == Use::Validate { as_validity(answer) } else { answer }
            });
            all.push(one);
        }
        all
    }

    /// The keys of subjects are gone with the request.
    fn open_one(&self, shown: &Shown<'_>, row: &TokenRow, subjects: &mut HashMap<i64, DataKey>) -> Result<Answered, Fault> {
        let config = &shown.ready.config;
        let value = Ciphertext::from_stored(&row.value).map_err(fault)?;
        let key = match row.subject {
            Some(subject) => self.subject_key(subject, row, subjects)?,
            None => version_of(shown.ready, value.key_version())?,
        };
        if row.expires.is_some_and(|expires| expires <= self.now) {
            return Err(Fault::Gone("the token has expired".into()));
        }
        let mut opened = open_row(self.mount, &key.message_key(&shown.secret), row, &value, self.usage)?;
        if self.usage == Use::Metadata && config.per_value_audit {
            let digest = goldfin_crypto::digest::hex(&per_value::digest(shown.ready, shown.id));
            opened.push(("ledger_token".to_owned(), Node::text(digest)));
        }
        Ok(opened)
    }

    fn subject_key<'known>(
        &self,
        subject: i64,
        row: &TokenRow,
        subjects: &'known mut HashMap<i64, DataKey>,
    ) -> Result<&'known DataKey, Fault> {
        let (Some(wrapped), Some(hash)) = (&row.subject_key, &row.subject_hash) else {
            return Err(Fault::Gone("the subject of this token was erased".into()));
        };
        match subjects.entry(subject) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(free) => Ok(free.insert(unwrap_subject(&self.barrier, self.mount, subject, hash, wrapped, self.now)?)),
        }
    }
}

fn ids_of(shown: &[Result<Result<Shown<'_>, Fault>, Fault>]) -> Vec<i64> {
    shown.iter().flatten().flatten().map(|shown| shown.id).collect()
}
