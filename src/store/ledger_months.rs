//! The months of the ledger: partitions that are made ahead, and taken away once they are empty. What may be pruned, PostgreSQL decides
//! (`migrations/0012_ledger_months.sql`); nothing here can take a month away that it refuses.

use crate::model::clock::Timestamp;

use super::Store;
use super::error::StoreError;
use super::work::Work;

/// Makes the month of a moment and those behind it. Gives up where somebody reads the whole ledger just now.
pub async fn make(store: &Store, now: Timestamp) -> Result<i32, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_scalar!(r#"SELECT ledger_make_months($1) AS "made!""#, now.to_date()).fetch_one(&mut *connection).await?)
}

/// Whether entries wait for their month to be made.
pub async fn has_rest(store: &Store) -> Result<bool, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM ledger_entry_rest) AS "some!""#).fetch_one(&mut *connection).await?)
}

/// Takes the empty partitions of pruned months away.
pub async fn drop_pruned(store: &Store) -> Result<i32, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_scalar!(r#"SELECT ledger_drop_pruned() AS "dropped!""#).fetch_one(&mut *connection).await?)
}

/// Whether no entry tells of the retention that is in force.
pub async fn retention_is_untold(store: &Store) -> Result<bool, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM ledger_retention WHERE NOT told) AS "some!""#).fetch_one(&mut *connection).await?)
}

/// The retention in days that the entry of this work tells of.
pub async fn tell_retention(work: &mut Work) -> Result<Option<i32>, StoreError> {
    let transaction = work.transaction().await?;
    Ok(sqlx::query_scalar!(r#"SELECT ledger_retention_tell() AS days"#).fetch_one(&mut **transaction).await?)
}
