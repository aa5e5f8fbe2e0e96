//! The transform engine: values become tokens that say nothing, and tokens become values again for those who may.
//!
//! What is authorised is what is run: a request's transformations are resolved once, when it is understood, and looked up by name
//! again when it is carried out. Deliberately absent: keys of data subjects in memory beyond a request, trial decryption, and any
//! difference between the answers to a forged token, a foreign one and one that was never issued.

mod batch;
mod config;
mod convergent;
mod decode;
mod encode;
mod find;
mod form;
mod keys;
mod limits;
mod mount_config;
mod op;
mod parse;
mod parts;
mod per_value;
pub mod place;
mod purposes;
mod redact;
mod reveal;
mod run;
mod settings;
mod state;
mod subjects;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::audit::recorder::Running;
use crate::model::call::Call;
use crate::model::fault::Fault;
use crate::policy::authorized::Authorized;
use crate::store::directory::Snapshot;
use crate::store::token_lookup::TokenLookup;
use crate::store::work::Work;

use super::{Engine, Tools};
use form::FormCache;
use form::run::Serials;
use keys::{KeyCache, TokenIds};
use limits::Limits;
pub use op::TransformOp;
use parts::Spread;

/// The engine of all transform mounts.
#[derive(Debug)]
pub struct Transform {
    tools: Tools,
    keys: KeyCache,
    ids: TokenIds,
    serials: Serials,
    forms: FormCache,
    lookup: TokenLookup,
    spread: Spread,
    limits: Limits,
}

impl Transform {
    #[must_use]
    pub fn new(tools: Tools) -> Self {
        Self {
            tools,
            keys: KeyCache::default(),
            ids: TokenIds::default(),
            serials: Serials::default(),
            forms: FormCache::default(),
            lookup: TokenLookup::default(),
            spread: Spread::default(),
            limits: Limits::default(),
        }
    }

    /// Forgets the unwrapped keys: the directory or the keyring changed.
    pub fn forget_all(&self) {
        self.keys.forget_all();
    }

    /// What an entry holds instead of a path that names a data subject: the keyed hash in place of the identifier.
    #[must_use]
    pub fn recorded_path(&self, mount: &crate::model::mount::Mount, tail: &str) -> Option<String> {
        subjects::recorded_path(&self.tools.barrier, mount, tail)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.tools.directory.current()
    }
}

impl Engine for Transform {
    type Op = TransformOp;

    fn parse(&self, call: Call) -> Result<TransformOp, Fault> {
        self.understand(call)
    }

    fn run<'a>(&'a self, permit: &'a Authorized<TransformOp>, work: &'a mut Work) -> Running<'a> {
        Box::pin(self.carry_out(permit, work))
    }
}
