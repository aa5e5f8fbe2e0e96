//! `auth/<path>`: logins. A credential of another house comes in, an auth token goes out.
//!
//! One engine for every login method: each proves an identity in its own way (`auth` verifies), and from then on all are alike: the
//! identity is looked up among the aliases, the account's groups are given, the token is stored in one transaction with its entry. It
//! must never make a token for an identity that no account or role admits, repeat a credential, or say to a stranger why it was refused.

mod admit;
mod jwt_config;
mod jwt_role;
mod kerberos_config;
mod keytab;
mod op;
mod parse;
mod run;
mod sources;

pub use keytab::rewrap;
pub use op::Op;

use std::sync::Arc;

use super::{Engine, Tools};
use crate::audit::recorder::Running;
use crate::auth::throttle::{LoginThrottle, ThrottleLimits};
use crate::model::call::Call;
use crate::model::fault::Fault;
use crate::policy::authorized::Authorized;
use crate::store::work::Work;

use sources::Sources;

/// Failures of one address: a burst of them, then twenty a second. No credential here can be guessed; this spares the ledger.
const THROTTLE: ThrottleLimits = ThrottleLimits { burst: 300, refill_ms: 50, addresses: 10_000 };

pub struct Login {
    tools: Tools,
    sources: Arc<Sources>,
    throttle: LoginThrottle,
}

impl Login {
    #[must_use]
    pub fn new(tools: Tools) -> Self {
        Self { tools, sources: Arc::default(), throttle: LoginThrottle::new(THROTTLE) }
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

impl Engine for Login {
    type Op = Op;

    fn parse(&self, call: Call) -> Result<Op, Fault> {
        parse::parse(&self.tools.directory.current(), call)
    }

    fn run<'a>(&'a self, permit: &'a Authorized<Op>, work: &'a mut Work) -> Running<'a> {
        Box::pin(run::run(self, permit, work))
    }
}
