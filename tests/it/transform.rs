//! Tokenization through the network: values, batches, settings, keys, refusals, and what the database holds afterwards.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::server::{Answer, Server};

/// A server with the mounts `transform` and `other`, whose role `app` has the transformation `note` (deletable).
pub fn tokenizing() -> Server {
    let server = Server::start();
    for mount in ["transform", "other"] {
        server.root_write(&format!("sys/mounts/{mount}"), json!({ "type": "transform" }));
        make(&server, mount, "app", "note", json!({ "deletion_allowed": true, "class": "note" }));
    }
    server
}

/// A transformation for every role, and a role of its own.
pub fn make(server: &Server, mount: &str, role: &str, name: &str, mut settings: Value) {
    settings["allowed_roles"] = json!("*");
    server.ask(&server.root(), "POST", &format!("{mount}/transformations/tokenization/{name}"), settings).expect(204);
    server.ask(&server.root(), "POST", &format!("{mount}/role/{role}"), json!({ "transformations": [name] })).expect(204);
}

pub fn post(server: &Server, path: &str, body: Value) -> Answer {
    server.ask(&server.root(), "POST", path, body)
}

pub fn encode(server: &Server, body: Value) -> String {
    post(server, "transform/encode/app", body).expect(200).data()["encoded_value"].as_str().unwrap().to_owned()
}

pub fn decode(server: &Server, token: &str) -> Answer {
    post(server, "transform/decode/app", json!({ "value": token }))
}

fn decoded(server: &Server, token: &str) -> String {
    decode(server, token).expect(200).data()["decoded_value"].as_str().unwrap().to_owned()
}

pub fn results(answer: &Answer) -> &Vec<Value> {
    answer.data()["batch_results"].as_array().unwrap()
}

#[test]
fn values_become_tokens_and_values_again() {
    let server = tokenizing();
    let long = "ä".repeat(300_000);
    let texts =
        ["a", "synthetic 000-00-0000", "Zoë 🦊", "e\u{301} is not é", "line\nline\0\u{1}\u{202e}\"\\", " ", "\u{10ffff}", long.as_str()];
    let mut seen = HashSet::new();
    for text in texts {
        for _ in 0..2 {
            let token = encode(&server, json!({ "value": text }));
            assert!(token.starts_with("pii_") && token.len() == 43 && token.is_ascii(), "{token}");
            assert_eq!(decoded(&server, &token), text);
            assert!(seen.insert(token), "a token came twice");
        }
    }
    // PUT as well as POST, nulls mean "not given", unknown members are counted.
    let put =
        server.ask(&server.root(), "PUT", "transform/encode/app", json!({ "value": "x", "transformation": null, "tweak": "", "stray": 1 }));
    assert_eq!(put.expect(200).body["warnings"], json!(["1 members of the body are not known and were ignored"]));
    for wrong in
        [json!({}), json!({ "value": "" }), json!({ "value": 123456789 }), json!({ "value": ["a"] }), json!({ "Value": "a" }), Value::Null]
    {
        let refused = post(&server, "transform/encode/app", wrong).expect(400);
        assert!(refused.errors().contains("`value`"), "{}", refused.errors());
        assert!(!refused.errors().contains("123456789"));
    }
    post(&server, "transform/encode/app", json!({ "value": "a", "Subject": "s" })).expect(400);
    post(&server, "transform/encode/app", json!({ "value": "x".repeat((1 << 20) + 1) })).expect(400);
    server.ask(&server.root(), "GET", "transform/encode/app", Value::Null).expect(405);
    post(&server, "transform/decode/app/some-format", json!({ "value": encode(&server, json!({ "value": "x" })) })).expect(400);
}

#[test]
fn tokens_carry_metadata_and_end() {
    let server = tokenizing();
    let token = encode(&server, json!({ "value": "v", "metadata": { "organisation": "synthetic ütility" }, "ttl": "1h" }));
    let metadata = post(&server, "transform/metadata/app", json!({ "value": token })).expect(200);
    assert_eq!(metadata.data()["metadata"], json!({ "organisation": "synthetic ütility" }));
    assert!(metadata.data()["expiration_time"].as_str().unwrap().ends_with('Z'));
    let plain = encode(&server, json!({ "value": "v", "metadata": "a=b,c=d" }));
    let metadata = post(&server, "transform/metadata/app", json!({ "value": plain })).expect(200);
    assert_eq!(metadata.data(), &json!({ "metadata": { "a": "b", "c": "d" }, "expiration_time": null }));

    let short = encode(&server, json!({ "value": "v", "ttl": "4s" }));
    let valid = |token: &str| post(&server, "transform/validate/app", json!({ "value": token })).expect(200).data()["valid"].clone();
    assert_eq!(valid(&short), json!(true));
    assert_eq!(valid("junk"), json!(false));
    std::thread::sleep(std::time::Duration::from_millis(4100));
    assert!(decode(&server, &short).expect(410).errors().contains("expired"));
    post(&server, "transform/metadata/app", json!({ "value": short })).expect(410);
    assert_eq!(valid(&short), json!(false));

    for wrong in [
        json!({ "value": "v", "ttl": "1h", "expiration": "2100-01-01T00:00:00Z" }),
        json!({ "value": "v", "expiration": "2001-01-01T00:00:00Z" }),
        json!({ "value": "v", "expiration": "tomorrow" }),
        json!({ "value": "v", "ttl": "-1h" }),
        json!({ "value": "v", "metadata": { "a": 1 } }),
        json!({ "value": "v", "metadata": "no pair" }),
    ] {
        post(&server, "transform/encode/app", wrong).expect(400);
    }
    make(&server, "transform", "short", "short", json!({ "max_ttl": "2h" }));
    let bounded = post(&server, "transform/encode/short", json!({ "value": "v" })).expect(200).data()["encoded_value"].clone();
    assert!(post(&server, "transform/metadata/short", json!({ "value": bounded })).expect(200).data()["expiration_time"].is_string());
    assert!(post(&server, "transform/encode/short", json!({ "value": "v", "ttl": "3h" })).expect(400).errors().contains("max_ttl"));
}

#[test]
fn batches_answer_in_order_and_fail_item_by_item() {
    let server = tokenizing();
    make(&server, "transform", "both", "ssn", json!({ "class": "ssn" }));
    server.root_write("transform/role/both", json!({ "transformations": ["ssn", "note", "missing"] }));
    let batch: Vec<Value> = (0..1000).map(|n| json!({ "value": format!("synthetic {n}"), "reference": format!("r{n}") })).collect();
    let answer = post(&server, "transform/encode/app", json!({ "batch_input": batch })).expect(200);
    let tokens: Vec<&str> = results(&answer).iter().map(|item| item["encoded_value"].as_str().unwrap()).collect();
    assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), 1000);
    let batch: Vec<Value> = tokens.iter().rev().map(|token| json!({ "value": token })).collect();
    let answer = post(&server, "transform/decode/app", json!({ "batch_input": batch })).expect(200);
    for (n, item) in results(&answer).iter().rev().enumerate() {
        assert_eq!(item, &json!({ "decoded_value": format!("synthetic {n}") }));
    }

    let mixed = json!([
        { "value": "a", "transformation": "ssn", "reference": "first" },
        { "value": 5, "transformation": "ssn", "reference": "second" },
        "not an object",
        { "value": "b", "transformation": "note", "ttl": "1h" },
        { "value": "c", "transformation": "missing" },
        { "value": "d", "transformation": "elsewhere" },
        { "value": "e" },
        { "value": "", "transformation": "ssn", "reference": "eighth" },
        { "value": "f", "transformation": "ssn", "reference": 9 }
    ]);
    let answer = post(&server, "transform/encode/both", json!({ "batch_input": mixed })).expect(200);
    let statuses: Vec<Option<u64>> = results(&answer).iter().map(|item| item["status"].as_u64()).collect();
    assert_eq!(statuses, [None, Some(400), Some(400), None, Some(400), Some(400), Some(400), Some(400), Some(400)]);
    assert_eq!(results(&answer)[0]["reference"], json!("first"));
    assert_eq!(results(&answer)[1]["reference"], json!("second"));
    assert!(results(&answer)[4]["error"].as_str().unwrap().contains("`missing`"));
    assert!(!results(&answer)[5]["error"].as_str().unwrap().contains("elsewhere"));
    let (ssn, note) = (&results(&answer)[0]["encoded_value"], &results(&answer)[3]["encoded_value"]);
    let both = json!({ "transformation": "ssn", "batch_input": [{ "value": ssn }, { "value": note, "transformation": "note" }, { "value": note }] });
    let answer = post(&server, "transform/decode/both", both).expect(200);
    assert_eq!(results(&answer)[0]["decoded_value"], json!("a"));
    assert_eq!(results(&answer)[1]["decoded_value"], json!("b"));
    assert_eq!(results(&answer)[2]["status"], json!(400));

    let failing = json!([{ "value": "x" }, { "value": 1 }]);
    let answer = post(&server, "transform/decode/app", json!({ "batch_input": failing })).expect(400);
    assert_eq!(results(&answer).len(), 2);
    let part = json!({ "batch_input": [{ "value": "x" }, { "value": tokens[0] }], "partial_failure_response_code": 207 });
    assert_eq!(results(&post(&server, "transform/decode/app", part).expect(207))[1]["decoded_value"], json!("synthetic 0"));
    for wrong in [json!([]), json!("x"), json!({}), json!(vec![json!({ "value": "x" }); 10_001])] {
        post(&server, "transform/encode/app", json!({ "batch_input": wrong })).expect(400);
    }
    post(&server, "transform/encode/app", json!({ "value": "x", "batch_input": [{ "value": "x" }] })).expect(400);
    let largest = json!(vec![json!({ "value": "x" }); 10_000]);
    let answer = post(&server, "transform/encode/app", json!({ "batch_input": largest })).expect(200);
    assert_eq!(results(&answer).iter().map(|item| item["encoded_value"].as_str().unwrap()).collect::<HashSet<_>>().len(), 10_000);
}

#[test]
fn nobody_learns_why_a_token_is_none() {
    let server = tokenizing();
    make(&server, "transform", "second", "second", json!({}));
    let good = encode(&server, json!({ "value": "v" }));
    let deleted = encode(&server, json!({ "value": "v" }));
    server.ask(&server.root(), "DELETE", "transform/tokens/app", json!({ "value": deleted })).expect(204);
    let foreign = post(&server, "transform/encode/second", json!({ "value": "v" })).expect(200).data()["encoded_value"].clone();
    let elsewhere = post(&server, "other/encode/app", json!({ "value": "v" })).expect(200).data()["encoded_value"].clone();
    let mut forged = vec![json!(deleted), foreign, elsewhere, json!(""), json!("pii_"), json!("x"), json!("gft_x"), json!("ü")];
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
        forged.push(json!(String::from_utf8(bytes).unwrap()));
        forged.push(json!(good.split_at(at).0));
    }
    forged.push(json!(format!("{good}a")));
    forged.push(json!(format!(" {good}")));
    let expected = json!(["the token is not one of this transformation"]);
    for token in &forged {
        for path in ["decode", "metadata"] {
            let answer = post(&server, &format!("transform/{path}/app"), json!({ "value": token })).expect(400);
            assert_eq!(answer.body, json!({ "errors": expected }), "{token}");
        }
        let answer = server.ask(&server.root(), "DELETE", "transform/tokens/app", json!({ "value": token })).expect(400);
        assert_eq!(answer.body, json!({ "errors": expected }), "{token}");
        assert_eq!(post(&server, "transform/validate/app", json!({ "value": token })).expect(200).data(), &json!({ "valid": false }));
    }
    let mut batch: Vec<Value> = forged.iter().map(|token| json!({ "value": token })).collect();
    batch.push(json!({ "value": good }));
    let answer = post(&server, "transform/decode/app", json!({ "batch_input": batch })).expect(200);
    let (last, others) = results(&answer).split_last().unwrap();
    assert_eq!(last["decoded_value"], json!("v"));
    for item in others {
        assert_eq!(item, &json!({ "error": expected[0], "status": 400 }));
    }
}

#[test]
fn settings_are_read_listed_and_refused() {
    let server = tokenizing();
    let root = server.root();
    let read = server.root_read("transform/transformation/note");
    assert_eq!(read.data(), server.root_read("transform/transformations/tokenization/note").data());
    for (member, expected) in [
        ("type", json!("tokenization")),
        ("templates", json!([])),
        ("allowed_roles", json!(["*"])),
        ("mapping_mode", json!("default")),
        ("convergent", json!(false)),
        ("max_ttl", json!(0)),
        ("deletion_allowed", json!(true)),
        ("class", json!("note")),
        ("prefix", json!("pii")),
    ] {
        assert_eq!(read.data()[member], expected, "{member}");
    }
    // As hvac writes one: everything that concerns other types is there and means nothing.
    let hvac = json!({ "type": "tokenization", "template": "", "tweak_source": "supplied", "masking_character": "*", "allowed_roles": ["app", "cl*"] });
    server.ask(&root, "POST", "transform/transformation/second", hvac).expect(204);
    server.ask(&root, "POST", "transform/transformation/second", json!({ "type": "tokenization", "max_ttl": "90s" })).expect(204);
    let second = server.root_read("transform/transformation/second");
    assert_eq!((&second.data()["max_ttl"], &second.data()["allowed_roles"]), (&json!(90), &json!(["app", "cl*"])));
    assert_eq!(server.ask(&root, "LIST", "transform/transformation", Value::Null).data()["keys"], json!(["note", "second"]));
    assert_eq!(
        server.ask(&root, "LIST", "transform/transformations/tokenization?filter=s*d", Value::Null).data()["keys"],
        json!(["second"])
    );
    assert_eq!(server.ask(&root, "GET", "transform/role?list=true", Value::Null).data()["keys"], json!(["app"]));
    assert_eq!(server.ask(&root, "LIST", "transform/role?filter=x*", Value::Null).expect(404).body, json!({ "errors": [] }));
    for (path, body) in [
        ("transformation/a", json!({})),
        ("transformation/a", json!({ "type": "fpe" })),
        ("transformations/tokenization/a", json!({ "type": "masking" })),
        ("transformations/tokenization/a", json!({ "convergent": "perhaps" })),
        ("transformations/tokenization/a", json!({ "shape": "builtin/nothing" })),
        ("transformations/tokenization/a", json!({ "per_value_audit": "sometimes" })),
        ("transformations/tokenization/a", json!({ "stores": ["elsewhere"] })),
        ("transformations/tokenization/a", json!({ "mapping_mode": "open" })),
        ("transformations/tokenization/a", json!({ "allowed_roles": ["a b"] })),
        ("transformations/tokenization/a", json!({ "prefix": "gft" })),
        ("transformations/tokenization/a", json!({ "prefix": "two words" })),
        ("transformations/tokenization/note", json!({ "prefix": "other" })),
        ("transformations/tokenization/note", json!({ "mapping_mode": "exportable" })),
        ("transformations/fpe/a", json!({})),
        ("transformations/masking/a", json!({})),
        ("template/a", json!({})),
        ("alphabet/a", json!({})),
        ("redact/app", json!({ "value": "x" })),
        ("role/a", json!({ "transformations": ["../x"] })),
        ("tokenized/app", json!({ "value": "x" })),
        ("tokens/app", json!({ "value": "x" })),
    ] {
        post(&server, &format!("transform/{path}"), body).expect(400);
    }
    server.ask(&root, "GET", "transform/role/none", Value::Null).expect(404);
    server.ask(&root, "GET", "transform/transformation/a", Value::Null).expect(404);
    server.ask(&root, "GET", "transform/nowhere", Value::Null).expect(404);
    server.ask(&root, "PATCH", "transform/role/app", json!({})).expect(405);

    // Any order: what is not there yet fails on use and is named.
    post(&server, "transform/encode/early", json!({ "value": "x" })).expect(400);
    server.root_write("transform/role/early", json!({ "transformations": ["later"] }));
    assert!(post(&server, "transform/encode/early", json!({ "value": "x" })).expect(400).errors().contains("`later`"));
    server.root_write("transform/transformations/tokenization/later", json!({ "allowed_roles": ["late*"] }));
    assert!(post(&server, "transform/encode/early", json!({ "value": "x" })).expect(400).errors().contains("allowed_roles"));
    server.root_write("transform/transformations/tokenization/later", json!({ "allowed_roles": "late*,e*y" }));
    let token = post(&server, "transform/encode/early", json!({ "value": "x" })).expect(200).data()["encoded_value"].clone();
    // A transformation that is deleted takes its keys along, and its name starts anew.
    server.ask(&root, "DELETE", "transform/transformation/later", Value::Null).expect(204);
    post(&server, "transform/decode/early", json!({ "value": token })).expect(400);
    server.root_write("transform/transformations/tokenization/later", json!({ "allowed_roles": "*" }));
    let answer = post(&server, "transform/decode/early", json!({ "value": token })).expect(400);
    assert!(answer.errors().contains("not one of this transformation"));
    let token = post(&server, "transform/encode/early", json!({ "value": "y" })).expect(200).data()["encoded_value"].clone();
    assert_eq!(post(&server, "transform/decode/early", json!({ "value": token })).expect(200).data()["decoded_value"], json!("y"));
    server.ask(&root, "DELETE", "transform/role/early", Value::Null).expect(204);
    server.root_write("transform/role/early", json!({ "transformations": ["later", "note"] }));
    let answer = post(&server, "transform/decode/early", json!({ "value": token })).expect(400);
    assert!(answer.errors().contains("`transformation` is missing"), "{}", answer.errors());
    make(&server, "transform", "kept", "kept", json!({}));
    let kept = post(&server, "transform/encode/kept", json!({ "value": "x" })).expect(200).data()["encoded_value"].clone();
    let answer = server.ask(&root, "DELETE", "transform/tokens/kept", json!({ "value": kept })).expect(400);
    assert!(answer.errors().contains("deletion_allowed"));
}

#[test]
fn keys_rotate_and_old_versions_can_be_destroyed() {
    let server = tokenizing();
    let keys = || server.root_read("transform/tokenization/keys/note").data().clone();
    let first = encode(&server, json!({ "value": "one" }));
    let bound = encode(&server, json!({ "value": "bound", "subject": "synthetic-1" }));
    for _ in 0..2 {
        server.root_write("transform/tokenization/keys/note/rotate", Value::Null);
    }
    let third = encode(&server, json!({ "value": "three" }));
    assert_eq!((decoded(&server, &first), decoded(&server, &third)), ("one".to_owned(), "three".to_owned()));
    assert_eq!((&keys()["latest_version"], &keys()["min_available_version"]), (&json!(3), &json!(1)));
    assert_eq!(server.root_read("transform/transformations/tokenization/keys/note").data(), &keys());
    let set = |action: &str, body: Value| post(&server, &format!("transform/tokenization/keys/note/{action}"), body);
    set("trim", json!({ "min_available_version": 2 })).expect(400);
    set("config", json!({ "min_decryption_version": 4 })).expect(400);
    set("config", json!({ "min_decryption_version": 0 })).expect(400);
    set("config", json!({ "min_decryption_version": 2 })).expect(204);
    assert!(decode(&server, &first).expect(400).errors().contains("min_decryption_version"));
    set("config", json!({ "min_decryption_version": 1 })).expect(204);
    assert_eq!(decoded(&server, &first), "one");
    set("config", json!({ "min_decryption_version": 3 })).expect(204);
    set("trim", json!({ "min_available_version": 3 })).expect(204);
    decode(&server, &first).expect(410);
    set("config", json!({ "min_decryption_version": 1 })).expect(400);
    assert_eq!(decoded(&server, &third), "three");
    // A subject's values are under the subject's key, whatever becomes of the transformation's.
    assert_eq!(decoded(&server, &bound), "bound");
    assert_eq!(server.sql("postgres", "SELECT string_agg(version::text, ',' ORDER BY version) FROM transform_key WHERE mount = (SELECT min(mount) FROM transform_key) AND transformation = 'note'").unwrap(), "0,3");
}

#[test]
fn a_stolen_dump_gives_nothing_and_a_changed_row_is_noticed() {
    let server = tokenizing();
    let batch: Vec<Value> = (0..500).map(|n| json!({ "value": "synthetic repeated value", "subject": format!("canary-person-{}", n % 2), "metadata": { "m": "synthetic repeated value" } })).collect();
    let answer = post(&server, "transform/encode/app", json!({ "batch_input": batch })).expect(200);
    let tokens: Vec<String> = results(&answer).iter().map(|item| item["encoded_value"].as_str().unwrap().to_owned()).collect();
    let dump = server
        .sql("postgres", "SELECT t::text FROM pii_token t UNION ALL SELECT s::text FROM subject s UNION ALL SELECT c::text FROM control c UNION ALL SELECT e::text FROM ledger_entry e UNION ALL SELECT k::text FROM transform_key k")
        .unwrap();
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    for canary in ["synthetic repeated", "canary-person"] {
        assert!(!dump.contains(canary) && !dump.contains(&hex(canary)), "{canary} is in the database");
    }
    for token in &tokens {
        assert!(!dump.contains(token.as_str()) && !dump.contains(token.split_at(20).0));
    }
    let distinct =
        server.sql("postgres", "SELECT count(DISTINCT value) = count(*) AND count(DISTINCT metadata) = count(*) FROM pii_token").unwrap();
    assert_eq!(distinct, "t");

    let alone: Vec<String> = (0..6).map(|n| encode(&server, json!({ "value": format!("alone {n}"), "ttl": "1h" }))).collect();
    let id = |nth: usize| format!("(SELECT id FROM pii_token WHERE subject IS NULL ORDER BY id OFFSET {nth} LIMIT 1)");
    server.tamper(&format!("UPDATE pii_token SET value = (SELECT value FROM pii_token WHERE id = {}) WHERE id = {}", id(1), id(0)));
    server.tamper(&format!("UPDATE pii_token SET expires = NULL WHERE id = {}", id(2)));
    server.tamper(&format!("UPDATE pii_token SET subject = (SELECT min(id) FROM subject) WHERE id = {}", id(3)));
    for (at, token) in alone.iter().enumerate() {
        let expected = if [0, 2].contains(&at) { 500 } else { 200 };
        // The third tampering gave the row a subject, so that it counts no longer as one without.
        let expected = if at == 3 { 500 } else { expected };
        let answer = decode(&server, token).expect(expected);
        if expected == 500 {
            assert!(answer.errors().contains("integrity"), "{}", answer.errors());
            assert_eq!(answer.body["data"], Value::Null);
        }
        assert_eq!(post(&server, "transform/validate/app", json!({ "value": token })).status, expected);
    }
    let batch: Vec<Value> = alone.iter().map(|token| json!({ "value": token })).collect();
    let answer = post(&server, "transform/decode/app", json!({ "batch_input": batch })).expect(200);
    let statuses: Vec<Option<u64>> = results(&answer).iter().map(|item| item["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(500), None, Some(500), Some(500), None, None]);
    // A subject's key that is moved to another subject opens nothing.
    server.tamper(
        "UPDATE subject SET wrapped_key = (SELECT wrapped_key FROM subject ORDER BY id LIMIT 1) WHERE id = (SELECT max(id) FROM subject)",
    );
    let broken = tokens.iter().take(2).filter(|token| decode(&server, token).status == 500).count();
    assert_eq!(broken, 1);
}

#[test]
fn concurrent_lookups_find_their_own() {
    let server = tokenizing();
    let batch: Vec<Value> = (0..64).map(|n| json!({ "value": format!("synthetic {n}") })).collect();
    let answer = post(&server, "transform/encode/app", json!({ "batch_input": batch })).expect(200);
    let tokens: Vec<&str> = results(&answer).iter().map(|item| item["encoded_value"].as_str().unwrap()).collect();
    std::thread::scope(|scope| {
        for worker in 0..16 {
            let (server, tokens) = (&server, &tokens);
            scope.spawn(move || {
                for (n, token) in tokens.iter().enumerate().skip(worker % 4) {
                    assert_eq!(decoded(server, token), format!("synthetic {n}"));
                    let fresh = encode(server, json!({ "value": format!("{worker} {n}") }));
                    assert_eq!(decoded(server, &fresh), format!("{worker} {n}"));
                }
            });
        }
    });
}
