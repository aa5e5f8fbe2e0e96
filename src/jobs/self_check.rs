//! Makes the checks of the start again, on a new connection: rights, settings and triggers that were changed since raise an alarm and
//! stand in the ledger. A database that cannot be reached is no finding.

use std::time::Duration;

use crate::audit::entry::{Decision, Draft, EntryKind};
use crate::model::action::Action;
use crate::model::facts::Facts;
use crate::model::fault::Fault;

use super::{Job, Workshop};

#[derive(Debug, Clone, Copy)]
pub(super) struct SelfCheck;

impl Job for SelfCheck {
    const NAME: &'static str = "self_check";
    const PERIOD: Duration = Duration::from_secs(3600);

    async fn run(self, workshop: Workshop) -> Result<Self, Fault> {
        let Err(refusal) = workshop.access.check().await? else { return Ok(self) };
        tracing::error!(alarm = "database", %refusal, "the database would be refused at a start");
        let asked = workshop.asked()?;
        let who = workshop.authenticator.job(Self::NAME);
        workshop
            .recorder
            .note(Draft {
                kind: EntryKind::Notice,
                request: asked.request,
                received: asked.received,
                account: who.name().to_owned(),
                method: who.method().to_owned(),
                accessor: None,
                peer: None,
                verb: asked.verb,
                action: Action::RunJob,
                resource: "Server:server".to_owned(),
                path: None,
                decision: Decision::Failed,
                policies: Vec::new(),
                policy_set: None,
                denied_because: None,
                status: Fault::Unavailable("self check").status(),
                facts: Box::new(Facts { reason: Some("database_refused"), ..Facts::default() }),
                changes: Vec::new(),
            })
            .await?;
        Ok(self)
    }
}
