//! TLS as goldfin speaks it: 1.2 and 1.3, X25519MLKEM768 first, HTTP/2 and HTTP/1.1, client certificates welcome and never required.
//!
//! Deliberately absent: 0-RTT (its requests can be replayed), certificate compression, renegotiation, any choice of ciphers. A reload
//! swaps the configuration for the connections that come; a new certificate that is no good leaves the old one in place.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use goldfin_crypto::{Zeroizing, digest};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection};
use serde::Deserialize;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::signature_algorithm::SignatureAlgorithm;

use crate::model::clock::Timestamp;
use crate::seal::key_file::is_private;

/// Where the keys of the network lie, all PEM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The server's certificate, then those between it and the CA.
    pub certificate: PathBuf,
    /// Its key: PKCS#8, SEC1 or PKCS#1, readable by its owner only.
    pub key: PathBuf,
    /// The CAs whose client certificates are believed. Without it none is asked for.
    pub client_ca: Option<PathBuf>,
    /// Revocation lists of these CAs. Once there is one, a certificate that no list covers is refused.
    #[serde(default)]
    pub client_crls: Vec<PathBuf>,
}

/// Why the TLS files cannot be used. Paths are the configuration's.
#[derive(Debug)]
pub enum TlsError {
    Read(PathBuf, std::io::Error),
    /// The key file may be read by more than its owner.
    Exposed(PathBuf, u32),
    Pem(PathBuf, &'static str),
    Refused(PathBuf, String),
    Setup(rustls::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, why) => write!(f, "cannot read `{}`: {why}", path.display()),
            Self::Exposed(path, mode) => {
                write!(
                    f,
                    "the key in `{0}` may be read by others (mode {mode:03o}), run `chmod 600 {0}` and change the key",
                    path.display()
                )
            }
            Self::Pem(path, what) => write!(f, "`{}` holds no {what} in PEM, name the right file", path.display()),
            Self::Refused(path, why) => write!(f, "cannot use `{}`: {why}", path.display()),
            Self::Setup(why) => write!(f, "cannot set TLS up: {why}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// The present configuration, and how to read it anew.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: ArcSwap<Loaded>,
}

/// One reading of the files.
#[derive(Debug)]
pub struct Loaded {
    config: Arc<ServerConfig>,
    channel_binding: Arc<[u8]>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl Tls {
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let loaded = Loaded::read(&files)?;
        Ok(Self { files, current: ArcSwap::from_pointee(loaded) })
    }

    /// Reads the files anew, for the connections that come; the present ones keep what they have. On an error nothing changes, and
    /// the caller logs it. Tickets of the old configuration are worthless afterwards, so that a CA that was taken away cannot come
    /// back by resumption.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(Loaded::read(&self.files)?));
        Ok(())
    }

    #[must_use]
    pub fn current(&self) -> Arc<Loaded> {
        self.current.load_full()
    }
}

impl Loaded {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain: Vec<CertificateDer<'static>> = read_pem(&files.certificate, "certificate")?;
        let channel_binding = match chain.first() {
            Some(leaf) => channel_binding(leaf).map_err(|why| TlsError::Refused(files.certificate.clone(), why.to_owned()))?,
            None => return Err(TlsError::Pem(files.certificate.clone(), "certificate")),
        };
        let clients = client_verifier(files, &provider)?;
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12]).map_err(TlsError::Setup)?;
        let builder = match &clients {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        // Also refuses a key that does not belong to the certificate.
        let mut config = builder
            .with_single_cert(chain, read_key(&files.key)?)
            .map_err(|why| TlsError::Refused(files.key.clone(), format!("{why}, check that it belongs to the certificate")))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Setup)?;
        config.max_early_data_size = 0;
        Ok(Self { config: Arc::new(config), channel_binding, clients })
    }

    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// `tls-server-end-point:` and the hash of our certificate (RFC 5929 section 4).
    #[must_use]
    pub fn channel_binding(&self) -> Arc<[u8]> {
        Arc::clone(&self.channel_binding)
    }

    /// Whether the client's certificate, if it showed one, holds now. A full handshake has just checked it; a resumed one brings it
    /// back from a ticket, and it may have expired since.
    #[must_use]
    pub fn trusts(&self, connection: &ServerConnection, now: Timestamp) -> bool {
        if connection.handshake_kind() != Some(HandshakeKind::Resumed) {
            return true;
        }
        let Some((leaf, between)) = connection.peer_certificates().and_then(<[_]>::split_first) else { return true };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.unix_seconds()).unwrap_or(0)));
        self.clients.as_ref().is_some_and(|verifier| verifier.verify_client_cert(leaf, between, now).is_ok())
    }
}

fn client_verifier(files: &TlsFiles, provider: &Arc<CryptoProvider>) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let Some(path) = &files.client_ca else {
        return match files.client_crls.first() {
            Some(crl) => Err(TlsError::Refused(crl.clone(), "a revocation list needs `client_ca`".to_owned())),
            None => Ok(None),
        };
    };
    let refused = |why: String| TlsError::Refused(path.clone(), why);
    let mut roots = RootCertStore::empty();
    for ca in read_pem(path, "certificate")? {
        roots.add(ca).map_err(|why| refused(why.to_string()))?;
    }
    let mut crls: Vec<CertificateRevocationListDer<'static>> = Vec::new();
    for path in &files.client_crls {
        crls.extend(read_pem(path, "revocation list")?);
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).allow_unauthenticated();
    if !crls.is_empty() {
        builder = builder.with_crls(crls).only_check_end_entity_revocation();
    }
    builder.build().map(|verifier| Some(verifier as Arc<dyn ClientCertVerifier>)).map_err(|why| refused(why.to_string()))
}

fn read_pem<T: PemObject>(path: &Path, what: &'static str) -> Result<Vec<T>, TlsError> {
    let bytes = std::fs::read(path).map_err(|why| TlsError::Read(path.to_owned(), why))?;
    let found: Vec<T> = T::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(|_| TlsError::Pem(path.to_owned(), what))?;
    if found.is_empty() { Err(TlsError::Pem(path.to_owned(), what)) } else { Ok(found) }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let unreadable = |why| TlsError::Read(path.to_owned(), why);
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    // Asked of the open file, not of the path, which could be another by then.
    let about = file.metadata().map_err(unreadable)?;
    if !is_private(&about) {
        return Err(TlsError::Exposed(path.to_owned(), about.mode() & 0o777));
    }
    let mut pem = Zeroizing::new(Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0).saturating_add(1)));
    file.read_to_end(&mut pem).map_err(unreadable)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsError::Pem(path.to_owned(), "private key"))
}

/// RFC 5929 section 4.1: the hash of the certificate's own signature, SHA-256 in place of MD5 and SHA-1. It says nothing of
/// signatures without a hash, such as Ed25519: SHA-256, too.
fn channel_binding(leaf: &CertificateDer<'_>) -> Result<Arc<[u8]>, &'static str> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| "the certificate is not X.509")?;
    let algorithm = &parsed.signature_algorithm;
    let oid = match SignatureAlgorithm::try_from(algorithm) {
        Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) => parameters.hash_algorithm_oid().to_id_string(),
        _ => algorithm.algorithm.to_id_string(),
    };
    let mut binding = b"tls-server-end-point:".to_vec();
    match oid.as_str() {
        // sha384WithRSAEncryption, ecdsa-with-SHA384, id-sha384
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" | "2.16.840.1.101.3.4.2.2" => binding.extend(digest::sha384(leaf)),
        // sha512WithRSAEncryption, ecdsa-with-SHA512, id-sha512
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" | "2.16.840.1.101.3.4.2.3" => binding.extend(digest::sha512(leaf)),
        _ => binding.extend(digest::sha256(&[leaf])),
    }
    Ok(binding.into())
}
