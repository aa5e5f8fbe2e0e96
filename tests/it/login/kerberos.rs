//! `auth/kerberos` against a real KDC: curl, the body of Vault's own client, replays on two nodes, channel bindings.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{NONE, account, enable, groups_of, newest_login, status_of, token_of, tokens_stored};
use crate::kdc::{Framing, Kdc, REALM};
use crate::second_node::SecondNode;
use crate::server::{Answer, Server};

const SERVICE: &str = "HTTP/localhost";

struct Site {
    kdc: Kdc,
    server: Server,
    keytab: PathBuf,
    alice: PathBuf,
}

impl Site {
    fn new() -> Self {
        let (kdc, server) = (Kdc::start(), Server::start());
        let keytab = kdc.service_keytab(SERVICE);
        let alice = kdc.ticket(&kdc.principal_with_keytab("alice"), "alice");
        enable(&server, "kerberos", "kerberos");
        let site = Self { kdc, server, keytab, alice };
        site.configure(json!({ "keytab": STANDARD.encode(std::fs::read(&site.keytab).unwrap()) })).expect(204);
        account(&site.server, "alice", json!({ "groups": ["service"], "aliases": [format!("kerberos/alice@{REALM}")] }));
        site
    }

    /// Writes the configuration; `more` goes over the service's name.
    fn configure(&self, more: Value) -> Answer {
        let mut config = json!({ "service_account": format!("{SERVICE}@{REALM}") });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.server.ask(&self.server.root(), "POST", "auth/kerberos/config", config)
    }

    fn token(&self, cache: &Path, binding: Option<&[u8]>) -> Vec<u8> {
        self.kdc.token(cache, SERVICE, Framing::Spnego, binding)
    }

    /// As `curl --negotiate` does it.
    fn with_header(&self, token: &[u8]) -> Answer {
        let header = format!("Negotiate {}", STANDARD.encode(token));
        self.server.ask_with("", "POST", "auth/kerberos/login", NONE, &[("Authorization", &header)])
    }

    /// As Vault's own client does it.
    fn with_body(&self, token: &[u8]) -> Answer {
        self.server.ask("", "POST", "auth/kerberos/login", body_of(token))
    }

    /// `tls-server-end-point` of the server's certificate (RFC 5929).
    fn binding(&self) -> Vec<u8> {
        let pem = std::fs::read(self.server.data().join("certs/server.pem")).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
        [&b"tls-server-end-point:"[..], &goldfin_crypto::digest::sha256(&[&pem.contents])].concat()
    }
}

fn body_of(token: &[u8]) -> Value {
    json!({ "authorization": format!("Negotiate {}", STANDARD.encode(token)) })
}

#[test]
fn tickets_become_auth_tokens() {
    let site = Site::new();
    curl(&site);
    header_and_body(&site);
    names_are_exact(&site);
    nonsense(&site);
    bindings(&site);
    keytabs(&site);
    assert_eq!(site.server.verify()["exit_code"], json!(0));
}

fn curl(site: &Site) {
    let address = site.server.address().replace("127.0.0.1", "localhost");
    for method in ["GET", "POST"] {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "-4", "--negotiate", "-u", ":", "-X", method, "-D", "-", "--cacert"])
            .arg(site.server.variable("VAULT_CACERT"))
            .arg(format!("{address}/v1/auth/kerberos/login"))
            .envs(site.kdc.env())
            .env("KRB5CCNAME", format!("FILE:{}", site.alice.display()))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let (head, body) = said.rsplit_once("\r\n\r\n").unwrap_or_else(|| panic!("{said} {}", String::from_utf8_lossy(&output.stderr)));
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["auth"]["policies"], json!(["default", "service"]), "{body}");
        assert!(head.to_lowercase().contains("www-authenticate: negotiate "), "the server proves itself too: {head}");
        assert_eq!(status_of(&site.server, body["auth"]["client_token"].as_str().unwrap()), 200);
    }
    let asked = site.server.ask("", "GET", "auth/kerberos/login", NONE).expect(401);
    assert_eq!(asked.headers["www-authenticate"], "Negotiate");
    assert_eq!(newest_login(&site.server).0, json!("missing"));
}

fn header_and_body(site: &Site) {
    for framing in [Framing::Spnego, Framing::Krb5] {
        let satisfied = site.kdc.handshake(&site.alice, SERVICE, framing, None, |token| {
            let answer = site.with_header(token).expect(200);
            let own = site.server.ask(&token_of(&answer), "GET", "auth/token/lookup-self", NONE).expect(200);
            assert_eq!((&own.data()["account"], &own.data()["method"]), (&json!("alice"), &json!("kerberos")));
            assert_eq!(own.data()["meta"]["principal"], json!(format!("alice@{REALM}")));
            let proof = answer.headers["www-authenticate"].strip_prefix("Negotiate ").unwrap().to_owned();
            Some(STANDARD.decode(proof).unwrap())
        });
        assert!(satisfied, "{framing:?}");
    }
    let token = site.token(&site.alice, None);
    assert_eq!(groups_of(&site.with_body(&token).expect(200)), json!(["default", "service"]));
    let before = tokens_stored(&site.server);
    for again in [site.with_body(&token), site.with_header(&token)] {
        again.expect(401);
        assert_eq!(newest_login(&site.server), (json!("replay"), json!("alice"), json!("denied")));
    }
    assert_eq!(tokens_stored(&site.server), before);
    let both = format!("Negotiate {}", STANDARD.encode(site.token(&site.alice, None)));
    let fresh = site.token(&site.alice, None);
    site.server.ask_with("", "POST", "auth/kerberos/login", body_of(&fresh), &[("Authorization", &both)]).expect(400);
}

fn names_are_exact(site: &Site) {
    for name in ["alice/admin", "Alice", "alice2"] {
        let cache = site.kdc.ticket(&site.kdc.principal_with_keytab(name), name);
        site.with_body(&site.token(&cache, None)).expect(403);
        assert_eq!(newest_login(&site.server), (json!("no_account"), json!(format!("kerberos/{name}@{REALM}")), json!("denied")));
    }
    let token = token_of(&site.with_body(&site.token(&site.alice, None)).expect(200));
    account(&site.server, "alice", json!({ "disabled": true }));
    assert_eq!(status_of(&site.server, &token), 403);
    let refused = site.token(&site.alice, None);
    site.with_body(&refused).expect(403);
    account(&site.server, "alice", json!({ "disabled": false }));
    site.with_body(&site.token(&site.alice, None)).expect(200);
}

fn nonsense(site: &Site) {
    let before = tokens_stored(&site.server);
    let honest = site.token(&site.alice, None);
    let mut flipped = site.token(&site.alice, None);
    *flipped.last_mut().unwrap() ^= 1;
    let ntlm = b"NTLMSSP\0\x01\0\0\0\x07\x82\x08\xa2\0\0\0\0\0\0\0\0";
    for (token, reason) in [
        (&ntlm[..], "not_kerberos"),
        (b"\x60\x80", "malformed"),
        (b"synthetic", "malformed"),
        (&honest[..honest.len() - 9], "malformed"),
        (&flipped, "wrong_key"),
    ] {
        let answer = site.with_body(token).expect(401);
        assert_eq!(answer.headers["www-authenticate"], "Negotiate");
        assert_eq!(newest_login(&site.server).0, json!(reason));
    }
    for text in ["synthetic", "Negotiate", "Negotiate !!", "Basic c3k="] {
        site.server.ask("", "POST", "auth/kerberos/login", json!({ "authorization": text })).expect(401);
    }
    let replays = site.server.sql("postgres", "SELECT count(*) FROM replay").unwrap();
    for round in 0..200 {
        let junk: Vec<u8> = (0..64).map(|at| (at * 7 + round) as u8).collect();
        assert_eq!(site.with_body(&junk).status, 401, "round {round}");
    }
    assert_eq!(site.server.sql("postgres", "SELECT count(*) FROM replay").unwrap(), replays);
    assert_eq!(tokens_stored(&site.server), before);
}

fn bindings(site: &Site) {
    let (own, other) = (site.binding(), b"tls-server-end-point:another certificate".to_vec());
    let bound = |answer: &Answer| site.server.ask(&token_of(answer), "GET", "auth/token/lookup-self", NONE).data()["channel_bound"].clone();
    assert_eq!(bound(&site.with_body(&site.token(&site.alice, Some(&own))).expect(200)), json!(true));
    assert_eq!(bound(&site.with_body(&site.token(&site.alice, None)).expect(200)), json!(false));
    site.with_body(&site.token(&site.alice, Some(&other))).expect(401);
    assert_eq!(newest_login(&site.server).0, json!("wrong_channel_binding"));
    site.configure(json!({ "require_channel_binding": true })).expect(204);
    for token in [site.token(&site.alice, None), site.token(&site.alice, Some(&other))] {
        site.with_body(&token).expect(401);
        site.with_header(&token).expect(401);
    }
    assert_eq!(bound(&site.with_header(&site.token(&site.alice, Some(&own))).expect(200)), json!(true));
    site.configure(json!({ "require_channel_binding": false })).expect(204);
}

fn keytabs(site: &Site) {
    let config = site.server.root_read("auth/kerberos/config");
    assert_eq!((&config.data()["keytab_stored"], &config.data()["keytab"]), (&json!(true), &NONE));
    let bytes = std::fs::read(&site.keytab).unwrap();
    let stored = site.server.sql("postgres", "SELECT body FROM control WHERE kind = 'config'").unwrap();
    assert!(
        !stored.contains(&STANDARD.encode(&bytes[10..40])) && !stored.contains("localhost\\u0000"),
        "the keytab is stored in the clear"
    );
    for more in [
        json!({ "keytab": "synthetic" }),
        json!({ "keytab": STANDARD.encode(b"synthetic") }),
        json!({ "service_account": "HTTP/localhost" }),
        json!({ "service_account": format!("HTTP/elsewhere@{REALM}") }),
        json!({ "remove_instance_name": true }),
        json!({ "keytab_file": "/nowhere/at/all" }),
        json!({ "keytab_file": "relative" }),
        json!({ "token_bound_cidrs": ["10.0.0.0/8"] }),
    ] {
        site.configure(more.clone()).expect(400);
    }
    site.with_body(&site.token(&site.alice, None)).expect(200);
    after_a_rotation(site);
    let file = site.server.data().join("service.keytab");
    std::fs::copy(&site.keytab, &file).unwrap();
    let mode = |bits: u32| std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(bits)).unwrap();
    mode(0o640);
    assert!(site.configure(json!({ "keytab_file": file })).expect(400).errors().contains("chmod"));
    mode(0o600);
    site.configure(json!({ "keytab_file": file, "token_ttl": "5m" })).expect(204);
    let answer = site.with_body(&site.token(&site.alice, None)).expect(200);
    assert_eq!(answer.body["auth"]["lease_duration"], json!(300));
}

/// The keytab's key moves with the others under the new version of the keyring.
fn after_a_rotation(site: &Site) {
    let wrapped =
        || site.server.sql("postgres", "SELECT body::jsonb -> 'keytab' ->> 'wrapped_key' FROM control WHERE kind = 'config'").unwrap();
    let before = wrapped();
    site.server.root_write("sys/rotate", NONE);
    for _ in 0..300 {
        if site.server.root_read("sys/rotate/status").data()["rotation"]["finished"].is_string() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(site.server.root_read("sys/rotate/status").data()["rotation"]["finished"].is_string());
    assert_ne!(wrapped(), before);
    site.with_body(&site.token(&site.alice, None)).expect(200);
}

#[test]
fn one_ticket_gives_one_token_on_all_nodes() {
    let site = Site::new();
    let second = SecondNode::start(&site.server);
    for _ in 0..5 {
        let token = site.token(&site.alice, None);
        let before = tokens_stored(&site.server);
        let mut statuses: Vec<u16> = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..6)
                .map(|number| {
                    let (site, second, token) = (&site, &second, &token);
                    scope.spawn(move || {
                        if number % 2 == 0 {
                            site.with_body(token).status
                        } else {
                            second.ask(&site.server, "", "POST", "auth/kerberos/login", body_of(token)).status
                        }
                    })
                })
                .collect();
            tries.into_iter().map(|each| each.join().unwrap()).collect()
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401, 401, 401, 401, 401]);
        assert_eq!(tokens_stored(&site.server), before + 1);
    }
    revocation_reaches_the_other_node(&site, &second);
    site.server.ask_at(second.address(), "", "GET", "sys/health", Vec::new(), &[]).expect(200);
    assert_eq!(site.server.verify()["exit_code"], json!(0));
}

fn revocation_reaches_the_other_node(site: &Site, second: &SecondNode) {
    let token = token_of(&site.with_body(&site.token(&site.alice, None)).expect(200));
    let elsewhere = |token: &str| second.ask(&site.server, token, "GET", "auth/token/lookup-self", NONE).status;
    assert_eq!((status_of(&site.server, &token), elsewhere(&token)), (200, 200));
    site.server.ask(&token, "POST", "auth/token/revoke-self", NONE).expect(204);
    assert_eq!(status_of(&site.server, &token), 403);
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(elsewhere(&token), 403);
}
