//! A key that encrypts: data at a place, or other keys (a KEK version is a data key that a keyring guards).
//!
//! It never accepts a nonce and never tries: the header must name this very key, or the answer is an integrity error.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use aes_gcm::KeyInit;
use zeroize::Zeroizing;

use crate::ciphertext::{Ciphertext, NAMED_BYTES, WrappedKey};
use crate::envelope::{self, Algorithm, Cipher};
use crate::error::CryptoError;
use crate::key::{Key, Purpose};
use crate::locator::Place;
use crate::mac::MacKey;
use crate::plaintext::Plaintext;
use crate::token::TokenSecret;

/// The name of a key in headers: which one, and which version of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId {
    /// The keyring's or data key's number.
    pub id: u32,
    /// The version, from 1.
    pub version: u32,
}

/// An AES-256-GCM key with its name, its schedule, and a count of its direct uses.
pub struct DataKey {
    key: Key,
    id: KeyId,
    cipher: Box<Cipher>,
    uses: AtomicU64,
    messages: OnceLock<Box<MacKey>>,
}

/// The largest value that is encrypted in one piece: 64 MiB.
pub const MAX_PLAINTEXT_BYTES: usize = 64 << 20;
/// Random 96-bit nonces allow 2^32 messages under one key (SP 800-38D, 8.3).
pub const MAX_USES: u64 = 1 << 32;
/// 0.9 x 2^32 uses: time for a new version.
pub const ROTATE_USES: u64 = MAX_USES / 10 * 9;

impl DataKey {
    /// A new key from the operating system's generator. [`CryptoError::Random`] if it gives nothing.
    pub fn generate(id: KeyId) -> Result<Self, CryptoError> {
        Ok(Self::from_key(Key::generate()?, id))
    }

    /// Gives a name to a key that was unwrapped, combined from shares, or derived.
    pub fn from_key(key: Key, id: KeyId) -> Self {
        let cipher = Box::new(Cipher::new(key.expose_bytes().into()));
        Self { key, id, cipher, uses: AtomicU64::new(0), messages: OnceLock::new() }
    }

    /// The name that headers carry.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Encrypts for `place` under a fresh random nonce.
    /// [`CryptoError::TooLarge`], [`CryptoError::KeyExhausted`], [`CryptoError::Random`].
    pub fn encrypt<P: Place>(&self, place: &P, value: &Plaintext) -> Result<Ciphertext<P>, CryptoError> {
        if value.len() > MAX_PLAINTEXT_BYTES {
            return Err(CryptoError::TooLarge);
        }
        self.count_use()?;
        let stored = envelope::encrypt(&self.cipher, self.id, Algorithm::Data, place, value.expose())?;
        Ok(Ciphertext::written(stored, self.id))
    }

    /// Decrypts what stands at `place`. [`CryptoError::Integrity`] if it was changed, belongs elsewhere, is of
    /// another version, or is under another key.
    pub fn decrypt<P: Place, S: AsRef<[u8]>>(&self, place: &P, stored: &Ciphertext<P, S>) -> Result<Plaintext, CryptoError> {
        self.open(place, Algorithm::Data, stored.as_bytes()).map(Plaintext::from_zeroizing)
    }

    /// Wraps another data key, name included, for `place`.
    pub fn wrap<P: Place>(&self, place: &P, key: &DataKey) -> Result<WrappedKey<P>, CryptoError> {
        let mut named = Zeroizing::new(Vec::with_capacity(NAMED_BYTES));
        named.extend_from_slice(&key.id.id.to_be_bytes());
        named.extend_from_slice(&key.id.version.to_be_bytes());
        named.extend_from_slice(key.key.expose_bytes());
        self.wrap_bytes(place, Algorithm::NamedKey, &named)
    }

    /// Unwraps a data key, name included. Errors as [`DataKey::decrypt`].
    pub fn unwrap_key<P: Place, S: AsRef<[u8]>>(&self, place: &P, wrapped: &WrappedKey<P, S>) -> Result<DataKey, CryptoError> {
        let named = self.open(place, Algorithm::NamedKey, wrapped.as_bytes())?;
        let (id, version, key) = split_named(&named).ok_or(CryptoError::Malformed)?;
        Ok(DataKey::from_key(key, KeyId { id, version }))
    }

    /// Wraps a key that has no name, such as a blind index key, for `place`.
    pub fn wrap_bare<P: Place>(&self, place: &P, key: &Key) -> Result<WrappedKey<P>, CryptoError> {
        self.wrap_bytes(place, Algorithm::BareKey, key.expose_bytes())
    }

    /// Unwraps a key that has no name. Errors as [`DataKey::decrypt`].
    pub fn unwrap_bare<P: Place, S: AsRef<[u8]>>(&self, place: &P, wrapped: &WrappedKey<P, S>) -> Result<Key, CryptoError> {
        let bytes = self.open(place, Algorithm::BareKey, wrapped.as_bytes())?;
        bare(&bytes).ok_or(CryptoError::Malformed)
    }

    /// A key for another purpose; see [`Key::derive`].
    pub fn derive(&self, purpose: Purpose, context: &[&[u8]]) -> Key {
        self.key.derive(purpose, context)
    }

    /// The key for the one message that `secret` belongs to, under the same name:
    /// HMAC-SHA256(derive([`Purpose::TokenMessage`]), secret ‖ 0x01), that is HKDF-Expand (RFC 5869, 2.3) with the
    /// secret as info. The keyed state is kept, so a key costs two blocks of SHA-256 and one AES schedule.
    pub fn message_key(&self, secret: &TokenSecret) -> DataKey {
        let state = self.messages.get_or_init(|| Box::new(MacKey::new(self.key.derive(Purpose::TokenMessage, &[]))));
        let bytes = Zeroizing::new(state.mac_raw(&[secret.expose(), &[1]]));
        DataKey::from_key(Key::from_exposed(bytes), self.id)
    }

    /// How often this key itself has encrypted or wrapped; message keys do not count.
    pub fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// Adds uses made elsewhere: by other nodes, or before a restart.
    pub fn add_uses(&self, uses: u64) {
        let _ = self.uses.try_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(now.saturating_add(uses)));
    }

    /// Whether 0.9 x 2^32 uses are reached.
    pub fn must_rotate(&self) -> bool {
        self.uses() >= ROTATE_USES
    }

    /// Unwraps here and wraps under `other`, at the same place and with the same content.
    pub(crate) fn rewrap_under<P: Place, S: AsRef<[u8]>>(
        &self,
        other: &DataKey,
        place: &P,
        wrapped: &WrappedKey<P, S>,
    ) -> Result<WrappedKey<P>, CryptoError> {
        let algorithm = envelope::parse(wrapped.as_bytes())?.algorithm;
        let bytes = self.open(place, algorithm, wrapped.as_bytes())?;
        other.wrap_bytes(place, algorithm, &bytes)
    }

    fn count_use(&self) -> Result<(), CryptoError> {
        self.uses
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |used| (used < MAX_USES).then(|| used + 1))
            .map(|_| ())
            .map_err(|_| CryptoError::KeyExhausted)
    }

    fn wrap_bytes<P: Place>(&self, place: &P, algorithm: Algorithm, bytes: &[u8]) -> Result<WrappedKey<P>, CryptoError> {
        self.count_use()?;
        let stored = envelope::encrypt(&self.cipher, self.id, algorithm, place, bytes)?;
        Ok(WrappedKey::written(stored, self.id))
    }

    fn open<P: Place>(&self, place: &P, algorithm: Algorithm, stored: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let parsed = envelope::parse(stored)?;
        if parsed.key != self.id || parsed.algorithm != algorithm {
            return Err(CryptoError::Integrity);
        }
        envelope::decrypt(&self.cipher, place, &parsed)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

fn split_named(bytes: &[u8]) -> Option<(u32, u32, Key)> {
    let (id, rest) = bytes.split_first_chunk()?;
    let (version, key) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*id), u32::from_be_bytes(*version), bare(key)?))
}

fn bare(bytes: &[u8]) -> Option<Key> {
    let mut key = Zeroizing::new([0; 32]);
    if bytes.len() != key.len() {
        return None;
    }
    key.copy_from_slice(bytes);
    Some(Key::from_exposed(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locator::RowId;
    use crate::random::tests::without_randomness;

    struct Here;

    impl Place for Here {
        const TABLE: &'static str = "here";
        const COLUMN: &'static str = "value";
        fn namespace(&self) -> i32 {
            1
        }
        fn row(&self, row: &mut RowId) {
            row.number(1);
        }
        fn version(&self) -> u64 {
            1
        }
    }

    const ID: KeyId = KeyId { id: 1, version: 1 };

    #[test]
    fn no_randomness_no_ciphertext() {
        let key = DataKey::generate(ID).unwrap();
        let error = without_randomness(|| {
            let value = Plaintext::from_text("synthetic".into());
            key.encrypt(&Here, &value).map(|_| ())
        });
        assert_eq!(error, Err(CryptoError::Random));
        let error = without_randomness(|| DataKey::generate(ID).map(|_| ()));
        assert_eq!(error, Err(CryptoError::Random));
    }

    #[test]
    fn uses_are_counted_and_end() {
        let key = DataKey::generate(ID).unwrap();
        let value = Plaintext::from_text("synthetic".into());
        let stored = key.encrypt(&Here, &value).unwrap();
        key.wrap(&Here, &DataKey::generate(ID).unwrap()).unwrap();
        let message = key.message_key(&TokenSecret::generate().unwrap());
        message.encrypt(&Here, &value).unwrap();
        assert_eq!(key.uses(), 2);

        key.add_uses(ROTATE_USES - 3);
        assert!(!key.must_rotate());
        key.encrypt(&Here, &value).unwrap();
        assert!(key.must_rotate());

        key.add_uses(MAX_USES - ROTATE_USES - 1);
        key.encrypt(&Here, &value).unwrap();
        for _ in 0..3 {
            let refused = key.encrypt(&Here, &value).map(|_| ());
            assert_eq!(refused, Err(CryptoError::KeyExhausted));
        }
        assert_eq!(key.uses(), MAX_USES);
        assert!(key.decrypt(&Here, &stored).is_ok());

        key.add_uses(u64::MAX);
        assert_eq!(key.uses(), u64::MAX);
        let refused = key.encrypt(&Here, &value).map(|_| ());
        assert_eq!(refused, Err(CryptoError::KeyExhausted));
    }

    #[test]
    fn a_value_beyond_the_limit_is_refused() {
        let key = DataKey::generate(ID).unwrap();
        let value = Plaintext::new(vec![0; MAX_PLAINTEXT_BYTES + 1]);
        let refused = key.encrypt(&Here, &value).map(|_| ());
        assert_eq!(refused, Err(CryptoError::TooLarge));
    }

    #[test]
    fn data_never_passes_for_a_key() {
        let key = DataKey::generate(ID).unwrap();
        let value = Plaintext::new(vec![7; 40]);
        let data = key.encrypt(&Here, &value).unwrap();
        let refused = WrappedKey::<Here>::from_stored(data.as_bytes().to_vec()).map(|_| ());
        assert_eq!(refused, Err(CryptoError::Malformed));
        let mut relabelled = data.into_bytes();
        relabelled[1] = Algorithm::NamedKey as u8;
        let relabelled = WrappedKey::from_stored(relabelled).unwrap();
        let refused = key.unwrap_key(&Here, &relabelled).map(|_| ());
        assert_eq!(refused, Err(CryptoError::Integrity));

        let bare = key.wrap_bare(&Here, &Key::generate().unwrap()).unwrap();
        let refused = key.unwrap_key(&Here, &bare).map(|_| ());
        assert_eq!(refused, Err(CryptoError::Integrity));
        let refused = Ciphertext::<Here>::from_stored(bare.into_bytes()).map(|_| ());
        assert_eq!(refused, Err(CryptoError::Malformed));
    }
}
