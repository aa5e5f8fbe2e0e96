//! What was measured, as one table and as JSON. Ratios are made within a round and their median is shown, because the machine's other
//! work moves every absolute figure.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::case::Case;
use crate::figures::{count, median, percentile};
use crate::load::Round;
use crate::side::Side;

/// All rounds of one case at one number of connections, in the order of their rounds.
#[derive(Debug)]
pub struct Cell {
    pub side: Side,
    pub case: Case,
    pub connections: usize,
    pub rounds: Vec<Measured>,
}

/// The figures of one round.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Requests per second.
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    /// Of the slowest request.
    pub max: f64,
    /// CPU microseconds per request.
    pub own: f64,
    pub postgres: f64,
}

/// One of the ratios of the design, with what must be and what is wanted.
#[derive(Debug)]
pub struct Target {
    pub id: &'static str,
    pub what: String,
    pub measured: f64,
    pub must: f64,
    pub wanted: f64,
    /// Smaller is better.
    pub at_most: bool,
}

impl Measured {
    pub fn of(round: &Round) -> Self {
        let requests = count(round.requests).max(1.0);
        let per_request = |micros: u64| f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / requests;
        Self {
            rate: round.rate,
            p50: percentile(&round.latencies, 0.5),
            p99: percentile(&round.latencies, 0.99),
            max: percentile(&round.latencies, 1.0),
            own: per_request(round.used.own),
            postgres: per_request(round.used.postgres),
        }
    }
}

impl Cell {
    pub fn median(&self, figure: impl Fn(&Measured) -> f64) -> f64 {
        median(self.rounds.iter().map(figure).collect())
    }

    /// The median of the ratios of each round to the same round of `other`.
    pub fn ratio(&self, other: &Self, figure: impl Fn(&Measured) -> f64) -> f64 {
        median(self.rounds.iter().zip(&other.rounds).map(|(own, other)| figure(own) / figure(other)).collect())
    }

    pub fn json(&self) -> Value {
        let rounds: Vec<Value> = self
            .rounds
            .iter()
            .map(|round| json!({ "rate": round.rate, "p50_us": round.p50, "p99_us": round.p99, "own_us": round.own, "postgres_us": round.postgres }))
            .collect();
        json!({ "side": self.side.name(), "case": self.case.name(), "connections": self.connections, "values": self.case.values(), "rounds": rounds })
    }
}

pub fn find(cells: &[Cell], side: Side, case: Case, connections: usize) -> Option<&Cell> {
    cells.iter().find(|cell| cell.side == side && cell.case == case && cell.connections == connections)
}

/// The ratio of two rates. `None` where a side of it was not run.
fn rates(cells: &[Cell], (side, case): (Side, Case), (other, its_case): (Side, Case), connections: usize) -> Option<f64> {
    Some(find(cells, side, case, connections)?.ratio(find(cells, other, its_case, connections)?, |round| round.rate))
}

/// The targets that compare rates, as far as their cases were run.
pub fn throughput_targets(cells: &[Cell]) -> Vec<Target> {
    use Case::{BatchDecode, BatchEncode, Decode, Encode, Fixed, ReadSecret};
    use Side::{Few, Goldfin, Naive, Raw, Unrecorded};
    let wanted = [
        ("R1", (Goldfin, ReadSecret), (Unrecorded, ReadSecret), 64, 0.60, 0.80),
        ("R1", (Goldfin, ReadSecret), (Unrecorded, ReadSecret), 256, 0.70, 0.90),
        ("R2", (Goldfin, ReadSecret), (Goldfin, Fixed), 64, 0.28, 0.45),
        ("R2", (Goldfin, ReadSecret), (Goldfin, Fixed), 256, 0.45, 0.65),
        ("R3", (Goldfin, Encode), (Goldfin, Fixed), 64, 0.22, 0.35),
        ("R3", (Goldfin, Encode), (Goldfin, Fixed), 256, 0.32, 0.50),
        ("R4", (Goldfin, Decode), (Goldfin, Fixed), 256, 0.25, 0.45),
        ("R5", (Goldfin, BatchEncode), (Raw, BatchEncode), 1, 0.50, 0.80),
        ("R6", (Goldfin, BatchDecode), (Goldfin, BatchEncode), 1, 1.5, 2.5),
        ("R6", (Goldfin, BatchDecode), (Goldfin, BatchEncode), 4, 1.5, 2.5),
        ("R7", (Goldfin, Encode), (Few, Encode), 64, 0.80, 0.95),
        ("R10", (Goldfin, ReadSecret), (Naive, ReadSecret), 16, 15.0, 25.0),
        ("R10", (Goldfin, Encode), (Naive, Encode), 16, 15.0, 25.0),
        ("R10", (Goldfin, Decode), (Naive, Decode), 16, 10.0, 20.0),
        ("R11", (Goldfin, BatchEncode), (Naive, BatchEncode), 4, 4.0, 8.0),
        ("R11", (Goldfin, BatchDecode), (Naive, BatchDecode), 4, 4.0, 6.0),
    ];
    let named = |(side, case): (Side, Case)| match side {
        Goldfin => case.name().to_owned(),
        _ => format!("{} ({})", case.name(), side.name()),
    };
    wanted
        .into_iter()
        .filter_map(|(id, one, other, connections, must, wanted)| {
            let what = format!("{} / {}, {connections} conn.", named(one), named(other));
            Some(Target { id, what, measured: rates(cells, one, other, connections)?, must, wanted, at_most: false })
        })
        .collect()
}

/// The table of all cells.
pub fn table(cells: &[Cell]) -> String {
    let mut text = format!(
        "{:<14} {:<14} {:>5} {:>10} {:>11} {:>9} {:>9} {:>10} {:>10} {:>9}\n",
        "case", "side", "conn", "req/s", "values/s", "p50 us", "p99 us", "CPU own us", "CPU PG us", "/ fixed"
    );
    for cell in cells {
        let rate = cell.median(|round| round.rate);
        let ratio = find(cells, Side::Goldfin, Case::Fixed, cell.connections)
            .filter(|_| cell.side == Side::Goldfin && cell.case != Case::Fixed && cell.case.values() == 1);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<14} {:<14} {:>5} {:>10.0} {:>11.0} {:>9.0} {:>9.0} {:>10.1} {:>10.1} {:>9}",
            cell.case.name(),
            cell.side.name(),
            cell.connections,
            rate,
            rate * count(cell.case.values()),
            cell.median(|round| round.p50),
            cell.median(|round| round.p99),
            cell.median(|round| round.own),
            cell.median(|round| round.postgres),
            ratio.map_or_else(String::new, |fixed| format!("{:.3}", cell.ratio(fixed, |round| round.rate))),
        );
    }
    text
}

/// The table of the targets.
pub fn targets_table(targets: &[Target]) -> String {
    let mut text = format!("{:<5} {:<60} {:>9} {:>8} {:>8}\n", "id", "what", "measured", "must", "wanted");
    for target in targets {
        let _ = writeln!(
            text,
            "{:<5} {:<60} {:>9.3} {:>8} {:>8}  {}",
            target.id,
            target.what,
            target.measured,
            target.must,
            target.wanted,
            target.verdict()
        );
    }
    text
}

impl Target {
    pub fn at_most(id: &'static str, what: impl Into<String>, measured: f64, must: f64, wanted: f64) -> Self {
        Self { id, what: what.into(), measured, must, wanted, at_most: true }
    }

    pub fn at_least(id: &'static str, what: impl Into<String>, measured: f64, must: f64, wanted: f64) -> Self {
        Self { id, what: what.into(), measured, must, wanted, at_most: false }
    }

    /// Whether it is as good as wanted.
    pub fn as_wanted(&self) -> bool {
        self.verdict() == "as wanted"
    }

    fn verdict(&self) -> &'static str {
        let reaches = |limit: f64| if self.at_most { self.measured <= limit } else { self.measured >= limit };
        if reaches(self.wanted) {
            "as wanted"
        } else if reaches(self.must) {
            "ok"
        } else {
            "MISSED"
        }
    }
}

/// What falls short of what is wanted, in one line each.
pub fn shortfalls(targets: &[Target]) -> String {
    let mut text = String::new();
    for target in targets.iter().filter(|target| !target.as_wanted()) {
        let _ = writeln!(text, "{}: {} is {:.3}, wanted {}", target.id, target.what, target.measured, target.wanted);
    }
    if text.is_empty() { "everything is as wanted\n".to_owned() } else { format!("short of what is wanted:\n{text}") }
}

/// Everything; `more` beside the cells and the targets.
pub fn json(cells: &[Cell], targets: &[Target], more: &Map<String, Value>) -> Value {
    let cells: Vec<Value> = cells.iter().map(Cell::json).collect();
    let targets: Vec<Value> = targets
        .iter()
        .map(|target| json!({ "id": target.id, "what": target.what, "measured": target.measured, "must": target.must, "wanted": target.wanted }))
        .collect();
    let mut all = Map::from_iter([("cells".to_owned(), cells.into()), ("targets".to_owned(), targets.into())]);
    all.extend(more.clone());
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(case: Case, rates: &[f64]) -> Cell {
        let rounds = rates.iter().map(|&rate| Measured { rate, p50: 1.0, p99: 2.0, max: 2.0, own: 3.0, postgres: 4.0 }).collect();
        Cell { side: Side::Goldfin, case, connections: 64, rounds }
    }

    #[test]
    fn ratios_are_made_within_a_round() {
        let cells = [cell(Case::Fixed, &[100.0, 10.0, 1000.0]), cell(Case::ReadSecret, &[50.0, 4.0, 600.0])];
        let targets = throughput_targets(&cells);
        assert_eq!(targets.len(), 1);
        assert!(targets.iter().all(|target| (target.measured - 0.5).abs() < 1e-9 && target.verdict() == "as wanted"));
    }
}
