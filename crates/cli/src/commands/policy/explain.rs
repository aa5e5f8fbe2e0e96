//! `policy explain`: whether an account would be allowed, or why a request was decided as it was.

use clap::Args;

use crate::client::Ask;
use crate::commands::audit::show::{because, is_request_id, of_request, picture};
use crate::document::Json;
use crate::failure::Failure;
use crate::options::Format;
use crate::session::Session;

/// Say whether an account would be allowed, or why a request was refused, and because of what
#[derive(Args, Debug)]
#[command(after_long_help = "\
With `--request` the ledger says what was decided and by which statements, and their texts are shown as they are now.

Exit code 0: it would be allowed; 2: it would not. With `--request`: it was, or it was not.

Examples:
  goldfin policy explain --account web --action read_secret --path secret/data/db/web
  goldfin policy explain --account support --action decode --resource 'Transformation::\"transform/phone\"' --purpose claims
  goldfin policy explain --request 0191e2c4-7a35-7c1b-9a44-3f5b7c1d2e3f")]
pub struct Explain {
    /// Id of a request: `X-Goldfin-Request-Id` of its answer
    #[arg(long, value_name = "ID", conflicts_with_all = ["account", "group", "action", "path", "resource", "purpose", "batch_size"])]
    request: Option<String>,
    /// Account
    #[arg(long, value_name = "NAME", required_unless_present = "request")]
    account: Option<String>,
    /// Group to add to those of the account; may be given more than once
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// Action, such as read_secret or decode
    #[arg(long, value_name = "NAME", required_unless_present = "request")]
    action: Option<String>,
    /// Path of the API it is done to
    #[arg(long, value_name = "PATH", required_unless_present_any = ["resource", "request"], conflicts_with = "resource")]
    path: Option<String>,
    /// Entity it is done to, as in a policy
    #[arg(long, value_name = "ENTITY")]
    resource: Option<String>,
    /// Purpose given with the request
    #[arg(long, value_name = "NAME")]
    purpose: Option<String>,
    /// How many values are in the request
    #[arg(long, value_name = "N")]
    batch_size: Option<u64>,
}

impl Explain {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        if let Some(id) = &self.request {
            return of_a_request(session, id);
        }
        let text = |name, value: Option<String>| value.map(|value| (name, Json::text(value)));
        let members = [
            text("action", self.action),
            text("path", self.path),
            text("resource", self.resource),
            text("account", self.account),
            (!self.group.is_empty()).then(|| ("groups", Json::texts(self.group))),
            text("purpose", self.purpose),
            self.batch_size.map(|size| ("batch_size", Json::number(size))),
        ];
        let body = Json::object(members.into_iter().flatten());
        let data = session.ask(&Ask::post("sys/policies/explain", body))?.data();
        session.out.show(&data)?;
        if data.get("allowed").and_then(Json::as_bool) == Some(false) { Err(Failure::Told(2)) } else { Ok(()) }
    }
}

fn of_a_request(session: &mut Session, id: &str) -> Result<(), Failure> {
    if !is_request_id(id) {
        return Err(Failure::local("this is no request's id", "copy it from `X-Goldfin-Request-Id` or from the error"));
    }
    let entries = of_request(session, id)?;
    let is_request = |entry: &&Json| entry.str_of("kind") == Some("request");
    let entry = entries.iter().find(is_request).or(entries.first()).cloned().unwrap_or(Json::Null);
    if session.out.format == Format::Table {
        session.out.present(&entry, picture)?;
        match because(&entry).as_str() {
            "" => session.out.line("No policy was asked: the request was refused before, or its credential proved nothing.")?,
            _ => show_texts(session, &entry)?,
        }
    } else {
        session.out.show(&entry)?;
    }
    if entry.str_of("decision") == Some("denied") { Err(Failure::Told(2)) } else { Ok(()) }
}

/// The statements that decided, as they read now. Whoever may read the ledger but no policy sees their names only.
fn show_texts(session: &mut Session, entry: &Json) -> Result<(), Failure> {
    let mut shown: Vec<String> = Vec::new();
    for statement in entry.get("policies").map(Json::items).unwrap_or_default() {
        let name = statement.plain().split('#').next().unwrap_or_default().to_owned();
        // The base policies are part of the program and are not stored.
        if name.is_empty() || shown.contains(&name) {
            continue;
        }
        let ask = Ask::get(format!("sys/policies/acl/{name}"));
        let answer = session.ask_expecting(&ask, |answer| matches!(answer.status, 403 | 404))?;
        match (answer.status, answer.data().str_of("policy")) {
            (200, Some(text)) => {
                session.out.line(&format!("\nThe policy {name} now:"))?;
                for line in text.lines() {
                    session.out.line(&crate::failure::on_screen(line))?;
                }
            }
            (403, _) => session.out.line(&format!("\nThe policy {name} may not be read with this token."))?,
            _ => session.out.line(&format!("\nThe policy {name} is not stored: it belongs to the program, or was deleted since."))?,
        }
        shown.push(name);
    }
    Ok(())
}
