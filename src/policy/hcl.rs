//! Reads the policies of Vault: `path "…" { capabilities = […] }`, or the same as JSON. Strict: what it does not know it names
//! instead of passing over it, because a member that is lost would widen a right.

use std::collections::BTreeSet;
use std::fmt;

/// One `path` block. Blocks of the same path have been joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathRule {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) capabilities: BTreeSet<String>,
    /// Members other than `capabilities`, such as `denied_parameters`: they restrict.
    pub(super) others: BTreeSet<String>,
}

/// What is not readable, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HclError {
    /// From 1.
    pub line: usize,
    pub message: &'static str,
}

impl fmt::Display for HclError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for HclError {}

/// Whether `text` is a policy of Vault rather than Cedar, as far as its beginning tells.
#[must_use]
pub fn looks_like_hcl(text: &str) -> bool {
    match Reader::new(text).next() {
        Ok(Some((Item::Word(word), _))) => word == "path" || word == "name",
        Ok(Some((Item::Sign('{'), _))) => true,
        _ => false,
    }
}

pub(super) fn read(text: &str) -> Result<Vec<PathRule>, HclError> {
    let mut rules = Vec::new();
    if text.trim_start().starts_with('{') {
        read_json(text, &mut rules)?;
    } else {
        read_blocks(&mut Reader::new(text), &mut rules)?;
    }
    Ok(rules)
}

fn read_blocks(reader: &mut Reader<'_>, rules: &mut Vec<PathRule>) -> Result<(), HclError> {
    while let Some((item, line)) = reader.next()? {
        match item {
            Item::Word(word) if word == "path" => {
                let path = reader.text("`path` needs a path in double quotes")?;
                reader.sign('{', "a `path` block begins with `{`")?;
                join(rules, read_block(reader, path, line)?);
            }
            // Old policies give themselves a name; the store has its own.
            Item::Word(word) if word == "name" => {
                reader.sign('=', "`name` needs `=`")?;
                reader.text("`name` needs a text in double quotes")?;
            }
            _ => return Err(HclError { line, message: "only `path` blocks can be converted" }),
        }
    }
    Ok(())
}

fn read_block(reader: &mut Reader<'_>, path: String, line: usize) -> Result<PathRule, HclError> {
    let mut rule = PathRule { path, line, capabilities: BTreeSet::new(), others: BTreeSet::new() };
    loop {
        let (item, at) = reader.expect("a `path` block ends with `}`")?;
        match item {
            Item::Sign('}') => return Ok(rule),
            Item::Word(word) if word == "capabilities" => {
                reader.sign('=', "`capabilities` needs `=`")?;
                rule.capabilities.extend(reader.list()?);
            }
            Item::Word(word) | Item::Text(word) => {
                rule.others.insert(word);
                reader.skip_value()?;
            }
            Item::Sign(_) => return Err(HclError { line: at, message: "a member of a `path` block is a name and a value" }),
        }
    }
}

fn read_json(text: &str, rules: &mut Vec<PathRule>) -> Result<(), HclError> {
    let wrong = |message| HclError { line: 1, message };
    let whole: serde_json::Value =
        serde_json::from_str(text).map_err(|error| HclError { line: error.line(), message: "the text is not JSON" })?;
    let whole = whole.as_object().ok_or(wrong("the JSON form is an object"))?;
    if whole.keys().any(|key| key != "path" && key != "name") {
        return Err(wrong("only `path` can be converted"));
    }
    let paths = whole.get("path").and_then(serde_json::Value::as_object).ok_or(wrong("`path` is an object of paths"))?;
    for (path, members) in paths {
        let mut rule = PathRule { path: path.clone(), line: 1, capabilities: BTreeSet::new(), others: BTreeSet::new() };
        for (member, value) in members.as_object().ok_or(wrong("what stands under a path is an object"))? {
            if member != "capabilities" {
                rule.others.insert(member.clone());
                continue;
            }
            for capability in value.as_array().ok_or(wrong("`capabilities` is a list of texts"))? {
                rule.capabilities.insert(capability.as_str().ok_or(wrong("`capabilities` is a list of texts"))?.to_owned());
            }
        }
        join(rules, rule);
    }
    Ok(())
}

/// Vault unites the capabilities of blocks that have the same path.
fn join(rules: &mut Vec<PathRule>, rule: PathRule) {
    match rules.iter_mut().find(|known| known.path == rule.path) {
        Some(known) => {
            known.capabilities.extend(rule.capabilities);
            known.others.extend(rule.others);
        }
        None => rules.push(rule),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Word(String),
    Text(String),
    Sign(char),
}

/// Cuts the text into words, quoted texts and signs, and leaves out comments.
struct Reader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.chars().peekable(), line: 1 }
    }

    fn wrong<T>(&self, message: &'static str) -> Result<T, HclError> {
        Err(HclError { line: self.line, message })
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn next(&mut self) -> Result<Option<(Item, usize)>, HclError> {
        loop {
            let Some(&c) = self.rest.peek() else { return Ok(None) };
            let line = self.line;
            if c.is_whitespace() {
                self.bump();
            } else if c == '#' {
                self.skip_line();
            } else if c == '/' {
                self.bump();
                self.skip_comment()?;
            } else if c == '"' {
                self.bump();
                return Ok(Some((Item::Text(self.quoted()?), line)));
            } else if is_word(c) {
                return Ok(Some((Item::Word(self.word()), line)));
            } else if "{}[]=,:".contains(c) {
                self.bump();
                return Ok(Some((Item::Sign(c), line)));
            } else {
                return self.wrong("there is a character that has no meaning here");
            }
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.rest.next_if(|c| is_word(*c)) {
            word.push(c);
        }
        word
    }

    fn skip_line(&mut self) {
        while self.rest.next_if(|c| *c != '\n').is_some() {}
    }

    fn skip_comment(&mut self) -> Result<(), HclError> {
        match self.bump() {
            Some('/') => self.skip_line(),
            Some('*') => loop {
                match self.bump() {
                    Some('*') if self.rest.next_if_eq(&'/').is_some() => break,
                    Some(_) => {}
                    None => return self.wrong("a comment does not end"),
                }
            },
            _ => return self.wrong("there is a character that has no meaning here"),
        }
        Ok(())
    }

    fn quoted(&mut self) -> Result<String, HclError> {
        let mut text = String::new();
        loop {
            match self.bump() {
                Some('"') => return Ok(text),
                Some('\\') => match self.bump() {
                    Some(c @ ('"' | '\\')) => text.push(c),
                    _ => return self.wrong("only `\\\"` and `\\\\` are known behind a backslash"),
                },
                Some('\n') | None => return self.wrong("a text in double quotes does not end"),
                Some(c) => text.push(c),
            }
        }
    }

    fn expect(&mut self, otherwise: &'static str) -> Result<(Item, usize), HclError> {
        match self.next()? {
            Some(found) => Ok(found),
            None => self.wrong(otherwise),
        }
    }

    fn text(&mut self, otherwise: &'static str) -> Result<String, HclError> {
        match self.expect(otherwise)? {
            (Item::Text(text), _) => Ok(text),
            (_, line) => Err(HclError { line, message: otherwise }),
        }
    }

    fn sign(&mut self, wanted: char, otherwise: &'static str) -> Result<(), HclError> {
        match self.expect(otherwise)? {
            (Item::Sign(found), _) if found == wanted => Ok(()),
            (_, line) => Err(HclError { line, message: otherwise }),
        }
    }

    fn list(&mut self) -> Result<Vec<String>, HclError> {
        const SHAPE: &str = "`capabilities` is a list of texts in double quotes";
        self.sign('[', SHAPE)?;
        let mut texts = Vec::new();
        loop {
            match self.expect(SHAPE)? {
                (Item::Sign(']'), _) => return Ok(texts),
                (Item::Text(text), _) => texts.push(text),
                (_, line) => return Err(HclError { line, message: SHAPE }),
            }
            match self.expect(SHAPE)? {
                (Item::Sign(']'), _) => return Ok(texts),
                (Item::Sign(','), _) => {}
                (_, line) => return Err(HclError { line, message: SHAPE }),
            }
        }
    }

    /// Passes over the value of a member that is only named: a text, a word, a list or a block.
    fn skip_value(&mut self) -> Result<(), HclError> {
        const SHAPE: &str = "a member of a `path` block is a name and a value";
        let mut depth = 0_usize;
        loop {
            match self.expect(SHAPE)? {
                (Item::Sign('='), _) if depth == 0 => {}
                (Item::Sign('{' | '['), _) => depth += 1,
                (Item::Sign('}' | ']'), line) if depth == 0 => return Err(HclError { line, message: SHAPE }),
                (Item::Sign('}' | ']'), _) if depth == 1 => return Ok(()),
                (Item::Sign('}' | ']'), _) => depth -= 1,
                _ if depth == 0 => return Ok(()),
                _ => {}
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_blocks_comments_and_json() {
        let text = "# a comment\n/* one\n more */ path \"secret/data/*\" { // read only\n capabilities = [\"read\", \"list\",]\n}\npath \"secret/data/*\" { capabilities = [\"update\"] max_wrapping_ttl = \"1h\" denied_parameters = { \"a\" = [\"b\"] } }\n";
        let rules = read(text).expect("reads");
        assert_eq!(rules.len(), 1);
        assert_eq!((rules[0].path.as_str(), rules[0].line), ("secret/data/*", 3));
        assert_eq!(rules[0].capabilities, ["list", "read", "update"].map(str::to_owned).into());
        assert_eq!(rules[0].others, ["denied_parameters", "max_wrapping_ttl"].map(str::to_owned).into());
        let json = read(r#"{"path":{"a/*":{"capabilities":["read"]}}}"#).expect("reads");
        assert_eq!((json[0].path.as_str(), json[0].capabilities.len()), ("a/*", 1));
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "permit(principal, action, resource);",
            "path secret { }",
            "path \"a\" { capabilities = read }",
            "path \"a\" { capabilities = [\"read\"",
            "path \"a\" { capabilities }",
            "path \"a",
            "/* open",
            "path \"a\" { x } y",
            "{\"path\":[]}",
            "{\"paths\":{}}",
            "{",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tells_hcl_from_cedar() {
        assert!(looks_like_hcl("# mine\npath \"a\" {}"));
        assert!(looks_like_hcl("{\"path\":{}}"));
        assert!(!looks_like_hcl("// mine\npermit(principal, action, resource);"));
        assert!(!looks_like_hcl("@id(\"path\") permit(principal, action, resource);"));
        assert!(!looks_like_hcl(""));
    }
}
