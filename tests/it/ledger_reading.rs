//! Taking the ledger out, counting it, and the views of auditors.

use std::process::Command;

use serde_json::{Value, json};

use crate::server::Server;
use crate::transform::{encode, tokenizing};

/// All pages of an export.
fn exported(server: &Server, query: &str) -> Vec<String> {
    let (mut lines, mut query) = (Vec::new(), query.to_owned());
    loop {
        let page = server.root_read(&format!("sys/ledger/export?{query}"));
        let text = match &page.body {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            // A page of a single line reads as JSON.
            _ => panic!("a page of one line: {:?}", page.body),
        };
        lines.extend(text.lines().map(str::to_owned));
        match page.headers.get("x-goldfin-next") {
            Some(next) => query = format!("limit=7&cursor={next}"),
            None => return lines,
        }
    }
}

fn cli(server: &Server, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_goldfin"))
        .args(arguments)
        .envs(["VAULT_ADDR", "VAULT_CACERT", "VAULT_TOKEN"].map(|name| (name, server.variable(name).to_owned())))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn an_export_holds_the_canonical_bytes_of_every_entry() {
    let server = Server::start();
    for n in 0..30 {
        server.root_write(&format!("secret/data/app/\"{n}"), json!({ "data": { "n": n } }));
    }
    let lines = exported(&server, "limit=7");
    let count = lines.len();
    let stored = server.sql("postgres", &format!("SELECT body FROM ledger_entry ORDER BY stream, seq LIMIT {count}")).unwrap();
    let macs = server
        .sql("postgres", &format!("SELECT encode(mac, 'hex') || ' ' || encode(sha256('\\x00' || convert_to(body, 'UTF8')), 'hex') FROM ledger_entry ORDER BY stream, seq LIMIT {count}"))
        .unwrap();
    assert!(count > 30);
    for ((line, body), proof) in lines.iter().zip(stored.lines()).zip(macs.lines()) {
        let (mac, leaf) = proof.split_once(' ').unwrap();
        // Whoever cuts the last two members off has the bytes that were hashed.
        let (canonical, _) = line.rsplit_once(",\"mac\":").unwrap();
        assert_eq!(format!("{canonical}}}"), body);
        let entry: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&entry["mac"], &entry["leaf"]), (&json!(mac), &json!(leaf)));
    }
    // It ended where the stream ended when it began, although every page has an entry of its own.
    let pages = server.entries("action=read_ledger&path=sys/ledger/export&limit=1000");
    assert_eq!(pages.len(), count.div_ceil(7));
    assert!(pages.iter().all(|entry| entry["seq"].as_u64().unwrap() > count as u64 && entry["count"].is_u64()));

    let first = server.entries("action=write_secret&order=oldest&limit=3");
    let (since, until) = (first[0]["time"].as_str().unwrap(), first[2]["time"].as_str().unwrap());
    let part = exported(&server, &format!("stream=dev&since={since}&until={until}"));
    assert_eq!(part.len(), 2);
    assert_eq!(exported(&server, "stream=nowhere"), Vec::<String>::new());
    let root = server.root();
    for query in ["limit=x", "since=now", "until=x", "cursor=x", &format!("cursor=MS4xLjI&since={since}")] {
        server.ask(&root, "GET", &format!("sys/ledger/export?{query}"), Value::Null).expect(400);
    }
    server.ask(&root, "POST", "sys/ledger/export", json!({})).expect(405);
    let nobody = server.token_in(&["nobody"]);
    server.ask(&nobody, "GET", "sys/ledger/export", Value::Null).expect(403);

    let (code, out, err) = cli(&server, &["audit", "export"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.lines().count() > count && out.lines().take(count).eq(lines.iter().map(String::as_str)));
}

#[test]
fn an_entry_that_somebody_changed_hides_no_other() {
    let server = Server::start();
    for n in 0..3 {
        server.root_write(&format!("secret/data/app/{n}"), json!({ "data": {} }));
    }
    let torn = server.entries("action=write_secret")[1]["seq"].as_i64().unwrap();
    server.tamper(&format!(r#"UPDATE ledger_entry SET body = E'{{"peer":"nonsense",\n"path":' WHERE seq = {torn}"#));
    let entries = server.entries("action=write_secret");
    assert_eq!(entries.len(), 3);
    assert!(entries[1]["unreadable"].is_string());
    assert_eq!(server.entries("action=write_secret&peer=127.0.0.0/8").len(), 2);
    let lines = exported(&server, "");
    assert!(lines.iter().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    assert_eq!(lines.iter().filter(|line| line.contains("\"unreadable\"")).count(), 1);
    for by in ["accounts", "refusals", "reveals"] {
        server.root_read(&format!("sys/ledger/summary?by={by}"));
    }
    assert_eq!(server.sql("goldfin_auditor", &format!("SELECT kind FROM audit WHERE seq = {torn}")).unwrap(), "unreadable");
    assert_eq!(server.verify()["streams"][0]["seq"], json!(torn));
}

#[test]
fn summaries_count_what_the_views_count() {
    let server = tokenizing();
    server.root_write("transform/config", json!({ "purposes": ["claims"] }));
    let token = encode(&server, json!({ "value": "synthetic value" }));
    let batch: Vec<Value> = (0..3).map(|_| json!({ "value": token })).collect();
    for body in [json!({ "value": token }), json!({ "batch_input": batch }), json!({ "value": token, "purpose": "claims" })] {
        server.root_write("transform/decode/app", body);
    }
    let nobody = server.token_in(&["nobody"]);
    for _ in 0..2 {
        server.ask(&nobody, "GET", "secret/data/app", Value::Null).expect(403);
    }
    let forbid = r#"@id("never") forbid (principal in Group::"barred", action == Action::"read_secret", resource);"#;
    server.root_write("sys/policies/acl/barred", json!({ "policy": forbid }));
    let barred = server.token_in(&["barred"]);
    let refused = server.ask(&barred, "GET", "secret/data/app", Value::Null).expect(403);
    assert_eq!(refused.errors(), r#"["permission denied"]"#);

    let rows = |by: &str| server.root_read(&format!("sys/ledger/summary?by={by}")).data()["rows"].as_array().unwrap().clone();
    let root = rows("accounts").into_iter().find(|row| row["account"] == json!("root")).unwrap();
    assert_eq!(root["revealed"], json!(5));
    assert_eq!(
        root["requests"].as_i64().unwrap(),
        ["granted", "denied", "failed"].iter().map(|name| root[*name].as_i64().unwrap()).sum::<i64>()
    );
    let reveals = rows("reveals");
    assert_eq!(reveals.iter().map(|row| row["revealed"].as_i64().unwrap()).sum::<i64>(), 5);
    assert!(reveals.iter().any(|row| row["purpose"] == json!("claims") && row["revealed"] == json!(1)));
    let refusals = rows("refusals");
    let of = |policy: &Value, because: &str| {
        refusals
            .iter()
            .filter(|row| row["policy"] == *policy && row["because"] == json!(because))
            .map(|row| row["refusals"].as_i64().unwrap())
            .sum::<i64>()
    };
    assert_eq!((of(&json!("barred#never"), "forbidden"), of(&Value::Null, "none_permits")), (1, 2), "{refusals:?}");

    let auditor = |statement: &str| server.sql("goldfin_auditor", statement).unwrap();
    assert_eq!(auditor("SELECT revealed FROM audit_daily WHERE account = 'root'"), "5");
    assert_eq!(auditor("SELECT sum(revealed) FROM audit_reveals"), "5");
    assert_eq!(auditor("SELECT policy || ' ' || because FROM audit_refusals WHERE policy IS NOT NULL"), "barred#never forbidden");
    for view in ["audit", "audit_refusals", "audit_reveals", "audit_daily"] {
        assert!(!auditor(&format!("SELECT obj_description('{view}'::regclass)")).is_empty(), "{view} says what it is");
        assert!(server.sql("goldfin_app", &format!("SELECT * FROM {view}")).is_err(), "{view} is the auditors'");
        assert!(server.sql("goldfin_auditor", &format!("DELETE FROM {view}")).is_err());
    }
    let answer = server.ask(&server.root(), "GET", "sys/ledger/summary?by=weather", Value::Null).expect(400);
    assert!(answer.errors().contains("`by`"));

    // What an operator learns and the caller does not.
    let id = &refused.headers["x-goldfin-request-id"];
    let (code, out, err) = cli(&server, &["audit", "show", id]);
    assert!(code == 0 && out.contains("a policy forbids it: barred#never"), "{out}{err}");
    let (code, out, err) = cli(&server, &["policy", "explain", "--request", id]);
    assert!(code == 2 && out.contains("barred#never") && out.contains("forbid (principal"), "{code} {out}{err}");
    let (code, out, _) = cli(&server, &["audit", "summary", "--by", "refusals"]);
    assert!(code == 0 && out.contains("barred#never"), "{out}");
}
