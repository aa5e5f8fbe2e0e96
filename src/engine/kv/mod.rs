//! Secrets with versions: KV version 2 of Vault's API.
//!
//! It decides nothing about who may do what, and holds no value and no key between two requests; what it remembers of them is ciphertext.

mod cache;
mod change;
mod go_duration;
mod merge;
pub mod op;
mod parse;
pub mod place;
mod run;
mod settings;
mod shape;
mod subkeys;
mod versions;

use std::sync::Arc;

use crate::audit::recorder::Running;
use crate::model::call::Call;
use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::policy::authorized::Authorized;
use crate::store::control::ControlKind;
use crate::store::work::Work;

use super::{Engine, Tools};
use cache::Cache;
use settings::Settings;

#[derive(Debug)]
pub struct Kv {
    tools: Tools,
    cache: Cache,
}

impl Kv {
    #[must_use]
    pub fn new(tools: Tools) -> Self {
        Self { tools, cache: Cache::new() }
    }

    /// Drops what is remembered of a secret that was changed, here or on another node.
    pub fn forget(&self, mount: MountId, path: &str) {
        self.cache.forget(mount, path);
    }

    pub fn forget_all(&self) {
        self.cache.forget_all();
    }

    fn settings(&self, mount: MountId) -> Result<Arc<Settings>, Fault> {
        Ok(self.tools.directory.current().get(ControlKind::Config, mount, settings::ROW)?.unwrap_or_default())
    }
}

impl Engine for Kv {
    type Op = op::Op;

    fn parse(&self, call: Call) -> Result<op::Op, Fault> {
        parse::parse(call)
    }

    fn run<'a>(&'a self, permit: &'a Authorized<op::Op>, work: &'a mut Work) -> Running<'a> {
        Box::pin(run::run(self, permit.op(), work))
    }
}
