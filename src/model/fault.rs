//! The one coarse error that reaches the edge. It holds ids, positions, stored names and `&'static str` only, so that no text of a
//! request can ride along.
//!
//! The status numbers live here and not in `http/`, because entries of the ledger and items of a batch carry them too.

use std::fmt;
use std::time::Duration;

use super::call::Verb;
use super::clock::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 401: no credential, or one that proves nothing.
    Unauthenticated(&'static str),
    /// 403: a policy forbids or none permits; the caller learns no more than that.
    Denied,
    /// 404. What is not permitted to be seen looks the same.
    NotFound(Complaint),
    /// 400: the request must change before it can succeed.
    Invalid(Complaint),
    /// 400 as Vault answers a failed check-and-set; 409 is not in its clients' vocabulary.
    Conflict(Complaint),
    /// 405: the path exists, the verb does not.
    WrongVerb,
    /// The same, with the verbs that the path has.
    VerbNotAllowed(Vec<Verb>),
    /// 410: it was there and has been destroyed for good.
    Gone(Complaint),
    /// 413
    TooLarge(&'static str),
    /// 429
    TooMany { retry_after: Duration },
    /// 429: a limit on values; open again at a moment that is known.
    LimitReached { complaint: Complaint, opens: Timestamp, retry_after: Duration },
    /// 503: the server is sealed.
    Sealed,
    /// 503: something that the request needs cannot be reached; nothing happened.
    Unavailable(&'static str),
    /// 500: the connection died under a commit. The change may or may not be there.
    OutcomeUnknown,
    /// 500: what is stored failed its integrity check.
    Integrity(&'static str),
    /// 500: a defect. The code finds the log line.
    Internal(&'static str),
}

/// What is wrong, in words that goldfin chose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Complaint {
    what: &'static str,
    member: Option<&'static str>,
    item: Option<usize>,
    stored: Option<String>,
    position: Option<(usize, usize)>,
}

impl Complaint {
    #[must_use]
    pub const fn new(what: &'static str) -> Self {
        Self { what, member: None, item: None, stored: None, position: None }
    }

    /// The known member of the body that the complaint is about.
    #[must_use]
    pub const fn at(mut self, member: &'static str) -> Self {
        self.member = Some(member);
        self
    }

    /// The position in a batch, from 0.
    #[must_use]
    pub const fn item(mut self, item: usize) -> Self {
        self.item = Some(item);
        self
    }

    /// The name of a thing that goldfin stores. Never pass text of the request that was not found in the store.
    #[must_use]
    pub fn stored(mut self, name: impl Into<String>) -> Self {
        self.stored = Some(name.into());
        self
    }

    /// Line and column in the body, both from 1.
    #[must_use]
    pub const fn position(mut self, line: usize, column: usize) -> Self {
        self.position = Some((line, column));
        self
    }
}

impl From<&'static str> for Complaint {
    fn from(what: &'static str) -> Self {
        Self::new(what)
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(item) = self.item {
            write!(f, "item {item}: ")?;
        }
        if let Some(member) = self.member {
            write!(f, "`{member}` ")?;
        }
        f.write_str(self.what)?;
        if let Some(stored) = &self.stored {
            write!(f, " (`{stored}`)")?;
        }
        if let Some((line, column)) = self.position {
            write!(f, " (line {line}, column {column})")?;
        }
        Ok(())
    }
}

impl Fault {
    pub fn invalid(complaint: impl Into<Complaint>) -> Self {
        Self::Invalid(complaint.into())
    }

    pub fn not_found(complaint: impl Into<Complaint>) -> Self {
        Self::NotFound(complaint.into())
    }

    pub fn conflict(complaint: impl Into<Complaint>) -> Self {
        Self::Conflict(complaint.into())
    }

    /// The HTTP status (RFC 9110) of the answer, of the entry and of a batch's item.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Invalid(_) | Self::Conflict(_) => 400,
            Self::Unauthenticated(_) => 401,
            Self::Denied => 403,
            Self::NotFound(_) => 404,
            Self::WrongVerb | Self::VerbNotAllowed(_) => 405,
            Self::Gone(_) => 410,
            Self::TooLarge(_) => 413,
            Self::TooMany { .. } | Self::LimitReached { .. } => 429,
            Self::OutcomeUnknown | Self::Integrity(_) | Self::Internal(_) => 500,
            Self::Sealed | Self::Unavailable(_) => 503,
        }
    }

    /// A word for the entry and for metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Denied => "denied",
            Self::NotFound(_) => "not_found",
            Self::Invalid(_) => "invalid",
            Self::Conflict(_) => "conflict",
            Self::WrongVerb | Self::VerbNotAllowed(_) => "wrong_verb",
            Self::Gone(_) => "gone",
            Self::TooLarge(_) => "too_large",
            Self::TooMany { .. } => "too_many",
            Self::LimitReached { .. } => "limit_reached",
            Self::Sealed => "sealed",
            Self::Unavailable(_) => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Integrity(_) => "integrity",
            Self::Internal(_) => "internal",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthenticated(why) => f.write_str(why),
            Self::Denied => f.write_str("permission denied"),
            Self::NotFound(c) | Self::Invalid(c) | Self::Conflict(c) | Self::Gone(c) => c.fmt(f),
            Self::WrongVerb | Self::VerbNotAllowed(_) => f.write_str("this path does not support the verb"),
            Self::TooLarge(what) | Self::Unavailable(what) => f.write_str(what),
            Self::TooMany { retry_after } => write!(f, "too many requests, try again in {} seconds", retry_after.as_secs()),
            Self::LimitReached { complaint, opens, .. } => write!(f, "{complaint}, it opens again at {}", opens.to_rfc3339()),
            Self::Sealed => f.write_str("goldfin is sealed, unseal it first"),
            Self::OutcomeUnknown => {
                f.write_str("outcome unknown: the connection to the database died under the commit, read before you repeat")
            }
            Self::Integrity(what) => write!(f, "integrity check failed: {what}"),
            Self::Internal(code) => write!(f, "internal error `{code}`, look for the request id in the server's log"),
        }
    }
}

impl std::error::Error for Fault {}
