//! The one writer of a stream, on a thread of its own, so that bulk work never sits in its run queue.
//!
//! It takes whatever waits (no timer: the commit in flight is the window), gives out the numbers, computes the chain in memory and
//! commits the whole group in one statement. A transaction that has read what it changes brings its connection; its entry is appended
//! last in it, and the writer commits it, so the order of the chain and of the commits is one.

use std::collections::VecDeque;
use std::time::Duration;

use goldfin_crypto::mac::MacKey;
use tokio::sync::{mpsc, oneshot};

use crate::model::clock::{self, Clock, Timestamp};
use crate::store::connect::Access;
use crate::store::error::StoreError;
use crate::store::ledger::{Head, NewEntries, WriterConnection, append};
use crate::store::transform::NewTokens;
use crate::store::work::Pending;

use super::chain;
use super::checkpointer::Committed;
use super::entry::Prepared;
use super::pace::Pace;
use super::receipt::Receipt;

/// The most new tokens that ride in a group with others; a larger batch is committed by itself.
const GROUP_TOKENS: usize = 4000;

/// How often a request is tried again whose subject is being erased at this moment.
const SUBJECT_TRIES: u32 = 50;

/// A request that waits for its commit.
pub(super) struct Item {
    pub entry: Prepared,
    pub pending: Pending,
    pub done: oneshot::Sender<Result<Receipt, StoreError>>,
    pub tries: u32,
}

/// How long the database may be silent before the writer gives its connection up.
const PATIENCE: Duration = Duration::from_secs(10);

const SILENT: StoreError = StoreError::Unavailable("the database does not answer in time");

pub(super) struct Writer {
    access: Access,
    node: String,
    connection: Option<WriterConnection>,
    head: Head,
    key: MacKey,
    clock: Clock,
    waiting: VecDeque<Item>,
    pace: Pace,
    tree: mpsc::Sender<Committed>,
}

impl Writer {
    pub(super) fn new(
        access: Access,
        node: String,
        (connection, head): (WriterConnection, Head),
        key: MacKey,
        clock: Clock,
        tree: mpsc::Sender<Committed>,
    ) -> Self {
        Self { access, node, connection: Some(connection), head, key, clock, waiting: VecDeque::new(), pace: Pace::default(), tree }
    }

    /// Runs until every sender is gone and nothing waits.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Item>) {
        let group = self.access.tuning.group;
        let mut taken = Vec::with_capacity(group);
        loop {
            if self.waiting.is_empty() {
                if queue.recv_many(&mut taken, group).await == 0 {
                    return;
                }
            } else {
                while taken.len() < group {
                    let Ok(item) = queue.try_recv() else { break };
                    taken.push(item);
                }
            }
            self.waiting.extend(taken.drain(..));
            self.commit_next().await;
        }
    }

    /// Commits what stands at the front: a transaction alone, or as many of the others as fit.
    async fn commit_next(&mut self) {
        let Some(front) = self.waiting.pop_front() else { return };
        if let Pending::Transaction(_) = front.pending {
            return self.commit_transaction(front).await;
        }
        let mut tokens = tokens_of(&front);
        let mut group = vec![front];
        let (most, half, enough) = (self.access.tuning.group, self.waiting.len() / 2, self.pace.enough());
        while group.len() < most && (group.len() <= half || enough.is_none_or(|enough| group.len() + tokens < enough)) {
            match self.waiting.front() {
                Some(next) if !matches!(next.pending, Pending::Transaction(_)) && tokens + tokens_of(next) <= GROUP_TOKENS => {
                    tokens += tokens_of(next);
                    group.extend(self.waiting.pop_front());
                }
                _ => break,
            }
        }
        let (rows, begun) = (group.len() + tokens, clock::instant());
        self.commit_group(group).await;
        self.pace.saw(rows, begun.elapsed());
    }

    async fn commit_transaction(&mut self, item: Item) {
        if let Err(error) = self.ready().await {
            return answer(item.done, Err(error));
        }
        let Item { entry, pending, done, .. } = item;
        let Pending::Transaction(mut transaction) = pending else { return };
        let now = self.clock.now();
        let (entries, receipts, next) = self.assemble(std::iter::once(&entry), now);
        if let Err(error) = in_time(append(&mut transaction, &self.head, &entries)).await.unwrap_or(Err(SILENT)) {
            drop(transaction);
            self.after_failure(&error).await;
            return answer(done, Err(error));
        }
        let committed = in_time(transaction.commit()).await;
        let committed =
            committed.map_or(Err(StoreError::OutcomeUnknown), |done| done.map_err(|error| StoreError::from(error).under_commit()));
        match committed {
            Ok(()) => {
                self.head = next;
                self.hand_over(&receipts);
                if let Some(receipt) = receipts.into_iter().next() {
                    answer(done, Ok(receipt));
                }
            }
            Err(error) => {
                self.connection = None;
                answer(done, Err(error));
            }
        }
    }

    async fn commit_group(&mut self, mut group: Vec<Item>) {
        if let Err(error) = self.ready().await {
            for item in group {
                answer(item.done, Err(again(&error)));
            }
            return;
        }
        let (mut tokens, counts) = gather(&mut group);
        let now = self.clock.now();
        let (entries, receipts, next) = self.assemble(group.iter().map(|item| &item.entry), now);
        let Some(connection) = self.connection.as_mut() else { return };
        let written = if tokens.is_empty() {
            in_time(connection.append(&self.head, &entries)).await
        } else {
            in_time(connection.append_with_tokens(&self.head, &entries, &tokens)).await
        };
        // One statement is one commit: silence under it says nothing of its outcome.
        let written = written.unwrap_or(Err(StoreError::OutcomeUnknown));
        match written {
            Ok(()) => {
                self.head = next;
                self.hand_over(&receipts);
                for (item, receipt) in group.into_iter().zip(receipts) {
                    answer(item.done, Ok(receipt));
                }
            }
            Err(StoreError::SubjectGone) => {
                hand_back(&mut group, &counts, &mut tokens);
                self.retry_apart(group).await;
            }
            Err(error) => {
                // One statement is one commit: a connection that dies under it leaves the outcome unknown.
                let error = error.under_commit();
                self.after_failure(&error).await;
                for item in group {
                    answer(item.done, Err(again(&error)));
                }
            }
        }
    }

    /// A subject of one of the requests is erased or being erased. Alone, each finds out whether it was the one; that one waits behind
    /// whatever is queued (the erasing transaction may be among it) and is tried a bounded number of times.
    async fn retry_apart(&mut self, group: Vec<Item>) {
        if group.len() > 1 {
            for item in group {
                Box::pin(self.commit_group(vec![item])).await;
            }
            return;
        }
        for mut item in group {
            item.tries += 1;
            if item.tries >= SUBJECT_TRIES {
                answer(item.done, Err(StoreError::SubjectGone));
            } else {
                if self.waiting.is_empty() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                self.waiting.push_back(item);
            }
        }
    }

    fn assemble<'a>(&self, items: impl Iterator<Item = &'a Prepared>, now: Timestamp) -> (NewEntries, Vec<Receipt>, Head) {
        let mut entries = NewEntries::default();
        let mut receipts = Vec::new();
        let mut head = self.head.clone();
        for entry in items {
            head.seq += 1;
            let body = entry.body(head.stream, head.seq, now);
            let leaf = chain::leaf(&body);
            let mac = chain::link(&self.key, head.stream, head.seq, &head.mac, &leaf);
            head.mac = mac.to_vec();
            let draft = &entry.draft;
            entries.time.push(now.to_date());
            entries.request.push(draft.request.as_uuid());
            entries.account.push(draft.account.clone());
            entries.action.push(draft.action.name().to_owned());
            entries.resource.push(draft.resource.clone());
            entries.decision.push(draft.decision.name().to_owned());
            entries.subject.push(draft.facts.subject.map(|hash| hash.to_vec()));
            entries.named.add(head.seq, &draft.facts.subjects);
            let changes: Vec<String> = draft.changes.iter().map(ToString::to_string).collect();
            entries.change.push((!changes.is_empty()).then(|| changes.join("\n")));
            entries.body.push(body);
            entries.mac.push(mac.to_vec());
            receipts.push(Receipt::new(head.stream, head.seq, leaf));
        }
        (entries, receipts, head)
    }

    /// Leaves for the tree, never waited for: what finds no room is read back from the database.
    fn hand_over(&self, receipts: &[Receipt]) {
        let Some((first, _)) = receipts.first().map(Receipt::leaf) else { return };
        let leaves = receipts.iter().map(|receipt| receipt.leaf().1).collect();
        drop(self.tree.try_send(Committed { first, leaves }));
    }

    /// Has a connection that holds the stream's lock, or makes one.
    async fn ready(&mut self) -> Result<(), StoreError> {
        if self.connection.is_some() {
            return Ok(());
        }
        let mut connection = self.access.writer().await?;
        let Some(head) = in_time(connection.claim(&self.node)).await.unwrap_or(Err(SILENT))? else {
            return Err(StoreError::Fork);
        };
        if head.seq < self.head.seq {
            // What was committed is gone: the database was set back while this node ran.
            tracing::error!(alarm = "ledger", stream = head.stream.0, "the stream is shorter than what this node has written");
            return Err(StoreError::Fork);
        }
        self.head = head;
        self.connection = Some(connection);
        Ok(())
    }

    async fn after_failure(&mut self, error: &StoreError) {
        match error {
            StoreError::Fork => {
                tracing::error!(alarm = "ledger", stream = self.head.stream.0, "the stream does not end where this node left it");
                self.connection = None;
            }
            StoreError::Conflict => {}
            _ => self.connection = None,
        }
    }
}

/// None where the database was silent for too long.
async fn in_time<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, work).await.ok()
}

fn tokens_of(item: &Item) -> usize {
    match &item.pending {
        Pending::Tokens(tokens) => tokens.len(),
        _ => 0,
    }
}

/// Moves the new tokens of all items into one list, in their order; says how many of it are each item's.
fn gather(group: &mut [Item]) -> (NewTokens, Vec<usize>) {
    let mut all = NewTokens::default();
    let counts = group.iter().map(tokens_of).collect();
    for item in group {
        if let Pending::Tokens(own) = &mut item.pending {
            all.append(own);
        }
    }
    (all, counts)
}

/// Gives each item its own again, so that it can be tried alone.
fn hand_back(group: &mut [Item], counts: &[usize], all: &mut NewTokens) {
    for (item, count) in group.iter_mut().zip(counts).rev() {
        if let Pending::Tokens(own) = &mut item.pending {
            *own = all.split_off(all.len().saturating_sub(*count));
        }
    }
}

/// The receiver is gone only when its task was stopped; the commit stands all the same.
fn answer(done: oneshot::Sender<Result<Receipt, StoreError>>, result: Result<Receipt, StoreError>) {
    drop(done.send(result));
}

/// The same error for each request of a group.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(what) => StoreError::Unavailable(what),
        StoreError::Conflict => StoreError::Conflict,
        StoreError::SubjectGone => StoreError::SubjectGone,
        StoreError::Fork => StoreError::Fork,
        StoreError::Refused(what) => StoreError::Refused(what),
        StoreError::OutcomeUnknown => StoreError::OutcomeUnknown,
        StoreError::Integrity(what) => StoreError::Integrity(what),
        StoreError::Defect(text) => StoreError::Defect(text.clone()),
    }
}
