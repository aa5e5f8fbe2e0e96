//! A certificate authority for one developer, and certificates of it for localhost and for clients.
//!
//! It must never be trusted by anything but the environment of that one `goldfin dev`: its key lies in the data
//! folder. Keys are ECDSA P-256, mode 0600. The time is a parameter.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::ParsedExtension;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::DevError;

const AUTHORITY_LIFE: Duration = Duration::days(365);
const LEAF_LIFE: Duration = Duration::days(30);

/// A certificate with less time left is made anew at the next start.
const AUTHORITY_MARGIN: Duration = Duration::days(60);
const LEAF_MARGIN: Duration = Duration::days(7);

/// Clocks of other containers may be a little behind.
const BACKDATED: Duration = Duration::hours(1);

const LOCALHOST: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The authority and the server certificate in one folder.
#[derive(Debug)]
pub struct DevelopmentCertificates {
    folder: PathBuf,
    authority: Issuer<'static, KeyPair>,
}

/// A certificate with its key, both as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl DevelopmentCertificates {
    /// Uses what is in `folder` as long as it is valid for a while after `now`, and makes what is missing, old, or
    /// does not fit together.
    pub fn open(folder: &Path, now: OffsetDateTime) -> Result<Self, DevError> {
        fs::create_dir_all(folder).map_err(DevError::file("make", folder))?;
        let files = CertificateFiles::named(folder, "ca");
        let usable = files.load().filter(|(authority, key)| authority.fits(key, now + AUTHORITY_MARGIN));
        let params = authority_params(now)?;
        let key = match usable {
            Some((_, key)) => key,
            None => {
                let key = new_key()?;
                files.store(&params.self_signed(&key).map_err(failed)?.pem(), &key)?;
                key
            }
        };
        // Of its parameters an issuer lends only the name, which is constant, and the key's identifier.
        let authority = Issuer::new(params, key);
        let certificates = Self { folder: folder.to_owned(), authority };
        certificates.refresh_server(now)?;
        Ok(certificates)
    }

    /// The certificate that a client has to trust, for `VAULT_CACERT`.
    pub fn authority(&self) -> PathBuf {
        CertificateFiles::named(&self.folder, "ca").certificate
    }

    /// For `localhost`, `127.0.0.1` and `::1`. The certificate file holds the leaf alone.
    pub fn server(&self) -> CertificateFiles {
        CertificateFiles::named(&self.folder, "server")
    }

    /// Makes a certificate that says "client" and has `common_name` as its only name, in `client-<file_stem>.pem` and
    /// `.key`. An earlier one of the same stem is replaced.
    pub fn issue_client(&self, file_stem: &str, common_name: &str, now: OffsetDateTime) -> Result<CertificateFiles, DevError> {
        let files = CertificateFiles::named(&self.folder, &format!("client-{file_stem}"));
        let params = leaf(common_name, &[], ExtendedKeyUsagePurpose::ClientAuth, now)?;
        self.issue(&files, &params)?;
        Ok(files)
    }

    fn refresh_server(&self, now: OffsetDateTime) -> Result<(), DevError> {
        let files = self.server();
        let authority = CertificateFiles::named(&self.folder, "ca");
        let usable = files.load().is_some_and(|(leaf, key)| {
            leaf.fits(&key, now + LEAF_MARGIN) && authority.load().is_some_and(|(authority, _)| authority.issued(&leaf))
        });
        if usable {
            return Ok(());
        }
        self.issue(&files, &leaf("goldfin dev", &LOCALHOST, ExtendedKeyUsagePurpose::ServerAuth, now)?)
    }

    fn issue(&self, files: &CertificateFiles, params: &CertificateParams) -> Result<(), DevError> {
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.authority).map_err(failed)?;
        files.store(&certificate.pem(), &key)
    }
}

impl CertificateFiles {
    fn named(folder: &Path, stem: &str) -> Self {
        Self { certificate: folder.join(format!("{stem}.pem")), key: folder.join(format!("{stem}.key")) }
    }

    fn load(&self) -> Option<(Certificate, KeyPair)> {
        let pem = fs::read(&self.certificate).ok()?;
        let der = parse_x509_pem(&pem).ok()?.1.contents;
        let key = KeyPair::from_pem(&fs::read_to_string(&self.key).ok()?).ok()?;
        Some((Certificate(der), key))
    }

    fn store(&self, certificate: &str, key: &KeyPair) -> Result<(), DevError> {
        write_whole(&self.key, key.serialize_pem().as_bytes(), 0o600)?;
        write_whole(&self.certificate, certificate.as_bytes(), 0o644)
    }
}

/// The DER of a certificate that was read back.
struct Certificate(Vec<u8>);

impl Certificate {
    /// Whether it is for `key` and still valid at `until`.
    fn fits(&self, key: &KeyPair, until: OffsetDateTime) -> bool {
        self.parsed().is_some_and(|parsed| {
            parsed.public_key().raw == key.subject_public_key_info() && parsed.validity().not_after.to_datetime() > until
        })
    }

    /// Whether `leaf` names this authority's key as its signer's.
    fn issued(&self, leaf: &Self) -> bool {
        let subject = self.parsed().and_then(|parsed| {
            parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                _ => None,
            })
        });
        let signer = leaf.parsed().and_then(|parsed| {
            parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
                _ => None,
            })
        });
        subject.is_some() && subject == signer
    }

    fn parsed(&self) -> Option<X509Certificate<'_>> {
        X509Certificate::from_der(&self.0).ok().map(|(_, parsed)| parsed)
    }
}

fn authority_params(now: OffsetDateTime) -> Result<CertificateParams, DevError> {
    let mut params = named("goldfin development CA", &[], now, AUTHORITY_LIFE)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn leaf(common_name: &str, names: &[&str], purpose: ExtendedKeyUsagePurpose, now: OffsetDateTime) -> Result<CertificateParams, DevError> {
    let mut params = named(common_name, names, now, LEAF_LIFE)?;
    params.use_authority_key_identifier_extension = true;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    Ok(params)
}

fn named(common_name: &str, names: &[&str], now: OffsetDateTime, life: Duration) -> Result<CertificateParams, DevError> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = now - BACKDATED;
    params.not_after = now + life;
    Ok(params)
}

fn new_key() -> Result<KeyPair, DevError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)
}

/// Through a file beside it, so that a reader finds the old or the new one and never half of one.
fn write_whole(path: &Path, content: &[u8], mode: u32) -> Result<(), DevError> {
    let beside = path.with_added_extension("new");
    let write = || {
        if beside.exists() {
            fs::remove_file(&beside)?;
        }
        let mut file = File::options().create_new(true).write(true).mode(mode).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(DevError::file("write", path))
}

fn failed(error: rcgen::Error) -> DevError {
    DevError::Certificate(error.into())
}

#[cfg(test)]
mod tests;
