//! Mounts: the places under `/v1/` where engines and login methods answer.

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::id::MountId;

/// What answers at a mount. A closed set: the match over it is the checklist of whoever adds an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Kv,
    Transform,
    /// `auth/token`: the callers' own credentials.
    AuthToken,
    Jwt,
    Kerberos,
    /// `sys`: the server itself.
    System,
}

impl Kind {
    pub const ALL: &'static [Kind] = &[Self::Kv, Self::Transform, Self::AuthToken, Self::Jwt, Self::Kerberos, Self::System];

    /// The `type` of Vault's API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kv => "kv",
            Self::Transform => "transform",
            Self::AuthToken => "token",
            Self::Jwt => "jwt",
            Self::Kerberos => "kerberos",
            Self::System => "system",
        }
    }

    /// The kinds that can be mounted as secrets engines.
    #[must_use]
    pub fn from_engine_name(name: &str) -> Option<Self> {
        match name {
            "kv" | "kv-v2" => Some(Self::Kv),
            "transform" => Some(Self::Transform),
            _ => None,
        }
    }

    /// The kinds that can be mounted as login methods.
    #[must_use]
    pub fn from_method_name(name: &str) -> Option<Self> {
        match name {
            "jwt" | "oidc" => Some(Self::Jwt),
            "kerberos" => Some(Self::Kerberos),
            _ => None,
        }
    }

    #[must_use]
    pub const fn is_login(self) -> bool {
        matches!(self, Self::Jwt | Self::Kerberos)
    }
}

/// A mount as it is stored and as requests meet it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    pub id: MountId,
    /// Without trailing slash: `secret`, `auth/jwt`, `sys`.
    pub path: String,
    pub kind: Kind,
    pub accessor: String,
    pub uuid: String,
    #[serde(default)]
    pub description: String,
    pub created: Timestamp,
    /// Seconds; 0 is the server's default.
    #[serde(default)]
    pub default_lease_ttl: u64,
    #[serde(default)]
    pub max_lease_ttl: u64,
    /// What was given on enabling and means nothing to goldfin, such as `version` of KV; answered as it came.
    #[serde(default)]
    pub options: std::collections::BTreeMap<String, String>,
}

impl Mount {
    /// `sys` under a number of ours: for what happens before there are mounts, or concerns none.
    #[must_use]
    pub fn whole_server(id: MountId, now: Timestamp) -> Self {
        Self {
            id,
            path: "sys".to_owned(),
            kind: Kind::System,
            accessor: String::new(),
            uuid: String::new(),
            description: String::new(),
            created: now,
            default_lease_ttl: 0,
            max_lease_ttl: 0,
            options: std::collections::BTreeMap::new(),
        }
    }

    /// The name below `auth/`, for login methods.
    #[must_use]
    pub fn method_name(&self) -> Option<&str> {
        self.path.strip_prefix("auth/")
    }
}
