//! Floor 6: what the product does. No HTTP, no SQL, no authorization: a permit comes in, a reply goes out.
//!
//! Each engine is a folder: `op` (the typed operations), `parse` (bytes become one of them, once), `run` (what it does), and pure files
//! that property tests aim at.

pub mod auth_token;
pub mod init;
pub mod keys;
pub mod kv;
pub mod login;
pub mod openapi;
pub mod sys;
pub mod transform;

use std::sync::Arc;

use crate::audit::recorder::{Perform, Running};
use crate::model::call::Call;
use crate::model::counters::Counters;
use crate::model::fault::Fault;
use crate::model::operation::Operation;
use crate::policy::authorized::Authorized;
use crate::seal::barrier::Barrier;
use crate::store::directory::Directory;
use crate::store::work::Work;

/// One kind of mount.
pub trait Engine: Send + Sync {
    type Op: Operation;

    /// Understands the call. Names stored things only in what `run` answers: a stranger must not learn here what exists.
    fn parse(&self, call: Call) -> Result<Self::Op, Fault>;

    /// Performs a permitted operation. It may be run again when it lost a race, so it changes nothing but through `work`.
    fn run<'a>(&'a self, permit: &'a Authorized<Self::Op>, work: &'a mut Work) -> Running<'a>;
}

/// An engine as the recorder's bracket meets it.
#[derive(Debug)]
pub struct Performer<'e, E>(pub &'e E);

impl<E: Engine> Perform<E::Op> for Performer<'_, E> {
    fn perform<'a>(&'a self, permit: &'a Authorized<E::Op>, work: &'a mut Work) -> Running<'a> {
        self.0.run(permit, work)
    }
}

/// What every engine is given when it is made.
#[derive(Debug, Clone)]
pub struct Tools {
    pub barrier: Arc<Barrier>,
    pub directory: Arc<Directory>,
    pub counters: Arc<Counters>,
}
