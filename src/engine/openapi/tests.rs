//! The other direction: whatever is described is understood, and read as it is described.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use goldfin_crypto::Plaintext;
use serde_json::Value;

use super::document::{USUAL_MOUNTS, document};
use super::route::{Gives, Route, segments};
use super::{compare, routes};
use crate::engine::auth_token::AuthTokens;
use crate::engine::keys::{Rotate, RotateOp};
use crate::engine::kv::Kv;
use crate::engine::login::Login;
use crate::engine::sys::System;
use crate::engine::transform::Transform;
use crate::engine::{Engine, Tools, init};
use crate::model::action::Action;
use crate::model::call::{Call, Query, Verb};
use crate::model::clock::{Clock, Timestamp};
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::{MountId, RequestId};
use crate::model::mount::{Kind, Mount};
use crate::model::operation::Operation;
use crate::model::reading::{self, Asked};
use crate::policy::compile::Compiled;
use crate::policy::rules::Rules;
use crate::seal::shares;
use crate::store::directory::Directory;

const NOW: Timestamp = Timestamp::from_unix_micros(1_700_000_000_000_000);

fn mount_of(kind: Kind) -> Mount {
    let path = USUAL_MOUNTS.iter().find(|(_, known)| *known == kind).expect("every kind has a usual place").0;
    Mount { path: path.to_owned(), kind, ..Mount::whole_server(MountId(7), NOW) }
}

fn tools() -> Tools {
    let made = shares::make(1, 1, uuid::Uuid::nil(), NOW).expect("keys");
    Tools { barrier: Arc::new(made.barrier), directory: Arc::new(usual_directory()), counters: Arc::default() }
}

/// A mount of each kind at its usual place.
pub(in crate::engine) fn usual_directory() -> Directory {
    Directory::of_test(Kind::ALL.iter().map(|kind| mount_of(*kind)).collect())
}

/// A path that the template stands for.
pub(super) fn sample(template: &str) -> String {
    let each = segments(template).into_iter().map(|segment| match segment {
        "{path...}" | "{mount...}" => "team/a",
        "{kind}" => "tokenization",
        "{tile...}" => "0/000.p/5",
        "{stream}" | "{seq}" | "{size}" => "1",
        placeholder if placeholder.starts_with('{') => "synthetic",
        fixed => fixed,
    });
    each.collect::<Vec<_>>().join("/")
}

fn call(kind: Kind, verb: Verb, route: &Route, body: &str) -> Call {
    let query = match route.path {
        "ledger/{stream}/consistency" => vec![("from".to_owned(), "1".to_owned()), ("to".to_owned(), "2".to_owned())],
        _ => Vec::new(),
    };
    Call {
        request: RequestId::nil(),
        now: NOW,
        verb,
        mount: Arc::new(mount_of(kind)),
        tail: sample(route.path),
        query: Query::new(query),
        body: if body.is_empty() { Node::Null } else { Node::parse(body.as_bytes()).expect("an example is JSON") },
        purpose: None,
        negotiate: None,
        shown: Some(Plaintext::from_text("synthetic-own".to_owned())),
    }
}

/// The action that a call becomes.
fn understood(tools: &Tools, call: Call) -> Result<Action, Fault> {
    let tools = tools.clone();
    match call.mount.kind {
        Kind::Kv => Kv::new(tools).parse(call).map(|op| op.action()),
        Kind::Transform => Transform::new(tools).parse(call).map(|op| op.action()),
        Kind::AuthToken => AuthTokens::new(tools).parse(call).map(|op| op.action()),
        Kind::Jwt | Kind::Kerberos => Login::new(tools).parse(call).map(|op| op.action()),
        Kind::System if RotateOp::answers(&call.tail) => Rotate::new(tools).parse(call).map(|op| op.action()),
        Kind::System if call.tail == "init" => init::parse(call).map(|op| op.action()),
        Kind::System => {
            let rules = Arc::new(Rules::new(Compiled::new(&[]).expect("the base")));
            System::new(tools, rules, Clock::system(), None, Arc::from([])).parse(call).map(|op| op.action())
        }
    }
}

fn members(route: &Route) -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    for member in route.members() {
        names.insert(member.name);
        compare::within(&member.is, &mut |inner| {
            names.insert(inner.name);
        });
    }
    names
}

#[tokio::test]
async fn what_is_described_is_understood_and_read() {
    let tools = tools();
    let mut wrong = Vec::new();
    // The probes and the unsealing are answered before there are engines.
    let elsewhere = |route: &Route| route.actions.is_empty() || route.path == "unseal" || !route.text.is_empty();
    for kind in Kind::ALL {
        for route in routes(*kind).filter(|route| !elsewhere(route)) {
            for verb in route.verbs {
                let place = format!("{} {} `{}`", kind.name(), verb.name(), route.path);
                let mut all = Asked::default();
                let none: &[&str] = &[""];
                for body in if route.examples.is_empty() { none } else { route.examples } {
                    reading::begin();
                    let action = understood(&tools, call(*kind, *verb, route, body));
                    let asked = reading::end();
                    match action {
                        Ok(action) if route.actions.contains(&action) => {}
                        Ok(action) => wrong.push(format!("{place}: is `{action}`")),
                        Err(fault) => wrong.push(format!("{place}: {body} is refused: {fault}")),
                    }
                    wrong.extend(compare::asked(route, &asked).err().map(|wrong| format!("{place}: {wrong}")));
                    all.members.extend(asked.members);
                    all.parameters.extend(asked.parameters);
                }
                let read: BTreeSet<&str> = all.members.iter().map(|(name, _)| *name).collect();
                let unread: Vec<_> = members(route).into_iter().filter(|name| !read.contains(name)).collect();
                let unasked: Vec<_> =
                    route.query.iter().filter(|member| !all.parameters.contains(member.name)).map(|member| member.name).collect();
                if !unread.is_empty() || !unasked.is_empty() {
                    wrong.push(format!("{place}: described and never read: {unread:?} {unasked:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(target) if name == "$ref" => {
                        found.insert(target.clone());
                    }
                    value => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_document_holds_together() {
    let document = document(USUAL_MOUNTS.iter().copied());
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for (section, components) in document["components"].as_object().expect("components") {
        for name in components.as_object().expect("a section").keys().filter(|_| section != "securitySchemes") {
            assert!(found.contains(&format!("#/components/{section}/{name}")), "nobody refers to {section} {name}");
        }
    }
    let mut ids: BTreeMap<&str, String> = BTreeMap::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let parameters = item["parameters"].as_array().cloned().unwrap_or_default();
        for segment in path.split('/').filter_map(|segment| segment.strip_prefix('{')) {
            assert!(parameters.iter().any(|parameter| parameter["name"] == segment.trim_end_matches('}')), "{path}: {segment}");
        }
        for (method, operation) in item.as_object().expect("an item").iter().filter(|(name, _)| *name != "parameters") {
            let id = operation["operationId"].as_str().expect("an id");
            let other = ids.insert(id, format!("{method} {path}"));
            assert!(other.is_none(), "{id} names {method} {path} and {other:?}");
            assert!(operation["responses"]["503"].is_object(), "{method} {path} says what a sealed server answers");
        }
    }
    assert!(ids.len() > 200, "{}", ids.len());
}

#[test]
fn every_route_is_found_by_its_own_path() {
    for kind in Kind::ALL {
        for route in routes(*kind) {
            for verb in route.verbs {
                let found = super::route_of(*kind, *verb, &sample(route.path)).expect("described");
                assert_eq!(found.path, route.path, "another route stands before {} {}", verb.name(), route.path);
            }
        }
    }
}

#[test]
fn two_verbs_of_a_route_mean_the_same() {
    for route in Kind::ALL.iter().flat_map(|kind| routes(*kind)) {
        assert!(route.verbs.len() == 1 || route.verbs == [Verb::Read, Verb::List], "{}", route.path);
        assert!(!route.says.ends_with('.') && !matches!(route.gives, Gives::Keys if route.verbs != [Verb::List]), "{}", route.path);
    }
}
