//! `auth/token`: the callers' own credentials. Made from others, looked up, renewed, revoked; never shown again.
//!
//! A child never has a right that its maker lacks, never outlives its maker unless it is an orphan, and is gone with it at once.

pub mod life;
mod op;
pub(in crate::engine) mod parse;
mod role;
mod run;
pub(in crate::engine) mod view;

pub use op::Op;

use super::{Engine, Tools};
use crate::audit::recorder::Running;
use crate::model::call::Call;
use crate::model::fault::Fault;
use crate::policy::authorized::Authorized;
use crate::store::work::Work;

/// The group of every auth token that was not asked to stand outside of it: what Vault calls the default policy.
pub const DEFAULT_GROUP: &str = "default";

#[derive(Debug)]
pub struct AuthTokens {
    tools: Tools,
}

impl AuthTokens {
    #[must_use]
    pub fn new(tools: Tools) -> Self {
        Self { tools }
    }
}

/// The path as its entry names it, where the path itself might hold a credential: old clients put the token behind the last slash.
#[must_use]
pub fn recorded_path(tail: &str) -> Option<String> {
    let (word, rest) = tail.split_once('/')?;
    (!matches!(word, "create" | "roles") || rest.contains('/')).then(|| format!("auth/token/{word}/*"))
}

impl Engine for AuthTokens {
    type Op = Op;

    fn parse(&self, call: Call) -> Result<Op, Fault> {
        parse::parse(&self.tools.directory.current(), call)
    }

    fn run<'a>(&'a self, permit: &'a Authorized<Op>, work: &'a mut Work) -> Running<'a> {
        Box::pin(run::run(&self.tools, permit, work))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credential_in_a_path_is_recorded() {
        assert_eq!(recorded_path("lookup-self"), None);
        assert_eq!(recorded_path("create/batch"), None);
        assert_eq!(recorded_path("roles/batch"), None);
        for tail in ["lookup/synthetic", "renew/synthetic", "revoke-prefix/a/b", "roles/a/b"] {
            let word = tail.split('/').next().unwrap_or_default();
            assert_eq!(recorded_path(tail), Some(format!("auth/token/{word}/*")));
        }
    }
}
