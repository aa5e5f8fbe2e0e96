//! TLS: what is spoken, who is believed, and how the files are read.

use std::path::Path;

use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, NamedGroup, ProtocolVersion};

use super::certificates::{Client, write};
use super::*;
use crate::http::tls::TlsError;

const ASK: &[u8] = b"GET /v1/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Asks once. The handshake's refusal comes with the first read under TLS 1.3.
async fn ask_with(server: &Running, config: ClientConfig) -> Option<(bool, TlsStream<TcpStream>)> {
    let mut line = server.connect(config).await.ok()?;
    line.write_all(ASK).await.ok()?;
    if status(&rest(&mut line).await) != 200 {
        return None;
    }
    Some((server.seen().last().expect("seen").certified, line))
}

#[tokio::test]
async fn the_key_exchange_is_safe_from_tomorrow() {
    let server = start(Limits::default());
    let line = server.line().await;
    let session = line.get_ref().1;
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(session.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name), Some(NamedGroup::X25519MLKEM768));
    assert_eq!(session.alpn_protocol(), Some(b"http/1.1".as_slice()));
    let both = server.connect(server.certificates.client(&["h2", "http/1.1"])).await.expect("handshake");
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    assert!(server.connect(server.certificates.client(&["spdy/3"])).await.is_err());
    let none = ask_with(&server, server.certificates.client(&[])).await;
    assert!(none.is_some(), "a client without ALPN speaks HTTP/1.1");
}

#[tokio::test]
async fn tls_1_2_is_the_oldest() {
    let server = start(Limits::default());
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let (_, line) = ask_with(&server, server.certificates.client_of(version)).await.expect("served");
        assert_eq!(line.get_ref().1.protocol_version(), Some(name));
    }
    // A hello of TLS 1.1 with the suites of its time.
    let mut body = vec![3, 2];
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xc0, 0x14, 0, 0x2f, 1, 0]);
    let length = u8::try_from(body.len()).expect("short");
    let mut hello = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
    hello.extend(body);
    let mut tcp = server.tcp().await;
    tcp.write_all(&hello).await.expect("sends");
    let mut alert = [0; 7];
    timeout(TOO_LONG, tcp.read_exact(&mut alert)).await.expect("answers").expect("an alert");
    assert_eq!((alert[0], alert[5]), (0x15, 2), "a fatal alert");
    assert!(matches!(alert[6], 70 | 40), "protocol_version or handshake_failure, not {}", alert[6]);
}

#[tokio::test]
async fn client_certificates_are_optional_and_checked() {
    let certificates = Certificates::make();
    let files = certificates.files_with_clients();
    let server = start_with(Limits::default(), certificates, files);
    let certified = async |config| ask_with(&server, config).await.map(|(certified, _)| certified);
    assert_eq!(certified(server.certificates.client(&["http/1.1"])).await, Some(false));
    assert_eq!(certified(server.certificates.client_as(Client::Good)).await, Some(true));
    for refused in [Client::Stranger, Client::WrongUsage, Client::Expired] {
        assert_eq!(certified(server.certificates.client_as(refused)).await, None, "{refused:?}");
    }
    assert_eq!(certified(server.certificates.client_as(Client::Revoked)).await, Some(true), "no list, no revocation");
}

#[tokio::test]
async fn revoked_certificates_are_refused() {
    let certificates = Certificates::make();
    let files = TlsFiles { client_crls: vec![certificates.revocation_list()], ..certificates.files_with_clients() };
    let server = start_with(Limits::default(), certificates, files);
    assert!(ask_with(&server, server.certificates.client_as(Client::Revoked)).await.is_none());
    assert!(ask_with(&server, server.certificates.client_as(Client::Good)).await.is_some_and(|(certified, _)| certified));
}

#[tokio::test]
async fn sessions_are_resumed_until_the_files_change() {
    let certificates = Certificates::make();
    let files = certificates.files_with_clients();
    let server = start_with(Limits::default(), certificates, files);
    let config = server.certificates.client_as(Client::Good);
    let (_, first) = ask_with(&server, config.clone()).await.expect("served");
    assert!(matches!(first.get_ref().1.handshake_kind(), Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)));
    let (certified, second) = ask_with(&server, config.clone()).await.expect("served");
    assert_eq!(second.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    assert!(certified, "a resumed session brings its certificate along");
    assert!(!second.get_ref().1.is_early_data_accepted());
    server.tls.reload().expect("reloads");
    let (_, third) = ask_with(&server, config).await.expect("served");
    assert_ne!(third.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed), "tickets end with the files they were made under");
}

#[tokio::test]
async fn a_reload_drops_nobody_and_a_bad_one_changes_nothing() {
    let server = start(Limits::default());
    let mut line = server.line().await;
    let before = line.get_ref().1.peer_certificates().expect("certificate").to_vec();
    let binding = server.tls.current().channel_binding();
    server.certificates.renew();
    server.tls.reload().expect("reloads");
    line.write_all(ASK).await.expect("still open");
    assert_eq!(status(&rest(&mut line).await), 200);
    let after = server.line().await.get_ref().1.peer_certificates().expect("certificate").to_vec();
    assert_ne!(before, after);
    assert_ne!(binding, server.tls.current().channel_binding());
    write(&server.certificates.path("server.pem"), "no certificate", 0o644);
    assert!(matches!(server.tls.reload(), Err(TlsError::Pem(..))));
    let still = server.line().await.get_ref().1.peer_certificates().expect("certificate").to_vec();
    assert_eq!(after, still);
}

#[test]
fn the_channel_is_bound_to_the_hash_that_signed_the_certificate() {
    let certificates = Certificates::make();
    let prefix = b"tls-server-end-point:".len();
    for (algorithm, length) in [(&rcgen::PKCS_ECDSA_P256_SHA256, 32), (&rcgen::PKCS_ECDSA_P384_SHA384, 48), (&rcgen::PKCS_ED25519, 32)] {
        certificates.sign_itself(algorithm);
        let tls = Tls::load(certificates.files()).expect("loads");
        let binding = tls.current().channel_binding();
        assert!(binding.starts_with(b"tls-server-end-point:"));
        assert_eq!(binding.len() - prefix, length, "{algorithm:?}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let certificates = Certificates::make();
    let load = |files: TlsFiles| Tls::load(files).err().map(|error| error.to_string()).expect("refused");
    let key = certificates.path("server.key");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o640)).expect("permissions");
    let exposed = load(certificates.files());
    assert!(exposed.contains(&key.display().to_string()) && exposed.contains("chmod 600"), "{exposed}");
    certificates.renew();
    let missing = load(TlsFiles { key: Path::new("/nowhere/key.pem").to_owned(), ..certificates.files() });
    assert!(missing.contains("/nowhere/key.pem"), "{missing}");
    let swapped = load(TlsFiles { key: certificates.path("server.pem"), ..certificates.files() });
    assert!(swapped.contains("server.pem"), "{swapped}");
    let other = Certificates::make();
    let foreign = load(TlsFiles { key: other.path("server.key"), ..certificates.files() });
    assert!(foreign.contains("belongs to the certificate"), "{foreign}");
    let junk = certificates.path("junk.pem");
    write(&junk, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", 0o644);
    load(TlsFiles { client_crls: vec![junk.clone()], ..certificates.files_with_clients() });
    load(TlsFiles { client_ca: Some(junk), ..certificates.files() });
    load(TlsFiles { client_crls: vec![certificates.revocation_list()], ..certificates.files() });
}
