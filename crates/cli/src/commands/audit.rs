//! `audit`: reading the ledger, and verifying that it is whole.

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
    List(List),
    Show(Show),
    Verify(Verify),
    Prove(Prove),
    Checkpoint(PrintCheckpoint),
    Consistent(Consistent),
    Key(PrintKey),
}

/// List entries of the ledger, newest first; reading it is itself recorded
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  goldfin audit list --account web --decision denied --since 2026-01-01T00:00:00Z
  goldfin audit list --request-id ID
  goldfin audit list --ndjson --limit 100000 --action decode > decodes.ndjson
  goldfin audit list --subject @id.txt")]
pub struct List {
    /// By account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// By action, such as decode or read_secret
    #[arg(long, value_name = "NAME")]
    action: Option<String>,
    /// By the start of the path
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,
    /// By person: `-` or `@FILE` with the id; never the id itself
    #[arg(long, value_name = "SOURCE")]
    subject: Option<String>,
    /// By decision: granted, denied or failed
    #[arg(long, value_name = "WORD")]
    decision: Option<String>,
    /// From this time on, RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time, RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// By request id
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// By class of personal data, such as ssn
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// By purpose
    #[arg(long, value_name = "NAME")]
    purpose: Option<String>,
    /// How many entries at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// One JSON object a line, complete entries
    #[arg(long)]
    ndjson: bool,
}

/// Show one entry with the proof that it is in the ledger
#[derive(Args, Debug)]
#[command(after_long_help = "\
A receipt (`X-Goldfin-Receipt`) starts with STREAM:SEQ; it can be given whole, and its leaf is then compared.

Example:
  goldfin audit show node-1:4711")]
pub struct Show {
    /// STREAM:SEQ, or a whole receipt STREAM:SEQ:LEAF
    #[arg(value_name = "STREAM:SEQ")]
    entry: String,
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
  goldfin audit verify --archive ledger.ndjson --public-key ledger.key --checkpoint yesterday.checkpoint")]
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
    /// Verify an exported ledger: a folder or an NDJSON file
    #[arg(long, value_name = "PATH")]
    archive: Option<PathBuf>,
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
    Archive(PathBuf),
}

impl Audit {
    pub fn offline_verification(&self) -> Option<OfflineVerification> {
        let Self::Verify(verify) = self else { return None };
        let ledger = match (&verify.offline.database, &verify.offline.archive) {
            (Some(url), _) => OfflineLedger::Database(url.clone()),
            (None, Some(path)) => OfflineLedger::Archive(path.clone()),
            (None, None) => return None,
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
            Self::Verify(command) => command.run(session),
            Self::Prove(command) => command.run(session),
            Self::Checkpoint(command) => command.run(session),
            Self::Consistent(command) => command.run(session),
            Self::Key(command) => command.run(session),
        }
    }
}

impl List {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let subject = match &self.subject {
            Some(source) => Some(Source::parse(source, "id of the person")?.word(&mut session.around, "id of the person")?),
            None => None,
        };
        let bar = session.out.progress(Some(self.limit), "entries");
        let (mut entries, mut after, mut count) = (Vec::new(), None::<String>, 0);
        while count < self.limit {
            let ask = self.ask(subject.as_deref().map(String::as_str), (self.limit - count).min(PAGE), after.as_deref());
            let data = session.ask(&ask).inspect_err(|_| bar.finish_and_clear())?.data();
            let page = data.get("entries").map(Json::items).unwrap_or_default();
            count += page.len() as u64;
            bar.inc(page.len() as u64);
            match self.ndjson {
                true => page.iter().try_for_each(|entry| session.out.line(&entry.compact()))?,
                false => entries.extend_from_slice(page),
            }
            after = data.get("next").map(|next| next.plain().to_string()).filter(|next| !next.is_empty());
            if after.is_none() || page.is_empty() {
                break;
            }
        }
        bar.finish_and_clear();
        if after.is_some() && count >= self.limit {
            session.out.say("there are more: raise `--limit`, or narrow the filters")?;
        }
        if self.ndjson { Ok(()) } else { session.out.present(&Json::List(entries), |list| Table::of_items(list.items(), COLUMNS)) }
    }

    fn ask(&self, subject: Option<&str>, limit: u64, after: Option<&str>) -> Ask {
        Ask::get("sys/ledger/entries")
            .and("account", self.account.as_deref())
            .and("action", self.action.as_deref())
            .and("path", self.path.as_deref())
            .and("subject", subject)
            .and("decision", self.decision.as_deref())
            .and("since", self.since.as_deref())
            .and("until", self.until.as_deref())
            .and("request_id", self.request_id.as_deref())
            .and("class", self.class.as_deref())
            .and("purpose", self.purpose.as_deref())
            .and("limit", Some(limit))
            .and("after", after)
            .called("list entries of the ledger")
    }
}

impl Show {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let next = "write it as STREAM:SEQ, for example `node-1:4711`";
        let mut parts = self.entry.splitn(3, ':');
        let (Some(stream), Some(seq), leaf) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Failure::local("the entry has no `:`", next));
        };
        if stream.is_empty() || seq.parse::<u64>().is_err() {
            return Err(Failure::local("the entry is not a stream and a number", next));
        }
        let data = session.ask(&Ask::get(format!("sys/ledger/entries/{stream}/{seq}")))?.data();
        session.out.show(&data)?;
        let entry = data.get("entry").unwrap_or(&data);
        match (leaf, entry.str_of("leaf")) {
            (Some(mine), Some(theirs)) if !mine.eq_ignore_ascii_case(theirs) => {
                Err(Failure::no("the ledger's entry is not the one of the receipt", "keep the receipt, and run `goldfin audit verify`"))
            }
            _ => Ok(()),
        }
    }
}

impl Verify {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        if self.offline.database.is_some() || self.offline.archive.is_some() {
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
const PAGE: u64 = 1000;
const STREAMS: &[(&str, &str)] =
    &[("Stream", "stream"), ("Node", "node"), ("Verdict", "verdict"), ("Entries", "entries"), ("First bad", "seq"), ("What", "what")];
const COLUMNS: &[(&str, &str)] = &[
    ("Time", "time"),
    ("Account", "account"),
    ("Action", "action"),
    ("Resource", "resource"),
    ("Decision", "decision"),
    ("Status", "status"),
    ("Purpose", "purpose"),
    ("Count", "count"),
    ("Request id", "request_id"),
];
