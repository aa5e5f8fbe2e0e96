//! The witness of who is calling. Only the files of this floor can make one.

use std::net::IpAddr;
use std::sync::Arc;

use crate::store::auth_token::AuthTokenRow;

/// Who is calling, proven.
#[derive(Debug, Clone)]
pub struct Principal {
    who: Who,
    peer: Option<IpAddr>,
}

#[derive(Debug, Clone)]
enum Who {
    /// Nobody yet: may log in, and read what strangers may read.
    Anonymous,
    /// The holder of an auth token.
    Account(Arc<AuthTokenRow>),
    /// goldfin itself, with the job's name.
    Job(&'static str),
}

impl Principal {
    /// Whoever shows nothing. It proves nothing either, so anyone may say it.
    pub fn anonymous(peer: Option<IpAddr>) -> Self {
        Self { who: Who::Anonymous, peer }
    }

    pub(super) fn account(row: Arc<AuthTokenRow>, peer: Option<IpAddr>) -> Self {
        Self { who: Who::Account(row), peer }
    }

    pub(super) fn job(name: &'static str) -> Self {
        Self { who: Who::Job(name), peer: None }
    }

    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        matches!(self.who, Who::Anonymous)
    }

    #[must_use]
    pub fn is_job(&self) -> bool {
        matches!(self.who, Who::Job(_))
    }

    /// The auth token that the caller showed.
    #[must_use]
    pub fn token(&self) -> Option<&Arc<AuthTokenRow>> {
        match &self.who {
            Who::Account(row) => Some(row),
            _ => None,
        }
    }

    /// The account's name; `anonymous` and the job's name for those that have none.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.who {
            Who::Anonymous => "anonymous",
            Who::Account(row) => &row.account,
            Who::Job(name) => name,
        }
    }

    /// The Cedar groups that the caller stands in.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        self.token().map_or(&[], |row| row.groups.as_slice())
    }

    /// How the caller proved itself: `kerberos`, `jwt`, `token`, `root`, `none`, `job`.
    #[must_use]
    pub fn method(&self) -> &str {
        match &self.who {
            Who::Anonymous => "none",
            Who::Account(row) => &row.method,
            Who::Job(_) => "job",
        }
    }
}
