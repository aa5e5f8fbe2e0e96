//! Requests with so many new tokens that they are copied in a transaction of their own.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::faults::await_health;
use crate::server::Server;
use crate::transform::{make, post, results, tokenizing};

/// More than a request needs to be one of these.
const MANY: usize = 700;

fn tokens(server: &Server, items: &[Value]) -> Vec<Value> {
    let answer = post(server, "transform/encode/all", json!({ "batch_input": items })).expect(200);
    results(&answer).iter().map(|item| item["encoded_value"].clone()).collect()
}

/// The answer to each of these tokens, of the transformation that its item named.
fn asked(server: &Server, operation: &str, items: &[Value], tokens: &[Value]) -> Vec<Value> {
    let named = |(item, token): (&Value, &Value)| json!({ "value": token, "transformation": item["transformation"] });
    let batch: Vec<Value> = items.iter().zip(tokens).map(named).collect();
    let body = json!({ "batch_input": batch });
    results(&server.ask_with(&server.root(), "POST", &format!("transform/{operation}/all"), body, &[])).clone()
}

/// A role with transformations whose tokens are opaque, exportable, shaped, and the same for the same value.
fn all_kinds() -> Server {
    let server = tokenizing();
    let kinds = [
        ("opaque", json!({})),
        ("open", json!({ "mapping_mode": "exportable" })),
        ("shaped", json!({ "shape": "builtin/socialsecuritynumber" })),
        ("same", json!({ "convergent": true })),
    ];
    for (name, settings) in kinds.clone() {
        make(&server, "transform", name, name, settings);
    }
    let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
    server.ask(&server.root(), "POST", "transform/role/all", json!({ "transformations": names })).expect(204);
    server
}

fn stored(server: &Server) -> usize {
    server.sql("postgres", "SELECT count(*) FROM pii_token").unwrap().parse().unwrap()
}

/// A value that fits every transformation.
fn value(n: usize) -> String {
    format!("123-{:02}-{:04}", 1 + n / 9_000, 1 + n % 9_000)
}

#[test]
fn all_that_belongs_to_a_token_is_stored() {
    let server = all_kinds();
    let item = |n: usize| {
        let mut item = json!({ "value": value(n), "transformation": if n.is_multiple_of(2) { "opaque" } else { "open" } });
        if n.is_multiple_of(3) {
            item["subject"] = json!(format!("synthetic-{}", n % 5));
        }
        if n.is_multiple_of(5) {
            item["expiration"] = json!("2100-02-03T04:05:06.789012Z");
        }
        if n.is_multiple_of(7) {
            item["metadata"] = json!({ "number": n.to_string() });
        }
        item
    };
    let items: Vec<Value> = (0..MANY).map(item).collect();
    let made = tokens(&server, &items);
    for (n, answer) in asked(&server, "decode", &items, &made).iter().enumerate() {
        assert_eq!(answer["decoded_value"], json!(value(n)), "{n}");
    }
    for (n, answer) in asked(&server, "metadata", &items, &made).iter().enumerate() {
        assert_eq!(answer["metadata"], if n % 7 == 0 { json!({ "number": n.to_string() }) } else { json!({}) }, "{n}");
        assert_eq!(answer["expiration_time"], if n % 5 == 0 { json!("2100-02-03T04:05:06.789012Z") } else { Value::Null }, "{n}");
    }
    let exported = post(&server, "transform/transformations/tokenization/export-decoded/open", json!({})).expect(200);
    assert!(exported.body.to_string().len() > MANY / 2 * 20);

    server.ask(&server.root(), "DELETE", "transform/subjects/synthetic-0", Value::Null).expect(200);
    for (n, answer) in asked(&server, "decode", &items, &made).iter().enumerate() {
        let erased = n % 3 == 0 && n % 5 == 0;
        assert_eq!(answer["decoded_value"], if erased { Value::Null } else { json!(value(n)) }, "{n} {answer}");
    }
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn few_and_many_of_every_kind_go_through_one_request() {
    let server = all_kinds();
    let mut before = stored(&server);
    let mut next = 0;
    for counts in [[300, 10, 0], [10, 300, 0], [300, 300, 0], [300, 0, 10], [10, 0, 300], [10, 300, 300], [200, 200, 200], [5, 5, 5]] {
        let mut items = Vec::new();
        for (kind, count) in ["opaque", "shaped", "same"].iter().zip(counts) {
            for n in next..next + count {
                items.push(json!({ "value": value(n), "transformation": kind, "subject": format!("synthetic-{}", n % 3) }));
            }
            next += count;
        }
        let made = tokens(&server, &items);
        for (item, answer) in items.iter().zip(asked(&server, "decode", &items, &made)) {
            assert_eq!(answer["decoded_value"], item["value"], "{counts:?} {item}");
        }
        assert_eq!(stored(&server) - before, items.len(), "{counts:?}");
        before = stored(&server);
    }
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn many_beside_an_erasure_are_before_it_or_after_it() {
    let server = all_kinds();
    let items: Vec<Value> =
        (0..MANY).map(|n| json!({ "value": value(n), "transformation": "opaque", "subject": format!("synthetic-{}", n % 2) })).collect();
    let batches = std::thread::scope(|scope| {
        let encoders: Vec<_> = (0..3).map(|_| scope.spawn(|| (0..8).map(|_| tokens(&server, &items)).collect::<Vec<_>>())).collect();
        for _ in 0..25 {
            let status = server.ask(&server.root(), "DELETE", "transform/subjects/synthetic-0", Value::Null).status;
            assert!(status == 200 || status == 404, "{status}");
            sleep(Duration::from_millis(20));
        }
        encoders.into_iter().flat_map(|encoder| encoder.join().unwrap()).collect::<Vec<_>>()
    });
    for made in batches {
        let answers = asked(&server, "decode", &items, &made);
        let readable = |person: usize| answers.iter().skip(person).step_by(2).filter(|answer| answer["decoded_value"].is_string()).count();
        assert!(readable(0) == 0 || readable(0) == MANY / 2, "{} of {} are readable", readable(0), MANY / 2);
        assert_eq!(readable(1), MANY / 2);
    }
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn many_without_their_entry_are_not_stored() {
    let server = all_kinds();
    let items: Vec<Value> = (0..MANY).map(|n| json!({ "value": value(n), "transformation": "opaque" })).collect();
    tokens(&server, &items);
    let function =
        "ledger_append(integer, bigint, bytea, timestamptz[], uuid[], text[], text[], text[], text[], bytea[], text[], text[], bytea[])";
    server.sql("postgres", &format!("REVOKE EXECUTE ON FUNCTION {function} FROM goldfin_app")).unwrap();
    let refused = post(&server, "transform/encode/all", json!({ "batch_input": items }));
    assert_eq!((refused.status, stored(&server)), (503, MANY), "{refused:?}");
    assert!(!refused.body.to_string().contains("encoded_value"));
    server.sql("postgres", &format!("GRANT EXECUTE ON FUNCTION {function} TO goldfin_app")).unwrap();
    await_health(&server);

    // The copy itself fails: the connection goes on being used.
    server.sql("postgres", "REVOKE INSERT ON pii_token FROM goldfin_app").unwrap();
    let refused = post(&server, "transform/encode/all", json!({ "batch_input": items }));
    assert_eq!((refused.status, stored(&server)), (503, MANY), "{refused:?}");
    server.sql("postgres", "GRANT INSERT ON pii_token TO goldfin_app").unwrap();
    for _ in 0..3 {
        tokens(&server, &items);
    }
    assert_eq!(stored(&server), 4 * MANY);
    assert_eq!(server.verify()["exit_code"], json!(0));
}
