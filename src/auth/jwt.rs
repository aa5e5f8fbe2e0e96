//! Verification of JSON Web Tokens (RFC 7519, RFC 8725): signature, times, audience and the bound claims of a role.
//!
//! The clock is a parameter and keys are given; nothing here fetches, stores or maps anything. A key decides
//! which algorithm it verifies, never the token. Absent on purpose: shared secrets (`HS*`), `none`, encrypted
//! and nested tokens, and every header that names a key by itself (`jku`, `x5u`, `jwk`) or changes the format (`crit`).

mod json;
mod keys;
mod rules;

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

pub use keys::{KeySet, KeySetError, SigningAlgorithm};
pub use rules::{BoundClaim, JwtLeeways, JwtRules, RulesError};

/// What a verified token says about its bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedClaims {
    /// The value of the role's user claim: `[A-Za-z0-9._@+=:-]{1,128}`.
    pub user: String,
    pub subject: Option<String>,
    pub issuer: Option<String>,
    /// Texts as the issuer wrote them; names of groups elsewhere, to be mapped by exact rules only.
    pub groups: Vec<String>,
    pub metadata: BTreeMap<String, String>,
    /// When the token ends, in seconds since 1970: an upper bound for what is issued for it, if wanted.
    pub expires_unix: i64,
}

/// Why a token was refused. Callers are told the same for all; this is for the ledger and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtRefusal {
    TooLong,
    Malformed,
    /// The header names an algorithm that is never accepted, or not for this key.
    BadAlgorithm,
    /// `jku`, `x5u`, `jwk`, `crit`, an encrypted or nested token, or a type that is no login token.
    BadHeader,
    /// No key for this token: the only refusal after which fetching the keys again can help.
    UnknownKey,
    /// No `kid`, and too many keys it might be.
    AmbiguousKey,
    BadSignature,
    MissingExpiry,
    Expired,
    NotYetValid,
    TooOld,
    WrongIssuer,
    WrongAudience,
    WrongSubject,
    WrongClaim,
    BadUser,
    BadGroups,
    BadMetadata,
}

impl KeySet {
    /// Verifies a compact JWS (RFC 7515, 3.1) and applies the role's rules; `now_unix` in seconds since 1970.
    pub fn verify(&self, jwt: &str, rules: &JwtRules, now_unix: i64) -> Result<VerifiedClaims, JwtRefusal> {
        let parts = Parts::split(jwt)?;
        let header = Header::read(parts.header)?;
        self.check_signature(&header, parts.signed, parts.signature)?;
        let claims = decode_object(parts.claims)?;
        rules.check(&claims, now_unix)
    }
}

struct Parts<'a> {
    signed: &'a str,
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn split(jwt: &'a str) -> Result<Self, JwtRefusal> {
        if jwt.len() > LONGEST_JWT {
            return Err(JwtRefusal::TooLong);
        }
        let (signed, signature) = jwt.rsplit_once('.').ok_or(JwtRefusal::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtRefusal::Malformed)?;
        if header.is_empty() || claims.is_empty() || claims.contains('.') {
            return Err(JwtRefusal::Malformed);
        }
        if signature.is_empty() {
            return Err(JwtRefusal::BadSignature);
        }
        Ok(Self { signed, header, claims, signature })
    }
}

/// The header members that matter.
struct Header {
    algorithm: SigningAlgorithm,
    key_id: Option<String>,
}

impl Header {
    fn read(encoded: &str) -> Result<Self, JwtRefusal> {
        let members = decode_object(encoded)?;
        if FORBIDDEN_HEADERS.iter().any(|name| members.contains_key(*name)) {
            return Err(JwtRefusal::BadHeader);
        }
        match members.get("typ") {
            None => {}
            Some(Value::String(kind)) if LOGIN_TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind)) => {}
            // A logout token or a proof of possession of the same issuer is not a login (RFC 8725, 3.11).
            Some(_) => return Err(JwtRefusal::BadHeader),
        }
        let algorithm = match members.get("alg") {
            Some(Value::String(name)) => SigningAlgorithm::named(name).ok_or(JwtRefusal::BadAlgorithm)?,
            _ => return Err(JwtRefusal::BadAlgorithm),
        };
        let key_id = match members.get("kid") {
            None => None,
            Some(Value::String(id)) if !id.is_empty() && id.len() <= LONGEST_KEY_ID => Some(id.clone()),
            Some(_) => return Err(JwtRefusal::BadHeader),
        };
        Ok(Self { algorithm, key_id })
    }
}

fn decode_object(encoded: &str) -> Result<Map<String, Value>, JwtRefusal> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| JwtRefusal::Malformed)?;
    json::object(&bytes).ok_or(JwtRefusal::Malformed)
}

impl fmt::Display for JwtRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the JWT is longer than 16 KiB; ask the issuer for fewer claims",
            Self::Malformed => "the JWT is not well-formed; send a signed token in the compact form",
            Self::BadAlgorithm => "the JWT's algorithm is not accepted for its key; sign with the key's own algorithm",
            Self::BadHeader => "the JWT's header is not accepted; send a plain signed login token",
            Self::UnknownKey => "the JWT names a key that is not known; check the issuer's keys",
            Self::AmbiguousKey => "the JWT has no `kid` and several keys could be meant; have the issuer send `kid`",
            Self::BadSignature => "the JWT's signature does not verify; get a new token from the issuer",
            Self::MissingExpiry => "the JWT has no usable `exp`; have the issuer set it",
            Self::Expired => "the JWT has expired; get a new one from the issuer",
            Self::NotYetValid => "the JWT is not valid yet; synchronise the clocks",
            Self::TooOld => "the JWT was issued too long ago for this role; get a new one from the issuer",
            Self::WrongIssuer => "the JWT's issuer is not the configured one; compare them byte for byte",
            Self::WrongAudience => "the JWT's audience is not bound to this role; check `bound_audiences`",
            Self::WrongSubject => "the JWT's subject is not bound to this role; check `bound_subject`",
            Self::WrongClaim => "a claim of the JWT does not match the role; check `bound_claims`",
            Self::BadUser => "the JWT's user claim is missing or is no valid name; check `user_claim`",
            Self::BadGroups => "the JWT's groups claim is missing or is no list of texts; check `groups_claim`",
            Self::BadMetadata => "a mapped claim of the JWT cannot be metadata; check `claim_mappings`",
        })
    }
}

impl std::error::Error for JwtRefusal {}

const LONGEST_JWT: usize = 16 * 1024;
const LONGEST_KEY_ID: usize = 256;

const FORBIDDEN_HEADERS: [&str; 8] = ["jku", "x5u", "jwk", "crit", "b64", "enc", "zip", "cty"];
const LOGIN_TYPES: [&str; 4] = ["JWT", "application/jwt", "at+jwt", "application/at+jwt"];

#[cfg(test)]
#[path = "jwt/tests.rs"]
mod tests;
