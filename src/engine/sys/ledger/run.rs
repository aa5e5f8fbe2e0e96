//! Reading and verifying the ledger.

use goldfin_crypto::Plaintext;
use goldfin_ledger::note::Checkpoint;

use crate::audit::check::Keys;
use crate::audit::lines::{self, members};
use crate::audit::verify::verify;
use crate::engine::sys::System;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::StreamId;
use crate::model::reply::{Answer, Reply};
use crate::store::ledger::Reading;
use crate::store::ledger_search::{Search, search};
use crate::store::work::Work;

use super::{LedgerOp, asking, shown};

impl System {
    pub(in crate::engine::sys) async fn run_ledger(&self, op: &LedgerOp, work: &mut Work) -> Result<Reply, Fault> {
        match op {
            LedgerOp::Entries { search, ndjson } => page(search, *ndjson, work).await,
            LedgerOp::Search { search, subject, ndjson } => {
                let mut search = search.clone();
                if let Some((subject, mount)) = subject {
                    let snapshot = self.tools.directory.current();
                    let mount = snapshot.mount(mount).ok_or_else(|| Fault::not_found("nothing is mounted at `mount`"))?;
                    search.subject = Some(self.tools.barrier.subject_hash(mount.id, subject).to_vec());
                }
                page(&search, *ndjson, work).await
            }
            LedgerOp::Entry { stream, seq } => self.entry(stream, *seq, work).await,
            LedgerOp::Export(export) => export.run(work).await,
            LedgerOp::Summary(summary) => summary.run(work).await,
            LedgerOp::Tree(op) => self.run_tree(op, work).await,
            LedgerOp::Witness(op) => self.run_witness(op, work).await,
            LedgerOp::Verify { checkpoints } => {
                let mut reading = Reading::begin(work.store()).await?;
                let keys = Keys { log: self.log_key()?, mac: Some(self.tools.barrier.ledger()) };
                let kept = kept(&keys, checkpoints)?;
                let report = verify(&mut reading, &keys, &kept, false, &|_| {}).await?;
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
        Ok(Reply::data(Node::object([("entry", members(&found)), ("body", Node::text(found.body.as_str())), ("proof", proof)])))
    }
}

async fn page(wanted: &Search, ndjson: bool, work: &mut Work) -> Result<Reply, Fault> {
    let page = search(work.store(), wanted).await?;
    work.facts.count = u64::try_from(page.entries.len()).ok();
    let next = page.next.map(asking::cursor);
    if ndjson {
        return Ok(Reply::new(Answer::Lines { lines: Plaintext::new(lines::ndjson(&page.entries)), next }));
    }
    Ok(Reply::data(Node::object([
        ("entries", Node::List(page.entries.iter().map(members).collect())),
        ("next", Node::text_or_null(next)),
        ("previous", Node::text_or_null(page.previous.map(asking::cursor))),
    ])))
}

/// The checkpoints that a caller has kept: each must be one that this ledger signed, or nothing can be said.
fn kept(keys: &Keys, notes: &[String]) -> Result<Vec<Checkpoint>, Fault> {
    let opened = notes.iter().map(|note| Checkpoint::open(note.as_bytes(), &keys.log));
    opened.collect::<Result<_, _>>().map_err(|_| Fault::invalid("`checkpoints` holds one that this ledger has not signed"))
}
