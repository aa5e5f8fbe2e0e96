//! Which entries concern which data subject: the names beside entries that concern several, and the search for who saw what.

use crate::model::clock::Timestamp;
use crate::model::facts::SubjectCount;

use super::Store;
use super::error::StoreError;

/// Names on their way into the ledger, column by column; `seq` goes up.
#[derive(Debug, Default)]
pub struct NewNames {
    pub seq: Vec<i64>,
    /// Of the entry.
    pub time: Vec<time::OffsetDateTime>,
    pub subject: Vec<Vec<u8>>,
    /// Empty where the transformation has none.
    pub class: Vec<String>,
    pub count: Vec<i64>,
}

impl NewNames {
    /// The subjects of the entry at `seq`.
    pub fn add(&mut self, seq: i64, time: Timestamp, subjects: &[SubjectCount]) {
        for one in subjects {
            self.seq.push(seq);
            self.time.push(time.to_date());
            self.subject.push(one.subject.to_vec());
            self.class.push(one.class.clone().unwrap_or_default());
            self.count.push(i64::try_from(one.count).unwrap_or(i64::MAX));
        }
    }
}

/// Somebody saw values of a subject.
#[derive(Debug, Clone)]
pub struct Disclosure {
    pub stream: i32,
    pub seq: i64,
    pub time: time::OffsetDateTime,
    pub request: uuid::Uuid,
    pub account: String,
    pub action: String,
    pub class: Option<String>,
    pub purpose: Option<String>,
    /// How many values of the subject.
    pub count: i64,
}

/// Which disclosures are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// Where the page before ended: time, stream and number of its last entry.
    pub before: Option<(Timestamp, i32, i64)>,
    pub limit: i64,
}

/// The entries of `actions` that revealed something of a subject, newest first. The page is cut before the bodies are read: the body of a large batch is large.
pub async fn of_subject(store: &Store, subject: &[u8; 32], actions: &[String], page: &Page) -> Result<Vec<Disclosure>, StoreError> {
    let mut connection = store.connection().await?;
    let (time, stream, seq) = match page.before {
        Some((time, stream, seq)) => (Some(time.to_date()), Some(stream), Some(seq)),
        None => (None, None, None),
    };
    Ok(sqlx::query_as!(
        Disclosure,
        r#"WITH alone AS MATERIALIZED (
               SELECT e.stream, e.seq, e.time, NULL::text AS class, NULL::bigint AS count
               FROM ledger_entry e
               WHERE e.subject = $1 AND e.action = ANY ($2) AND e.decision = 'granted'
                 AND ($3::timestamptz IS NULL OR (e.time, e.stream, e.seq) < ($3, $4::integer, $5::bigint))
                 AND ($7::timestamptz IS NULL OR e.time >= $7) AND ($8::timestamptz IS NULL OR e.time < $8)
               ORDER BY e.time DESC, e.stream DESC, e.seq DESC LIMIT $6
           ), among AS MATERIALIZED (
               SELECT stream, seq, time, string_agg(nullif(n.class, ''), ',' ORDER BY n.class) AS class, sum(n.count)::bigint AS count
               FROM ledger_subject n JOIN ledger_entry e USING (stream, seq, time)
               WHERE n.subject = $1 AND e.action = ANY ($2) AND e.decision = 'granted'
                 AND ($3::timestamptz IS NULL OR (n.time, n.stream, n.seq) < ($3, $4::integer, $5::bigint))
                 AND ($7::timestamptz IS NULL OR n.time >= $7) AND ($8::timestamptz IS NULL OR n.time < $8)
               GROUP BY stream, seq, time
               ORDER BY time DESC, stream DESC, seq DESC LIMIT $6
           ), page AS MATERIALIZED (
               SELECT * FROM alone UNION ALL SELECT * FROM among ORDER BY time DESC, stream DESC, seq DESC LIMIT $6
           )
           SELECT stream AS "stream!", seq AS "seq!", time AS "time!", e.request AS "request!", e.account AS "account!",
                  e.action AS "action!", coalesce(page.class, CASE WHEN page.count IS NULL THEN b.body ->> 'class' END) AS class,
                  b.body ->> 'purpose' AS purpose,
                  coalesce(page.count, (b.body ->> 'succeeded')::bigint, (b.body ->> 'count')::bigint, 1) AS "count!"
           FROM page JOIN ledger_entry e USING (stream, seq, time), LATERAL (SELECT e.body::jsonb AS body) b
           ORDER BY time DESC, stream DESC, seq DESC"#,
        &subject[..],
        actions,
        time,
        stream,
        seq,
        page.limit,
        page.since.map(Timestamp::to_date),
        page.until.map(Timestamp::to_date)
    )
    .fetch_all(&mut *connection)
    .await?)
}
