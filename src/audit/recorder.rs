//! The bracket around an operation: its effect and its entry are committed together, or the effect is rolled back and the entry of the
//! failure is committed. An operation's `?` returns *to* the bracket; a guard object would have been dropped by it.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use goldfin_crypto::mac::MacKey;
use goldfin_ledger::SigningKey;
use goldfin_ledger::note::LogKey;
use tokio::sync::{mpsc, oneshot};

use crate::auth::principal::Principal;
use crate::model::action::Action;
use crate::model::change::Change;
use crate::model::clock::{Clock, Timestamp};
use crate::model::facts::{Facts, Notice};
use crate::model::fault::Fault;
use crate::model::id::{RequestId, StreamId};
use crate::model::operation::{About, Operation, Resource};
use crate::model::reply::Reply;
use crate::policy::authorized::{Authorized, Denied};
use crate::policy::decision::{Because, Decision as Ruling};
use crate::store::connect::Access;
use crate::store::error::StoreError;
use crate::store::ledger::{Head, WriterConnection};
use crate::store::work::{Pending, Work};

use super::archived::{self, Cut};
use super::chain;
use super::checkpointer::{self, Checkpointer, Committed};
use super::entry::{Decision, Draft, EntryKind, Prepared};
use super::high_water::{HighWater, Mark};
use super::queue::{Entrance, Item, Queue};
use super::receipt::Receipt;
use super::writer::Writer;

/// How often an operation is run again that lost a race with another node or with an erasure.
const RACES: u32 = 10;

/// What is known of a request before it is understood.
#[derive(Debug, Clone)]
pub struct Asked {
    pub request: RequestId,
    pub received: Timestamp,
    pub peer: Option<IpAddr>,
    pub verb: &'static str,
    pub path: Option<String>,
}

/// Where an operation's future lives while the bracket waits for it.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send + 'a>>;

/// Whoever performs a permitted operation: an engine, or a job.
pub trait Perform<Op>: Sync {
    fn perform<'a>(&'a self, permit: &'a Authorized<Op>, work: &'a mut Work) -> Running<'a>;
}

/// The door to the ledger. Cloning shares the writer.
#[derive(Debug, Clone)]
pub struct Recorder {
    entrance: Arc<Entrance>,
    clock: Clock,
    stream: StreamId,
}

/// The writer's thread; joined at the end of the server, so that what was taken is committed.
#[derive(Debug)]
pub struct WriterThread(std::thread::JoinHandle<()>);

impl WriterThread {
    pub fn join(self) {
        drop(self.0.join());
    }
}

/// What a stream is opened with.
pub struct Opening {
    pub access: Access,
    pub node: String,
    pub mac: MacKey,
    pub checkpoint: SigningKey,
    pub clock: Clock,
    pub high_water: Option<HighWater>,
    /// The place where an operator says that a stream may end although this node has written more: stream and sequence number.
    pub acknowledged: Option<(StreamId, i64)>,
}

/// Why the ledger cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    Store(StoreError),
    /// Another process writes this node's stream.
    Claimed,
    /// The end of the stream does not verify: at this sequence number.
    Tampered(i64),
    /// The stream is not where this node left it: the database was set back. Nobody has acknowledged it.
    SetBack(SetBack),
    /// The high-water file cannot be used; the text says why.
    HighWater(String),
    Thread,
}

/// How far a stream is behind what its node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetBack {
    pub stream: StreamId,
    /// Where the stream ends.
    pub ends: i64,
    /// Where it is known to have ended.
    pub known: i64,
}

/// A stream that is open.
pub struct Opened {
    pub recorder: Recorder,
    pub writer: WriterThread,
    /// What was acknowledged: the caller records it before anything else.
    pub set_back: Option<SetBack>,
}

/// What the writer's thread begins with.
struct Start {
    connection: WriterConnection,
    head: Head,
    set_back: Option<SetBack>,
}

impl Recorder {
    /// Takes the stream of `node`, verifies its end, compares it with the high-water mark and starts its writer. The connection is made by
    /// the writer itself, on its own thread.
    pub async fn open(opening: Opening) -> Result<Opened, OpenError> {
        let (opened, told) = oneshot::channel();
        let clock = opening.clock.clone();
        let queue = Arc::new(Queue::new(opening.mac.duplicate(), clock.clone()));
        let entrance = Arc::new(Entrance::new(Arc::clone(&queue)));
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || {
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(_) => return drop(opened.send(Err(OpenError::Thread))),
                };
                runtime.block_on(async move {
                    match take_stream(&opening).await {
                        Ok(start) => {
                            let told = (start.head.stream, start.set_back);
                            match grow_tree(&opening, told.0) {
                                Ok((tree, checkpoints)) => {
                                    drop(opened.send(Ok(told)));
                                    let Opening { access, node, .. } = opening;
                                    Writer::new(access, node, (start.connection, start.head), queue, tree).run().await;
                                    // The writer is gone, and with it the leaves' sender: the last checkpoint is made now.
                                    drop(checkpoints.join());
                                }
                                Err(error) => drop(opened.send(Err(error))),
                            }
                        }
                        Err(error) => drop(opened.send(Err(error))),
                    }
                });
            })
            .map_err(|_| OpenError::Thread)?;
        let (stream, set_back) = told.await.map_err(|_| OpenError::Thread)??;
        Ok(Opened { recorder: Self { entrance, clock, stream }, writer: WriterThread(thread), set_back })
    }

    /// The stream that this node writes.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// Runs a permitted operation and commits what it did with its entry. The permit is used up here; an operation that lost a race
    /// is run again with it, because nothing of its first run was committed.
    ///
    /// The outer error means that nothing is recorded: the ledger could not be written, or the outcome of its commit is unknown.
    pub async fn around<Op: Operation>(
        &self,
        asked: &Asked,
        permit: Authorized<Op>,
        new_work: impl Fn() -> Work + Send,
        performer: &impl Perform<Op>,
    ) -> Result<(Result<Reply, Fault>, Receipt), Fault> {
        let (mut races, mut notices) = (0, Vec::new());
        loop {
            // The work ends with its scope: a future has room for all that is in scope where it waits, also for what was moved away.
            let effect = {
                let mut work = new_work();
                let patience = permit.op().patience();
                let outcome = match tokio::time::timeout(patience, performer.perform(&permit, &mut work)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(Fault::Unavailable("the database does not answer in time")),
                };
                notices.append(&mut work.notices);
                if matches!(outcome, Err(Fault::Conflict(_))) && races < RACES {
                    races += 1;
                    continue;
                }
                self.enter_effect(asked, &permit, work, outcome, races == RACES)
            };
            if !effect.with_rows && notices.is_empty() {
                // It is not run again: nothing of it waits for the commit but its answer.
                drop(permit);
                return Ok((effect.outcome, told(effect.entered).await?));
            }
            match Box::pin(self.settle(asked, &permit, effect, &mut notices)).await? {
                Some(settled) => return Ok(settled),
                None => races += 1,
            }
        }
    }

    /// Waits for the commit of what may lose a race, or has something to tell. None: it has lost, and is to be run again.
    async fn settle<Op: Operation>(
        &self,
        asked: &Asked,
        permit: &Authorized<Op>,
        effect: Effect,
        notices: &mut Vec<Notice>,
    ) -> Result<Option<(Result<Reply, Fault>, Receipt)>, Fault> {
        let settled = match told(effect.entered).await {
            Ok(receipt) => (effect.outcome, receipt),
            Err(error @ (StoreError::Conflict | StoreError::SubjectGone)) if effect.with_rows => {
                let Some(facts) = effect.facts else { return Ok(None) };
                let fault = Fault::from(error);
                let draft = self.draft_of(asked, permit, facts, Err(&fault));
                (Err(fault), self.commit(draft, Pending::Nothing).await?)
            }
            Err(error) => return Err(error.into()),
        };
        self.tell(asked, permit, std::mem::take(notices)).await;
        Ok(Some(settled))
    }

    /// Enters what an operation did; its answer is written while that is committed.
    fn enter_effect<Op: Operation>(
        &self,
        asked: &Asked,
        permit: &Authorized<Op>,
        work: Work,
        outcome: Result<Reply, Fault>,
        last: bool,
    ) -> Effect {
        let (pending, facts) = work.into_parts();
        let pending = if outcome.is_ok() { pending } else { Pending::Nothing };
        let with_rows = !matches!(pending, Pending::Nothing);
        let kept = (with_rows && last).then(|| facts.clone());
        let entered = self.enter(self.draft_of(asked, permit, facts, outcome.as_ref()), pending);
        Effect { entered, outcome: outcome.map(Reply::written), with_rows, facts: kept }
    }

    /// Records what those who watch should know beside what was asked. The request's own entry stands already; a notice that cannot be
    /// recorded is in the log alone.
    async fn tell<Op: Operation>(&self, asked: &Asked, permit: &Authorized<Op>, notices: Vec<Notice>) {
        for notice in notices {
            let facts = Facts { reason: Some(notice.reason), class: notice.class, count: Some(notice.count), ..Facts::default() };
            let mut draft = draft(asked, permit.principal(), permit.about().action, &permit.about().resource, Box::new(facts));
            (draft.kind, draft.resource, draft.decision) = (EntryKind::Notice, notice.resource, Decision::Granted);
            if self.commit(draft, Pending::Nothing).await.is_err() {
                tracing::error!(alarm = "ledger", reason = notice.reason, "a notice could not be recorded");
            }
        }
    }

    /// Records an operation that was understood and not permitted.
    pub async fn refuse_denied<Op: Operation>(&self, asked: &Asked, denied: &Denied<Op>, fault: &Fault) -> Result<Receipt, Fault> {
        let About { action, resource, circumstances } = denied.about();
        let facts = Facts {
            purpose: denied.op().recorded_purpose(),
            count: (circumstances.batch_size > 1).then_some(circumstances.batch_size),
            class: resource.class.clone(),
            ..Facts::default()
        };
        let mut draft = draft(asked, denied.principal(), *action, resource, Box::new(facts));
        draft.decision = Decision::Denied;
        draft.status = fault.status();
        rule(&mut draft, denied.decision());
        Ok(self.commit(draft, Pending::Nothing).await?)
    }

    /// Records a request that did not get as far as an operation: malformed, unknown, without credential.
    pub async fn refuse(&self, asked: &Asked, who: &Principal, resource: &Resource, fault: &Fault, facts: Facts) -> Result<Receipt, Fault> {
        let mut draft = draft(asked, who, Action::Unroutable, resource, Box::new(facts));
        draft.decision = match fault {
            Fault::Unauthenticated(_) | Fault::Denied => Decision::Denied,
            _ => Decision::Failed,
        };
        draft.status = fault.status();
        Ok(self.commit(draft, Pending::Nothing).await?)
    }

    /// Records something that is no request of a client: what happened while sealed, a start, an alarm.
    pub async fn note(&self, draft: Draft) -> Result<Receipt, Fault> {
        Ok(self.commit(Box::new(draft), Pending::Nothing).await?)
    }

    fn draft_of<Op: Operation>(
        &self,
        asked: &Asked,
        permit: &Authorized<Op>,
        mut facts: Box<Facts>,
        outcome: Result<&Reply, &Fault>,
    ) -> Box<Draft> {
        let About { action, resource, circumstances } = permit.about();
        if facts.purpose.is_none() {
            facts.purpose = permit.op().recorded_purpose();
        }
        if facts.class.is_none() {
            facts.class.clone_from(&resource.class);
        }
        if facts.count.is_none() && circumstances.batch_size > 1 {
            facts.count = Some(circumstances.batch_size);
        }
        let mut draft = draft(asked, permit.principal(), *action, resource, facts);
        rule(&mut draft, permit.decision());
        match outcome {
            Ok(reply) => {
                draft.status = reply.status();
                // A batch whose failures the caller wants told by a status of its own has revealed the rest all the same.
                let partly = draft.facts.succeeded.is_some_and(|succeeded| succeeded > 0);
                draft.decision = if reply.status() < 400 || partly { Decision::Granted } else { Decision::Failed };
                draft.changes = changes_of(reply, draft.facts.manifest);
            }
            Err(fault) => {
                draft.status = fault.status();
                draft.decision =
                    if matches!(fault, Fault::Denied | Fault::Unauthenticated(_)) { Decision::Denied } else { Decision::Failed };
            }
        }
        draft
    }

    async fn commit(&self, draft: Box<Draft>, pending: Pending) -> Result<Receipt, StoreError> {
        told(self.enter(draft, pending)).await
    }

    fn enter(&self, draft: Box<Draft>, pending: Pending) -> Entered {
        let entry = Prepared::new(*draft, self.clock.now());
        let (done, committed) = oneshot::channel();
        if !self.entrance.push(Item { entry, pending, done, tries: 0, link: None }) {
            return Err(StoreError::Unavailable("the ledger's queue is full"));
        }
        Ok(committed)
    }
}

/// What an operation did, on its way into the database.
struct Effect {
    entered: Entered,
    outcome: Result<Reply, Fault>,
    /// Whether the entry is not alone in its commit: what it did may lose a race, and is then done again.
    with_rows: bool,
    /// For the entry of the last failure.
    facts: Option<Box<Facts>>,
}

/// An entry that waits for its commit, unless the queue was full.
type Entered = Result<oneshot::Receiver<Result<Receipt, StoreError>>, StoreError>;

async fn told(entered: Entered) -> Result<Receipt, StoreError> {
    entered?.await.map_err(|_| StoreError::OutcomeUnknown)?
}

/// Starts the thread that makes tree and checkpoints.
fn grow_tree(opening: &Opening, stream: StreamId) -> Result<(mpsc::Sender<Committed>, std::thread::JoinHandle<()>), OpenError> {
    let (tree, leaves) = mpsc::channel(checkpointer::QUEUE);
    let high_water = opening.high_water.clone();
    let (mac, key) = (opening.mac.duplicate(), opening.checkpoint.duplicate().map_err(|_| OpenError::Thread)?);
    let checkpointer = Checkpointer::new(opening.access.clone(), stream, mac, key, high_water);
    let thread = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(checkpointer.run(leaves));
        }
    });
    Ok((tree, thread.map_err(|_| OpenError::Thread)?))
}

async fn take_stream(opening: &Opening) -> Result<Start, OpenError> {
    let Opening { access, node, mac: key, .. } = opening;
    let mut connection = access.writer().await.map_err(OpenError::Store)?;
    let head = connection.claim(node).await.map_err(OpenError::Store)?.ok_or(OpenError::Claimed)?;
    let tail = connection.tail(head.stream, 2).await.map_err(OpenError::Store)?;
    let mut before: Option<Vec<u8>> = None;
    for entry in &tail {
        let known = before.clone().or_else(|| (entry.seq == 1).then(Vec::new));
        let sound =
            known.is_none_or(|before| chain::link(key, head.stream, entry.seq, &before, &chain::leaf(&entry.body))[..] == entry.mac[..]);
        if !sound {
            return Err(OpenError::Tampered(entry.seq));
        }
        before = Some(entry.mac.clone());
    }
    let cut = pruned(opening, &mut connection, head.stream).await?;
    let begins = cut.map_or((0, Vec::new()), |cut| (cut.last, cut.mac));
    let ends = tail.last().map_or(begins, |entry| (entry.seq, entry.mac.clone()));
    if ends != (head.seq, head.mac.clone()) {
        return Err(OpenError::Tampered(ends.0));
    }
    let set_back = compare(opening, &mut connection, &head).await?;
    Ok(Start { connection, head, set_back })
}

/// Where the stream begins, if its older entries were pruned.
async fn pruned(opening: &Opening, connection: &mut WriterConnection, stream: StreamId) -> Result<Option<Cut>, OpenError> {
    let archives = connection.archives(stream).await.map_err(OpenError::Store)?;
    Ok(archived::cut(&archives, &LogKey::new(opening.checkpoint.verifying_key())))
}

/// Compares the stream with the high-water mark. What an operator has acknowledged, at exactly this place, is given back.
async fn compare(opening: &Opening, connection: &mut WriterConnection, head: &Head) -> Result<Option<SetBack>, OpenError> {
    let Some(file) = &opening.high_water else { return Ok(None) };
    let Some(mark) = file.read().map_err(OpenError::HighWater)? else { return Ok(None) };
    let Mark { origin, seq, leaf } = mark;
    let stands = if LogKey::new(opening.checkpoint.verifying_key()).origin(head.stream.0) == origin {
        let found = connection.chained(head.stream, seq, 1).await.map_err(OpenError::Store)?;
        // A pruned entry is vouched for by the record of its archive, which this ledger signed.
        let pruned = pruned(opening, connection, head.stream).await?.is_some_and(|cut| seq <= cut.last);
        pruned || found.first().is_some_and(|entry| entry.seq == seq && chain::leaf(&entry.body) == leaf)
    } else {
        false
    };
    if stands {
        return Ok(None);
    }
    let set_back = SetBack { stream: head.stream, ends: head.seq, known: seq };
    if opening.acknowledged == Some((head.stream, head.seq)) { Ok(Some(set_back)) } else { Err(OpenError::SetBack(set_back)) }
}

fn draft(asked: &Asked, who: &Principal, action: Action, resource: &Resource, facts: Box<Facts>) -> Box<Draft> {
    Box::new(Draft {
        kind: EntryKind::Request,
        request: asked.request,
        received: asked.received,
        account: who.name().to_owned(),
        method: who.method().to_owned(),
        accessor: who.token().map(|token| token.accessor.clone()),
        peer: asked.peer,
        verb: asked.verb,
        action,
        resource: [resource.kind.name(), ":", &resource.id].concat(),
        path: asked.path.clone(),
        decision: Decision::Failed,
        policies: Vec::new(),
        policy_set: None,
        denied_because: None,
        status: 0,
        facts,
        changes: Vec::new(),
    })
}

/// The manifest's version comes first, where the index finds it, and says as much as `Change::Directory`.
fn changes_of(reply: &Reply, manifest: Option<i64>) -> Vec<Change> {
    let rest = reply.after.iter().filter(|change| manifest.is_none() || **change != Change::Directory).cloned();
    manifest.map(Change::Manifest).into_iter().chain(rest).collect()
}

fn rule(draft: &mut Draft, ruling: &Ruling) {
    draft.policies.clone_from(&ruling.policies);
    draft.policy_set = Some(ruling.set_hash);
    if ruling.because != Because::Permitted {
        draft.denied_because = Some(ruling.because.name());
    }
}
