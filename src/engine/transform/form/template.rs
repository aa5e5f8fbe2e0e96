//! Templates: which part of a value is encoded, and how the rest around it is kept.
//!
//! A value that matches is taken apart into its layout (what stands outside of the captures, untouched) and the captured characters.
//! Everything works on characters as they are given; nothing is trimmed, folded or normalised.

use std::collections::BTreeMap;

use goldfin_crypto::Zeroizing;
use serde::{Deserialize, Serialize};

use super::builtin::BuiltIn;
use super::misfit::Misfit;
use super::pattern::Pattern;

/// The longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 1024;

/// The longest text of a format, in bytes.
pub const MAX_FORMAT_BYTES: usize = 1024;

/// A template as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub pattern: String,
    /// The name of an alphabet, which need not exist yet.
    pub alphabet: String,
    #[serde(default)]
    pub encode_format: Option<String>,
    #[serde(default)]
    pub decode_formats: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Template {
    written: Written,
    pattern: Pattern,
    built_in: Option<&'static BuiltIn>,
}

/// What stands between the captured characters, and where they were.
#[derive(Clone, PartialEq, Eq)]
pub enum Piece {
    Kept(Zeroizing<String>),
    Taken(usize),
}

/// A value taken apart. Captures without anything between them are one piece.
pub struct Taken {
    pub layout: Vec<Piece>,
    pub captured: Zeroizing<Vec<char>>,
    /// The characters of each capture that took part.
    pub groups: Vec<usize>,
}

impl Template {
    /// What is wrong, with the member that is.
    pub fn new(written: Written) -> Result<Self, (&'static str, &'static str)> {
        let pattern = Pattern::new(&written.pattern).map_err(|wrong| ("pattern", wrong))?;
        if let Some(format) = &written.encode_format {
            let named = groups_of(format, &pattern).ok_or(("encode_format", "names a group that the pattern does not have"))?;
            if (1..pattern.regex().captures_len()).any(|group| named.iter().filter(|known| **known == group).count() != 1) {
                return Err(("encode_format", "must name every group of the pattern once, or the value would not come back"));
            }
        }
        for format in written.decode_formats.values() {
            groups_of(format, &pattern).ok_or(("decode_formats", "names a group that the pattern does not have"))?;
        }
        Ok(Self { written, pattern, built_in: None })
    }

    pub fn of_built_in(built_in: &'static BuiltIn) -> Option<Self> {
        let written = Written {
            pattern: built_in.pattern.to_owned(),
            alphabet: built_in.alphabet.to_owned(),
            encode_format: None,
            decode_formats: built_in.decode_formats.iter().map(|(name, format)| ((*name).to_owned(), (*format).to_owned())).collect(),
        };
        Self::new(written).ok().map(|template| Self { built_in: Some(built_in), ..template })
    }

    #[must_use]
    pub fn written(&self) -> &Written {
        &self.written
    }

    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    #[must_use]
    pub fn built_in(&self) -> Option<&'static BuiltIn> {
        self.built_in
    }

    /// Takes a value apart.
    pub fn take(&self, value: &str) -> Result<Taken, Misfit> {
        if value.len() > MAX_VALUE_BYTES {
            return Err(Misfit::Long);
        }
        let found = self.pattern.regex().captures(value).ok_or(Misfit::Pattern)?;
        let mut spans: Vec<(usize, usize)> = found.iter().skip(1).flatten().map(|group| (group.start(), group.end())).collect();
        spans.sort_unstable();
        let mut taken = Taken { layout: Vec::new(), captured: Zeroizing::new(Vec::with_capacity(value.len())), groups: Vec::new() };
        let mut at = 0;
        for (start, end) in spans {
            let (kept, inside) = (value.get(at..start).ok_or(Misfit::Ambiguous)?, value.get(start..end).ok_or(Misfit::Ambiguous)?);
            taken.keep(kept);
            let before = taken.captured.len();
            taken.captured.extend(inside.chars());
            let count = taken.captured.len() - before;
            taken.groups.push(count);
            match taken.layout.last_mut() {
                Some(Piece::Taken(known)) => *known += count,
                _ if count > 0 => taken.layout.push(Piece::Taken(count)),
                _ => {}
            }
            at = end;
        }
        taken.keep(value.get(at..).ok_or(Misfit::Ambiguous)?);
        Ok(taken)
    }

    /// Writes a value in one of the template's formats.
    pub fn rewrite(&self, value: &str, format: &str) -> Result<Zeroizing<String>, Misfit> {
        let found = self.pattern.regex().captures(value).ok_or(Misfit::Pattern)?;
        let mut written = Zeroizing::new(String::with_capacity(value.len() + format.len()));
        found.expand(format, &mut written);
        Ok(written)
    }
}

impl Taken {
    fn keep(&mut self, text: &str) {
        if !text.is_empty() {
            self.layout.push(Piece::Kept(Zeroizing::new(text.to_owned())));
        }
    }

    /// The value again, with other characters in place of the captured ones.
    pub fn put(&self, characters: &[char]) -> Result<Zeroizing<String>, Misfit> {
        if characters.len() != self.captured.len() {
            return Err(Misfit::Broken);
        }
        let mut rest = characters.iter();
        let mut text = Zeroizing::new(String::with_capacity(characters.len() * 4 + 64));
        for piece in &self.layout {
            match piece {
                Piece::Kept(kept) => text.push_str(kept),
                Piece::Taken(count) => text.extend(rest.by_ref().take(*count)),
            }
        }
        Ok(text)
    }

    /// The same for captures that change their lengths: `parts` has one for each.
    pub fn put_parts(&self, value: &str, template: &Template, parts: &[Zeroizing<String>]) -> Result<Zeroizing<String>, Misfit> {
        let found = template.pattern.regex().captures(value).ok_or(Misfit::Pattern)?;
        let mut text = Zeroizing::new(String::with_capacity(value.len() + 64));
        let mut at = 0;
        let mut rest = parts.iter();
        for group in found.iter().skip(1).flatten() {
            text.push_str(value.get(at..group.start()).ok_or(Misfit::Ambiguous)?);
            text.push_str(rest.next().ok_or(Misfit::Broken)?);
            at = group.end();
        }
        text.push_str(value.get(at..).ok_or(Misfit::Ambiguous)?);
        Ok(text)
    }
}

/// The groups that a format names, by number. None: it names one that is not there.
fn groups_of(format: &str, pattern: &Pattern) -> Option<Vec<usize>> {
    let names: Vec<Option<&str>> = pattern.regex().capture_names().collect();
    let mut found = Vec::new();
    let mut rest = format;
    while let Some((_, behind)) = rest.split_once('$') {
        if let Some(literal) = behind.strip_prefix('$') {
            rest = literal;
            continue;
        }
        let (name, after) = match behind.strip_prefix('{') {
            Some(braced) => braced.split_once('}')?,
            None => {
                let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
                behind.split_at_checked(end)?
            }
        };
        let number = match name.parse::<usize>() {
            Ok(number) => number,
            Err(_) => names.iter().position(|known| *known == Some(name))?,
        };
        if number == 0 || number >= names.len() {
            return None;
        }
        found.push(number);
        rest = after;
    }
    Some(found)
}

impl TryFrom<Written> for Template {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, &'static str> {
        Self::new(written).map_err(|(_, wrong)| wrong)
    }
}

impl From<Template> for Written {
    fn from(template: Template) -> Self {
        template.written
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn template(pattern: &str, encode_format: Option<&str>) -> Result<Template, (&'static str, &'static str)> {
        Template::new(Written {
            pattern: pattern.to_owned(),
            alphabet: "builtin/numeric".to_owned(),
            encode_format: encode_format.map(str::to_owned),
            decode_formats: BTreeMap::new(),
        })
    }

    fn captured(template: &Template, value: &str) -> Result<String, Misfit> {
        template.take(value).map(|taken| taken.captured.iter().collect())
    }

    #[test]
    fn values_are_taken_apart_and_put_together() {
        let ssn = template("(?:SSN:? )?([0-9]{3})[- ]?([0-9]{2})[- ]?([0-9]{4})", None).expect("a template");
        let taken = ssn.take("SSN: 123-456789").expect("a match");
        assert_eq!((taken.captured.iter().collect::<String>(), &taken.groups), ("123456789".to_owned(), &vec![3, 2, 4]));
        assert_eq!(*taken.put(&['9'; 9]).expect("text"), "SSN: 999-999999");
        assert_eq!(taken.put(&['9'; 8]), Err(Misfit::Broken));
        for (value, why) in [("123-45-678", Misfit::Pattern), ("", Misfit::Pattern), (&"1".repeat(1025), Misfit::Long)] {
            assert_eq!(captured(&ssn, value), Err(why), "{value}");
        }
    }

    #[test]
    fn formats_name_groups() {
        let pattern = "(?P<area>[0-9]{3})-([0-9]{2})";
        for good in ["$1-$2", "${area}/$2 $$", "$2$1"] {
            assert!(template(pattern, Some(good)).is_ok(), "{good}");
        }
        for wrong in ["$1", "$1 $1 $2", "$3$1$2", "$0", "${area", "$nobody $2", "$1_$2", "no group", "$"] {
            assert_eq!(template(pattern, Some(wrong)).map(|_| ()).map_err(|(member, _)| member), Err("encode_format"), "{wrong}");
        }
        let template = template(pattern, Some("${area}/$2")).expect("a template");
        assert_eq!(*template.rewrite("123-45", "${area}/$2").expect("text"), "123/45");
    }

    proptest! {
        #[test]
        fn what_is_taken_apart_is_whole_again(before in "[^0-9]{0,5}", middle in "[0-9]{0,6}", between in "\\PC{0,5}", letters in "[a-zé🦊\u{301}]{1,9}") {
            let template = template("(?s)[^0-9]*([0-9]*).*?([a-zé🦊\u{301}]*)", None).expect("a template");
            let value = format!("{before}{middle}{between}{letters}");
            let taken = template.take(&value).expect("a match");
            let put = taken.put(&taken.captured).expect("text");
            prop_assert_eq!(put.as_str(), value.as_str());
        }
    }
}
