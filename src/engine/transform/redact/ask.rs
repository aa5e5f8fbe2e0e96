//! What a request about free text asks: its texts, the caller's own spans, and which transformation takes which class.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use goldfin_crypto::Plaintext;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::model::call::{Call, Verb};
use crate::model::document::Node;
use crate::model::fault::{Complaint, Fault};
use crate::model::members::Members;
use crate::model::path::is_name;
use crate::store::control::ControlKind;

use super::recognise::{Class, recognise};
use super::spans::{Score, Span, without_overlaps};
use super::text::{Letters, read};
use super::tokens::candidates;
use super::{Fate, Piece, Plan, Shown, TextOp};
use crate::engine::transform::Transform;
use crate::engine::transform::batch::{MOST_ITEMS, Targets, agree, read_partial_failure};
use crate::engine::transform::config::{Role, Transformation};
use crate::engine::transform::op::{Input, Item, Options, Target, Use, ValuesOp, What};
use crate::engine::transform::parse::one_purpose;
use crate::engine::transform::settings::name_of;

/// How much text one request may hold, in bytes: one text, and all of them. What was redacted is longer than what it was made of.
const REDACTED: [usize; 2] = [1 << 20, 4 << 20];
const RESTORED: [usize; 2] = [4 << 20, 16 << 20];

/// From here on a search takes longer than a millisecond.
const LONG: usize = 32 << 10;

/// The longest name of a class that a caller gives.
const LONGEST_CLASS: usize = 64;

/// A text as it was sent.
struct Sent {
    text: Plaintext,
    spans: Vec<Span>,
    options: Options,
}

/// How a request wants personal data to be found and replaced.
struct Wishes {
    classes: Vec<Class>,
    min_score: Score,
    unserved: Unserved,
    /// By class, before the transformations' own classes.
    chosen: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unserved {
    Mask,
    Leave,
    Fail,
}

/// A transformation of the role: its name, and its stored form where it is there.
struct Known {
    name: String,
    stored: Option<std::sync::Arc<Transformation>>,
}

impl Transform {
    pub(in crate::engine::transform) fn texts(&self, mut call: Call, usage: Use, role: &str) -> Result<(What, usize), Fault> {
        if call.verb != Verb::Write {
            return Err(Fault::WrongVerb);
        }
        let role = name_of(role)?;
        let mut members = call.members()?;
        let mut purpose = one_purpose(call.purpose.clone(), &mut members)?;
        let wishes = read_wishes(&mut members, usage)?;
        let around = self.read_options(&call, &mut members, usage, &Options::default())?;
        let partial_failure = read_partial_failure(&mut members)?;
        let listed = members.list("batch_input")?;
        let batch = listed.is_some();
        let mut unknown = 0;
        let mut sent: Vec<(Result<Sent, Fault>, Option<String>)> = Vec::new();
        match listed {
            Some(nodes) => {
                if nodes.is_empty() || nodes.len() > MOST_ITEMS {
                    return Err(members.wrong("batch_input", "must hold 1 to 10,000 items"));
                }
                for alone in ["text", "spans"] {
                    if members.take(alone).is_some() {
                        return Err(members.wrong(alone, "cannot be given together with `batch_input`"));
                    }
                }
                for (position, node) in nodes.into_iter().enumerate() {
                    let (text, reference, stray, why) = self.read_item_of_text(&call, node, position, usage, &around);
                    agree(&mut purpose, why)?;
                    unknown += stray;
                    sent.push((text, reference));
                }
            }
            None => {
                let reference = members.word("reference")?;
                let (text, spans) = read_text(&mut members, usage)?;
                sent.push((Ok(Sent { text, spans, options: around }), reference));
            }
        }
        unknown += members.finish(&[])?;
        let all: usize = sent.iter().filter_map(|(sent, _)| sent.as_ref().ok()).map(|sent| sent.text.len()).sum();
        if all > limits(usage)[1] {
            return Err(Fault::Invalid(Complaint::new("holds more text than one request may, send it in parts").at("batch_input")));
        }

        let snapshot = self.snapshot();
        let known = known(&snapshot, call.mount.id, &role);
        let mut targets = Targets { snapshot: &snapshot, mount: call.mount.id, role: &role, wanted: Vec::new(), found: Vec::new() };
        let (items, plan, count) = beside_the_others(all, || match usage {
            Use::Encode => plan_redaction(sent, &wishes, &known, &mut targets),
            _ => plan_restoration(sent, &known, &mut targets),
        })?;
        if targets.found.is_empty() {
            // Nothing was found: the request concerns the role's transformations, and whoever may use one of them may ask.
            for known in &known {
                targets.index(Some(known.name.clone()))?;
            }
        }
        let purpose = purpose.map(|word| targets.listed(word)).transpose()?;
        let mut targets = targets.found;
        if targets.is_empty() {
            targets.push(Target { name: None, class: None });
        }
        let values = ValuesOp { usage, role, format: None, targets, items: Arc::new(items), batch, purpose, partial_failure };
        Ok((What::Text(TextOp { values, plan, count }), unknown))
    }

    fn read_item_of_text(
        &self,
        call: &Call,
        node: Node,
        position: usize,
        usage: Use,
        around: &Options,
    ) -> (Result<Sent, Fault>, Option<String>, usize, Option<String>) {
        let mut members = match Members::of_item(node, position) {
            Ok(members) => members,
            Err(fault) => return (Err(fault), None, 0, None),
        };
        let mut reference = None;
        let mut purpose = None;
        let mut read = || -> Result<Sent, Fault> {
            reference = members.word("reference")?;
            purpose = one_purpose(None, &mut members)?;
            let options = self.read_options(call, &mut members, usage, around)?;
            let (text, spans) = read_text(&mut members, usage)?;
            Ok(Sent { text, spans, options })
        };
        let read = read();
        match (read, members.finish(&[])) {
            (read, Ok(unknown)) => (read, reference, unknown, purpose),
            (read, Err(fault)) => (read.and(Err(fault)), reference, 0, purpose),
        }
    }
}

/// Searching a mebibyte takes some 30 ms: what waits on this thread goes on on another one meanwhile.
fn beside_the_others<T>(bytes: usize, search: impl FnOnce() -> T) -> T {
    let several = |runtime: Handle| runtime.runtime_flavor() == RuntimeFlavor::MultiThread;
    if bytes > LONG && Handle::try_current().is_ok_and(several) { tokio::task::block_in_place(search) } else { search() }
}

const fn limits(usage: Use) -> [usize; 2] {
    if matches!(usage, Use::Encode) { REDACTED } else { RESTORED }
}

/// The role's transformations whose tokens can be found in a text again.
fn known(snapshot: &crate::store::directory::Snapshot, mount: crate::model::id::MountId, role: &str) -> Vec<Known> {
    let role = snapshot.get::<Role>(ControlKind::Role, mount, role).ok().flatten();
    let names = role.iter().flat_map(|role| role.transformations.iter());
    names
        .map(|name| Known {
            name: name.clone(),
            stored: snapshot.get::<Transformation>(ControlKind::Transformation, mount, name).ok().flatten(),
        })
        // Others make what nobody finds again in a text.
        .filter(|known| known.stored.as_ref().is_none_or(|stored| stored.form.is_opaque()))
        .collect()
}

fn read_wishes(members: &mut Members, usage: Use) -> Result<Wishes, Fault> {
    let mut wishes = Wishes { classes: Class::ALL.to_vec(), min_score: Score(0), unserved: Unserved::Mask, chosen: BTreeMap::new() };
    if usage != Use::Encode {
        return Ok(wishes);
    }
    if let Some(names) = members.words("classes")? {
        let wrong = "names a class that goldfin does not find by itself; it finds ssn, credit_card, phone, email, dob, zip, va_file_number, \
                     edipi and icn";
        wishes.classes =
            names.iter().map(|name| Class::from_name(name).ok_or_else(|| members.wrong("classes", wrong))).collect::<Result<_, _>>()?;
    }
    if let Some(score) = read_score(members, "min_score")? {
        wishes.min_score = score;
    }
    wishes.unserved = match members.word("on_unserved")?.as_deref() {
        None | Some("" | "mask") => Unserved::Mask,
        Some("leave") => Unserved::Leave,
        Some("fail") => Unserved::Fail,
        Some(_) => return Err(members.wrong("on_unserved", "must be `mask`, `leave` or `fail`")),
    };
    for (class, transformation) in members.text_map("transformations")?.unwrap_or_default() {
        if !is_class(&class) || !is_name(&transformation) {
            return Err(members.wrong("transformations", "must name a transformation for each class"));
        }
        wishes.chosen.insert(class_of(&class), transformation.clone());
        wishes.chosen.insert(class, transformation);
    }
    Ok(wishes)
}

fn read_text(members: &mut Members, usage: Use) -> Result<(Plaintext, Vec<Span>), Fault> {
    let text = members.secret("text")?.ok_or_else(|| members.missing("text"))?;
    if text.len() > limits(usage)[0] {
        return Err(members.wrong("text", if usage == Use::Encode { "is larger than 1 MiB" } else { "is larger than 4 MiB" }));
    }
    if usage != Use::Encode {
        return Ok((text, Vec::new()));
    }
    let nodes = members.list("spans")?.unwrap_or_default();
    if nodes.len() > MOST_ITEMS {
        return Err(members.wrong("spans", "must hold at most 10,000 spans"));
    }
    let length = if nodes.is_empty() { 0 } else { read(&text)?.chars().count() };
    let mut spans = Vec::with_capacity(nodes.len());
    for (position, node) in nodes.into_iter().enumerate() {
        spans.push(read_span(node, position, length)?);
    }
    Ok((text, spans))
}

/// A span as Presidio's analyzer gives it; a transformation's class may stand in place of its entity type.
fn read_span(node: Node, position: usize, length: usize) -> Result<Span, Fault> {
    let wrong = |what: &'static str| Fault::Invalid(Complaint::new(what).at("spans").stored(format!("spans[{position}]")));
    let mut members = Members::of_item(node, position).map_err(|_| wrong("must hold objects with `start`, `end` and `class`"))?;
    let place = |place: Result<Option<u64>, Fault>| place.ok().flatten().and_then(|place| usize::try_from(place).ok());
    let start = place(members.whole("start")).ok_or_else(|| wrong("needs `start`: a code point of the text, counted from 0"))?;
    let end = place(members.whole("end")).ok_or_else(|| wrong("needs `end`: the code point behind the last"))?;
    if start >= end {
        return Err(wrong("holds a span that ends before it begins, or is empty"));
    }
    if end > length {
        return Err(wrong("holds a span that ends behind the end of the text; positions are Unicode code points"));
    }
    let mut name = |member| members.word(member).map_err(|_| wrong("holds a `class` or `entity_type` that is no string"));
    let (class, entity) = (name("class")?, name("entity_type")?);
    let class =
        class.or_else(|| entity.as_deref().map(class_of)).ok_or_else(|| wrong("needs `class`, or `entity_type` as Presidio names it"))?;
    if !is_class(&class) {
        return Err(wrong("holds a `class` that is no name of at most 64 letters, digits and `._@+=:-`"));
    }
    let score = read_score(&mut members, "score").map_err(|_| wrong("holds a `score` that is no number from 0 to 1"))?;
    Ok(Span { start, end, class, score: score.unwrap_or(Score::CERTAIN) })
}

fn read_score(members: &mut Members, name: &'static str) -> Result<Option<Score>, Fault> {
    match members.take(name) {
        None => Ok(None),
        Some(Node::Number(digits)) => {
            Score::from_digits(&digits).map(Some).ok_or_else(|| members.wrong(name, "must be a number from 0 to 1"))
        }
        Some(_) => Err(members.wrong(name, "must be a number from 0 to 1")),
    }
}

fn is_class(name: &str) -> bool {
    name.len() <= LONGEST_CLASS && is_name(name)
}

/// The class that an entity type of Presidio is: they are written in capitals, and some have other names there.
fn class_of(name: &str) -> String {
    let ours = match name {
        "US_SSN" => "ssn",
        "PHONE_NUMBER" => "phone",
        "EMAIL_ADDRESS" => "email",
        "DATE_OF_BIRTH" => "dob",
        "US_ZIP_CODE" | "ZIP_CODE" => "zip",
        "PERSON" => "name",
        other if other.bytes().any(|byte| byte.is_ascii_lowercase()) => other,
        other => return other.to_ascii_lowercase(),
    };
    ours.to_owned()
}

type Planned = (Vec<Item>, Plan, usize);

fn plan_redaction(
    sent: Vec<(Result<Sent, Fault>, Option<String>)>,
    wishes: &Wishes,
    known: &[Known],
    targets: &mut Targets<'_>,
) -> Result<Planned, Fault> {
    let (mut items, mut plans, mut count, mut places) = (Vec::with_capacity(sent.len()), Vec::with_capacity(sent.len()), 0, 0);
    for (sent, reference) in sent {
        let (input, pieces) = match sent {
            Ok(Sent { text, spans, options }) => {
                let letters = Letters::of(&text)?;
                match pieces(&letters, spans, wishes, known, targets)? {
                    Ok(pieces) => {
                        let served = pieces.iter().filter_map(|piece| match piece.fate {
                            Fate::Encode(target) => Some((target, letters.between(piece.start, piece.end))),
                            Fate::Mask | Fate::Leave => None,
                        });
                        count += served.collect::<HashSet<_>>().len();
                        places += pieces.len();
                        (Ok(Input { target: 0, value: text, options }), pieces)
                    }
                    Err(fault) => (Err(fault), Vec::new()),
                }
            }
            Err(fault) => (Err(fault), Vec::new()),
        };
        if places > MOST_ITEMS {
            return Err(Fault::invalid("more than 10,000 values were found in one request, send it in parts"));
        }
        items.push(Item { input, reference });
        plans.push(pieces);
    }
    Ok((items, Plan::Redact(plans), count))
}

/// The outer fault is the request's, the inner one the text's.
fn pieces(
    letters: &Letters,
    mut spans: Vec<Span>,
    wishes: &Wishes,
    known: &[Known],
    targets: &mut Targets<'_>,
) -> Result<Result<Vec<Piece>, Fault>, Fault> {
    spans.extend(recognise(letters.all(), &wishes.classes));
    spans.retain(|span| span.score >= wishes.min_score);
    let spans = without_overlaps(spans, letters.all());
    let mut pieces = Vec::with_capacity(spans.len());
    for span in spans {
        let serves = |known: &&Known| known.stored.as_ref().is_some_and(|stored| stored.class.as_deref() == Some(span.class.as_str()));
        let chosen = wishes.chosen.get(&span.class);
        if chosen.is_some_and(|name| !known.iter().any(|known| known.name == *name)) {
            let complaint = Complaint::new("names one that is none of the role's transformations for texts").at("transformations");
            return Ok(Err(Fault::Invalid(complaint)));
        }
        let name = chosen.or_else(|| known.iter().find(serves).map(|known| &known.name));
        let fate = match (name, wishes.unserved) {
            (Some(name), _) => Fate::Encode(targets.index(Some(name.clone()))?),
            (None, Unserved::Mask) => Fate::Mask,
            (None, Unserved::Leave) => Fate::Leave,
            (None, Unserved::Fail) => {
                let complaint = Complaint::new("holds personal data of a class that no transformation of the role serves").at("text");
                let class = Class::from_name(&span.class).map(Class::name);
                return Ok(Err(Fault::Invalid(class.map_or(complaint.clone(), |class| complaint.stored(class)))));
            }
        };
        pieces.push(Piece { start: span.start, end: span.end, class: span.class, fate });
    }
    Ok(Ok(pieces))
}

fn plan_restoration(
    sent: Vec<(Result<Sent, Fault>, Option<String>)>,
    known: &[Known],
    targets: &mut Targets<'_>,
) -> Result<Planned, Fault> {
    let mut prefixes: Vec<&str> = known.iter().filter_map(|known| known.stored.as_ref()).map(|stored| stored.prefix.as_str()).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    let found: Vec<_> = sent
        .iter()
        .map(|(sent, _)| match sent {
            Ok(sent) => Ok(candidates(read(&sent.text)?, &prefixes)),
            Err(_) => Ok(super::Candidates::default()),
        })
        .collect::<Result<_, Fault>>()?;
    if found.iter().map(|found| found.found.len()).sum::<usize>() > MOST_ITEMS {
        return Err(Fault::invalid("more than 10,000 tokens were found in one request, send it in parts"));
    }
    // Only what begins like a token of theirs concerns transformations.
    let mut of_prefix = Vec::with_capacity(prefixes.len());
    for (at, prefix) in prefixes.iter().enumerate() {
        let mut those = Vec::new();
        if found.iter().any(|found| found.found.iter().any(|candidate| candidate.prefix == at)) {
            for known in known.iter().filter(|known| known.stored.as_ref().is_some_and(|stored| stored.prefix == *prefix)) {
                those.push(targets.index(Some(known.name.clone()))?);
            }
        }
        of_prefix.push(those);
    }
    let count = found.iter().flat_map(|found| &found.found).map(|candidate| candidate.token.as_str()).collect::<HashSet<_>>().len();
    let of_prefix = std::sync::Arc::new(of_prefix);
    let shown = found.into_iter().map(|candidates| Shown { candidates, targets: std::sync::Arc::clone(&of_prefix) }).collect();
    let items = sent
        .into_iter()
        .map(|(sent, reference)| Item { input: sent.map(|sent| Input { target: 0, value: sent.text, options: sent.options }), reference })
        .collect();
    Ok((items, Plan::Restore(shown), count))
}
