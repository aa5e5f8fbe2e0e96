//! Deletes what has expired: auth tokens, PII tokens, and Kerberos authenticators that nobody would accept any more, and counts
//! of values of past hours; and what the tokens of deleted transformations left behind.

use std::time::Duration;

use crate::audit::recorder::{Perform, Running};
use crate::model::action::Action;
use crate::model::clock::Timestamp;
use crate::model::fault::Fault;
use crate::model::reply::Reply;
use crate::policy::authorized::Authorized;
use crate::store::work::Work;
use crate::store::{allowance, auth_token, expiry, removed, replay, transform};

use super::{Job, JobOp, Workshop};

/// Of each kind, in one unit of work: few enough that others' commits do not wait.
const BATCH: i64 = 2000;

/// Another node's clock may be behind by this much, and accept an authenticator that is too old by ours.
const REPLAY_GRACE: Duration = Duration::from_secs(600);

/// Another node's clock may be behind by this many hours and count in them.
const HOURS_KEPT: i64 = 2;

/// After this time no request is under way any more that began before its node heard of a deletion.
const HEARD: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
pub(super) struct Expiry;

impl Job for Expiry {
    const NAME: &'static str = "expiry";
    const PERIOD: Duration = Duration::from_secs(60);

    async fn run(self, workshop: Workshop) -> Result<Self, Fault> {
        loop {
            let now = workshop.clock.now();
            if !expiry::is_due(&workshop.store, now, too_old(now), past_hour(now)).await?
                && !removed::is_due(&workshop.store, heard(now)).await?
            {
                return Ok(self);
            }
            workshop.perform(Self::NAME, Action::RunJob, &self).await?;
        }
    }
}

impl Perform<JobOp> for Expiry {
    fn perform<'a>(&'a self, _: &'a Authorized<JobOp>, work: &'a mut Work) -> Running<'a> {
        Box::pin(delete(work))
    }
}

async fn delete(work: &mut Work) -> Result<Reply, Fault> {
    let now = work.now();
    let mut gone = auth_token::delete_expired(work, now, BATCH).await?;
    gone += transform::delete_expired(work, now, BATCH).await?;
    gone += removed::remove(work, heard(now)).await?;
    gone += replay::forget(work, too_old(now), BATCH).await?;
    gone += allowance::forget(work, past_hour(now), BATCH).await?;
    work.facts.count = Some(gone);
    Ok(Reply::nothing())
}

fn too_old(now: Timestamp) -> Timestamp {
    before(now, REPLAY_GRACE)
}

fn heard(now: Timestamp) -> Timestamp {
    before(now, HEARD)
}

/// Hours before this one, counted since 1970, are over on every node.
fn past_hour(now: Timestamp) -> i64 {
    now.unix_seconds().div_euclid(3600) - HOURS_KEPT
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_unix_micros(now.unix_micros().saturating_sub(micros))
}
