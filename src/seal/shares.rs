//! Opening the seal: making the keys at `init`, and turning shares or a key file back into a [`Barrier`].
//!
//! A wrong share fails the whole attempt, resets the progress and does not say which it was.

use std::collections::BTreeMap;

use goldfin_crypto::{CryptoError, DataKey, KekVersion, Key, KeyId, KeyState, Keyring, Share, WrappedKey, shamir};
use serde::{Deserialize, Serialize};

use crate::model::clock::Timestamp;
use crate::model::fault::Fault;
use crate::store::keyring::{KekRow, SealRow};

use super::barrier::{Barrier, fault};
use super::place::{BarrierPlace, KEYRING, KekPlace, RootPlace, root_key_id, unseal_key_id};

/// The control row of kind `keyring`, name `kek`: what the rows of the versions do not say, under a MAC.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyringState {
    pub primary: u32,
    /// `active`, `deactivated` or `destroyed`, by version.
    pub states: BTreeMap<u32, String>,
    /// How far a rotation is, while one is under way.
    pub rotation: Option<Rotation>,
}

/// A re-wrapping under the primary, in batches that can be stopped and resumed at any place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rotation {
    pub to: u32,
    pub started: Timestamp,
    /// Keys re-wrapped so far.
    pub done: i64,
    /// Keys that were under another version when the re-wrapping began; None until they are counted.
    pub total: Option<i64>,
    /// Since when the database refuses new keys under older versions.
    #[serde(default)]
    pub retired: Option<Timestamp>,
    /// Keys that cannot be re-wrapped because they are not what goldfin wrote at their place.
    #[serde(default)]
    pub damaged: i64,
    pub finished: Option<Timestamp>,
}

/// The name of the keyring's control row.
pub const KEYRING_ROW: &str = "kek";

/// What `init` makes: rows to store, the barrier, and the unseal key that only the caller and the key file get.
pub struct Made {
    pub seal: SealRow,
    pub kek: KekRow,
    pub state: KeyringState,
    pub barrier: Barrier,
    pub unseal_key: Key,
    pub shares: Vec<Share>,
}

/// Makes all keys of a new vault.
pub fn make(shares: u8, threshold: u8, cluster_id: uuid::Uuid, now: Timestamp) -> Result<Made, CryptoError> {
    let (unseal_key, root_key, barrier_key) = (Key::generate()?, Key::generate()?, Key::generate()?);
    let split = shamir::split(&unseal_key, shares, threshold)?;
    let generation = 1;
    let wrapping = DataKey::from_key(unseal_key.duplicate(), unseal_key_id(generation));
    let wrapped_root = wrapping.wrap_bare(&RootPlace { generation }, &root_key)?.into_bytes();
    let root = DataKey::from_key(root_key, root_key_id());
    let wrapped_barrier = root.wrap_bare(&BarrierPlace, &barrier_key)?.into_bytes();
    let keyring = Keyring::new(KEYRING)?;
    let version = keyring.primary();
    let wrapped_kek = keyring.export_version(version, &root, &KekPlace { version })?.into_bytes();
    Ok(Made {
        seal: SealRow {
            generation: i32::try_from(generation).unwrap_or(1),
            shares: i16::from(shares),
            threshold: i16::from(threshold),
            wrapped_root,
            wrapped_barrier,
            cluster_id,
            cluster_name: format!("goldfin-{}", cluster_id.simple().to_string().get(..8).unwrap_or_default()),
        },
        kek: KekRow { version: i32::try_from(version).unwrap_or(1), wrapped_key: Some(wrapped_kek), created: now, retired: None },
        state: KeyringState { primary: version, states: BTreeMap::from([(version, "active".to_owned())]), rotation: None },
        barrier: Barrier::new(root, &barrier_key, keyring),
        unseal_key,
        shares: split,
    })
}

/// The shares that were given so far.
#[derive(Debug, Default)]
pub struct Progress {
    given: Vec<Share>,
    /// Names the attempt: changes when it is reset.
    pub nonce: String,
}

/// What a share led to.
#[derive(Debug)]
pub enum Step {
    /// More are needed.
    Waiting,
    /// Enough: the key that they make, right or wrong.
    Complete(Key),
}

impl Progress {
    #[must_use]
    pub fn count(&self) -> usize {
        self.given.len()
    }

    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Takes a share. The same share twice is not progress, and not an error: operators repeat themselves.
    pub fn give(&mut self, share: Share, threshold: usize, nonce: impl FnOnce() -> String) -> Result<Step, Fault> {
        if self.given.iter().any(|known| known.number() == share.number()) {
            let same = self.given.iter().any(|known| known.to_bytes() == share.to_bytes());
            if same {
                return Ok(Step::Waiting);
            }
            self.reset();
            return Err(wrong_shares());
        }
        if self.given.is_empty() {
            self.nonce = nonce();
        }
        self.given.push(share);
        if self.given.len() < threshold {
            return Ok(Step::Waiting);
        }
        let key = shamir::combine(&self.given);
        self.reset();
        key.map(Step::Complete).map_err(|_| wrong_shares())
    }
}

#[must_use]
pub fn wrong_shares() -> Fault {
    Fault::invalid("the shares do not open this seal; the attempt was reset, give all shares again")
}

/// The root key behind the seal's row.
pub fn open_root(seal: &SealRow, unseal_key: Key) -> Result<DataKey, Fault> {
    let generation = u32::try_from(seal.generation).map_err(|_| Fault::Integrity("the seal's row cannot be read"))?;
    let wrapping = DataKey::from_key(unseal_key, unseal_key_id(generation));
    let wrapped = WrappedKey::from_stored(seal.wrapped_root.clone()).map_err(fault)?;
    match wrapping.unwrap_bare(&RootPlace { generation }, &wrapped) {
        Ok(root) => Ok(DataKey::from_key(root, root_key_id())),
        Err(_) => Err(wrong_shares()),
    }
}

/// The barrier key behind the root key.
pub fn open_barrier_key(seal: &SealRow, root: &DataKey) -> Result<Key, Fault> {
    let wrapped = WrappedKey::from_stored(seal.wrapped_barrier.clone()).map_err(fault)?;
    root.unwrap_bare(&BarrierPlace, &wrapped).map_err(fault)
}

/// A barrier without keyring: enough to read control rows, which say what the keyring is.
pub fn open_barrier(root: DataKey, barrier_key: &Key, state: &KeyringState, rows: &[KekRow]) -> Result<Barrier, Fault> {
    let keyring = open_keyring(&root, state, rows)?;
    Ok(Barrier::new(root, barrier_key, keyring))
}

/// The keyring as the control row describes it, from the rows of its versions.
pub fn open_keyring(root: &DataKey, state: &KeyringState, rows: &[KekRow]) -> Result<Keyring, Fault> {
    let mut versions = Vec::new();
    for (version, word) in &state.states {
        let state = match word.as_str() {
            "active" => KeyState::Active,
            "deactivated" => KeyState::Deactivated,
            _ => KeyState::Destroyed,
        };
        let stored = rows.iter().find(|row| u32::try_from(row.version) == Ok(*version)).and_then(|row| row.wrapped_key.clone());
        match (state, stored) {
            (KeyState::Destroyed, _) => versions.push(KekVersion::destroyed(*version)),
            (_, None) => return Err(Fault::Integrity("a version of the keyring is missing")),
            (state, Some(wrapped)) => {
                let wrapped = WrappedKey::from_stored(wrapped).map_err(fault)?;
                let named = KeyId { id: KEYRING, version: *version };
                let place = KekPlace { version: *version };
                versions.push(Keyring::import_version(named, state, 0, root, &place, &wrapped).map_err(fault)?);
            }
        }
    }
    Keyring::from_versions(KEYRING, state.primary, versions).map_err(fault)
}
