//! Hashes without a key: SHA-256 (FIPS 180-4) and the Merkle tree of RFC 6962. Never for low-entropy secrets.

use sha2::{Digest, Sha256, Sha384, Sha512};

/// Root of the empty tree (RFC 6962, 2.1): SHA-256 of nothing.
pub const EMPTY_ROOT: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
    0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// SHA-256 of the parts written one after another. The caller sees to it that they cannot be cut differently.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut state = Sha256::new();
    for part in parts {
        state.update(part);
    }
    state.finalize().into()
}

/// SHA-256 of what comes piece by piece.
#[derive(Debug, Clone, Default)]
pub struct Sha256Sum(Sha256);

impl Sha256Sum {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash of all pieces.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// SHA-384 (FIPS 180-4), for the channel binding of a certificate that is signed with it (RFC 5929).
pub fn sha384(bytes: &[u8]) -> [u8; 48] {
    Sha384::digest(bytes).into()
}

/// SHA-512 (FIPS 180-4), for the channel binding of a certificate that is signed with it (RFC 5929).
pub fn sha512(bytes: &[u8]) -> [u8; 64] {
    Sha512::digest(bytes).into()
}

/// Leaf of a Merkle tree: SHA-256(0x00 ‖ bytes) (RFC 6962, 2.1).
pub fn leaf_hash(bytes: &[u8]) -> [u8; 32] {
    sha256(&[&[0], bytes])
}

/// Inner node of a Merkle tree: SHA-256(0x01 ‖ left ‖ right) (RFC 6962, 2.1).
pub fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sha256(&[&[1], left, right])
}

/// Lower-case hexadecimal. Not for secrets: its time depends on nothing, but its answer is an ordinary `String`.
pub fn hex(bytes: &[u8]) -> String {
    let nibble = |value: u8| value + b'0' + 39 * u8::from(value > 9);
    let text = bytes.iter().flat_map(|byte| [nibble(byte >> 4), nibble(byte & 15)]).collect();
    // It is ASCII.
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(sha256(&[]), EMPTY_ROOT);
        // FIPS 180-2, B.1.
        assert_eq!(hex(&sha256(&[b"a", b"bc"])), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        // RFC 6962 reference implementation: the leaf of no bytes.
        assert_eq!(hex(&leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }

    #[test]
    fn a_leaf_is_never_a_node() {
        let (left, right) = (leaf_hash(b"a"), leaf_hash(b"b"));
        let both = [left, right].concat();
        assert_eq!(node_hash(&left, &right), sha256(&[&[1], &both]));
        assert_ne!(node_hash(&left, &right), leaf_hash(&both));
        assert_ne!(node_hash(&left, &right), node_hash(&right, &left));
    }

    #[test]
    fn hex_of_every_byte() {
        for byte in 0..=u8::MAX {
            assert_eq!(hex(&[byte]), format!("{byte:02x}"));
        }
    }
}
