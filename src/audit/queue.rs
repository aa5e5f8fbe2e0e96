//! What waits for its commit, in the order of the chain.
//!
//! Whoever brings an entry links it, so that the writer finds bodies and MACs made and the database waits for it as little as possible.
//! Until the entries before are committed a link is a guess: when a commit fails, all links behind it are cut and made anew.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use goldfin_crypto::mac::MacKey;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::model::clock::{Clock, Timestamp};
use crate::store::error::StoreError;
use crate::store::ledger::Head;
use crate::store::work::Pending;

use super::chain;
use super::entry::Prepared;
use super::receipt::Receipt;

/// Requests that may wait for the writer before others are turned away.
const MOST: usize = 8192;

/// A request that waits for its commit.
pub(super) struct Item {
    pub entry: Prepared,
    pub pending: Pending,
    pub done: oneshot::Sender<Result<Receipt, StoreError>>,
    pub tries: u32,
    pub link: Option<Link>,
}

/// The place of an entry in the stream.
pub(super) struct Link {
    pub seq: i64,
    pub time: Timestamp,
    pub leaf: [u8; 32],
    pub mac: [u8; 32],
}

#[derive(Default)]
struct Waiting {
    items: VecDeque<Item>,
    /// Where the stream will end when all of these are committed. None: they are not linked.
    tip: Option<Head>,
    closed: bool,
}

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    bell: Notify,
    key: MacKey,
    clock: Clock,
}

/// Where entries come in. The queue is closed when it is gone.
pub(super) struct Entrance(Arc<Queue>);

impl Entrance {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self(queue)
    }

    /// False where too much waits, or nobody commits any more.
    pub(super) fn push(&self, item: Item) -> bool {
        self.0.push(item)
    }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entrance")
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Queue {
    pub(super) fn new(key: MacKey, clock: Clock) -> Self {
        Self { waiting: Mutex::default(), bell: Notify::new(), key, clock }
    }

    fn push(&self, item: Item) -> bool {
        {
            let mut waiting = self.waiting.lock();
            if waiting.closed || waiting.items.len() >= MOST {
                return false;
            }
            self.put(&mut waiting, item);
        }
        self.bell.notify_one();
        true
    }

    /// Behind everything else, whatever the queue holds.
    pub(super) fn push_again(&self, item: Item) {
        self.put(&mut self.waiting.lock(), item);
    }

    fn put(&self, waiting: &mut Waiting, mut item: Item) {
        if let Some(tip) = &mut waiting.tip {
            self.link(&mut item, tip);
        }
        waiting.items.push_back(item);
    }

    /// Waits until something waits. False: nothing will any more.
    pub(super) async fn filled(&self) -> bool {
        loop {
            {
                let waiting = self.waiting.lock();
                if !waiting.items.is_empty() {
                    return true;
                }
                if waiting.closed {
                    return false;
                }
            }
            self.bell.notified().await;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.lock().items.is_empty()
    }

    /// As many from the front as `count` says, linked behind `head`, where the stream ends.
    pub(super) fn take(&self, head: &Head, count: impl FnOnce(&VecDeque<Item>) -> usize) -> Vec<Item> {
        let mut waiting = self.waiting.lock();
        let Waiting { items, tip, .. } = &mut *waiting;
        if tip.is_none() {
            let tip = tip.insert(head.clone());
            for item in items.iter_mut() {
                self.link(item, tip);
            }
        }
        let count = count(items).min(items.len());
        items.drain(..count).collect()
    }

    /// Links one that waits no more behind `head`.
    pub(super) fn relink(&self, item: &mut Item, head: &Head) {
        self.link(item, &mut head.clone());
    }

    /// Undoes the links of all that wait: the stream does not end where they believe.
    pub(super) fn cut(&self) {
        self.waiting.lock().tip = None;
    }

    /// Nothing more is taken in.
    fn close(&self) {
        self.waiting.lock().closed = true;
        self.bell.notify_one();
    }

    /// Nobody commits any more: what waits learns it.
    pub(super) fn abandon(&self) {
        let abandoned = {
            let mut waiting = self.waiting.lock();
            waiting.closed = true;
            std::mem::take(&mut waiting.items)
        };
        drop(abandoned);
    }

    fn link(&self, item: &mut Item, tip: &mut Head) {
        let (seq, time) = (tip.seq + 1, self.clock.now());
        item.entry.place(tip.stream, seq, time);
        let leaf = chain::leaf(item.entry.body());
        let mac = chain::link(&self.key, tip.stream, seq, &tip.mac, &leaf);
        tip.go_on_to(seq, &mac);
        item.link = Some(Link { seq, time, leaf, mac });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::{Decision, Draft, EntryKind};
    use crate::model::action::Action;
    use crate::model::id::{RequestId, StreamId};

    const STREAM: StreamId = StreamId(7);

    fn key() -> MacKey {
        MacKey::new(goldfin_crypto::Key::from_exposed(zeroize::Zeroizing::new([7; 32])))
    }

    fn queue() -> Queue {
        Queue::new(key(), Clock::system())
    }

    fn head(seq: i64) -> Head {
        Head { stream: STREAM, seq, mac: vec![u8::try_from(seq).expect("small"); 32] }
    }

    fn item(account: &str) -> (Item, oneshot::Receiver<Result<Receipt, StoreError>>) {
        let now = Timestamp::from_unix_micros(1_000_000);
        let draft = Draft {
            kind: EntryKind::Request,
            request: RequestId::nil(),
            received: now,
            account: account.to_owned(),
            method: "token".to_owned(),
            accessor: None,
            peer: None,
            verb: "read",
            action: Action::ReadSecret,
            resource: "Secret:synthetic".to_owned(),
            path: None,
            decision: Decision::Granted,
            policies: Vec::new(),
            policy_set: None,
            denied_because: None,
            status: 200,
            facts: Box::default(),
            changes: Vec::new(),
        };
        let (done, told) = oneshot::channel();
        (Item { entry: Prepared::new(draft, now), pending: Pending::Nothing, done, tries: 0, link: None }, told)
    }

    /// The accounts of these, whose links must follow each other behind `head`.
    fn linked(items: &[Item], mut head: Head) -> Vec<String> {
        for item in items {
            let link = item.link.as_ref().expect("linked");
            head.seq += 1;
            assert_eq!(link.seq, head.seq);
            let place = format!("{{\"v\":1,\"stream\":7,\"seq\":{},\"time\":\"{}\",\"request_id\":", link.seq, link.time.to_rfc3339());
            assert!(item.entry.body().starts_with(&place), "{}", item.entry.body());
            assert_eq!(link.leaf, chain::leaf(item.entry.body()));
            head.mac = chain::link(&key(), STREAM, head.seq, &head.mac, &link.leaf).to_vec();
            assert_eq!(link.mac[..], head.mac[..]);
        }
        items.iter().map(|item| item.entry.account.clone()).collect()
    }

    #[test]
    fn what_waits_is_one_chain_however_it_is_taken() {
        let queue = queue();
        assert!(queue.push(item("a").0) && queue.push(item("b").0));
        let first = queue.take(&head(3), |waiting| waiting.len() - 1);
        assert_eq!(linked(&first, head(3)), ["a"]);
        assert!(queue.push(item("c").0) && queue.push(item("d").0));
        let link = first.into_iter().next_back().and_then(|item| item.link).expect("linked");
        let ends = Head { stream: STREAM, seq: link.seq, mac: link.mac.to_vec() };
        let second = queue.take(&ends, VecDeque::len);
        assert_eq!(linked(&second, ends), ["b", "c", "d"]);
        assert!(queue.take(&head(9), VecDeque::len).is_empty());
    }

    #[test]
    fn links_that_were_cut_are_made_anew_where_the_stream_ends() {
        let queue = queue();
        assert!(queue.push(item("lost").0));
        let lost = queue.take(&head(3), VecDeque::len);
        assert!(queue.push(item("a").0));
        queue.cut();
        assert!(queue.push(item("b").0));
        queue.push_again(lost.into_iter().next().expect("one"));
        assert_eq!(linked(&queue.take(&head(5), VecDeque::len), head(5)), ["a", "b", "lost"]);

        let mut alone = item("alone").0;
        queue.relink(&mut alone, &head(2));
        assert_eq!(linked(&[alone], head(2)), ["alone"]);
    }

    #[test]
    fn a_full_queue_and_a_closed_one_take_nothing_in() {
        let queue = queue();
        for _ in 0..MOST {
            assert!(queue.push(item("a").0));
        }
        assert!(!queue.push(item("b").0));
        queue.push_again(item("c").0);
        assert_eq!(queue.take(&head(0), VecDeque::len).len(), MOST + 1);
        queue.close();
        assert!(!queue.push(item("d").0));
    }

    #[tokio::test]
    async fn it_ends_when_it_is_closed_and_empty() {
        let queue = queue();
        assert!(queue.push(item("a").0));
        queue.close();
        assert!(queue.filled().await);
        drop(queue.take(&head(0), VecDeque::len));
        assert!(!queue.filled().await);
    }

    #[tokio::test]
    async fn who_waits_for_a_writer_that_is_gone_learns_it() {
        let queue = queue();
        let (item, told) = item("a");
        assert!(queue.push(item));
        queue.abandon();
        assert!(told.await.is_err());
        assert!(!queue.push(self::item("b").0));
    }
}
