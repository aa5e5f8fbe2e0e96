//! JSON as this client needs it: numbers keep their digits, members keep their order, and text is wiped when dropped.
//!
//! A stored `1.10` or a number of twenty digits comes back as it was written, which a float would not allow.
//! Absent on purpose: `Debug` and `Display`, because a document may hold a secret.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// One JSON value.
#[derive(Clone)]
#[cfg_attr(test, derive(PartialEq))]
pub enum Json {
    Null,
    Bool(bool),
    /// The digits as they were written.
    Number(String),
    Text(Zeroizing<String>),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// The text is not JSON; says where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson {
    pub line: usize,
    pub column: usize,
}

impl Json {
    pub fn parse(bytes: &[u8]) -> Result<Self, NotJson> {
        let raw: &RawValue = serde_json::from_slice(bytes).map_err(NotJson::at)?;
        Self::build(raw, 0)
    }

    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Zeroizing::new(text.into()))
    }

    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    pub fn number(number: u64) -> Self {
        Self::Number(number.to_string())
    }

    pub fn object<'a>(members: impl IntoIterator<Item = (&'a str, Json)>) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The member of that name; of an object only.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.members().iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    pub fn take(&mut self, name: &str) -> Option<Json> {
        let Self::Object(members) = self else { return None };
        let index = members.iter().position(|(member, _)| member == name)?;
        Some(members.remove(index).1)
    }

    pub fn members(&self) -> &[(String, Json)] {
        if let Self::Object(members) = self { members } else { &[] }
    }

    pub fn items(&self) -> &[Json] {
        if let Self::List(items) = self { items } else { &[] }
    }

    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    pub fn as_u64(&self) -> Option<u64> {
        if let Self::Number(digits) = self { digits.parse().ok() } else { None }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// `get(name)` as text.
    pub fn str_of(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Self::as_str)
    }

    /// `get(name)` as a whole number.
    pub fn u64_of(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(Self::as_u64)
    }

    /// One line, nothing between the tokens.
    pub fn compact(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        self.write(&mut text, None);
        text
    }

    /// Two spaces an indentation.
    pub fn pretty(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        self.write(&mut text, Some(0));
        text
    }

    /// Text as it is, everything else as compact JSON: what a table's cell or `--field` shows.
    pub fn plain(&self) -> Zeroizing<String> {
        match self {
            Self::Null => Zeroizing::new(String::new()),
            Self::Text(text) => text.clone(),
            other => other.compact(),
        }
    }

    fn build(raw: &RawValue, depth: usize) -> Result<Self, NotJson> {
        let text = raw.get();
        if depth > DEEPEST {
            return Err(NotJson { line: 1, column: 1 });
        }
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let members: RawMembers<'_> = serde_json::from_str(text).map_err(NotJson::at)?;
                let build = |(name, raw)| Ok((name, Self::build(raw, depth + 1)?));
                Self::Object(members.0.into_iter().map(build).collect::<Result<_, NotJson>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(NotJson::at)?;
                Self::List(items.into_iter().map(|raw| Self::build(raw, depth + 1)).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::Text(Zeroizing::new(serde_json::from_str(text).map_err(NotJson::at)?)),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Number(text.to_owned()),
        })
    }

    fn write(&self, out: &mut String, indent: Option<usize>) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(digits) => out.push_str(digits),
            Self::Text(text) => quote(text, out),
            Self::List(items) => {
                let lines = items.iter().map(|item| (None, item));
                write_lines(out, indent, ('[', ']'), lines);
            }
            Self::Object(members) => {
                let lines = members.iter().map(|(name, value)| (Some(name.as_str()), value));
                write_lines(out, indent, ('{', '}'), lines);
            }
        }
    }
}

fn write_lines<'a>(
    out: &mut String,
    indent: Option<usize>,
    (open, close): (char, char),
    lines: impl ExactSizeIterator<Item = (Option<&'a str>, &'a Json)>,
) {
    out.push(open);
    let empty = lines.len() == 0;
    for (index, (name, value)) in lines.enumerate() {
        if index > 0 {
            out.push(',');
        }
        break_line(out, indent.map(|indent| indent + 1));
        if let Some(name) = name {
            quote(name, out);
            out.push_str(if indent.is_some() { ": " } else { ":" });
        }
        value.write(out, indent.map(|indent| indent + 1));
    }
    if !empty {
        break_line(out, indent);
    }
    out.push(close);
}

fn break_line(out: &mut String, indent: Option<usize>) {
    if let Some(indent) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", indent));
    }
}

/// A JSON string; control and bidirectional characters are escaped, so that no stored text can command a terminal.
/// The result is also a double-quoted YAML scalar.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            unsafe_on_screen if commands_a_terminal(unsafe_on_screen) => {
                let mut units = [0; 2];
                for unit in unsafe_on_screen.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
}

/// Control characters (C0, DEL, C1), line and paragraph separators, byte order mark, and what reorders text on a screen.
pub fn commands_a_terminal(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl NotJson {
    #[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
    fn at(error: serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column() }
    }
}

/// The members in the order of the text, repeated names included: what a user sent is the server's to judge.
struct RawMembers<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = RawMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RawMembers(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// As deep as the server takes (64), and some.
const DEEPEST: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits_and_members_their_order() {
        let text = r#"{"z":1.10,"a":[123456789012345678901234567890,-0,1e400],"n":null,"t":true,"s":"\u00e9\n"}"#;
        let parsed = Json::parse(text.as_bytes()).ok().unwrap();
        assert_eq!(*parsed.compact(), text.replace("\\u00e9", "é"));
    }

    #[test]
    fn repeated_members_are_kept_for_the_server_to_judge() {
        let parsed = Json::parse(br#"{"a":1,"a":2}"#).ok().unwrap();
        assert_eq!(*parsed.compact(), r#"{"a":1,"a":2}"#);
    }

    #[test]
    fn malformed_text_says_where() {
        assert_eq!(Json::parse(b"{\n  \"a\": 1,,\n}").err(), Some(NotJson { line: 2, column: 10 }));
        assert!(Json::parse(b"").is_err());
        assert!(Json::parse(b"{} {}").is_err());
        let deep = [vec![b'['; 100], vec![b']'; 100]].concat();
        assert!(Json::parse(&deep).is_err());
    }

    #[test]
    fn a_pretty_document_reads_back() {
        let document = Json::object([("empty", Json::List(vec![])), ("list", Json::texts(["a", "b"])), ("none", Json::Object(vec![]))]);
        let pretty = document.pretty();
        assert_eq!(*pretty, "{\n  \"empty\": [],\n  \"list\": [\n    \"a\",\n    \"b\"\n  ],\n  \"none\": {}\n}");
        assert!(Json::parse(pretty.as_bytes()).ok() == Some(document));
    }

    #[test]
    fn nothing_that_commands_a_terminal_is_written_raw() {
        let mut out = String::new();
        quote("\u{1b}[2J\u{9b}\u{202e}\u{7f}", &mut out);
        assert_eq!(out, r#""\u001b[2J\u009b\u202e\u007f""#);
    }
}
