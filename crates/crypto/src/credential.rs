//! Credentials that goldfin hands out: random, prefixed, checksummed (so that secret scanners find them), stored only
//! as keyed hashes.
//!
//! ```text
//! gft_ base62( random 24 ) base62( crc32 4 )        43 characters; secret ids begin with gfs_
//! ```
//! The CRC-32 (ISO-HDLC, as in gzip) covers prefix and random part. It finds typing errors and is no protection.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::base62;
use crate::error::CryptoError;
use crate::mac::MacKey;
use crate::random;

/// Text that is no credential of the expected kind. It does not say why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotACredential;

impl fmt::Display for NotACredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a credential of this kind; copy it whole, prefix and checksum included")
    }
}

impl std::error::Error for NotACredential {}

/// What a caller shows after login. 192 bits of randomness, zeroized on drop.
pub struct AuthToken(Zeroizing<String>);

impl AuthToken {
    /// A new token. [`CryptoError::Random`].
    pub fn generate() -> Result<Self, CryptoError> {
        generate(AUTH_TOKEN).map(Self)
    }

    /// Accepts well-formed text only, so that nonsense never reaches the database.
    pub fn parse(text: &str) -> Result<Self, NotACredential> {
        parse(AUTH_TOKEN, text).map(Self)
    }

    /// Reads the text; to hand it out once.
    pub fn expose_text(&self) -> &str {
        &self.0
    }

    /// HMAC-SHA256 of the text, to store and to look up by. The key is of [`crate::Purpose::TokenLookup`].
    pub fn fingerprint(&self, key: &MacKey) -> [u8; 32] {
        key.mac(&[self.0.as_bytes()])
    }
}

impl fmt::Debug for AuthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthToken(..)")
    }
}

/// The secret half of an AppRole login. 192 bits of randomness, zeroized on drop.
pub struct SecretId(Zeroizing<String>);

impl SecretId {
    /// A new secret id. [`CryptoError::Random`].
    pub fn generate() -> Result<Self, CryptoError> {
        generate(SECRET_ID).map(Self)
    }

    /// Accepts well-formed text only, so that nonsense never reaches the database.
    pub fn parse(text: &str) -> Result<Self, NotACredential> {
        parse(SECRET_ID, text).map(Self)
    }

    /// Reads the text; to hand it out once.
    pub fn expose_text(&self) -> &str {
        &self.0
    }

    /// HMAC-SHA256 of the text, to store and to look up by. The key is of [`crate::Purpose::TokenLookup`].
    pub fn fingerprint(&self, key: &MacKey) -> [u8; 32] {
        key.mac(&[self.0.as_bytes()])
    }
}

impl fmt::Debug for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretId(..)")
    }
}

/// The handle of a credential, not secret: it names one but opens nothing.
#[derive(Debug)]
pub struct Accessor;

impl Accessor {
    /// 24 uniformly random base62 characters (142 bits). [`CryptoError::Random`].
    pub fn generate() -> Result<String, CryptoError> {
        let mut text = String::with_capacity(ACCESSOR_WIDTH);
        while text.len() < ACCESSOR_WIDTH {
            let mut bytes = [0; 32];
            random::fill(&mut bytes)?;
            // 248 is 4 x 62: larger bytes would favour the first eight characters.
            let fair = bytes.into_iter().filter(|byte| *byte < 248);
            let symbols = fair.map(|byte| char::from(base62::symbol(byte % 62)));
            text.extend(symbols.take(ACCESSOR_WIDTH - text.len()));
        }
        Ok(text)
    }
}

fn generate(prefix: &str) -> Result<Zeroizing<String>, CryptoError> {
    let mut bytes = Zeroizing::new([0; 24]);
    random::fill(bytes.as_mut_slice())?;
    let mut body = base62::encode_24(&bytes);
    let mut text = Zeroizing::new(String::with_capacity(WIDTH));
    text.push_str(prefix);
    text.push_str(base62::text(&body));
    body.zeroize();
    let checksum = crc32fast::hash(text.as_bytes());
    text.push_str(base62::text(&base62::encode_4(checksum)));
    Ok(text)
}

fn parse(prefix: &str, text: &str) -> Result<Zeroizing<String>, NotACredential> {
    let sound = || {
        let (front, checksum) = text.as_bytes().split_last_chunk::<6>()?;
        let body = front.strip_prefix(prefix.as_bytes())?.try_into().ok()?;
        Zeroizing::new(base62::decode_24(body)?);
        Some(base62::decode_4(checksum)? == crc32fast::hash(front))
    };
    match sound() {
        Some(true) => Ok(Zeroizing::new(text.to_owned())),
        _ => Err(NotACredential),
    }
}

const AUTH_TOKEN: &str = "gft_";
const SECRET_ID: &str = "gfs_";
const WIDTH: usize = 43;
const ACCESSOR_WIDTH: usize = 24;
