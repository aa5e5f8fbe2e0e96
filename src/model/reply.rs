//! What an engine answers, before it is committed, released and encoded.

use goldfin_crypto::Plaintext;

use super::change::Change;
use super::document::Node;

/// The answer and what must happen once it is committed.
#[derive(Debug)]
pub struct Reply {
    pub answer: Answer,
    pub warnings: Vec<String>,
    /// What this node must forget or reload after the commit; others hear of it through the entry.
    pub after: Vec<Change>,
}

#[derive(Debug)]
pub enum Answer {
    /// 204
    Nothing,
    /// 200, `data` of the envelope.
    Data(Node),
    /// 200, the same object under `data` and at the top level (`sys/mounts`, `sys/auth`).
    Table(Vec<(String, Node)>),
    /// 200, `auth` of the envelope.
    Auth(Box<Grant>),
    /// 200 without envelope.
    Bare(Node),
    /// 404 whose body is an envelope all the same: a KV version that is deleted or destroyed.
    Absent(Node),
    /// An envelope under a status of the engine's choice: a batch in which everything failed.
    Status(u16, Node),
    /// A body of another type than JSON, such as NDJSON.
    Stream(&'static str, Plaintext),
    /// The same under a status that a protocol asks for.
    Told(u16, &'static str, Plaintext),
    /// NDJSON, and in the header `X-Goldfin-Next` where the lines go on.
    Lines { lines: Plaintext, next: Option<String> },
}

/// A new or renewed auth token as its owner sees it.
#[derive(Debug)]
pub struct Grant {
    pub client_token: Plaintext,
    pub accessor: String,
    pub policies: Vec<String>,
    pub metadata: Vec<(String, String)>,
    pub lease_seconds: u64,
    pub renewable: bool,
    pub account: String,
    pub orphan: bool,
    /// What `WWW-Authenticate: Negotiate` answers for mutual authentication (RFC 4559).
    pub negotiate: Option<Vec<u8>>,
}

impl Reply {
    #[must_use]
    pub fn nothing() -> Self {
        Self::new(Answer::Nothing)
    }

    #[must_use]
    pub fn data(data: Node) -> Self {
        Self::new(Answer::Data(data))
    }

    /// An answer of `LIST`: 404 where there is nothing.
    pub fn keys<T: Into<String>>(keys: impl IntoIterator<Item = T>) -> Result<Self, super::fault::Fault> {
        let keys: Vec<Node> = keys.into_iter().map(Node::text).collect();
        if keys.is_empty() {
            return Err(super::fault::Fault::not_found(""));
        }
        Ok(Self::data(Node::object([("keys", Node::List(keys))])))
    }

    #[must_use]
    pub fn new(answer: Answer) -> Self {
        Self { answer, warnings: Vec::new(), after: Vec::new() }
    }

    #[must_use]
    pub fn then(mut self, change: Change) -> Self {
        self.after.push(change);
        self
    }

    /// Says how many members of the body were not known; never which.
    #[must_use]
    pub fn warn_of_unknown(mut self, unknown: usize) -> Self {
        if unknown > 0 {
            self.warnings.push(format!("{unknown} members of the body are not known and were ignored"));
        }
        self
    }

    /// Writes the data of the envelope, so that little is left to do when the entry is committed.
    #[must_use]
    pub fn written(mut self) -> Self {
        self.answer = match self.answer {
            Answer::Data(data @ Node::Object(_)) => Answer::Data(data.written()),
            Answer::Status(status, data @ Node::Object(_)) => Answer::Status(status, data.written()),
            other => other,
        };
        self
    }

    #[must_use]
    pub fn status(&self) -> u16 {
        match &self.answer {
            Answer::Nothing => 204,
            Answer::Absent(_) => 404,
            Answer::Status(status, _) | Answer::Told(status, ..) => *status,
            _ => 200,
        }
    }
}
