//! The built-in templates, and the shapes of their tokens: where a format has values that nobody is given, tokens are made of those.

use std::sync::{Arc, LazyLock};

use super::alphabet::BUILTIN;
use super::template::Template;

#[derive(Debug)]
pub struct BuiltIn {
    pub name: &'static str,
    pub pattern: &'static str,
    pub alphabet: &'static str,
    pub decode_formats: &'static [(&'static str, &'static str)],
    pub tokens: Tokens,
    /// The last captured digit is a Luhn checksum wherever it is right; it stays right, and a wrong one stays wrong.
    pub luhn: bool,
}

/// What shaped tokens have in place of the captured characters, as patterns.
#[derive(Debug)]
pub enum Tokens {
    /// One pattern for each capture, of whatever length the value's is.
    Captures(&'static [&'static str]),
    /// For each number of captured characters the pattern of them all; with `luhn` without the last one.
    Lengths(&'static [(usize, &'static str)]),
}

/// Area 9xx is no SSN; with these groups no ITIN and no adoption number either (IRS publication 1915).
const NOBODYS_SSN: &str = "9[0-9]{2}(?:[0-4][0-9]|6[6-9]|89)[0-9]{4}";

const NUMERIC: &str = "builtin/numeric";

/// In byte order of their names.
static BUILT_IN: [BuiltIn; 12] = [
    BuiltIn {
        name: "creditcardnumber",
        pattern: "([0-9]{4})[- ]?([0-9]{4})[- ]?([0-9]{4})[- ]?([0-9]{1,7})|([0-9]{4})[- ]?([0-9]{6})[- ]?([0-9]{5})",
        alphabet: NUMERIC,
        decode_formats: &[],
        // 9 and a country code that ISO 3166 does not have: no issuer's (ISO/IEC 7812).
        tokens: Tokens::Lengths(&[
            (13, "9999[0-9]{8}"),
            (14, "9999[0-9]{9}"),
            (15, "9999[0-9]{10}"),
            (16, "9999[0-9]{11}"),
            (17, "9999[0-9]{12}"),
            (18, "9999[0-9]{13}"),
            (19, "9999[0-9]{14}"),
        ]),
        luhn: true,
    },
    BuiltIn {
        name: "dateofbirth",
        pattern: "([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
        alphabet: NUMERIC,
        decode_formats: &[("year", "$1"), ("us", "$2/$3/$1")],
        // Days that every year has, and that are far away.
        tokens: Tokens::Captures(&["[3-9][0-9]{3}", "0[1-9]|1[0-2]", "0[1-9]|1[0-9]|2[0-8]"]),
        luhn: false,
    },
    BuiltIn {
        name: "edipi",
        pattern: "([0-9]{10})",
        alphabet: NUMERIC,
        decode_formats: &[],
        tokens: Tokens::Lengths(&[(10, "9[0-9]{9}")]),
        luhn: false,
    },
    BuiltIn {
        name: "email",
        pattern: "([0-9A-Za-z._%+-]{1,64})@([0-9A-Za-z._%+-]{4,255})",
        alphabet: "builtin/email",
        decode_formats: &[("domain", "$2")],
        // RFC 2606.
        tokens: Tokens::Captures(&["[0-9a-z]{12}", "token\\.invalid"]),
        luhn: false,
    },
    BuiltIn {
        name: "emailkeepdomain",
        pattern: "([0-9A-Za-z._%+-]{1,64})@[0-9A-Za-z._%+-]{4,255}",
        alphabet: "builtin/email",
        decode_formats: &[],
        tokens: Tokens::Captures(&["pii\\.[0-9a-z]{12}"]),
        luhn: false,
    },
    BuiltIn {
        name: "icn",
        pattern: "([0-9]{10})V([0-9]{6})",
        alphabet: NUMERIC,
        decode_formats: &[],
        tokens: Tokens::Lengths(&[(16, "9[0-9]{15}")]),
        luhn: false,
    },
    BuiltIn {
        name: "phone",
        pattern: "(?:\\+?1[-. ]?)?\\(?([0-9]{3})\\)?[-. ]?([0-9]{3})[-. ]?([0-9]{4})",
        alphabet: NUMERIC,
        decode_formats: &[("digits", "$1$2$3"), ("dashes", "$1-$2-$3"), ("last-four", "***-***-$3")],
        // No area code of the North American plan begins with 0.
        tokens: Tokens::Lengths(&[(10, "0[0-9]{9}")]),
        luhn: false,
    },
    BuiltIn {
        name: "socialsecuritynumber",
        pattern: "([0-9]{3})[- ]?([0-9]{2})[- ]?([0-9]{4})",
        alphabet: NUMERIC,
        decode_formats: &[("digits", "$1$2$3"), ("dashes", "$1-$2-$3"), ("last-four", "***-**-$3")],
        tokens: Tokens::Lengths(&[(9, NOBODYS_SSN)]),
        luhn: false,
    },
    BuiltIn {
        name: "usdateofbirth",
        pattern: "(0[1-9]|1[0-2])/(0[1-9]|[12][0-9]|3[01])/([0-9]{4})",
        alphabet: NUMERIC,
        decode_formats: &[("year", "$3"), ("iso", "$3-$1-$2")],
        tokens: Tokens::Captures(&["0[1-9]|1[0-2]", "0[1-9]|1[0-9]|2[0-8]", "[3-9][0-9]{3}"]),
        luhn: false,
    },
    BuiltIn {
        name: "vafilenumber",
        pattern: "[Cc]?([0-9]{8,9})",
        alphabet: NUMERIC,
        decode_formats: &[],
        // Nine digits are an SSN, unless they are none.
        tokens: Tokens::Lengths(&[(8, "[0-9]{8}"), (9, NOBODYS_SSN)]),
        luhn: false,
    },
    BuiltIn {
        name: "zip",
        pattern: "([0-9]{5})(?:-([0-9]{4}))?",
        alphabet: NUMERIC,
        decode_formats: &[],
        tokens: Tokens::Lengths(&[(5, "[0-9]{5}"), (9, "[0-9]{9}")]),
        luhn: false,
    },
    BuiltIn {
        name: "zipplusfour",
        pattern: "([0-9]{5})-?([0-9]{4})",
        alphabet: NUMERIC,
        decode_formats: &[],
        // No post office has a code that begins with 000.
        tokens: Tokens::Lengths(&[(9, "000[0-9]{6}")]),
        luhn: false,
    },
];

static TEMPLATES: LazyLock<Vec<Arc<Template>>> =
    LazyLock::new(|| BUILT_IN.iter().filter_map(|built_in| Template::of_built_in(built_in).map(Arc::new)).collect());

/// A built-in template by its name without `builtin/`.
#[must_use]
pub fn built_in(name: &str) -> Option<Arc<Template>> {
    TEMPLATES.iter().find(|template| template.built_in().is_some_and(|built_in| built_in.name == name)).map(Arc::clone)
}

/// The names of the built-in templates, with `builtin/`.
pub fn built_in_names() -> impl Iterator<Item = String> {
    BUILT_IN.iter().map(|built_in| format!("{BUILTIN}{}", built_in.name))
}

/// Whether the digits end in their Luhn checksum (ISO/IEC 7812-1, annex B).
#[must_use]
pub fn luhn_holds(digits: &[char]) -> bool {
    digits.split_last().is_some_and(|(last, rest)| luhn_digit(rest) == Some(*last))
}

/// The checksum behind these digits. None if one is no digit.
#[must_use]
pub fn luhn_digit(digits: &[char]) -> Option<char> {
    let sum = digits.iter().rev().enumerate().try_fold(0, |sum, (at, digit)| {
        let digit = digit.to_digit(10)?;
        let weighed = if at % 2 == 0 { digit * 2 } else { digit };
        Some(sum + weighed / 10 + weighed % 10)
    })?;
    char::from_digit((10 - sum % 10) % 10, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_compile_and_are_in_order() {
        assert_eq!(TEMPLATES.len(), BUILT_IN.len());
        assert!(built_in_names().is_sorted());
        for name in built_in_names() {
            let name = name.strip_prefix(BUILTIN).expect("a prefix");
            let template = built_in(name).expect(name);
            assert!(super::super::alphabet::built_in(template.written().alphabet.strip_prefix(BUILTIN).expect("a prefix")).is_some());
        }
    }

    #[test]
    fn luhn_is_what_cards_carry() {
        let digits = |text: &str| text.chars().collect::<Vec<char>>();
        for right in ["4111111111111111", "378282246310005", "5555555555554444", "79927398713", "0000000000000"] {
            assert!(luhn_holds(&digits(right)), "{right}");
        }
        for wrong in ["4111111111111112", "79927398710", "", "4a"] {
            assert!(!luhn_holds(&digits(wrong)), "{wrong}");
        }
    }

    #[test]
    fn values_of_each_kind_match() {
        for (name, good, wrong) in [
            (
                "creditcardnumber",
                vec!["4111 1111 1111 1111", "3782-822463-10005", "4222222222222", "6304000000000000000"],
                vec!["4111 1111 1111", "41111111111111111111", "4111  1111"],
            ),
            ("dateofbirth", vec!["1946-12-31"], vec!["1946-13-01", "1946-1-1", "12/31/1946"]),
            ("usdateofbirth", vec!["12/31/1946"], vec!["31/12/1946"]),
            ("edipi", vec!["1234567890"], vec!["123456789"]),
            ("email", vec!["Jane.Doe+va@example.org"], vec!["jane@", "jane", "jane@x", "jané@example.org"]),
            ("emailkeepdomain", vec!["j@example.org"], vec!["@example.org"]),
            ("icn", vec!["1012667145V762142"], vec!["1012667145v762142", "1012667145762142"]),
            ("phone", vec!["(555) 010-1234", "+1 555.010.1234", "5550101234"], vec!["555-0100", "+44 555 010 1234"]),
            ("socialsecuritynumber", vec!["000-12-3456", "000123456", "000 12 3456"], vec!["00-123-4567", "0001234567", "٠٠٠-12-3456"]),
            ("vafilenumber", vec!["C12345678", "123456789"], vec!["C1234567", "D12345678"]),
            ("zip", vec!["12345", "12345-6789"], vec!["1234", "123456789"]),
            ("zipplusfour", vec!["12345-6789", "123456789"], vec!["12345"]),
        ] {
            let template = built_in(name).expect(name);
            for value in good {
                assert!(template.take(value).is_ok(), "{name} {value}");
            }
            for value in wrong {
                assert!(template.take(value).is_err(), "{name} {value}");
            }
        }
    }
}
