//! Reading and verifying the ledger.

use goldfin_ledger::note::Checkpoint;

use crate::audit::check::Keys;
use crate::audit::verify::verify;
use crate::engine::sys::System;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::StreamId;
use crate::model::reply::{Answer, Reply};
use crate::store::ledger::{self, Filter, Reading};
use crate::store::work::Work;

use super::{LedgerOp, shown};

impl System {
    pub(in crate::engine::sys) async fn run_ledger(&self, op: &LedgerOp, work: &mut Work) -> Result<Reply, Fault> {
        match op {
            LedgerOp::Entries { filter, ndjson } => page(filter, *ndjson, work).await,
            LedgerOp::Search { filter, subject, ndjson } => {
                let mut filter = filter.clone();
                if let Some((subject, mount)) = subject {
                    let snapshot = self.tools.directory.current();
                    let mount = snapshot.mount(mount).ok_or_else(|| Fault::not_found("nothing is mounted at `mount`"))?;
                    filter.subject = Some(self.tools.barrier.subject_hash(mount.id, subject).to_vec());
                }
                page(&filter, *ndjson, work).await
            }
            LedgerOp::Entry { stream, seq } => self.entry(stream, *seq, work).await,
            LedgerOp::Tree(op) => self.run_tree(op, work).await,
            LedgerOp::Verify { checkpoints } => {
                let mut reading = Reading::begin(work.store()).await?;
                let keys = Keys { log: self.log_key()?, mac: Some(self.tools.barrier.ledger()) };
                let kept = kept(&keys, checkpoints)?;
                let report = verify(&mut reading, &keys, &kept, false, &|| {}).await?;
                if report.exit_code() != 0 {
                    tracing::error!(alarm = "ledger", "the ledger does not verify");
                }
                Ok(Reply::data(shown::report(&report)))
            }
        }
    }

    async fn entry(&self, stream: &str, seq: i64, work: &Work) -> Result<Reply, Fault> {
        let mut reading = Reading::begin(work.store()).await?;
        let stream = match stream.parse() {
            Ok(number) => Some(StreamId(number)),
            Err(_) => reading.heads().await?.into_iter().find(|(node, _)| node == stream).map(|(_, head)| head.stream),
        };
        let missing = || Fault::not_found("there is no such entry");
        let entries = reading.stretch(stream.ok_or_else(missing)?, seq, 1).await?;
        let found = entries.into_iter().find(|entry| entry.seq == seq).ok_or_else(missing)?;
        let proof = self.proof(&mut reading, &found).await?;
        Ok(Reply::data(Node::object([("entry", shown::entry(&found)), ("body", Node::text(found.body.as_str())), ("proof", proof)])))
    }
}

async fn page(filter: &Filter, ndjson: bool, work: &mut Work) -> Result<Reply, Fault> {
    let entries = ledger::list(work.store(), filter).await?;
    work.facts.count = u64::try_from(entries.len()).ok();
    if ndjson {
        return Ok(Reply::new(Answer::Stream("application/x-ndjson", shown::ndjson(&entries))));
    }
    let full = i64::try_from(entries.len()).is_ok_and(|count| count == filter.limit);
    let next = entries.last().filter(|_| full).map(shown::cursor);
    let entries = entries.iter().map(shown::entry).collect();
    Ok(Reply::data(Node::object([("entries", Node::List(entries)), ("next", Node::text_or_null(next))])))
}

/// The checkpoints that a caller has kept: each must be one that this ledger signed, or nothing can be said.
fn kept(keys: &Keys, notes: &[String]) -> Result<Vec<Checkpoint>, Fault> {
    let opened = notes.iter().map(|note| Checkpoint::open(note.as_bytes(), &keys.log));
    opened.collect::<Result<_, _>>().map_err(|_| Fault::invalid("`checkpoints` holds one that this ledger has not signed"))
}
