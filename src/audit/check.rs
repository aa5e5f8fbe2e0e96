//! The verification of one stream, entry by entry, whoever reads them: the rules of `docs/ledger-format.md`, section Verdicts, with the
//! numbers that the rules have there.

use std::collections::BTreeMap;

use goldfin_crypto::mac::MacKey;
use goldfin_ledger::note::{Checkpoint, LogKey};
use goldfin_ledger::tree::Edge;

use crate::model::id::StreamId;

use super::chain;
use super::columns::Columns;
use super::verify::Verdict;

/// What a verifier holds.
#[derive(Debug)]
pub struct Keys {
    pub log: LogKey,
    /// Without it only the tree is verified.
    pub mac: Option<MacKey>,
}

/// A checkpoint of the ledger itself. The columns are those of the database, or of the archive's line.
#[derive(Debug, Clone)]
pub struct Claim {
    pub size: i64,
    pub root: Vec<u8>,
    pub note: String,
}

impl Claim {
    /// What it says, if it is signed and its columns are those of its note.
    fn opened(&self, keys: &Keys, stream: StreamId) -> Option<Checkpoint> {
        let checkpoint = Checkpoint::open(self.note.as_bytes(), &keys.log).ok()?;
        let same = checkpoint.stream == stream.0 && i64::try_from(checkpoint.size) == Ok(self.size) && checkpoint.root[..] == self.root[..];
        same.then_some(checkpoint)
    }
}

/// An entry as its source shows it.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    pub seq: i64,
    pub body: &'a str,
    pub mac: &'a [u8],
}

/// Where the verification of a stream stands.
pub struct Check<'a> {
    keys: &'a Keys,
    stream: StreamId,
    edge: Edge,
    mac: Vec<u8>,
    /// The size of the newest checkpoint that held.
    good: u64,
    /// Roots that must be met, by size: none where a claim of that size does not verify.
    expected: BTreeMap<u64, Vec<Option<[u8; 32]>>>,
    /// A claim of a size that no tree has.
    impossible: bool,
    /// The size of the largest checkpoint that verifies.
    known: u64,
    /// Entries whose leaves were added here.
    entries: i64,
}

impl<'a> Check<'a> {
    pub fn new(keys: &'a Keys, stream: StreamId, trusted: &[Checkpoint]) -> Self {
        let mut check = Self {
            keys,
            stream,
            edge: Edge::default(),
            mac: Vec::new(),
            good: 0,
            expected: BTreeMap::new(),
            impossible: false,
            known: 0,
            entries: 0,
        };
        for checkpoint in trusted.iter().filter(|checkpoint| checkpoint.stream == stream.0) {
            check.expect(checkpoint.size, Some(checkpoint.root));
        }
        check
    }

    /// Goes on behind a checkpoint: its tree, and the MAC of its last entry.
    pub fn resume(&mut self, edge: Edge, mac: Vec<u8>) {
        self.good = edge.size();
        self.expected.retain(|size, _| *size > edge.size());
        self.edge = edge;
        self.mac = mac;
    }

    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// How many entries were looked at and held.
    pub fn entries(&self) -> i64 {
        self.entries
    }

    /// A checkpoint of the ledger, known before its last entry comes.
    pub fn claim(&mut self, claim: &Claim) {
        let opened = claim.opened(self.keys, self.stream);
        match u64::try_from(claim.size) {
            Ok(size) if size > 0 => self.expect(size, opened.map(|checkpoint| checkpoint.root)),
            _ => self.impossible = true,
        }
    }

    fn expect(&mut self, size: u64, root: Option<[u8; 32]>) {
        if root.is_some() {
            self.known = self.known.max(size);
        }
        if size > self.edge.size() {
            self.expected.entry(size).or_default().push(root);
        }
    }

    /// Takes the next entry. `agrees` compares what its source says beside the bytes.
    pub fn step(&mut self, shown: Shown<'_>, agrees: impl FnOnce(&Columns<'_>, &[u8; 32]) -> bool) -> Result<(), Verdict> {
        let seq = self.next_seq();
        let bad = |what| Verdict::Tampered { seq, what };
        if shown.seq != seq {
            return Err(bad("the entry is missing"));
        }
        let leaf = chain::leaf(shown.body);
        if let Some(key) = &self.keys.mac
            && chain::link(key, self.stream, seq, &self.mac, &leaf)[..] != *shown.mac
        {
            return Err(bad("the entry's MAC does not fit its bytes, its place and the entry before it"));
        }
        let columns = Columns::read(shown.body).ok_or(bad("the entry's bytes cannot be read"))?;
        if columns.stream != self.stream.0 || columns.seq != seq {
            return Err(bad("the entry's bytes are of another place"));
        }
        if !agrees(&columns, &leaf) {
            return Err(bad("what stands beside the entry's bytes differs from them"));
        }
        self.edge.push(leaf);
        self.mac.clear();
        self.mac.extend_from_slice(shown.mac);
        self.entries += 1;
        let size = self.edge.size();
        if self.expected.first_key_value().is_some_and(|(next, _)| *next == size)
            && let Some((_, roots)) = self.expected.pop_first()
        {
            let root = self.edge.root();
            if roots.iter().any(|expected| *expected != Some(root)) {
                return Err(Verdict::Tampered {
                    seq: place(self.good),
                    what: "the entries from here on lead to another tree than a checkpoint says",
                });
            }
            self.good = size;
        }
        Ok(())
    }

    /// The next entry's number.
    pub fn next_seq(&self) -> i64 {
        place(self.edge.size())
    }

    /// The verdict when there are no more entries. `head` is where the stream says that it ends, and the MAC there.
    pub fn finish(mut self, head: Option<(i64, &[u8])>) -> (i64, Verdict) {
        (self.entries, self.verdict(head))
    }

    fn verdict(&mut self, head: Option<(i64, &[u8])>) -> Verdict {
        let ends = i64::try_from(self.edge.size()).unwrap_or(i64::MAX);
        if self.impossible || self.expected.values().flatten().any(Option::is_none) {
            return Verdict::Tampered { seq: self.next_seq(), what: "a checkpoint is not one that this ledger signed" };
        }
        let known = i64::try_from(self.known).unwrap_or(i64::MAX).max(head.map_or(0, |(seq, _)| seq));
        if ends < known {
            return Verdict::Shorter { ends, known };
        }
        match head {
            Some((seq, _)) if ends > seq => Verdict::Tampered { seq: seq.saturating_add(1), what: "there are entries behind the head" },
            Some((_, mac)) if mac != self.mac => Verdict::Tampered { seq: ends, what: "the head's MAC is not that of the last entry" },
            _ => Verdict::Sound,
        }
    }
}

/// The entry behind a tree of this size.
fn place(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests;
