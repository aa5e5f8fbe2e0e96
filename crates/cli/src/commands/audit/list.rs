//! `audit list`: entries by filters, page by page.

use clap::Args;

use crate::client::Ask;
use crate::document::Json;
use crate::failure::Failure;
use crate::input::Source;
use crate::output::Table;
use crate::session::Session;

/// List entries of the ledger, newest first; reading it is itself recorded
#[derive(Args, Debug)]
#[command(after_long_help = "\
Filters can be combined; an entry is listed when all of them hold.

Examples:
  goldfin audit list --account web --decision denied --since 2026-01-01T00:00:00Z
  goldfin audit list --peer 192.0.2.0/24 --status 403
  goldfin audit list --request-id ID
  goldfin audit list --ndjson --limit 100000 --action decode > decodes.ndjson
  goldfin audit list --subject @id.txt")]
pub struct List {
    #[command(flatten)]
    filters: Filters,
    /// By person: `-` or `@FILE` with the id; never the id itself
    #[arg(long, value_name = "SOURCE")]
    subject: Option<String>,
    /// The mount whose tokens the person's id belongs to; needed with `--subject` where it is not `transform`
    #[arg(long, value_name = "PATH", requires = "subject")]
    mount: Option<String>,
    /// How many entries at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// Oldest first
    #[arg(long)]
    oldest_first: bool,
    /// One JSON object a line, complete entries
    #[arg(long)]
    ndjson: bool,
}

#[derive(Args, Debug)]
struct Filters {
    /// By account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// By action, such as decode or read_secret
    #[arg(long, value_name = "NAME")]
    action: Option<String>,
    /// By the start of the request's path, such as secret/data/app
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,
    /// By the start of the resource as policies name it, such as secret/app or Transformation:
    #[arg(long, value_name = "PREFIX")]
    resource: Option<String>,
    /// By decision: granted, denied or failed
    #[arg(long, value_name = "WORD")]
    decision: Option<String>,
    /// By the caller's address, or a network such as 192.0.2.0/24
    #[arg(long, value_name = "ADDRESS")]
    peer: Option<String>,
    /// From this time on, RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time, RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// By request id
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// By how the caller proved itself, such as kerberos, jwt or none
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// By the status of the answer, such as 403
    #[arg(long, value_name = "NUMBER")]
    status: Option<u16>,
    /// By the word for a failure, such as expired
    #[arg(long, value_name = "WORD")]
    reason: Option<String>,
    /// By why policies refused: forbidden, none_permits, evaluation_error or grant_not_held
    #[arg(long, value_name = "WORD")]
    denied_because: Option<String>,
    /// By class of personal data, such as ssn
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// By purpose
    #[arg(long, value_name = "NAME")]
    purpose: Option<String>,
    /// By kind: request, intent, outcome or notice
    #[arg(long, value_name = "WORD")]
    kind: Option<String>,
}

impl List {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let subject = match &self.subject {
            Some(source) => Some(Source::parse(source, "id of the person")?.word(&mut session.around, "id of the person")?),
            None => None,
        };
        let bar = session.out.progress(Some(self.limit), "entries");
        let (mut entries, mut cursor, mut count) = (Vec::new(), None::<String>, 0);
        while count < self.limit {
            let limit = (self.limit - count).min(PAGE);
            let ask = self.ask(subject.as_deref().map(String::as_str), limit, cursor.as_deref());
            let data = session.ask(&ask).inspect_err(|_| bar.finish_and_clear())?.data();
            let page = data.get("entries").map(Json::items).unwrap_or_default();
            count += page.len() as u64;
            bar.inc(page.len() as u64);
            match self.ndjson {
                true => page.iter().try_for_each(|entry| session.out.line(&entry.compact()))?,
                false => entries.extend_from_slice(page),
            }
            // A page may be empty and be followed all the same: the server looks at so many entries for each.
            cursor = data.get("next").map(|next| next.plain().to_string()).filter(|next| !next.is_empty());
            if cursor.is_none() {
                break;
            }
        }
        bar.finish_and_clear();
        if cursor.is_some() {
            session.out.say("there are more: raise `--limit`, or narrow the filters")?;
        }
        if self.ndjson { Ok(()) } else { session.out.present(&Json::List(entries), |list| Table::of_items(list.items(), COLUMNS)) }
    }

    /// A person's id belongs into no URL: with one, the filters travel in a body.
    fn ask(&self, subject: Option<&str>, limit: u64, cursor: Option<&str>) -> Ask {
        let mut filters = self.filters.given();
        filters.extend(self.oldest_first.then(|| ("order", "oldest".to_owned())));
        filters.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        let called = "list entries of the ledger";
        let Some(subject) = subject else {
            let ask = filters.into_iter().fold(Ask::get("sys/ledger/entries"), |ask, (name, value)| ask.and(name, Some(value)));
            return ask.and("limit", Some(limit)).called(called);
        };
        let mut members: Vec<(&str, Json)> = filters.into_iter().map(|(name, value)| (name, Json::text(value))).collect();
        members.extend(self.mount.as_deref().map(|mount| ("mount", Json::text(mount))));
        members.extend([("subject", Json::text(subject)), ("limit", Json::number(limit))]);
        Ask::post("sys/ledger/search", Json::object(members)).called(called)
    }
}

impl Filters {
    fn given(&self) -> Vec<(&'static str, String)> {
        let status = self.status.map(|status| status.to_string());
        let all = [
            ("account", &self.account),
            ("action", &self.action),
            ("path", &self.path),
            ("resource", &self.resource),
            ("decision", &self.decision),
            ("peer", &self.peer),
            ("since", &self.since),
            ("until", &self.until),
            ("request_id", &self.request_id),
            ("method", &self.method),
            ("status", &status),
            ("reason", &self.reason),
            ("denied_because", &self.denied_because),
            ("class", &self.class),
            ("purpose", &self.purpose),
            ("kind", &self.kind),
        ];
        all.into_iter().filter_map(|(name, value)| value.clone().map(|value| (name, value))).collect()
    }
}

const PAGE: u64 = 1000;
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
