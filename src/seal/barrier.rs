//! What is in memory only while unsealed: the keyring and the keys derived from the barrier key.
//!
//! Dropping the last handle zeroizes all of it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use goldfin_crypto::{CryptoError, DataKey, Key, Keyring, MacKey, Place, Plaintext, Purpose, SigningKey, WrappedKey};

use crate::model::fault::Fault;
use crate::model::id::{MountId, ROOT_NAMESPACE};

use super::erasures::Erased;

#[derive(Debug)]
pub struct Barrier {
    keyring: ArcSwap<Keyring>,
    /// Wraps the versions of the keyring.
    root: DataKey,
    control: Arc<MacKey>,
    lookup: Arc<MacKey>,
    subject: MacKey,
    replay: MacKey,
    erased: Erased,
    ledger: Key,
    checkpoint: Key,
    witness: Key,
}

fn derived(barrier: &Key, purpose: Purpose) -> Key {
    barrier.derive(purpose, &[&ROOT_NAMESPACE.to_be_bytes()])
}

/// The key of the control rows' MACs, needed before there is a barrier: one of those rows describes the keyring.
#[must_use]
pub fn control_key(barrier: &Key) -> MacKey {
    MacKey::new(derived(barrier, Purpose::ControlMac))
}

/// The key of the ledger's chain, for verifying a database without serving it.
#[must_use]
pub fn ledger_key(barrier: &Key) -> MacKey {
    MacKey::new(derived(barrier, Purpose::LedgerMac))
}

/// The key that signs the ledger's checkpoints, for verifying a database without serving it.
pub fn checkpoint_key(barrier: &Key) -> Result<SigningKey, CryptoError> {
    SigningKey::new(derived(barrier, Purpose::CheckpointKey))
}

impl Barrier {
    pub(super) fn new(root: DataKey, barrier: &Key, keyring: Keyring) -> Self {
        let derived = |purpose| derived(barrier, purpose);
        Self {
            keyring: ArcSwap::from_pointee(keyring),
            root,
            control: Arc::new(control_key(barrier)),
            lookup: Arc::new(MacKey::new(derived(Purpose::TokenLookup))),
            subject: MacKey::new(derived(Purpose::SubjectHash)),
            replay: MacKey::new(derived(Purpose::ReplayHash)),
            erased: Erased::default(),
            ledger: derived(Purpose::LedgerMac),
            checkpoint: derived(Purpose::CheckpointKey),
            witness: derived(Purpose::WitnessKey),
        }
    }

    /// Authenticates control rows and auth tokens.
    #[must_use]
    pub fn control(&self) -> &Arc<MacKey> {
        &self.control
    }

    /// Fingerprints auth tokens.
    #[must_use]
    pub fn lookup(&self) -> &Arc<MacKey> {
        &self.lookup
    }

    /// The key of the ledger's chain.
    #[must_use]
    pub fn ledger(&self) -> MacKey {
        MacKey::new(self.ledger.duplicate())
    }

    /// The key that signs the ledger's checkpoints.
    pub fn checkpoint(&self) -> Result<SigningKey, Fault> {
        SigningKey::new(self.checkpoint.duplicate()).map_err(fault)
    }

    /// The key that cosigns the checkpoints of other ledgers. Never that of our own: whoever trusts a witness trusts that alone.
    pub fn witness(&self) -> Result<SigningKey, Fault> {
        SigningKey::new(self.witness.duplicate()).map_err(fault)
    }

    /// A data subject as rows and entries name it: a keyed hash over the mount and the application's own identifier.
    #[must_use]
    pub fn subject_hash(&self, mount: MountId, subject: &Plaintext) -> [u8; 32] {
        self.subject.mac(&[&ROOT_NAMESPACE.to_be_bytes(), &mount.0.to_be_bytes(), subject.expose()])
    }

    /// Who was erased, whatever the database says.
    #[must_use]
    pub fn erased(&self) -> &Erased {
        &self.erased
    }

    /// A Kerberos authenticator as the replay table names it.
    #[must_use]
    pub fn replay_hash(&self, authenticator: &[u8; 32]) -> [u8; 32] {
        self.replay.mac(&[authenticator])
    }

    #[must_use]
    pub fn keyring(&self) -> Arc<Keyring> {
        self.keyring.load_full()
    }

    /// Puts another state of the keyring in force: after a rotation, here or on another node.
    pub fn replace_keyring(&self, keyring: Keyring) {
        self.keyring.store(Arc::new(keyring));
    }

    /// Wraps the versions of the keyring, and nothing else.
    #[must_use]
    pub fn root(&self) -> &DataKey {
        &self.root
    }

    /// Wraps a data key under the keyring's primary.
    pub fn wrap<P: Place>(&self, place: &P, key: &DataKey) -> Result<WrappedKey<P>, Fault> {
        self.keyring.load().wrap(place, key).map_err(fault)
    }

    pub fn unwrap_key<P: Place, S: AsRef<[u8]>>(&self, place: &P, wrapped: &WrappedKey<P, S>) -> Result<DataKey, Fault> {
        self.keyring.load().unwrap_key(place, wrapped).map_err(fault)
    }
}

/// What a failure of the strongroom means for a request.
#[must_use]
pub fn fault(error: CryptoError) -> Fault {
    match error {
        CryptoError::Integrity | CryptoError::Malformed | CryptoError::UnknownKeyVersion | CryptoError::NotText => {
            tracing::error!(alarm = "integrity", %error, "a stored ciphertext failed its integrity check");
            Fault::Integrity("a stored ciphertext is not what goldfin wrote at this place")
        }
        CryptoError::KeyDestroyed => Fault::Gone("the key of this value has been destroyed".into()),
        CryptoError::TooLarge => Fault::TooLarge("the value is too large"),
        CryptoError::Random => Fault::Unavailable("the system gives no randomness"),
        other => {
            tracing::error!(error = %other, "unexpected error of the strongroom");
            Fault::Internal("crypto")
        }
    }
}
