//! Whether anything has expired: asked before the job makes a unit of work, whose entry would say nothing.

use crate::model::clock::Timestamp;

use super::Store;
use super::error::StoreError;

/// Whether an auth token or a PII token expired before `moment`, a replay may be forgotten that ended before `replays`, or a count of an
/// hour before `hour`.
pub async fn is_due(store: &Store, moment: Timestamp, replays: Timestamp, hour: i64) -> Result<bool, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM auth_token WHERE namespace = 0 AND expires < $1)
               OR EXISTS (SELECT FROM pii_token WHERE namespace = 0 AND expires < $1)
               OR EXISTS (SELECT FROM replay WHERE until < $2)
               OR EXISTS (SELECT FROM allowance WHERE namespace = 0 AND hour < $3) AS "due!""#,
        moment.to_date(),
        replays.to_date(),
        hour
    )
    .fetch_one(&mut *connection)
    .await?)
}
