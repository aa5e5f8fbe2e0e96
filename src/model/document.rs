//! JSON as goldfin takes and gives it: duplicate keys refused, at most 64 levels, numbers kept digit for digit, text as [`Plaintext`].
//!
//! The lexing is `jiter`'s; this file builds the tree. An error holds a position and words of ours, never a piece of the input.

use std::collections::HashSet;

use goldfin_crypto::Plaintext;
use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, Peek};
use zeroize::Zeroize;

use super::fault::{Complaint, Fault};

/// The deepest nesting of lists and objects that is taken.
pub const MAX_DEPTH: usize = 64;

/// The most members of one object.
pub const MAX_MEMBERS: usize = 10_000;

/// One JSON value. Text is secret until an engine says otherwise.
#[derive(Debug)]
pub enum Node {
    Null,
    Bool(bool),
    /// The digits as they came: RFC 8259 section 6 sets no limit, so none is lost.
    Number(Box<str>),
    Text(Plaintext),
    List(Vec<Node>),
    /// In the order of the document.
    Object(Vec<(String, Node)>),
    /// JSON that is written already, see [`Node::written`].
    Written(Plaintext),
}

impl Node {
    /// Reads one document that fills the whole of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = Jiter::new(bytes);
        let built = read_document(&mut reader);
        let built = built.map_err(|wrong| wrong.into_fault(&reader));
        // The tape held the strings that had escapes in them.
        reader.into_tape().zeroize();
        built
    }

    /// Reads a request's body; an empty one is null.
    pub fn of_body(body: &Plaintext) -> Result<Self, Fault> {
        if body.is_empty() { Ok(Self::Null) } else { Self::parse(body.expose()) }
    }

    /// A text that is no secret.
    #[must_use]
    pub fn as_word(&self) -> Option<&str> {
        if let Self::Text(text) = self { text.expose_text().ok() } else { None }
    }

    /// A body that is no JSON, on the paths whose protocol is another's.
    pub fn of_text(body: &Plaintext) -> Result<Self, Fault> {
        let text = std::str::from_utf8(body.expose()).map_err(|_| Fault::invalid("the body must be text in UTF-8"))?;
        Ok(Self::text(text))
    }

    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Plaintext::from_text(text.into()))
    }

    #[must_use]
    pub fn whole(number: i64) -> Self {
        Self::Number(number.to_string().into_boxed_str())
    }

    #[must_use]
    pub fn object<const N: usize>(members: [(&str, Node); N]) -> Self {
        Self::Object(members.into_iter().map(|(name, node)| (name.to_owned(), node)).collect())
    }

    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    pub fn text_or_null(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Node> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Writes compact JSON behind what `out` holds.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Number(digits) => out.extend_from_slice(digits.as_bytes()),
            Self::Text(text) => write_bytes(text.expose(), out),
            Self::Written(json) => out.extend_from_slice(json.expose()),
            Self::List(items) => {
                out.push(b'[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (n, (name, node)) in members.iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    write_text(name, out);
                    out.push(b':');
                    node.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The same, so that [`Node::write`] only copies it: for whoever has the time now and may be in a hurry then.
    #[must_use]
    pub fn written(self) -> Self {
        Self::Written(self.to_plaintext())
    }

    /// The document as bytes, zeroized when dropped.
    #[must_use]
    pub fn to_plaintext(&self) -> Plaintext {
        let mut out = Vec::with_capacity(self.written_size());
        self.write(&mut out);
        Plaintext::new(out)
    }

    /// An upper bound, so that the buffer is not moved (and left behind unzeroized) while it grows.
    #[must_use]
    pub fn written_size(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 5,
            Self::Number(digits) => digits.len(),
            Self::Text(text) => written_text_size(text.expose()),
            Self::Written(json) => json.len(),
            Self::List(items) => items.iter().map(|item| item.written_size() + 1).sum::<usize>() + 2,
            Self::Object(members) => {
                members.iter().map(|(name, node)| written_text_size(name.as_bytes()) + node.written_size() + 2).sum::<usize>() + 2
            }
        }
    }
}

/// Turns what goldfin itself stores (configuration, never a secret) into a node.
impl From<serde_json::Value> for Node {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(b) => Self::Bool(b),
            serde_json::Value::Number(n) => Self::Number(n.to_string().into_boxed_str()),
            serde_json::Value::String(s) => Self::text(s),
            serde_json::Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            serde_json::Value::Object(members) => {
                Self::Object(members.into_iter().map(|(name, value)| (name, Self::from(value))).collect())
            }
        }
    }
}

/// Writes a JSON string behind what `out` holds. RFC 8259 section 7: the quotation mark, the reverse solidus and the control characters are
/// escaped, nothing else is.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    write_bytes(text.as_bytes(), out);
}

fn write_bytes(text: &[u8], out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text;
    // Most texts hold nothing to escape, and counting is quicker than looking for the first.
    let mut left = specials(text);
    while left > 0
        && let Some(at) = rest.iter().position(|b| is_special(*b))
    {
        left -= 1;
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, behind)) = special.split_first() else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => {
                out.extend_from_slice(b"\\u00");
                for nibble in [other >> 4, other & 15] {
                    out.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
                }
            }
        }
        rest = behind;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn written_text_size(text: &[u8]) -> usize {
    text.len() + 5 * specials(text) + 2
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// How many bytes are escaped. Counted in single bytes over stretches that cannot overflow them: the compiler takes many at a time.
fn specials(text: &[u8]) -> usize {
    let count = |stretch: &[u8]| stretch.iter().fold(0_u8, |count, byte| count.wrapping_add(u8::from(is_special(*byte))));
    text.chunks(255).map(|stretch| usize::from(count(stretch))).sum()
}

enum Wrong {
    Syntax(JiterError),
    Ours(&'static str, usize),
}

impl From<JiterError> for Wrong {
    fn from(error: JiterError) -> Self {
        Self::Syntax(error)
    }
}

impl Wrong {
    fn into_fault(self, reader: &Jiter<'_>) -> Fault {
        let (what, index) = match self {
            Self::Ours(what, index) => (what, index),
            Self::Syntax(error) => (describe(&error.error_type), error.index),
        };
        let at = reader.error_position(index);
        Fault::Invalid(Complaint::new(what).position(at.line, at.column))
    }
}

fn describe(error: &JiterErrorType) -> &'static str {
    match error {
        JiterErrorType::JsonError(JsonErrorType::RecursionLimitExceeded) => "the body is nested deeper than 64 levels",
        JiterErrorType::JsonError(JsonErrorType::InvalidUnicodeCodePoint) => "the body holds text that is not valid Unicode",
        JiterErrorType::JsonError(JsonErrorType::InvalidNumber | JsonErrorType::NumberOutOfRange) => {
            "the body holds a number that is not JSON"
        }
        JiterErrorType::JsonError(JsonErrorType::TrailingCharacters) => "the body goes on behind its end",
        _ => "the body is not valid JSON",
    }
}

fn read_document(reader: &mut Jiter<'_>) -> Result<Node, Wrong> {
    let peek = reader.peek()?;
    let node = read(reader, peek, 0)?;
    reader.finish()?;
    Ok(node)
}

fn read(reader: &mut Jiter<'_>, peek: Peek, depth: usize) -> Result<Node, Wrong> {
    match peek {
        Peek::Null => {
            reader.known_null()?;
            Ok(Node::Null)
        }
        Peek::True | Peek::False => Ok(Node::Bool(reader.known_bool(peek)?)),
        Peek::String => Ok(Node::text(reader.known_str()?)),
        Peek::Array => read_list(reader, depth + 1),
        Peek::Object => read_object(reader, depth + 1),
        number => {
            let digits = reader.known_number_bytes(number)?;
            let digits = std::str::from_utf8(digits).map_err(|_| Wrong::Ours("the body is not valid JSON", 0))?;
            Ok(Node::Number(digits.into()))
        }
    }
}

fn read_list(reader: &mut Jiter<'_>, depth: usize) -> Result<Node, Wrong> {
    refuse_depth(reader, depth)?;
    let mut items = Vec::new();
    let mut next = reader.known_array()?;
    while let Some(peek) = next {
        items.push(read(reader, peek, depth)?);
        next = reader.array_step()?;
    }
    Ok(Node::List(items))
}

fn read_object(reader: &mut Jiter<'_>, depth: usize) -> Result<Node, Wrong> {
    refuse_depth(reader, depth)?;
    let mut members: Vec<(String, Node)> = Vec::new();
    let mut seen: HashSet<String> = HashSet::new();
    let mut next = reader.known_object()?.map(str::to_owned);
    while let Some(name) = next {
        // A list is searched while the object is small; a set takes over before that becomes quadratic.
        let twice = if members.len() < 16 { members.iter().any(|(known, _)| *known == name) } else { seen.contains(&name) };
        if twice {
            return Err(Wrong::Ours("the body holds a key twice in one object", reader.current_index()));
        }
        if members.len() >= MAX_MEMBERS {
            return Err(Wrong::Ours("the body holds an object of more than 10,000 members", reader.current_index()));
        }
        let peek = reader.peek()?;
        let node = read(reader, peek, depth)?;
        members.push((name, node));
        if members.len() == 16 {
            seen.extend(members.iter().map(|(known, _)| known.clone()));
        } else if members.len() > 16 {
            seen.extend(members.last().map(|(known, _)| known.clone()));
        }
        next = reader.next_key()?.map(str::to_owned);
    }
    Ok(Node::Object(members))
}

fn refuse_depth(reader: &Jiter<'_>, depth: usize) -> Result<(), Wrong> {
    if depth > MAX_DEPTH { Err(Wrong::Ours("the body is nested deeper than 64 levels", reader.current_index())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rewritten(text: &str) -> Result<String, String> {
        let node = Node::parse(text.as_bytes()).map_err(|fault| fault.to_string())?;
        Ok(node.to_plaintext().expose_text().expect("utf-8").to_owned())
    }

    #[test]
    fn what_is_written_already_is_copied() {
        let text = r#"{"a":"\u0001 \"","b":[1.50,null]}"#;
        let around = |node| Node::object([("data", node)]).to_plaintext();
        let node = || Node::parse(text.as_bytes()).expect("json");
        assert_eq!(around(node().written()).expose(), around(node()).expose());
        assert_eq!(node().written().written_size(), text.len());
    }

    #[test]
    fn gives_back_what_came_digit_for_digit() {
        for text in [
            "null",
            r#"{"b":1,"a":[true,false,null,"x"]}"#,
            "1234567890123456789012345678901234567890.000100e-7",
            r#"{"":{},"ä":"\u0000\n\"\\ü😀"}"#,
            "[[],{}]",
        ] {
            assert_eq!(rewritten(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            "NaN",
            "Infinity",
            "-Infinity",
            "01",
            "1.",
            "+1",
            "'a'",
            "\u{feff}{}",
            "{} {}",
            r#""\ud800""#,
            "\"\u{1}\"",
            "[1 2]",
            "tru",
            r#"{"a"}"#,
        ] {
            assert!(Node::parse(text.as_bytes()).is_err(), "{text:?} was taken");
        }
        assert!(Node::parse(b"\"\xff\"").is_err());
        let many = format!("{{{}}}", (0..40).map(|n| format!("\"k{}\":0", n % 39)).collect::<Vec<_>>().join(","));
        assert!(Node::parse(many.as_bytes()).is_err());
    }

    #[test]
    fn stops_at_64_levels() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Node::parse(nested(64).as_bytes()).is_ok());
        assert!(Node::parse(nested(65).as_bytes()).is_err());
        assert!(Node::parse("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn errors_repeat_nothing_of_the_input() {
        for text in [r#"{"canary-7":"canary-7" "#, "canary-7", r#"{"canary-7":1,"canary-7":2}"#] {
            let fault = Node::parse(text.as_bytes()).expect_err("refused").to_string();
            assert!(!fault.contains("canary"), "{fault}");
        }
    }

    proptest! {
        #[test]
        fn any_text_survives(text in "\\PC*") {
            let node = Node::Object(vec![(text.clone(), Node::text(text.clone()))]);
            let bytes = node.to_plaintext();
            prop_assert!(bytes.len() <= node.written_size());
            let again = Node::parse(bytes.expose()).expect("own output");
            let same = matches!(again.member(&text), Some(Node::Text(found)) if found.expose() == text.as_bytes());
            prop_assert!(same);
        }

        #[test]
        fn junk_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Node::parse(&bytes);
        }
    }
}
