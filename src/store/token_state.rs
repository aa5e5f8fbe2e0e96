//! The stored tokens of one transformation, page by page, and putting them back.
//!
//! No index finds tokens by their transformation, so that making tokens does not pay for one: a page is looked for in stretches of the
//! whole table, and may end before it is full.

use uuid::Uuid;

use crate::model::clock::Timestamp;

use super::Store;
use super::error::StoreError;
use super::transform::{BLOCK, take_block};
use super::work::Work;

/// Tokens of any transformation that one statement looks at.
const STRETCH: i64 = 50_000;

/// Stretches that one page may take.
const STRETCHES: usize = 20;

/// The values and metadata of a page, in bytes, unless its first token alone is larger.
const PAGE_BYTES: i64 = 8 << 20;

/// Rows in one statement of a restore.
const CHUNK: usize = 1000;

/// A stored token, with what is needed to open or to restore it.
#[derive(Debug, Clone)]
pub struct StateRow {
    pub id: i64,
    pub subject: Option<i64>,
    /// Absent where there is no subject, or it was erased. Not part of a snapshot.
    pub subject_key: Option<Vec<u8>>,
    pub subject_hash: Option<Vec<u8>>,
    pub expires: Option<Timestamp>,
    pub value: Vec<u8>,
    pub metadata: Option<Vec<u8>>,
    pub secret: Option<Vec<u8>>,
    /// The keyed hash of the value, where the transformation is convergent and this is the value's token.
    pub blind: Option<[u8; 16]>,
}

/// Some tokens, and the number behind which the next page begins; none where there is nothing more.
#[derive(Debug)]
pub struct Page {
    pub rows: Vec<StateRow>,
    pub next: Option<i64>,
}

/// The tokens of a transformation behind the number `after`, at most `limit`.
pub async fn page(store: &Store, transformation: i32, after: i64, limit: i64) -> Result<Page, StoreError> {
    let (mut ids, mut bytes, mut after) = (Vec::new(), 0, after);
    let mut next = None;
    for _ in 0..STRETCHES {
        let wanted = limit - i64::try_from(ids.len()).unwrap_or(limit);
        let mut connection = store.connection().await?;
        let found = sqlx::query!(
            r#"WITH stretch AS MATERIALIZED (
                   SELECT id, transformation, octet_length(value) + coalesce(octet_length(metadata), 0) AS size
                   FROM pii_token WHERE namespace = 0 AND id > $2 ORDER BY id LIMIT $3
               ), mine AS (
                   SELECT id, size, (sum(size) OVER (ORDER BY id))::bigint - size AS before FROM stretch WHERE transformation = $1 ORDER BY id LIMIT $4
               )
               SELECT array(SELECT id FROM mine WHERE before = 0 OR before < $5 ORDER BY id) AS "ids!", (SELECT count(*) FROM mine) AS "mine!",
                      (SELECT coalesce(sum(size), 0)::bigint FROM mine) AS "bytes!",
                      (SELECT max(id) FROM stretch) AS last, (SELECT count(*) FROM stretch) AS "seen!""#,
            transformation,
            after,
            STRETCH,
            wanted,
            PAGE_BYTES - bytes
        )
        .fetch_one(&mut *connection)
        .await?;
        let taken = i64::try_from(found.ids.len()).unwrap_or(i64::MAX);
        let full = taken == wanted || taken < found.mine;
        bytes += found.bytes;
        ids.extend(found.ids);
        if full || bytes >= PAGE_BYTES {
            next = ids.last().copied();
            break;
        }
        match found.last.filter(|_| found.seen == STRETCH) {
            Some(last) => (after, next) = (last, Some(last)),
            None => {
                next = None;
                break;
            }
        }
    }
    Ok(Page { rows: rows(store, transformation, &ids).await?, next })
}

async fn rows(store: &Store, transformation: i32, ids: &[i64]) -> Result<Vec<StateRow>, StoreError> {
    let mut connection = store.connection().await?;
    let rows = sqlx::query!(
        r#"SELECT t.id AS "id!", t.subject, s.wrapped_key AS "subject_key?", s.hash AS "subject_hash?", t.expires, t.value AS "value!", t.metadata,
                  t.secret, i.blind AS "blind?"
           FROM pii_token t
           LEFT JOIN subject s ON s.namespace = 0 AND s.id = t.subject
           LEFT JOIN pii_token_index i ON i.namespace = 0 AND i.id = t.id AND i.transformation = t.transformation
           WHERE t.namespace = 0 AND t.transformation = $1 AND t.id = ANY ($2) ORDER BY t.id"#,
        transformation,
        ids
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| StateRow {
            id: row.id,
            subject: row.subject,
            subject_key: row.subject_key,
            subject_hash: row.subject_hash,
            expires: row.expires.map(Timestamp::from_date),
            value: row.value,
            metadata: row.metadata,
            secret: row.secret,
            blind: row.blind.map(Uuid::into_bytes),
        })
        .collect())
}

/// Takes numbers for new tokens until none is given out any more that `highest` has or has had: the rows may be newer than the database.
pub async fn pass(store: &Store, highest: i64) -> Result<(), StoreError> {
    let first = take_block(store).await?;
    let behind = (highest.saturating_sub(first) / BLOCK).saturating_add(1);
    if highest < first || behind > 100_000_000 {
        return Ok(());
    }
    let mut connection = store.connection().await?;
    sqlx::query!(r#"SELECT max(nextval('pii_token_block')) AS last FROM generate_series(1, $1::bigint)"#, behind)
        .fetch_one(&mut *connection)
        .await?;
    Ok(())
}

/// What became of rows that were to be restored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Restored {
    pub restored: u64,
    /// Their subjects were erased.
    pub erased: u64,
}

/// Puts tokens back in the work's transaction; what is there already stays as it is.
pub async fn restore(work: &mut Work, transformation: i32, rows: &[StateRow]) -> Result<Restored, StoreError> {
    let mut outcome = Restored::default();
    for chunk in rows.chunks(CHUNK) {
        let mut subjects: Vec<i64> = chunk.iter().filter_map(|row| row.subject).collect();
        subjects.sort_unstable();
        subjects.dedup();
        let transaction = work.transaction().await?;
        let alive = sqlx::query_scalar!(
            "SELECT id FROM subject WHERE namespace = 0 AND id = ANY ($1) AND wrapped_key IS NOT NULL ORDER BY id FOR KEY SHARE",
            &subjects
        )
        .fetch_all(&mut **transaction)
        .await?;
        let living: Vec<&StateRow> =
            chunk.iter().filter(|row| row.subject.is_none_or(|subject| alive.binary_search(&subject).is_ok())).collect();
        outcome.erased += u64::try_from(chunk.len() - living.len()).unwrap_or_default();
        let mut inserted = insert(work, transformation, &living).await?;
        outcome.restored += u64::try_from(inserted.len()).unwrap_or_default();
        inserted.sort_unstable();
        let mut values: Vec<(Uuid, i64)> = living
            .iter()
            .filter(|row| inserted.binary_search(&row.id).is_ok())
            .filter_map(|row| row.blind.map(|blind| (Uuid::from_bytes(blind), row.id)))
            .collect();
        values.sort_unstable();
        let (blinds, ids): (Vec<Uuid>, Vec<i64>) = values.into_iter().unzip();
        let transaction = work.transaction().await?;
        sqlx::query!(
            "INSERT INTO pii_token_index (namespace, transformation, blind, id)
             SELECT 0, $1, new.blind, new.id FROM unnest($2::uuid[], $3::bigint[]) AS new (blind, id) ORDER BY new.blind
             ON CONFLICT (namespace, transformation, blind) DO NOTHING",
            transformation,
            &blinds,
            &ids
        )
        .execute(&mut **transaction)
        .await?;
    }
    Ok(outcome)
}

async fn insert(work: &mut Work, transformation: i32, rows: &[&StateRow]) -> Result<Vec<i64>, StoreError> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let subjects: Vec<Option<i64>> = rows.iter().map(|row| row.subject).collect();
    let expires: Vec<Option<time::OffsetDateTime>> = rows.iter().map(|row| row.expires.map(Timestamp::to_date)).collect();
    let values: Vec<Vec<u8>> = rows.iter().map(|row| row.value.clone()).collect();
    let metadata: Vec<Option<Vec<u8>>> = rows.iter().map(|row| row.metadata.clone()).collect();
    let secrets: Vec<Option<Vec<u8>>> = rows.iter().map(|row| row.secret.clone()).collect();
    let transaction = work.transaction().await?;
    Ok(sqlx::query_scalar!(
        "INSERT INTO pii_token (transformation, id, subject, expires, value, metadata, secret)
         SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::timestamptz[], $5::bytea[], $6::bytea[], $7::bytea[])
         ON CONFLICT (namespace, id) DO NOTHING RETURNING id",
        transformation,
        &ids,
        &subjects as &[Option<i64>],
        &expires as &[Option<time::OffsetDateTime>],
        &values,
        &metadata as &[Option<Vec<u8>>],
        &secrets as &[Option<Vec<u8>>]
    )
    .fetch_all(&mut **transaction)
    .await?)
}
