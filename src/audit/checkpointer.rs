//! Grows the stream's tree behind the writer's back, on a thread of its own, and signs checkpoints of it.
//!
//! The writer hands over the leaves of what it has committed and never waits; what it could not hand over is read back from the database,
//! where only entries whose MACs hold are taken. What does not verify is never signed: the checkpointer raises an alarm and stops.

use std::time::Duration;

use goldfin_crypto::mac::MacKey;
use goldfin_ledger::SigningKey;
use goldfin_ledger::note::{Checkpoint, LogKey};
use goldfin_ledger::tile::{self, FullTile, HEIGHT, Tiles};
use goldfin_ledger::tree::root_of;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::model::clock;
use crate::model::id::StreamId;
use crate::store::connect::Access;
use crate::store::error::StoreError;
use crate::store::ledger::WriterConnection;
use crate::store::ledger_tree::{ChainedEntry, StoredCheckpoint};

use super::high_water::{HighWater, Mark};
use super::{archived, chain};

/// The longest that an entry has no checkpoint, and the shortest between two checkpoints of few entries.
const PERIOD: Duration = Duration::from_secs(10);

/// So many entries get a checkpoint at once.
const MANY: u64 = 1000;

/// The shortest between two writings of the high-water mark.
const MARK_PERIOD: Duration = Duration::from_millis(200);

/// How long committed groups are gathered: nobody waits for them, and waking up for each takes CPU from those who are waited for.
const GATHERING: Duration = Duration::from_millis(20);

/// How long to leave a database alone that failed.
const REST: Duration = Duration::from_secs(1);

/// How long the database may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Entries that are read back at a time.
const STRETCH: i64 = 1000;

/// Full tiles that are kept for the next checkpoint; more are stored before it.
const MANY_TILES: usize = 64;

/// Groups of entries that may wait; more are read back instead.
pub(super) const QUEUE: usize = 1024;

/// Leaves of entries that are committed, in order.
pub(super) struct Committed {
    pub first: i64,
    pub leaves: Vec<[u8; 32]>,
}

/// Why a turn did not get to its end.
enum Trouble {
    /// The database does not answer: tried again.
    Store(StoreError),
    /// What is stored is not what goldfin wrote.
    Tampered(i64, &'static str),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(super) struct Checkpointer {
    access: Access,
    stream: StreamId,
    mac: MacKey,
    key: SigningKey,
    log: LogKey,
    high_water: Option<HighWater>,
    connection: Option<WriterConnection>,
    /// None until it was taken up where the newest checkpoint left it.
    tree: Option<Tiles>,
    full: Vec<FullTile>,
    /// The newest leaf, for the mark.
    leaf: [u8; 32],
    /// Whether entries were committed whose leaves are not in the tree.
    behind: bool,
    /// The size of the newest checkpoint, and when the next one is due.
    signed: u64,
    due: Instant,
    marked: u64,
    mark_due: Instant,
    rest_until: Instant,
    /// What failed last time is said once.
    troubled: bool,
    unmarked: bool,
    stopped: bool,
}

impl Checkpointer {
    pub(super) fn new(access: Access, stream: StreamId, mac: MacKey, key: SigningKey, high_water: Option<HighWater>) -> Self {
        let now = clock::instant();
        let log = LogKey::new(key.verifying_key());
        Self {
            access,
            stream,
            mac,
            key,
            log,
            high_water,
            connection: None,
            tree: None,
            full: Vec::new(),
            leaf: [0; 32],
            behind: true,
            signed: 0,
            due: now,
            marked: 0,
            mark_due: now,
            rest_until: now,
            troubled: false,
            unmarked: false,
            stopped: false,
        }
    }

    /// Runs until the writer is gone, and signs what it left.
    pub(super) async fn run(mut self, mut committed: mpsc::Receiver<Committed>) {
        loop {
            self.turn(false).await;
            let Ok(group) = timeout(self.pause(), committed.recv()).await else { continue };
            let Some(group) = group else { break };
            self.take(group);
            tokio::time::sleep(GATHERING).await;
            while let Ok(group) = committed.try_recv() {
                self.take(group);
            }
        }
        // The writer may have dropped leaves at the very end: the database knows.
        self.behind = true;
        self.rest_until = clock::instant();
        self.turn(true).await;
    }

    fn size(&self) -> u64 {
        self.tree.as_ref().map_or(0, |tree| tree.edge().size())
    }

    /// Until when there is nothing to do unless something is committed.
    fn pause(&self) -> Duration {
        let now = clock::instant();
        let mut until = now + PERIOD;
        if self.stopped {
            return PERIOD;
        }
        if self.size() > self.signed {
            until = until.min(self.due);
        }
        if self.high_water.is_some() && self.size() > self.marked {
            until = until.min(self.mark_due);
        }
        if self.behind {
            until = now;
        }
        until.max(self.rest_until).saturating_duration_since(now)
    }

    fn take(&mut self, group: Committed) {
        let known = self.size();
        let (Some(tree), Ok(first)) = (self.tree.as_mut(), u64::try_from(group.first)) else {
            self.behind = true;
            return;
        };
        if self.behind || first > known + 1 {
            self.behind = true;
            return;
        }
        // What was read back already is not taken twice.
        let already = usize::try_from(known + 1 - first).unwrap_or(usize::MAX);
        for leaf in group.leaves.into_iter().skip(already) {
            tree.push(leaf, &mut self.full);
            self.leaf = leaf;
        }
    }

    async fn turn(&mut self, last: bool) {
        let now = clock::instant();
        if self.stopped || now < self.rest_until {
            return;
        }
        match self.work(now, last).await {
            Ok(()) => self.troubled = false,
            Err(Trouble::Store(error)) => {
                if !std::mem::replace(&mut self.troubled, true) {
                    tracing::warn!(?error, "no checkpoint can be made now, it is tried again");
                }
                self.connection = None;
                self.rest_until = clock::instant() + REST;
            }
            Err(Trouble::Tampered(seq, what)) => {
                tracing::error!(
                    alarm = "ledger",
                    stream = self.stream.0,
                    seq,
                    what,
                    "the ledger is not what goldfin wrote: no checkpoint is signed any more; run `goldfin audit verify`"
                );
                self.stopped = true;
            }
        }
    }

    async fn work(&mut self, now: Instant, last: bool) -> Result<(), Trouble> {
        if self.tree.is_none() {
            self.take_up().await?;
        }
        if self.behind {
            self.catch_up().await?;
        }
        let size = self.size();
        let signs = size > self.signed && (last || now >= self.due || size - self.signed >= MANY);
        if signs {
            self.sign().await?;
        }
        if size > self.marked && (last || signs || now >= self.mark_due) {
            self.mark(last || signs);
        }
        Ok(())
    }

    async fn sign(&mut self) -> Result<(), Trouble> {
        let Some(tree) = &self.tree else { return Ok(()) };
        let (size, root) = (tree.edge().size(), tree.edge().root());
        let checkpoint = Checkpoint { stream: self.stream.0, size, root };
        let note = checkpoint.sign(&self.key).map_err(|_| StoreError::Unavailable("the checkpoint cannot be signed"))?;
        let stored = StoredCheckpoint { size: i64::try_from(size).unwrap_or(i64::MAX), root: root.to_vec(), note };
        self.store(stored.size, Some(&stored)).await?;
        let now = clock::instant();
        if now >= self.due {
            // A log that is shipped elsewhere is a witness.
            tracing::info!(origin = %self.log.origin(self.stream.0), size, root = %goldfin_ledger::hex(&root), "checkpoint");
        }
        self.signed = size;
        self.due = now + PERIOD;
        Ok(())
    }

    fn mark(&mut self, durable: bool) {
        let Some(file) = &self.high_water else { return };
        let size = self.size();
        let Ok(seq) = i64::try_from(size) else { return };
        let mark = Mark { origin: self.log.origin(self.stream.0), seq, leaf: self.leaf };
        match file.write(&mark, durable) {
            Ok(()) => self.unmarked = false,
            Err(error) if !std::mem::replace(&mut self.unmarked, true) => {
                tracing::error!(alarm = "ledger", %error, "the high-water file cannot be written");
            }
            Err(_) => {}
        }
        self.marked = size;
        self.mark_due = clock::instant() + MARK_PERIOD;
    }

    async fn connection(&mut self) -> Result<&mut WriterConnection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let mut connection = self.access.writer().await?;
                in_time(connection.relax()).await?;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// Takes the tree up where the newest checkpoint left it, from tiles that its signed root vouches for; else from the first entry.
    async fn take_up(&mut self) -> Result<(), Trouble> {
        let stream = self.stream;
        let Some(newest) = in_time(self.connection().await?.newest_checkpoint(stream)).await? else {
            self.tree = Some(Tiles::default());
            return Ok(());
        };
        let forged = Trouble::Tampered(newest.size, "the newest checkpoint is not one that this ledger signed");
        let Ok(checkpoint) = Checkpoint::open(newest.note.as_bytes(), &self.log) else { return Err(forged) };
        if checkpoint.stream != stream.0 || i64::try_from(checkpoint.size) != Ok(newest.size) {
            return Err(forged);
        }
        let from_tiles = self.tree_of_tiles(checkpoint.size).await?.filter(|tree| tree.edge().root() == checkpoint.root);
        let tree = match from_tiles {
            Some(tree) => tree,
            None => {
                tracing::warn!(stream = stream.0, "the ledger's tiles do not lead to the newest checkpoint, the tree is made anew");
                self.tree = Some(Tiles::default());
                self.full.clear();
                let read = self.read_back(Some(checkpoint.size)).await;
                // Not left half made: it has to be compared with what was signed.
                let made = self.tree.take();
                read?;
                made.filter(|tree| tree.edge().root() == checkpoint.root).ok_or(forged)?
            }
        };
        self.tree = Some(tree);
        self.signed = checkpoint.size;
        Ok(())
    }

    async fn tree_of_tiles(&mut self, size: u64) -> Result<Option<Tiles>, Trouble> {
        let stream = self.stream;
        let mut levels = Vec::new();
        for (level, width) in (0_u32..).zip(tile::partial_widths(size)) {
            let first = (size >> (HEIGHT * level)) - width;
            let mut hashes = Vec::new();
            let connection = self.connection().await?;
            if width > 0 && level == 0 {
                let from = i64::try_from(first).unwrap_or(i64::MAX).saturating_add(1);
                let entries = in_time(connection.chained(stream, from, i64::try_from(width).unwrap_or(0))).await?;
                let pruned = entries.first().is_none_or(|first| first.seq > from);
                let archives = if pruned { in_time(connection.archives(stream)).await? } else { Vec::new() };
                hashes.extend(archived::leaves(&entries, &archives, first, width).unwrap_or_default());
            } else if width > 0 {
                for (_, bytes) in in_time(connection.tiles(stream, level - 1, first, width)).await? {
                    hashes.push(root_of(&tile::split(&bytes).unwrap_or_default()));
                }
            }
            levels.push(hashes);
        }
        Ok(Tiles::from_levels(size, levels))
    }

    async fn catch_up(&mut self) -> Result<(), Trouble> {
        self.read_back(None).await?;
        self.behind = false;
        Ok(())
    }

    /// Takes entries from the database into the tree, up to `end` or to the end of the stream.
    async fn read_back(&mut self, end: Option<u64>) -> Result<(), Trouble> {
        let stream = self.stream;
        let mut before: Option<Vec<u8>> = None;
        loop {
            let known = i64::try_from(self.size()).unwrap_or(i64::MAX);
            // The entry before comes along for its MAC.
            let from = if before.is_none() && known > 0 { known } else { known + 1 };
            let left = end.map_or(STRETCH, |end| i64::try_from(end).unwrap_or(i64::MAX).saturating_sub(known).min(STRETCH));
            if left <= 0 {
                return Ok(());
            }
            let read = in_time(self.connection().await?.chained(stream, from, left.saturating_add(known + 1 - from))).await?;
            let (mut read, mut first) = (read.into_iter(), None);
            if from == known {
                let mut next = read.next();
                if let Some(entry) = next.take_if(|entry| entry.seq == known) {
                    self.leaf = chain::leaf(&entry.body);
                    before = Some(entry.mac);
                } else {
                    before = Some(self.mac_of_pruned(known).await?);
                    first = next;
                }
            }
            let mut mac = before.take().unwrap_or_default();
            let mut count = 0;
            for entry in first.into_iter().chain(read) {
                mac = self.add(entry, &mac)?;
                count += 1;
            }
            before = Some(mac);
            self.put_tiles().await?;
            if count < left {
                return Ok(());
            }
        }
    }

    /// The MAC of the last entry of a stream whose entries were all pruned up to it.
    async fn mac_of_pruned(&mut self, seq: i64) -> Result<Vec<u8>, Trouble> {
        let stream = self.stream;
        let archives = in_time(self.connection().await?.archives(stream)).await?;
        let cut = archived::cut(&archives, &self.log).filter(|cut| cut.last == seq);
        let index = u64::try_from(seq).unwrap_or(0).saturating_sub(1);
        if let Some(leaf) = archived::leaves(&[], &archives, index, 1).and_then(|leaves| leaves.first().copied()) {
            self.leaf = leaf;
        }
        cut.map(|cut| cut.mac).ok_or(Trouble::Tampered(seq, "the entry is missing"))
    }

    /// A tree that is made anew has more tiles than memory should hold.
    async fn put_tiles(&mut self) -> Result<(), Trouble> {
        if self.full.len() < MANY_TILES {
            return Ok(());
        }
        let size = i64::try_from(self.size()).unwrap_or(i64::MAX);
        Ok(self.store(size, None).await?)
    }

    /// Stores the full tiles, and the checkpoint where there is one. Tiles that could not be stored are kept for the next time.
    async fn store(&mut self, size: i64, checkpoint: Option<&StoredCheckpoint>) -> Result<(), StoreError> {
        let (stream, full) = (self.stream, std::mem::take(&mut self.full));
        let written = match self.connection().await {
            Ok(connection) => in_time(connection.append_to_tree(stream, size, checkpoint, &full)).await,
            Err(error) => Err(error),
        };
        if written.is_err() {
            self.full = full;
        }
        written
    }

    fn add(&mut self, entry: ChainedEntry, before: &[u8]) -> Result<Vec<u8>, Trouble> {
        let seq = i64::try_from(self.size()).unwrap_or(i64::MAX).saturating_add(1);
        let leaf = chain::leaf(&entry.body);
        if entry.seq != seq {
            return Err(Trouble::Tampered(seq, "the entry is missing"));
        }
        if chain::link(&self.mac, self.stream, seq, before, &leaf)[..] != entry.mac[..] {
            return Err(Trouble::Tampered(seq, "the entry's MAC does not fit"));
        }
        if let Some(tree) = &mut self.tree {
            tree.push(leaf, &mut self.full);
        }
        self.leaf = leaf;
        Ok(entry.mac)
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(PATIENCE, work).await.unwrap_or(Err(StoreError::Unavailable("the database does not answer in time")))
}
