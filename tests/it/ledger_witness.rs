//! Two goldfins, one the witness of the other: what the witness has seen is not taken back, whatever becomes of the other's files.

use std::path::Path;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::Duration;

use goldfin_ledger::note::{Checkpoint, LogKey};
use goldfin_ledger::witness::{Submission, WitnessKey};
use serde_json::{Value, json};

use crate::ledger_tree::checkpoint_covering;
use crate::server::{Answer, Server};

const PATH: &str = "sys/ledger/witness/add-checkpoint";

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    assert!(Command::new("cp").args(["-a", "--"]).arg(from).arg(to).status().unwrap().success());
}

fn log_key(server: &Server) -> String {
    server.root_read("sys/ledger/key").data()["key"].as_str().unwrap().to_owned()
}

/// A ledger and its witness; the arguments with which the ledger knows it.
fn pair() -> (Server, Server, Vec<String>) {
    let mut log = Server::start();
    let witness = Server::start_with(&["--witness-of", &log_key(&log)]);
    let key = witness.root_read("sys/ledger/witness").data()["key"].as_str().unwrap().to_owned();
    let url = format!("{}/v1/sys/ledger/witness", witness.address());
    let arguments =
        ["--witness", &url, "--witness-key", &key, "--witness-ca", witness.variable("VAULT_CACERT")].map(str::to_owned).to_vec();
    log.stop();
    start_again(&mut log, &arguments, &[]);
    (log, witness, arguments)
}

fn start_again(server: &mut Server, arguments: &[String], more: &[&str]) {
    let all: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
    server.start_again_with(&all);
}

fn start_in_vain(server: &Server, arguments: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_goldfin")).arg("dev").arg("--data").arg(server.data()).args(arguments).output().unwrap()
}

/// Waits until the witness has cosigned a checkpoint that covers an entry.
fn cosigned(log: &Server, seq: i64) -> i64 {
    for _ in 0..300 {
        let size: i64 = log.sql("postgres", "SELECT coalesce(max(size), 0) FROM ledger_cosignature").unwrap().parse().unwrap();
        if size >= seq {
            return size;
        }
        sleep(Duration::from_millis(200));
    }
    panic!("nothing was cosigned: {}", std::fs::read_to_string(log.log()).unwrap());
}

fn submit(witness: &Server, body: impl Into<Vec<u8>>) -> Answer {
    witness.ask_raw("", "POST", PATH, body.into(), &[("Content-Type", "text/plain; charset=utf-8")])
}

fn head(log: &Server) -> i64 {
    log.sql("postgres", "SELECT seq FROM ledger_head").unwrap().parse().unwrap()
}

#[test]
fn a_witness_cosigns_what_continues_and_nothing_else() {
    let (log, mut witness, arguments) = pair();
    log.root_write("secret/data/app", json!({ "data": { "n": 1 } }));
    let size = cosigned(&log, head(&log));
    // The note is served with the cosignature behind, and both signatures hold.
    let note = log.root_read(&format!("sys/ledger/1/checkpoint/{size}")).body.as_str().unwrap().to_owned();
    let known = WitnessKey::parse(&arguments[3]).unwrap();
    let line = note.lines().find(|line| line.contains(known.name())).unwrap();
    assert!(known.cosigned(&note, &format!("{line}\n")).unwrap().time > 1_700_000_000);
    let of_log = LogKey::parse(&log_key(&log)).unwrap();
    assert_eq!(Checkpoint::open(note.as_bytes(), &of_log).unwrap().size, u64::try_from(size).unwrap());
    // What the witness did stands in its own ledger: nobody's credential, the ledger's signature.
    let entry = witness.entries("action=witness_checkpoint&decision=granted")[0].clone();
    assert_eq!((&entry["account"], &entry["path"]), (&json!("anonymous"), &json!(PATH)));
    // Anything else is refused, and how far was seen stays where it is, also after a kill.
    for round in 0..2 {
        let again = Submission { old: u64::try_from(size).unwrap(), proof: Vec::new(), note: note.clone() };
        assert_eq!(submit(&witness, Submission { old: 0, ..again.clone() }.to_text()).status, 409);
        let conflict = submit(&witness, Submission { old: 1, ..again.clone() }.to_text());
        assert_eq!((conflict.status, &conflict.body), (409, &json!(size)));
        assert_eq!(conflict.headers["content-type"], "text/x.tlog.size");
        assert_eq!(submit(&witness, Submission { old: u64::MAX, ..again.clone() }.to_text()).status, 400);
        assert_eq!(submit(&witness, Submission { proof: vec![[0; 32]], ..again.clone() }.to_text()).status, 422);
        assert_eq!(submit(&witness, again.to_text().replace(&of_log.log_id(), "goldfin/0000000000000000")).status, 404);
        let forged = again.to_text().replace(&format!("\n{size}\n"), &format!("\n{}\n", size + 1));
        assert_eq!(submit(&witness, forged).status, 403);
        for malformed in ["", "old 0\n", "{}", "old 00\n\nx\n", "\u{2014}\n\n"] {
            assert!(matches!(submit(&witness, malformed).status, 400 | 404), "{malformed}");
        }
        assert_eq!(submit(&witness, vec![0xff, 0xfe]).status, 400);
        // The same again is the same, at another time.
        let answer = submit(&witness, again.to_text());
        assert!(answer.status == 200 && known.cosigned(&note, answer.body.as_str().unwrap()).is_ok(), "{answer:?}");
        if round == 0 {
            witness.kill_and_restart();
        }
    }
    // What was seen is not taken back by the application's login, and a row of somebody else's is nothing to go by.
    for statement in ["UPDATE ledger_witnessed SET size = 1", "DELETE FROM ledger_witnessed", "DELETE FROM ledger_cosignature"] {
        assert!(witness.sql("goldfin_app", statement).is_err(), "{statement}");
    }
    let (_, other) = checkpoint_covering(&witness, 1);
    assert_eq!(
        submit(&witness, Submission { old: 0, proof: Vec::new(), note: other }.to_text()).status,
        404,
        "its own ledger is not known"
    );
    witness.tamper("UPDATE ledger_witnessed SET size = 1, note = replace(note, E'\\n\\n', E'\\n\\n\\n')");
    let answer = submit(&witness, Submission { old: 1, proof: Vec::new(), note }.to_text());
    assert_eq!(answer.status, 500, "{answer:?}");
    assert_eq!(log.verify()["exit_code"], json!(0));
}

#[test]
fn a_database_behind_its_witness_is_refused_though_the_nodes_own_mark_is_gone() {
    let (mut log, witness, arguments) = pair();
    log.root_write("secret/data/app", json!({ "data": { "n": 1 } }));
    cosigned(&log, head(&log));
    log.stop();
    let (live, kept) = (log.data().join("postgresql"), log.data().join("kept"));
    copy(&live, &kept);
    start_again(&mut log, &arguments, &[]);
    for n in 2..9 {
        log.root_write("secret/data/app", json!({ "data": { "n": n } }));
    }
    let known = cosigned(&log, head(&log));
    log.stop();
    // Whoever sets the database back can reach the node's files, too, and not the witness.
    copy(&kept, &live);
    std::fs::remove_file(log.data().join("high-water")).unwrap();
    let said = String::from_utf8_lossy(&start_in_vain(&log, &arguments).stderr).into_owned();
    assert!(said.contains("was set back") && said.contains("the witness has seen another history"), "{said}");
    assert!(!log.data().join("high-water").exists());
    let place = said.split("--acknowledge-rollback ").nth(1).expect("names the way on").split('`').next().unwrap().to_owned();
    start_again(&mut log, &arguments, &["--acknowledge-rollback", &place]);
    let ends: i64 = place.strip_prefix("1:").unwrap().parse().unwrap();
    let first = log.root_read(&format!("sys/ledger/entries/1/{}", ends + 1)).data()["entry"].clone();
    assert_eq!((&first["action"], &first["version"]), (&json!("acknowledge_ledger"), &json!(known)), "{first}");
    // The witness goes on to say no; the acknowledgement stands in the ledger, so the next start needs nobody.
    for n in 0..12 {
        log.root_write("secret/data/app", json!({ "data": { "n": n } }));
    }
    log.stop();
    start_again(&mut log, &arguments, &[]);
    let alarm = || std::fs::read_to_string(log.log()).unwrap().contains("the witness has seen another history of this node's stream; run");
    for _ in 0..300 {
        if alarm() {
            break;
        }
        sleep(Duration::from_millis(200));
    }
    assert!(alarm(), "a fork is told");
    let refused = witness.entries("action=witness_checkpoint&decision=failed");
    assert!(refused.iter().any(|entry| entry["reason"] == json!("witness_not_proven")), "{refused:?}");
    assert_eq!(log.verify()["exit_code"], json!(0));
    assert_eq!(witness.verify()["exit_code"], json!(0));
}

#[test]
fn a_witness_that_is_away_holds_nobody_up() {
    let (mut log, mut witness, arguments) = pair();
    witness.stop();
    log.stop();
    start_again(&mut log, &arguments, &[]);
    assert_eq!(log.ask(&log.root(), "POST", "secret/data/app", json!({ "data": { "n": 1 } })).status, 200);
    let status: Value = log.ask("", "GET", "sys/seal-status", Value::Null).body;
    assert_eq!(status["ledger_key"], json!(log_key(&log)), "whoever cannot log in can note the public key down");
}
