//! Alphabets: the characters that a template's values are made of, each a numeral.
//!
//! Characters are Unicode scalar values, compared byte for byte: nothing is normalised or folded.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use goldfin_crypto::Zeroizing;
use serde::{Deserialize, Serialize};

use super::misfit::Misfit;

/// What the names of built-in alphabets and templates begin with.
pub const BUILTIN: &str = "builtin/";

/// The most characters of an alphabet: the largest radix of FF1.
const MOST: usize = 65_536;

/// The characters of an alphabet in their order, and their numerals.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Alphabet {
    written: String,
    letters: Vec<char>,
    numerals: HashMap<char, u16>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Written {
    alphabet: String,
}

impl Alphabet {
    pub fn new(written: &str) -> Result<Self, &'static str> {
        let letters: Vec<char> = written.chars().collect();
        if !(2..=MOST).contains(&letters.len()) {
            return Err("must have 2 to 65,536 characters");
        }
        let mut numerals = HashMap::with_capacity(letters.len());
        for (at, letter) in letters.iter().enumerate() {
            let numeral = u16::try_from(at).map_err(|_| "must have 2 to 65,536 characters")?;
            if numerals.insert(*letter, numeral).is_some() {
                return Err("holds a character twice");
            }
        }
        Ok(Self { written: written.to_owned(), letters, numerals })
    }

    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    #[must_use]
    pub fn letters(&self) -> &[char] {
        &self.letters
    }

    #[must_use]
    pub fn has(&self, letter: char) -> bool {
        self.numerals.contains_key(&letter)
    }

    #[must_use]
    pub fn radix(&self) -> u32 {
        u32::try_from(self.letters.len()).unwrap_or(u32::MAX)
    }

    pub fn numerals(&self, text: &[char]) -> Result<Zeroizing<Vec<u16>>, Misfit> {
        let mut numerals = Zeroizing::new(Vec::with_capacity(text.len()));
        for letter in text {
            numerals.push(*self.numerals.get(letter).ok_or(Misfit::Alphabet)?);
        }
        Ok(numerals)
    }

    pub fn text(&self, numerals: &[u16]) -> Result<Zeroizing<Vec<char>>, Misfit> {
        let mut text = Zeroizing::new(Vec::with_capacity(numerals.len()));
        for numeral in numerals {
            text.push(*self.letters.get(usize::from(*numeral)).ok_or(Misfit::Alphabet)?);
        }
        Ok(text)
    }
}

impl TryFrom<Written> for Alphabet {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, &'static str> {
        Self::new(&written.alphabet)
    }
}

impl From<Alphabet> for Written {
    fn from(alphabet: Alphabet) -> Self {
        Self { alphabet: alphabet.written }
    }
}

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";

static BUILT_IN: LazyLock<Vec<(&'static str, Arc<Alphabet>)>> = LazyLock::new(|| {
    let written = [
        ("alphalower", LOWER.to_owned()),
        ("alphanumeric", format!("{DIGITS}{LOWER}{UPPER}")),
        ("alphanumericlower", format!("{DIGITS}{LOWER}")),
        ("alphanumericupper", format!("{DIGITS}{UPPER}")),
        ("alphaupper", UPPER.to_owned()),
        ("email", format!("{DIGITS}{LOWER}{UPPER}._%+-")),
        ("numeric", DIGITS.to_owned()),
    ];
    written.into_iter().filter_map(|(name, text)| Some((name, Arc::new(Alphabet::new(&text).ok()?)))).collect()
});

/// A built-in alphabet by its name without `builtin/`.
#[must_use]
pub fn built_in(name: &str) -> Option<Arc<Alphabet>> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, alphabet)| Arc::clone(alphabet))
}

/// The names of the built-in alphabets, with `builtin/`.
pub fn built_in_names() -> impl Iterator<Item = String> {
    BUILT_IN.iter().map(|(name, _)| format!("{BUILTIN}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_numerals_and_back() {
        let alphabet = Alphabet::new("a🦊é").expect("an alphabet");
        assert_eq!(alphabet.radix(), 3);
        let text = ['é', 'a', '🦊'];
        let numerals = alphabet.numerals(&text).expect("numerals");
        assert_eq!(*numerals, [2, 0, 1]);
        assert_eq!(*alphabet.text(&numerals).expect("text"), text);
        // Composed and decomposed are different texts.
        assert_eq!(alphabet.numerals(&['e', '\u{301}']), Err(Misfit::Alphabet));
    }

    #[test]
    fn what_is_no_alphabet_is_refused() {
        for wrong in ["", "a", "aa", "abca"] {
            assert!(Alphabet::new(wrong).is_err(), "{wrong}");
        }
        let all: String = ('\u{1}'..).take(65_537).collect();
        assert!(Alphabet::new(&all).is_err());
        assert!(Alphabet::new(&all.chars().skip(1).collect::<String>()).is_ok());
    }

    #[test]
    fn the_built_in_ones_are_there() {
        let sizes: Vec<(String, u32)> = built_in_names()
            .map(|name| (name.clone(), built_in(name.strip_prefix(BUILTIN).unwrap_or_default()).expect("one").radix()))
            .collect();
        let expected = [
            ("alphalower", 26),
            ("alphanumeric", 62),
            ("alphanumericlower", 36),
            ("alphanumericupper", 36),
            ("alphaupper", 26),
            ("email", 67),
            ("numeric", 10),
        ];
        assert_eq!(sizes, expected.map(|(name, size)| (format!("builtin/{name}"), size)));
    }
}
