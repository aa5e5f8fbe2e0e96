//! The policies in force, and the decision. One function decides for requests, capabilities and explanations alike.

use std::sync::Arc;

use arc_swap::ArcSwap;
use cedar_policy::{AuthorizationError, Decision as Answer, Response};

use super::asked::Asked;
use super::authorized::{Authorized, Denied};
use super::compile::{Compiled, Slice};
use super::decision::{Because, Decision};
use super::entities::{self, Unbuildable};
use super::remembered::Question;
use crate::auth::principal::Principal;
use crate::model::action::Action;
use crate::model::clock::Timestamp;
use crate::model::operation::{About, Circumstances, Operation, Resource, ResourceKind};
use crate::store::auth_token::ROOT_GROUP;

/// The set in force. Replacing it changes every decision from then on; a decision that has begun keeps the set that it began with.
#[derive(Debug)]
pub struct Rules {
    current: ArcSwap<Compiled>,
}

impl Rules {
    #[must_use]
    pub fn new(compiled: Compiled) -> Self {
        Self { current: ArcSwap::from_pointee(compiled) }
    }

    pub fn replace(&self, compiled: Compiled) {
        self.current.store(Arc::new(compiled));
    }

    #[must_use]
    pub fn current(&self) -> Arc<Compiled> {
        self.current.load_full()
    }

    /// The one way to a permit. The operation is asked once for what it does and to what.
    pub fn authorize<Op: Operation>(&self, who: Arc<Principal>, op: Op, now: Timestamp) -> Result<Authorized<Op>, Denied<Op>> {
        let (asked, about, parts) = (Asked::from(&*who), About::of(&op), op.parts());
        let About { action, resource, circumstances } = &about;
        if parts.is_empty() {
            let decision = self.decide(&asked, *action, resource, circumstances, now);
            return Authorized::permitted((op, about), who, decision, Box::default());
        }
        let current = self.current.load();
        let decisions: Vec<Decision> = parts.iter().map(|part| current.decide(&asked, *action, part, circumstances, now)).collect();
        let allowed: Box<[bool]> = decisions.iter().map(|decision| decision.allowed).collect();
        Authorized::permitted((op, about), who, together(decisions).unwrap_or_else(|| current.refusal(Because::NonePermits)), allowed)
    }

    #[must_use]
    pub fn decide(&self, who: &Asked<'_>, action: Action, resource: &Resource, circumstances: &Circumstances, now: Timestamp) -> Decision {
        self.current.load().decide(who, action, resource, circumstances, now)
    }
}

impl Compiled {
    /// What Cedar says, and the two rules about handing on groups that Cedar cannot say.
    #[must_use]
    pub fn decide(&self, who: &Asked<'_>, action: Action, resource: &Resource, circumstances: &Circumstances, now: Timestamp) -> Decision {
        if circumstances.grants.iter().any(|group| group.trim().eq_ignore_ascii_case(ROOT_GROUP)) {
            return self.refusal(Because::GrantNotHeld);
        }
        let decision = self.evaluate(who, action, resource, circumstances, now);
        // What a login hands out was decided when its role was written.
        let hands_on_more = action != Action::Login && circumstances.grants.iter().any(|group| !who.groups.contains(group));
        if !decision.allowed || !hands_on_more {
            return decision;
        }
        let alone = Circumstances { batch_size: 1, ..Circumstances::default() };
        let wider = self.evaluate(who, Action::WritePolicies, &Resource::new(ResourceKind::Policy, "*"), &alone, now);
        if !wider.allowed {
            return self.refusal(Because::GrantNotHeld);
        }
        let mut policies = decision.policies;
        policies.extend(wider.policies);
        policies.sort_unstable();
        policies.dedup();
        Decision { policies, ..decision }
    }

    fn evaluate(&self, who: &Asked<'_>, action: Action, resource: &Resource, circumstances: &Circumstances, now: Timestamp) -> Decision {
        let question = Question::new(who, action, resource, circumstances);
        if let Some(decision) = self.remembered.answer(&question) {
            return decision;
        }
        let Ok((response, slice)) = self.respond(who, action, resource, circumstances, now) else {
            return Decision { errors: 1, ..self.refusal(Because::EvaluationError) };
        };
        let decision = self.decision(&response);
        if !slice.reads.has("now") {
            self.remembered.keep(question, &decision);
        }
        decision
    }

    /// Cedar's answer over the slice, and the slice.
    pub(super) fn respond(
        &self,
        who: &Asked<'_>,
        action: Action,
        resource: &Resource,
        circumstances: &Circumstances,
        now: Timestamp,
    ) -> Result<(Response, Arc<Slice>), Unbuildable> {
        let principal = self.vocabulary.principal(who)?;
        let target = self.vocabulary.resource(action, resource)?;
        let slice = self.slice(&principal.anchors, action, &target.anchors).ok_or(Unbuildable)?;
        let action = self.vocabulary.action(action)?;
        let (request, entities) = entities::question(action, (who, principal), (resource, target), circumstances, now, slice.reads)?;
        Ok((self.authorizer.is_authorized(&request, &slice.policies, &entities), slice))
    }

    fn decision(&self, response: &Response) -> Decision {
        let diagnostics = response.diagnostics();
        let mut policies: Vec<Arc<str>> = diagnostics.reason().map(|id| Arc::from(AsRef::<str>::as_ref(id))).collect();
        let erring: Vec<Arc<str>> = diagnostics.errors().map(erring_id).collect();
        let errors = erring.len();
        let because = match response.decision() {
            _ if errors > 0 => Because::EvaluationError,
            Answer::Allow => Because::Permitted,
            Answer::Deny if policies.is_empty() => Because::NonePermits,
            Answer::Deny => Because::Forbidden,
        };
        if errors > 0 {
            policies = erring;
        }
        policies.sort_unstable();
        Decision { allowed: because == Because::Permitted, because, policies, errors, set_hash: self.set_hash() }
    }

    fn refusal(&self, because: Because) -> Decision {
        Decision { allowed: false, because, policies: Vec::new(), errors: 0, set_hash: self.set_hash() }
    }
}

/// What is said of several decisions: permitted where one is, with the policies that permit; else the first refusal.
fn together(decisions: Vec<Decision>) -> Option<Decision> {
    let first_allowed = decisions.iter().position(|decision| decision.allowed);
    let mut policies: Vec<Arc<str>> =
        decisions.iter().filter(|decision| decision.allowed).flat_map(|decision| decision.policies.clone()).collect();
    policies.sort_unstable();
    policies.dedup();
    let decision = decisions.into_iter().nth(first_allowed.unwrap_or(0))?;
    Some(if decision.allowed { Decision { policies, ..decision } } else { decision })
}

fn erring_id(error: &AuthorizationError) -> Arc<str> {
    let AuthorizationError::PolicyEvaluationError(error) = error;
    Arc::from(AsRef::<str>::as_ref(error.policy_id()))
}

#[cfg(test)]
mod tests {
    use super::super::source::PolicySource;
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_micros(1_700_000_000_000_000);

    fn compiled(policies: &[(&str, &str)]) -> Compiled {
        let sources: Vec<PolicySource> =
            policies.iter().map(|(name, text)| PolicySource { name: (*name).to_owned(), text: (*text).to_owned() }).collect();
        Compiled::new(&sources).expect("the policies of the test are right")
    }

    fn groups(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn one() -> Circumstances {
        Circumstances { batch_size: 1, ..Circumstances::default() }
    }

    fn secret(tail: &str) -> Resource {
        Resource::within(ResourceKind::Secret, "secret", tail)
    }

    #[test]
    fn nothing_is_permitted_unless_a_policy_says_so() {
        let set = compiled(&[]);
        let held = groups(&["app"]);
        let decision = set.decide(&Asked::account("svc", &held), Action::ReadSecret, &secret("app/db"), &one(), NOW);
        assert_eq!((decision.allowed, decision.because), (false, Because::NonePermits));
        assert!(decision.policies.is_empty());
        assert_eq!(decision.set_hash, set.set_hash());
    }

    #[test]
    fn forbid_wins_and_is_named() {
        let set = compiled(&[
            ("app", r#"permit(principal in Group::"app", action == Action::"read_secret", resource in Folder::"secret/app");"#),
            ("narrow", r#"@id("no-prod") forbid(principal, action, resource in Folder::"secret/app/prod");"#),
        ]);
        let held = groups(&["app"]);
        let asked = Asked::account("svc", &held);
        let near = set.decide(&asked, Action::ReadSecret, &secret("app/db"), &one(), NOW);
        assert_eq!((near.because, near.policies), (Because::Permitted, vec!["app#1".into()]));
        let far = set.decide(&asked, Action::ReadSecret, &secret("app/prod/db"), &one(), NOW);
        assert_eq!((far.because, far.policies), (Because::Forbidden, vec!["narrow#no-prod".into()]));
        assert!(!set.decide(&asked, Action::ReadSecret, &secret("application"), &one(), NOW).allowed);
        assert!(!set.decide(&asked, Action::WriteSecret, &secret("app/db"), &one(), NOW).allowed);
    }

    #[test]
    fn an_evaluation_error_is_a_denial() {
        let set = compiled(&[(
            "overflow",
            r#"forbid(principal, action == Action::"decode", resource) when { context.batch_size * 9223372036854775807 < 0 };
               permit(principal in Group::"app", action == Action::"decode", resource);"#,
        )]);
        let held = groups(&["app", "root"]);
        let many = Circumstances { batch_size: 2, ..one() };
        let ssn = Resource::within(ResourceKind::Transformation, "transform", "ssn");
        let decision = set.decide(&Asked::account("svc", &held), Action::Decode, &ssn, &many, NOW);
        assert_eq!((decision.allowed, decision.because, decision.errors), (false, Because::EvaluationError, 1));
        assert_eq!(decision.policies, vec!["overflow#1".into()]);
        assert!(set.decide(&Asked::account("svc", &held), Action::Decode, &ssn, &one(), NOW).allowed);
    }

    #[test]
    fn strangers_and_jobs_stay_inside_the_base() {
        let set = compiled(&[("open", "permit(principal, action, resource);")]);
        for action in Action::ALL {
            let target = Resource::new(ResourceKind::Server, "server");
            let stranger = set.decide(&Asked::anonymous(None), *action, &target, &one(), NOW);
            let open =
                [Action::Login, Action::Init, Action::Unseal, Action::ReadSealStatus, Action::ReadServerStatus, Action::WitnessCheckpoint];
            let known = open.contains(action);
            assert_eq!(stranger.allowed, known, "{action}");
            let job = set.decide(&Asked::job("expiry"), *action, &target, &one(), NOW);
            let own = matches!(action, Action::RunJob | Action::RotateKeys | Action::ReadKeyStatus | Action::RotateSetting);
            assert_eq!(job.allowed, own, "{action}");
        }
    }

    #[test]
    fn nobody_hands_on_a_group_that_is_not_theirs() {
        let set = compiled(&[(
            "lead",
            r#"permit(principal in Group::"lead", action in [Action::"create_auth_token", Action::"login"], resource);
               permit(principal in Group::"boss", action in [Action::"create_auth_token", Action::"write_policies"], resource);"#,
        )]);
        let child = Resource::new(ResourceKind::AuthToken, "create");
        let granting = |held: &[&str], grants: &[&str]| {
            let held = groups(held);
            let circumstances = Circumstances { grants: groups(grants), ..one() };
            set.decide(&Asked::account("svc", &held), Action::CreateAuthToken, &child, &circumstances, NOW).because
        };
        assert_eq!(granting(&["lead", "x"], &["x"]), Because::Permitted);
        assert_eq!(granting(&["lead", "x"], &["x", "y"]), Because::GrantNotHeld);
        assert_eq!(granting(&["lead"], &["LEAD"]), Because::GrantNotHeld);
        assert_eq!(granting(&["boss"], &["y"]), Because::Permitted);
        assert_eq!(granting(&["x"], &["x"]), Because::NonePermits);
        assert_eq!(granting(&["root"], &["y"]), Because::Permitted);
        for root in ["root", "ROOT", " root", "Root "] {
            assert_eq!(granting(&["root"], &[root]), Because::GrantNotHeld, "{root:?}");
        }
        let role = Circumstances { grants: groups(&["y"]), ..one() };
        let mount = Resource::new(ResourceKind::Mount, "auth/jwt");
        assert!(set.decide(&Asked::anonymous(None), Action::Login, &mount, &role, NOW).allowed);
        let to_root = Circumstances { grants: groups(&["root"]), ..one() };
        assert!(!set.decide(&Asked::anonymous(None), Action::Login, &mount, &to_root, NOW).allowed);
    }

    #[test]
    fn names_with_syntax_stay_data() {
        let set = compiled(&[
            ("app", r#"permit(principal in Group::"app", action, resource in Folder::"secret/app");"#),
            (
                "own",
                r#"permit(principal in Group::"own", action, resource in Mount::"secret") when { resource has top && resource.top == principal.name };"#,
            ),
        ]);
        for odd in ["*", "app\"", "\") || true || principal == Account::\"", "app\\", "app,root", "+", "a/*", "Group::\"app\"", "\u{0}"] {
            let held = groups(&[odd]);
            for target in [secret("app/db"), secret(odd), secret(&format!("{odd}/db"))] {
                let decision = set.decide(&Asked::account(odd, &held), Action::ReadSecret, &target, &one(), NOW);
                assert_eq!(decision.because, Because::NonePermits, "{odd:?}");
            }
            let own = groups(&["own"]);
            assert!(
                set.decide(&Asked::account(odd, &own), Action::ReadSecret, &secret(&format!("{odd}/db")), &one(), NOW).allowed
                    != odd.contains('/')
            );
            assert!(!set.decide(&Asked::account(odd, &own), Action::ReadSecret, &secret("app/db"), &one(), NOW).allowed);
        }
    }

    #[test]
    fn circumstances_count() {
        let set = compiled(&[(
            "vetassist",
            r#"permit(principal in Group::"vetassist", action == Action::"decode", resource in Mount::"transform") when {
                 resource has class && ["name", "phone"].contains(resource.class)
                 && context has purpose && ["claims", "support"].contains(context.purpose)
                 && context.batch_size <= 100
                 && context has peer && context.peer.isInRange(ip("10.1.0.0/16"))
                 && context.now < datetime("2030-01-01")
               };"#,
        )]);
        let held = groups(&["vetassist"]);
        let decode = |class: &str, purpose: Option<&str>, batch_size: u64, peer: &str, now: Timestamp| {
            let target = Resource::within(ResourceKind::Transformation, "transform", "t").with_class(Some(class.to_owned()));
            let circumstances = Circumstances { purpose: purpose.map(str::to_owned), batch_size, grants: Vec::new() };
            let asked = Asked::account("backend", &held).from_peer(peer.parse().expect("address"));
            set.decide(&asked, Action::Decode, &target, &circumstances, now).allowed
        };
        assert!(decode("name", Some("claims"), 100, "10.1.2.3", NOW));
        assert!(decode("phone", Some("support"), 1, "::ffff:10.1.2.3", NOW));
        assert!(!decode("ssn", Some("claims"), 1, "10.1.2.3", NOW));
        assert!(!decode("name", None, 1, "10.1.2.3", NOW));
        assert!(!decode("name", Some("Claims"), 1, "10.1.2.3", NOW));
        assert!(!decode("name", Some("claims"), 101, "10.1.2.3", NOW));
        assert!(!decode("name", Some("claims"), u64::MAX, "10.1.2.3", NOW));
        assert!(!decode("name", Some("claims"), 1, "10.2.2.3", NOW));
        assert!(!decode("name", Some("claims"), 1, "10.1.2.3", Timestamp::from_unix_micros(1_900_000_000_000_000)));
    }

    #[test]
    fn what_looks_at_the_moment_is_decided_each_time() {
        let until = |policy: &str| compiled(&[("until", policy)]);
        let held = groups(&["app"]);
        let later = Timestamp::from_unix_micros(1_900_000_000_000_000);
        let asked = |set: &Compiled, now| set.decide(&Asked::account("svc", &held), Action::ReadSecret, &secret("a"), &one(), now).allowed;
        let ends = until(r#"permit(principal in Group::"app", action, resource) when { context.now < datetime("2030-01-01") };"#);
        assert!(asked(&ends, NOW) && asked(&ends, NOW) && !asked(&ends, later) && asked(&ends, NOW));
        let begins = until(
            r#"permit(principal in Group::"app", action, resource);
               forbid(principal, action, resource) when { context has now && context.now > datetime("2030-01-01") };"#,
        );
        assert!(asked(&begins, NOW) && !asked(&begins, later) && asked(&begins, NOW) && !asked(&begins, later));
    }

    #[test]
    fn a_replaced_set_decides_from_then_on() {
        let rules = Rules::new(compiled(&[("app", r#"permit(principal in Group::"app", action, resource);"#)]));
        let held = groups(&["app"]);
        let asked = Asked::account("svc", &held);
        assert!(rules.decide(&asked, Action::ReadSecret, &secret("a"), &one(), NOW).allowed);
        let before = rules.current().set_hash();
        rules.replace(compiled(&[]));
        assert!(!rules.decide(&asked, Action::ReadSecret, &secret("a"), &one(), NOW).allowed);
        assert_ne!(rules.current().set_hash(), before);
    }

    /// Touches several mounts at once.
    #[derive(Debug)]
    struct Several(Vec<&'static str>);

    impl Operation for Several {
        fn action(&self) -> Action {
            Action::Login
        }

        fn resource(&self) -> Resource {
            Resource::new(ResourceKind::Mount, self.0.join(","))
        }

        fn parts(&self) -> Vec<Resource> {
            self.0.iter().map(|mount| Resource::new(ResourceKind::Mount, *mount)).collect()
        }
    }

    #[test]
    fn each_part_is_decided_by_itself() {
        let rules =
            Rules::new(compiled(&[("no", r#"@id("b") forbid(principal, action == Action::"login", resource == Mount::"auth/b");"#)]));
        let stranger = || Arc::new(crate::auth::authenticator::stranger(None));
        let permit = rules.authorize(stranger(), Several(vec!["auth/a", "auth/b", "auth/c"]), NOW).expect("a part is permitted");
        assert_eq!([0, 1, 2, 3].map(|part| permit.permits(part)), [true, false, true, false]);
        assert_eq!(permit.decision().because, Because::Permitted);
        let denied = rules.authorize(stranger(), Several(vec!["auth/b"]), NOW).expect_err("no part is permitted");
        assert_eq!((denied.decision().because, &denied.decision().policies), (Because::Forbidden, &vec!["no#b".into()]));
        let whole = rules.authorize(stranger(), Several(Vec::new()), NOW).expect("the resource itself is permitted");
        assert!(whole.permits(0) && whole.permits(7));
    }
}
