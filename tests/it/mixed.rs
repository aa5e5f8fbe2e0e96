//! Ten thousand requests of every kind at once: each answer has one entry, each entry one answer, and each entry says what auditors ask for.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::{scope, sleep};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Request;

use crate::login::jwt::logged_in;
use crate::server::Server;
use crate::transform::tokenizing;

const REQUESTS: usize = 10_000;
const CLIENTS: usize = 8;

/// What a client was told.
struct Told {
    receipt: String,
    request: String,
    status: u16,
    number: usize,
}

struct Mixture<'a> {
    server: &'a Server,
    root: String,
    clerk: String,
    token: String,
    tls: Arc<rustls::ClientConfig>,
}

impl Mixture<'_> {
    fn ask(&self, agent: &ureq::Agent, number: usize, token: &str, method: &str, path: &str, body: Vec<u8>) -> Told {
        let uri = format!("{}/v1/{path}", self.server.address());
        let mut request = Request::builder().method(method).uri(uri).header("X-Goldfin-Purpose", "claims");
        if !token.is_empty() {
            request = request.header("X-Vault-Token", token);
        }
        let mut answer = agent.run(request.body(body).unwrap()).unwrap();
        let header = |name: &str| answer.headers().get(name).unwrap_or_else(|| panic!("{path}: {answer:?}")).to_str().unwrap().to_owned();
        let told = Told {
            receipt: header("x-goldfin-receipt"),
            request: header("x-goldfin-request-id"),
            status: answer.status().as_u16(),
            number,
        };
        drop(answer.body_mut().read_to_string());
        told
    }

    /// One request of those whose answer is waited for. Every number of a kind brings another one.
    fn one(&self, agent: &ureq::Agent, number: usize) -> Told {
        let json = |value: Value| serde_json::to_vec(&value).unwrap();
        let (root, clerk) = (self.root.as_str(), self.clerk.as_str());
        let secret = format!("secret/data/mixed/{}", number / 10);
        let (token, method, path, body) = match number % 10 {
            0 => (root, "POST", secret.as_str(), json(json!({ "data": { "n": number } }))),
            1 => (root, "GET", "secret/data/app", Vec::new()),
            2 => (
                clerk,
                "POST",
                "transform/encode/app",
                json(json!({ "value": format!("synthetic {number}"), "subject": "synthetic person" })),
            ),
            3 => (clerk, "POST", "transform/decode/app", json(json!({ "value": self.token }))),
            4 => (clerk, "GET", "secret/data/app", Vec::new()),
            5 => malformed(root, number),
            6 => (clerk, "POST", "transform/decode/app", json(json!({ "value": "pii_synthetic" }))),
            7 => (
                clerk,
                "POST",
                "transform/encode/app",
                json(json!({ "batch_input": [{ "value": "a" }, { "value": "b" }, { "value": 7 }] })),
            ),
            _ => ("", "POST", "auth/jwt/login", json(json!({ "role": "app", "jwt": "synthetic.synthetic.synthetic" }))),
        };
        self.ask(agent, number, token, method, path, body)
    }

    /// A client that sends a request, or a part of one, and is gone.
    fn abort(&self, number: usize) {
        let address = self.server.address().trim_start_matches("https://");
        let body = json!({ "data": { "n": number } }).to_string();
        let whole = format!(
            "POST /v1/secret/data/aborted/{number} HTTP/1.1\r\nhost: {address}\r\nx-vault-token: {}\r\ncontent-length: {}\r\n\r\n{body}",
            self.root,
            body.len()
        );
        let sent = if (number / 10).is_multiple_of(2) { whole.len() } else { whole.len() - body.len() / 2 };
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let connection = rustls::ClientConnection::new(Arc::clone(&self.tls), name).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, TcpStream::connect(address).unwrap());
        stream.write_all(&whole.as_bytes()[..sent]).unwrap();
        stream.flush().unwrap();
        // Some hang up at once, some while it is worked on.
        if number.is_multiple_of(3) {
            sleep(Duration::from_millis(2));
        }
    }
}

fn malformed(root: &str, number: usize) -> (&str, &'static str, &'static str, Vec<u8>) {
    let deep = || format!("{}{}", "[".repeat(100), "]".repeat(100)).into_bytes();
    match (number / 10) % 8 {
        0 => (root, "POST", "secret/data/app", b"{\"data\":".to_vec()),
        1 => (root, "POST", "secret/data/app", b"{\"data\":{},\"data\":{}}".to_vec()),
        2 => (root, "POST", "secret/data/app", deep()),
        3 => (root, "GET", "nowhere/data/app", Vec::new()),
        4 => (root, "DELETE", "transform/encode/app", Vec::new()),
        5 => (root, "POST", "transform/encode/app", b"{\"value\":[1]}".to_vec()),
        6 => (root, "GET", "secret/data/a%2fb", Vec::new()),
        _ => (root, "POST", "transform/encode/app", vec![0xff, 0xfe]),
    }
}

fn prepared(server: &Server) -> Mixture<'_> {
    let clerk = r#"permit (principal in Group::"clerk", action in [Action::"encode", Action::"decode"], resource in Mount::"transform");"#;
    server.root_write("sys/policies/acl/clerk", json!({ "policy": clerk }));
    server.root_write("transform/transformations/tokenization/note", json!({ "purposes": ["claims"] }));
    server.root_write("secret/data/app", json!({ "data": { "password": "synthetic canary" } }));
    let clerk = logged_in(server, "clerk", &["clerk"]);
    let body = json!({ "value": "synthetic value", "subject": "synthetic person" });
    let made = server.ask(&clerk, "POST", "transform/encode/app", body).expect(200);
    let token = made.data()["encoded_value"].as_str().unwrap().to_owned();
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(server.variable("VAULT_CACERT")).unwrap();
    let certificate = ureq::tls::Certificate::from_pem(&pem).unwrap();
    roots.add(rustls::pki_types::CertificateDer::from(certificate.der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = Arc::new(tls.with_root_certificates(roots).with_no_client_auth());
    Mixture { server, root: server.root(), clerk, token, tls }
}

/// The entries behind a place: by receipt, the canonical bytes and the columns that repeat them.
fn entries_behind(server: &Server, seq: &str) -> HashMap<String, (String, Value)> {
    let leaf = "encode(sha256('\\x00'::bytea || convert_to(body, 'UTF8')), 'hex')";
    let rows = format!(
        "SELECT stream || ':' || seq || ':' || {leaf} || ' ' || request || ' ' || body FROM ledger_entry WHERE seq > {seq} ORDER BY seq"
    );
    let rows = server.sql("postgres", &rows).unwrap();
    let entry = |row: &str| {
        let mut parts = row.splitn(3, ' ');
        let (receipt, request) = (parts.next().unwrap().to_owned(), parts.next().unwrap().to_owned());
        (receipt, (request, serde_json::from_str(parts.next().unwrap()).unwrap()))
    };
    rows.lines().map(entry).collect()
}

#[test]
fn ten_thousand_mixed_requests_and_their_entries_are_one_to_one() {
    let server = tokenizing();
    let mixture = prepared(&server);
    let before = server.sql("postgres", "SELECT max(seq) FROM ledger_entry").unwrap();
    let told: Vec<Told> = scope(|threads| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let mixture = &mixture;
                threads.spawn(move || {
                    let agent = mixture.server.agent.clone();
                    let mut told = Vec::with_capacity(REQUESTS / CLIENTS);
                    for number in (client..REQUESTS).step_by(CLIENTS) {
                        match number % 10 {
                            8 => mixture.abort(number),
                            _ => told.push(mixture.one(&agent, number)),
                        }
                    }
                    told
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(told.len(), REQUESTS * 9 / 10);
    // What was in flight of those who hung up comes to its end.
    let newest = || server.sql("postgres", "SELECT max(seq) FROM ledger_entry").unwrap();
    let mut last = String::new();
    while last != newest() {
        last = newest();
        sleep(Duration::from_millis(500));
    }
    let mut entries = entries_behind(&server, &before);

    assert_eq!(told.iter().map(|told| &told.receipt).collect::<HashSet<_>>().len(), told.len(), "a receipt was given twice");
    let mut kinds: HashMap<(usize, String, u16), usize> = HashMap::new();
    for told in &told {
        let (request, body) = entries.remove(&told.receipt).unwrap_or_else(|| panic!("no entry: {} {}", told.number, told.receipt));
        assert_eq!((&request, &body["request_id"], &body["status"]), (&told.request, &json!(told.request), &json!(told.status)), "{body}");
        let decision = body["decision"].as_str().unwrap();
        assert_eq!(decision == "granted", told.status < 400, "{body}");
        says_what_auditors_ask(&body);
        *kinds.entry((told.number % 10, decision.to_owned(), told.status)).or_default() += 1;
    }
    for (kind, decision, status) in [
        (0, "granted", 200),
        (1, "granted", 200),
        (2, "granted", 200),
        (3, "granted", 200),
        (4, "denied", 403),
        (6, "failed", 400),
        (7, "granted", 200),
    ] {
        assert_eq!(kinds.get(&(kind, decision.to_owned(), status)), Some(&(REQUESTS / 10)), "{kinds:?}");
    }
    let of = |kind: usize| kinds.iter().filter(move |((known, ..), _)| *known == kind);
    assert!(of(5).chain(of(9)).all(|((_, decision, status), _)| decision != "granted" && (400..500).contains(status)), "{kinds:?}");
    aborted_ones(&server, entries);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

/// Who, when, from where, by which right, what to which record, why, and what came of it: what 45 CFR 164.312(b) and 164.528 ask an audit
/// trail for.
fn says_what_auditors_ask(body: &Value) {
    for member in ["time", "request_id", "account", "method", "peer", "verb", "action", "resource", "decision"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {body}");
    }
    assert!(body["seq"].is_u64() && body["status"].is_u64() && body["latency_us"].is_u64(), "{body}");
    if body["account"] != json!("anonymous") {
        assert!(body["accessor"].is_string(), "{body}");
    }
    match (body["action"].as_str().unwrap(), body["decision"].as_str().unwrap()) {
        ("decode", "granted") => {
            let known = (&body["class"], &body["purpose"], &body["count"], &body["account"]);
            assert_eq!(known, (&json!("note"), &json!("claims"), &json!(1), &json!("clerk")), "{body}");
            assert!(body["subject"].as_str().is_some_and(|hash| hash.len() == 64), "{body}");
            assert_eq!(body["policies"], json!(["clerk#1"]), "{body}");
        }
        ("read_secret", "granted") => assert!(body["version"].is_u64() && body["resource"] == json!("Secret:secret/app"), "{body}"),
        (_, "denied") if body["account"] == json!("clerk") => assert_eq!(body["denied_because"], json!("none_permits"), "{body}"),
        _ => {}
    }
    assert!(!body.to_string().contains("synthetic value") && !body.to_string().contains("canary"), "{body}");
}

/// Those who hung up have one entry at most, and a change only with it; what is left otherwise is goldfin's own.
fn aborted_ones(server: &Server, left: HashMap<String, (String, Value)>) {
    let mut done = HashMap::new();
    let mut incomplete = 0;
    for (_, body) in left.into_values() {
        if body["action"] == json!("unroutable") && body["account"] == json!("root") && body.get("path").is_none() {
            // Of a request that never arrived whole nothing is believed, its path neither.
            says_what_auditors_ask(&body);
            assert_eq!((&body["decision"], &body["status"]), (&json!("failed"), &json!(400)), "{body}");
            incomplete += 1;
            continue;
        }
        let path = body["path"].as_str().unwrap_or_default();
        let Some(number) = path.strip_prefix("secret/data/aborted/") else {
            assert!(body["kind"] == json!("notice") || body["method"] == json!("job"), "an entry without a request: {body}");
            continue;
        };
        says_what_auditors_ask(&body);
        let number: usize = number.parse().unwrap();
        let is_whole = (number / 10).is_multiple_of(2);
        assert!(is_whole || body["decision"] != json!("granted"), "{body}");
        assert!(done.insert(number, body["decision"] == json!("granted")).is_none(), "two entries: {body}");
    }
    assert!(incomplete <= REQUESTS / 20, "{incomplete} entries of requests that did not arrive");
    let listed = server.ask(&server.root(), "LIST", "secret/metadata/aborted", Value::Null);
    let keys = listed.body["data"]["keys"].as_array().cloned().unwrap_or_default();
    let written: HashSet<usize> = keys.iter().map(|key| key.as_str().unwrap().parse().unwrap()).collect();
    let granted: HashSet<usize> = done.iter().filter(|(_, granted)| **granted).map(|(number, _)| *number).collect();
    assert_eq!(written, granted, "a change without its entry, or the other way round");
    assert!(!granted.is_empty(), "nobody hung up late enough to be served");
}
