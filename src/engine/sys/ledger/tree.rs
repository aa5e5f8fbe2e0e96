//! `sys/ledger`: checkpoints, tiles and proofs. Only hashes and signatures leave here, and entries in bundles of 256.

use goldfin_crypto::Plaintext;
use goldfin_crypto::digest::hex;
use goldfin_ledger::note::{Checkpoint, LogKey};
use goldfin_ledger::tile::{self, HEIGHT, Name, Piece};

use crate::audit::{chain, prove};
use crate::engine::sys::System;
use crate::engine::sys::parse::{only, unknown_path};
use crate::model::action::Action;
use crate::model::call::{Call, Verb};
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::StreamId;
use crate::model::reply::{Answer, Reply};
use crate::store::ledger::{Reading, StoredEntry};
use crate::store::ledger_tree::{self, StoredCheckpoint};
use crate::store::work::Work;

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// A stream is named by its number or its node.
#[derive(Debug, PartialEq, Eq)]
pub enum TreeOp {
    Key,
    Checkpoints,
    Checkpoint { stream: String },
    Note { stream: String, size: Option<i64> },
    Piece { stream: String, name: Name },
    Consistency { stream: String, from: u64, to: u64 },
}

impl TreeOp {
    /// Hashes are for whoever verifies; entries for whoever reads.
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Piece { name: Name { piece: Piece::Entries | Piece::Lines, .. }, .. } => Action::ReadLedger,
            _ => Action::VerifyLedger,
        }
    }

    /// None where the path is of something else.
    pub(super) fn parse(call: &Call, rest: &str) -> Option<Result<Self, Fault>> {
        let (head, tail) = rest.split_once('/').unwrap_or((rest, ""));
        let read = |op: Result<Self, Fault>| only(call, Verb::Read).and(op);
        match (head, tail) {
            ("key", "") => Some(read(Ok(Self::Key))),
            ("checkpoint", "") => Some(read(Ok(Self::Checkpoints))),
            ("checkpoint", stream) if !stream.contains('/') => Some(read(Ok(Self::Checkpoint { stream: stream.to_owned() }))),
            ("entries" | "checkpoint", _) => None,
            _ => Self::of_stream(call, head, tail).map(read),
        }
    }

    fn of_stream(call: &Call, stream: &str, tail: &str) -> Option<Result<Self, Fault>> {
        let stream = stream.to_owned();
        let (what, rest) = tail.split_once('/').unwrap_or((tail, ""));
        match (what, rest) {
            ("checkpoint", "") => Some(Ok(Self::Note { stream, size: None })),
            ("checkpoint", size) => Some(size.parse().map(|size| Self::Note { stream, size: Some(size) }).map_err(|_| unknown_path())),
            ("tile", name) => Some(Name::parse(name).map(|name| Self::Piece { stream, name }).ok_or_else(unknown_path)),
            ("consistency", "") => {
                let number = |name| call.query.value(name).and_then(|text| text.parse().ok());
                Some(match (number("from"), number("to")) {
                    (Some(from), Some(to)) if 0 < from && from <= to => Ok(Self::Consistency { stream, from, to }),
                    _ => Err(Fault::invalid("`from` and `to` must be sizes of the tree, the smaller first")),
                })
            }
            _ => None,
        }
    }
}

impl System {
    pub(super) async fn run_tree(&self, op: &TreeOp, work: &Work) -> Result<Reply, Fault> {
        let log = self.log_key()?;
        let mut reading = Reading::begin(work.store()).await?;
        match op {
            TreeOp::Key => Ok(Reply::data(Node::object([("key", Node::text(log.to_line())), ("log_id", Node::text(log.log_id()))]))),
            TreeOp::Checkpoints => {
                drop(reading);
                let newest = ledger_tree::newest_checkpoints(work.store()).await?;
                let shown = newest.iter().filter_map(|of| Some(shown(&log, of.stream, &of.node, of.checkpoint.as_ref()?)));
                Ok(Reply::data(Node::object([("checkpoints", Node::List(shown.collect()))])))
            }
            TreeOp::Checkpoint { stream } => {
                let (stream, node) = find(&mut reading, stream).await?;
                let newest = reading.newest_checkpoint(stream).await?.ok_or_else(missing)?;
                Ok(Reply::data(shown(&log, stream, &node, &newest)))
            }
            TreeOp::Note { stream, size } => {
                let (stream, _) = find(&mut reading, stream).await?;
                let found = match size {
                    Some(size) => reading.checkpoint(stream, *size).await?,
                    None => reading.newest_checkpoint(stream).await?,
                };
                let StoredCheckpoint { size, mut note, .. } = found.ok_or_else(missing)?;
                for line in reading.cosignatures(stream, size).await? {
                    note.push_str(&line);
                }
                Ok(Reply::new(Answer::Stream(TEXT, Plaintext::from_text(note))))
            }
            TreeOp::Piece { stream, name } => {
                let (stream, _) = find(&mut reading, stream).await?;
                piece(&mut reading, stream, name).await
            }
            TreeOp::Consistency { stream, from, to } => {
                let (stream, _) = find(&mut reading, stream).await?;
                if size_of(&mut reading, stream).await? < *to {
                    return Err(missing());
                }
                let hashes = prove::consistency(&mut reading, stream, *from, *to).await?.ok_or_else(missing)?;
                Ok(Reply::data(Node::object([("hashes", Node::texts(hashes.iter().map(|hash| hex(hash))))])))
            }
        }
    }

    pub(super) fn log_key(&self) -> Result<LogKey, Fault> {
        Ok(LogKey::new(self.tools.barrier.checkpoint()?.verifying_key()))
    }

    /// The proof that an entry is in the tree of the newest checkpoint. Null while there is none that covers it.
    pub(super) async fn proof(&self, reading: &mut Reading, entry: &StoredEntry) -> Result<Node, Fault> {
        let stream = StreamId(entry.stream);
        let Some(newest) = reading.newest_checkpoint(stream).await? else { return Ok(Node::Null) };
        // A checkpoint that goldfin did not sign proves nothing, and must not seem to.
        let Ok(Checkpoint { size, .. }) = Checkpoint::open(newest.note.as_bytes(), &self.log_key()?) else {
            tracing::error!(alarm = "ledger", stream = stream.0, size = newest.size, "a stored checkpoint does not verify");
            return Err(Fault::Integrity("the newest checkpoint is not one that this ledger signed"));
        };
        let Some(index) = u64::try_from(entry.seq).ok().and_then(|seq| seq.checked_sub(1)) else { return Ok(Node::Null) };
        let Some(hashes) = prove::inclusion(reading, stream, index, size).await? else { return Ok(Node::Null) };
        Ok(Node::object([
            ("size", Node::whole(newest.size)),
            ("index", Node::whole(entry.seq - 1)),
            ("leaf", Node::text(hex(&chain::leaf(&entry.body)))),
            ("hashes", Node::texts(hashes.iter().map(|hash| hex(hash)))),
            ("note", Node::text(newest.note)),
        ]))
    }
}

/// A tile, or entries, up to the newest checkpoint.
async fn piece(reading: &mut Reading, stream: StreamId, name: &Name) -> Result<Reply, Fault> {
    let stretch = name.stretch().ok_or_else(unknown_path)?;
    let level = if let Piece::Hashes(level) = name.piece { level } else { 0 };
    let leaves = 1_u64.checked_shl(HEIGHT * level).and_then(|leaves| stretch.end.checked_mul(leaves));
    if leaves.is_none_or(|leaves| leaves == 0) || leaves > Some(size_of(reading, stream).await?) {
        return Err(missing());
    }
    let (start, count) = (stretch.start, name.width);
    if let Piece::Hashes(level) = name.piece {
        let hashes = prove::hashes_at(reading, stream, level, start, count).await?;
        return Ok(Reply::new(Answer::Stream(BYTES, Plaintext::new(hashes.concat()))));
    }
    let entries = prove::entries_at(reading, stream, start, count).await?;
    let bodies = entries.iter().map(|entry| entry.body.as_bytes());
    let (kind, bytes) = match name.piece {
        Piece::Entries => {
            let too_long = || Fault::not_found("an entry is longer than 65,535 bytes, which no bundle can hold; read `tile/lines`");
            (BYTES, tile::bundle(bodies).ok_or_else(too_long)?)
        }
        _ => ("application/x-ndjson", bodies.flat_map(|body| [body, b"\n"]).collect::<Vec<_>>().concat()),
    };
    Ok(Reply::new(Answer::Stream(kind, Plaintext::new(bytes))))
}

async fn size_of(reading: &mut Reading, stream: StreamId) -> Result<u64, Fault> {
    Ok(reading.newest_checkpoint(stream).await?.and_then(|newest| u64::try_from(newest.size).ok()).unwrap_or(0))
}

fn missing() -> Fault {
    Fault::not_found("there is no such checkpoint, tile or stream, or not yet")
}

async fn find(reading: &mut Reading, stream: &str) -> Result<(StreamId, String), Fault> {
    let number = stream.parse().ok().map(StreamId);
    let heads = reading.heads().await?;
    let found = heads.into_iter().find(|(node, head)| number.map_or(node == stream, |number| head.stream == number));
    found.map(|(node, head)| (head.stream, node)).ok_or_else(missing)
}

fn shown(log: &LogKey, stream: StreamId, node: &str, checkpoint: &StoredCheckpoint) -> Node {
    Node::object([
        ("stream", Node::whole(stream.0.into())),
        ("node", Node::text(node)),
        ("origin", Node::text(log.origin(stream.0))),
        ("size", Node::whole(checkpoint.size)),
        ("root", Node::text(hex(&checkpoint.root))),
        ("note", Node::text(checkpoint.note.as_str())),
        ("key", Node::text(log.to_line())),
    ])
}
