//! The rows of secrets that were read lately, as they stand in the database: ciphertext and wrapped keys, never plaintext or a key.
//!
//! A read that began before a [`Cache::forget`] cannot put its row back afterwards. Rows also age: even if no word of a change comes
//! through, none is answered from here a second after it was read.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::sync::Cache as Bounded;
use quick_cache::{Equivalent, Weighter};

use crate::model::clock::Timestamp;
use crate::model::id::MountId;
use crate::store::kv::{SecretRow, VersionRow};

/// A secret's row and that of its current version.
#[derive(Debug)]
pub struct Rows {
    pub secret: SecretRow,
    pub version: Option<VersionRow>,
    /// When the read began.
    pub read: Timestamp,
}

pub struct Cache {
    rows: Bounded<Slot, Arc<Rows>, ByBytes>,
    /// How often something of a shard was forgotten; a row goes in only under the count that its read began with.
    forgotten: Vec<Mutex<u64>>,
    hasher: RandomState,
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

/// How long a row is answered from here, at most: the second within which every node must know of a change.
const LIFETIME: Duration = Duration::from_secs(1);

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
            hasher: RandomState::new(),
        }
    }

    #[must_use]
    pub fn find(&self, mount: MountId, path: &str, now: Timestamp) -> Option<Arc<Rows>> {
        self.rows.get(&Wanted { mount, path }).filter(|rows| now.since(rows.read) < LIFETIME)
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
        Arc::new(Rows { secret, version: None, read: Timestamp::from_unix_micros(read) })
    }

    fn revision(cache: &Cache, path: &str, now: i64) -> Option<i64> {
        cache.find(MOUNT, path, Timestamp::from_unix_micros(now)).map(|rows| rows.secret.revision)
    }

    #[test]
    fn keeps_what_was_read_for_a_second() {
        let cache = Cache::new();
        let began = cache.begin(MOUNT, "a/b");
        cache.keep(began, MOUNT, "a/b", rows(1, 0));
        assert_eq!(revision(&cache, "a/b", 999_999), Some(1));
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
