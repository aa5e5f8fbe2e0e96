//! Opening this node's stream of the ledger, before anything is served: what does not verify, or is behind what this node knows, stays shut.

use std::time::Duration;

use crate::audit::entry::{Decision, Draft, EntryKind};
use crate::audit::recorder::{OpenError, Opened, Opening, Recorder, SetBack, WriterThread};
use crate::audit::witness;
use crate::model::action::Action;
use crate::model::facts::Facts;
use crate::model::fault::Fault;
use crate::model::id::RequestId;
use crate::seal::barrier::{Barrier, fault};
use crate::store::ledger::Reading;

use super::Founding;

/// A process that was killed may hold its stream's lock until PostgreSQL notices: try for a while before giving up.
pub(super) async fn open_ledger(founding: &Founding, barrier: &Barrier) -> Result<(Recorder, WriterThread), Fault> {
    let seen_back = look_back(founding, barrier).await?;
    for _ in 0..50 {
        let opening = Opening {
            access: founding.access.clone(),
            node: founding.node.clone(),
            mac: barrier.ledger(),
            checkpoint: barrier.checkpoint()?,
            clock: founding.clock.clone(),
            high_water: founding.ledger.high_water.clone(),
            acknowledged: founding.ledger.acknowledged,
        };
        match Recorder::open(opening).await {
            Ok(Opened { recorder, writer, set_back }) => {
                if let Some(set_back) = set_back.or(seen_back) {
                    acknowledge(founding, &recorder, set_back).await?;
                }
                return Ok((recorder, writer));
            }
            Err(OpenError::Claimed) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(refused) => return Err(told(refused)),
        }
    }
    tracing::error!(alarm = "ledger", node = founding.node, "another process writes this node's stream; give each node a name of its own");
    Err(Fault::Unavailable("another process writes this node's stream of the ledger"))
}

/// Asks the witnesses before anything is written. What an operator has acknowledged, at exactly this place, is given back.
async fn look_back(founding: &Founding, barrier: &Barrier) -> Result<Option<SetBack>, Fault> {
    if founding.ledger.witnesses.is_empty() {
        return Ok(None);
    }
    let mut reading = Reading::begin(&founding.store).await?;
    let Some(head) = reading.head_of(&founding.node).await? else { return Ok(None) };
    let set_back = witness::look_back(&mut reading, &head, &founding.ledger.witnesses, &barrier.checkpoint()?).await?;
    match set_back {
        Some(set_back) if founding.ledger.acknowledged != Some((set_back.stream, set_back.ends)) => Err(told(OpenError::SetBack(set_back))),
        other => Ok(other),
    }
}

fn told(refused: OpenError) -> Fault {
    match refused {
        OpenError::Store(error) => error.into(),
        OpenError::Tampered(seq) => {
            tracing::error!(alarm = "ledger", seq, "the end of this node's stream does not verify; run `goldfin audit verify`");
            Fault::Integrity("the end of this node's stream of the ledger does not verify")
        }
        OpenError::SetBack(SetBack { stream, ends, known }) => {
            tracing::error!(
                alarm = "ledger",
                "the database was set back: stream {stream} does not hold entry {known} as this node has written it, and ends at {ends}. \
                 What was done since is lost or hidden. To go on all the same: `goldfin server --acknowledge-rollback {stream}:{ends}`",
                stream = stream.0
            );
            Fault::Integrity("the database was restored to an earlier state than this node has written; the server's log says how to go on")
        }
        OpenError::HighWater(why) => {
            tracing::error!(alarm = "ledger", "{why}");
            Fault::Unavailable("the high-water file cannot be used; look into the server's log")
        }
        OpenError::Claimed | OpenError::Thread => Fault::Internal("ledger thread"),
    }
}

/// The first entry behind a place that an operator has acknowledged: from how far the stream was set back.
async fn acknowledge(founding: &Founding, recorder: &Recorder, set_back: SetBack) -> Result<(), Fault> {
    tracing::warn!(stream = set_back.stream.0, ends = set_back.ends, known = set_back.known, "the loss of entries was acknowledged");
    let now = founding.clock.now();
    let facts = Facts {
        reason: Some("set_back_acknowledged"),
        version: Some(set_back.known),
        count: u64::try_from(set_back.known.saturating_sub(set_back.ends)).ok(),
        ..Facts::default()
    };
    let draft = Draft {
        kind: EntryKind::Notice,
        request: RequestId::generate(now).map_err(fault)?,
        received: now,
        account: "operator".to_owned(),
        method: "command".to_owned(),
        accessor: None,
        peer: None,
        verb: "start",
        action: Action::AcknowledgeLedger,
        resource: "Ledger:ledger".to_owned(),
        path: None,
        decision: Decision::Granted,
        policies: Vec::new(),
        policy_set: None,
        denied_because: None,
        status: 200,
        facts: Box::new(facts),
        changes: Vec::new(),
    };
    recorder.note(draft).await.map(drop)
}
