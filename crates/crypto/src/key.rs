//! 256-bit keys and the labels that separate what is derived from them.
//!
//! A key serves one primitive and one purpose; another purpose derives another key (HKDF-SHA256, RFC 5869).

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::CryptoError;
use crate::random;

/// 32 secret bytes on the heap, zeroized on drop. Not `Clone`: see [`Key::duplicate`].
pub struct Key(Box<Zeroizing<[u8; KEY_BYTES]>>);

/// Length of a key in bytes.
pub const KEY_BYTES: usize = 32;

impl Key {
    /// A new key from the operating system's generator. [`CryptoError::Random`] if it gives nothing.
    pub fn generate() -> Result<Self, CryptoError> {
        let mut key = Self::zero();
        random::fill_key(key.0.as_mut_slice())?;
        Ok(key)
    }

    /// Takes bytes that come from a seal or from shares. They must be uniformly random.
    pub fn from_exposed(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let mut key = Self::zero();
        key.0.copy_from_slice(bytes.as_slice());
        key
    }

    /// Reads the bytes; for seals and shares only.
    pub fn expose_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// A second copy of the same key. Rarely right: prefer to share a reference.
    pub fn duplicate(&self) -> Self {
        let mut key = Self::zero();
        key.0.copy_from_slice(self.expose_bytes());
        key
    }

    /// HKDF-SHA256 (RFC 5869) without salt; info = label of the purpose, then each part of `context` behind its
    /// length (8 bytes, big endian). Different purposes or contexts give independent keys.
    pub fn derive(&self, purpose: Purpose, context: &[&[u8]]) -> Key {
        let label = purpose.label().as_bytes();
        let mut info =
            Vec::with_capacity(label.len() + context.iter().map(|p| 8 + p.len()).sum::<usize>());
        info.extend_from_slice(label);
        for part in context {
            info.extend_from_slice(&(part.len() as u64).to_be_bytes());
            info.extend_from_slice(part);
        }
        let mut derived = Self::zero();
        #[expect(
            clippy::expect_used,
            reason = "expand fails only above 255 blocks (RFC 5869, 2.3); this asks for one"
        )]
        Hkdf::<Sha256>::new(None, self.expose_bytes())
            .expand(&info, derived.0.as_mut_slice())
            .expect("one block is within the limit");
        derived
    }

    fn zero() -> Self {
        Self(Box::new(Zeroizing::new([0; KEY_BYTES])))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What a derived key is for. Closed: a new purpose is a new variant with a new label, and labels never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Proof that an unsealed root key is the right one.
    RootCheck,
    /// Wraps the versions of KEK rings under the root key.
    KekRing,
    /// MAC over control rows (accounts, policies, mounts, keyring, auth tokens).
    ControlMac,
    /// MAC chain of the ledger.
    LedgerMac,
    /// Fingerprints of auth tokens and secret ids.
    TokenLookup,
    /// Keyed hash of a subject's identifier.
    SubjectHash,
    /// Keyed hash of sensitive ledger fields.
    FieldHash,
    /// AES-256 permutation of row numbers in PII tokens.
    TokenPermutation,
    /// Checksum of PII tokens.
    TokenChecksum,
    /// Key per message, from a token's secret.
    TokenMessage,
    /// Blind index of values.
    BlindIndex,
    /// Replay table of login proofs.
    ReplayHash,
    /// Seed of the Ed25519 key that signs checkpoints.
    CheckpointKey,
    /// FF1 format-preserving encryption (SP 800-38G).
    Ff1,
    /// FF1 tweaks that the caller did not supply.
    Ff1Tweak,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Purpose; 15] = [
        Self::RootCheck,
        Self::KekRing,
        Self::ControlMac,
        Self::LedgerMac,
        Self::TokenLookup,
        Self::SubjectHash,
        Self::FieldHash,
        Self::TokenPermutation,
        Self::TokenChecksum,
        Self::TokenMessage,
        Self::BlindIndex,
        Self::ReplayHash,
        Self::CheckpointKey,
        Self::Ff1,
        Self::Ff1Tweak,
    ];

    /// The label that enters HKDF: ASCII, distinct, frozen.
    pub const fn label(self) -> &'static str {
        match self {
            Self::RootCheck => "goldfin/v1/root-check",
            Self::KekRing => "goldfin/v1/kek-ring",
            Self::ControlMac => "goldfin/v1/control-mac",
            Self::LedgerMac => "goldfin/v1/ledger-mac",
            Self::TokenLookup => "goldfin/v1/token-lookup",
            Self::SubjectHash => "goldfin/v1/subject-hash",
            Self::FieldHash => "goldfin/v1/field-hash",
            Self::TokenPermutation => "goldfin/v1/token-permutation",
            Self::TokenChecksum => "goldfin/v1/token-checksum",
            Self::TokenMessage => "goldfin/v1/token-message",
            Self::BlindIndex => "goldfin/v1/blind-index",
            Self::ReplayHash => "goldfin/v1/replay-hash",
            Self::CheckpointKey => "goldfin/v1/checkpoint-key",
            Self::Ff1 => "goldfin/v1/ff1-key",
            Self::Ff1Tweak => "goldfin/v1/ff1-tweak",
        }
    }
}
