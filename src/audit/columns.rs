//! The members of an entry that columns repeat, read back from its canonical bytes: what a verifier compares.
//!
//! Nearly all entries have the plain form that goldfin writes; they are read in one pass that copies nothing. Whatever is not of that form
//! goes to the complete parser, which alone decides what cannot be read: the quick reading never accepts more than that.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::model::clock::Timestamp;

/// How deep the quick reading goes into members that it does not need.
const DEEPEST: u32 = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns<'a> {
    pub stream: i32,
    pub seq: i64,
    pub time: Timestamp,
    pub request: Cow<'a, str>,
    pub account: Cow<'a, str>,
    pub action: Cow<'a, str>,
    pub resource: Cow<'a, str>,
    pub decision: Cow<'a, str>,
    pub subject: Option<Cow<'a, str>>,
    pub changes: Option<Vec<Cow<'a, str>>>,
    /// Of an entry that concerns several.
    pub subjects: Vec<KnownSubject<'a>>,
}

/// One of the subjects of an entry that concerns several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSubject<'a> {
    /// The hash in hexadecimal.
    pub subject: Cow<'a, str>,
    pub class: Option<Cow<'a, str>>,
    pub count: i64,
}

impl<'a> Columns<'a> {
    /// None where the bytes are not an entry of a version that this build knows.
    #[must_use]
    pub fn read(body: &'a str) -> Option<Self> {
        quickly(body).or_else(|| completely(body))
    }
}

fn completely(body: &str) -> Option<Columns<'_>> {
    #[derive(serde::Deserialize)]
    struct Known<'a> {
        v: i64,
        stream: i32,
        seq: i64,
        #[serde(borrow)]
        time: Cow<'a, str>,
        #[serde(borrow)]
        request_id: Cow<'a, str>,
        #[serde(borrow)]
        account: Cow<'a, str>,
        #[serde(borrow)]
        action: Cow<'a, str>,
        #[serde(borrow)]
        resource: Cow<'a, str>,
        #[serde(borrow)]
        decision: Cow<'a, str>,
        subject: Option<String>,
        changes: Option<Vec<String>>,
        #[serde(borrow)]
        subjects: Option<Vec<KnownSubject<'a>>>,
    }
    // The parser would take a list of the members' values, too.
    let object = body.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{');
    let known: Known<'_> = serde_json::from_str(body).ok().filter(|_| object)?;
    (known.v == 1).then_some(())?;
    Some(Columns {
        stream: known.stream,
        seq: known.seq,
        time: Timestamp::from_rfc3339(&known.time)?,
        request: known.request_id,
        account: known.account,
        action: known.action,
        resource: known.resource,
        decision: known.decision,
        subject: known.subject.map(Cow::Owned),
        changes: known.changes.map(|changes| changes.into_iter().map(Cow::Owned).collect()),
        subjects: known.subjects.unwrap_or_default(),
    })
}

impl<'de: 'a, 'a> Deserialize<'de> for KnownSubject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnObject)
    }
}

/// A derived reading would take a list of the values for an object.
struct AnObject;

impl<'de> Visitor<'de> for AnObject {
    type Value = KnownSubject<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a subject with its count")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut subject, mut class, mut count) = (None, None, None);
        while let Some(name) = map.next_key::<String>()? {
            let again = match name.as_str() {
                "subject" => subject.replace(map.next_value::<String>()?).is_some(),
                "class" => class.replace(map.next_value::<Option<String>>()?).is_some(),
                "count" => count.replace(map.next_value::<i64>()?).is_some(),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    false
                }
            };
            if again {
                return Err(A::Error::custom("a member is there twice"));
            }
        }
        let subject = subject.ok_or_else(|| A::Error::missing_field("subject"))?;
        let count = count.ok_or_else(|| A::Error::missing_field("count"))?;
        Ok(KnownSubject { subject: Cow::Owned(subject), class: class.flatten().map(Cow::Owned), count })
    }
}

/// What was read of an entry so far.
#[derive(Default)]
struct Found<'a> {
    v: Option<i64>,
    stream: Option<i64>,
    seq: Option<i64>,
    time: Option<&'a str>,
    request: Option<&'a str>,
    account: Option<&'a str>,
    action: Option<&'a str>,
    resource: Option<&'a str>,
    decision: Option<&'a str>,
    subject: Option<&'a str>,
    changes: Option<Vec<Cow<'a, str>>>,
    subjects: Option<Vec<KnownSubject<'a>>>,
}

/// Reads an entry without white space, escapes, fractions, and nulls where they matter. None: whether it can be read is not said.
fn quickly(body: &str) -> Option<Columns<'_>> {
    // Without these a string ends at the next quotation mark.
    if body.bytes().fold(false, |odd, byte| odd | (byte < b' ') | (byte == b'\\')) {
        return None;
    }
    let mut found = Found::default();
    let rest = members(body, |name, value| found.take(name, value))?;
    let stream = i32::try_from(found.stream?).ok()?;
    (rest.is_empty() && found.v? == 1).then_some(())?;
    Some(Columns {
        stream,
        seq: found.seq?,
        time: Timestamp::from_rfc3339(found.time?)?,
        request: Cow::Borrowed(found.request?),
        account: Cow::Borrowed(found.account?),
        action: Cow::Borrowed(found.action?),
        resource: Cow::Borrowed(found.resource?),
        decision: Cow::Borrowed(found.decision?),
        subject: found.subject.map(Cow::Borrowed),
        changes: found.changes,
        subjects: found.subjects.unwrap_or_default(),
    })
}

impl<'a> Found<'a> {
    /// Takes a member whose value begins `value`; what is behind the value.
    fn take(&mut self, name: &str, value: &'a str) -> Option<&'a str> {
        match name {
            "v" => put(&mut self.v, number(value)?),
            "stream" => put(&mut self.stream, number(value)?),
            "seq" => put(&mut self.seq, number(value)?),
            "time" => put(&mut self.time, text(value)?),
            "request_id" => put(&mut self.request, text(value)?),
            "account" => put(&mut self.account, text(value)?),
            "action" => put(&mut self.action, text(value)?),
            "resource" => put(&mut self.resource, text(value)?),
            "decision" => put(&mut self.decision, text(value)?),
            "subject" => put(&mut self.subject, text(value)?),
            "changes" => {
                let mut changes = Vec::new();
                let rest = items(value, |item| {
                    let (change, rest) = text(item)?;
                    changes.push(Cow::Borrowed(change));
                    Some(rest)
                })?;
                put(&mut self.changes, (changes, rest))
            }
            "subjects" => {
                let mut subjects = Vec::new();
                let rest = items(value, |item| {
                    let (subject, rest) = known_subject(item)?;
                    subjects.push(subject);
                    Some(rest)
                })?;
                put(&mut self.subjects, (subjects, rest))
            }
            _ => passed(value, DEEPEST),
        }
    }
}

/// None where the member was there before.
fn put<'a, T>(place: &mut Option<T>, (value, rest): (T, &'a str)) -> Option<&'a str> {
    place.replace(value).is_none().then_some(rest)
}

fn known_subject(item: &str) -> Option<(KnownSubject<'_>, &str)> {
    let (mut subject, mut class, mut count) = (None, None, None);
    let rest = members(item, |name, value| match name {
        "subject" => put(&mut subject, text(value)?),
        "class" => put(&mut class, text(value)?),
        "count" => put(&mut count, number(value)?),
        _ => passed(value, DEEPEST),
    })?;
    Some((KnownSubject { subject: Cow::Borrowed(subject?), class: class.map(Cow::Borrowed), count: count? }, rest))
}

/// Hands each member of an object to `take`, as its name and what begins with its value; what is behind the object.
fn members<'a>(text: &'a str, mut take: impl FnMut(&'a str, &'a str) -> Option<&'a str>) -> Option<&'a str> {
    let mut rest = text.strip_prefix("{\"")?;
    loop {
        let (name, value) = until_quote(rest)?;
        rest = take(name, value.strip_prefix(':')?)?;
        match rest.strip_prefix(",\"") {
            Some(next) => rest = next,
            None => return rest.strip_prefix('}'),
        }
    }
}

/// The same of a list.
fn items<'a>(text: &'a str, mut take: impl FnMut(&'a str) -> Option<&'a str>) -> Option<&'a str> {
    let mut rest = text.strip_prefix('[')?;
    if let Some(empty) = rest.strip_prefix(']') {
        return Some(empty);
    }
    loop {
        rest = take(rest)?;
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return rest.strip_prefix(']'),
        }
    }
}

fn text(value: &str) -> Option<(&str, &str)> {
    until_quote(value.strip_prefix('"')?)
}

/// What is before the next quotation mark, and what is behind it: eight bytes at a time, as most strings have only a few.
fn until_quote(text: &str) -> Option<(&str, &str)> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let mut at = 0;
    for eight in text.as_bytes().chunks_exact(8) {
        let differing = u64::from_le_bytes(eight.try_into().ok()?) ^ (ONES * 0x22);
        // The lowest bit that is set belongs to the first byte that is zero.
        let zeros = differing.wrapping_sub(ONES) & !differing & (ONES * 0x80);
        if zeros != 0 {
            at += usize::try_from(zeros.trailing_zeros() / 8).ok()?;
            return Some((text.get(..at)?, text.get(at + 1..)?));
        }
        at += 8;
    }
    let (before, behind) = text.get(at..)?.split_once('"')?;
    Some((text.get(..at + before.len())?, behind))
}

/// A whole number of few digits.
fn number(value: &str) -> Option<(i64, &str)> {
    let digits = value.bytes().take(19).take_while(u8::is_ascii_digit).count();
    let (number, rest) = value.split_at_checked(digits)?;
    let plain = (1..=18).contains(&digits) && (digits == 1 || !number.starts_with('0')) && !rest.starts_with(['.', 'e', 'E']);
    if plain { Some((number.parse().ok()?, rest)) } else { None }
}

/// What is behind a value that nobody needs.
fn passed(value: &str, deeper: u32) -> Option<&str> {
    match value.as_bytes().first()? {
        b'"' => Some(text(value)?.1),
        b'0'..=b'9' => Some(number(value)?.1),
        b'[' => items(value, |item| passed(item, deeper.checked_sub(1)?)),
        b'{' => members(value, |_, value| passed(value, deeper.checked_sub(1)?)),
        _ => ["true", "false", "null"].iter().find_map(|word| value.strip_prefix(word)),
    }
}

#[cfg(test)]
mod tests;
