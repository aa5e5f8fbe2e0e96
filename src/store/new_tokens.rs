//! Writing new tokens. A few ride in the commit group with their entry. Many go into a transaction of their own, so that they hold up
//! nobody else's commit, and as binary COPYs, which PostgreSQL stores and logs page by page, not row by row.
//! The format: PostgreSQL's documentation, COPY, "Binary Format".

use std::panic::resume_unwind;
use std::task::Poll;

use time::OffsetDateTime;
use time::macros::datetime;

use super::Transaction;
use super::error::StoreError;
use super::subject;
use super::transform::NewTokens;
use super::work::Work;
use crate::model::to_its_end::{Ended, ToItsEnd};

const COPY: &str = "COPY public.pii_token (transformation, id, subject, expires, value, metadata, secret) FROM STDIN (FORMAT binary)";

const COLUMNS: i16 = 7;

/// A signature, flags and the length of an extension, of which there are none.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

const TRAILER: i16 = -1;

/// Where PostgreSQL's time begins.
const EPOCH: OffsetDateTime = datetime!(2000-01-01 00:00 UTC);

/// Lets new tokens be committed with the work's entry.
pub async fn add(work: &mut Work, mut new: NewTokens) -> Result<(), StoreError> {
    let mut tokens = work.take_riding();
    tokens.append(&mut new);
    if tokens.len() >= work.store().tuning().lane_from {
        let subjects = tokens.distinct_subjects();
        let mut making = Making::begin(work, tokens.len(), &subjects).await?;
        making.tokens = tokens;
        making.finish().await?;
        return Ok(());
    }
    if !work.in_transaction() {
        return work.ride(tokens);
    }
    subject::keep_alive(work, &tokens.distinct_subjects()).await?;
    sqlx::query!(
        "INSERT INTO pii_token (transformation, id, subject, expires, value, metadata, secret)
         SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::bytea[], $6::bytea[], $7::bytea[])",
        &tokens.transformation,
        &tokens.id,
        &tokens.subject as &[Option<i64>],
        &tokens.expires as &[Option<time::OffsetDateTime>],
        &tokens.value,
        &tokens.metadata as &[Option<Vec<u8>>],
        &tokens.secret as &[Option<Vec<u8>>]
    )
    .execute(&mut **work.transaction().await?)
    .await?;
    Ok(())
}

/// Tokens that a request is making: PostgreSQL stores the first of many while the next ones are made.
pub struct Making<'work> {
    pub tokens: NewTokens,
    /// Where they are many: the work whose transaction takes them.
    lane: Option<&'work mut Work>,
    copying: Option<ToItsEnd<Copied>>,
}

impl<'work> Making<'work> {
    /// For `count` tokens. Where they are many, their subjects are kept alive until the work's transaction ends.
    pub async fn begin(work: &'work mut Work, count: usize, subjects: &[i64]) -> Result<Self, StoreError> {
        let tokens = NewTokens::with_capacity(count);
        if count < work.store().tuning().lane_from {
            return Ok(Self { tokens, lane: None, copying: None });
        }
        work.lane().await?;
        subject::keep_alive(work, subjects).await?;
        work.transaction().await?;
        Ok(Self { tokens, lane: Some(work), copying: None })
    }

    /// Sends of what has been made so far what is worth a COPY, if many are made. Waits for nothing.
    pub async fn pass_on(&mut self) -> Result<(), StoreError> {
        let Self { tokens, lane: Some(work), copying } = self else { return Ok(()) };
        if let Some(under_way) = copying {
            let Poll::Ready(ended) = under_way.look().await else { return Ok(()) };
            *copying = None;
            work.go_on_in(copied(ended)?);
        }
        if tokens.len() >= WORTH_A_COPY {
            let under_way = copying.insert(copy(work.hand_out()?, tokens)?);
            // Looked at once, so that it is on its way.
            if let Poll::Ready(ended) = under_way.look().await {
                *copying = None;
                work.go_on_in(copied(ended)?);
            }
        }
        Ok(())
    }

    /// Sends the last. What was not sent, because it is not many, is left to [`add`].
    pub async fn finish(mut self) -> Result<NewTokens, StoreError> {
        let Some(work) = self.lane else { return Ok(self.tokens) };
        loop {
            if let Some(copying) = self.copying.take() {
                work.go_on_in(copied(copying.await)?);
            }
            if self.tokens.is_empty() {
                return Ok(self.tokens);
            }
            self.copying = Some(copy(work.hand_out()?, &mut self.tokens)?);
        }
    }
}

/// From so many rows on a COPY of their own is worth its two ways there and back.
const WORTH_A_COPY: usize = 320;

/// PostgreSQL 15 keeps a slot for each of the first thousand rows of a COPY, in a table where they all collide: what that costs grows with
/// their square.
const MOST_SLOTS: usize = 1000;

/// Rows of one COPY that stay well below that.
const FEW_SLOTS: usize = 400;

/// How many of so many rows one COPY takes.
fn rows_of_one(waiting: usize) -> usize {
    if waiting > MOST_SLOTS { waiting } else { waiting.div_ceil(waiting.div_ceil(FEW_SLOTS).max(1)) }
}

type Copied = Result<Box<Transaction>, StoreError>;

/// Begins a COPY of rows from the front of `tokens`, in the transaction that it gives back. It goes on to its end, whoever waits for it: a
/// connection in the middle of a COPY is good for nothing else. Nothing is sent before it is first looked at.
fn copy(mut transaction: Box<Transaction>, tokens: &mut NewTokens) -> Result<ToItsEnd<Copied>, StoreError> {
    let rows = binary(tokens, rows_of_one(tokens.len()))?;
    Ok(ToItsEnd::new(async move {
        let mut copy = transaction.copy_in_raw(COPY).await?;
        copy.send(rows).await?;
        copy.finish().await?;
        Ok(transaction)
    }))
}

fn copied(ended: Ended<Copied>) -> Copied {
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}

/// The first `count` tokens as a whole COPY.
fn binary(tokens: &mut NewTokens, count: usize) -> Result<Vec<u8>, StoreError> {
    let mut rows = HEADER.to_vec();
    let numbers = tokens.transformation.drain(..count).zip(tokens.id.drain(..count));
    let optional = tokens.subject.drain(..count).zip(tokens.expires.drain(..count));
    let secrets = tokens.value.drain(..count).zip(tokens.metadata.drain(..count).zip(tokens.secret.drain(..count)));
    for (((transformation, id), (subject, expires)), (value, (metadata, secret))) in numbers.zip(optional).zip(secrets) {
        rows.extend_from_slice(&COLUMNS.to_be_bytes());
        field(&mut rows, Some(&transformation.to_be_bytes()))?;
        number(&mut rows, Some(id))?;
        number(&mut rows, subject)?;
        number(&mut rows, expires.map(microseconds).transpose()?)?;
        field(&mut rows, Some(&value))?;
        field(&mut rows, metadata.as_deref())?;
        field(&mut rows, secret.as_deref())?;
    }
    rows.extend_from_slice(&TRAILER.to_be_bytes());
    Ok(rows)
}

/// A column of a row; without a value it is null.
fn field(rows: &mut Vec<u8>, value: Option<&[u8]>) -> Result<(), StoreError> {
    let Some(value) = value else {
        rows.extend_from_slice(&(-1_i32).to_be_bytes());
        return Ok(());
    };
    let length = i32::try_from(value.len()).map_err(|_| StoreError::Defect("a column of over 2 GiB".to_owned()))?;
    rows.extend_from_slice(&length.to_be_bytes());
    rows.extend_from_slice(value);
    Ok(())
}

fn number(rows: &mut Vec<u8>, value: Option<i64>) -> Result<(), StoreError> {
    field(rows, value.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice))
}

/// A time as PostgreSQL counts it.
fn microseconds(time: OffsetDateTime) -> Result<i64, StoreError> {
    let since = (time - EPOCH).whole_microseconds();
    i64::try_from(since).map_err(|_| StoreError::Defect("a time that PostgreSQL cannot hold".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_stay_small_until_size_does_not_matter() {
        assert_eq!([256, 400, 401, 1000].map(rows_of_one), [256, 400, 201, 334]);
        assert_eq!([1001, 10_000].map(rows_of_one), [1001, 10_000]);
    }

    #[test]
    fn columns_are_as_postgresql_documents_them() {
        let mut rows = Vec::new();
        number(&mut rows, Some(258)).expect("a number");
        number(&mut rows, None).expect("none");
        field(&mut rows, Some(b"ab")).expect("bytes");
        assert_eq!(rows, b"\0\0\0\x08\0\0\0\0\0\0\x01\x02\xff\xff\xff\xff\0\0\0\x02ab");
    }

    #[test]
    fn time_begins_with_the_year_2000() {
        assert_eq!(microseconds(EPOCH).expect("a time"), 0);
        assert_eq!(microseconds(datetime!(1999-12-31 23:59:59 UTC)).expect("a time"), -1_000_000);
        assert_eq!(microseconds(datetime!(2026-01-01 01:00:00 +1)).expect("a time"), 820_540_800_000_000);
    }
}
