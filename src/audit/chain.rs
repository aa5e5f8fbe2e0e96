//! The chain of a stream: each entry's MAC covers its place, the MAC before it and its leaf hash.
//!
//! A bare hash chain would not do: whoever can write SQL could compute it anew.

use goldfin_crypto::digest::leaf_hash;
use goldfin_crypto::mac::MacKey;

use crate::model::id::StreamId;

/// One link: `HMAC-SHA256(K, stream (4 bytes) ‖ seq (8) ‖ mac before (32, or none for the first) ‖ leaf (32))`, numbers big-endian.
#[must_use]
pub fn link(key: &MacKey, stream: StreamId, seq: i64, before: &[u8], leaf: &[u8; 32]) -> [u8; 32] {
    key.mac_raw(&[&stream.0.to_be_bytes(), &seq.to_be_bytes(), before, leaf])
}

/// The leaf hash of an entry's canonical bytes (RFC 6962 section 2.1).
#[must_use]
pub fn leaf(body: &str) -> [u8; 32] {
    leaf_hash(body.as_bytes())
}
