//! The witness that an answer may leave: its entry is on disk. The network's floor encodes nothing else.

use crate::audit::receipt::Receipt;
use crate::model::fault::Fault;
use crate::model::id::RequestId;
use crate::model::reply::Reply;

/// What leaves.
#[derive(Debug)]
pub struct Released {
    request: RequestId,
    outcome: Result<Reply, Fault>,
    receipt: Option<Receipt>,
}

impl Released {
    /// An answer or a refusal whose entry is committed.
    pub(super) fn recorded(request: RequestId, outcome: Result<Reply, Fault>, receipt: Receipt) -> Self {
        Self { request, outcome, receipt: Some(receipt) }
    }

    /// The refusals that have no entry of their own: the ledger could not be written, the outcome of its commit is unknown, the server
    /// is sealed, or a stranger was turned away and counted. A fault only, so that nothing else can leave by this door.
    pub(super) fn unrecorded(request: RequestId, fault: Fault) -> Self {
        Self { request, outcome: Err(fault), receipt: None }
    }

    /// The answers of a sealed server's own operations, whose entries wait in memory for the unsealing.
    pub(super) fn deferred(request: RequestId, outcome: Result<Reply, Fault>, _waiting: super::sealed::Waiting) -> Self {
        Self { request, outcome, receipt: None }
    }

    #[must_use]
    pub fn request(&self) -> RequestId {
        self.request
    }

    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_ref()
    }

    #[must_use]
    pub fn is_granted(&self) -> bool {
        self.outcome.is_ok()
    }

    pub fn into_outcome(self) -> Result<Reply, Fault> {
        self.outcome
    }

    /// For the tests of the network floor, which stand in for the gate.
    #[cfg(test)]
    pub(crate) fn of_test(request: RequestId, outcome: Result<Reply, Fault>, receipt: Option<Receipt>) -> Self {
        Self { request, outcome, receipt }
    }
}
