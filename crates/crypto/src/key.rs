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
        let mut info = Vec::with_capacity(label.len() + context.iter().map(|p| 8 + p.len()).sum::<usize>());
        info.extend_from_slice(label);
        for part in context {
            info.extend_from_slice(&(part.len() as u64).to_be_bytes());
            info.extend_from_slice(part);
        }
        let mut derived = Self::zero();
        #[expect(clippy::expect_used, reason = "expand fails only above 255 blocks (RFC 5869, 2.3); this asks for one")]
        Hkdf::<Sha256>::new(None, self.expose_bytes()).expand(&info, derived.0.as_mut_slice()).expect("one block is within the limit");
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
    /// Secrets of convergent PII tokens, from their values.
    ConvergentSecret,
    /// MAC over the rows of a snapshot of PII tokens.
    SnapshotMac,
    /// PII tokens as entries of the ledger name them one by one.
    ValueAudit,
    /// Replay table of login proofs.
    ReplayHash,
    /// Seed of the Ed25519 key that signs checkpoints.
    CheckpointKey,
    /// Seed of the Ed25519 key that cosigns the checkpoints of other ledgers.
    WitnessKey,
    /// FF1 format-preserving encryption (SP 800-38G).
    Ff1,
    /// FF1 tweaks that the caller did not supply.
    Ff1Tweak,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Purpose; 19] = [
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
        Self::ConvergentSecret,
        Self::SnapshotMac,
        Self::ValueAudit,
        Self::ReplayHash,
        Self::CheckpointKey,
        Self::WitnessKey,
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
            Self::ConvergentSecret => "goldfin/v1/convergent-secret",
            Self::SnapshotMac => "goldfin/v1/snapshot-mac",
            Self::ValueAudit => "goldfin/v1/value-audit",
            Self::ReplayHash => "goldfin/v1/replay-hash",
            Self::CheckpointKey => "goldfin/v1/checkpoint-key",
            Self::WitnessKey => "goldfin/v1/witness-key",
            Self::Ff1 => "goldfin/v1/ff1-key",
            Self::Ff1Tweak => "goldfin/v1/ff1-tweak",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac::MacKey;
    use crate::random::tests::without_randomness;
    use std::collections::HashSet;

    fn fixed(byte: u8) -> Key {
        Key::from_exposed(Zeroizing::new([byte; KEY_BYTES]))
    }

    #[test]
    fn labels_are_distinct_ascii_and_none_begins_another() {
        let labels: Vec<_> = Purpose::ALL.iter().map(|purpose| purpose.label()).collect();
        assert_eq!(labels.iter().collect::<HashSet<_>>().len(), labels.len());
        for label in &labels {
            assert!(label.is_ascii() && label.starts_with("goldfin/v1/"));
            let begun = labels.iter().filter(|other| other.starts_with(label));
            assert_eq!(begun.count(), 1);
        }
    }

    #[test]
    fn derivation_is_hkdf_as_documented() {
        let key = fixed(7);
        let pseudorandom = Key::from_exposed(Zeroizing::new(MacKey::new(fixed(0)).mac_raw(&[key.expose_bytes()])));
        let expected = MacKey::new(pseudorandom).mac_raw(&[b"goldfin/v1/ff1-key", &[0, 0, 0, 0, 0, 0, 0, 2], b"ab", &[0; 8], &[1]]);
        let derived = key.derive(Purpose::Ff1, &[b"ab", b""]);
        assert_eq!(derived.expose_bytes(), &expected);
    }

    #[test]
    fn purposes_and_contexts_give_different_keys() {
        let key = fixed(1);
        let contexts: [&[&[u8]]; 5] = [&[], &[b""], &[b"ab"], &[b"a", b"b"], &[b"", b"ab"]];
        let mut seen = HashSet::new();
        for purpose in Purpose::ALL {
            for context in contexts {
                assert!(seen.insert(*key.derive(purpose, context).expose_bytes()));
            }
        }
    }

    #[test]
    fn keys_are_random_hidden_and_refused_without_randomness() {
        let (one, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        assert_ne!(one.expose_bytes(), other.expose_bytes());
        assert_eq!(one.duplicate().expose_bytes(), one.expose_bytes());
        assert_eq!(format!("{one:?}"), "Key(..)");
        let error = without_randomness(|| Key::generate().map(|_| ()));
        assert_eq!(error, Err(CryptoError::Random));
    }
}
