//! Verifying the ledger: every stream from its first entry, or from a checkpoint that the caller has kept.
//!
//! What a verdict means, and the exit codes of `goldfin audit verify`: 0 sound, 2 tampered (the first bad place is named), 3 shorter
//! than something known, 4 cannot verify.

use std::collections::BTreeSet;

use goldfin_crypto::digest::hex;
use goldfin_ledger::note::Checkpoint;
use goldfin_ledger::tree::Edge;

use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::id::StreamId;
use crate::store::disclosure::StoredName;
use crate::store::error::StoreError;
use crate::store::ledger::{Head, Reading, StoredEntry};
use crate::store::ledger_tree::StoredCheckpoint;

use super::check::{Check, Claim, Keys, Shown};
use super::entry::Columns;
use super::prove;

/// Entries that are read at a time.
const STRETCH: i64 = 2000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Sound,
    /// The first bad place, and what is wrong with it.
    Tampered {
        seq: i64,
        what: &'static str,
    },
    /// The entries end before the head, or before what an anchor knows.
    Shorter {
        ends: i64,
        known: i64,
    },
}

#[derive(Debug, Clone)]
pub struct StreamReport {
    pub stream: StreamId,
    pub node: String,
    /// How many entries held.
    pub entries: i64,
    pub verdict: Verdict,
}

impl StreamReport {
    /// `seq` is the first bad place of a tampered stream, or the last entry of one that is too short.
    fn to_node(&self) -> Node {
        let (verdict, seq, what) = match &self.verdict {
            Verdict::Sound => ("sound", None, None),
            Verdict::Tampered { seq, what } => ("tampered", Some(*seq), Some(*what)),
            Verdict::Shorter { ends, .. } => ("shorter", Some(*ends), Some("the entries end before a place that is known")),
        };
        Node::object([
            ("stream", Node::whole(i64::from(self.stream.0))),
            ("node", Node::text(self.node.as_str())),
            ("entries", Node::whole(self.entries)),
            ("verdict", Node::text(verdict)),
            ("seq", seq.map_or(Node::Null, Node::whole)),
            ("what", Node::text_or_null(what)),
        ])
    }
}

#[derive(Debug, Clone)]
pub struct Report {
    pub streams: Vec<StreamReport>,
}

impl Report {
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let mut code = 0;
        for report in &self.streams {
            match report.verdict {
                Verdict::Sound => {}
                Verdict::Tampered { .. } => return 2,
                Verdict::Shorter { .. } => code = 3,
            }
        }
        code
    }

    /// The report as `sys/ledger/verify` and `goldfin audit verify` give it.
    #[must_use]
    pub fn to_node(&self) -> Node {
        let verdict = match self.exit_code() {
            0 => "sound",
            2 => "tampered",
            _ => "shorter",
        };
        Node::object([
            ("verdict", Node::text(verdict)),
            ("exit_code", Node::whole(i64::from(self.exit_code()))),
            ("entries", Node::whole(self.entries())),
            ("streams", Node::List(self.streams.iter().map(StreamReport::to_node).collect())),
        ])
    }

    #[must_use]
    pub fn entries(&self) -> i64 {
        self.streams.iter().map(|report| report.entries).sum()
    }
}

/// Verifies all streams of a database as they stand at one moment, against the checkpoints that are stored and those that the caller has
/// kept. Where `resume` is wanted, a stream is verified from the newest kept checkpoint on. `progress` hears of every entry.
pub async fn verify(
    reading: &mut Reading,
    keys: &Keys,
    trusted: &[Checkpoint],
    resume: bool,
    progress: &(dyn Fn() + Sync),
) -> Result<Report, StoreError> {
    let heads = reading.heads().await?;
    let mut names: BTreeSet<StreamId> = heads.iter().map(|(_, head)| head.stream).collect();
    let mut found: BTreeSet<StreamId> = reading.streams_of_entries().await?.into_iter().collect();
    found.extend(reading.streams_of_checkpoints().await?);
    names.extend(found.iter().copied());
    names.extend(trusted.iter().map(|checkpoint| StreamId(checkpoint.stream)));
    let mut streams = Vec::new();
    for stream in names {
        let head = heads.iter().find(|(_, head)| head.stream == stream);
        let (node, head) = head.map_or((String::new(), None), |(node, head)| (node.clone(), Some(head)));
        let (entries, verdict) = if head.is_none() && found.contains(&stream) {
            (0, Verdict::Tampered { seq: 1, what: "the stream has entries or checkpoints, and no head" })
        } else {
            verify_stream(reading, stream, head, Check::new(keys, stream, trusted), resume.then_some(trusted), progress).await?
        };
        streams.push(StreamReport { stream, node, entries, verdict });
    }
    Ok(Report { streams })
}

async fn verify_stream(
    reading: &mut Reading,
    stream: StreamId,
    head: Option<&Head>,
    mut check: Check<'_>,
    resume: Option<&[Checkpoint]>,
    progress: &(dyn Fn() + Sync),
) -> Result<(i64, Verdict), StoreError> {
    let kept = resume.and_then(|kept| kept.iter().filter(|kept| kept.stream == stream.0).max_by_key(|kept| kept.size));
    let mut from = i64::MIN;
    if let Some(kept) = kept
        && let Some((edge, mac)) = edge_of(reading, stream, kept).await?
    {
        check.resume(edge, mac);
        from = check.next_seq();
    }
    let mut claims = Claims { stream, from: if from == i64::MIN { from } else { from - 1 }, whole: false, last: 0 };
    claims.read(reading, &mut check).await?;
    loop {
        let entries = reading.stretch(stream, from, STRETCH).await?;
        let names = reading.names(stream, from, entries.last().map_or(from, |last| last.seq)).await?;
        let mut names = names.as_slice();
        for entry in &entries {
            let of_entry;
            (of_entry, names) = names.split_at(names.partition_point(|name| name.seq <= entry.seq));
            while claims.last < check.next_seq() {
                claims.read(reading, &mut check).await?;
            }
            let shown = Shown { seq: entry.seq, body: &entry.body, mac: &entry.mac };
            if let Err(verdict) = check.step(shown, |columns, _| agrees(entry, of_entry, columns)) {
                return Ok((check.entries(), verdict));
            }
            progress();
        }
        if (entries.len() as i64) < STRETCH {
            break;
        }
        from = check.next_seq();
    }
    while !claims.whole {
        claims.read(reading, &mut check).await?;
    }
    let next = check.next_seq();
    let (entries, verdict) = check.finish(head.map(|head| (head.seq, head.mac.as_slice())));
    if verdict == Verdict::Sound && !reading.names(stream, next, i64::MAX).await?.is_empty() {
        return Ok((entries, Verdict::Tampered { seq: next, what: "subjects are named beside an entry that is not there" }));
    }
    Ok((entries, verdict))
}

/// The stored checkpoints of a stream, read some way ahead of the entries.
struct Claims {
    stream: StreamId,
    from: i64,
    /// Whether all of them were read.
    whole: bool,
    /// The size of the last that was read; all of them are larger once `whole`.
    last: i64,
}

impl Claims {
    async fn read(&mut self, reading: &mut Reading, check: &mut Check<'_>) -> Result<(), StoreError> {
        if self.whole {
            return Ok(());
        }
        let read = reading.checkpoints(self.stream, self.from, STRETCH).await?;
        for StoredCheckpoint { size, root, note } in &read {
            check.claim(&Claim { size: *size, root: root.clone(), note: note.clone() });
            self.last = *size;
            self.from = size.saturating_add(1);
        }
        if (read.len() as i64) < STRETCH {
            self.whole = true;
            self.last = i64::MAX;
        }
        Ok(())
    }
}

/// The tree that a kept checkpoint vouches for, and the MAC of its last entry. None where the stored tiles do not lead to it: the stream
/// is then verified from its first entry.
async fn edge_of(reading: &mut Reading, stream: StreamId, kept: &Checkpoint) -> Result<Option<(Edge, Vec<u8>)>, StoreError> {
    let hashes = match prove::edge(reading, stream, kept.size).await {
        Ok(hashes) => hashes,
        Err(StoreError::Integrity(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(edge) = Edge::from_parts(kept.size, hashes).filter(|edge| edge.root() == kept.root) else { return Ok(None) };
    let last = i64::try_from(kept.size).unwrap_or(i64::MAX);
    let last = reading.chained(stream, last, 1).await?.into_iter().find(|entry| entry.seq == last);
    Ok(last.map(|entry| (edge, entry.mac)))
}

/// Whether columns and the subjects named beside the entry are those of its bytes.
pub(super) fn agrees(entry: &StoredEntry, names: &[StoredName], columns: &Columns) -> bool {
    *columns == columns_of(entry, names) && names.iter().all(|name| name.time == entry.time)
}

pub(super) fn columns_of(entry: &StoredEntry, names: &[StoredName]) -> Columns {
    Columns {
        stream: entry.stream,
        seq: entry.seq,
        time: Timestamp::from_date(entry.time),
        request: entry.request.to_string(),
        account: entry.account.clone(),
        action: entry.action.clone(),
        resource: entry.resource.clone(),
        decision: entry.decision.clone(),
        subject: entry.subject.as_deref().map(hex),
        change: entry.change.clone(),
        subjects: names.iter().map(|name| (hex(&name.subject), name.class.clone(), name.count)).collect(),
    }
}
