//! Verifying the ledger: every stream from its first entry, with the MAC key.
//!
//! What a verdict means, and the exit codes of `goldfin audit verify`: 0 sound, 2 tampered (the first bad place is named), 3 shorter
//! than something known, 4 cannot verify.

use goldfin_crypto::digest::hex;
use goldfin_crypto::mac::MacKey;

use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::id::StreamId;
use crate::store::disclosure::StoredName;
use crate::store::error::StoreError;
use crate::store::ledger::{Reading, StoredEntry};

use super::chain;
use super::entry::Columns;

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
            Verdict::Shorter { ends, .. } => ("shorter", Some(*ends), Some("the stream ends before its head")),
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

/// Verifies all streams as they stand at one moment. `key` is the ledger's MAC key.
pub async fn verify(reading: &mut Reading, key: &MacKey) -> Result<Report, StoreError> {
    let heads = reading.heads().await?;
    let mut streams = Vec::new();
    for (node, head) in &heads {
        let (entries, verdict) = verify_stream(reading, key, head.stream, head.seq, &head.mac).await?;
        streams.push(StreamReport { stream: head.stream, node: node.clone(), entries, verdict });
    }
    for stream in reading.streams_of_entries().await? {
        if !heads.iter().any(|(_, head)| head.stream == stream) {
            let verdict = Verdict::Tampered { seq: 1, what: "the stream has entries and no head" };
            streams.push(StreamReport { stream, node: String::new(), entries: 0, verdict });
        }
    }
    Ok(Report { streams })
}

async fn verify_stream(
    reading: &mut Reading,
    key: &MacKey,
    stream: StreamId,
    end: i64,
    end_mac: &[u8],
) -> Result<(i64, Verdict), StoreError> {
    let mut link = Link { key, stream, seq: 0, mac: Vec::new() };
    loop {
        let entries = reading.stretch(stream, link.seq + 1, STRETCH).await?;
        let Some(last) = entries.last() else { break };
        let names = reading.names(stream, link.seq + 1, last.seq).await?;
        let mut names = names.as_slice();
        for entry in &entries {
            let of_entry;
            (of_entry, names) = names.split_at(names.partition_point(|name| name.seq <= entry.seq));
            if let Err(what) = link.step(entry, of_entry) {
                return Ok((link.seq, Verdict::Tampered { seq: link.seq + 1, what }));
            }
        }
    }
    let beyond = reading.names(stream, link.seq + 1, i64::MAX).await?;
    let verdict = if !beyond.is_empty() && link.seq >= end {
        Verdict::Tampered { seq: link.seq + 1, what: "subjects are named beside an entry that is not there" }
    } else if link.seq < end {
        Verdict::Shorter { ends: link.seq, known: end }
    } else if link.seq > end {
        Verdict::Tampered { seq: end + 1, what: "there are entries behind the head" }
    } else if link.mac != end_mac {
        Verdict::Tampered { seq: end, what: "the head's MAC is not that of the last entry" }
    } else {
        Verdict::Sound
    };
    Ok((link.seq, verdict))
}

/// Where the verification stands.
struct Link<'a> {
    key: &'a MacKey,
    stream: StreamId,
    seq: i64,
    mac: Vec<u8>,
}

impl Link<'_> {
    fn step(&mut self, entry: &StoredEntry, names: &[StoredName]) -> Result<(), &'static str> {
        let seq = self.seq + 1;
        if entry.seq != seq {
            return Err("the entry is missing");
        }
        let mac = chain::link(self.key, self.stream, seq, &self.mac, &chain::leaf(&entry.body));
        if mac[..] != entry.mac[..] {
            return Err("the entry's MAC does not fit its bytes, its place and the entry before it");
        }
        let columns = Columns::read(&entry.body).ok_or("the entry's bytes cannot be read")?;
        if columns != columns_of(entry, names) {
            return Err("a column, or a subject named beside the entry, differs from the entry's bytes");
        }
        if names.iter().any(|name| name.time != entry.time) {
            return Err("a subject is named beside the entry at another time");
        }
        self.seq = seq;
        self.mac = mac.to_vec();
        Ok(())
    }
}

fn columns_of(entry: &StoredEntry, names: &[StoredName]) -> Columns {
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
