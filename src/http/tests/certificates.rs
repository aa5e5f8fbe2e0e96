//! Certificates for the tests, made anew for each: a server's, a client's, and such as must be refused.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::http::tls::TlsFiles;

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Who a client is.
#[derive(Debug, Clone, Copy)]
pub enum Client {
    Good,
    /// Signed by a CA that the server does not know.
    Stranger,
    /// Good for servers only.
    WrongUsage,
    Expired,
    /// On the revocation list.
    Revoked,
}

pub struct Certificates {
    dir: PathBuf,
    ca: Authority,
    stranger: Authority,
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn make() -> Self {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).expect("certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, names: &[&str], usage: ExtendedKeyUsagePurpose, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().expect("key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages = vec![usage];
        change(&mut params);
        (params.signed_by(&key, &self.issuer).expect("certificate").pem(), key.serialize_pem())
    }
}

impl Certificates {
    pub fn make() -> Self {
        let dir = std::env::temp_dir().join(format!("goldfin-http-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir_all(&dir).expect("directory");
        let made = Self { dir, ca: Authority::make(), stranger: Authority::make() };
        write(&made.dir.join("ca.pem"), &made.ca.pem, 0o644);
        made.renew();
        made
    }

    /// A new certificate and key for the server, in the same files.
    pub fn renew(&self) {
        let (certificate, key) = self.ca.sign(&["localhost"], ExtendedKeyUsagePurpose::ServerAuth, |_| ());
        write(&self.path("server.pem"), &certificate, 0o644);
        write(&self.path("server.key"), &key, 0o600);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn files(&self) -> TlsFiles {
        TlsFiles { certificate: self.path("server.pem"), key: self.path("server.key"), client_ca: None, client_crls: Vec::new() }
    }

    pub fn files_with_clients(&self) -> TlsFiles {
        TlsFiles { client_ca: Some(self.path("ca.pem")), ..self.files() }
    }

    /// A list on which serial number 4711 stands.
    pub fn revocation_list(&self) -> PathBuf {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2099, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(4711),
                revocation_time: date_time_ymd(2024, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.path("crl.pem");
        write(&path, &params.signed_by(&self.ca.issuer).expect("list").pem().expect("pem"), 0o644);
        path
    }

    pub fn client(&self, protocols: &[&str]) -> ClientConfig {
        let mut config = self.builder().with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    pub fn client_as(&self, who: Client) -> ClientConfig {
        let usage =
            if matches!(who, Client::WrongUsage) { ExtendedKeyUsagePurpose::ServerAuth } else { ExtendedKeyUsagePurpose::ClientAuth };
        let authority = if matches!(who, Client::Stranger) { &self.stranger } else { &self.ca };
        let (certificate, key) = authority.sign(&["client.example"], usage, |params| match who {
            Client::Expired => {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
            }
            Client::Revoked => params.serial_number = Some(SerialNumber::from(4711)),
            _ => {}
        });
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("pem")];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("pem");
        let mut config = self.builder().with_client_auth_cert(chain, key).expect("client certificate");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }

    /// A client that speaks one version only.
    pub fn client_of(&self, version: &'static rustls::SupportedProtocolVersion) -> ClientConfig {
        self.builder_of(&[version]).with_no_client_auth()
    }

    /// A certificate for the server that nobody but itself signed, with the algorithm's own hash.
    pub fn sign_itself(&self, algorithm: &'static SignatureAlgorithm) {
        let key = KeyPair::generate_for(algorithm).expect("key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
        write(&self.path("server.pem"), &params.self_signed(&key).expect("certificate").pem(), 0o644);
        write(&self.path("server.key"), &key.serialize_pem(), 0o600);
    }

    fn builder(&self) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        self.builder_of(rustls::DEFAULT_VERSIONS)
    }

    fn builder_of(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.pem.as_bytes()).expect("pem")).expect("root");
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).expect("writes");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
}
