//! What the ledger says of its archives, and whether to believe it: the rules of `docs/ledger-format.md`, section Pruned entries.

use std::collections::BTreeMap;

use goldfin_crypto::digest::Sha256Sum;
use goldfin_ledger::archived::Archived;
use goldfin_ledger::note::LogKey;
use goldfin_ledger::tile;
use goldfin_ledger::tree::Edge;

use crate::store::ledger_archive::StoredArchive;
use crate::store::ledger_tree::ChainedEntry;
use crate::store::ledger_verify::RawEntry;

use super::chain;
use super::columns::Columns;
use super::verify::agrees;

/// What the changes of entries begin with that are kept. `ledger_prune` has the same list.
const OUTLIVING: [&str; 3] = ["manifest:", "account:", "auth_token:"];

/// Where a stream begins whose older entries were pruned.
#[derive(Debug, Clone)]
pub struct Cut {
    pub edge: Edge,
    /// Of the last entry that was pruned.
    pub mac: Vec<u8>,
    /// The number of that entry.
    pub last: i64,
}

/// What a row's note says, and the tree at its end. None where it is not signed, or says something else than the row.
#[must_use]
pub fn believed(row: &StoredArchive, log: &LogKey) -> Option<(Archived, Edge)> {
    let says = Archived::open(row.note.as_bytes(), log).ok()?;
    let number = |number: u64| i64::try_from(number).ok();
    let hashes = [(&says.root, &row.root), (&says.mac, &row.mac), (&says.digest, &row.digest), (&says.kept, &row.kept)];
    let same = says.stream == row.stream
        && number(says.first) == Some(row.first)
        && number(says.last) == Some(row.last)
        && hashes.iter().all(|(said, stored)| said[..] == stored[..]);
    let edge = Edge::from_parts(says.last, tile::split(&row.hashes)?).filter(|edge| edge.root() == says.root)?;
    same.then_some((says, edge))
}

/// Where the stream of these archives begins. None: at its first entry, or nobody can say where.
#[must_use]
pub fn cut(rows: &[StoredArchive], log: &LogKey) -> Option<Cut> {
    let mut cut: Option<Cut> = None;
    for row in rows.iter().filter(|row| row.pruned.is_some()) {
        let (_, edge) = believed(row, log)?;
        if row.first != cut.as_ref().map_or(0, |cut| cut.last).checked_add(1)? {
            return None;
        }
        cut = Some(Cut { edge, mac: row.mac.clone(), last: row.last });
    }
    cut
}

/// Whether an entry outlives the pruning of its month: it tells older control rows, accounts and auth tokens from newer ones.
#[must_use]
pub fn outlives(change: Option<&[u8]>) -> bool {
    let kept = |item: &[u8]| OUTLIVING.iter().any(|kind| item.starts_with(kind.as_bytes()));
    change.is_some_and(|change| change.split(|byte| *byte == b'\n').any(kept))
}

/// Holds what is kept of pruned entries against the records of their archives, entry by entry.
pub struct Kept<'a> {
    rows: std::slice::Iter<'a, StoredArchive>,
    row: Option<&'a StoredArchive>,
    sum: Sha256Sum,
    /// The first bad place.
    bad: Option<i64>,
}

impl<'a> Kept<'a> {
    #[must_use]
    pub fn new(rows: &'a [StoredArchive]) -> Self {
        let mut rows = rows.iter();
        let row = pruned(&mut rows);
        Self { rows, row, sum: Sha256Sum::default(), bad: None }
    }

    /// Takes the next, in order.
    pub fn take(&mut self, entry: &RawEntry<'_>) {
        while self.bad.is_none() && self.row.is_none_or(|row| entry.seq > row.last) {
            if self.row.is_none() {
                self.bad = Some(entry.seq);
            } else {
                self.close();
            }
        }
        if self.bad.is_some() {
            return;
        }
        let body = entry.body.unwrap_or_default();
        let stream = self.row.map(|row| row.stream);
        // The subjects were named in rows that went with the rest.
        let right = Columns::read(body)
            .map(|columns| Columns { subjects: Vec::new(), ..columns })
            .is_some_and(|columns| Some(columns.stream) == stream && columns.seq == entry.seq && agrees(entry, &[], &columns));
        if right {
            self.sum.update(&chain::leaf(body));
        } else {
            self.bad = Some(entry.seq);
        }
    }

    /// The error is the first bad place.
    pub fn finish(mut self) -> Result<(), i64> {
        while self.bad.is_none() && self.row.is_some() {
            self.close();
        }
        self.bad.map_or(Ok(()), Err)
    }

    fn close(&mut self) {
        let sum = std::mem::take(&mut self.sum).finish();
        self.bad = self.row.filter(|row| row.kept[..] != sum[..]).map(|row| row.first);
        self.row = pruned(&mut self.rows);
    }
}

fn pruned<'a>(rows: &mut std::slice::Iter<'a, StoredArchive>) -> Option<&'a StoredArchive> {
    rows.find(|row| row.pruned.is_some())
}

/// The leaves `start` to `start + count` of a stream: from its entries, and where those were pruned within a tile that is not full yet, from
/// the partial tile of their archive. None where some are missing.
#[must_use]
pub fn leaves(entries: &[ChainedEntry], archives: &[StoredArchive], start: u64, count: u64) -> Option<Vec<[u8; 32]>> {
    let first = i64::try_from(start).ok()?.checked_add(1)?;
    let end = first.checked_add(i64::try_from(count).ok()?)?;
    let mut known: BTreeMap<i64, [u8; 32]> = BTreeMap::new();
    for row in archives.iter().filter(|row| row.pruned.is_some() && row.last >= first) {
        let width = row.last % i64::try_from(tile::WIDTH).ok()?;
        let partial = tile::split(&row.levels)?.into_iter().take(usize::try_from(width).ok()?);
        known.extend((row.last - width + 1..).zip(partial));
    }
    known.extend(entries.iter().map(|entry| (entry.seq, chain::leaf(&entry.body))));
    (first..end).map(|seq| known.get(&seq).copied()).collect()
}
