//! Verifying the ledger: every stream from its first entry, or from a checkpoint that the caller has kept.
//!
//! What a verdict means, and the exit codes of `goldfin audit verify`: 0 sound, 2 tampered (the first bad place is named), 3 shorter
//! than something known, 4 cannot verify.

use std::borrow::Cow;
use std::collections::BTreeSet;

use goldfin_ledger::note::Checkpoint;
use goldfin_ledger::tree::Edge;

use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::id::StreamId;
use crate::store::error::StoreError;
use crate::store::ledger::{Head, Reading};
use crate::store::ledger_verify::{RawCheckpoint, RawEntry, RawName};

use super::check::{Check, Claim, Keys, Shown};
use super::columns::{Columns, KnownSubject};
use super::prove;

/// Entries that are asked for at a time. They are checked while they arrive: PostgreSQL reads the next ones meanwhile, and between two
/// stretches it waits.
const STRETCH: i64 = 50_000;

/// Names beside entries, and checkpoints, that are held at a time.
const MANY_NAMES: i64 = 20_000;
const MANY_CLAIMS: i64 = 2000;

/// Entries between two signs of progress.
const PROGRESS: u64 = 1000;

/// Why nothing can be said of a ledger.
pub const TWO_HEADS: &str = "the ledger holds two heads of one stream, so it is not said where that stream ends";

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
/// kept. Where `resume` is wanted, a stream is verified from the newest kept checkpoint on. `progress` hears how many entries more were
/// looked at.
pub async fn verify(
    reading: &mut Reading,
    keys: &Keys,
    trusted: &[Checkpoint],
    resume: bool,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Report, StoreError> {
    let heads = reading.heads().await?;
    let mut names = BTreeSet::new();
    if !heads.iter().all(|(_, head)| names.insert(head.stream)) {
        return Err(StoreError::Integrity(TWO_HEADS));
    }
    let found: BTreeSet<StreamId> = reading.streams_of_rows().await?.into_iter().collect();
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
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(i64, Verdict), StoreError> {
    let kept = resume.and_then(|kept| kept.iter().filter(|kept| kept.stream == stream.0).max_by_key(|kept| kept.size));
    let mut from = i64::MIN;
    if let Some(kept) = kept
        && let Some((edge, mac)) = edge_of(reading, stream, kept).await?
    {
        check.resume(edge, mac);
        from = check.next_seq();
    }
    let mut claims = Claims { stream, from: if from == i64::MIN { from } else { from - 1 }, last: 0 };
    loop {
        let names = Names::read(reading, stream, from, check.next_seq()).await?;
        while claims.last < names.to {
            claims.read(reading, &mut check).await?;
        }
        let limit = names.to - check.next_seq() + 1;
        let (mut beside, mut verdict, mut steps) = (names.names.as_slice(), None, 0);
        let take = |entry: &RawEntry<'_>| {
            if verdict.is_none() {
                let of_entry;
                (of_entry, beside) = beside.split_at(beside.partition_point(|name| name.seq <= entry.seq));
                verdict = step(&mut check, entry, of_entry).err();
                steps += 1;
                if steps % PROGRESS == 0 {
                    progress(PROGRESS);
                }
            }
        };
        let read = reading.each_entry(stream, from, limit, take).await?;
        progress(steps % PROGRESS);
        if let Some(verdict) = verdict {
            return Ok((check.entries(), verdict));
        }
        if read < limit {
            break;
        }
        from = check.next_seq();
    }
    let unnumbered = reading.unnumbered(stream).await?;
    let next = check.next_seq();
    if unnumbered.entries {
        return Ok((check.entries(), Verdict::Tampered { seq: next, what: "an entry has no number" }));
    }
    if unnumbered.checkpoints {
        check.claim(&Claim { size: 0, root: Vec::new(), note: String::new() });
    }
    while claims.last < i64::MAX {
        claims.read(reading, &mut check).await?;
    }
    let (entries, verdict) = check.finish(head.map(|head| (head.seq, head.mac.as_slice())));
    if verdict == Verdict::Sound && (unnumbered.names || !reading.names(stream, next, i64::MAX, 1).await?.is_empty()) {
        return Ok((entries, Verdict::Tampered { seq: next, what: "subjects are named beside an entry that is not there" }));
    }
    Ok((entries, verdict))
}

/// What a row lacks is as good as what cannot be read.
fn step(check: &mut Check<'_>, entry: &RawEntry<'_>, names: &[RawName]) -> Result<(), Verdict> {
    let (body, mac) = entry.body.zip(entry.mac).unwrap_or_default();
    check.step(Shown { seq: entry.seq, body, mac }, |columns, _| agrees(entry, names, columns))
}

/// The names beside the entries of a stretch.
struct Names {
    names: Vec<RawName>,
    /// The last entry of the stretch, if it is there.
    to: i64,
}

impl Names {
    /// Those from `from` on for as many entries from `next` on as memory should hold at a time.
    async fn read(reading: &mut Reading, stream: StreamId, from: i64, next: i64) -> Result<Self, StoreError> {
        let to = next.saturating_add(STRETCH - 1);
        let mut names = reading.names(stream, from, to, MANY_NAMES).await?;
        let Some(last) = names.last().map(|name| name.seq).filter(|_| names.len() as i64 >= MANY_NAMES) else {
            return Ok(Self { names, to });
        };
        // More were there than were read: those of the last entry may not be whole.
        if last > next {
            names.retain(|name| name.seq < last);
            return Ok(Self { names, to: last - 1 });
        }
        Ok(Self { names: reading.names(stream, from, next, i64::MAX).await?, to: next })
    }
}

/// The stored checkpoints of a stream, read some way ahead of the entries.
struct Claims {
    stream: StreamId,
    from: i64,
    /// Whatever is smaller was read.
    last: i64,
}

impl Claims {
    async fn read(&mut self, reading: &mut Reading, check: &mut Check<'_>) -> Result<(), StoreError> {
        let read = reading.raw_checkpoints(self.stream, self.from, MANY_CLAIMS).await?;
        let whole = (read.len() as i64) < MANY_CLAIMS;
        for RawCheckpoint { size, root, note } in read {
            check.claim(&Claim { size, root: root.unwrap_or_default(), note: note.unwrap_or_default() });
            self.last = size;
            self.from = size.saturating_add(1);
        }
        if whole || self.last == i64::MAX {
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
fn agrees(entry: &RawEntry<'_>, names: &[RawName], columns: &Columns<'_>) -> bool {
    entry.time == Some(columns.time.unix_micros())
        && entry.request.is_some_and(|request| is_id(request, &columns.request))
        && entry.account == Some(columns.account.as_bytes())
        && entry.action == Some(columns.action.as_bytes())
        && entry.resource == Some(columns.resource.as_bytes())
        && entry.decision == Some(columns.decision.as_bytes())
        && same(entry.subject, columns.subject.as_deref(), is_hex)
        && same(entry.change, columns.changes.as_deref(), are_lines)
        && names.len() == columns.subjects.len()
        && names.iter().zip(&columns.subjects).all(|(name, known)| is_named(name, known, columns))
}

fn is_named(name: &RawName, known: &KnownSubject<'_>, columns: &Columns<'_>) -> bool {
    name.subject.as_deref().is_some_and(|subject| is_hex(subject, &known.subject))
        && name.class.as_deref() == Some(known.class.as_deref().unwrap_or_default())
        && name.count == Some(known.count)
        && name.time.map(Timestamp::from_date) == Some(columns.time)
}

/// Both absent, or both there and alike.
fn same<A: ?Sized, B: ?Sized>(column: Option<&A>, member: Option<&B>, alike: impl FnOnce(&A, &B) -> bool) -> bool {
    match (column, member) {
        (None, None) => true,
        (Some(column), Some(member)) => alike(column, member),
        _ => false,
    }
}

fn is_hex(bytes: &[u8], text: &str) -> bool {
    let digit = |value: u8| value + b'0' + 39 * u8::from(value > 9);
    let pairs = text.as_bytes().chunks_exact(2);
    text.len() == bytes.len() * 2 && bytes.iter().zip(pairs).all(|(byte, pair)| pair == [digit(byte >> 4), digit(byte & 15)])
}

fn is_id(column: &[u8], text: &str) -> bool {
    uuid::Uuid::from_slice(column).is_ok_and(|id| id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()) == text)
}

fn are_lines(column: &[u8], changes: &[Cow<'_, str>]) -> bool {
    let mut rest = column;
    for (at, change) in changes.iter().enumerate() {
        let line = if at == 0 { Some(rest) } else { rest.strip_prefix(b"\n") };
        let Some(behind) = line.and_then(|line| line.strip_prefix(change.as_bytes())) else { return false };
        rest = behind;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests;
