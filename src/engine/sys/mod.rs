//! The engine at `sys`: mounts, policies, accounts, capabilities, quotas, the ledger's readers and the seal.
//!
//! Each area is a folder or file of its own: its operations, how a call becomes one, what it does. Deliberately absent: `sys/init`,
//! `sys/unseal`, `sys/health` and `sys/seal-status`, which are answered without a mount; a switch that changes what the ledger records.

mod accounts;
mod audit;
mod capabilities;
mod ledger;
mod mounts;
mod op;
mod own_mounts;
mod parse;
mod policies;
mod quotas;
mod run;

use std::sync::Arc;

use goldfin_ledger::note::LogKey;

use crate::audit::recorder::Running;
use crate::model::call::Call;
use crate::model::clock::Clock;
use crate::model::fault::Fault;
use crate::policy::authorized::Authorized;
use crate::policy::rules::Rules;
use crate::store::work::Work;

use super::{Engine, Tools};

pub use op::Op;

/// The server itself, as a mount.
#[derive(Debug)]
pub struct System {
    tools: Tools,
    rules: Arc<Rules>,
    clock: Clock,
    /// The ledgers that this one is a witness of.
    witness_of: Arc<[LogKey]>,
}

impl System {
    #[must_use]
    pub fn new(tools: Tools, rules: Arc<Rules>, clock: Clock, witness_of: Arc<[LogKey]>) -> Self {
        Self { tools, rules, clock, witness_of }
    }
}

impl Engine for System {
    type Op = Op;

    fn parse(&self, call: Call) -> Result<Op, Fault> {
        parse::parse(call)
    }

    fn run<'a>(&'a self, permit: &'a Authorized<Op>, work: &'a mut Work) -> Running<'a> {
        Box::pin(self.perform(permit, work))
    }
}
