//! Encrypted data and wrapped keys, typed by the place they live in. Safe to store; useless anywhere else.

use std::fmt;
use std::marker::PhantomData;

use crate::data_key::KeyId;
use crate::digest;
use crate::envelope::{self, Algorithm};
use crate::error::CryptoError;
use crate::locator::Place;

/// Encrypted data for one place, owned or borrowed. 38 bytes longer than the plaintext.
pub struct Ciphertext<P: Place, S = Vec<u8>> {
    stored: S,
    key: KeyId,
    place: PhantomData<fn() -> P>,
}

impl<P: Place, S: AsRef<[u8]>> Ciphertext<P, S> {
    /// Takes bytes from the database and checks the header only.
    /// [`CryptoError::Malformed`] if they are no envelope of data.
    pub fn from_stored(stored: S) -> Result<Self, CryptoError> {
        let parsed = envelope::parse(stored.as_ref())?;
        if parsed.algorithm != Algorithm::Data {
            return Err(CryptoError::Malformed);
        }
        let key = parsed.key;
        Ok(Self { stored, key, place: PhantomData })
    }

    /// The stored form.
    pub fn as_bytes(&self) -> &[u8] {
        self.stored.as_ref()
    }

    /// The id of the key, as the header names it. Not yet authenticated.
    pub fn key_id(&self) -> u32 {
        self.key.id
    }

    /// The version of the key, as the header names it. Not yet authenticated.
    pub fn key_version(&self) -> u32 {
        self.key.version
    }

    /// SHA-256 of the stored form, for ledger entries.
    pub fn digest(&self) -> [u8; 32] {
        digest::sha256(&[self.stored.as_ref()])
    }
}

impl<P: Place> Ciphertext<P> {
    pub(crate) fn written(stored: Vec<u8>, key: KeyId) -> Self {
        Self { stored, key, place: PhantomData }
    }

    /// The stored form, given away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.stored
    }
}

impl<P: Place, S> fmt::Debug for Ciphertext<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ciphertext({}.{})", P::TABLE, P::COLUMN)
    }
}

/// A wrapped key for one place, owned or borrowed: 78 bytes with its name (data keys, KEK versions), 70 without.
pub struct WrappedKey<P: Place, S = Vec<u8>> {
    stored: S,
    key: KeyId,
    place: PhantomData<fn() -> P>,
}

impl<P: Place, S: AsRef<[u8]>> WrappedKey<P, S> {
    /// Takes bytes from the database and checks header and length only.
    /// [`CryptoError::Malformed`] if they are no wrapped key.
    pub fn from_stored(stored: S) -> Result<Self, CryptoError> {
        let parsed = envelope::parse(stored.as_ref())?;
        match (parsed.algorithm, parsed.body_bytes()) {
            (Algorithm::NamedKey, NAMED_BYTES) | (Algorithm::BareKey, BARE_BYTES) => {}
            _ => return Err(CryptoError::Malformed),
        }
        let key = parsed.key;
        Ok(Self { stored, key, place: PhantomData })
    }

    /// The stored form.
    pub fn as_bytes(&self) -> &[u8] {
        self.stored.as_ref()
    }

    /// The id of the wrapping key, as the header names it. Not yet authenticated.
    pub fn key_id(&self) -> u32 {
        self.key.id
    }

    /// The version of the wrapping key, as the header names it. Not yet authenticated.
    pub fn key_version(&self) -> u32 {
        self.key.version
    }

    /// SHA-256 of the stored form, for ledger entries.
    pub fn digest(&self) -> [u8; 32] {
        digest::sha256(&[self.stored.as_ref()])
    }
}

impl<P: Place> WrappedKey<P> {
    pub(crate) fn written(stored: Vec<u8>, key: KeyId) -> Self {
        Self { stored, key, place: PhantomData }
    }

    /// The stored form, given away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.stored
    }
}

impl<P: Place, S> fmt::Debug for WrappedKey<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({}.{})", P::TABLE, P::COLUMN)
    }
}

/// Id, version, key.
pub(crate) const NAMED_BYTES: usize = 40;
/// The key alone.
pub(crate) const BARE_BYTES: usize = 32;
