//! The door that is open while sealed: `init` and `unseal`. There is no ledger to write to without its key, so what happens here waits
//! in memory and is recorded first thing after the unsealing.

use parking_lot::Mutex;

use crate::audit::entry::Draft;
use crate::audit::recorder::Recorder;

/// The most attempts that are remembered while sealed; beyond it only their number is.
const REMEMBERED: usize = 1000;

/// The proof that an attempt was noted. Only [`Attempts::note`] makes one.
#[derive(Debug)]
pub struct Waiting(());

/// What was tried while sealed.
#[derive(Debug, Default)]
pub struct Attempts {
    drafts: Mutex<Vec<Draft>>,
    dropped: std::sync::atomic::AtomicU64,
}

impl Attempts {
    pub fn note(&self, draft: Draft) -> Waiting {
        let mut drafts = self.drafts.lock();
        if drafts.len() < REMEMBERED {
            drafts.push(draft);
        } else {
            self.dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        Waiting(())
    }

    /// Records all that waits. What cannot be recorded goes on waiting.
    pub async fn record(&self, recorder: &Recorder) {
        let waiting = std::mem::take(&mut *self.drafts.lock());
        let mut rest = waiting.into_iter();
        for draft in rest.by_ref() {
            if recorder.note(draft.clone()).await.is_err() {
                let mut drafts = self.drafts.lock();
                drafts.insert(0, draft);
                drafts.extend(rest);
                return;
            }
        }
        let dropped = self.dropped.swap(0, std::sync::atomic::Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "more attempts were made while sealed than are remembered");
        }
    }
}
