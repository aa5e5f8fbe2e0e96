//! Format-preserving encryption: FF1 of SP 800-38G, revision 1, with AES-256.
//!
//! A string of numerals becomes another of the same length and radix. Nothing authenticates it: every string decrypts to something,
//! under whatever key or tweak. FF3 and FF3-1 are withdrawn and deliberately absent. While it works, the crate underneath holds the
//! halves of a string as big numbers that it does not wipe.

use std::fmt;

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};
use zeroize::Zeroizing;

use crate::error::CryptoError;
use crate::key::Key;

/// The smallest number of strings of one length that may be encrypted (SP 800-38G r1, 5.2).
pub const SMALLEST_DOMAIN: u64 = 1_000_000;

/// The largest radix.
pub const LARGEST_RADIX: u32 = 1 << 16;

/// The longest string, in numerals: the cost grows with the square of the length.
pub const MAX_NUMERALS: usize = 4096;

/// The longest tweak, in bytes.
pub const MAX_TWEAK_BYTES: usize = 256;

/// A key of one radix. The AES key schedule is zeroized on drop.
pub struct Ff1Key {
    cipher: FF1<Aes256>,
    radix: u32,
}

impl Ff1Key {
    /// `key` belongs to this use alone ([`crate::Purpose::Ff1`]). [`CryptoError::Domain`] unless the radix is 2 to 65,536.
    pub fn new(key: &Key, radix: u32) -> Result<Self, CryptoError> {
        let cipher = FF1::new(key.expose_bytes(), radix).map_err(|_| CryptoError::Domain)?;
        Ok(Self { cipher, radix })
    }

    /// Encrypts numerals below the radix, most significant first. [`CryptoError::Domain`] when one is not, or when there are fewer
    /// than [`shortest`] or more than [`MAX_NUMERALS`]; [`CryptoError::TooLarge`] for a tweak over [`MAX_TWEAK_BYTES`].
    pub fn encrypt(&self, tweak: &[u8], numerals: Zeroizing<Vec<u16>>) -> Result<Zeroizing<Vec<u16>>, CryptoError> {
        let given = self.check(tweak, numerals)?;
        let made = self.cipher.encrypt(tweak, &given).map_err(|_| CryptoError::Domain);
        wiped(given);
        made.map(|made| Zeroizing::new(made.into()))
    }

    /// The way back. Errors as [`Ff1Key::encrypt`].
    pub fn decrypt(&self, tweak: &[u8], numerals: Zeroizing<Vec<u16>>) -> Result<Zeroizing<Vec<u16>>, CryptoError> {
        let given = self.check(tweak, numerals)?;
        let made = self.cipher.decrypt(tweak, &given).map_err(|_| CryptoError::Domain);
        wiped(given);
        made.map(|made| Zeroizing::new(made.into()))
    }

    /// The number of numerals.
    pub fn radix(&self) -> u32 {
        self.radix
    }

    fn check(&self, tweak: &[u8], mut numerals: Zeroizing<Vec<u16>>) -> Result<FlexibleNumeralString, CryptoError> {
        if tweak.len() > MAX_TWEAK_BYTES {
            return Err(CryptoError::TooLarge);
        }
        let fits = numerals.len() >= shortest(self.radix) && numerals.len() <= MAX_NUMERALS;
        if !fits || numerals.iter().any(|numeral| u32::from(*numeral) >= self.radix) {
            return Err(CryptoError::Domain);
        }
        Ok(std::mem::take(&mut *numerals).into())
    }
}

fn wiped(numerals: FlexibleNumeralString) {
    drop(Zeroizing::new(Vec::<u16>::from(numerals)));
}

impl fmt::Debug for Ff1Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ff1Key(..)")
    }
}

/// How many numerals of this radix make the smallest domain; at least 2.
pub fn shortest(radix: u32) -> usize {
    let (mut length, mut domain) = (1, u64::from(radix.max(2)));
    while domain < SMALLEST_DOMAIN {
        domain = domain.saturating_mul(u64::from(radix.max(2)));
        length += 1;
    }
    length.max(2)
}

/// A keyed permutation of the numbers below `size`: FF1 over a few numerals whose domain is hardly larger, walked until the number
/// is below `size` again.
pub struct NumberPermutation {
    key: Ff1Key,
    numerals: u32,
    size: u64,
}

impl NumberPermutation {
    /// [`CryptoError::Domain`] unless there are at least [`SMALLEST_DOMAIN`] numbers.
    pub fn new(key: &Key, size: u64) -> Result<Self, CryptoError> {
        if size < SMALLEST_DOMAIN {
            return Err(CryptoError::Domain);
        }
        let numerals = if size <= 1 << 32 { 2 } else { 4 };
        let mut radix = 1 << 16;
        for bit in (0..16).rev() {
            let smaller = radix - (1 << bit);
            if u64::from(smaller).checked_pow(numerals).is_none_or(|domain| domain >= size) {
                radix = smaller;
            }
        }
        Ok(Self { key: Ff1Key::new(key, radix)?, numerals, size })
    }

    /// How many numbers are permuted.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where `number` goes. [`CryptoError::Domain`] unless it is below the size.
    pub fn forward(&self, tweak: &[u8], number: u64) -> Result<u64, CryptoError> {
        self.walk(number, |numerals| self.key.encrypt(tweak, numerals))
    }

    /// Where `number` comes from. Errors as [`NumberPermutation::forward`].
    pub fn backward(&self, tweak: &[u8], number: u64) -> Result<u64, CryptoError> {
        self.walk(number, |numerals| self.key.decrypt(tweak, numerals))
    }

    /// Ends: a permutation leads back to `number` itself at the latest.
    fn walk(
        &self,
        number: u64,
        step: impl Fn(Zeroizing<Vec<u16>>) -> Result<Zeroizing<Vec<u16>>, CryptoError>,
    ) -> Result<u64, CryptoError> {
        if number >= self.size {
            return Err(CryptoError::Domain);
        }
        let radix = u64::from(self.key.radix);
        let mut at = number;
        loop {
            let mut numerals = Zeroizing::new(Vec::with_capacity(4));
            for place in (0..self.numerals).rev() {
                numerals.push(u16::try_from(at / radix.pow(place) % radix).map_err(|_| CryptoError::Domain)?);
            }
            let walked = step(numerals)?.iter().try_fold(0_u64, |sum, numeral| sum.checked_mul(radix)?.checked_add(u64::from(*numeral)));
            match walked {
                Some(walked) if walked < self.size => return Ok(walked),
                Some(walked) => at = walked,
                None => return Err(CryptoError::Domain),
            }
        }
    }
}

impl fmt::Debug for NumberPermutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NumberPermutation(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn key(byte: u8) -> Key {
        Key::from_exposed(Zeroizing::new([byte; 32]))
    }

    fn digits(text: &str) -> Zeroizing<Vec<u16>> {
        Zeroizing::new(text.bytes().map(|digit| u16::from(digit - b'0')).collect())
    }

    #[test]
    fn a_domain_below_a_million_is_refused() {
        let ten = Ff1Key::new(&key(1), 10).unwrap();
        assert_eq!(ten.encrypt(b"", digits("12345")), Err(CryptoError::Domain));
        assert!(ten.encrypt(b"", digits("000000")).is_ok());
        for (radix, length) in [(2, 20), (10, 6), (26, 5), (32, 4), (99, 4), (100, 3), (999, 3), (1000, 2), (65_536, 2)] {
            assert_eq!(shortest(radix), length, "{radix}");
            let numerals = |length| Zeroizing::new(vec![0; length]);
            let key = Ff1Key::new(&key(1), radix).unwrap();
            assert_eq!(key.encrypt(b"", numerals(length - 1)), Err(CryptoError::Domain), "{radix}");
            assert_eq!(key.encrypt(b"", numerals(length)).unwrap().len(), length, "{radix}");
        }
        for radix in [0, 1, 65_537, u32::MAX] {
            assert_eq!(Ff1Key::new(&key(1), radix).map(|_| ()), Err(CryptoError::Domain), "{radix}");
        }
        assert_eq!(NumberPermutation::new(&key(1), 999_999).map(|_| ()), Err(CryptoError::Domain));
        assert!(NumberPermutation::new(&key(1), 1_000_000).is_ok());
    }

    #[test]
    fn the_bounds_of_length_tweak_and_numerals_hold() {
        let ten = Ff1Key::new(&key(1), 10).unwrap();
        assert_eq!(ten.encrypt(&[0; MAX_TWEAK_BYTES + 1], digits("123456")), Err(CryptoError::TooLarge));
        assert!(ten.encrypt(&[0; MAX_TWEAK_BYTES], digits("123456")).is_ok());
        assert_eq!(ten.encrypt(b"", Zeroizing::new(vec![0; MAX_NUMERALS + 1])), Err(CryptoError::Domain));
        assert_eq!(ten.decrypt(b"", Zeroizing::new(vec![0, 0, 0, 0, 0, 10])), Err(CryptoError::Domain));
    }

    #[test]
    fn another_tweak_or_key_gives_another_string_and_zeros_stay() {
        let ten = Ff1Key::new(&key(1), 10).unwrap();
        let made = ten.encrypt(b"one", digits("000000001")).unwrap();
        assert_eq!(made.len(), 9);
        assert_ne!(made, ten.encrypt(b"two", digits("000000001")).unwrap());
        assert_ne!(made, Ff1Key::new(&key(2), 10).unwrap().encrypt(b"one", digits("000000001")).unwrap());
        assert_ne!(ten.decrypt(b"two", made.clone()).unwrap(), digits("000000001"));
        assert_eq!(ten.decrypt(b"one", made).unwrap(), digits("000000001"));
    }

    #[test]
    fn numbers_are_permuted_without_collision() {
        let all = NumberPermutation::new(&key(3), 1_000_003).unwrap();
        let mut seen = HashSet::new();
        for number in (0..3000).chain(1_000_000..1_000_003) {
            let there = all.forward(b"t", number).unwrap();
            assert!(there < 1_000_003 && seen.insert(there));
            assert_eq!(all.backward(b"t", there), Ok(number));
        }
        // Neighbours are spread: every hundredth of the range is met.
        assert_eq!(seen.iter().map(|there| there / 10_001).collect::<HashSet<_>>().len(), 100);
        assert_eq!(all.forward(b"t", 1_000_003), Err(CryptoError::Domain));
        assert_ne!(all.forward(b"u", 0), all.forward(b"t", 0));
    }

    #[test]
    fn the_permutation_covers_every_size() {
        for size in [1_000_000, 1_000_001, u64::from(u32::MAX), 1 << 32, (1 << 32) + 1, 10_u64.pow(15), u64::MAX - 1, u64::MAX] {
            let all = NumberPermutation::new(&key(4), size).unwrap();
            for number in [0, 1, size / 2, size - 1] {
                let there = all.forward(b"", number).unwrap();
                assert!(there < size);
                assert_eq!(all.backward(b"", there), Ok(number));
            }
        }
    }

    #[test]
    fn debug_says_nothing() {
        assert_eq!(format!("{:?}", Ff1Key::new(&key(1), 10).unwrap()), "Ff1Key(..)");
        assert_eq!(format!("{:?}", NumberPermutation::new(&key(1), 1_000_000).unwrap()), "NumberPermutation(..)");
    }
}
