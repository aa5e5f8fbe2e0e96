//! Transformations that were deleted, and the rows that their tokens left behind: nobody can decrypt those any more, and the job removes
//! them a stretch at a time. No index finds tokens by their transformation, so that making tokens does not pay for one.

use crate::model::clock::Timestamp;
use crate::model::id::MountId;

use super::Store;
use super::control::ControlKind;
use super::error::StoreError;
use super::work::Work;

/// The tokens that one unit of work looks at, and the most that it removes of the values' table.
const STRETCH: i64 = 50_000;

/// Notes that a transformation is gone, in the transaction that deletes its keys.
pub async fn note(work: &mut Work, transformation: i32) -> Result<(), StoreError> {
    let now = work.now().to_date();
    let transaction = work.transaction().await?;
    sqlx::query!(
        "INSERT INTO transform_removed (namespace, transformation, removed) VALUES (0, $1, $2) ON CONFLICT DO NOTHING",
        transformation,
        now
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Notes that all transformations of a mount are gone. Call it before their control rows are deleted.
pub async fn note_mount(work: &mut Work, mount: MountId) -> Result<(), StoreError> {
    let now = work.now().to_date();
    let transaction = work.transaction().await?;
    sqlx::query!(
        "INSERT INTO transform_removed (namespace, transformation, removed)
         SELECT 0, (body::json ->> 'number')::integer, $3 FROM control WHERE namespace = 0 AND mount = $1 AND kind = $2 ON CONFLICT DO NOTHING",
        mount.0,
        ControlKind::Transformation.name(),
        now
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Whether a transformation that was deleted before `moment` has rows to remove.
pub async fn is_due(store: &Store, moment: Timestamp) -> Result<bool, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM transform_removed WHERE namespace = 0 AND removed < $1) AS "due!""#,
        moment.to_date()
    )
    .fetch_one(&mut *connection)
    .await?)
}

/// Removes what is left of transformations that were deleted before `moment`, one stretch of the tokens further; says how many tokens
/// that were. Those that are at the same place go through the table together, the least far first.
pub async fn remove(work: &mut Work, moment: Timestamp) -> Result<u64, StoreError> {
    let transaction = work.transaction().await?;
    let removed = sqlx::query!(
        "SELECT transformation, scanned FROM transform_removed WHERE namespace = 0 AND removed < $1 ORDER BY transformation FOR UPDATE",
        moment.to_date()
    )
    .fetch_all(&mut **transaction)
    .await?;
    let Some(from) = removed.iter().map(|row| row.scanned).min() else { return Ok(0) };
    let numbers: Vec<i32> = removed.into_iter().filter(|row| row.scanned == from).map(|row| row.transformation).collect();
    let values = sqlx::query!(
        "DELETE FROM pii_token_index WHERE (namespace, transformation, blind) IN (
             SELECT namespace, transformation, blind FROM pii_token_index WHERE namespace = 0 AND transformation = ANY ($1) LIMIT $2)",
        &numbers,
        STRETCH
    )
    .execute(&mut **transaction)
    .await?;
    let stretch = sqlx::query!(
        r#"WITH stretch AS MATERIALIZED (
               SELECT id, transformation FROM pii_token WHERE namespace = 0 AND id > $1 ORDER BY id LIMIT $2
           ), gone AS (
               DELETE FROM pii_token WHERE namespace = 0 AND id IN (SELECT id FROM stretch WHERE transformation = ANY ($3)) RETURNING id
           )
           SELECT (SELECT max(id) FROM stretch) AS last, (SELECT count(*) FROM stretch) AS "seen!", (SELECT count(*) FROM gone) AS "gone!""#,
        from,
        STRETCH,
        &numbers
    )
    .fetch_one(&mut **transaction)
    .await?;
    if stretch.seen < STRETCH && i64::try_from(values.rows_affected()).is_ok_and(|values| values < STRETCH) {
        sqlx::query!("DELETE FROM transform_removed WHERE namespace = 0 AND transformation = ANY ($1)", &numbers)
            .execute(&mut **transaction)
            .await?;
    } else {
        sqlx::query!(
            "UPDATE transform_removed SET scanned = $2 WHERE namespace = 0 AND transformation = ANY ($1)",
            &numbers,
            stretch.last.unwrap_or(from)
        )
        .execute(&mut **transaction)
        .await?;
    }
    Ok(u64::try_from(stretch.gone).unwrap_or_default())
}
