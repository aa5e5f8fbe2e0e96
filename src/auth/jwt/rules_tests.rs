use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;

fn check(rules: &JwtRules, claims: &Value) -> Result<VerifiedClaims, JwtRefusal> {
    rules.check(claims.as_object().unwrap(), NOW)
}

fn rules() -> JwtRules {
    JwtRules {
        issuer: Some("https://issuer.test".into()),
        audiences: vec!["goldfin".into(), "vault".into()],
        user_claim: "sub".into(),
        ..JwtRules::default()
    }
}

fn claims(changes: &Value) -> Value {
    let mut claims = json!({"iss":"https://issuer.test","sub":"svc-a","aud":"goldfin","iat":NOW - 10,"exp":NOW + 600});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
    }
    claims
}

fn outcome(rules: &JwtRules, changes: &Value) -> Option<JwtRefusal> {
    check(rules, &claims(changes)).err()
}

#[test]
fn times_are_checked_against_the_given_clock() {
    use JwtRefusal::{Expired, Malformed, MissingExpiry, NotYetValid};
    for (changes, expected) in [
        (json!({}), None),
        (json!({"exp": NOW - 59}), None),
        (json!({"exp": NOW - 60}), Some(Expired)),
        (json!({"exp": NOW as f64 - 59.5}), Some(Expired)),
        (json!({"exp": NOW as f64 + 0.5}), None),
        (json!({"exp": 0}), Some(Expired)),
        (json!({"exp": NOW * 1000}), Some(Malformed)),
        (json!({"exp": -1}), Some(Malformed)),
        (json!({"exp": 1e300}), Some(Malformed)),
        (json!({"exp": (NOW + 600).to_string()}), Some(Malformed)),
        (json!({"exp": [NOW + 600]}), Some(Malformed)),
        (json!({"exp": true}), Some(Malformed)),
        (json!({"nbf": NOW + 60}), None),
        (json!({"nbf": NOW + 61}), Some(NotYetValid)),
        (json!({"nbf": NOW as f64 + 60.5}), Some(NotYetValid)),
        (json!({"nbf": "soon"}), Some(Malformed)),
        (json!({"iat": NOW + 60}), None),
        (json!({"iat": NOW + 61}), Some(NotYetValid)),
        (json!({"iat": null, "exp": NOW + 9_000_000}), None),
        (json!({"exp": null}), None),
        (json!({"exp": null, "iat": NOW - 209}), None),
        (json!({"exp": null, "iat": NOW - 210}), Some(Expired)),
        (json!({"exp": null, "iat": NOW - 5000, "nbf": NOW - 10}), None),
        (json!({"exp": null, "iat": null}), Some(MissingExpiry)),
    ] {
        assert_eq!(outcome(&rules(), &changes), expected, "{changes}");
    }
}

#[test]
fn leeways_and_age_can_be_tightened() {
    let strict =
        JwtRules { leeways: JwtLeeways { expiration: 0, not_before: Some(150), clock_skew: 0 }, max_age_seconds: Some(300), ..rules() };
    for (changes, expected) in [
        (json!({}), None),
        (json!({"exp": null}), Some(JwtRefusal::MissingExpiry)),
        (json!({"exp": NOW}), Some(JwtRefusal::Expired)),
        (json!({"nbf": NOW + 1}), Some(JwtRefusal::NotYetValid)),
        (json!({"iat": NOW - 300}), None),
        (json!({"iat": NOW - 301}), Some(JwtRefusal::TooOld)),
        (json!({"iat": null}), Some(JwtRefusal::NotYetValid)),
        (json!({"iat": null, "exp": NOW + 100}), Some(JwtRefusal::TooOld)),
    ] {
        assert_eq!(outcome(&strict, &changes), expected, "{changes}");
    }
}

#[test]
fn issuer_audience_and_subject_match_exactly() {
    use JwtRefusal::{WrongAudience, WrongIssuer, WrongSubject};
    let bound = JwtRules { subject: Some("svc-a".into()), ..rules() };
    for (changes, expected) in [
        (json!({"iss": "https://issuer.test/"}), Some(WrongIssuer)),
        (json!({"iss": "HTTPS://issuer.test"}), Some(WrongIssuer)),
        (json!({"iss": null}), Some(WrongIssuer)),
        (json!({"iss": ["https://issuer.test"]}), Some(WrongIssuer)),
        (json!({"aud": "vault"}), None),
        (json!({"aud": ["x", "vault"]}), None),
        (json!({"aud": ["x"]}), Some(WrongAudience)),
        (json!({"aud": []}), Some(WrongAudience)),
        (json!({"aud": ""}), Some(WrongAudience)),
        (json!({"aud": "Goldfin"}), Some(WrongAudience)),
        (json!({"aud": "goldfin "}), Some(WrongAudience)),
        (json!({"aud": ["goldfin", 1]}), Some(WrongAudience)),
        (json!({"aud": {"goldfin": true}}), Some(WrongAudience)),
        (json!({"aud": 1}), Some(WrongAudience)),
        (json!({"aud": null}), Some(WrongAudience)),
        (json!({"sub": "svc-b"}), Some(WrongSubject)),
        (json!({"sub": "SVC-A"}), Some(WrongSubject)),
        (json!({"sub": null}), Some(WrongSubject)),
        (json!({"sub": 1}), Some(WrongSubject)),
    ] {
        assert_eq!(outcome(&bound, &changes), expected, "{changes}");
    }
    let for_nobody = JwtRules { audiences: Vec::new(), subject: Some("svc-a".into()), ..rules() };
    assert_eq!(outcome(&for_nobody, &json!({})), Some(WrongAudience), "a token for someone, a role for nobody");
    assert_eq!(outcome(&for_nobody, &json!({"aud": []})), Some(WrongAudience));
    assert_eq!(outcome(&for_nobody, &json!({"aud": null})), None);
}

#[test]
fn bound_claims_match_by_type_and_value() {
    let case = |claim: &str, allowed: Value, glob: bool, value: Value| {
        let bound = BoundClaim { claim: claim.into(), allowed: allowed.as_array().unwrap().clone() };
        let rules = JwtRules { bound_claims: vec![bound], bound_claims_glob: glob, ..rules() };
        outcome(&rules, &json!({"env": value, "realm_access": {"roles": ["ops", "dev"]}})).is_none()
    };
    for (allowed, value, met) in [
        (json!(["prod"]), json!("prod"), true),
        (json!(["test", "prod"]), json!("prod"), true),
        (json!(["prod"]), json!(["x", "prod"]), true),
        (json!([true]), json!(true), true),
        (json!([7]), json!(7), true),
        (json!(["prod"]), json!("Prod"), false),
        (json!(["prod"]), json!("prod "), false),
        (json!(["prod"]), json!([]), false),
        (json!(["prod"]), json!([["prod"]]), false),
        (json!(["prod"]), json!({"prod": "prod"}), false),
        (json!(["prod"]), Value::Null, false),
        (json!(["true"]), json!(true), false),
        (json!([true]), json!("true"), false),
        (json!(["7"]), json!(7), false),
        (json!([7]), json!("7"), false),
        (json!([7]), json!(7.0), false),
        (json!([1]), json!(true), false),
        (json!(["*"]), json!("prod"), false),
        (json!([{"a": 1}]), json!({"a": 1}), false),
        (json!([null]), json!([null]), false),
        (json!([["prod"]]), json!([["prod"]]), false),
    ] {
        assert_eq!(case("env", allowed.clone(), false, value.clone()), met, "{allowed} {value}");
    }
    assert!(case("/realm_access/roles", json!(["dev"]), false, json!(1)));
    assert!(!case("/realm_access/roles", json!(["root"]), false, json!(1)));
    assert!(!case("realm_access", json!(["dev"]), false, json!(1)));
    for (allowed, value, met) in [
        (json!(["prod-*"]), json!("prod-7"), true),
        (json!(["*-7"]), json!(["x", "prod-7"]), true),
        (json!(["p*d-*7"]), json!("prod-77"), true),
        (json!(["prod"]), json!("prod"), true),
        (json!(["prod-*"]), json!("test-prod-7"), false),
        (json!(["*7"]), json!(7), false),
        (json!([7]), json!(7), false),
        (json!(["a*a"]), json!("a"), false),
        (json!(["a?c"]), json!("abc"), false),
    ] {
        assert_eq!(case("env", allowed.clone(), true, value.clone()), met, "{allowed} {value}");
    }
    let hostile = format!("{}b", "*a".repeat(200));
    assert!(!glob(&hostile, &"a".repeat(4000)));
}

#[test]
fn two_bound_claims_must_both_match() {
    let bound = |claim: &str, text: &str| BoundClaim { claim: claim.into(), allowed: vec![json!(text)] };
    let rules = JwtRules { bound_claims: vec![bound("a", "x"), bound("b", "y")], ..rules() };
    assert_eq!(outcome(&rules, &json!({"a": "x", "b": "y"})), None);
    assert_eq!(outcome(&rules, &json!({"a": "x", "b": "x"})), Some(JwtRefusal::WrongClaim));
    assert_eq!(outcome(&rules, &json!({"a": "x"})), Some(JwtRefusal::WrongClaim));
}

#[test]
fn only_valid_names_become_users() {
    let long = "u".repeat(128);
    for name in ["svc-a", "A.b_c@d+e=f:g-h", &long] {
        assert_eq!(check(&rules(), &claims(&json!({"sub": name}))).unwrap().user, name);
    }
    let too_long = "u".repeat(129);
    for name in ["", " root", "root ", "root/../x", "../root", "a b", "a\nb", "a\0", "ä", "a,b", "*", "a\"b", &too_long] {
        assert_eq!(outcome(&rules(), &json!({"sub": name})), Some(JwtRefusal::BadUser), "{name:?}");
    }
    let by_pointer = JwtRules { user_claim: "/account/login".into(), ..rules() };
    assert_eq!(check(&by_pointer, &claims(&json!({"account": {"login": "x"}}))).unwrap().user, "x");
    for account in [json!({"login": 7}), json!({"login": ["x"]}), json!("x"), json!({})] {
        assert_eq!(outcome(&by_pointer, &json!({"account": account})), Some(JwtRefusal::BadUser));
    }
}

#[test]
fn groups_and_metadata_are_plain_texts() {
    let rules = JwtRules {
        groups_claim: Some("groups".into()),
        claim_mappings: vec![("team".into(), "team".into()), ("/n/level".into(), "level".into())],
        ..rules()
    };
    let verified = check(&rules, &claims(&json!({"groups": ["/ops", "dev team"], "team": "blue", "n": {"level": 3}}))).unwrap();
    assert_eq!(verified.groups, ["/ops", "dev team"]);
    assert_eq!(verified.metadata.into_iter().collect::<Vec<_>>(), [("level".into(), "3".into()), ("team".into(), "blue".into())]);
    assert_eq!(check(&rules, &claims(&json!({"groups": "ops"}))).unwrap().groups, ["ops"]);
    let many: Vec<_> = (0..257).map(|at| at.to_string()).collect();
    for groups in [json!(null), json!(7), json!([7]), json!(["a", ["b"]]), json!(["a\nb"]), json!(["a\u{202e}b"]), json!([""]), json!(many)]
    {
        assert_eq!(outcome(&rules, &json!({"groups": groups})), Some(JwtRefusal::BadGroups), "{groups}");
    }
    for team in [json!(["a"]), json!({"a": 1}), json!("a\r\nb"), json!("a\u{2028}b"), json!(""), json!("x".repeat(513))] {
        assert_eq!(outcome(&rules, &json!({"groups": [], "team": team})), Some(JwtRefusal::BadMetadata), "{team}");
    }
}

#[test]
fn rules_that_any_token_meets_cannot_be_saved() {
    let claim = |allowed: Value| BoundClaim { claim: "env".into(), allowed: allowed.as_array().unwrap().clone() };
    let unbound = JwtRules { audiences: Vec::new(), ..rules() };
    assert_eq!(rules().validate(), Ok(()));
    assert_eq!(unbound.validate(), Err(RulesError::Unbound));
    assert_eq!(JwtRules { subject: Some("x".into()), ..unbound.clone() }.validate(), Ok(()));
    assert_eq!(JwtRules { bound_claims: vec![claim(json!(["x", 1, true]))], ..unbound.clone() }.validate(), Ok(()));
    assert_eq!(JwtRules { user_claim: String::new(), ..rules() }.validate(), Err(RulesError::NoUserClaim));
    assert_eq!(JwtRules { audiences: vec![String::new()], ..rules() }.validate(), Err(RulesError::EmptyBound));
    assert_eq!(JwtRules { subject: Some(String::new()), ..unbound.clone() }.validate(), Err(RulesError::EmptyBound));
    for (allowed, glob) in [
        (json!([]), false),
        (json!([null]), false),
        (json!([["x"]]), false),
        (json!([1]), true),
        (json!(["*"]), true),
        (json!(["**"]), true),
        (json!([""]), true),
    ] {
        let rules = JwtRules { bound_claims: vec![claim(allowed.clone())], bound_claims_glob: glob, ..unbound.clone() };
        assert_eq!(rules.validate(), Err(RulesError::BadBoundClaim), "{allowed} {glob}");
    }
    let mapped = |pairs: &[(&str, &str)]| {
        let claim_mappings = pairs.iter().map(|(from, name)| ((*from).into(), (*name).into())).collect();
        JwtRules { claim_mappings, ..rules() }.validate()
    };
    assert_eq!(mapped(&[("a", "b"), ("c", "d")]), Ok(()));
    for bad in [&[("a", "x"), ("b", "x")][..], &[("a", "role")], &[("a", "")], &[("", "a")], &[("a", "b c")]] {
        assert_eq!(mapped(bad), Err(RulesError::BadMapping), "{bad:?}");
    }
}
