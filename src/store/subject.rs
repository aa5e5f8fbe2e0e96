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

/// Reserves the numbers of new subjects: their keys are bound to them before the rows are written.
pub async fn next_ids(work: &Work, count: usize) -> Result<Vec<i64>, StoreError> {
    let mut connection = work.store().connection().await?;
    let count = i32::try_from(count).map_err(|_| StoreError::Defect("too many subjects at once".to_owned()))?;
    Ok(sqlx::query_scalar!(r#"SELECT nextval('subject_id_seq') AS "id!" FROM generate_series(1, $1)"#, count)
        .fetch_all(&mut *connection)
        .await?)
}

/// Keeps subjects alive until the work's transaction ends; waits for an erasure that is under way, whose transaction waits for nobody.
pub async fn keep_alive(work: &mut Work, subjects: &[i64]) -> Result<(), StoreError> {
    if subjects.is_empty() {
        return Ok(());
    }
    let alive = sqlx::query_scalar!(
        "SELECT id FROM subject WHERE namespace = 0 AND id = ANY ($1) AND wrapped_key IS NOT NULL ORDER BY id FOR KEY SHARE",
        subjects
    )
    .fetch_all(&mut **work.transaction().await?)
    .await?;
    if alive.len() < subjects.len() { Err(StoreError::SubjectGone) } else { Ok(()) }
}

/// Makes subjects at once, ahead of the request that needs them: a row without tokens says nothing about anybody and an aborted
/// request leaves no more than that. Where another request was first, its row stays; the caller reads again. In the order of the
/// hashes, so that two requests that make the same subjects do not wait for each other in a circle.
pub async fn insert(work: &Work, subjects: &mut [(Vec<u8>, SubjectRow)]) -> Result<u64, StoreError> {
    subjects.sort_by(|(a, _), (b, _)| a.cmp(b));
    let ids: Vec<i64> = subjects.iter().map(|(_, row)| row.id).collect();
    let hashes: Vec<Vec<u8>> = subjects.iter().map(|(hash, _)| hash.clone()).collect();
    let keys: Vec<Vec<u8>> = subjects.iter().map(|(_, row)| row.wrapped_key.clone()).collect();
    let mut connection = work.store().connection().await?;
    let written = sqlx::query!(
        "INSERT INTO subject (namespace, id, mount, hash, wrapped_key, created) OVERRIDING SYSTEM VALUE
         SELECT 0, new.id, $1, new.hash, new.wrapped_key, $2 FROM unnest($3::bigint[], $4::bytea[], $5::bytea[]) AS new (id, hash, wrapped_key)
         ON CONFLICT (namespace, mount, hash) WHERE wrapped_key IS NOT NULL DO NOTHING",
        work.mount_id().0,
        work.now().to_date(),
        &ids,
        &hashes,
        &keys
    )
    .execute(&mut *connection)
    .await?;
    Ok(written.rows_affected())
}

/// What an erasure destroyed.
#[derive(Debug, Clone)]
pub struct Erased {
    /// The numbers of those that were alive (at most one).
    pub ids: Vec<i64>,
    /// How many tokens became unreadable.
    pub tokens: i64,
}

/// Destroys the wrapped key of a subject in the work's transaction.
pub async fn erase(work: &mut Work, hash: &[u8]) -> Result<Erased, StoreError> {
    let (mount, now) = (work.mount_id().0, work.now());
    let transaction = work.transaction().await?;
    // Not the weaker lock of the UPDATE, which a re-wrapping takes too: this one also stops new tokens of the subject.
    sqlx::query!(
        "SELECT id FROM subject WHERE namespace = 0 AND mount = $1 AND hash = $2 AND wrapped_key IS NOT NULL FOR UPDATE",
        mount,
        hash
    )
    .fetch_all(&mut **transaction)
    .await?;
    let ids = sqlx::query_scalar!(
        "UPDATE subject SET wrapped_key = NULL, erased = $3 WHERE namespace = 0 AND mount = $1 AND hash = $2 AND wrapped_key IS NOT NULL RETURNING id",
        mount,
        hash,
        now.to_date()
    )
    .fetch_all(&mut **transaction)
    .await?;
    // Under the lock: no token of theirs is made any more.
    let tokens = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM pii_token WHERE namespace = 0 AND subject = ANY ($1)"#, &ids)
        .fetch_one(&mut **transaction)
        .await?;
    Ok(Erased { ids, tokens })
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
