//! What can be done with auth tokens.

use std::collections::BTreeMap;

use goldfin_crypto::Plaintext;

use super::life::Wish;
use super::role::TokenRole;
use crate::model::action::Action;
use crate::model::operation::{Circumstances, Operation, Resource, ResourceKind};

#[derive(Debug)]
pub enum Op {
    LookupSelf {
        shown: Plaintext,
    },
    RenewSelf {
        shown: Plaintext,
        increment: u64,
    },
    RevokeSelf,
    Create(Box<Wanted>),
    Lookup(Target),
    Renew {
        target: Target,
        increment: u64,
    },
    Revoke(Target),
    /// Its children live on as orphans.
    RevokeOrphan(Target),
    Accessors,
    /// Deletes what has expired.
    Tidy,
    ReadRole(String),
    ListRoles,
    /// `before` is the version that it replaces; 0 where there is none.
    WriteRole {
        name: String,
        role: Box<TokenRole>,
        before: i64,
        unknown: usize,
    },
    DeleteRole(String),
}

/// The auth token of another.
#[derive(Debug)]
pub enum Target {
    AuthToken(Plaintext),
    Accessor(String),
}

/// The auth token that is asked for.
#[derive(Debug)]
pub struct Wanted {
    /// None: those of its maker.
    pub groups: Option<Vec<String>>,
    pub default_group: bool,
    pub orphan: bool,
    pub wish: Wish,
    pub renewable: bool,
    pub display_name: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// The role that it is made by, with what stands in it; a role that is not there is found missing on use.
    pub role: Option<(String, Option<TokenRole>)>,
    pub unknown: usize,
}

impl Operation for Op {
    fn action(&self) -> Action {
        match self {
            Self::LookupSelf { .. } => Action::LookupSelf,
            Self::RenewSelf { .. } => Action::RenewSelf,
            Self::RevokeSelf => Action::RevokeSelf,
            Self::Create(_) => Action::CreateAuthToken,
            Self::Lookup(_) => Action::LookupAuthToken,
            Self::Renew { .. } => Action::RenewAuthToken,
            Self::Revoke(_) | Self::RevokeOrphan(_) | Self::Tidy => Action::RevokeAuthToken,
            Self::Accessors => Action::ListAuthTokens,
            Self::ReadRole(_) => Action::ReadSetting,
            Self::ListRoles => Action::ListSettings,
            Self::WriteRole { .. } => Action::WriteSetting,
            Self::DeleteRole(_) => Action::DeleteSetting,
        }
    }

    fn resource(&self) -> Resource {
        let token = |id: &str| Resource::new(ResourceKind::AuthToken, id);
        match self {
            Self::LookupSelf { .. } | Self::RenewSelf { .. } | Self::RevokeSelf => token("self"),
            Self::Create(wanted) => match &wanted.role {
                Some((role, _)) => token(&format!("create/{role}")),
                None if wanted.orphan => token("create-orphan"),
                None => token("create"),
            },
            Self::Lookup(target) | Self::Renew { target, .. } | Self::Revoke(target) | Self::RevokeOrphan(target) => match target {
                Target::Accessor(accessor) => token(accessor),
                // Which one it is, is known only after looking; whoever holds a token may do as much with it anyway.
                Target::AuthToken(_) => token("*"),
            },
            Self::Accessors | Self::Tidy => token("*"),
            Self::ListRoles => Resource::within(ResourceKind::Setting, MOUNT, "roles"),
            Self::ReadRole(name) | Self::WriteRole { name, .. } | Self::DeleteRole(name) => {
                Resource::within(ResourceKind::Setting, MOUNT, &format!("roles/{name}"))
            }
        }
    }

    fn circumstances(&self) -> Circumstances {
        let grants = match self {
            Self::Create(wanted) => wanted.grants(),
            Self::WriteRole { role, .. } => role.allowed_policies.clone(),
            _ => Vec::new(),
        };
        Circumstances { batch_size: 1, grants, ..Circumstances::default() }
    }
}

impl Wanted {
    /// The groups that are handed on by name. Those that are its maker's own are not: they are no more than the maker has.
    #[must_use]
    pub fn grants(&self) -> Vec<String> {
        let by_role = self.role.as_ref().and_then(|(_, role)| role.as_ref()).map(|role| role.allowed_policies.as_slice());
        match (&self.groups, by_role) {
            (Some(groups), _) => groups.clone(),
            (None, Some(allowed)) => allowed.to_vec(),
            (None, None) => Vec::new(),
        }
    }
}

/// There is one, and it cannot be mounted elsewhere.
const MOUNT: &str = "auth/token";
