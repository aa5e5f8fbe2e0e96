//! A keyring: the versions of one key-encrypting key, one of them primary. States as in SP 800-57 part 1, 7.
//!
//! The header of what is unwrapped names the version; nothing is tried. The primary can be neither deactivated nor
//! destroyed, and destroyed is final.

use std::fmt;
use std::sync::Arc;

use crate::ciphertext::WrappedKey;
use crate::data_key::{DataKey, KeyId};
use crate::error::CryptoError;
use crate::key::Key;
use crate::locator::Place;

/// The state of a key version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// Wraps and unwraps.
    Active,
    /// Unwraps only.
    Deactivated,
    /// The key is gone; only its number is remembered.
    Destroyed,
}

/// One version of a keyring.
pub struct KekVersion {
    number: u32,
    state: KeyState,
    key: Option<Arc<DataKey>>,
}

impl KekVersion {
    /// A version whose key is gone.
    pub fn destroyed(number: u32) -> Self {
        Self { number, state: KeyState::Destroyed, key: None }
    }

    /// The version's number, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The version's state.
    pub fn state(&self) -> KeyState {
        self.state
    }

    /// Direct uses known to this process; 0 once destroyed.
    pub fn uses(&self) -> u64 {
        self.key.as_ref().map_or(0, |key| key.uses())
    }
}

impl fmt::Debug for KekVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KekVersion({}, {:?})", self.number, self.state)
    }
}

/// All versions of one key-encrypting key.
pub struct Keyring {
    id: u32,
    versions: Vec<KekVersion>,
    primary: Arc<DataKey>,
}

impl Keyring {
    /// A new keyring whose version 1 is primary. [`CryptoError::Random`].
    pub fn new(id: u32) -> Result<Self, CryptoError> {
        let primary = Arc::new(DataKey::generate(KeyId { id, version: 1 })?);
        Ok(Self { id, versions: vec![active(&primary)], primary })
    }

    /// Puts a keyring together from stored versions. [`CryptoError::UnknownKeyVersion`] if the primary is missing,
    /// [`CryptoError::PrimaryKey`] if it is not active, [`CryptoError::Malformed`] for version 0, a version twice,
    /// or a key of another ring.
    pub fn from_versions(id: u32, primary: u32, mut versions: Vec<KekVersion>) -> Result<Self, CryptoError> {
        versions.sort_by_key(KekVersion::number);
        let repeated = versions.windows(2).any(|pair| matches!(pair, [a, b] if a.number == b.number));
        let foreign = versions.iter().any(|version| {
            let named = KeyId { id, version: version.number };
            version.number == 0 || version.key.as_ref().is_some_and(|key| key.id() != named)
        });
        if repeated || foreign {
            return Err(CryptoError::Malformed);
        }
        let chosen = versions.iter().find(|version| version.number == primary).ok_or(CryptoError::UnknownKeyVersion)?;
        let primary = match (&chosen.state, &chosen.key) {
            (KeyState::Active, Some(key)) => Arc::clone(key),
            _ => return Err(CryptoError::PrimaryKey),
        };
        Ok(Self { id, versions, primary })
    }

    /// The keyring's number, as headers carry it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The number of the primary version.
    pub fn primary(&self) -> u32 {
        self.primary.id().version
    }

    /// The key of the primary version.
    pub fn primary_key(&self) -> &DataKey {
        &self.primary
    }

    /// All versions, ascending.
    pub fn versions(&self) -> &[KekVersion] {
        &self.versions
    }

    /// The key of a version, to unwrap or decrypt with.
    /// [`CryptoError::UnknownKeyVersion`], [`CryptoError::KeyDestroyed`].
    pub fn key(&self, version: u32) -> Result<&DataKey, CryptoError> {
        self.shared_key(version).map(Arc::as_ref)
    }

    /// Wraps a data key under the primary. [`CryptoError::KeyExhausted`], [`CryptoError::Random`].
    pub fn wrap<P: Place>(&self, place: &P, key: &DataKey) -> Result<WrappedKey<P>, CryptoError> {
        self.primary.wrap(place, key)
    }

    /// Wraps a key without a name under the primary. Errors as [`Keyring::wrap`].
    pub fn wrap_bare<P: Place>(&self, place: &P, key: &Key) -> Result<WrappedKey<P>, CryptoError> {
        self.primary.wrap_bare(place, key)
    }

    /// Unwraps a data key under the version that the header names.
    /// [`CryptoError::Integrity`], [`CryptoError::UnknownKeyVersion`], [`CryptoError::KeyDestroyed`].
    pub fn unwrap_key<P: Place, S: AsRef<[u8]>>(&self, place: &P, wrapped: &WrappedKey<P, S>) -> Result<DataKey, CryptoError> {
        self.named_in(wrapped)?.unwrap_key(place, wrapped)
    }

    /// Unwraps a key without a name. Errors as [`Keyring::unwrap_key`].
    pub fn unwrap_bare<P: Place, S: AsRef<[u8]>>(&self, place: &P, wrapped: &WrappedKey<P, S>) -> Result<Key, CryptoError> {
        self.named_in(wrapped)?.unwrap_bare(place, wrapped)
    }

    /// Moves a wrapped key, of either kind, under the primary; `None` if it already is. For re-wrapping in batches:
    /// what the key protects is not touched. Errors as [`Keyring::unwrap_key`] and [`Keyring::wrap`].
    pub fn rewrap<P: Place, S: AsRef<[u8]>>(&self, place: &P, wrapped: &WrappedKey<P, S>) -> Result<Option<WrappedKey<P>>, CryptoError> {
        let old = self.named_in(wrapped)?;
        if old.id() == self.primary.id() {
            return Ok(None);
        }
        old.rewrap_under(&self.primary, place, wrapped).map(Some)
    }

    /// Makes a new primary and deactivates the old one; answers the new number. [`CryptoError::Random`].
    pub fn rotate(&mut self) -> Result<u32, CryptoError> {
        let version = self.versions.last().map_or(0, KekVersion::number).checked_add(1).ok_or(CryptoError::KeyExhausted)?;
        let primary = Arc::new(DataKey::generate(KeyId { id: self.id, version })?);
        let old = self.primary();
        for version in &mut self.versions {
            if version.number == old {
                version.state = KeyState::Deactivated;
            }
        }
        self.versions.push(active(&primary));
        self.primary = primary;
        Ok(version)
    }

    /// Lets a version unwrap only. [`CryptoError::PrimaryKey`], [`CryptoError::UnknownKeyVersion`],
    /// [`CryptoError::KeyDestroyed`].
    pub fn deactivate(&mut self, version: u32) -> Result<(), CryptoError> {
        let found = self.not_primary(version)?;
        if found.state == KeyState::Destroyed {
            return Err(CryptoError::KeyDestroyed);
        }
        found.state = KeyState::Deactivated;
        Ok(())
    }

    /// Drops a version's key for good; doing so twice is no error. A [`Keyring::duplicate`] made before keeps it.
    /// [`CryptoError::PrimaryKey`], [`CryptoError::UnknownKeyVersion`].
    pub fn destroy(&mut self, version: u32) -> Result<(), CryptoError> {
        *self.not_primary(version)? = KekVersion::destroyed(version);
        Ok(())
    }

    /// Whether the primary has been used 0.9 x 2^32 times.
    pub fn must_rotate(&self) -> bool {
        self.primary.must_rotate()
    }

    /// Adds uses made elsewhere. Errors as [`Keyring::key`].
    pub fn add_uses(&self, version: u32, uses: u64) -> Result<(), CryptoError> {
        self.key(version).map(|key| key.add_uses(uses))
    }

    /// Wraps one version for storage. `wrapping` is the root key, or the primary of the ring above.
    /// Errors as [`Keyring::key`] and [`Keyring::wrap`].
    pub fn export_version<P: Place>(&self, version: u32, wrapping: &DataKey, place: &P) -> Result<WrappedKey<P>, CryptoError> {
        wrapping.wrap(place, self.key(version)?)
    }

    /// Unwraps a stored version. State and uses come from its row, which the control MAC protects.
    /// [`CryptoError::Integrity`] also if the key inside is named otherwise; [`CryptoError::KeyDestroyed`] if the
    /// row says so: use [`KekVersion::destroyed`] then.
    pub fn import_version<P: Place>(
        named: KeyId,
        state: KeyState,
        uses: u64,
        wrapping: &DataKey,
        place: &P,
        wrapped: &WrappedKey<P>,
    ) -> Result<KekVersion, CryptoError> {
        if state == KeyState::Destroyed {
            return Err(CryptoError::KeyDestroyed);
        }
        let key = wrapping.unwrap_key(place, wrapped)?;
        if key.id() != named {
            return Err(CryptoError::Integrity);
        }
        key.add_uses(uses);
        Ok(KekVersion { number: named.version, state, key: Some(Arc::new(key)) })
    }

    /// A second handle on the same keys and counts, to change while others still read this one.
    pub fn duplicate(&self) -> Self {
        let versions = self
            .versions
            .iter()
            .map(|version| KekVersion { number: version.number, state: version.state, key: version.key.clone() })
            .collect();
        Self { id: self.id, versions, primary: Arc::clone(&self.primary) }
    }

    fn named_in<P: Place, S: AsRef<[u8]>>(&self, wrapped: &WrappedKey<P, S>) -> Result<&DataKey, CryptoError> {
        if wrapped.key_id() != self.id {
            return Err(CryptoError::Integrity);
        }
        self.key(wrapped.key_version())
    }

    fn shared_key(&self, version: u32) -> Result<&Arc<DataKey>, CryptoError> {
        let found = self.versions.iter().find(|known| known.number == version).ok_or(CryptoError::UnknownKeyVersion)?;
        found.key.as_ref().ok_or(CryptoError::KeyDestroyed)
    }

    fn not_primary(&mut self, version: u32) -> Result<&mut KekVersion, CryptoError> {
        if version == self.primary() {
            return Err(CryptoError::PrimaryKey);
        }
        self.versions.iter_mut().find(|known| known.number == version).ok_or(CryptoError::UnknownKeyVersion)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({}, {:?})", self.id, self.versions)
    }
}

fn active(key: &Arc<DataKey>) -> KekVersion {
    KekVersion { number: key.id().version, state: KeyState::Active, key: Some(Arc::clone(key)) }
}
