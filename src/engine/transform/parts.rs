//! A large batch in parts, some of which are worked on at the same time, so that one request gets more than one core.

use std::collections::VecDeque;
use std::future::Future;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;

use crate::model::fault::Fault;

/// Parts of one request that are worked on at the same time.
const AT_ONCE: usize = 2;

/// Whether a batch is worth taking apart: not while others that were keep the cores busy.
#[derive(Debug)]
pub(super) struct Spread(Semaphore);

impl Spread {
    /// For as long as the batch is worked on; none: it goes as a whole.
    pub(super) fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.0.try_acquire().ok()
    }
}

impl Default for Spread {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self(Semaphore::new((cores / AT_ONCE).max(1)))
    }
}

/// What comes of the parts, in their order. Those that nobody waits for any more are stopped.
pub(super) struct Parts<T, Works> {
    works: Works,
    under_way: VecDeque<JoinHandle<T>>,
}

impl<T, Works, Work> Parts<T, Works>
where
    T: Send + 'static,
    Works: Iterator<Item = Work>,
    Work: Future<Output = T> + Send + 'static,
{
    pub(super) fn new(works: Works) -> Self {
        let mut parts = Self { works, under_way: VecDeque::with_capacity(AT_ONCE) };
        parts.begin();
        parts
    }

    fn begin(&mut self) {
        while self.under_way.len() < AT_ONCE
            && let Some(work) = self.works.next()
        {
            self.under_way.push_back(tokio::spawn(work));
        }
    }

    /// None: that were all.
    pub(super) async fn next(&mut self) -> Option<Result<T, Fault>> {
        let part = self.under_way.front_mut()?.await;
        self.under_way.pop_front();
        self.begin();
        Some(part.map_err(|_| Fault::Internal("a part of the batch")))
    }
}

impl<T, Works> Drop for Parts<T, Works> {
    fn drop(&mut self) {
        for part in &self.under_way {
            part.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    /// Counts itself for as long as it lives.
    struct Alive(Arc<AtomicUsize>);

    impl Alive {
        fn new(count: &Arc<AtomicUsize>) -> Self {
            count.fetch_add(1, Ordering::SeqCst);
            Self(Arc::clone(count))
        }
    }

    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn they_come_in_their_order_and_few_run_at_once() {
        let (alive, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = |n: u64| {
            let (alive, most) = (Arc::clone(&alive), Arc::clone(&most));
            async move {
                let alive = Alive::new(&alive);
                most.fetch_max(alive.0.load(Ordering::SeqCst), Ordering::SeqCst);
                // The later, the faster.
                sleep(Duration::from_millis(100 - 10 * n)).await;
                n
            }
        };
        let mut parts = Parts::new((0..7).map(work));
        let mut came = Vec::new();
        while let Some(part) = parts.next().await {
            came.push(part.expect("not stopped"));
        }
        assert_eq!(came, (0..7).collect::<Vec<_>>());
        assert_eq!((alive.load(Ordering::SeqCst), most.load(Ordering::SeqCst)), (0, AT_ONCE));
    }

    #[test]
    fn some_batches_are_taken_apart_and_the_next_only_when_one_of_them_is_done() {
        let spread = Spread::default();
        let mut turns: Vec<_> = std::iter::from_fn(|| spread.turn()).collect();
        assert!(!turns.is_empty() && spread.turn().is_none());
        drop(turns.pop());
        assert!(spread.turn().is_some());
    }

    #[tokio::test]
    async fn one_that_panics_is_a_fault_of_its_own() {
        let mut parts = Parts::new((0..3).map(|n| async move {
            assert_ne!(n, 1, "synthetic");
            n
        }));
        assert_eq!(parts.next().await, Some(Ok(0)));
        assert!(matches!(parts.next().await, Some(Err(Fault::Internal(_)))));
        assert_eq!(parts.next().await, Some(Ok(2)));
        assert_eq!(parts.next().await, None);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_stopped() {
        let alive = Arc::new(AtomicUsize::new(0));
        let parts = Parts::new((0..5).map(|_| {
            let alive = Alive::new(&alive);
            async move {
                std::future::pending::<()>().await;
                drop(alive);
            }
        }));
        assert_eq!(alive.load(Ordering::SeqCst), AT_ONCE);
        drop(parts);
        while alive.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    }
}
