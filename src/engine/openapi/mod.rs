//! The API in words that machines read: one table of every path below every kind of mount, and from it the OpenAPI document.
//!
//! The engines understand requests themselves; the table describes them. So that the two cannot drift apart, builds with debug assertions,
//! hence all tests, hold every request against it ([`watch`]): a path that is understood and not described, a member that is read and not
//! described or described otherwise, an answer of another shape all fail. The unit tests here hold the other direction: whatever is
//! described is understood and read. See ADR 0010.
//!
//! It describes; it decides nothing, and knows no request.

#[cfg(any(debug_assertions, test))]
mod compare;
mod document;
mod member;
mod operation;
mod paths;
mod route;
mod schema;
#[cfg(test)]
mod tests;
pub mod watch;

use crate::model::call::Verb;
use crate::model::mount::Kind;

use member::{Member, Type, of, one_of, text, whole, words};
use route::Route;

pub use document::{USUAL_MOUNTS, document};

/// The statuses that any request may get.
const ANY_REQUEST: &[u16] = &[400, 403, 404, 413, 429, 500, 503];

/// `data` of a LIST.
const KEYS: &[Member] = &[words("keys", "The names; one that ends in a slash is a folder.")];

/// An item of a batch that failed.
const FAILED: &[Member] = &[text("error", "What is wrong with it."), whole("status", "The status that it would have had alone.")];

const REFERENCE: &[Member] = &[text("reference", "As it was sent.").maybe()];

/// `auth` of an answer.
const AUTH: &[Member] = &[
    text("client_token", "The auth token, or the one that was renewed."),
    text("accessor", "Names the token without opening anything."),
    words("policies", "The groups that it stands in."),
    words("token_policies", "The same, for clients of Vault."),
    words("identity_policies", "Empty; for clients of Vault."),
    of("metadata", Type::TextMap, "What was attached."),
    whole("lease_duration", "Seconds that it lives; 0 for no end."),
    of("renewable", Type::Flag, "Whether it can be renewed."),
    text("entity_id", "Empty; for clients of Vault."),
    one_of("token_type", &["service"], "Every token is stored, so that it can be revoked."),
    of("orphan", Type::Flag, "Whether it outlives the token that made it."),
    of("mfa_requirement", Type::Any, "Null; for clients of Vault."),
    whole("num_uses", "0: there is no limit of uses."),
];

/// The description of a path, given below its mount. Of several that fit, the first.
#[must_use]
pub fn route_of(kind: Kind, verb: Verb, tail: &str) -> Option<&'static Route> {
    routes(kind).find(|route| route.matches(verb, tail))
}

/// The verbs that a path below a mount has: those of the template that fits with the most segments of its own.
#[must_use]
pub fn verbs_of(kind: Kind, tail: &str) -> Vec<Verb> {
    let fitting: Vec<&Route> = routes(kind).filter(|route| route.fits(tail)).collect();
    let Some(own) = fitting.iter().map(|route| route.own_segments()).max() else { return Vec::new() };
    let has = |verb: &Verb| fitting.iter().any(|route| route.own_segments() == own && route.verbs.contains(verb));
    Verb::ALL.iter().copied().filter(has).collect()
}

/// Every usual path with a sample in each placeholder, and the actions that it may need.
#[cfg(test)]
pub(in crate::engine) fn described() -> Vec<(Kind, Verb, String, &'static [crate::model::action::Action])> {
    let mut all = Vec::new();
    for (mount, kind) in USUAL_MOUNTS {
        for route in routes(*kind) {
            let path = format!("{mount}/{}", tests::sample(route.path));
            all.extend(route.verbs.iter().map(|verb| (*kind, *verb, path.clone(), route.actions)));
        }
    }
    all
}

#[cfg(test)]
pub(in crate::engine) use tests::usual_directory;

fn routes(kind: Kind) -> impl Iterator<Item = &'static Route> {
    paths::of(kind).iter().flat_map(|(_, routes)| routes.iter())
}
