//! The canonical path: percent-decoded once, checked once, before anything is routed. The same value is authorised, executed and recorded.

use std::fmt;

use unicode_normalization::is_nfc;

/// The longest path, in bytes after decoding.
pub const MAX_PATH_BYTES: usize = 1024;

/// A path below `/v1/` without leading or trailing slash: one or more segments, none empty, `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CanonicalPath(String);

/// A path as a request carried it, with what its end said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    pub path: CanonicalPath,
    /// A trailing slash: under an engine it means LIST.
    pub slash: bool,
}

/// Why a path was refused. Never holds the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathRefusal(pub &'static str);

impl CanonicalPath {
    /// Takes the raw path of the request line, without `/v1/` and without query.
    pub fn parse(raw: &str) -> Result<Requested, PathRefusal> {
        let decoded = percent_decode(raw)?;
        if decoded.len() > MAX_PATH_BYTES {
            return Err(PathRefusal("the path is longer than 1,024 bytes"));
        }
        let (body, slash) = match decoded.strip_suffix('/') {
            Some(body) => (body, true),
            None => (decoded.as_str(), false),
        };
        Self::check(body)?;
        Ok(Requested { path: Self(body.to_owned()), slash })
    }

    /// For paths that goldfin itself builds or reads from a body. Same rules, no decoding.
    pub fn from_text(text: &str) -> Result<Self, PathRefusal> {
        if text.len() > MAX_PATH_BYTES {
            return Err(PathRefusal("the path is longer than 1,024 bytes"));
        }
        Self::check(text)?;
        Ok(Self(text.to_owned()))
    }

    fn check(text: &str) -> Result<(), PathRefusal> {
        if text.chars().any(is_forbidden) {
            return Err(PathRefusal("the path holds a control, direction, `%`, `\\` or `;` character"));
        }
        if !is_nfc(text) {
            return Err(PathRefusal("the path is not in Unicode normalisation form C"));
        }
        for segment in text.split('/') {
            match segment {
                "" => return Err(PathRefusal("the path holds an empty segment")),
                "." | ".." => return Err(PathRefusal("the path holds a `.` or `..` segment")),
                _ => {}
            }
        }
        Ok(())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is left behind `prefix`, where `prefix` ends at a segment's end: `""` when both are equal.
    #[must_use]
    pub fn below<'a>(&'a self, prefix: &str) -> Option<&'a str> {
        let rest = self.0.strip_prefix(prefix)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Control characters, separators that look like line ends, the bidirectional controls of Unicode, and what other programs
/// take for a separator. A `%` that is left after decoding was encoded twice.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '%' | '\\' | ';' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{061c}')
}

fn percent_decode(raw: &str) -> Result<String, PathRefusal> {
    if !raw.contains('%') {
        return Ok(raw.to_owned());
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = rest.next().and_then(hex_digit);
        let low = rest.next().and_then(hex_digit);
        match (high, low) {
            // An encoded slash would change where a segment ends, depending on who decodes: refused rather than guessed.
            (Some(2), Some(15)) => return Err(PathRefusal("the path holds an encoded slash")),
            (Some(high), Some(low)) => bytes.push(high << 4 | low),
            _ => return Err(PathRefusal("the path holds a broken percent encoding")),
        }
    }
    String::from_utf8(bytes).map_err(|_| PathRefusal("the path is not UTF-8"))
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Names of accounts, roles, policies, keys and transformations.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@+=:-".contains(&b))
        && text != "."
        && text != ".."
}

/// The path of a mount: names joined by `/`.
#[must_use]
pub fn is_mount_path(text: &str) -> bool {
    text.len() <= 256 && text.split('/').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_plain_and_encoded_paths() {
        let plain = CanonicalPath::parse("secret/data/a%20b").expect("fine");
        assert_eq!(plain.path.as_str(), "secret/data/a b");
        assert!(!plain.slash);
        assert!(CanonicalPath::parse("secret/metadata/").expect("fine").slash);
    }

    #[test]
    fn refuses_every_trick() {
        for raw in [
            "",
            "/",
            "a//b",
            "a/../b",
            "a/%2e%2e/b",
            "a/%2E/b",
            "./a",
            "a/..",
            "a/%00",
            "a%2fb",
            "a%2Fb",
            "a%252e",
            "a%",
            "a%2",
            "a%zz",
            "a\\b",
            "a;b",
            "a%0d%0ab",
            "a%e2%80%a8b",
            "a%e2%80%aeb",
            "a%ff",
            "e%cc%81",
            "a%7f",
            "/a",
            "a//",
            "%c2%85",
        ] {
            assert!(CanonicalPath::parse(raw).is_err(), "{raw:?} was taken");
        }
        assert!(CanonicalPath::parse(&"a/".repeat(600)).is_err());
    }

    #[test]
    fn finds_what_is_below_a_segment() {
        let path = CanonicalPath::from_text("secret/data/app").expect("fine");
        assert_eq!(path.below("secret"), Some("data/app"));
        assert_eq!(path.below("secret/data/app"), Some(""));
        assert_eq!(path.below("sec"), None);
    }

    #[test]
    fn names_are_narrow() {
        for good in ["root", "a.b", "u@REALM", "a+b=c:d-e_f"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", " root", "a/b", "ä", "a b", "a*", ".", "..", "a\n"] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
