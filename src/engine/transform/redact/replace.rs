//! Redaction: each value that was found becomes a token, the same one wherever it stands in its text.
//!
//! A text is replaced as a whole or not at all: a value whose transformation is refused fails its text.

use std::collections::HashMap;
use std::sync::Arc;

use goldfin_crypto::Plaintext;

use super::text::{Composer, Letters, read, value_of};
use super::{Fate, Piece, TextOp};
use crate::engine::transform::Transform;
use crate::engine::transform::batch::{self, Answered};
use crate::engine::transform::op::{Input, Item, Target, TransformOp, ValuesOp, classes};
use crate::engine::transform::run::{Ready, Results};
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::reply::Reply;
use crate::policy::authorized::Authorized;
use crate::store::work::Work;

/// Which value each piece of a text is, by its position among all values; none for one that is not encoded.
type Values = Vec<Option<usize>>;

impl Transform {
    pub(super) async fn redact(
        &self,
        permit: &Authorized<TransformOp>,
        op: &TextOp,
        plans: &[Vec<Piece>],
        targets: &[Result<Ready, Fault>],
        work: &mut Work,
    ) -> Result<Reply, Fault> {
        let mut values = Vec::with_capacity(op.count);
        let mut texts: Vec<Result<Values, Fault>> = Vec::with_capacity(plans.len());
        for (item, pieces) in op.values.items.iter().zip(plans) {
            texts.push(match &item.input {
                Ok(input) => match refusal(input, pieces, targets, work) {
                    None => Ok(gather(input, pieces, &mut values)?),
                    Some(fault) => Err(fault),
                },
                Err(fault) => Err(fault.clone()),
            });
            tokio::task::yield_now().await;
        }
        let results = self.use_values(permit, &within(op, values), targets, work).await?;
        note(op, &results, targets, work);

        let mut answers = Vec::with_capacity(texts.len());
        for ((item, pieces), text) in op.values.items.iter().zip(plans).zip(texts) {
            answers.push(match (&item.input, &text) {
                (Ok(input), Ok(values)) => put_together(&input.value, pieces, values, &results, &op.values.targets),
                (Err(fault), _) | (_, Err(fault)) => Err(fault.clone()),
            });
        }
        batch::answer(&op.values, answers)
    }
}

/// The values of texts as an encode takes them.
pub(super) fn within(op: &TextOp, items: Vec<Item>) -> ValuesOp {
    ValuesOp {
        usage: op.values.usage,
        role: op.values.role.clone(),
        format: None,
        targets: op.values.targets.clone(),
        items: Arc::new(items),
        batch: true,
        purpose: op.values.purpose.clone(),
        partial_failure: None,
    }
}

/// Why a text cannot be redacted: a transformation that it needs is refused, or ends its tokens sooner than was asked for.
fn refusal(input: &Input, pieces: &[Piece], targets: &[Result<Ready, Fault>], work: &Work) -> Option<Fault> {
    let mut needed: Vec<usize> = pieces.iter().filter_map(Piece::target).collect();
    needed.sort_unstable();
    needed.dedup();
    needed.into_iter().find_map(|target| match targets.get(target) {
        Some(Ok(ready)) => ready.config.expiry(work.now(), input.options.ttl, input.options.expiration).err(),
        Some(Err(fault)) => Some(fault.clone()),
        None => Some(Fault::Internal("target")),
    })
}

/// Puts the values of one text behind those that are there; a value that stands in it twice is one.
fn gather(input: &Input, pieces: &[Piece], values: &mut Vec<Item>) -> Result<Values, Fault> {
    let letters = Letters::of(&input.value)?;
    let mut known: HashMap<(usize, &[char]), usize> = HashMap::new();
    let mut of_pieces = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let Some(target) = piece.target() else {
            of_pieces.push(None);
            continue;
        };
        let stretch = letters.between(piece.start, piece.end);
        let at = *known.entry((target, stretch)).or_insert_with(|| {
            let input = Input { target, value: value_of(stretch), options: input.options.clone() };
            values.push(Item { input: Ok(input), reference: None });
            values.len() - 1
        });
        of_pieces.push(Some(at));
    }
    Ok(of_pieces)
}

/// Writes a text with tokens and masks in place of what was found.
fn put_together(
    text: &Plaintext,
    pieces: &[Piece],
    values: &[Option<usize>],
    results: &Results,
    targets: &[Target],
) -> Result<Answered, Fault> {
    let letters = Letters::of(text)?;
    let mut written = Vec::with_capacity(pieces.len());
    for (piece, value) in pieces.iter().zip(values) {
        written.push(match (piece.fate, value.and_then(|at| results.get(at))) {
            (Fate::Encode(_), Some(Ok(answered))) => Some(read(token_of(answered)?)?.to_owned()),
            (Fate::Encode(_), Some(Err(fault))) => return Err(fault.clone()),
            (Fate::Encode(_), None) => return Err(Fault::Internal("value")),
            (Fate::Mask, _) => Some(format!("[{}]", piece.class)),
            (Fate::Leave, _) => None,
        });
    }
    let most = text.len() + written.iter().flatten().map(String::len).sum::<usize>();
    let (mut composer, mut at, mut replaced, mut unserved) = (Composer::new(most), 0, Vec::new(), Vec::<(&str, i64)>::new());
    for (piece, written) in pieces.iter().zip(&written) {
        if piece.target().is_none() {
            match unserved.iter_mut().find(|(class, _)| *class == piece.class) {
                Some((_, count)) => *count += 1,
                None => unserved.push((&piece.class, 1)),
            }
        }
        let Some(written) = written else { continue };
        composer.letters(letters.between(at, piece.start));
        let start = composer.position();
        composer.text(written);
        at = piece.end;
        let name = piece.target().and_then(|target| targets.get(target)).and_then(|target| target.name.as_deref());
        replaced.push(Node::object([
            ("class", Node::text(piece.class.as_str())),
            ("end", position(composer.position())),
            ("start", position(start)),
            ("transformation", Node::text_or_null(name)),
        ]));
    }
    composer.letters(letters.between(at, letters.all().len()));
    let count = position(replaced.len());
    let unserved = unserved.into_iter().map(|(class, count)| Node::object([("class", Node::text(class)), ("count", Node::whole(count))]));
    Ok(vec![
        ("count".to_owned(), count),
        ("replaced".to_owned(), Node::List(replaced)),
        ("text".to_owned(), Node::Text(composer.finish())),
        ("unserved".to_owned(), Node::List(unserved.collect())),
    ])
}

impl Piece {
    fn target(&self) -> Option<usize> {
        match self.fate {
            Fate::Encode(target) => Some(target),
            Fate::Mask | Fate::Leave => None,
        }
    }
}

fn token_of(answered: &Answered) -> Result<&Plaintext, Fault> {
    let token = answered.iter().find_map(|(name, node)| match node {
        Node::Text(token) if name == "encoded_value" => Some(token),
        _ => None,
    });
    token.ok_or(Fault::Internal("token"))
}

pub(super) fn position(at: usize) -> Node {
    Node::whole(i64::try_from(at).unwrap_or(i64::MAX))
}

/// The values that became tokens, and their classes.
fn note(op: &TextOp, results: &Results, targets: &[Result<Ready, Fault>], work: &mut Work) {
    let made = results.iter().filter(|result| result.is_ok()).count();
    work.facts.count = u64::try_from(op.count).ok();
    if made != op.count {
        work.facts.succeeded = u64::try_from(made).ok();
    }
    if targets.iter().any(|target| matches!(target, Err(Fault::Denied))) {
        work.facts.reason = Some("partly_denied");
    }
    if made > 0 {
        let permitted = op.values.targets.iter().zip(targets).filter(|(_, ready)| ready.is_ok());
        work.facts.class = classes(permitted.map(|(target, _)| target));
    }
}
