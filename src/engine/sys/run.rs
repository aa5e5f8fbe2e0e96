//! What a permitted operation does: the way to its area, and the small ones.

use goldfin_crypto::{AuthToken, Plaintext};

use crate::engine::openapi;
use crate::model::change::Change;
use crate::model::fault::Fault;
use crate::model::reply::{Answer, Reply};
use crate::policy::authorized::Authorized;
use crate::store::work::Work;

use super::op::Op;
use super::{System, audit, own_mounts};

impl System {
    pub(super) async fn perform(&self, permit: &Authorized<Op>, work: &mut Work) -> Result<Reply, Fault> {
        match permit.op() {
            Op::Mounts(op) => self.run_mounts(op, work).await,
            Op::Policies(op) => self.run_policies(op, permit.principal(), work).await,
            Op::Accounts(op) => self.run_accounts(op, permit.principal(), work).await,
            Op::Capabilities(op) => self.run_capabilities(op, permit.principal(), work).await,
            Op::OwnMounts(path) => own_mounts::run(&self.tools.directory.current(), path.as_deref()),
            Op::Api => Ok(self.describe_api()),
            Op::Quotas(op) => self.run_quotas(op, work).await,
            Op::Ledger(op) => self.run_ledger(op, work).await,
            Op::Keys(op) => op.run(&self.tools.barrier, work).await,
            Op::AuditDevices => Ok(audit::devices()),
            Op::Metrics => {
                let text = Plaintext::from_text(self.tools.counters.to_text());
                Ok(Reply::new(Answer::Stream("text/plain; version=0.0.4; charset=utf-8", text)))
            }
            Op::Seal => Ok(Reply::nothing().then(Change::Sealed)),
        }
    }
}

impl System {
    /// Of the mounts that there are, whatever the caller may do there: it describes and reveals nothing that is in them.
    fn describe_api(&self) -> Reply {
        let snapshot = self.tools.directory.current();
        let document = openapi::document(snapshot.mounts().iter().map(|mount| (mount.path.as_str(), mount.kind)));
        Reply::new(Answer::Bare(document.into()))
    }
}

/// The auth token in a body. Nonsense is refused before the database is asked.
pub(super) fn shown_token(text: &Plaintext) -> Result<AuthToken, Fault> {
    let token = text.expose_text().ok().and_then(|text| AuthToken::parse(text).ok());
    token.ok_or(Fault::invalid("`token` is not an auth token"))
}
