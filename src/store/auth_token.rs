//! Auth tokens as they are stored: under a keyed hash of the token, never the token.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::clock::Timestamp;

/// The group that may do everything that the base policies do not forbid. Only `init` and `generate-root` put a token into it.
pub const ROOT_GROUP: &str = "root";

/// What is known of an auth token. Authenticated by a MAC over the row, so that an inserted or edited one is not honoured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuthTokenRow {
    pub accessor: String,
    pub account: String,
    /// The Cedar groups of its holder: those of the account and those of the role that it came from.
    pub groups: Vec<String>,
    /// `kerberos`, `jwt`, `token` or `root`.
    pub method: String,
    /// The path that made it: `auth/jwt/login`.
    pub path: String,
    pub display_name: String,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    pub created: Timestamp,
    pub renewed: Option<Timestamp>,
    /// None never expires: only the root token of `init`.
    pub expires: Option<Timestamp>,
    /// Beyond this no renewal reaches.
    pub max_expires: Option<Timestamp>,
    /// The life that was asked for at creation, in seconds.
    pub ttl: u64,
    pub explicit_max_ttl: u64,
    pub period: u64,
    pub renewable: bool,
    /// The accessor of the token that made it; revoking that one revokes this one.
    pub parent: Option<String>,
    pub channel_bound: bool,
    /// The mount of the login method: disabling it ends the token.
    pub mount: i32,
    /// Counts renewals, so that an older row put back is told from the newest.
    pub version: i64,
}

impl AuthTokenRow {
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| now >= at)
    }

    /// Seconds left; 0 for one that never expires.
    #[must_use]
    pub fn seconds_left(&self, now: Timestamp) -> u64 {
        self.expires.map_or(0, |at| at.since(now).as_secs())
    }

    #[must_use]
    pub fn is_root(&self) -> bool {
        self.groups.iter().any(|group| group == ROOT_GROUP)
    }
}
