//! The rows of secrets that were read lately, as they stand in the database: ciphertext and wrapped keys, never plaintext or a key.
//!
//! A read that began before a [`Cache::forget`] cannot put its row back afterwards. Rows also age: even if no word of a change comes
//! through, none is answered from here a second after it was read; a little earlier one reader reads it again, and the others go on with
//! it. Where there is none, whoever comes while it is read waits for that reading.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::sync::Cache as Bounded;
use quick_cache::{Equivalent, Weighter};
use tokio::sync::watch;

use crate::model::clock::Timestamp;
use crate::model::freshness::{Freshness, Terms};
use crate::model::id::MountId;
use crate::store::kv::{SecretRow, VersionRow};

/// A secret's row and that of its current version.
#[derive(Debug)]
pub struct Rows {
    pub secret: SecretRow,
    pub version: Option<VersionRow>,
    freshness: Freshness,
}

impl Rows {
    /// `read` is when the read began.
    #[must_use]
    pub fn new(secret: SecretRow, version: Option<VersionRow>, read: Timestamp) -> Self {
        Self { secret, version, freshness: Freshness::of(read, TERMS) }
    }
}

pub struct Cache {
    rows: Bounded<Slot, Arc<Rows>, ByBytes>,
    /// How often something of a shard was forgotten; a row goes in only under the count that its read began with.
    forgotten: Vec<Mutex<u64>>,
    /// What is being read; its end is told to whoever waits.
    under_way: Mutex<HashMap<Slot, watch::Receiver<()>>>,
    hasher: RandomState,
}

/// A reading that others wait for, to its end, whatever that is.
#[derive(Debug)]
pub struct Reading<'a> {
    cache: &'a Cache,
    slot: Slot,
    _end: watch::Sender<()>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.cache.under_way.lock().remove(&self.slot);
    }
}

/// What a read must show to put its row in.
#[derive(Debug, Clone, Copy)]
pub struct Began {
    shard: usize,
    count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Slot {
    mount: MountId,
    path: Box<str>,
}

/// A slot to look for, so that a hit costs no allocation. Hashes as [`Slot`] does.
#[derive(Hash)]
struct Wanted<'a> {
    mount: MountId,
    path: &'a str,
}

#[derive(Debug, Clone)]
struct ByBytes;

/// A row is answered from here for a second at most: within it every node must know of a change.
const TERMS: Terms = Terms { due: Duration::from_millis(700), stale: Duration::from_secs(1), retry: Duration::from_millis(100) };

/// The room, in bytes of rows and what surrounds them.
const CAPACITY: u64 = 8 * 1024 * 1024;

/// For the first guess of the number of rows only.
const EXPECTED_ROWS: usize = 4096;

const SHARDS: usize = 256;

impl Cache {
    #[must_use]
    pub fn new() -> Self {
        Self {
            rows: Bounded::with_weighter(EXPECTED_ROWS, CAPACITY, ByBytes),
            forgotten: (0..SHARDS).map(|_| Mutex::new(0)).collect(),
            under_way: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// None also for the one reader who is to read again what is there.
    #[must_use]
    pub fn find(&self, mount: MountId, path: &str, now: Timestamp) -> Option<Arc<Rows>> {
        self.rows.get(&Wanted { mount, path }).filter(|rows| rows.freshness.may_be_used(now))
    }

    /// For whoever did not find a row: the first reads it, and holds on to this meanwhile. The others are told of the end of that, and then
    /// look again; who finds nothing even so reads by themselves.
    pub fn read_first(&self, mount: MountId, path: &str) -> Result<Reading<'_>, watch::Receiver<()>> {
        match self.under_way.lock().entry(Slot { mount, path: path.into() }) {
            Entry::Occupied(other) => Err(other.get().clone()),
            Entry::Vacant(free) => {
                let slot = free.key().clone();
                let (end, told) = watch::channel(());
                free.insert(told);
                Ok(Reading { cache: self, slot, _end: end })
            }
        }
    }

    /// Called before the rows are read from the database.
    #[must_use]
    pub fn begin(&self, mount: MountId, path: &str) -> Began {
        let shard = self.shard(mount, path);
        Began { shard, count: self.forgotten.get(shard).map_or(0, |count| *count.lock()) }
    }

    /// Keeps rows, unless something of their shard was forgotten since their read began.
    pub fn keep(&self, began: Began, mount: MountId, path: &str, rows: Arc<Rows>) {
        let Some(count) = self.forgotten.get(began.shard) else { return };
        // Held while the row goes in, so that no forgetting falls between the look and the insertion.
        let count = count.lock();
        if *count == began.count {
            self.rows.insert(Slot { mount, path: path.into() }, rows);
        }
    }

    pub fn forget(&self, mount: MountId, path: &str) {
        let Some(count) = self.forgotten.get(self.shard(mount, path)) else { return };
        let mut count = count.lock();
        *count = count.wrapping_add(1);
        self.rows.remove(&Wanted { mount, path });
    }

    pub fn forget_all(&self) {
        for count in &self.forgotten {
            let mut count = count.lock();
            *count = count.wrapping_add(1);
        }
        self.rows.clear();
    }

    fn shard(&self, mount: MountId, path: &str) -> usize {
        usize::try_from(self.hasher.hash_one(Wanted { mount, path }) % SHARDS as u64).unwrap_or(0)
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({} rows)", self.rows.len())
    }
}

impl Equivalent<Slot> for Wanted<'_> {
    fn equivalent(&self, slot: &Slot) -> bool {
        self.mount == slot.mount && self.path == &*slot.path
    }
}

impl Weighter<Slot, Arc<Rows>> for ByBytes {
    fn weight(&self, slot: &Slot, rows: &Arc<Rows>) -> u64 {
        /// Structs, counts and the cache's own places.
        const AROUND: usize = 320;
        let version = rows.version.as_ref().map_or(0, |row| row.wrapped_key.len() + row.value.len());
        (AROUND + slot.path.len() + rows.secret.wrapped_key.len() + rows.secret.body.len() + version) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNT: MountId = MountId(7);

    fn rows(revision: i64, read: i64) -> Arc<Rows> {
        let secret = SecretRow { current: 0, revision, wrapped_key: Vec::new(), body: vec![0; 100] };
        Arc::new(Rows::new(secret, None, Timestamp::from_unix_micros(read)))
    }

    fn revision(cache: &Cache, path: &str, now: i64) -> Option<i64> {
        cache.find(MOUNT, path, Timestamp::from_unix_micros(now)).map(|rows| rows.secret.revision)
    }

    #[test]
    fn keeps_what_was_read_for_a_second() {
        let cache = Cache::new();
        let began = cache.begin(MOUNT, "a/b");
        cache.keep(began, MOUNT, "a/b", rows(1, 0));
        assert_eq!(revision(&cache, "a/b", 699_999), Some(1));
        assert_eq!(revision(&cache, "a/b", 700_000), None, "this one reads it again");
        assert_eq!(revision(&cache, "a/b", 700_000), Some(1), "the others go on");
        assert_eq!(revision(&cache, "a/b", 1_000_000), None);
        assert!(cache.find(MountId(8), "a/b", Timestamp::from_unix_micros(0)).is_none());
    }

    #[test]
    fn a_read_that_began_before_cannot_put_its_row_back() {
        let cache = Cache::new();
        let (slow, other) = (cache.begin(MOUNT, "a"), cache.begin(MOUNT, "b"));
        cache.forget(MOUNT, "a");
        cache.keep(slow, MOUNT, "a", rows(1, 0));
        assert_eq!(revision(&cache, "a", 0), None);
        let began = cache.begin(MOUNT, "a");
        cache.keep(began, MOUNT, "a", rows(2, 0));
        assert_eq!(revision(&cache, "a", 0), Some(2));
        cache.forget(MOUNT, "a");
        assert_eq!(revision(&cache, "a", 0), None);
        let slow = cache.begin(MOUNT, "a");
        cache.forget_all();
        cache.keep(slow, MOUNT, "a", rows(3, 0));
        cache.keep(other, MOUNT, "b", rows(3, 0));
        assert_eq!((revision(&cache, "a", 0), revision(&cache, "b", 0)), (None, None));
    }

    #[tokio::test]
    async fn the_others_wait_for_the_first_reader_whatever_becomes_of_it() {
        let cache = Cache::new();
        let first = cache.read_first(MOUNT, "a").expect("nobody reads it");
        let mut told = cache.read_first(MOUNT, "a").expect_err("it is read already");
        assert!(cache.read_first(MOUNT, "b").is_ok() && cache.read_first(MountId(8), "a").is_ok());
        assert!(!told.has_changed().expect("it goes on"));
        drop(first);
        assert!(told.changed().await.is_err(), "the end");
        assert!(cache.read_first(MOUNT, "a").is_ok(), "the next one is first again");
        assert!(cache.under_way.lock().is_empty());
    }

    #[test]
    fn is_bounded() {
        let cache = Cache::new();
        for n in 0..40_000 {
            let path = format!("secret/{n}");
            let began = cache.begin(MOUNT, &path);
            cache.keep(began, MOUNT, &path, rows(n, 0));
        }
        assert!(cache.rows.weight() <= CAPACITY);
        assert!(cache.rows.len() > 1000);
    }
}
