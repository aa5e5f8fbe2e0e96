//! The control rows in memory: one snapshot, replaced as a whole, that requests read without a lock.
//!
//! A row is honoured as the manifest lists it. One whose MAC fails, that was put back or taken away is an integrity error for whoever
//! asks for it; so is one that is not listed, which belongs to no set.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use goldfin_crypto::MacKey;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex as AsyncMutex;

use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::model::mount::Mount;

use super::Store;
use super::control::{self, ControlKey, ControlKind, ControlRow, SERVER};
use super::error::StoreError;
use super::manifest::{self, Manifest};
use super::quotas::Quotas;

/// The current snapshot and what is needed to make the next.
#[derive(Debug)]
pub struct Directory {
    current: ArcSwap<Snapshot>,
    /// The newest version of the manifest that the ledger names or this process has seen: an older one was put back.
    newest: AtomicI64,
    /// One reading at a time: one that was overtaken would put an older picture back, and take its rows for forged.
    reading: AsyncMutex<()>,
}

#[derive(Debug, Default)]
pub struct Snapshot {
    rows: BTreeMap<ControlKey, Held>,
    /// Longest path first, so that the first that fits is the one.
    mounts: Vec<Arc<Mount>>,
    quotas: OnceLock<Quotas>,
}

#[derive(Debug)]
enum Held {
    Sound(Sound),
    /// Listed, and not what goldfin wrote.
    Refused,
    /// Not listed: nobody at goldfin wrote it, or it was deleted.
    Planted,
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
        let newest = AtomicI64::new(manifest::newest_in_ledger(store).await?);
        let directory = Self { current: ArcSwap::from_pointee(Snapshot::default()), newest, reading: AsyncMutex::new(()) };
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
        let mut loaded: BTreeMap<ControlKey, Option<ControlRow>> = control::load_all(store, mac)
            .await?
            .into_iter()
            .map(|row| row.map_or_else(|key| (key, None), |row| (row.key.clone(), Some(row))))
            .collect();
        let manifest = self.manifest(loaded.remove(&manifest::key()).flatten())?;
        let mut rows = BTreeMap::new();
        for (key, version) in manifest.rows() {
            let held = match loaded.remove(&key).flatten() {
                Some(row) if row.version == version => Held::Sound(Sound { version, body: row.body, typed: OnceLock::new() }),
                _ => {
                    alarm(&key, "a control row was edited, put back or taken away; it is not honoured");
                    Held::Refused
                }
            };
            rows.insert(key, held);
        }
        for (key, row) in loaded {
            let held = match row {
                // Not listed by design.
                Some(row) if !manifest::lists(key.kind) => {
                    Held::Sound(Sound { version: row.version, body: row.body, typed: OnceLock::new() })
                }
                None if !manifest::lists(key.kind) => Held::Refused,
                _ => Held::Planted,
            };
            if !matches!(held, Held::Sound(_)) {
                alarm(&key, "a control row was not written by goldfin; it is not honoured");
            }
            rows.insert(key, held);
        }
        let mut mounts: Vec<Arc<Mount>> = rows
            .iter()
            .filter(|(key, _)| key.kind == ControlKind::Mount)
            .filter_map(|(_, held)| match held {
                Held::Sound(sound) => serde_json::from_str(&sound.body).ok().map(Arc::new),
                Held::Refused | Held::Planted => None,
            })
            .collect();
        mounts.sort_by(|a: &Arc<Mount>, b| b.path.len().cmp(&a.path.len()).then_with(|| a.path.cmp(&b.path)));
        self.current.store(Arc::new(Snapshot { rows, mounts, quotas: OnceLock::new() }));
        Ok(())
    }

    fn manifest(&self, row: Option<ControlRow>) -> Result<Manifest, StoreError> {
        let refused = |what| {
            alarm(&manifest::key(), what);
            Err(StoreError::Integrity(what))
        };
        let Some(row) = row else { return refused("the manifest of the control rows was edited or taken away; the rows are not honoured") };
        if row.version < self.newest.fetch_max(row.version, Ordering::SeqCst) {
            return refused("the manifest of the control rows is older than the ledger says; the rows are not honoured");
        }
        Manifest::read(&row.body)
    }
}

fn alarm(key: &ControlKey, what: &str) {
    tracing::error!(alarm = "integrity", kind = key.kind.name(), name = %key.name, "{what}");
}

#[cfg(test)]
impl Directory {
    /// Mounts and nothing else, without a database.
    pub(crate) fn of_test(mounts: Vec<Mount>) -> Self {
        let mut mounts: Vec<Arc<Mount>> = mounts.into_iter().map(Arc::new).collect();
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.path.len()));
        let snapshot = Snapshot { rows: BTreeMap::new(), mounts, quotas: OnceLock::new() };
        Self { current: ArcSwap::from_pointee(snapshot), newest: AtomicI64::new(0), reading: AsyncMutex::new(()) }
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
            Some(Held::Refused | Held::Planted) => Err(Fault::Integrity("a control row is not honoured")),
            Some(Held::Sound(sound)) => sound.typed().map(|document| Some((document, sound.version))),
        }
    }

    /// A document as it is stored, for those who look into another engine's documents.
    pub fn body(&self, kind: ControlKind, mount: MountId, name: &str) -> Result<Option<&str>, Fault> {
        match self.rows.get(&ControlKey::new(kind, mount, name)) {
            None => Ok(None),
            Some(Held::Refused | Held::Planted) => Err(Fault::Integrity("a control row is not honoured")),
            Some(Held::Sound(sound)) => Ok(Some(&sound.body)),
        }
    }

    /// The names of a kind below a mount, in byte order.
    pub fn names(&self, kind: ControlKind, mount: MountId) -> impl Iterator<Item = &str> {
        let from = ControlKey::new(kind, mount, "");
        self.rows
            .range(from..)
            .take_while(move |(key, _)| key.kind == kind && key.mount == mount)
            .filter(|(_, held)| !matches!(held, Held::Planted))
            .map(|(key, _)| key.name.as_str())
    }

    /// The quotas, by whom they bind.
    pub fn quotas(&self) -> &Quotas {
        self.quotas.get_or_init(|| Quotas::of(self))
    }

    /// The policies' names and bodies. An error when one of them is not honoured: then none of the set may be.
    pub fn policies(&self) -> Result<Vec<(&str, &str)>, Fault> {
        let from = ControlKey::new(ControlKind::Policy, SERVER, "");
        self.rows
            .range(from..)
            .take_while(|(key, _)| key.kind == ControlKind::Policy)
            .filter_map(|(key, held)| match held {
                Held::Sound(sound) => Some(Ok((key.name.as_str(), sound.body.as_str()))),
                Held::Refused => Some(Err(Fault::Integrity("a policy is not honoured"))),
                Held::Planted => None,
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
