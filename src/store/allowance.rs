//! How many values an account has encoded or revealed within the hour: what nodes take blocks of allowance from.

use super::Store;
use super::error::StoreError;
use super::work::Work;

/// What is asked for.
#[derive(Debug)]
pub struct Want<'a> {
    /// 0 where a quota is meant.
    pub transformation: i32,
    /// The quota's name; empty where the transformation's own limit is meant.
    pub quota: &'a str,
    pub account: &'a str,
    /// `encoded` or `revealed`.
    pub kind: &'static str,
    /// Hours since 1970.
    pub hour: i64,
    /// Of the whole hour.
    pub limit: i64,
    /// At least this many, or none.
    pub needed: i64,
    /// As many as this if they are there.
    pub block: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// `taken`: of the hour, by all nodes, these included. The hour may be later than the one asked for: another node's clock is ahead.
    Granted { hour: i64, granted: i64, taken: i64 },
    /// So many are left in the hour, fewer than needed.
    Refused { hour: i64, left: i64 },
}

/// Takes allowance, at once and for good: one statement and one commit of its own, so that no two nodes take the same, and what was
/// taken is not given back by a request that fails later or by a node that ends.
pub async fn take(store: &Store, want: &Want<'_>) -> Result<Taken, StoreError> {
    let mut connection = store.connection().await?;
    let row = sqlx::query!(
        r#"INSERT INTO allowance AS a (namespace, transformation, quota, account, kind, hour, taken, given)
           VALUES (0, $1, $8, $2, $3, $4, least($6::bigint, $5::bigint), least($6::bigint, $5::bigint))
           ON CONFLICT (namespace, transformation, quota, account, kind) DO UPDATE SET
               taken = CASE WHEN a.hour < excluded.hour THEN excluded.taken ELSE a.taken + least($6, $5 - a.taken) END,
               given = CASE WHEN a.hour < excluded.hour THEN excluded.given ELSE least($6, $5 - a.taken) END,
               hour = greatest(a.hour, excluded.hour)
           WHERE a.hour < excluded.hour OR a.taken + $7::bigint <= $5
           RETURNING hour, taken, given"#,
        want.transformation,
        want.account,
        want.kind,
        want.hour,
        want.limit,
        want.block.max(want.needed),
        want.needed,
        want.quota
    )
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = row {
        return Ok(Taken::Granted { hour: row.hour, granted: row.given, taken: row.taken });
    }
    let row = sqlx::query!(
        "SELECT hour, taken FROM allowance WHERE namespace = 0 AND transformation = $1 AND account = $2 AND kind = $3 AND quota = $4",
        want.transformation,
        want.account,
        want.kind,
        want.quota
    )
    .fetch_one(&mut *connection)
    .await?;
    Ok(Taken::Refused { hour: row.hour, left: (want.limit - row.taken).max(0) })
}

/// Forgets the counts of hours before `hour`, at most `limit`; for the job. Nobody takes from them any more.
pub async fn forget(work: &mut Work, hour: i64, limit: i64) -> Result<u64, StoreError> {
    let transaction = work.transaction().await?;
    let gone = sqlx::query!(
        "DELETE FROM allowance WHERE hour < $1 AND (namespace, transformation, quota, account, kind) IN (
             SELECT namespace, transformation, quota, account, kind FROM allowance WHERE namespace = 0 AND hour < $1 LIMIT $2)",
        hour,
        limit
    )
    .execute(&mut **transaction)
    .await?;
    Ok(gone.rows_affected())
}
