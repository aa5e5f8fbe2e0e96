//! What stands behind the question mark, decoded once.

use crate::gate::request::Malformed;
use crate::model::call::Query;
use crate::model::path::PathRefusal;

const MAX_BYTES: usize = 4096;
const MAX_PAIRS: usize = 32;
const MAX_NAME: usize = 64;
const MAX_VALUE: usize = 1024;

/// Parameters that may be given more than once, because their readers ask for all values. Any other is refused the second time: whoever
/// reads the first and whoever reads the last would not agree.
const REPEATABLE: [&str; 0] = [];

/// Reads `name=value&…` as forms write it (percent encoding, `+` for a space).
pub fn parse(raw: &str) -> Result<Query, Malformed> {
    let refuse = |why| Err(Malformed::Path(PathRefusal(why)));
    if raw.len() > MAX_BYTES {
        return refuse("the query is longer than 4,096 bytes");
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in raw.split('&').filter(|part| !part.is_empty()) {
        if part.contains(';') {
            return refuse("the query holds a `;`");
        }
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (Some(name), Some(value)) = (decode(name), decode(value)) else {
            return refuse("the query holds a broken percent encoding, a control or a direction character");
        };
        if name.is_empty() || name.len() > MAX_NAME || value.len() > MAX_VALUE || pairs.len() >= MAX_PAIRS {
            return refuse("the query holds too many parameters, or one that is too long or without a name");
        }
        if !REPEATABLE.contains(&name.as_str()) && pairs.iter().any(|(known, _)| *known == name) {
            return refuse("the query holds a parameter twice");
        }
        pairs.push((name, value));
    }
    Ok(Query::new(pairs))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(rest.next()?)? << 4 | hex_digit(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(is_forbidden))
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Control characters, line separators, and what changes the direction of text or does not show.
fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{061c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_once() {
        let query = parse("list=true&version=3&name=a%20b+c&empty=&flag&twice=%2541").expect("query");
        assert!(query.is_true("list") && query.is_true("flag"));
        assert_eq!(query.value("name"), Some("a b c"));
        assert_eq!(query.value("empty"), Some(""));
        assert_eq!(query.value("twice"), Some("%41"));
        assert!(parse("").expect("none").value("list").is_none());
        assert!(parse("&&a=1&").is_ok());
    }

    #[test]
    fn refuses_tricks() {
        for raw in [
            "a=%",
            "a=%0",
            "a=%zz",
            "a=%00",
            "a=%0d%0ab",
            "a=%e2%80%ae",
            "a=%ff",
            "a=1&a=1",
            "list=true&list=false",
            "a=1&%61=2",
            "=1",
            "a=1;b=2",
        ] {
            assert!(parse(raw).is_err(), "{raw} was taken");
        }
        assert!(parse(&"a".repeat(65)).is_err());
        assert!(parse(&format!("a={}", "b".repeat(1025))).is_err());
        assert!(parse(&"a".repeat(4097)).is_err());
        let many: Vec<String> = (0..33).map(|n| format!("p{n}=1")).collect();
        assert!(parse(&many.join("&")).is_err());
    }
}
