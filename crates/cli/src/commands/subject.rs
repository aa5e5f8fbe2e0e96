//! `subject`: what is held about a person, who saw it, and forgetting it.
//!
//! The id of a person is personal data: it comes from standard input or a file, and no message or label holds it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::auth_token::write_private;
use crate::client::Ask;
use crate::commands::bare;
use crate::document::Json;
use crate::failure::Failure;
use crate::input::Source;
use crate::output::Table;
use crate::session::Session;

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
This cannot be undone. The ledger keeps its entries, and still verifies.

Example:
  goldfin subject erase --id @id.txt --yes")]
pub struct Erase {
    #[command(flatten)]
    person: Person,
    /// Yes, erase: nothing brings the values back
    #[arg(long)]
    yes: bool,
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

impl Disclosures {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let path = self.person.path(session, "/disclosures")?;
        let ask = Ask::get(path).and("since", self.since).and("until", self.until).called("list the disclosures of a subject");
        let data = session.ask(&ask)?.data();
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
        let ask = Ask { purpose: self.purpose.clone(), ..Ask::get(path).and("purpose", self.purpose).called("export a subject") };
        let data: Json = session.ask(&ask)?.data();
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
        let ask = Ask::delete(self.person.path(session, "")?).called("erase a subject");
        session.ask_and_show(&ask, "erased")
    }
}
