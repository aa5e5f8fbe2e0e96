//! Reading the ledger as a verifier needs it: everything that a row may hold, also what goldfin never wrote, and quickly.
//!
//! Entries come as a binary COPY and are lent to the reader where they lie. Nothing here judges.

use sqlx::PgConnection;

use crate::model::id::StreamId;

use super::error::StoreError;
use super::ledger::Reading;

/// A row of the entries. What is null, or no text, is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawEntry<'a> {
    pub seq: i64,
    /// In microseconds since 1970; none where it is no moment of the years 1 to 9999.
    pub time: Option<i64>,
    pub request: Option<&'a [u8]>,
    pub account: Option<&'a [u8]>,
    pub action: Option<&'a [u8]>,
    pub resource: Option<&'a [u8]>,
    pub decision: Option<&'a [u8]>,
    pub subject: Option<&'a [u8]>,
    pub change: Option<&'a [u8]>,
    pub body: Option<&'a str>,
    pub mac: Option<&'a [u8]>,
}

/// A name beside an entry, as it is stored.
#[derive(Debug, Clone)]
pub struct RawName {
    pub seq: i64,
    pub subject: Option<Vec<u8>>,
    pub class: Option<String>,
    pub count: Option<i64>,
    pub time: Option<time::OffsetDateTime>,
}

/// A checkpoint, as it is stored.
#[derive(Debug, Clone)]
pub struct RawCheckpoint {
    pub size: i64,
    pub root: Option<Vec<u8>>,
    pub note: Option<String>,
}

impl Reading {
    /// Hands the entries of a stream from `from` on to `take`, in order, while they arrive; how many there were: `limit` of them, and what
    /// else has the number of the last. All have to be taken: what is left of a COPY would be read as the answer of the next statement.
    pub async fn each_entry(
        &mut self,
        stream: StreamId,
        from: i64,
        limit: i64,
        mut take: impl FnMut(&RawEntry<'_>) + Send,
    ) -> Result<i64, StoreError> {
        // COPY takes no parameters; these are numbers.
        let statement = format!(
            "COPY (SELECT seq, time, request, account, action, resource, decision, subject, change, body, mac FROM ledger_entry \
             WHERE stream = {stream} AND seq >= '{from}'::bigint ORDER BY seq FETCH FIRST {limit} ROWS WITH TIES) TO STDOUT (FORMAT binary)",
            stream = stream.0
        );
        let mut arriving = self.connection().copy_out_raw(&statement).await?;
        let (mut begun, mut count) = (false, 0);
        while let Some(message) = std::future::poll_fn(|context| arriving.as_mut().poll_next(context)).await {
            let message = message?;
            let mut rest: &[u8] = &message;
            if !begun {
                rest = behind_header(rest).ok_or_else(broken)?;
                begun = true;
            }
            while let Some((fields, behind)) = rest.split_first_chunk::<2>() {
                if i16::from_be_bytes(*fields) == -1 {
                    break;
                }
                let (entry, behind) = entry(i16::from_be_bytes(*fields), behind).ok_or_else(broken)?;
                take(&entry);
                count += 1;
                rest = behind;
            }
        }
        Ok(count)
    }

    /// The subjects named beside the entries from `from` to `to`, in order, at most `limit`.
    pub async fn names(&mut self, stream: StreamId, from: i64, to: i64, limit: i64) -> Result<Vec<RawName>, StoreError> {
        Ok(sqlx::query_as!(
            RawName,
            r#"SELECT seq, subject AS "subject?", class AS "class?", count AS "count?",
                      CASE WHEN time BETWEEN '0001-01-01Z' AND '9999-12-31Z' THEN time END AS "time?"
               FROM ledger_subject WHERE stream = $1 AND seq >= $2 AND seq <= $3 ORDER BY seq, subject, class LIMIT $4"#,
            stream.0,
            from,
            to,
            limit
        )
        .fetch_all(self.connection())
        .await?)
    }

    /// The checkpoints of a stream from a size on, in the order of their sizes: `limit` of them, and what else has the size of the last.
    pub async fn raw_checkpoints(&mut self, stream: StreamId, from: i64, limit: i64) -> Result<Vec<RawCheckpoint>, StoreError> {
        Ok(sqlx::query_as!(
            RawCheckpoint,
            r#"SELECT size, root AS "root?", note AS "note?" FROM ledger_checkpoint WHERE stream = $1 AND size >= $2 ORDER BY size
               FETCH FIRST $3 ROWS WITH TIES"#,
            stream.0,
            from,
            limit
        )
        .fetch_all(self.connection())
        .await?)
    }

    /// Whether a stream has entries, names or checkpoints without a number, which no other reading shows.
    pub async fn unnumbered(&mut self, stream: StreamId) -> Result<Unnumbered, StoreError> {
        Ok(sqlx::query_as!(
            Unnumbered,
            r#"SELECT EXISTS (SELECT FROM ledger_entry WHERE stream = $1 AND seq IS NULL) AS "entries!",
                      EXISTS (SELECT FROM ledger_subject WHERE stream = $1 AND seq IS NULL) AS "names!",
                      EXISTS (SELECT FROM ledger_checkpoint WHERE stream = $1 AND size IS NULL) AS "checkpoints!""#,
            stream.0
        )
        .fetch_one(self.connection())
        .await?)
    }

    /// The streams that entries, names and checkpoints tell of, known heads or not: a stream whose head was removed is still found.
    pub async fn streams_of_rows(&mut self) -> Result<Vec<StreamId>, StoreError> {
        streams_of_rows(self.connection()).await
    }
}

/// Which rows of a stream have no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unnumbered {
    pub entries: bool,
    pub names: bool,
    pub checkpoints: bool,
}

/// From one number to the next over the keys: there are few streams, and many rows of each.
async fn streams_of_rows(connection: &mut PgConnection) -> Result<Vec<StreamId>, StoreError> {
    let rows = sqlx::query_scalar!(
        r#"WITH RECURSIVE entries (stream) AS (
               SELECT min(stream) FROM ledger_entry
               UNION SELECT (SELECT min(e.stream) FROM ledger_entry e WHERE e.stream > entries.stream) FROM entries WHERE stream IS NOT NULL
           ), names (stream) AS (
               SELECT min(stream) FROM ledger_subject
               UNION SELECT (SELECT min(e.stream) FROM ledger_subject e WHERE e.stream > names.stream) FROM names WHERE stream IS NOT NULL
           ), checkpoints (stream) AS (
               SELECT min(stream) FROM ledger_checkpoint
               UNION SELECT (SELECT min(c.stream) FROM ledger_checkpoint c WHERE c.stream > checkpoints.stream) FROM checkpoints
                     WHERE stream IS NOT NULL
           )
           SELECT stream AS "stream!" FROM entries WHERE stream IS NOT NULL
           UNION SELECT stream FROM names WHERE stream IS NOT NULL
           UNION SELECT stream FROM checkpoints WHERE stream IS NOT NULL ORDER BY 1"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(StreamId).collect())
}

fn broken() -> StoreError {
    StoreError::Defect("the database's COPY is not of the form that PostgreSQL documents".to_owned())
}

/// PostgreSQL's manual, COPY, section Binary Format.
fn behind_header(message: &[u8]) -> Option<&[u8]> {
    let rest = message.strip_prefix(b"PGCOPY\n\xff\r\n\0")?;
    let (_flags, rest) = rest.split_first_chunk::<4>()?;
    let (extension, rest) = rest.split_first_chunk::<4>()?;
    rest.get(usize::try_from(u32::from_be_bytes(*extension)).ok()?..)
}

fn entry(fields: i16, row: &[u8]) -> Option<(RawEntry<'_>, &[u8])> {
    let mut rest = row;
    let mut next = || {
        let (value, behind) = field(rest)?;
        rest = behind;
        Some(value)
    };
    (fields == 11).then_some(())?;
    let entry = RawEntry {
        seq: i64::from_be_bytes(next()??.try_into().ok()?),
        time: next()?.and_then(moment),
        request: next()?,
        account: next()?,
        action: next()?,
        resource: next()?,
        decision: next()?,
        subject: next()?,
        change: next()?,
        body: next()?.and_then(|body| std::str::from_utf8(body).ok()),
        mac: next()?,
    };
    Some((entry, rest))
}

/// A value behind its length; none for null.
fn field(row: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = row.split_first_chunk::<4>()?;
    match i32::from_be_bytes(*length) {
        -1 => Some((None, rest)),
        length => rest.split_at_checked(usize::try_from(length).ok()?).map(|(value, behind)| (Some(value), behind)),
    }
}

/// `timestamptz`: microseconds since 2000. The two infinities are the ends of its range.
fn moment(value: &[u8]) -> Option<i64> {
    const FROM_1970_TO_2000: i64 = 946_684_800_000_000;
    const YEARS_1_TO_9999: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;
    let moment = i64::from_be_bytes(value.try_into().ok()?).checked_add(FROM_1970_TO_2000)?;
    YEARS_1_TO_9999.contains(&moment).then_some(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: &[u8]) -> Vec<u8> {
        [&i32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    #[test]
    fn a_row_is_read_as_it_is() {
        let null = (-1_i32).to_be_bytes().to_vec();
        let row = |time: i64, body: &[u8]| {
            let fields = [
                value(&7_i64.to_be_bytes()),
                value(&time.to_be_bytes()),
                value(&[9; 16]),
                value(b"web"),
                null.clone(),
                value(b""),
                value(b"granted"),
                null.clone(),
                value(b"x\ny"),
                value(body),
                value(&[1; 32]),
                b"rest".to_vec(),
            ];
            fields.concat()
        };
        let read = RawEntry {
            seq: 7,
            time: Some(946_684_800_000_001),
            request: Some(&[9; 16]),
            account: Some(b"web"),
            action: None,
            resource: Some(b""),
            decision: Some(b"granted"),
            subject: None,
            change: Some(b"x\ny"),
            body: Some("{}"),
            mac: Some(&[1; 32]),
        };
        assert_eq!(entry(11, &row(1, b"{}")), Some((read, &b"rest"[..])));
        assert_eq!(entry(11, &row(1, b"\xff")), Some((RawEntry { body: None, ..read }, &b"rest"[..])));
        for infinite in [i64::MIN, i64::MAX, i64::MAX - 946_684_800_000_000] {
            assert_eq!(entry(11, &row(infinite, b"{}")), Some((RawEntry { time: None, ..read }, &b"rest"[..])));
        }
        assert_eq!(entry(10, &row(1, b"{}")), None);
        for cut in 0..row(1, b"{}").len() - 4 {
            assert_eq!(entry(11, &row(1, b"{}")[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn the_header_may_be_longer_one_day() {
        assert_eq!(behind_header(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x02??rest"), Some(&b"rest"[..]));
        assert_eq!(behind_header(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x02?"), None);
        assert_eq!(behind_header(b"PGCOPY\n\xff\n\0\0\0\0\0\0\0\0\0"), None);
    }
}
