//! Rotating the keyring: a new primary at once, and what is needed to move every wrapped key under it.
//!
//! Data is never encrypted anew: its key stays, only the wrapping of that key changes. What the keyring is stands in a control row;
//! whoever changes it locks that row first, so that of two rotations one sees the other.

use goldfin_crypto::{CryptoError, Keyring, MacKey, Place, WrappedKey};

use crate::model::clock::Timestamp;
use crate::model::fault::Fault;
use crate::store::Store;
use crate::store::control::{self, ControlKey, ControlKind, ControlRow, SERVER};
use crate::store::keyring::{self, KekRow};
use crate::store::rewrap::KeyName;
use crate::store::work::Work;

use super::barrier::{Barrier, fault};
use super::place::{KEYRING, KekPlace};
use super::shares::{KEYRING_ROW, KeyringState, Rotation, open_keyring};

impl Rotation {
    /// Keys that are still to be re-wrapped; at least 1 until it is finished, because writers may have added to them.
    #[must_use]
    pub fn remaining(&self) -> i64 {
        if self.finished.is_some() { 0 } else { self.total.unwrap_or(0).saturating_sub(self.done).max(1) }
    }

    /// Nothing is left to do but keys that are damaged: a new rotation need not wait for somebody to mend or delete them.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.finished.is_none() && self.damaged > 0
    }

    /// Keys per second so far.
    #[must_use]
    pub fn per_second(&self, now: Timestamp) -> i64 {
        let millis = self.finished.unwrap_or(now).since(self.started).as_millis();
        i64::try_from(millis).map_or(0, |millis| self.done.saturating_mul(1000).checked_div(millis).unwrap_or(0))
    }
}

/// The keyring's control row, read outside of any transaction.
pub async fn read_state(store: &Store, mac: &MacKey) -> Result<KeyringState, Fault> {
    parsed(control::load(store, mac, &row_key()).await?).map(|(state, _)| state)
}

/// The same, locked until the work's commit, with its version.
pub async fn lock_state(work: &mut Work, mac: &MacKey) -> Result<(KeyringState, i64), Fault> {
    parsed(control::lock(work, mac, &row_key()).await?)
}

/// Replaces the row that [`lock_state`] locked.
pub async fn put_state(work: &mut Work, mac: &MacKey, before: i64, state: &KeyringState) -> Result<(), Fault> {
    let body = serde_json::to_string(state).map_err(|_| Fault::Internal("keyring"))?;
    control::put(work, mac, &row_key(), before, &body).await?;
    Ok(())
}

/// Makes a new primary in the work's transaction; gives its number. Nothing is wrapped under it before the commit.
pub async fn rotate(work: &mut Work, barrier: &Barrier) -> Result<u32, Fault> {
    let mac = barrier.control();
    let (mut state, before) = lock_state(work, mac).await?;
    if let Some(rotation) = &state.rotation
        && rotation.finished.is_none()
        && !rotation.is_stalled()
    {
        return Err(Fault::invalid("a rotation is under way; wait until `sys/rotate/status` says that it is finished"));
    }
    // From the rows and not from memory: another node may have rotated a moment ago.
    let mut ring = open_keyring(barrier.root(), &state, &keyring::load_keks(work.store()).await?)?;
    let version = ring.rotate().map_err(fault)?;
    let wrapped = ring.export_version(version, barrier.root(), &KekPlace { version }).map_err(fault)?;
    let number = i32::try_from(version).map_err(|_| Fault::Internal("keyring"))?;
    let now = work.now();
    keyring::add_kek(work, &KekRow { version: number, wrapped_key: Some(wrapped.into_bytes()), created: now, retired: None }).await?;
    state.states.insert(state.primary, "deactivated".to_owned());
    state.states.insert(version, "active".to_owned());
    state.primary = version;
    state.rotation = Some(Rotation { to: version, started: now, done: 0, total: None, retired: None, damaged: 0, finished: None });
    put_state(work, mac, before, &state).await?;
    Ok(version)
}

/// What became of one wrapped key.
#[derive(Debug)]
pub enum Rewrapped {
    /// The bytes that take its place.
    Moved(Vec<u8>),
    /// It stands under the primary.
    Already,
    /// It is not what goldfin wrote at this place; it stays as it is.
    Damaged,
}

/// Moves one stored key under the primary, bound to the place where it was found.
pub fn rewrap<P: Place>(ring: &Keyring, place: &P, stored: Vec<u8>) -> Result<Rewrapped, Fault> {
    match WrappedKey::from_stored(stored).and_then(|wrapped| ring.rewrap(place, &wrapped)) {
        Ok(Some(moved)) => Ok(Rewrapped::Moved(moved.into_bytes())),
        Ok(None) => Ok(Rewrapped::Already),
        Err(CryptoError::Integrity | CryptoError::Malformed | CryptoError::UnknownKeyVersion | CryptoError::KeyDestroyed) => {
            Ok(Rewrapped::Damaged)
        }
        Err(other) => Err(fault(other)),
    }
}

/// How a version of the keyring is named in the headers of what it wraps.
#[must_use]
pub fn name_in_headers(version: u32) -> KeyName {
    (u64::from(KEYRING) << 32 | u64::from(version)).to_be_bytes()
}

fn row_key() -> ControlKey {
    ControlKey::new(ControlKind::Keyring, SERVER, KEYRING_ROW)
}

fn parsed(row: Option<ControlRow>) -> Result<(KeyringState, i64), Fault> {
    let row = row.ok_or(Fault::Integrity("the keyring's row is missing"))?;
    let state = serde_json::from_str(&row.body).map_err(|_| Fault::Integrity("the keyring's row cannot be read"))?;
    Ok((state, row.version))
}
