//! Requests of a caller within a time (`sys/quotas/rate-limit`): a bucket for each quota and caller, on this node alone.
//!
//! What it refuses has its entry like every other refusal. It never holds up the group `root`: who set a quota too low can mend it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::auth::principal::Principal;
use crate::auth::throttle::source_of;
use crate::model::clock::Timestamp;
use crate::model::fault::Fault;
use crate::model::quota::RateQuota;
use crate::store::auth_token::ROOT_GROUP;
use crate::store::quotas::Quotas;

/// Buckets that are held at the same time. Beyond it the full ones are forgotten, which says nothing, and if none is full, all.
const HELD: usize = 50_000;

#[derive(Debug, Default)]
pub(super) struct Rates {
    buckets: Mutex<HashMap<(Arc<str>, String), Bucket>>,
}

/// What is left of a rate. In microseconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    filled: i64,
    blocked_until: i64,
}

impl Rates {
    /// Lets a request in, or says when the next one may come. Strangers are told apart by their address.
    pub fn admit(&self, quotas: &Quotas, who: &Principal, address: IpAddr, path: &str, now: Timestamp) -> Result<(), Fault> {
        if who.groups().iter().any(|group| group == ROOT_GROUP) {
            return Ok(());
        }
        for named in quotas.rates(who.name()).filter(|named| named.quota.covers(path)) {
            let caller = if who.is_anonymous() { source_of(address).to_string() } else { who.name().to_owned() };
            self.take((Arc::clone(&named.name), caller), &named.quota, now.unix_micros())?;
        }
        Ok(())
    }

    fn take(&self, of: (Arc<str>, String), quota: &RateQuota, now: i64) -> Result<(), Fault> {
        let mut buckets = self.buckets.lock();
        if buckets.len() >= HELD && !buckets.contains_key(&of) {
            buckets.retain(|_, bucket| bucket.blocked_until > now || now.saturating_sub(bucket.filled) < span(quota.interval));
            if buckets.len() >= HELD {
                buckets.clear();
            }
        }
        let most = quota.rate.max(1.0);
        let bucket = buckets.entry(of).or_insert(Bucket { left: most, filled: now, blocked_until: i64::MIN });
        let wait = bucket.take(quota, most, now);
        if wait == 0 {
            Ok(())
        } else {
            Err(Fault::TooMany { retry_after: Duration::from_micros(wait.unsigned_abs()).max(Duration::from_secs(1)) })
        }
    }
}

impl Bucket {
    /// How long to wait until it holds one more; 0 where one was taken.
    fn take(&mut self, quota: &RateQuota, most: f64, now: i64) -> i64 {
        if self.blocked_until > now {
            return self.blocked_until.saturating_sub(now);
        }
        // A clock that went back fills nothing, and is the new beginning.
        let passed = now.saturating_sub(self.filled).max(0);
        let each = micros(span(quota.interval)) / quota.rate;
        self.left = (self.left + micros(passed) / each).min(most);
        self.filled = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return 0;
        }
        if quota.block_interval > 0 {
            self.blocked_until = now.saturating_add(span(quota.block_interval));
            return span(quota.block_interval);
        }
        whole((1.0 - self.left) * each).max(1)
    }
}

/// Seconds in microseconds.
fn span(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

#[expect(clippy::cast_precision_loss, reason = "spans of days, far below 2^53 microseconds")]
fn micros(span: i64) -> f64 {
    span as f64
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, and a wait is days at most")]
fn whole(micros: f64) -> i64 {
    micros.ceil() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(rate: f64, interval: u64, block_interval: u64) -> RateQuota {
        RateQuota { rate, interval, block_interval, ..RateQuota::default() }
    }

    fn taken(rates: &Rates, quota: &RateQuota, caller: &str, at: i64) -> bool {
        rates.take((Arc::from("q"), caller.to_owned()), quota, at).is_ok()
    }

    #[test]
    fn so_many_in_each_interval_and_no_more() {
        let (rates, quota) = (Rates::default(), quota(5.0, 1, 0));
        assert_eq!((0..20).filter(|_| taken(&rates, &quota, "a", 0)).count(), 5);
        assert_eq!((0..20).filter(|_| taken(&rates, &quota, "b", 0)).count(), 5, "another caller has its own");
        assert!(!taken(&rates, &quota, "a", 199_999) && taken(&rates, &quota, "a", 400_000));
        assert_eq!((0..20).filter(|_| taken(&rates, &quota, "a", 60_000_000)).count(), 5, "it does not gather beyond the rate");
        // Over a long time the rate holds, however the requests lie.
        let let_in = (0..100_000_i64).filter(|n| taken(&rates, &quota, "c", n * 1_000)).count();
        assert!((500..=506).contains(&let_in), "{let_in}");
    }

    #[test]
    fn a_rate_below_one_lets_one_in_and_says_when_the_next() {
        let (rates, quota) = (Rates::default(), quota(0.5, 1, 0));
        assert!(taken(&rates, &quota, "a", 0));
        let refused = rates.take((Arc::from("q"), "a".to_owned()), &quota, 500_000);
        assert_eq!(refused, Err(Fault::TooMany { retry_after: Duration::from_micros(1_500_000) }));
        assert!(taken(&rates, &quota, "a", 2_000_000));
    }

    #[test]
    fn whoever_passes_the_rate_may_be_held_off() {
        let (rates, quota) = (Rates::default(), quota(2.0, 1, 10));
        assert_eq!((0..4).filter(|_| taken(&rates, &quota, "a", 0)).count(), 2);
        assert!(!taken(&rates, &quota, "a", 9_999_999) && taken(&rates, &quota, "a", 10_000_000));
        // A clock that goes back neither fills nor blocks for ever.
        assert!(taken(&rates, &quota, "b", 0) && taken(&rates, &quota, "b", -1_000_000) && !taken(&rates, &quota, "b", -1_000_000));
    }

    #[test]
    fn memory_is_bounded() {
        let (rates, quota) = (Rates::default(), quota(1.0, 1, 0));
        for number in 0..HELD * 2 {
            drop(rates.take((Arc::from("q"), number.to_string()), &quota, 0));
        }
        assert!(rates.buckets.lock().len() <= HELD);
    }
}
