//! A database that was restored to an earlier state: the node knows how far it had come, and serves nothing until somebody says so.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use crate::ledger_tree::checkpoint_covering;
use crate::server::Server;

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    assert!(Command::new("cp").args(["-a", "--"]).arg(from).arg(to).status().unwrap().success());
}

/// Starts goldfin where it is expected to end by itself.
fn start_in_vain(server: &Server, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_goldfin")).arg("dev").arg("--data").arg(server.data()).args(more).output().unwrap()
}

#[test]
fn a_database_that_was_set_back_is_served_only_once_it_is_acknowledged() {
    let mut server = Server::start();
    server.root_write("secret/data/app", json!({ "data": { "n": 1 } }));
    server.stop();
    let (live, kept) = (server.data().join("postgresql"), server.data().join("kept"));
    copy(&live, &kept);
    server.start_again_with(&[]);
    for n in 2..9 {
        server.root_write("secret/data/app", json!({ "data": { "n": n } }));
    }
    let known: i64 = server.sql("postgres", "SELECT seq FROM ledger_head").unwrap().parse().unwrap();
    let (newest, note) = checkpoint_covering(&server, u64::try_from(known).unwrap());
    server.stop();
    copy(&kept, &live);
    let refused = start_in_vain(&server, &[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{said}");
    let place = said.split("--acknowledge-rollback ").nth(1).expect("names the way on").split('`').next().unwrap().to_owned();
    let ends: i64 = place.strip_prefix("1:").unwrap().parse().unwrap();
    assert!(ends < known, "{place}");
    // Another place than where the stream ends is no acknowledgement.
    assert!(!start_in_vain(&server, &["--acknowledge-rollback", "1:1"]).status.success());
    server.start_again_with(&["--acknowledge-rollback", &place]);
    let first = server.root_read(&format!("sys/ledger/entries/1/{}", ends + 1)).data()["entry"].clone();
    assert_eq!(
        (&first["kind"], &first["action"], &first["reason"]),
        (&json!("notice"), &json!("acknowledge_ledger"), &json!("set_back_acknowledged")),
        "{first}"
    );
    let (from, lost) = (first["version"].as_i64().unwrap(), first["count"].as_i64().unwrap());
    assert!(from >= known && from - lost == ends, "{first}");
    // The next start needs nobody: the mark has moved to the new end.
    server.stop();
    server.start_again_with(&[]);
    // Whoever kept a checkpoint of what was lost still has it: the ledger is another than the one that was signed.
    let report = server.root_write("sys/ledger/verify", json!({ "checkpoints": [note] })).data().clone();
    assert!(matches!(report["exit_code"].as_i64(), Some(2 | 3)), "{report} {newest:?}");
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn a_kill_is_no_rollback_and_a_broken_mark_is_no_missing_one() {
    let mut server = Server::start();
    for n in 0..5 {
        server.root_write("secret/data/app", json!({ "data": { "n": n } }));
        if n % 2 == 0 {
            server.kill_and_restart();
        }
    }
    server.stop();
    let mark = server.data().join("high-water");
    let text = std::fs::read_to_string(&mark).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert!(words[0].starts_with("goldfin/") && words[0].ends_with("/1") && words[1].parse::<i64>().unwrap() > 5, "{text}");
    // The same number with another entry: a fork that has grown as far.
    std::fs::write(&mark, text.replace(words[2], &"0".repeat(64))).unwrap();
    assert!(String::from_utf8_lossy(&start_in_vain(&server, &[]).stderr).contains("was set back"));
    std::fs::write(&mark, "nonsense\n").unwrap();
    assert!(String::from_utf8_lossy(&start_in_vain(&server, &[]).stderr).contains("holds no mark"));
    std::fs::write(&mark, &text).unwrap();
    server.start_again_with(&[]);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn a_second_claimant_of_a_stream_halts() {
    let server = Server::start();
    let folder = server.data().with_file_name("claimant");
    std::fs::create_dir_all(&folder).unwrap();
    let certificates = server.data().join("certs");
    let configuration = format!(
        "node = \"dev\"\n[listen]\naddress = \"127.0.0.1:0\"\n[tls]\ncertificate = \"{0}/server.pem\"\nkey = \"{0}/server.key\"\n\
         [database]\nhost = \"{1}\"\npool = 4\n[seal]\nkey_file = \"{2}\"\n[ledger]\nhigh_water = \"{3}\"\n",
        certificates.display(),
        server.socket().display(),
        server.data().join("unseal.key").display(),
        folder.join("high-water").display()
    );
    let file = folder.join("goldfin.toml");
    std::fs::write(&file, configuration).unwrap();
    let output =
        Command::new("timeout").arg("120").arg(env!("CARGO_BIN_EXE_goldfin")).args(["server", "--config"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another process writes this node's stream"), "{said}");
    assert!(!folder.join("high-water").exists());
    server.root_write("secret/data/app", json!({ "data": { "n": 1 } }));
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn a_database_that_is_set_back_under_a_running_node_gets_no_more_entries() {
    let server = Server::start();
    for n in 0..3 {
        server.root_write("secret/data/app", json!({ "data": { "n": n } }));
    }
    server.tamper(
        "DELETE FROM ledger_entry WHERE seq = (SELECT seq FROM ledger_head);
         UPDATE ledger_head SET (seq, mac) = (SELECT seq, mac FROM ledger_entry ORDER BY seq DESC LIMIT 1)",
    );
    let ends = server.sql("postgres", "SELECT seq FROM ledger_head").unwrap();
    for _ in 0..3 {
        let answer = server.ask(&server.root(), "GET", "secret/data/app", serde_json::Value::Null);
        assert!(answer.status >= 500 && !answer.body.to_string().contains("\"n\""), "{answer:?}");
    }
    assert_eq!(server.sql("postgres", "SELECT seq FROM ledger_head").unwrap(), ends);
}
