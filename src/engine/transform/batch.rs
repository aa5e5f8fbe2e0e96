//! Values and tokens of a request, one or many: reading them, and putting the answers together in their order.

use std::sync::Arc;

use goldfin_crypto::Plaintext;

use crate::model::call::Call;
use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::fault::{Complaint, Fault};
use crate::model::members::Members;
use crate::model::path::is_name;
use crate::model::reply::{Answer, Reply};
use crate::store::control::ControlKind;
use crate::store::directory::Snapshot;

use super::Transform;
use super::config::{Role, Transformation};
use super::mount_config;
use super::op::{Input, Item, Options, Target, Use, ValuesOp};
use super::parse::one_purpose;
use super::purposes::{Given, Purpose};

/// The most items of one request.
pub(super) const MOST_ITEMS: usize = 10_000;

/// The most transformations of one request: each is decided by itself.
const MOST_TARGETS: usize = 64;

/// The largest value, in bytes.
const MAX_VALUE_BYTES: usize = 1 << 20;

/// The largest metadata of one token, in bytes.
const MAX_METADATA_BYTES: usize = 16 << 10;

/// What the members of one answer are.
pub(super) type Answered = Vec<(String, Node)>;

/// Members that an item takes from the body around it when it does not say otherwise.
#[derive(Debug, Default)]
struct Around {
    transformation: Option<String>,
    options: Options,
}

/// The transformations of a request while it is read.
pub(super) struct Targets<'a> {
    pub snapshot: &'a Snapshot,
    pub mount: crate::model::id::MountId,
    pub role: &'a str,
    pub wanted: Vec<Option<String>>,
    pub found: Vec<Target>,
}

impl Targets<'_> {
    pub(super) fn index(&mut self, wanted: Option<String>) -> Result<usize, Fault> {
        if let Some(at) = self.wanted.iter().position(|known| *known == wanted) {
            return Ok(at);
        }
        if self.found.len() >= MOST_TARGETS {
            return Err(Fault::Invalid(Complaint::new("names more than 64 transformations in one request").at("batch_input")));
        }
        self.found.push(self.find(wanted.clone()));
        self.wanted.push(wanted);
        Ok(self.found.len() - 1)
    }

    /// The purpose as the lists of the transformations know it.
    pub(super) fn listed(&self, purpose: String) -> Result<Purpose, Fault> {
        let mut given = Given::new(purpose);
        let mut without = false;
        for target in &self.found {
            let stored = |name: &str| self.snapshot.get::<Transformation>(ControlKind::Transformation, self.mount, name).ok().flatten();
            match target.name.as_deref().and_then(stored) {
                Some(transformation) if !transformation.purposes.is_empty() => given.look_in(&transformation.purposes),
                _ => without = true,
            }
        }
        if without {
            given.look_in(&mount_config::of_mount(self.snapshot, self.mount)?.purposes);
        }
        Ok(given.judged())
    }

    /// A stored thing that cannot be honoured counts as absent here; carrying the operation out says so.
    fn find(&self, wanted: Option<String>) -> Target {
        let name = wanted.or_else(|| {
            let role = self.snapshot.get::<Role>(ControlKind::Role, self.mount, self.role).ok()??;
            match role.transformations.as_slice() {
                [only] => Some(only.clone()),
                _ => None,
            }
        });
        let transformation = name
            .as_deref()
            .and_then(|name| self.snapshot.get::<Transformation>(ControlKind::Transformation, self.mount, name).ok().flatten());
        Target { name, class: transformation.and_then(|transformation| transformation.class.clone()) }
    }
}

impl Transform {
    pub(super) fn read_values(
        &self,
        call: &Call,
        mut members: Members,
        usage: Use,
        role: String,
        format: Option<String>,
    ) -> Result<(ValuesOp, usize), Fault> {
        let mut purpose = one_purpose(call.purpose.clone(), &mut members)?;
        let around = Around {
            transformation: read_transformation(&mut members)?,
            options: self.read_options(call, &mut members, usage, &Options::default())?,
        };
        let partial_failure = read_partial_failure(&mut members)?;
        let snapshot = self.snapshot();
        let mut targets = Targets { snapshot: &snapshot, mount: call.mount.id, role: &role, wanted: Vec::new(), found: Vec::new() };
        let mut unknown = 0;
        let listed = members.list("batch_input")?;
        let batch = listed.is_some();
        let items = match listed {
            Some(nodes) => {
                if nodes.is_empty() || nodes.len() > MOST_ITEMS {
                    return Err(members.wrong("batch_input", "must hold 1 to 10,000 items"));
                }
                if members.take("value").is_some() {
                    return Err(members.wrong("value", "cannot be given together with `batch_input`"));
                }
                let mut items = Vec::with_capacity(nodes.len());
                for (position, node) in nodes.into_iter().enumerate() {
                    let (item, stray, why) = self.read_item(call, node, position, usage, &around, &mut targets)?;
                    unknown += stray;
                    agree(&mut purpose, why)?;
                    items.push(item);
                }
                items
            }
            None => {
                let reference = members.word("reference")?;
                let value = read_value(&mut members, usage)?;
                let target = targets.index(around.transformation)?;
                vec![Item { input: Ok(Input { target, value, options: around.options }), reference }]
            }
        };
        unknown += members.finish(&[])?;
        let purpose = purpose.map(|word| targets.listed(word)).transpose()?;
        let mut targets = targets.found;
        if targets.is_empty() {
            // Not one item could be read: the role alone is what the request concerns.
            targets.push(Target { name: None, class: None });
        }
        Ok((ValuesOp { usage, role, format, targets, items: Arc::new(items), batch, purpose, partial_failure }, unknown))
    }

    /// One object of a batch: the item, how many of its members are unknown, and its own purpose.
    fn read_item(
        &self,
        call: &Call,
        node: Node,
        position: usize,
        usage: Use,
        around: &Around,
        targets: &mut Targets<'_>,
    ) -> Result<(Item, usize, Option<String>), Fault> {
        let mut members = match Members::of_item(node, position) {
            Ok(members) => members,
            Err(fault) => return Ok((Item { input: Err(fault), reference: None }, 0, None)),
        };
        // First, so that an item that fails otherwise still says which it was.
        let (reference, mut failed) = match members.word("reference") {
            Ok(reference) => (reference, None),
            Err(fault) => (None, Some(fault)),
        };
        let mut purpose = None;
        let mut read = || -> Result<(Option<String>, Plaintext, Options), Fault> {
            purpose = one_purpose(None, &mut members)?;
            let wanted = read_transformation(&mut members)?.or_else(|| around.transformation.clone());
            let options = self.read_options(call, &mut members, usage, &around.options)?;
            Ok((wanted, read_value(&mut members, usage)?, options))
        };
        let read = read();
        let (unknown, read) = match (read, members.finish(&[])) {
            (read, Ok(unknown)) => (unknown, read),
            (Ok(_), Err(fault)) => (0, Err(fault)),
            (Err(fault), Err(_)) => (0, Err(fault)),
        };
        let input = match (failed.take(), read) {
            (Some(fault), _) | (None, Err(fault)) => Err(fault),
            (None, Ok((wanted, value, options))) => Ok(Input { target: targets.index(wanted)?, value, options }),
        };
        Ok((Item { input, reference }, unknown, purpose))
    }

    /// What only an encode takes; elsewhere these members are nobody's.
    pub(super) fn read_options(&self, call: &Call, members: &mut Members, usage: Use, around: &Options) -> Result<Options, Fault> {
        let tweak = members.word("tweak")?.filter(|tweak| !tweak.is_empty()).or_else(|| around.tweak.clone());
        if usage != Use::Encode && !usage.by_value() {
            return Ok(Options { tweak, ..Options::default() });
        }
        if usage != Use::Encode {
            refuse_range(members)?;
            return Ok(Options { subject: self.read_subject(call, members, around)?, ..Options::default() });
        }
        let ttl = members.duration("ttl")?;
        let expiration = read_moment(members, "expiration")?;
        let metadata = read_metadata(members)?;
        let subject = self.read_subject(call, members, around)?;
        // An item's own end replaces the one around it as a whole.
        let (ttl, expiration) = if ttl.is_none() && expiration.is_none() { (around.ttl, around.expiration) } else { (ttl, expiration) };
        Ok(Options { ttl, expiration, metadata: metadata.or_else(|| around.metadata.clone()), subject, tweak })
    }

    fn read_subject(&self, call: &Call, members: &mut Members, around: &Options) -> Result<Option<[u8; 32]>, Fault> {
        match members.secret("subject")? {
            Some(subject) => self.subject_hash(call, members, &subject).map(Some),
            None => Ok(around.subject),
        }
    }
}

/// A value has one token, whenever that ends: there is nothing to choose from.
fn refuse_range(members: &mut Members) -> Result<(), Fault> {
    for name in ["expiration", "min_expiration", "max_expiration"] {
        if members.word(name)?.is_some_and(|end| !end.is_empty() && end != "any") {
            return Err(members.wrong(name, "would choose among tokens, and a value has one; leave it out or say `any`"));
        }
    }
    Ok(())
}

fn read_transformation(members: &mut Members) -> Result<Option<String>, Fault> {
    match members.word("transformation")?.filter(|name| !name.is_empty()) {
        Some(name) if !is_name(&name) => Err(members.wrong("transformation", "must be a name of letters, digits and `._@+=:-`")),
        name => Ok(name),
    }
}

fn read_value(members: &mut Members, usage: Use) -> Result<Plaintext, Fault> {
    let value = members.secret("value")?.ok_or_else(|| members.missing("value"))?;
    if usage == Use::Encode && value.is_empty() {
        return Err(members.wrong("value", "is empty, there is nothing to encode"));
    }
    if (usage == Use::Encode || usage.by_value()) && value.len() > MAX_VALUE_BYTES {
        return Err(members.wrong("value", "is larger than 1 MiB"));
    }
    Ok(value)
}

fn read_moment(members: &mut Members, name: &'static str) -> Result<Option<Timestamp>, Fault> {
    match members.take(name) {
        None => Ok(None),
        Some(Node::Text(text)) if text.is_empty() => Ok(None),
        Some(Node::Text(text)) => {
            let moment = super::run::read_text(&text).and_then(Timestamp::from_rfc3339);
            moment.map(Some).ok_or_else(|| members.wrong(name, "must be a moment as RFC 3339 writes it"))
        }
        Some(Node::Number(digits)) => {
            let seconds = digits.parse::<i64>().ok().filter(|seconds| (0..=32_503_680_000).contains(seconds));
            seconds
                .map(|seconds| Some(Timestamp::from_unix_micros(seconds * 1_000_000)))
                .ok_or_else(|| members.wrong(name, "must be a moment: RFC 3339, or seconds since 1970"))
        }
        Some(_) => Err(members.wrong(name, "must be a moment: RFC 3339, or seconds since 1970")),
    }
}

/// An object of strings, or `key=value` pairs as Vault's command line sends them.
fn read_metadata(members: &mut Members) -> Result<Option<Arc<Plaintext>>, Fault> {
    let wrong = "must be an object of strings";
    let pairs = match members.take("metadata") {
        None => return Ok(None),
        Some(Node::Object(pairs)) => pairs,
        Some(Node::Text(text)) => {
            let text = super::run::read_text(&text).unwrap_or_default();
            text.split(',')
                .filter(|pair| !pair.is_empty())
                .map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), Node::text(value))))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| members.wrong("metadata", wrong))?
        }
        Some(_) => return Err(members.wrong("metadata", wrong)),
    };
    if !pairs.iter().all(|(_, value)| matches!(value, Node::Text(_))) {
        return Err(members.wrong("metadata", wrong));
    }
    if pairs.is_empty() {
        return Ok(None);
    }
    let written = Node::Object(pairs).to_plaintext();
    if written.len() > MAX_METADATA_BYTES {
        return Err(members.wrong("metadata", "is larger than 16 KiB"));
    }
    Ok(Some(Arc::new(written)))
}

pub(super) fn read_partial_failure(members: &mut Members) -> Result<Option<u16>, Fault> {
    let wrong = members.wrong("partial_failure_response_code", "must be a status from 200 to 599");
    match members.whole("partial_failure_response_code")? {
        None | Some(0) => Ok(None),
        Some(code) => match u16::try_from(code) {
            // Without body, or not final.
            Ok(204 | 205 | 304) => Err(wrong),
            Ok(code @ 200..=599) => Ok(Some(code)),
            _ => Err(wrong),
        },
    }
}

pub(super) fn agree(purpose: &mut Option<String>, of_item: Option<String>) -> Result<(), Fault> {
    match (&purpose, of_item) {
        (_, None) => Ok(()),
        (Some(known), Some(given)) if *known == given => Ok(()),
        (None, given) => {
            *purpose = given;
            Ok(())
        }
        (Some(_), Some(_)) => {
            Err(Fault::Invalid(Complaint::new("differs within the request, send one request for each purpose").at("purpose")))
        }
    }
}

/// Puts the answer together. A fault that is the server's, not the item's, fails the request: nothing of it happened.
pub(super) fn answer(op: &ValuesOp, mut results: Vec<Result<Answered, Fault>>) -> Result<Reply, Fault> {
    if let Some(at) = results.iter().position(|result| result.as_ref().is_err_and(concerns_all)) {
        return results.swap_remove(at).map(|_| Reply::nothing());
    }
    let named = |mut members: Answered, item: &Item| {
        if let Some(reference) = &item.reference {
            members.push(("reference".to_owned(), Node::text(reference.as_str())));
        }
        members
    };
    if !op.batch {
        let members = results.pop().unwrap_or(Err(Fault::Internal("batch")))?;
        let item = op.items.first().ok_or(Fault::Internal("batch"))?;
        return Ok(if members.is_empty() { Reply::nothing() } else { Reply::data(Node::Object(named(members, item))) });
    }
    let failed = results.iter().filter(|result| result.is_err()).count();
    let all = results.len();
    let nodes = results
        .into_iter()
        .zip(op.items.iter())
        .map(|(result, item)| {
            let members = result.unwrap_or_else(|fault| {
                vec![("error".to_owned(), Node::text(fault.to_string())), ("status".to_owned(), Node::whole(i64::from(fault.status())))]
            });
            Node::Object(named(members, item))
        })
        .collect();
    let data = Node::object([("batch_results", Node::List(nodes))]);
    Ok(Reply::new(match (failed, op.partial_failure) {
        (failed, _) if failed == all => Answer::Status(400, data),
        (1.., Some(status)) => Answer::Status(status, data),
        _ => Answer::Data(data),
    }))
}

pub(super) fn concerns_all(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Unavailable(_)
            | Fault::Sealed
            | Fault::OutcomeUnknown
            | Fault::Internal(_)
            | Fault::Conflict(_)
            | Fault::TooMany { .. }
            | Fault::LimitReached { .. }
    )
}
