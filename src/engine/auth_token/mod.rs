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

impl Engine for AuthTokens {
    type Op = Op;

    fn parse(&self, call: Call) -> Result<Op, Fault> {
        parse::parse(&self.tools.directory.current(), call)
    }

    fn run<'a>(&'a self, permit: &'a Authorized<Op>, work: &'a mut Work) -> Running<'a> {
        Box::pin(run::run(&self.tools, permit, work))
    }
}
