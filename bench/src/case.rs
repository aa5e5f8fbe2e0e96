//! What is asked of the service, and what a right answer is. Every answer is checked: a fast wrong answer stops the benchmark.

use std::collections::HashMap;

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode, Uri};
use memchr::memmem;
use serde_json::{Value, json};

use crate::line::Ask;
use crate::trouble::Trouble;

/// Values of one batch.
pub const BATCH: usize = 1000;

/// Values of the largest request.
pub const LARGE: usize = 10_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Case {
    /// `GET sys/health`: TLS, HTTP and a fixed answer; no caller, no decision, no entry.
    Fixed,
    ReadSecret,
    WriteSecret,
    Encode,
    Decode,
    BatchEncode,
    BatchDecode,
    /// Who saw values of one person.
    Disclosures,
    /// The newest hundred entries of the ledger.
    NewestEntries,
    /// The newest hundred entries of an account.
    EntriesOf,
    /// One of all secrets that are stored, by a caller with an account and a policy of its own.
    ReadStored,
    /// What a caller with an account of its own is.
    LookupSelf,
    /// A JWT of one of the accounts becomes an auth token.
    Login,
    /// An auth token that nobody was given.
    Stranger,
    /// A secret that the caller may not read.
    Denied,
    /// Something in the form of a token that no value stands behind.
    NoToken,
    /// Of most of these, in turn.
    Mixed,
}

/// How many of forty requests of the mixed load are what.
const MIX: [(Case, usize); 9] = [
    (Case::ReadSecret, 12),
    (Case::Encode, 10),
    (Case::Decode, 10),
    (Case::WriteSecret, 2),
    (Case::NoToken, 2),
    (Case::BatchEncode, 1),
    (Case::BatchDecode, 1),
    (Case::Denied, 1),
    (Case::Stranger, 1),
];

impl Case {
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed reply",
            Self::ReadSecret => "read secret",
            Self::WriteSecret => "write secret",
            Self::Encode => "encode",
            Self::Decode => "decode",
            Self::BatchEncode => "encode 1,000",
            Self::BatchDecode => "decode 1,000",
            Self::Disclosures => "disclosures",
            Self::NewestEntries => "newest entries",
            Self::EntriesOf => "entries of one",
            Self::ReadStored => "read any secret",
            Self::LookupSelf => "lookup self",
            Self::Login => "login",
            Self::Stranger => "unknown caller",
            Self::Denied => "denied",
            Self::NoToken => "no such token",
            Self::Mixed => "mixed",
        }
    }

    /// What a turn of it is.
    fn at(self, connection: usize, turn: usize) -> Self {
        if self != Self::Mixed {
            return self;
        }
        // Neighbours in the list come at different times, and on different connections.
        let mut place = (connection * 7 + turn * 11) % 40;
        for (case, share) in MIX {
            match place.checked_sub(share) {
                Some(rest) => place = rest,
                None => return case,
            }
        }
        self
    }

    /// How many values one request carries.
    pub fn values(self) -> usize {
        match self {
            Self::BatchEncode | Self::BatchDecode => BATCH,
            _ => 1,
        }
    }
}

/// What an answer leaves to be looked at when the clock has stopped.
#[derive(Debug)]
pub enum Left {
    Nothing,
    /// A token that must turn back into the value of this number.
    Token(String, usize),
    /// The answer of a batch; its tokens must turn back into the batch's values.
    Batch(Bytes, usize),
}

/// Something to send and what must come back.
#[derive(Debug, Clone)]
pub struct Question {
    pub ask: Ask,
    pub status: StatusCode,
    /// The right answer holds these, in this order.
    pub holds: Vec<String>,
}

/// All questions, made before the clock runs.
#[derive(Debug, Clone)]
pub struct Questions {
    all: HashMap<Case, Vec<Question>>,
    token: HeaderValue,
}

/// A synthetic value of the shape of a social security number; no number that begins with 9 is one.
pub fn value(number: usize) -> String {
    format!("9{:02}-{:02}-{:04}", number / 1_000_000 % 100, number / 10_000 % 100, number % 10_000)
}

/// The values of a batch.
pub fn batch_values(batch: usize) -> impl Iterator<Item = String> {
    (0..BATCH).map(move |at| value(1_000_000 + batch * BATCH + at))
}

/// What a hot secret holds.
pub fn secret(number: usize) -> String {
    format!("synthetic-password-of-the-benchmark-{number:06}")
}

pub fn hot_path(number: usize) -> String {
    format!("/v1/secret/data/bench/hot-{number}")
}

impl Questions {
    /// `tokens` belong to the values from 0 on, `batches` to the batches from 0 on.
    pub fn new(token: &str, secrets: usize, tokens: &[String], batches: &[Vec<String>]) -> Result<Self, Trouble> {
        let token = HeaderValue::from_str(token)?;
        let asking = Asking { token: token.clone() };
        let reads = (0..secrets)
            .map(|number| Ok(Question::of(asking.get(&hot_path(number))?, vec![format!("\"password\":\"{}\"", secret(number))])));
        let encodes = (0..tokens.len()).map(|number| {
            let ask = asking.post("/v1/transform/encode/bench", &json!({ "value": value(number) }))?;
            Ok(Question::of(ask, vec!["\"encoded_value\":\"".to_owned()]))
        });
        let decodes = tokens
            .iter()
            .enumerate()
            .map(|(number, token)| Ok(Question::of(asking.decode(&json!({ "value": token }))?, vec![decoded(&value(number))])));
        let batch_encodes = (0..batches.len()).map(|batch| {
            let input: Vec<Value> = batch_values(batch).map(|value| json!({ "value": value })).collect();
            let ask = asking.post("/v1/transform/encode/bench", &json!({ "batch_input": input }))?;
            Ok(Question::of(ask, vec!["\"encoded_value\":\"".to_owned(); BATCH]))
        });
        let batch_decodes = batches.iter().enumerate().map(|(batch, tokens)| {
            let input: Vec<Value> = tokens.iter().map(|token| json!({ "value": token })).collect();
            Ok(Question::of(asking.decode(&json!({ "batch_input": input }))?, batch_values(batch).map(|value| decoded(&value)).collect()))
        });
        let mut health = asking.get("/v1/sys/health")?;
        health.token = None;
        let mut stranger = asking.get(&hot_path(0))?;
        stranger.token = Some(HeaderValue::from_static("hvs.synthetic-and-unknown"));
        let refused = |ask, status| Question { ask, status, holds: vec!["\"errors\"".to_owned()] };
        let all = HashMap::from([
            (Case::Fixed, vec![Question::of(health, vec!["\"sealed\":false".to_owned()])]),
            (Case::ReadSecret, reads.collect::<Result<_, Trouble>>()?),
            (Case::Encode, encodes.collect::<Result<_, Trouble>>()?),
            (Case::Decode, decodes.collect::<Result<_, Trouble>>()?),
            (Case::BatchEncode, batch_encodes.collect::<Result<_, Trouble>>()?),
            (Case::BatchDecode, batch_decodes.collect::<Result<_, Trouble>>()?),
            (Case::Stranger, vec![refused(stranger, StatusCode::FORBIDDEN)]),
            (Case::Denied, vec![refused(asking.get("/v1/secret/data/elsewhere/of-others")?, StatusCode::FORBIDDEN)]),
            (Case::NoToken, vec![refused(asking.decode(&json!({ "value": "pii_synthetic" }))?, StatusCode::BAD_REQUEST)]),
        ]);
        Ok(Self { all, token })
    }

    /// Lets one more case be asked.
    pub fn add(&mut self, case: Case, questions: Vec<Question>) {
        self.all.insert(case, questions);
    }

    /// The request of one connection's turn. Connections begin at different places and never write to the same secret.
    pub fn ask(&self, case: Case, connection: usize, turn: usize) -> Result<Ask, Trouble> {
        let case = case.at(connection, turn);
        if case == Case::WriteSecret {
            let body = json!({ "data": { "password": secret(turn) } });
            return self.asking().post(&format!("/v1/secret/data/bench/written-{connection}"), &body);
        }
        Ok(self.question(case, connection, turn)?.1.ask.clone())
    }

    /// Whether the answer of that turn is the right one.
    pub fn check(&self, case: Case, connection: usize, turn: usize, status: StatusCode, body: &Bytes) -> Result<Left, Trouble> {
        let case = case.at(connection, turn);
        let wrong = |what: &str| Err(Trouble(format!("{}: {what}; status {status}, {} bytes", case.name(), body.len())));
        let text = std::str::from_utf8(body)?;
        if case == Case::WriteSecret {
            let written = status == StatusCode::OK && text.contains("\"version\":");
            return if written { Ok(Left::Nothing) } else { wrong("no version in the answer") };
        }
        let (number, question) = self.question(case, connection, turn)?;
        if status != question.status {
            return wrong("the status is another one");
        }
        let mut rest = text;
        for held in &question.holds {
            match behind(rest, held) {
                Some(after) => rest = after,
                None => return wrong("the answer does not hold what it should"),
            }
        }
        Ok(match case {
            Case::Encode => match rest.split_once('"') {
                Some((token, _)) => Left::Token(token.to_owned(), number),
                None => return wrong("the token does not end"),
            },
            Case::BatchEncode => Left::Batch(body.clone(), number),
            _ => Left::Nothing,
        })
    }

    /// The request that turns back what a measured answer left, and what must come.
    pub fn proof(&self, left: &Left) -> Result<Option<(Ask, Vec<String>)>, Trouble> {
        let asking = self.asking();
        Ok(match left {
            Left::Nothing => None,
            Left::Token(token, number) => Some((asking.decode(&json!({ "value": token }))?, vec![decoded(&value(*number))])),
            Left::Batch(body, batch) => {
                let input: Vec<Value> = encoded_tokens(body)?.into_iter().map(|token| json!({ "value": token })).collect();
                let held = batch_values(*batch).map(|value| decoded(&value)).collect();
                Some((asking.decode(&json!({ "batch_input": input }))?, held))
            }
        })
    }

    /// The largest encode that there is.
    pub fn large_encode(&self) -> Result<Ask, Trouble> {
        let input: Vec<Value> = (0..LARGE).map(|number| json!({ "value": value(number) })).collect();
        self.asking().post("/v1/transform/encode/bench", &json!({ "batch_input": input }))
    }

    pub fn large_decode(&self, tokens: &[String]) -> Result<Ask, Trouble> {
        if tokens.len() != LARGE {
            return Err(Trouble(format!("{} tokens came of {LARGE} values", tokens.len())));
        }
        let input: Vec<Value> = tokens.iter().map(|token| json!({ "value": token })).collect();
        self.asking().decode(&json!({ "batch_input": input }))
    }

    fn asking(&self) -> Asking {
        Asking { token: self.token.clone() }
    }

    fn question(&self, case: Case, connection: usize, turn: usize) -> Result<(usize, &Question), Trouble> {
        let nothing = || Trouble(format!("there is nothing to ask for `{}`", case.name()));
        let all = self.all.get(&case).ok_or_else(nothing)?;
        // Apart, so that not all ask for the same at the same time.
        let apart = (all.len() / 64).max(61);
        let number = (connection * apart + turn) % all.len().max(1);
        all.get(number).map(|question| (number, question)).ok_or_else(nothing)
    }
}

impl Question {
    /// One that is answered with 200.
    pub fn of(ask: Ask, holds: Vec<String>) -> Self {
        Self { ask, status: StatusCode::OK, holds }
    }
}

/// The tokens in the answer of a batch.
pub fn encoded_tokens(body: &[u8]) -> Result<Vec<String>, Trouble> {
    let answer: Value = serde_json::from_slice(body)?;
    let results = answer.pointer("/data/batch_results").and_then(Value::as_array);
    let tokens: Option<Vec<String>> =
        results.and_then(|results| results.iter().map(|result| result.get("encoded_value")?.as_str().map(str::to_owned)).collect());
    tokens.ok_or_else(|| Trouble::new("the answer of a batch holds no tokens"))
}

/// Whether `text` holds these, in this order.
pub fn holds_all(text: &str, held: &[String]) -> bool {
    held.iter().try_fold(text, |rest, held| behind(rest, held)).is_some()
}

/// What comes after `held`. The client's time is part of what it measures: an answer may hold a thousand of these.
fn behind<'a>(text: &'a str, held: &str) -> Option<&'a str> {
    memmem::find(text.as_bytes(), held.as_bytes()).and_then(|at| text.get(at + held.len()..))
}

fn decoded(value: &str) -> String {
    format!("\"decoded_value\":\"{value}\"")
}

/// Makes requests of one caller.
struct Asking {
    token: HeaderValue,
}

impl Asking {
    fn get(&self, path: &str) -> Result<Ask, Trouble> {
        Ok(Ask { method: Method::GET, path: path.parse::<Uri>()?, body: Bytes::new(), token: Some(self.token.clone()), purpose: None })
    }

    fn post(&self, path: &str, body: &Value) -> Result<Ask, Trouble> {
        let body = Bytes::from(serde_json::to_vec(body)?);
        Ok(Ask { method: Method::POST, path: path.parse::<Uri>()?, body, token: Some(self.token.clone()), purpose: None })
    }

    fn decode(&self, body: &Value) -> Result<Ask, Trouble> {
        let mut ask = self.post("/v1/transform/decode/bench", body)?;
        ask.purpose = Some(HeaderValue::from_static("claims"));
        Ok(ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_answers_are_not_counted() {
        let tokens = ["pii_one".to_owned(), "pii_two".to_owned()];
        let questions = Questions::new("synthetic", 2, &tokens, &[]).expect("questions");
        let check = |case, turn, status, text: &'static str| questions.check(case, 0, turn, status, &Bytes::from(text)).is_ok();
        assert!(check(Case::Decode, 1, StatusCode::OK, r#"{"data":{"decoded_value":"900-00-0001"}}"#));
        assert!(!check(Case::Decode, 1, StatusCode::OK, r#"{"data":{"decoded_value":"900-00-0000"}}"#));
        assert!(!check(Case::Decode, 1, StatusCode::SERVICE_UNAVAILABLE, r#"{"data":{"decoded_value":"900-00-0001"}}"#));
        assert!(!check(Case::ReadSecret, 0, StatusCode::OK, r#"{"password":"synthetic-password-of-the-benchmark-000001"}"#));
        assert!(!check(Case::WriteSecret, 0, StatusCode::OK, "{}"));
    }

    #[test]
    fn what_is_held_stands_in_its_order() {
        let holds = |held: &[&str]| holds_all("one two one", &held.iter().map(|&held| held.to_owned()).collect::<Vec<_>>());
        assert!(holds(&["one", "two", "one"]) && holds(&[]));
        assert!(!holds(&["two", "one", "one"]) && !holds(&["two", "two"]));
    }

    #[test]
    fn the_mixed_load_is_made_of_all_its_parts() {
        let turns: Vec<Case> = (0..40).map(|turn| Case::Mixed.at(3, turn)).collect();
        for (case, share) in MIX {
            assert_eq!(turns.iter().filter(|turn| **turn == case).count(), share, "{}", case.name());
        }
        assert_eq!(Case::Encode.at(3, 7), Case::Encode);
    }

    #[test]
    fn values_differ() {
        let all: std::collections::HashSet<String> = (0..3).flat_map(batch_values).chain((0..5000).map(value)).collect();
        assert_eq!(all.len(), 8000);
    }
}
