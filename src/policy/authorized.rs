//! The witness that a policy permits an operation. Only [`super::rules::Rules::authorize`] makes one; it cannot be copied, and
//! taking the operation out uses it up.

use std::sync::Arc;

use super::decision::Decision;
use crate::auth::principal::Principal;

/// An operation that its caller may perform.
#[derive(Debug)]
#[must_use = "a permit that is not used means that the operation was not performed"]
pub struct Authorized<Op> {
    op: Op,
    principal: Arc<Principal>,
    decision: Decision,
}

impl<Op> Authorized<Op> {
    pub(super) fn permitted(op: Op, principal: Arc<Principal>, decision: Decision) -> Result<Self, Box<Denied<Op>>> {
        if decision.allowed { Ok(Self { op, principal, decision }) } else { Err(Box::new(Denied { op, principal, decision })) }
    }

    pub fn op(&self) -> &Op {
        &self.op
    }

    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    pub fn into_op(self) -> Op {
        self.op
    }

    pub fn into_parts(self) -> (Op, Arc<Principal>, Decision) {
        (self.op, self.principal, self.decision)
    }
}

/// An operation that was refused, kept so that the refusal can be recorded.
#[derive(Debug)]
pub struct Denied<Op> {
    op: Op,
    principal: Arc<Principal>,
    decision: Decision,
}

impl<Op> Denied<Op> {
    pub fn op(&self) -> &Op {
        &self.op
    }

    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    pub fn decision(&self) -> &Decision {
        &self.decision
    }
}
