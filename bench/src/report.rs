//! What was measured, as one table and as JSON. Ratios are made within a round and their median is shown, because the machine's other
//! work moves every absolute figure.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::case::Case;
use crate::figures::{count, median, middle_half, percentile};
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
    pub takes: Takes,
}

/// Whose CPU a request takes, and what is left of the cores, in microseconds of one core per request. Their sum is about the number of
/// cores by the rate, so it says where the rate comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Takes {
    pub own: f64,
    pub postgres: f64,
    pub client: f64,
    /// What no process is charged for.
    pub interrupts: f64,
    pub idle: f64,
}

/// What a target looks at.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    value: f64,
    /// Of a median: between which the middle half of the figures lies.
    half: Option<(f64, f64)>,
}

/// One of the ratios of the design, with what must be and what is wanted.
#[derive(Debug)]
pub struct Target {
    pub id: &'static str,
    pub what: String,
    pub measured: Figure,
    pub must: f64,
    pub wanted: f64,
    /// Smaller is better.
    pub at_most: bool,
    /// What a request takes of the cores, and one of the other side, where the target compares their rates.
    pub why: Option<[Takes; 2]>,
}

impl From<f64> for Figure {
    fn from(value: f64) -> Self {
        Self { value, half: None }
    }
}

impl Figure {
    pub fn median_of(figures: Vec<f64>) -> Self {
        Self { half: Some(middle_half(figures.clone())), value: median(figures) }
    }
}

impl Takes {
    fn sum(self) -> String {
        let Self { own, postgres, client, interrupts, idle } = self;
        format!("{own:.0} + {postgres:.0} + {client:.0} + {interrupts:.0} + {idle:.0}")
    }
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
            takes: Takes {
                own: per_request(round.used.own),
                postgres: per_request(round.used.postgres),
                client: per_request(round.used.client),
                interrupts: per_request(round.used.interrupts),
                idle: per_request(round.used.idle),
            },
        }
    }
}

impl Cell {
    pub fn median(&self, figure: impl Fn(&Measured) -> f64) -> f64 {
        median(self.rounds.iter().map(figure).collect())
    }

    pub fn takes(&self) -> Takes {
        Takes {
            own: self.median(|round| round.takes.own),
            postgres: self.median(|round| round.takes.postgres),
            client: self.median(|round| round.takes.client),
            interrupts: self.median(|round| round.takes.interrupts),
            idle: self.median(|round| round.takes.idle),
        }
    }

    /// The ratios of the rate of each round to the same round of `other`.
    pub fn ratios(&self, other: &Self) -> Vec<f64> {
        self.rounds.iter().zip(&other.rounds).map(|(own, other)| own.rate / other.rate).collect()
    }

    pub fn json(&self) -> Value {
        let rounds: Vec<Value> = self
            .rounds
            .iter()
            .map(|round| {
                let Takes { own, postgres, client, interrupts, idle } = round.takes;
                json!({
                    "rate": round.rate, "p50_us": round.p50, "p99_us": round.p99,
                    "own_us": own, "postgres_us": postgres, "client_us": client, "interrupts_us": interrupts, "idle_us": idle,
                })
            })
            .collect();
        json!({ "side": self.side.name(), "case": self.case.name(), "connections": self.connections, "values": self.case.values(), "rounds": rounds })
    }
}

pub fn find(cells: &[Cell], side: Side, case: Case, connections: usize) -> Option<&Cell> {
    cells.iter().find(|cell| cell.side == side && cell.case == case && cell.connections == connections)
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
            let (own, its) = (find(cells, one.0, one.1, connections)?, find(cells, other.0, other.1, connections)?);
            let why = Some([own.takes(), its.takes()]);
            Some(Target { why, ..Target::at_least(id, what, Figure::median_of(own.ratios(its)), must, wanted) })
        })
        .collect()
}

/// The table of all cells.
pub fn table(cells: &[Cell]) -> String {
    let mut text = format!(
        "{:<14} {:<14} {:>5} {:>8} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6} {:>8} {:>8}\n",
        "case", "side", "conn", "req/s", "values/s", "p50 us", "p99 us", "own us", "PG us", "client", "irq", "idle", "/ fixed"
    );
    for cell in cells {
        let rate = cell.median(|round| round.rate);
        let ratio = find(cells, Side::Goldfin, Case::Fixed, cell.connections)
            .filter(|_| cell.side == Side::Goldfin && cell.case != Case::Fixed && cell.case.values() == 1);
        let takes = cell.takes();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<14} {:<14} {:>5} {:>8.0} {:>9.0} {:>8.0} {:>8.0} {:>8.1} {:>8.1} {:>8.1} {:>6.1} {:>8.1} {:>8}",
            cell.case.name(),
            cell.side.name(),
            cell.connections,
            rate,
            rate * count(cell.case.values()),
            cell.median(|round| round.p50),
            cell.median(|round| round.p99),
            takes.own,
            takes.postgres,
            takes.client,
            takes.interrupts,
            takes.idle,
            ratio.map_or_else(String::new, |fixed| format!("{:.3}", median(cell.ratios(fixed)))),
        );
    }
    text
}

/// The table of the targets.
pub fn targets_table(targets: &[Target]) -> String {
    let mut text = format!("{:<5} {:<60} {:>10} {:>15} {:>8} {:>8}\n", "id", "what", "measured", "middle half", "must", "wanted");
    for target in targets {
        let _ = writeln!(
            text,
            "{:<5} {:<60} {:>10.3} {:>15} {:>8} {:>8}  {}",
            target.id,
            target.what,
            target.measured.value,
            target.measured.half.map_or_else(String::new, |(low, high)| if low < 1000.0 {
                format!("{low:.3}-{high:.3}")
            } else {
                format!("{low:.0}-{high:.0}")
            }),
            target.must,
            target.wanted,
            target.verdict()
        );
    }
    text
}

impl Target {
    pub fn at_most(id: &'static str, what: impl Into<String>, measured: impl Into<Figure>, must: f64, wanted: f64) -> Self {
        Self { id, what: what.into(), measured: measured.into(), must, wanted, at_most: true, why: None }
    }

    pub fn at_least(id: &'static str, what: impl Into<String>, measured: impl Into<Figure>, must: f64, wanted: f64) -> Self {
        Self { id, what: what.into(), measured: measured.into(), must, wanted, at_most: false, why: None }
    }

    /// Whether it is as good as wanted.
    pub fn as_wanted(&self) -> bool {
        self.verdict() == "as wanted"
    }

    fn verdict(&self) -> &'static str {
        let reaches = |limit: f64| if self.at_most { self.measured.value <= limit } else { self.measured.value >= limit };
        if reaches(self.wanted) {
            "as wanted"
        } else if reaches(self.must) {
            "ok"
        } else {
            "MISSED"
        }
    }
}

/// What falls short of what is wanted, in one line each, with what both sides of a ratio take.
pub fn shortfalls(targets: &[Target]) -> String {
    let mut text = String::new();
    for target in targets.iter().filter(|target| !target.as_wanted()) {
        let why = target.why.map_or_else(String::new, |[own, other]| format!(": {} against {}", own.sum(), other.sum()));
        let _ = writeln!(text, "{}: {} is {:.3}, wanted {}{why}", target.id, target.what, target.measured.value, target.wanted);
    }
    if text.is_empty() {
        return "everything is as wanted\n".to_owned();
    }
    format!(
        "short of what is wanted; behind a colon what a request takes of the cores, in us: service + PostgreSQL + load client + interrupts + idle\n\
         {text}why: docs/performance.md, \"What misses its target\"\n"
    )
}

/// Everything; `more` beside the cells and the targets.
pub fn json(cells: &[Cell], targets: &[Target], more: &Map<String, Value>) -> Value {
    let cells: Vec<Value> = cells.iter().map(Cell::json).collect();
    let targets: Vec<Value> = targets
        .iter()
        .map(|target| {
            let Figure { value, half } = target.measured;
            json!({ "id": target.id, "what": target.what, "measured": value, "middle_half": half, "must": target.must, "wanted": target.wanted })
        })
        .collect();
    let mut all = Map::from_iter([("cells".to_owned(), cells.into()), ("targets".to_owned(), targets.into())]);
    all.extend(more.clone());
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(case: Case, rates: &[f64]) -> Cell {
        let takes = Takes { own: 3.0, postgres: 4.0, client: 5.0, interrupts: 6.0, idle: 7.0 };
        let rounds = rates.iter().map(|&rate| Measured { rate, p50: 1.0, p99: 2.0, max: 2.0, takes }).collect();
        Cell { side: Side::Goldfin, case, connections: 64, rounds }
    }

    #[test]
    fn ratios_are_made_within_a_round() {
        let cells = [cell(Case::Fixed, &[100.0, 10.0, 1000.0]), cell(Case::ReadSecret, &[50.0, 4.0, 600.0])];
        let targets = throughput_targets(&cells);
        assert_eq!(targets.len(), 1);
        assert!(targets.iter().all(|target| (target.measured.value - 0.5).abs() < 1e-9 && target.verdict() == "as wanted"));
        assert_eq!(shortfalls(&targets), "everything is as wanted\n");
        let table = targets_table(&targets);
        assert!(table.contains("64 conn.                               0.500     0.400-0.600     0.28     0.45  as wanted"), "{table}");
    }

    #[test]
    fn what_falls_short_says_what_both_sides_take() {
        let targets = throughput_targets(&[cell(Case::Fixed, &[100.0]), cell(Case::ReadSecret, &[30.0])]);
        let told = shortfalls(&targets);
        assert!(told.contains("is 0.300, wanted 0.45: 3 + 4 + 5 + 6 + 7 against 3 + 4 + 5 + 6 + 7\n"), "{told}");
        let latency = shortfalls(&[Target::at_most("R9", "encode", 1.4, 1.5, 1.2)]);
        assert!(latency.contains("R9: encode is 1.400, wanted 1.2\n"), "{latency}");
    }
}
