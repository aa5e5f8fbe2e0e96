//! The ledger's tables: where a stream ends, appending, reading.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::clock::Timestamp;
use crate::model::id::StreamId;

use super::Store;
use super::disclosure::NewNames;
use super::error::StoreError;
use super::transform::NewTokens;

/// Where a stream ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub stream: StreamId,
    pub seq: i64,
    pub mac: Vec<u8>,
}

impl Head {
    /// Goes on to the entry that was linked last.
    pub fn go_on_to(&mut self, seq: i64, mac: &[u8; 32]) {
        self.seq = seq;
        self.mac.clear();
        self.mac.extend_from_slice(mac);
    }
}

/// Entries on their way into a stream, column by column.
#[derive(Debug, Default)]
pub struct NewEntries<'a> {
    pub time: Vec<time::OffsetDateTime>,
    pub request: Vec<Uuid>,
    pub account: Vec<&'a str>,
    pub action: Vec<&'a str>,
    pub resource: Vec<&'a str>,
    pub decision: Vec<&'a str>,
    pub subject: Vec<Option<&'a [u8]>>,
    pub change: Vec<Option<&'a str>>,
    pub body: Vec<&'a str>,
    pub mac: Vec<&'a [u8]>,
    /// The subjects of those that concern several.
    pub named: NewNames,
}

/// An entry as it is stored.
#[derive(Debug, Clone)]
pub struct StoredEntry {
    pub stream: i32,
    pub seq: i64,
    pub time: time::OffsetDateTime,
    pub request: Uuid,
    pub account: String,
    pub action: String,
    pub resource: String,
    pub decision: String,
    pub subject: Option<Vec<u8>>,
    pub change: Option<String>,
    pub body: String,
    pub mac: Vec<u8>,
}

/// A connection of the writer's own, on which it holds its stream's lock.
#[derive(Debug)]
pub struct WriterConnection {
    connection: PgConnection,
}

impl WriterConnection {
    pub(crate) fn new(connection: PgConnection) -> Self {
        Self { connection }
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Finds or makes the stream of `node` and takes its lock. None: another process holds it.
    pub async fn claim(&mut self, node: &str) -> Result<Option<Head>, StoreError> {
        let head = sqlx::query!(r#"SELECT stream AS "stream!", seq AS "seq!", mac AS "mac!" FROM ledger_claim($1)"#, node)
            .fetch_one(&mut self.connection)
            .await?;
        // 7305 marks the locks of goldfin's streams among the advisory locks of the database.
        let mine =
            sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock(7305, $1) AS "mine!""#, head.stream).fetch_one(&mut self.connection).await?;
        // The head is read again under the lock: between the two statements its former holder may have written.
        if mine { self.head(StreamId(head.stream)).await.map(Some) } else { Ok(None) }
    }

    /// The last entries of a stream, in order.
    pub async fn tail(&mut self, stream: StreamId, count: i64) -> Result<Vec<StoredEntry>, StoreError> {
        let mut rows = sqlx::query_as!(
            StoredEntry,
            "SELECT stream, seq, time, request, account, action, resource, decision, subject, change, body, mac
             FROM ledger_entry WHERE stream = $1 ORDER BY seq DESC LIMIT $2",
            stream.0,
            count
        )
        .fetch_all(&mut self.connection)
        .await?;
        rows.reverse();
        Ok(rows)
    }

    pub async fn head(&mut self, stream: StreamId) -> Result<Head, StoreError> {
        let row = sqlx::query!("SELECT seq, mac FROM ledger_head WHERE stream = $1", stream.0).fetch_one(&mut self.connection).await?;
        Ok(Head { stream, seq: row.seq, mac: row.mac })
    }

    /// Appends entries in a transaction of their own.
    pub async fn append(&mut self, after: &Head, entries: &NewEntries<'_>) -> Result<(), StoreError> {
        append(&mut self.connection, after, entries).await
    }

    /// Appends new tokens and the entries of the requests that made them, in one statement.
    pub async fn append_with_tokens(&mut self, after: &Head, entries: &NewEntries<'_>, tokens: &NewTokens) -> Result<(), StoreError> {
        sqlx::query!(
            r#"WITH made AS (
                   INSERT INTO pii_token (transformation, id, subject, expires, value, metadata, secret)
                   SELECT * FROM unnest($14::integer[], $15::bigint[], $16::bigint[], $17::timestamptz[], $18::bytea[], $19::bytea[], $20::bytea[])
               )
               SELECT CASE WHEN cardinality($21::bigint[]) > 0 THEN subjects_alive($21) END AS alive,
                      ledger_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) AS entries,
                      CASE WHEN cardinality($22::bigint[]) > 0 THEN ledger_name_subjects($1, $22, $23, $24, $25, $26) END AS names"#,
            after.stream.0,
            after.seq,
            &after.mac,
            &entries.time,
            &entries.request,
            &entries.account as &[&str],
            &entries.action as &[&str],
            &entries.resource as &[&str],
            &entries.decision as &[&str],
            &entries.subject as &[Option<&[u8]>],
            &entries.change as &[Option<&str>],
            &entries.body as &[&str],
            &entries.mac as &[&[u8]],
            &tokens.transformation,
            &tokens.id,
            &tokens.subject as &[Option<i64>],
            &tokens.expires as &[Option<time::OffsetDateTime>],
            &tokens.value,
            &tokens.metadata as &[Option<Vec<u8>>],
            &tokens.secret as &[Option<Vec<u8>>],
            &tokens.distinct_subjects(),
            &entries.named.seq,
            &entries.named.time,
            &entries.named.subject,
            &entries.named.class,
            &entries.named.count
        )
        .fetch_one(&mut self.connection)
        .await?;
        Ok(())
    }
}

/// Appends the entry of a transaction as its last statement.
pub(crate) async fn append(connection: &mut PgConnection, after: &Head, entries: &NewEntries<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        r#"SELECT ledger_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) AS entries,
                  CASE WHEN cardinality($14::bigint[]) > 0 THEN ledger_name_subjects($1, $14, $15, $16, $17, $18) END AS names"#,
        after.stream.0,
        after.seq,
        &after.mac,
        &entries.time,
        &entries.request,
        &entries.account as &[&str],
        &entries.action as &[&str],
        &entries.resource as &[&str],
        &entries.decision as &[&str],
        &entries.subject as &[Option<&[u8]>],
        &entries.change as &[Option<&str>],
        &entries.body as &[&str],
        &entries.mac as &[&[u8]],
        &entries.named.seq,
        &entries.named.time,
        &entries.named.subject,
        &entries.named.class,
        &entries.named.count
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// A reading of the whole ledger as it stands at one moment, however long it takes.
#[derive(Debug)]
pub struct Reading(super::Transaction);

impl Reading {
    pub async fn begin(store: &Store) -> Result<Self, StoreError> {
        let mut transaction = store.begin().await?;
        sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(&mut *transaction).await?;
        Ok(Self(transaction))
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.0
    }

    /// The entries of a stream from `from` on, in order, at most `limit`. A time that goldfin cannot have written (`infinity`) reads as
    /// one that fits no entry.
    pub async fn stretch(&mut self, stream: StreamId, from: i64, limit: i64) -> Result<Vec<StoredEntry>, StoreError> {
        let rows = sqlx::query_as!(
            StoredEntry,
            r#"SELECT stream, seq, CASE WHEN time BETWEEN '0001-01-01Z' AND '9999-12-31Z' THEN time ELSE '0001-01-01Z' END AS "time!",
                      request, account, action, resource, decision, subject, change, body, mac
               FROM ledger_entry WHERE stream = $1 AND seq >= $2 ORDER BY seq LIMIT $3"#,
            stream.0,
            from,
            limit
        )
        .fetch_all(&mut *self.0)
        .await?;
        Ok(rows)
    }

    /// The heads of all streams with their nodes.
    pub async fn heads(&mut self) -> Result<Vec<(String, Head)>, StoreError> {
        heads(&mut self.0).await
    }
}

async fn heads(connection: &mut PgConnection) -> Result<Vec<(String, Head)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT coalesce((SELECT min(s.node) FROM ledger_stream s WHERE s.stream = h.stream), '') AS "node!", h.stream, h.seq,
                      coalesce(h.mac, '') AS "mac!"
               FROM ledger_head h ORDER BY h.stream"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.node, Head { stream: StreamId(row.stream), seq: row.seq, mac: row.mac })).collect())
}

/// The time of the newest entry of all streams.
pub async fn newest_time(store: &Store) -> Result<Option<Timestamp>, StoreError> {
    let mut connection = store.connection().await?;
    let newest = sqlx::query_scalar!("SELECT max(e.time) FROM ledger_head h JOIN ledger_entry e ON e.stream = h.stream AND e.seq = h.seq")
        .fetch_one(&mut *connection)
        .await?;
    Ok(newest.map(Timestamp::from_date))
}

/// Where all streams end now: what [`changes`] goes on from.
pub async fn positions(store: &Store) -> Result<HashMap<i32, i64>, StoreError> {
    let mut connection = store.connection().await?;
    Ok(heads(&mut connection).await?.into_iter().map(|(_, head)| (head.stream.0, head.seq)).collect())
}

/// What other streams changed since the positions in `seen`; moves those on, or none of them when the reading fails. A stream that is
/// not among them is younger than they are, so it is read from its first entry.
pub async fn changes(store: &Store, own: StreamId, seen: &mut HashMap<i32, i64>) -> Result<Vec<String>, StoreError> {
    let mut connection = store.connection().await?;
    let mut changes = Vec::new();
    let mut read = Vec::new();
    for (_, Head { stream, seq, .. }) in heads(&mut connection).await? {
        let after = seen.get(&stream.0).copied().unwrap_or(0);
        if stream == own || seq <= after {
            continue;
        }
        let found = sqlx::query_scalar!(
            r#"SELECT change AS "change!" FROM ledger_entry WHERE stream = $1 AND seq > $2 AND seq <= $3 AND change IS NOT NULL ORDER BY seq"#,
            stream.0,
            after,
            seq
        )
        .fetch_all(&mut *connection)
        .await?;
        changes.extend(found);
        read.push((stream.0, seq));
    }
    seen.extend(read);
    Ok(changes)
}
