//! The OpenAPI 3.1 document of some mounts.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::model::mount::Kind;

use super::operation::{Components, Place};
use super::route::Route;
use super::schema::{Side, object};
use super::{AUTH, FAILED, KEYS, REFERENCE, paths};

/// Where things usually are: what is described where nobody can be asked which mounts there are.
pub const USUAL_MOUNTS: &[(&str, Kind)] = &[
    ("auth/jwt", Kind::Jwt),
    ("auth/kerberos", Kind::Kerberos),
    ("auth/token", Kind::AuthToken),
    ("secret", Kind::Kv),
    ("sys", Kind::System),
    ("transform", Kind::Transform),
];

const ABOUT: &str = "A vault for secrets and personal data that speaks HashiCorp Vault's API. \
    Each engine and each login method answers below the path of its mount; this document describes the mounts that there are. \
    `PUT` does what `POST` does. A list is asked for with the verb `LIST`, with `GET` and `?list=true`, or with a slash at the end. \
    A member that is null counts as not given; members that nobody knows are ignored and counted in `warnings`. \
    Every answer carries `X-Goldfin-Request-Id`, and `X-Goldfin-Receipt` where the ledger has an entry of it. \
    `x-goldfin-actions` names the actions that policies must permit; where there are several, the request decides which.";

/// The document for these mounts, each with its path and kind.
#[must_use]
pub fn document<'m>(mounts: impl IntoIterator<Item = (&'m str, Kind)>) -> Value {
    let mut mounts: Vec<(&str, Kind)> = mounts.into_iter().collect();
    mounts.sort_by_key(|(path, _)| *path);
    let (mut described, mut components, mut tags) = (Map::new(), Components::default(), BTreeSet::new());
    for (mount, kind) in mounts {
        for (tag, routes) in paths::of(kind) {
            tags.insert(*tag);
            for route in *routes {
                describe(&mut described, &mut components, &Place { mount, kind, tag }, route);
            }
        }
    }
    let shared = components.into_value(&shared_schemas());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "goldfin",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A vault for secrets and personal data",
            "description": ABOUT,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/v1"}],
        "security": [{"token": []}, {"bearer": []}],
        "tags": tags.iter().map(|tag| json!({"name": tag})).collect::<Vec<_>>(),
        "paths": described,
        "components": shared,
    })
}

fn describe(described: &mut Map<String, Value>, components: &mut Components, place: &Place<'_>, route: &'static Route) {
    let path = place.path(route);
    let item = described.entry(path).or_insert_with(|| {
        let parameters = Place::parameters(route);
        if parameters.is_empty() { json!({}) } else { json!({"parameters": parameters}) }
    });
    let Some(item) = item.as_object_mut() else { return };
    for (method, operation) in components.operations(place, route) {
        item.insert(method.to_owned(), operation);
    }
}

/// Schemas that several answers are made of.
fn shared_schemas() -> Value {
    let envelope = json!({
        "type": "object",
        "description": "What surrounds every answer that has a body, unless said otherwise.",
        "required": ["request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth", "mount_type"],
        "properties": {
            "request_id": {"type": "string", "format": "uuid", "description": "Names the request, as its entry does."},
            "lease_id": {"type": "string"},
            "renewable": {"type": "boolean"},
            "lease_duration": {"type": "integer"},
            "data": {"description": "The answer; null where it stands in `auth`."},
            "wrap_info": {"type": "null", "description": "Answers are never wrapped."},
            "warnings": {"type": ["array", "null"], "items": {"type": "string"}},
            "auth": {"description": "A new or renewed auth token; else null."},
            "mount_type": {"type": "string"},
        },
    });
    json!({
        "Envelope": envelope,
        "Errors": {
            "type": "object",
            "required": ["errors"],
            "properties": {"errors": {"type": "array", "items": {"type": "string"}, "description": "What is wrong and what to do; empty where a list is."}},
        },
        "Auth": object(AUTH.iter(), Side::Answer),
        "Keys": object(KEYS.iter(), Side::Answer),
        "FailedItem": object(FAILED.iter().chain(REFERENCE), Side::Answer),
    })
}
