//! How much a group should hold.
//!
//! A commit takes a time of its own, however little is in it (the flush, the statement, the way there and back), and some more for each
//! row. A group of everything that waits leaves this node idle while it is committed, and the database while its requests are answered.
//! So a group is half of what waits, if its rows take as long as the commit does anyway: more would save little, and what is left over
//! keeps the database at work. Where disks are slow that is never reached, and a group is whatever waits.
//!
//! Where the machine is busy most commits take longer than they need to, and the small ones most of all, as others then use the machine. So
//! only the quickest of the last ones counts.

use std::time::Duration;

/// What a row takes at least: 10 to 30 us wherever it was measured.
const ROW: Duration = Duration::from_micros(10);

/// Commits among which the quickest is looked for: at least so many, at most twice as many.
const WINDOW: u32 = 128;

/// What a group may hold in any case.
const LEAST: usize = 8;

/// The quickest commit of late.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Of the window before, and of this one so far.
    before: Option<Duration>,
    quickest: Option<Duration>,
    seen: u32,
}

impl Pace {
    pub(super) fn saw(&mut self, took: Duration) {
        if self.seen == WINDOW {
            (self.before, self.quickest, self.seen) = (self.quickest, None, 0);
        }
        self.quickest = Some(self.quickest.map_or(took, |quickest| quickest.min(took)));
        self.seen += 1;
    }

    /// The rows that take as long as a commit does anyway; none where nothing was committed yet.
    pub(super) fn enough(&self) -> Option<usize> {
        let quickest = self.before.into_iter().chain(self.quickest).min()?;
        let rows = usize::try_from(quickest.as_micros() / ROW.as_micros()).unwrap_or(usize::MAX);
        Some(rows.max(LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: impl IntoIterator<Item = u64>) -> Pace {
        let mut pace = Pace::default();
        for micros in times {
            pace.saw(Duration::from_micros(micros));
        }
        pace
    }

    #[test]
    fn nothing_is_known_before_the_first_commit() {
        assert_eq!(Pace::default().enough(), None);
    }

    #[test]
    fn the_quickest_of_late_says_how_many_rows_are_enough() {
        assert_eq!(of([900, 400, 5000]).enough(), Some(40));
        assert_eq!(of([2500, 2600]).enough(), Some(250), "a slow disk");
        assert_eq!(of([30]).enough(), Some(LEAST));
        assert_eq!(of([u64::MAX]).enough(), Some(usize::try_from(u64::MAX / 10).expect("64 bits")));
    }

    #[test]
    fn what_was_quick_long_ago_is_forgotten() {
        let window = u64::from(WINDOW);
        let since = |slow: u64| of(std::iter::once(400).chain(std::iter::repeat_n(3000, usize::try_from(slow).expect("few")))).enough();
        assert_eq!(since(window), Some(40));
        assert_eq!(since(2 * window - 1), Some(40));
        assert_eq!(since(2 * window), Some(300));
    }
}
