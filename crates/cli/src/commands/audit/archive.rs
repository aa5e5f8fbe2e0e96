//! `audit archive`, `audit prune`, `audit archives`: months that are over leave the database.

use clap::Args;

use crate::client::Ask;
use crate::document::Json;
use crate::failure::Failure;
use crate::output::Table;
use crate::session::Session;

/// Write months that are over to verified archives; prune needs them
#[derive(Args, Debug)]
#[command(after_long_help = "\
The server writes one compressed file for each stream and month into the folder of its configuration (`archive` in the section `ledger`),
reads it back, verifies it and records it. It can be interrupted, and goes on where it was. A month is over a day after its end.
Copy the files away: `goldfin audit verify --archive` needs no server.

Examples:
  goldfin audit archive --until 2026-10")]
pub struct Archive {
    /// The last month to archive, YYYY-MM
    #[arg(long, value_name = "MONTH")]
    until: String,
}

/// Remove archived months from the database that are older than the retention
#[derive(Args, Debug)]
#[command(after_long_help = "\
A month is refused that is not archived, whose archives are not in the server's folder as they were written, or that is within the
retention (six years unless `goldfin server retention` changed it). Verification goes on over the cut.

Examples:
  goldfin audit prune --until 2020-10")]
pub struct Prune {
    /// The last month to prune, YYYY-MM
    #[arg(long, value_name = "MONTH")]
    until: String,
}

/// List what was archived and what of it was pruned
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  goldfin audit archives\n  goldfin audit archives --format json")]
pub struct Archives {}

impl Archive {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let mut written = Vec::new();
        loop {
            let ask = Ask::post("sys/ledger/archive", until(&self.until)).called("archive a month of the ledger");
            let data = session.ask(&ask)?.data();
            let Some(archive) = data.get("archive").filter(|archive| archive.str_of("file").is_some()) else { break };
            session.out.say(&format!("archived {}", archive.str_of("file").unwrap_or_default()))?;
            written.push(archive.clone());
            if data.u64_of("remaining") == Some(0) {
                break;
            }
        }
        if written.is_empty() {
            session.out.say("nothing is left to archive; a month is over a day after its end")?;
        }
        session.out.present(&Json::List(written), |list| Table::of_items(list.items(), WRITTEN))
    }
}

impl Prune {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let mut pruned = Vec::new();
        loop {
            let ask = Ask::post("sys/ledger/prune", until(&self.until)).called("prune a month of the ledger");
            let data = session.ask(&ask)?.data();
            let Some(month) = data.str_of("month") else { break };
            session.out.say(&format!("pruned {month}"))?;
            let remaining = data.u64_of("remaining");
            pruned.push(data);
            if remaining == Some(0) {
                break;
            }
        }
        if pruned.is_empty() {
            session.out.say("no month up to there is in the database")?;
        }
        session.out.present(&Json::List(pruned), |list| Table::of_items(list.items(), PRUNED))
    }
}

impl Archives {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let data = session.ask(&Ask::get("sys/ledger/archive").called("list the archives of the ledger"))?.data();
        let archives = data.get("archives").map(Json::items).unwrap_or_default();
        session.out.present(&data, |_| Table::of_items(archives, ARCHIVES))?;
        session.out.say(&format!("entries are kept for {} days at least", data.u64_of("retention_days").unwrap_or_default()))
    }
}

fn until(month: &str) -> Json {
    Json::object([("until", Json::text(month))])
}

const WRITTEN: &[(&str, &str)] =
    &[("Month", "month"), ("Stream", "stream"), ("First", "first"), ("Last", "last"), ("File", "file"), ("Digest", "digest")];
const PRUNED: &[(&str, &str)] = &[("Month", "month"), ("Entries", "entries")];
const ARCHIVES: &[(&str, &str)] = &[
    ("Month", "month"),
    ("Stream", "stream"),
    ("First", "first"),
    ("Last", "last"),
    ("File", "file"),
    ("Verified", "verified"),
    ("Pruned", "pruned"),
];
