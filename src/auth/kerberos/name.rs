//! Kerberos principal names as exact values: `primary/instance@REALM`.
//!
//! A name is compared byte for byte. It is never folded, trimmed, completed with a default realm or mapped to
//! a local name; a rule that wants `u@A` does not see `u@B`, `U@A` or `u/admin@A`.

use std::fmt;

/// A complete principal name: at least one component, and a realm that is not empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KerberosName {
    components: Vec<String>,
    realm: String,
}

/// Why a text is not a principal name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    NoRealm,
    EmptyPart,
    BadCharacter,
    TooLong,
}

impl KerberosName {
    /// Reads the text form of RFC 1964, 2.1.1: `/` and `@` separate, a backslash makes `/`, `@` or `\` literal.
    /// Only visible ASCII is taken: everything else invites two spellings of one name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > LONGEST {
            return Err(NameError::TooLong);
        }
        let mut components = vec![String::new()];
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let literal = match character {
                '@' => return Self::with_realm(components, characters.as_str()),
                '/' => {
                    components.push(String::new());
                    continue;
                }
                '\\' => match characters.next() {
                    Some(escaped @ ('/' | '@' | '\\')) => escaped,
                    _ => return Err(NameError::BadCharacter),
                },
                visible if visible.is_ascii_graphic() => visible,
                _ => return Err(NameError::BadCharacter),
            };
            if let Some(last) = components.last_mut() {
                last.push(literal);
            }
        }
        Err(NameError::NoRealm)
    }

    /// The first component: the user, or the service as in `HTTP/host`.
    pub fn primary(&self) -> &str {
        self.components.first().map_or("", String::as_str)
    }

    /// What follows the primary: an administrative instance or a host name; usually none or one.
    pub fn instances(&self) -> &[String] {
        self.components.get(1..).unwrap_or_default()
    }

    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// `WELLKNOWN/ANONYMOUS` and its kin (RFC 6111) name nobody.
    pub fn is_well_known(&self) -> bool {
        self.primary() == "WELLKNOWN" || self.realm.starts_with("WELLKNOWN:")
    }

    fn with_realm(components: Vec<String>, realm: &str) -> Result<Self, NameError> {
        if realm.is_empty() {
            return Err(NameError::NoRealm);
        }
        if components.iter().any(String::is_empty) {
            return Err(NameError::EmptyPart);
        }
        if !realm.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '/' | '@' | '\\')) {
            return Err(NameError::BadCharacter);
        }
        Ok(Self { components, realm: realm.to_owned() })
    }
}

impl fmt::Display for KerberosName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, component) in self.components.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            for character in component.chars() {
                if matches!(character, '/' | '@' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{character}")?;
            }
        }
        write!(f, "@{}", self.realm)
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRealm => "the principal has no realm; write it as `name@REALM`",
            Self::EmptyPart => "the principal has an empty part; write it as `name@REALM` or `service/host@REALM`",
            Self::BadCharacter => "the principal holds a character that is not allowed; use visible ASCII, and a backslash before a literal `/`, `@` or backslash",
            Self::TooLong => "the principal is longer than 512 bytes; shorten it",
        })
    }
}

impl std::error::Error for NameError {}

const LONGEST: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_in_their_canonical_form() {
        for text in ["u@R", "u/admin@R", "HTTP/host.example@EXAMPLE.TEST", r"a\@b@R", r"a\/b/c@R", r"a\\b@R"] {
            assert_eq!(KerberosName::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn near_names_are_other_names() {
        let name = KerberosName::parse("u@R").unwrap();
        for other in ["U@R", "u@r", "u@OTHER", "u/admin@R", r"u\@R@R", "u@R.R"] {
            assert_ne!(KerberosName::parse(other).unwrap(), name);
        }
        let escaped = KerberosName::parse(r"u\@OTHER@R").unwrap();
        assert_eq!((escaped.primary(), escaped.realm()), ("u@OTHER", "R"));
        assert!(KerberosName::parse(r"u\/admin@R").unwrap().instances().is_empty());
    }

    #[test]
    fn incomplete_and_odd_names_are_refused() {
        for (text, why) in [
            ("", NameError::NoRealm),
            ("u", NameError::NoRealm),
            ("u@", NameError::NoRealm),
            (r"u\@R", NameError::NoRealm),
            ("@R", NameError::EmptyPart),
            ("/u@R", NameError::EmptyPart),
            ("u/@R", NameError::EmptyPart),
            ("u//v@R", NameError::EmptyPart),
            ("u@R@S", NameError::BadCharacter),
            ("u@R/S", NameError::BadCharacter),
            (r"u@R\", NameError::BadCharacter),
            (r"u\n@R", NameError::BadCharacter),
            ("u v@R", NameError::BadCharacter),
            ("u\0@R", NameError::BadCharacter),
            ("u\u{202e}@R", NameError::BadCharacter),
            ("ü@R", NameError::BadCharacter),
        ] {
            assert_eq!(KerberosName::parse(text), Err(why), "{text:?}");
        }
        assert_eq!(KerberosName::parse(&"u".repeat(600)), Err(NameError::TooLong));
    }

    #[test]
    fn well_known_names_are_recognised() {
        assert!(KerberosName::parse("WELLKNOWN/ANONYMOUS@R").unwrap().is_well_known());
        assert!(KerberosName::parse("u@WELLKNOWN:ANONYMOUS").unwrap().is_well_known());
        assert!(!KerberosName::parse("wellknown@R").unwrap().is_well_known());
    }
}
