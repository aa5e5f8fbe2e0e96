//! Finds the statements that can apply to a question, so that a decision does not evaluate the thousands that cannot.
//!
//! A statement's scope is a conjunction without errors: who, what is done, to what. So a statement whose scope does not hold is
//! neither satisfied nor in error, and leaving it out changes no answer. Each is filed under one anchor for its principal, one or
//! more for its action and one for its resource; a question is answered from the anchors of its own. The result may hold a few
//! statements too many (Cedar evaluates them), never one too few.

use std::collections::HashMap;

use cedar_policy::{ActionConstraint, EntityUid, Policy, PrincipalConstraint, ResourceConstraint};

use super::entities::Vocabulary;
use crate::model::action::Action;

/// What a scope can name: anything, a type, or one entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Anchor(u32);

impl Anchor {
    pub(super) const ANY: Self = Self(0);

    pub(super) const fn following(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Statements by number, filed by what their scopes name.
#[derive(Debug, Default)]
pub(super) struct Index {
    filed: HashMap<(Anchor, Option<Action>), HashMap<Anchor, Vec<u32>>>,
}

/// A scope names something that the schema does not have; validation refuses such a statement before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unfilable;

impl Index {
    pub(super) fn file(&mut self, number: u32, policy: &Policy, vocabulary: &Vocabulary) -> Result<(), Unfilable> {
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Any => Some(Anchor::ANY),
            PrincipalConstraint::Is(name) => vocabulary.anchor_of_type(&name),
            PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => vocabulary.anchor_of(&uid),
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any => Some(Anchor::ANY),
            ResourceConstraint::Is(name) => vocabulary.anchor_of_type(&name),
            ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => vocabulary.anchor_of(&uid),
        };
        let (principal, resource) = (principal.ok_or(Unfilable)?, resource.ok_or(Unfilable)?);
        for action in actions(policy)? {
            self.filed.entry((principal, action)).or_default().entry(resource).or_default().push(number);
        }
        Ok(())
    }

    /// The numbers of the statements that can apply, each once, in order.
    pub(super) fn find(&self, principal: &[Anchor], action: Action, resource: &[Anchor]) -> Vec<u32> {
        let mut found = Vec::new();
        for who in principal {
            for what in [None, Some(action)] {
                let Some(by_resource) = self.filed.get(&(*who, what)) else { continue };
                for to in resource {
                    if let Some(numbers) = by_resource.get(to) {
                        found.extend_from_slice(numbers);
                    }
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// The actions that the scope names; `None` for any.
fn actions(policy: &Policy) -> Result<Vec<Option<Action>>, Unfilable> {
    let named = |uid: &EntityUid| Action::from_name(uid.id().unescaped()).map(Some).ok_or(Unfilable);
    match policy.action_constraint() {
        ActionConstraint::Any => Ok(vec![None]),
        ActionConstraint::Eq(uid) => Ok(vec![named(&uid)?]),
        ActionConstraint::In(uids) => uids.iter().map(named).collect(),
    }
}
