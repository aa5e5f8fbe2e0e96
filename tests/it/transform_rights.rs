//! Who may do what with which transformation, and what the entries say of it.

use serde_json::{Value, json};

use crate::server::Server;
use crate::transform::{make, results, tokenizing};

/// Classes `phone` and `ssn` in one role; the group `desk` may encode everything and decode `phone` only, ten at a time.
fn desk() -> (Server, String) {
    let server = tokenizing();
    make(&server, "transform", "app", "ssn", json!({ "class": "ssn" }));
    make(&server, "transform", "app", "phone", json!({ "class": "phone" }));
    server.root_write("transform/role/desk", json!({ "transformations": ["phone", "ssn"] }));
    let policy = r#"
        permit(principal in Group::"desk", action == Action::"encode", resource in Mount::"transform");
        permit(principal in Group::"desk", action in [Action::"decode", Action::"lookup_pii_token"], resource in Mount::"transform")
        when { resource has class && resource.class == "phone" && context.batch_size <= 10 };"#;
    server.root_write("sys/policies/acl/desk", json!({ "policy": policy }));
    let token = server.token_in(&["desk"]);
    (server, token)
}

#[test]
fn a_batch_of_several_transformations_is_decided_for_each() {
    let (server, desk) = desk();
    let ask = |path: &str, body: Value| server.ask(&desk, "POST", path, body);
    let batch = json!({ "batch_input": [{ "value": "one", "transformation": "phone" }, { "value": "two", "transformation": "ssn" }] });
    let answer = ask("transform/encode/desk", batch).expect(200);
    let (phone, ssn) = (&results(&answer)[0]["encoded_value"], &results(&answer)[1]["encoded_value"]);
    let batch = json!({ "batch_input": [
        { "value": phone, "transformation": "phone", "reference": "p" }, { "value": ssn, "transformation": "ssn", "reference": "s" }
    ] });
    let answer = ask("transform/decode/desk", batch.clone()).expect(200);
    assert_eq!(results(&answer)[0], json!({ "decoded_value": "one", "reference": "p" }));
    assert_eq!(results(&answer)[1], json!({ "error": "permission denied", "status": 403, "reference": "s" }));
    // Neither by naming the other transformation nor by the role's silence does a permit reach further.
    ask("transform/decode/desk", json!({ "value": ssn, "transformation": "phone" })).expect(400);
    ask("transform/decode/desk", json!({ "value": ssn, "transformation": "ssn" })).expect(403);
    ask("transform/decode/desk", json!({ "value": phone })).expect(403);
    ask("transform/decode/none", json!({ "value": phone })).expect(403);
    ask("transform/decode/none", json!({ "value": phone, "transformation": "unknown" })).expect(403);
    ask("transform/decode/desk", json!({ "batch_input": vec![json!({ "value": phone, "transformation": "phone" }); 11] })).expect(403);
    ask("transform/decode/desk", json!({ "batch_input": vec![json!({ "value": ssn, "transformation": "ssn" }); 2] })).expect(403);
    ask("transform/metadata/desk", json!({ "value": phone, "transformation": "phone" })).expect(200);
    server.ask(&desk, "DELETE", "transform/tokens/desk", json!({ "value": phone, "transformation": "phone" })).expect(403);
    // The settings, on both of their paths, and subjects.
    for (method, path) in [
        ("GET", "transform/transformation/phone"),
        ("GET", "transform/transformations/tokenization/phone"),
        ("DELETE", "transform/transformation/phone"),
        ("GET", "transform/role/desk"),
        ("LIST", "transform/role"),
        ("GET", "transform/tokenization/keys/phone"),
        ("POST", "transform/tokenization/keys/phone/rotate"),
        ("GET", "transform/subjects/synthetic"),
        ("DELETE", "transform/subjects/synthetic"),
        ("GET", "transform/subjects/synthetic/disclosures"),
        ("GET", "transform/subjects/synthetic/export"),
    ] {
        server.ask(&desk, method, path, Value::Null).expect(403);
    }

    let entries = server.entries("action=decode&decision=granted");
    let mixed = entries.iter().find(|entry| entry["reason"] == json!("partly_denied")).expect("an entry of the mixed batch");
    assert_eq!((&mixed["resource"], &mixed["class"]), (&json!("Transformation:transform/phone,ssn"), &json!("phone")));
    assert_eq!((&mixed["count"], &mixed["succeeded"], &mixed["status"]), (&json!(2), &json!(1), &json!(200)));
    assert!(mixed["policies"][0].as_str().unwrap().starts_with("desk#"));
}

#[test]
fn one_forbid_holds_on_every_path_of_a_setting() {
    let server = tokenizing();
    let policy = r#"
        permit(principal in Group::"keeper", action, resource in Mount::"transform");
        forbid(principal, action, resource == Setting::"transform/transformations/tokenization/note");"#;
    server.root_write("sys/policies/acl/keeper", json!({ "policy": policy }));
    let keeper = server.token_in(&["keeper"]);
    for (method, path, body) in [
        ("GET", "transform/transformation/note", Value::Null),
        ("GET", "transform/transformations/tokenization/note", Value::Null),
        ("POST", "transform/transformation/note", json!({ "type": "tokenization" })),
        ("DELETE", "transform/transformation/note", Value::Null),
    ] {
        server.ask(&keeper, method, path, body).expect(403);
    }
    server.ask(&keeper, "POST", "transform/transformation/other", json!({ "type": "tokenization" })).expect(204);
}

#[test]
fn every_request_has_its_entry_and_none_holds_a_value() {
    let server = tokenizing();
    let ask = |method: &str, path: &str, body: Value| server.ask(&server.root(), method, path, body);
    let token = ask("POST", "transform/encode/app", json!({ "value": "canary-value", "subject": "canary-subject" })).expect(200).data()["encoded_value"].clone();
    let before = server.entries("limit=1")[0]["seq"].as_i64().unwrap();
    let requests = [
        ("POST", "transform/encode/app", json!({ "value": "canary-value", "metadata": { "canary-key": "canary-metadata" } }), 200),
        ("POST", "transform/decode/app", json!({ "value": token }), 200),
        ("POST", "transform/decode/app", json!({ "value": "canary-value" }), 400),
        ("POST", "transform/encode/app", json!({ "value": "canary-value", "transformation": "canary-name" }), 400),
        ("POST", "transform/encode/app", json!({ "batch_input": "canary-value" }), 400),
        ("GET", "transform/subjects/canary-subject/canary-word", Value::Null, 405),
        ("GET", "transform/subjects/canary-subject", Value::Null, 200),
        ("GET", "transform/subjects/canary-subject/disclosures", Value::Null, 200),
        ("DELETE", "transform/subjects/canary-subject", Value::Null, 200),
        ("POST", "transform/decode/app", json!({ "value": token }), 410),
    ];
    let count = requests.len();
    for (method, path, body, status) in requests {
        let answer = ask(method, path, body).expect(status);
        assert!(answer.headers.contains_key("x-goldfin-receipt"), "{path}");
    }
    let written = server
        .sql("postgres", &format!("SELECT body FROM ledger_entry WHERE seq > {before} AND body NOT LIKE '%read_ledger%' ORDER BY seq"))
        .unwrap();
    let entries: Vec<Value> =
        written.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|entry: &Value| entry["kind"] == json!("request")).collect();
    assert_eq!(entries.len(), count, "{written}");
    // A transformation that a caller names is a name, not a value: it is the resource.
    for canary in ["canary-value", "canary-subject", "canary-key", "canary-metadata", "canary-word", token.as_str().unwrap()] {
        assert!(!written.contains(canary), "{canary}");
    }
    let subject = &entries[1]["subject"];
    assert!(subject.is_string());
    let erased = &entries[8];
    assert_eq!((&erased["action"], &erased["subject"], &erased["count"]), (&json!("erase_subject"), subject, &json!(1)));
    assert!(erased["path"].as_str().unwrap().ends_with(subject.as_str().unwrap().split_at(16).0));
    assert_eq!(entries[9]["reason"], json!("gone"));
    assert_eq!(server.verify()["exit_code"], json!(0));
}
