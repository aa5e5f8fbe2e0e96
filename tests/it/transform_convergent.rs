//! Convergent tokenization: the same value, the same token; on two nodes, under subjects, after rotations, ends and deletions.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::second_node::SecondNode;
use crate::server::{Answer, Server};
use crate::transform::{make, post, results};

/// A server whose role `app` of the mount `transform` has the convergent transformation `id`.
pub fn converging() -> Server {
    let server = Server::start();
    server.root_write("sys/mounts/transform", json!({ "type": "transform" }));
    make(&server, "transform", "app", "id", json!({ "convergent": true, "deletion_allowed": true, "class": "icn" }));
    server
}

fn token(answer: &Answer) -> String {
    answer.data()["encoded_value"].as_str().unwrap().to_owned()
}

fn encode(server: &Server, body: Value) -> String {
    token(&post(server, "transform/encode/app", body).expect(200))
}

fn decoded(server: &Server, token: &str) -> Value {
    post(server, "transform/decode/app", json!({ "value": token })).expect(200).data()["decoded_value"].clone()
}

fn encoded_batch(server: &Server, role: &str, batch: &[Value]) -> Vec<String> {
    let answer = post(server, &format!("transform/encode/{role}"), json!({ "batch_input": batch })).expect(200);
    results(&answer).iter().map(|item| item["encoded_value"].as_str().unwrap_or_else(|| panic!("{item}")).to_owned()).collect()
}

fn count(server: &Server, table: &str) -> String {
    server.sql("postgres", &format!("SELECT count(*) FROM {table}")).unwrap()
}

#[test]
fn the_same_value_gives_the_same_token_and_only_it() {
    let server = converging();
    make(&server, "transform", "second", "second", json!({ "convergent": true }));
    assert_eq!(server.root_read("transform/transformations/tokenization/id").data()["convergent"], json!(true));
    let texts = ["a", "A", " a", "a ", "Zoë 🦊", "Zoe\u{308} 🦊", "synthetic 000-00-0000", "\0", "line\nline"];
    let mut seen = HashSet::new();
    for text in texts {
        let first = encode(&server, json!({ "value": text }));
        assert!(first.starts_with("pii_") && first.len() == 43, "{first}");
        assert_eq!(encode(&server, json!({ "value": text })), first);
        assert_eq!(decoded(&server, &first), json!(text));
        let elsewhere = token(&post(&server, "transform/encode/second", json!({ "value": text })).expect(200));
        assert!(seen.insert(first.clone()) && seen.insert(elsewhere), "{text:?} met another");
    }
    // Every request has its entry, the answers from what is known too.
    assert_eq!(server.entries("action=encode").len(), texts.len() * 3);
    assert_eq!(count(&server, "pii_token"), (texts.len() * 2).to_string());

    // Within one batch, in any order, beside values that do not converge.
    make(&server, "transform", "plain", "plain", json!({}));
    server.root_write("transform/role/both", json!({ "transformations": ["id", "plain"] }));
    let item = |value: &str, name: &str| json!({ "value": value, "transformation": name });
    let batch =
        [item("x", "id"), item("x", "plain"), item("y", "id"), item("x", "id"), item("x", "plain"), item("a", "id"), item("y", "id")];
    let tokens = encoded_batch(&server, "both", &batch);
    assert!(tokens[0] == tokens[3] && tokens[2] == tokens[6] && tokens[1] != tokens[4]);
    assert_eq!(tokens[5], encode(&server, json!({ "value": "a" })));
    assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), 5);
    let back: Vec<Value> = tokens.iter().zip(&batch).map(|(token, item)| item_with(item, token)).collect();
    let answer = post(&server, "transform/decode/both", json!({ "batch_input": back })).expect(200);
    let values: Vec<&str> = results(&answer).iter().map(|item| item["decoded_value"].as_str().unwrap()).collect();
    assert_eq!(values, ["x", "x", "y", "x", "x", "a", "y"]);
    // A bad item does not fail the others.
    let mixed = json!({ "batch_input": [{ "value": 1 }, { "value": "a", "reference": "r" }, { "value": "new" }] });
    let answer = post(&server, "transform/encode/app", mixed).expect(200);
    assert_eq!(results(&answer)[0]["status"], json!(400));
    assert_eq!(results(&answer)[1], json!({ "encoded_value": tokens[5], "reference": "r" }));
    // Convergence is decided once.
    for (name, convergent) in [("id", false), ("plain", true)] {
        let path = format!("transform/transformations/tokenization/{name}");
        assert!(post(&server, &path, json!({ "convergent": convergent })).expect(400).errors().contains("`convergent`"));
        post(&server, &path, json!({ "convergent": !convergent, "max_ttl": 0 })).expect(204);
    }
    assert_eq!(server.verify()["exit_code"], json!(0));
}

fn item_with(item: &Value, value: &str) -> Value {
    let mut item = item.clone();
    item["value"] = json!(value);
    item
}

#[test]
fn concurrent_encodes_on_two_nodes_agree() {
    let server = converging();
    let node = SecondNode::start(&server);
    let workers = 8;
    let tokens: Vec<Vec<String>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers)
            .map(|worker| {
                let (server, node) = (&server, &node);
                scope.spawn(move || {
                    let ask = |path: &str, body: Value| match worker % 2 {
                        0 => server.ask(&server.root(), "POST", path, body),
                        _ => node.ask(server, &server.root(), "POST", path, body),
                    };
                    let mut tokens: Vec<String> = (0..20)
                        .map(|n| token(&ask("transform/encode/app", json!({ "value": format!("synthetic {n}") })).expect(200)))
                        .collect();
                    // Each in another order, and each value twice.
                    let mut order: Vec<usize> = (0..300).chain(0..300).collect();
                    order.rotate_left(worker * 37);
                    if worker % 3 == 0 {
                        order.reverse();
                    }
                    let batch: Vec<Value> = order.iter().map(|n| json!({ "value": format!("synthetic batch {n}") })).collect();
                    let answer = ask("transform/encode/app", json!({ "batch_input": batch })).expect(200);
                    let mut found: Vec<(usize, String)> = order
                        .into_iter()
                        .zip(results(&answer).iter().map(|item| item["encoded_value"].as_str().unwrap().to_owned()))
                        .collect();
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
    assert_eq!(tokens[0].iter().collect::<HashSet<_>>().len(), 320);
    assert_eq!(count(&server, "pii_token"), "320");
    assert_eq!(count(&server, "pii_token_index"), "320");
    assert_eq!(decoded(&server, &tokens[0][319]), json!("synthetic batch 299"));
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn two_subjects_never_share_a_token() {
    let server = converging();
    let of = |subject: &str| encode(&server, json!({ "value": "shared", "subject": subject }));
    let (one, other, none) = (of("veteran-1"), of("veteran-2"), encode(&server, json!({ "value": "shared" })));
    assert_eq!([&one, &other, &none].into_iter().collect::<HashSet<_>>().len(), 3);
    assert_eq!((of("veteran-1"), of("veteran-2")), (one.clone(), other.clone()));
    let known = |body: Value| post(&server, "transform/tokenized/app", body).expect(200).data()["tokenized"].clone();
    assert_eq!(known(json!({ "value": "shared", "subject": "veteran-1" })), json!(true));
    assert_eq!(known(json!({ "value": "shared", "subject": "never seen" })), json!(false));
    assert_eq!(count(&server, "subject"), "2", "asking makes no subject");

    server.ask(&server.root(), "DELETE", "transform/subjects/veteran-1", Value::Null).expect(200);
    post(&server, "transform/decode/app", json!({ "value": one })).expect(410);
    assert_eq!(known(json!({ "value": "shared", "subject": "veteran-1" })), json!(false));
    for token in [&other, &none] {
        assert_eq!(decoded(&server, token), json!("shared"));
    }
    let again = of("veteran-1");
    assert_ne!(again, one);
    assert_eq!((decoded(&server, &again), of("veteran-1")), (json!("shared"), again));
}

#[test]
fn an_encode_beside_an_erasure_is_before_it_or_after_it() {
    let server = converging();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let server = &server;
            scope.spawn(move || {
                for n in 0..25 {
                    let body = json!({ "value": format!("synthetic {}", (worker + n) % 5), "subject": "veteran" });
                    let token = token(&post(server, "transform/encode/app", body).expect(200));
                    let status = post(server, "transform/decode/app", json!({ "value": token })).status;
                    assert!(status == 200 || status == 410, "{status}");
                }
            });
        }
        for _ in 0..15 {
            let status = server.ask(&server.root(), "DELETE", "transform/subjects/veteran", Value::Null).status;
            assert!(status == 200 || status == 404, "{status}");
            sleep(Duration::from_millis(5));
        }
    });
    let last = encode(&server, json!({ "value": "synthetic 1", "subject": "veteran" }));
    assert_eq!(decoded(&server, &last), json!("synthetic 1"));
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn a_value_whose_token_ended_gets_one_that_works() {
    let server = converging();
    let deleted = encode(&server, json!({ "value": "deleted" }));
    server.ask(&server.root(), "DELETE", "transform/tokens/app", json!({ "value": deleted })).expect(204);
    assert_eq!(count(&server, "pii_token_index"), "0");
    let again = encode(&server, json!({ "value": "deleted" }));
    assert_ne!(again, deleted);
    assert_eq!(decoded(&server, &again), json!("deleted"));
    post(&server, "transform/decode/app", json!({ "value": deleted })).expect(400);

    let expired = encode(&server, json!({ "value": "v", "ttl": "4s" }));
    assert_eq!(encode(&server, json!({ "value": "v", "ttl": "2s" })), expired);
    sleep(Duration::from_millis(4500));
    post(&server, "transform/decode/app", json!({ "value": expired })).expect(410);
    let tokenized =
        |value: &str| post(&server, "transform/tokenized/app", json!({ "value": value })).expect(200).data()["tokenized"].clone();
    assert_eq!((tokenized("v"), tokenized("deleted")), (json!(false), json!(true)));
    let fresh = encode(&server, json!({ "value": "v", "ttl": "1h" }));
    assert_ne!(fresh, expired);
    assert_eq!((decoded(&server, &fresh), encode(&server, json!({ "value": "v", "ttl": "1h" }))), (json!("v"), fresh));
}

#[test]
fn an_encode_prolongs_and_never_shortens() {
    let server = converging();
    let metadata = |token: &str| post(&server, "transform/metadata/app", json!({ "value": token })).expect(200).data().clone();
    let token = encode(&server, json!({ "value": "v", "expiration": "2100-01-01T00:00:00Z", "metadata": { "a": "1" } }));
    assert_eq!(encode(&server, json!({ "value": "v", "expiration": "2050-01-01T00:00:00Z" })), token);
    assert_eq!(metadata(&token), json!({ "metadata": { "a": "1" }, "expiration_time": "2100-01-01T00:00:00.000000Z" }));
    // A later end and other metadata replace what was there; the token stays.
    assert_eq!(encode(&server, json!({ "value": "v", "expiration": "2150-01-01T00:00:00Z", "metadata": { "b": "2" } })), token);
    assert_eq!(metadata(&token), json!({ "metadata": { "b": "2" }, "expiration_time": "2150-01-01T00:00:00.000000Z" }));
    let batch = [json!({ "value": "v" }), json!({ "value": "v", "ttl": "1h" }), json!({ "value": "w", "ttl": "1h" })];
    assert_eq!(encoded_batch(&server, "app", &batch)[..2], [token.clone(), token.clone()]);
    assert_eq!(metadata(&token), json!({ "metadata": { "b": "2" }, "expiration_time": null }));
    assert_eq!(decoded(&server, &token), json!("v"));

    // A `max_ttl` bounds each request, and every request renews.
    make(&server, "transform", "short", "short", json!({ "convergent": true, "max_ttl": "1h" }));
    let short = || token_of(&server, "short", "v");
    assert_eq!(short(), short());
    post(&server, "transform/encode/short", json!({ "value": "v", "ttl": "2h" })).expect(400);
}

fn token_of(server: &Server, role: &str, value: &str) -> String {
    token(&post(server, &format!("transform/encode/{role}"), json!({ "value": value })).expect(200))
}

#[test]
fn equality_survives_a_rotation_and_a_destroyed_key_does_not_keep_a_value_from_its_token() {
    let server = converging();
    let token = encode(&server, json!({ "value": "v", "metadata": { "a": "1" } }));
    post(&server, "transform/tokenization/keys/id/rotate", Value::Null).expect(204);
    assert_eq!(encode(&server, json!({ "value": "v" })), token);
    post(&server, "transform/tokenization/keys/id/config", json!({ "min_decryption_version": 2 })).expect(204);
    let tokenized = || post(&server, "transform/tokenized/app", json!({ "value": "v" })).expect(200).data()["tokenized"].clone();
    assert_eq!(tokenized(), json!(false));
    post(&server, "transform/tokenization/keys/id/trim", json!({ "min_available_version": 2 })).expect(204);
    post(&server, "transform/decode/app", json!({ "value": token })).expect(410);
    assert_eq!(encode(&server, json!({ "value": "v" })), token);
    assert_eq!((decoded(&server, &token), tokenized()), (json!("v"), json!(true)));
}

#[test]
fn values_are_found_and_deleted_by_themselves() {
    let server = converging();
    make(&server, "transform", "plain", "plain", json!({ "deletion_allowed": true }));
    make(&server, "transform", "kept", "kept", json!({ "convergent": true }));
    let token = encode(&server, json!({ "value": "v" }));
    let find = |path: &str, body: Value| post(&server, &format!("transform/{path}"), body);
    assert_eq!(find("tokenized/app", json!({ "value": "v" })).expect(200).data(), &json!({ "tokenized": true }));
    assert_eq!(find("tokenized/app", json!({ "value": "V" })).expect(200).data(), &json!({ "tokenized": false }));
    assert_eq!(find("tokens/app", json!({ "value": "v", "expiration": "any" })).expect(200).data(), &json!({ "tokens": [token] }));
    assert_eq!(
        find("tokens/app", json!({ "value": "other", "reference": "r" })).expect(200).data(),
        &json!({ "tokens": [], "reference": "r" })
    );
    let batch = json!({ "batch_input": [{ "value": "v", "reference": "one" }, { "value": "other" }, { "value": 7 }, {}] });
    let answer = find("tokenized/app", batch.clone()).expect(200);
    assert_eq!(results(&answer)[..2], [json!({ "tokenized": true, "reference": "one" }), json!({ "tokenized": false })]);
    assert_eq!(results(&answer)[2]["status"], json!(400));
    let answer = find("tokens/app", batch).expect(200);
    assert_eq!(results(&answer)[..2], [json!({ "tokens": [token], "reference": "one" }), json!({ "tokens": [] })]);
    for path in ["tokenized", "tokens"] {
        assert!(find(&format!("{path}/plain"), json!({ "value": "v" })).expect(400).errors().contains("not convergent"));
        find(&format!("{path}/app"), json!({ "value": 1 })).expect(400);
        find(&format!("{path}/app"), json!({ "value": "v", "expiration": "2100-01-01T00:00:00Z" })).expect(400);
        server.ask(&server.root(), "GET", &format!("transform/{path}/app"), Value::Null).expect(405);
    }

    let delete = |role: &str, body: Value| server.ask(&server.root(), "DELETE", &format!("transform/tokenized/{role}"), body);
    delete("plain", json!({ "value": "v" })).expect(400);
    assert!(delete("kept", json!({ "value": "v" })).expect(400).errors().contains("deletion_allowed"));
    delete("app", json!({ "value": "other" })).expect(404);
    let batch = json!({ "batch_input": [{ "value": "v", "reference": "one" }, { "value": "other" }, { "value": "v" }, { "value": [] }] });
    let answer = delete("app", batch).expect(200);
    let statuses: Vec<Option<u64>> = results(&answer).iter().map(|item| item["status"].as_u64()).collect();
    assert_eq!(statuses, [None, Some(404), None, Some(400)]);
    assert_eq!(results(&answer)[0], json!({ "deleted": true, "reference": "one" }));
    post(&server, "transform/decode/app", json!({ "value": token })).expect(400);
    assert_eq!((count(&server, "pii_token"), count(&server, "pii_token_index")), ("0".to_owned(), "0".to_owned()));
    let again = encode(&server, json!({ "value": "v" }));
    delete("app", json!({ "value": "v" })).expect(204);
    post(&server, "transform/decode/app", json!({ "value": again })).expect(400);
}

#[test]
fn a_deleted_transformation_or_mount_leaves_its_rows_to_the_job() {
    let server = converging();
    let numbers =
        || server.sql("postgres", "SELECT string_agg(transformation::text, ',' ORDER BY transformation) FROM transform_removed").unwrap();
    let token = encode(&server, json!({ "value": "v" }));
    server.ask(&server.root(), "DELETE", "transform/transformations/tokenization/none", Value::Null).expect(204);
    assert_eq!(numbers(), "");
    server.ask(&server.root(), "DELETE", "transform/transformations/tokenization/id", Value::Null).expect(204);
    assert_eq!(numbers(), "1");
    make(&server, "transform", "app", "id", json!({ "convergent": true }));
    make(&server, "transform", "other", "other", json!({}));
    post(&server, "transform/decode/app", json!({ "value": token })).expect(400);
    let again = encode(&server, json!({ "value": "v" }));
    assert_ne!(again, token);
    server.ask(&server.root(), "DELETE", "sys/mounts/transform", Value::Null).expect(204);
    assert_eq!(numbers(), "1,2,3");
}

#[test]
fn ten_thousand_values_are_one_request() {
    let server = converging();
    let values: Vec<Value> = (0..10_000).map(|n| json!({ "value": format!("synthetic {n}") })).collect();
    let first = encoded_batch(&server, "app", &values);
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), 10_000);
    // Half of them known, in another order.
    let mixed: Vec<Value> = (5_000..15_000).rev().map(|n| json!({ "value": format!("synthetic {n}") })).collect();
    let second = encoded_batch(&server, "app", &mixed);
    assert!(second.iter().rev().take(5_000).eq(first[5_000..].iter()));
    let tokens: Vec<Value> = first.iter().map(|token| json!({ "value": token })).collect();
    let answer = post(&server, "transform/decode/app", json!({ "batch_input": tokens })).expect(200);
    for (item, value) in results(&answer).iter().zip(&values) {
        assert_eq!(item["decoded_value"], value["value"]);
    }
    let answer = post(&server, "transform/tokenized/app", json!({ "batch_input": values })).expect(200);
    assert!(results(&answer).iter().all(|item| item["tokenized"] == json!(true)));
    let answer = server.ask(&server.root(), "DELETE", "transform/tokens/app", json!({ "batch_input": tokens })).expect(200);
    assert!(results(&answer).iter().all(|item| item["deleted"] == json!(true)));
    let answer = server.ask(&server.root(), "DELETE", "transform/tokenized/app", json!({ "batch_input": mixed })).expect(200);
    assert_eq!(results(&answer).iter().filter(|item| item["deleted"] == json!(true)).count(), 5_000);
    assert_eq!((count(&server, "pii_token"), count(&server, "pii_token_index")), ("0".to_owned(), "0".to_owned()));

    // Bodies far beyond what other paths take.
    let long = "x".repeat(150_000);
    let values: Vec<Value> = (0..40).map(|n| json!({ "value": format!("{n} {long}") })).collect();
    let tokens = encoded_batch(&server, "app", &values);
    assert_eq!(decoded(&server, &tokens[39]), values[39]["value"]);
}

#[test]
fn only_what_was_asked_for_is_equal_in_the_database() {
    let server = converging();
    make(&server, "transform", "second", "second", json!({ "convergent": true, "mapping_mode": "exportable" }));
    make(&server, "transform", "plain", "plain", json!({}));
    for role in ["app", "second", "plain"] {
        for _ in 0..3 {
            let batch: Vec<Value> = (0..20)
                .map(|n| json!({ "value": format!("synthetic repeated {}", n % 10), "metadata": { "m": "synthetic metadata" } }))
                .collect();
            encoded_batch(&server, role, &batch);
        }
    }
    let sql = |query: &str| server.sql("postgres", query).unwrap();
    let dump =
        sql("SELECT t::text FROM pii_token t UNION ALL SELECT i::text FROM pii_token_index i UNION ALL SELECT e::text FROM ledger_entry e");
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(!dump.contains("synthetic repeated") && !dump.contains(&hex("synthetic repeated")));
    assert_eq!(sql("SELECT count(*) FROM pii_token_index"), "20", "no row of a transformation that does not converge");
    assert_eq!(sql("SELECT count(DISTINCT blind) FROM pii_token_index"), "20", "nothing in common between transformations");
    assert_eq!(sql("SELECT count(*) FROM pii_token"), "80");
    let distinct = "SELECT count(DISTINCT value) = count(*) AND count(DISTINCT metadata) = count(*) AND count(DISTINCT secret) = count(secret) FROM pii_token";
    assert_eq!(sql(distinct), "t");

    // Somebody who leads a value to another's token is noticed before the token leaves.
    server.tamper("UPDATE pii_token_index i SET id = (SELECT max(id) FROM pii_token_index o WHERE o.transformation = i.transformation) WHERE id = (SELECT min(id) FROM pii_token_index)");
    let values: Vec<Value> = (0..10).map(|n| json!({ "value": format!("synthetic repeated {n}") })).collect();
    let answer = post(&server, "transform/encode/app", json!({ "batch_input": values })).expect(200);
    assert_eq!(results(&answer).iter().filter(|item| item["status"] == json!(500)).count(), 1);
}
