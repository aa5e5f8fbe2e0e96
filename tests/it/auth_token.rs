//! `auth/token` through HTTPS: what tokens may, how they end, and that nothing brings one back.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{Answer, Server};

const NONE: Value = Value::Null;

fn create(server: &Server, token: &str, body: Value) -> Answer {
    server.ask(token, "POST", "auth/token/create", body)
}

/// A new token and its accessor.
fn made(answer: &Answer) -> (String, String) {
    let auth = &answer.body["auth"];
    let text = |name: &str| auth[name].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned();
    (text("client_token"), text("accessor"))
}

fn is_alive(server: &Server, token: &str) -> bool {
    match server.ask(token, "GET", "auth/token/lookup-self", NONE).status {
        200 => true,
        403 => false,
        other => panic!("status {other}"),
    }
}

fn accessors(server: &Server) -> Vec<String> {
    let answer = server.ask(&server.root(), "LIST", "auth/token/accessors", NONE).expect(200);
    answer.data()["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

#[test]
fn tokens_are_made_looked_up_renewed_and_revoked() {
    let server = Server::start();
    let root = server.root();
    as_clients_do_it(&server, &root);
    what_a_client_library_needs(&server, &root);
    own_tokens_in_a_body(&server, &root);
    what_is_refused(&server, &root);
    accessors_open_nothing(&server, &root);
    lives(&server, &root);
    roles(&server, &root);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

fn as_clients_do_it(server: &Server, root: &str) {
    for path in ["auth/token/create", "auth/token/create-orphan"] {
        let answer = server.ask(root, "POST", path, json!({ "ttl": "1h", "renewable": true, "policies": null })).expect(200);
        let (token, accessor) = made(&answer);
        assert_eq!(answer.body["auth"]["lease_duration"], json!(3600));
        assert_eq!(answer.body["auth"]["orphan"], json!(path.ends_with("orphan")));
        let looked_up = server.ask(root, "POST", "auth/token/lookup", json!({ "token": token })).expect(200);
        assert_eq!((&looked_up.data()["id"], &looked_up.data()["path"]), (&json!(token), &json!(path)));
        let renewed = server.ask(root, "POST", "auth/token/renew", json!({ "token": token })).expect(200);
        assert_eq!(renewed.body["auth"]["client_token"], json!(token));
        server.ask(root, "POST", "auth/token/revoke", json!({ "token": token })).expect(204);
        server.ask(root, "POST", "auth/token/lookup", json!({ "token": token })).expect(403);
        server.ask(root, "POST", "auth/token/revoke", json!({ "token": token })).expect(204);
        server.ask(root, "POST", "auth/token/renew", json!({ "token": token })).expect(403);
        assert!(!is_alive(server, &token));
        let entries = server.entries("action=revoke_auth_token");
        assert!(entries.iter().any(|entry| entry["target_accessor"] == json!(accessor) && entry["decision"] == json!("granted")));
    }
    let (token, accessor) = made(&create(server, root, json!({ "ttl": "1h" })).expect(200));
    let looked_up = server.ask(root, "POST", "auth/token/lookup-accessor", json!({ "accessor": accessor })).expect(200);
    assert_eq!((&looked_up.data()["accessor"], &looked_up.data()["id"]), (&json!(accessor), &json!("")));
    let renewed = server.ask(root, "POST", "auth/token/renew-accessor", json!({ "accessor": accessor, "increment": "2h" })).expect(200);
    assert_eq!((&renewed.body["auth"]["lease_duration"], &renewed.body["auth"]["client_token"]), (&json!(7200), &json!("")));
    server.ask(root, "POST", "auth/token/revoke-accessor", json!({ "accessor": accessor })).expect(204);
    server.ask(root, "POST", "auth/token/lookup-accessor", json!({ "accessor": accessor })).expect(400);
    server.ask(root, "POST", "auth/token/lookup", json!({ "token": token })).expect(403);
}

fn what_a_client_library_needs(server: &Server, root: &str) {
    let own = server.root_read("auth/token/lookup-self");
    assert_eq!((&own.data()["policies"], &own.data()["expire_time"], &own.data()["ttl"]), (&json!(["root"]), &NONE, &json!(0)));
    let body = json!({ "ttl": "1h", "meta": { "team": "synthetic" }, "display_name": "a b", "policies": ["service"] });
    let (token, _) = made(&create(server, root, body).expect(200));
    let answer = server.ask(&token, "POST", "auth/token/lookup-self", NONE).expect(200);
    let data = answer.data();
    for name in ["creation_time", "creation_ttl", "explicit_max_ttl", "num_uses", "ttl"] {
        assert!(data[name].is_u64(), "{name}: {data}");
    }
    for name in ["accessor", "display_name", "entity_id", "expire_time", "id", "issue_time", "path", "type"] {
        assert!(data[name].is_string(), "{name}: {data}");
    }
    assert_eq!((&data["orphan"], &data["renewable"], &data["type"]), (&json!(false), &json!(true), &json!("service")));
    assert_eq!((&data["policies"], &data["identity_policies"]), (&json!(["default", "service"]), &json!([])));
    assert_eq!((&data["meta"]["team"], &data["display_name"]), (&json!("synthetic"), &json!("token-a-b")));
    let without = create(server, root, json!({ "policies": ["service"], "no_default_policy": true })).expect(200);
    assert_eq!(without.body["auth"]["policies"], json!(["service"]));
}

/// Whoever gives its own token asks about itself, and needs no right for it.
fn own_tokens_in_a_body(server: &Server, root: &str) {
    let (token, _) = made(&create(server, root, json!({ "ttl": "1h" })).expect(200));
    let (other, accessor) = made(&create(server, root, json!({ "ttl": "1h" })).expect(200));
    let body = json!({ "token": token });
    server.ask(&token, "POST", "auth/token/lookup", body.clone()).expect(200);
    server.ask(&token, "POST", "auth/token/renew", body.clone()).expect(200);
    for path in ["lookup", "renew", "revoke", "revoke-orphan"] {
        server.ask(&token, "POST", &format!("auth/token/{path}"), json!({ "token": other })).expect(403);
    }
    for path in ["lookup-accessor", "renew-accessor", "revoke-accessor"] {
        server.ask(&token, "POST", &format!("auth/token/{path}"), json!({ "accessor": accessor })).expect(403);
    }
    server.ask(&token, "POST", "auth/token/revoke", body).expect(204);
    assert!(!is_alive(server, &token));
    assert!(is_alive(server, &other));
}

fn what_is_refused(server: &Server, root: &str) {
    for body in [
        json!({ "policies": ["root"] }),
        json!({ "policies": ["ROOT"] }),
        json!({ "policies": [" root"] }),
        json!({ "policies": ["root/../x"] }),
        json!({ "policies": ["../root"] }),
        json!({ "policies": "service,Root" }),
        json!({ "num_uses": 1 }),
        json!({ "id": "synthetic" }),
        json!({ "type": "batch" }),
        json!({ "Policies": ["service"] }),
        json!({ "entity_alias": "x" }),
        json!({ "ttl": -1 }),
        json!({ "meta": { "a": "b\nc" } }),
    ] {
        create(server, root, body.clone()).expect(400);
        server.ask(root, "POST", "auth/token/create-orphan", body).expect(400);
    }
    let policy = r#"permit (principal in Group::"maker", action == Action::"create_auth_token", resource == AuthToken::"create");"#;
    server.root_write("sys/policies/acl/maker", json!({ "policy": policy }));
    let maker = server.token_in(&["maker", "service"]);
    let child = create(server, &maker, json!({})).expect(200);
    assert_eq!(child.body["auth"]["policies"], json!(["default", "maker", "service"]));
    assert_eq!(
        create(server, &maker, json!({ "policies": ["service"] })).expect(200).body["auth"]["policies"],
        json!(["default", "service"])
    );
    create(server, &maker, json!({ "policies": ["service", "operator"] })).expect(403);
    create(server, &maker, json!({ "policies": ["service"], "no_parent": true })).expect(403);
    server.ask(&maker, "POST", "auth/token/create-orphan", json!({})).expect(403);
    let (nobody, _) = made(&create(server, root, json!({})).expect(200));
    assert_eq!(server.ask(&nobody, "GET", "auth/token/lookup-self", NONE).data()["policies"], json!(["default"]), "root is not handed on");
    create(server, &nobody, json!({})).expect(403);
    server.ask(&nobody, "GET", "secret/data/x", NONE).expect(403);
}

fn accessors_open_nothing(server: &Server, root: &str) {
    let (token, accessor) = made(&create(server, root, json!({ "ttl": "1h" })).expect(200));
    server.ask(&accessor, "GET", "auth/token/lookup-self", NONE).expect(403);
    server.ask(&token, "LIST", "auth/token/accessors", NONE).expect(403);
    assert!(accessors(server).contains(&accessor));
    for credential in ["synthetic", "gft_", &token[..token.len() - 1], &token.to_uppercase()] {
        server.ask(credential, "GET", "auth/token/lookup-self", NONE).expect(403);
    }
    let reasons: Vec<Value> = server.entries("action=unroutable").iter().map(|entry| entry["reason"].clone()).collect();
    assert!(reasons.contains(&json!("malformed")), "{reasons:?}");
    // Old clients put the token into the path: it must not get into the ledger.
    server.ask(root, "GET", &format!("auth/token/lookup/{token}"), NONE).expect(404);
    let found = server.sql("postgres", &format!("SELECT count(*) FROM ledger_entry WHERE body LIKE '%{token}%'")).unwrap();
    assert_eq!(found, "0");
}

fn lives(server: &Server, root: &str) {
    let short = create(server, root, json!({ "ttl": "30m", "explicit_max_ttl": "5m" })).expect(200);
    assert_eq!(short.body["auth"]["lease_duration"], json!(300));
    let periodic = create(server, root, json!({ "period": "30m" })).expect(200);
    assert_eq!(periodic.body["auth"]["lease_duration"], json!(1800));
    assert_eq!(server.ask(&made(&periodic).0, "GET", "auth/token/lookup-self", NONE).data()["period"], json!(1800));
    let fixed = made(&create(server, root, json!({ "ttl": "1h", "renewable": false })).expect(200)).0;
    server.ask(&fixed, "POST", "auth/token/renew-self", json!({})).expect(400);
    server.ask(root, "POST", "auth/token/renew-self", json!({})).expect(400);

    let brief = made(&create(server, root, json!({ "ttl": "2s", "explicit_max_ttl": "3s" })).expect(200)).0;
    let orphan_of_brief = made(&create(server, root, json!({ "ttl": "1h" })).expect(200)).0;
    let end = server.ask(&brief, "GET", "auth/token/lookup-self", NONE);
    let created = end.data()["creation_time"].as_i64().unwrap();
    let mut renewals = 0;
    loop {
        let answer = server.ask(&brief, "POST", "auth/token/renew-self", json!({ "increment": "1h" }));
        if answer.status == 403 {
            break;
        }
        assert!(answer.expect(200).body["auth"]["lease_duration"].as_u64().unwrap() <= 3);
        let until = server.ask(&brief, "GET", "auth/token/lookup-self", NONE);
        if until.status == 200 {
            let expires =
                time::OffsetDateTime::parse(until.data()["expire_time"].as_str().unwrap(), &time::format_description::well_known::Rfc3339);
            assert!(expires.unwrap().unix_timestamp() <= created + 3);
        }
        renewals += 1;
        thread::sleep(Duration::from_millis(200));
    }
    assert!(renewals > 2, "it was renewed {renewals} times");
    assert!(is_alive(server, &orphan_of_brief));
    server.ask(root, "POST", "auth/token/tidy", NONE).expect(204);
}

fn roles(server: &Server, root: &str) {
    server.ask(root, "LIST", "auth/token/roles", NONE).expect(404);
    server
        .ask(root, "POST", "auth/token/roles/batch", json!({ "allowed_policies": "service", "orphan": true, "token_period": "1h" }))
        .expect(204);
    assert_eq!(server.ask(root, "LIST", "auth/token/roles", NONE).expect(200).data()["keys"], json!(["batch"]));
    let read = server.root_read("auth/token/roles/batch");
    assert_eq!((&read.data()["allowed_policies"], &read.data()["token_period"]), (&json!(["service"]), &json!(3600)));
    server.ask(root, "POST", "auth/token/roles/batch", json!({ "disallowed_policies": ["operator"] })).expect(204);
    let kept = server.root_read("auth/token/roles/batch");
    assert_eq!((&kept.data()["allowed_policies"], &kept.data()["orphan"]), (&json!(["service"]), &json!(true)));
    let token = server.ask(root, "POST", "auth/token/create/batch", json!({ "ttl": "5m" })).expect(200);
    assert_eq!(token.body["auth"]["policies"], json!(["default", "service"]));
    assert_eq!((&token.body["auth"]["orphan"], &token.body["auth"]["lease_duration"]), (&json!(true), &json!(3600)));
    server.ask(root, "POST", "auth/token/create/batch", json!({ "policies": ["operator"] })).expect(400);
    server.ask(root, "POST", "auth/token/create/absent", json!({})).expect(400);
    for body in [json!({ "allowed_policies": ["root"] }), json!({ "token_bound_cidrs": ["10.0.0.0/8"] }), json!({ "token_num_uses": 2 })] {
        server.ask(root, "POST", "auth/token/roles/batch", body).expect(400);
    }
    server.ask(root, "DELETE", "auth/token/roles/batch", NONE).expect(204);
    server.ask(root, "POST", "auth/token/create/batch", json!({})).expect(400);
}

#[test]
fn what_is_revoked_stays_revoked_with_all_below_it() {
    let mut server = Server::start();
    let root = server.root();
    let outlived = families(&server, &root);
    put_back_rows(&server, &root);
    a_thousand_races(&server, &root, &outlived);
    let (kept, _) = made(&create(&server, &root, json!({ "ttl": "1h" })).expect(200));
    let (gone, _) = made(&create(&server, &root, json!({ "ttl": "1h" })).expect(200));
    server.ask(&gone, "POST", "auth/token/revoke-self", NONE).expect(204);
    server.kill_and_restart();
    assert!(is_alive(&server, &kept));
    assert!(!is_alive(&server, &gone));
    assert_eq!(server.verify()["exit_code"], json!(0));
}

/// Gives the accessor of a child whose maker expired: the maker's row is cleared away before the child's.
fn families(server: &Server, root: &str) -> String {
    let parent = server.token_in(&["operator"]);
    let child = made(&create(server, &parent, json!({})).expect(200)).0;
    let grandchild = made(&create(server, &child, json!({})).expect(200)).0;
    let orphan = made(&server.ask(&child, "POST", "auth/token/create-orphan", json!({})).expect(200)).0;
    for token in [&parent, &child, &grandchild, &orphan] {
        assert!(is_alive(server, token));
    }
    server.ask(root, "POST", "auth/token/revoke", json!({ "token": child })).expect(204);
    assert!(is_alive(server, &parent) && is_alive(server, &orphan));
    assert!(!is_alive(server, &child) && !is_alive(server, &grandchild));

    let child = made(&create(server, &parent, json!({})).expect(200)).0;
    let grandchild = made(&create(server, &child, json!({})).expect(200)).0;
    server.ask(root, "POST", "auth/token/revoke-orphan", json!({ "token": child })).expect(204);
    assert!(!is_alive(server, &child) && is_alive(server, &grandchild));
    assert_eq!(server.ask(&grandchild, "GET", "auth/token/lookup-self", NONE).data()["orphan"], json!(true));

    // With many below it: more than one index row could name.
    let parent = server.token_in(&["operator"]);
    let children: Vec<String> = (0..150).map(|_| made(&create(server, &parent, json!({})).expect(200)).0).collect();
    server.ask(&parent, "POST", "auth/token/revoke-self", NONE).expect(204);
    assert!(!children.iter().any(|child| is_alive(server, child)));

    let brief = made(&create(server, root, json!({ "policies": ["operator"], "ttl": "4s" })).expect(200)).0;
    let (child, outlived) = made(&create(server, &brief, json!({ "ttl": "1h" })).expect(200));
    assert!(is_alive(server, &child));
    thread::sleep(Duration::from_millis(4500));
    assert!(!is_alive(server, &child), "a child ends with its maker");
    server.ask(root, "POST", "auth/token/lookup", json!({ "token": child })).expect(403);
    outlived
}

/// What somebody can try who writes to the database.
fn put_back_rows(server: &Server, root: &str) {
    let (token, accessor) = made(&create(server, root, json!({ "policies": ["operator"], "ttl": "1h" })).expect(200));
    let (child, _) = made(&create(server, &token, json!({})).expect(200));
    server.tamper(&format!("CREATE TABLE kept AS SELECT * FROM auth_token WHERE accessor = '{accessor}' OR parent = '{accessor}'"));
    server.ask(root, "POST", "auth/token/revoke", json!({ "token": token })).expect(204);
    server.tamper("INSERT INTO auth_token SELECT * FROM kept");
    assert!(!is_alive(server, &token) && !is_alive(server, &child));
    server
        .tamper("UPDATE auth_token SET accessor = 'A' || substr(accessor, 2), parent = NULL WHERE accessor IN (SELECT accessor FROM kept)");
    assert!(!is_alive(server, &token) && !is_alive(server, &child));

    let (token, accessor) = made(&create(server, root, json!({ "policies": ["service"], "ttl": "1h" })).expect(200));
    server.tamper(&format!(r#"UPDATE auth_token SET body = replace(body, '"service"', '"root"') WHERE accessor = '{accessor}'"#));
    assert!(!is_alive(server, &token));
    let reasons: Vec<Value> = server.entries("action=unroutable").iter().map(|entry| entry["reason"].clone()).collect();
    assert!(reasons.contains(&json!("forged")), "{reasons:?}");
    server.tamper(&format!("DELETE FROM auth_token WHERE accessor = '{accessor}'"));
}

/// A parent is revoked at the moment at which it makes a child: whoever wins, no child lives on.
fn a_thousand_races(server: &Server, root: &str, outlived: &str) {
    const WORKERS: usize = 8;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut children = 0;
                    for _ in 0..1000 / WORKERS {
                        let (parent, accessor) = made(&create(server, root, json!({ "policies": ["operator"], "ttl": "1h" })).expect(200));
                        let child = thread::scope(|pair| {
                            let making = pair.spawn(|| create(server, &parent, json!({})));
                            server.ask(root, "POST", "auth/token/revoke-accessor", json!({ "accessor": accessor })).expect(204);
                            making.join().unwrap()
                        });
                        if child.status == 200 {
                            children += 1;
                            assert!(!is_alive(server, &made(&child).0));
                        } else {
                            child.expect(403);
                        }
                        assert!(!is_alive(server, &parent));
                    }
                    children
                })
            })
            .collect();
        let children: usize = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        assert!(children > 0, "the making never won");
    });
    let left = server.sql(
        "postgres",
        &format!(
            "SELECT count(*) FROM auth_token c WHERE parent IS NOT NULL AND accessor <> '{outlived}'
             AND NOT EXISTS (SELECT FROM auth_token p WHERE p.accessor = c.parent)"
        ),
    );
    assert_eq!(left.unwrap(), "0");
}
