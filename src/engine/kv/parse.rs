//! Bytes become one operation, once. What exists is not known here, so nothing can be learned from a refusal.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::call::{Call, Query, Verb};
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::members::Members;
use crate::model::text::parse_duration;

use super::op::{Op, Task};
use super::settings::{Expiry, SettingsChange};
use super::versions::{CustomChange, MetadataChange, check_custom_metadata};

/// The most versions that a secret may be told to keep: all of them are in one document that every write replaces.
const MAX_MAX_VERSIONS: u64 = 10_000;

pub(super) fn parse(mut call: Call) -> Result<Op, Fault> {
    let tail = std::mem::take(&mut call.tail);
    let (area, path) = tail.split_once('/').unwrap_or((&tail, ""));
    let allowed: &[Verb] = match (area, path) {
        ("data", _) => &[Verb::Read, Verb::Write, Verb::Patch, Verb::Delete],
        ("metadata", _) => &[Verb::Read, Verb::List, Verb::Write, Verb::Patch, Verb::Delete],
        ("delete" | "undelete" | "destroy", _) => &[Verb::Write],
        ("subkeys", _) => &[Verb::Read],
        ("config", "") => &[Verb::Read, Verb::Write],
        _ => {
            return Err(Fault::not_found(
                "invalid path for a versioned K/V secrets engine, put `data/`, `metadata/` or the like behind the mount",
            ));
        }
    };
    if !allowed.contains(&call.verb) {
        return Err(Fault::WrongVerb);
    }
    if path.is_empty() && area != "config" && call.verb != Verb::List {
        return Err(Fault::invalid("missing path, name the secret"));
    }
    let cleared = Cleared::of(&call);
    let mut members = call.members()?;
    let (task, unknown) = match (area, call.verb) {
        ("data", Verb::Read) => (Task::Read { version: number(&call.query, "version")? }, 0),
        ("data", Verb::Write) => write(&mut members)?,
        ("data", Verb::Patch) => patch(&mut members)?,
        ("data", _) => (Task::DeleteCurrent, 0),
        ("metadata", Verb::Read) => (Task::ReadMetadata, 0),
        ("metadata", Verb::List) => (Task::List, 0),
        ("metadata", Verb::Write) => (Task::WriteMetadata { change: metadata(&mut members)? }, 0),
        ("metadata", Verb::Patch) => (Task::PatchMetadata { change: cleared.apply(metadata_patch(&mut members)?) }, 0),
        ("metadata", _) => (Task::DeleteMetadata, 0),
        ("delete", _) => (Task::Delete { versions: versions(&mut members)? }, 0),
        ("undelete", _) => (Task::Undelete { versions: versions(&mut members)? }, 0),
        ("destroy", _) => (Task::Destroy { versions: versions(&mut members)? }, 0),
        ("subkeys", _) => (subkeys(&call.query)?, 0),
        (_, Verb::Read) => (Task::ReadSettings, 0),
        (_, _) => (Task::WriteSettings { change: settings(&mut members)? }, 0),
    };
    let unknown = unknown + members.finish(&[])?;
    Ok(Op { path: path.to_owned(), mount: call.mount, purpose: call.purpose, unknown, task })
}

fn write(members: &mut Members) -> Result<(Task, usize), Fault> {
    let data = data(members)?.to_plaintext();
    let (cas, unknown) = options(members)?;
    Ok((Task::Write { data, cas }, unknown))
}

fn patch(members: &mut Members) -> Result<(Task, usize), Fault> {
    let patch = data(members)?.to_plaintext();
    let (cas, unknown) = options(members)?;
    Ok((Task::Patch { patch, cas }, unknown))
}

fn data(members: &mut Members) -> Result<Node, Fault> {
    members.object("data")?.map(Node::Object).ok_or(Fault::invalid("no data provided"))
}

/// The expected version, and how many options nobody knows.
fn options(members: &mut Members) -> Result<(Option<i64>, usize), Fault> {
    let Some(options) = members.object("options")? else { return Ok((None, 0)) };
    let mut options = Members::new(Node::Object(options))?;
    let garbage = |_| Fault::invalid("error parsing check-and-set parameter");
    let cas = options.whole("cas").map_err(garbage)?;
    let cas = cas.map(i64::try_from).transpose().map_err(|_| Fault::invalid("error parsing check-and-set parameter"))?;
    Ok((cas, options.finish(&[])?))
}

/// A list of numbers or of texts of digits, one of either, or a text with commas.
fn versions(members: &mut Members) -> Result<Vec<i64>, Fault> {
    let mut numbers = match members.take("versions") {
        None => Vec::new(),
        Some(Node::List(items)) => {
            let each = |(item, node)| Members::of_item(Node::object([("versions", node)]), item)?.whole("versions");
            items.into_iter().enumerate().map(each).filter_map(Result::transpose).collect::<Result<Vec<u64>, Fault>>()?
        }
        Some(text @ Node::Text(_)) => {
            let words = Members::new(Node::object([("versions", text)]))?.words("versions")?.unwrap_or_default();
            let numbers: Result<_, _> = words.iter().map(|word| word.parse()).collect();
            numbers.map_err(|_| members.wrong("versions", "must be a list of whole numbers"))?
        }
        Some(node) => Members::new(Node::object([("versions", node)]))?.whole("versions")?.into_iter().collect(),
    };
    if numbers.is_empty() {
        return Err(Fault::invalid("No version number provided"));
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers.into_iter().filter_map(|number| i64::try_from(number).ok()).collect())
}

fn subkeys(query: &Query) -> Result<Task, Fault> {
    let depth = number(query, "depth")?.unsigned_abs();
    Ok(Task::Subkeys { version: number(query, "version")?, depth })
}

/// A parameter behind the question mark; 0 where it is absent or empty.
fn number(query: &Query, name: &'static str) -> Result<i64, Fault> {
    let text = query.value(name).unwrap_or_default();
    if text.is_empty() {
        return Ok(0);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or(Fault::Invalid(crate::model::fault::Complaint::new("must be a whole number that is not negative").at(name)))
}

/// The members of a metadata patch that are null: set back to what they were before anyone set them (RFC 7396).
#[derive(Debug, Clone, Copy)]
struct Cleared {
    max_versions: bool,
    cas_required: bool,
    delete_after: bool,
    custom_metadata: bool,
}

impl Cleared {
    fn of(call: &Call) -> Self {
        let null = |name| matches!(call.body.member(name), Some(Node::Null));
        Self {
            max_versions: null("max_versions"),
            cas_required: null("cas_required"),
            delete_after: null("delete_version_after"),
            custom_metadata: null("custom_metadata"),
        }
    }

    fn apply(self, mut change: MetadataChange) -> MetadataChange {
        if self.max_versions {
            change.max_versions = Some(0);
        }
        if self.cas_required {
            change.cas_required = Some(false);
        }
        if self.delete_after {
            change.delete_after = Some(Duration::ZERO);
        }
        if self.custom_metadata {
            change.custom_metadata = CustomChange::Replace(BTreeMap::new());
        }
        change
    }
}

fn metadata(members: &mut Members) -> Result<MetadataChange, Fault> {
    let mut change = plain_metadata(members)?;
    if let Some(custom) = members.text_map("custom_metadata")? {
        check_custom_metadata(&custom)?;
        change.custom_metadata = CustomChange::Replace(custom);
    }
    Ok(change)
}

fn metadata_patch(members: &mut Members) -> Result<MetadataChange, Fault> {
    let mut change = plain_metadata(members)?;
    if let Some(custom) = members.object("custom_metadata")? {
        let (removed, set): (Vec<_>, Vec<_>) = custom.into_iter().partition(|(_, value)| matches!(value, Node::Null));
        let set = Members::new(Node::object([("custom_metadata", Node::Object(set))]))?.text_map("custom_metadata")?.unwrap_or_default();
        check_custom_metadata(&set)?;
        let set = set.into_iter().map(|(key, value)| (key, Some(value)));
        change.custom_metadata = CustomChange::Merge(removed.into_iter().map(|(key, _)| (key, None)).chain(set).collect());
    }
    Ok(change)
}

fn plain_metadata(members: &mut Members) -> Result<MetadataChange, Fault> {
    Ok(MetadataChange {
        max_versions: max_versions(members)?,
        cas_required: members.flag("cas_required")?,
        delete_after: members.duration("delete_version_after")?,
        custom_metadata: CustomChange::Keep,
    })
}

fn settings(members: &mut Members) -> Result<SettingsChange, Fault> {
    Ok(SettingsChange { max_versions: max_versions(members)?, cas_required: members.flag("cas_required")?, expiry: expiry(members)? })
}

fn max_versions(members: &mut Members) -> Result<Option<u32>, Fault> {
    match members.whole("max_versions")? {
        None => Ok(None),
        Some(number) if number <= MAX_MAX_VERSIONS => Ok(u32::try_from(number).ok()),
        Some(_) => Err(members.wrong("max_versions", "must be at most 10,000")),
    }
}

/// A mount's `delete_version_after`: 0 takes it back, and what is below 0 switches expiry off for every secret.
fn expiry(members: &mut Members) -> Result<Option<Expiry>, Fault> {
    const NAME: &str = "delete_version_after";
    let Some(node) = members.take(NAME) else { return Ok(None) };
    let (negative, node) = match node {
        Node::Number(digits) => match digits.strip_prefix('-') {
            Some(span) => (true, Node::Number(span.into())),
            None => (false, Node::Number(digits)),
        },
        text @ Node::Text(_) => {
            let word = Members::new(Node::object([(NAME, text)]))?.word(NAME)?.unwrap_or_default();
            match word.strip_prefix('-').filter(|span| parse_duration(span).is_some()) {
                Some(span) => (true, Node::text(span)),
                None => (false, Node::text(word)),
            }
        }
        other => (false, other),
    };
    let span = Members::new(Node::object([(NAME, node)]))?.duration(NAME)?;
    Ok(span.map(|span| match (span.is_zero(), negative) {
        (true, _) => Expiry::Unset,
        (false, true) => Expiry::Never,
        (false, false) => Expiry::AfterMillis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
    }))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
