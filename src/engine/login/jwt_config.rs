//! The configuration of a JWT method: where its issuer's keys come from. Pure.

use serde::{Deserialize, Serialize};

use crate::auth::jwks::{FetchPolicy, JwksLocation};
use crate::auth::jwt::SigningAlgorithm;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::members::Members;
use crate::model::path::is_name;

/// The control row of kind `config` of a JWT method. It holds public keys and addresses, no secret.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JwtConfig {
    pub jwks_url: String,
    pub jwks_ca_pem: String,
    pub oidc_discovery_url: String,
    pub oidc_discovery_ca_pem: String,
    pub jwt_validation_pubkeys: Vec<String>,
    /// Ours: a JWKS document on the server's own disk, read anew like one that is fetched.
    pub jwks_file: String,
    pub bound_issuer: String,
    pub jwt_supported_algs: Vec<String>,
    pub default_role: String,
    /// Ours: the keys may be fetched from loopback and private networks.
    pub jwks_allow_private: bool,
    /// Ours: and over plain http, from loopback only.
    pub jwks_allow_http_loopback: bool,
}

/// Where the keys are.
#[derive(Debug)]
pub enum KeysAt {
    /// PEM blocks, one behind the other.
    Given(String),
    Elsewhere(JwksLocation, FetchPolicy),
}

/// Members of Vault's browser logins and of its providers: a client that sends them expects what is not here.
const RESTRICTING: &[&str] = &["oidc_client_id", "oidc_client_secret", "provider_config", "namespace_in_state", "jwks_pairs"];

impl JwtConfig {
    pub(super) fn read(mut members: Members) -> Result<(Self, usize), Fault> {
        let word = |members: &mut Members, name: &'static str| Ok::<_, Fault>(members.word(name)?.unwrap_or_default());
        let config = Self {
            jwks_url: word(&mut members, "jwks_url")?,
            jwks_ca_pem: word(&mut members, "jwks_ca_pem")?,
            oidc_discovery_url: word(&mut members, "oidc_discovery_url")?,
            oidc_discovery_ca_pem: word(&mut members, "oidc_discovery_ca_pem")?,
            jwt_validation_pubkeys: members.words("jwt_validation_pubkeys")?.unwrap_or_default(),
            jwks_file: word(&mut members, "jwks_file")?,
            bound_issuer: word(&mut members, "bound_issuer")?,
            jwt_supported_algs: members.words("jwt_supported_algs")?.unwrap_or_default(),
            default_role: word(&mut members, "default_role")?,
            jwks_allow_private: members.flag("jwks_allow_private")?.unwrap_or(false),
            jwks_allow_http_loopback: members.flag("jwks_allow_http_loopback")?.unwrap_or(false),
        };
        members.take("oidc_response_mode");
        members.take("oidc_response_types");
        config.check(&members)?;
        let unknown = members.finish(RESTRICTING)?;
        Ok((config, unknown))
    }

    fn check(&self, members: &Members) -> Result<(), Fault> {
        let sources = [
            !self.jwks_url.is_empty(),
            !self.oidc_discovery_url.is_empty(),
            !self.jwt_validation_pubkeys.is_empty(),
            !self.jwks_file.is_empty(),
        ];
        if sources.into_iter().filter(|given| *given).count() != 1 {
            return Err(Fault::invalid(
                "give exactly one of `jwks_url`, `oidc_discovery_url`, `jwt_validation_pubkeys` and `jwks_file`: where the keys come from",
            ));
        }
        if !self.jwks_file.is_empty() && !self.jwks_file.starts_with('/') {
            return Err(members.wrong("jwks_file", "must be a full path on the server"));
        }
        if self.algorithms().is_none() {
            return Err(members.wrong(
                "jwt_supported_algs",
                "must name algorithms with public keys: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA",
            ));
        }
        if !self.default_role.is_empty() && !is_name(&self.default_role) {
            return Err(members.wrong("default_role", "must be a role's name"));
        }
        Ok(())
    }

    /// Empty: all that fit the key. None where one is not known.
    pub(super) fn algorithms(&self) -> Option<Vec<SigningAlgorithm>> {
        self.jwt_supported_algs.iter().map(|name| SigningAlgorithm::named(name)).collect()
    }

    pub(super) fn keys_at(&self) -> KeysAt {
        let policy = |ca: &str| FetchPolicy {
            ca_pem: (!ca.is_empty()).then(|| ca.as_bytes().to_vec()),
            allow_private: self.jwks_allow_private,
            allow_http_loopback: self.jwks_allow_http_loopback,
        };
        if !self.jwt_validation_pubkeys.is_empty() {
            KeysAt::Given(self.jwt_validation_pubkeys.join("\n"))
        } else if !self.jwks_file.is_empty() {
            KeysAt::Elsewhere(JwksLocation::File(self.jwks_file.clone().into()), FetchPolicy::default())
        } else if !self.jwks_url.is_empty() {
            KeysAt::Elsewhere(JwksLocation::Url(self.jwks_url.clone()), policy(&self.jwks_ca_pem))
        } else {
            KeysAt::Elsewhere(JwksLocation::Discovery(self.oidc_discovery_url.clone()), policy(&self.oidc_discovery_ca_pem))
        }
    }

    /// What `iss` must be. Found by discovery, the issuer is the one whose keys they are, unless another was set.
    pub(super) fn issuer(&self) -> Option<String> {
        [&self.bound_issuer, &self.oidc_discovery_url].into_iter().find(|name| !name.is_empty()).cloned()
    }

    pub(super) fn view(&self) -> Node {
        Node::object([
            ("bound_issuer", Node::text(self.bound_issuer.clone())),
            ("default_role", Node::text(self.default_role.clone())),
            ("jwks_allow_http_loopback", Node::Bool(self.jwks_allow_http_loopback)),
            ("jwks_allow_private", Node::Bool(self.jwks_allow_private)),
            ("jwks_ca_pem", Node::text(self.jwks_ca_pem.clone())),
            ("jwks_file", Node::text(self.jwks_file.clone())),
            ("jwks_url", Node::text(self.jwks_url.clone())),
            ("jwt_supported_algs", Node::texts(self.jwt_supported_algs.iter().cloned())),
            ("jwt_validation_pubkeys", Node::texts(self.jwt_validation_pubkeys.iter().cloned())),
            ("oidc_client_id", Node::text("")),
            ("oidc_discovery_ca_pem", Node::text(self.oidc_discovery_ca_pem.clone())),
            ("oidc_discovery_url", Node::text(self.oidc_discovery_url.clone())),
            ("oidc_response_mode", Node::text("")),
            ("oidc_response_types", Node::List(Vec::new())),
        ])
    }
}
