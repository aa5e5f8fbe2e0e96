//! An issuer of JWTs with a key of its own, for logins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use goldfin::model::clock::Clock;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::trouble::Trouble;

const NAME: &str = "https://issuer.test";

/// Seconds that its JWTs live, longer than any run.
const LIFE: i64 = 24 * 3600;

pub struct Issuer {
    public: String,
    key: EncodingKey,
    now: i64,
}

impl Issuer {
    pub fn new() -> Result<Self, Trouble> {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        Ok(Self { public: pair.public_key_pem(), key, now: Clock::system().now().unix_seconds() })
    }

    /// The configuration of a login method that believes it.
    pub fn method(&self) -> Value {
        json!({ "jwt_validation_pubkeys": [self.public], "bound_issuer": NAME, "default_role": "bench" })
    }

    /// A role that admits accounts and gives no groups.
    pub fn role() -> Value {
        json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["goldfin"], "token_ttl": "4h" })
    }

    /// The JWT of somebody.
    pub fn jwt(&self, who: &str) -> Result<String, Trouble> {
        let claims = json!({ "iss": NAME, "sub": who, "aud": "goldfin", "iat": self.now - 5, "exp": self.now + LIFE });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&json!({ "alg": "ES256", "typ": "JWT" })), encode(&claims));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, Algorithm::ES256)?;
        Ok(format!("{signed}.{signature}"))
    }
}
