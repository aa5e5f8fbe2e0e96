//! Erasures as the database knows them, and repeating those that it has forgotten.

use crate::model::clock::Timestamp;
use crate::model::id::MountId;

use super::Store;
use super::error::StoreError;
use super::work::Work;

/// A subject that was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    pub mount: MountId,
    /// The number of the subject's row. One that comes again has another.
    pub id: i64,
    /// The keyed hash.
    pub hash: [u8; 32],
    pub at: Timestamp,
}

fn erasure(mount: i32, id: i64, hash: &[u8], at: time::OffsetDateTime) -> Result<Erasure, StoreError> {
    let hash = hash.try_into().map_err(|_| StoreError::Integrity("a subject's hash cannot be"))?;
    Ok(Erasure { mount: MountId(mount), id, hash, at: Timestamp::from_date(at) })
}

/// All of them.
pub async fn all(store: &Store) -> Result<Vec<Erasure>, StoreError> {
    let mut connection = store.connection().await?;
    let rows =
        sqlx::query!(r#"SELECT mount, id, hash, erased AS "at!" FROM subject WHERE namespace = 0 AND wrapped_key IS NULL ORDER BY id"#)
            .fetch_all(&mut *connection)
            .await?;
    rows.into_iter().map(|row| erasure(row.mount, row.id, &row.hash, row.at)).collect()
}

/// That of one row, if it is erased.
pub async fn find(store: &Store, id: i64) -> Result<Option<Erasure>, StoreError> {
    let mut connection = store.connection().await?;
    let row =
        sqlx::query!(r#"SELECT mount, id, hash, erased AS "at!" FROM subject WHERE namespace = 0 AND id = $1 AND wrapped_key IS NULL"#, id)
            .fetch_optional(&mut *connection)
            .await?;
    row.map(|row| erasure(row.mount, row.id, &row.hash, row.at)).transpose()
}

/// The columns of many.
#[derive(Default)]
struct Columns {
    mount: Vec<i32>,
    id: Vec<i64>,
    hash: Vec<Vec<u8>>,
    at: Vec<time::OffsetDateTime>,
}

fn columns(erasures: &[Erasure]) -> Columns {
    let mut columns = Columns::default();
    for erasure in erasures {
        columns.mount.push(erasure.mount.0);
        columns.id.push(erasure.id);
        columns.hash.push(erasure.hash.to_vec());
        columns.at.push(erasure.at.to_date());
    }
    columns
}

/// Whether one of them is alive again in the database. The row's number, whose it is and when it was made must all fit: somebody who
/// came again after the erasure is not meant. Numbers that were given out before are not given out again.
pub async fn came_back(store: &Store, erasures: &[Erasure]) -> Result<bool, StoreError> {
    let Some(highest) = erasures.iter().map(|erasure| erasure.id).max() else { return Ok(false) };
    let columns = columns(erasures);
    let mut connection = store.connection().await?;
    sqlx::query!(
        r#"SELECT setval('subject_id_seq', $1) AS "at!" FROM subject_id_seq WHERE last_value < $1 OR (last_value = $1 AND NOT is_called)"#,
        highest
    )
    .fetch_optional(&mut *connection)
    .await?;
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM unnest($1::integer[], $2::bigint[], $3::bytea[], $4::timestamptz[]) AS n (mount, id, hash, at)
               JOIN subject s ON s.namespace = 0 AND s.id = n.id AND s.mount = n.mount AND s.hash = n.hash
               WHERE s.created <= n.at AND s.wrapped_key IS NOT NULL) AS "back!""#,
        &columns.mount,
        &columns.id,
        &columns.hash,
        &columns.at
    )
    .fetch_one(&mut *connection)
    .await?)
}

/// Destroys the keys of those that are alive again, in the work's transaction; gives their numbers and hashes, and how many tokens of
/// each became unreadable.
pub async fn repeat(work: &mut Work, erasures: &[Erasure]) -> Result<Vec<(i64, [u8; 32], u64)>, StoreError> {
    let columns = columns(erasures);
    let transaction = work.transaction().await?;
    let gone = sqlx::query!(
        r#"UPDATE subject s SET wrapped_key = NULL, erased = n.at
           FROM unnest($1::integer[], $2::bigint[], $3::bytea[], $4::timestamptz[]) AS n (mount, id, hash, at)
           WHERE s.namespace = 0 AND s.id = n.id AND s.mount = n.mount AND s.hash = n.hash AND s.created <= n.at AND s.wrapped_key IS NOT NULL
           RETURNING s.id, s.hash, (SELECT count(*) FROM pii_token t WHERE t.namespace = 0 AND t.subject = s.id) AS "tokens!""#,
        &columns.mount,
        &columns.id,
        &columns.hash,
        &columns.at
    )
    .fetch_all(&mut **transaction)
    .await?;
    gone.into_iter()
        .map(|row| {
            let hash = row.hash.as_slice().try_into().map_err(|_| StoreError::Integrity("a subject's hash cannot be"))?;
            Ok((row.id, hash, u64::try_from(row.tokens).unwrap_or(0)))
        })
        .collect()
}
