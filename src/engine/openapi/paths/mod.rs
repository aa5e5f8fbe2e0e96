//! The tables: every path of every kind of mount.

mod auth_token;
mod kv;
mod ledger;
mod login;
mod policies;
mod quotas;
mod subjects;
mod system;
mod transform;
mod values;

use super::route::Route;
use crate::model::mount::Kind;

/// The paths below a mount of this kind, in groups.
#[must_use]
pub const fn of(kind: Kind) -> &'static [(&'static str, &'static [Route])] {
    match kind {
        Kind::Kv => &[("secrets", kv::ROUTES)],
        Kind::Transform => {
            &[("tokenization", values::ROUTES), ("data subjects", subjects::ROUTES), ("tokenization settings", transform::ROUTES)]
        }
        Kind::AuthToken => &[("auth tokens", auth_token::ROUTES)],
        Kind::Jwt => &[("logins", login::JWT)],
        Kind::Kerberos => &[("logins", login::KERBEROS)],
        Kind::System => &[
            ("server", system::ROUTES),
            ("mounts", system::MOUNTS),
            ("accounts", system::ACCOUNTS),
            ("policies", policies::ROUTES),
            ("quotas", quotas::ROUTES),
            ("ledger", ledger::ROUTES),
        ],
    }
}
