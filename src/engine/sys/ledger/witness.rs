//! goldfin as a witness of other ledgers (C2SP tlog-witness): cosigns a checkpoint that continues what it has seen, and nothing else.
//!
//! Whoever asks is proven by the checkpoint's signature; which ledgers are known, the configuration says. What was seen is remembered in
//! the transaction that records the request, so no answer leaves before it.

use goldfin_crypto::Plaintext;
use goldfin_ledger::note::{Checkpoint, LogKey};
use goldfin_ledger::proof::is_beginning;
use goldfin_ledger::witness::{Submission, WitnessKey, origin_of};

use crate::engine::sys::System;
use crate::engine::sys::parse::{only, unknown_path};
use crate::model::action::Action;
use crate::model::call::{Call, Verb};
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::reply::{Answer, Reply};
use crate::seal::barrier::fault;
use crate::store::witness::{self, Witnessed};
use crate::store::work::Work;

const TEXT: &str = "text/plain; charset=utf-8";
const SIZE: &str = "text/x.tlog.size";

#[derive(Debug, PartialEq, Eq)]
pub enum WitnessOp {
    Key,
    Submit(Submission),
}

impl WitnessOp {
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Key => Action::VerifyLedger,
            Self::Submit(_) => Action::WitnessCheckpoint,
        }
    }

    pub(super) fn parse(call: &Call, rest: &str) -> Result<Self, Fault> {
        match rest {
            "" => only(call, Verb::Read).map(|()| Self::Key),
            "add-checkpoint" => {
                only(call, Verb::Write)?;
                let submission = call.body.as_word().and_then(Submission::parse);
                submission.map(Self::Submit).ok_or_else(|| Fault::invalid("the body must be `old SIZE`, a proof, and a checkpoint"))
            }
            _ => Err(unknown_path()),
        }
    }
}

/// What a submission comes to before anything is remembered.
enum Ruling {
    Continues,
    /// The witness has seen another size, or another tree of this one.
    Conflict(u64),
    NotProven,
}

impl System {
    pub(super) async fn run_witness(&self, op: &WitnessOp, work: &mut Work) -> Result<Reply, Fault> {
        let key = self.tools.barrier.witness()?;
        let own = WitnessKey::of_goldfin(key.verifying_key());
        let WitnessOp::Submit(submission) = op else {
            let known = self.witness_of.iter().map(LogKey::to_line);
            return Ok(Reply::data(Node::object([("key", Node::text(own.to_line())), ("logs", Node::texts(known))])));
        };
        let origin = origin_of(&submission.note).unwrap_or_default();
        let log = self.witness_of.iter().find(|log| log.stream_of(origin).is_some());
        let log = log.ok_or_else(|| Fault::not_found("this witness knows no such ledger"))?;
        let checkpoint = Checkpoint::open(submission.note.as_bytes(), log).map_err(|_| Fault::Denied)?;
        work.facts.version = i64::try_from(checkpoint.size).ok();
        work.facts.digest = Some(checkpoint.root);
        if submission.old > checkpoint.size {
            return Err(Fault::invalid("the old size must not be larger than that of the checkpoint"));
        }
        let before = witness::seen(work, origin).await?;
        let known = before.as_ref().map(|before| opened(before, log, &own)).transpose()?;
        match rule(submission, &checkpoint, known.as_ref()) {
            Ruling::Conflict(size) => {
                work.facts.reason = Some("witness_conflict");
                return Ok(told(409, SIZE, format!("{size}\n")));
            }
            Ruling::NotProven => {
                work.facts.reason = Some("witness_not_proven");
                tracing::error!(alarm = "witness", %origin, size = checkpoint.size, "another ledger does not continue what was seen of it");
                return Ok(told(422, TEXT, "the proof does not lead from what was seen to the checkpoint\n".to_owned()));
            }
            Ruling::Continues => {}
        }
        let seconds = u64::try_from(self.clock.now().unix_seconds()).unwrap_or_default();
        let line = own.cosign(&submission.note, &key, seconds).map_err(fault)?;
        let signed = checkpoint_lines(&submission.note, origin);
        let size = i64::try_from(checkpoint.size).map_err(|_| Fault::Internal("witnessed size"))?;
        witness::remember(work, origin, before.as_ref(), &Witnessed { size, note: format!("{signed}{line}") }).await?;
        Ok(told(200, TEXT, line))
    }
}

fn rule(submission: &Submission, checkpoint: &Checkpoint, known: Option<&Checkpoint>) -> Ruling {
    let size = known.map_or(0, |known| known.size);
    if submission.old != size {
        return Ruling::Conflict(size);
    }
    let proven = match known {
        None => submission.proof.is_empty(),
        Some(known) if known.size == checkpoint.size => {
            if known.root != checkpoint.root {
                return Ruling::Conflict(size);
            }
            submission.proof.is_empty()
        }
        Some(known) => is_beginning(known.size, &known.root, checkpoint.size, &checkpoint.root, &submission.proof),
    };
    if proven { Ruling::Continues } else { Ruling::NotProven }
}

/// What was seen, if we have said so: a row that somebody else wrote is nothing to go by.
fn opened(before: &Witnessed, log: &LogKey, own: &WitnessKey) -> Result<Checkpoint, Fault> {
    let forged = Fault::Integrity("what was witnessed of another ledger is not what this witness has signed");
    let checkpoint = Checkpoint::open(before.note.as_bytes(), log).map_err(|_| forged.clone())?;
    let signatures = before.note.split_once("\n\n").map_or("", |(_, signatures)| signatures);
    let cosigned = own.cosigned(&before.note, signatures).is_ok();
    if cosigned && i64::try_from(checkpoint.size) == Ok(before.size) { Ok(checkpoint) } else { Err(forged) }
}

/// The note with the signatures of its log alone: what others have put behind them is theirs.
fn checkpoint_lines(note: &str, origin: &str) -> String {
    let own = format!("\u{2014} {origin} ");
    let Some((text, signatures)) = note.split_once("\n\n") else { return String::new() };
    let lines: String = signatures.split_inclusive('\n').filter(|line| line.starts_with(&own)).collect();
    format!("{text}\n\n{lines}")
}

fn told(status: u16, kind: &'static str, text: String) -> Reply {
    Reply::new(Answer::Told(status, kind, Plaintext::from_text(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldfin_ledger::tree::root_of;

    fn leaves(count: u8) -> Vec<[u8; 32]> {
        (0..count).map(|leaf| [leaf; 32]).collect()
    }

    fn checkpoint(count: u8) -> Checkpoint {
        Checkpoint { stream: 1, size: count.into(), root: root_of(&leaves(count)) }
    }

    fn ruled(old: u64, proof: Vec<[u8; 32]>, checkpoint: &Checkpoint, known: Option<&Checkpoint>) -> u16 {
        match rule(&Submission { old, proof, note: String::new() }, checkpoint, known) {
            Ruling::Continues => 200,
            Ruling::Conflict(_) => 409,
            Ruling::NotProven => 422,
        }
    }

    #[test]
    fn only_what_continues_is_cosigned() {
        let four = checkpoint(4);
        let proof = vec![root_of(&leaves(8)[4..])];
        assert_eq!(ruled(0, Vec::new(), &four, None), 200);
        assert_eq!(ruled(0, vec![[0; 32]], &four, None), 422);
        assert_eq!(ruled(3, Vec::new(), &four, None), 409);
        assert_eq!(ruled(4, proof.clone(), &checkpoint(8), Some(&four)), 200);
        assert_eq!(ruled(0, proof.clone(), &checkpoint(8), Some(&four)), 409);
        assert_eq!(ruled(4, Vec::new(), &checkpoint(8), Some(&four)), 422);
        let forked = Checkpoint { root: [7; 32], ..checkpoint(8) };
        assert_eq!(ruled(4, proof, &forked, Some(&four)), 422);
        assert_eq!(ruled(4, Vec::new(), &four, Some(&four)), 200, "the same again, at another time");
        assert_eq!(ruled(4, Vec::new(), &Checkpoint { root: [7; 32], ..four }, Some(&four)), 409);
        assert_eq!(ruled(3, Vec::new(), &checkpoint(3), Some(&four)), 409, "never back");
    }
}
