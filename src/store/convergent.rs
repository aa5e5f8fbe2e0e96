//! The tokens of convergent transformations by their values: the side table that holds a keyed hash of each value.
//!
//! Rows are always locked in the order of (transformation, blind), so that requests with the same values in other orders never wait
//! for each other in a circle; what still collides is refused by PostgreSQL and run again.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::model::clock::Timestamp;

use super::Store;
use super::error::StoreError;
use super::subject;
use super::transform::NewTokens;
use super::work::Work;

/// Values in one statement.
pub const CHUNK: usize = 1000;

/// Which value: the number of the transformation and the value's keyed hash.
pub type ValueKey = (i32, [u8; 16]);

/// The token that a value has.
#[derive(Debug, Clone)]
pub struct ValueToken {
    pub id: i64,
    pub expires: Option<Timestamp>,
    pub value: Vec<u8>,
    pub metadata: Option<Vec<u8>>,
}

/// The tokens of values, ended ones included, as they stand committed. A value whose token is gone is left out.
pub async fn find(store: &Store, keys: &[ValueKey]) -> Result<HashMap<ValueKey, ValueToken>, StoreError> {
    let mut found = HashMap::with_capacity(keys.len());
    let mut connection = store.connection().await?;
    for chunk in keys.chunks(CHUNK) {
        let (numbers, blinds) = columns(chunk);
        let rows = sqlx::query!(
            // OFFSET 0: value by value through the indexes, whatever size the planner takes the tables for.
            r#"SELECT found.transformation AS "transformation!", found.blind AS "blind!", found.id AS "id!", found.expires, found.value AS "value!",
                      found.metadata
               FROM unnest($1::integer[], $2::uuid[]) AS wanted (transformation, blind) CROSS JOIN LATERAL (
                   SELECT i.transformation, i.blind, t.id, t.expires, t.value, t.metadata
                   FROM pii_token_index i JOIN pii_token t ON t.namespace = 0 AND t.id = i.id AND t.transformation = i.transformation
                   WHERE i.namespace = 0 AND i.transformation = wanted.transformation AND i.blind = wanted.blind OFFSET 0
               ) found"#,
            &numbers,
            &blinds
        )
        .fetch_all(&mut *connection)
        .await?;
        found.extend(rows.into_iter().map(|row| {
            let token = ValueToken { id: row.id, expires: row.expires.map(Timestamp::from_date), value: row.value, metadata: row.metadata };
            ((row.transformation, row.blind.into_bytes()), token)
        }));
    }
    Ok(found)
}

/// Begins the writing. Keeps the subjects of new tokens alive until the work's transaction ends.
pub async fn begin(work: &mut Work, subjects: &[i64]) -> Result<(), StoreError> {
    let transaction = work.transaction().await?;
    // A plan that was made while the tables were small is not used for ever.
    sqlx::query!(r#"SELECT set_config('plan_cache_mode', 'force_custom_plan', true) AS "set!""#).fetch_one(&mut **transaction).await?;
    subject::keep_alive(work, subjects).await
}

/// Gives each value its number, unless it has one: then it is locked, and the token that it has is in the answer (none where that
/// token is gone). Waits for others who do the same with the same values. Call it with sorted keys.
pub async fn claim(work: &mut Work, keys: &[ValueKey], ids: &[i64]) -> Result<HashMap<ValueKey, Option<ValueToken>>, StoreError> {
    let (numbers, blinds) = columns(keys);
    let transaction = work.transaction().await?;
    let inserted = sqlx::query!(
        r#"INSERT INTO pii_token_index (namespace, transformation, blind, id)
           SELECT 0, new.transformation, new.blind, new.id FROM unnest($1::integer[], $2::uuid[], $3::bigint[]) AS new (transformation, blind, id)
           ORDER BY new.transformation, new.blind
           ON CONFLICT (namespace, transformation, blind) DO NOTHING RETURNING transformation, blind"#,
        &numbers,
        &blinds,
        ids
    )
    .fetch_all(&mut **transaction)
    .await?;
    if inserted.len() == keys.len() {
        return Ok(HashMap::new());
    }
    let mine: HashSet<ValueKey> = inserted.into_iter().map(|row| (row.transformation, row.blind.into_bytes())).collect();
    let theirs: Vec<ValueKey> = keys.iter().filter(|key| !mine.contains(key)).copied().collect();
    locked(work, &theirs).await
}

/// Locks values that have numbers; their tokens are in the answer, none where a token is gone. Call it with sorted keys.
pub async fn locked(work: &mut Work, keys: &[ValueKey]) -> Result<HashMap<ValueKey, Option<ValueToken>>, StoreError> {
    let locked = lock(work, keys).await?;
    if locked.len() < keys.len() {
        // Taken away since they were seen.
        return Err(StoreError::Conflict);
    }
    // A statement of its own: it sees what was committed while the lock was waited for.
    let ids: Vec<i64> = locked.values().copied().collect();
    let transaction = work.transaction().await?;
    let rows =
        sqlx::query!("SELECT id, transformation, expires, value, metadata FROM pii_token WHERE namespace = 0 AND id = ANY ($1)", &ids)
            .fetch_all(&mut **transaction)
            .await?;
    let mut tokens: HashMap<(i32, i64), ValueToken> = rows
        .into_iter()
        .map(|row| {
            let token = ValueToken { id: row.id, expires: row.expires.map(Timestamp::from_date), value: row.value, metadata: row.metadata };
            ((row.transformation, row.id), token)
        })
        .collect();
    Ok(locked.into_iter().map(|(key, id)| (key, tokens.remove(&(key.0, id)))).collect())
}

/// Locks the rows of values one after another until the work's transaction ends; gives their tokens' numbers.
async fn lock(work: &mut Work, keys: &[ValueKey]) -> Result<HashMap<ValueKey, i64>, StoreError> {
    let (numbers, blinds) = columns(keys);
    let transaction = work.transaction().await?;
    let rows = sqlx::query!(
        r#"SELECT locked.transformation AS "transformation!", locked.blind AS "blind!", locked.id AS "id!"
           FROM unnest($1::integer[], $2::uuid[]) AS wanted (transformation, blind) CROSS JOIN LATERAL (
               SELECT i.transformation, i.blind, i.id FROM pii_token_index i
               WHERE i.namespace = 0 AND i.transformation = wanted.transformation AND i.blind = wanted.blind FOR UPDATE
           ) locked"#,
        &numbers,
        &blinds
    )
    .fetch_all(&mut **transaction)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.transformation, row.blind.into_bytes()), row.id)).collect())
}

/// Lets values, whose rows this transaction has locked, lead to other tokens: the ones they had are gone or have ended.
pub async fn lead_to(work: &mut Work, keys: &[ValueKey], ids: &[i64]) -> Result<(), StoreError> {
    let (numbers, blinds) = columns(keys);
    let transaction = work.transaction().await?;
    let moved = sqlx::query!(
        "UPDATE pii_token_index i SET id = new.id FROM unnest($1::integer[], $2::uuid[], $3::bigint[]) AS new (transformation, blind, id)
         WHERE i.namespace = 0 AND i.transformation = new.transformation AND i.blind = new.blind",
        &numbers,
        &blinds,
        ids
    )
    .execute(&mut **transaction)
    .await?;
    complete(moved.rows_affected(), keys.len())
}

/// Replaces tokens, whose values' rows this transaction has locked, by newer writings of themselves.
pub async fn rewrite(work: &mut Work, tokens: &NewTokens) -> Result<(), StoreError> {
    let transaction = work.transaction().await?;
    let written = sqlx::query!(
        "UPDATE pii_token t SET expires = new.expires, value = new.value, metadata = new.metadata, secret = new.secret
         FROM unnest($1::integer[], $2::bigint[], $3::timestamptz[], $4::bytea[], $5::bytea[], $6::bytea[])
              AS new (transformation, id, expires, value, metadata, secret)
         WHERE t.namespace = 0 AND t.id = new.id AND t.transformation = new.transformation",
        &tokens.transformation,
        &tokens.id,
        &tokens.expires as &[Option<time::OffsetDateTime>],
        &tokens.value,
        &tokens.metadata as &[Option<Vec<u8>>],
        &tokens.secret as &[Option<Vec<u8>>]
    )
    .execute(&mut **transaction)
    .await?;
    complete(written.rows_affected(), tokens.len())
}

/// Forgets where values have their tokens, for tokens that this work is about to delete.
pub async fn forget_tokens(work: &mut Work, transformation: i32, ids: &HashSet<i64>) -> Result<(), StoreError> {
    let transaction = work.transaction().await?;
    let mut blinds = sqlx::query_scalar!(
        "SELECT blind FROM pii_token_index WHERE namespace = 0 AND transformation = $1 AND id = ANY ($2)",
        transformation,
        &ids.iter().copied().collect::<Vec<_>>()
    )
    .fetch_all(&mut **transaction)
    .await?;
    blinds.sort_unstable();
    for chunk in blinds.chunks(CHUNK) {
        let keys: Vec<ValueKey> = chunk.iter().map(|blind| (transformation, blind.into_bytes())).collect();
        let mut locked = lock(work, &keys).await?;
        // One that leads to another token by now keeps it.
        locked.retain(|_, id| ids.contains(id));
        delete(work, &locked.into_keys().collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// Forgets values; gives the numbers of the tokens that they led to.
pub async fn forget_values(work: &mut Work, keys: &[ValueKey]) -> Result<HashMap<ValueKey, i64>, StoreError> {
    let mut forgotten = HashMap::with_capacity(keys.len());
    for chunk in keys.chunks(CHUNK) {
        let locked = lock(work, chunk).await?;
        delete(work, &locked.keys().copied().collect::<Vec<_>>()).await?;
        forgotten.extend(locked);
    }
    Ok(forgotten)
}

async fn delete(work: &mut Work, keys: &[ValueKey]) -> Result<(), StoreError> {
    let (numbers, blinds) = columns(keys);
    let transaction = work.transaction().await?;
    sqlx::query!(
        "DELETE FROM pii_token_index i USING unnest($1::integer[], $2::uuid[]) AS gone (transformation, blind)
         WHERE i.namespace = 0 AND i.transformation = gone.transformation AND i.blind = gone.blind",
        &numbers,
        &blinds
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

fn columns(keys: &[ValueKey]) -> (Vec<i32>, Vec<Uuid>) {
    keys.iter().map(|(number, blind)| (*number, Uuid::from_bytes(*blind))).unzip()
}

/// Fewer rows than were locked: somebody else, whose clock is ahead, saw them ended.
fn complete(rows: u64, expected: usize) -> Result<(), StoreError> {
    if usize::try_from(rows).is_ok_and(|rows| rows == expected) { Ok(()) } else { Err(StoreError::Conflict) }
}
