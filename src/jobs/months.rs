//! Makes the months of the ledger ahead, takes empty ones away that were pruned, and has an entry tell when the retention was changed.

use std::time::Duration;

use crate::audit::recorder::{Perform, Running};
use crate::model::action::Action;
use crate::model::fault::Fault;
use crate::model::reply::Reply;
use crate::policy::authorized::Authorized;
use crate::store::ledger_months;
use crate::store::work::Work;

use super::{Job, JobOp, Workshop};

#[derive(Debug, Clone, Copy)]
pub(super) struct Months;

impl Job for Months {
    const NAME: &'static str = "ledger_months";
    const PERIOD: Duration = Duration::from_secs(60);

    async fn run(self, workshop: Workshop) -> Result<Self, Fault> {
        if ledger_months::retention_is_untold(&workshop.store).await? {
            workshop.perform(Self::NAME, Action::RunJob, &self).await?;
        }
        ledger_months::make(&workshop.store, workshop.clock.now()).await?;
        if ledger_months::has_rest(&workshop.store).await? {
            tracing::error!(alarm = "ledger", "entries are in no month of the ledger, because of their times; run `goldfin audit verify`");
        }
        ledger_months::drop_pruned(&workshop.store).await?;
        Ok(self)
    }
}

impl Perform<JobOp> for Months {
    fn perform<'a>(&'a self, _: &'a Authorized<JobOp>, work: &'a mut Work) -> Running<'a> {
        Box::pin(async move {
            let days = ledger_months::tell_retention(work).await?;
            work.facts.reason = Some("retention_changed");
            work.facts.count = days.and_then(|days| u64::try_from(days).ok());
            Ok(Reply::nothing())
        })
    }
}
