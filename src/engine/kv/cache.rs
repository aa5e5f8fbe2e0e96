//! Secrets that were read lately. Values are kept as they stand in the database, as ciphertext and wrapped keys; nothing here is a key or
//! what somebody wrote. What goldfin itself notes of a secret's versions is kept as it was found, so that a read does not decrypt it anew.
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

use goldfin_crypto::Plaintext;
use goldfin_crypto::digest::sha256;
use parking_lot::Mutex;
use quick_cache::sync::Cache as Bounded;
use quick_cache::{Equivalent, Weighter};
use tokio::sync::watch;

use crate::model::clock::Timestamp;
use crate::model::freshness::{Freshness, Terms};
use crate::model::id::MountId;
use crate::store::kv::{SecretRow, VersionRow};

use super::shape;
use super::versions::Versions;

/// A secret and its current version, as they were read and found to be sound.
#[derive(Debug)]
pub struct Rows {
    pub document: Document,
    pub value: Option<Value>,
    freshness: Freshness,
}

impl Rows {
    /// `read` is when the read began.
    #[must_use]
    pub fn new(document: Document, value: Option<Value>, read: Timestamp) -> Self {
        Self { document, value, freshness: Freshness::of(read, TERMS) }
    }
}

/// The document of a secret.
#[derive(Debug)]
pub enum Document {
    /// Numbers, times and hashes, nothing else; and how answers show the current version.
    Open { versions: Versions, shown: Option<Plaintext> },
    /// One with custom metadata stays encrypted: those are its owner's words.
    Encrypted(SecretRow),
}

impl Document {
    /// `versions` is what was found in `row`.
    #[must_use]
    pub fn new(row: SecretRow, versions: Versions) -> Self {
        if !versions.custom_metadata.is_empty() {
            return Self::Encrypted(row);
        }
        let current = versions.versions.get(&versions.current);
        let shown = current.map(|current| shape::version(&versions, versions.current, current).to_plaintext());
        Self::Open { versions, shown }
    }

    /// How answers show the version of this number, where that is known.
    #[must_use]
    pub fn shown(&self, number: i64) -> Option<&Plaintext> {
        match self {
            Self::Open { versions, shown } if versions.current == number => shown.as_ref(),
            _ => None,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Open { versions, .. } => versions.versions.len() * VERSION_BYTES,
            Self::Encrypted(row) => row.wrapped_key.len() + row.body.len(),
        }
    }
}

/// The row of a version with the hash of its ciphertext.
#[derive(Debug)]
pub struct Value {
    pub row: VersionRow,
    pub digest: [u8; 32],
}

impl Value {
    #[must_use]
    pub fn new(row: VersionRow) -> Self {
        Self { digest: sha256(&[&row.value]), row }
    }

    fn size(&self) -> usize {
        self.row.wrapped_key.len() + self.row.value.len()
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

/// What a version takes in an open document: its place in the tree, and its hash in hexadecimal.
const VERSION_BYTES: usize = 192;

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
        const AROUND: usize = 640;
        (AROUND + slot.path.len() + rows.document.size() + rows.value.as_ref().map_or(0, Value::size)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::*;

    const MOUNT: MountId = MountId(7);

    fn row(revision: i64) -> SecretRow {
        SecretRow { current: 0, revision, wrapped_key: Vec::new(), body: vec![0; 100] }
    }

    fn rows(revision: i64, read: i64) -> Arc<Rows> {
        Arc::new(Rows::new(Document::Encrypted(row(revision)), None, Timestamp::from_unix_micros(read)))
    }

    fn revision(cache: &Cache, path: &str, now: i64) -> Option<i64> {
        let rows = cache.find(MOUNT, path, Timestamp::from_unix_micros(now))?;
        if let Document::Encrypted(row) = &rows.document { Some(row.revision) } else { None }
    }

    #[test]
    fn the_words_of_a_secrets_owner_stay_encrypted() {
        let mut versions = Versions::new(Timestamp::from_unix_micros(0));
        versions.add(Timestamp::from_unix_micros(0), &Settings::default(), String::new());
        let open = Document::new(row(1), versions.clone());
        assert!(open.shown(1).is_some_and(|text| text.len() > 100) && open.shown(2).is_none());
        assert!(matches!(open, Document::Open { versions: kept, .. } if kept == versions));
        versions.custom_metadata.insert("owner".to_owned(), "synthetic".to_owned());
        let encrypted = Document::new(row(1), versions);
        assert!(encrypted.shown(1).is_none());
        assert!(matches!(encrypted, Document::Encrypted(kept) if kept.revision == 1));
    }

    #[test]
    fn many_versions_weigh_more_than_few() {
        let weight = |count: usize| {
            let mut versions = Versions::new(Timestamp::from_unix_micros(0));
            for _ in 0..count {
                versions.add(Timestamp::from_unix_micros(0), &Settings { max_versions: 10_000, ..Settings::default() }, "0".repeat(64));
            }
            let rows = Arc::new(Rows::new(Document::new(row(1), versions), None, Timestamp::from_unix_micros(0)));
            ByBytes.weight(&Slot { mount: MOUNT, path: "a".into() }, &rows)
        };
        assert!(weight(10_000) - weight(1) > 9_999 * 150);
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
