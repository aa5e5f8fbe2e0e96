//! Public keys that verify tokens: from PEM files or a JWKS document (RFC 7517), each with its algorithms.
//!
//! The only file that names `jsonwebtoken`, and it uses that crate for signatures alone. It takes public keys
//! only, so that no key can ever be used as a shared secret.

use std::{collections::HashSet, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};
use x509_parser::{
    oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_SIG_ED25519},
    pem::Pem,
    prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate},
    public_key::{PublicKey, RSAPublicKey},
};

use super::{Header, JwtRefusal, LONGEST_KEY_ID, json};

/// The verification keys of one issuer.
#[derive(Clone)]
pub struct KeySet {
    keys: Vec<VerificationKey>,
}

/// The algorithms that can ever be accepted (RFC 7518, 3.1; RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// Why keys were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySetError {
    TooLarge,
    NotPem,
    PrivateKey,
    UnsupportedKey,
    NotJwks,
    DuplicateKeyId,
    Empty,
}

#[derive(Clone)]
struct VerificationKey {
    id: Option<String>,
    algorithms: Vec<SigningAlgorithm>,
    key: DecodingKey,
}

impl SigningAlgorithm {
    pub const ALL: [Self; 9] =
        [Self::Rs256, Self::Rs384, Self::Rs512, Self::Ps256, Self::Ps384, Self::Ps512, Self::Es256, Self::Es384, Self::EdDsa];

    /// By the name of RFC 7518; `None` for `none`, `HS256` and everything else.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    fn for_crate(self) -> Algorithm {
        match self {
            Self::Rs256 => Algorithm::RS256,
            Self::Rs384 => Algorithm::RS384,
            Self::Rs512 => Algorithm::RS512,
            Self::Ps256 => Algorithm::PS256,
            Self::Ps384 => Algorithm::PS384,
            Self::Ps512 => Algorithm::PS512,
            Self::Es256 => Algorithm::ES256,
            Self::Es384 => Algorithm::ES384,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

impl KeySet {
    /// One or more PEM blocks: `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE` (of which only the key counts).
    /// `allowed` narrows the algorithms; empty means all that fit the key.
    pub fn from_pem(pem: &[u8], allowed: &[SigningAlgorithm]) -> Result<Self, KeySetError> {
        if pem.len() > LARGEST_DOCUMENT {
            return Err(KeySetError::TooLarge);
        }
        let mut keys = Vec::new();
        for block in Pem::iter_from_buffer(pem) {
            let block = block.map_err(|_| KeySetError::NotPem)?;
            let public = match block.label.as_str() {
                "PUBLIC KEY" => SubjectPublicKeyInfo::from_der(&block.contents)
                    .ok()
                    .and_then(|(rest, info)| if rest.is_empty() { Public::from_info(&info) } else { None }),
                "RSA PUBLIC KEY" => RSAPublicKey::from_der(&block.contents)
                    .ok()
                    .and_then(|(rest, key)| if rest.is_empty() { Public::rsa(key.modulus, key.exponent) } else { None }),
                "CERTIFICATE" => {
                    X509Certificate::from_der(&block.contents).ok().and_then(|(_, certificate)| Public::from_info(certificate.public_key()))
                }
                private if private.ends_with("PRIVATE KEY") => return Err(KeySetError::PrivateKey),
                _ => None,
            };
            let public = public.ok_or(KeySetError::UnsupportedKey)?;
            let key = public.with_algorithms(None, None, allowed).ok_or(KeySetError::UnsupportedKey)?;
            keys.push(key);
        }
        Self::of(keys).map_err(|error| if error == KeySetError::Empty { KeySetError::NotPem } else { error })
    }

    /// A JWKS document. Keys that are not for signatures, of another type, or not within `allowed` are passed
    /// over (RFC 7517, 5); two keys with one `kid` refuse the document. A document without a usable key is an
    /// error, so that it never replaces keys that worked.
    pub fn from_jwks(document: &[u8], allowed: &[SigningAlgorithm]) -> Result<Self, KeySetError> {
        if document.len() > LARGEST_DOCUMENT {
            return Err(KeySetError::TooLarge);
        }
        let document = json::object(document).ok_or(KeySetError::NotJwks)?;
        let Some(Value::Array(entries)) = document.get("keys") else { return Err(KeySetError::NotJwks) };
        let mut keys = Vec::new();
        let mut ids = HashSet::new();
        for entry in entries {
            let Value::Object(jwk) = entry else { return Err(KeySetError::NotJwks) };
            if let Some(Value::String(id)) = jwk.get("kid")
                && !ids.insert(id.as_str())
            {
                return Err(KeySetError::DuplicateKeyId);
            }
            keys.extend(from_jwk(jwk, allowed));
        }
        Self::of(keys)
    }

    /// Several PEM sets as one, as `jwt_validation_pubkeys` has it.
    pub fn join(sets: impl IntoIterator<Item = Self>) -> Result<Self, KeySetError> {
        let keys: Vec<_> = sets.into_iter().flat_map(|set| set.keys).collect();
        let mut ids = HashSet::new();
        if keys.iter().filter_map(|key| key.id.as_deref()).any(|id| !ids.insert(id)) {
            return Err(KeySetError::DuplicateKeyId);
        }
        Self::of(keys)
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn check_signature(&self, header: &Header, signed: &str, signature: &str) -> Result<(), JwtRefusal> {
        let algorithm = header.algorithm;
        for key in self.candidates(header)? {
            let verified = jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key.key, algorithm.for_crate());
            if verified.unwrap_or(false) {
                return Ok(());
            }
        }
        Err(JwtRefusal::BadSignature)
    }

    /// The key with the token's `kid`; or, without one, the few keys that could be meant.
    fn candidates(&self, header: &Header) -> Result<Vec<&VerificationKey>, JwtRefusal> {
        let named = header.key_id.as_deref().and_then(|id| self.keys.iter().find(|key| key.id.as_deref() == Some(id)));
        if let Some(key) = named {
            return if key.algorithms.contains(&header.algorithm) { Ok(vec![key]) } else { Err(JwtRefusal::BadAlgorithm) };
        }
        // Keys from PEM files have no id; a token of their issuer usually has one all the same.
        let anonymous_only = header.key_id.is_some();
        let fitting: Vec<_> =
            self.keys.iter().filter(|key| !(anonymous_only && key.id.is_some()) && key.algorithms.contains(&header.algorithm)).collect();
        match fitting.len() {
            0 => Err(JwtRefusal::UnknownKey),
            1..=MOST_CANDIDATES => Ok(fitting),
            _ => Err(JwtRefusal::AmbiguousKey),
        }
    }

    fn of(keys: Vec<VerificationKey>) -> Result<Self, KeySetError> {
        match keys.len() {
            0 => Err(KeySetError::Empty),
            1..=MOST_KEYS => Ok(Self { keys }),
            _ => Err(KeySetError::TooLarge),
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet of {}", self.keys.len())
    }
}

fn from_jwk(jwk: &Map<String, Value>, allowed: &[SigningAlgorithm]) -> Option<VerificationKey> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    if let Some(operations) = jwk.get("key_ops") {
        operations.as_array()?.iter().find(|operation| *operation == "verify")?;
    }
    let id = match jwk.get("kid") {
        None => None,
        Some(Value::String(id)) if !id.is_empty() && id.len() <= LONGEST_KEY_ID => Some(id.clone()),
        Some(_) => return None,
    };
    let own = match jwk.get("alg") {
        None => None,
        Some(name) => Some(SigningAlgorithm::named(name.as_str()?)?),
    };
    let public = match (text("kty")?, text("crv")) {
        ("RSA", _) => Public::rsa(&bytes("n")?, &bytes("e")?)?,
        ("EC", Some("P-256")) => Public::point(SigningAlgorithm::Es256, &bytes("x")?, &bytes("y")?)?,
        ("EC", Some("P-384")) => Public::point(SigningAlgorithm::Es384, &bytes("x")?, &bytes("y")?)?,
        ("OKP", Some("Ed25519")) => Public::ed25519(&bytes("x")?)?,
        _ => return None,
    };
    public.with_algorithms(id, own, allowed)
}

/// A public key of a known kind, its size checked.
struct Public {
    fitting: &'static [SigningAlgorithm],
    key: DecodingKey,
}

impl Public {
    fn from_info(info: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        if info.algorithm.algorithm == OID_SIG_ED25519 {
            return Self::ed25519(&info.subject_public_key.data);
        }
        match info.parsed().ok()? {
            PublicKey::RSA(key) => Self::rsa(key.modulus, key.exponent),
            PublicKey::EC(point) => {
                let curve = info.algorithm.parameters.as_ref()?.as_oid().ok()?;
                let (algorithm, width) = if curve == OID_EC_P256 {
                    (SigningAlgorithm::Es256, 32)
                } else if curve == OID_NIST_EC_P384 {
                    (SigningAlgorithm::Es384, 48)
                } else {
                    return None;
                };
                let (x, y) = point.data().strip_prefix(&[UNCOMPRESSED])?.split_at_checked(width)?;
                Self::point(algorithm, x, y)
            }
            _ => None,
        }
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let modulus = without_zeros(modulus);
        let exponent = without_zeros(exponent);
        let bits = modulus.len().checked_mul(8)?.checked_sub(modulus.first()?.leading_zeros().try_into().ok()?)?;
        let odd = exponent.last().is_some_and(|last| last & 1 == 1);
        if !(2048..=8192).contains(&bits) || exponent == [1] || !odd {
            return None;
        }
        Some(Self { fitting: &RSA_ALGORITHMS, key: DecodingKey::from_rsa_raw_components(modulus, exponent) })
    }

    fn point(algorithm: SigningAlgorithm, x: &[u8], y: &[u8]) -> Option<Self> {
        let (width, fitting): (usize, &[_]) = match algorithm {
            SigningAlgorithm::Es256 => (32, &[SigningAlgorithm::Es256]),
            SigningAlgorithm::Es384 => (48, &[SigningAlgorithm::Es384]),
            _ => return None,
        };
        if x.len() != width || y.len() != width {
            return None;
        }
        Some(Self { fitting, key: DecodingKey::from_ec_der(&[&[UNCOMPRESSED], x, y].concat()) })
    }

    fn ed25519(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 32).then(|| Self { fitting: &[SigningAlgorithm::EdDsa], key: DecodingKey::from_ed_der(bytes) })
    }

    /// The key's own algorithm if it names one, else all that fit it; in both cases only what is allowed.
    fn with_algorithms(self, id: Option<String>, own: Option<SigningAlgorithm>, allowed: &[SigningAlgorithm]) -> Option<VerificationKey> {
        let algorithms: Vec<_> = self
            .fitting
            .iter()
            .copied()
            .filter(|fitting| own.is_none_or(|own| own == *fitting))
            .filter(|fitting| allowed.is_empty() || allowed.contains(fitting))
            .collect();
        (!algorithms.is_empty()).then_some(VerificationKey { id, algorithms, key: self.key })
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the keys are more than 1 MiB or more than 100; give only the issuer's signing keys",
            Self::NotPem => "the keys hold no readable PEM block; give `PUBLIC KEY` or `CERTIFICATE` blocks",
            Self::PrivateKey => "the keys hold a private key; give the public key only, and treat the private one as exposed",
            Self::UnsupportedKey => "a key is of a kind that is not accepted; use RSA of at least 2048 bits, P-256, P-384 or Ed25519, and an algorithm that fits it",
            Self::NotJwks => "the document is no JWKS; it must be an object with a list `keys` and no duplicate members",
            Self::DuplicateKeyId => "two keys have the same `kid`; have the issuer give each its own",
            Self::Empty => "the document has no key that can verify signatures; check the issuer and the supported algorithms",
        })
    }
}

impl std::error::Error for KeySetError {}

const RSA_ALGORITHMS: [SigningAlgorithm; 6] = [
    SigningAlgorithm::Rs256,
    SigningAlgorithm::Rs384,
    SigningAlgorithm::Rs512,
    SigningAlgorithm::Ps256,
    SigningAlgorithm::Ps384,
    SigningAlgorithm::Ps512,
];

const LARGEST_DOCUMENT: usize = 1024 * 1024;
const MOST_KEYS: usize = 100;
const MOST_CANDIDATES: usize = 8;
/// SEC 1, 2.3.3: the only form of a point that is taken.
const UNCOMPRESSED: u8 = 0x04;
