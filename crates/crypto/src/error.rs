//! What can go wrong in the strongroom. No variant carries data, so no error can carry a secret.

use std::fmt;

/// A refusal of this crate. Display is lower case, says what to do next, and never repeats an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CryptoError {
    /// The tag does not verify: the bytes were changed, moved, rolled back, or are under another key.
    Integrity,
    /// The header names a version that this keyring does not hold. Tampering or a stale keyring.
    UnknownKeyVersion,
    /// The key version was destroyed; what it protected is gone for good.
    KeyDestroyed,
    /// The key was used 2^32 times directly (SP 800-38D, 8.3).
    KeyExhausted,
    /// The primary version of a keyring can be neither deactivated nor destroyed.
    PrimaryKey,
    /// The bytes are not in a format that this release writes.
    Malformed,
    /// The plaintext is not UTF-8.
    NotText,
    /// The operating system gave no randomness.
    Random,
    /// The value is larger than [`crate::data_key::MAX_PLAINTEXT_BYTES`], or a password too long.
    TooLarge,
    /// The numbers of shares and threshold do not fit: 1 <= threshold <= shares <= 255.
    Threshold,
    /// FF1: the radix, the number of numerals or a numeral is outside of what revision 1 of SP 800-38G allows.
    Domain,
    /// No shares, or two shares with the same number.
    Shares,
}

impl fmt::Display for CryptoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integrity => "stored bytes do not belong to their place or were changed; treat it as tampering",
            Self::UnknownKeyVersion => "no such key version in the keyring; reload the keyring, then treat it as tampering",
            Self::KeyDestroyed => "the key was destroyed; what it protected cannot be read again",
            Self::KeyExhausted => "the key has reached its number of uses; rotate it",
            Self::PrimaryKey => "the primary key version must stay active; rotate the keyring first",
            Self::Malformed => "bytes are in no format that this release writes; check their origin",
            Self::NotText => "the value is not UTF-8 text; read it as bytes",
            Self::Random => "the system gave no randomness; check the machine, then try again",
            Self::TooLarge => "the value is too large; split it",
            Self::Threshold => "use a threshold of at least 1 and at most the number of shares, which is at most 255",
            Self::Domain => "the string is too short, too long or of another alphabet; use a format with at least 1,000,000 values",
            Self::Shares => "shares are missing or repeated; give each share once",
        })
    }
}

impl std::error::Error for CryptoError {}
