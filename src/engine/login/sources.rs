//! What verifies the logins of each mount, made once per version of its configuration.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::jwt_config::{JwtConfig, KeysAt};
use super::kerberos_config::KerberosConfig;
use super::keytab::Service;
use crate::auth::jwks::{JwksError, JwksSource, JwtLoginError};
use crate::auth::jwt::{JwtRules, KeySet, KeySetError, VerifiedClaims};
use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::seal::barrier::Barrier;

#[derive(Default)]
pub(super) struct Sources {
    jwt: Mutex<HashMap<MountId, (i64, Arc<Keys>)>>,
    kerberos: Mutex<HashMap<MountId, (i64, Arc<Service>)>>,
}

/// The keys of one issuer.
pub(super) enum Keys {
    Given(KeySet),
    Source(JwksSource),
}

impl Sources {
    pub fn jwt(&self, mount: MountId, version: i64, config: &JwtConfig) -> Result<Arc<Keys>, Fault> {
        if let Some((held, keys)) = self.jwt.lock().get(&mount)
            && *held == version
        {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(Keys::of(config)?);
        keep(&self.jwt, mount, version, &keys);
        Ok(keys)
    }

    /// Blocks where the keytab has to be read.
    pub fn kerberos(&self, barrier: &Barrier, mount: MountId, version: i64, config: &KerberosConfig) -> Result<Arc<Service>, Fault> {
        if let Some((held, service)) = self.kerberos.lock().get(&mount)
            && *held == version
        {
            return Ok(Arc::clone(service));
        }
        let service = Arc::new(Service::open(barrier, mount, config, None)?);
        keep(&self.kerberos, mount, version, &service);
        Ok(service)
    }
}

/// The newest version stays; a slower request that made an older one does not put it back.
fn keep<T>(place: &Mutex<HashMap<MountId, (i64, Arc<T>)>>, mount: MountId, version: i64, made: &Arc<T>) {
    let mut held = place.lock();
    if held.get(&mount).is_none_or(|(other, _)| *other <= version) {
        held.insert(mount, (version, Arc::clone(made)));
    }
}

impl Keys {
    /// Checks the configuration; fetches nothing yet.
    pub fn of(config: &JwtConfig) -> Result<Self, Fault> {
        let algorithms = config.algorithms().ok_or(Fault::Integrity("a stored algorithm is not known"))?;
        match config.keys_at() {
            KeysAt::Given(pem) => {
                KeySet::from_pem(pem.as_bytes(), &algorithms).map(Self::Given).map_err(|error| Fault::invalid(of_keys(error)))
            }
            KeysAt::Elsewhere(location, policy) => {
                JwksSource::new(location, &algorithms, policy).map(Self::Source).map_err(|error| Fault::invalid(of_source(&error)))
            }
        }
    }

    /// Blocks where keys have to be fetched.
    pub fn verify(&self, jwt: &str, rules: &JwtRules, now_unix: i64) -> Result<VerifiedClaims, JwtLoginError> {
        match self {
            Self::Given(keys) => keys.verify(jwt, rules, now_unix).map_err(JwtLoginError::Refused),
            Self::Source(source) => source.verify(jwt, rules, now_unix),
        }
    }
}

fn of_keys(error: KeySetError) -> &'static str {
    match error {
        KeySetError::TooLarge => "`jwt_validation_pubkeys` are larger than 1 MiB",
        KeySetError::PrivateKey => "`jwt_validation_pubkeys` hold a private key: take it away and replace it, it is no secret any more",
        KeySetError::UnsupportedKey => "`jwt_validation_pubkeys` hold a key that is not supported or fits no `jwt_supported_algs`",
        KeySetError::NotPem | KeySetError::NotJwks | KeySetError::DuplicateKeyId | KeySetError::Empty => {
            "`jwt_validation_pubkeys` must be PEM blocks: `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE`"
        }
    }
}

fn of_source(error: &JwksError) -> &'static str {
    match error {
        JwksError::InsecureUrl => "the address of the keys is not https; use https, or set `jwks_allow_http_loopback` for this host",
        JwksError::BadCertificate => "the CA of the keys' address is no PEM certificate; give `CERTIFICATE` blocks",
        JwksError::NoSystemRoots => {
            "no CA certificates were found on this system; install `ca-certificates` or give the CA of the keys' address"
        }
        _ => "the address of the keys is no plain URL; write it as `https://host/path`",
    }
}
