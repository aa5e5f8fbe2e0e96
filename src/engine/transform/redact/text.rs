//! A text that is searched, and a text that is put together. The only file of free text that reads a secret.
//!
//! Positions are Unicode code points, as Python counts them: what Presidio says of a text fits without conversion.

use goldfin_crypto::{Plaintext, Zeroizing};

use crate::model::fault::Fault;

/// The code points of a text, zeroized on drop.
pub(super) struct Letters(Zeroizing<Vec<char>>);

impl Letters {
    pub fn of(text: &Plaintext) -> Result<Self, Fault> {
        let text = read(text)?;
        // At its full size from the beginning: a buffer that grows leaves copies behind.
        let mut letters = Zeroizing::new(Vec::with_capacity(text.chars().count()));
        letters.extend(text.chars());
        Ok(Self(letters))
    }

    pub fn all(&self) -> &[char] {
        &self.0
    }

    pub fn between(&self, start: usize, end: usize) -> &[char] {
        self.0.get(start..end).unwrap_or_default()
    }
}

/// The text as it came.
pub(super) fn read(text: &Plaintext) -> Result<&str, Fault> {
    text.expose_text().map_err(|_| Fault::Internal("text"))
}

/// A value of its own out of a text.
pub(super) fn value_of(letters: &[char]) -> Plaintext {
    let mut value = String::with_capacity(letters.iter().map(|letter| letter.len_utf8()).sum());
    value.extend(letters);
    Plaintext::from_text(value)
}

/// A text that grows piece by piece in a buffer that never moves.
pub(super) struct Composer {
    out: Zeroizing<String>,
    written: usize,
}

impl Composer {
    /// `most` bytes at most.
    pub fn new(most: usize) -> Self {
        Self { out: Zeroizing::new(String::with_capacity(most)), written: 0 }
    }

    /// How many code points there are so far.
    pub fn position(&self) -> usize {
        self.written
    }

    pub fn letters(&mut self, letters: &[char]) {
        self.out.extend(letters);
        self.written += letters.len();
    }

    pub fn text(&mut self, text: &str) {
        self.out.push_str(text);
        self.written += text.chars().count();
    }

    pub fn value(&mut self, value: &Plaintext) -> Result<(), Fault> {
        self.text(read(value)?);
        Ok(())
    }

    pub fn finish(mut self) -> Plaintext {
        Plaintext::from_text(std::mem::take(&mut *self.out))
    }
}
