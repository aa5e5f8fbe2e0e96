use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;

fn loopback() -> FetchPolicy {
    FetchPolicy { allow_http_loopback: true, ..FetchPolicy::default() }
}

fn document(kid: &str, pair: &KeyPair) -> String {
    let x = URL_SAFE_NO_PAD.encode(pair.der_bytes());
    json!({"keys": [{"kty":"OKP","crv":"Ed25519","kid":kid,"x":x}]}).to_string()
}

fn token(kid: &str, pair: &KeyPair) -> String {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"alg":"EdDSA","kid":kid}));
    let signed = format!("{header}.{}", part(json!({"sub":"svc-a","aud":"goldfin","exp":NOW + 100_000})));
    let key = jsonwebtoken::EncodingKey::from_ed_der(&pair.serialize_der());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, jsonwebtoken::Algorithm::EdDSA).unwrap();
    format!("{signed}.{signature}")
}

fn rules() -> JwtRules {
    JwtRules { audiences: vec!["goldfin".into()], user_claim: "sub".into(), ..JwtRules::default() }
}

fn ed25519() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()
}

/// A server on loopback that answers every request with the same bytes and counts them.
struct Server {
    port: u16,
    answer: Arc<Mutex<Vec<u8>>>,
    hits: Arc<AtomicUsize>,
}

impl Server {
    fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(Vec::new()));
        let hits = Arc::new(AtomicUsize::new(0));
        let (answers, counter) = (Arc::clone(&answer), Arc::clone(&hits));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answer = answers.lock().clone();
                let served = match &tls {
                    None => serve(stream, &answer),
                    Some(config) => serve(StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream), &answer),
                };
                if served.is_some() {
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { port, answer, hits }
    }

    fn says(&self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        *self.answer.lock() = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes();
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/keys", self.port)
    }

    fn source(&self, policy: FetchPolicy) -> JwksSource {
        JwksSource::new(JwksLocation::Url(self.url()), &[], policy).unwrap()
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

/// `None` when no request arrived, as when a TLS handshake was refused. Counts before it answers.
fn serve(mut stream: impl Read + Write, answer: &[u8]) -> Option<()> {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(read) if read > 0 => request.extend_from_slice(&piece[..read]),
            _ => return None,
        }
    }
    let _ = stream.write_all(answer);
    let _ = stream.flush();
    Some(())
}

#[test]
fn keys_are_fetched_once_and_again_when_old() {
    let pair = ed25519();
    let server = Server::start(None);
    server.says("200 OK", "", &document("a", &pair));
    let source = server.source(loopback());
    for later in [0, 1, 599] {
        assert_eq!(source.verify(&token("a", &pair), &rules(), NOW + later).unwrap().user, "svc-a");
    }
    assert_eq!(settled(&server, 1), 1);
    assert!(source.verify(&token("a", &pair), &rules(), NOW + 600).is_ok());
    assert_eq!(settled(&server, 2), 2);
}

#[test]
fn a_flood_of_unknown_keys_fetches_once_a_minute() {
    let (old, new) = (ed25519(), ed25519());
    let server = Server::start(None);
    server.says("200 OK", "", &document("old", &old));
    let source = server.source(loopback());
    assert!(source.verify(&token("old", &old), &rules(), NOW).is_ok());
    server.says("200 OK", "", &document("new", &new));
    for at in 0..200 {
        let unknown = source.verify(&token(&format!("../{at}"), &old), &rules(), NOW + at / 4);
        assert_eq!(unknown, Err(JwtLoginError::Refused(JwtRefusal::UnknownKey)));
    }
    assert_eq!(settled(&server, 1), 1);
    assert!(source.verify(&token("new", &new), &rules(), NOW + 60).is_ok(), "found after the minute");
    assert_eq!(settled(&server, 2), 2);
    let gone = source.verify(&token("old", &old), &rules(), NOW + 61);
    assert_eq!(gone, Err(JwtLoginError::Refused(JwtRefusal::UnknownKey)));
    assert_eq!(settled(&server, 2), 2);
}

#[test]
fn old_keys_are_kept_when_the_source_fails_and_a_clock_may_go_back() {
    let pair = ed25519();
    let server = Server::start(None);
    server.says("200 OK", "", &document("a", &pair));
    let source = server.source(loopback());
    assert!(source.keys(NOW).is_ok());
    for (status, body) in [("500 Oops", "{}"), ("200 OK", "{}"), ("200 OK", r#"{"keys":[]}"#), ("200 OK", "<html>")] {
        server.says(status, "", body);
        assert!(source.verify(&token("a", &pair), &rules(), NOW + 1000).is_ok(), "{status} {body}");
    }
    assert_eq!(settled(&server, 2), 2, "one attempt in the minute, though all failed");
    server.says("200 OK", "", &document("b", &pair));
    assert!(source.verify(&token("b", &pair), &rules(), NOW - 3600).is_ok());
}

#[test]
fn without_keys_the_reason_is_told_and_the_next_minute_tries_again() {
    let pair = ed25519();
    let server = Server::start(None);
    let source = server.source(loopback());
    server.says("503 Busy", "", "");
    assert_eq!(source.keys(NOW).unwrap_err(), JwksError::BadStatus(503));
    server.says("200 OK", "", &document("a", &pair));
    assert_eq!(source.keys(NOW + 59).unwrap_err(), JwksError::NotYet);
    assert!(source.keys(NOW + 60).is_ok());
}

#[test]
fn many_first_callers_cause_one_fetch() {
    let pair = ed25519();
    let server = Server::start(None);
    server.says("200 OK", "", &document("a", &pair));
    let source = server.source(loopback());
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert!(source.verify(&token("a", &pair), &rules(), NOW).is_ok()));
        }
    });
    assert_eq!(settled(&server, 1), 1);
}

#[test]
fn redirects_large_answers_and_dead_ends_are_refused() {
    let target = Server::start(None);
    target.says("200 OK", "", &document("a", &ed25519()));
    let server = Server::start(None);
    let outcome = |status: &str, headers: &str, body: &str| {
        server.says(status, headers, body);
        server.source(loopback()).keys(NOW).unwrap_err()
    };
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let code = status.get(..3).unwrap().parse().unwrap();
        assert_eq!(outcome(status, &format!("Location: {}\r\n", target.url()), ""), JwksError::BadStatus(code));
    }
    assert_eq!(target.hits(), 0);
    assert_eq!(outcome("200 OK", "", &" ".repeat(1024 * 1024 + 1)), JwksError::TooLarge);
    assert_eq!(outcome("200 OK", "", "[]"), JwksError::BadKeys(KeySetError::NotJwks));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = JwksSource::new(JwksLocation::Url(format!("http://{closed}/")), &[], loopback()).unwrap();
    assert_eq!(source.keys(NOW).unwrap_err(), JwksError::Unreachable);
}

#[test]
fn addresses_are_judged_before_anything_is_sent() {
    let server = Server::start(None);
    server.says("200 OK", "", &document("a", &ed25519()));
    let refuse = |url: &str, policy: FetchPolicy| match JwksSource::new(JwksLocation::Url(url.into()), &[], policy) {
        Ok(source) => source.keys(NOW).unwrap_err(),
        Err(error) => error,
    };
    let private = || FetchPolicy { allow_private: true, ..FetchPolicy::default() };
    for host in ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "192.168.0.1", "[fd00::1]", "[::ffff:10.0.0.1]", "0x7f000001", "2130706433"]
    {
        let url = format!("https://{host}:{}/", server.port);
        assert_eq!(refuse(&url, FetchPolicy::default()), JwksError::AddressForbidden, "{url}");
    }
    for host in ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "0.0.0.0", "[::]", "[::ffff:169.254.169.254]", "168.63.129.16"] {
        assert_eq!(refuse(&format!("https://{host}/"), private()), JwksError::AddressForbidden, "{host}");
        assert_ne!(refuse(&format!("http://{host}/"), loopback()), JwksError::Unreachable, "{host}");
    }
    assert_eq!(refuse(&server.url(), private()), JwksError::InsecureUrl);
    assert_eq!(refuse("http://10.0.0.1/", FetchPolicy { allow_private: true, ..loopback() }), JwksError::AddressForbidden);
    for url in [
        "",
        "keys",
        "/keys",
        "ftp://issuer.test/",
        "file:///etc/passwd",
        "https://",
        "https://user:x@issuer.test/",
        "https://issuer.test/#x",
    ] {
        assert_eq!(refuse(url, loopback()), JwksError::BadUrl, "{url}");
    }
    assert_eq!(server.hits(), 0);
}

#[test]
fn https_needs_the_right_certificate() {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
        .unwrap();
    let server = Server::start(Some(Arc::new(config)));
    server.says("200 OK", "", &document("a", &ed25519()));
    let keys = |host: &str, ca_pem: Option<String>| {
        let policy = FetchPolicy { ca_pem: ca_pem.map(String::into_bytes), allow_private: true, allow_http_loopback: false };
        let url = format!("https://{host}:{}/keys", server.port);
        JwksSource::new(JwksLocation::Url(url), &[], policy)?.keys(NOW).map(|keys| keys.len())
    };
    assert_eq!(keys("localhost", Some(ca_certificate.pem())), Ok(1));
    assert_eq!(keys("127.0.0.1", Some(ca_certificate.pem())), Err(JwksError::Unreachable), "another name");
    let other = CertificateParams::new(Vec::new()).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap();
    assert_eq!(keys("localhost", Some(other.pem())), Err(JwksError::Unreachable));
    assert_eq!(keys("localhost", Some("synthetic".into())), Err(JwksError::BadCertificate));
    assert_eq!(settled(&server, 1), 1);
}

#[test]
fn discovery_follows_only_the_issuer_it_was_given() {
    let server = Server::start(None);
    let issuer = format!("http://127.0.0.1:{}", server.port);
    let keys = Server::start(None);
    keys.says("200 OK", "", &document("a", &ed25519()));
    let outcome = |document: serde_json::Value| {
        server.says("200 OK", "", &document.to_string());
        let source = JwksSource::new(JwksLocation::Discovery(issuer.clone()), &[], loopback()).unwrap();
        source.keys(NOW).map(|keys| keys.len())
    };
    assert_eq!(outcome(json!({"issuer": issuer, "jwks_uri": keys.url()})), Ok(1));
    assert_eq!(outcome(json!({"issuer": format!("{issuer}/"), "jwks_uri": keys.url()})), Err(JwksError::IssuerMismatch));
    assert_eq!(outcome(json!({"jwks_uri": keys.url()})), Err(JwksError::IssuerMismatch));
    assert_eq!(outcome(json!({"issuer": issuer})), Err(JwksError::BadDiscovery));
    assert_eq!(outcome(json!({"issuer": issuer, "jwks_uri": "file:///etc/passwd"})), Err(JwksError::BadUrl));
    let metadata = json!({"issuer": issuer, "jwks_uri": "https://169.254.169.254/keys"});
    assert_eq!(outcome(metadata), Err(JwksError::AddressForbidden));
    assert_eq!(settled(&keys, 1), 1);
}

#[test]
fn files_are_read_with_the_same_limits() {
    let pair = ed25519();
    let path = std::env::temp_dir().join(format!("goldfin-jwks-{}.json", std::process::id()));
    let source = || JwksSource::new(JwksLocation::File(path.clone()), &[], FetchPolicy::default()).unwrap();
    fs::write(&path, document("a", &pair)).unwrap();
    assert!(source().verify(&token("a", &pair), &rules(), NOW).is_ok());
    fs::write(&path, " ".repeat(1024 * 1024 + 1)).unwrap();
    assert_eq!(source().keys(NOW).unwrap_err(), JwksError::TooLarge);
    fs::remove_file(&path).unwrap();
    assert_eq!(source().keys(NOW).unwrap_err(), JwksError::FileUnreadable(path.clone()));
}

/// The server counts after it has answered: waits for the count to be reached, then gives it a moment to pass it.
fn settled(server: &Server, expected: usize) -> usize {
    for _ in 0..500 {
        if server.hits() >= expected {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(20));
    server.hits()
}
