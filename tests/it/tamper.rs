//! Someone with SQL write access: an integrity error, an entry, the right place; never wrong plaintext, never a forged right.

use std::process::Command;

use serde_json::{Value, json};

use crate::server::Server;
use crate::transform::{encode, tokenizing};

#[test]
fn swapped_ciphertexts_open_nowhere() {
    let server = tokenizing();
    let root = server.root();
    for name in ["a", "b"] {
        server.root_write(&format!("secret/data/{name}"), json!({ "data": { "password": format!("synthetic {name}") } }));
    }
    let tokens = [encode(&server, json!({ "value": "synthetic one" })), encode(&server, json!({ "value": "synthetic two" }))];
    server.tamper(
        "UPDATE kv_version v SET value = o.value, wrapped_key = o.wrapped_key FROM kv_version o WHERE v.path = 'a' AND o.path = 'b';
         UPDATE pii_token t SET value = o.value FROM pii_token o
         WHERE (t.id, o.id) IN (SELECT min(id), max(id) FROM pii_token UNION SELECT max(id), min(id) FROM pii_token)",
    );
    let mut server = server;
    server.kill_and_restart();
    let answer = server.ask(&root, "GET", "secret/data/a", Value::Null).expect(500);
    assert!(answer.errors().contains("integrity"), "{answer:?}");
    for token in &tokens {
        let answer = server.ask(&root, "POST", "transform/decode/app", json!({ "value": token }));
        assert!(answer.status >= 400 && !answer.body.to_string().contains("synthetic"), "{answer:?}");
    }
    let failed = server.entries("decision=failed&limit=10");
    assert!(failed.iter().any(|entry| entry["action"] == json!("read_secret") && entry["status"] == json!(500)), "{failed:?}");
}

/// Makes a ledger, tampers with it and gives the verdict with its place.
fn verdict(statement: &str) -> (i64, Value) {
    let server = Server::start();
    for n in 0..5 {
        server.root_write("secret/data/app", json!({ "data": { "n": n } }));
    }
    server.tamper(statement);
    let report = server.verify();
    (report["exit_code"].as_i64().unwrap(), report["streams"][0]["seq"].clone())
}

#[test]
fn the_verifier_names_the_first_bad_entry() {
    for (statement, place) in [
        ("UPDATE ledger_entry SET body = replace(body, '\"granted\"', '\"denied\"') WHERE seq = 1", 1),
        ("UPDATE ledger_entry SET account = 'nobody' WHERE seq = 3", 3),
        ("UPDATE ledger_entry SET resource = 'Secret:other', body = body WHERE seq = 4", 4),
        ("UPDATE ledger_entry SET time = time + interval '1 hour' WHERE seq = 4", 4),
        ("UPDATE ledger_entry SET time = 'infinity' WHERE seq = 3", 3),
        ("UPDATE ledger_entry SET mac = decode(repeat('00', 32), 'hex') WHERE seq = 2", 2),
        ("DELETE FROM ledger_entry WHERE seq = 1", 1),
        ("DELETE FROM ledger_entry WHERE seq = 4", 4),
        ("UPDATE ledger_entry SET seq = -seq WHERE seq IN (3, 4); UPDATE ledger_entry SET seq = 7 + seq WHERE seq < 0", 3),
        (
            "DELETE FROM ledger_entry WHERE seq = 3; INSERT INTO ledger_entry SELECT stream, 3, time, request, account, action, resource, decision, subject, change, body, mac FROM ledger_entry WHERE seq = 2",
            3,
        ),
    ] {
        let (code, seq) = verdict(statement);
        assert_eq!((code, seq), (2, json!(place)), "{statement}");
    }
}

#[test]
fn a_ledger_cut_short_is_told_from_a_whole_one() {
    let server = Server::start();
    server.root_write("secret/data/app", json!({ "data": {} }));
    let known = server.sql("postgres", "SELECT seq FROM ledger_head").unwrap().parse::<i64>().unwrap();
    server.tamper(&format!("DELETE FROM ledger_entry WHERE seq = {known}"));
    let report = server.verify();
    assert_eq!((&report["exit_code"], &report["streams"][0]["seq"]), (&json!(3), &json!(known - 1)));
    // The request just verified with has its own entry, behind the gap.
    let report = server.verify();
    assert_eq!((&report["exit_code"], &report["streams"][0]["seq"]), (&json!(2), &json!(known)));
}

#[test]
fn rows_that_goldfin_did_not_write_are_not_honoured() {
    let server = Server::start();
    let root = server.root();
    server.root_write("secret/data/app", json!({ "data": { "password": "synthetic" } }));
    let holder = server.token_in(&["nobody"]);
    server.ask(&holder, "GET", "secret/data/app", Value::Null).expect(403);
    server.tamper(
        "INSERT INTO control (kind, mount, name, version, body, mac)
         SELECT kind, mount, 'planted', version, 'permit (principal, action, resource);', mac FROM control WHERE kind = 'policy' LIMIT 1;
         INSERT INTO control (kind, mount, name, version, body, mac)
         SELECT kind, mount, 'planted', version, replace(body, '\"secret\"', '\"planted\"'), mac FROM control WHERE kind = 'mount' AND name = 'secret'",
    );
    // A change of the directory makes the node read it anew.
    server.ask(&root, "POST", "sys/mounts/other", json!({ "type": "kv" }));
    server.ask(&holder, "GET", "secret/data/app", Value::Null).expect(403);
    let planted = server.ask(&root, "GET", "planted/data/app", Value::Null);
    assert!(planted.status >= 400, "{planted:?}");
    // A token's row under another fingerprint, and one whose groups were widened.
    server.tamper("UPDATE auth_token SET body = replace(body, '\"nobody\"', '\"root\"')");
    let mut server = server;
    server.tamper("DELETE FROM control WHERE name = 'planted'");
    server.kill_and_restart();
    let refused = server.ask(&holder, "GET", "secret/data/app", Value::Null);
    assert!(matches!(refused.status, 403 | 500) && !refused.body.to_string().contains("synthetic"), "{refused:?}");
}

/// Does something, undoes it in the database while goldfin is down, and starts goldfin again.
fn undone_while_down(server: &mut Server, table: &str, condition: &str, act: impl Fn(&Server)) {
    server.tamper(&format!("CREATE TABLE kept AS SELECT * FROM {table} WHERE {condition}"));
    act(server);
    server.tamper(&format!("DELETE FROM {table} WHERE {condition}; INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept"));
    server.kill_and_restart();
}

#[test]
fn a_right_that_was_taken_away_does_not_come_back_with_its_row() {
    let mut server = Server::start();
    let root = server.root();
    server.root_write("secret/data/app", json!({ "data": { "password": "synthetic" } }));
    server.root_write("sys/policies/acl/narrow", json!({ "policy": "permit (principal in Group::\"app\", action, resource);" }));
    let holder = server.token_in(&["app"]);
    server.ask(&holder, "GET", "secret/data/app", Value::Null).expect(200);
    undone_while_down(&mut server, "control", "name = 'narrow'", |server| {
        server.ask(&root, "DELETE", "sys/policies/acl/narrow", Value::Null).expect(204);
    });
    server.ask(&holder, "GET", "secret/data/app", Value::Null).expect(403);
    // It does not stand in the way of one that goldfin writes.
    server.root_write("sys/policies/acl/narrow", json!({ "policy": "permit (principal in Group::\"other\", action, resource);" }));
    server.ask(&holder, "GET", "secret/data/app", Value::Null).expect(403);
    server.ask(&root, "GET", "sys/policies/acl/narrow", Value::Null).expect(200);
}

#[test]
fn a_policy_that_was_taken_away_or_set_back_keeps_goldfin_sealed() {
    for statement in [
        "DELETE FROM control WHERE name = 'bar'",
        "UPDATE control SET body = 'permit (principal, action, resource);' WHERE name = 'bar'",
        "DELETE FROM control WHERE kind = 'manifest'",
        "UPDATE control SET body = '{}' WHERE kind = 'manifest'",
        "UPDATE control c SET version = k.version, body = k.body, mac = k.mac FROM kept k WHERE c.kind = k.kind AND c.kind = 'manifest'",
    ] {
        let mut server = Server::start_with(&["--key-shares", "1", "--key-threshold", "1"]);
        server.tamper("CREATE TABLE kept AS SELECT * FROM control WHERE kind = 'manifest'");
        server.root_write("sys/policies/acl/bar", json!({ "policy": "forbid (principal in Group::\"barred\", action, resource);" }));
        server.tamper(statement);
        let said = server.kill_and_fail_to_start();
        assert!(said.contains("integrity"), "{statement}: {said}");
    }
}

#[test]
fn an_account_that_was_disabled_stays_so_when_its_row_is_put_back() {
    let mut server = Server::start();
    let root = server.root();
    server.root_write("sys/accounts/svc", json!({ "groups": ["app"] }));
    undone_while_down(&mut server, "control", "name = 'svc'", |server| {
        server.root_write("sys/accounts/svc", json!({ "disabled": true }));
    });
    server.ask(&root, "GET", "sys/accounts/svc", Value::Null).expect(500);
    let mut server = Server::start();
    server.root_write("sys/accounts/gone", json!({ "groups": ["app"] }));
    undone_while_down(&mut server, "control", "name = 'gone'", |server| {
        server.ask(&server.root(), "DELETE", "sys/accounts/gone", Value::Null).expect(204);
    });
    server.ask(&server.root(), "GET", "sys/accounts/gone", Value::Null).expect(500);
    server.root_write("sys/accounts/other", json!({ "groups": ["app"] }));
    server.root_write("sys/accounts/other", json!({ "groups": ["app", "more"] }));
    server.ask(&server.root(), "GET", "sys/accounts/other", Value::Null).expect(200);
}

#[test]
fn a_planted_policy_neither_counts_nor_stops_a_start() {
    let mut server = Server::start();
    let root = server.root();
    server.root_write("secret/data/app", json!({ "data": { "password": "synthetic" } }));
    let holder = server.token_in(&["nobody"]);
    server.tamper(
        "INSERT INTO control (kind, mount, name, version, body, mac)
         SELECT kind, mount, 'planted', version, 'permit (principal, action, resource);', mac FROM control WHERE kind = 'policy' LIMIT 1",
    );
    server.kill_and_restart();
    server.ask(&holder, "GET", "secret/data/app", Value::Null).expect(403);
    // Policies go on changing, and the planted row is named and can be removed.
    server.root_write("sys/policies/acl/new", json!({ "policy": "permit (principal in Group::\"nobody\", action, resource);" }));
    server.ask(&holder, "GET", "secret/data/app", Value::Null).expect(200);
    assert!(server.ask(&root, "GET", "sys/policies/acl/planted", Value::Null).expect(500).errors().contains("integrity"));
    server.ask(&root, "DELETE", "sys/policies/acl/planted", Value::Null);
    server.ask(&root, "GET", "sys/policies/acl/planted", Value::Null).expect(404);
    let log = std::fs::read_to_string(server.log()).unwrap();
    assert!(log.contains("planted") && log.contains("integrity"), "{log}");
}

#[test]
fn a_copy_is_verified_without_a_server() {
    let mut server = Server::start();
    server.root_write("secret/data/app", json!({ "data": {} }));
    let socket = server.socket();
    let keys = server.variable("GOLDFIN_UNSEAL_KEYS_FILE").to_owned();
    let verify = |database: &str| {
        let url = format!("postgresql:///{database}?host={}&user=postgres", socket.display());
        let output = Command::new(env!("CARGO_BIN_EXE_goldfin"))
            .args(["audit", "verify", "--format", "json", "--database", &url, "--mac-key", &keys])
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    };
    let copy = format!(
        "createdb -h {0} -U postgres copy && pg_dump -h {0} -U postgres goldfin | psql -q -h {0} -U postgres copy >/dev/null",
        socket.display()
    );
    assert!(Command::new("sh").args(["-c", &copy]).status().unwrap().success());
    assert_eq!(verify("copy").0, 0, "{}", verify("copy").1);
    let edit = "SET session_replication_role = replica; UPDATE ledger_entry SET account = 'x' WHERE seq = 2";
    assert!(Command::new("psql").args(["-q", "-h"]).arg(&socket).args(["-U", "postgres", "copy", "-c", edit]).status().unwrap().success());
    let (code, said) = verify("copy");
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("\"seq\":2") || said.contains("\"seq\": 2"), "{said}");
    assert_eq!(verify("goldfin").0, 0);
    let empty = "SET session_replication_role = replica; DELETE FROM ledger_entry; DELETE FROM ledger_head; DELETE FROM ledger_checkpoint";
    assert!(Command::new("psql").args(["-q", "-h"]).arg(&socket).args(["-U", "postgres", "copy", "-c", empty]).status().unwrap().success());
    assert_eq!(verify("copy").0, 4, "nothing is not sound");
    server.stop();
    assert_eq!(verify("goldfin").0, 4);
}
