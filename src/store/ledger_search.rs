//! Looking for entries: by filters, page by page, in either direction.
//!
//! The times of a stream never go back, so every stream is walked along its primary key and the walks are merged. A walk looks at a
//! bounded number of entries; where it ends before the page is full, the page says where to go on. A subject and a request id are found
//! by their indexes instead. Times are given to PostgreSQL beside the numbers, so that months out of question are not opened.

use std::cmp::Ordering;

use uuid::Uuid;

use crate::model::clock::Timestamp;

use super::error::StoreError;
use super::ledger::StoredEntry;
use super::{Store, Transaction};

/// How many entries of a stream one page may look at.
const WINDOW: i64 = 100_000;

/// The last second of the year 9999, in microseconds.
const END_OF_TIME: i64 = 253_402_300_799_000_000;

/// What to look for. Everything that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct Search {
    pub account: Option<String>,
    pub action: Option<String>,
    pub decision: Option<String>,
    /// The beginning of the resource, with or without its type (`Secret:secret/app`, `secret/app`), compared byte for byte.
    pub resource: Option<String>,
    pub path: Option<PathPrefix>,
    /// Patterns of `LIKE` that the canonical line must fit, every one.
    pub patterns: Vec<String>,
    /// An address or a network, as PostgreSQL reads `inet`.
    pub peer: Option<String>,
    pub subject: Option<Vec<u8>>,
    pub request: Option<Uuid>,
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    pub from: Option<Edge>,
    pub oldest_first: bool,
    pub limit: usize,
}

/// The beginning of the request's path, or of the resource without its type: `secret/data/app` and `secret/app` both find the secret.
#[derive(Debug, Clone)]
pub struct PathPrefix {
    pub prefix: String,
    /// The same as a pattern of `LIKE` for the canonical line.
    pub pattern: String,
}

/// Where an entry stands among those of all streams: their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub time: Timestamp,
    pub stream: i32,
    pub seq: i64,
}

impl Place {
    #[must_use]
    pub fn of(entry: &StoredEntry) -> Self {
        Self { time: Timestamp::from_date(entry.time), stream: entry.stream, seq: entry.seq }
    }
}

/// Where a page begins: on which side of a place, which is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    Before(Place),
    After(Place),
}

/// What was found, in the order that was asked for.
#[derive(Debug)]
pub struct Page {
    pub entries: Vec<StoredEntry>,
    /// What follows in this order; none where nothing does. A page may be short, even empty, and be followed all the same.
    pub next: Option<Edge>,
    /// What comes before in this order, now or later.
    pub previous: Option<Edge>,
}

/// A stretch of a stream: the numbers behind `after` up to `to`.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    stream: i32,
    after: i64,
    to: i64,
}

/// Finds a page.
pub async fn search(store: &Store, wanted: &Search) -> Result<Page, StoreError> {
    let mut transaction = store.begin().await?;
    sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(&mut *transaction).await?;
    // A plan for all parameters at once could use none of the indexes.
    sqlx::query!("SET LOCAL plan_cache_mode = force_custom_plan").execute(&mut *transaction).await?;
    let back = match wanted.from {
        None => !wanted.oldest_first,
        Some(Edge::Before(_)) => true,
        Some(Edge::After(_)) => false,
    };
    let (mut found, mut known) = (Vec::new(), None);
    for stretch in stretches(&mut transaction, wanted).await? {
        let (entries, ends) = walk(&mut transaction, wanted, stretch, back).await?;
        found.extend(entries);
        known = [known, ends].into_iter().flatten().min_by(|a, b| along(back, *a, *b));
    }
    found.sort_by(|a, b| along(back, Place::of(a), Place::of(b)));
    if let Some(known) = known {
        found.retain(|entry| along(back, Place::of(entry), known) != Ordering::Greater);
    }
    let full = found.len() > wanted.limit;
    found.truncate(wanted.limit);
    let last = if full { found.last().map(Place::of) } else { known };
    Ok(page(wanted, back, found, last))
}

/// In the direction of the walk.
fn along(back: bool, a: Place, b: Place) -> Ordering {
    if back { b.cmp(&a) } else { a.cmp(&b) }
}

/// `last`: how far the walk is known to be complete, where something may follow.
fn page(wanted: &Search, back: bool, mut found: Vec<StoredEntry>, last: Option<Place>) -> Page {
    let came_from = wanted.from.map(|(Edge::Before(place) | Edge::After(place))| place);
    let start = found.first().map(Place::of).or(came_from);
    let ahead = last.or_else(|| found.last().map(Place::of)).or(came_from);
    let onward = |place| if back { Edge::Before(place) } else { Edge::After(place) };
    let behind = |place| if back { Edge::After(place) } else { Edge::Before(place) };
    let with_order = back != wanted.oldest_first;
    if !with_order {
        found.reverse();
        // Against the order: what follows in it is where this walk came from.
        return Page { entries: found, next: start.map(behind), previous: ahead.map(onward) };
    }
    Page { entries: found, next: last.map(onward), previous: start.map(behind) }
}

/// What of each stream lies within the times and on the right side of the edge.
async fn stretches(transaction: &mut Transaction, wanted: &Search) -> Result<Vec<Stretch>, StoreError> {
    let place = wanted.from.map(|(Edge::Before(place) | Edge::After(place))| place);
    let rows = sqlx::query!(
        r#"SELECT h.stream,
                  CASE WHEN $1::timestamptz IS NULL THEN 0 ELSE ledger_seq_before(h.stream, $1) END AS "since!",
                  CASE WHEN $2::timestamptz IS NULL THEN h.seq ELSE ledger_seq_before(h.stream, $2) END AS "until!",
                  CASE WHEN $3::timestamptz IS NULL THEN 0
                       WHEN h.stream < $4::integer THEN ledger_seq_before(h.stream, $3 + interval '1 microsecond')
                       ELSE ledger_seq_before(h.stream, $3) END AS "edge!"
           FROM ledger_head h ORDER BY h.stream"#,
        wanted.since.map(Timestamp::to_date),
        wanted.until.map(Timestamp::to_date),
        place.map(|place| place.time.to_date()),
        place.map(|place| place.stream)
    )
    .fetch_all(&mut **transaction)
    .await?;
    let stretches = rows.into_iter().map(|row| {
        let (after, to) = match wanted.from {
            None => (row.since, row.until),
            Some(Edge::Before(place)) => (row.since, row.until.min(if place.stream == row.stream { place.seq - 1 } else { row.edge })),
            Some(Edge::After(place)) => (row.since.max(if place.stream == row.stream { place.seq } else { row.edge }), row.until),
        };
        Stretch { stream: row.stream, after, to }
    });
    Ok(stretches.filter(|stretch| stretch.after < stretch.to).collect())
}

/// The entries of a stretch that fit, one more than fills the page, and how far that is all there is: none where it is all of the stretch.
async fn walk(
    transaction: &mut Transaction,
    wanted: &Search,
    stretch: Stretch,
    back: bool,
) -> Result<(Vec<StoredEntry>, Option<Place>), StoreError> {
    let candidates = candidates(transaction, wanted, stretch, back).await?;
    let mut looked = stretch;
    match &candidates {
        Some(candidates) => {
            if let (true, Some(last)) = (i64::try_from(candidates.len()).is_ok_and(|count| count >= WINDOW), candidates.last()) {
                (looked.after, looked.to) = if back { (last - 1, looked.to) } else { (looked.after, *last) };
            }
        }
        None if back => looked.after = looked.after.max(looked.to.saturating_sub(WINDOW)),
        None => looked.to = looked.to.min(looked.after.saturating_add(WINDOW)),
    }
    let entries = fitting(transaction, wanted, looked, candidates.as_deref(), back).await?;
    if entries.len() > wanted.limit {
        let last = entries.last().map(Place::of);
        return Ok((entries, last));
    }
    let edge = match back {
        true if looked.after > stretch.after => looked.after.saturating_add(1),
        false if looked.to < stretch.to => looked.to,
        _ => return Ok((entries, None)),
    };
    let time = time_of(transaction, stretch.stream, edge, back).await?;
    Ok((entries, Some(Place { time, stream: stretch.stream, seq: edge })))
}

/// The time of an entry that was walked past; where somebody removed it, that of the one before it on the way.
async fn time_of(transaction: &mut Transaction, stream: i32, seq: i64, back: bool) -> Result<Timestamp, StoreError> {
    let time = sqlx::query_scalar!(
        r#"SELECT CASE WHEN $3 THEN (SELECT time FROM ledger_entry WHERE stream = $1 AND seq >= $2 ORDER BY seq LIMIT 1)
                       ELSE (SELECT time FROM ledger_entry WHERE stream = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1) END AS time"#,
        stream,
        seq,
        back
    )
    .fetch_one(&mut **transaction)
    .await?;
    let nothing = Timestamp::from_unix_micros(if back { END_OF_TIME } else { 0 });
    Ok(time.map_or(nothing, Timestamp::from_date))
}

/// The numbers of the entries that an index finds, in the direction of the walk; none where no index concerns the filters.
async fn candidates(transaction: &mut Transaction, wanted: &Search, stretch: Stretch, back: bool) -> Result<Option<Vec<i64>>, StoreError> {
    macro_rules! of_request {
        ($order:literal) => {
            sqlx::query_scalar!(
                "SELECT seq FROM ledger_entry WHERE stream = $1 AND seq > $2 AND seq <= $3 AND request = $4" + $order + " LIMIT $5",
                stretch.stream,
                stretch.after,
                stretch.to,
                wanted.request,
                WINDOW
            )
            .fetch_all(&mut **transaction)
            .await?
        };
    }
    // A union and not an OR, which could use neither of the two indexes.
    macro_rules! of_subject {
        ($order:literal) => {
            sqlx::query_scalar!(
                r#"SELECT seq AS "seq!" FROM (
                       SELECT seq, time FROM ledger_entry WHERE stream = $1 AND seq > $2 AND seq <= $3 AND subject = $4
                       UNION SELECT seq, time FROM ledger_subject WHERE stream = $1 AND seq > $2 AND seq <= $3 AND subject = $4
                   ) named"#
                    + $order
                    + " LIMIT $5",
                stretch.stream,
                stretch.after,
                stretch.to,
                wanted.subject.as_deref(),
                WINDOW
            )
            .fetch_all(&mut **transaction)
            .await?
        };
    }
    Ok(match (&wanted.subject, wanted.request) {
        (None, None) => None,
        (Some(_), _) if back => Some(of_subject!(" ORDER BY time DESC, seq DESC")),
        (Some(_), _) => Some(of_subject!(" ORDER BY time, seq")),
        (None, Some(_)) if back => Some(of_request!(" ORDER BY time DESC, seq DESC")),
        (None, Some(_)) => Some(of_request!(" ORDER BY time, seq")),
    })
}

async fn fitting(
    transaction: &mut Transaction,
    wanted: &Search,
    within: Stretch,
    candidates: Option<&[i64]>,
    back: bool,
) -> Result<Vec<StoredEntry>, StoreError> {
    macro_rules! found {
        ($order:literal) => {
            sqlx::query_as!(
                StoredEntry,
                "SELECT stream, seq, time, request, account, action, resource, decision, subject, change, body, mac
                 FROM ledger_entry
                 WHERE stream = $1 AND seq > $2 AND seq <= $3
                   AND ($4::text IS NULL OR account = $4)
                   AND ($5::text IS NULL OR action = $5)
                   AND ($6::text IS NULL OR decision = $6)
                   AND ($7::text IS NULL OR starts_with(resource, $7) OR starts_with(substr(resource, strpos(resource, ':') + 1), $7))
                   AND body LIKE ALL ($8::text[])
                   AND ($9::text IS NULL OR ledger_peer(body) <<= $9::text::inet)
                   AND ($10::bigint[] IS NULL OR seq = ANY ($10))
                   AND ($12::uuid IS NULL OR request = $12)
                   AND ($13::text IS NULL OR body LIKE $13 OR starts_with(substr(resource, strpos(resource, ':') + 1), $14))
                   AND ($15::timestamptz IS NULL OR time >= $15) AND ($16::timestamptz IS NULL OR time < $16)"
                    + $order
                    + " LIMIT $11",
                within.stream,
                within.after,
                within.to,
                wanted.account.as_deref(),
                wanted.action.as_deref(),
                wanted.decision.as_deref(),
                wanted.resource.as_deref(),
                &wanted.patterns,
                wanted.peer.as_deref(),
                candidates,
                i64::try_from(wanted.limit).unwrap_or(i64::MAX).saturating_add(1),
                wanted.request,
                wanted.path.as_ref().map(|path| path.pattern.as_str()),
                wanted.path.as_ref().map(|path| path.prefix.as_str()),
                wanted.since.map(Timestamp::to_date),
                wanted.until.map(Timestamp::to_date)
            )
            .fetch_all(&mut **transaction)
            .await?
        };
    }
    Ok(if back { found!(" ORDER BY seq DESC") } else { found!(" ORDER BY seq") })
}
