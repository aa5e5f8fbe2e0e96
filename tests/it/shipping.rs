//! The ledger is shipped as it is committed, goes on behind a stop, and misses nothing.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::second_node::SecondNode;
use crate::server::Server;

/// The numbers that were shipped, once the last of the stream is among them.
fn shipped(server: &Server, file: &Path) -> Vec<i64> {
    for _ in 0..300 {
        let head = server
            .sql("postgres", "SELECT h.stream || ' ' || h.seq FROM ledger_head h JOIN ledger_stream USING (stream) WHERE node = 'second'")
            .unwrap();
        let (stream, last) = head.split_once(' ').unwrap();
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(
            lines
                .iter()
                .all(|line| line["stream"] == json!(stream.parse::<i64>().unwrap()) && line["mac"].is_string() && line["leaf"].is_string())
        );
        let numbers: Vec<i64> = lines.iter().map(|line| line["seq"].as_i64().unwrap()).collect();
        if numbers.last().map(ToString::to_string).as_deref() == Some(last) {
            return numbers;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("the ledger was not shipped");
}

#[test]
fn committed_entries_are_shipped_and_none_is_missed() {
    let server = Server::start();
    let root = server.root();
    let file = server.data().with_file_name("shipped.ndjson");
    let more = format!("[ledger]\nship = \"{}\"\n", file.display());
    let node = SecondNode::start_with(&server, &more);
    for n in 0..20 {
        node.ask(&server, &root, "POST", &format!("secret/data/app/{n}"), json!({ "data": { "synthetic": "canary-of-shipping" } }))
            .expect(200);
    }
    let first = shipped(&server, &file);
    assert_eq!(first, (1..=i64::try_from(first.len()).unwrap()).collect::<Vec<_>>());
    drop(node);
    // What the stop itself left is shipped after the next start; the file may have been moved away meanwhile.
    let moved = file.with_extension("1");
    std::fs::rename(&file, &moved).unwrap();
    let node = SecondNode::start_with(&server, &more);
    node.ask(&server, &root, "GET", "secret/data/app/1", Value::Null).expect(200);
    let second = shipped(&server, &file);
    let before = std::fs::read_to_string(&moved).unwrap().lines().count();
    assert_eq!(second.first().copied(), Some(i64::try_from(before).unwrap() + 1), "it goes on where it was");
    let all = std::fs::read_to_string(&moved).unwrap() + &std::fs::read_to_string(&file).unwrap();
    assert!(!all.contains("canary-of-shipping"));
    let stored =
        server.sql("postgres", "SELECT count(*) FROM ledger_entry e JOIN ledger_stream USING (stream) WHERE node = 'second'").unwrap();
    assert_eq!(all.lines().count().to_string(), stored);
}
