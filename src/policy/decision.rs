//! The answer to "may they", with its reason. Holds ids of policies only, nothing of the request.

use std::fmt;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    pub because: Because,
    /// The statements that decided, sorted: those that permit, or those that forbid.
    pub policies: Vec<Arc<str>>,
    /// How many statements could not be evaluated.
    pub errors: usize,
    /// Names the set of policies that decided.
    pub set_hash: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Because {
    Permitted,
    /// At least one statement forbids.
    Forbidden,
    /// No statement permits.
    NonePermits,
    /// A statement could not be evaluated, so that nobody knows whether it would have forbidden.
    EvaluationError,
    /// The request hands on a group that the caller does not hold, or the group `root`.
    GrantNotHeld,
}

impl Because {
    pub const ALL: &'static [Self] = &[Self::Permitted, Self::Forbidden, Self::NonePermits, Self::EvaluationError, Self::GrantNotHeld];

    /// The word in entries and decision tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::Forbidden => "forbidden",
            Self::NonePermits => "none_permits",
            Self::EvaluationError => "evaluation_error",
            Self::GrantNotHeld => "grant_not_held",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|because| because.name() == name)
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permitted => "a policy permits it and none forbids it",
            Self::Forbidden => "a policy forbids it",
            Self::NonePermits => "no policy permits it",
            Self::EvaluationError => "a policy could not be evaluated, which is a denial",
            Self::GrantNotHeld => "it hands on a group that the caller does not hold, or the group `root`",
        })
    }
}
