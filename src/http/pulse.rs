//! What is going on on one connection, so that a client that stalls can be told from one that works.
//!
//! hyper's own timer for heads runs while a connection is idle, too, so a short one would close every kept connection; and nobody
//! else looks after a client that asks and never reads the answer. Times are milliseconds since the connection began.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::Limits;
use crate::model::clock;

const NEVER: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Pulse {
    started: Instant,
    /// Requests whose answer has not been read by the client.
    busy: AtomicUsize,
    quiet_since: AtomicU64,
    served: AtomicBool,
    /// Since when a head is incomplete.
    head_since: AtomicU64,
    /// Since when the client reads nothing.
    stuck_since: AtomicU64,
    /// Answers on their way, counted apart by the turn of the watch in which they were made. When a turn ends, those of the turn
    /// before must be gone: progress of single bytes (pings, tiny windows) does not help a client that never takes its answer.
    unsent_even: AtomicUsize,
    unsent_odd: AtomicUsize,
    odd: AtomicBool,
    /// The framing of what came in is not beyond doubt: nothing more is understood on this connection.
    doubtful: AtomicBool,
    /// The answer was given before all of the request was read.
    unread: AtomicBool,
}

/// What the watch has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    /// Nothing to do for too long: ask the connection to end.
    Idle,
    /// Cut it.
    Stuck,
}

impl Pulse {
    pub fn new() -> Self {
        Self {
            started: clock::instant(),
            busy: AtomicUsize::new(0),
            quiet_since: AtomicU64::new(0),
            served: AtomicBool::new(false),
            head_since: AtomicU64::new(NEVER),
            stuck_since: AtomicU64::new(NEVER),
            unsent_even: AtomicUsize::new(0),
            unsent_odd: AtomicUsize::new(0),
            odd: AtomicBool::new(false),
            doubtful: AtomicBool::new(false),
            unread: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    /// More bytes of a head came, and not its end. The first of them counts.
    pub fn head_goes_on(&self) {
        let _ = self.head_since.compare_exchange(NEVER, self.now(), Ordering::Relaxed, Ordering::Relaxed);
    }

    pub fn head_ends(&self) {
        if self.head_since.load(Ordering::Relaxed) != NEVER {
            self.head_since.store(NEVER, Ordering::Relaxed);
        }
    }

    pub fn write_waits(&self) {
        // The first refusal counts, not the latest.
        let _ = self.stuck_since.compare_exchange(NEVER, self.now(), Ordering::Relaxed, Ordering::Relaxed);
    }

    pub fn write_moves(&self) {
        if self.stuck_since.load(Ordering::Relaxed) != NEVER {
            self.stuck_since.store(NEVER, Ordering::Relaxed);
        }
    }

    pub fn doubt(&self) {
        self.doubtful.store(true, Ordering::Relaxed);
    }

    pub fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    pub fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    pub fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    fn unsent(&self, odd: bool) -> &AtomicUsize {
        if odd { &self.unsent_odd } else { &self.unsent_even }
    }

    /// Ends a turn. False when answers of the turn before it are still on their way.
    pub fn turn(&self) -> bool {
        let odd = self.odd.load(Ordering::Relaxed);
        if self.unsent(!odd).load(Ordering::Relaxed) > 0 {
            return false;
        }
        self.odd.store(!odd, Ordering::Relaxed);
        true
    }

    /// `crowded`: others wait for a connection, so those that do nothing get less patience.
    pub fn verdict(&self, limits: &Limits, crowded: bool) -> Verdict {
        let now = self.now();
        let over = |since: &AtomicU64, limit: Duration| {
            let since = since.load(Ordering::Relaxed);
            since != NEVER && u128::from(now.saturating_sub(since)) >= limit.as_millis()
        };
        if over(&self.head_since, limits.header_timeout) || over(&self.stuck_since, limits.write_timeout) {
            return Verdict::Stuck;
        }
        let patience = if crowded || !self.served.load(Ordering::Relaxed) {
            limits.idle_timeout.min(limits.header_timeout)
        } else {
            limits.idle_timeout
        };
        if !self.is_busy() && over(&self.quiet_since, patience) { Verdict::Idle } else { Verdict::Fine }
    }
}

/// A request is being served, or its answer is on its way.
#[derive(Debug)]
pub(super) struct Busy(Arc<Pulse>);

impl Busy {
    pub fn begin(pulse: &Arc<Pulse>) -> Self {
        pulse.busy.fetch_add(1, Ordering::Relaxed);
        pulse.served.store(true, Ordering::Relaxed);
        Self(Arc::clone(pulse))
    }

    /// The answer is made; what is left is that the client reads it.
    pub fn answered(self) -> Unsent {
        let odd = self.0.odd.load(Ordering::Relaxed);
        self.0.unsent(odd).fetch_add(1, Ordering::Relaxed);
        Unsent { busy: self, odd }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.quiet_since.store(self.0.now(), Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer that the client has not read.
#[derive(Debug)]
pub(super) struct Unsent {
    busy: Busy,
    odd: bool,
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.busy.0.unsent(self.odd).fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            header_timeout: Duration::from_secs(1),
            write_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(4),
            ..Limits::default()
        }
    }

    async fn wait(millis: u64) {
        tokio::time::advance(Duration::from_millis(millis)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_must_come_soon_and_the_next_may_take_its_time() {
        let pulse = Arc::new(Pulse::new());
        wait(999).await;
        assert_eq!(pulse.verdict(&limits(), false), Verdict::Fine);
        wait(1).await;
        assert_eq!(pulse.verdict(&limits(), false), Verdict::Idle);
        let busy = Busy::begin(&pulse);
        wait(60_000).await;
        assert_eq!(pulse.verdict(&limits(), false), Verdict::Fine);
        drop(busy.answered());
        wait(3_999).await;
        assert_eq!(pulse.verdict(&limits(), false), Verdict::Fine);
        assert_eq!(pulse.verdict(&limits(), true), Verdict::Idle);
        wait(1).await;
        assert_eq!(pulse.verdict(&limits(), false), Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_heads_and_clients_that_do_not_read_are_cut() {
        let pulse = Arc::new(Pulse::new());
        pulse.head_goes_on();
        wait(1_000).await;
        assert_eq!(pulse.verdict(&limits(), false), Verdict::Stuck);
        pulse.head_ends();
        let _busy = Busy::begin(&pulse);
        pulse.write_waits();
        wait(1_500).await;
        pulse.write_waits();
        assert_eq!(pulse.verdict(&limits(), false), Verdict::Fine);
        wait(500).await;
        assert_eq!(pulse.verdict(&limits(), false), Verdict::Stuck);
        pulse.write_moves();
        assert_eq!(pulse.verdict(&limits(), false), Verdict::Fine);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_must_be_taken_within_two_turns() {
        let pulse = Arc::new(Pulse::new());
        let answer = Busy::begin(&pulse).answered();
        assert!(pulse.turn());
        assert!(!pulse.turn());
        drop(answer);
        assert!(pulse.turn());
        assert!(!pulse.is_busy());
    }
}
