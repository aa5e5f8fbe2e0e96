//! A question about rights in a request's body: what is done to what, and how.

use std::net::IpAddr;

use crate::model::action::Action;
use crate::model::call::Verb;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::members::Members;
use crate::model::operation::{Circumstances, Resource, ResourceKind};
use crate::model::path::CanonicalPath;

/// What is asked about.
#[derive(Debug)]
pub enum Target {
    /// As policies name it.
    Named(Action, Resource),
    /// As requests name it: what this verb does at this path.
    Requested(Verb, CanonicalPath),
    /// One of the things that can be done at this path.
    AtPath(Action, CanonicalPath),
}

#[derive(Debug)]
pub struct Question {
    pub target: Target,
    pub circumstances: Circumstances,
    pub peer: Option<IpAddr>,
    pub method: Option<String>,
}

/// The ways in which a caller proves itself, as policies name them.
const METHODS: &[&str] = &["kerberos", "jwt", "token", "root"];

impl Question {
    pub(super) fn read(body: &mut Members) -> Result<Self, Fault> {
        let target = target(body)?;
        let purpose = body.word("purpose")?;
        let batch_size = body.whole("batch_size")?.unwrap_or(1);
        let peer = match body.word("peer")? {
            Some(peer) => Some(peer.parse().map_err(|_| body.wrong("peer", "must be an IP address"))?),
            None => None,
        };
        let method = body.word("method")?;
        if method.as_deref().is_some_and(|method| !METHODS.contains(&method)) {
            return Err(body.wrong("method", "must be `kerberos`, `jwt`, `token` or `root`"));
        }
        Ok(Self { target, circumstances: Circumstances { purpose, batch_size, grants: Vec::new() }, peer, method })
    }
}

fn target(body: &mut Members) -> Result<Target, Fault> {
    let action = match body.word("action")? {
        Some(action) => {
            let known = Action::from_name(&action);
            Some(known.ok_or_else(|| body.wrong("action", "must be one of the actions of `policies/schema.cedarschema`"))?)
        }
        None => None,
    };
    let path = match body.word("path")? {
        Some(path) => Some(CanonicalPath::from_text(path.trim_end_matches('/')).map_err(|refusal| Fault::invalid(refusal.0))?),
        None => None,
    };
    let verb = body.word("verb")?;
    match (action, path, verb) {
        (Some(action), None, None) => Ok(Target::Named(action, resource(body)?)),
        (Some(action), Some(path), None) => Ok(Target::AtPath(action, path)),
        (None, Some(path), Some(verb)) => Ok(Target::Requested(verb_of(&verb).ok_or_else(|| body.wrong("verb", VERBS))?, path)),
        _ => Err(Fault::invalid("give `action` with `resource` or `path`, or `path` with `verb`")),
    }
}

/// `{"kind": "Transformation", "id": "transform/phone"}`, or as policies write it: `Transformation::"transform/phone"`.
fn resource(body: &mut Members) -> Result<Resource, Fault> {
    let wrong_kind = "must be of one of the resource types of `policies/schema.cedarschema`";
    let of_kind = |kind: &str| ResourceKind::ALL.iter().copied().find(|known| known.name() == kind);
    match body.take("resource") {
        Some(Node::Object(members)) => {
            let mut resource = Members::new(Node::Object(members))?;
            let kind = resource.word("kind")?.ok_or_else(|| resource.missing("kind"))?;
            let kind = of_kind(&kind).ok_or_else(|| resource.wrong("kind", wrong_kind))?;
            let id = resource.word("id")?.ok_or_else(|| resource.missing("id"))?;
            let (mount, class) = (resource.word("mount")?, resource.word("class")?);
            resource.finish(&[])?;
            Ok(Resource { kind, id, mount, class })
        }
        Some(text @ Node::Text(_)) => {
            let mut single = Members::new(Node::object([("resource", text)]))?;
            let text = single.word("resource")?.unwrap_or_default();
            let parts = text.split_once("::").and_then(|(kind, id)| Some((of_kind(kind)?, id.strip_prefix('"')?.strip_suffix('"')?)));
            let (kind, id) = parts.ok_or_else(|| body.wrong("resource", "must be written as in a policy: `Secret::\"secret/app\"`"))?;
            Ok(Resource::new(kind, id))
        }
        Some(_) => Err(body.wrong("resource", "must be an object, or an entity as policies write it")),
        None => Err(body.missing("resource")),
    }
}

const VERBS: &str = "must be `read`, `list`, `write`, `patch` or `delete`";

fn verb_of(word: &str) -> Option<Verb> {
    match word.to_ascii_lowercase().as_str() {
        "read" | "get" => Some(Verb::Read),
        "list" => Some(Verb::List),
        "write" | "put" | "post" | "create" | "update" => Some(Verb::Write),
        "patch" => Some(Verb::Patch),
        "delete" => Some(Verb::Delete),
        _ => None,
    }
}
