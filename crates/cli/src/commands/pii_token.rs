//! `pii-token`: finding and deleting tokens, and the stored tokens of a transformation as a whole.
//!
//! A value or token comes from standard input or a file, never from an argument. What is paged is printed page by page and never held.

use std::io::{BufRead, BufReader, Read};

use clap::{Args, Subcommand};

use crate::client::Ask;
use crate::commands::bare;
use crate::commands::transform::Values;
use crate::commands::transform_batch::Member;
use crate::document::Json;
use crate::failure::Failure;
use crate::input::Source;
use crate::session::Session;

/// Find, delete, snapshot and export the tokens of personal data
#[derive(Subcommand, Debug)]
pub enum PiiToken {
    Tokenized(Tokenized),
    Find(Find),
    Delete(Delete),
    DeleteValue(DeleteValue),
    Snapshot(Snapshot),
    Restore(Restore),
    Export(Export),
}

/// Say whether a value has a token (convergent transformations only)
#[derive(Args, Debug)]
#[command(after_long_help = "\
Exit code 0: it has one; 2: it has none.

Example:
  goldfin pii-token tokenized --role analyst --transformation icn < value.txt")]
pub struct Tokenized {
    #[command(flatten)]
    of: OfSubject,
}

/// Print the token of a value (convergent transformations only)
#[derive(Args, Debug)]
#[command(after_long_help = "\
Exit code 0: printed; 2: the value has none.

Example:
  goldfin pii-token find --role analyst --transformation icn < value.txt")]
pub struct Find {
    #[command(flatten)]
    of: OfSubject,
}

/// Delete tokens
#[derive(Args, Debug)]
#[command(after_long_help = "\
Example:
  goldfin pii-token delete --role backend --transformation phone --batch lines < tokens.txt")]
pub struct Delete {
    #[command(flatten)]
    values: Values,
}

/// Delete the tokens of values (convergent transformations only)
#[derive(Args, Debug)]
#[command(after_long_help = "\
Example:
  goldfin pii-token delete-value --role backend --transformation icn < value.txt")]
pub struct DeleteValue {
    #[command(flatten)]
    of: OfSubject,
}

#[derive(Args, Debug)]
struct OfSubject {
    #[command(flatten)]
    values: Values,
    /// Whom the value is about: `@FILE`
    #[arg(long, value_name = "SOURCE")]
    subject: Option<String>,
}

#[derive(Args, Debug)]
struct Stored {
    /// Mount of the transform engine
    #[arg(long, short, default_value = "transform", value_name = "PATH")]
    mount: String,
    /// Transformation
    #[arg(value_name = "TRANSFORMATION")]
    transformation: String,
}

/// Print the stored tokens of a transformation, encrypted, one a line
#[derive(Args, Debug)]
#[command(after_long_help = "\
Example:
  goldfin pii-token snapshot phone > phone.snapshot")]
pub struct Snapshot {
    #[command(flatten)]
    stored: Stored,
}

/// Put back what `snapshot` printed; what is there already stays
#[derive(Args, Debug)]
#[command(after_long_help = "\
Reads one value a line from standard input. A snapshot fits the transformation that it was taken of, with its keys, and no other.

Example:
  goldfin pii-token restore phone < phone.snapshot")]
pub struct Restore {
    #[command(flatten)]
    stored: Stored,
}

/// Print all tokens of an exportable transformation with their values, one JSON object a line
#[derive(Args, Debug)]
#[command(after_long_help = "\
The values are in base64, as in Vault. Every page is a disclosure: it is in the ledger, with who asked and the purpose.

Example:
  goldfin pii-token export phone --purpose migration > phone.ndjson")]
pub struct Export {
    #[command(flatten)]
    stored: Stored,
    /// Why the values are needed; one of the purposes that the transformation allows
    #[arg(long, short, value_name = "NAME")]
    purpose: Option<String>,
}

impl PiiToken {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Tokenized(Tokenized { of }) => {
                let (values, shared) = of.read(session)?;
                match values.run(session, "tokenized", None, shared, "tokenized")? {
                    Some(result) if result.get("tokenized").and_then(Json::as_bool) != Some(true) => Err(Failure::Told(2)),
                    _ => Ok(()),
                }
            }
            Self::Find(Find { of }) => {
                let (values, shared) = of.read(session)?;
                match values.run(session, "tokens", None, shared, "tokens")? {
                    Some(result) if result.get("tokens").is_none_or(|tokens| tokens.items().is_empty()) => Err(Failure::Told(2)),
                    _ => Ok(()),
                }
            }
            Self::Delete(Delete { values }) => values.delete(session, "tokens", Vec::new()),
            Self::DeleteValue(DeleteValue { of }) => {
                let (values, shared) = of.read(session)?;
                values.delete(session, "tokenized", shared)
            }
            Self::Snapshot(Snapshot { stored }) => stored.pages(session, "snapshot", None),
            Self::Restore(Restore { stored }) => stored.restore(session),
            Self::Export(Export { stored, purpose }) => stored.pages(session, "export-decoded", purpose.as_deref()),
        }
    }
}

impl OfSubject {
    fn read(self, session: &mut Session) -> Result<(Values, Vec<Member>), Failure> {
        if self.subject.as_deref() == Some("-") {
            return Err(Failure::local("the subject cannot be standard input", "put it into a file, as `@FILE`"));
        }
        let subject = match &self.subject {
            Some(source) => Some(Source::parse(source, "subject")?.word(&mut session.around, "subject")?),
            None => None,
        };
        Ok((self.values, subject.map(|subject| ("subject", Json::Text(subject))).into_iter().collect()))
    }
}

impl Stored {
    fn path(&self, act: &str) -> String {
        format!("{}/transformations/tokenization/{act}/{}", bare(&self.mount), bare(&self.transformation))
    }

    fn pages(&self, session: &mut Session, act: &str, purpose: Option<&str>) -> Result<(), Failure> {
        let (mut continuation, mut count) = (None::<Json>, 0);
        loop {
            let mut members = Vec::new();
            members.extend(continuation.take().map(|next| ("continuation", next)));
            members.extend(purpose.map(|purpose| ("purpose", Json::text(purpose))));
            let mut data = session.ask(&Ask::post(self.path(act), Json::object(members)))?.data();
            let values = data.get("values").map(Json::items).unwrap_or_default();
            for value in values {
                let line = if value.as_str().is_some() { value.plain() } else { value.compact() };
                session.out.line(&line)?;
            }
            count += values.len();
            match data.take("continuation").filter(|next| !next.is_null()) {
                Some(next) => continuation = Some(next),
                None => return session.out.say(&format!("{count} tokens")),
            }
        }
    }

    fn restore(&self, session: &mut Session) -> Result<(), Failure> {
        let source: Box<dyn Read> = std::mem::replace(&mut session.around.stdin, Box::new(std::io::empty()));
        let (mut lines, mut count) = (BufReader::new(source).lines(), 0);
        loop {
            let (mut values, mut bytes) = (Vec::new(), 0);
            while values.len() < AT_ONCE && bytes < BYTES_AT_ONCE {
                let Some(line) = lines.next() else { break };
                let line =
                    line.map_err(|error| Failure::local(format!("the snapshot cannot be read: {error}"), "give what `snapshot` printed"))?;
                bytes += line.len();
                values.push(line);
            }
            if values.is_empty() {
                return session.out.say(&format!("{count} tokens"));
            }
            count += values.len();
            session.ask(&Ask::post(self.path("restore"), Json::object([("values", Json::texts(values))])))?;
        }
    }
}

/// What one request of a restore holds.
const AT_ONCE: usize = 1000;
const BYTES_AT_ONCE: usize = 8 << 20;
