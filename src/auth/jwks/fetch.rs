//! One bounded GET or POST: https (or http to loopback where allowed), no redirect, no proxy, five seconds, 1 MiB.

use std::{fs, sync::Arc, time::Duration};

use ureq::{
    Agent,
    config::Config,
    http::Uri,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use super::{
    JwksError, LARGEST_DOCUMENT,
    address::{Reach, reach},
};

/// What an administrator allowed beyond public https addresses.
#[derive(Clone, Debug, Default)]
pub struct FetchPolicy {
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Loopback and private networks may be called.
    pub allow_private: bool,
    /// Plain http may be used, to loopback only.
    pub allow_http_loopback: bool,
}

/// What goldfin calls others with: issuers, and witnesses of the ledger. Its calls block.
pub struct Fetcher {
    agent: Agent,
    allow_http: bool,
}

impl Fetcher {
    pub fn new(policy: FetchPolicy) -> Result<Self, JwksError> {
        let roots = match &policy.ca_pem {
            Some(pem) => certificates(pem).ok_or(JwksError::BadCertificate)?,
            None => match system_roots() {
                Some(roots) => roots,
                None if policy.allow_http_loopback => Vec::new(),
                None => return Err(JwksError::NoSystemRoots),
            },
        };
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = Config::builder()
            .tls_config(tls)
            .https_only(!policy.allow_http_loopback)
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .max_response_header_size(16 * 1024)
            .max_idle_connections(0)
            .user_agent("goldfin")
            .accept("application/json")
            .build();
        let allow_http = policy.allow_http_loopback;
        let guard = Guard { allow_private: policy.allow_private, allow_http, names: DefaultResolver::default() };
        Ok(Self { agent: Agent::with_parts(config, DefaultConnector::default(), guard), allow_http })
    }

    /// Whether the text is a URL that may be fetched, as far as can be said without resolving its name.
    pub fn check_url(&self, url: &str) -> Result<(), JwksError> {
        let uri: Uri = url.parse().map_err(|_| JwksError::BadUrl)?;
        let authority = uri.authority().ok_or(JwksError::BadUrl)?;
        if authority.host().is_empty() || authority.as_str().contains('@') || url.contains('#') {
            return Err(JwksError::BadUrl);
        }
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.allow_http => Ok(()),
            Some("http") => Err(JwksError::InsecureUrl),
            _ => Err(JwksError::BadUrl),
        }
    }

    /// Status and body of the answer to a text.
    pub fn post(&self, url: &str, text: &str, longest: u64) -> Result<(u16, Vec<u8>), JwksError> {
        self.check_url(url)?;
        let mut answer = self.agent.post(url).content_type("text/plain; charset=utf-8").send(text).map_err(failure)?;
        let body = answer.body_mut().with_config().limit(longest).read_to_vec().map_err(failure)?;
        Ok((answer.status().as_u16(), body))
    }

    pub(super) fn get(&self, url: &str) -> Result<Vec<u8>, JwksError> {
        self.check_url(url)?;
        let mut answer = self.agent.get(url).call().map_err(failure)?;
        if answer.status() != 200 {
            return Err(JwksError::BadStatus(answer.status().as_u16()));
        }
        answer.body_mut().with_config().limit(LARGEST_DOCUMENT).read_to_vec().map_err(failure)
    }
}

fn failure(error: ureq::Error) -> JwksError {
    match error {
        ureq::Error::BodyExceedsLimit(_) => JwksError::TooLarge,
        ureq::Error::Other(inner) if inner.is::<Forbidden>() => JwksError::AddressForbidden,
        _ => JwksError::Unreachable,
    }
}

/// Resolves names and lets only permitted addresses through to the connector.
#[derive(Debug)]
struct Guard {
    allow_private: bool,
    allow_http: bool,
    names: DefaultResolver,
}

impl Resolver for Guard {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        let plain = uri.scheme_str() != Some("https");
        let permitted = found.iter().all(|socket| match reach(socket.ip()) {
            Reach::Public => !plain,
            Reach::Loopback => {
                if plain {
                    self.allow_http
                } else {
                    self.allow_private || self.allow_http
                }
            }
            Reach::Private => !plain && self.allow_private,
            Reach::Never => false,
        });
        // One forbidden address among several refuses the name: nobody mixes them by accident.
        if permitted { Ok(found) } else { Err(ureq::Error::Other(Box::new(Forbidden))) }
    }
}

#[derive(Debug)]
struct Forbidden;

impl std::fmt::Display for Forbidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name resolves to an address that is not called")
    }
}

impl std::error::Error for Forbidden {}

fn certificates(pem: &[u8]) -> Option<Vec<Certificate<'static>>> {
    let certificates: Vec<_> = parse_pem(pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    (!certificates.is_empty()).then_some(certificates)
}

/// The distribution's bundle.
fn system_roots() -> Option<Vec<Certificate<'static>>> {
    SYSTEM_BUNDLES.iter().find_map(|path| certificates(&fs::read(path).ok()?))
}

const TIMEOUT: Duration = Duration::from_secs(5);

/// Debian, Red Hat, SUSE.
const SYSTEM_BUNDLES: [&str; 3] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];
