//! Shamir's secret sharing of a key over GF(256), byte by byte, in constant time.
//!
//! Field and share layout are those of HashiCorp Vault: polynomial 0x11b (FIPS 197, 4.2), 32 bytes y then 1 byte x.
//! No table is indexed by a secret and no branch depends on one; the share numbers x are public. A wrong share gives a
//! wrong key, never an error: check the key afterwards ([`crate::Purpose::RootCheck`]).

use std::fmt;

use zeroize::Zeroizing;

use crate::error::CryptoError;
use crate::key::{KEY_BYTES, Key};
use crate::random;

/// One share of a key, zeroized on drop.
pub struct Share {
    x: u8,
    y: Zeroizing<[u8; KEY_BYTES]>,
}

/// Length of a share in bytes.
pub const SHARE_BYTES: usize = KEY_BYTES + 1;

impl Share {
    /// The stored form: 32 bytes y, 1 byte x.
    pub fn to_bytes(&self) -> Zeroizing<[u8; SHARE_BYTES]> {
        let mut bytes = Zeroizing::new([0; SHARE_BYTES]);
        let (y, x) = bytes.split_at_mut(KEY_BYTES);
        y.copy_from_slice(self.y.as_slice());
        x.fill(self.x);
        bytes
    }

    /// Reads the stored form. [`CryptoError::Malformed`] for another length or x = 0, which would be the key itself.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        match bytes.split_last() {
            Some((&x, front)) if x != 0 && front.len() == KEY_BYTES => {
                let mut y = Zeroizing::new([0; KEY_BYTES]);
                y.copy_from_slice(front);
                Ok(Self { x, y })
            }
            _ => Err(CryptoError::Malformed),
        }
    }

    /// The share's number, from 1.
    pub fn number(&self) -> u8 {
        self.x
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Share(..)")
    }
}

/// Splits a key into `shares` shares, any `threshold` of which give it back; numbers 1 to `shares`. With a threshold
/// of 1 every share holds the key itself. Every coefficient, the top one included, is uniformly random.
/// [`CryptoError::Threshold`] unless 1 <= threshold <= shares; [`CryptoError::Random`].
pub fn split(key: &Key, shares: u8, threshold: u8) -> Result<Vec<Share>, CryptoError> {
    if threshold == 0 || threshold > shares {
        return Err(CryptoError::Threshold);
    }
    let mut coefficients = Zeroizing::new(vec![0; KEY_BYTES * (usize::from(threshold) - 1)]);
    random::fill_key(&mut coefficients)?;
    Ok((1..=shares).map(|x| evaluate(key, &coefficients, x)).collect())
}

/// The key behind the shares: all of them are used, so give exactly as many as the threshold or more.
/// [`CryptoError::Shares`] if none is given or a number comes twice.
pub fn combine(shares: &[Share]) -> Result<Key, CryptoError> {
    let repeated = shares.iter().enumerate().any(|(at, share)| shares.iter().skip(at + 1).any(|other| other.x == share.x));
    if shares.is_empty() || repeated {
        return Err(CryptoError::Shares);
    }
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for share in shares {
        let weight = weight_at_zero(share, shares);
        for (sum, y) in key.iter_mut().zip(share.y.iter()) {
            *sum ^= multiply(*y, weight);
        }
    }
    Ok(Key::from_exposed(key))
}

/// Horner's rule, from the top coefficient down to the key.
fn evaluate(key: &Key, coefficients: &[u8], x: u8) -> Share {
    let mut y = Zeroizing::new([0; KEY_BYTES]);
    for row in coefficients.chunks_exact(KEY_BYTES).rev() {
        add_times(&mut y, row, x);
    }
    add_times(&mut y, key.expose_bytes(), x);
    Share { x, y }
}

fn add_times(y: &mut [u8; KEY_BYTES], row: &[u8], x: u8) {
    for (sum, coefficient) in y.iter_mut().zip(row) {
        *sum = multiply(*sum, x) ^ coefficient;
    }
}

/// Lagrange's basis polynomial of one share at 0: the product of x_j / (x_j - x_i). Subtraction is xor.
fn weight_at_zero(share: &Share, shares: &[Share]) -> u8 {
    shares
        .iter()
        .filter(|other| other.x != share.x)
        .fold(1, |product, other| multiply(product, multiply(other.x, inverse(other.x ^ share.x))))
}

/// Product in GF(256) modulo x^8 + x^4 + x^3 + x + 1, by shift and mask.
fn multiply(a: u8, b: u8) -> u8 {
    (0..8).rev().fold(0_u8, |product, bit| {
        let reduce = (product >> 7).wrapping_neg() & 0x1b;
        let add = ((b >> bit) & 1).wrapping_neg() & a;
        (product << 1) ^ reduce ^ add
    })
}

/// a^254, the inverse of a; 0 for 0.
fn inverse(a: u8) -> u8 {
    let square = |value| multiply(value, value);
    // 254 = 0b1111_1110: after each squaring but the last, one more factor a.
    let power = (0..6).fold(a, |power, _| multiply(square(power), a));
    square(power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::tests::without_randomness;

    /// The same field by another way: carry-less product, then division by 0x11b.
    fn by_long_division(a: u8, b: u8) -> u8 {
        let product = (0..8).filter(|bit| b >> bit & 1 == 1).fold(0_u16, |sum, bit| sum ^ (u16::from(a) << bit));
        (8..15).rev().fold(product, |rest, bit| if rest >> bit & 1 == 1 { rest ^ (0x11b << (bit - 8)) } else { rest }) as u8
    }

    #[test]
    fn the_field_is_that_of_aes() {
        // FIPS 197, 4.2 and 4.2.1.
        assert_eq!(multiply(0x57, 0x83), 0xc1);
        assert_eq!(multiply(0x57, 0x13), 0xfe);
        assert_eq!(inverse(0x53), 0xca);
        assert_eq!(inverse(0), 0);
        for a in 0..=u8::MAX {
            for b in 0..=u8::MAX {
                assert_eq!(multiply(a, b), by_long_division(a, b));
            }
            assert_eq!(multiply(a, inverse(a)), u8::from(a != 0));
        }
    }

    #[test]
    fn no_randomness_no_shares() {
        let key = Key::generate().unwrap();
        let error = without_randomness(|| split(&key, 3, 2).map(|_| ()));
        assert_eq!(error, Err(CryptoError::Random));
    }
}
