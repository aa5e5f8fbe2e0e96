//! A request on its way to an engine: routed, its body read, its caller known, not yet understood.

use std::sync::Arc;
use std::time::Duration;

use goldfin_crypto::Plaintext;

use super::clock::Timestamp;
use super::document::Node;
use super::fault::Fault;
use super::id::RequestId;
use super::members::Members;
use super::mount::Mount;
use super::path::is_name;
use super::reading;

/// What the caller wants done with the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// GET
    Read,
    /// HEAD: where a read is answered without body; only `sys/health` has a use for it.
    Probe,
    /// PUT and POST alike: Go clients send one, Python's the other.
    Write,
    Patch,
    Delete,
    /// The verb LIST, `GET ?list=true`, or GET with a trailing slash.
    List,
}

impl Verb {
    pub const ALL: &'static [Verb] = &[Self::Read, Self::Probe, Self::Write, Self::Patch, Self::Delete, Self::List];

    /// The methods of HTTP that mean it. `LIST` is none that descriptions and proxies know: `GET` with a slash at the end asks for it.
    #[must_use]
    pub const fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Read => &["GET"],
            Self::Probe => &["HEAD"],
            Self::Write => &["POST", "PUT"],
            Self::Patch => &["PATCH"],
            Self::Delete => &["DELETE"],
            Self::List => &["GET"],
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Probe => "probe",
            Self::Write => "write",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }
}

/// The parameters behind the question mark, decoded. None may carry a secret.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    #[must_use]
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        reading::parameter(name);
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        matches!(self.value(name), Some("true" | "1" | ""))
    }
}

/// Everything that an engine's `parse` may look at.
#[derive(Debug)]
pub struct Call {
    pub request: RequestId,
    pub now: Timestamp,
    pub verb: Verb,
    pub mount: Arc<Mount>,
    /// The canonical path below the mount; empty for the mount itself.
    pub tail: String,
    pub query: Query,
    pub body: Node,
    /// Why the caller reveals: `X-Goldfin-Purpose`, or the member `purpose` where the engine reads one.
    pub purpose: Option<String>,
    /// For Kerberos methods: the SPNEGO token of `Authorization: Negotiate`, and the channel's binding.
    pub negotiate: Option<Negotiate>,
    /// The auth token as the caller showed it: `auth/token` answers with it.
    pub shown: Option<Plaintext>,
}

/// A SPNEGO token (RFC 4559) as it came, and what it must be bound to.
#[derive(Debug)]
pub struct Negotiate {
    /// None where the request has no such header; the body may hold one.
    pub token: Option<Plaintext>,
    /// `tls-server-end-point:` and the hash of the certificate (RFC 5929).
    pub channel_binding: Vec<u8>,
}

impl Call {
    /// The body's members, each to be taken once.
    pub fn members(&mut self) -> Result<Members, Fault> {
        Members::new(std::mem::replace(&mut self.body, Node::Null))
    }

    /// The tail's segments.
    #[must_use]
    pub fn segments(&self) -> Vec<&str> {
        if self.tail.is_empty() { Vec::new() } else { self.tail.split('/').collect() }
    }
}

/// A name out of a path or body, checked against the rule for names.
pub fn checked_name(name: &str) -> Result<String, Fault> {
    if is_name(name) { Ok(name.to_owned()) } else { Err(Fault::invalid("a name holds letters, digits and `._@+=:-` only, at most 128")) }
}

/// How long an answer stays wrapped, if the caller wants it wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrapTtl(pub Duration);
