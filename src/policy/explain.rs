//! Answers to operators: would this account be allowed, because of what; who may do this; what may I do here. They run the very
//! function that decides requests, and grant nothing.

use std::fmt;
use std::sync::Arc;

use cedar_policy::Effect;

use super::asked::Asked;
use super::compile::Compiled;
use super::decision::{Because, Decision};
use crate::model::action::Action;
use crate::model::clock::Timestamp;
use crate::model::operation::{Circumstances, Resource};
use crate::store::auth_token::ROOT_GROUP;

/// A decision with the text of what decided. For operators: a stranger learns no more than that it was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub allowed: bool,
    pub because: Because,
    /// The statements that decided.
    pub policies: Vec<Deciding>,
    /// How many statements could have applied and were evaluated.
    pub evaluated: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deciding {
    pub id: Arc<str>,
    /// `permit` or `forbid`
    pub effect: &'static str,
    pub text: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.allowed { "allowed" } else { "denied" };
        writeln!(f, "{verdict}: {} ({} statements could apply)", self.because, self.evaluated)?;
        for deciding in &self.policies {
            writeln!(f, "\n{} ({}):", deciding.id, deciding.effect)?;
            for line in deciding.text.lines() {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }
}

/// An account that may do what was asked about, and the statements that permit it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub account: String,
    pub policies: Vec<Arc<str>>,
}

/// What a word of Vault's capabilities stands for at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Possibility {
    /// `read`, `list`, `create`, `update`, `patch`, `delete`, `sudo`
    pub capability: &'static str,
    pub action: Action,
    pub resource: Resource,
}

impl Compiled {
    #[must_use]
    pub fn explain(
        &self,
        asked: &Asked<'_>,
        action: Action,
        resource: &Resource,
        circumstances: &Circumstances,
        now: Timestamp,
    ) -> Explanation {
        let decision = self.decide(asked, action, resource, circumstances, now);
        let evaluated = self.respond(asked, action, resource, circumstances, now).map_or(0, |(_, slice)| slice.count);
        let policies = decision.policies.iter().filter_map(|id| self.deciding(id)).collect();
        Explanation { allowed: decision.allowed, because: decision.because, policies, evaluated }
    }

    /// Which of `accounts` may do it, in the order in which they came.
    #[must_use]
    pub fn who(
        &self,
        accounts: &[Asked<'_>],
        action: Action,
        resource: &Resource,
        circumstances: &Circumstances,
        now: Timestamp,
    ) -> Vec<Holder> {
        let holder = |asked: &Asked<'_>| match self.decide(asked, action, resource, circumstances, now) {
            Decision { allowed: true, policies, .. } => Some(Holder { account: asked.name().to_owned(), policies }),
            _ => None,
        };
        accounts.iter().filter_map(holder).collect()
    }

    /// Vault's words for what `asked` may do at a path, sorted: `root` alone for the root group, `deny` alone for nothing. Decided
    /// for one value and without a purpose, so what a policy ties to a purpose does not count.
    #[must_use]
    pub fn capabilities(&self, asked: &Asked<'_>, possible: &[Possibility], now: Timestamp) -> Vec<&'static str> {
        if asked.groups.iter().any(|group| group == ROOT_GROUP) {
            return vec!["root"];
        }
        let alone = Circumstances { batch_size: 1, ..Circumstances::default() };
        let allowed = |may: &&Possibility| self.decide(asked, may.action, &may.resource, &alone, now).allowed;
        let mut words: Vec<&'static str> = possible.iter().filter(allowed).map(|may| may.capability).collect();
        words.sort_unstable();
        words.dedup();
        if words.is_empty() { vec!["deny"] } else { words }
    }

    fn deciding(&self, id: &str) -> Option<Deciding> {
        let statement = self.statements.iter().find(|statement| &*statement.id == id)?;
        let effect = match statement.policy.effect() {
            Effect::Permit => "permit",
            Effect::Forbid => "forbid",
        };
        Some(Deciding { id: Arc::clone(&statement.id), effect, text: statement.policy.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::PolicySource;
    use super::*;
    use crate::model::operation::ResourceKind;

    const NOW: Timestamp = Timestamp::from_unix_micros(1_700_000_000_000_000);

    fn app() -> Compiled {
        let text = r#"permit(principal in Group::"app", action in [Action::"read_secret", Action::"list_secrets"], resource in Folder::"secret/app");"#;
        Compiled::new(&[PolicySource { name: "app".to_owned(), text: text.to_owned() }]).expect("compiles")
    }

    fn one() -> Circumstances {
        Circumstances { batch_size: 1, ..Circumstances::default() }
    }

    #[test]
    fn an_explanation_shows_what_decided() {
        let groups = ["app".to_owned()];
        let target = Resource::within(ResourceKind::Secret, "secret", "app/db");
        let shown = app().explain(&Asked::account("svc", &groups), Action::ReadSecret, &target, &one(), NOW);
        assert!(shown.allowed && shown.evaluated == 1);
        let text = shown.to_string();
        assert!(text.starts_with("allowed: ") && text.contains("app#1 (permit)") && text.contains("secret/app"), "{text}");
        let shown = app().explain(&Asked::account("svc", &[]), Action::ReadSecret, &target, &one(), NOW);
        assert_eq!((shown.allowed, shown.because, shown.policies.len(), shown.evaluated), (false, Because::NonePermits, 0, 0));
    }

    #[test]
    fn who_lists_those_that_may() {
        let (app_groups, other) = (["app".to_owned()], ["other".to_owned()]);
        let accounts = [Asked::account("a", &app_groups), Asked::account("b", &other), Asked::anonymous(None)];
        let target = Resource::within(ResourceKind::Secret, "secret", "app/db");
        let holders = app().who(&accounts, Action::ReadSecret, &target, &one(), NOW);
        assert_eq!(holders, [Holder { account: "a".to_owned(), policies: vec!["app#1".into()] }]);
    }

    #[test]
    fn capabilities_are_vaults_words() {
        let target = Resource::within(ResourceKind::Secret, "secret", "app/db");
        let possible = [
            Possibility { capability: "read", action: Action::ReadSecret, resource: target.clone() },
            Possibility { capability: "create", action: Action::WriteSecret, resource: target.clone() },
            Possibility { capability: "list", action: Action::ListSecrets, resource: target },
        ];
        let words = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            app().capabilities(&Asked::account("svc", &groups), &possible, NOW)
        };
        assert_eq!(words(&["app"]), ["list", "read"]);
        assert_eq!(words(&["other"]), ["deny"]);
        assert_eq!(words(&["root", "app"]), ["root"]);
    }
}
