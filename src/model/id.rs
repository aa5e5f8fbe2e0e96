//! Identifiers. None of them is a secret: all may be logged and recorded.

use std::fmt;

use goldfin_crypto::random;

use super::clock::Timestamp;

/// The only namespace there is; every large table carries the column already.
pub const ROOT_NAMESPACE: i32 = 0;

/// Names one request: the envelope, the entry and the log line carry it. A UUID version 7 (RFC 9562).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(uuid::Uuid);

impl RequestId {
    /// Fails only when the system's random source does.
    pub fn generate(now: Timestamp) -> Result<Self, goldfin_crypto::CryptoError> {
        let mut tail = [0_u8; 10];
        random::fill(&mut tail)?;
        let millis = u64::try_from(now.unix_micros() / 1000).unwrap_or(0);
        Ok(Self(uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()))
    }

    /// For the one answer that is given when there is no randomness to make an id from.
    #[must_use]
    pub const fn nil() -> Self {
        Self(uuid::Uuid::nil())
    }

    #[must_use]
    pub fn as_uuid(&self) -> uuid::Uuid {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stream of the ledger: one per node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub i32);

/// The number of a mount. Never reused, so that a ciphertext bound to a mount that is gone opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct MountId(pub i32);
