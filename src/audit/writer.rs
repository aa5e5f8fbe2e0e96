//! The one writer of a stream, on a thread of its own, so that bulk work never sits in its run queue.
//!
//! It takes whatever waits (no timer: the commit in flight is the window), linked into the chain already, and commits the whole group in one
//! statement. A transaction that has read what it changes brings its connection; its entry is appended last in it, and the writer commits
//! it, so the order of the chain and of the commits is one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::model::clock;
use crate::store::connect::Access;
use crate::store::error::StoreError;
use crate::store::ledger::{Head, NewEntries, WriterConnection, append};
use crate::store::transform::NewTokens;
use crate::store::work::Pending;

use super::checkpointer::Committed;
use super::pace::Pace;
use super::queue::{Item, Link, Queue};
use super::receipt::Receipt;

/// The most new tokens that ride in a group with others; a larger batch is committed by itself.
const GROUP_TOKENS: usize = 4000;

/// How often a request is tried again whose subject is being erased at this moment.
const SUBJECT_TRIES: u32 = 50;

/// How long the database may be silent before the writer gives its connection up.
const PATIENCE: Duration = Duration::from_secs(10);

const SILENT: StoreError = StoreError::Unavailable("the database does not answer in time");

pub(super) struct Writer {
    access: Access,
    node: String,
    connection: Option<WriterConnection>,
    head: Head,
    queue: Arc<Queue>,
    pace: Pace,
    tree: mpsc::Sender<Committed>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

impl Writer {
    pub(super) fn new(
        access: Access,
        node: String,
        (connection, head): (WriterConnection, Head),
        queue: Arc<Queue>,
        tree: mpsc::Sender<Committed>,
    ) -> Self {
        Self { access, node, connection: Some(connection), head, queue, pace: Pace::default(), tree }
    }

    /// Runs until the queue is closed and nothing waits.
    pub(super) async fn run(mut self) {
        while self.queue.filled().await {
            self.commit_next().await;
        }
    }

    /// Commits what stands at the front: a transaction alone, or as many of the others as fit.
    async fn commit_next(&mut self) {
        let ready = self.ready().await;
        let (most, enough) = (self.access.tuning.group, self.pace.enough());
        let mut group = self.queue.take(&self.head, |waiting| fitting(waiting, most, enough));
        if let Err(error) = ready {
            return self.refuse(group, &error);
        }
        if matches!(group.as_slice(), [Item { pending: Pending::Transaction(_), .. }]) {
            if let Some(item) = group.pop() {
                self.commit_transaction(item).await;
            }
            return;
        }
        let begun = clock::instant();
        self.commit_group(group).await;
        self.pace.saw(begun.elapsed());
    }

    async fn commit_transaction(&mut self, mut item: Item) {
        let Pending::Transaction(mut transaction) = std::mem::replace(&mut item.pending, Pending::Nothing) else { return };
        let group = [item];
        let entries = columns(&group);
        if let Err(error) = in_time(append(&mut transaction, &self.head, &entries)).await.unwrap_or(Err(SILENT)) {
            drop(transaction);
            self.after_failure(&error);
            return self.refuse(group, &error);
        }
        let committed = in_time(transaction.commit()).await;
        let committed =
            committed.map_or(Err(StoreError::OutcomeUnknown), |done| done.map_err(|error| StoreError::from(error).under_commit()));
        match committed {
            Ok(()) => self.committed(group),
            Err(error) => {
                self.connection = None;
                self.refuse(group, &error);
            }
        }
    }

    async fn commit_group(&mut self, mut group: Vec<Item>) {
        let Some(connection) = self.connection.as_mut() else { return };
        let (mut tokens, counts) = gather(&mut group);
        let entries = columns(&group);
        let written = if tokens.is_empty() {
            in_time(connection.append(&self.head, &entries)).await
        } else {
            in_time(connection.append_with_tokens(&self.head, &entries, &tokens)).await
        };
        // One statement is one commit: silence under it says nothing of its outcome.
        match written.unwrap_or(Err(StoreError::OutcomeUnknown)) {
            Ok(()) => self.committed(group),
            Err(StoreError::SubjectGone) => {
                hand_back(&mut group, &counts, &mut tokens);
                self.queue.cut();
                self.retry_apart(group).await;
            }
            Err(error) => {
                // One statement is one commit: a connection that dies under it leaves the outcome unknown.
                let error = error.under_commit();
                self.after_failure(&error);
                self.refuse(group, &error);
            }
        }
    }

    /// A subject of one of the requests is erased or being erased. Alone, each finds out whether it was the one; that one waits behind
    /// whatever is queued (the erasing transaction may be among it) and is tried a bounded number of times.
    async fn retry_apart(&mut self, mut group: Vec<Item>) {
        if group.len() > 1 {
            for mut item in group {
                match self.ready().await {
                    Ok(()) => {
                        self.queue.relink(&mut item, &self.head);
                        Box::pin(self.commit_group(vec![item])).await;
                    }
                    Err(error) => self.refuse([item], &error),
                }
            }
            return;
        }
        let Some(mut item) = group.pop() else { return };
        item.tries += 1;
        if item.tries >= SUBJECT_TRIES {
            return self.refuse([item], &StoreError::SubjectGone);
        }
        if self.queue.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.queue.push_again(item);
    }

    /// Their entries stand: the stream ends with the last of them.
    fn committed(&mut self, group: impl IntoIterator<Item = Item>) {
        let (first, mut leaves) = (self.head.seq + 1, Vec::new());
        for item in group {
            let Some(Link { seq, leaf, mac, .. }) = item.link else { continue };
            self.head.go_on_to(seq, &mac);
            leaves.push(leaf);
            answer(item.done, Ok(Receipt::new(self.head.stream, seq, leaf)));
        }
        // Never waited for: what finds no room is read back from the database.
        drop(self.tree.try_send(Committed { first, leaves }));
    }

    /// Nothing of them stands, or nobody knows; so what waits is linked anew.
    fn refuse(&self, group: impl IntoIterator<Item = Item>, error: &StoreError) {
        self.queue.cut();
        for item in group {
            answer(item.done, Err(error.clone()));
        }
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

    fn after_failure(&mut self, error: &StoreError) {
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

/// How many from the front are committed together.
fn fitting(waiting: &VecDeque<Item>, most: usize, enough: Option<usize>) -> usize {
    let (half, mut count, mut tokens) = (waiting.len().saturating_sub(1) / 2, 0, 0);
    for item in waiting {
        if let Pending::Transaction(_) = item.pending {
            return count.max(1);
        }
        let another = count < most
            && tokens + tokens_of(item) <= GROUP_TOKENS
            && (count <= half || enough.is_none_or(|enough| count + tokens < enough));
        if count > 0 && !another {
            break;
        }
        (count, tokens) = (count + 1, tokens + tokens_of(item));
    }
    count
}

/// The entries of a group, column by column, as they are linked.
fn columns(group: &[Item]) -> NewEntries<'_> {
    let mut entries = NewEntries::default();
    for (Item { entry, .. }, link) in group.iter().filter_map(|item| Some((item, item.link.as_ref()?))) {
        entries.time.push(link.time.to_date());
        entries.request.push(entry.request.as_uuid());
        entries.account.push(&entry.account);
        entries.action.push(entry.action.name());
        entries.resource.push(&entry.resource);
        entries.decision.push(entry.decision.name());
        entries.subject.push(entry.subject.as_ref().map(<[u8; 32]>::as_slice));
        entries.named.add(link.seq, link.time, &entry.subjects);
        entries.change.push(entry.changes.as_deref());
        entries.body.push(entry.body());
        entries.mac.push(&link.mac);
    }
    entries
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
            **own = all.split_off(all.len().saturating_sub(*count));
        }
    }
}

/// The receiver is gone only when its task was stopped; the commit stands all the same.
fn answer(done: oneshot::Sender<Result<Receipt, StoreError>>, result: Result<Receipt, StoreError>) {
    drop(done.send(result));
}
