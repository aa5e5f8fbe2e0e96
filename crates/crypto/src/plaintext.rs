//! A value that must not be seen: moved, not copied, wiped when dropped, read by one greppable word.
//!
//! Deliberately absent: `Display`, `Clone`, `PartialEq`, `AsRef`, `Deref`, serialisation.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::CryptoError;
use crate::mac::constant_time_eq;

/// Secret bytes of any length, zeroized on drop.
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// Takes the bytes; the allocation is kept, so no copy stays behind.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Takes the text; the allocation is kept, so no copy stays behind.
    pub fn from_text(text: String) -> Self {
        Self::new(text.into_bytes())
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it holds no byte.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Reads the bytes as text. [`CryptoError::NotText`] unless they are UTF-8.
    pub fn expose_text(&self) -> Result<&str, CryptoError> {
        std::str::from_utf8(&self.0).map_err(|_| CryptoError::NotText)
    }

    /// Gives the bytes away, still zeroizing.
    pub fn expose_into(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// Compares the contents in constant time; only the lengths may show.
    pub fn constant_time_eq(&self, other: &Plaintext) -> bool {
        constant_time_eq(&self.0, &other.0)
    }

    pub(crate) fn from_zeroizing(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_is_constant() {
        let short = format!("{:?}", Plaintext::new(vec![1]));
        let long = format!("{:#?}", Plaintext::from_text("synthetic canary".into()));
        assert_eq!(short, "Plaintext(..)");
        assert_eq!(short, long);
    }

    #[test]
    fn text_must_be_utf8() {
        assert_eq!(Plaintext::new(vec![0xff]).expose_text(), Err(CryptoError::NotText));
        let text = Plaintext::from_text("größe".into());
        assert_eq!(text.expose_text(), Ok("größe"));
        assert_eq!(text.len(), 7);
        assert_eq!(text.expose_into().as_slice(), "größe".as_bytes());
    }

    #[test]
    fn equality_is_by_content() {
        let one = || Plaintext::new(vec![1, 2, 3]);
        assert!(one().constant_time_eq(&one()));
        assert!(!one().constant_time_eq(&Plaintext::new(vec![1, 2, 4])));
        assert!(!one().constant_time_eq(&Plaintext::new(vec![1, 2])));
        assert!(Plaintext::new(Vec::new()).is_empty());
    }
}
