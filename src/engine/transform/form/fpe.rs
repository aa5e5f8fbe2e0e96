//! Format-preserving encryption of a value's captured characters with FF1. Nothing is stored and nothing is authenticated.
//!
//! What the alphabet can write but the pattern does not admit is walked over (encrypted again until it is admitted), which keeps the
//! mapping one to one in both directions. So is a wrong card checksum; a right one is taken off and put back.

use goldfin_crypto::{Ff1Key, Zeroizing, ff1};

use super::alphabet::Alphabet;
use super::builtin::{luhn_digit, luhn_holds};
use super::misfit::Misfit;
use super::template::{Taken, Template};

/// How many times more strings an alphabet may write than the pattern admits: on average that many encryptions a value.
pub const WIDEST: u128 = 256;

/// Enough for a pattern within [`WIDEST`], but for one value in 10^27.
const MOST_STEPS: usize = 16_384;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Encode,
    Decode,
}

/// What encrypts the values of one template.
#[derive(Debug)]
pub struct Fpe<'a> {
    pub template: &'a Template,
    pub alphabet: &'a Alphabet,
    pub key: &'a Ff1Key,
}

impl Fpe<'_> {
    /// The value with its captured characters encrypted or decrypted, in its own layout.
    pub fn turn(&self, value: &str, tweak: &[u8], direction: Direction) -> Result<Zeroizing<String>, Misfit> {
        let taken = self.template.take(value)?;
        let checked = self.template.built_in().is_some_and(|built_in| built_in.luhn);
        let right = checked && luhn_holds(&taken.captured);
        let numbered = if right { taken.captured.split_last().map_or(&[][..], |(_, rest)| rest) } else { &taken.captured[..] };
        let mut numerals = self.alphabet.numerals(numbered)?;
        if numerals.len() < ff1::shortest(self.alphabet.radix()) {
            return Err(Misfit::Short);
        }
        for _ in 0..MOST_STEPS {
            numerals = match direction {
                Direction::Encode => self.key.encrypt(tweak, numerals),
                Direction::Decode => self.key.decrypt(tweak, numerals),
            }
            .map_err(|_| Misfit::Broken)?;
            let mut characters = self.alphabet.text(&numerals)?;
            if right {
                let check = luhn_digit(&characters).ok_or(Misfit::Broken)?;
                characters.push(check);
            } else if checked && luhn_holds(&characters) {
                continue;
            }
            let text = taken.put(&characters)?;
            if self.admits(&text, &taken, &characters) {
                return Ok(text);
            }
        }
        Err(Misfit::Walk)
    }

    /// Whether the text would be taken apart as it was put together.
    fn admits(&self, text: &str, taken: &Taken, characters: &[char]) -> bool {
        self.template.take(text).is_ok_and(|again| again.layout == taken.layout && *again.captured == *characters)
    }

    /// An encoded value as the template's `encode_format` writes it. It must still be read as the same characters.
    pub fn formatted(&self, encoded: Zeroizing<String>) -> Result<Zeroizing<String>, Misfit> {
        let Some(format) = &self.template.written().encode_format else { return Ok(encoded) };
        let written = self.template.rewrite(&encoded, format)?;
        let (before, after) = (self.template.take(&encoded)?, self.template.take(&written).map_err(|_| Misfit::Ambiguous)?);
        if *before.captured == *after.captured { Ok(written) } else { Err(Misfit::Ambiguous) }
    }
}

/// What is wrong with a template for FF1.
pub fn check(template: &Template, alphabet: &Alphabet) -> Result<(), &'static str> {
    let domain = template.pattern().smallest_domain(alphabet);
    if domain == 0 {
        return Err("captures nothing that its alphabet can write, change one of them");
    }
    if domain < u128::from(ff1::SMALLEST_DOMAIN) {
        return Err("has fewer than 1,000,000 values of one length, too few for FF1; use tokenization, or masking");
    }
    if template.pattern().is_narrow(alphabet, WIDEST) {
        return Err("admits too few of the strings that its alphabet can write, use an alphabet without the other characters");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use goldfin_crypto::Key;
    use proptest::prelude::*;

    use super::super::{alphabet, builtin, template::Written};
    use super::*;

    fn turn(template: &Template, letters: &Alphabet, value: &str, tweak: &[u8], direction: Direction) -> Result<String, Misfit> {
        let key = Ff1Key::new(&Key::from_exposed(Zeroizing::new([5; 32])), letters.radix()).expect("a key");
        let fpe = Fpe { template, alphabet: letters, key: &key };
        let turned = fpe.turn(value, tweak, direction)?;
        let turned = if direction == Direction::Encode { fpe.formatted(turned)? } else { turned };
        Ok(turned.to_string())
    }

    fn own(pattern: &str, encode_format: Option<&str>) -> Template {
        Template::new(Written {
            pattern: pattern.into(),
            alphabet: "own".into(),
            encode_format: encode_format.map(str::to_owned),
            decode_formats: BTreeMap::new(),
        })
        .expect(pattern)
    }

    fn built_in(name: &str) -> (std::sync::Arc<Template>, std::sync::Arc<Alphabet>) {
        let template = builtin::built_in(name).expect(name);
        let letters = alphabet::built_in(template.written().alphabet.trim_start_matches("builtin/")).expect(name);
        (template, letters)
    }

    #[test]
    fn built_in_kinds_keep_their_format() {
        for (name, value) in [
            ("socialsecuritynumber", "000-12-3456"),
            ("creditcardnumber", "4111 1111 1111 1111"),
            ("creditcardnumber", "4111111111111112"),
            ("creditcardnumber", "3782-822463-10005"),
            ("dateofbirth", "1946-02-28"),
            ("usdateofbirth", "02/28/1946"),
            ("phone", "+1 (555) 010-1234"),
            ("email", "jane+va@example.org"),
            ("vafilenumber", "C12345678"),
            ("edipi", "1234567890"),
            ("icn", "1012667145V762142"),
            ("zipplusfour", "12345-6789"),
        ] {
            let (template, letters) = built_in(name);
            assert_eq!(check(&template, &letters), Ok(()), "{name}");
            let made = turn(&template, &letters, value, b"tweak-1", Direction::Encode).expect(name);
            assert!(made != value && made.len() == value.len(), "{name} {made}");
            assert_eq!(turn(&template, &letters, &made, b"tweak-1", Direction::Decode).as_deref(), Ok(value), "{name}");
            assert_ne!(turn(&template, &letters, &made, b"tweak-2", Direction::Decode).as_deref(), Ok(value), "{name}");
        }
        for name in ["zip", "emailkeepdomain"] {
            let (template, letters) = built_in(name);
            assert!(check(&template, &letters).is_err_and(|why| why.contains("1,000,000")), "{name}");
        }
    }

    #[test]
    fn a_million_is_enough_and_one_less_is_not() {
        let digits = alphabet::built_in("numeric").expect("numeric");
        assert_eq!(check(&own("([0-9]{6})", None), &digits), Ok(()));
        assert!(check(&own("([0-9]{5}[0-8])", None), &digits).is_err());
        assert!(check(&own("([a-z]{6})", None), &digits).is_err_and(|why| why.contains("alphabet")));
        assert!(check(&own("([01]{30})", None), &digits).is_err_and(|why| why.contains("alphabet")));
        let template = own("([0-9]*)", None);
        assert_eq!(turn(&template, &digits, "12345", b"", Direction::Encode), Err(Misfit::Short));
        assert_eq!(turn(&template, &digits, "", b"", Direction::Encode), Err(Misfit::Short));
    }

    #[test]
    fn an_encode_format_is_how_it_is_written() {
        let digits = alphabet::built_in("numeric").expect("numeric");
        let template = own("(?:SSN:? ?)?([0-9]{3})[- ]?([0-9]{2})[- ]?([0-9]{4})", Some("$1-$2-$3"));
        let made = turn(&template, &digits, "SSN: 123456789", b"", Direction::Encode).expect("encoded");
        assert!(made.len() == 11 && made.contains('-'), "{made}");
        assert_eq!(turn(&template, &digits, &made, b"", Direction::Decode).as_deref(), Ok("123-45-6789"));
        let wrong = own("A([0-9]{9})", Some("$1"));
        assert_eq!(turn(&wrong, &digits, "A123456789", b"", Direction::Encode), Err(Misfit::Ambiguous));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn what_is_encoded_comes_back(value in "[0-9]{9}", tweak in proptest::collection::vec(any::<u8>(), 7)) {
            let (template, letters) = built_in("socialsecuritynumber");
            let made = turn(&template, &letters, &value, &tweak, Direction::Encode).expect("encoded");
            prop_assert!(made.len() == 9 && made.bytes().all(|byte| byte.is_ascii_digit()));
            prop_assert_eq!(turn(&template, &letters, &made, &tweak, Direction::Decode), Ok(value));
        }

        #[test]
        fn cards_keep_their_checksum(value in "[0-9]{13,19}") {
            let (template, letters) = built_in("creditcardnumber");
            let made = turn(&template, &letters, &value, b"", Direction::Encode).expect("encoded");
            let digits = |text: &str| text.chars().collect::<Vec<char>>();
            prop_assert_eq!(luhn_holds(&digits(&made)), luhn_holds(&digits(&value)));
            prop_assert_eq!(turn(&template, &letters, &made, b"", Direction::Decode), Ok(value));
        }

        #[test]
        fn unicode_comes_back_character_by_character(value in "[é🦊a-f\u{301}]{20,40}", around in "[x ]{0,3}") {
            let letters = Alphabet::new("abcdefé🦊\u{301}").expect("an alphabet");
            let template = own("[x ]*([é🦊a-f\u{301}]{20,40})", None);
            let value = format!("{around}{value}");
            let made = turn(&template, &letters, &value, b"", Direction::Encode).expect("encoded");
            prop_assert_eq!(made.chars().count(), value.chars().count());
            prop_assert_eq!(turn(&template, &letters, &made, b"", Direction::Decode), Ok(value));
        }
    }
}
