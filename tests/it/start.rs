//! Starting, stopping, sealing: what `goldfin dev` promises to other people's suites.

use serde_json::{Value, json};

use crate::server::Server;

#[test]
fn the_seal_opens_share_by_share_and_survives_wrong_ones() {
    let server = Server::start_with(&["--key-shares", "5", "--key-threshold", "3"]);
    let root = server.root();
    let keys = server.unseal_keys();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 5);
    server.root_write("secret/data/app", json!({ "data": { "a": "b" } }));
    server.ask(&root, "PUT", "sys/seal", Value::Null).expect(204);
    for _ in 0..50 {
        if server.ask("", "GET", "sys/seal-status", Value::Null).body["sealed"] == json!(true) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    server.ask(&root, "GET", "secret/data/app", Value::Null).expect(503);
    server.ask("", "GET", "sys/health", Value::Null).expect(503);
    let give = |key: &Value| server.ask("", "PUT", "sys/unseal", json!({ "key": key }));
    assert_eq!(give(&keys["keys"][0]).expect(200).body["progress"], json!(1));
    // A share of another secret: the attempt fails as a whole and starts anew.
    let forged = format!("{}09", "5a".repeat(32));
    give(&json!(forged));
    give(&keys["keys"][1]).expect(400);
    assert_eq!(server.ask("", "GET", "sys/seal-status", Value::Null).body["progress"], json!(0));
    give(&json!("not a share")).expect(400);
    for key in [&keys["keys"][4], &keys["keys_base64"][1]] {
        assert_eq!(give(key).expect(200).body["sealed"], json!(true));
    }
    assert_eq!(give(&keys["keys"][2]).expect(200).body["sealed"], json!(false));
    server.ask(&root, "GET", "secret/data/app", Value::Null).expect(200);
    let attempts = server.entries("action=unseal");
    assert!(attempts.iter().any(|entry| entry["decision"] == json!("failed")), "{attempts:?}");
    assert!(attempts.iter().filter(|entry| entry["decision"] == json!("granted")).count() >= 4, "{attempts:?}");
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn a_second_start_on_the_folder_keeps_address_and_keys() {
    let mut server = Server::start();
    let (address, root) = (server.address().to_owned(), server.root());
    server.root_write("secret/data/app", json!({ "data": { "a": "b" } }));
    server.kill_and_restart();
    assert_eq!((server.address(), server.root()), (address.as_str(), root));
    assert_eq!(server.root_read("secret/data/app").data()["data"]["a"], json!("b"));
    let postgres = server.postgres_id();
    std::process::Command::new("kill").args(["-9", &postgres.to_string()]).status().unwrap();
    server.kill_and_restart();
    assert_eq!(server.root_read("secret/data/app").data()["data"]["a"], json!("b"));
    assert_eq!(server.verify()["exit_code"], json!(0));
}
