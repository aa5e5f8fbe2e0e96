//! Versioned secrets, through HTTPS, with the rows and entries that they leave.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{Answer, Server};

fn ask(server: &Server, method: &str, path: &str, body: Value) -> Answer {
    server.ask(&server.root(), method, path, body)
}

fn read(server: &Server, path: &str) -> Answer {
    ask(server, "GET", path, Value::Null)
}

fn write(server: &Server, path: &str, value: &Value) -> Answer {
    ask(server, "POST", &format!("secret/data/{path}"), json!({ "data": value })).expect(200)
}

/// What the entry of an answer says: action, resource, decision, status, version.
fn entry(server: &Server, answer: &Answer) -> String {
    let request = &answer.headers["x-goldfin-request-id"];
    let columns = "action, resource, decision, status, coalesce(version::text, '-')";
    server.sql("goldfin_auditor", &format!("SELECT {columns} FROM audit WHERE request_id = '{request}'")).unwrap()
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn secrets_live_as_clients_expect() {
    let server = Server::start();
    writes_and_reads(&server);
    check_and_set(&server);
    patches(&server);
    deletes_and_comes_back(&server);
    destroys(&server);
    forgets_old_versions(&server);
    metadata(&server);
    lists(&server);
    subkeys(&server);
    configures(&server);
    expires(&server);
    refuses(&server);
    leaves_no_plaintext(&server);
}

fn writes_and_reads(server: &Server) {
    let written = ask(server, "POST", "secret/data/app/db", json!({ "options": {}, "data": { "password": "canary-kv-1" } })).expect(200);
    assert_eq!(names(written.data()), BTreeSet::from(["created_time", "custom_metadata", "deletion_time", "destroyed", "version"]));
    assert_eq!((&written.data()["version"], &written.data()["deletion_time"]), (&json!(1), &json!("")));
    assert_eq!(entry(server, &written), "write_secret|Secret:secret/app/db|granted|200|1");
    ask(server, "PUT", "secret/data/app/db", json!({ "data": { "password": "canary-kv-2" }, "options": null })).expect(200);
    let current = read(server, "secret/data/app/db").expect(200);
    assert_eq!(current.data()["data"], json!({ "password": "canary-kv-2" }));
    assert_eq!(names(&current.data()["metadata"]), names(written.data()));
    assert_eq!((&current.data()["metadata"]["version"], &current.data()["metadata"]["destroyed"]), (&json!(2), &json!(false)));
    assert_eq!(entry(server, &current), "read_secret|Secret:secret/app/db|granted|200|2");
    let first = read(server, "secret/data/app/db?version=1").expect(200);
    assert_eq!(first.data()["data"]["password"], json!("canary-kv-1"));
    assert_eq!(first.data()["metadata"]["created_time"], written.data()["created_time"]);
    // Digits and order come back as they were given.
    let text = r#"{"data":{"z":1.000,"a":12345678901234567890.10,"t":{"n":null,"l":[true,"\u00e4"]}}}"#;
    server.ask_raw(&server.root(), "POST", "secret/data/digits", text.into(), &[]).expect(200);
    let mut response =
        server.agent.get(format!("{}/v1/secret/data/digits", server.address())).header("X-Vault-Token", server.root()).call().unwrap();
    let said = response.body_mut().read_to_string().unwrap();
    assert!(said.contains(r#"{"z":1.000,"a":12345678901234567890.10,"t":{"n":null,"l":[true,"ä"]}}"#), "{said}");
    for nothing in
        ["secret/data/app/none", "secret/data/app", "secret/data/app/db?version=9", "secret/metadata/none", "secret/subkeys/none"]
    {
        let answer = read(server, nothing).expect(404);
        assert_eq!(answer.body, json!({ "errors": [] }), "{nothing}");
    }
}

fn check_and_set(server: &Server) {
    let with = |cas: Value| ask(server, "POST", "secret/data/cas", json!({ "data": { "n": 1 }, "options": { "cas": cas } }));
    let missed = with(json!(1)).expect(400);
    assert_eq!(missed.body["errors"], json!(["check-and-set parameter did not match the current version"]));
    with(json!(0)).expect(200);
    with(json!(0)).expect(400);
    with(json!("1")).expect(200);
    ask(server, "DELETE", "secret/data/cas", Value::Null).expect(204);
    with(json!(0)).expect(400);
    with(json!(2)).expect(200);
    ask(server, "POST", "secret/metadata/cas", json!({ "cas_required": true })).expect(204);
    let required = ask(server, "POST", "secret/data/cas", json!({ "data": {} })).expect(400);
    assert_eq!(required.body["errors"], json!(["check-and-set parameter required for this call"]));
    assert_eq!(entry(server, &required), "write_secret|Secret:secret/cas|failed|400|-");
    with(json!(3)).expect(200);
}

fn patches(server: &Server) {
    let patch = |path: &str, body: Value| {
        let body = serde_json::to_vec(&body).unwrap();
        server.ask_raw(&server.root(), "PATCH", path, body, &[("Content-Type", "application/merge-patch+json")])
    };
    assert_eq!(patch("secret/data/patch", json!({ "data": { "a": 1 } })).expect(404).body, json!({ "errors": [] }));
    write(server, "patch", &json!({ "keep": 1.5, "drop": "x", "deep": { "a": "b", "c": "d" } }));
    let patched =
        patch("secret/data/patch", json!({ "data": { "drop": null, "deep": { "a": null, "e": { "f": null } }, "new": [1] } })).expect(200);
    assert_eq!(patched.data()["version"], json!(2));
    assert_eq!(entry(server, &patched), "write_secret|Secret:secret/patch|granted|200|2");
    let found = read(server, "secret/data/patch");
    assert_eq!(found.data()["data"], json!({ "keep": 1.5, "deep": { "c": "d", "e": {} }, "new": [1] }));
    patch("secret/data/patch", json!({ "data": {}, "options": { "cas": 1 } })).expect(400);
    patch("secret/data/patch", json!({ "data": {}, "options": { "cas": 2 } })).expect(200);
    patch("secret/data/patch", json!({})).expect(400);
    ask(server, "DELETE", "secret/data/patch", Value::Null).expect(204);
    let deleted = patch("secret/data/patch", json!({ "data": { "a": 1 } })).expect(404);
    assert_eq!((&deleted.data()["version"], deleted.data()["deletion_time"] == json!("")), (&json!(3), false));
}

fn deletes_and_comes_back(server: &Server) {
    for n in 1..=3 {
        write(server, "soft", &json!({ "n": n }));
    }
    let deleted = ask(server, "DELETE", "secret/data/soft", Value::Null).expect(204);
    assert_eq!(entry(server, &deleted), "delete_secret|Secret:secret/soft|granted|204|3");
    let gone = read(server, "secret/data/soft").expect(404);
    assert_eq!((&gone.data()["data"], &gone.data()["metadata"]["version"]), (&Value::Null, &json!(3)));
    assert_ne!(gone.data()["metadata"]["deletion_time"], json!(""));
    assert_eq!(names(&gone.body).len(), 9, "an envelope all the same");
    read(server, "secret/data/soft?version=2").expect(200);
    ask(server, "POST", "secret/delete/soft", json!({ "versions": [1, "2", 77] })).expect(204);
    read(server, "secret/data/soft?version=2").expect(404);
    ask(server, "PUT", "secret/undelete/soft", json!({ "versions": "2,3" })).expect(204);
    assert_eq!(read(server, "secret/data/soft").expect(200).data()["data"], json!({ "n": 3 }));
    read(server, "secret/data/soft?version=1").expect(404);
    for path in ["secret/delete/soft", "secret/undelete/soft", "secret/destroy/soft"] {
        let refused = ask(server, "POST", path, json!({ "versions": [] })).expect(400);
        assert_eq!(refused.body["errors"], json!(["No version number provided"]));
        ask(server, "POST", path.replace("soft", "none").as_str(), json!({ "versions": [1] })).expect(204);
    }
    ask(server, "DELETE", "secret/data/none", Value::Null).expect(204);
}

fn destroys(server: &Server) {
    for n in 1..=3 {
        write(server, "hard", &json!({ "n": n }));
    }
    let destroyed = ask(server, "PUT", "secret/destroy/hard", json!({ "versions": [2, 3] })).expect(204);
    assert_eq!(entry(server, &destroyed), "destroy_secret|Secret:secret/hard|granted|204|-");
    let rows =
        |server: &Server| server.sql("postgres", "SELECT string_agg(version::text, ',') FROM kv_version WHERE path = 'hard'").unwrap();
    assert_eq!(rows(server), "1");
    let gone = read(server, "secret/data/hard").expect(404);
    assert_eq!((&gone.data()["metadata"]["destroyed"], &gone.data()["data"]), (&json!(true), &Value::Null));
    ask(server, "POST", "secret/undelete/hard", json!({ "versions": [3] })).expect(204);
    read(server, "secret/data/hard?version=3").expect(404);
    read(server, "secret/data/hard?version=1").expect(200);
    let everything = ask(server, "DELETE", "secret/metadata/hard", Value::Null).expect(204);
    assert_eq!(entry(server, &everything), "destroy_secret|Secret:secret/hard|granted|204|-");
    assert_eq!(read(server, "secret/data/hard").expect(404).body, json!({ "errors": [] }));
    assert_eq!(rows(server), "");
    ask(server, "DELETE", "secret/metadata/hard", Value::Null).expect(204);
    assert_eq!(write(server, "hard", &json!({ "again": true })).data()["version"], json!(1));
}

fn forgets_old_versions(server: &Server) {
    for n in 1..=12 {
        write(server, "many", &json!({ "n": n }));
    }
    let known = read(server, "secret/metadata/many").expect(200);
    assert_eq!((&known.data()["current_version"], &known.data()["oldest_version"]), (&json!(12), &json!(3)));
    assert_eq!(names(&known.data()["versions"]).len(), 10);
    ask(server, "POST", "secret/metadata/many", json!({ "max_versions": 2 })).expect(204);
    write(server, "many", &json!({ "n": 13 }));
    assert_eq!(
        server.sql("postgres", "SELECT string_agg(version::text, ',' ORDER BY version) FROM kv_version WHERE path = 'many'").unwrap(),
        "12,13"
    );
    assert_eq!(read(server, "secret/data/many?version=11").expect(404).body, json!({ "errors": [] }));
}

fn metadata(server: &Server) {
    let made = ask(
        server,
        "POST",
        "secret/metadata/meta",
        json!({ "max_versions": 5, "delete_version_after": "3h25m19s", "custom_metadata": { "owner": "synthetic" }, "other": 1 }),
    );
    assert_eq!(entry(server, &made.expect(204)), "write_secret_metadata|Secret:secret/meta|granted|204|-");
    let found = read(server, "secret/metadata/meta").expect(200);
    let members = [
        "cas_required",
        "created_time",
        "current_version",
        "custom_metadata",
        "delete_version_after",
        "max_versions",
        "oldest_version",
        "updated_time",
        "versions",
    ];
    assert_eq!(names(found.data()), BTreeSet::from(members));
    assert_eq!(found.data()["delete_version_after"], json!("3h25m19s"));
    assert_eq!((&found.data()["current_version"], &found.data()["versions"]), (&json!(0), &json!({})));
    assert_eq!(read(server, "secret/data/meta").expect(404).body, json!({ "errors": [] }), "it has no version yet");
    ask(server, "PATCH", "secret/metadata/meta", json!({ "max_versions": null, "custom_metadata": { "owner": null, "team": "b" } }))
        .expect(204);
    let found = read(server, "secret/metadata/meta").expect(200);
    assert_eq!((&found.data()["max_versions"], &found.data()["custom_metadata"]), (&json!(0), &json!({ "team": "b" })));
    ask(server, "PATCH", "secret/metadata/none", json!({ "max_versions": 1 })).expect(404);
    ask(server, "POST", "secret/metadata/meta", json!({ "custom_metadata": { "k": "v".repeat(513) } })).expect(400);
    let many: serde_json::Map<_, _> = (0..65).map(|n| (n.to_string(), json!("v"))).collect();
    ask(server, "POST", "secret/metadata/meta", json!({ "custom_metadata": many })).expect(400);
    let written = write(server, "meta", &json!({ "n": 1 }));
    assert_eq!(written.data()["custom_metadata"], json!({ "team": "b" }));
    assert_ne!(written.data()["deletion_time"], json!(""), "it says when it will expire");
    let nothing = ask(server, "POST", "secret/metadata/untouched", Value::Null).expect(204);
    assert!(nothing.body.is_null());
    read(server, "secret/metadata/untouched").expect(404);
}

fn lists(server: &Server) {
    for path in ["ls/a", "ls/a/x", "ls/a-b", "ls/a0", "ls/a/deep/er", "ls/b/c", "ls/ä", "ls-not", "lt"] {
        write(server, path, &json!({}));
    }
    let keys = |path: &str| ask(server, "LIST", path, Value::Null).data()["keys"].clone();
    assert_eq!(keys("secret/metadata/ls"), json!(["a", "a-b", "a/", "a0", "b/", "ä"]));
    assert_eq!(keys("secret/metadata/ls/"), keys("secret/metadata/ls"));
    assert_eq!(read(server, "secret/metadata/ls?list=true").data()["keys"], keys("secret/metadata/ls"));
    assert_eq!(keys("secret/metadata/ls/a"), json!(["deep/", "x"]));
    let root = keys("secret/metadata");
    let root: Vec<&str> = root.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(root.is_sorted() && root.contains(&"ls/") && root.contains(&"ls-not") && root.contains(&"lt"), "{root:?}");
    for nothing in ["secret/metadata/ls/none", "secret/metadata/ls/b/c", "secret/metadata/l"] {
        assert_eq!(ask(server, "LIST", nothing, Value::Null).expect(404).body, json!({ "errors": [] }), "{nothing}");
    }
    ask(server, "DELETE", "secret/data/lt", Value::Null).expect(204);
    assert!(keys("secret/metadata").as_array().unwrap().contains(&json!("lt")), "deleted softly, it is still there");
    let listed = ask(server, "LIST", "secret/metadata/ls", Value::Null);
    assert_eq!(entry(server, &listed), "list_secrets|Secret:secret/ls|granted|200|-");
}

fn subkeys(server: &Server) {
    write(server, "keys", &json!({ "a": "canary-kv-3", "b": { "c": { "d": 1 }, "e": [] } }));
    let found = read(server, "secret/subkeys/keys").expect(200);
    assert_eq!(found.data()["subkeys"], json!({ "a": null, "b": { "c": { "d": null }, "e": null } }));
    assert_eq!(found.data()["metadata"]["version"], json!(1));
    assert_eq!(entry(server, &found), "read_secret_metadata|Secret:secret/keys|granted|200|1");
    assert_eq!(read(server, "secret/subkeys/keys?depth=1&version=1").data()["subkeys"], json!({ "a": null, "b": null }));
    read(server, "secret/subkeys/keys?depth=x").expect(400);
    ask(server, "DELETE", "secret/data/keys", Value::Null).expect(204);
    let gone = read(server, "secret/subkeys/keys").expect(404);
    assert_eq!((&gone.data()["subkeys"], &gone.data()["metadata"]["version"]), (&Value::Null, &json!(1)));
}

fn configures(server: &Server) {
    let found = read(server, "secret/config").expect(200);
    assert_eq!(found.data(), &json!({ "cas_required": false, "delete_version_after": "0s", "max_versions": 0 }));
    let written =
        ask(server, "POST", "secret/config", json!({ "max_versions": 3, "cas_required": true, "delete_version_after": "1h" })).expect(204);
    let said = entry(server, &written);
    assert!(said.starts_with("write_setting|Setting:secret/config|granted|204|") && !said.ends_with('-'), "{said}");
    let found = read(server, "secret/config").expect(200);
    assert_eq!(found.data(), &json!({ "cas_required": true, "delete_version_after": "1h0m0s", "max_versions": 3 }));
    ask(server, "POST", "secret/data/configured", json!({ "data": {} })).expect(400);
    let first = ask(server, "POST", "secret/data/configured", json!({ "data": {}, "options": { "cas": 0 } })).expect(200);
    assert_ne!(first.data()["deletion_time"], json!(""));
    let warned = ask(server, "POST", "secret/metadata/configured", json!({ "cas_required": false })).expect(200);
    assert!(warned.body["warnings"][0].as_str().unwrap().contains("mandated by backend config"));
    ask(server, "PUT", "secret/config", json!({ "delete_version_after": "-1s", "cas_required": false, "max_versions": 0 })).expect(204);
    assert_eq!(read(server, "secret/config").data()["delete_version_after"], json!("-1s"));
    ask(server, "POST", "secret/metadata/configured", json!({ "delete_version_after": "1s" })).expect(204);
    assert_eq!(write(server, "configured", &json!({})).data()["deletion_time"], json!(""), "expiry is switched off");
    ask(server, "POST", "secret/config", json!({ "delete_version_after": 0 })).expect(204);
    ask(server, "POST", "secret/config", json!({})).expect(204);
    assert_eq!(read(server, "secret/config").data(), &json!({ "cas_required": false, "delete_version_after": "0s", "max_versions": 0 }));
}

fn expires(server: &Server) {
    ask(server, "POST", "secret/metadata/short", json!({ "delete_version_after": "4s" })).expect(204);
    write(server, "short", &json!({ "n": 1 }));
    read(server, "secret/data/short").expect(200);
    sleep(Duration::from_millis(4_100));
    let gone = read(server, "secret/data/short").expect(404);
    assert_eq!((&gone.data()["data"], &gone.data()["metadata"]["destroyed"]), (&Value::Null, &json!(false)));
    // It comes back for its whole lifetime.
    ask(server, "POST", "secret/undelete/short", json!({ "versions": [1] })).expect(204);
    assert_eq!(read(server, "secret/data/short").expect(200).data()["data"], json!({ "n": 1 }));
}

fn refuses(server: &Server) {
    for (method, path, body) in [
        ("POST", "secret/data/bad", json!({})),
        ("POST", "secret/data/bad", json!({ "data": "canary-kv-4" })),
        ("POST", "secret/data/bad", json!({ "Data": {} })),
        ("POST", "secret/data/bad", json!({ "data": {}, "options": { "cas": "canary-kv-4" } })),
        ("POST", "secret/data/bad", json!(["canary-kv-4"])),
        ("POST", "secret/destroy/bad", json!({ "versions": ["canary-kv-4"] })),
        ("POST", "secret/metadata/bad", json!({ "max_versions": -1 })),
        ("POST", "secret/config", json!({ "cas_required": "canary-kv-4" })),
        ("GET", "secret/data/bad?version=canary-kv-4", Value::Null),
        ("GET", "secret/data", Value::Null),
    ] {
        let refused = ask(server, method, path, body).expect(400);
        assert!(!refused.errors().contains("canary"), "{}", refused.errors());
        assert!(entry(server, &refused).contains("failed|400"), "{path}");
    }
    for (method, path) in [
        ("POST", "secret/subkeys/bad"),
        ("GET", "secret/destroy/bad"),
        ("DELETE", "secret/delete/bad"),
        ("PATCH", "secret/config"),
        ("LIST", "secret/data/bad"),
        ("HEAD", "secret/data/bad"),
    ] {
        ask(server, method, path, Value::Null).expect(405);
    }
    ask(server, "GET", "secret/bad", Value::Null).expect(404);
    let unknown = ask(server, "POST", "secret/data/unknown", json!({ "data": {}, "extra": 1, "options": { "more": 2 } })).expect(200);
    assert_eq!(unknown.body["warnings"], json!(["2 members of the body are not known and were ignored"]));
}

fn leaves_no_plaintext(server: &Server) {
    for (table, column) in [("kv_secret", "body"), ("kv_version", "value")] {
        let found = server.sql("postgres", &format!("SELECT count(*) FROM {table} WHERE position('canary'::bytea IN {column}) > 0"));
        assert_eq!(found.unwrap(), "0");
    }
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM ledger_entry WHERE body LIKE '%canary%'").unwrap(), "0");
    assert!(!std::fs::read_to_string(server.log()).unwrap().contains("canary"));
}

/// Every version is written by exactly one of the writers that expected its predecessor.
#[test]
fn of_many_writers_one_wins_each_version() {
    const WRITERS: usize = 32;
    const VERSIONS: i64 = 4;
    let server = Server::start();
    for version in 0..VERSIONS {
        let outcomes: Vec<u16> = std::thread::scope(|scope| {
            let server = &server;
            let writer = move |n: usize| {
                let body = json!({ "data": { "writer": n }, "options": { "cas": version } });
                ask(server, "POST", "secret/data/contended", body).status
            };
            let running: Vec<_> = (0..WRITERS).map(|n| scope.spawn(move || writer(n))).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|status| **status == 200).count(), 1, "{outcomes:?}");
        assert!(outcomes.iter().all(|status| matches!(status, 200 | 400)), "{outcomes:?}");
        assert_eq!(read(&server, "secret/data/contended").data()["metadata"]["version"], json!(version + 1));
    }
    let granted =
        "SELECT count(*) FROM audit WHERE resource = 'Secret:secret/contended' AND action = 'write_secret' AND decision = 'granted'";
    assert_eq!(server.sql("goldfin_auditor", granted).unwrap(), VERSIONS.to_string());
    // Without check-and-set all are written, each under a number of its own.
    let mut numbers: Vec<i64> = std::thread::scope(|scope| {
        let server = &server;
        let running: Vec<_> = (0..WRITERS)
            .map(|n| scope.spawn(move || write(server, "crowded", &json!({ "writer": n })).data()["version"].as_i64().unwrap()))
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=WRITERS as i64).collect::<Vec<_>>());
}

/// Somebody with the database's password moves, swaps, replaces and removes rows: an error each time, never another value.
#[test]
fn rows_that_were_tampered_with_are_not_answered() {
    let server = Server::start();
    let attacks = [
        (
            "values of two paths",
            "UPDATE kv_version v SET value = o.value FROM kv_version o WHERE v.path = 'PATH' AND o.path = 'PATH-other' AND v.version = o.version",
        ),
        (
            "values and keys of two paths",
            "UPDATE kv_version v SET value = o.value, wrapped_key = o.wrapped_key FROM kv_version o WHERE v.path = 'PATH' AND o.path = 'PATH-other' AND v.version = o.version",
        ),
        (
            "values of two versions",
            "UPDATE kv_version v SET value = o.value, wrapped_key = o.wrapped_key FROM kv_version o WHERE v.path = 'PATH' AND o.path = 'PATH' AND v.version = 2 AND o.version = 1",
        ),
        ("documents of two paths", "UPDATE kv_secret s SET body = o.body FROM kv_secret o WHERE s.path = 'PATH' AND o.path = 'PATH-other'"),
        (
            "whole secrets of two paths",
            "UPDATE kv_secret s SET body = o.body, wrapped_key = o.wrapped_key FROM kv_secret o WHERE s.path = 'PATH' AND o.path = 'PATH-other'",
        ),
        ("another revision", "UPDATE kv_secret SET revision = revision + 1 WHERE path = 'PATH'"),
        ("another current version", "UPDATE kv_secret SET current = 1 WHERE path = 'PATH'"),
        (
            "a flipped bit",
            "UPDATE kv_version SET value = set_byte(value, length(value) - 1, get_byte(value, length(value) - 1) # 1) WHERE path = 'PATH'",
        ),
        ("an empty value", "UPDATE kv_version SET value = '' WHERE path = 'PATH'"),
        ("a missing value", "DELETE FROM kv_version WHERE path = 'PATH'"),
        (
            "another path",
            "DELETE FROM kv_version WHERE path = 'PATH'; DELETE FROM kv_secret WHERE path = 'PATH'; UPDATE kv_secret SET path = 'PATH' WHERE path = 'PATH-other'; UPDATE kv_version SET path = 'PATH' WHERE path = 'PATH-other'",
        ),
    ];
    for (number, (what, statement)) in attacks.iter().enumerate() {
        let path = format!("victim-{number}");
        for version in 1..=2 {
            write(&server, &path, &json!({ "of": "victim", "version": version }));
            write(&server, &format!("{path}-other"), &json!({ "of": "other", "version": version }));
        }
        server.tamper(&statement.replace("PATH", &path));
        let refused = read(&server, &format!("secret/data/{path}")).expect(500);
        assert!(refused.errors().contains("integrity check failed"), "{what}: {}", refused.errors());
        assert_eq!(refused.data(), &Value::Null);
        assert!(entry(&server, &refused).starts_with(&format!("read_secret|Secret:secret/{path}|failed|500")), "{what}");
        let over = ask(&server, "PATCH", &format!("secret/data/{path}"), json!({ "data": { "a": 1 } }));
        assert_eq!(over.status, 500, "{what}: a patch does not build on it");
    }
    let alarms = std::fs::read_to_string(server.log()).unwrap().matches("failed its integrity check").count();
    assert!(alarms >= 2 * attacks.len(), "{alarms} alarms");
    put_back(&server);
}

/// The value of a secret that was deleted and made again does not come back under the same number.
fn put_back(server: &Server) {
    write(server, "born-twice", &json!({ "life": 1 }));
    server.tamper("CREATE TABLE kept AS SELECT * FROM kv_version WHERE path = 'born-twice'");
    ask(server, "DELETE", "secret/metadata/born-twice", Value::Null).expect(204);
    write(server, "born-twice", &json!({ "life": 2 }));
    server.tamper(
        "UPDATE kv_version v SET value = k.value, wrapped_key = k.wrapped_key FROM kept k WHERE v.path = 'born-twice'; DROP TABLE kept",
    );
    read(server, "secret/data/born-twice").expect(500);
    // A row that was planted under the next number does not stand in the way of a write.
    server.tamper("INSERT INTO kv_version (mount, path, version, wrapped_key, value) SELECT mount, path, version + 1, wrapped_key, value FROM kv_version WHERE path = 'born-twice'");
    write(server, "born-twice", &json!({ "life": 3 }));
    assert_eq!(read(server, "secret/data/born-twice").expect(200).data()["data"], json!({ "life": 3 }));
}
