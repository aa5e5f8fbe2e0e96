//! The control rows in memory: one snapshot, replaced as a whole, that requests read without a lock.
//!
//! A row whose MAC fails, or that is older than what this process has seen of it, is not honoured: asking for it is an integrity error.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use goldfin_crypto::MacKey;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex as AsyncMutex;

use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::model::mount::Mount;

use super::Store;
use super::control::{self, ControlKey, ControlKind, ControlRow, SERVER};
use super::error::StoreError;

/// The current snapshot and what is needed to make the next.
#[derive(Debug)]
pub struct Directory {
    current: ArcSwap<Snapshot>,
    /// The newest version that was ever seen of each row: an older one that is put back is refused.
    newest: Mutex<HashMap<ControlKey, Newest>>,
    /// One reading at a time: one that was overtaken would put an older picture back, and take its rows for forged.
    reading: AsyncMutex<()>,
}

/// What was seen of a row, also after it is gone.
#[derive(Debug)]
struct Newest {
    version: i64,
    /// It was deleted: only a later version is a new row, the same one was put back.
    gone: bool,
}

#[derive(Debug, Default)]
pub struct Snapshot {
    rows: BTreeMap<ControlKey, Held>,
    /// Longest path first, so that the first that fits is the one.
    mounts: Vec<Arc<Mount>>,
}

#[derive(Debug)]
enum Held {
    Sound(Sound),
    /// Not written by goldfin, or put back.
    Refused,
}

#[derive(Debug)]
struct Sound {
    version: i64,
    body: String,
    typed: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Directory {
    /// Reads all rows and makes the first snapshot.
    pub async fn open(store: &Store, mac: &MacKey) -> Result<Self, StoreError> {
        let directory =
            Self { current: ArcSwap::from_pointee(Snapshot::default()), newest: Mutex::new(HashMap::new()), reading: AsyncMutex::new(()) };
        directory.reload(store, mac).await?;
        Ok(directory)
    }

    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Makes a new snapshot from the database.
    pub async fn reload(&self, store: &Store, mac: &MacKey) -> Result<(), StoreError> {
        let _reading = self.reading.lock().await;
        let loaded = control::load_all(store, mac).await?;
        let mut newest = self.newest.lock();
        let mut rows = BTreeMap::new();
        for row in loaded {
            match row {
                Ok(row) => {
                    let seen = newest.entry(row.key.clone()).or_insert(Newest { version: row.version, gone: false });
                    let held = if row.version < seen.version || (seen.gone && row.version == seen.version) {
                        tracing::error!(alarm = "integrity", kind = row.key.kind.name(), name = %row.key.name, "an older control row was put back; it is not honoured");
                        Held::Refused
                    } else {
                        *seen = Newest { version: row.version, gone: false };
                        Held::Sound(Sound { version: row.version, body: row.body, typed: OnceLock::new() })
                    };
                    rows.insert(row.key, held);
                }
                Err(key) => {
                    tracing::error!(alarm = "integrity", kind = key.kind.name(), name = %key.name, "a control row was not written by goldfin; it is not honoured");
                    rows.insert(key, Held::Refused);
                }
            }
        }
        for (_, seen) in newest.iter_mut().filter(|(key, _)| !rows.contains_key(*key)) {
            seen.gone = true;
        }
        drop(newest);
        let mut mounts: Vec<Arc<Mount>> = rows
            .iter()
            .filter(|(key, _)| key.kind == ControlKind::Mount)
            .filter_map(|(_, held)| match held {
                Held::Sound(sound) => serde_json::from_str(&sound.body).ok().map(Arc::new),
                Held::Refused => None,
            })
            .collect();
        mounts.sort_by(|a: &Arc<Mount>, b| b.path.len().cmp(&a.path.len()).then_with(|| a.path.cmp(&b.path)));
        self.current.store(Arc::new(Snapshot { rows, mounts }));
        Ok(())
    }
}

impl Snapshot {
    /// All mounts, longest path first.
    #[must_use]
    pub fn mounts(&self) -> &[Arc<Mount>] {
        &self.mounts
    }

    /// The mount at exactly this path.
    #[must_use]
    pub fn mount(&self, path: &str) -> Option<&Arc<Mount>> {
        self.mounts.iter().find(|mount| mount.path == path)
    }

    #[must_use]
    pub fn mount_by_id(&self, id: MountId) -> Option<&Arc<Mount>> {
        self.mounts.iter().find(|mount| mount.id == id)
    }

    /// A document by name, read into its type once and then shared. None: there is no such row.
    pub fn get<T: DeserializeOwned + Send + Sync + 'static>(
        &self,
        kind: ControlKind,
        mount: MountId,
        name: &str,
    ) -> Result<Option<Arc<T>>, Fault> {
        Ok(self.get_versioned(kind, mount, name)?.map(|(document, _)| document))
    }

    /// The same with the row's version, which a later write must name.
    pub fn get_versioned<T: DeserializeOwned + Send + Sync + 'static>(
        &self,
        kind: ControlKind,
        mount: MountId,
        name: &str,
    ) -> Result<Option<(Arc<T>, i64)>, Fault> {
        match self.rows.get(&ControlKey::new(kind, mount, name)) {
            None => Ok(None),
            Some(Held::Refused) => Err(Fault::Integrity("a control row is not honoured")),
            Some(Held::Sound(sound)) => sound.typed().map(|document| Some((document, sound.version))),
        }
    }

    /// A document as it is stored, for those who look into another engine's documents.
    pub fn body(&self, kind: ControlKind, mount: MountId, name: &str) -> Result<Option<&str>, Fault> {
        match self.rows.get(&ControlKey::new(kind, mount, name)) {
            None => Ok(None),
            Some(Held::Refused) => Err(Fault::Integrity("a control row is not honoured")),
            Some(Held::Sound(sound)) => Ok(Some(&sound.body)),
        }
    }

    /// The names of a kind below a mount, in byte order.
    pub fn names(&self, kind: ControlKind, mount: MountId) -> impl Iterator<Item = &str> {
        let from = ControlKey::new(kind, mount, "");
        self.rows.range(from..).take_while(move |(key, _)| key.kind == kind && key.mount == mount).map(|(key, _)| key.name.as_str())
    }

    /// The policies' names and bodies. An error when one of them is not honoured: then none of the set may be.
    pub fn policies(&self) -> Result<Vec<(&str, &str)>, Fault> {
        let from = ControlKey::new(ControlKind::Policy, SERVER, "");
        self.rows
            .range(from..)
            .take_while(|(key, _)| key.kind == ControlKind::Policy)
            .map(|(key, held)| match held {
                Held::Sound(sound) => Ok((key.name.as_str(), sound.body.as_str())),
                Held::Refused => Err(Fault::Integrity("a policy is not honoured")),
            })
            .collect()
    }
}

impl Sound {
    fn typed<T: DeserializeOwned + Send + Sync + 'static>(&self) -> Result<Arc<T>, Fault> {
        if let Some(known) = self.typed.get()
            && let Ok(document) = Arc::clone(known).downcast::<T>()
        {
            return Ok(document);
        }
        let document: Arc<T> = Arc::new(serde_json::from_str(&self.body).map_err(|_| Fault::Integrity("a control row cannot be read"))?);
        let _ = self.typed.set(Arc::clone(&document) as Arc<dyn Any + Send + Sync>);
        Ok(document)
    }
}

/// A row for the snapshot, or the name of one that failed its MAC.
pub(super) type Loaded = Result<ControlRow, ControlKey>;
