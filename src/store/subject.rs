//! The rows of data subjects: a keyed hash and a wrapped key, destroyed when the subject is erased.

use crate::model::clock::Timestamp;
use crate::model::id::MountId;

use super::error::StoreError;
use super::work::Work;

#[derive(Debug, Clone)]
pub struct SubjectRow {
    pub id: i64,
    pub wrapped_key: Vec<u8>,
}

/// Finds the living subjects among `hashes` in the work's mount.
pub async fn find(work: &Work, hashes: &[Vec<u8>]) -> Result<Vec<(Vec<u8>, SubjectRow)>, StoreError> {
    let mut connection = work.store().connection().await?;
    let rows = sqlx::query!(
        r#"SELECT id, hash, wrapped_key AS "wrapped_key!" FROM subject
           WHERE namespace = 0 AND mount = $1 AND hash = ANY ($2) AND wrapped_key IS NOT NULL"#,
        work.mount_id().0,
        hashes
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.hash, SubjectRow { id: row.id, wrapped_key: row.wrapped_key })).collect())
}

/// Reserves the number of a new subject: its key is bound to it before the row is written.
pub async fn next_id(work: &Work) -> Result<i64, StoreError> {
    let mut connection = work.store().connection().await?;
    Ok(sqlx::query_scalar!(r#"SELECT nextval('subject_id_seq') AS "id!""#).fetch_one(&mut *connection).await?)
}

/// Makes a subject at once, ahead of the request that needs it: a row without tokens says nothing about anybody and an aborted request
/// leaves no more than that. When another request was first, its row wins.
pub async fn insert(work: &Work, hash: &[u8], row: &SubjectRow) -> Result<SubjectRow, StoreError> {
    let mut connection = work.store().connection().await?;
    let mount = work.mount_id().0;
    let written = sqlx::query!(
        "INSERT INTO subject (namespace, id, mount, hash, wrapped_key, created) OVERRIDING SYSTEM VALUE VALUES (0, $1, $2, $3, $4, $5)
         ON CONFLICT (namespace, mount, hash) WHERE wrapped_key IS NOT NULL DO NOTHING",
        row.id,
        mount,
        hash,
        row.wrapped_key,
        work.now().to_date()
    )
    .execute(&mut *connection)
    .await?;
    if written.rows_affected() == 1 {
        return Ok(row.clone());
    }
    let other = sqlx::query!(
        r#"SELECT id, wrapped_key AS "wrapped_key!" FROM subject WHERE namespace = 0 AND mount = $1 AND hash = $2 AND wrapped_key IS NOT NULL"#,
        mount,
        hash
    )
    .fetch_optional(&mut *connection)
    .await?;
    other.map(|row| SubjectRow { id: row.id, wrapped_key: row.wrapped_key }).ok_or(StoreError::SubjectGone)
}

/// Destroys the wrapped key of a subject in the work's transaction, and gives the numbers of those that were alive (at most one).
pub async fn erase(work: &mut Work, hash: &[u8]) -> Result<Vec<i64>, StoreError> {
    let (mount, now) = (work.mount_id().0, work.now());
    let transaction = work.transaction().await?;
    Ok(sqlx::query_scalar!(
        "UPDATE subject SET wrapped_key = NULL, erased = $3 WHERE namespace = 0 AND mount = $1 AND hash = $2 AND wrapped_key IS NOT NULL RETURNING id",
        mount,
        hash,
        now.to_date()
    )
    .fetch_all(&mut **transaction)
    .await?)
}

/// What is held about a subject: transformation number and count; and when it was erased before.
#[derive(Debug, Clone)]
pub struct Holdings {
    pub alive: bool,
    pub tokens: Vec<(i32, i64)>,
    pub erased: Vec<Timestamp>,
}

pub async fn holdings(work: &Work, hash: &[u8]) -> Result<Holdings, StoreError> {
    let mut connection = work.store().connection().await?;
    let mount = work.mount_id().0;
    let subjects =
        sqlx::query!(r#"SELECT id, erased FROM subject WHERE namespace = 0 AND mount = $1 AND hash = $2 ORDER BY id"#, mount, hash)
            .fetch_all(&mut *connection)
            .await?;
    let alive: Vec<i64> = subjects.iter().filter(|row| row.erased.is_none()).map(|row| row.id).collect();
    let erased = subjects.iter().filter_map(|row| row.erased).map(Timestamp::from_date).collect();
    let tokens = sqlx::query!(
        r#"SELECT transformation, count(*) AS "count!" FROM pii_token WHERE namespace = 0 AND subject = ANY ($1) GROUP BY transformation ORDER BY transformation"#,
        &alive
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(Holdings { alive: !alive.is_empty(), tokens: tokens.into_iter().map(|row| (row.transformation, row.count)).collect(), erased })
}

/// Destroys the keys of all subjects of a mount that is going away.
pub async fn erase_of_mount(work: &mut Work, mount: MountId) -> Result<(), StoreError> {
    let now = work.now().to_date();
    let transaction = work.transaction().await?;
    sqlx::query!(
        "UPDATE subject SET wrapped_key = NULL, erased = $2 WHERE namespace = 0 AND mount = $1 AND wrapped_key IS NOT NULL",
        mount.0,
        now
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
