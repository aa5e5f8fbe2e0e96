//! Lookups of tokens.
//!
//! Single ones are gathered: what waits while a statement is under way is asked for together in the next one. No timer: the statement in
//! flight is the window. Whoever asks holds on to the connection for a moment, because giving it back costs as much as a statement. Those of
//! a batch go out in parts, the next of which are under way while one is worked on.
//!
//! A lookup never answers from a statement that was sent before it was asked for, so it sees everything committed until then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Store;
use super::error::StoreError;
use super::token_rows::{TokenRow, find, find_on};

/// Statements that may be under way at the same time.
const WORKERS: usize = 4;

/// So many lookups wait for each worker before another begins: a statement costs more than what one of its ids adds to it.
const CROWD: usize = 64;

/// How long a worker keeps its connection when nothing waits.
const LINGER: Duration = Duration::from_millis(5);

/// The most ids in one statement.
const GATHERED: usize = 512;

/// Parts of a batch that are under way beside the one that is worked on.
const AHEAD: usize = 2;

type Answer = Result<Option<TokenRow>, StoreError>;

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<(i64, oneshot::Sender<Answer>)>,
    workers: usize,
}

impl Queue {
    /// Counts one more worker, where what waits wants one.
    fn take_on(&mut self) -> bool {
        let wanted = self.workers < WORKERS && self.waiting.len() > self.workers * CROWD;
        self.workers += usize::from(wanted);
        wanted
    }
}

#[derive(Debug, Default)]
struct Counter {
    queue: Mutex<Queue>,
    rings: Notify,
}

/// Gathers lookups. Its workers live only while something waits, and a moment longer.
#[derive(Debug, Default)]
pub struct TokenLookup {
    counter: Arc<Counter>,
}

impl TokenLookup {
    /// One token by its id.
    pub async fn find(&self, store: &Store, id: i64) -> Answer {
        if !store.tuning().coalesce {
            return Ok(find(store, &[id]).await?.pop());
        }
        let (sender, answer) = oneshot::channel();
        let worker = {
            let mut queue = self.counter.queue.lock();
            queue.waiting.push((id, sender));
            queue.take_on()
        };
        if worker {
            tokio::spawn(serve(Arc::clone(&self.counter), store.clone()));
        } else {
            self.counter.rings.notify_one();
        }
        answer.await.unwrap_or(Err(StoreError::Unavailable("the lookup was stopped")))
    }
}

/// Counts a worker down even if it panics or its runtime ends.
struct Leaving(Arc<Counter>);

impl Drop for Leaving {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.workers = queue.workers.saturating_sub(1);
    }
}

async fn serve(counter: Arc<Counter>, store: Store) {
    loop {
        let leaving = Leaving(Arc::clone(&counter));
        drain(&counter, &store).await;
        drop(leaving);
        // Whoever pushed between the last look and the leaving counted on this worker.
        if !counter.queue.lock().take_on() {
            return;
        }
    }
}

async fn drain(counter: &Counter, store: &Store) {
    let mut connection = match store.connection().await {
        Ok(connection) => connection,
        Err(error) => {
            for (_, sender) in std::mem::take(&mut counter.queue.lock().waiting) {
                drop(sender.send(Err(error.clone())));
            }
            return;
        }
    };
    loop {
        let taken = {
            let mut queue = counter.queue.lock();
            let count = queue.waiting.len().min(GATHERED);
            queue.waiting.drain(..count).collect::<Vec<_>>()
        };
        if taken.is_empty() {
            match timeout(LINGER, counter.rings.notified()).await {
                Ok(()) => continue,
                Err(_) => return,
            }
        }
        let ids: Vec<i64> = taken.iter().map(|(id, _)| *id).collect();
        match find_on(&mut connection, &ids, store.tuning().stretch_from).await {
            Ok(mut rows) => {
                rows.sort_unstable_by_key(|row| row.id);
                for (id, sender) in taken {
                    let found = rows.binary_search_by_key(&id, |row| row.id).ok().and_then(|at| rows.get(at).cloned());
                    drop(sender.send(Ok(found)));
                }
            }
            Err(error) => {
                for (_, sender) in taken {
                    drop(sender.send(Err(error.clone())));
                }
                // The connection may be broken: the next round takes another.
                return;
            }
        }
    }
}

/// A statement under way that looks for the tokens of one part.
type Looking = JoinHandle<Result<Vec<TokenRow>, StoreError>>;

/// The tokens of a batch, part by part.
#[derive(Debug)]
pub struct Parts {
    store: Store,
    waiting: VecDeque<Vec<i64>>,
    under_way: VecDeque<(usize, Looking)>,
}

impl Parts {
    #[must_use]
    pub fn new(store: &Store, ids: &[i64]) -> Self {
        let waiting = ids.chunks(store.tuning().lookup_part.max(1)).map(<[i64]>::to_vec).collect();
        let mut parts = Self { store: store.clone(), waiting, under_way: VecDeque::new() };
        parts.send();
        parts
    }

    /// The rows of the next ids, and of how many ids; ids that have no row are left out.
    pub async fn next(&mut self) -> Result<Option<(usize, Vec<TokenRow>)>, StoreError> {
        let Some((count, rows)) = self.under_way.front_mut() else { return Ok(None) };
        let (count, rows) = (*count, rows.await);
        self.under_way.pop_front();
        self.send();
        let rows = rows.unwrap_or(Err(StoreError::Unavailable("the lookup was stopped")))?;
        Ok(Some((count, rows)))
    }

    fn send(&mut self) {
        while self.under_way.len() < AHEAD
            && let Some(ids) = self.waiting.pop_front()
        {
            let store = self.store.clone();
            self.under_way.push_back((ids.len(), tokio::spawn(async move { find(&store, &ids).await })));
        }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for (_, rows) in &self.under_way {
            rows.abort();
        }
    }
}
