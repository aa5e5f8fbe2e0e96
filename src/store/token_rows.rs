//! What is stored under tokens.
//!
//! Values that were encoded together have numbers one behind the other. Those of one lookup are read as stretches of the primary key where
//! they are long enough: that costs PostgreSQL less than half of looking for each number by itself.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::model::clock::Timestamp;

use super::Store;
use super::error::StoreError;

/// The most numbers of one stretch. It stands in the statement too.
const LONGEST: usize = 1000;

/// A stored token, with what its subject's key is wrapped as.
#[derive(Debug, Clone)]
pub struct TokenRow {
    pub id: i64,
    pub transformation: i32,
    pub subject: Option<i64>,
    /// The wrapped key of the subject; absent where there is no subject, or the subject is erased.
    pub subject_key: Option<Vec<u8>>,
    pub subject_hash: Option<Vec<u8>>,
    pub expires: Option<Timestamp>,
    pub value: Vec<u8>,
    pub metadata: Option<Vec<u8>>,
}

/// A row of the table.
struct Row {
    id: i64,
    transformation: i32,
    subject: Option<i64>,
    expires: Option<time::OffsetDateTime>,
    value: Vec<u8>,
    metadata: Option<Vec<u8>>,
}

/// What is stored of a subject; an erased one has no key.
struct SubjectRow {
    id: i64,
    wrapped_key: Option<Vec<u8>>,
    hash: Vec<u8>,
}

/// Finds tokens by their ids; those that are not there are left out.
pub async fn find(store: &Store, ids: &[i64]) -> Result<Vec<TokenRow>, StoreError> {
    let mut connection = store.connection().await?;
    find_on(&mut connection, ids, store.tuning().stretch_from).await
}

/// Reads stretches where they have `stretch_from` ids on average.
pub(super) async fn find_on(connection: &mut PgConnection, ids: &[i64], stretch_from: usize) -> Result<Vec<TokenRow>, StoreError> {
    let (first, last) = stretches(ids);
    // How many there are PostgreSQL cannot know where a subquery gives them. So no plan of one lookup alone seems better to it, and it makes
    // one for all, where making it took a sixth of its work.
    let rows = if first.len().saturating_mul(stretch_from) <= ids.len() {
        // The limit tells PostgreSQL, which does not know how long a stretch is, that none is worth reading the table for.
        sqlx::query_as!(
            Row,
            r#"SELECT t.id AS "id!", t.transformation AS "transformation!", t.subject, t.expires, t.value AS "value!", t.metadata
               FROM unnest((SELECT $1::bigint[]), (SELECT $2::bigint[])) stretch (first, last), LATERAL (
                   SELECT id, transformation, subject, expires, value, metadata FROM pii_token
                   WHERE namespace = 0 AND id BETWEEN stretch.first AND stretch.last ORDER BY id LIMIT 1000
               ) t"#,
            &first,
            &last
        )
        .fetch_all(&mut *connection)
        .await?
    } else {
        sqlx::query_as!(
            Row,
            "SELECT id, transformation, subject, expires, value, metadata FROM pii_token
             WHERE namespace = 0 AND id = ANY ((SELECT $1::bigint[])::bigint[])",
            ids
        )
        .fetch_all(&mut *connection)
        .await?
    };
    // Behind the tokens, so that whoever was erased between the two has no key here.
    let subjects = subjects(connection, &rows).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let subject = row.subject.and_then(|id| subjects.get(&id));
            TokenRow {
                id: row.id,
                transformation: row.transformation,
                subject: row.subject,
                subject_key: subject.and_then(|subject| subject.wrapped_key.clone()),
                subject_hash: subject.map(|subject| subject.hash.clone()),
                expires: row.expires.map(Timestamp::from_date),
                value: row.value,
                metadata: row.metadata,
            }
        })
        .collect())
}

async fn subjects(connection: &mut PgConnection, rows: &[Row]) -> Result<HashMap<i64, SubjectRow>, StoreError> {
    let mut ids: Vec<i64> = rows.iter().filter_map(|row| row.subject).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    ids.sort_unstable();
    ids.dedup();
    let found = sqlx::query_as!(
        SubjectRow,
        "SELECT id, wrapped_key, hash FROM subject WHERE namespace = 0 AND id = ANY ((SELECT $1::bigint[])::bigint[])",
        &ids
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(|subject| (subject.id, subject)).collect())
}

/// The first and the last numbers of the stretches that `ids` consist of, each number once.
fn stretches(ids: &[i64]) -> (Vec<i64>, Vec<i64>) {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let stretches = sorted.chunk_by(|id, next| id.checked_add(1) == Some(*next)).flat_map(|stretch| stretch.chunks(LONGEST));
    stretches.filter_map(|stretch| Some((stretch.first()?, stretch.last()?))).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_hold_each_number_once() {
        assert_eq!(stretches(&[]), (vec![], vec![]));
        assert_eq!(stretches(&[7]), (vec![7], vec![7]));
        assert_eq!(stretches(&[9, 3, 4, 3, 5, 10, -1]), (vec![-1, 3, 9], vec![-1, 5, 10]));
        assert_eq!(stretches(&[i64::MAX, i64::MIN, i64::MAX - 1]), (vec![i64::MIN, i64::MAX - 1], vec![i64::MIN, i64::MAX]));
        let many: Vec<i64> = (1..=2001).collect();
        assert_eq!(stretches(&many), (vec![1, 1001, 2001], vec![1000, 2000, 2001]), "none is cut off by the limit of the statement");
    }
}
