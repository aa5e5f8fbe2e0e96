//! An entry: its canonical bytes, written by one encoder. `columns` reads them back.
//!
//! The canonical form is one line of JSON (RFC 8259): members in the order of this file, absent ones left out, no white space, text
//! escaped only where JSON demands it, times in RFC 3339 with microseconds. It is the NDJSON export too. `v` tells the version.

use std::net::IpAddr;
use std::sync::Arc;

use goldfin_crypto::digest::hex;
use uuid::fmt::Hyphenated;

use crate::model::action::Action;
use crate::model::change::Change;
use crate::model::clock::Timestamp;
use crate::model::document::write_text;
use crate::model::facts::{Facts, SubjectCount};
use crate::model::id::{RequestId, StreamId};
use crate::model::member_class::{MemberClass, class_of};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Permitted, and done.
    Granted,
    /// Not permitted, or not known.
    Denied,
    /// Permitted, and not done.
    Failed,
}

impl Decision {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// What kind of entry it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// One per request.
    Request,
    /// Before and after an effect outside of the database.
    Intent,
    Outcome,
    /// What goldfin says by itself: a start, an alarm.
    Notice,
}

impl EntryKind {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Intent => "intent",
            Self::Outcome => "outcome",
            Self::Notice => "notice",
        }
    }
}

/// Everything of an entry but its place in the stream and its time.
#[derive(Debug, Clone)]
pub struct Draft {
    pub kind: EntryKind,
    pub request: RequestId,
    pub received: Timestamp,
    pub account: String,
    pub method: String,
    pub accessor: Option<String>,
    pub peer: Option<IpAddr>,
    pub verb: &'static str,
    pub action: Action,
    /// The resource as policies name it: `Secret:secret/app/db`.
    pub resource: String,
    /// The canonical path of the request, where it had one.
    pub path: Option<String>,
    pub decision: Decision,
    pub policies: Vec<Arc<str>>,
    /// The hash of the policy set that decided.
    pub policy_set: Option<[u8; 32]>,
    /// Why it was denied, for operators: `forbidden`, `none_permits`.
    pub denied_because: Option<&'static str>,
    pub status: u16,
    pub facts: Box<Facts>,
    pub changes: Vec<Change>,
}

/// An entry whose canonical bytes are ready but for its place, and what is stored beside them. The rest of its draft is given back at once:
/// many wait for their commit at the same time, and what they hold grows cold.
#[derive(Debug)]
pub(super) struct Prepared {
    /// With the members of its place in front, once it has one.
    line: String,
    /// Where the members behind `time` begin.
    rest: usize,
    pub request: RequestId,
    pub account: String,
    pub action: Action,
    pub resource: String,
    pub decision: Decision,
    pub subject: Option<[u8; 32]>,
    pub subjects: Vec<SubjectCount>,
    /// One in a line.
    pub changes: Option<String>,
}

impl Prepared {
    pub(super) fn new(draft: Draft, now: Timestamp) -> Self {
        let changes: Vec<String> = draft.changes.iter().map(ToString::to_string).collect();
        let line = rest_of(&draft, &changes, now);
        let Draft { request, account, action, resource, decision, facts, .. } = draft;
        Self {
            line,
            rest: 0,
            request,
            account,
            action,
            resource,
            decision,
            subject: facts.subject,
            subjects: facts.subjects,
            changes: (!changes.is_empty()).then(|| changes.join("\n")),
        }
    }

    /// Gives it a place, in exchange for the one that it may have had.
    pub(super) fn place(&mut self, stream: StreamId, seq: i64, time: Timestamp) {
        let (stream, seq, time) = (stream.0.to_string(), seq.to_string(), time.to_rfc3339());
        let place = ["{\"v\":1,\"stream\":", &stream, ",\"seq\":", &seq, ",\"time\":\"", &time, "\""].concat();
        self.line.drain(..self.rest);
        self.line.insert_str(0, &place);
        self.rest = place.len();
    }

    /// The canonical bytes, once it has a place.
    pub(super) fn body(&self) -> &str {
        &self.line
    }
}

/// Writes members one behind the other.
struct Line(Vec<u8>);

impl Line {
    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, text: &str) {
        debug_assert!(class_of(name).is_some_and(MemberClass::may_be_recorded), "`{name}` may not enter an entry as it is");
        self.write_text(name, text);
    }

    fn write_text(&mut self, name: &str, text: &str) {
        self.name(name);
        write_text(text, &mut self.0);
    }

    fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn address(&mut self, name: &str, address: Option<IpAddr>) {
        match address {
            // Without `fmt`, which costs as much as the hash of the whole line.
            Some(IpAddr::V4(four)) => self.text(name, &four.octets().map(|octet| octet.to_string()).join(".")),
            Some(six) => self.text(name, &six.to_string()),
            None => {}
        }
    }

    fn number(&mut self, name: &str, number: Option<i64>) {
        if let Some(number) = number {
            self.name(name);
            self.0.extend_from_slice(number.to_string().as_bytes());
        }
    }

    fn hash(&mut self, name: &str, hash: Option<&[u8; 32]>) {
        if let Some(hash) = hash {
            self.write_text(name, &hex(hash));
        }
    }

    fn subjects(&mut self, subjects: &[SubjectCount]) {
        for (position, SubjectCount { subject, class, count }) in subjects.iter().enumerate() {
            if position == 0 {
                self.name("subjects");
                self.0.push(b'[');
            } else {
                self.0.push(b',');
            }
            self.0.extend_from_slice(b"{\"subject\":\"");
            self.0.extend_from_slice(hex(subject).as_bytes());
            self.0.push(b'"');
            self.optional("class", class.as_deref());
            self.number("count", i64::try_from(*count).ok());
            self.0.push(b'}');
        }
        if !subjects.is_empty() {
            self.0.push(b']');
        }
    }

    fn texts(&mut self, name: &str, texts: impl Iterator<Item = impl AsRef<str>>) {
        debug_assert!(class_of(name).is_some_and(MemberClass::may_be_recorded), "`{name}` may not enter an entry as it is");
        self.write_texts(name, texts);
    }

    /// Keyed hashes of what itself may not enter; empty where there is none.
    fn hashes<'a>(&mut self, name: &str, hashes: impl Iterator<Item = Option<&'a [u8; 8]>>) {
        self.write_texts(name, hashes.map(|hash| hash.map_or_else(String::new, |hash| hex(hash))));
    }

    fn write_texts(&mut self, name: &str, texts: impl Iterator<Item = impl AsRef<str>>) {
        let mut open = false;
        for text in texts {
            if open {
                self.0.push(b',');
            } else {
                self.name(name);
                self.0.push(b'[');
                open = true;
            }
            write_text(text.as_ref(), &mut self.0);
        }
        if open {
            self.0.push(b']');
        }
    }
}

fn rest_of(draft: &Draft, changes: &[String], now: Timestamp) -> String {
    // Most lines fit, with the place that is put in front.
    let mut line = Line(Vec::with_capacity(896));
    let facts = &draft.facts;
    line.text("request_id", draft.request.as_uuid().hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH]));
    line.text("kind", draft.kind.name());
    line.text("account", &draft.account);
    line.text("method", &draft.method);
    line.optional("accessor", draft.accessor.as_deref());
    line.address("peer", draft.peer);
    line.text("namespace", "root");
    line.text("verb", draft.verb);
    line.text("action", draft.action.name());
    line.text("resource", &draft.resource);
    line.optional("path", draft.path.as_deref());
    line.text("decision", draft.decision.name());
    line.texts("policies", draft.policies.iter());
    line.hash("policy_set", draft.policy_set.as_ref());
    line.optional("denied_because", draft.denied_because);
    line.number("status", Some(i64::from(draft.status)));
    line.optional("reason", facts.reason);
    line.number("version", facts.version);
    line.hash("digest", facts.digest.as_ref());
    line.hash("subject", facts.subject.as_ref());
    line.optional("class", facts.class.as_deref());
    line.optional("purpose", facts.purpose.as_deref());
    line.number("count", facts.count.and_then(|count| i64::try_from(count).ok()));
    line.number("succeeded", facts.succeeded.and_then(|count| i64::try_from(count).ok()));
    line.hash("batch", facts.batch.as_ref());
    line.subjects(&facts.subjects);
    line.hashes("tokens", facts.tokens.iter().map(Option::as_ref));
    line.optional("login_account", facts.account.as_deref());
    line.optional("target_accessor", facts.accessor.as_deref());
    line.texts("ranges", facts.ranges.iter());
    line.texts("changes", changes.iter());
    line.number("latency_us", i64::try_from(now.since(draft.received).as_micros()).ok());
    line.0.push(b'}');
    // Every part was text: the names and escapes are ASCII, the rest came from strings.
    String::from_utf8(line.0).unwrap_or_default()
}
