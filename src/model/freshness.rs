//! How long what was read from the database is used before it is read again.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::clock::Timestamp;

/// When something that is held in memory is due to be read again, and from when on it must not be used any more. Between the two one
/// caller reads it and all others go on with it, so that what is asked for by many is not read by all of them at once.
#[derive(Debug)]
pub struct Freshness {
    /// In microseconds.
    due: AtomicI64,
    stale: Timestamp,
    retry: Duration,
}

/// The times of a kind of thing, each counted from when it was read.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub due: Duration,
    pub stale: Duration,
    /// How long until another caller tries where the one who read did not come back with it.
    pub retry: Duration,
}

impl Freshness {
    #[must_use]
    pub fn of(read: Timestamp, terms: Terms) -> Self {
        Self { due: AtomicI64::new(read.plus(terms.due).unix_micros()), stale: read.plus(terms.stale), retry: terms.retry }
    }

    /// False for everybody once it is stale, and before that for the one caller who reads it again.
    pub fn may_be_used(&self, now: Timestamp) -> bool {
        if now >= self.stale {
            return false;
        }
        let due = self.due.load(Ordering::Relaxed);
        let later = now.plus(self.retry).unix_micros();
        now.unix_micros() < due || self.due.compare_exchange(due, later, Ordering::Relaxed, Ordering::Relaxed).is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_reads_what_is_due_and_nobody_uses_what_is_stale() {
        let after = |seconds| Timestamp::from_unix_micros(1_700_000_000_000_000).plus(Duration::from_secs(seconds));
        let terms = Terms { due: Duration::from_secs(30), stale: Duration::from_secs(60), retry: Duration::from_secs(5) };
        let fresh = Freshness::of(after(0), terms);
        assert!(fresh.may_be_used(after(0)) && fresh.may_be_used(after(29)));
        assert!(!fresh.may_be_used(after(30)), "this one reads");
        assert!(fresh.may_be_used(after(30)), "the others go on");
        assert!(fresh.may_be_used(after(34)) && !fresh.may_be_used(after(35)), "it is tried again");
        assert!(!fresh.may_be_used(after(60)) && !fresh.may_be_used(after(60)));
    }
}
