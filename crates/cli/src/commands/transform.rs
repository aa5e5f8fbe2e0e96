//! `encode`, `decode` and `validate`: personal data to tokens and back, one value or a stream of them.
//!
//! A value is personal data: it comes from standard input or a file, and no message repeats it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ureq::http::Method;

use crate::client::Ask;
use crate::commands::bare;
use crate::commands::transform_batch::{Batch, Member};
use crate::document::Json;
use crate::failure::Failure;
use crate::input::Source;
use crate::options::Format;
use crate::session::Session;

#[derive(Args, Debug)]
pub struct Values {
    /// Mount of the transform engine
    #[arg(long, short, default_value = "transform", value_name = "PATH")]
    mount: String,
    /// Role to work under
    #[arg(long, short, value_name = "NAME")]
    role: String,
    /// Transformation; may be left out where the role has one only
    #[arg(long, short, value_name = "NAME")]
    transformation: Option<String>,
    /// Where the value is: `-` for standard input, or `@FILE`
    #[arg(value_name = "VALUE", default_value = "-", conflicts_with_all = ["batch", "input"])]
    value: String,
    /// Many values: one a line, or one JSON object a line with `value` and what else the API knows
    #[arg(long, value_name = "KIND", value_enum)]
    batch: Option<Lines>,
    /// File with the values of a batch, instead of standard input
    #[arg(long, value_name = "FILE", requires = "batch")]
    input: Option<PathBuf>,
    /// How many values go in one request
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "batch", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    chunk: u64,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// One value a line; results one a line, in the same order
    Lines,
    /// One JSON object a line; results likewise
    Ndjson,
}

/// Replace personal data by a token
#[derive(Args, Debug)]
#[command(after_long_help = "\
The value comes from standard input or a file, never from an argument. In a batch, results come in the order of the values; a value \
that fails leaves an empty line (an object with `error` in NDJSON), is told on standard error, and makes the exit code 2.

Examples:
  goldfin encode --role backend --transformation ssn < value.txt
  goldfin encode --role backend --transformation name --subject @subject.txt @name.txt
  goldfin encode --role backend --transformation phone --batch lines --input phones.txt > tokens.txt
  goldfin encode --role backend --batch ndjson < values.ndjson > tokens.ndjson
  goldfin encode --role backend --transformation card --tweak AAECAwQFBg== < card.txt")]
pub struct Encode {
    #[command(flatten)]
    values: Values,
    /// Whom the value is about: `-` or `@FILE`; the value itself must then come from elsewhere
    #[arg(long, value_name = "SOURCE")]
    subject: Option<String>,
    /// How long the token lives, for example 720h
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// What format-preserving encryption is tweaked with: 7 bytes in base64. One that the server makes shows with `--format json`
    #[arg(long, value_name = "BASE64")]
    tweak: Option<String>,
}

/// Turn a token back into the value
#[derive(Args, Debug)]
#[command(after_long_help = "\
Every value that comes back is a disclosure: it is in the ledger, with who asked and the purpose.

Examples:
  goldfin decode --role support --transformation phone --purpose support < token.txt
  goldfin decode --role support --purpose claims --batch ndjson < tokens.ndjson > values.ndjson")]
pub struct Decode {
    #[command(flatten)]
    values: Values,
    /// Why the value is needed; one of the purposes that the transformation allows
    #[arg(long, short, value_name = "NAME")]
    purpose: Option<String>,
    /// Decode format of the template, such as last-four
    #[arg(long, value_name = "NAME")]
    decode_format: Option<String>,
    /// The tweak that the value was encoded with, of format-preserving encryption: 7 bytes in base64
    #[arg(long, value_name = "BASE64")]
    tweak: Option<String>,
}

/// Say whether a token is valid, without turning it back
#[derive(Args, Debug)]
#[command(after_long_help = "\
Exit code 0: valid; 2: not valid.

Example:
  goldfin validate --role support --transformation phone < token.txt")]
pub struct Validate {
    #[command(flatten)]
    values: Values,
}

impl Encode {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let value_on_stdin = self.values.value == "-" && self.values.input.is_none();
        if self.subject.as_deref() == Some("-") && value_on_stdin {
            return Err(Failure::local("standard input cannot be the value and the subject", "put one of them into a file, as `@FILE`"));
        }
        let subject = match &self.subject {
            Some(source) => Some(Source::parse(source, "subject")?.word(&mut session.around, "subject")?),
            None => None,
        };
        let mut shared: Vec<Member> = Vec::new();
        shared.extend(subject.map(|subject| ("subject", Json::Text(subject))));
        shared.extend(self.ttl.as_deref().map(|ttl| ("ttl", Json::text(ttl))));
        shared.extend(self.tweak.as_deref().map(|tweak| ("tweak", Json::text(tweak))));
        self.values.run(session, "encode", None, shared, "encoded_value").map(|_| ())
    }
}

impl Decode {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let mut shared: Vec<Member> = Vec::new();
        shared.extend(self.purpose.as_deref().map(|purpose| ("purpose", Json::text(purpose))));
        shared.extend(self.tweak.as_deref().map(|tweak| ("tweak", Json::text(tweak))));
        self.values.run(session, "decode", self.decode_format.as_deref(), shared, "decoded_value").map(|_| ())
    }
}

impl Validate {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self.values.run(session, "validate", None, Vec::new(), "valid")? {
            Some(result) if result.get("valid").and_then(Json::as_bool) != Some(true) => Err(Failure::Told(2)),
            _ => Ok(()),
        }
    }
}

impl Values {
    /// The result of a single value; none of a batch, which is printed as it comes.
    pub(super) fn run(
        self,
        session: &mut Session,
        verb: &'static str,
        format: Option<&str>,
        shared: Vec<Member>,
        shown: &'static str,
    ) -> Result<Option<Json>, Failure> {
        self.send(session, Method::POST, verb, format, shared, shown)
    }

    /// Deletes what the values name.
    pub(super) fn delete(self, session: &mut Session, what: &'static str, shared: Vec<Member>) -> Result<(), Failure> {
        match self.send(session, Method::DELETE, what, None, shared, "deleted")? {
            Some(_) => session.out.say("deleted"),
            None => Ok(()),
        }
    }

    fn send(
        self,
        session: &mut Session,
        method: Method,
        verb: &'static str,
        format: Option<&str>,
        mut shared: Vec<Member>,
        shown: &'static str,
    ) -> Result<Option<Json>, Failure> {
        let tail = format.map(|format| format!("/{}", bare(format))).unwrap_or_default();
        let path = format!("{}/{verb}/{}{tail}", bare(&self.mount), bare(&self.role));
        shared.extend(self.transformation.as_deref().map(|name| ("transformation", Json::text(name))));
        if let Some(kind) = self.batch {
            let batch = Batch { method, path, kind, shared, shown, input: self.input, chunk: usize::try_from(self.chunk).unwrap_or(1000) };
            return batch.run(session).map(|()| None);
        }
        let value = Source::parse(&self.value, "value")?.text(&mut session.around, "value")?;
        let members = std::iter::once(("value", Json::Text(value))).chain(shared);
        let deletes = method == Method::DELETE;
        let data = session.ask(&Ask { body: Some(Json::object(members)), ..Ask::new(method, path) })?.data();
        if deletes {
            return Ok(Some(data));
        }
        match (session.out.format, data.get(shown)) {
            (Format::Table, Some(_)) => session.out.single(&data, shown)?,
            _ => session.out.show(&data)?,
        }
        Ok(Some(data))
    }
}
