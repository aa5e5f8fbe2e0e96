//! What is asked of the service, and what a right answer is. Every answer is checked: a fast wrong answer stops the benchmark.

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode, Uri};
use serde_json::{Value, json};

use crate::line::Ask;
use crate::trouble::Trouble;

/// Values of one batch.
pub const BATCH: usize = 1000;

/// Values of the largest request.
pub const LARGE: usize = 10_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// `GET sys/health`: TLS, HTTP and a fixed answer; no caller, no decision, no entry.
    Fixed,
    ReadSecret,
    WriteSecret,
    Encode,
    Decode,
    BatchEncode,
    BatchDecode,
}

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
        }
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
#[derive(Debug)]
struct Question {
    ask: Ask,
    /// The right answer holds these, in this order.
    holds: Vec<String>,
}

/// All questions, made before the clock runs.
#[derive(Debug)]
pub struct Questions {
    fixed: Question,
    reads: Vec<Question>,
    encodes: Vec<Question>,
    decodes: Vec<Question>,
    batch_encodes: Vec<Question>,
    batch_decodes: Vec<Question>,
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
        let reads = (0..secrets).map(|number| {
            Ok(Question { ask: asking.get(&hot_path(number))?, holds: vec![format!("\"password\":\"{}\"", secret(number))] })
        });
        let encodes = (0..tokens.len()).map(|number| {
            Ok(Question {
                ask: asking.post("/v1/transform/encode/bench", &json!({ "value": value(number) }))?,
                holds: vec!["\"encoded_value\":\"".to_owned()],
            })
        });
        let decodes = tokens
            .iter()
            .enumerate()
            .map(|(number, token)| Ok(Question { ask: asking.decode(&json!({ "value": token }))?, holds: vec![decoded(&value(number))] }));
        let batch_encodes = (0..batches.len()).map(|batch| {
            let input: Vec<Value> = batch_values(batch).map(|value| json!({ "value": value })).collect();
            let ask = asking.post("/v1/transform/encode/bench", &json!({ "batch_input": input }))?;
            Ok(Question { ask, holds: vec!["\"encoded_value\":\"".to_owned(); BATCH] })
        });
        let batch_decodes = batches.iter().enumerate().map(|(batch, tokens)| {
            let input: Vec<Value> = tokens.iter().map(|token| json!({ "value": token })).collect();
            Ok(Question {
                ask: asking.decode(&json!({ "batch_input": input }))?,
                holds: batch_values(batch).map(|value| decoded(&value)).collect(),
            })
        });
        let mut health = asking.get("/v1/sys/health")?;
        health.token = None;
        Ok(Self {
            fixed: Question { ask: health, holds: vec!["\"sealed\":false".to_owned()] },
            reads: reads.collect::<Result<_, Trouble>>()?,
            encodes: encodes.collect::<Result<_, Trouble>>()?,
            decodes: decodes.collect::<Result<_, Trouble>>()?,
            batch_encodes: batch_encodes.collect::<Result<_, Trouble>>()?,
            batch_decodes: batch_decodes.collect::<Result<_, Trouble>>()?,
            token,
        })
    }

    /// The request of one connection's turn. Connections begin at different places and never write to the same secret.
    pub fn ask(&self, case: Case, connection: usize, turn: usize) -> Result<Ask, Trouble> {
        if case == Case::WriteSecret {
            let body = json!({ "data": { "password": secret(turn) } });
            return self.asking().post(&format!("/v1/secret/data/bench/written-{connection}"), &body);
        }
        Ok(self.question(case, connection, turn)?.1.ask.clone())
    }

    /// Whether the answer of that turn is the right one.
    pub fn check(&self, case: Case, connection: usize, turn: usize, status: StatusCode, body: &Bytes) -> Result<Left, Trouble> {
        let wrong = |what: &str| Err(Trouble(format!("{}: {what}; status {status}, {} bytes", case.name(), body.len())));
        if status != StatusCode::OK {
            return wrong("the status is not 200");
        }
        let text = std::str::from_utf8(body)?;
        if case == Case::WriteSecret {
            return if text.contains("\"version\":") { Ok(Left::Nothing) } else { wrong("no version in the answer") };
        }
        let (number, question) = self.question(case, connection, turn)?;
        let mut rest = text;
        for held in &question.holds {
            match rest.split_once(held.as_str()) {
                Some((_, after)) => rest = after,
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
        let all = match case {
            Case::Fixed => std::slice::from_ref(&self.fixed),
            Case::ReadSecret => &self.reads,
            Case::Encode => &self.encodes,
            Case::Decode => &self.decodes,
            Case::BatchEncode => &self.batch_encodes,
            Case::BatchDecode => &self.batch_decodes,
            Case::WriteSecret => return Err(Trouble::new("writes are made turn by turn")),
        };
        let number = (connection * 61 + turn) % all.len().max(1);
        all.get(number).map(|question| (number, question)).ok_or_else(|| Trouble::new("there is nothing to ask"))
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
    held.iter().try_fold(text, |rest, held| rest.split_once(held.as_str()).map(|(_, after)| after)).is_some()
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
    fn values_differ() {
        let all: std::collections::HashSet<String> = (0..3).flat_map(batch_values).chain((0..5000).map(value)).collect();
        assert_eq!(all.len(), 8000);
    }
}
