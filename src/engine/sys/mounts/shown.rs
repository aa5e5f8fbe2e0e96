//! A mount as Vault's clients expect to see it.

use std::sync::Arc;

use crate::model::document::Node;
use crate::model::mount::{Kind, Mount};
use crate::store::directory::Snapshot;

use super::Side;

/// What goldfin grants where a mount says nothing: 768 hours, as Vault.
const DEFAULT_TTL: u64 = 768 * 3600;

/// The mounts of one table by their name in it, with a slash at the end.
pub(in crate::engine::sys) fn on_side(snapshot: &Snapshot, methods: bool) -> Vec<(String, &Arc<Mount>)> {
    snapshot
        .mounts()
        .iter()
        .filter_map(|mount| match (mount.method_name(), methods) {
            (Some(name), true) => Some((format!("{name}/"), mount)),
            (None, false) => Some((format!("{}/", mount.path), mount)),
            _ => None,
        })
        .collect()
}

pub(super) fn table(snapshot: &Snapshot, side: Side) -> Vec<(String, Node)> {
    let mut rows: Vec<_> =
        on_side(snapshot, side == Side::Methods).into_iter().map(|(name, mount)| (name, Node::Object(whole(mount)))).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

/// For `sys/internal/ui/mounts`.
pub(in crate::engine::sys) fn brief(mount: &Mount) -> Node {
    Node::object([
        ("type", Node::text(mount.kind.name())),
        ("description", Node::text(mount.description.clone())),
        ("options", options(mount)),
    ])
}

pub(in crate::engine::sys) fn whole(mount: &Mount) -> Vec<(String, Node)> {
    let mut config = vec![
        ("default_lease_ttl".to_owned(), whole_number(mount.default_lease_ttl)),
        ("max_lease_ttl".to_owned(), whole_number(mount.max_lease_ttl)),
        ("force_no_cache".to_owned(), Node::Bool(false)),
    ];
    if mount.method_name().is_some() {
        config.push(("token_type".to_owned(), Node::text("default-service")));
    }
    let members = [
        ("type", Node::text(mount.kind.name())),
        ("description", Node::text(mount.description.clone())),
        ("accessor", Node::text(mount.accessor.clone())),
        ("uuid", Node::text(mount.uuid.clone())),
        ("config", Node::Object(config)),
        ("options", options(mount)),
        ("local", Node::Bool(false)),
        ("seal_wrap", Node::Bool(false)),
        ("external_entropy_access", Node::Bool(false)),
        ("plugin_version", Node::text("")),
        ("running_plugin_version", Node::text(concat!("v", env!("CARGO_PKG_VERSION"), "+builtin.goldfin"))),
        ("running_sha256", Node::text("")),
        ("deprecation_status", Node::text("supported")),
    ];
    members.into_iter().map(|(name, node)| (name.to_owned(), node)).collect()
}

pub(super) fn tuning(mount: &Mount) -> Node {
    let or_default = |seconds| whole_number(if seconds == 0 { DEFAULT_TTL } else { seconds });
    let mut members = vec![
        ("default_lease_ttl".to_owned(), or_default(mount.default_lease_ttl)),
        ("max_lease_ttl".to_owned(), or_default(mount.max_lease_ttl)),
        ("force_no_cache".to_owned(), Node::Bool(false)),
        ("description".to_owned(), Node::text(mount.description.clone())),
    ];
    if mount.kind == Kind::Kv {
        members.push(("options".to_owned(), options(mount)));
    }
    if mount.method_name().is_some() {
        members.push(("token_type".to_owned(), Node::text("default-service")));
    }
    Node::Object(members)
}

fn options(mount: &Mount) -> Node {
    if mount.options.is_empty() {
        return Node::Null;
    }
    Node::Object(mount.options.iter().map(|(name, value)| (name.clone(), Node::text(value.clone()))).collect())
}

fn whole_number(number: u64) -> Node {
    Node::whole(i64::try_from(number).unwrap_or(i64::MAX))
}
