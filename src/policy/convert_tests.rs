//! The converter against what Vault documents: which path decides, and that nothing is wider in Cedar than it was.

use super::asked::Asked;
use super::compile::Compiled;
use super::convert::{USUAL_MOUNTS, convert};
use super::source::{PolicySource, concerns_only_group};
use crate::model::action::Action;
use crate::model::clock::Timestamp;
use crate::model::operation::{Circumstances, Resource, ResourceKind};

const NOW: Timestamp = Timestamp::from_unix_micros(1_700_000_000_000_000);

fn compiled(hcl: &str) -> (Compiled, usize) {
    let converted = convert("app", hcl, USUAL_MOUNTS).expect("reads");
    assert_eq!(concerns_only_group(&converted.cedar, "app"), Ok(true));
    let source = PolicySource { name: "app".to_owned(), text: converted.cedar.clone() };
    let set = Compiled::new(&[source]).unwrap_or_else(|error| panic!("{error}\n{hcl}\n{}", converted.cedar));
    (set, converted.unexpressed.len())
}

fn may(set: &Compiled, action: Action, resource: &Resource) -> bool {
    let groups = ["app".to_owned()];
    let one = Circumstances { batch_size: 1, ..Circumstances::default() };
    set.decide(&Asked::account("svc", &groups), action, resource, &one, NOW).allowed
}

fn secret(tail: &str) -> Resource {
    Resource::within(ResourceKind::Secret, "secret", tail)
}

#[test]
fn common_policies_are_converted() {
    let (set, lost) = compiled(
        r#"
        path "secret/data/app/*" { capabilities = ["create", "read", "update"] }
        path "secret/metadata/app/*" { capabilities = ["list", "read"] }
        path "secret/data/shared" { capabilities = ["read"] }
        path "secret/data/te*" { capabilities = ["read"] }
        path "secret/data/+/public" { capabilities = ["read"] }
        path "transform/encode/*" { capabilities = ["update"] }
        path "auth/jwt/role/*" { capabilities = ["read", "list"] }
        path "sys/policies/acl/app" { capabilities = ["read"] }
        path "sys/mounts" { capabilities = ["read"] }
        path "sys/seal" { capabilities = ["update", "sudo"] }
        "#,
    );
    assert_eq!(lost, 0);
    assert!(may(&set, Action::ReadSecret, &secret("app/a/b")) && may(&set, Action::WriteSecret, &secret("app/a")));
    assert!(!may(&set, Action::ReadSecret, &secret("app")) && !may(&set, Action::DeleteSecret, &secret("app/a")));
    assert!(may(&set, Action::ListSecrets, &secret("app")) && !may(&set, Action::ListSecrets, &secret("")));
    assert!(may(&set, Action::ReadSecret, &secret("shared")) && !may(&set, Action::ReadSecret, &secret("shared/a")));
    assert!(may(&set, Action::ReadSecret, &secret("team/x")) && !may(&set, Action::ReadSecret, &secret("t")));
    assert!(may(&set, Action::ReadSecret, &secret("x/public")) && !may(&set, Action::ReadSecret, &secret("x/y/public")));
    let phone = Resource::within(ResourceKind::Transformation, "transform", "phone");
    assert!(may(&set, Action::Encode, &phone) && !may(&set, Action::Decode, &phone));
    assert!(may(&set, Action::ReadSetting, &Resource::within(ResourceKind::Setting, "auth/jwt", "role/x")));
    assert!(may(&set, Action::ListSettings, &Resource::within(ResourceKind::Setting, "auth/jwt", "role")));
    assert!(!may(&set, Action::ReadSetting, &Resource::within(ResourceKind::Setting, "auth/jwt", "config")));
    assert!(may(&set, Action::ReadPolicy, &Resource::new(ResourceKind::Policy, "app")));
    assert!(may(&set, Action::ListMounts, &Resource::new(ResourceKind::Mount, "*")));
    assert!(may(&set, Action::Seal, &Resource::new(ResourceKind::Server, "server")));
}

#[test]
fn settings_of_transformations_are_found_by_every_path() {
    let setting = |tail: &str| Resource::within(ResourceKind::Setting, "transform", tail);
    let (set, lost) = compiled(
        r#"
        path "transform/transformation/one" { capabilities = ["create", "read", "update"] }
        path "transform/transformation" { capabilities = ["list"] }
        path "transform/transformations/fpe/two" { capabilities = ["read", "delete"] }
        path "transform/transformations/masking/*" { capabilities = ["read", "list"] }
        path "transform/tokenization/keys/one" { capabilities = ["read"] }
        path "transform/transformations/tokenization/keys/" { capabilities = ["list"] }
        "#,
    );
    assert_eq!(lost, 0);
    for kind in ["tokenization", "fpe", "masking"] {
        let one = setting(&format!("transformations/{kind}/one"));
        assert!(may(&set, Action::ReadSetting, &one) && may(&set, Action::WriteSetting, &one) && !may(&set, Action::DeleteSetting, &one));
        assert_eq!(may(&set, Action::DeleteSetting, &setting(&format!("transformations/{kind}/two"))), kind == "fpe");
        assert_eq!(may(&set, Action::ReadSetting, &setting(&format!("transformations/{kind}/three"))), kind == "masking");
    }
    assert!(
        may(&set, Action::ListSettings, &setting("transformations"))
            && may(&set, Action::ListSettings, &setting("transformations/masking"))
    );
    assert!(!may(&set, Action::ListSettings, &setting("transformations/fpe")));
    assert!(
        may(&set, Action::ReadSetting, &setting("tokenization/keys/one")) && may(&set, Action::ListSettings, &setting("tokenization/keys"))
    );
    assert!(!may(&set, Action::RotateSetting, &setting("tokenization/keys/one")) && !may(&set, Action::ReadSetting, &setting("role/one")));

    // One act on a key brings the others, which is said; a folder does not.
    let (set, lost) = compiled(r#"path "transform/tokenization/keys/one/rotate" { capabilities = ["update"] }"#);
    assert_eq!(lost, 1);
    assert!(
        may(&set, Action::RotateSetting, &setting("tokenization/keys/one"))
            && !may(&set, Action::ReadSetting, &setting("tokenization/keys/one"))
    );
    let (set, lost) = compiled(
        r#"path "transform/transformation/*" { capabilities = ["create", "read", "update", "list"] }
           path "transform/transformation/kept" { capabilities = ["deny"] }
           path "transform/transformation/shown" { capabilities = ["read"] }
           path "transform/tokenization/keys/*" { capabilities = ["update"] }"#,
    );
    assert_eq!(lost, 0);
    for kind in ["tokenization", "fpe", "masking"] {
        let of = |name: &str| setting(&format!("transformations/{kind}/{name}"));
        assert!(may(&set, Action::WriteSetting, &of("any")) && !may(&set, Action::ReadSetting, &of("kept")));
        assert!(may(&set, Action::ReadSetting, &of("shown")) && !may(&set, Action::WriteSetting, &of("shown")));
    }
    assert!(
        may(&set, Action::ListSettings, &setting("transformations")) && may(&set, Action::RotateSetting, &setting("tokenization/keys/a"))
    );
    for nowhere in ["transformations/one", "transformations/fpe/a/b", "transformation/a/b", "tokenization/keys/a/destroy"] {
        let (set, lost) = compiled(&format!(r#"path "transform/{nowhere}" {{ capabilities = ["create", "read", "update"] }}"#));
        assert!(lost > 0 && !may(&set, Action::ReadSetting, &setting(nowhere)), "{nowhere}");
    }
}

#[test]
fn what_cannot_be_said_is_reported() {
    for hcl in [
        r#"path "secret/data/{{identity.entity.name}}/*" { capabilities = ["read"] }"#,
        r#"path "secret/data/+/db/*" { capabilities = ["read"] }"#,
        r#"path "transform/decode/claims" { capabilities = ["update"] }"#,
        r#"path "secret/data/app" { capabilities = ["create"] }"#,
        r#"path "secret/data/app" { capabilities = ["read", "subscribe"] }"#,
        r#"path "secret/data/app" { capabilities = ["read"] denied_parameters = { "a" = [] } }"#,
        r#"path "pki/issue/web" { capabilities = ["update"] }"#,
        r#"path "sys/mounts/*" { capabilities = ["read"] }"#,
        r#"path "auth/token/lookup-self" { capabilities = ["read"] }"#,
        r#"path "*" { capabilities = ["read"] }"#,
        r#"path "secret/delete/app" { capabilities = ["update"] }"#,
    ] {
        assert_eq!(compiled(hcl).1, 1, "{hcl}");
    }
}

#[test]
fn what_a_lost_path_narrowed_is_not_widened() {
    let (set, lost) = compiled(
        r#"path "secret/data/*" { capabilities = ["read"] }
           path "secret/data/{{identity.entity.name}}/*" { capabilities = ["deny"] }"#,
    );
    assert_eq!(lost, 2);
    assert!(!may(&set, Action::ReadSecret, &secret("app/a")));
    let (set, _) = compiled(
        r#"path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }
           path "transform/decode/claims" { capabilities = ["deny"] }"#,
    );
    assert!(!may(&set, Action::ReadSecret, &secret("app/a")));
    let (set, lost) = compiled(
        r#"path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }
           path "secret/data/prod/*" { capabilities = ["deny"] }"#,
    );
    assert_eq!(lost, 0);
    assert!(may(&set, Action::ReadSecret, &secret("app/a")) && !may(&set, Action::ReadSecret, &secret("prod/a")));
}

#[test]
fn paths_with_syntax_stay_data() {
    let (set, _) = compiled(r#"path "secret/data/a\"b\\*" { capabilities = ["read"] }  path "secret/data/*c" { capabilities = ["read"] }"#);
    assert!(may(&set, Action::ReadSecret, &secret("a\"b\\x")) && !may(&set, Action::ReadSecret, &secret("a")));
    assert!(may(&set, Action::ReadSecret, &secret("*c")) && !may(&set, Action::ReadSecret, &secret("xc")));
}

/// Vault's own rule, written down again: the best match decides alone.
mod vault {
    pub fn matches(pattern: &str, path: &str) -> bool {
        let (pattern, glob) = pattern.strip_suffix('*').map_or((pattern, false), |literal| (literal, true));
        let (wanted, given): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
        let fits = |wanted: &str, given: &str| wanted == given || (wanted == "+" && !given.is_empty());
        if !glob {
            return wanted.len() == given.len() && wanted.iter().zip(&given).all(|(wanted, given)| fits(wanted, given));
        }
        let (last, before) = wanted.split_last().expect("a segment");
        given.len() >= wanted.len()
            && before.iter().zip(&given).all(|(wanted, given)| fits(wanted, given))
            && given[before.len()].starts_with(last)
    }

    /// Whether `a` is of lower priority than `b`: the five rules of "Policy syntax: priority matching".
    pub fn is_lower(a: &str, b: &str) -> bool {
        let exact = |pattern: &str| !pattern.ends_with('*') && !pattern.split('/').any(|segment| segment == "+");
        if exact(a) != exact(b) {
            return exact(b);
        }
        let first = |pattern: &str| {
            let mut at = 0;
            for segment in pattern.split('/') {
                if segment == "+" {
                    return at;
                }
                at += segment.len() + 1;
            }
            if pattern.ends_with('*') { pattern.len() - 1 } else { usize::MAX }
        };
        let plus = |pattern: &str| pattern.split('/').filter(|segment| *segment == "+").count();
        (first(a), !a.ends_with('*'), std::cmp::Reverse(plus(a)), a.len(), a)
            < (first(b), !b.ends_with('*'), std::cmp::Reverse(plus(b)), b.len(), b)
    }
}

#[test]
fn random_policies_are_never_wider_than_in_vault() {
    let mut state = 7_u64;
    let mut roll = |sides: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((state >> 33) % sides as u64).expect("small")
    };
    let tails = ["*", "a*", "a/*", "a", "b/*", "a/b", "a/b/*", "+/b", "a/+", "+/+", "+/b/*", "ab", "a/b*", "+", "b/+/a"];
    let words = ["\"read\"", "\"create\", \"update\"", "\"delete\"", "\"deny\"", ""];
    let paths = ["a", "b", "ab", "a/a", "a/b", "b/b", "b/a", "a/b/a", "b/a/a", "a/ba", "ab/b", "b/b/b"];
    let checks = [(Action::ReadSecret, "read"), (Action::WriteSecret, "update"), (Action::DeleteSecret, "delete")];
    let (mut granted, mut exact) = (0, 0);
    for _ in 0..120 {
        let mut rules: Vec<(String, Vec<&str>)> = Vec::new();
        for _ in 0..=roll(4) {
            let pattern = format!("secret/data/{}", tails[roll(tails.len())]);
            if rules.iter().all(|(known, _)| *known != pattern) {
                rules.push((pattern, vec![words[roll(words.len())], words[roll(words.len())]]));
            }
        }
        let written = |(pattern, words): &(String, Vec<&str>)| {
            let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
            format!("path \"{pattern}\" {{ capabilities = [{}] }}", words.join(", "))
        };
        let hcl = rules.iter().map(written).collect::<Vec<_>>().join("\n");
        let (set, lost) = compiled(&hcl);
        for tail in paths {
            let path = format!("secret/data/{tail}");
            let mut best: Option<&(String, Vec<&str>)> = None;
            for rule in rules.iter().filter(|(pattern, _)| vault::matches(pattern, &path)) {
                best = Some(best.filter(|best| vault::is_lower(&rule.0, &best.0)).unwrap_or(rule));
            }
            for (action, word) in checks {
                let text = best.map(|(_, words)| words.join(",")).unwrap_or_default();
                let in_vault = text.contains(word) && !text.contains("deny");
                let here = may(&set, action, &secret(tail));
                assert!(in_vault || !here, "wider: {action} {tail}\n{hcl}");
                assert!(lost > 0 || here == in_vault, "other: {action} {tail}\n{hcl}");
                granted += usize::from(here);
                exact += usize::from(lost == 0 && here);
            }
        }
    }
    assert!(granted > 250 && exact > 150, "{granted} {exact}");
}
