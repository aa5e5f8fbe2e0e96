//! What was measured, as one table and as JSON. Ratios are made within a round and their median is shown, because the machine's other
//! work moves every absolute figure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::case::Case;
use crate::figures::{count, median, percentile};
use crate::load::Round;

/// All rounds of one case at one number of connections, in the order of their rounds.
#[derive(Debug)]
pub struct Cell {
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
    /// CPU microseconds per request.
    pub goldfin: f64,
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
        let requests = count(round.latencies.len()).max(1.0);
        let per_request = |micros: u64| f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / requests;
        Self {
            rate: requests / round.elapsed.as_secs_f64(),
            p50: percentile(&round.latencies, 0.5),
            p99: percentile(&round.latencies, 0.99),
            goldfin: per_request(round.used.goldfin),
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
}

pub fn find(cells: &[Cell], case: Case, connections: usize) -> Option<&Cell> {
    cells.iter().find(|cell| cell.case == case && cell.connections == connections)
}

/// R2, R3, R4 and R6, as far as their cases were run.
pub fn throughput_targets(cells: &[Cell]) -> Vec<Target> {
    let wanted = [
        ("R2", Case::ReadSecret, Case::Fixed, 64, 0.28, 0.45),
        ("R2", Case::ReadSecret, Case::Fixed, 256, 0.45, 0.65),
        ("R3", Case::Encode, Case::Fixed, 64, 0.22, 0.35),
        ("R3", Case::Encode, Case::Fixed, 256, 0.32, 0.50),
        ("R4", Case::Decode, Case::Fixed, 256, 0.25, 0.45),
        ("R6", Case::BatchDecode, Case::BatchEncode, 1, 1.5, 2.5),
        ("R6", Case::BatchDecode, Case::BatchEncode, 4, 1.5, 2.5),
    ];
    wanted
        .into_iter()
        .filter_map(|(id, case, other, connections, must, wanted)| {
            let ratio = find(cells, case, connections)?.ratio(find(cells, other, connections)?, |round| round.rate);
            let what = format!("{} / {}, {connections} connections", case.name(), other.name());
            Some(Target { id, what, measured: ratio, must, wanted, at_most: false })
        })
        .collect()
}

/// The table of all cells.
pub fn table(cells: &[Cell]) -> String {
    let mut text = format!(
        "{:<14} {:>5} {:>10} {:>11} {:>9} {:>9} {:>10} {:>10} {:>9}\n",
        "case", "conn", "req/s", "values/s", "p50 us", "p99 us", "CPU own us", "CPU PG us", "/ fixed"
    );
    for cell in cells {
        let rate = cell.median(|round| round.rate);
        let ratio = find(cells, Case::Fixed, cell.connections).filter(|_| cell.case != Case::Fixed && cell.case.values() == 1);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<14} {:>5} {:>10.0} {:>11.0} {:>9.0} {:>9.0} {:>10.1} {:>10.1} {:>9}",
            cell.case.name(),
            cell.connections,
            rate,
            rate * count(cell.case.values()),
            cell.median(|round| round.p50),
            cell.median(|round| round.p99),
            cell.median(|round| round.goldfin),
            cell.median(|round| round.postgres),
            ratio.map_or_else(String::new, |fixed| format!("{:.3}", cell.ratio(fixed, |round| round.rate))),
        );
    }
    text
}

/// The table of the targets.
pub fn targets_table(targets: &[Target]) -> String {
    let mut text = format!("{:<5} {:<46} {:>9} {:>8} {:>8}\n", "id", "what", "measured", "must", "wanted");
    for target in targets {
        let _ = writeln!(
            text,
            "{:<5} {:<46} {:>9.3} {:>8} {:>8}  {}",
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

pub fn json(cells: &[Cell], targets: &[Target]) -> Value {
    let cells: Vec<Value> = cells
        .iter()
        .map(|cell| {
            let rounds: Vec<Value> = cell
                .rounds
                .iter()
                .map(|round| json!({ "rate": round.rate, "p50_us": round.p50, "p99_us": round.p99, "goldfin_us": round.goldfin, "postgres_us": round.postgres }))
                .collect();
            json!({ "case": cell.case.name(), "connections": cell.connections, "values": cell.case.values(), "rounds": rounds })
        })
        .collect();
    let targets: Vec<Value> = targets
        .iter()
        .map(|target| json!({ "id": target.id, "what": target.what, "measured": target.measured, "must": target.must, "wanted": target.wanted }))
        .collect();
    json!({ "cells": cells, "targets": targets })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(case: Case, rates: &[f64]) -> Cell {
        let rounds = rates.iter().map(|&rate| Measured { rate, p50: 1.0, p99: 2.0, goldfin: 3.0, postgres: 4.0 }).collect();
        Cell { case, connections: 64, rounds }
    }

    #[test]
    fn ratios_are_made_within_a_round() {
        let cells = [cell(Case::Fixed, &[100.0, 10.0, 1000.0]), cell(Case::ReadSecret, &[50.0, 4.0, 600.0])];
        let targets = throughput_targets(&cells);
        assert_eq!(targets.len(), 1);
        assert!(targets.iter().all(|target| (target.measured - 0.5).abs() < 1e-9 && target.verdict() == "as wanted"));
    }
}
