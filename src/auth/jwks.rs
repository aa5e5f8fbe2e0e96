//! Where an issuer's keys come from: a file, a JWKS address, or OpenID Connect discovery.
//!
//! Keys are kept for ten minutes, and kept on when they cannot be fetched anew. Whatever callers send, a source
//! is asked at most once a minute. Calls block (`spawn_blocking`). It must never follow a redirect, use a proxy
//! from the environment, or reach an address that [`address`] forbids: the address was written by an
//! administrator of one tenant, and the request leaves from inside the network.

mod address;
mod fetch;

use std::{
    fmt, fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use super::jwt::{JwtRefusal, JwtRules, KeySet, KeySetError, SigningAlgorithm, VerifiedClaims};
pub use fetch::{FetchPolicy, Fetcher};

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksLocation {
    File(PathBuf),
    Url(String),
    /// The issuer; its `/.well-known/openid-configuration` names the address of the keys.
    Discovery(String),
}

/// The keys of one issuer, cached. Shared by all threads.
pub struct JwksSource {
    location: JwksLocation,
    algorithms: Vec<SigningAlgorithm>,
    fetcher: Option<Fetcher>,
    cache: Mutex<Cache>,
    fetching: Mutex<()>,
}

/// Why a source has no keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksError {
    BadUrl,
    InsecureUrl,
    BadCertificate,
    NoSystemRoots,
    AddressForbidden,
    Unreachable,
    BadStatus(u16),
    TooLarge,
    FileUnreadable(PathBuf),
    BadDiscovery,
    IssuerMismatch,
    BadKeys(KeySetError),
    /// An earlier attempt failed less than a minute ago.
    NotYet,
}

/// Why a login with this source failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtLoginError {
    /// The token is refused: the caller's fault.
    Refused(JwtRefusal),
    /// There are no keys to check it with: not the caller's fault.
    NoKeys(JwksError),
}

#[derive(Default)]
struct Cache {
    keys: Option<Arc<KeySet>>,
    fetched_unix: i64,
    attempted_unix: Option<i64>,
}

impl JwksSource {
    /// Checks the location, but fetches nothing yet.
    pub fn new(location: JwksLocation, algorithms: &[SigningAlgorithm], policy: FetchPolicy) -> Result<Self, JwksError> {
        let fetcher = match &location {
            JwksLocation::File(_) => None,
            JwksLocation::Url(url) | JwksLocation::Discovery(url) => {
                let fetcher = Fetcher::new(policy)?;
                fetcher.check_url(url)?;
                Some(fetcher)
            }
        };
        Ok(Self { location, algorithms: algorithms.to_vec(), fetcher, cache: Mutex::default(), fetching: Mutex::new(()) })
    }

    /// Verifies a token; if it names an unknown key, looks once more for new keys, where the minute allows it.
    pub fn verify(&self, jwt: &str, rules: &JwtRules, now_unix: i64) -> Result<VerifiedClaims, JwtLoginError> {
        let keys = self.keys(now_unix).map_err(JwtLoginError::NoKeys)?;
        match keys.verify(jwt, rules, now_unix) {
            Err(JwtRefusal::UnknownKey) => match self.keys_after_unknown(now_unix) {
                Some(newer) => newer.verify(jwt, rules, now_unix).map_err(JwtLoginError::Refused),
                None => Err(JwtLoginError::Refused(JwtRefusal::UnknownKey)),
            },
            other => other.map_err(JwtLoginError::Refused),
        }
    }

    /// The cached keys, fetched if there are none or they are old.
    pub fn keys(&self, now_unix: i64) -> Result<Arc<KeySet>, JwksError> {
        let cached = {
            let cache = self.cache.lock();
            let age = now_unix.saturating_sub(cache.fetched_unix);
            match &cache.keys {
                Some(keys) if (0..FRESH_SECONDS).contains(&age) => return Ok(Arc::clone(keys)),
                other => other.clone(),
            }
        };
        match cached {
            Some(old) => Ok(self.refresh(now_unix).unwrap_or(old)),
            None => self.first(now_unix),
        }
    }

    /// New keys after a token named an unknown one; `None` if they were fetched less than a minute ago or
    /// cannot be fetched.
    pub fn keys_after_unknown(&self, now_unix: i64) -> Option<Arc<KeySet>> {
        self.refresh(now_unix).ok()
    }

    /// Nobody can log in without keys, so those who come meanwhile wait for the one that fetches.
    fn first(&self, now_unix: i64) -> Result<Arc<KeySet>, JwksError> {
        let _one_at_a_time = self.fetching.try_lock_for(LONGEST_WAIT).ok_or(JwksError::Unreachable)?;
        if let Some(keys) = &self.cache.lock().keys {
            return Ok(Arc::clone(keys));
        }
        self.refresh(now_unix)
    }

    fn refresh(&self, now_unix: i64) -> Result<Arc<KeySet>, JwksError> {
        {
            let mut cache = self.cache.lock();
            let since = cache.attempted_unix.map(|attempted| now_unix.saturating_sub(attempted));
            if since.is_some_and(|since| (0..RETRY_SECONDS).contains(&since)) {
                return Err(JwksError::NotYet);
            }
            // Claimed before the fetch and without a lock during it: others go on with the keys they have.
            cache.attempted_unix = Some(now_unix);
        }
        let keys = Arc::new(self.load()?);
        let mut cache = self.cache.lock();
        cache.keys = Some(Arc::clone(&keys));
        cache.fetched_unix = now_unix;
        Ok(keys)
    }

    fn load(&self) -> Result<KeySet, JwksError> {
        let document = match (&self.location, &self.fetcher) {
            (JwksLocation::File(path), _) => read_file(path)?,
            (JwksLocation::Url(url), Some(fetcher)) => fetcher.get(url)?,
            (JwksLocation::Discovery(issuer), Some(fetcher)) => fetcher.get(&discover(fetcher, issuer)?)?,
            (_, None) => return Err(JwksError::BadUrl),
        };
        KeySet::from_jwks(&document, &self.algorithms).map_err(JwksError::BadKeys)
    }
}

/// The `jwks_uri` of an issuer that calls itself exactly what we call it (OpenID Connect Discovery, 4.3).
fn discover(fetcher: &Fetcher, issuer: &str) -> Result<String, JwksError> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let document: serde_json::Value = serde_json::from_slice(&fetcher.get(&url)?).map_err(|_| JwksError::BadDiscovery)?;
    if document.get("issuer").and_then(|named| named.as_str()) != Some(issuer) {
        return Err(JwksError::IssuerMismatch);
    }
    let keys = document.get("jwks_uri").and_then(|uri| uri.as_str()).ok_or(JwksError::BadDiscovery)?;
    fetcher.check_url(keys)?;
    Ok(keys.to_owned())
}

fn read_file(path: &Path) -> Result<Vec<u8>, JwksError> {
    let mut document = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(LARGEST_DOCUMENT + 1).read_to_end(&mut document))
        .map_err(|_| JwksError::FileUnreadable(path.to_owned()))?;
    if document.len() as u64 > LARGEST_DOCUMENT { Err(JwksError::TooLarge) } else { Ok(document) }
}

impl fmt::Debug for JwksSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwksSource").field("location", &self.location).finish_non_exhaustive()
    }
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadUrl => "the address of the keys is no plain URL; write it as `https://host/path`",
            Self::InsecureUrl => "the address of the keys is not https; use https, or allow http to this host's loopback",
            Self::BadCertificate => "the CA for the keys' address is no PEM certificate; give `CERTIFICATE` blocks",
            Self::NoSystemRoots => {
                "no CA certificates were found on this system; install `ca-certificates` or give the CA of the keys' address"
            }
            Self::AddressForbidden => {
                "the keys' host has an address that goldfin does not call; use a public address, or allow private ones for this method"
            }
            Self::Unreachable => "the keys could not be fetched; check the address, its certificate and the network",
            Self::BadStatus(status) => {
                return write!(f, "the keys' address answered with status {status}; give the final address, redirects are not followed");
            }
            Self::TooLarge => "the keys are larger than 1 MiB; give an address with the issuer's keys only",
            Self::FileUnreadable(path) => {
                return write!(f, "the key file `{}` cannot be read; check its path and permissions", path.display());
            }
            Self::BadDiscovery => "the issuer's discovery document is not usable; check `oidc_discovery_url`, or set `jwks_url`",
            Self::IssuerMismatch => "the issuer calls itself by another name; set `oidc_discovery_url` to exactly that",
            Self::BadKeys(error) => return error.fmt(f),
            Self::NotYet => "the keys could not be fetched just now; the next attempt is made within a minute",
        })
    }
}

impl std::error::Error for JwksError {}

impl fmt::Display for JwtLoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::NoKeys(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for JwtLoginError {}

const FRESH_SECONDS: i64 = 600;
const RETRY_SECONDS: i64 = 60;
const LARGEST_DOCUMENT: u64 = 1024 * 1024;
/// Two fetches (discovery and keys) of at most five seconds each.
const LONGEST_WAIT: Duration = Duration::from_secs(11);

#[cfg(test)]
#[path = "jwks/tests.rs"]
mod tests;
