//! `audit show`: one entry, or the entries of one request, as a person reads them.

use clap::Args;

use crate::client::Ask;
use crate::document::Json;
use crate::failure::Failure;
use crate::options::Format;
use crate::output::{Table, cell};
use crate::session::Session;

/// Show one entry, or what a request left in the ledger
#[derive(Args, Debug)]
#[command(after_long_help = "\
A receipt (`X-Goldfin-Receipt`) starts with STREAM:SEQ; it can be given whole, and its leaf is then compared. A request id is in every
answer (`X-Goldfin-Request-Id`) and in every error that this program prints.

Examples:
  goldfin audit show node-1:4711
  goldfin audit show 0191e2c4-7a35-7c1b-9a44-3f5b7c1d2e3f")]
pub struct Show {
    /// STREAM:SEQ, a whole receipt STREAM:SEQ:LEAF, or a request id
    #[arg(value_name = "ENTRY")]
    entry: String,
}

impl Show {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        if !self.entry.contains(':') && is_request_id(&self.entry) {
            let entries = of_request(session, &self.entry)?;
            return entries.iter().try_for_each(|entry| session.out.present(entry, picture));
        }
        let next = "write it as STREAM:SEQ, for example `node-1:4711`, or as the id of a request";
        let mut parts = self.entry.splitn(3, ':');
        let (Some(stream), Some(seq), leaf) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Failure::local("the entry is neither a place nor a request's id", next));
        };
        if stream.is_empty() || seq.parse::<u64>().is_err() {
            return Err(Failure::local("the entry is not a stream and a number", next));
        }
        let data = session.ask(&Ask::get(format!("sys/ledger/entries/{stream}/{seq}")))?.data();
        let entry = data.get("entry").unwrap_or(&data);
        match session.out.format {
            Format::Table => session.out.present(entry, picture)?,
            _ => session.out.show(&data)?,
        }
        match (leaf, entry.str_of("leaf")) {
            (Some(mine), Some(theirs)) if !mine.eq_ignore_ascii_case(theirs) => {
                Err(Failure::no("the ledger's entry is not the one of the receipt", "keep the receipt, and run `goldfin audit verify`"))
            }
            _ => Ok(()),
        }
    }
}

/// The entries of a request: one of the kind `request`, and what an effect outside of the database left beside it.
pub fn of_request(session: &mut Session, id: &str) -> Result<Vec<Json>, Failure> {
    let ask = Ask::get("sys/ledger/entries").and("request_id", Some(id)).and("order", Some("oldest"));
    let data = session.ask(&ask.called("look for the request in the ledger"))?.data();
    let entries = data.get("entries").map(Json::items).unwrap_or_default().to_vec();
    match entries.is_empty() {
        true => Err(Failure::no(
            "the ledger holds no entry of this request",
            "a 503 or an `outcome unknown` may have none, and so has what a stranger was refused too often; check the id",
        )),
        false => Ok(entries),
    }
}

pub fn is_request_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// What an entry says, in the order in which a person asks.
pub fn picture(entry: &Json) -> Table {
    let text = |name: &str| entry.get(name).map(|value| value.plain().to_string()).filter(|text| !text.is_empty());
    let joined = |parts: &[Option<String>]| parts.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut table = Table::new(&["", ""]);
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            table.row([cell(name), cell(&value)]);
        }
    };
    row("When", text("time").unwrap_or_default());
    let token = text("accessor").map(|accessor| format!("token {accessor}"));
    row("Who", joined(&[text("account"), text("method").map(|method| format!("by {method}")), token, text("peer")]));
    row("Wanted", joined(&[text("action"), text("resource")]));
    row("Request", [text("verb"), text("path")].into_iter().flatten().collect::<Vec<_>>().join(" "));
    row("Outcome", joined(&[text("decision"), text("status").map(|status| format!("status {status}")), text("reason")]));
    row("Because", because(entry));
    for (name, member) in [
        ("Purpose", "purpose"),
        ("Class", "class"),
        ("Subject", "subject"),
        ("Count", "count"),
        ("Succeeded", "succeeded"),
        ("Version", "version"),
        ("Login account", "login_account"),
        ("Target accessor", "target_accessor"),
        ("Microseconds", "latency_us"),
    ] {
        row(name, text(member).unwrap_or_default());
    }
    row("Changes", entry.get("changes").map(list).unwrap_or_default());
    row("Request id", text("request_id").unwrap_or_default());
    row("Entry", [text("stream"), text("seq"), text("leaf")].into_iter().flatten().collect::<Vec<_>>().join(":"));
    row("Policy set", text("policy_set").unwrap_or_default());
    table
}

/// Why it was decided so, in words; empty where no policy was asked.
pub fn because(entry: &Json) -> String {
    let policies = entry.get("policies").map(list).unwrap_or_default();
    match entry.str_of("denied_because") {
        Some("forbidden") => format!("a policy forbids it: {policies}"),
        Some("none_permits") => "no policy permits it".to_owned(),
        Some("evaluation_error") => format!("a policy could not be evaluated, which is a denial: {policies}"),
        Some("grant_not_held") => "it hands on a group that the caller does not hold, or the group `root`".to_owned(),
        Some(other) => other.to_owned(),
        None if !policies.is_empty() => format!("permitted by {policies}"),
        None => String::new(),
    }
}

fn list(texts: &Json) -> String {
    texts.items().iter().map(|text| text.plain().to_string()).collect::<Vec<_>>().join(", ")
}
