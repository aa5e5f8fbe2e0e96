//! Some cases, measured again and again while something grows, beside a node where it does not.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Options;
use crate::case::Case;
use crate::figures::median;
use crate::load::Bounds;
use crate::report::Measured;
use crate::side::Party;
use crate::svg::Panel;
use crate::trouble::Trouble;

/// A case with so many connections.
pub type Asked = (Case, usize);

/// The medians of one case with so much present.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub asked: Asked,
    pub rate: f64,
    /// Microseconds.
    pub p99: f64,
    /// The rate as a share of that of the node with little, in the same rounds.
    pub share: f64,
}

/// What a panel shows.
type Figure = fn(&Point) -> f64;

/// What was measured with so much present.
#[derive(Debug)]
pub struct Stage {
    pub present: f64,
    pub points: Vec<Point>,
    /// Other figures: what, in which unit, how much.
    pub more: Vec<(&'static str, f64)>,
}

/// Rounds of all cases, both nodes in each, behind one that is not counted.
pub async fn points(options: &Options, grown: &mut Party, little: &mut Party, cases: &[Asked]) -> Result<Vec<Point>, Trouble> {
    let bounds = Bounds::lasting(Duration::try_from_secs_f64(options.seconds)?);
    // What is asked for the first time after a start or a fill is not what is meant.
    for (case, connections) in cases.iter().copied() {
        grown.round(case, connections, bounds).await?;
        little.round(case, connections, bounds).await?;
    }
    let mut rounds = vec![Vec::new(); cases.len()];
    for _ in 0..options.rounds() {
        for ((case, connections), rounds) in cases.iter().copied().zip(&mut rounds) {
            let own = Measured::of(&grown.round(case, connections, bounds).await?);
            let other = Measured::of(&little.round(case, connections, bounds).await?);
            rounds.push((own, own.rate / other.rate));
        }
    }
    let point = |(asked, rounds): (Asked, Vec<(Measured, f64)>)| Point {
        asked,
        rate: median(rounds.iter().map(|(own, _)| own.rate).collect()),
        p99: median(rounds.iter().map(|(own, _)| own.p99).collect()),
        share: median(rounds.iter().map(|(_, share)| *share).collect()),
    };
    Ok(cases.iter().copied().zip(rounds).map(point).collect())
}

/// A line for each case of each stage. `grows` says what the stages count, `little` what the other node has.
pub fn table(grows: &str, little: &str, curve: &[Stage]) -> String {
    let share = format!("/ {little}");
    let mut text = format!("{grows:>11} {:<16} {:>5} {:>10} {share:>14} {:>9}\n", "case", "conn", "req/s", "p99 us");
    for stage in curve {
        for Point { asked: (case, connections), rate, p99, share } in &stage.points {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:>11.0} {:<16} {connections:>5} {rate:>10.0} {share:>14.2} {p99:>9.0}", stage.present, case.name());
        }
        for (what, figure) in &stage.more {
            let _ = writeln!(text, "{:>11.0} {what}: {figure:.1}", stage.present);
        }
    }
    text
}

/// Three panels for each case, then the other figures.
pub fn panels(curve: &[Stage]) -> Vec<Panel> {
    let figures: [(&str, Figure); 3] = [
        ("a second", |point| point.rate),
        ("as a share of the rate with few", |point| point.share),
        ("p99, microseconds", |point| point.p99),
    ];
    let Some(first) = curve.first() else { return Vec::new() };
    let mut panels = Vec::new();
    for (at, Point { asked: (case, connections), .. }) in first.points.iter().enumerate() {
        for (what, figure) in figures {
            let points = curve.iter().filter_map(|stage| Some((stage.present, figure(stage.points.get(at)?))));
            panels.push(Panel::new(format!("{}, {connections} conn., {what}", case.name()), points));
        }
    }
    for (what, _) in curve.last().into_iter().flat_map(|stage| &stage.more) {
        let figure = |stage: &Stage| stage.more.iter().find(|(own, _)| own == what).map(|(_, figure)| (stage.present, *figure));
        panels.push(Panel::new(*what, curve.iter().filter_map(figure)));
    }
    panels
}

pub fn json(curve: &[Stage]) -> Value {
    let point = |point: &Point| {
        let (case, connections) = point.asked;
        json!({ "case": case.name(), "connections": connections, "rate": point.rate, "share": point.share, "p99_us": point.p99 })
    };
    curve
        .iter()
        .map(|stage| {
            let more: Value = stage.more.iter().map(|(what, figure)| ((*what).to_owned(), json!(figure))).collect();
            json!({ "present": stage.present, "cases": stage.points.iter().map(point).collect::<Vec<_>>(), "more": more })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_of_each_stage_has_its_line_and_its_panels() {
        let point = |case, rate| Point { asked: (case, 64), rate, p99: 10.0, share: 0.5 };
        let stage = |present, rate| Stage {
            present,
            points: vec![point(Case::Encode, rate), point(Case::ReadSecret, rate)],
            more: vec![("resident MB", 30.0)],
        };
        let curve = [stage(100.0, 5.0), stage(1000.0, 4.0)];
        assert_eq!(table("entries", "few", &curve).lines().count(), 1 + 2 * 3);
        assert_eq!(panels(&curve).len(), 7);
        assert_eq!(json(&curve).pointer("/1/cases/0/rate"), Some(&json!(4.0)));
        assert_eq!(json(&curve).pointer("/0/more/resident MB"), Some(&json!(30.0)));
        assert!(panels(&[]).is_empty());
    }
}
