//! The witness that a policy permits an operation. Only [`super::rules::Rules::authorize`] makes one; it cannot be copied, and
//! taking the operation out uses it up.

use std::sync::Arc;

use super::decision::Decision;
use crate::auth::principal::Principal;
use crate::model::operation::About;

/// An operation that was decided. Boxed in what is made of it: it is handed on from future to future.
#[derive(Debug)]
struct Decided<Op> {
    op: Op,
    about: About,
    principal: Arc<Principal>,
    decision: Decision,
    /// For an operation of several parts: which of them are permitted.
    parts: Box<[bool]>,
}

/// An operation that its caller may perform.
#[derive(Debug)]
#[must_use = "a permit that is not used means that the operation was not performed"]
pub struct Authorized<Op>(Box<Decided<Op>>);

/// An operation that was refused, kept so that the refusal can be recorded.
#[derive(Debug)]
pub struct Denied<Op>(Box<Decided<Op>>);

impl<Op> Authorized<Op> {
    pub(super) fn permitted(
        (op, about): (Op, About),
        principal: Arc<Principal>,
        decision: Decision,
        parts: Box<[bool]>,
    ) -> Result<Self, Denied<Op>> {
        let allowed = decision.allowed;
        let decided = Box::new(Decided { op, about, principal, decision, parts });
        if allowed { Ok(Self(decided)) } else { Err(Denied(decided)) }
    }

    /// Whether the part at this position is permitted. An operation without parts is permitted as a whole.
    pub fn permits(&self, part: usize) -> bool {
        self.0.parts.is_empty() || self.0.parts.get(part).copied().unwrap_or(false)
    }

    pub fn op(&self) -> &Op {
        &self.0.op
    }

    pub fn about(&self) -> &About {
        &self.0.about
    }

    pub fn principal(&self) -> &Arc<Principal> {
        &self.0.principal
    }

    pub fn decision(&self) -> &Decision {
        &self.0.decision
    }

    pub fn into_op(self) -> Op {
        self.0.op
    }

    pub fn into_parts(self) -> (Op, Arc<Principal>, Decision) {
        (self.0.op, self.0.principal, self.0.decision)
    }
}

impl<Op> Denied<Op> {
    pub fn op(&self) -> &Op {
        &self.0.op
    }

    pub fn about(&self) -> &About {
        &self.0.about
    }

    pub fn principal(&self) -> &Arc<Principal> {
        &self.0.principal
    }

    pub fn decision(&self) -> &Decision {
        &self.0.decision
    }
}
