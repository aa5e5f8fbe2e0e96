//! Writing new tokens. A few ride in the commit group with their entry. Many go into a transaction of their own, so that they hold up
//! nobody else's commit, and as a binary COPY, which PostgreSQL stores and logs page by page, not row by row.
//! The format: PostgreSQL's documentation, COPY, "Binary Format".

use sqlx::PgConnection;
use sqlx::postgres::PgCopyIn;
use time::OffsetDateTime;
use time::macros::datetime;

use super::error::StoreError;
use super::subject;
use super::transform::NewTokens;
use super::work::Work;

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
    copy: Option<PgCopyIn<&'work mut PgConnection>>,
    rows: Vec<u8>,
}

impl<'work> Making<'work> {
    /// For `count` tokens. Where they are many, their subjects are kept alive until the work's transaction ends.
    pub async fn begin(work: &'work mut Work, count: usize, subjects: &[i64]) -> Result<Self, StoreError> {
        if count < work.store().tuning().lane_from {
            return Ok(Self { tokens: NewTokens::with_capacity(count), copy: None, rows: Vec::new() });
        }
        work.lane().await?;
        subject::keep_alive(work, subjects).await?;
        let connection: &mut PgConnection = work.transaction().await?;
        let copy = connection.copy_in_raw(COPY).await?;
        Ok(Self { tokens: NewTokens::default(), copy: Some(copy), rows: HEADER.to_vec() })
    }

    /// Sends what has been made so far, if many are made.
    pub async fn pass_on(&mut self) -> Result<(), StoreError> {
        let Self { tokens, copy: Some(copy), rows } = self else { return Ok(()) };
        let numbers = tokens.transformation.drain(..).zip(tokens.id.drain(..));
        let optional = tokens.subject.drain(..).zip(tokens.expires.drain(..));
        let secrets = tokens.value.drain(..).zip(tokens.metadata.drain(..).zip(tokens.secret.drain(..)));
        for (((transformation, id), (subject, expires)), (value, (metadata, secret))) in numbers.zip(optional).zip(secrets) {
            rows.extend_from_slice(&COLUMNS.to_be_bytes());
            field(rows, Some(&transformation.to_be_bytes()))?;
            number(rows, Some(id))?;
            number(rows, subject)?;
            number(rows, expires.map(microseconds).transpose()?)?;
            field(rows, Some(&value))?;
            field(rows, metadata.as_deref())?;
            field(rows, secret.as_deref())?;
        }
        copy.send(rows.as_slice()).await?;
        rows.clear();
        Ok(())
    }

    /// Sends the last. What was not sent, because it is not many, is left to [`add`].
    pub async fn finish(mut self) -> Result<NewTokens, StoreError> {
        self.pass_on().await?;
        if let Some(mut copy) = self.copy {
            copy.send(TRAILER.to_be_bytes().as_slice()).await?;
            copy.finish().await?;
        }
        Ok(self.tokens)
    }
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
