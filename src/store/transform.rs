//! The rows of PII tokens and of the keys of transformations.

use crate::model::clock::Timestamp;
use crate::model::id::MountId;

use super::Store;
use super::error::StoreError;
use super::work::Work;

/// How many numbers a node takes at a time; it hands them out to new tokens one by one.
pub const BLOCK: i64 = 4096;

/// New tokens on their way into the table, column by column.
#[derive(Debug, Default)]
pub struct NewTokens {
    pub transformation: Vec<i32>,
    pub id: Vec<i64>,
    pub subject: Vec<Option<i64>>,
    pub expires: Vec<Option<time::OffsetDateTime>>,
    pub value: Vec<Vec<u8>>,
    pub metadata: Vec<Option<Vec<u8>>>,
    /// The token's own secret, encrypted, where the transformation is exportable.
    pub secret: Vec<Option<Vec<u8>>>,
}

impl NewTokens {
    #[must_use]
    pub fn with_capacity(count: usize) -> Self {
        Self {
            transformation: Vec::with_capacity(count),
            id: Vec::with_capacity(count),
            subject: Vec::with_capacity(count),
            expires: Vec::with_capacity(count),
            value: Vec::with_capacity(count),
            metadata: Vec::with_capacity(count),
            secret: Vec::with_capacity(count),
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.id.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.id.is_empty()
    }

    /// Moves all of `more` to the end.
    pub fn append(&mut self, more: &mut Self) {
        self.transformation.append(&mut more.transformation);
        self.id.append(&mut more.id);
        self.subject.append(&mut more.subject);
        self.expires.append(&mut more.expires);
        self.value.append(&mut more.value);
        self.metadata.append(&mut more.metadata);
        self.secret.append(&mut more.secret);
    }

    /// Moves what stands at `at` and behind it into a list of its own; `at` is at most the length.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        Self {
            transformation: self.transformation.split_off(at),
            id: self.id.split_off(at),
            subject: self.subject.split_off(at),
            expires: self.expires.split_off(at),
            value: self.value.split_off(at),
            metadata: self.metadata.split_off(at),
            secret: self.secret.split_off(at),
        }
    }

    /// The subjects, each once.
    #[must_use]
    pub fn distinct_subjects(&self) -> Vec<i64> {
        let mut subjects: Vec<i64> = self.subject.iter().flatten().copied().collect();
        subjects.sort_unstable();
        subjects.dedup();
        subjects
    }
}

/// A token of one subject whose secret is stored, for an export.
#[derive(Debug, Clone)]
pub struct ExportRow {
    pub id: i64,
    pub transformation: i32,
    pub expires: Option<Timestamp>,
    pub value: Vec<u8>,
    pub metadata: Option<Vec<u8>>,
    pub secret: Vec<u8>,
}

/// The exportable tokens of a subject behind the token `after`, in the order of their making, at most `limit`.
pub async fn exportable(store: &Store, subject: i64, after: i64, limit: i64) -> Result<Vec<ExportRow>, StoreError> {
    let mut connection = store.connection().await?;
    let rows = sqlx::query!(
        r#"SELECT id, transformation, expires, value, metadata, secret AS "secret!"
           FROM pii_token WHERE namespace = 0 AND subject = $1 AND id > $2 AND secret IS NOT NULL ORDER BY id LIMIT $3"#,
        subject,
        after,
        limit
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ExportRow {
            id: row.id,
            transformation: row.transformation,
            expires: row.expires.map(Timestamp::from_date),
            value: row.value,
            metadata: row.metadata,
            secret: row.secret,
        })
        .collect())
}

/// Takes a block of [`BLOCK`] ids; gives the first.
pub async fn take_block(store: &Store) -> Result<i64, StoreError> {
    let mut connection = store.connection().await?;
    let block = sqlx::query_scalar!(r#"SELECT nextval('pii_token_block') AS "block!""#).fetch_one(&mut *connection).await?;
    block.checked_mul(BLOCK).ok_or_else(|| StoreError::Defect("the ids of tokens have run out".to_owned()))
}

/// Takes serial numbers for shaped tokens of a transformation; gives the first. None: the transformation is gone. Committed by itself:
/// a number that was taken is never given again, whatever becomes of the request.
pub async fn take_serials(store: &Store, mount: i32, transformation: &str, count: i64) -> Result<Option<i64>, StoreError> {
    let mut connection = store.connection().await?;
    let behind = sqlx::query_scalar!(
        "UPDATE transform_key SET issued = issued + $3 WHERE namespace = 0 AND mount = $1 AND transformation = $2 AND version = 0 RETURNING issued",
        mount,
        transformation,
        count
    )
    .fetch_optional(&mut *connection)
    .await?;
    Ok(behind.map(|behind| behind - count))
}

/// Makes sure that no serial number of a transformation below `next` is given again: those of tokens that are put back.
pub async fn pass_serials(store: &Store, mount: i32, transformation: &str, next: i64) -> Result<(), StoreError> {
    let mut connection = store.connection().await?;
    sqlx::query!(
        "UPDATE transform_key SET issued = greatest(issued, $3) WHERE namespace = 0 AND mount = $1 AND transformation = $2 AND version = 0",
        mount,
        transformation,
        next
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// The number of a new transformation; never reused.
pub async fn next_number(work: &mut Work) -> Result<i32, StoreError> {
    let transaction = work.transaction().await?;
    Ok(sqlx::query_scalar!(r#"SELECT nextval('transformation_number')::integer AS "number!""#).fetch_one(&mut **transaction).await?)
}

/// A wrapped key of a transformation. Version 0 makes ids and checksums and never changes; the others encrypt.
#[derive(Debug, Clone)]
pub struct TransformKeyRow {
    pub transformation: String,
    pub version: i32,
    pub wrapped_key: Vec<u8>,
}

/// All versions of the keys of one transformation of a mount.
pub async fn keys(store: &Store, mount: i32, transformation: &str) -> Result<Vec<TransformKeyRow>, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_as!(
        TransformKeyRow,
        "SELECT transformation, version, wrapped_key FROM transform_key WHERE namespace = 0 AND mount = $1 AND transformation = $2 ORDER BY version",
        mount,
        transformation
    )
    .fetch_all(&mut *connection)
    .await?)
}

pub async fn insert_key(work: &mut Work, row: &TransformKeyRow) -> Result<(), StoreError> {
    let (mount, now) = (work.mount_id().0, work.now());
    let transaction = work.transaction().await?;
    sqlx::query!(
        "INSERT INTO transform_key (namespace, mount, transformation, version, wrapped_key, created) VALUES (0, $1, $2, $3, $4, $5)",
        mount,
        row.transformation,
        row.version,
        row.wrapped_key,
        now.to_date()
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Destroys the encrypting keys of a transformation below `version`; version 0, which encrypts nothing, stays.
pub async fn delete_keys_below(work: &mut Work, transformation: &str, version: i32) -> Result<(), StoreError> {
    let mount = work.mount_id().0;
    let transaction = work.transaction().await?;
    sqlx::query!(
        "DELETE FROM transform_key WHERE namespace = 0 AND mount = $1 AND transformation = $2 AND version > 0 AND version < $3",
        mount,
        transformation,
        version
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Destroys the keys of a transformation that is deleted: what was tokenized with it is gone.
pub async fn delete_keys(work: &mut Work, transformation: &str) -> Result<(), StoreError> {
    let mount = work.mount_id().0;
    let transaction = work.transaction().await?;
    sqlx::query!("DELETE FROM transform_key WHERE namespace = 0 AND mount = $1 AND transformation = $2", mount, transformation)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Deletes tokens by id in the work's transaction; gives the ids that were there.
pub async fn delete(work: &mut Work, transformation: i32, ids: &[i64]) -> Result<Vec<i64>, StoreError> {
    let transaction = work.transaction().await?;
    Ok(sqlx::query_scalar!(
        "DELETE FROM pii_token WHERE namespace = 0 AND transformation = $1 AND id = ANY ($2) RETURNING id",
        transformation,
        ids
    )
    .fetch_all(&mut **transaction)
    .await?)
}

/// Deletes tokens that expired before `moment`, at most `limit`; for the job.
pub async fn delete_expired(work: &mut Work, moment: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let transaction = work.transaction().await?;
    let gone = sqlx::query_scalar!(
        r#"WITH gone AS (
               DELETE FROM pii_token WHERE namespace = 0 AND id IN (SELECT id FROM pii_token WHERE namespace = 0 AND expires < $1 LIMIT $2)
               RETURNING id
           ), values_of AS (
               DELETE FROM pii_token_index i USING gone WHERE i.namespace = 0 AND i.id = gone.id
           )
           SELECT count(*) AS "count!" FROM gone"#,
        moment.to_date(),
        limit
    )
    .fetch_one(&mut **transaction)
    .await?;
    Ok(u64::try_from(gone).unwrap_or_default())
}

/// Removes the keys of a mount that is going away: its tokens cannot be decrypted any more, by anybody.
pub async fn delete_keys_of_mount(work: &mut Work, mount: MountId) -> Result<(), StoreError> {
    let transaction = work.transaction().await?;
    sqlx::query!("DELETE FROM transform_key WHERE namespace = 0 AND mount = $1", mount.0).execute(&mut **transaction).await?;
    Ok(())
}
