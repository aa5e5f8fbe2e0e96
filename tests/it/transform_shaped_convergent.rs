//! Deterministic shaped tokens: the same value, the same token in the value's own form; on two nodes, under subjects, after ends,
//! rotations, deletions and restores.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::second_node::SecondNode;
use crate::server::{Answer, Server};
use crate::transform::{make, post, results};

/// A server whose role `app` of the mount `transform` has the transformation `ssn`, deterministic and in the shape of an SSN.
fn joining() -> Server {
    let server = Server::start();
    server.root_write("sys/mounts/transform", json!({ "type": "transform" }));
    make(&server, "transform", "app", "ssn", deterministic("builtin/socialsecuritynumber"));
    server
}

fn deterministic(shape: &str) -> Value {
    json!({ "convergent": true, "shape": shape, "deletion_allowed": true, "mapping_mode": "exportable", "class": "ssn" })
}

fn token(answer: &Answer) -> String {
    answer.data()["encoded_value"].as_str().unwrap().to_owned()
}

fn encode(server: &Server, body: Value) -> String {
    token(&post(server, "transform/encode/app", body).expect(200))
}

fn decode(server: &Server, token: &str) -> Answer {
    post(server, "transform/decode/app", json!({ "value": token }))
}

fn decoded(server: &Server, token: &str) -> Value {
    decode(server, token).expect(200).data()["decoded_value"].clone()
}

fn tokens_of(answer: &Answer) -> Vec<String> {
    results(answer).iter().map(|item| item["encoded_value"].as_str().unwrap_or_else(|| panic!("{item}")).to_owned()).collect()
}

fn count(server: &Server, table: &str) -> String {
    server.sql("postgres", &format!("SELECT count(*) FROM {table}")).unwrap()
}

fn number(n: usize) -> String {
    format!("123-{:02}-{:04}", n / 10_000, n % 10_000)
}

#[test]
fn the_same_value_gives_the_same_number_that_nobody_has() {
    let server = joining();
    make(&server, "transform", "second", "second", deterministic("builtin/socialsecuritynumber"));
    make(&server, "transform", "card", "card", deterministic("builtin/creditcardnumber"));
    let read = server.root_read("transform/transformations/tokenization/ssn");
    assert_eq!((&read.data()["convergent"], &read.data()["shape"]), (&json!(true), &json!("builtin/socialsecuritynumber")));
    let mut seen = HashSet::new();
    for n in 0..40 {
        let value = number(n);
        let first = encode(&server, json!({ "value": value }));
        assert!(first.len() == 11 && first.starts_with('9') && first.as_bytes()[3] == b'-', "{first}");
        assert_eq!(encode(&server, json!({ "value": value })), first);
        assert_eq!(decoded(&server, &first), json!(value));
        let elsewhere = token(&post(&server, "transform/encode/second", json!({ "value": value })).expect(200));
        // The digits of two transformations may meet by chance; those of one never.
        assert!(seen.insert(first), "two values met");
        assert_eq!(token(&post(&server, "transform/encode/second", json!({ "value": value })).expect(200)), elsewhere);
    }
    let in_second: HashSet<String> =
        (0..40).map(|n| token(&post(&server, "transform/encode/second", json!({ "value": number(n) })).expect(200))).collect();
    assert!(in_second.len() == 40 && in_second.intersection(&seen).count() < 3);
    assert_eq!((count(&server, "pii_token"), count(&server, "pii_token_index")), ("80".to_owned(), "80".to_owned()));
    let entries = "SELECT count(*) FROM ledger_entry WHERE action = 'encode' AND decision = 'granted'";
    assert_eq!(server.sql("postgres", entries).unwrap(), "200", "every request has its entry");

    // Values are compared byte for byte: what comes back is what was given, separators included.
    let plain = encode(&server, json!({ "value": "123000001" }));
    assert!(plain.len() == 9 && !seen.contains(&format!("{}-{}-{}", &plain[..3], &plain[3..5], &plain[5..])), "{plain}");
    assert_eq!(decoded(&server, &plain), json!("123000001"));
    // A checksum stays right, and a wrong one wrong.
    for value in ["4111 1111 1111 1111", "4111 1111 1111 1112"] {
        let card = |value: &str| token(&post(&server, "transform/encode/card", json!({ "value": value })).expect(200));
        assert_eq!(card(value), card(value));
        assert!(card(value).starts_with("9999 "), "{}", card(value));
    }
    // What does not fit has its own error, and the others their tokens.
    let batch = json!({ "batch_input": [{ "value": "synthetic" }, { "value": number(1), "reference": "r" }, { "value": 7 }, { "value": number(1) }] });
    let answer = post(&server, "transform/encode/app", batch).expect(200);
    let statuses: Vec<Option<u64>> = results(&answer).iter().map(|item| item["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(400), None, Some(400), None]);
    assert!(!results(&answer)[0].to_string().contains("synthetic"));
    assert_eq!(results(&answer)[1], json!({ "encoded_value": encode(&server, json!({ "value": number(1) })), "reference": "r" }));
    // Both are decided once.
    for (member, other) in [("convergent", json!(false)), ("shape", json!("opaque"))] {
        let refused = post(&server, "transform/transformations/tokenization/ssn", json!({ member: other })).expect(400);
        assert!(refused.errors().contains(member), "{}", refused.errors());
    }
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn all_kinds_go_through_one_request() {
    let server = joining();
    for (name, settings) in [
        ("opaque", json!({})),
        ("same", json!({ "convergent": true, "per_value_audit": true })),
        ("shaped", json!({ "shape": "builtin/socialsecuritynumber" })),
    ] {
        make(&server, "transform", name, name, settings);
    }
    server.root_write("transform/role/all", json!({ "transformations": ["opaque", "same", "shaped", "ssn"] }));
    let order = ["ssn", "opaque", "same", "shaped", "ssn", "same", "shaped", "opaque"];
    let items: Vec<Value> = order.iter().map(|name| json!({ "value": "123-45-6789", "transformation": name })).collect();
    let made = tokens_of(&post(&server, "transform/encode/all", json!({ "batch_input": items })).expect(200));
    assert!(made[0] == made[4] && made[2] == made[5] && made[3] != made[6] && made[1] != made[7], "{made:?}");
    let entry = &server.entries("action=encode&limit=1")[0];
    let named: Vec<bool> = entry["tokens"].as_array().unwrap().iter().map(|digest| digest != "").collect();
    assert_eq!((named, &entry["count"]), (vec![false, false, true, false, false, true, false, false], &json!(8)));
    let back: Vec<Value> = made.iter().zip(order).map(|(token, name)| json!({ "value": token, "transformation": name })).collect();
    let answer = post(&server, "transform/decode/all", json!({ "batch_input": back })).expect(200);
    assert!(results(&answer).iter().all(|item| item["decoded_value"] == json!("123-45-6789")), "{answer:?}");
    assert_eq!(tokens_of(&post(&server, "transform/encode/all", json!({ "batch_input": items })).expect(200))[0], made[0]);
}

#[test]
fn concurrent_encodes_of_one_value_on_two_nodes_agree() {
    let server = joining();
    let node = SecondNode::start(&server);
    let tokens: Vec<Vec<String>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..6)
            .map(|worker| {
                let (server, node) = (&server, &node);
                scope.spawn(move || {
                    let ask = |body: Value| match worker % 2 {
                        0 => server.ask(&server.root(), "POST", "transform/encode/app", body),
                        _ => node.ask(server, &server.root(), "POST", "transform/encode/app", body),
                    };
                    let mut tokens: Vec<String> = (0..12).map(|n| token(&ask(json!({ "value": number(n) })).expect(200))).collect();
                    let mut order: Vec<usize> = (1000..1200).chain(1000..1200).collect();
                    order.rotate_left(worker * 37);
                    if worker % 3 == 0 {
                        order.reverse();
                    }
                    let batch: Vec<Value> = order.iter().map(|n| json!({ "value": number(*n) })).collect();
                    let mut found: Vec<(usize, String)> =
                        order.into_iter().zip(tokens_of(&ask(json!({ "batch_input": batch })).expect(200))).collect();
                    found.sort();
                    found.dedup();
                    tokens.extend(found.into_iter().map(|(_, token)| token));
                    tokens
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    for others in &tokens[1..] {
        assert_eq!(others, &tokens[0]);
    }
    assert_eq!(tokens[0].iter().collect::<HashSet<_>>().len(), 212);
    assert_eq!((count(&server, "pii_token"), count(&server, "pii_token_index")), ("212".to_owned(), "212".to_owned()));
    assert_eq!(decoded(&server, &tokens[0][211]), json!(number(1199)));
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn two_subjects_never_share_a_number_and_an_erasure_takes_one() {
    let server = joining();
    let of = |subject: &str| encode(&server, json!({ "value": "123-45-6789", "subject": subject }));
    let (one, other, none) = (of("veteran-1"), of("veteran-2"), encode(&server, json!({ "value": "123-45-6789" })));
    assert_eq!([&one, &other, &none].into_iter().collect::<HashSet<_>>().len(), 3);
    assert_eq!((of("veteran-1"), of("veteran-2")), (one.clone(), other.clone()));
    let found = |subject: &str| {
        post(&server, "transform/tokens/app", json!({ "value": "123-45-6789", "subject": subject })).expect(200).data()["tokens"].clone()
    };
    assert_eq!((found("veteran-1"), found("never seen")), (json!([one]), json!([])));
    assert_eq!(server.root_read("transform/subjects/veteran-1/export").data()["values"][0]["value"], json!("123-45-6789"));
    server.ask(&server.root(), "DELETE", "transform/subjects/veteran-1", Value::Null).expect(200);
    decode(&server, &one).expect(410);
    assert_eq!((found("veteran-1"), found("veteran-2")), (json!([]), json!([other])));
    for token in [&other, &none] {
        assert_eq!(decoded(&server, token), json!("123-45-6789"));
    }
    let again = of("veteran-1");
    assert_ne!(again, one);
    assert_eq!((decoded(&server, &again), of("veteran-1")), (json!("123-45-6789"), again));
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn values_are_found_deleted_ended_and_prolonged() {
    let mut server = joining();
    let find = |server: &Server, path: &str, value: &str| {
        post(server, &format!("transform/{path}/app"), json!({ "value": value })).expect(200).data().clone()
    };
    let first = encode(&server, json!({ "value": number(1), "metadata": { "a": "1" } }));
    assert_eq!(find(&server, "tokens", &number(1)), json!({ "tokens": [first] }));
    assert_eq!((find(&server, "tokenized", &number(1)), find(&server, "tokenized", "synthetic")), {
        (json!({ "tokenized": true }), json!({ "tokenized": false }))
    });
    server.ask(&server.root(), "DELETE", "transform/tokenized/app", json!({ "value": number(1) })).expect(204);
    let refused = decode(&server, &first).expect(400).errors();
    assert_eq!(decode(&server, "900-00-0000").expect(400).errors(), refused, "deleted and never issued are one");
    let second = encode(&server, json!({ "value": number(1) }));
    assert_ne!(second, first);
    server.ask(&server.root(), "DELETE", "transform/tokens/app", json!({ "value": second })).expect(204);
    assert_eq!((count(&server, "pii_token"), count(&server, "pii_token_index")), ("0".to_owned(), "0".to_owned()));

    // It lives as long as the longest life that anybody asked for. Prolonging uses no number up.
    let long = encode(&server, json!({ "value": number(2), "ttl": "1h", "metadata": { "a": "1" } }));
    let issued = "SELECT issued FROM transform_key WHERE version = 0 AND transformation = 'ssn'";
    server.kill_and_restart();
    let before = server.sql("postgres", issued).unwrap();
    for hours in 2..40 {
        assert_eq!(encode(&server, json!({ "value": number(2), "ttl": format!("{hours}h") })), long);
    }
    assert_eq!(server.sql("postgres", issued).unwrap(), before);
    let metadata = post(&server, "transform/metadata/app", json!({ "value": long })).expect(200);
    assert_eq!(metadata.data()["metadata"], json!({ "a": "1" }));
    let short = encode(&server, json!({ "value": number(3), "ttl": "700ms" }));
    sleep(Duration::from_millis(1500));
    decode(&server, &short).expect(410);
    let fresh = encode(&server, json!({ "value": number(3) }));
    assert_ne!(fresh, short);
    assert_eq!((decoded(&server, &fresh), encode(&server, json!({ "value": number(3) }))), (json!(number(3)), fresh));
}

#[test]
fn equality_survives_rotation_restart_export_and_restore() {
    let mut server = joining();
    let tokens: Vec<String> = (0..20).map(|n| encode(&server, json!({ "value": number(n) }))).collect();
    post(&server, "transform/tokenization/keys/ssn/rotate", Value::Null).expect(204);
    server.kill_and_restart();
    assert_eq!(encode(&server, json!({ "value": number(0) })), tokens[0]);
    let at = |server: &Server, act: &str, body: Value| post(server, &format!("transform/transformations/tokenization/{act}/ssn"), body);
    let exported = at(&server, "export-decoded", json!({})).expect(200);
    let named: HashSet<&str> = exported.data()["values"].as_array().unwrap().iter().map(|value| value["token"].as_str().unwrap()).collect();
    assert_eq!(named, tokens.iter().map(String::as_str).collect());

    let taken = at(&server, "snapshot", json!({})).expect(200).data()["values"].clone();
    let batch: Vec<Value> = tokens.iter().map(|token| json!({ "value": token })).collect();
    server.ask(&server.root(), "DELETE", "transform/tokens/app", json!({ "batch_input": batch })).expect(200);
    // A value that got another token meanwhile keeps it, and both decode.
    let newer = encode(&server, json!({ "value": number(0) }));
    assert_ne!(newer, tokens[0]);
    at(&server, "restore", json!({ "values": taken })).expect(204);
    assert_eq!(encode(&server, json!({ "value": number(0) })), newer);
    assert_eq!((decoded(&server, &newer), decoded(&server, &tokens[0])), (json!(number(0)), json!(number(0))));
    for (n, token) in tokens.iter().enumerate().skip(1) {
        assert_eq!(&encode(&server, json!({ "value": number(n) })), token);
    }
    // A destroyed version keeps no value from a token, which is another one: whose the old one was, nobody can tell any more.
    post(&server, "transform/tokenization/keys/ssn/config", json!({ "min_decryption_version": 2 })).expect(204);
    post(&server, "transform/tokenization/keys/ssn/trim", json!({ "min_available_version": 2 })).expect(204);
    decode(&server, &tokens[5]).expect(410);
    let again = encode(&server, json!({ "value": number(5) }));
    assert_ne!(again, tokens[5]);
    assert_eq!((decoded(&server, &again), encode(&server, json!({ "value": number(5) }))), (json!(number(5)), again));
    decode(&server, &tokens[5]).expect(410);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn known_values_keep_their_tokens_when_the_shape_is_used_up() {
    let server = Server::start();
    server.root_write("sys/mounts/transform", json!({ "type": "transform" }));
    let mut settings = deterministic("builtin/zipplusfour");
    settings["max_ttl"] = json!("1h");
    make(&server, "transform", "app", "ssn", settings);
    let known = encode(&server, json!({ "value": "12345-6789" }));
    server.tamper("UPDATE transform_key SET issued = 900000 WHERE transformation = 'ssn' AND version = 0");
    // The node spends the block that it has.
    let batch: Vec<Value> = (0..200).map(|n| json!({ "value": format!("12345-{n:04}") })).collect();
    let answer = post(&server, "transform/encode/app", json!({ "batch_input": batch })).expect(200);
    let refused: Vec<&Value> = results(&answer).iter().filter(|item| item["status"] == json!(400)).collect();
    assert!(!refused.is_empty() && refused.iter().all(|item| item["error"].as_str().unwrap().contains("nearly used up")), "{answer:?}");
    let refused = post(&server, "transform/encode/app", json!({ "value": "99999-9999" })).expect(400);
    assert!(refused.errors().contains("nearly used up"), "{}", refused.errors());
    assert_eq!(encode(&server, json!({ "value": "12345-6789" })), known);
    assert_eq!(decoded(&server, &known), json!("12345-6789"));
}

#[test]
fn only_what_was_asked_for_is_equal_in_the_database() {
    let server = joining();
    make(&server, "transform", "second", "second", deterministic("builtin/socialsecuritynumber"));
    for role in ["app", "second"] {
        for _ in 0..3 {
            let batch: Vec<Value> = (0..20).map(|n| json!({ "value": number(n % 10) })).collect();
            post(&server, &format!("transform/encode/{role}"), json!({ "batch_input": batch })).expect(200);
        }
    }
    let sql = |query: &str| server.sql("postgres", query).unwrap();
    let dump =
        sql("SELECT t::text FROM pii_token t UNION ALL SELECT i::text FROM pii_token_index i UNION ALL SELECT e::text FROM ledger_entry e");
    assert!(!dump.contains("123-00-000"));
    assert_eq!(sql("SELECT count(DISTINCT blind) FROM pii_token_index"), "20", "nothing in common between transformations");
    assert_eq!(sql("SELECT count(DISTINCT value) = count(*) AND count(DISTINCT secret) = count(*) FROM pii_token"), "t");
    // Somebody who leads a value to another's token is noticed before the token leaves.
    server.tamper("UPDATE pii_token_index i SET id = (SELECT max(id) FROM pii_token_index o WHERE o.transformation = i.transformation) WHERE id = (SELECT min(id) FROM pii_token_index)");
    let values: Vec<Value> = (0..10).map(|n| json!({ "value": number(n) })).collect();
    let answer = post(&server, "transform/encode/app", json!({ "batch_input": values })).expect(200);
    assert_eq!(results(&answer).iter().filter(|item| item["status"] == json!(500)).count(), 1, "{answer:?}");
    let answer = post(&server, "transform/tokens/app", json!({ "batch_input": values })).expect(200);
    assert_eq!(results(&answer).iter().filter(|item| item["status"] == json!(500)).count(), 1, "{answer:?}");
}
