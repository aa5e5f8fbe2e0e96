//! Far more connections than the machine can serve: what is done, what is refused, how long it takes, and what comes after.

use std::fmt::Write as _;
use std::time::Duration;

use crate::case::Case;
use crate::figures::{count, percentile};
use crate::load::{Bounds, Round};
use crate::report::Measured;
use crate::side::Party;
use crate::trouble::Trouble;

const USUAL: usize = 64;
const MANY: usize = 1024;

/// Encodes and reads before, under and right after the load, as a table.
pub async fn overload(party: &mut Party, time: Duration) -> Result<String, Trouble> {
    let mut text = format!(
        "{:<14} {:>8} {:>5} {:>10} {:>9} {:>9} {:>9} {:>10} {:>8} {:>9}\n",
        "overload", "when", "conn", "req/s", "p50 us", "p99 us", "max us", "CPU own us", "refused", "p99 us"
    );
    for case in [Case::Encode, Case::ReadSecret] {
        for (when, connections) in [("before", USUAL), ("under", MANY), ("after", USUAL)] {
            let bounds = Bounds { refusals: true, ..Bounds::lasting(time) };
            let round = party.round(case, connections, bounds).await?;
            line(&mut text, case, when, connections, &round);
        }
    }
    Ok(text)
}

fn line(text: &mut String, case: Case, when: &str, connections: usize, round: &Round) {
    let refusal = if round.refused.is_empty() { String::new() } else { format!("{:.0}", percentile(&round.refused, 0.99)) };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{:<14} {:>8} {:>5} {:>10.0} {:>9.0} {:>9.0} {:>9.0} {:>10.1} {:>8} {:>9}",
        case.name(),
        when,
        connections,
        count(round.latencies.len()) / round.elapsed.as_secs_f64(),
        percentile(&round.latencies, 0.5),
        percentile(&round.latencies, 0.99),
        percentile(&round.latencies, 1.0),
        Measured::of(round).takes.own,
        round.refused.len(),
        refusal,
    );
}
