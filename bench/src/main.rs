//! Measures a goldfin of its own: load over the network, start times, memory, decisions. Prints tables; asserts nothing but that every
//! answer was right. It talks to loopback only and stops what it started.

mod case;
mod commit;
mod decide;
mod figures;
mod line;
mod load;
mod process;
mod provision;
mod report;
mod service;
mod trouble;
mod watch;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use case::{Case, Questions};
use decide::Decisions;
use line::Door;
use load::{Bounds, Lines};
use report::{Cell, Measured, Target};
use service::Service;
use trouble::Trouble;

/// Most requests of one round, whatever its time.
const MOST_REQUESTS: u64 = 400_000;

#[derive(Debug, Parser)]
struct Options {
    /// The goldfin to measure
    #[arg(long)]
    goldfin: PathBuf,
    /// An empty folder for its data; stays when something goes wrong
    #[arg(long)]
    folder: PathBuf,
    /// The cases of the targets only, in about three minutes
    #[arg(long)]
    quick: bool,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each case in each round
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Only cases whose name begins so
    #[arg(long)]
    only: Vec<String>,
    /// Only with so many connections
    #[arg(long)]
    connections: Vec<usize>,
    /// Write every round's figures here
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let outcome = run(&Options::parse());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble(text)) => {
            // Nobody is left to be told.
            let _ = writeln!(std::io::stderr(), "bench: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Trouble> {
    std::fs::create_dir_all(&options.folder)?;
    let (first, from_nothing) = Service::start(&options.goldfin, &options.folder)?;
    first.stop()?;
    let (service, again) = Service::start(&options.goldfin, &options.folder)?;
    let idle = process::resident(service.process_id())?;
    // One thread, so that the load client takes no more than its core.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cells = runtime.block_on(measure(options, &service))?;
    let after = process::resident(service.process_id())?;
    let mut targets = report::throughput_targets(&cells);
    targets.extend(latency_target(&cells, &service)?);
    service.stop()?;
    let decisions = Decisions::measure()?;
    targets.push(at_most("R12", "decision, 2,000 policies / 20", decisions.many / decisions.few, 1.5, 1.1));
    let megabytes = |kilobytes: u64| figures::count(usize::try_from(kilobytes).unwrap_or(usize::MAX)) / 1024.0;
    targets.push(at_most("R13", "resident MB, idle", megabytes(idle), 48.0, 40.0));
    targets.push(at_most("R13", "resident MB, after the load", megabytes(after), 96.0, 64.0));
    targets.push(at_most("R14", "dev from nothing, s", from_nothing.as_secs_f64(), 5.0, 2.0));
    targets.push(at_most("R14", "dev again on its folder, s", again.as_secs_f64(), 0.5, 0.2));
    let mut out = std::io::stdout();
    writeln!(out, "{}\n{}", report::table(&cells), report::targets_table(&targets))?;
    writeln!(out, "decision: {:.1} us with 20 policies stored, {:.1} us with 2,000", decisions.few, decisions.many)?;
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_vec_pretty(&report::json(&cells, &targets))?)?;
    }
    Ok(())
}

/// Round after round of all cases, so that whatever else the machine does meets all of them alike.
async fn measure(options: &Options, service: &Service) -> Result<Vec<Cell>, Trouble> {
    let door = Door::new(service.variable("VAULT_ADDR")?, Path::new(service.variable("VAULT_CACERT")?))?;
    let questions: Arc<Questions> = Arc::new(provision::provision(&door, service.variable("VAULT_TOKEN")?).await?);
    let mut lines = Lines::new(door);
    let bounds = Bounds { time: Duration::try_from_secs_f64(options.seconds)?, requests: MOST_REQUESTS };
    let mut cells: Vec<Cell> =
        plan(options).into_iter().map(|(case, connections)| Cell { case, connections, rounds: Vec::new() }).collect();
    for cell in &cells {
        // Caches, prepared statements and connections are there before anything counts.
        let warm = Bounds { time: Duration::from_millis(200), requests: MOST_REQUESTS };
        lines.round(cell.case, cell.connections, warm, &questions, service.process_id()).await?;
    }
    for _ in 0..options.rounds {
        for cell in &mut cells {
            let round = lines.round(cell.case, cell.connections, bounds, &questions, service.process_id()).await?;
            cell.rounds.push(Measured::of(&round));
        }
    }
    Ok(cells)
}

/// What is run, in the order of a round.
fn plan(options: &Options) -> Vec<(Case, usize)> {
    use Case::{BatchDecode, BatchEncode, Decode, Encode, Fixed, ReadSecret, WriteSecret};
    let full: &[(usize, &[Case])] = &[
        (1, &[Fixed, ReadSecret, WriteSecret, Encode, Decode, BatchEncode, BatchDecode]),
        (4, &[BatchEncode, BatchDecode]),
        (16, &[Fixed, ReadSecret, WriteSecret, Encode, Decode]),
        (64, &[Fixed, ReadSecret, WriteSecret, Encode, Decode]),
        (256, &[Fixed, ReadSecret, WriteSecret, Encode, Decode]),
    ];
    let quick: &[(usize, &[Case])] = &[
        (1, &[Encode, BatchEncode, BatchDecode]),
        (64, &[Fixed, ReadSecret, WriteSecret, Encode]),
        (256, &[Fixed, ReadSecret, Encode, Decode]),
    ];
    let chosen = if options.quick { quick } else { full };
    let wanted = |case: Case| options.only.is_empty() || options.only.iter().any(|name| case.name().starts_with(name.as_str()));
    let fits = |connections: usize| options.connections.is_empty() || options.connections.contains(&connections);
    chosen
        .iter()
        .filter(|(connections, _)| fits(*connections))
        .flat_map(|(connections, cases)| cases.iter().filter(|case| wanted(**case)).map(|case| (*case, *connections)))
        .collect()
}

/// R9 on the disk that there is; the design asks for one with 2 ms more per fsync.
fn latency_target(cells: &[Cell], service: &Service) -> Result<Vec<Target>, Trouble> {
    let commit = commit::median_latency(&service.socket()?)?;
    let found = [(1, 1.5, 1.2), (64, 3.5, 2.5)].into_iter().filter_map(|(connections, must, wanted)| {
        let write = report::find(cells, Case::Encode, connections)?.median(|round| round.p50);
        Some(at_most("R9", &format!("encode p50 / one commit, {connections} connections"), write / commit, must, wanted))
    });
    Ok(found.collect())
}

fn at_most(id: &'static str, what: &str, measured: f64, must: f64, wanted: f64) -> Target {
    Target { id, what: what.to_owned(), measured, must, wanted, at_most: true }
}
