//! The system engine: mounts, policies, accounts, capabilities and the ledger's readers, through HTTPS.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::server::{Answer, Server};

/// A policy that lets its group do some things to anything.
fn permit(group: &str, actions: &[&str]) -> String {
    let actions: Vec<String> = actions.iter().map(|action| format!("Action::\"{action}\"")).collect();
    format!("permit(principal in Group::\"{group}\", action in [{}], resource);", actions.join(", "))
}

fn write_policy(server: &Server, name: &str, text: &str) -> Answer {
    server.ask(&server.root(), "PUT", &format!("sys/policies/acl/{name}"), json!({ "policy": text }))
}

#[test]
fn mounts_come_and_go_with_what_is_in_them() {
    let server = Server::start();
    let root = server.root();
    let kv = json!({ "type": "kv", "description": null, "options": null, "local": false, "seal_wrap": null, "config": { "default_lease_ttl": "1h" } });
    server.ask(&root, "POST", "sys/mounts/team/a/kv", kv.clone()).expect(204);
    let table = server.root_read("sys/mounts").body;
    assert_eq!(table["data"]["team/a/kv/"], table["team/a/kv/"]);
    assert_eq!(table["data"]["team/a/kv/"]["options"], json!({ "version": "2" }));
    assert_eq!(table["data"]["team/a/kv/"]["config"]["default_lease_ttl"], json!(3600));
    assert!(table["data"]["team/a/kv/"]["accessor"].as_str().unwrap().starts_with("kv_"));
    assert!(table["data"].get("token/").is_none());
    for (path, body, words) in [
        ("team", kv.clone(), "inside or around"),
        ("team/a/kv/b", kv.clone(), "inside or around"),
        ("team/a/kv", kv.clone(), "already in use"),
        ("sys", kv.clone(), "reserved"),
        ("auth/x", kv.clone(), "reserved"),
        ("identity", kv.clone(), "reserved"),
        ("a%20b", kv.clone(), "names of letters"),
        ("b", json!({ "type": "pki" }), "must be `kv` or `transform`"),
        ("b", json!({}), "`type` is missing"),
        ("b", json!({ "type": "kv", "options": { "version": "1" } }), "version 1"),
        ("b", json!({ "type": "kv", "seal_wrap": true }), "`seal_wrap` would restrict"),
        ("b", json!({ "type": "kv", "local": true }), "`local` would restrict"),
    ] {
        let answer = server.ask(&root, "POST", &format!("sys/mounts/{path}"), body).expect(400);
        assert!(answer.errors().contains(words), "{path}: {answer:?}");
    }
    server.ask(&root, "POST", "sys/mounts/team/a/kv/tune", json!({ "max_lease_ttl": "2h", "description": "of team a" })).expect(204);
    let tuning = server.root_read("sys/mounts/team/a/kv/tune").body;
    assert_eq!((&tuning["data"]["max_lease_ttl"], &tuning["data"]["default_lease_ttl"]), (&json!(7200), &json!(3600)));
    assert_eq!(server.root_read("sys/mounts/team/a/kv").data()["description"], json!("of team a"));
    server.root_write("team/a/kv/data/x", json!({ "data": { "canary": "1" } }));
    server.ask(&root, "DELETE", "sys/mounts/team/a/kv/", Value::Null).expect(204);
    server.ask(&root, "GET", "team/a/kv/data/x", Value::Null).expect(404);
    assert_eq!(server.sql("postgres", "SELECT (SELECT count(*) FROM kv_secret) + (SELECT count(*) FROM kv_version)").unwrap(), "0");
    // What is gone may come back, empty, and going twice does no harm.
    server.ask(&root, "DELETE", "sys/mounts/team/a/kv", Value::Null).expect(204);
    server.ask(&root, "POST", "sys/mounts/team/a/kv", json!({ "type": "kv-v2" })).expect(204);
    server.ask(&root, "GET", "team/a/kv/data/x", Value::Null).expect(404);
    for fixed in ["sys/mounts/sys", "sys/auth/token"] {
        server.ask(&root, "DELETE", fixed, Value::Null).expect(400);
    }
    let methods = server.root_read("sys/auth").body;
    assert_eq!(methods["data"]["token/"]["type"], json!("token"));
    server.ask(&root, "POST", "sys/auth/jwt", json!({ "type": "jwt", "description": "people" })).expect(204);
    assert_eq!(server.root_read("sys/auth").body["jwt/"]["description"], json!("people"));
    server.ask(&root, "DELETE", "sys/auth/jwt", Value::Null).expect(204);
    server.ask(&root, "GET", "sys/auth/jwt", Value::Null).expect(404);
    let shown = server.root_read("sys/internal/ui/mounts/secret/data/x").data().clone();
    assert_eq!((&shown["path"], &shown["type"], &shown["options"]["version"]), (&json!("secret/"), &json!("kv"), &json!("2")));
    server.ask(&root, "GET", "sys/internal/ui/mounts/nothing", Value::Null).expect(403);
    let own = server.root_read("sys/internal/ui/mounts").data().clone();
    assert!(own["secret"].get("secret/").is_some() && own["auth"].get("token/").is_some());
    let entry = &server.entries("action=disable_mount&path=team")[0];
    assert_eq!((&entry["resource"], &entry["changes"]), (&json!("Mount:team/a/kv"), &Value::Null));
}

#[test]
fn policies_are_taken_whole_or_not_at_all() {
    let server = Server::start();
    let root = server.root();
    write_policy(&server, "app", &permit("app", &["list_mounts"])).expect(204);
    let app = server.token_in(&["app"]);
    server.ask(&app, "GET", "sys/mounts", Value::Null).expect(200);
    for (text, words) in [
        ("permit(principal,\n  action == canary, resource);", "line 2"),
        ("permit(principal in Group::\"app\", action == Action::\"canary\", resource);", "the action is not in the schema"),
        ("path \"secret/*\" { capabilities = [\"read\"] }", "goldfin policy convert"),
        ("forbid(principal in Group::\"app\", action, resource) when { context.canary == 1 };", "does not have"),
    ] {
        let answer = write_policy(&server, "app", text).expect(400);
        assert!(answer.errors().contains(words) && !answer.errors().contains("canary"), "{answer:?}");
    }
    server.ask(&app, "GET", "sys/mounts", Value::Null).expect(200);
    for name in ["root", "ROOT", "base", "a%20b"] {
        write_policy(&server, name, "").expect(400);
    }
    // Gone, and made again under the same name.
    server.ask(&root, "DELETE", "sys/policies/acl/app", Value::Null).expect(204);
    server.ask(&app, "GET", "sys/mounts", Value::Null).expect(403);
    server.ask(&root, "GET", "sys/policies/acl/app", Value::Null).expect(404);
    server.ask(&root, "POST", "sys/policy/app", json!({ "rules": permit("app", &["list_mounts"]) })).expect(204);
    server.ask(&app, "GET", "sys/mounts", Value::Null).expect(200);
    let old = server.root_read("sys/policy/app").body;
    assert_eq!((&old["data"]["rules"], &old["rules"]), (&json!(permit("app", &["list_mounts"])), &json!(permit("app", &["list_mounts"]))));
    assert!(server.root_read("sys/policy").data()["policies"].as_array().unwrap().contains(&json!("app")));
    // A row that somebody puts back after it was deleted is not honoured, and neither is the set that it would be part of.
    server.sql("postgres", "CREATE TABLE kept AS SELECT * FROM control WHERE kind = 'policy' AND name = 'app'").unwrap();
    server.ask(&root, "DELETE", "sys/policies/acl/app", Value::Null).expect(204);
    server.tamper("INSERT INTO control SELECT * FROM kept");
    server.ask(&root, "POST", "sys/mounts/other", json!({ "type": "kv" })).expect(204);
    server.ask(&app, "GET", "sys/mounts", Value::Null).expect(403);
    server.tamper("DELETE FROM control WHERE kind = 'policy' AND name = 'app'");
    let bad = json!({ "policies": { "one": permit("one", &["list_mounts"]), "two": "permit(" } });
    assert!(server.ask(&root, "POST", "sys/policies/load", bad).expect(400).errors().contains("item 1"));
    server.root_write("sys/policies/load", json!({ "policies": { "one": permit("one", &["list_mounts"]) } }));
    let names = server.ask(&root, "LIST", "sys/policies/acl", Value::Null).expect(200).body;
    assert_eq!(names["data"]["keys"], json!(["one"]));
    server.root_write("sys/policies/load", json!({ "policies": {} }));
    server.ask(&root, "LIST", "sys/policies/acl", Value::Null).expect(404);
    assert_eq!(server.verify()["verdict"], json!("sound"));
}

#[test]
fn the_right_to_one_policy_is_not_the_right_to_all() {
    let server = Server::start();
    let lead = r#"permit(principal in Group::"lead", action == Action::"write_policy", resource == Policy::"app");"#;
    write_policy(&server, "lead", lead).expect(204);
    let token = server.token_in(&["lead"]);
    let write = |name: &str, text: &str| server.ask(&token, "PUT", &format!("sys/policies/acl/{name}"), json!({ "policy": text })).status;
    assert_eq!(write("app", &permit("app", &["read_secret"])), 204);
    assert_eq!(write("other", &permit("other", &["read_secret"])), 403);
    assert_eq!(write("app", &permit("lead", &["write_policies"])), 403);
    assert_eq!(write("app", "permit(principal, action, resource);"), 403);
    assert_eq!(write("lead", &permit("lead", &["write_policies"])), 403);
    // Nor may it take away what stands there for everybody.
    write_policy(&server, "app", r#"forbid(principal, action == Action::"destroy_secret", resource);"#).expect(204);
    assert_eq!(write("app", &permit("app", &["read_secret"])), 403);
    assert_eq!(server.entries("action=write_policy&decision=denied&limit=1")[0]["reason"], json!("replaces_wider"));
    let denied = server.entries("action=write_policies&decision=denied");
    assert!(denied.len() >= 2, "{denied:?}");
    assert_eq!(denied[0]["denied_because"], json!("none_permits"));
}

#[test]
fn questions_about_rights_are_answered_and_change_nothing() {
    let server = Server::start();
    let root = server.root();
    let policy = r#"
        permit(principal in Group::"app", action in [Action::"read_secret", Action::"list_secrets"], resource in Folder::"secret/app");
        @id("phone") permit(principal in Group::"app", action == Action::"decode", resource)
        when { context has purpose && context.purpose == "claims" && context.batch_size <= 100 };"#;
    write_policy(&server, "app", policy).expect(204);
    server.root_write("sys/accounts/web", json!({ "groups": ["app"] }));
    server.root_write("sys/accounts/other", json!({}));
    let explain = |body: Value| server.root_write("sys/policies/explain", body).data().clone();
    let shown = explain(json!({ "account": "web", "path": "secret/data/app/db", "verb": "read" }));
    assert_eq!((&shown["allowed"], &shown["decisions"][0]["policies"][0]["id"]), (&json!(true), &json!("app#1")));
    let named = json!({ "account": "web", "action": "decode", "resource": "Transformation::\"transform/phone\"", "purpose": "claims" });
    assert_eq!(explain(named.clone())["allowed"], json!(true));
    let mut many = named;
    many["batch_size"] = json!(101);
    assert_eq!(explain(many)["because"], json!("none_permits"));
    let object =
        json!({ "account": "nobody", "groups": ["app"], "action": "read_secret", "resource": { "kind": "Secret", "id": "secret/app/x" } });
    assert_eq!(explain(object)["allowed"], json!(true));
    for body in [
        json!({ "account": "web" }),
        json!({ "account": "web", "action": "fly", "path": "secret/data/a" }),
        json!({ "account": "web", "path": "secret/data/a", "verb": "fly" }),
        json!({ "account": "web", "action": "decode", "resource": "Castle::\"x\"" }),
        json!({ "account": "web", "path": "nowhere/x", "verb": "read" }),
    ] {
        server.ask(&root, "POST", "sys/policies/explain", body).expect(400);
    }
    server.ask(&root, "POST", "sys/policies/explain", json!({ "account": "no-one", "path": "secret/data/a", "verb": "read" })).expect(404);
    let who = server.root_write("sys/policies/who", json!({ "action": "read_secret", "path": "secret/data/app/db" })).data().clone();
    assert_eq!(who["targets"][0]["holders"], json!([{ "account": "web", "policies": ["app#1"] }]));
    let table = "[who.web]\naccount = \"web\"\ngroups = [\"app\"]\n[[case]]\nsays = \"reads\"\nwho = \"web\"\nactions = [\"read_secret\"]\non = { type = \"Secret\", mount = \"secret\", path = \"app/db\" }\nexpect = \"allow\"\n";
    let tested = |body: Value| server.root_write("sys/policies/test", body).data().clone();
    let result = tested(json!({ "tables": { "app": table } }));
    assert_eq!((&result["passed"], &result["failed"], &result["valid"]), (&json!(1), &json!(0), &json!(true)));
    let result = tested(json!({ "policies": {}, "tables": [table, "not = a table"] }));
    assert_eq!((&result["failed"], &result["failures"][0]["decided"]), (&json!(2), &json!("deny")));
    let result = tested(json!({ "policies": { "app": "permit(" }, "tables": [table] }));
    assert_eq!((&result["valid"], &result["failed"]), (&json!(false), &json!(1)));
    let hcl = json!({ "name": "web", "hcl": "path \"secret/data/app/*\" { capabilities = [\"read\"] }" });
    let converted = server.root_write("sys/policies/convert", hcl).data().clone();
    assert!(converted["policy"].as_str().unwrap().contains("Folder::\"secret/app\""), "{converted}");
    server.ask(&root, "POST", "sys/policies/convert", json!({ "name": "web", "hcl": "path {" })).expect(400);
    assert_eq!(server.root_read("sys/policies/acl/app").data()["policy"], json!(policy));
}

#[test]
fn capabilities_are_told_in_the_words_of_vault() {
    let server = Server::start();
    let policy = r#"permit(principal in Group::"app", action in [Action::"read_secret", Action::"list_secrets"], resource in Folder::"secret/app");
        permit(principal in Group::"app", action == Action::"read_capabilities", resource);"#;
    write_policy(&server, "app", policy).expect(204);
    let app = server.token_in(&["app"]);
    let ask = |path: &str, body: Value| server.ask(&app, "POST", path, body);
    let own = ask(
        "sys/capabilities-self",
        json!({ "paths": ["secret/data/app/db", "secret/metadata/app/", "secret/data/x", "sys/mounts", "//"] }),
    )
    .expect(200);
    assert_eq!(own.data()["secret/data/app/db"], json!(["read"]));
    assert_eq!(own.data()["capabilities"], json!(["read"]));
    assert_eq!(own.data()["secret/metadata/app/"], json!(["list"]));
    for path in ["secret/data/x", "sys/mounts", "//"] {
        assert_eq!(own.data()[path], json!(["deny"]), "{path}");
    }
    assert_eq!(own.data()["secret/data/x"], own.body["secret/data/x"]);
    let root = ask("sys/capabilities", json!({ "token": server.root(), "path": "secret/data/x" })).expect(200);
    assert_eq!(root.data()["capabilities"], json!(["root"]));
    let accessor = server.ask(&app, "GET", "auth/token/lookup-self", Value::Null).expect(200).data()["accessor"].clone();
    let by_accessor = ask("sys/capabilities-accessor", json!({ "accessor": accessor, "paths": ["secret/data/app/db"] })).expect(200);
    assert_eq!(by_accessor.data()["capabilities"], json!(["read"]));
    ask("sys/capabilities", json!({ "token": "nonsense", "paths": ["x"] })).expect(400);
    ask("sys/capabilities-accessor", json!({ "accessor": "nonsense", "paths": ["x"] })).expect(400);
    ask("sys/capabilities-self", json!({})).expect(400);
    let stranger = server.token_in(&["nobody"]);
    server.ask(&stranger, "POST", "sys/capabilities", json!({ "token": app, "paths": ["x"] })).expect(403);
    server.ask(&stranger, "POST", "sys/capabilities-self", json!({ "paths": ["secret/data/app/db"] })).expect(200);
}

#[test]
fn accounts_hand_on_only_what_their_writer_holds() {
    let server = Server::start();
    let root = server.root();
    write_policy(&server, "desk", &permit("desk", &["write_account", "read_account", "list_accounts", "delete_account"])).expect(204);
    let desk = server.token_in(&["desk", "shared"]);
    let write = |token: &str, name: &str, body: Value| server.ask(token, "POST", &format!("sys/accounts/{name}"), body);
    for group in ["root", "ROOT", " root", "root/../x", "../root", "a b"] {
        write(&root, "x", json!({ "groups": [group] })).expect(400);
    }
    for name in ["root", "Root", "anonymous"] {
        write(&root, name, json!({})).expect(400);
    }
    for alias in ["jwt", "kerberos:web@T.TEST", "jwt/a\u{202e}b"] {
        write(&root, "x", json!({ "aliases": [alias] })).expect(400);
    }
    write(&root, "admin", json!({ "groups": ["admins"], "aliases": ["jwt/admin"], "metadata": { "team": "a" } })).expect(204);
    write(&desk, "web", json!({ "groups": ["shared"], "aliases": ["jwt/web"] })).expect(204);
    write(&desk, "web", json!({ "groups": ["admins"] })).expect(403);
    // An identity that becomes an account receives all of its groups.
    write(&desk, "admin", json!({ "aliases": ["jwt/admin", "jwt/mine"] })).expect(403);
    assert_eq!(server.entries("action=write_account&decision=denied&limit=1")[0]["reason"], json!("grant_not_held"));
    write(&desk, "admin", json!({ "disabled": true })).expect(204);
    write(&desk, "admin", json!({ "disabled": false })).expect(403);
    write(&desk, "web", json!({ "aliases": ["jwt/web", "jwt/admin"] })).expect(400);
    let admin = server.ask(&desk, "GET", "sys/accounts/admin", Value::Null).expect(200).data().clone();
    assert_eq!((&admin["groups"], &admin["aliases"], &admin["disabled"]), (&json!(["admins"]), &json!(["jwt/admin"]), &json!(true)));
    assert_eq!(admin["metadata"], json!({ "team": "a" }));
    server.ask(&root, "DELETE", "sys/accounts/admin", Value::Null).expect(204);
    write(&desk, "web", json!({ "aliases": ["jwt/web", "jwt/admin"] })).expect(204);
    assert_eq!(server.ask(&desk, "LIST", "sys/accounts", Value::Null).expect(200).data()["keys"], json!(["web"]));
    server.ask(&desk, "DELETE", "sys/accounts/web", Value::Null).expect(204);
    server.ask(&desk, "GET", "sys/accounts/web", Value::Null).expect(404);
    server.ask(&desk, "LIST", "sys/accounts", Value::Null).expect(404);
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM control WHERE kind IN ('account', 'alias')").unwrap(), "0");
    assert_eq!(server.verify()["verdict"], json!("sound"));
}

#[test]
fn what_an_account_loses_its_tokens_lose_at_once() {
    let server = Server::start();
    let key = rcgen::KeyPair::generate().unwrap();
    let enable = || {
        server.root_write("sys/auth/jwt", json!({ "type": "jwt" }));
        server.root_write(
            "auth/jwt/config",
            json!({ "jwt_validation_pubkeys": [key.public_key_pem()], "bound_issuer": "https://issuer.test" }),
        );
        let role =
            json!({ "role_type": "jwt", "bound_audiences": ["goldfin"], "user_claim": "sub", "bound_subject": "web", "token_ttl": "1h" });
        server.root_write("auth/jwt/role/web", role);
    };
    enable();
    let now = goldfin::model::clock::Clock::system().now().unix_seconds();
    let claims = json!({ "iss": "https://issuer.test", "aud": "goldfin", "sub": "web", "iat": now, "nbf": now - 5, "exp": now + 600 });
    let signer = EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).unwrap();
    let jwt = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &signer).unwrap();
    let log_in = || server.ask("", "POST", "auth/jwt/login", json!({ "role": "web", "jwt": jwt }));
    let token = || log_in().expect(200).body["auth"]["client_token"].as_str().unwrap().to_owned();
    let status = |token: &str| server.ask(token, "GET", "auth/token/lookup-self", Value::Null).status;
    let write = |body: Value| server.root_write("sys/accounts/web", body);
    write(json!({ "groups": ["app"], "aliases": ["jwt/web"] }));
    let first = token();
    assert_eq!(status(&first), 200);
    write(json!({ "metadata": { "note": "changes no right" } }));
    assert_eq!(status(&first), 200);
    for change in [json!({ "groups": ["other"] }), json!({ "disabled": true })] {
        let held = token();
        assert_eq!(status(&held), 200);
        write(change.clone());
        assert_eq!(status(&held), 403, "{change}");
    }
    assert_eq!(status(&first), 403);
    assert!(log_in().status >= 400);
    write(json!({ "disabled": false }));
    let held = token();
    server.ask(&server.root(), "DELETE", "sys/auth/jwt", Value::Null).expect(204);
    assert_eq!(status(&held), 403);
    assert!(log_in().status >= 400);
    enable();
    let held = token();
    server.ask(&server.root(), "DELETE", "sys/accounts/web", Value::Null).expect(204);
    assert_eq!(status(&held), 403);
    assert_eq!(server.verify()["verdict"], json!("sound"));
}

#[test]
fn the_ledger_is_read_filtered_paged_and_verified() {
    let server = Server::start();
    let root = server.root();
    for n in 0..5 {
        server.root_write(&format!("secret/data/app/{n}"), json!({ "data": { "canary": n } }));
    }
    let written = server.entries("action=write_secret&resource=secret/app&account=root&decision=granted");
    assert_eq!(written.len(), 5);
    assert_eq!(written[0]["resource"], json!("Secret:secret/app/4"));
    assert_eq!(server.entries("resource=Secret:secret/app/3").len(), 1);
    let id = written[2]["request_id"].as_str().unwrap();
    assert_eq!(server.entries(&format!("request_id={id}"))[0], written[2]);
    assert_eq!(
        server
            .entries(&format!("until={}", written[4]["time"].as_str().unwrap()))
            .iter()
            .filter(|e| e["action"] == json!("write_secret"))
            .count(),
        0
    );
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = server.root_read(&format!("sys/ledger/entries?action=write_secret&limit=2&cursor={next}")).data().clone();
        seen.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["seq"].clone()));
        match page["next"].as_str() {
            Some(cursor) => next = cursor.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, written.iter().map(|entry| entry["seq"].clone()).collect::<Vec<_>>());
    let lines = server.root_read("sys/ledger/entries?action=write_secret&format=ndjson&limit=3");
    assert_eq!(lines.headers["content-type"], "application/x-ndjson");
    let lines: Vec<Value> = lines.body.as_str().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, written[..3]);
    let answer = server.ask(&root, "GET", "secret/data/app/1", Value::Null).expect(200);
    let receipt = answer.headers["x-goldfin-receipt"].clone();
    let parts: Vec<&str> = receipt.split(':').collect();
    for stream in [parts[0], "dev"] {
        let entry = server.root_read(&format!("sys/ledger/entries/{stream}/{}", parts[1])).data()["entry"].clone();
        assert_eq!((&entry["leaf"], &entry["action"]), (&json!(parts[2]), &json!("read_secret")));
    }
    server.ask(&root, "GET", "sys/ledger/entries/1/999999", Value::Null).expect(404);
    for query in ["action=fly", "decision=perhaps", "since=now", "subject=a-person", "cursor=x", "format=xml", "request_id=1", "limit=some"]
    {
        server.ask(&root, "GET", &format!("sys/ledger/entries?{query}"), Value::Null).expect(400);
    }
    server.root_write("sys/mounts/transform", json!({ "type": "transform" }));
    let found = server.root_write("sys/ledger/search", json!({ "subject": "a person's number", "limit": 5 })).data().clone();
    assert_eq!(found["entries"], json!([]));
    server.ask(&root, "POST", "sys/ledger/search", json!({ "subject": "x", "mount": "nowhere" })).expect(404);
    server.ask(&root, "POST", "sys/ledger/verify", json!({ "checkpoints": ["synthetic"] })).expect(400);
    let report = server.verify();
    assert_eq!((&report["sound"], &report["exit_code"], &report["streams"][0]["node"]), (&json!(true), &json!(0), &json!("dev")));
    let seq = written[2]["seq"].as_i64().unwrap();
    server.tamper(&format!("UPDATE ledger_entry SET account = 'somebody' WHERE seq = {seq}"));
    let report = server.verify();
    assert_eq!((&report["sound"], &report["exit_code"], &report["verdict"]), (&json!(false), &json!(2), &json!("tampered")));
    assert_eq!(report["streams"][0]["seq"], json!(seq));
}

#[test]
fn whoever_may_nothing_gets_nothing() {
    let server = Server::start();
    let nobody = server.token_in(&["nobody"]);
    let bodies = json!({ "type": "kv", "policy": "", "groups": [], "policies": {}, "hcl": "", "name": "x", "account": "x", "path": "sys/mounts", "verb": "read", "token": server.root(), "accessor": "x", "paths": ["x"] });
    let writes = [
        "mounts/x",
        "mounts/secret/tune",
        "policies/acl/x",
        "policy/x",
        "policies/load",
        "policies/test",
        "policies/explain",
        "policies/who",
        "policies/convert",
        "accounts/x",
        "capabilities",
        "capabilities-accessor",
        "seal",
        "rotate",
        "ledger/search",
        "ledger/verify",
    ];
    let reads = [
        "mounts",
        "auth",
        "mounts/secret",
        "mounts/secret/tune",
        "auth/token",
        "policies/acl",
        "policies/acl/operator",
        "policy",
        "accounts/x",
        "audit",
        "key-status",
        "rotate/status",
        "ledger/entries",
        "ledger/entries/1/1",
        "ledger/export",
        "ledger/summary",
        "ledger/verify",
    ];
    let deletes = ["mounts/secret", "auth/jwt", "policies/acl/operator", "policy/operator", "accounts/x"];
    let asked = [("POST", &writes[..]), ("GET", &reads[..]), ("DELETE", &deletes[..]), ("LIST", &["policies/acl", "accounts"][..])];
    for (method, paths) in asked {
        for path in paths {
            let body = match method {
                "POST" if path.starts_with("accounts") => json!({ "groups": [] }),
                "POST" => bodies.clone(),
                _ => Value::Null,
            };
            for token in [nobody.as_str(), ""] {
                let answer = server.ask(token, method, &format!("sys/{path}"), body.clone());
                assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
                assert_eq!(answer.errors(), r#"["permission denied"]"#);
            }
        }
    }
    server.ask(&server.root(), "POST", "sys/auth/jwt", json!({ "type": "kv" })).expect(400);
    server.ask(&server.root(), "GET", "sys/nothing/here", Value::Null).expect(404);
    server.ask(&server.root(), "PATCH", "sys/mounts/secret", json!({})).expect(405);
    server.ask(&server.root(), "POST", "sys/audit/file", json!({ "type": "file" })).expect(404);
    server.ask(&server.root(), "GET", "secret/config", Value::Null).expect(200);
    assert_eq!(server.root_read("sys/audit").body["ledger/"]["type"], json!("ledger"));
}
