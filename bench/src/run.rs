//! The order of a benchmark: start all sides, measure them in rounds, then what needs the machine to itself.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use crate::against;
use crate::beside::beside;
use crate::case::Case;
use crate::curve::{self, Stage};
use crate::database::Database;
use crate::decide::Decisions;
use crate::entries;
use crate::figures::{count, median};
use crate::growth;
use crate::levers;
use crate::line::Door;
use crate::load::Bounds;
use crate::naive::Naive;
use crate::overload::overload;
use crate::process;
use crate::provision;
use crate::raw::Raw;
use crate::report::{self, Cell, Figure, Measured, Target};
use crate::service::Service;
use crate::side::{Party, Side};
use crate::soak;
use crate::stored;
use crate::svg::{self, Axis, Panel};
use crate::trouble::Trouble;
use crate::verify::Verified;
use crate::{Curve, Options};

/// A case spends its seconds of a round in so many turns, the sides one after the other in each: what the host does meanwhile comes and goes
/// within seconds, and is to meet both sides of a comparison.
const TURNS: u32 = 4;

/// After another service's turn goldfin takes so long to its full rate; it would lose a twenty-fifth of a turn by that.
const LEAD: Duration = Duration::from_millis(70);

/// Most requests of one round, whatever its time.
const MOST_REQUESTS: u64 = 400_000;

/// Tokens that the side with few has in a full run; in others, as few as the cases need.
const FEW: i64 = 100_000;

/// Batches of a thousand by which the size of a token is measured.
const SIZED: usize = 50;

/// The ledger of the side without one: the same statement comes and stores nothing. A superuser can do this to a database, and
/// `audit verify` tells; nothing in goldfin can.
const UNRECORDED: &str = "CREATE OR REPLACE FUNCTION ledger_append(
    p_stream integer, p_after bigint, p_after_mac bytea,
    p_time timestamptz[], p_request uuid[], p_account text[], p_action text[], p_resource text[],
    p_decision text[], p_subject bytea[], p_change text[], p_body text[], p_mac bytea[]
) RETURNS bigint LANGUAGE sql AS 'SELECT p_after + cardinality(p_body)'";

/// What is told beside the two tables.
#[derive(Debug, Default)]
struct Told {
    cells: Vec<Cell>,
    targets: Vec<Target>,
    notes: Vec<String>,
    /// Figures of other forms, for the JSON.
    more: Map<String, Value>,
}

impl Told {
    /// A curve beside the tables: `grows` says what its stages count, `little` what the other node has.
    fn curve(&mut self, options: &Options, name: &'static str, (grows, little): (&str, &str), curve: &[Stage]) -> Result<(), Trouble> {
        self.notes.push(curve::table(grows, little, curve));
        self.more.insert(name.to_owned(), curve::json(curve));
        draw(options, name, Axis::Stored, 3, &curve::panels(curve))
    }
}

pub fn run(options: &Options) -> Result<(), Trouble> {
    // One thread, so that the load client takes no more than its core.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut told = if options.tables() { tables(options, &runtime)? } else { Told::default() };
    if options.wants(Curve::Entries) {
        let curve = runtime.block_on(entries::measure(options))?;
        told.curve(options, "entries", ("entries", "few"), &curve)?;
    }
    if options.wants(Curve::Stored) {
        let curve = runtime.block_on(stored::measure(options))?;
        told.curve(options, "stored", ("stored", "few"), &curve)?;
        told.more.insert("policies".to_owned(), options.policies.into());
        told.notes.push(format!("stored: secrets, and as many accounts; {} policies, on the node with few 20", options.policies));
    }
    if let Some(minutes) = options.soak {
        let soak = runtime.block_on(soak::measure(options, minutes))?;
        told.notes.push(soak.table());
        told.more.insert("soak".to_owned(), soak.json());
        draw(options, "soak", Axis::Minutes, 1, &soak.panels())?;
    }
    if options.levers {
        let levers = runtime.block_on(levers::measure(options))?;
        told.notes.push(levers::table(&levers));
        told.more.insert("levers".to_owned(), levers::json(&levers));
    }
    if !options.against.is_empty() {
        let compared = runtime.block_on(against::measure(options))?;
        told.notes.push(against::table(&compared));
        told.more.insert("against".to_owned(), against::json(&compared));
    }
    tell(options, &told)
}

/// The cases of the targets, beside the other sides.
fn tables(options: &Options, runtime: &Runtime) -> Result<Told, Trouble> {
    let folder = options.folder.join("goldfin");
    let (first, from_nothing) = Service::start(&options.goldfin, &folder)?;
    first.stop()?;
    let (service, again) = Service::start(&options.goldfin, &folder)?;
    let idle = process::resident(service.process_id())?;
    let mut told = runtime.block_on(measure(options, &service, idle))?;
    let verified = Verified::measure(&options.goldfin, &service)?;
    service.stop()?;
    let decisions = Decisions::measure()?;
    told.targets.push(Target::at_most("R12", "decision, 2,000 policies / 20", decisions.many / decisions.few, 1.5, 1.1));
    told.targets.push(Target::at_most("R14", "dev from nothing, s", from_nothing.as_secs_f64(), 5.0, 2.0));
    told.targets.push(Target::at_most("R14", "dev again on its folder, s", again.as_secs_f64(), 0.5, 0.2));
    let what = format!("verify, entries a second on one core, of {}", verified.entries);
    told.targets.push(Target::at_least("R15", what, Figure::median_of(verified.rates), 200_000.0, 500_000.0));
    told.notes.push(format!("decision: {:.1} us with 20 policies stored, {:.1} us with 2,000", decisions.few, decisions.many));
    told.targets.sort_by_key(|target| target.id.trim_start_matches('R').parse::<u32>().unwrap_or(u32::MAX));
    Ok(told)
}

fn tell(options: &Options, told: &Told) -> Result<(), Trouble> {
    let mut out = std::io::stdout();
    if options.tables() {
        writeln!(out, "{}\n{}", report::table(&told.cells), report::targets_table(&told.targets))?;
    }
    for note in &told.notes {
        writeln!(out, "{note}")?;
    }
    if options.tables() {
        writeln!(out, "\n{}", report::shortfalls(&told.targets))?;
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_vec_pretty(&report::json(&told.cells, &told.targets, &told.more))?)?;
    }
    Ok(())
}

/// All that is measured over the network.
async fn measure(options: &Options, service: &Service, idle: u64) -> Result<Told, Trouble> {
    let mut told = Told { cells: crate::plan::cells(options), ..Told::default() };
    let mut database = Database::open_seasoned(service).await?;
    let mut sides = Sides::start(options, service, &told.cells).await?;
    told.targets.push(size_of_a_token(service, &mut database).await?);
    if options.full {
        let curve = growth::measure(options, &mut database, &mut sides.parties).await?;
        told.notes.push(growth::table(&curve));
        told.more.insert("tokens".to_owned(), growth::json(&curve));
        draw(options, "growth", Axis::Stored, 2, &growth::panels(&curve))?;
    }
    database.fill(options.tokens()).await?;
    if sides.wants(Side::Raw) {
        sides.raw = Some(Raw::new(service).await?);
    }
    let (present, few) = (database.tokens().await?, sides.few_tokens().await?);
    sides.rounds(options, &mut told.cells).await?;
    let resident = process::resident(service.process_id())?;
    told.targets.extend(report::throughput_targets(&told.cells));
    told.targets.push(Target::at_most("R13", "resident MB, idle", megabytes(idle), 48.0, 40.0));
    told.targets.push(Target::at_most("R13", "resident MB, after the load", megabytes(resident), 96.0, 64.0));
    let goldfin = find(&mut sides.parties, Side::Goldfin)?;
    told.notes.push(format!("one commit of one row over one connection: {:.0} us", database.commit_latency().await?));
    told.targets.extend(latency(options, &mut database, goldfin).await?);
    // Its p99 is a handful of requests a round.
    told.targets.extend(beside(goldfin, options.rounds() * 2, Duration::try_from_secs_f64(options.seconds)?).await?);
    told.notes.push(overload(goldfin, Duration::try_from_secs_f64(options.seconds * 2.0)?).await?);
    told.notes.push(format!("tokens at the beginning of the rounds: {present} and, on the side with few, {few}"));
    match sides.naive {
        Some(naive) => {
            told.notes.push(format!("naive service: {:.0} MB resident", megabytes(naive.resident()?)));
            naive.stop()?;
        }
        None => told.notes.push("R10 and R11 were left out: no `--python` for the naive service".to_owned()),
    }
    for other in sides.others {
        other.stop()?;
    }
    Ok(told)
}

/// Everyone who is asked.
struct Sides {
    wanted: Vec<Side>,
    parties: Vec<Party>,
    raw: Option<Raw>,
    naive: Option<Naive>,
    others: Vec<Service>,
    few: Option<Database>,
}

impl Sides {
    async fn start(options: &Options, service: &Service, cells: &[Cell]) -> Result<Self, Trouble> {
        let wanted = cells.iter().map(|cell| cell.side).collect();
        let mut sides = Self { wanted, parties: Vec::new(), raw: None, naive: None, others: Vec::new(), few: None };
        sides.parties.push(party(Side::Goldfin, service).await?);
        if sides.wants(Side::Few) || options.full {
            let (few, _) = Service::start(&options.goldfin, &options.folder.join("few"))?;
            sides.parties.push(party(Side::Few, &few).await?);
            let mut database = Database::open_seasoned(&few).await?;
            if options.full {
                database.fill(FEW).await?;
            }
            sides.few = Some(database);
            sides.others.push(few);
        }
        if sides.wants(Side::Unrecorded) {
            let (unrecorded, _) = Service::start(&options.goldfin, &options.folder.join("unrecorded"))?;
            sides.parties.push(party(Side::Unrecorded, &unrecorded).await?);
            let mut database = Database::open_seasoned(&unrecorded).await?;
            database.run(UNRECORDED).await?;
            if database.number("SELECT count(*) FROM pg_proc WHERE proname = 'ledger_append'").await? != 1 {
                return Err(Trouble::new("`ledger_append` has other parameters now; change them in the side without a ledger too"));
            }
            sides.others.push(unrecorded);
        }
        if let Some(python) = options.python.as_deref().filter(|_| sides.wants(Side::Naive)) {
            let (naive, party) = Naive::start(python, &options.folder, service).await?;
            sides.parties.push(party);
            sides.naive = Some(naive);
        }
        Ok(sides)
    }

    fn wants(&self, side: Side) -> bool {
        self.wanted.contains(&side)
    }

    async fn few_tokens(&mut self) -> Result<i64, Trouble> {
        match &mut self.few {
            Some(database) => database.tokens().await,
            None => Ok(0),
        }
    }

    /// Round after round of all cases, so that whatever else the machine does meets all of them alike.
    async fn rounds(&mut self, options: &Options, cells: &mut [Cell]) -> Result<(), Trouble> {
        let time = Duration::try_from_secs_f64(options.seconds)? / TURNS;
        let bounds = Bounds { lead: LEAD, requests: MOST_REQUESTS, ..Bounds::lasting(time) };
        for cell in cells.iter() {
            // Caches, prepared statements and connections are there before anything counts.
            self.round(cell, Bounds { time: Duration::from_millis(200), ..bounds }).await?;
        }
        for _ in 0..options.rounds() * usize::try_from(TURNS)? {
            for cell in cells.iter_mut() {
                let round = self.round(cell, bounds).await?;
                cell.rounds.push(round);
            }
        }
        Ok(())
    }

    async fn round(&mut self, cell: &Cell, bounds: Bounds) -> Result<Measured, Trouble> {
        let round = match &mut self.raw {
            Some(raw) if cell.side == Side::Raw => raw.round(bounds).await?,
            _ => find(&mut self.parties, cell.side)?.round(cell.case, cell.connections, bounds).await?,
        };
        Ok(Measured::of(&round))
    }
}

pub fn find(parties: &mut [Party], side: Side) -> Result<&mut Party, Trouble> {
    parties.iter_mut().find(|party| party.side == side).ok_or_else(|| Trouble(format!("the side `{}` was not started", side.name())))
}

pub fn door(service: &Service) -> Result<Door, Trouble> {
    Door::new(service.variable("VAULT_ADDR")?, Path::new(service.variable("VAULT_CACERT")?))
}

pub async fn party(side: Side, service: &Service) -> Result<Party, Trouble> {
    let door = door(service)?;
    let questions = provision::provision(&door, service.variable("VAULT_TOKEN")?).await?;
    Ok(Party::new(side, door, questions, service.processes()?))
}

/// R8: what the table and its indexes grew by, for values of nine characters.
async fn size_of_a_token(service: &Service, database: &mut Database) -> Result<Target, Trouble> {
    let (tokens, size) = (database.tokens().await?, database.tokens_size().await?);
    provision::encode_short(&door(service)?, service.variable("VAULT_TOKEN")?, SIZED).await?;
    let (tokens, size) = (database.tokens().await? - tokens, database.tokens_size().await? - size);
    let each = count(usize::try_from(size)?) / count(usize::try_from(tokens)?);
    Ok(Target::at_most("R8", "bytes of an opaque token, table and indexes", each, 220.0, 190.0))
}

/// R9, with 2 ms more per flush of the WAL.
async fn latency(options: &Options, database: &mut Database, goldfin: &mut Party) -> Result<Vec<Target>, Trouble> {
    database.slow_disk(true).await?;
    let bounds = Bounds { requests: MOST_REQUESTS, ..Bounds::lasting(Duration::try_from_secs_f64(options.seconds)?) };
    let mut targets = Vec::new();
    for (connections, must, wanted) in [(1, 1.5, 1.2), (64, 3.5, 2.5)] {
        let (mut ratios, mut own, mut commits) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.rounds() {
            let commit = database.commit_latency().await?;
            let p50 = Measured::of(&goldfin.round(Case::Encode, connections, bounds).await?).p50;
            ratios.push(p50 / commit);
            own.push(p50);
            commits.push(commit);
        }
        let what = format!("encode p50 {:.0} us / one commit {:.0} us, {connections} conn.", median(own), median(commits));
        targets.push(Target::at_most("R9", what, Figure::median_of(ratios), must, wanted));
    }
    database.slow_disk(false).await?;
    Ok(targets)
}

/// Into the folder of the plots, where one is wanted.
fn draw(options: &Options, name: &str, axis: Axis, columns: u8, panels: &[Panel]) -> Result<(), Trouble> {
    if let Some(folder) = &options.plots {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join(name).with_extension("svg"), svg::plot(axis, columns, panels))?;
    }
    Ok(())
}

pub fn megabytes(kilobytes: u64) -> f64 {
    count(usize::try_from(kilobytes).unwrap_or(usize::MAX)) / 1024.0
}
