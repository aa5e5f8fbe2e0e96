//! What witnesses said of our checkpoints, and how far we have seen the ledgers of others. Nothing here verifies a signature.

use sqlx::PgConnection;

use crate::model::clock::Timestamp;
use crate::model::id::StreamId;

use super::Store;
use super::error::StoreError;
use super::ledger::{Head, Reading};
use super::work::Work;

/// The newest checkpoint of another ledger that we have cosigned.
#[derive(Debug, Clone)]
pub struct Witnessed {
    pub size: i64,
    pub note: String,
}

/// How far a ledger was seen, until this work's end for nobody else to change.
pub async fn seen(work: &mut Work, origin: &str) -> Result<Option<Witnessed>, StoreError> {
    let transaction = work.transaction().await?;
    Ok(sqlx::query_as!(Witnessed, "SELECT size, note FROM ledger_witnessed WHERE origin = $1 FOR UPDATE", origin)
        .fetch_optional(&mut **transaction)
        .await?)
}

/// Remembers how far a ledger is seen now. `before` is what [`seen`] said: two that see it for the first time conflict.
pub async fn remember(work: &mut Work, origin: &str, before: Option<&Witnessed>, now: &Witnessed) -> Result<(), StoreError> {
    let transaction = work.transaction().await?;
    let connection: &mut PgConnection = transaction;
    if before.is_some() {
        sqlx::query!("UPDATE ledger_witnessed SET size = $2, note = $3 WHERE origin = $1", origin, now.size, now.note)
            .execute(connection)
            .await?;
    } else {
        sqlx::query!("INSERT INTO ledger_witnessed (origin, size, note) VALUES ($1, $2, $3)", origin, now.size, now.note)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Keeps what a witness said beside the checkpoint of a stream.
pub async fn keep(store: &Store, stream: StreamId, size: i64, witness: &str, line: &str, time: Timestamp) -> Result<(), StoreError> {
    let mut connection = store.connection().await?;
    sqlx::query!(
        "INSERT INTO ledger_cosignature (stream, size, witness, line, time) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        stream.0,
        size,
        witness,
        line,
        time.to_date()
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// The largest size of a stream that a witness has cosigned, as far as was kept.
pub async fn newest(store: &Store, stream: StreamId, witness: &str) -> Result<Option<i64>, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_scalar!("SELECT max(size) FROM ledger_cosignature WHERE stream = $1 AND witness = $2", stream.0, witness)
        .fetch_one(&mut *connection)
        .await?)
}

impl Reading {
    /// Where the stream of a node ends; none before its first start.
    pub async fn head_of(&mut self, node: &str) -> Result<Option<Head>, StoreError> {
        Ok(self.heads().await?.into_iter().find(|(name, _)| name == node).map(|(_, head)| head))
    }

    /// Whether an entry of the stream says that an operator has acknowledged the loss of what was behind `known`.
    pub async fn is_acknowledged(&mut self, stream: StreamId, known: i64) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM ledger_entry WHERE stream = $1 AND action = 'acknowledge_ledger'
                              AND strpos(body, ',"version":' || $2::bigint || ',') > 0) AS "is!""#,
            stream.0,
            known
        )
        .fetch_one(self.connection())
        .await?)
    }

    /// The cosignatures of a checkpoint: lines with their ends.
    pub async fn cosignatures(&mut self, stream: StreamId, size: i64) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar!(
            "SELECT line FROM ledger_cosignature WHERE stream = $1 AND size = $2 ORDER BY witness LIMIT 15",
            stream.0,
            size
        )
        .fetch_all(self.connection())
        .await?)
    }
}
