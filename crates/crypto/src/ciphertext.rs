//! Encrypted data and wrapped keys, typed by the place they live in. Safe to store; useless anywhere else.

use std::fmt;
use std::marker::PhantomData;

use crate::data_key::KeyId;
use crate::digest;
use crate::envelope::{self, Algorithm};
use crate::error::CryptoError;
use crate::locator::Place;

/// Encrypted data for one place. 38 bytes longer than the plaintext.
pub struct Ciphertext<P: Place> {
    stored: Vec<u8>,
    key: KeyId,
    place: PhantomData<fn() -> P>,
}

impl<P: Place> Ciphertext<P> {
    /// Takes bytes from the database and checks the header only.
    /// [`CryptoError::Malformed`] if they are no envelope of data.
    pub fn from_stored(stored: Vec<u8>) -> Result<Self, CryptoError> {
        let parsed = envelope::parse(&stored)?;
        if parsed.algorithm != Algorithm::Data {
            return Err(CryptoError::Malformed);
        }
        let key = parsed.key;
        Ok(Self::written(stored, key))
    }

    pub(crate) fn written(stored: Vec<u8>, key: KeyId) -> Self {
        Self { stored, key, place: PhantomData }
    }

    /// The stored form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.stored
    }

    /// The stored form, given away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.stored
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
        digest::sha256(&[&self.stored])
    }
}

impl<P: Place> fmt::Debug for Ciphertext<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ciphertext({}.{})", P::TABLE, P::COLUMN)
    }
}

/// A wrapped key for one place: 78 bytes with its name (data keys, KEK versions), 70 without.
pub struct WrappedKey<P: Place> {
    stored: Vec<u8>,
    key: KeyId,
    place: PhantomData<fn() -> P>,
}

impl<P: Place> WrappedKey<P> {
    /// Takes bytes from the database and checks header and length only.
    /// [`CryptoError::Malformed`] if they are no wrapped key.
    pub fn from_stored(stored: Vec<u8>) -> Result<Self, CryptoError> {
        let parsed = envelope::parse(&stored)?;
        match (parsed.algorithm, parsed.body_bytes()) {
            (Algorithm::NamedKey, NAMED_BYTES) | (Algorithm::BareKey, BARE_BYTES) => {}
            _ => return Err(CryptoError::Malformed),
        }
        let key = parsed.key;
        Ok(Self::written(stored, key))
    }

    pub(crate) fn written(stored: Vec<u8>, key: KeyId) -> Self {
        Self { stored, key, place: PhantomData }
    }

    /// The stored form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.stored
    }

    /// The stored form, given away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.stored
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
        digest::sha256(&[&self.stored])
    }
}

impl<P: Place> fmt::Debug for WrappedKey<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({}.{})", P::TABLE, P::COLUMN)
    }
}

/// Id, version, key.
pub(crate) const NAMED_BYTES: usize = 40;
/// The key alone.
pub(crate) const BARE_BYTES: usize = 32;
