//! Several people in one request, purposes, and what is left of somebody who was erased.

use serde_json::{Value, json};

use crate::server::Server;
use crate::transform::{make, post, results, tokenizing};

fn bound(server: &Server, role: &str, subject: Value, value: &str) -> Value {
    let answer = post(server, &format!("transform/encode/{role}"), json!({ "value": value, "subject": subject })).expect(200);
    json!({ "value": answer.data()["encoded_value"] })
}

fn disclosures(server: &Server, subject: &str) -> Vec<Value> {
    server.root_read(&format!("transform/subjects/{subject}/disclosures")).data()["disclosures"].as_array().unwrap().clone()
}

/// The keyed hash of a subject as the newest entry about it alone holds it.
fn hash_of(server: &Server, subject: &str) -> String {
    server.root_read(&format!("transform/subjects/{subject}"));
    server.entries("action=read_subject&limit=1")[0]["subject"].as_str().unwrap().to_owned()
}

/// A server whose role `both` has `note` and `phone`, and a batch of tokens: two notes and a phone of `synthetic-a`, a note of
/// `synthetic-b`, a note of nobody, junk.
fn of_several() -> (Server, Value) {
    let server = tokenizing();
    make(&server, "transform", "call", "phone", json!({ "class": "phone" }));
    server.root_write("transform/role/both", json!({ "transformations": ["note", "phone"] }));
    let mut items = vec![
        bound(&server, "app", json!("synthetic-a"), "v"),
        bound(&server, "app", json!("synthetic-a"), "v"),
        bound(&server, "app", json!("synthetic-b"), "v"),
        bound(&server, "app", Value::Null, "v"),
        json!({ "value": "junk" }),
    ];
    for item in &mut items {
        item["transformation"] = json!("note");
    }
    let mut phone = bound(&server, "call", json!("synthetic-a"), "v");
    phone["transformation"] = json!("phone");
    items.push(phone);
    (server, json!({ "batch_input": items }))
}

#[test]
fn a_batch_over_several_people_stands_in_the_disclosures_of_each() {
    let (server, batch) = of_several();
    post(&server, "transform/decode/both", batch.clone()).expect(200);
    let told = |subject: &str| -> Vec<Value> {
        disclosures(&server, subject).iter().map(|one| json!([one["account"], one["action"], one["class"], one["count"]])).collect()
    };
    assert_eq!(told("synthetic-a"), [json!(["root", "decode", "note,phone", 3])]);
    assert_eq!(told("synthetic-b"), [json!(["root", "decode", "note", 1])]);
    let entry = &server.entries("action=decode&limit=1")[0];
    assert_eq!((&entry["subject"], &entry["count"], &entry["succeeded"]), (&Value::Null, &json!(6), &json!(5)));
    let named: Vec<Value> = entry["subjects"].as_array().unwrap().iter().map(|one| json!([one["class"], one["count"]])).collect();
    let mut sorted = named.iter().map(Value::to_string).collect::<Vec<_>>();
    sorted.sort();
    assert_eq!(sorted, [r#"["note",1]"#, r#"["note",2]"#, r#"["phone",1]"#]);

    // One person's value beside one of nobody, and beside one that is refused.
    for beside in [3, 4] {
        let two = json!({ "batch_input": [batch["batch_input"][2], batch["batch_input"][beside]] });
        post(&server, "transform/decode/both", two).expect(200);
    }
    assert_eq!(told("synthetic-b").len(), 3);
    assert_eq!(told("synthetic-a").len(), 1);
    // The search by subject finds entries of both kinds.
    let hash = hash_of(&server, "synthetic-b");
    let found = server.entries(&format!("subject={hash}&action=decode&limit=10"));
    assert_eq!(found.len(), 3);
    assert_eq!(server.entries(&format!("subject={hash}&action=encode&limit=10")).len(), 1);
    // A page at a time.
    let first = post(&server, "transform/subjects/disclosures", json!({ "subject": "synthetic-b", "limit": 2 })).expect(200);
    let rest = json!({ "subject": "synthetic-b", "limit": 2, "after": first.data()["next"] });
    let rest = post(&server, "transform/subjects/disclosures", rest).expect(200);
    assert_eq!((rest.data()["disclosures"].as_array().unwrap().len(), &rest.data()["next"]), (1, &Value::Null));
    // Erased, they are still in the accounting.
    server.ask(&server.root(), "DELETE", "transform/subjects/synthetic-b", Value::Null).expect(200);
    assert_eq!(told("synthetic-b").len(), 3);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn ten_thousand_people_of_one_batch_are_all_named() {
    let server = tokenizing();
    let batch: Vec<Value> = (0..10_000).map(|n| json!({ "value": "v", "subject": format!("synthetic-{n}") })).collect();
    let mut tokens: Vec<Value> = Vec::new();
    for part in batch.chunks(1_000) {
        let answer = post(&server, "transform/encode/app", json!({ "batch_input": part })).expect(200);
        tokens.extend(results(&answer).iter().map(|item| json!({ "value": item["encoded_value"] })));
    }
    post(&server, "transform/decode/app", json!({ "batch_input": tokens })).expect(200);
    for n in [0, 4_711, 9_999] {
        let seen = disclosures(&server, &format!("synthetic-{n}"));
        assert_eq!((seen.len(), &seen[0]["count"], &seen[0]["class"]), (1, &json!(1), &json!("note")));
    }
    let count = "SELECT count(DISTINCT subject) FROM ledger_subject WHERE (stream, seq) IN (SELECT stream, seq FROM ledger_entry WHERE action = 'decode')";
    assert_eq!(server.sql("postgres", count).unwrap(), "10000");
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn the_names_beside_an_entry_are_held_against_it() {
    let (server, batch) = of_several();
    post(&server, "transform/decode/both", batch).expect(200);
    let place: i64 = server.sql("postgres", "SELECT DISTINCT seq FROM ledger_subject").unwrap().parse().unwrap();
    server.tamper("CREATE TABLE kept AS SELECT * FROM ledger_subject");
    for statement in [
        "DELETE FROM ledger_subject WHERE subject = (SELECT subject FROM ledger_subject ORDER BY 1 LIMIT 1)",
        "UPDATE ledger_subject SET subject = decode(repeat('00', 32), 'hex') WHERE subject = (SELECT subject FROM ledger_subject ORDER BY 1 DESC LIMIT 1)",
        "UPDATE ledger_subject SET count = count + 1",
        "UPDATE ledger_subject SET class = class || 'x'",
        "UPDATE ledger_subject SET time = time - interval '1 day'",
        "INSERT INTO ledger_subject SELECT stream, seq, decode(repeat('00', 32), 'hex'), class, time, count FROM ledger_subject LIMIT 1",
    ] {
        if !statement.starts_with("INSERT") {
            assert!(server.sql("postgres", statement).unwrap_err().contains("append-only"));
        }
        server.tamper(statement);
        let report = server.verify();
        assert_eq!((&report["exit_code"], &report["streams"][0]["seq"]), (&json!(2), &json!(place)), "{statement}");
        server.tamper("DELETE FROM ledger_subject; INSERT INTO ledger_subject SELECT * FROM kept");
        assert_eq!(server.verify()["exit_code"], json!(0));
    }
    server.tamper("INSERT INTO ledger_subject SELECT stream, 1000000, decode(repeat('00', 32), 'hex'), '', now(), 1 FROM ledger_stream");
    assert_eq!(server.verify()["exit_code"], json!(2));
}

#[test]
fn a_purpose_is_recorded_only_if_a_list_holds_it() {
    let server = tokenizing();
    let root = server.root();
    make(&server, "transform", "open", "open", json!({ "class": "open", "mapping_mode": "exportable" }));
    let token = bound(&server, "open", json!("synthetic-asks"), "v")["value"].clone();
    let reveal = |role: &str, purpose: &str| {
        let body = json!({ "value": token, "transformation": role });
        server.ask_with(&root, "POST", &format!("transform/decode/{role}"), body, &[("X-Goldfin-Purpose", purpose)])
    };
    let export = |purpose: &str| post(&server, "transform/subjects/export", json!({ "subject": "synthetic-asks", "purpose": purpose }));
    // No list anywhere: nobody cares, and it is not recorded.
    for passed_over in [reveal("open", "canary-word"), export("canary-word")] {
        passed_over.expect(200);
    }
    post(&server, "transform/encode/open", json!({ "value": "v", "purpose": "canary-word" })).expect(200);
    post(&server, "transform/decode/open", json!({ "value": token })).expect(200);

    assert_eq!(server.root_read("transform/config").data()["purposes"], json!([]));
    for wrong in [json!({ "purposes": ["two words"] }), json!({ "purposes": 1 }), json!({ "max_revealed_per_hour": -1 })] {
        server.ask(&root, "POST", "transform/config", wrong).expect(400);
    }
    server.ask(&root, "DELETE", "transform/config", Value::Null).expect(405);
    server.ask(&root, "POST", "transform/config", json!({ "purposes": ["audit", "access"] })).expect(204);
    assert_eq!(server.root_read("transform/config").data()["purposes"], json!(["audit", "access"]));
    assert_eq!(server.root_read("other/config").data()["purposes"], json!([]));
    for refused in [reveal("open", "canary-word"), export("canary-word")] {
        let refused = refused.expect(400).errors();
        assert!(refused.contains("audit, access") && !refused.contains("canary"), "{refused}");
    }
    post(&server, "transform/encode/open", json!({ "value": "v", "purpose": "canary-word" })).expect(400);
    reveal("open", "audit").expect(200);
    export("access").expect(200);
    post(&server, "transform/decode/open", json!({ "value": token })).expect(200);
    let purposes: Vec<Value> = disclosures(&server, "synthetic-asks").iter().map(|one| one["purpose"].clone()).collect();
    let expected = [json!(null), json!("access"), json!("audit"), json!(null), json!("(unlisted)"), json!("(unlisted)")];
    assert_eq!(purposes, expected);

    // A transformation's own list stands in the place of the mount's, and an export needs all of them.
    server.root_write("transform/transformations/tokenization/open", json!({ "purposes": ["claims"] }));
    reveal("open", "audit").expect(400);
    reveal("open", "claims").expect(200);
    post(&server, "transform/decode/open", json!({ "value": token })).expect(400);
    export("access").expect(400);
    export("claims").expect(200);
    // A batch has one purpose, which each of its transformations judges.
    server.root_write("transform/role/both", json!({ "transformations": ["note", "open"] }));
    let note = bound(&server, "app", Value::Null, "v")["value"].clone();
    let batch = json!({ "purpose": "claims", "batch_input": [{ "value": token, "transformation": "open" }, { "value": note, "transformation": "note" }] });
    let answer = post(&server, "transform/decode/both", batch).expect(200);
    assert_eq!((&results(&answer)[0]["decoded_value"], &results(&answer)[1]["status"]), (&json!("v"), &json!(400)));
    let written = server.sql("postgres", "SELECT string_agg(body, ' ') FROM ledger_entry").unwrap();
    assert!(!written.contains("canary"), "a refused purpose is in the ledger");
    assert!(written.contains("(unlisted)"));
}

#[test]
fn a_mounts_configuration_is_for_those_who_may() {
    let server = tokenizing();
    let nobody = server.token_in(&["nobody"]);
    for (method, body) in [("GET", Value::Null), ("POST", json!({ "purposes": ["a"] }))] {
        server.ask(&nobody, method, "transform/config", body.clone()).expect(403);
        server.ask("", method, "transform/config", body).expect(403);
    }
    let policy = r#"permit (principal in Group::"reader", action == Action::"read_setting", resource == Setting::"transform/config");"#;
    server.root_write("sys/policies/acl/reader", json!({ "policy": policy }));
    let reader = server.token_in(&["reader"]);
    server.ask(&reader, "GET", "transform/config", Value::Null).expect(200);
    server.ask(&reader, "POST", "transform/config", json!({ "purposes": ["a"] })).expect(403);
    let rights = server.ask(&reader, "POST", "sys/capabilities-self", json!({ "paths": ["transform/config"] })).expect(200);
    assert_eq!(rights.data()["capabilities"], json!(["read"]));
}

/// `goldfin` as an administrator runs it; what it printed, its messages, its exit code.
fn command(server: &Server, arguments: &[&str], input: &str) -> (String, String, i32) {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_goldfin"))
        .args(arguments)
        .envs([("GOLDFIN_ADDR", server.address()), ("GOLDFIN_CACERT", server.variable("VAULT_CACERT")), ("GOLDFIN_TOKEN", &server.root())])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

#[test]
fn an_erasure_leaves_a_receipt() {
    let server = tokenizing();
    for _ in 0..3 {
        bound(&server, "app", json!("synthetic-goes"), "v");
    }
    let folder = server.data().with_file_name("receipts");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("erased.json").display().to_string();
    let erase = ["subject", "erase", "--yes", "--receipt", file.as_str()];
    let nowhere = ["subject", "erase", "--yes", "--receipt", "/nowhere/erased.json"];
    let (_, said, code) = command(&server, &nowhere, "synthetic-goes");
    assert!(code != 0 && said.contains("nothing was erased"), "{said}");
    assert_eq!(server.root_read("transform/subjects/synthetic-goes").data()["alive"], json!(true));

    let (_, said, code) = command(&server, &erase, "synthetic-goes");
    assert_eq!(code, 0, "{said}");
    let receipt: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let entry = &server.entries("action=erase_subject&limit=1")[0];
    assert_eq!((&receipt["kind"], &receipt["version"]), (&json!("goldfin-erasure"), &json!(1)));
    assert_eq!((&receipt["subject"], &receipt["erased"], &receipt["mount"]), (&entry["subject"], &json!(3), &json!("transform")));
    for member in ["stream", "seq", "leaf"] {
        assert_eq!(receipt["entry"][member], entry[member], "{member}");
    }
    assert_eq!((&receipt["request_id"], &entry["count"]), (&entry["request_id"], &json!(3)));
    let held = server.root_read("transform/subjects/synthetic-goes");
    assert_eq!((&receipt["time"], &held.data()["hash"]), (&held.data()["erased"][0], &receipt["subject"]));
    assert!(!receipt.to_string().contains("synthetic"));
    // No receipt is written over another, and a second erasure names the first one's time.
    let (_, said, code) = command(&server, &erase, "synthetic-goes");
    assert!(code != 0 && said.contains("is there already"), "{said}");
    let again = server.ask(&server.root(), "DELETE", "transform/subjects/synthetic-goes", Value::Null).expect(200);
    assert_eq!((&again.data()["erased"], &again.data()["time"]), (&json!(0), &receipt["time"]));
}

#[test]
fn an_access_request_gets_everything_and_is_itself_a_disclosure() {
    let server = tokenizing();
    let settings = json!({ "mapping_mode": "exportable", "class": "open", "purposes": ["access-request"] });
    make(&server, "transform", "open", "open", settings);
    let batch: Vec<Value> = (0..1_234).map(|n| json!({ "value": format!("synthetic {n}"), "subject": "synthetic-asks" })).collect();
    post(&server, "transform/encode/open", json!({ "batch_input": batch })).expect(200);
    let file = server.data().with_file_name("person.json").display().to_string();
    let export = ["subject", "export", "--output", file.as_str(), "--purpose", "access-request"];
    let (_, said, code) = command(&server, &export, "synthetic-asks");
    assert_eq!(code, 0, "{said}");
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let values: std::collections::HashSet<&str> =
        written["values"].as_array().unwrap().iter().map(|one| one["value"].as_str().unwrap()).collect();
    assert_eq!((values.len(), &written["held"], &written["next"]), (1_234, &json!(1_234), &Value::Null));
    let seen = disclosures(&server, "synthetic-asks");
    let told: Vec<Value> = seen.iter().map(|one| json!([one["action"], one["class"], one["purpose"], one["count"]])).collect();
    let page = |count: u64| json!(["export_subject", "open", "access-request", count]);
    assert_eq!(told, [page(234), page(1_000)]);
    // What is held: classes and counts, no value.
    let held = server.root_read("transform/subjects/synthetic-asks");
    assert_eq!(held.data()["held"], json!([{ "class": "open", "count": 1_234, "transformation": "open" }]));
    // A stretch of time.
    let moment = seen[0]["time"].as_str().unwrap();
    for (stretch, count) in [(format!("since={moment}"), 1), (format!("until={moment}"), 1), ("until=2020-01-01T00:00:00Z".to_owned(), 0)] {
        let page = server.root_read(&format!("transform/subjects/synthetic-asks/disclosures?{stretch}"));
        assert_eq!(page.data()["disclosures"].as_array().unwrap().len(), count, "{stretch}");
    }
    server.ask(&server.root(), "GET", "transform/subjects/synthetic-asks/disclosures?since=yesterday", Value::Null).expect(400);
    let (listed, said, code) = command(&server, &["--format", "json", "subject", "disclosures", "--since", moment], "synthetic-asks");
    assert_eq!(code, 0, "{said}");
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap()["disclosures"].as_array().unwrap().len(), 1);
}
