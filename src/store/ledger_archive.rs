//! Archives of the ledger as they are recorded: what of each stream was written, read back and found sound, and what of it was pruned.
//! A row is believed only once its note was opened.

use sqlx::PgConnection;
use time::Date;

use crate::model::id::StreamId;

use super::Store;
use super::error::StoreError;
use super::ledger::{Reading, StoredEntry, WriterConnection};
use super::ledger_tree::{self, StoredCheckpoint};
use super::work::Work;

/// The most months and streams that are looked for at once.
const MANY: i64 = 1000;

/// What was archived of a stream.
#[derive(Debug, Clone)]
pub struct StoredArchive {
    pub stream: i32,
    pub first: i64,
    pub last: i64,
    pub month: Date,
    pub root: Vec<u8>,
    pub mac: Vec<u8>,
    pub hashes: Vec<u8>,
    pub levels: Vec<u8>,
    pub digest: Vec<u8>,
    pub kept: Vec<u8>,
    pub note: String,
    pub file: String,
    pub verified: time::OffsetDateTime,
    pub pruned: Option<time::OffsetDateTime>,
}

/// An archive on its way into the table.
#[derive(Debug, Clone)]
pub struct NewArchive {
    pub stream: StreamId,
    pub first: i64,
    pub last: i64,
    pub month: Date,
    pub root: [u8; 32],
    pub mac: [u8; 32],
    pub hashes: Vec<u8>,
    pub levels: Vec<u8>,
    pub digest: [u8; 32],
    pub kept: [u8; 32],
    pub note: String,
    pub file: String,
    /// The checkpoint of its end.
    pub checkpoint: StoredCheckpoint,
}

/// A month of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub stream: StreamId,
    pub month: Date,
}

/// The oldest month that is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oldest {
    pub month: Date,
    /// Whether it is older than the retention.
    pub due: bool,
    /// Streams with entries in it that no archive covers.
    pub unarchived: i64,
}

/// The months up to `until` that are over and have entries which no archive covers, oldest first.
pub async fn waiting(store: &Store, until: Date) -> Result<Vec<Waiting>, StoreError> {
    let mut connection = store.connection().await?;
    let rows = sqlx::query!(
        r#"SELECT m.month, h.stream
           FROM ledger_month m CROSS JOIN ledger_head h
           WHERE m.pruned IS NULL AND m.month <= $1 AND ledger_end_of(m.month) + interval '1 day' <= now()
             AND NOT EXISTS (SELECT FROM ledger_archive a WHERE a.stream = h.stream AND a.month = m.month)
             AND EXISTS (SELECT FROM ledger_entry e
                         WHERE e.stream = h.stream AND e.time >= ledger_start_of(m.month) AND e.time < ledger_end_of(m.month))
           ORDER BY m.month, h.stream LIMIT $2"#,
        until,
        MANY
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(rows.into_iter().map(|row| Waiting { stream: StreamId(row.stream), month: row.month }).collect())
}

/// The months up to `until` that are still there, oldest first; the retention counts the days to now.
pub async fn prunable(store: &Store, until: Date) -> Result<Vec<Oldest>, StoreError> {
    let mut connection = store.connection().await?;
    let rows = sqlx::query!(
        r#"SELECT m.month,
                  ledger_end_of(m.month) + (SELECT r.days FROM ledger_retention r ORDER BY r.version DESC LIMIT 1) * interval '1 day' <= now() AS "due!",
                  (SELECT count(*) FROM ledger_head h
                   WHERE NOT EXISTS (SELECT FROM ledger_archive a WHERE a.stream = h.stream AND a.month = m.month)
                     AND EXISTS (SELECT FROM ledger_entry e
                                 WHERE e.stream = h.stream AND e.time >= ledger_start_of(m.month) AND e.time < ledger_end_of(m.month))) AS "unarchived!"
           FROM ledger_month m WHERE m.pruned IS NULL AND m.month <= $1 ORDER BY m.month LIMIT $2"#,
        until,
        MANY
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(rows.into_iter().map(|row| Oldest { month: row.month, due: row.due, unarchived: row.unarchived }).collect())
}

/// How many days entries are kept at least.
pub async fn retention_days(store: &Store) -> Result<i32, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_scalar!("SELECT days FROM ledger_retention ORDER BY version DESC LIMIT 1").fetch_one(&mut *connection).await?)
}

/// Records an archive, with the checkpoint of its end.
pub async fn record(work: &mut Work, new: &NewArchive) -> Result<(), StoreError> {
    let transaction = work.transaction().await?;
    ledger_tree::append(transaction, new.stream, new.last, Some(&new.checkpoint), &[]).await?;
    sqlx::query!(
        "SELECT ledger_archive_record($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        new.stream.0,
        new.first,
        new.last,
        new.month,
        &new.root[..],
        &new.mac[..],
        &new.hashes,
        &new.levels,
        &new.digest[..],
        &new.kept[..],
        new.note,
        new.file
    )
    .fetch_one(&mut **transaction)
    .await?;
    Ok(())
}

/// Empties a month in the work's transaction; gives what is kept of it.
pub async fn prune(work: &mut Work, month: Date) -> Result<Vec<StoredEntry>, StoreError> {
    let transaction = work.transaction().await?;
    sqlx::query!("SELECT ledger_prune($1)", month).fetch_one(&mut **transaction).await?;
    Ok(sqlx::query_as!(
        StoredEntry,
        r#"SELECT k.stream, k.seq, k.time, k.request, k.account, k.action, k.resource, k.decision, k.subject, k.change, k.body, k.mac
           FROM ledger_kept k JOIN ledger_archive a ON a.stream = k.stream AND k.seq BETWEEN a.first AND a.last
           WHERE a.month = $1 ORDER BY k.stream, k.seq"#,
        month
    )
    .fetch_all(&mut **transaction)
    .await?)
}

/// The archives of all streams, or of one, in the order of their entries.
pub async fn archives(store: &Store, stream: Option<StreamId>) -> Result<Vec<StoredArchive>, StoreError> {
    let mut connection = store.connection().await?;
    of(&mut connection, stream).await
}

impl Reading {
    pub async fn archives(&mut self, stream: StreamId) -> Result<Vec<StoredArchive>, StoreError> {
        of(self.connection(), Some(stream)).await
    }

    /// The first and the last entry of a stream in a month.
    pub async fn range_of(&mut self, stream: StreamId, month: Date) -> Result<Option<(i64, i64)>, StoreError> {
        let row = sqlx::query!(
            "SELECT min(seq) AS first, max(seq) AS last FROM ledger_entry
             WHERE stream = $1 AND time >= ledger_start_of($2) AND time < ledger_end_of($2)",
            stream.0,
            month
        )
        .fetch_one(self.connection())
        .await?;
        Ok(row.first.zip(row.last))
    }
}

impl WriterConnection {
    pub async fn archives(&mut self, stream: StreamId) -> Result<Vec<StoredArchive>, StoreError> {
        of(self.connection(), Some(stream)).await
    }
}

async fn of(connection: &mut PgConnection, stream: Option<StreamId>) -> Result<Vec<StoredArchive>, StoreError> {
    Ok(sqlx::query_as!(
        StoredArchive,
        // A verifier finds a row that lacks something untrue, and is not stopped by it.
        r#"SELECT stream AS "stream!", coalesce(first, 0) AS "first!", coalesce(last, 0) AS "last!", coalesce(month, '0001-01-01') AS "month!",
                  coalesce(root, '') AS "root!", coalesce(mac, '') AS "mac!", coalesce(hashes, '') AS "hashes!", coalesce(levels, '') AS "levels!",
                  coalesce(digest, '') AS "digest!", coalesce(kept, '') AS "kept!", coalesce(note, '') AS "note!", coalesce(file, '') AS "file!",
                  coalesce(verified, '0001-01-01Z') AS "verified!", pruned
           FROM ledger_archive WHERE stream IS NOT NULL AND ($1::integer IS NULL OR stream = $1) ORDER BY stream, last"#,
        stream.map(|stream| stream.0)
    )
    .fetch_all(connection)
    .await?)
}
