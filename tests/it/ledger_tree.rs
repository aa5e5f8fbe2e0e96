//! The ledger's tree over HTTP: checkpoints, proofs and tiles, checked as somebody does who trusts nothing but the public key.

use std::thread::sleep;
use std::time::Duration;

use goldfin_ledger::note::{Checkpoint, LogKey};
use goldfin_ledger::proof::{includes, is_beginning};
use goldfin_ledger::tree::root_of;
use goldfin_ledger::{leaf_hash, tile, unhex};
use serde_json::{Value, json};
use ureq::http::Request;

use crate::server::Server;

fn hashes(list: &Value) -> Vec<[u8; 32]> {
    list.as_array().unwrap().iter().map(|hash| unhex(hash.as_str().unwrap()).unwrap()).collect()
}

fn key(server: &Server) -> LogKey {
    LogKey::parse(server.root_read("sys/ledger/key").data()["key"].as_str().unwrap()).unwrap()
}

/// Bytes below `sys/ledger/`, and their type.
fn bytes(server: &Server, path: &str) -> (u16, String, Vec<u8>) {
    let url = format!("{}/v1/sys/ledger/{path}", server.address());
    let request = Request::get(url).header("X-Vault-Token", server.root()).body(()).unwrap();
    let agent = server.agent.configure_request(request).http_status_as_error(false).build();
    let mut answer = server.agent.run(agent).unwrap();
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
    (answer.status().as_u16(), kind, answer.body_mut().read_to_vec().unwrap())
}

/// The newest checkpoint, once it covers an entry.
pub fn checkpoint_covering(server: &Server, seq: u64) -> (Checkpoint, String) {
    for _ in 0..300 {
        let answer = server.ask(&server.root(), "GET", "sys/ledger/checkpoint/1", Value::Null);
        if answer.status == 200 && answer.data()["size"].as_u64().unwrap() >= seq {
            let note = answer.data()["note"].as_str().unwrap().to_owned();
            return (Checkpoint::open(note.as_bytes(), &key(server)).unwrap(), note);
        }
        sleep(Duration::from_millis(200));
    }
    panic!("no checkpoint covers entry {seq}");
}

fn receipt(answer: &crate::server::Answer) -> (u64, [u8; 32]) {
    let receipt = answer.headers.get("x-goldfin-receipt").unwrap();
    let mut parts = receipt.split(':').skip(1);
    (parts.next().unwrap().parse().unwrap(), unhex(parts.next().unwrap()).unwrap())
}

#[test]
fn a_receipt_is_proven_against_a_signed_checkpoint() {
    let server = Server::start();
    let key = key(&server);
    let (seq, leaf) = receipt(&server.root_write("secret/data/app", json!({ "data": { "n": 1 } })));
    let (older, _) = checkpoint_covering(&server, seq);
    let answer = server.root_read(&format!("sys/ledger/entries/1/{seq}"));
    let (entry, proof) = (&answer.data()["entry"], &answer.data()["proof"]);
    assert_eq!(entry["seq"], json!(seq));
    assert_eq!(leaf_hash(answer.data()["body"].as_str().unwrap().as_bytes()), leaf);
    let signed = Checkpoint::open(proof["note"].as_str().unwrap().as_bytes(), &key).unwrap();
    assert!(includes(&leaf, seq - 1, signed.size, &hashes(&proof["hashes"]), &signed.root), "{proof}");
    assert!(!includes(&leaf, seq - 2, signed.size, &hashes(&proof["hashes"]), &signed.root));
    // What came later has only been added.
    let (seq, _) = receipt(&server.root_write("secret/data/app", json!({ "data": { "n": 2 } })));
    let (newer, note) = checkpoint_covering(&server, seq);
    let path = format!("sys/ledger/dev/consistency?from={}&to={}", older.size, newer.size);
    let steps = hashes(&server.root_read(&path).data()["hashes"]);
    assert!(is_beginning(older.size, &older.root, newer.size, &newer.root, &steps));
    let (status, kind, text) = bytes(&server, &format!("1/checkpoint/{}", newer.size));
    assert_eq!((status, kind.as_str(), text), (200, "text/plain; charset=utf-8", note.into_bytes()));
}

#[test]
fn tiles_and_bundles_lead_to_the_signed_root() {
    let server = Server::start();
    for n in 0..300 {
        server.root_write(&format!("secret/data/{}", n % 7), json!({ "data": { "n": n } }));
    }
    let (signed, _) = checkpoint_covering(&server, 300);
    let full = bytes(&server, "1/tile/0/000");
    assert_eq!((full.0, full.1.as_str(), full.2.len()), (200, "application/octet-stream", 8192));
    let rest = signed.size - 256;
    let partial = bytes(&server, &format!("dev/tile/0/001.p/{rest}")).2;
    let leaves = tile::split(&[full.2.clone(), partial].concat()).unwrap();
    assert_eq!(root_of(&leaves), signed.root);
    let upper = bytes(&server, "1/tile/1/000.p/1").2;
    assert_eq!(tile::split(&upper).unwrap(), [root_of(&leaves[..256])]);
    // The entries beside them hash to the leaves.
    let bundles = [bytes(&server, "1/tile/entries/000").2, bytes(&server, &format!("1/tile/entries/001.p/{rest}")).2].concat();
    assert_eq!(tile::leaves_of_bundle(&bundles).unwrap(), leaves);
    let lines = bytes(&server, "1/tile/lines/000").2;
    let of_lines: Vec<[u8; 32]> = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(leaf_hash).collect();
    assert_eq!(of_lines, leaves[..256]);
    // A proof of an old entry takes hashes from full and partial tiles.
    let answer = server.root_read("sys/ledger/entries/1/100");
    let proof = &answer.data()["proof"];
    let newest = Checkpoint::open(proof["note"].as_str().unwrap().as_bytes(), &key(&server)).unwrap();
    assert!(includes(&leaves[99], 99, newest.size, &hashes(&proof["hashes"]), &newest.root));
    for (path, status) in [
        ("1/tile/0/099", 404),
        ("1/tile/2/000.p/1", 404),
        ("1/tile/63/000", 404),
        ("1/tile/0/000.p/256", 404),
        ("1/tile/0/x000/000", 404),
        ("1/tile/entries/009", 404),
        ("9/checkpoint", 404),
        ("1/checkpoint/0", 404),
        ("1/checkpoint/one", 404),
        ("1/consistency?from=0&to=5", 400),
        ("1/consistency?from=5&to=4", 400),
        ("1/consistency?from=1&to=99999999", 404),
        ("checkpoint/nobody", 404),
    ] {
        assert_eq!(bytes(&server, path).0, status, "{path}");
    }
    let nobody = server.token_in(&["nobody"]);
    for path in ["key", "checkpoint", "checkpoint/1", "1/checkpoint", "1/tile/0/000", "1/tile/entries/000", "1/consistency?from=1&to=2"] {
        server.ask(&nobody, "GET", &format!("sys/ledger/{path}"), Value::Null).expect(403);
    }
    let operator = server.token_in(&["operator"]);
    server.ask(&operator, "GET", "sys/ledger/checkpoint", Value::Null).expect(200);
    server.ask(&operator, "GET", "sys/ledger/1/tile/entries/000", Value::Null).expect(403);
}

#[test]
fn a_stop_and_a_kill_leave_a_tree_that_goes_on() {
    let mut server = Server::start();
    server.root_write("secret/data/app", json!({ "data": { "n": 1 } }));
    let (older, _) = checkpoint_covering(&server, 1);
    server.kill_and_restart();
    let (seq, _) = receipt(&server.root_write("secret/data/app", json!({ "data": { "n": 2 } })));
    let (newer, _) = checkpoint_covering(&server, seq);
    let path = format!("sys/ledger/1/consistency?from={}&to={}", older.size, newer.size);
    let steps = hashes(&server.root_read(&path).data()["hashes"]);
    assert!(is_beginning(older.size, &older.root, newer.size, &newer.root, &steps));
    let size = |server: &Server| server.sql("postgres", "SELECT max(size) FROM ledger_checkpoint").unwrap();
    let head = |server: &Server| server.sql("postgres", "SELECT seq FROM ledger_head").unwrap();
    // Sealing is a stop: everything that was written has a checkpoint.
    let root = server.root();
    server.ask(&root, "POST", "sys/seal", Value::Null);
    for _ in 0..100 {
        if size(&server) == head(&server) {
            return;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("the seal left {} entries under {}", head(&server), size(&server));
}

fn log_says(server: &Server, what: &str) -> bool {
    (0..300).any(|_| {
        sleep(Duration::from_millis(100));
        std::fs::read_to_string(server.log()).unwrap().contains(what)
    })
}

#[test]
fn a_tree_is_made_anew_where_tiles_are_gone_and_nothing_edited_is_ever_signed() {
    let mut server = Server::start();
    for n in 0..300 {
        server.root_write(&format!("secret/data/{}", n % 7), json!({ "data": { "n": n } }));
    }
    let (older, note) = checkpoint_covering(&server, 300);
    server.tamper("DELETE FROM ledger_tile");
    server.kill_and_restart();
    let (seq, _) = receipt(&server.root_write("secret/data/app", json!({ "data": { "n": 1 } })));
    let (newer, _) = checkpoint_covering(&server, seq);
    assert!(log_says(&server, "the tree is made anew"));
    // The new tiles are those of the same tree.
    let path = format!("sys/ledger/1/consistency?from={}&to={}", older.size, newer.size);
    let steps = hashes(&server.root_read(&path).data()["hashes"]);
    assert!(is_beginning(older.size, &older.root, newer.size, &newer.root, &steps));
    assert_eq!(server.root_write("sys/ledger/verify", json!({ "checkpoints": [note] })).data()["exit_code"], json!(0));
    // An entry that was edited is not signed: its leaf was signed before, from memory, or the tree ends in front of it.
    for n in 0..8 {
        server.root_write("secret/data/app", json!({ "data": { "n": n } }));
    }
    let place: i64 = server.sql("postgres", "SELECT max(seq) - 5 FROM ledger_entry").unwrap().parse().unwrap();
    server.tamper(&format!("UPDATE ledger_entry SET body = replace(body, '\"status\":2', '\"status\":4') WHERE seq = {place}"));
    server.kill_and_restart();
    let signed: i64 = server.sql("postgres", "SELECT max(size) FROM ledger_checkpoint").unwrap().parse().unwrap();
    assert!(place <= signed || log_says(&server, "no checkpoint is signed any more"));
    let report = server.verify();
    assert_eq!((&report["exit_code"], &report["streams"][0]["seq"]), (&json!(2), &json!(place)));
}

#[test]
fn a_forged_checkpoint_proves_nothing_and_is_built_upon_by_nobody() {
    let mut server = Server::start();
    let (seq, _) = receipt(&server.root_write("secret/data/app", json!({ "data": { "n": 1 } })));
    checkpoint_covering(&server, seq);
    server.tamper("UPDATE ledger_checkpoint SET note = replace(note, '\u{2014} goldfin', '\u{2014} goldfim')");
    let answer = server.ask(&server.root(), "GET", &format!("sys/ledger/entries/1/{seq}"), Value::Null);
    assert!(answer.status == 500 && answer.errors().contains("integrity"), "{answer:?}");
    server.kill_and_restart();
    server.root_write("secret/data/app", json!({ "data": { "n": 2 } }));
    assert!(log_says(&server, "no checkpoint is signed any more"));
    assert_eq!(server.verify()["exit_code"], json!(2));
}
