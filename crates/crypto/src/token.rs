//! Opaque PII tokens: text that stands for a value and says nothing about it.
//!
//! ```text
//! prefix _ base62( AES-256(k_perm, id 8 ‖ r1 8) ‖ r2 8 ) base62( checksum 4 )
//! ```
//! `id` is the row's number; r1 ‖ r2 is a secret of 128 bits that exists only in the token and without which database and
//! keys decode nothing. The checksum is keyed per transformation, so a forged token, or one of another transformation,
//! is refused before any SQL.

use std::fmt;

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use zeroize::Zeroizing;

use crate::base62;
use crate::error::CryptoError;
use crate::key::Key;
use crate::mac::{MacKey, constant_time_eq};
use crate::plaintext::Plaintext;
use crate::random;

/// The 16 secret bytes r1 ‖ r2 of one token, zeroized on drop.
pub struct TokenSecret(Zeroizing<[u8; 16]>);

impl TokenSecret {
    /// A new secret. [`CryptoError::Random`].
    pub fn generate() -> Result<Self, CryptoError> {
        let mut secret = Zeroizing::new([0; 16]);
        random::fill(secret.as_mut_slice())?;
        Ok(Self(secret))
    }

    /// Takes 16 bytes that were uniformly random when the token was made.
    pub fn from_exposed(bytes: Zeroizing<[u8; 16]>) -> Self {
        Self(bytes)
    }

    /// Reads the bytes.
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    /// The secret as a value to encrypt under a subject's key, for an exportable transformation.
    pub fn to_plaintext(&self) -> Plaintext {
        Plaintext::new(self.0.to_vec())
    }

    /// The way back from [`TokenSecret::to_plaintext`]. [`CryptoError::Malformed`] unless it is 16 bytes.
    pub fn from_plaintext(value: &Plaintext) -> Result<Self, CryptoError> {
        let mut secret = Zeroizing::new([0; 16]);
        if value.len() != secret.len() {
            return Err(CryptoError::Malformed);
        }
        secret.copy_from_slice(value.expose());
        Ok(Self(secret))
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(..)")
    }
}

/// Text that is no token of this transformation. It does not say why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAToken;

impl fmt::Display for NotAToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a token of this transformation; check which transformation made it")
    }
}

impl std::error::Error for NotAToken {}

/// Writes and reads the tokens of one transformation.
pub struct TokenFormat {
    prefix: String,
    permutation: Aes256,
    checksum: MacKey,
}

impl TokenFormat {
    /// A prefix is 1 to 24 characters of `a-z A-Z 0-9 _ -`, not `gft` or `gfs`; both keys belong to this
    /// transformation alone. [`CryptoError::Malformed`] for another prefix.
    pub fn new(prefix: &str, permutation: &Key, checksum: &Key) -> Result<Self, CryptoError> {
        let sound = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if !sound || !(1..=MAX_PREFIX).contains(&prefix.len()) || RESERVED.contains(&prefix) {
            return Err(CryptoError::Malformed);
        }
        Ok(Self {
            prefix: format!("{prefix}_"),
            permutation: Aes256::new(permutation.expose_bytes().into()),
            checksum: MacKey::new(checksum.duplicate()),
        })
    }

    /// The length of every token of this transformation, in characters (all ASCII).
    pub fn width(&self) -> usize {
        self.prefix.len() + BODY_WIDTH + CHECKSUM_WIDTH
    }

    /// The token of row `id`.
    pub fn render(&self, id: i64, secret: &TokenSecret) -> String {
        let (r1, r2) = secret.0.split_at(8);
        let mut block = Zeroizing::new([0; 16]);
        let (number, random) = block.split_at_mut(8);
        number.copy_from_slice(&id.to_be_bytes());
        random.copy_from_slice(r1);
        self.permutation.encrypt_block((&mut *block).into());
        let mut payload = [0; 24];
        let (front, back) = payload.split_at_mut(16);
        front.copy_from_slice(block.as_slice());
        back.copy_from_slice(r2);

        let mut token = String::with_capacity(self.width());
        token.push_str(&self.prefix);
        token.push_str(base62::text(&base62::encode_24(&payload)));
        token.push_str(base62::text(&base62::encode_4(u32::from_be_bytes(self.checksum(&payload)))));
        token
    }

    /// Row number and secret of a token. [`NotAToken`] for any other text.
    pub fn parse(&self, text: &str) -> Result<(i64, TokenSecret), NotAToken> {
        self.split(text).ok_or(NotAToken)
    }

    fn split(&self, text: &str) -> Option<(i64, TokenSecret)> {
        let rest = text.strip_prefix(self.prefix.as_str())?.as_bytes();
        let (body, checksum) = rest.split_first_chunk::<BODY_WIDTH>()?;
        let payload = base62::decode_24(body)?;
        let given = base62::decode_4(checksum.try_into().ok()?)?.to_be_bytes();
        if !constant_time_eq(&self.checksum(&payload), &given) {
            return None;
        }
        let (front, r2) = payload.split_first_chunk::<16>()?;
        let mut block = Zeroizing::new(*front);
        self.permutation.decrypt_block((&mut *block).into());
        let (id, r1) = block.split_first_chunk::<8>()?;
        let mut secret = Zeroizing::new([0; 16]);
        let (front, back) = secret.split_at_mut(8);
        front.copy_from_slice(r1);
        back.copy_from_slice(r2);
        Some((i64::from_be_bytes(*id), TokenSecret(secret)))
    }

    /// First 4 bytes of HMAC-SHA256 over the prefix with its `_` and the 24 bytes.
    fn checksum(&self, payload: &[u8; 24]) -> [u8; 4] {
        let [a, b, c, d, ..] = self.checksum.mac_raw(&[self.prefix.as_bytes(), payload]);
        [a, b, c, d]
    }
}

impl fmt::Debug for TokenFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenFormat(..)")
    }
}

const BODY_WIDTH: usize = 33;
const CHECKSUM_WIDTH: usize = 6;
const MAX_PREFIX: usize = 24;
/// What credentials begin with; a PII token must not look like one.
const RESERVED: [&str; 2] = ["gft", "gfs"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::tests::without_randomness;

    #[test]
    fn no_randomness_no_secret() {
        let error = without_randomness(|| TokenSecret::generate().map(|_| ()));
        assert_eq!(error, Err(CryptoError::Random));
    }

    #[test]
    fn debug_is_constant() {
        let secret = TokenSecret::generate().unwrap();
        assert_eq!(format!("{secret:?}"), "TokenSecret(..)");
        let key = Key::generate().unwrap();
        let format = TokenFormat::new("pii", &key, &key.derive(crate::Purpose::TokenChecksum, &[]));
        assert_eq!(format!("{:?}", format.unwrap()), "TokenFormat(..)");
    }
}
