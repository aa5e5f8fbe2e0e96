//! A backup is restored beside a node that remembers who was erased since.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::second_node::SecondNode;
use crate::server::Server;
use crate::transform::{decode, encode, make, post, tokenizing};

fn erase(server: &Server, subject: &str) {
    post(server, "transform/subjects/erase", json!({ "subject": subject })).expect(200);
}

/// Runs a program of PostgreSQL's as the superuser.
fn run(command: &str) {
    assert!(Command::new("sh").args(["-ec", command]).status().unwrap().success(), "{command}");
}

#[test]
fn a_key_that_is_put_back_is_used_by_no_one() {
    let mut server = tokenizing();
    let mine = encode(&server, json!({ "value": "synthetic one", "subject": "synthetic-gone" }));
    let other = encode(&server, json!({ "value": "synthetic two", "subject": "synthetic-stays" }));
    server.tamper("CREATE TABLE yesterday AS SELECT * FROM subject");
    erase(&server, "synthetic-gone");
    let put_back = "UPDATE subject s SET wrapped_key = y.wrapped_key, erased = NULL FROM yesterday y WHERE s.id = y.id";
    server.tamper(put_back);
    // While the server runs, and after it was killed.
    for round in 0..2 {
        decode(&server, &mine).expect(410);
        assert_eq!(decode(&server, &other).expect(200).data()["decoded_value"], json!("synthetic two"));
        if round == 0 {
            server.ask(&server.root(), "GET", "transform/subjects/synthetic-gone/export", Value::Null).expect(410);
            post(&server, "transform/encode/app", json!({ "value": "v", "subject": "synthetic-gone" })).expect(410);
            assert!(std::fs::read_to_string(server.log()).unwrap().contains("was put back; it is not used"));
            server.kill_and_restart();
        }
    }
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM subject WHERE wrapped_key IS NULL").unwrap(), "1");
    let entries = server.entries("action=run_job&limit=20");
    let again: Vec<&Value> = entries.iter().filter(|entry| entry["reason"] == json!("erased_again")).collect();
    assert_eq!((again.len(), &again[0]["account"], &again[0]["count"]), (1, &json!("erasures"), &json!(1)));
    assert_eq!(again[0]["subjects"][0]["count"], json!(1));
    // The person may come again, and stays when the next start looks.
    let later = encode(&server, json!({ "value": "synthetic three", "subject": "synthetic-gone" }));
    server.kill_and_restart();
    assert_eq!(decode(&server, &later).expect(200).data()["decoded_value"], json!("synthetic three"));
    decode(&server, &mine).expect(410);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn yesterdays_dump_brings_nobody_back() {
    let mut server = tokenizing();
    make(&server, "transform", "open", "open", json!({ "mapping_mode": "exportable" }));
    let bound = |server: &Server, subject: &str| {
        let body = json!({ "value": "synthetic", "subject": subject });
        post(server, "transform/encode/open", body).expect(200).data()["encoded_value"].as_str().unwrap().to_owned()
    };
    let (gone, stays) = (bound(&server, "synthetic-gone"), bound(&server, "synthetic-stays"));
    let socket = server.socket().display().to_string();
    let dump = server.data().with_file_name("yesterday.sql").display().to_string();
    run(&format!("pg_dump -h {socket} -U postgres goldfin > {dump}"));
    // Today: one of yesterday's people is erased, and one who came only today.
    erase(&server, "synthetic-gone");
    let today = bound(&server, "synthetic-today");
    erase(&server, "synthetic-today");

    run(&format!(
        "psql -q -h {socket} -U postgres postgres -c 'DROP DATABASE goldfin WITH (FORCE)' -c 'CREATE DATABASE goldfin' &&
         psql -q -v ON_ERROR_STOP=1 -h {socket} -U postgres goldfin < {dump} > /dev/null"
    ));
    assert_eq!(
        server.sql("postgres", "SELECT count(*) FROM subject WHERE wrapped_key IS NULL").unwrap(),
        "0",
        "the backup is of yesterday"
    );
    // The node knows that the database was set back, and goes on once somebody says so.
    let said = server.kill_and_fail_to_start();
    let place = said.split("--acknowledge-rollback ").nth(1).expect("names the way on").split('`').next().unwrap();
    server.start_again_with(&["--acknowledge-rollback", place]);
    let reveal = |server: &Server, token: &str| post(server, "transform/decode/open", json!({ "value": token }));
    reveal(&server, &gone).expect(410);
    server.ask(&server.root(), "GET", "transform/subjects/synthetic-gone/export", Value::Null).expect(410);
    reveal(&server, &stays).expect(200);
    assert!(reveal(&server, &today).status >= 400);
    assert_eq!(server.root_read("transform/subjects/synthetic-gone").data()["alive"], json!(false));
    // Who comes again has a number of their own, which no older erasure means.
    let again = [bound(&server, "synthetic-today"), bound(&server, "synthetic-gone")];
    server.kill_and_restart();
    for token in &again {
        reveal(&server, token).expect(200);
    }
    reveal(&server, &gone).expect(410);
}

#[test]
fn every_node_remembers_and_a_foreign_file_stops_the_start() {
    let server = tokenizing();
    let second = SecondNode::start(&server);
    encode(&server, json!({ "value": "v", "subject": "synthetic-gone" }));
    encode(&server, json!({ "value": "v", "subject": "synthetic-too" }));
    erase(&server, "synthetic-gone");
    second.ask(&server, &server.root(), "DELETE", "transform/subjects/synthetic-too", Value::Null).expect(200);
    let (first, other) = (server.data().join("erasures"), server.data().with_file_name("second").join("erasures"));
    let lines = |path: &std::path::Path| {
        let mut lines: Vec<String> = std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for _ in 0..100 {
        if lines(&first).len() == 2 && lines(&other).len() == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(lines(&first), lines(&other));
    assert_eq!(lines(&first).len(), 2);
    assert!(!lines(&first).concat().contains("synthetic"));
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&first).unwrap()) & 0o777, 0o600);
    drop(second);
    // A line that goldfin did not write could destroy what must stay.
    let forged = lines(&other)[0].replace("1 ", "1 1");
    std::fs::write(&other, format!("{forged}\n")).unwrap();
    let configuration = server.data().with_file_name("second").join("goldfin.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_goldfin")).args(["server", "--config"]).arg(configuration).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("is not what goldfin wrote"), "{said}");
}
