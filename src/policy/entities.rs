//! Turns callers, operations and circumstances into Cedar's entities, requests and contexts, with the typed API only: a name or
//! path with Cedar syntax, quotes or `*` in it stays an id and never becomes text that is parsed.
//!
//! Only the ancestors that some policy names are given to Cedar. The others cannot change an answer: an `in` compares with a
//! literal of a policy, since no attribute of the schema holds an entity.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::str::FromStr;

use cedar_policy::{Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression};

use super::asked::{Asked, Caller};
use super::reads::Reads;
use super::slice::Anchor;
use super::source::Statement;
use crate::model::action::Action;
use crate::model::clock::Timestamp;
use crate::model::operation::{Circumstances, Resource, ResourceKind};

/// Something could not be built; the decision is a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unbuildable;

/// The entity types of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Namespace,
    Group,
    Anonymous,
    Job,
    Folder,
    Resource(ResourceKind),
}

impl Kind {
    const ACCOUNT: Self = Self::Resource(ResourceKind::Account);
    const MOUNT: Self = Self::Resource(ResourceKind::Mount);

    pub(super) fn all() -> impl Iterator<Item = Self> {
        [Self::Namespace, Self::Group, Self::Anonymous, Self::Job, Self::Folder]
            .into_iter()
            .chain(ResourceKind::ALL.iter().copied().map(Self::Resource))
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Group => "Group",
            Self::Anonymous => "Anonymous",
            Self::Job => "Job",
            Self::Folder => "Folder",
            Self::Resource(kind) => kind.name(),
        }
    }
}

const NAMESPACE: &str = "root";

/// The entities that the policies name, and the types and actions that the schema names.
#[derive(Debug)]
pub(super) struct Vocabulary {
    types: HashMap<Kind, (EntityTypeName, Anchor)>,
    actions: HashMap<Action, EntityUid>,
    literals: HashMap<Kind, HashMap<Box<str>, Known>>,
}

/// An entity that at least one policy names.
#[derive(Debug)]
struct Known {
    uid: EntityUid,
    anchor: Anchor,
}

/// A principal or a resource in its hierarchy, and the anchors under which statements may concern it.
#[derive(Debug)]
pub(super) struct Placed {
    uid: EntityUid,
    ancestors: HashSet<EntityUid>,
    pub(super) anchors: Vec<Anchor>,
}

impl Vocabulary {
    pub(super) fn new(statements: &[Statement]) -> Result<Self, Unbuildable> {
        let mut next = Anchor::ANY;
        let mut types = HashMap::new();
        for kind in Kind::all() {
            next = next.following();
            types.insert(kind, (EntityTypeName::from_str(kind.name()).map_err(|_| Unbuildable)?, next));
        }
        let action_type = EntityTypeName::from_str("Action").map_err(|_| Unbuildable)?;
        let actions = Action::ALL
            .iter()
            .map(|action| (*action, EntityUid::from_type_name_and_id(action_type.clone(), EntityId::new(action.name()))))
            .collect();
        let kinds: HashMap<&str, Kind> = Kind::all().map(|kind| (kind.name(), kind)).collect();
        let mut literals: HashMap<Kind, HashMap<Box<str>, Known>> = HashMap::new();
        for uid in statements.iter().flat_map(|statement| statement.policy.entity_literals()) {
            let Some(kind) = kinds.get(uid.type_name().basename()) else { continue };
            let known = literals.entry(*kind).or_default();
            if !known.contains_key(uid.id().unescaped()) {
                next = next.following();
                known.insert(uid.id().unescaped().into(), Known { uid, anchor: next });
            }
        }
        Ok(Self { types, actions, literals })
    }

    pub(super) fn action(&self, action: Action) -> Result<EntityUid, Unbuildable> {
        self.actions.get(&action).cloned().ok_or(Unbuildable)
    }

    /// The anchor of an entity that a policy names.
    pub(super) fn anchor_of(&self, uid: &EntityUid) -> Option<Anchor> {
        let kind = Kind::all().find(|kind| kind.name() == uid.type_name().basename())?;
        self.known(kind, uid.id().unescaped()).map(|known| known.anchor)
    }

    pub(super) fn anchor_of_type(&self, name: &EntityTypeName) -> Option<Anchor> {
        self.types.values().find(|(known, _)| known == name).map(|(_, anchor)| *anchor)
    }

    fn known(&self, kind: Kind, id: &str) -> Option<&Known> {
        self.literals.get(&kind)?.get(id)
    }

    pub(super) fn principal(&self, asked: &Asked<'_>) -> Result<Placed, Unbuildable> {
        let (kind, id) = match asked.caller {
            Caller::Anonymous => (Kind::Anonymous, "anonymous"),
            Caller::Account(name) => (Kind::ACCOUNT, name),
            Caller::Job(name) => (Kind::Job, name),
        };
        let mut place = self.begin(kind, id)?;
        if kind == Kind::ACCOUNT {
            for group in asked.groups {
                place.stand_in(self.known(Kind::Group, group));
            }
            place.stand_in(self.known(Kind::Namespace, NAMESPACE));
        }
        Ok(place)
    }

    pub(super) fn resource(&self, action: Action, resource: &Resource) -> Result<Placed, Unbuildable> {
        let mut place = self.begin(Kind::Resource(resource.kind), &resource.id)?;
        if let Some(mount) = &resource.mount {
            place.stand_in(self.known(Kind::MOUNT, mount));
            place.stand_in(self.known(Kind::Namespace, NAMESPACE));
            for folder in folders(action, resource, mount) {
                place.stand_in(self.known(Kind::Folder, folder));
            }
        }
        if resource.kind == ResourceKind::Mount {
            place.stand_in(self.known(Kind::Namespace, NAMESPACE));
        }
        Ok(place)
    }

    fn begin(&self, kind: Kind, id: &str) -> Result<Placed, Unbuildable> {
        let (name, of_type) = self.types.get(&kind).ok_or(Unbuildable)?;
        let mut anchors = vec![Anchor::ANY, *of_type];
        let uid = match self.known(kind, id) {
            Some(known) => {
                anchors.push(known.anchor);
                known.uid.clone()
            }
            None => EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id)),
        };
        Ok(Placed { uid, ancestors: HashSet::new(), anchors })
    }
}

impl Placed {
    fn stand_in(&mut self, ancestor: Option<&Known>) {
        if let Some(known) = ancestor
            && known.uid != self.uid
            && self.ancestors.insert(known.uid.clone())
        {
            self.anchors.push(known.anchor);
        }
    }

    fn entity(self, attributes: HashMap<String, RestrictedExpression>) -> Result<Entity, Unbuildable> {
        if attributes.is_empty() {
            return Ok(Entity::new_no_attrs(self.uid, self.ancestors));
        }
        Entity::new(self.uid, attributes, self.ancestors).map_err(|_| Unbuildable)
    }
}

/// The attributes of an entity that the slice looks at.
struct Attributes {
    reads: Reads,
    built: HashMap<String, RestrictedExpression>,
}

impl Attributes {
    fn of_caller(caller: Caller<'_>, reads: Reads) -> HashMap<String, RestrictedExpression> {
        let mut attributes = Self { reads, built: HashMap::new() };
        if let Caller::Account(name) = caller {
            attributes.text("name", Some(name));
        }
        attributes.built
    }

    fn of_resource(resource: &Resource, reads: Reads) -> HashMap<String, RestrictedExpression> {
        let mut attributes = Self { reads, built: HashMap::new() };
        match resource.kind {
            ResourceKind::Secret => {
                attributes.text("path", Some(&resource.id));
                attributes.text("top", resource.mount.as_deref().and_then(|mount| top(&resource.id, mount)));
                if reads.has("depth") {
                    let depth = i64::try_from(resource.id.split('/').count()).unwrap_or(i64::MAX);
                    attributes.built.insert("depth".to_owned(), RestrictedExpression::new_long(depth));
                }
            }
            ResourceKind::Transformation => attributes.text("class", resource.class.as_deref()),
            ResourceKind::Account => attributes.text("name", Some(&resource.id)),
            _ => {}
        }
        attributes.built
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|_| self.reads.has(name)) {
            self.built.insert(name.to_owned(), RestrictedExpression::new_string(value.to_owned()));
        }
    }
}

/// The folders that hold the resource, by their full path. A listing concerns the folder of its own name.
fn folders<'a>(action: Action, resource: &'a Resource, mount: &str) -> impl Iterator<Item = &'a str> {
    let id = resource.id.as_str();
    let has_folders = matches!(resource.kind, ResourceKind::Secret | ResourceKind::Setting);
    let below = id.strip_prefix(mount).filter(|rest| has_folders && rest.starts_with('/')).map_or(id.len(), |_| mount.len() + 1);
    let rest = id.get(below..).unwrap_or_default();
    let itself = (matches!(action, Action::ListSecrets | Action::ListSettings) && !rest.is_empty()).then_some(id);
    rest.match_indices('/').filter_map(move |(at, _)| id.get(..below + at)).chain(itself)
}

fn top<'a>(id: &'a str, mount: &str) -> Option<&'a str> {
    id.strip_prefix(mount)?.strip_prefix('/')?.split('/').next()
}

/// A question, ready for Cedar, with what the statements of a slice look at.
pub(super) fn question(
    action: EntityUid,
    (asked, principal): (&Asked<'_>, Placed),
    (resource, target): (&Resource, Placed),
    circumstances: &Circumstances,
    now: Timestamp,
    reads: Reads,
) -> Result<(Request, Entities), Unbuildable> {
    let context = context(asked, circumstances, now, reads)?;
    let request = Request::new(principal.uid.clone(), action, target.uid.clone(), context, None).map_err(|_| Unbuildable)?;
    // An account that does something to itself is one entity.
    let target = if principal.uid == target.uid { None } else { Some(target.entity(Attributes::of_resource(resource, reads))?) };
    let principal = principal.entity(Attributes::of_caller(asked.caller, reads))?;
    let entities = Entities::from_entities(std::iter::once(principal).chain(target), None).map_err(|_| Unbuildable)?;
    Ok((request, entities))
}

pub(super) fn context(asked: &Asked<'_>, circumstances: &Circumstances, now: Timestamp, reads: Reads) -> Result<Context, Unbuildable> {
    let mut pairs = Vec::with_capacity(8);
    let mut add = |name: &str, value: &dyn Fn() -> Option<RestrictedExpression>| {
        if let Some(value) = reads.has(name).then(value).flatten() {
            pairs.push((name.to_owned(), value));
        }
    };
    add("method", &|| Some(RestrictedExpression::new_string(asked.method.to_owned())));
    add("peer", &|| asked.peer.map(|peer| RestrictedExpression::new_ip(address(peer))));
    add("now", &|| Some(RestrictedExpression::new_datetime(moment(now))));
    add("purpose", &|| circumstances.purpose.clone().map(RestrictedExpression::new_string));
    add("batch_size", &|| Some(RestrictedExpression::new_long(i64::try_from(circumstances.batch_size).unwrap_or(i64::MAX))));
    add("channel_bound", &|| Some(RestrictedExpression::new_bool(asked.channel_bound)));
    add("grants", &|| Some(words(&circumstances.grants)));
    add("held", &|| Some(words(asked.groups)));
    Context::from_pairs(pairs).map_err(|_| Unbuildable)
}

fn words(names: &[String]) -> RestrictedExpression {
    RestrictedExpression::new_set(names.iter().map(|name| RestrictedExpression::new_string(name.clone())))
}

/// An IPv4 address that came over an IPv6 socket is the IPv4 address: a policy's `10.0.0.0/8` means it.
fn address(peer: IpAddr) -> String {
    peer.to_canonical().to_string()
}

/// What Cedar's `datetime` reads: RFC 3339 in UTC with milliseconds.
fn moment(now: Timestamp) -> String {
    let micros = now.to_rfc3339();
    format!("{}Z", micros.get(..23).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(action: Action, mount: &str, tail: &str) -> Vec<String> {
        let resource = Resource::within(ResourceKind::Secret, mount, tail);
        folders(action, &resource, mount).map(str::to_owned).collect()
    }

    #[test]
    fn folders_lie_between_the_mount_and_the_secret() {
        assert_eq!(of(Action::ReadSecret, "secret", "app/eu/db"), ["secret/app", "secret/app/eu"]);
        assert_eq!(of(Action::ReadSecret, "team/kv", "app/db"), ["team/kv/app"]);
        assert!(of(Action::ReadSecret, "secret", "db").is_empty());
        assert!(of(Action::ReadSecret, "secret", "").is_empty());
    }

    #[test]
    fn a_listing_stands_in_the_folder_that_it_lists() {
        assert_eq!(of(Action::ListSecrets, "secret", "app/eu"), ["secret/app", "secret/app/eu"]);
        assert!(of(Action::ListSecrets, "secret", "").is_empty());
    }

    #[test]
    fn the_top_is_the_first_segment_below_the_mount() {
        assert_eq!(top("secret/app/db", "secret"), Some("app"));
        assert_eq!(top("team/kv/app", "team/kv"), Some("app"));
        assert_eq!(top("secret", "secret"), None);
        assert_eq!(top("secrets/app", "secret"), None);
    }

    #[test]
    fn addresses_and_moments_are_what_cedar_reads() {
        assert_eq!(address("::ffff:10.1.2.3".parse().expect("address")), "10.1.2.3");
        assert_eq!(moment(Timestamp::from_unix_micros(1_700_000_000_123_456)), "2023-11-14T22:13:20.123Z");
        assert!(context(&Asked::anonymous(None), &Circumstances::default(), Timestamp::from_unix_micros(0), Reads::ALL).is_ok());
    }
}
