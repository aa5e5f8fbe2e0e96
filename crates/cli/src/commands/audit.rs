//! `audit`: reading the ledger, and verifying that it is whole.

mod archive;
mod export;
mod list;
pub(super) mod show;
mod summary;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::client::Ask;
use crate::commands::proof::{Consistent, PrintCheckpoint, PrintKey, Prove};
use crate::document::Json;
use crate::failure::Failure;
use crate::input::Source;
use crate::output::Table;
use crate::session::Session;

/// Read and verify the ledger
#[derive(Subcommand, Debug)]
pub enum Audit {
    List(Box<list::List>),
    Show(show::Show),
    Export(export::Export),
    Summary(summary::Summary),
    Verify(Verify),
    Archive(archive::Archive),
    Prune(archive::Prune),
    Archives(archive::Archives),
    Prove(Prove),
    Checkpoint(PrintCheckpoint),
    Consistent(Consistent),
    Key(PrintKey),
}

/// Verify that nothing in the ledger was changed, removed or cut off
#[derive(Args, Debug)]
#[command(after_long_help = "\
The server verifies itself here. With `--database` or `--archive` the ledger is verified without one, and without trust in it.

Exit codes: 0 sound; 2 tampered, with the first bad entry; 3 shorter than a known checkpoint; 4 cannot be verified.

Examples:
  goldfin audit verify
  goldfin audit verify --checkpoint yesterday.checkpoint
  goldfin audit verify --database postgresql://auditor@db/goldfin --mac-key unseal-keys.json
  goldfin audit verify --archive ledger.ndjson --public-key ledger.key --checkpoint yesterday.checkpoint
  goldfin audit verify --archive 2026-01.ndjson.gz --archive 2026-02.ndjson.gz --public-key ledger.key
  goldfin audit verify --archive ledger.ndjson --mac-key unseal-keys.json --seal postgresql://auditor@db/goldfin")]
pub struct Verify {
    /// A checkpoint kept from before, a signed note; nothing before it may have changed
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// Begin at the newest checkpoint given instead of at the first entry
    #[arg(long, requires_all = ["database", "checkpoint"])]
    resume: bool,
    #[command(flatten)]
    offline: OfflineArguments,
}

#[derive(Args, Debug)]
struct OfflineArguments {
    /// Verify the database itself: a PostgreSQL URL without a password, which ~/.pgpass or PGPASSWORD holds
    #[arg(long, value_name = "URL", conflicts_with = "archive")]
    database: Option<String>,
    /// Verify an exported ledger, or archives: a folder, or a file, compressed or not; may be given again for files that go on from each other
    #[arg(long, value_name = "PATH")]
    archive: Vec<PathBuf>,
    /// With --archive and --mac-key: the database whose seal the key opens
    #[arg(long, value_name = "URL", requires_all = ["archive", "mac_key"])]
    seal: Option<String>,
    #[command(flatten)]
    keys: KeyFiles,
}

#[derive(Args, Debug)]
struct KeyFiles {
    /// Public key of the checkpoints; needed without a server
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// What opens the MAC key of the ledger: the seal's key file, or the answer of `goldfin init` with its shares
    #[arg(long, value_name = "FILE")]
    mac_key: Option<PathBuf>,
}

/// A verification without a server, which the server's half of the binary carries out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineVerification {
    pub ledger: OfflineLedger,
    pub checkpoints: Vec<PathBuf>,
    pub public_key: Option<PathBuf>,
    pub mac_key: Option<PathBuf>,
    pub resume: bool,
}

/// Where the ledger is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfflineLedger {
    /// A PostgreSQL URL; a password in it must be refused, it was an argument.
    Database(String),
    /// Files, and the database whose seal opens the MAC key.
    Archive(Vec<PathBuf>, Option<String>),
}

impl Audit {
    pub fn offline_verification(&self) -> Option<OfflineVerification> {
        let Self::Verify(verify) = self else { return None };
        let ledger = match (&verify.offline.database, verify.offline.archive.as_slice()) {
            (Some(url), _) => OfflineLedger::Database(url.clone()),
            (None, []) => return None,
            (None, paths) => OfflineLedger::Archive(paths.to_vec(), verify.offline.seal.clone()),
        };
        let KeyFiles { public_key, mac_key } = &verify.offline.keys;
        Some(OfflineVerification {
            ledger,
            checkpoints: verify.checkpoint.clone(),
            public_key: public_key.clone(),
            mac_key: mac_key.clone(),
            resume: verify.resume,
        })
    }

    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::List(command) => command.run(session),
            Self::Show(command) => command.run(session),
            Self::Export(command) => command.run(session),
            Self::Summary(command) => command.run(session),
            Self::Verify(command) => command.run(session),
            Self::Archive(command) => command.run(session),
            Self::Prune(command) => command.run(session),
            Self::Archives(command) => command.run(session),
            Self::Prove(command) => command.run(session),
            Self::Checkpoint(command) => command.run(session),
            Self::Consistent(command) => command.run(session),
            Self::Key(command) => command.run(session),
        }
    }
}

impl Verify {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        if self.offline.database.is_some() || !self.offline.archive.is_empty() {
            session.out.warn("error: this program was built without the verifier that needs no server\n  hint: use the `goldfin` binary of the server's package")?;
            return Err(Failure::Told(CANNOT));
        }
        let checkpoints =
            self.checkpoint.iter().map(|path| Source::File(path.clone()).text(&mut session.around, "checkpoint").map(Json::Text));
        let body = Json::object([("checkpoints", Json::List(checkpoints.collect::<Result<_, _>>()?))]);
        // A server that cannot be asked proves nothing: 4, never the 2 that means tampered.
        let answer = session.ask(&Ask::post("sys/ledger/verify", body)).map_err(|failure| {
            session.out.failure(&failure);
            Failure::Told(if failure.exit_code() == 2 { CANNOT } else { failure.exit_code() })
        })?;
        let data = answer.data();
        show_streams(session, &data)?;
        judge(&data)
    }
}

/// One row for each stream, with the first bad entry.
fn show_streams(session: &mut Session, report: &Json) -> Result<(), Failure> {
    session.out.present(report, |report| Table::of_items(report.get("streams").map_or(&[], Json::items), STREAMS))
}

fn judge(report: &Json) -> Result<(), Failure> {
    match report.str_of("verdict") {
        Some("sound") => Ok(()),
        Some("tampered") => Err(Failure::Told(2)),
        Some("shorter") => Err(Failure::Told(3)),
        _ => Err(Failure::Told(CANNOT)),
    }
}

/// Shows a report that did not come from a server; the exit code.
pub fn show_report(session: &mut Session, report: &[u8]) -> u8 {
    let shown = Json::parse(report)
        .map_err(|_| Failure::Told(CANNOT))
        .and_then(|document| show_streams(session, &document).and_then(|()| session.out.flush()).and_then(|()| judge(&document)));
    shown.map_or_else(|failure| failure.exit_code(), |()| 0)
}

/// Exit code: cannot be verified.
const CANNOT: u8 = 4;
const STREAMS: &[(&str, &str)] =
    &[("Stream", "stream"), ("Node", "node"), ("Verdict", "verdict"), ("Entries", "entries"), ("First bad", "seq"), ("What", "what")];
