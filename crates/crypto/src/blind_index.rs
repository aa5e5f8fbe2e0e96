//! A keyed hash of a value, to find or join rows by it without storing it.
//!
//! Equal values give equal indexes: that is its use and its leak. Normalisation (case, NFC) is the caller's, before.

use std::fmt;

use crate::key::Key;
use crate::mac::MacKey;
use crate::plaintext::Plaintext;

/// Computes blind indexes under one key, of [`crate::Purpose::BlindIndex`].
pub struct BlindIndex(MacKey);

impl BlindIndex {
    /// Takes the key.
    pub fn new(key: Key) -> Self {
        Self(MacKey::new(key))
    }

    /// HMAC-SHA256 of the value: 32 bytes.
    pub fn of(&self, value: &Plaintext) -> [u8; 32] {
        self.0.mac(&[value.expose()])
    }
}

impl fmt::Debug for BlindIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlindIndex(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_and_only_they_meet() {
        let key = Key::generate().unwrap();
        let index = BlindIndex::new(key.duplicate());
        let of = |text: &str| index.of(&Plaintext::from_text(text.into()));
        assert_eq!(of("synthetic 1"), of("synthetic 1"));
        assert_ne!(of("synthetic 1"), of("synthetic 2"));
        let other = BlindIndex::new(Key::generate().unwrap());
        assert_ne!(of("synthetic 1"), other.of(&Plaintext::from_text("synthetic 1".into())));
        assert_eq!(format!("{index:?}"), "BlindIndex(..)");
    }
}
