//! Point lookups of tokens, gathered: what waits while a statement is under way is asked for together in the next one. No timer: the
//! statement in flight is the window.
//!
//! A lookup never answers from a statement that was sent before it was asked for, so it sees everything committed until then.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Store;
use super::error::StoreError;
use super::transform::{TokenRow, find_on};

/// Statements that may be under way at the same time.
const WORKERS: usize = 2;

/// The most ids in one statement.
const GATHERED: usize = 512;

type Answer = Result<Option<TokenRow>, StoreError>;

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<(i64, oneshot::Sender<Answer>)>,
    workers: usize,
}

/// Gathers lookups. Its workers live only while something waits.
#[derive(Debug, Default)]
pub struct TokenLookup {
    queue: Arc<Mutex<Queue>>,
}

impl TokenLookup {
    /// One token by its id.
    pub async fn find(&self, store: &Store, id: i64) -> Answer {
        let (sender, answer) = oneshot::channel();
        let worker = {
            let mut queue = self.queue.lock();
            queue.waiting.push((id, sender));
            let free = queue.workers < WORKERS;
            queue.workers += usize::from(free);
            free
        };
        if worker {
            tokio::spawn(serve(Arc::clone(&self.queue), store.clone()));
        }
        answer.await.unwrap_or(Err(StoreError::Unavailable("the lookup was stopped")))
    }
}

/// Counts a worker down even if it panics or its runtime ends.
struct Leaving(Arc<Mutex<Queue>>);

impl Drop for Leaving {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.workers = queue.workers.saturating_sub(1);
    }
}

async fn serve(queue: Arc<Mutex<Queue>>, store: Store) {
    loop {
        let leaving = Leaving(Arc::clone(&queue));
        drain(&queue, &store).await;
        drop(leaving);
        // Whoever pushed between the last look and the leaving saw no free place.
        let mut queue = queue.lock();
        if queue.waiting.is_empty() || queue.workers >= WORKERS {
            return;
        }
        queue.workers += 1;
    }
}

async fn drain(queue: &Mutex<Queue>, store: &Store) {
    let mut connection = match store.connection().await {
        Ok(connection) => connection,
        Err(error) => {
            for (_, sender) in std::mem::take(&mut queue.lock().waiting) {
                drop(sender.send(Err(error.clone())));
            }
            return;
        }
    };
    loop {
        let taken = {
            let mut queue = queue.lock();
            let count = queue.waiting.len().min(GATHERED);
            queue.waiting.drain(..count).collect::<Vec<_>>()
        };
        if taken.is_empty() {
            return;
        }
        let ids: Vec<i64> = taken.iter().map(|(id, _)| *id).collect();
        match find_on(&mut connection, &ids).await {
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
