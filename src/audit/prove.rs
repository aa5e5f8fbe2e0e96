//! Makes proofs and tiles from what is stored. Nothing here vouches for anything: whoever asks checks the proof against a checkpoint.

use std::ops::Range;

use goldfin_ledger::proof::{self, Subtree};
use goldfin_ledger::tile::{self, HEIGHT, WIDTH};
use goldfin_ledger::tree::{fold, root_of};

use crate::model::id::StreamId;
use crate::store::error::StoreError;
use crate::store::ledger::Reading;
use crate::store::ledger_tree::ChainedEntry;

use super::archived;

const GONE: StoreError = StoreError::Integrity("a tile or an entry of the ledger is missing");

/// The proof that leaf `index` is in the tree of `size`. None where it is not.
pub async fn inclusion(reading: &mut Reading, stream: StreamId, index: u64, size: u64) -> Result<Option<Vec<[u8; 32]>>, StoreError> {
    hashes_of(reading, stream, proof::inclusion(index, size)).await
}

/// The proof that the tree of `from` leaves is the beginning of that of `to`. None where it cannot be.
pub async fn consistency(reading: &mut Reading, stream: StreamId, from: u64, to: u64) -> Result<Option<Vec<[u8; 32]>>, StoreError> {
    hashes_of(reading, stream, proof::consistency(from, to)).await
}

async fn hashes_of(reading: &mut Reading, stream: StreamId, path: Option<Vec<Range<u64>>>) -> Result<Option<Vec<[u8; 32]>>, StoreError> {
    let Some(path) = path else { return Ok(None) };
    let mut hashes = Vec::with_capacity(path.len());
    for stretch in &path {
        let parts = parts_of(reading, stream, stretch).await?;
        hashes.push(fold(&parts));
    }
    Ok(Some(hashes))
}

/// The roots of the full subtrees that make up the tree of `size`, the largest first.
pub async fn edge(reading: &mut Reading, stream: StreamId, size: u64) -> Result<Vec<[u8; 32]>, StoreError> {
    parts_of(reading, stream, &(0..size)).await
}

async fn parts_of(reading: &mut Reading, stream: StreamId, stretch: &Range<u64>) -> Result<Vec<[u8; 32]>, StoreError> {
    let mut parts = Vec::new();
    for Subtree { level, index } in proof::subtrees(stretch) {
        let within = level % HEIGHT;
        parts.push(root_of(&hashes_at(reading, stream, level / HEIGHT, index << within, 1 << within).await?));
    }
    Ok(parts)
}

/// Hashes of a level of tiles, all of one tile: from the tile where it is full, else from what is below it.
pub async fn hashes_at(reading: &mut Reading, stream: StreamId, level: u32, start: u64, count: u64) -> Result<Vec<[u8; 32]>, StoreError> {
    if let Some((_, bytes)) = reading.tiles(stream, level, start / WIDTH, 1).await?.pop() {
        let inside = usize::try_from(start % WIDTH).unwrap_or(usize::MAX);
        let hashes = tile::split(&bytes).ok_or(GONE)?;
        return hashes.into_iter().skip(inside).take(usize::try_from(count).unwrap_or(0)).map(Some).collect::<Option<_>>().ok_or(GONE);
    }
    let hashes: Vec<[u8; 32]> = if level == 0 {
        leaves_at(reading, stream, start, count).await?
    } else {
        let below = reading.tiles(stream, level - 1, start, count).await?;
        below.iter().filter_map(|(_, bytes)| tile::split(bytes)).map(|hashes| root_of(&hashes)).collect()
    };
    if hashes.len() as u64 == count { Ok(hashes) } else { Err(GONE) }
}

/// The leaves of a stretch, also where their entries were pruned.
async fn leaves_at(reading: &mut Reading, stream: StreamId, start: u64, count: u64) -> Result<Vec<[u8; 32]>, StoreError> {
    let (Ok(from), Ok(limit)) = (i64::try_from(start), i64::try_from(count)) else { return Err(GONE) };
    let entries = reading.chained(stream, from.saturating_add(1), limit).await?;
    if let Some(leaves) = archived::leaves(&entries, &[], start, count) {
        return Ok(leaves);
    }
    let archives = reading.archives(stream).await?;
    archived::leaves(&entries, &archives, start, count).ok_or(GONE)
}

/// The entries of a stretch of leaves.
pub async fn entries_at(reading: &mut Reading, stream: StreamId, start: u64, count: u64) -> Result<Vec<ChainedEntry>, StoreError> {
    let (Ok(from), Ok(limit)) = (i64::try_from(start), i64::try_from(count)) else { return Err(GONE) };
    let entries = reading.chained(stream, from.saturating_add(1), limit).await?;
    let whole = entries.len() as u64 == count && entries.last().is_none_or(|last| Ok(last.seq) == i64::try_from(start + count));
    if whole { Ok(entries) } else { Err(GONE) }
}
