//! The stopwatch. The only file that asks for the time: measuring it is what this program is for.

use std::time::Instant;

/// This moment.
pub fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures the real time, nothing here decides by it")]
    Instant::now()
}
