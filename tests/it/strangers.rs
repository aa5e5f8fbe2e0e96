//! Strangers cannot flood the ledger: what they are refused too often shares an entry, and nobody else is held up.

use serde_json::{Value, json};

use crate::server::Server;

const FLOOD: u64 = 12_000;

#[test]
fn a_flood_of_strangers_leaves_few_entries_and_holds_nobody_up() {
    let mut server = Server::start();
    let root = server.root();
    server.root_write("secret/data/app", json!({ "data": { "n": 1 } }));
    let mut turned_away = 0;
    for number in 0..FLOOD {
        let (token, path) = match number % 3 {
            0 => ("", "secret/data/app"),
            1 => ("hvs.synthetic-unknown", "secret/data/app"),
            _ => ("", "auth/nowhere/login"),
        };
        let answer = server.ask(token, "POST", path, json!({ "synthetic": "x" }));
        if answer.status == 429 {
            turned_away += 1;
            assert!(!answer.headers.contains_key("x-goldfin-receipt") && answer.headers.contains_key("retry-after"), "{answer:?}");
            assert!(answer.headers.contains_key("x-goldfin-request-id"));
        } else {
            assert!(matches!(answer.status, 400 | 401 | 403 | 404) && answer.headers.contains_key("x-goldfin-receipt"), "{answer:?}");
        }
        if number % 1000 == 0 {
            // From the same address, with a good token.
            server.ask(&root, "GET", "secret/data/app", Value::Null).expect(200);
        }
    }
    let anonymous = server.sql("postgres", "SELECT count(*) FROM ledger_entry WHERE account = 'anonymous'").unwrap();
    let anonymous: u64 = anonymous.parse().unwrap();
    assert!(anonymous < FLOOD / 2 && turned_away > FLOOD / 2, "{anonymous} entries, {turned_away} turned away");
    // The stop writes what was counted; else a job does, every minute.
    server.restart();
    let noted = server.entries("reason=turned_away&kind=notice");
    assert_eq!(noted.iter().map(|entry| entry["count"].as_u64().unwrap()).sum::<u64>(), turned_away);
    assert!(noted.len() <= 3, "{noted:?}");
    let entry = &noted[0];
    assert_eq!((&entry["peer"], &entry["account"], &entry["decision"]), (&json!("127.0.0.1"), &json!("anonymous"), &json!("denied")));
    assert_eq!(entry["status"], json!(429));
    assert_eq!(server.verify()["exit_code"], json!(0));
}
