//! Slows down guessing: a token bucket per source address for login attempts that fail.
//!
//! An attempt takes a token before it is checked and gets it back when it succeeds, so that parallel attempts
//! cannot overshoot. Memory is bounded: the address unused for longest is forgotten first. It knows nothing of
//! accounts; locking an account from outside would be a gift to an attacker.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
};

use parking_lot::Mutex;

/// How much an address may fail.
#[derive(Clone, Copy, Debug)]
pub struct ThrottleLimits {
    /// Failed or unfinished attempts in a row.
    pub burst: u32,
    /// How long until one of them is forgiven, in milliseconds.
    pub refill_ms: u32,
    /// How many addresses are remembered.
    pub addresses: usize,
}

/// The limiter. The clock is a parameter: milliseconds since any fixed point.
pub struct LoginThrottle {
    limits: ThrottleLimits,
    state: Mutex<State>,
}

/// The address has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    pub retry_after_seconds: u32,
}

impl LoginThrottle {
    pub fn new(limits: ThrottleLimits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// To be called before a credential is looked at; a refused attempt costs nothing more.
    pub fn begin(&self, address: IpAddr, now_ms: i64) -> Result<(), Throttled> {
        let source = Source::of(address);
        let mut state = self.state.lock();
        let bucket = state.touch(source, self.limits, now_ms);
        bucket.refill(self.limits, now_ms);
        if bucket.tokens > 0 {
            bucket.tokens -= 1;
            return Ok(());
        }
        Err(bucket.wait(self.limits, now_ms))
    }

    /// Whether the address would have to wait. Takes nothing and remembers nothing.
    pub fn waits(&self, address: IpAddr, now_ms: i64) -> Option<Throttled> {
        let state = self.state.lock();
        let mut bucket = state.buckets.get(&Source::of(address))?.bucket;
        bucket.refill(self.limits, now_ms);
        (bucket.tokens == 0).then(|| bucket.wait(self.limits, now_ms))
    }

    /// The attempt succeeded: it does not count. Earlier failures still do, so that one good credential does
    /// not buy endless guesses at others.
    pub fn succeeded(&self, address: IpAddr) {
        if let Some(remembered) = self.state.lock().buckets.get_mut(&Source::of(address)) {
            let bucket = &mut remembered.bucket;
            bucket.tokens = bucket.tokens.saturating_add(1).min(self.limits.burst);
        }
    }
}

/// What an address is counted as: itself, or of IPv6 the network of its first 64 bits.
#[must_use]
pub fn source_of(address: IpAddr) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(Source::of(address).0)).to_canonical()
}

/// A single IPv4 address, or the /64 that one IPv6 customer gets.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Source(u128);

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(Ipv6Addr::to_bits(v4.to_ipv6_mapped())),
            IpAddr::V6(v6) => Self(v6.to_bits() & (u128::MAX << 64)),
        }
    }
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: u32,
    refilled_ms: i64,
}

impl Bucket {
    /// How long until there is a token again.
    fn wait(self, limits: ThrottleLimits, now_ms: i64) -> Throttled {
        let waited = u64::try_from(now_ms.saturating_sub(self.refilled_ms)).unwrap_or(0);
        let left_ms = u64::from(limits.refill_ms).saturating_sub(waited);
        Throttled { retry_after_seconds: u32::try_from(left_ms.div_ceil(1000)).unwrap_or(u32::MAX).max(1) }
    }

    fn refill(&mut self, limits: ThrottleLimits, now_ms: i64) {
        let refill_ms = i64::from(limits.refill_ms.max(1));
        let elapsed = now_ms.saturating_sub(self.refilled_ms);
        if elapsed < 0 {
            // The clock went back: start the interval anew rather than wait for it to catch up.
            self.refilled_ms = now_ms;
            return;
        }
        let earned = elapsed / refill_ms;
        self.tokens = self.tokens.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)).min(limits.burst);
        self.refilled_ms = self.refilled_ms.saturating_add(earned.saturating_mul(refill_ms));
    }
}

struct Remembered {
    bucket: Bucket,
    used: u64,
}

#[derive(Default)]
struct State {
    buckets: HashMap<Source, Remembered>,
    by_use: BTreeMap<u64, Source>,
    uses: u64,
}

impl State {
    fn touch(&mut self, source: Source, limits: ThrottleLimits, now_ms: i64) -> &mut Bucket {
        self.uses += 1;
        let used = self.uses;
        if let Some(remembered) = self.buckets.get(&source) {
            self.by_use.remove(&remembered.used);
        } else if self.buckets.len() >= limits.addresses.max(1)
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.buckets.remove(&oldest);
        }
        self.by_use.insert(used, source);
        let fresh = Bucket { tokens: limits.burst, refilled_ms: now_ms };
        let remembered = self.buckets.entry(source).or_insert(Remembered { bucket: fresh, used });
        remembered.used = used;
        &mut remembered.bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ThrottleLimits = ThrottleLimits { burst: 3, refill_ms: 1000, addresses: 4 };

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn failures_run_dry_and_come_back_one_by_one() {
        let throttle = LoginThrottle::new(LIMITS);
        for _ in 0..3 {
            assert_eq!(throttle.begin(address(1), 0), Ok(()));
        }
        assert_eq!(throttle.begin(address(1), 0), Err(Throttled { retry_after_seconds: 1 }));
        assert_eq!(throttle.begin(address(2), 0), Ok(()), "another address is not affected");
        assert_eq!(throttle.begin(address(1), 1000), Ok(()));
        assert!(throttle.begin(address(1), 1999).is_err());
        assert_eq!(throttle.begin(address(1), 2000), Ok(()));
    }

    #[test]
    fn successes_cost_nothing_and_forgive_nothing() {
        let throttle = LoginThrottle::new(LIMITS);
        for _ in 0..100 {
            assert_eq!(throttle.begin(address(1), 0), Ok(()));
            throttle.succeeded(address(1));
        }
        for _ in 0..2 {
            assert_eq!(throttle.begin(address(1), 0), Ok(()));
        }
        assert_eq!(throttle.begin(address(1), 0), Ok(()));
        throttle.succeeded(address(1));
        assert_eq!(throttle.begin(address(1), 0), Ok(()));
        assert!(throttle.begin(address(1), 0).is_err());
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let throttle = LoginThrottle::new(LIMITS);
        for _ in 0..3 {
            assert_eq!(throttle.begin(address(1), 0), Ok(()));
        }
        for last in 2..=4 {
            assert_eq!(throttle.begin(address(last), 0), Ok(()));
        }
        assert!(throttle.begin(address(1), 0).is_err(), "still remembered, and now the latest");
        for last in 5..=7 {
            assert_eq!(throttle.begin(address(last), 0), Ok(()));
        }
        assert!(throttle.begin(address(1), 0).is_err());
        assert_eq!(throttle.state.lock().buckets.len(), 4);
        assert_eq!(throttle.state.lock().by_use.len(), 4);
    }

    #[test]
    fn a_clock_that_goes_back_neither_blocks_nor_frees() {
        let throttle = LoginThrottle::new(LIMITS);
        for _ in 0..3 {
            assert_eq!(throttle.begin(address(1), 10_000_000), Ok(()));
        }
        assert!(throttle.begin(address(1), 0).is_err());
        assert_eq!(throttle.begin(address(1), 1000), Ok(()));
    }

    #[test]
    fn one_ipv6_network_is_one_source_and_mapped_addresses_are_ipv4() {
        let throttle = LoginThrottle::new(LIMITS);
        let addresses = ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:1"];
        for text in addresses {
            assert_eq!(throttle.begin(text.parse().unwrap(), 0), Ok(()));
        }
        assert!(throttle.begin("2001:db8::9".parse().unwrap(), 0).is_err());
        assert_eq!(throttle.begin("2001:db8:0:1::9".parse().unwrap(), 0), Ok(()));
        assert_eq!(throttle.waits("2001:db8::77".parse().unwrap(), 0), Some(Throttled { retry_after_seconds: 1 }));
        assert_eq!(throttle.waits("2001:db8::77".parse().unwrap(), 1000), None);
        assert_eq!(throttle.waits("2001:db8:ffff::77".parse().unwrap(), 0), None);
        assert_eq!(source_of("2001:db8::77".parse().unwrap()), "2001:db8::".parse::<IpAddr>().unwrap());
        assert_eq!(source_of("::ffff:192.0.2.9".parse().unwrap()), address(9));
        for _ in 0..3 {
            assert_eq!(throttle.begin(address(9), 0), Ok(()));
        }
        assert!(throttle.begin("::ffff:192.0.2.9".parse().unwrap(), 0).is_err());
    }
}
