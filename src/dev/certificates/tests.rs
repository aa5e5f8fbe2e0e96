//! Certificates are judged by rustls, as a client and a server would judge them.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{Error, RootCertStore};

use super::*;
use crate::dev::folder::EphemeralFolder;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::days(20_000));

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

fn roots(certificates: &DevelopmentCertificates) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&certificates.authority())).unwrap();
    Arc::new(roots)
}

fn unix(moment: OffsetDateTime) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(moment.unix_timestamp().try_into().unwrap()))
}

fn as_server(certificates: &DevelopmentCertificates, leaf: &Path, name: &str, when: OffsetDateTime) -> Result<(), Error> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(certificates), Arc::new(default_provider())).build().unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(&certificate(leaf), &[], &name, &[], unix(when)).map(drop)
}

fn as_client(certificates: &DevelopmentCertificates, leaf: &Path, when: OffsetDateTime) -> Result<(), Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(certificates), Arc::new(default_provider())).build().unwrap();
    verifier.verify_client_cert(&certificate(leaf), &[], unix(when)).map(drop)
}

#[test]
fn a_client_that_trusts_the_authority_accepts_the_server_for_a_month() {
    let folder = EphemeralFolder::create().unwrap();
    let certificates = DevelopmentCertificates::open(folder.path(), NOW).unwrap();
    let server = certificates.server();
    for name in LOCALHOST {
        as_server(&certificates, &server.certificate, name, NOW).unwrap();
    }
    assert!(as_server(&certificates, &server.certificate, "example.org", NOW).is_err());
    assert!(as_server(&certificates, &server.certificate, "localhost", NOW + Duration::days(31)).is_err());
    assert!(as_client(&certificates, &server.certificate, NOW).is_err(), "a server's certificate is not a client's");
    for key in [&server.key, &folder.path().join("ca.key")] {
        assert_eq!(fs::metadata(key).unwrap().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_client_certificate_is_for_clients_only() {
    let folder = EphemeralFolder::create().unwrap();
    let certificates = DevelopmentCertificates::open(folder.path(), NOW).unwrap();
    let client = certificates.issue_client("backend", "backend.example", NOW).unwrap();
    as_client(&certificates, &client.certificate, NOW).unwrap();
    assert!(as_server(&certificates, &client.certificate, "backend.example", NOW).is_err());
    let other = EphemeralFolder::create().unwrap();
    let stranger = DevelopmentCertificates::open(other.path(), NOW).unwrap();
    assert!(as_client(&stranger, &client.certificate, NOW).is_err());
    let der = certificate(&client.certificate);
    let parsed = X509Certificate::from_der(&der).unwrap().1;
    assert_eq!(parsed.subject().to_string(), "CN=backend.example");
}

#[test]
fn what_is_valid_is_reused_and_what_is_not_is_replaced() {
    let folder = EphemeralFolder::create().unwrap();
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let files = || (read("ca.pem"), read("server.pem"), read("server.key"));
    let first = DevelopmentCertificates::open(folder.path(), NOW).unwrap();
    let made = files();

    DevelopmentCertificates::open(folder.path(), NOW + Duration::days(20)).unwrap();
    assert_eq!(files(), made, "everything is reused while it has time left");

    let later = NOW + Duration::days(25);
    let again = DevelopmentCertificates::open(folder.path(), later).unwrap();
    assert_eq!(read("ca.pem"), made.0);
    assert_ne!(read("server.pem"), made.1);
    as_server(&first, &again.server().certificate, "localhost", later + Duration::days(29)).unwrap();
    let client = again.issue_client("late", "late.example", later).unwrap();
    as_client(&first, &client.certificate, later).unwrap();

    let next_year = NOW + Duration::days(310);
    let renewed = DevelopmentCertificates::open(folder.path(), next_year).unwrap();
    assert_ne!(read("ca.pem"), made.0);
    as_server(&renewed, &renewed.server().certificate, "localhost", next_year).unwrap();
}

#[test]
fn parts_that_do_not_fit_together_are_replaced() {
    let folder = EphemeralFolder::create().unwrap();
    let other = EphemeralFolder::create().unwrap();
    DevelopmentCertificates::open(folder.path(), NOW).unwrap();
    DevelopmentCertificates::open(other.path(), NOW).unwrap();
    let take = |name: &str| {
        fs::copy(other.path().join(name), folder.path().join(name)).unwrap();
        let fixed = DevelopmentCertificates::open(folder.path(), NOW).unwrap();
        as_server(&fixed, &fixed.server().certificate, "localhost", NOW).unwrap();
        let (leaf, key) = fixed.server().load().unwrap();
        assert!(leaf.fits(&key, NOW));
    };
    take("server.key");
    take("ca.key");
    take("server.pem");
    take("ca.pem");
    fs::write(folder.path().join("ca.pem"), "not a certificate").unwrap();
    fs::write(folder.path().join("server.key"), "not a key").unwrap();
    let fixed = DevelopmentCertificates::open(folder.path(), NOW).unwrap();
    as_server(&fixed, &fixed.server().certificate, "localhost", NOW).unwrap();
}
