//! `auth/jwt`: who gets in, as whom, and what a refusal says and leaves behind.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::{NONE, account, enable, groups_of, newest_login, status_of, token_of, tokens_stored};
use crate::server::{Answer, Server};

/// A synthetic issuer with one key.
struct Issuer(KeyPair);

impl Issuer {
    fn new() -> Self {
        Self(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap())
    }

    fn pem(&self) -> String {
        self.0.public_key_pem()
    }

    fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let key = EncodingKey::from_ec_der(&self.0.serialize_der());
        format!("{signed}.{}", jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::ES256).unwrap())
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({ "alg": "ES256", "typ": "JWT" }), claims)
    }
}

fn now() -> u64 {
    u64::try_from(goldfin::model::clock::Clock::system().now().unix_seconds()).unwrap()
}

fn claims(user: &str) -> Value {
    json!({ "iss": "https://issuer.test", "sub": user, "aud": "goldfin", "iat": now() - 5, "exp": now() + 600 })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn login(server: &Server, path: &str, role: &str, jwt: &str) -> Answer {
    server.ask("", "POST", &format!("auth/{path}/login"), json!({ "role": role, "jwt": jwt }))
}

/// The auth token of an account of its own that stands in `groups`, from a login.
pub fn logged_in(server: &Server, name: &str, groups: &[&str]) -> String {
    let issuer = Issuer::new();
    configured(server, "jwt", &issuer);
    account(server, name, json!({ "groups": groups, "aliases": [format!("jwt/{name}")] }));
    token_of(&login(server, "jwt", "app", &issuer.sign(&claims(name))))
}

/// A method with the issuer's key and the role `app`.
fn configured(server: &Server, path: &str, issuer: &Issuer) {
    enable(server, path, "jwt");
    let config = json!({ "jwt_validation_pubkeys": [issuer.pem()], "bound_issuer": "https://issuer.test", "default_role": "app" });
    server.root_write(&format!("auth/{path}/config"), config);
    let role = json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["goldfin"], "token_policies": ["service"], "token_ttl": "30m" });
    server.root_write(&format!("auth/{path}/role/app"), role);
}

#[test]
fn a_jwt_becomes_an_auth_token() {
    let server = Server::start();
    let issuer = Issuer::new();
    configured(&server, "jwt", &issuer);
    by_role(&server, &issuer);
    by_account(&server, &issuer);
    refusals(&server, &issuer);
    settings(&server, &issuer);
    two_methods_do_not_mix(&server, &issuer);
    ends_with_its_method(&server, &issuer);
    throttling(&server);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

fn by_role(server: &Server, issuer: &Issuer) {
    let answer = login(server, "jwt", "app", &issuer.sign(&claims("ada"))).expect(200);
    let auth = &answer.body["auth"];
    assert_eq!((groups_of(&answer), &auth["lease_duration"], &auth["orphan"]), (json!(["default", "service"]), &json!(1800), &json!(true)));
    assert_eq!((&auth["metadata"]["role"], &auth["renewable"], &auth["token_type"]), (&json!("app"), &json!(true), &json!("service")));
    let token = token_of(&answer);
    let own = server.ask(&token, "GET", "auth/token/lookup-self", NONE).expect(200);
    assert_eq!(
        (&own.data()["account"], &own.data()["path"], &own.data()["meta"]["role"]),
        (&json!("jwt/ada"), &json!("auth/jwt/login"), &json!("app"))
    );
    assert_eq!(own.data()["display_name"], json!("jwt-ada"));
    assert_eq!(newest_login(server), (NONE, json!("jwt/ada"), json!("granted")));
    // The role may be left out where the method has a default; an expired or senseless token that is shown along does no harm.
    server.ask("", "PUT", "auth/jwt/login", json!({ "jwt": issuer.sign(&claims("ada")) })).expect(200);
    server.ask(&token, "POST", "auth/token/revoke-self", NONE).expect(204);
    for shown in [token.as_str(), "synthetic"] {
        server.ask(shown, "POST", "auth/jwt/login", json!({ "role": "app", "jwt": issuer.sign(&claims("ada")) })).expect(200);
    }
}

fn by_account(server: &Server, issuer: &Issuer) {
    account(server, "billing", json!({ "groups": ["operator"], "aliases": ["jwt/svc-billing"] }));
    let answer = login(server, "jwt", "app", &issuer.sign(&claims("svc-billing"))).expect(200);
    assert_eq!(groups_of(&answer), json!(["default", "operator", "service"]));
    let token = token_of(&answer);
    assert_eq!(server.ask(&token, "GET", "auth/token/lookup-self", NONE).data()["account"], json!("billing"));
    // Exact names only.
    for near in ["Svc-billing", "svc-billing2", "billing"] {
        let other = login(server, "jwt", "app", &issuer.sign(&claims(near))).expect(200);
        assert_eq!(groups_of(&other), json!(["default", "service"]), "{near}");
    }
    account(server, "billing", json!({ "disabled": true }));
    assert_eq!(status_of(server, &token), 403);
    login(server, "jwt", "app", &issuer.sign(&claims("svc-billing"))).expect(403);
    assert_eq!(newest_login(server), (json!("disabled"), json!("billing"), json!("denied")));
    account(server, "billing", json!({ "disabled": false }));
    assert_eq!(status_of(server, &token), 403, "revoked for good");
    login(server, "jwt", "app", &issuer.sign(&claims("svc-billing"))).expect(200);

    // A role that gives nothing admits accounts only.
    server.root_write("auth/jwt/role/accounts", json!({ "user_claim": "sub", "bound_audiences": "goldfin" }));
    login(server, "jwt", "accounts", &issuer.sign(&claims("svc-billing"))).expect(200);
    let before = tokens_stored(server);
    login(server, "jwt", "accounts", &issuer.sign(&claims("stranger"))).expect(403);
    assert_eq!(newest_login(server), (json!("no_account"), json!("jwt/stranger"), json!("denied")));
    assert_eq!(tokens_stored(server), before);
}

fn refusals(server: &Server, issuer: &Issuer) {
    let other = Issuer::new();
    let good = claims("ada");
    let signed = issuer.sign(&good);
    let cut = signed.rsplit_once('.').unwrap().0.to_owned();
    let cases = [
        (other.sign(&good), "bad_signature"),
        (format!("{cut}."), "bad_signature"),
        (issuer.sign_with(&json!({ "alg": "none" }), &good), "bad_algorithm"),
        (issuer.sign_with(&json!({ "alg": "HS256" }), &good), "bad_algorithm"),
        (issuer.sign_with(&json!({ "alg": "ES256", "jku": "https://evil.test" }), &good), "bad_header"),
        (issuer.sign(&with(good.clone(), "aud", json!("other"))), "wrong_audience"),
        (issuer.sign(&with(good.clone(), "aud", json!([]))), "wrong_audience"),
        (issuer.sign(&with(good.clone(), "iss", json!("https://issuer.test/"))), "wrong_issuer"),
        (issuer.sign(&with(good.clone(), "exp", json!(now() - 3600))), "expired"),
        (issuer.sign(&with(good.clone(), "nbf", json!(now() + 3600))), "not_yet_valid"),
        (issuer.sign(&with(good.clone(), "sub", json!("a b"))), "bad_user"),
        (issuer.sign(&with(good.clone(), "sub", json!(7))), "wrong_subject"),
        ("synthetic".to_owned(), "malformed"),
    ];
    let before = tokens_stored(server);
    for (jwt, reason) in cases {
        let answer = login(server, "jwt", "app", &jwt).expect(400);
        assert!(answer.errors().contains("error validating token"), "{answer:?}");
        assert!(!answer.errors().contains(&jwt), "the text repeats the token");
        assert_eq!(newest_login(server).0, json!(reason));
    }
    let unknown = login(server, "jwt", "absent", &signed).expect(400);
    assert_eq!(unknown.errors(), login(server, "jwt", "app", "synthetic").errors(), "a stranger does not learn which roles there are");
    server.ask("", "POST", "auth/jwt/login", json!({ "role": "app" })).expect(400);
    server.ask("", "GET", "auth/jwt/login", NONE).expect(405);
    server.ask("", "POST", "auth/jwt/login", json!({ "role": "app", "jwt": 7 })).expect(400);
    server.ask("", "GET", "auth/jwt/config", NONE).expect(403);
    server.ask("", "POST", "auth/absent/login", json!({ "jwt": signed })).expect(403);
    assert_eq!(tokens_stored(server), before);
    let leaked =
        server.sql("postgres", &format!("SELECT count(*) FROM ledger_entry WHERE body LIKE '%{}%'", signed.split('.').next().unwrap()));
    assert_eq!(leaked.unwrap(), "0");
    assert!(!std::fs::read_to_string(server.log()).unwrap().contains(&cut));
}

fn settings(server: &Server, issuer: &Issuer) {
    let root = server.root();
    let write = |path: &str, body: Value| server.ask(&root, "POST", path, body).status;
    for body in [
        json!({ "user_claim": "sub" }),
        json!({ "user_claim": "sub", "bound_audiences": ["goldfin"], "role_type": "oidc" }),
        json!({ "user_claim": "sub", "bound_audiences": ["goldfin"], "token_bound_cidrs": ["10.0.0.0/8"] }),
        json!({ "user_claim": "sub", "bound_audiences": ["goldfin"], "token_num_uses": 3 }),
        json!({ "user_claim": "sub", "bound_audiences": ["goldfin"], "token_policies": ["root"] }),
        json!({ "user_claim": "sub", "bound_audiences": ["goldfin"], "token_policies": [" ROOT"] }),
    ] {
        assert_eq!(write("auth/jwt/role/bad", body.clone()), 400, "{body}");
    }
    server.ask(&root, "GET", "auth/jwt/role/bad", NONE).expect(404);
    for body in [
        json!({}),
        json!({ "jwt_validation_pubkeys": ["synthetic"] }),
        json!({ "jwt_validation_pubkeys": [issuer.pem()], "jwks_url": "https://issuer.test/keys" }),
        json!({ "jwks_url": "http://issuer.test/keys" }),
        json!({ "jwt_validation_pubkeys": [issuer.pem()], "jwt_supported_algs": ["HS256"] }),
        json!({ "oidc_discovery_url": "https://issuer.test", "oidc_client_id": "x", "oidc_client_secret": "synthetic" }),
    ] {
        assert_eq!(write("auth/jwt/config", body.clone()), 400, "{body}");
    }
    let config = server.root_read("auth/jwt/config");
    assert_eq!((&config.data()["bound_issuer"], &config.data()["default_role"]), (&json!("https://issuer.test"), &json!("app")));
    let listed = server.ask(&root, "LIST", "auth/jwt/role", NONE).expect(200);
    assert_eq!(listed.data()["keys"], json!(["accounts", "app"]));

    // Whoever configures gives no more than it has: a role, or the keys behind roles.
    let policy = r#"permit (principal in Group::"keeper", action in [Action::"write_setting", Action::"read_setting"], resource in Mount::"auth/jwt");"#;
    server.root_write("sys/policies/acl/keeper", json!({ "policy": policy }));
    let keeper = server.token_in(&["keeper"]);
    let role = |policies: &str| json!({ "user_claim": "sub", "bound_audiences": ["goldfin"], "token_policies": policies });
    server.ask(&keeper, "POST", "auth/jwt/role/kept", role("keeper")).expect(204);
    server.ask(&keeper, "POST", "auth/jwt/role/kept", role("operator")).expect(403);
    server.ask(&keeper, "POST", "auth/jwt/role/app", json!({ "bound_audiences": ["mine"] })).expect(403);
    server.ask(&keeper, "POST", "auth/jwt/config", json!({ "jwt_validation_pubkeys": [Issuer::new().pem()] })).expect(403);
    // A write keeps what it does not name.
    server.root_write("auth/jwt/role/app", json!({ "token_ttl": "10m" }));
    let read = server.root_read("auth/jwt/role/app");
    assert_eq!((&read.data()["token_ttl"], &read.data()["bound_audiences"]), (&json!(600), &json!(["goldfin"])));

    // Keys in a file of the server.
    let file = server.data().join("keys.json");
    std::fs::write(&file, json!({ "keys": [] }).to_string()).unwrap();
    enable(server, "filed", "jwt");
    server.root_write("auth/filed/config", json!({ "jwks_file": file, "default_role": "app" }));
    server.root_write("auth/filed/role/app", role("service"));
    login(server, "filed", "app", &issuer.sign(&claims("ada"))).expect(503);
    assert_eq!(newest_login(server).0, json!("no_keys"));
}

fn two_methods_do_not_mix(server: &Server, issuer: &Issuer) {
    let other = Issuer::new();
    configured(server, "second", &other);
    account(server, "only-first", json!({ "groups": ["operator"], "aliases": ["jwt/carol"] }));
    assert_eq!(
        groups_of(&login(server, "jwt", "app", &issuer.sign(&claims("carol"))).expect(200)),
        json!(["default", "operator", "service"])
    );
    assert_eq!(groups_of(&login(server, "second", "app", &other.sign(&claims("carol"))).expect(200)), json!(["default", "service"]));
    login(server, "second", "app", &issuer.sign(&claims("carol"))).expect(400);
}

fn ends_with_its_method(server: &Server, issuer: &Issuer) {
    enable(server, "brief", "jwt");
    server.root_write("auth/brief/config", json!({ "jwt_validation_pubkeys": [issuer.pem()], "default_role": "app" }));
    server.root_write("auth/brief/role/app", json!({ "user_claim": "sub", "bound_audiences": ["goldfin"], "token_policies": ["service"] }));
    let brief = token_of(&login(server, "brief", "app", &issuer.sign(&claims("ada"))).expect(200));
    let stays = token_of(&login(server, "jwt", "app", &issuer.sign(&claims("ada"))).expect(200));
    server.ask(&server.root(), "DELETE", "sys/auth/brief", NONE).expect(204);
    assert_eq!((status_of(server, &brief), status_of(server, &stays)), (403, 200));
    login(server, "brief", "app", &issuer.sign(&claims("ada"))).expect(403);
}

fn throttling(server: &Server) {
    let mut statuses = std::collections::BTreeMap::new();
    for _ in 0..1000 {
        *statuses.entry(login(server, "jwt", "app", "synthetic").status).or_insert(0) += 1;
        if statuses.contains_key(&429) {
            break;
        }
    }
    assert!(statuses.contains_key(&429), "{statuses:?}");
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [400, 429]);
    // They have entries until their source has had its share; then they are counted.
    assert!(newest_login(server).0.is_string());
}
