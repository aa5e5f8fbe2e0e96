//! Accounts: who may log in, and the identities that prove to be them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;

/// The control row of kind `account`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Account {
    /// The Cedar groups that it stands in.
    pub groups: Vec<String>,
    #[serde(default)]
    pub disabled: bool,
    /// The identities that log in as it: `<login method>/<identity>`, such as `kerberos/vetassist@EXAMPLE.TEST` for the method at
    /// `auth/kerberos`. Compared byte for byte; each belongs to one account.
    #[serde(default)]
    pub aliases: Vec<String>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    pub created: Timestamp,
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::from_unix_micros(0)
    }
}

/// The control row of kind `alias`: which account an identity is.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Alias {
    pub account: String,
}
