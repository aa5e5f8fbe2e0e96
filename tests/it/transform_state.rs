//! Snapshots of tokens, restoring them, exports in the clear, and what entries say of each value.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::server::{Answer, Server};
use crate::transform::{make, post, results};

const STATE: &str = "transform/transformations/tokenization";

fn server_with(settings: Value) -> Server {
    let server = Server::start();
    server.root_write("sys/mounts/transform", json!({ "type": "transform" }));
    make(&server, "transform", "app", "note", settings);
    server
}

fn encoded(server: &Server, role: &str, batch: &[Value]) -> Vec<String> {
    let answer = post(server, &format!("transform/encode/{role}"), json!({ "batch_input": batch })).expect(200);
    results(&answer).iter().map(|item| item["encoded_value"].as_str().unwrap().to_owned()).collect()
}

/// All values of a paged answer.
fn pages(server: &Server, path: &str, limit: usize) -> Vec<Value> {
    let (mut values, mut continuation) = (Vec::new(), json!(""));
    loop {
        let answer = post(server, &format!("{STATE}/{path}"), json!({ "limit": limit, "continuation": continuation })).expect(200);
        let page = answer.data()["values"].as_array().unwrap();
        assert!(page.len() <= limit);
        values.extend(page.iter().cloned());
        match &answer.data()["continuation"] {
            Value::Null => return values,
            next => continuation = next.clone(),
        }
    }
}

fn decoded(server: &Server, token: &str) -> Answer {
    post(server, "transform/decode/app", json!({ "value": token }))
}

#[test]
fn a_snapshot_brings_back_what_was_deleted_and_takes_nothing_forged() {
    let server = server_with(json!({ "convergent": true, "deletion_allowed": true, "mapping_mode": "exportable" }));
    make(&server, "transform", "other", "other", json!({}));
    let batch: Vec<Value> = (0..25)
        .map(|n| json!({ "value": format!("synthetic {n}"), "metadata": { "n": format!("{n}") }, "subject": if n % 5 == 0 { json!(format!("veteran-{}", n % 10)) } else { Value::Null } }))
        .collect();
    let tokens = encoded(&server, "app", &batch);
    let foreign = encoded(&server, "other", &batch[..3]);
    let ending = encoded(&server, "app", &[json!({ "value": "ends", "ttl": "6s" })]);
    let values = pages(&server, "snapshot/note", 4);
    assert_eq!(values.len(), 26);
    assert_eq!(pages(&server, "snapshot/other", 1000).len(), 3);
    for value in &values {
        let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"synthetic"));
    }

    let delete: Vec<Value> = tokens.iter().chain(&ending).map(|token| json!({ "value": token })).collect();
    server.ask(&server.root(), "DELETE", "transform/tokens/app", json!({ "batch_input": delete })).expect(200);
    decoded(&server, &tokens[1]).expect(400);
    // The value of one of them has another token by now, and one subject is erased.
    let newer = encoded(&server, "app", &[json!({ "value": "synthetic 1" })]);
    server.ask(&server.root(), "DELETE", "transform/subjects/veteran-5", Value::Null).expect(200);
    std::thread::sleep(std::time::Duration::from_millis(6100));
    let restore = |values: &[Value]| post(&server, &format!("{STATE}/restore/note"), json!({ "values": values }));
    // One forged value among good ones: nothing is restored.
    let good = values[7].as_str().unwrap().to_owned();
    let mut bytes = STANDARD.decode(&good).unwrap();
    for at in [0, 5, 12, 40, bytes.len() - 1] {
        bytes[at] ^= 1;
        let refused = restore(&[values[8].clone(), json!(STANDARD.encode(&bytes))]).expect(400);
        assert!(refused.errors().contains("nothing was restored") && !refused.errors().contains(&good));
        bytes[at] ^= 1;
    }
    restore(&[json!("")]).expect(400);
    restore(&[json!("not base64")]).expect(400);
    restore(&[json!(good[..good.len() - 8])]).expect(400);
    post(&server, &format!("{STATE}/restore/other"), json!({ "values": [values[7]] })).expect(400);
    decoded(&server, &tokens[8]).expect(400);

    let answer = restore(&values).expect(200);
    assert_eq!(answer.data()["restored"], json!(23));
    assert!(answer.body["warnings"][0].as_str().unwrap().starts_with("2 values"), "{}", answer.body);
    let again = restore(&values).expect(200);
    assert_eq!(again.data()["restored"], json!(0), "{}", again.body);
    let of_other = pages(&server, "snapshot/other", 1000);
    post(&server, &format!("{STATE}/restore/other"), json!({ "values": of_other })).expect(204);
    for (n, token) in tokens.iter().enumerate() {
        let answer = decoded(&server, token);
        match n {
            5 | 15 => assert_eq!(answer.status, 400),
            n => assert_eq!(answer.expect(200).data()["decoded_value"], json!(format!("synthetic {n}"))),
        }
    }
    assert_eq!(decoded(&server, &ending[0]).status, 400, "it has ended meanwhile");
    let metadata = post(&server, "transform/metadata/app", json!({ "value": tokens[3] })).expect(200);
    assert_eq!(metadata.data()["metadata"], json!({ "n": "3" }));
    // Equality is back too; a value that got another token keeps it.
    let again = encoded(&server, "app", &batch);
    assert_eq!((&again[2], &again[3], &again[1]), (&tokens[2], &tokens[3], &newer[0]));
    assert_eq!(decoded(&server, &tokens[1]).expect(200).data()["decoded_value"], json!("synthetic 1"));
    assert_eq!(
        post(&server, "transform/decode/other", json!({ "value": foreign[0] })).expect(200).data()["decoded_value"],
        json!("synthetic 0")
    );

    for (path, body) in [
        ("snapshot/note", json!({ "limit": 0 })),
        ("snapshot/note", json!({ "limit": 10_001 })),
        ("snapshot/note", json!({ "continuation": "x" })),
        ("restore/note", json!({})),
        ("restore/note", json!({ "values": [] })),
        ("restore/note", json!({ "values": [1] })),
        ("export-decoded/note", json!({ "limit": "many" })),
        ("export-decoded/other", json!({})),
    ] {
        post(&server, &format!("{STATE}/{path}"), body).expect(400);
    }
    for act in ["snapshot", "export-decoded"] {
        post(&server, &format!("{STATE}/{act}/none"), json!({})).expect(404);
        server.ask(&server.root(), "GET", &format!("{STATE}/{act}/note"), Value::Null).expect(405);
    }
    // Of a transformation with the same name and other keys it is nothing.
    server.ask(&server.root(), "DELETE", &format!("{STATE}/note"), Value::Null).expect(204);
    make(&server, "transform", "app", "note", json!({ "convergent": true, "mapping_mode": "exportable" }));
    restore(&values).expect(400);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn an_export_is_in_the_clear_for_who_may_and_a_disclosure() {
    let server = server_with(json!({ "mapping_mode": "exportable", "class": "phone", "purposes": ["migration"] }));
    let batch: Vec<Value> = (0..5).map(|n| json!({ "value": format!("synthetic ü {n}"), "subject": "veteran-1" })).collect();
    let tokens = encoded(&server, "app", &batch);
    post(&server, "transform/tokenization/keys/note/rotate", Value::Null).expect(204);
    let alone = encoded(&server, "app", &[json!({ "value": "alone", "ttl": "1h" })]);
    let path = format!("{STATE}/export-decoded/note");
    post(&server, &path, json!({})).expect(400);
    let first = post(&server, &path, json!({ "limit": 5, "purpose": "migration" })).expect(200);
    let exported = |answer: &Answer| -> HashMap<String, String> {
        answer.data()["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| {
                let plaintext = STANDARD.decode(value["plaintext"].as_str().unwrap()).unwrap();
                (value["token"].as_str().unwrap().to_owned(), String::from_utf8(plaintext).unwrap())
            })
            .collect()
    };
    let expected: HashMap<String, String> =
        tokens.iter().enumerate().map(|(n, token)| (token.clone(), format!("synthetic ü {n}"))).collect();
    assert_eq!(exported(&first), expected);
    let next = json!({ "limit": 5, "purpose": "migration", "continuation": first.data()["continuation"] });
    let second = post(&server, &path, next).expect(200);
    assert_eq!(exported(&second), HashMap::from([(alone[0].clone(), "alone".to_owned())]));
    assert!(second.data()["values"][0]["expiration_time"].is_string() && second.data().get("continuation").is_none());

    let entries = server.entries("action=export_pii_tokens&decision=granted");
    let mut seen: Vec<(&Value, &Value, &Value)> =
        entries.iter().map(|entry| (&entry["count"], &entry["class"], &entry["purpose"])).collect();
    seen.sort_by_key(|(count, ..)| count.as_i64());
    assert_eq!(seen, [(&json!(1), &json!("phone"), &json!("migration")), (&json!(5), &json!("phone"), &json!("migration"))]);
    let disclosures = server.root_read("transform/subjects/veteran-1/disclosures");
    assert_eq!(disclosures.data()["disclosures"][0]["action"], json!("export_pii_tokens"));
    assert_eq!(disclosures.data()["disclosures"][0]["count"], json!(5));
    server.ask(&server.root(), "DELETE", "transform/subjects/veteran-1", Value::Null).expect(200);
    let after = post(&server, &path, json!({ "purpose": "migration" })).expect(200);
    assert_eq!(exported(&after).len(), 1);

    // The right to decode is not the right to export, nor is the right to a snapshot.
    server.root_write(
        "sys/policies/acl/desk",
        json!({ "policy": "permit(principal in Group::\"desk\", action in [Action::\"decode\", Action::\"snapshot_pii_tokens\"], resource in Mount::\"transform\");" }),
    );
    let desk = server.token_in(&["desk"]);
    server.ask(&desk, "POST", &path, json!({ "purpose": "migration" })).expect(403);
    server.ask(&desk, "POST", &format!("{STATE}/restore/note"), json!({ "values": ["x"] })).expect(403);
    server.ask(&desk, "POST", &format!("{STATE}/snapshot/note"), json!({})).expect(200);
}

#[test]
fn an_entry_names_each_token_where_that_is_asked_for() {
    let server = server_with(json!({ "per_value_audit": true, "deletion_allowed": true }));
    make(&server, "transform", "same", "same", json!({ "per_value_audit": true, "convergent": true, "deletion_allowed": true }));
    make(&server, "transform", "quiet", "quiet", json!({}));
    server.root_write("transform/role/both", json!({ "transformations": ["note", "quiet"] }));
    let last = |action: &str| -> Vec<String> {
        let entries = server.entries(&format!("action={action}&limit=1"));
        entries[0]["tokens"].as_array().unwrap_or(&Vec::new()).iter().map(|digest| digest.as_str().unwrap().to_owned()).collect()
    };
    let tokens = encoded(&server, "app", &[json!({ "value": "a" }), json!({ "value": "b" })]);
    let made = last("encode");
    assert!(made.len() == 2 && made[0] != made[1] && made.iter().all(|digest| digest.len() == 16), "{made:?}");
    let digest = |role: &str, token: &str| {
        let answer = post(&server, &format!("transform/metadata/{role}"), json!({ "value": token })).expect(200);
        answer.data()["ledger_token"].as_str().unwrap().to_owned()
    };
    assert_eq!(digest("app", &tokens[1]), made[1]);
    let batch = json!([{ "value": tokens[1], "transformation": "note" }, { "value": "junk", "transformation": "note" }, { "value": tokens[0], "transformation": "note" }]);
    post(&server, "transform/decode/both", json!({ "batch_input": batch })).expect(200);
    assert_eq!(last("decode"), [made[1].clone(), String::new(), made[0].clone()]);
    let quiet = encoded(&server, "quiet", &[json!({ "value": "a" })]);
    assert!(last("encode").is_empty());
    assert!(post(&server, "transform/metadata/quiet", json!({ "value": quiet[0] })).expect(200).data().get("ledger_token").is_none());
    server.ask(&server.root(), "DELETE", "transform/tokens/app", json!({ "value": tokens[0] })).expect(204);
    assert_eq!(last("delete_pii_token"), [made[0].clone()]);

    let same = encoded(&server, "same", &[json!({ "value": "a" }), json!({ "value": "b" }), json!({ "value": "a" })]);
    let made = last("encode");
    assert!(made.len() == 3 && made[0] == made[2] && made[0] == digest("same", &same[0]));
    post(&server, "transform/tokens/same", json!({ "value": "b" })).expect(200);
    assert_eq!(last("lookup_pii_token"), [made[1].clone()]);
    // Ten thousand values are one entry all the same.
    let many: Vec<Value> = (0..10_000).map(|n| json!({ "value": format!("synthetic {n}") })).collect();
    encoded(&server, "app", &many);
    assert_eq!(last("encode").len(), 10_000);
    post(&server, &format!("{STATE}/note"), json!({ "per_value_audit": false })).expect(204);
    encoded(&server, "app", &many[..2]);
    assert!(last("encode").is_empty());
    assert_eq!(server.verify()["exit_code"], json!(0));
}
