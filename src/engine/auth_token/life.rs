//! How long an auth token lives. Pure: times and spans in, times out.
//!
//! Spans are seconds, and 0 means that none was given, as in Vault's API.

use std::time::Duration;

use crate::model::clock::Timestamp;
use crate::store::auth_token::AuthTokenRow;

/// A login's token lives an hour unless its role or its mount says otherwise, and is renewed for a day at most.
pub const LOGIN: Limits = Limits { default_ttl: 3600, max_ttl: 86_400 };

/// A token made from another lives 32 days at most, as in Vault, and an hour unless asked otherwise.
pub const CHILD: Limits = Limits { default_ttl: 3600, max_ttl: 768 * 3600 };

/// What holds where nobody said anything.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub default_ttl: u64,
    pub max_ttl: u64,
}

impl Limits {
    /// What an administrator tuned the mount to goes before what is built in.
    #[must_use]
    pub fn tuned(self, default_lease_ttl: u64, max_lease_ttl: u64) -> Self {
        let max_ttl = given(max_lease_ttl).unwrap_or(self.max_ttl);
        Self { default_ttl: given(default_lease_ttl).unwrap_or(self.default_ttl).min(max_ttl), max_ttl }
    }
}

/// What a caller or a role asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    pub ttl: u64,
    /// May only shorten what the mount allows.
    pub max_ttl: u64,
    /// Holds for tokens with a period too.
    pub explicit_max_ttl: u64,
    /// Renewed for this long each time, without end.
    pub period: u64,
}

/// The life of a new token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    pub ttl: u64,
    pub expires: Timestamp,
    /// None: renewed as long as its holder comes back in time.
    pub max_expires: Option<Timestamp>,
}

#[must_use]
pub fn begin(now: Timestamp, wish: Wish, limits: Limits) -> Life {
    let (asked, max) = if wish.period > 0 {
        (wish.period, given(wish.explicit_max_ttl))
    } else {
        let max = [wish.max_ttl, wish.explicit_max_ttl].into_iter().filter_map(given).fold(limits.max_ttl, u64::min);
        (given(wish.ttl).unwrap_or(limits.default_ttl), Some(max))
    };
    let ttl = asked.min(max.unwrap_or(u64::MAX));
    Life { ttl, expires: after(now, ttl), max_expires: max.map(|max| after(now, max)) }
}

/// When a token that is renewed now will expire: never beyond its end, whatever is asked for.
#[must_use]
pub fn renewed(row: &AuthTokenRow, now: Timestamp, increment: u64) -> Timestamp {
    let span = given(row.period).or(given(increment)).unwrap_or(row.ttl);
    let wanted = after(now, span);
    row.max_expires.map_or(wanted, |end| wanted.min(end))
}

fn given(seconds: u64) -> Option<u64> {
    (seconds > 0).then_some(seconds)
}

fn after(now: Timestamp, seconds: u64) -> Timestamp {
    now.plus(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_micros(1_700_000_000_000_000);

    fn row(life: Life, period: u64) -> AuthTokenRow {
        serde_json::from_value(serde_json::json!({
            "accessor": "synthetic", "account": "synthetic", "groups": [], "method": "token", "path": "", "display_name": "",
            "created": NOW, "renewed": null, "expires": life.expires, "max_expires": life.max_expires, "ttl": life.ttl,
            "explicit_max_ttl": 0, "period": period, "renewable": true, "parent": null, "channel_bound": false, "mount": 2, "version": 1
        }))
        .expect("a row")
    }

    #[test]
    fn what_is_not_asked_for_is_the_default() {
        let life = begin(NOW, Wish::default(), LOGIN);
        assert_eq!((life.ttl, life.expires, life.max_expires), (3600, after(NOW, 3600), Some(after(NOW, 86_400))));
        let tuned = begin(NOW, Wish::default(), LOGIN.tuned(60, 120));
        assert_eq!((tuned.ttl, tuned.max_expires), (60, Some(after(NOW, 120))));
        assert_eq!(LOGIN.tuned(7200, 600).default_ttl, 600);
    }

    #[test]
    fn a_smaller_maximum_shortens_the_first_life() {
        let life = begin(NOW, Wish { ttl: 1800, explicit_max_ttl: 300, ..Wish::default() }, CHILD);
        assert_eq!((life.ttl, life.expires, life.max_expires), (300, after(NOW, 300), Some(after(NOW, 300))));
        let greedy = begin(NOW, Wish { ttl: u64::MAX, max_ttl: u64::MAX, ..Wish::default() }, LOGIN);
        assert_eq!(greedy.expires, after(NOW, LOGIN.max_ttl));
    }

    #[test]
    fn a_period_has_no_end_unless_one_is_set() {
        let life = begin(NOW, Wish { ttl: 60, period: 1800, ..Wish::default() }, CHILD);
        assert_eq!((life.ttl, life.max_expires), (1800, None));
        let later = after(NOW, 10_000_000);
        assert_eq!(renewed(&row(life, 1800), later, 99_999), after(later, 1800));
        let ending = begin(NOW, Wish { period: 1800, explicit_max_ttl: 2000, ..Wish::default() }, CHILD);
        assert_eq!(renewed(&row(ending, 1800), after(NOW, 1700), 0), after(NOW, 2000));
    }

    proptest! {
        #[test]
        fn no_renewal_reaches_beyond_the_maximum(ttl in 0_u64..100_000, max in 0_u64..100_000, explicit in 0_u64..100_000,
                                                 steps in prop::collection::vec((0_i64..50_000, 0_u64..200_000), 0..20)) {
            let life = begin(NOW, Wish { ttl, max_ttl: max, explicit_max_ttl: explicit, period: 0 }, LOGIN);
            let end = [max, explicit, LOGIN.max_ttl].into_iter().filter(|span| *span > 0).min().unwrap_or_default();
            prop_assert!(life.expires <= after(NOW, end));
            let mut row = row(life, 0);
            let mut now = NOW;
            for (step, increment) in steps {
                now = Timestamp::from_unix_micros(now.unix_micros() + step * 1_000_000);
                if row.is_expired(now) {
                    break;
                }
                row.expires = Some(renewed(&row, now, increment));
                prop_assert!(row.expires <= Some(after(NOW, end)));
            }
        }
    }
}
