//! What the ledger says of its archives, and whether to believe it: the rules of `docs/ledger-format.md`, section Pruned entries.

use std::collections::BTreeMap;

use goldfin_crypto::digest::Sha256Sum;
use goldfin_ledger::archived::Archived;
use goldfin_ledger::note::LogKey;
use goldfin_ledger::tile;
use goldfin_ledger::tree::Edge;

use crate::store::ledger::StoredEntry;
use crate::store::ledger_archive::StoredArchive;
use crate::store::ledger_tree::ChainedEntry;

use super::chain;
use super::entry::Columns;
use super::verify::columns_of;

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
pub fn outlives(change: Option<&str>) -> bool {
    change.is_some_and(|change| change.split('\n').any(|item| OUTLIVING.iter().any(|kind| item.starts_with(kind))))
}

/// Whether what is kept of the pruned entries is what was kept; else the first bad place.
pub fn check_kept(rows: &[StoredArchive], kept: &[StoredEntry]) -> Result<(), i64> {
    let mut rest = kept;
    for row in rows.iter().filter(|row| row.pruned.is_some()) {
        let (before, behind) = rest.split_at(rest.partition_point(|entry| entry.seq <= row.last));
        rest = behind;
        let mut sum = Sha256Sum::default();
        for entry in before {
            let columns = Columns::read(&entry.body).map(|columns| Columns { subjects: Vec::new(), ..columns });
            if columns.as_ref() != Some(&columns_of(entry, &[])) {
                return Err(entry.seq);
            }
            sum.update(&chain::leaf(&entry.body));
        }
        if sum.finish()[..] != row.kept[..] {
            return Err(before.first().map_or(row.first, |entry| entry.seq.max(row.first)));
        }
    }
    rest.first().map_or(Ok(()), |entry| Err(entry.seq))
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
