//! Ed25519 signatures (RFC 8032), for checkpoints of the ledger. Deterministic: the same bytes give the same signature.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::error::CryptoError;
use crate::key::Key;

/// Length of a public key in bytes.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Length of a signature in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// A private key. About 10 us a signature.
pub struct SigningKey {
    seed: Key,
    pair: Ed25519KeyPair,
    public: VerifyingKey,
}

impl SigningKey {
    /// The key whose seed (RFC 8032, 5.1.5) is `seed`.
    pub fn new(seed: Key) -> Result<Self, CryptoError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose_bytes()).map_err(|_| CryptoError::Malformed)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| CryptoError::Malformed)?;
        Ok(Self { seed, pair, public: VerifyingKey(public) })
    }

    /// A second copy of the same key, for another thread. Rarely right: prefer to share a reference.
    pub fn duplicate(&self) -> Result<Self, CryptoError> {
        Self::new(self.seed.duplicate())
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], CryptoError> {
        self.pair.sign(message).as_ref().try_into().map_err(|_| CryptoError::Malformed)
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.public
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// A public key. Not a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey(pub [u8; PUBLIC_KEY_BYTES]);

impl VerifyingKey {
    /// Whether `signature` is this key's over `message`. About 50 us.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::hex;
    use zeroize::Zeroizing;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        let mut out = [0; N];
        for (at, byte) in out.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2).unwrap(), 16).unwrap();
        }
        out
    }

    #[test]
    fn known_answers() {
        // RFC 8032, 7.1, test 2.
        let seed = bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let key = SigningKey::new(Key::from_exposed(Zeroizing::new(seed))).unwrap();
        assert_eq!(hex(&key.verifying_key().0), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = key.sign(&[0x72]).unwrap();
        assert_eq!(
            hex(&signature),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        assert!(key.verifying_key().verifies(&[0x72], &signature));
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }

    #[test]
    fn only_the_signed_bytes_verify() {
        let key = SigningKey::new(Key::generate().unwrap()).unwrap();
        let other = SigningKey::new(Key::generate().unwrap()).unwrap().verifying_key();
        let signature = key.sign(b"synthetic").unwrap();
        assert!(!key.verifying_key().verifies(b"synthetiC", &signature));
        assert!(!key.verifying_key().verifies(b"synthetic", &signature[..63]));
        assert!(!other.verifies(b"synthetic", &signature));
        for at in 0..SIGNATURE_BYTES {
            let mut flipped = signature;
            flipped[at] ^= 1;
            assert!(!key.verifying_key().verifies(b"synthetic", &flipped));
        }
    }
}
