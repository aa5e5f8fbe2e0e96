//! Roles of `auth/token`: what a token that is made by one may hold, and how long it lives.

use serde::{Deserialize, Serialize};

use super::life::Wish;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::members::Members;

/// The control row of kind `role` below `auth/token`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TokenRole {
    /// What a token may hold that is made by the role, and holds where nothing is asked for. Empty: what its maker holds.
    #[serde(default)]
    pub allowed_policies: Vec<String>,
    #[serde(default)]
    pub disallowed_policies: Vec<String>,
    #[serde(default)]
    pub orphan: bool,
    #[serde(default = "yes")]
    pub renewable: bool,
    #[serde(default)]
    pub explicit_max_ttl: u64,
    #[serde(default)]
    pub period: u64,
    #[serde(default)]
    pub no_default_policy: bool,
    #[serde(default)]
    pub path_suffix: String,
}

/// Members of Vault's roles that would narrow a token and that goldfin does not have.
const RESTRICTING: &[&str] = &[
    "bound_cidrs",
    "token_bound_cidrs",
    "token_num_uses",
    "allowed_policies_glob",
    "disallowed_policies_glob",
    "allowed_entity_aliases",
    "token_strictly_bind_ip",
];

impl TokenRole {
    pub(super) fn read(mut members: Members) -> Result<(Self, usize), Fault> {
        let seconds = |members: &mut Members, new: &'static str, old: &'static str| -> Result<u64, Fault> {
            let (new, old) = (members.duration(new)?, members.duration(old)?);
            Ok(new.or(old).map_or(0, |span| span.as_secs()))
        };
        let role = Self {
            allowed_policies: super::parse::groups(&mut members, "allowed_policies")?.unwrap_or_default(),
            disallowed_policies: members.words("disallowed_policies")?.unwrap_or_default(),
            orphan: members.flag("orphan")?.unwrap_or(false),
            renewable: members.flag("renewable")?.unwrap_or(true),
            explicit_max_ttl: seconds(&mut members, "token_explicit_max_ttl", "explicit_max_ttl")?,
            period: seconds(&mut members, "token_period", "period")?,
            no_default_policy: members.flag("token_no_default_policy")?.unwrap_or(false),
            path_suffix: members.word("path_suffix")?.unwrap_or_default(),
        };
        if !role.path_suffix.is_empty() && !crate::model::path::is_name(&role.path_suffix) {
            return Err(members.wrong("path_suffix", "must hold letters, digits and `._@+=:-` only"));
        }
        super::parse::only_service(&mut members, "token_type")?;
        let unknown = members.finish(RESTRICTING)?;
        Ok((role, unknown))
    }

    pub(super) fn view(&self, name: &str) -> Node {
        Node::object([
            ("allowed_entity_aliases", Node::List(Vec::new())),
            ("allowed_policies", Node::texts(self.allowed_policies.iter().cloned())),
            ("allowed_policies_glob", Node::List(Vec::new())),
            ("disallowed_policies", Node::texts(self.disallowed_policies.iter().cloned())),
            ("disallowed_policies_glob", Node::List(Vec::new())),
            ("explicit_max_ttl", whole(self.explicit_max_ttl)),
            ("name", Node::text(name)),
            ("orphan", Node::Bool(self.orphan)),
            ("path_suffix", Node::text(self.path_suffix.clone())),
            ("period", whole(self.period)),
            ("renewable", Node::Bool(self.renewable)),
            ("token_explicit_max_ttl", whole(self.explicit_max_ttl)),
            ("token_no_default_policy", Node::Bool(self.no_default_policy)),
            ("token_period", whole(self.period)),
            ("token_type", Node::text("service")),
        ])
    }

    /// Why the role does not give these groups; None where it does.
    pub(super) fn refusal(&self, groups: &[String]) -> Option<Fault> {
        let outside = !self.allowed_policies.is_empty() && groups.iter().any(|group| !self.allowed_policies.contains(group));
        let forbidden = groups.iter().any(|group| self.disallowed_policies.contains(group));
        (outside || forbidden).then(|| Fault::invalid("`policies` holds one that the role does not allow, see its `allowed_policies`"))
    }

    /// The caller's wish, narrowed.
    pub(super) fn narrow(&self, wish: Wish) -> Wish {
        let shorter = |a: u64, b: u64| if a == 0 || b == 0 { a.max(b) } else { a.min(b) };
        Wish {
            explicit_max_ttl: shorter(wish.explicit_max_ttl, self.explicit_max_ttl),
            period: if self.period > 0 { self.period } else { wish.period },
            ..wish
        }
    }
}

fn whole(number: u64) -> Node {
    Node::whole(i64::try_from(number).unwrap_or(i64::MAX))
}

fn yes() -> bool {
    true
}
