//! Lookups of tokens.
//!
//! Single ones are gathered: what waits while a statement is under way is asked for together in the next one. No timer: the statement in
//! flight is the window. Whoever asks holds on to the connection for a moment, because giving it back costs as much as a statement.
//!
//! A lookup never answers from a statement that was sent before it was asked for, so it sees everything committed until then.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
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
