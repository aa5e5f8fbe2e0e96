//! The ledger's tree in tables: tiles of hashes and signed checkpoints.

use goldfin_ledger::tile::FullTile;
use sqlx::PgConnection;

use crate::model::id::StreamId;

use super::Store;
use super::error::StoreError;
use super::ledger::{Reading, WriterConnection};

/// A checkpoint as it is stored. Nobody believes it before its note was opened.
#[derive(Debug, Clone)]
pub struct StoredCheckpoint {
    pub size: i64,
    pub root: Vec<u8>,
    pub note: String,
}

/// A stream, its node and its newest checkpoint.
#[derive(Debug, Clone)]
pub struct NewestCheckpoint {
    pub stream: StreamId,
    pub node: String,
    pub checkpoint: Option<StoredCheckpoint>,
}

/// An entry's place in the chain and its bytes.
#[derive(Debug, Clone)]
pub struct ChainedEntry {
    pub seq: i64,
    pub body: String,
    pub mac: Vec<u8>,
}

impl WriterConnection {
    /// Stores full tiles of the tree of `size`, and its checkpoint where there is one already, in one statement. Should a crash of PostgreSQL
    /// lose them, the same are made again: nobody waits for the disk.
    pub async fn append_to_tree(
        &mut self,
        stream: StreamId,
        size: i64,
        checkpoint: Option<&StoredCheckpoint>,
        tiles: &[FullTile],
    ) -> Result<(), StoreError> {
        append(self.connection(), stream, size, checkpoint, tiles).await
    }

    /// From here on this connection's commits do not wait for the disk.
    pub async fn relax(&mut self) -> Result<(), StoreError> {
        sqlx::query!("SET synchronous_commit = off").execute(self.connection()).await?;
        Ok(())
    }

    pub async fn newest_checkpoint(&mut self, stream: StreamId) -> Result<Option<StoredCheckpoint>, StoreError> {
        newest(self.connection(), stream).await
    }

    pub async fn tiles(&mut self, stream: StreamId, level: u32, first: u64, count: u64) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        tiles(self.connection(), stream, level, first, count).await
    }

    /// Entries from `from` on, in order, at most `limit`.
    pub async fn chained(&mut self, stream: StreamId, from: i64, limit: i64) -> Result<Vec<ChainedEntry>, StoreError> {
        chained(self.connection(), stream, from, limit).await
    }
}

impl Reading {
    pub async fn tiles(&mut self, stream: StreamId, level: u32, first: u64, count: u64) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        tiles(self.connection(), stream, level, first, count).await
    }

    pub async fn chained(&mut self, stream: StreamId, from: i64, limit: i64) -> Result<Vec<ChainedEntry>, StoreError> {
        chained(self.connection(), stream, from, limit).await
    }

    pub async fn newest_checkpoint(&mut self, stream: StreamId) -> Result<Option<StoredCheckpoint>, StoreError> {
        newest(self.connection(), stream).await
    }

    pub async fn checkpoint(&mut self, stream: StreamId, size: i64) -> Result<Option<StoredCheckpoint>, StoreError> {
        Ok(sqlx::query_as!(
            StoredCheckpoint,
            "SELECT size, root, note FROM ledger_checkpoint WHERE stream = $1 AND size = $2",
            stream.0,
            size
        )
        .fetch_optional(self.connection())
        .await?)
    }

    /// How many entries the heads say there are.
    pub async fn expected(&mut self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar!(r#"SELECT coalesce(sum(seq), 0)::bigint AS "sum!" FROM ledger_head"#).fetch_one(self.connection()).await?)
    }
}

async fn append(
    connection: &mut PgConnection,
    stream: StreamId,
    size: i64,
    checkpoint: Option<&StoredCheckpoint>,
    tiles: &[FullTile],
) -> Result<(), StoreError> {
    let levels: Vec<i16> = tiles.iter().map(|tile| i16::try_from(tile.level).unwrap_or(i16::MAX)).collect();
    let indices: Vec<i64> = tiles.iter().map(|tile| i64::try_from(tile.index).unwrap_or(i64::MAX)).collect();
    let hashes: Vec<Vec<u8>> = tiles.iter().map(|tile| tile.hashes.clone()).collect();
    sqlx::query!(
        "SELECT ledger_checkpoint_append($1, $2, $3, $4, $5, $6, $7)",
        stream.0,
        size,
        checkpoint.map(|checkpoint| checkpoint.root.as_slice()),
        checkpoint.map(|checkpoint| checkpoint.note.as_str()),
        &levels,
        &indices,
        &hashes
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// All streams with their newest checkpoints.
pub async fn newest_checkpoints(store: &Store) -> Result<Vec<NewestCheckpoint>, StoreError> {
    let mut connection = store.connection().await?;
    let rows = sqlx::query!("SELECT stream, node FROM ledger_stream ORDER BY stream").fetch_all(&mut *connection).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let stream = StreamId(row.stream);
        found.push(NewestCheckpoint { stream, node: row.node, checkpoint: newest(&mut connection, stream).await? });
    }
    Ok(found)
}

async fn newest(connection: &mut PgConnection, stream: StreamId) -> Result<Option<StoredCheckpoint>, StoreError> {
    Ok(sqlx::query_as!(
        StoredCheckpoint,
        "SELECT size, root, note FROM ledger_checkpoint WHERE stream = $1 ORDER BY size DESC LIMIT 1",
        stream.0
    )
    .fetch_optional(connection)
    .await?)
}

/// The full tiles of a stretch of a level that are there, with their numbers, in order.
async fn tiles(
    connection: &mut PgConnection,
    stream: StreamId,
    level: u32,
    first: u64,
    count: u64,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let (Ok(level), Ok(first), Ok(count)) = (i16::try_from(level), i64::try_from(first), i64::try_from(count)) else {
        return Ok(Vec::new());
    };
    let rows = sqlx::query!(
        "SELECT index, hashes FROM ledger_tile WHERE stream = $1 AND level = $2 AND index >= $3 AND index < $4 ORDER BY index",
        stream.0,
        level,
        first,
        first.saturating_add(count)
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((u64::try_from(row.index).ok()?, row.hashes))).collect())
}

async fn chained(connection: &mut PgConnection, stream: StreamId, from: i64, limit: i64) -> Result<Vec<ChainedEntry>, StoreError> {
    Ok(sqlx::query_as!(
        ChainedEntry,
        "SELECT seq, body, mac FROM ledger_entry WHERE stream = $1 AND seq >= $2 ORDER BY seq LIMIT $3",
        stream.0,
        from,
        limit
    )
    .fetch_all(connection)
    .await?)
}
