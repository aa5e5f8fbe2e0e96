//! What proves a ledger, as `docs/ledger-format.md` describes it: the tree of RFC 6962, its proofs and tiles, and signed checkpoints.
//!
//! Pure functions over bytes, for the server and for whoever does not trust it. Deliberately absent: files, sockets, SQL, the time.

#![forbid(unsafe_code)]

pub mod note;
pub mod proof;
pub mod tile;
pub mod tree;
pub mod witness;

pub use goldfin_crypto::digest::{hex, leaf_hash, node_hash};
pub use goldfin_crypto::{SigningKey, VerifyingKey};

/// 32 bytes from 64 digits of lower-case hexadecimal.
#[must_use]
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(out)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_reads_back_and_nonsense_does_not() {
        let hash: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 8 + 7).unwrap());
        assert_eq!(unhex(&hex(&hash)), Some(hash));
        for wrong in ["", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"A".repeat(64)] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
