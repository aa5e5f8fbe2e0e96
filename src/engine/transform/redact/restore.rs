//! Restoring: the tokens in a text become their values again, for whoever may decode them. What is no token of the role's
//! transformations stays as it is.

use std::collections::{BTreeSet, HashMap};

use goldfin_crypto::Plaintext;

use super::replace::{position, within};
use super::text::{Composer, read};
use super::tokens::Candidate;
use super::{Plan, Shown, TextOp};
use crate::engine::transform::Transform;
use crate::engine::transform::batch::{self, Answered};
use crate::engine::transform::encode::STRETCH;
use crate::engine::transform::op::{Input, Item, Options, TransformOp, ValuesOp, classes};
use crate::engine::transform::run::{Ready, Results, not_a_token};
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::reply::Reply;
use crate::policy::authorized::Authorized;
use crate::store::work::Work;

/// What all restored texts of one request may come to, in bytes.
const LARGEST: usize = 32 << 20;

/// What a token in a text is.
enum Meaning<'a> {
    Value(&'a Plaintext),
    /// Of no transformation that may be used here: it stays.
    Unknown,
    /// Expired, erased, or its key is destroyed or retired: it stays.
    Gone,
    /// Something is wrong with what is stored.
    Broken(Fault),
}

impl Transform {
    pub(in crate::engine::transform) async fn carry_out_texts(
        &self,
        permit: &Authorized<TransformOp>,
        op: &TextOp,
        work: &mut Work,
    ) -> Result<Reply, Fault> {
        let targets = self.ready_opaque(permit, &op.values, work).await?;
        match &op.plan {
            Plan::Redact(plans) => self.redact(permit, op, plans, &targets, work).await,
            Plan::Restore(shown) => self.restore(permit, op, shown, &targets, work).await,
        }
    }

    /// What encodes and decodes values does it here too: every value of a text counts like one of a batch.
    pub(super) async fn use_values(
        &self,
        permit: &Authorized<TransformOp>,
        values: &ValuesOp,
        targets: &[Result<Ready, Fault>],
        work: &mut Work,
    ) -> Result<Results, Fault> {
        if values.items.is_empty() {
            return Ok(Results::new());
        }
        self.within_limits(permit, values, targets, &[], work).await?;
        self.results_of_tokens(values, targets, work).await
    }

    async fn restore(
        &self,
        permit: &Authorized<TransformOp>,
        op: &TextOp,
        shown: &[Shown],
        targets: &[Result<Ready, Fault>],
        work: &mut Work,
    ) -> Result<Reply, Fault> {
        let refused = targets.iter().find_map(|target| target.as_ref().err());
        if let Some(fault) = refused
            && !targets.iter().any(Result::is_ok)
        {
            work.facts.count = u64::try_from(op.count).ok();
            work.facts.succeeded = Some(0);
            return batch::answer(&op.values, op.values.items.iter().map(|_| Err(fault.clone())).collect());
        }
        // By their text: each token is shown once, however often it stands in the texts.
        let mut items = Vec::with_capacity(op.count);
        let mut known: HashMap<&str, Option<usize>> = HashMap::with_capacity(op.count);
        for shown in shown {
            for (position, candidate) in shown.candidates.found.iter().enumerate() {
                if position % STRETCH == STRETCH - 1 {
                    tokio::task::yield_now().await;
                }
                if known.get(candidate.token.as_str()).is_some_and(Option::is_some) {
                    continue;
                }
                let target = target_of(shown, candidate, targets);
                known.insert(&candidate.token, target.map(|_| items.len()));
                items.extend(target.map(|target| {
                    let value = Plaintext::from_text(candidate.token.clone());
                    Item { input: Ok(Input { target, value, options: Options::default() }), reference: None }
                }));
            }
        }
        let values = within(op, items);
        let results = self.use_values(permit, &values, targets, work).await?;
        if let Some(fault) = results.iter().find_map(|result| result.as_ref().err()).filter(|fault| batch::concerns_all(fault)) {
            return Err(fault.clone());
        }

        let (mut answers, mut revealed, mut size, mut left) = (Vec::with_capacity(shown.len()), BTreeSet::new(), 0, 0);
        for (item, shown) in op.values.items.iter().zip(shown) {
            answers.push(match &item.input {
                Ok(input) => {
                    let mut restored = Restored { known: &known, results: &results, revealed: BTreeSet::new(), unknown: 0 };
                    let answer = restored.text(&input.value, shown, &mut size);
                    if answer.is_ok() {
                        revealed.append(&mut restored.revealed);
                        left += restored.unknown;
                    }
                    answer
                }
                Err(fault) => Err(fault.clone()),
            });
        }
        work.facts.count = u64::try_from(known.len()).ok();
        if revealed.len() != known.len() {
            work.facts.succeeded = u64::try_from(revealed.len()).ok();
        }
        if targets.iter().any(|target| matches!(target, Err(Fault::Denied))) {
            work.facts.reason = Some("partly_denied");
        }
        let used: BTreeSet<usize> =
            revealed.iter().filter_map(|at| values.items.get(*at)?.input.as_ref().ok()).map(|input| input.target).collect();
        work.facts.class = classes(used.into_iter().filter_map(|target| op.values.targets.get(target)));
        let mut reply = batch::answer(&op.values, answers)?;
        if let (Some(fault), true) = (refused, left > 0) {
            reply.warnings.push(format!("tokens of transformations that were refused stay as they are: {fault}"));
        }
        Ok(reply)
    }
}

/// The transformation whose keyed checksum a candidate bears.
fn target_of(shown: &Shown, candidate: &Candidate, targets: &[Result<Ready, Fault>]) -> Option<usize> {
    let possible = shown.targets.get(candidate.prefix)?;
    possible
        .iter()
        .copied()
        .find(|target| matches!(targets.get(*target), Some(Ok(ready)) if ready.keys.format.parse(&candidate.token).is_ok()))
}

struct Restored<'a> {
    known: &'a HashMap<&'a str, Option<usize>>,
    results: &'a Results,
    /// Which values stand in the text now.
    revealed: BTreeSet<usize>,
    unknown: usize,
}

impl<'a> Restored<'a> {
    fn text(&mut self, text: &Plaintext, shown: &Shown, size: &mut usize) -> Result<Answered, Fault> {
        let text = read(text)?;
        let (mut pieces, mut at, mut gone) = (Vec::new(), 0, 0);
        self.unknown = shown.candidates.damaged;
        // Those of several prefixes end together: the text between two of them is one token at most.
        let mut unknown_end = 0;
        for candidate in &shown.candidates.found {
            if candidate.start < at {
                continue;
            }
            match self.meaning(candidate) {
                Meaning::Value(value) => {
                    if unknown_end == candidate.end {
                        self.unknown -= 1;
                    }
                    pieces.push((candidate.start, candidate.end, value));
                    at = candidate.end;
                }
                Meaning::Unknown if unknown_end == candidate.end => {}
                Meaning::Unknown => {
                    self.unknown += 1;
                    unknown_end = candidate.end;
                }
                Meaning::Gone => gone += 1,
                Meaning::Broken(fault) => return Err(fault),
            }
        }
        let (tokens, values) =
            pieces.iter().fold((0, 0), |(tokens, values), (start, end, value)| (tokens + end - start, values + value.len()));
        let most = text.len() - tokens + values;
        *size += most;
        if *size > LARGEST {
            return Err(Fault::invalid("the restored text would be larger than 32 MiB, send it in parts"));
        }
        let mut composer = Composer::new(most);
        let mut at = 0;
        let restored = pieces.len();
        for (start, end, value) in pieces {
            composer.text(text.get(at..start).ok_or(Fault::Internal("text"))?);
            composer.value(value)?;
            at = end;
        }
        composer.text(text.get(at..).ok_or(Fault::Internal("text"))?);
        Ok(vec![
            ("gone".to_owned(), position(gone)),
            ("restored".to_owned(), position(restored)),
            ("text".to_owned(), Node::Text(composer.finish())),
            ("unknown".to_owned(), position(self.unknown)),
        ])
    }

    fn meaning(&mut self, candidate: &Candidate) -> Meaning<'a> {
        let Some(at) = self.known.get(candidate.token.as_str()).copied().flatten() else { return Meaning::Unknown };
        match self.results.get(at) {
            Some(Ok(answered)) => match answered.iter().find(|(name, _)| name == "decoded_value") {
                Some((_, Node::Text(value))) => {
                    self.revealed.insert(at);
                    Meaning::Value(value)
                }
                _ => Meaning::Broken(Fault::Internal("value")),
            },
            Some(Err(fault)) if *fault == not_a_token() => Meaning::Unknown,
            Some(Err(Fault::Gone(_) | Fault::Invalid(_))) => Meaning::Gone,
            Some(Err(fault)) => Meaning::Broken(fault.clone()),
            None => Meaning::Broken(Fault::Internal("value")),
        }
    }
}
