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
    /// For an operation of several parts: which of them are permitted.
    parts: Box<[bool]>,
}

impl<Op> Authorized<Op> {
    pub(super) fn permitted(op: Op, principal: Arc<Principal>, decision: Decision, parts: Box<[bool]>) -> Result<Self, Box<Denied<Op>>> {
        if decision.allowed { Ok(Self { op, principal, decision, parts }) } else { Err(Box::new(Denied { op, principal, decision })) }
    }

    /// Whether the part at this position is permitted. An operation without parts is permitted as a whole.
    pub fn permits(&self, part: usize) -> bool {
        self.parts.is_empty() || self.parts.get(part).copied().unwrap_or(false)
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
