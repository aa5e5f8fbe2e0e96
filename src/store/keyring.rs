//! The seal's row and the versions of the keyring, as ciphertext.

use uuid::Uuid;

use crate::model::clock::Timestamp;

use super::Store;
use super::error::StoreError;
use super::work::Work;

/// What `init` stored. Without the unseal key it opens nothing.
#[derive(Debug, Clone)]
pub struct SealRow {
    pub generation: i32,
    pub shares: i16,
    pub threshold: i16,
    pub wrapped_root: Vec<u8>,
    pub wrapped_barrier: Vec<u8>,
    pub cluster_id: Uuid,
    pub cluster_name: String,
}

/// One version of the keyring.
#[derive(Debug, Clone)]
pub struct KekRow {
    pub version: i32,
    /// Absent once destroyed.
    pub wrapped_key: Option<Vec<u8>>,
    pub created: Timestamp,
    /// From here on the database refuses new keys under it.
    pub retired: Option<Timestamp>,
}

pub async fn read_seal(store: &Store) -> Result<Option<SealRow>, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_as!(
        SealRow,
        "SELECT generation, shares, threshold, wrapped_root, wrapped_barrier, cluster_id, cluster_name FROM seal WHERE singleton"
    )
    .fetch_optional(&mut *connection)
    .await?)
}

/// Writes the seal's row in the work's transaction. Fails with [`StoreError::Conflict`] when somebody else initialised first.
pub async fn insert_seal(work: &mut Work, seal: &SealRow) -> Result<(), StoreError> {
    let transaction = work.transaction().await?;
    let written = sqlx::query!(
        "INSERT INTO seal (generation, shares, threshold, wrapped_root, wrapped_barrier, cluster_id, cluster_name)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        seal.generation,
        seal.shares,
        seal.threshold,
        seal.wrapped_root,
        seal.wrapped_barrier,
        seal.cluster_id,
        seal.cluster_name
    )
    .execute(&mut **transaction)
    .await?;
    if written.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

pub async fn load_keks(store: &Store) -> Result<Vec<KekRow>, StoreError> {
    let mut connection = store.connection().await?;
    let rows = sqlx::query!("SELECT version, wrapped_key, created, retired FROM kek WHERE namespace = 0 ORDER BY version")
        .fetch_all(&mut *connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| KekRow {
            version: row.version,
            wrapped_key: row.wrapped_key,
            created: Timestamp::from_date(row.created),
            retired: row.retired.map(Timestamp::from_date),
        })
        .collect())
}

/// Adds a version of the keyring in the work's transaction.
pub async fn add_kek(work: &mut Work, kek: &KekRow) -> Result<(), StoreError> {
    let transaction = work.transaction().await?;
    sqlx::query!(
        "INSERT INTO kek (namespace, version, wrapped_key, created) VALUES (0, $1, $2, $3)",
        kek.version,
        kek.wrapped_key,
        kek.created.to_date()
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Destroys the key of a version: its number stays, so that it is never used again.
pub async fn destroy_kek(work: &mut Work, version: i32) -> Result<(), StoreError> {
    let transaction = work.transaction().await?;
    sqlx::query!("UPDATE kek SET wrapped_key = NULL WHERE namespace = 0 AND version = $1", version).execute(&mut **transaction).await?;
    Ok(())
}
