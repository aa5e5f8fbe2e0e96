//! Floor 8: what goldfin does by itself. A job is a caller like any other: its principal is asked for a permit, and what it does is
//! committed with an entry. It has deliberately no way to read, decode or administer; the base policies forbid it.
//!
//! A run that fails backs off and is tried again; nothing that happens in a run ends its loop.

mod expiry;
mod rewrap;
mod self_check;
mod shipping;
mod strangers;
mod witnesses;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use goldfin_crypto::random;
use tokio::task::JoinSet;

use crate::audit::recorder::{Asked, Perform};
pub use crate::gate::Workshop;
use crate::model::action::Action;
use crate::model::fault::Fault;
use crate::model::id::RequestId;
use crate::model::mount::Mount;
use crate::model::operation::{Operation, Resource, ResourceKind};
use crate::model::reply::Reply;
use crate::seal::barrier::fault;
use crate::store::control::SERVER;
use crate::store::work::Work;

/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The running jobs. Dropping it stops them at once, wherever they are, as a kill would: what is committed stays, the rest is rolled
/// back. They hold keys and the ledger's queue, so drop it before waiting for the ledger's writer.
#[derive(Debug)]
pub struct Jobs(#[expect(dead_code, reason = "held for its drop, which stops the tasks")] JoinSet<()>);

/// Starts all jobs of an open house.
#[must_use]
pub fn spawn(workshop: Workshop) -> Jobs {
    let mut tasks = JoinSet::new();
    tasks.spawn(repeat(workshop.clone(), rewrap::Rewrap::default()));
    tasks.spawn(repeat(workshop.clone(), expiry::Expiry));
    tasks.spawn(repeat(workshop.clone(), strangers::Strangers));
    if workshop.shipping.is_some() {
        tasks.spawn(repeat(workshop.clone(), shipping::Ship));
    }
    if !workshop.witnesses.is_empty() {
        tasks.spawn(repeat(workshop.clone(), witnesses::Witnesses::default()));
    }
    tasks.spawn(repeat(workshop, self_check::SelfCheck));
    Jobs(tasks)
}

/// One run of a job, for whoever cannot wait for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// Re-wraps for as long as there is anything to move.
    Rewrap,
    Expiry,
    SelfCheck,
}

/// Runs a job now. It takes no notice of the one that runs by itself; both may.
pub async fn run_once(workshop: &Workshop, errand: Errand) -> Result<(), Fault> {
    let workshop = workshop.clone();
    match errand {
        Errand::Rewrap => rewrap::Rewrap::default().run(workshop).await.map(drop),
        Errand::Expiry => expiry::Expiry.run(workshop).await.map(drop),
        Errand::SelfCheck => self_check::SelfCheck.run(workshop).await.map(drop),
    }
}

/// One of the things that goldfin does by itself.
trait Job: Clone + Send + 'static {
    const NAME: &'static str;
    const PERIOD: Duration;

    /// Does what there is to do; gives the job as the next run is to begin with.
    fn run(self, workshop: Workshop) -> impl Future<Output = Result<Self, Fault>> + Send;
}

async fn repeat<J: Job>(workshop: Workshop, mut job: J) {
    let mut failures = 0_u32;
    loop {
        tokio::time::sleep(pause(J::PERIOD, failures)).await;
        // On a task of its own, so that a panic ends the run and not the loop; dropping the set stops it with the loop.
        let mut run = JoinSet::new();
        run.spawn(job.clone().run(workshop.clone()));
        match run.join_next().await {
            Some(Ok(Ok(next))) => {
                job = next;
                failures = 0;
            }
            Some(Ok(Err(fault))) => {
                failures = failures.saturating_add(1);
                tracing::warn!(job = J::NAME, %fault, failures, "a job's run failed, it is tried again");
            }
            Some(Err(_)) | None => {
                failures = failures.saturating_add(1);
                tracing::error!(alarm = "job", job = J::NAME, failures, "a job's run ended before its time, it is tried again");
            }
        }
    }
}

/// The period, doubled for each failure in a row, and up to a tenth more, so that nodes that started together part.
fn pause(period: Duration, failures: u32) -> Duration {
    let doubled = period.saturating_mul(1_u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX));
    let base = if failures == 0 { period } else { doubled.min(LONGEST_PAUSE.max(period)) };
    let mut dice = [0_u8; 2];
    // Without randomness the nodes do not part; that is no reason to stop.
    let jitter = random::fill(&mut dice).map_or(0, |()| u32::from(u16::from_be_bytes(dice)));
    base.saturating_add((base / 10).saturating_mul(jitter) / u32::from(u16::MAX))
}

/// What a job does, as policies and entries see it. Which job it is, its principal says.
#[derive(Debug, Clone, Copy)]
struct JobOp(Action);

impl Operation for JobOp {
    fn action(&self) -> Action {
        self.0
    }

    fn resource(&self) -> Resource {
        Resource::new(ResourceKind::Server, "server")
    }
}

impl Workshop {
    fn asked(&self) -> Result<Asked, Fault> {
        let now = self.clock.now();
        Ok(Asked { request: RequestId::generate(now).map_err(fault)?, received: now, peer: None, verb: "job", path: None })
    }

    /// Performs one unit of work under a permit, and commits it with its entry.
    async fn perform(&self, job: &'static str, action: Action, performer: &impl Perform<JobOp>) -> Result<Reply, Fault> {
        let asked = self.asked()?;
        let who = Arc::new(self.authenticator.job(job));
        let permit = match self.rules.authorize(who, JobOp(action), asked.received) {
            Ok(permit) => permit,
            Err(denied) => {
                self.recorder.refuse_denied(&asked, &denied, &Fault::Denied).await?;
                return Err(Fault::Denied);
            }
        };
        let mount = Arc::new(Mount::whole_server(SERVER, asked.received));
        let new_work = || Work::new(self.store.clone(), Arc::clone(&mount), asked.received);
        let (outcome, _) = self.recorder.around(&asked, permit, new_work, performer).await?;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_and_end_at_five_minutes() {
        let within = |pause: Duration, base: u64| pause >= Duration::from_secs(base) && pause <= Duration::from_millis(base * 1100);
        assert!(within(pause(Duration::from_secs(1), 0), 1));
        assert!(within(pause(Duration::from_secs(1), 3), 8));
        assert!(within(pause(Duration::from_secs(1), u32::MAX), 300));
        assert!(within(pause(Duration::from_secs(3600), 0), 3600));
        assert!(within(pause(Duration::from_secs(3600), 2), 3600));
    }
}
