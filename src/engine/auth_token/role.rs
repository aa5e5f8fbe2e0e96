//! Roles of `auth/token`: what a token that is made by one may hold, and how long it lives.

use serde::{Deserialize, Serialize};

use super::life::Wish;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::members::Members;

/// The control row of kind `role` below `auth/token`.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// The role as it is after a write; members that the write does not name keep their values, as in Vault.
    pub(super) fn changed(mut self, mut members: Members) -> Result<(Self, usize), Fault> {
        if let Some(node) = members.take("allowed_policies") {
            // An empty list takes all away, which a missing one does not.
            let mut alone = Members::new(Node::Object(vec![("allowed_policies".to_owned(), node)]))?;
            self.allowed_policies = super::parse::groups(&mut alone, "allowed_policies")?.unwrap_or_default();
        }
        set(&mut self.disallowed_policies, members.words("disallowed_policies")?);
        set(&mut self.orphan, members.flag("orphan")?);
        set(&mut self.renewable, members.flag("renewable")?);
        set(&mut self.no_default_policy, members.flag("token_no_default_policy")?);
        set(&mut self.path_suffix, members.word("path_suffix")?);
        for (old, new, seconds) in
            [("explicit_max_ttl", "token_explicit_max_ttl", &mut self.explicit_max_ttl), ("period", "token_period", &mut self.period)]
        {
            let (old, new) = (members.duration(old)?, members.duration(new)?);
            set(seconds, new.or(old).map(|span| span.as_secs()));
        }
        if !self.path_suffix.is_empty() && !crate::model::path::is_name(&self.path_suffix) {
            return Err(members.wrong("path_suffix", "must hold letters, digits and `._@+=:-` only"));
        }
        super::parse::only_service(&mut members, "token_type")?;
        let unknown = members.finish(RESTRICTING)?;
        Ok((self, unknown))
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

fn set<T>(place: &mut T, read: Option<T>) {
    if let Some(read) = read {
        *place = read;
    }
}

impl Default for TokenRole {
    fn default() -> Self {
        Self {
            allowed_policies: Vec::new(),
            disallowed_policies: Vec::new(),
            orphan: false,
            renewable: true,
            explicit_max_ttl: 0,
            period: 0,
            no_default_policy: false,
            path_suffix: String::new(),
        }
    }
}
