//! Whose rights are asked about: the caller of a request, or an account that somebody else asks about.

use std::net::IpAddr;

use crate::auth::principal::Principal;

/// The subject of a question. Not a witness: whoever holds one has proven nothing.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    pub caller: Caller<'a>,
    /// The groups that the caller stands in.
    pub groups: &'a [String],
    /// `kerberos`, `jwt`, `token`, `root`, `none`, `job`.
    pub method: &'a str,
    pub peer: Option<IpAddr>,
    pub channel_bound: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller<'a> {
    Anonymous,
    Account(&'a str),
    Job(&'a str),
}

impl<'a> Asked<'a> {
    /// An account that is not calling: `policy explain`, `policy who`.
    #[must_use]
    pub fn account(name: &'a str, groups: &'a [String]) -> Self {
        Self { caller: Caller::Account(name), groups, method: "token", peer: None, channel_bound: false }
    }

    #[must_use]
    pub fn anonymous(peer: Option<IpAddr>) -> Self {
        Self { caller: Caller::Anonymous, groups: &[], method: "none", peer, channel_bound: false }
    }

    #[must_use]
    pub fn job(name: &'a str) -> Self {
        Self { caller: Caller::Job(name), groups: &[], method: "job", peer: None, channel_bound: false }
    }

    #[must_use]
    pub fn by(mut self, method: &'a str) -> Self {
        self.method = method;
        self
    }

    #[must_use]
    pub fn from_peer(mut self, peer: IpAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    #[must_use]
    pub fn name(&self) -> &'a str {
        match self.caller {
            Caller::Anonymous => "anonymous",
            Caller::Account(name) | Caller::Job(name) => name,
        }
    }
}

impl<'a> From<&'a Principal> for Asked<'a> {
    fn from(principal: &'a Principal) -> Self {
        let caller = if principal.is_anonymous() {
            Caller::Anonymous
        } else if principal.is_job() {
            Caller::Job(principal.name())
        } else {
            Caller::Account(principal.name())
        };
        Self {
            caller,
            groups: principal.groups(),
            method: principal.method(),
            peer: principal.peer(),
            channel_bound: principal.token().is_some_and(|token| token.channel_bound),
        }
    }
}
