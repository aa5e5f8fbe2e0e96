//! Strangers cannot flood the ledger: whoever proves nothing has so many refusals recorded one by one; what comes after is answered 429
//! without looking at it, and counted. Each source that was turned away gets one entry a minute, with the count.
//!
//! It never turns away the holder of a good auth token, whatever else comes from the same address. Memory is bounded, however many sources
//! there are: the addresses by the throttle, the counts by [`SOURCES`], behind which all others share one entry.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::audit::entry::{Decision, Draft, EntryKind};
use crate::audit::recorder::Recorder;
use crate::auth::throttle::{LoginThrottle, ThrottleLimits, Throttled, source_of};
use crate::model::action::Action;
use crate::model::clock::{Clock, Timestamp};
use crate::model::facts::Facts;
use crate::model::fault::Fault;
use crate::model::id::RequestId;

use super::released::Released;

/// How many sources are counted apart in a minute.
const SOURCES: usize = 1000;

/// Counts what is not recorded one by one.
pub struct Strangers {
    throttle: LoginThrottle,
    turned_away: Mutex<HashMap<Option<IpAddr>, TurnedAway>>,
}

#[derive(Debug, Clone, Copy)]
struct TurnedAway {
    count: u64,
    since: Timestamp,
}

impl std::fmt::Debug for Strangers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Strangers")
    }
}

impl Strangers {
    #[must_use]
    pub fn new(limits: ThrottleLimits) -> Self {
        Self { throttle: LoginThrottle::new(limits), turned_away: Mutex::default() }
    }

    /// Lets a stranger in, as long as their source may still be refused. To be followed by [`Self::saw`].
    pub(super) fn admit(&self, address: IpAddr, now: Timestamp) -> Result<(), Fault> {
        self.throttle.begin(address, now.unix_micros() / 1000).map_err(|wait| self.count(address, now, wait))
    }

    /// What came of it: who succeeds was no stranger, and what has no entry takes no room in the ledger.
    pub(super) fn saw(&self, address: IpAddr, released: &Released) {
        if released.is_granted() || released.receipt().is_none() {
            self.throttle.succeeded(address);
        }
        if released.is_granted() {
            // A login by Kerberos often begins with a request that shows nothing, and is told to show a ticket.
            self.throttle.succeeded(address);
        }
    }

    /// The refusal of a source that is to be turned away, before anything of its request is read.
    pub(super) fn turn_away(&self, address: IpAddr, now: Timestamp) -> Option<Fault> {
        self.throttle.waits(address, now.unix_micros() / 1000).map(|wait| self.count(address, now, wait))
    }

    fn count(&self, address: IpAddr, now: Timestamp, wait: Throttled) -> Fault {
        self.add(Some(source_of(address)), TurnedAway { count: 1, since: now });
        Fault::TooMany { retry_after: Duration::from_secs(wait.retry_after_seconds.into()) }
    }

    fn add(&self, source: Option<IpAddr>, more: TurnedAway) {
        let mut counts = self.turned_away.lock();
        let source = if counts.len() >= SOURCES && !counts.contains_key(&source) { None } else { source };
        let known = counts.entry(source).or_insert(TurnedAway { count: 0, ..more });
        known.count = known.count.saturating_add(more.count);
        known.since = known.since.min(more.since);
    }

    /// Writes an entry for each source, and begins to count anew. What cannot be recorded goes on waiting.
    pub async fn record(&self, recorder: &Recorder, clock: &Clock) -> Result<(), Fault> {
        let mut waiting = std::mem::take(&mut *self.turned_away.lock()).into_iter();
        while let Some((source, turned_away)) = waiting.next() {
            let recorded = match RequestId::generate(clock.now()) {
                Ok(id) => recorder.note(draft(id, source, turned_away)).await.map(drop),
                Err(_) => Err(Fault::Unavailable("the system gives no randomness")),
            };
            if let Err(fault) = recorded {
                for (source, turned_away) in std::iter::once((source, turned_away)).chain(waiting) {
                    self.add(source, turned_away);
                }
                return Err(fault);
            }
        }
        Ok(())
    }
}

fn draft(request: RequestId, source: Option<IpAddr>, turned_away: TurnedAway) -> Draft {
    Draft {
        kind: EntryKind::Notice,
        request,
        received: turned_away.since,
        account: "anonymous".to_owned(),
        method: "none".to_owned(),
        accessor: None,
        peer: source,
        verb: "unknown",
        action: Action::Unroutable,
        resource: "Server:server".to_owned(),
        path: None,
        decision: Decision::Denied,
        policies: Vec::new(),
        policy_set: None,
        denied_because: None,
        status: Fault::TooMany { retry_after: Duration::ZERO }.status(),
        facts: Box::new(Facts { count: Some(turned_away.count), reason: Some("turned_away"), ..Facts::default() }),
        changes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ThrottleLimits = ThrottleLimits { burst: 2, refill_ms: 1000, addresses: 100_000 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000)
    }

    fn source(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn what_is_turned_away_is_counted_by_source() {
        let strangers = Strangers::new(LIMITS);
        for second in 0..2 {
            assert_eq!(strangers.turn_away(source(1), at(0)), None);
            assert!(strangers.admit(source(1), at(0)).is_ok(), "{second}");
        }
        assert!(matches!(strangers.turn_away(source(1), at(0)), Some(Fault::TooMany { .. })));
        assert!(strangers.admit(source(1), at(0)).is_err());
        assert!(strangers.admit(source(2), at(0)).is_ok(), "another source is not affected");
        let counts = strangers.turned_away.lock().clone();
        assert_eq!(counts.len(), 1);
        assert_eq!(counts.get(&Some(source(1))).map(|counted| counted.count), Some(2));
        assert_eq!(strangers.turn_away(source(1), at(1)), None, "it may be refused again");
    }

    #[test]
    fn who_succeeds_was_no_stranger() {
        let strangers = Strangers::new(LIMITS);
        let granted = Released::of_test(RequestId::nil(), Ok(crate::model::reply::Reply::nothing()), None);
        for _ in 0..100 {
            assert!(strangers.admit(source(1), at(0)).is_ok());
            strangers.saw(source(1), &granted);
        }
    }

    #[test]
    fn memory_is_bounded_however_many_sources_there_are() {
        let strangers = Strangers::new(LIMITS);
        for number in 0..20_000 {
            for _ in 0..3 {
                drop(strangers.admit(source(number), at(0)));
            }
        }
        let counts = strangers.turned_away.lock();
        assert_eq!(counts.len(), SOURCES + 1);
        assert_eq!(counts.values().map(|counted| counted.count).sum::<u64>(), 20_000, "none is lost");
        assert_eq!(counts.get(&None).map(|counted| counted.count), Some(19_000));
    }
}
