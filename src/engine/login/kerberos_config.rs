//! The configuration of a Kerberos method: the service that tickets are for, where its keys are, and how long logins last.

use goldfin_crypto::Plaintext;
use serde::{Deserialize, Serialize};

use super::keytab::SealedKeytab;
use crate::auth::kerberos::KerberosName;
use crate::engine::auth_token::life::Wish;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::members::Members;

/// The control row of kind `config` of a Kerberos method.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KerberosConfig {
    /// The acceptor's complete principal: `HTTP/vault.example.org@EXAMPLE.ORG`.
    pub service_account: String,
    /// The keytab, encrypted.
    pub keytab: Option<SealedKeytab>,
    /// Or a file on each server that only goldfin can read.
    pub keytab_file: String,
    /// Refuse logins that are not bound to the TLS connection that they come on.
    pub require_channel_binding: bool,
    pub token_no_default_policy: bool,
    pub token_ttl: u64,
    pub token_max_ttl: u64,
    pub token_explicit_max_ttl: u64,
    pub token_period: u64,
}

/// Members of Vault's configuration that would narrow a login and that goldfin does not have.
const RESTRICTING: &[&str] = &["token_bound_cidrs", "token_num_uses", "token_policies", "token_strictly_bind_ip"];

/// The largest keytab, in base64.
const LARGEST: usize = 256 * 1024;

impl KerberosConfig {
    /// The configuration after a write, without the keys, and the keys in base64 where the write brought some. A write that names
    /// neither keys nor a file keeps what there is.
    pub(super) fn changed(mut self, mut members: Members) -> Result<(Self, Option<Plaintext>, usize), Fault> {
        let keytab = members.secret("keytab")?.filter(|keytab| !keytab.is_empty());
        let file = members.word("keytab_file")?.filter(|file| !file.is_empty());
        match (&keytab, file) {
            (Some(_), Some(_)) => return Err(members.wrong("keytab_file", "and `keytab` exclude each other, give one")),
            (Some(keytab), None) if keytab.len() > LARGEST => return Err(members.wrong("keytab", "is larger than 256 KiB")),
            (Some(_), None) => self.keytab_file.clear(),
            (None, Some(file)) if !file.starts_with('/') => return Err(members.wrong("keytab_file", "must be a full path on the server")),
            (None, Some(file)) => {
                self.keytab_file = file;
                self.keytab = None;
            }
            (None, None) if self.keytab.is_none() && self.keytab_file.is_empty() => return Err(members.missing("keytab")),
            (None, None) => {}
        }
        if let Some(name) = members.word("service_account")? {
            self.service_account = name;
        }
        // No realm is guessed: another one's principal of the same name is somebody else.
        if KerberosName::parse(&self.service_account).is_err() {
            return Err(members.wrong("service_account", "must be a complete principal such as `HTTP/vault.example.org@EXAMPLE.ORG`"));
        }
        if members.flag("remove_instance_name")?.unwrap_or(false) {
            return Err(members.wrong("remove_instance_name", "is not supported: principals are compared whole"));
        }
        members.take("add_group_aliases");
        if let Some(required) = members.flag("require_channel_binding")? {
            self.require_channel_binding = required;
        }
        if let Some(without) = members.flag("token_no_default_policy")? {
            self.token_no_default_policy = without;
        }
        for (name, seconds) in [
            ("token_ttl", &mut self.token_ttl),
            ("token_max_ttl", &mut self.token_max_ttl),
            ("token_explicit_max_ttl", &mut self.token_explicit_max_ttl),
            ("token_period", &mut self.token_period),
        ] {
            if let Some(span) = members.duration(name)? {
                *seconds = span.as_secs();
            }
        }
        let unknown = members.finish(RESTRICTING)?;
        Ok((self, keytab, unknown))
    }

    pub(super) fn wish(&self) -> Wish {
        Wish { ttl: self.token_ttl, max_ttl: self.token_max_ttl, explicit_max_ttl: self.token_explicit_max_ttl, period: self.token_period }
    }

    /// Everything but the keys.
    pub(super) fn view(&self) -> Node {
        let seconds = |number: u64| Node::whole(i64::try_from(number).unwrap_or(i64::MAX));
        Node::object([
            ("add_group_aliases", Node::Bool(false)),
            ("keytab_file", Node::text(self.keytab_file.clone())),
            ("keytab_stored", Node::Bool(self.keytab.is_some())),
            ("remove_instance_name", Node::Bool(false)),
            ("require_channel_binding", Node::Bool(self.require_channel_binding)),
            ("service_account", Node::text(self.service_account.clone())),
            ("token_explicit_max_ttl", seconds(self.token_explicit_max_ttl)),
            ("token_max_ttl", seconds(self.token_max_ttl)),
            ("token_no_default_policy", Node::Bool(self.token_no_default_policy)),
            ("token_period", seconds(self.token_period)),
            ("token_ttl", seconds(self.token_ttl)),
        ])
    }
}
