//! What each lever of speed is worth: the same cases with it and without it, in the same rounds.
//!
//! A lever of goldfin is moved in a second node, started beside a usual one. A lever of whoever calls is moved here.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Options;
use crate::beside::with_large;
use crate::case::Case::{self, BatchDecode, BatchEncode, Decode, Encode, ReadSecret};
use crate::database::Database;
use crate::figures::{count, median};
use crate::load::Bounds;
use crate::report::Measured;
use crate::run::party;
use crate::service::Service;
use crate::side::{Party, Side};
use crate::trouble::Trouble;

/// One side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Half {
    case: Case,
    connections: usize,
    /// Whether one encode of ten thousand values is served meanwhile.
    beside: bool,
}

const fn half(case: Case, connections: usize) -> Half {
    Half { case, connections, beside: false }
}

/// The same on both sides.
const fn both(case: Case, connections: usize) -> (Half, Half) {
    (half(case, connections), half(case, connections))
}

const BESIDE: Half = Half { beside: true, ..half(Encode, 16) };

/// Where the lever is.
#[derive(Debug, Clone, Copy)]
enum Moved {
    /// In goldfin: a setting of `[tuning]` that is as good as none.
    Node(&'static str),
    /// In what the client asks.
    Asked,
    /// In the client's connections: without it each request has a new one.
    Kept,
}

#[derive(Debug)]
struct Lever {
    name: &'static str,
    moved: Moved,
    /// With it, and without it.
    compared: &'static [(Half, Half)],
}

const LEVERS: [Lever; 7] = [
    Lever {
        name: "group",
        moved: Moved::Node("group=1"),
        compared: &[both(ReadSecret, 16), both(ReadSecret, 64), both(Encode, 64), both(Decode, 64)],
    },
    Lever { name: "coalesce", moved: Moved::Node("coalesce=false"), compared: &[both(Decode, 16), both(Decode, 64), both(Decode, 256)] },
    Lever {
        name: "lane_from",
        moved: Moved::Node("lane_from=1000000"),
        compared: &[both(BatchEncode, 1), both(BatchEncode, 4), (BESIDE, BESIDE)],
    },
    Lever { name: "lookup_part", moved: Moved::Node("lookup_part=10000"), compared: &[both(BatchDecode, 1), both(BatchDecode, 4)] },
    Lever { name: "stretch_from", moved: Moved::Node("stretch_from=1000000"), compared: &[both(BatchDecode, 1), both(BatchDecode, 4)] },
    Lever {
        name: "batches",
        moved: Moved::Asked,
        compared: &[(half(BatchEncode, 4), half(Encode, 64)), (half(BatchDecode, 4), half(Decode, 64))],
    },
    Lever { name: "keep-alive", moved: Moved::Kept, compared: &[both(ReadSecret, 1), both(ReadSecret, 16)] },
];

/// All rounds of one comparison.
#[derive(Debug)]
pub struct Compared {
    lever: &'static str,
    moved: Moved,
    halves: (Half, Half),
    rounds: Vec<(Measured, Measured)>,
}

/// Every lever whose name, or one of whose cases, begins as `--only` says.
pub async fn measure(options: &Options) -> Result<Vec<Compared>, Trouble> {
    let mut all = Vec::new();
    for Lever { name, moved, compared } in &LEVERS {
        let wanted =
            |case: Case| options.only.is_empty() || options.only.iter().any(|only| name.starts_with(only) || case.name().starts_with(only));
        let mut compared: Vec<Compared> = compared
            .iter()
            .filter(|(with, _)| wanted(with.case))
            .map(|halves| Compared { lever: name, moved: *moved, halves: *halves, rounds: Vec::new() })
            .collect();
        if !compared.is_empty() {
            rounds(options, *moved, name, &mut compared).await?;
        }
        all.append(&mut compared);
    }
    Ok(all)
}

/// Nodes of their own for each lever, so that both sides begin with the same.
async fn rounds(options: &Options, moved: Moved, name: &str, compared: &mut [Compared]) -> Result<(), Trouble> {
    let (usual, _) = Service::start(&options.goldfin, &options.folder.join(format!("with-{name}")))?;
    let mut with = party(Side::Goldfin, &usual).await?;
    let other = match moved {
        Moved::Node(setting) => {
            Some(Service::start_tuned(&options.goldfin, &options.folder.join(format!("without-{name}")), &[setting])?.0)
        }
        Moved::Asked | Moved::Kept => None,
    };
    let mut without = match (&other, moved) {
        (Some(other), _) => Some(party(Side::Goldfin, other).await?),
        (None, Moved::Kept) => Some(with.unkept()),
        (None, _) => None,
    };
    for node in [Some(&usual), other.as_ref()].into_iter().flatten() {
        Database::open_seasoned(node).await?;
    }
    let time = Duration::try_from_secs_f64(options.seconds)?;
    for round in 0..options.rounds() {
        for one in compared.iter_mut() {
            // In turns, so that neither always has the warmer machine.
            let measured = if round % 2 == 0 {
                let own = run(&mut with, one.halves.0, time).await?;
                (own, run(without.as_mut().unwrap_or(&mut with), one.halves.1, time).await?)
            } else {
                let other = run(without.as_mut().unwrap_or(&mut with), one.halves.1, time).await?;
                (run(&mut with, one.halves.0, time).await?, other)
            };
            one.rounds.push(measured);
        }
    }
    if let Some(other) = other {
        other.stop()?;
    }
    usual.stop()
}

async fn run(party: &mut Party, half: Half, time: Duration) -> Result<Measured, Trouble> {
    let Half { case, connections, beside } = half;
    let bounds = Bounds::lasting(time);
    let round = if beside {
        let (mut line, large) = (party.connect().await?, party.questions().large_encode()?);
        with_large(party, (case, connections), bounds, (&mut line, &large)).await?.0
    } else {
        party.round(case, connections, bounds).await?
    };
    let mut measured = Measured::of(&round);
    // Values, so that a batch can be compared with single requests.
    measured.rate *= count(case.values());
    Ok(measured)
}

impl Half {
    fn name(self) -> String {
        format!("{}{}", self.case.name(), if self.beside { " beside 10,000" } else { "" })
    }
}

impl Moved {
    fn without(self) -> &'static str {
        match self {
            Self::Node(setting) => setting,
            Self::Asked => "one by one",
            Self::Kept => "new each time",
        }
    }
}

impl Compared {
    fn of(&self, figure: impl Fn(&(Measured, Measured)) -> f64) -> f64 {
        median(self.rounds.iter().map(figure).collect())
    }

    fn connections(&self) -> String {
        let (with, without) = (self.halves.0.connections, self.halves.1.connections);
        if with == without { with.to_string() } else { format!("{with}/{without}") }
    }
}

/// Medians over the rounds; the ratio is the median of the ratios within the rounds.
pub fn table(all: &[Compared]) -> String {
    let mut text = format!(
        "{:<12} {:<20} {:<20} {:>5} {:>11} {:>9} {:>9} {:>11} {:>9} {:>9} {:>7}\n{:<60} {:>31} {:>31}\n",
        "lever",
        "without it",
        "case",
        "conn",
        "values/s",
        "p99 us",
        "max us",
        "values/s",
        "p99 us",
        "max us",
        "ratio",
        "",
        "with it",
        "without it"
    );
    for one in all {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<12} {:<20} {:<20} {:>5} {:>11.0} {:>9.0} {:>9.0} {:>11.0} {:>9.0} {:>9.0} {:>7.2}",
            one.lever,
            one.moved.without(),
            one.halves.0.name(),
            one.connections(),
            one.of(|(with, _)| with.rate),
            one.of(|(with, _)| with.p99),
            one.of(|(with, _)| with.max),
            one.of(|(_, without)| without.rate),
            one.of(|(_, without)| without.p99),
            one.of(|(_, without)| without.max),
            one.of(|(with, without)| with.rate / without.rate)
        );
    }
    text
}

pub fn json(all: &[Compared]) -> Value {
    let side = |half: Half, measured: &dyn Fn(&(Measured, Measured)) -> Measured, one: &Compared| {
        let rounds: Vec<Value> = one
            .rounds
            .iter()
            .map(measured)
            .map(|round| json!({ "values_per_second": round.rate, "p50_us": round.p50, "p99_us": round.p99, "max_us": round.max, "own_us": round.takes.own, "postgres_us": round.takes.postgres }))
            .collect();
        json!({ "case": half.name(), "connections": half.connections, "rounds": rounds })
    };
    all.iter()
        .map(|one| {
            json!({
                "lever": one.lever,
                "without_it": one.moved.without(),
                "with": side(one.halves.0, &|(with, _)| *with, one),
                "without": side(one.halves.1, &|(_, without)| *without, one),
                "ratio": one.of(|(with, without)| with.rate / without.rate),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Takes;

    #[test]
    fn the_ratio_is_made_within_a_round() {
        let measured = |rate| Measured { rate, p50: 1.0, p99: 2.0, max: 2.0, takes: Takes::default() };
        let rounds = [(100.0, 50.0), (1000.0, 500.0), (30.0, 10.0)].map(|(with, without)| (measured(with), measured(without)));
        let one =
            Compared { lever: "batches", moved: Moved::Asked, halves: (half(BatchEncode, 4), half(Encode, 64)), rounds: rounds.into() };
        assert_eq!(one.connections(), "4/64");
        let all = [one];
        let last = table(&all).lines().last().map(str::to_owned).expect("a line");
        assert!(last.contains("one by one") && last.ends_with("2.00"), "{last}");
        assert_eq!(json(&all).pointer("/0/without/rounds/2/values_per_second"), Some(&json!(10.0)));
    }

    #[test]
    fn every_lever_of_the_configuration_is_measured() {
        let settings: Vec<&str> =
            LEVERS.iter().filter_map(|lever| if let Moved::Node(setting) = lever.moved { Some(setting) } else { None }).collect();
        let settings: Vec<String> = settings.into_iter().map(str::to_owned).collect();
        let moved = goldfin::config::tuning(&settings).expect("settings that goldfin takes");
        let usual = goldfin::model::tuning::Tuning::default();
        assert!(moved.group != usual.group && moved.coalesce != usual.coalesce);
        assert!(moved.lane_from != usual.lane_from && moved.lookup_part != usual.lookup_part && moved.stretch_from != usual.stretch_from);
    }
}
