//! How much a group should hold.
//!
//! A commit takes a time of its own, however little is in it (the flush, the statement, the way there and back), and some more for each
//! row. A group of everything that waits leaves this node idle while it is committed, and the database while its requests are answered.
//! So a group is half of what waits, if its rows take as long as the commit does anyway: more would save little, and what is left over
//! keeps the database at work. Where disks are slow that is never reached, and a group is whatever waits.

use std::time::Duration;

/// The share of the newest commit in what is known.
const NEWEST: f64 = 1.0 / 64.0;

/// What a group may hold in any case.
const LEAST: usize = 8;

/// A line through the sizes of groups and the times that their commits took, the newest weighing most.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Decaying means of the size, the time in microseconds, and their products.
    size: f64,
    time: f64,
    size_size: f64,
    size_time: f64,
    seen: u32,
}

impl Pace {
    pub(super) fn saw(&mut self, rows: usize, took: Duration) {
        let size = f64::from(u32::try_from(rows).unwrap_or(u32::MAX));
        let time = took.as_secs_f64() * 1e6;
        self.seen = self.seen.saturating_add(1);
        let weight = NEWEST.max(1.0 / f64::from(self.seen));
        for (mean, new) in
            [(&mut self.size, size), (&mut self.time, time), (&mut self.size_size, size * size), (&mut self.size_time, size * time)]
        {
            *mean += (new - *mean) * weight;
        }
    }

    /// The rows that take as long as a commit does anyway; none where that is not known.
    pub(super) fn enough(&self) -> Option<usize> {
        let spread = self.size_size - self.size * self.size;
        let each = (self.size_time - self.size * self.time) / spread;
        let own = self.time - each * self.size;
        // Groups of one size, or times that follow anything but their sizes.
        if spread < 1.0 || each <= 0.0 || own <= 0.0 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and a large one saturates")]
        Some(((own / each) as usize).max(LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(own: u64, each: u64, sizes: impl Iterator<Item = usize>) -> Pace {
        let mut pace = Pace::default();
        for size in sizes {
            pace.saw(size, Duration::from_micros(own + each * u64::try_from(size).expect("small")));
        }
        pace
    }

    #[test]
    fn nothing_is_known_of_few_commits_of_one_size_or_of_times_that_fall() {
        assert_eq!(Pace::default().enough(), None);
        assert_eq!(of(400, 20, [7].into_iter()).enough(), None);
        assert_eq!(of(400, 20, std::iter::repeat_n(7, 500)).enough(), None);
        let mut falling = Pace::default();
        for size in 1..100 {
            falling.saw(size, Duration::from_micros(5000 - 20 * u64::try_from(size).expect("small")));
        }
        assert_eq!(falling.enough(), None);
    }

    #[test]
    fn rows_that_take_as_long_as_the_commit_are_enough() {
        let sizes = || (0..500).map(|n| 1 + n * 7 % 40);
        let close = |pace: &Pace, wanted: usize| {
            let enough = pace.enough().expect("known");
            assert!(enough.abs_diff(wanted) <= 1, "{enough} {wanted}");
        };
        close(&of(400, 20, sizes()), 20);
        close(&of(2500, 20, sizes()), 125);
        close(&of(10, 20, sizes()), LEAST);
    }

    #[test]
    fn the_newest_weigh_most() {
        let mut pace = of(400, 20, (0..500).map(|n| 1 + n * 7 % 40));
        for n in 0..1000 {
            let size = 1 + n * 7 % 40;
            pace.saw(size, Duration::from_micros(2500 + 20 * u64::try_from(size).expect("small")));
        }
        assert!(pace.enough().is_some_and(|enough| enough > 110));
    }
}
