//! Many values through the transform engine: read line by line, sent a chunk at a time, printed in the order they came.
//!
//! Never holds more than one chunk. A message names the position of a value, never the value.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use zeroize::Zeroizing;

use ureq::http::Method;

use crate::client::{Answer, Ask};
use crate::commands::transform::Lines;
use crate::document::Json;
use crate::failure::Failure;
use crate::options::Format;
use crate::session::Session;

pub type Member = (&'static str, Json);

pub struct Batch {
    pub method: Method,
    pub path: String,
    pub kind: Lines,
    /// Members that every value gets, unless its own object has them.
    pub shared: Vec<Member>,
    /// The member of a result that `lines` prints.
    pub shown: &'static str,
    pub input: Option<PathBuf>,
    pub chunk: usize,
}

impl Batch {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let source: Box<dyn Read> = match &self.input {
            None => std::mem::replace(&mut session.around.stdin, Box::new(std::io::empty())),
            Some(path) => Box::new(File::open(path).map_err(|error| {
                Failure::local(format!("`{}` cannot be read: {error}", path.display()), "name a file with one value a line")
            })?),
        };
        let bar = session.out.progress(None, "values");
        let (mut lines, mut done, mut failed) = (BufReader::new(source), 0, 0);
        loop {
            let items = self.next_chunk(&mut lines, done)?;
            if items.is_empty() {
                break;
            }
            let count = items.len();
            failed += self.send(session, items, done).inspect_err(|failure| {
                bar.finish_and_clear();
                if !failure.is_silent() {
                    // The failure itself is told by the caller; a broken standard error must not hide it.
                    let _ = session.out.warn(&format!("stopped after {done} values"));
                }
            })?;
            done += count;
            bar.inc(count as u64);
        }
        bar.finish_and_clear();
        if failed > 0 {
            session.out.warn(&format!("{failed} of {done} values failed"))?;
            return Err(Failure::Told(2));
        }
        session.out.say(&format!("{done} values"))
    }

    fn next_chunk(&self, lines: &mut impl BufRead, done: usize) -> Result<Vec<Json>, Failure> {
        let mut items = Vec::new();
        while items.len() < self.chunk {
            let position = done + items.len() + 1;
            let mut line = Zeroizing::new(String::new());
            let mut limited = lines.take(LONGEST_LINE);
            let read = limited.read_line(&mut line).map_err(|error| {
                Failure::local(format!("line {position} of the values cannot be read: {error}"), "give UTF-8 text, one value a line")
            })?;
            if read == 0 {
                break;
            }
            let text = line.strip_suffix('\n').map_or(line.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
            items.push(self.item(text, position)?);
        }
        Ok(items)
    }

    fn item(&self, line: &str, position: usize) -> Result<Json, Failure> {
        let mut members = match self.kind {
            Lines::Lines => vec![("value".to_owned(), Json::text(line))],
            Lines::Ndjson => match Json::parse(line.as_bytes()) {
                Ok(Json::Object(members)) => members,
                _ => {
                    let next = "give one object a line, such as {\"value\": \"…\", \"transformation\": \"ssn\"}";
                    return Err(Failure::local(format!("line {position} of the values is not a JSON object"), next));
                }
            },
        };
        for (name, value) in &self.shared {
            if !members.iter().any(|(member, _)| member == name) {
                members.push(((*name).to_owned(), value.clone()));
            }
        }
        Ok(Json::Object(members))
    }

    /// How many of them failed.
    fn send(&self, session: &mut Session, items: Vec<Json>, done: usize) -> Result<usize, Failure> {
        let count = items.len();
        let body = Some(Json::object([("batch_input", Json::List(items))]));
        let ask = Ask { body, ..Ask::new(self.method.clone(), self.path.clone()) };
        // When every value fails the status is 400, and the results still say why each of them did.
        let data = session.ask_expecting(&ask, |answer: &Answer| has_results(answer))?.data();
        let results = data.get("batch_results").map(Json::items).unwrap_or_default();
        if results.len() != count {
            let what = format!("the server answered {} results for {count} values", results.len());
            return Err(Failure::Unreachable { what, next: "report this to whoever runs the server".to_owned() });
        }
        let mut failed = 0;
        for (index, result) in results.iter().enumerate() {
            failed += usize::from(!self.print(session, result, done + index + 1)?);
        }
        Ok(failed)
    }

    /// Whether it was a success.
    fn print(&self, session: &mut Session, result: &Json, position: usize) -> Result<bool, Failure> {
        let error = result.str_of("error").filter(|error| !error.is_empty());
        if let Some(error) = error {
            session.out.warn(&format!("value {position}: {error}"))?;
        }
        if self.kind == Lines::Ndjson || session.out.format != Format::Table {
            session.out.line(&result.compact())?;
            return Ok(error.is_none());
        }
        let text = result.get(self.shown).map(Json::plain).unwrap_or_default();
        if text.contains(['\n', '\r']) {
            session.out.warn(&format!("value {position}: the result has line breaks; repeat with `--batch ndjson`"))?;
            session.out.line("")?;
            return Ok(false);
        }
        session.out.line(&text)?;
        Ok(error.is_none())
    }
}

fn has_results(answer: &Answer) -> bool {
    let data = answer.body.as_ref().and_then(|body| body.get("data"));
    answer.status == 400 && data.and_then(|data| data.get("batch_results")).is_some()
}

/// A request holds 32 MiB at most.
const LONGEST_LINE: u64 = 32 * 1024 * 1024;
