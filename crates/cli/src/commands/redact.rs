//! `redact` and `unredact`: a text loses its personal data to tokens, and gets it back. (`restore` is the word for backups.)
//!
//! A text is personal data: it comes from standard input or a file, byte for byte, and no message repeats any of it.

use clap::{Args, ValueEnum};

use crate::client::Ask;
use crate::commands::bare;
use crate::document::Json;
use crate::failure::Failure;
use crate::input::Source;
use crate::options::Format;
use crate::session::Session;

#[derive(Args, Debug)]
struct Document {
    /// Role to work under
    #[arg(value_name = "ROLE")]
    role: String,
    /// Where the text is: `-` for standard input, or `@FILE`
    #[arg(value_name = "TEXT", default_value = "-")]
    text: String,
    /// Mount of the transform engine
    #[arg(long, short, default_value = "transform", value_name = "PATH")]
    mount: String,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unserved {
    /// Put `[class]` in its place; nothing brings it back
    Mask,
    /// Leave it in the text
    Leave,
    /// Refuse the text
    Fail,
}

/// Replace the personal data in a text by tokens
#[derive(Args, Debug)]
#[command(after_long_help = "\
Social security numbers, payment cards, phone numbers, e-mail addresses, dates of birth, ZIP codes, VA file numbers, EDIPIs and ICNs \
are found. Names and addresses are not: give them as `--spans`, a JSON list as Presidio's analyzer writes it, with positions in Unicode \
code points. What was replaced is told on standard error, or with its places by `--format json`.

Examples:
  goldfin redact chat < page.txt > page.redacted.txt
  goldfin redact chat @page.txt --spans @spans.json --subject @veteran-id.txt
  goldfin redact chat --class ssn --class phone --on-unserved leave < page.txt")]
pub struct Redact {
    #[command(flatten)]
    document: Document,
    /// What was found elsewhere: a JSON list of `start`, `end`, `class` or `entity_type`, `score`; as `@FILE`
    #[arg(long, value_name = "SOURCE")]
    spans: Option<String>,
    /// Whom the text is about: `-` or `@FILE`
    #[arg(long, value_name = "SOURCE")]
    subject: Option<String>,
    /// Find this class only; may be repeated
    #[arg(long = "class", value_name = "NAME")]
    classes: Vec<String>,
    /// What to do with a class that no transformation of the role serves
    #[arg(long, value_name = "WHAT", value_enum, default_value = "mask")]
    on_unserved: Unserved,
    /// How long the tokens live, for example 720h
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
}

/// Put the values of the tokens in a text back
#[derive(Args, Debug)]
#[command(after_long_help = "\
Every value that comes back is a disclosure: it is in the ledger, with who asked and the purpose. What is no token of the role's \
transformations stays as it is.

Example:
  goldfin unredact chat --purpose claims < answer.txt")]
pub struct Unredact {
    #[command(flatten)]
    document: Document,
    /// Why the values are needed; one of the purposes that the transformations allow
    #[arg(long, short, value_name = "NAME")]
    purpose: Option<String>,
}

impl Redact {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let sources = [Some(&self.document.text), self.spans.as_ref(), self.subject.as_ref()];
        if sources.into_iter().flatten().filter(|source| *source == "-").count() > 1 {
            return Err(Failure::local(
                "standard input can be only one of text, spans and subject",
                "put the others into files, as `@FILE`",
            ));
        }
        let mut members = Vec::new();
        if let Some(source) = &self.spans {
            members.push(("spans", Source::parse(source, "list of spans")?.document(&mut session.around, "list of spans")?));
        }
        if let Some(source) = &self.subject {
            members.push(("subject", Json::Text(Source::parse(source, "subject")?.word(&mut session.around, "subject")?)));
        }
        if !self.classes.is_empty() {
            members.push(("classes", Json::texts(self.classes)));
        }
        let unserved = match self.on_unserved {
            Unserved::Mask => "mask",
            Unserved::Leave => "leave",
            Unserved::Fail => "fail",
        };
        members.push(("on_unserved", Json::text(unserved)));
        members.extend(self.ttl.as_deref().map(|ttl| ("ttl", Json::text(ttl))));
        let data = self.document.run(session, "redact", members)?;
        session.out.say(&format!("{} replaced", data.u64_of("count").unwrap_or(0)))?;
        for unserved in data.get("unserved").map(Json::items).unwrap_or_default() {
            let (class, count) = (unserved.str_of("class").unwrap_or_default(), unserved.u64_of("count").unwrap_or(0));
            session.out.warn(&format!("{count} of class `{class}`, which no transformation of the role serves"))?;
        }
        Ok(())
    }
}

impl Unredact {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let members = self.purpose.as_deref().map(|purpose| ("purpose", Json::text(purpose))).into_iter().collect();
        let data = self.document.run(session, "restore", members)?;
        session.out.say(&format!("{} restored", data.u64_of("restored").unwrap_or(0)))?;
        for (member, what) in [("unknown", "not known here"), ("gone", "expired or erased")] {
            match data.u64_of(member) {
                None | Some(0) => {}
                Some(count) => session.out.warn(&format!("left as they are, {what}: {count}"))?,
            }
        }
        Ok(())
    }
}

impl Document {
    /// Asks, prints the text that came back, and gives the rest.
    fn run(&self, session: &mut Session, verb: &str, more: Vec<(&'static str, Json)>) -> Result<Json, Failure> {
        let path = format!("{}/{verb}/{}", bare(&self.mount), bare(&self.role));
        let text = Source::parse(&self.text, "text")?.document_text(&mut session.around, "text")?;
        let members = std::iter::once(("text", Json::Text(text))).chain(more);
        let data = session.ask(&Ask::post(path, Json::object(members)))?.data();
        match (session.out.format, session.out.stdout_is_terminal) {
            (Format::Table, true) => session.out.single(&data, "text")?,
            (Format::Table, false) => session.out.field(&data, "text")?,
            _ => session.out.show(&data)?,
        }
        Ok(data)
    }
}
