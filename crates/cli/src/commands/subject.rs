//! `subject`: what is held about a person, who saw it, and forgetting it.
//!
//! The id of a person is personal data: it comes from standard input or a file, and no message or label holds it.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::auth_token::write_private;
use crate::client::{Answer, Ask};
use crate::commands::bare;
use crate::document::Json;
use crate::failure::Failure;
use crate::input::Source;
use crate::output::Table;
use crate::session::Session;

/// The most that the server gives at a time.
const LARGEST_PAGE: u64 = 1000;

/// What is held about a person, who saw it, and forgetting it
#[derive(Subcommand, Debug)]
pub enum Subject {
    Show(Show),
    Disclosures(Disclosures),
    Export(Export),
    Erase(Erase),
}

#[derive(Args, Debug)]
struct Person {
    /// Mount of the transform engine
    #[arg(long, short, default_value = "transform", value_name = "PATH")]
    mount: String,
    /// Where the person's id is: `-` for standard input, or `@FILE`; never the id itself
    #[arg(long, default_value = "-", value_name = "SOURCE")]
    id: String,
}

/// Show what is held about a person: classes and counts, no values
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  goldfin subject show < id.txt\n  goldfin subject show --id @id.txt")]
pub struct Show {
    #[command(flatten)]
    person: Person,
}

/// List who saw a person's data: when, which account, what, for what purpose
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin --format json subject disclosures --id @id.txt > disclosures.json")]
pub struct Disclosures {
    #[command(flatten)]
    person: Person,
    /// From this time on, RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time, RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Write everything held about a person, in clear, to a file that only you can read
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin subject export --id @id.txt --output person.json --purpose access-request")]
pub struct Export {
    #[command(flatten)]
    person: Person,
    /// File to write, JSON
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Why the values are needed
    #[arg(long, value_name = "NAME")]
    purpose: Option<String>,
}

/// Erase a person for good: destroy the key of everything held about them, in backups too
#[derive(Args, Debug)]
#[command(after_long_help = "\
This cannot be undone. The ledger keeps its entries, and still verifies. The receipt names the
entry and holds the keyed hash of the person, the number of values and the time; not the id.

Example:
  goldfin subject erase --id @id.txt --yes --receipt erased.json")]
pub struct Erase {
    #[command(flatten)]
    person: Person,
    /// Yes, erase: nothing brings the values back
    #[arg(long)]
    yes: bool,
    /// File to write a receipt to, JSON; it must not be there yet
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

impl Subject {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Show(command) => {
                let ask = Ask::get(command.person.path(session, "")?).called("read a subject");
                let data = session.ask(&ask)?.data();
                session.out.show(&data)
            }
            Self::Disclosures(command) => command.run(session),
            Self::Export(command) => command.run(session),
            Self::Erase(command) => command.run(session),
        }
    }
}

impl Person {
    fn path(&self, session: &mut Session, tail: &str) -> Result<String, Failure> {
        let id = Source::parse(&self.id, "id of the person")?.word(&mut session.around, "id of the person")?;
        if id.contains('/') {
            return Err(Failure::local("the id of the person holds a `/`, which no subject's id can", "check what was given"));
        }
        Ok(format!("{}/subjects/{}{tail}", bare(&self.mount), &*id))
    }
}

/// A file in a folder that is there, and not there itself: an erasure cannot be repeated for its receipt.
fn refuse_unwritable(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if std::fs::symlink_metadata(path).is_ok() {
        return Err(Failure::local(format!("`{}` is there already", path.display()), "name a file that is not; nothing was erased"));
    }
    if !folder.is_dir() {
        return Err(Failure::local(format!("the folder of `{}` is not there", path.display()), "make it first; nothing was erased"));
    }
    Ok(())
}

/// What proves an erasure. Readers pass over members that they do not know: proofs come to stand beside these.
fn receipt_of(mount: &str, answer: Answer) -> Result<Json, Failure> {
    let broken = || Failure::local("the person is erased, and the answer does not name its entry", "look for it with `goldfin audit list`");
    let place = answer.receipt.clone().ok_or_else(broken)?;
    let mut parts = place.splitn(3, ':');
    let mut number = || parts.next().and_then(|part| part.parse().ok()).map(Json::number);
    let (stream, seq) = (number().ok_or_else(broken)?, number().ok_or_else(broken)?);
    let leaf = Json::text(parts.next().ok_or_else(broken)?);
    let request_id = Json::text(answer.request_id.clone().unwrap_or_default());
    let mut data = answer.data();
    let mut member = |name: &str| data.take(name).unwrap_or(Json::Null);
    Ok(Json::object([
        ("kind", Json::text("goldfin-erasure")),
        ("version", Json::number(1)),
        ("mount", Json::text(mount)),
        ("subject", member("hash")),
        ("erased", member("erased")),
        ("time", member("time")),
        ("request_id", request_id),
        ("entry", Json::object([("stream", stream), ("seq", seq), ("leaf", leaf)])),
    ]))
}

/// All pages of a list, in the first one's place.
fn all_pages(session: &mut Session, list: &'static str, ask: impl Fn() -> Ask) -> Result<Json, Failure> {
    let mut data = session.ask(&ask())?.data();
    let mut items: Vec<Json> = data.get(list).map(|items| items.items().to_vec()).unwrap_or_default();
    let mut next = data.str_of("next").map(str::to_owned);
    if next.is_none() {
        return Ok(data);
    }
    while let Some(after) = next {
        let page = session.ask(&ask().and("after", Some(after)))?.data();
        items.extend(page.get(list).map(|items| items.items().to_vec()).unwrap_or_default());
        next = page.str_of("next").map(str::to_owned);
    }
    drop((data.take(list), data.take("next")));
    let mut members: Vec<(&str, Json)> = data.members().iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    members.push((list, Json::List(items)));
    Ok(Json::object(members))
}

impl Disclosures {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let path = self.person.path(session, "/disclosures")?;
        let ask = || {
            Ask::get(path.clone())
                .and("limit", Some(LARGEST_PAGE))
                .and("since", self.since.clone())
                .and("until", self.until.clone())
                .called("list the disclosures of a subject")
        };
        let data = all_pages(session, "disclosures", ask)?;
        session.out.present(&data, |data| {
            let list = data.get("disclosures").unwrap_or(data);
            Table::of_items(
                list.items(),
                &[("Time", "time"), ("Account", "account"), ("Class", "class"), ("Purpose", "purpose"), ("Count", "count")],
            )
        })
    }
}

impl Export {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let path = self.person.path(session, "/export")?;
        let ask = || {
            let ask = Ask::get(path.clone()).and("limit", Some(LARGEST_PAGE)).called("export a subject");
            Ask { purpose: self.purpose.clone(), ..ask }
        };
        let data = all_pages(session, "values", ask)?;
        write_private(&self.output, data.pretty().as_bytes())?;
        session.out.say(&format!("written, for your eyes only: {}", self.output.display()))
    }
}

impl Erase {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        if !self.yes {
            return Err(Failure::local(
                "erasing destroys the key of everything held about this person, and nothing brings it back",
                "look with `goldfin subject show` first, then repeat with `--yes`",
            ));
        }
        if let Some(path) = &self.receipt {
            refuse_unwritable(path)?;
        }
        let ask = Ask::delete(self.person.path(session, "")?).called("erase a subject");
        let Some(path) = self.receipt else { return session.ask_and_show(&ask, "erased") };
        let receipt = receipt_of(bare(&self.person.mount), session.ask(&ask)?)?;
        if let Err(failure) = write_private(&path, receipt.pretty().as_bytes()) {
            // The person is erased; the receipt must not be lost with the file.
            session.out.show(&receipt)?;
            return Err(failure);
        }
        session.out.say(&format!("erased; the receipt is in {}", path.display()))
    }
}
