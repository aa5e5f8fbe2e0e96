//! How many requests are under way: permitted, and not yet answered for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<AtomicUsize>);

/// One of them, to its end.
pub(super) struct UnderWay {
    all: Requests,
    /// Whether there was no other when it began.
    pub alone: bool,
}

impl Requests {
    pub(super) fn begin(&self) -> UnderWay {
        UnderWay { all: self.clone(), alone: self.0.fetch_add(1, Ordering::Relaxed) == 0 }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.all.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_alone_and_so_is_who_comes_when_all_have_ended() {
        let requests = Requests::default();
        let first = requests.begin();
        let second = requests.clone().begin();
        assert!(first.alone && !second.alone);
        drop(first);
        assert!(!requests.begin().alone);
        drop(second);
        assert!(requests.begin().alone);
    }
}
