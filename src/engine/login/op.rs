//! What can be done at a login method.

use goldfin_crypto::Plaintext;

use super::jwt_config::JwtConfig;
use super::jwt_role::JwtRole;
use super::kerberos_config::KerberosConfig;
use crate::model::action::Action;
use crate::model::operation::{Circumstances, Operation, Resource, ResourceKind};

/// An operation, and the path of the mount that it is asked of.
#[derive(Debug)]
pub struct Op {
    pub mount: String,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    LoginWithJwt { role: Option<String>, jwt: Plaintext },
    LoginWithKerberos { shown: Negotiated, channel_binding: Vec<u8> },
    ReadConfig,
    WriteJwtConfig(Box<Write<JwtConfig>>),
    WriteKerberosConfig(Box<KerberosWrite>),
    DeleteConfig,
    ReadRole(String),
    ListRoles,
    WriteRole { name: String, write: Box<Write<JwtRole>> },
    DeleteRole(String),
}

/// The SPNEGO token as it came.
#[derive(Debug)]
pub enum Negotiated {
    Nothing,
    /// From the header.
    Decoded(Plaintext),
    /// `Negotiate` and base64, from the body, as Vault's own client sends it.
    Text(Plaintext),
}

/// A document that replaces the one of version `before`; 0 where there is none.
#[derive(Debug)]
pub struct Write<T> {
    pub document: T,
    pub before: i64,
    /// What the document, with what hangs on it, hands on.
    pub grants: Vec<String>,
    pub unknown: usize,
}

#[derive(Debug)]
pub struct KerberosWrite {
    pub write: Write<KerberosConfig>,
    /// The keys themselves, where the request brought them along.
    pub keytab: Option<Plaintext>,
}

impl Operation for Op {
    fn action(&self) -> Action {
        match &self.what {
            What::LoginWithJwt { .. } | What::LoginWithKerberos { .. } => Action::Login,
            What::ReadConfig | What::ReadRole(_) => Action::ReadSetting,
            What::ListRoles => Action::ListSettings,
            What::WriteJwtConfig(_) | What::WriteKerberosConfig(_) | What::WriteRole { .. } => Action::WriteSetting,
            What::DeleteConfig | What::DeleteRole(_) => Action::DeleteSetting,
        }
    }

    fn resource(&self) -> Resource {
        let setting = |tail: &str| Resource::within(ResourceKind::Setting, &self.mount, tail);
        match &self.what {
            What::LoginWithJwt { .. } | What::LoginWithKerberos { .. } => Resource::new(ResourceKind::Mount, self.mount.clone()),
            What::ReadConfig | What::WriteJwtConfig(_) | What::WriteKerberosConfig(_) | What::DeleteConfig => setting("config"),
            What::ListRoles => setting("role"),
            What::ReadRole(name) | What::WriteRole { name, .. } | What::DeleteRole(name) => setting(&format!("role/{name}")),
        }
    }

    fn circumstances(&self) -> Circumstances {
        let grants = match &self.what {
            What::WriteJwtConfig(write) => write.grants.clone(),
            What::WriteRole { write, .. } => write.grants.clone(),
            _ => Vec::new(),
        };
        Circumstances { batch_size: 1, grants, ..Circumstances::default() }
    }
}
