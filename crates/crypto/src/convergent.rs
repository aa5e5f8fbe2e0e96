//! Convergent PII tokens: the same value gives the same secret, hence the same token.
//!
//! Whoever holds the key can test a guess against a token: that is the price of equality. Secret and index come from keys of
//! their own, so that the stored index says nothing about the secret in the token.

use std::fmt;

use zeroize::Zeroizing;

use crate::blind_index::BlindIndex;
use crate::data_key::DataKey;
use crate::key::Purpose;
use crate::mac::MacKey;
use crate::plaintext::Plaintext;
use crate::token::TokenSecret;

/// Derives secrets and indexes of the values of one transformation, under its own key or a data subject's.
pub struct Convergent {
    secret: MacKey,
    index: BlindIndex,
}

/// What a value is found by: the first 16 bytes of its blind index.
pub type ValueIndex = [u8; 16];

impl Convergent {
    /// `transformation` separates the transformations that share a subject's key.
    pub fn new(key: &DataKey, transformation: i32) -> Self {
        let context: [&[u8]; 1] = [&transformation.to_be_bytes()];
        Self {
            secret: MacKey::new(key.derive(Purpose::ConvergentSecret, &context)),
            index: BlindIndex::new(key.derive(Purpose::BlindIndex, &context)),
        }
    }

    /// The first 16 bytes of HMAC-SHA256 over the value's length (8 bytes, big endian) and the value.
    pub fn secret(&self, value: &Plaintext) -> TokenSecret {
        let tag = Zeroizing::new(self.secret.mac(&[value.expose()]));
        let mut secret = Zeroizing::new([0; 16]);
        let (head, _) = tag.split_at(secret.len());
        secret.copy_from_slice(head);
        TokenSecret::from_exposed(secret)
    }

    /// Where the value is found.
    pub fn index(&self, value: &Plaintext) -> ValueIndex {
        let mut index = [0; 16];
        let tag = self.index.of(value);
        let (head, _) = tag.split_at(index.len());
        index.copy_from_slice(head);
        index
    }
}

impl fmt::Debug for Convergent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Convergent(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_key::KeyId;

    const ID: KeyId = KeyId { id: 1, version: 0 };

    #[test]
    fn equal_values_meet_within_one_key_and_transformation_only() {
        let (key, other) = (DataKey::generate(ID).unwrap(), DataKey::generate(ID).unwrap());
        let text = |text: &str| Plaintext::from_text(text.into());
        let of = |key, number, value| {
            let convergent = Convergent::new(key, number);
            (*convergent.secret(&text(value)).expose(), convergent.index(&text(value)))
        };
        let (secret, index) = of(&key, 1, "synthetic 1");
        assert_eq!(of(&key, 1, "synthetic 1"), (secret, index));
        assert_ne!(secret, index);
        for (their_secret, their_index) in [of(&key, 1, "synthetic 2"), of(&key, 2, "synthetic 1"), of(&other, 1, "synthetic 1")] {
            assert!(their_secret != secret && their_index != index);
        }
        assert_eq!(format!("{:?}", Convergent::new(&key, 1)), "Convergent(..)");
    }
}
