//! Decision tables: what a set of policies must answer, written down beside it in TOML and run as a test.
//!
//! ```toml
//! [who.backend]
//! account = "vetassist"
//! groups = ["vetassist"]
//! peer = "127.0.0.1"
//!
//! [[case]]
//! says = "the backend turns a phone number back for a claim"
//! who = "backend"
//! actions = ["decode"]
//! on = { type = "Transformation", mount = "transform", path = "phone", class = "phone" }
//! purpose = "claims"
//! values = 100
//! expect = "allow"
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;

use super::asked::{Asked, Caller};
use super::compile::Compiled;
use super::decision::{Because, Decision};
use crate::model::action::Action;
use crate::model::clock::Timestamp;
use crate::model::operation::{Circumstances, Resource, ResourceKind};

/// A table that has been read and checked.
#[derive(Debug, Clone)]
pub struct Table {
    cases: Vec<Case>,
}

#[derive(Debug, Clone)]
struct Case {
    says: String,
    who: Who,
    action: Action,
    resource: Resource,
    circumstances: Circumstances,
    now: Timestamp,
    expected: Expected,
}

#[derive(Debug, Clone)]
struct Expected {
    allowed: bool,
    because: Option<Because>,
    policies: Option<Vec<String>>,
}

/// What became of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub says: String,
    pub action: Action,
    /// Whether it was to be allowed. A case can fail all the same: another reason, other policies.
    pub expected: bool,
    pub passed: bool,
    pub decision: Decision,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.passed { "ok" } else { "FAILED" };
        let verdict = if self.decision.allowed { "allowed" } else { "denied" };
        write!(f, "{mark}: {} ({}): {verdict}, {}", self.says, self.action, self.decision.because)?;
        if self.decision.policies.is_empty() { Ok(()) } else { write!(f, ", by {}", self.decision.policies.join(", ")) }
    }
}

/// Why a table does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableError(String);

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TableError {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    who: BTreeMap<String, Who>,
    #[serde(rename = "case")]
    cases: Vec<WrittenCase>,
}

/// Without an account it is a caller without credential.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Who {
    account: Option<String>,
    job: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    method: Option<String>,
    peer: Option<IpAddr>,
    #[serde(default)]
    channel_bound: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCase {
    says: String,
    who: String,
    actions: Vec<String>,
    on: WrittenResource,
    purpose: Option<String>,
    values: Option<u64>,
    #[serde(default)]
    grants: Vec<String>,
    /// Overrides the address of `who`.
    peer: Option<IpAddr>,
    /// RFC 3339; the beginning of 2026 otherwise.
    now: Option<String>,
    expect: Verdict,
    because: Option<String>,
    policies: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Allow,
    Deny,
}

/// Either `id`, or `mount` and `path`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenResource {
    r#type: String,
    id: Option<String>,
    mount: Option<String>,
    #[serde(default)]
    path: String,
    class: Option<String>,
}

const BEGINNING_OF_2026: Timestamp = Timestamp::from_unix_micros(1_767_225_600_000_000);

impl Table {
    pub fn read(text: &str) -> Result<Self, TableError> {
        let written: Written = toml::from_str(text).map_err(|error| TableError(error.to_string()))?;
        let mut cases = Vec::new();
        for case in written.cases {
            let says = case.says.clone();
            cases.extend(case.checked(&written.who).map_err(|what| TableError(format!("case `{says}`: {what}")))?);
        }
        Ok(Self { cases })
    }

    #[must_use]
    pub fn run(&self, set: &Compiled) -> Vec<Outcome> {
        self.cases.iter().map(|case| case.run(set)).collect()
    }
}

impl WrittenCase {
    fn checked(self, known: &BTreeMap<String, Who>) -> Result<Vec<Case>, String> {
        let mut who = known.get(&self.who).cloned().ok_or_else(|| format!("there is no [who.{}]", self.who))?;
        who.peer = self.peer.or(who.peer);
        let now = match &self.now {
            Some(text) => Timestamp::from_rfc3339(text).ok_or("`now` is not an RFC 3339 moment")?,
            None => BEGINNING_OF_2026,
        };
        let because = match &self.because {
            Some(word) => Some(Because::from_name(word).ok_or_else(|| format!("`because` cannot be `{word}`"))?),
            None => None,
        };
        if self.actions.is_empty() {
            return Err("`actions` is empty".to_owned());
        }
        let resource = self.on.checked()?;
        let circumstances = Circumstances { purpose: self.purpose, batch_size: self.values.unwrap_or(1), grants: self.grants };
        let expected = Expected { allowed: self.expect == Verdict::Allow, because, policies: self.policies };
        let case = |name: &String| {
            let action = Action::from_name(name).ok_or_else(|| format!("there is no action `{name}`"))?;
            Ok(Case {
                says: self.says.clone(),
                who: who.clone(),
                action,
                resource: resource.clone(),
                circumstances: circumstances.clone(),
                now,
                expected: expected.clone(),
            })
        };
        self.actions.iter().map(case).collect()
    }
}

impl WrittenResource {
    fn checked(self) -> Result<Resource, String> {
        let kind = ResourceKind::ALL.iter().copied().find(|kind| kind.name() == self.r#type);
        let kind = kind.ok_or_else(|| format!("there is no type `{}`", self.r#type))?;
        let resource = match (self.id, self.mount) {
            (Some(id), None) if self.path.is_empty() => Resource::new(kind, id),
            (None, Some(mount)) => Resource::within(kind, &mount, &self.path),
            _ => return Err("`on` needs either `id`, or `mount` and `path`".to_owned()),
        };
        Ok(resource.with_class(self.class))
    }
}

impl Case {
    fn run(&self, set: &Compiled) -> Outcome {
        let decision = set.decide(&self.who.asked(), self.action, &self.resource, &self.circumstances, self.now);
        let deciding: Vec<&str> = decision.policies.iter().map(|id| &**id).collect();
        let passed = decision.allowed == self.expected.allowed
            && self.expected.because.is_none_or(|because| because == decision.because)
            && self.expected.policies.as_ref().is_none_or(|policies| *policies == deciding);
        Outcome { says: self.says.clone(), action: self.action, expected: self.expected.allowed, passed, decision }
    }
}

impl Who {
    fn asked(&self) -> Asked<'_> {
        let (caller, usual) = match (&self.account, &self.job) {
            (Some(name), _) => (Caller::Account(name), "token"),
            (None, Some(name)) => (Caller::Job(name), "job"),
            (None, None) => (Caller::Anonymous, "none"),
        };
        Asked {
            caller,
            groups: &self.groups,
            method: self.method.as_deref().unwrap_or(usual),
            peer: self.peer,
            channel_bound: self.channel_bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: &str = r#"
        [who.root]
        account = "admin"
        groups = ["root"]
        [[case]]
        says = "root reads"
        who = "root"
        actions = ["read_secret", "write_secret"]
        on = { type = "Secret", mount = "secret", path = "a" }
        expect = "allow"
        policies = ["base#root"]
    "#;

    #[test]
    fn a_table_is_run_case_by_case() {
        let set = Compiled::new(&[]).expect("the base compiles");
        let outcomes = Table::read(CASE).expect("reads").run(&set);
        assert_eq!(outcomes.len(), 2);
        assert!(outcomes.iter().all(|outcome| outcome.passed), "{outcomes:?}");
        for (from, to) in [("\"allow\"", "\"deny\""), ("base#root", "base#other"), ("[\"root\"]", "[\"user\"]")] {
            let outcomes = Table::read(&CASE.replace(from, to)).expect("reads").run(&set);
            assert!(outcomes.iter().all(|outcome| !outcome.passed), "{from}");
        }
    }

    #[test]
    fn a_slip_in_a_table_is_an_error() {
        for (from, to) in [
            ("read_secret", "read_sekret"),
            ("Secret\"", "Secrets\""),
            ("who = \"root\"", "who = \"rot\""),
            ("expect", "expects"),
            ("\"allow\"", "\"allowed\""),
            ("mount = \"secret\"", "mount = \"secret\", id = \"x\""),
            ("[\"read_secret\", \"write_secret\"]", "[]"),
        ] {
            assert!(Table::read(&CASE.replace(from, to)).is_err(), "{from}");
        }
    }
}
