//! The levers of speed move speed and nothing else.

use std::process::Command;

use serde_json::{Value, json};

use crate::server::Server;
use crate::transform::{make, post, results};

/// Everything off, and everything at its other end.
const EXTREMES: [&[&str]; 2] = [
    &[
        "--tuning",
        "group=1",
        "--tuning",
        "coalesce=false",
        "--tuning",
        "lane_from=1000000",
        "--tuning",
        "lookup_part=10000",
        "--tuning",
        "stretch_from=1000000",
    ],
    &["--tuning", "group=2", "--tuning", "lane_from=2", "--tuning", "lookup_part=1", "--tuning", "stretch_from=1"],
];

/// More than a usual node would let ride with others.
const MANY: usize = 400;

/// Threads that ask at the same time, and how often each does.
const CALLERS: usize = 8;
const TURNS: usize = 12;

#[test]
fn whatever_the_levers_every_promise_is_kept() {
    for extreme in EXTREMES {
        let mut server = Server::start_with(extreme);
        server.root_write("sys/mounts/transform", json!({ "type": "transform" }));
        make(&server, "transform", "app", "note", json!({ "class": "note" }));
        let value = |n: usize| format!("synthetic {n:04}");
        let items: Vec<Value> = (0..MANY).map(|n| json!({ "value": value(n), "subject": format!("synthetic-{}", n % 2) })).collect();
        let made = post(&server, "transform/encode/app", json!({ "batch_input": items })).expect(200);
        let tokens: Vec<Value> = results(&made).iter().map(|item| item["encoded_value"].clone()).collect();
        single_requests_at_once(&server, &tokens, &value);

        server.kill_and_restart();
        server.ask(&server.root(), "DELETE", "transform/subjects/synthetic-1", Value::Null).expect(200);
        let batch: Vec<Value> = tokens.iter().map(|token| json!({ "value": token })).collect();
        let answer = post(&server, "transform/decode/app", json!({ "batch_input": batch }));
        for (n, item) in results(&answer).iter().enumerate() {
            assert_eq!(item["decoded_value"], if n % 2 == 0 { json!(value(n)) } else { Value::Null }, "{n}");
        }
        post(&server, "transform/decode/app", json!({ "value": tokens[1] })).expect(410);
        assert_eq!(server.verify()["exit_code"], json!(0));
        let entries = server.sql("postgres", "SELECT count(*) FROM ledger_entry WHERE action IN ('encode', 'decode')").unwrap();
        assert_eq!(entries.parse::<usize>().unwrap(), 1 + 2 * CALLERS * TURNS + 2);
        let digests =
            server.sql("postgres", "SELECT count(*) FROM ledger_entry WHERE action = 'encode' AND body::jsonb ? 'digest'").unwrap();
        assert_eq!(digests.parse::<usize>().unwrap(), CALLERS * TURNS);
    }
}

fn single_requests_at_once(server: &Server, tokens: &[Value], value: &(dyn Fn(usize) -> String + Sync)) {
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            scope.spawn(move || {
                for n in (0..TURNS).map(|turn| (caller * 31 + turn * 7) % tokens.len()) {
                    let decoded = post(server, "transform/decode/app", json!({ "value": tokens[n] })).expect(200);
                    assert_eq!(decoded.data()["decoded_value"], json!(value(n)));
                    post(server, "transform/encode/app", json!({ "value": value(n) })).expect(200);
                }
            });
        }
    });
}

#[test]
fn a_lever_out_of_range_stops_the_start() {
    for (wrong, named) in [("group=0", "`group` must be from 1 to 1000"), ("grop=1", "grop"), ("coalesce=perhaps", "KEY=VALUE")] {
        let output = Command::new(env!("CARGO_BIN_EXE_goldfin")).args(["dev", "--ephemeral", "--tuning", wrong]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(named), "{said}");
    }
}
