//! Kerberos authenticators that were used: one table for all nodes, because a replay cache per host does not see the other's.

use crate::model::clock::Timestamp;

use super::error::StoreError;
use super::work::Work;

/// Remembers an authenticator in the work's transaction; false when it was used before.
pub async fn remember(work: &mut Work, digest: &[u8; 32], until: Timestamp) -> Result<bool, StoreError> {
    let transaction = work.transaction().await?;
    let written = sqlx::query!("INSERT INTO replay (digest, until) VALUES ($1, $2) ON CONFLICT DO NOTHING", &digest[..], until.to_date())
        .execute(&mut **transaction)
        .await?;
    Ok(written.rows_affected() == 1)
}

/// Forgets those that are too old to be accepted, at most `limit`; for the job.
pub async fn forget(work: &mut Work, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let transaction = work.transaction().await?;
    let gone = sqlx::query!(
        "DELETE FROM replay WHERE digest IN (SELECT digest FROM replay WHERE until < $1 ORDER BY until LIMIT $2)",
        before.to_date(),
        limit
    )
    .execute(&mut **transaction)
    .await?;
    Ok(gone.rows_affected())
}
