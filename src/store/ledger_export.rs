//! Taking the ledger out: stream by stream, in the order of the chain, in stretches of bounded size.

use crate::model::clock::Timestamp;
use crate::model::id::StreamId;

use super::Store;
use super::error::StoreError;
use super::ledger::{Reading, StoredEntry};

/// How many entries are fetched at once. What a single entry may hold is bounded by the body of its request.
const CHUNK: i64 = 500;

/// What is still to be taken of a stream: from `next` to `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    pub stream: i32,
    pub next: i64,
    pub last: i64,
}

/// What there is between two moments, as it stands now: the plan of an export.
pub async fn plan(
    store: &Store,
    stream: Option<&str>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<Vec<Rest>, StoreError> {
    let mut connection = store.connection().await?;
    let rows = sqlx::query!(
        r#"SELECT h.stream,
                  CASE WHEN $2::timestamptz IS NULL THEN 0 ELSE ledger_seq_before(h.stream, $2) END AS "since!",
                  CASE WHEN $3::timestamptz IS NULL THEN h.seq ELSE ledger_seq_before(h.stream, $3) END AS "until!"
           FROM ledger_head h JOIN ledger_stream s USING (stream)
           WHERE $1::text IS NULL OR s.node = $1
              OR (s.stream::text = $1 AND NOT EXISTS (SELECT FROM ledger_stream o WHERE o.node = $1))
           ORDER BY h.stream"#,
        stream,
        since.map(Timestamp::to_date),
        until.map(Timestamp::to_date)
    )
    .fetch_all(&mut *connection)
    .await?;
    let rest = rows.into_iter().map(|row| Rest { stream: row.stream, next: row.since + 1, last: row.until });
    Ok(rest.filter(|rest| rest.next <= rest.last).collect())
}

/// The next entries of a plan, at most `count` and about `bytes`; moves the plan on. Entries that are missing are passed over: what is
/// exported is what is there, and the verifier says what is not.
pub async fn take(store: &Store, plan: &mut Vec<Rest>, count: usize, bytes: usize) -> Result<Vec<StoredEntry>, StoreError> {
    let mut reading = Reading::begin(store).await?;
    let (mut taken, mut size) = (Vec::new(), 0);
    while let Some(rest) = plan.first_mut() {
        if taken.len() >= count || size >= bytes {
            break;
        }
        let room = i64::try_from(count - taken.len()).unwrap_or(CHUNK).min(CHUNK);
        let mut chunk = reading.stretch(StreamId(rest.stream), rest.next, room).await?;
        chunk.retain(|entry| entry.seq <= rest.last);
        match chunk.last() {
            Some(last) => rest.next = last.seq + 1,
            None => rest.next = rest.last + 1,
        }
        if rest.next > rest.last {
            plan.remove(0);
        }
        size += chunk.iter().map(|entry| entry.body.len() + 192).sum::<usize>();
        taken.extend(chunk);
    }
    Ok(taken)
}
