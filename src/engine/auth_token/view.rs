//! An auth token as its API shows it.

use goldfin_crypto::Plaintext;

use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::reply::Grant;
use crate::store::auth_token::AuthTokenRow;

/// `data` of a lookup. `id` is the token itself where the caller showed it, else empty.
pub(super) fn lookup(row: &AuthTokenRow, id: Plaintext, now: Timestamp) -> Node {
    let mut members = vec![
        ("accessor", Node::text(row.accessor.clone())),
        ("account", Node::text(row.account.clone())),
        ("channel_bound", Node::Bool(row.channel_bound)),
        ("creation_time", Node::whole(row.created.unix_seconds())),
        ("creation_ttl", seconds(row.ttl)),
        ("display_name", Node::text(row.display_name.clone())),
        ("entity_id", Node::text("")),
        ("expire_time", Node::text_or_null(row.expires.map(Timestamp::to_rfc3339))),
        ("explicit_max_ttl", seconds(row.explicit_max_ttl)),
        ("id", Node::Text(id)),
        ("identity_policies", Node::List(Vec::new())),
        ("issue_time", Node::text(row.created.to_rfc3339())),
        ("meta", metadata(row)),
        ("method", Node::text(row.method.clone())),
        ("num_uses", Node::whole(0)),
        ("orphan", Node::Bool(row.parent.is_none())),
        ("path", Node::text(row.path.clone())),
        ("policies", Node::texts(row.groups.iter().cloned())),
        ("renewable", Node::Bool(row.renewable)),
        ("ttl", seconds(row.seconds_left(now))),
        ("type", Node::text("service")),
    ];
    if let Some(renewed) = row.renewed {
        members.push(("last_renewal", Node::text(renewed.to_rfc3339())));
        members.push(("last_renewal_time", Node::whole(renewed.unix_seconds())));
    }
    if row.period > 0 {
        members.push(("period", seconds(row.period)));
    }
    Node::Object(members.into_iter().map(|(name, node)| (name.to_owned(), node)).collect())
}

/// `auth` of an answer.
pub(in crate::engine) fn grant(row: &AuthTokenRow, client_token: Plaintext, now: Timestamp) -> Grant {
    Grant {
        client_token,
        accessor: row.accessor.clone(),
        policies: row.groups.clone(),
        metadata: row.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        lease_seconds: row.seconds_left(now),
        renewable: row.renewable,
        account: row.account.clone(),
        orphan: row.parent.is_none(),
        negotiate: None,
    }
}

fn metadata(row: &AuthTokenRow) -> Node {
    if row.metadata.is_empty() {
        return Node::Null;
    }
    Node::Object(row.metadata.iter().map(|(name, value)| (name.clone(), Node::text(value.clone()))).collect())
}

fn seconds(number: u64) -> Node {
    Node::whole(i64::try_from(number).unwrap_or(i64::MAX))
}
