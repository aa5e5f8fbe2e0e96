//! Measures a goldfin of its own: load over the network, start times, memory, decisions, the ledger's verification; beside others that do
//! less. Prints tables; asserts nothing but that every answer was right. It talks to loopback and to databases that it made, and stops
//! what it started.

mod against;
mod beside;
mod case;
mod curve;
mod database;
mod decide;
mod ending;
mod entries;
mod figures;
mod growth;
mod issuer;
mod levers;
mod line;
mod load;
mod naive;
mod overload;
mod plan;
mod process;
mod provision;
mod raw;
mod report;
mod run;
mod service;
mod side;
mod soak;
mod stored;
mod svg;
mod trouble;
mod verify;
mod watch;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use trouble::Trouble;

#[derive(Debug, Parser)]
struct Options {
    /// The goldfin to measure
    #[arg(long)]
    goldfin: PathBuf,
    /// An empty folder for its data; stays when something goes wrong
    #[arg(long)]
    folder: PathBuf,
    /// The Python of an environment with bench/naive/requirements.txt; without it the naive service is left out
    #[arg(long)]
    python: Option<PathBuf>,
    /// The cases of the targets only, in about five minutes
    #[arg(long)]
    quick: bool,
    /// So many tokens are present [default: 100000, with --full 10000000]
    #[arg(long)]
    fill: Option<u32>,
    /// Fill up in steps of ten and measure at each; takes some 4 GB of disk
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Only this curve of --full, without the tables; may be given again
    #[arg(long, value_enum, value_name = "CURVE", conflicts_with_all = ["quick", "full"])]
    curve: Vec<Curve>,
    /// So many entries at the end of the curve of the ledger; ten million take some 12 GB of disk
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u32).range(100_000..=100_000_000))]
    entries: u32,
    /// So many secrets and as many accounts at the end of the curve of what is stored
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1000..=1_000_000))]
    stored: u32,
    /// Policies stored in that curve
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=5000))]
    policies: u32,
    /// Only a mixed load over 16 connections for so many minutes; takes some gigabytes of disk for each ten
    #[arg(long, value_name = "MINUTES", conflicts_with_all = ["quick", "full", "curve"])]
    soak: Option<f64>,
    /// Only the levers of speed: the same cases with each and without it
    #[arg(long, conflicts_with_all = ["quick", "full", "curve", "soak"])]
    levers: bool,
    /// Only the cases of goldfin itself, with this build too, in turn: `BINARY`, or `BINARY,KEY=VALUE` with settings of `[tuning]`; may be
    /// given again
    #[arg(long, value_name = "BUILD", conflicts_with_all = ["full", "curve", "soak", "levers"])]
    against: Vec<String>,
    /// Draw the curves into this folder
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,
    /// [default: 5, with --quick 7]
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of each case in each round; in the tables it spends them in four turns
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Only cases whose name begins so; with --levers also levers
    #[arg(long)]
    only: Vec<String>,
    /// Only with so many connections
    #[arg(long)]
    connections: Vec<usize>,
    /// Write every round's figures here
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What grows in a run with --full, besides the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Curve {
    /// Audited requests and questions to the ledger while it grows
    Entries,
    /// Requests and starts with many secrets, accounts and policies
    Stored,
}

impl Options {
    /// Whether the cases of the targets are run.
    fn tables(&self) -> bool {
        self.curve.is_empty() && self.soak.is_none() && !self.levers && self.against.is_empty()
    }

    fn wants(&self, curve: Curve) -> bool {
        self.full || self.curve.contains(&curve)
    }

    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 7 } else { 5 })
    }

    fn tokens(&self) -> i64 {
        self.fill.map_or(if self.full { 10_000_000 } else { 100_000 }, i64::from)
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = ending::on_signals().and_then(|()| prepare(&options)).and_then(|()| run::run(&options));
    ending::give_way();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble(text)) => {
            // Nobody is left to be told.
            let _ = writeln!(std::io::stderr(), "bench: {text}");
            ExitCode::FAILURE
        }
    }
}

/// Refuses what would measure, or hurt, something else; gives this process and its children as many open files as they may have.
fn prepare(options: &Options) -> Result<(), Trouble> {
    std::fs::create_dir_all(&options.folder)?;
    if std::fs::read_dir(&options.folder)?.next().is_some() {
        return Err(Trouble::new("the folder is not empty; the benchmark works on databases of its own only"));
    }
    if options.rounds() == 0 || !(0.05..=600.0).contains(&options.seconds) {
        return Err(Trouble::new("rounds must be at least 1, seconds between 0.05 and 600"));
    }
    if options.soak.is_some_and(|minutes| !(0.1..=1440.0).contains(&minutes)) {
        return Err(Trouble::new("minutes must be between 0.1 and 1440"));
    }
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(())
}
