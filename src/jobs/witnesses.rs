//! Shows the newest checkpoint of this node's stream to the witnesses, and keeps what they say beside it. A witness that refuses, that has
//! seen another history, or that is silent for long, is an alarm.

use std::collections::HashMap;
use std::time::Duration;

use crate::audit::witness::{Said, Witness, newest};
use crate::model::clock::Timestamp;
use crate::model::fault::Fault;
use crate::store::ledger::Reading;
use crate::store::witness;

use super::{Job, Workshop};

/// How long a witness may be silent.
const SILENCE: Duration = Duration::from_secs(600);

/// What is known of the witnesses, by their names.
#[derive(Debug, Clone, Default)]
pub(super) struct Witnesses {
    /// The size that each has seen last.
    seen: HashMap<String, u64>,
    /// Since when each gives no cosignature; and whether that was said.
    silent: HashMap<String, (Timestamp, bool)>,
}

impl Job for Witnesses {
    const NAME: &'static str = "witnesses";
    const PERIOD: Duration = Duration::from_secs(10);

    async fn run(mut self, workshop: Workshop) -> Result<Self, Fault> {
        let (stream, key) = (workshop.recorder.stream(), workshop.barrier.checkpoint()?);
        let found = newest(&mut Reading::begin(&workshop.store).await?, stream, &key).await?;
        let Some((checkpoint, note)) = found else { return Ok(self) };
        for witness in workshop.witnesses.iter() {
            let name = witness.name();
            let believed = match self.seen.get(name) {
                Some(seen) => *seen,
                None => witness::newest(&workshop.store, stream, name).await?.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            };
            if self.seen.get(name) == Some(&checkpoint.size) {
                continue;
            }
            let mut reading = Reading::begin(&workshop.store).await?;
            let said = witness.ask(&mut reading, &checkpoint, &note, believed).await?;
            drop(reading);
            self.weigh(witness, &said, checkpoint.size, workshop.clock.now());
            if let Said::Cosigned(cosignature) = &said {
                let time = i64::try_from(cosignature.time).unwrap_or(i64::MAX).saturating_mul(1_000_000);
                let (size, time) = (i64::try_from(checkpoint.size).unwrap_or(i64::MAX), Timestamp::from_unix_micros(time));
                witness::keep(&workshop.store, stream, size, name, &cosignature.line, time).await?;
                self.seen.insert(name.to_owned(), checkpoint.size);
            }
        }
        Ok(self)
    }
}

impl Witnesses {
    /// Says once what is wrong with a witness, until it is well again.
    fn weigh(&mut self, witness: &Witness, said: &Said, size: u64, now: Timestamp) {
        let name = witness.name();
        if matches!(said, Said::Cosigned(_)) {
            if self.silent.remove(name).is_some_and(|(_, told)| told) {
                tracing::info!(witness = name, size, "the witness cosigns again");
            }
            return;
        }
        let (since, told) = self.silent.entry(name.to_owned()).or_insert((now, false));
        if *told {
            return;
        }
        match said {
            Said::Refused(status) => {
                tracing::error!(alarm = "witness", witness = name, status, size, "the witness refuses our checkpoints")
            }
            Said::Seen(seen) => tracing::error!(
                alarm = "witness",
                witness = name,
                seen,
                size,
                "the witness has seen another history of this node's stream; run `goldfin audit verify`"
            ),
            Said::Silent if now.since(*since) >= SILENCE => {
                tracing::error!(alarm = "witness", witness = name, size, "the witness has not cosigned for ten minutes");
            }
            _ => return,
        }
        *told = true;
    }
}
