//! The unit of work: what one operation reads, and what it wants written together with its entry.
//!
//! It is confined to the mount of the request: functions of this floor take the mount's number from here, never from a caller.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::model::clock::Timestamp;
use crate::model::facts::{Facts, Notice};
use crate::model::id::MountId;
use crate::model::mount::Mount;

use super::error::StoreError;
use super::transform::NewTokens;
use super::{Store, Transaction};

/// What waits to be committed with the entry.
#[derive(Debug)]
pub enum Pending {
    /// Only the entry.
    Nothing,
    /// Rows that conflict with nobody's: they ride in the shared group.
    Tokens(Box<NewTokens>),
    /// A transaction that has read what it changes: the entry is appended last in it.
    Transaction(Box<Transaction>),
}

#[derive(Debug)]
pub struct Work {
    store: Store,
    mount: Arc<Mount>,
    now: Timestamp,
    pending: Pending,
    lane: Option<OwnedSemaphorePermit>,
    pub facts: Box<Facts>,
    /// Recorded after the entry, whatever becomes of the operation.
    pub notices: Vec<Notice>,
}

impl Work {
    #[must_use]
    pub fn new(store: Store, mount: Arc<Mount>, now: Timestamp) -> Self {
        Self { store, mount, now, pending: Pending::Nothing, lane: None, facts: Box::default(), notices: Vec::new() }
    }

    #[must_use]
    pub fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    #[must_use]
    pub fn mount_id(&self) -> MountId {
        self.mount.id
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// For reads outside of any transaction.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Opens the transaction of this work, or goes on in it. It is committed by the recorder, or rolled back when the operation fails.
    pub(crate) async fn transaction(&mut self) -> Result<&mut Transaction, StoreError> {
        if !matches!(self.pending, Pending::Transaction(_)) {
            if matches!(self.pending, Pending::Tokens(_)) {
                return Err(StoreError::Defect("a work writes in the group or in a transaction, not in both".to_owned()));
            }
            self.pending = Pending::Transaction(Box::new(self.store.begin().await?));
        }
        match &mut self.pending {
            Pending::Transaction(transaction) => Ok(transaction),
            _ => Err(StoreError::Defect("the transaction was not opened".to_owned())),
        }
    }

    /// Gives the transaction to what works in it by itself and gives it back to [`Work::go_on_in`].
    pub(super) fn hand_out(&mut self) -> Result<Box<Transaction>, StoreError> {
        match std::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Transaction(transaction) => Ok(transaction),
            other => {
                self.pending = other;
                Err(StoreError::Defect("the transaction was not opened".to_owned()))
            }
        }
    }

    pub(super) fn go_on_in(&mut self, transaction: Box<Transaction>) {
        self.pending = Pending::Transaction(transaction);
    }

    /// Whether the work writes in a transaction of its own.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        matches!(self.pending, Pending::Transaction(_))
    }

    /// Waits for its turn among the large requests, which it keeps until it is handed over; one that has a connection goes on with it.
    pub(super) async fn lane(&mut self) -> Result<(), StoreError> {
        if self.lane.is_none() && !self.in_transaction() {
            self.lane = Some(self.store.lane().await?);
        }
        Ok(())
    }

    /// Lets new tokens ride in the commit group.
    pub(super) fn ride(&mut self, tokens: NewTokens) -> Result<(), StoreError> {
        if !matches!(self.pending, Pending::Nothing) {
            return Err(StoreError::Defect("a work writes in the group or in a transaction, not in both".to_owned()));
        }
        self.pending = Pending::Tokens(Box::new(tokens));
        Ok(())
    }

    /// The new tokens that were to ride.
    pub(super) fn take_riding(&mut self) -> NewTokens {
        match std::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Tokens(tokens) => *tokens,
            other => {
                self.pending = other;
                NewTokens::default()
            }
        }
    }

    /// For the recorder: what to commit and what to say of it.
    #[must_use]
    pub fn into_parts(self) -> (Pending, Box<Facts>) {
        (self.pending, self.facts)
    }
}
