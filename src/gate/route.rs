//! Where a path leads: the mount with the longest path that fits, and what is left behind it.

use std::sync::Arc;

use crate::engine::openapi;
use crate::model::call::Verb;
use crate::model::mount::Mount;
use crate::model::path::Requested;
use crate::store::directory::Snapshot;

/// A mount, what is left of the path behind it, and the verb after the trailing slash had its say.
#[derive(Debug)]
pub struct Route {
    pub mount: Arc<Mount>,
    pub tail: String,
    pub verb: Verb,
}

/// None where no mount answers, or where a trailing slash means nothing: under an engine it turns a read into LIST and is refused
/// on every other verb; behind the name of a mount (`DELETE sys/mounts/kv/`, as the CLI sends it) it is stripped.
#[must_use]
pub fn route(snapshot: &Snapshot, wanted: &Requested, verb: Verb) -> Option<Route> {
    let (mount, tail) = place(snapshot, wanted)?;
    let verb = match (verb, wanted.slash) {
        (verb, false) | (verb @ Verb::List, true) => verb,
        (verb, true) if names_a_mount(&mount.path, tail) => verb,
        (Verb::Read, true) => Verb::List,
        _ => return None,
    };
    Some(Route { mount: Arc::clone(mount), tail: tail.to_owned(), verb })
}

/// The mount that a path lies under, whatever is asked of it, and what is left of the path.
#[must_use]
pub fn place<'a>(snapshot: &'a Snapshot, wanted: &'a Requested) -> Option<(&'a Arc<Mount>, &'a str)> {
    snapshot.mounts().iter().find_map(|mount| Some((mount, wanted.path.below(&mount.path)?)))
}

/// The verbs that a path has: behind a slash, under an engine, only LIST.
pub fn verbs_at(snapshot: &Snapshot, wanted: &Requested) -> Vec<Verb> {
    let Some((mount, tail)) = place(snapshot, wanted) else { return Vec::new() };
    let mut verbs = openapi::verbs_of(mount.kind, tail);
    verbs.retain(|verb| !wanted.slash || names_a_mount(&mount.path, tail) || *verb == Verb::List);
    verbs
}

fn names_a_mount(mount: &str, tail: &str) -> bool {
    mount == "sys"
        && ["mounts", "auth", "internal/ui/mounts", "remount"]
            .iter()
            .any(|head| tail.strip_prefix(head).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}
