//! Whether anything has expired: asked before the job makes a unit of work, whose entry would say nothing.

use crate::model::clock::Timestamp;

use super::Store;
use super::error::StoreError;

/// Whether an auth token or a PII token expired before `moment`, or a replay may be forgotten that ended before `replays`.
pub async fn is_due(store: &Store, moment: Timestamp, replays: Timestamp) -> Result<bool, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM auth_token WHERE namespace = 0 AND expires < $1)
               OR EXISTS (SELECT FROM pii_token WHERE namespace = 0 AND expires < $1)
               OR EXISTS (SELECT FROM replay WHERE until < $2) AS "due!""#,
        moment.to_date(),
        replays.to_date()
    )
    .fetch_one(&mut *connection)
    .await?)
}
