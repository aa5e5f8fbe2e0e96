//! Asking witnesses for their word on our checkpoints (C2SP tlog-witness): other hosts that remember how far they have seen this ledger, and
//! cosign only what continues that.
//!
//! A database that was set back is behind its witness, whatever became of the node's own files. Nothing that a request does waits for a
//! witness.

use std::sync::Arc;

use goldfin_ledger::SigningKey;
use goldfin_ledger::note::{Checkpoint, LogKey};
use goldfin_ledger::tree::root_of;
use goldfin_ledger::witness::{Cosignature, Submission, WitnessKey};

use crate::auth::jwks::{FetchPolicy, Fetcher};
use crate::model::id::StreamId;
use crate::store::error::StoreError;
use crate::store::ledger::{Head, Reading};
use crate::store::ledger_tree::StoredCheckpoint;

use super::recorder::SetBack;
use super::{chain, prove};

/// The longest answer of a witness that is read.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// How often a witness may say that it has seen another size before it is left alone.
const TRIES: u32 = 3;

/// A witness as the configuration names it. Cloning shares it.
#[derive(Clone)]
pub struct Witness {
    key: WitnessKey,
    address: String,
    fetcher: Arc<Fetcher>,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness").field("key", &self.key).field("address", &self.address).finish_non_exhaustive()
    }
}

/// What a witness says to a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Cosigned(Cosignature),
    /// It has seen a tree of this size which the checkpoint does not continue: it is larger, or another.
    Seen(u64),
    /// It does not want our checkpoints: the status of its answer.
    Refused(u16),
    /// It cannot be reached, or says nothing that can be understood.
    Silent,
}

/// What one submission came to.
enum Heard {
    Cosigned(Cosignature),
    At(u64),
    NotProven,
    Refused(u16),
    Nothing,
}

impl Witness {
    /// `url` is the submission prefix, below which `add-checkpoint` is; `key` a verifier key; `ca` certificates (PEM) instead of the system's.
    pub fn new(url: &str, key: &str, ca: Option<Vec<u8>>) -> Result<Self, String> {
        let key = WitnessKey::parse(key).map_err(|error| error.to_string())?;
        let address = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        let fetcher = Fetcher::new(FetchPolicy { ca_pem: ca, allow_private: true, allow_http_loopback: false });
        let fetcher = fetcher.and_then(|fetcher| fetcher.check_url(&address).map(|()| fetcher));
        let fetcher = fetcher.map_err(|_| "its `url` must be https, and its `ca` a file of PEM certificates".to_owned())?;
        Ok(Self { key, address, fetcher: Arc::new(fetcher) })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        self.key.name()
    }

    /// Asks for a cosignature of a checkpoint. `believed` is the size that the witness is believed to have seen.
    pub async fn ask(&self, reading: &mut Reading, checkpoint: &Checkpoint, note: &str, believed: u64) -> Result<Said, StoreError> {
        let mut old = believed.min(checkpoint.size);
        for _ in 0..TRIES {
            let proof = if old == 0 || old == checkpoint.size {
                Some(Vec::new())
            } else {
                prove::consistency(reading, StreamId(checkpoint.stream), old, checkpoint.size).await?
            };
            let submission = Submission { old, proof: proof.unwrap_or_default(), note: note.to_owned() };
            match self.submit(submission).await {
                Heard::Cosigned(cosignature) => return Ok(Said::Cosigned(cosignature)),
                Heard::At(size) if size > checkpoint.size || size == old => return Ok(Said::Seen(size)),
                Heard::At(size) => old = size,
                Heard::NotProven => return Ok(Said::Seen(old)),
                Heard::Refused(status) => return Ok(Said::Refused(status)),
                Heard::Nothing => return Ok(Said::Silent),
            }
        }
        Ok(Said::Silent)
    }

    async fn submit(&self, submission: Submission) -> Heard {
        let witness = self.clone();
        tokio::task::spawn_blocking(move || witness.post(&submission)).await.unwrap_or(Heard::Nothing)
    }

    fn post(&self, submission: &Submission) -> Heard {
        let Ok((status, body)) = self.fetcher.post(&self.address, &submission.to_text(), LONGEST_ANSWER) else { return Heard::Nothing };
        let text = String::from_utf8(body).unwrap_or_default();
        match status {
            200 => self.key.cosigned(&submission.note, &text).map_or(Heard::Nothing, Heard::Cosigned),
            409 => text.strip_suffix('\n').and_then(|size| size.parse().ok()).map_or(Heard::Nothing, Heard::At),
            422 => Heard::NotProven,
            400..=499 if status != 429 => Heard::Refused(status),
            _ => Heard::Nothing,
        }
    }
}

/// The newest checkpoint of a stream that this ledger signed; where there is none, one of its first entry.
pub async fn newest(reading: &mut Reading, stream: StreamId, key: &SigningKey) -> Result<Option<(Checkpoint, String)>, StoreError> {
    if let Some(StoredCheckpoint { note, .. }) = reading.newest_checkpoint(stream).await? {
        let opened = Checkpoint::open(note.as_bytes(), &LogKey::new(key.verifying_key()));
        return Ok(opened.ok().filter(|checkpoint| checkpoint.stream == stream.0).map(|checkpoint| (checkpoint, note)));
    }
    let Some(first) = reading.chained(stream, 1, 1).await?.pop().filter(|first| first.seq == 1) else { return Ok(None) };
    let checkpoint = Checkpoint { stream: stream.0, size: 1, root: root_of(&[chain::leaf(&first.body)]) };
    let note = checkpoint.sign(key).map_err(|_| StoreError::Unavailable("the checkpoint cannot be signed"))?;
    Ok(Some((checkpoint, note)))
}

/// Before a stream is written: whether a witness has seen more of it than is there, or something else. A witness that is silent holds
/// nobody up, and neither does what an entry says that an operator has acknowledged.
pub async fn look_back(reading: &mut Reading, head: &Head, witnesses: &[Witness], key: &SigningKey) -> Result<Option<SetBack>, StoreError> {
    let Some((checkpoint, note)) = newest(reading, head.stream, key).await? else { return Ok(None) };
    for witness in witnesses {
        let known = match witness.ask(reading, &checkpoint, &note, checkpoint.size).await? {
            Said::Seen(known) => i64::try_from(known).unwrap_or(i64::MAX),
            Said::Cosigned(_) => continue,
            Said::Refused(status) => {
                tracing::error!(alarm = "witness", witness = witness.name(), status, "the witness refuses our checkpoints");
                continue;
            }
            Said::Silent => {
                tracing::warn!(witness = witness.name(), "the witness cannot be asked how far it has seen this node's stream");
                continue;
            }
        };
        // Between the newest checkpoint and the end of the stream: one that the database lost in a crash, after the witness had it.
        let lost = i64::try_from(checkpoint.size).is_ok_and(|size| size < known) && known <= head.seq;
        if !lost && !reading.is_acknowledged(head.stream, known).await? {
            tracing::error!(
                alarm = "witness",
                witness = witness.name(),
                known,
                "the witness has seen another history of this node's stream"
            );
            return Ok(Some(SetBack { stream: head.stream, ends: head.seq, known }));
        }
    }
    Ok(None)
}
