//! Deaths under load: what was acknowledged is there, and what was answered has its entry.

use std::collections::HashMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Request;

use crate::server::Server;
use crate::transform::{encode, tokenizing};

const CLIENTS: u32 = 64;
const DEATHS: u32 = 10;

/// What a client was told.
#[derive(Default)]
struct Told {
    /// Secrets by path, with the number that was acknowledged last.
    written: HashMap<String, u64>,
    tokens: Vec<(String, String)>,
    /// The requests that were answered with a value.
    revealed: Vec<String>,
    surprises: Vec<String>,
}

/// One client: writes, reads, encodes and decodes in turn, and goes on when the server is gone.
struct Client<'a> {
    agent: &'a ureq::Agent,
    address: &'a str,
    root: &'a str,
    told: Told,
}

impl Client<'_> {
    fn ask(&mut self, path: &str, body: Value) -> Option<(Value, String)> {
        let (method, body) = if body.is_null() { ("GET", Vec::new()) } else { ("POST", serde_json::to_vec(&body).unwrap()) };
        let request = Request::builder().method(method).uri(format!("{}/v1/{path}", self.address)).header("X-Vault-Token", self.root);
        // A connection that broke says nothing; only answers are held against the server.
        let Ok(mut answer) = self.agent.run(request.body(body).unwrap()) else {
            sleep(Duration::from_millis(100));
            return None;
        };
        let status = answer.status().as_u16();
        let id = answer.headers().get("x-goldfin-request-id")?.to_str().unwrap().to_owned();
        let text = answer.body_mut().read_to_string().ok()?;
        match status {
            200 => Some((serde_json::from_str(&text).unwrap_or_default(), id)),
            500 if text.contains("outcome unknown") => None,
            503 => None,
            // Not written yet: the first write was not acknowledged either.
            404 if !self.told.written.contains_key(path) => None,
            status => {
                self.told.surprises.push(format!("{path}: {status} {text}"));
                None
            }
        }
    }

    fn round(&mut self, client: u32, round: u64) {
        let path = format!("secret/data/load/{client}");
        if self.ask(&path, json!({ "data": { "round": round } })).is_some() {
            self.told.written.insert(path.clone(), round);
        }
        if let Some((_, id)) = self.ask(&path, Value::Null) {
            self.told.revealed.push(id);
        }
        let value = format!("synthetic {client} {round}");
        if let Some((answer, _)) = self.ask("transform/encode/app", json!({ "value": value })) {
            let token = answer["data"]["encoded_value"].as_str().unwrap().to_owned();
            if let Some((answer, id)) = self.ask("transform/decode/app", json!({ "value": token })) {
                assert_eq!(answer["data"]["decoded_value"], json!(value));
                self.told.revealed.push(id);
            }
            self.told.tokens.push((token, value));
        }
    }
}

#[test]
fn ten_deaths_under_load_lose_nothing_and_reveal_nothing_unrecorded() {
    let mut server = tokenizing();
    let (agent, address, root) = (server.agent.clone(), server.address().to_owned(), server.root());
    let (over, rounds) = (AtomicBool::new(false), AtomicU32::new(0));
    let told: Vec<Told> = scope(|threads| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (agent, address, root, over, rounds) = (&agent, address.as_str(), root.as_str(), &over, &rounds);
                threads.spawn(move || {
                    let mut client = Client { agent, address, root, told: Told::default() };
                    let mut round = 0;
                    while !over.load(Ordering::Relaxed) {
                        round += 1;
                        client.round(number, round);
                        rounds.fetch_add(1, Ordering::Relaxed);
                        sleep(Duration::from_millis(5));
                    }
                    client.told
                })
            })
            .collect();
        for death in 0..DEATHS {
            let before = rounds.load(Ordering::Relaxed);
            sleep(Duration::from_millis(700));
            if death % 2 == 0 {
                server.kill_and_restart();
            } else {
                Command::new("kill").args(["-9", &server.postgres_id().to_string()]).status().unwrap();
                await_health(&server);
            }
            assert!(rounds.load(Ordering::Relaxed) > before, "the clients stand still");
        }
        sleep(Duration::from_millis(500));
        over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    await_health(&server);
    let surprises: Vec<&String> = told.iter().flat_map(|told| &told.surprises).collect();
    assert!(surprises.is_empty(), "{surprises:?}");
    assert!(told.iter().map(|told| told.written.len()).sum::<usize>() > 0 && told.iter().any(|told| !told.tokens.is_empty()));
    for (path, round) in told.iter().flat_map(|told| &told.written) {
        let found = server.root_read(path).data()["data"]["round"].as_u64().unwrap();
        assert!(found >= *round, "{path}: {found} where {round} was acknowledged");
    }
    for batch in told.iter().flat_map(|told| &told.tokens).collect::<Vec<_>>().chunks(1000) {
        let items: Vec<Value> = batch.iter().map(|(token, _)| json!({ "value": token })).collect();
        let answer = server.root_write("transform/decode/app", json!({ "batch_input": items }));
        for (result, (_, value)) in answer.data()["batch_results"].as_array().unwrap().iter().zip(batch) {
            assert_eq!(result["decoded_value"], json!(value));
        }
    }
    let revealed: Vec<String> = told.iter().flat_map(|told| told.revealed.iter().cloned()).collect();
    let listed = revealed.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(",");
    let statement = format!(
        "SELECT count(*) || ' ' || count(DISTINCT request) FROM ledger_entry WHERE decision = 'granted' AND request::text IN ({listed})"
    );
    assert_eq!(server.sql("postgres", &statement).unwrap(), format!("{0} {0}", revealed.len()));
    let gaps = "SELECT count(*) FROM ledger_head h WHERE h.seq <> (SELECT count(*) FROM ledger_entry e WHERE e.stream = h.stream)";
    assert_eq!(server.sql("postgres", gaps).unwrap(), "0");
    assert_eq!(server.verify()["exit_code"], json!(0));
}

/// Waits until a write is acknowledged again.
pub fn await_health(server: &Server) {
    for _ in 0..300 {
        let request = Request::builder()
            .method("POST")
            .uri(format!("{}/v1/secret/data/health", server.address()))
            .header("X-Vault-Token", server.root())
            .body(serde_json::to_vec(&json!({ "data": {} })).unwrap())
            .unwrap();
        if server.agent.run(request).is_ok_and(|answer| answer.status() == 200) {
            return;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("goldfin did not recover");
}

#[test]
fn a_ledger_that_cannot_be_written_reveals_and_changes_nothing() {
    let server = tokenizing();
    let root = server.root();
    server.root_write("secret/data/app", json!({ "data": { "password": "synthetic canary" } }));
    let token = encode(&server, json!({ "value": "synthetic value" }));
    let function =
        "ledger_append(integer, bigint, bytea, timestamptz[], uuid[], text[], text[], text[], text[], bytea[], text[], text[], bytea[])";
    let breaks = [
        (format!("REVOKE EXECUTE ON FUNCTION {function} FROM goldfin_app"), format!("GRANT EXECUTE ON FUNCTION {function} TO goldfin_app")),
        (
            "ALTER TABLE ledger_entry ADD CONSTRAINT broken CHECK (false) NOT VALID".to_owned(),
            "ALTER TABLE ledger_entry DROP CONSTRAINT broken".to_owned(),
        ),
    ];
    for (broken, mended) in breaks {
        server.sql("postgres", &broken).unwrap();
        for (method, path, body) in [
            ("GET", "secret/data/app", Value::Null),
            ("POST", "transform/decode/app", json!({ "value": token })),
            ("POST", "secret/data/app", json!({ "data": { "password": "synthetic second" } })),
            ("DELETE", "secret/data/app", Value::Null),
        ] {
            let answer = server.ask(&root, method, path, body);
            assert!(matches!(answer.status, 500 | 503), "{answer:?}");
            assert!(!answer.body.to_string().contains("synthetic"), "{answer:?}");
        }
        server.sql("postgres", &mended).unwrap();
        await_health(&server);
        let read = server.root_read("secret/data/app");
        assert_eq!((&read.data()["data"]["password"], &read.data()["metadata"]["version"]), (&json!("synthetic canary"), &json!(1)));
    }
    // The writer's connection is cut; the next request finds another.
    server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'goldfin_app'").unwrap();
    await_health(&server);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn everything_that_was_started_is_stopped() {
    let mut server = Server::start();
    let (goldfin, postgres) = (server.process_id(), server.postgres_id());
    server.stop();
    for process in [goldfin, postgres] {
        assert!(!std::path::Path::new(&format!("/proc/{process}")).exists(), "{process} still runs");
    }
}
