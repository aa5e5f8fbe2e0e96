//! The clock: the only file that may ask the system for the time.
//!
//! It never goes back while the process lives, so that setting the system's clock back cannot lengthen a credential's life.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment, in microseconds since 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

const FORM: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";

impl Timestamp {
    #[must_use]
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros)
    }

    #[must_use]
    pub const fn unix_micros(self) -> i64 {
        self.0
    }

    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Zero when `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    #[must_use]
    pub fn to_date(self) -> OffsetDateTime {
        let micros = u32::try_from(self.0.rem_euclid(1_000_000)).unwrap_or_default();
        let second = OffsetDateTime::from_unix_timestamp(self.unix_seconds());
        second.and_then(|second| second.replace_microsecond(micros)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    #[must_use]
    pub fn from_date(date: OffsetDateTime) -> Self {
        Self(i64::try_from(date.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX))
    }

    /// RFC 3339 in UTC with microseconds, always 27 characters: `2026-01-31T12:00:00.000000Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let date = self.to_date();
        let mut text = *FORM;
        let mut put = |from: usize, digits: usize, mut number: u32| {
            for slot in text.iter_mut().skip(from).take(digits).rev() {
                *slot = b'0' + (number % 10) as u8;
                number /= 10;
            }
        };
        put(0, 4, date.year().unsigned_abs());
        put(5, 2, u32::from(u8::from(date.month())));
        put(8, 2, u32::from(date.day()));
        put(11, 2, u32::from(date.hour()));
        put(14, 2, u32::from(date.minute()));
        put(17, 2, u32::from(date.second()));
        put(20, 6, date.microsecond());
        // It is ASCII.
        String::from_utf8(text.to_vec()).unwrap_or_default()
    }

    /// Reads any RFC 3339 moment.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        Self::from_canonical(text).or_else(|| OffsetDateTime::parse(text, &Rfc3339).ok().map(Self::from_date))
    }

    /// Reads what [`Self::to_rfc3339`] writes, which is nearly all that is ever read.
    fn from_canonical(text: &str) -> Option<Self> {
        let text: &[u8; 27] = text.as_bytes().try_into().ok()?;
        let fits = text.iter().zip(FORM).all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form });
        let number = |from: usize, digits: usize| {
            text.iter().skip(from).take(digits).fold(0_i64, |number, digit| number * 10 + i64::from(digit.wrapping_sub(b'0')))
        };
        let (year, month, day) = (number(0, 4), number(5, 2), number(8, 2));
        let (hour, minute, second) = (number(11, 2), number(14, 2), number(17, 2));
        // A month's last days are left to the complete parser.
        if !fits || year < 1 || !(1..=12).contains(&month) || !(1..=28).contains(&day) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        // Days since 1970, with years that begin in March.
        let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1 - 719_468;
        Some(Self((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + number(20, 6)))
    }
}

/// Tells the time. Clones share what they have seen.
#[derive(Debug, Clone)]
pub struct Clock {
    latest: Arc<AtomicI64>,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    System,
    /// The system's and so many microseconds.
    Shifted(i64),
    Manual(Arc<AtomicI64>),
}

impl Clock {
    #[must_use]
    pub fn system() -> Self {
        Self { latest: Arc::new(AtomicI64::new(i64::MIN)), source: Source::System }
    }

    /// The system's clock, as if it were `moment` now: for a development server that is to live through months.
    #[must_use]
    pub fn beginning(moment: Timestamp) -> Self {
        let behind = moment.0.saturating_sub(system_micros());
        Self { latest: Arc::new(AtomicI64::new(i64::MIN)), source: Source::Shifted(behind) }
    }

    /// A clock that a test moves by hand.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self { latest: Arc::new(AtomicI64::new(i64::MIN)), source: Source::Manual(Arc::new(AtomicI64::new(start.0))) }
    }

    /// Moves a manual clock, forwards or backwards; does nothing to the system's.
    pub fn shift(&self, micros: i64) {
        if let Source::Manual(at) = &self.source {
            at.fetch_add(micros, Ordering::Relaxed);
        }
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        let read = match &self.source {
            Source::System => system_micros(),
            Source::Shifted(by) => system_micros().saturating_add(*by),
            Source::Manual(at) => at.load(Ordering::Relaxed),
        };
        Timestamp(self.latest.fetch_max(read, Ordering::Relaxed).max(read))
    }

    /// From now on the clock says at least `moment`: called with the newest moment of the ledger, so that a restart with the
    /// system's clock set back does not revive what had expired.
    pub fn not_before(&self, moment: Timestamp) {
        self.latest.fetch_max(moment.0, Ordering::Relaxed);
    }
}

/// The present on the timers' own scale, for timeouts: not a time of day, and a test can stop it.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
#[must_use]
pub fn instant() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
fn system_micros() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(span) => i64::try_from(span.as_micros()).unwrap_or(i64::MAX),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_goes_back() {
        let clock = Clock::manual(Timestamp::from_unix_micros(5_000_000));
        assert_eq!(clock.now().unix_micros(), 5_000_000);
        clock.shift(-3_600_000_000);
        assert_eq!(clock.now().unix_micros(), 5_000_000);
        clock.shift(3_600_000_001);
        assert_eq!(clock.now().unix_micros(), 5_000_001);
    }

    #[test]
    fn writes_and_reads_rfc3339() {
        let moment = Timestamp::from_unix_micros(1_700_000_000_000_001);
        assert_eq!(moment.to_rfc3339(), "2023-11-14T22:13:20.000001Z");
        assert_eq!(Timestamp::from_rfc3339("2023-11-14T22:13:20.000001Z"), Some(moment));
        assert_eq!(Timestamp::from_rfc3339("2023-11-14T23:13:20.000001+01:00"), Some(moment));
        assert_eq!(Timestamp::from_rfc3339("yesterday"), None);
    }

    #[test]
    fn the_quick_reading_is_the_complete_one() {
        let parsed = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok().map(Timestamp::from_date);
        for day in (-719_162..2_932_897_i64).step_by(13) {
            let moment = Timestamp((day * 86_400 + (day * 7919).rem_euclid(86_400)) * 1_000_000 + (day * 104_729).rem_euclid(1_000_000));
            let text = moment.to_rfc3339();
            let quick = Timestamp::from_canonical(&text);
            assert!(quick == Some(moment) || (quick.is_none() && moment.to_date().day() > 28), "{text}");
        }
        for text in
            ["2026-02-29T12:00:00.000000Z", "2026-13-01T12:00:00.000000Z", "2026-01-01T24:00:00.000000Z", "2026-01-01T12:60:00.000000Z"]
        {
            assert_eq!(Timestamp::from_rfc3339(text), None, "{text}");
        }
        for text in
            ["2024-02-29T12:00:00.000000Z", "2026-01-31T23:59:59.999999Z", "2026-01-01T12:00:00.000000z", "2026-01-01T12:00:00.00000Z"]
        {
            assert_eq!((Timestamp::from_rfc3339(text), Timestamp::from_rfc3339(text).is_some()), (parsed(text), true), "{text}");
        }
    }
}
