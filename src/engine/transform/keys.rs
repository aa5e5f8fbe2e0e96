//! The keys of transformations in memory, unwrapped, and the ids of new tokens.
//!
//! The keys of data subjects are deliberately not kept: an erasure on another node must not leave one behind here.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use goldfin_crypto::{Convergent, DataKey, MacKey, Purpose, TokenFormat, WrappedKey};
use parking_lot::{Mutex, RwLock};

use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::seal::barrier::{Barrier, fault};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::transform::{self, BLOCK, TransformKeyRow};

use super::config::Transformation;
use super::form::settings::Kind;
use super::form::shape::ShapeKeys;
use super::place::{TransformKeyPlace, transform_key_id};

/// Transformations whose keys are held at the same time; beyond it all are forgotten and read anew.
const HELD: usize = 1024;

/// The unwrapped keys of one transformation, zeroized on drop.
#[derive(Debug)]
pub struct TransformationKeys {
    pub format: TokenFormat,
    /// Where the transformation makes shaped tokens.
    pub shape: Option<ShapeKeys>,
    /// Where the transformation is convergent: what makes the tokens of values without a subject. From the key that never changes, so
    /// that equality survives rotations.
    pub convergent: Option<Convergent>,
    /// Names tokens in entries, where the transformation asks for it.
    pub audit: MacKey,
    /// Authenticates the values of a snapshot.
    pub snapshot: MacKey,
    pub(super) versions: Vec<(u32, DataKey)>,
}

impl TransformationKeys {
    #[must_use]
    pub fn version(&self, version: u32) -> Option<&DataKey> {
        self.versions.iter().find(|(known, _)| *known == version).map(|(_, key)| key)
    }
}

/// The format of the tokens of a transformation, from the key that never changes.
pub fn format(prefix: &str, base: &DataKey) -> Result<TokenFormat, goldfin_crypto::CryptoError> {
    TokenFormat::new(prefix, &base.derive(Purpose::TokenPermutation, &[]), &base.derive(Purpose::TokenChecksum, &[]))
}

/// Makes and wraps a version of a transformation's key.
pub fn new_key(barrier: &Barrier, place: &TransformKeyPlace<'_>) -> Result<(DataKey, TransformKeyRow), Fault> {
    let key = DataKey::generate(transform_key_id(place.number, place.version)).map_err(fault)?;
    let wrapped_key = barrier.wrap(place, &key)?.into_bytes();
    let version = i32::try_from(place.version).map_err(|_| Fault::Internal("key version"))?;
    Ok((key, TransformKeyRow { transformation: place.transformation.to_owned(), version, wrapped_key }))
}

/// The keys of the transformations that are in use.
#[derive(Debug, Default)]
pub struct KeyCache {
    held: RwLock<HashMap<(MountId, i32), Arc<TransformationKeys>>>,
}

impl KeyCache {
    /// The keys of a transformation, with its latest version. `needed`: a version that a ciphertext names.
    pub async fn keys(
        &self,
        store: &Store,
        barrier: &Barrier,
        mount: MountId,
        name: &str,
        transformation: &Transformation,
    ) -> Result<Arc<TransformationKeys>, Fault> {
        let id = (mount, transformation.number);
        if let Some(keys) = self.held.read().get(&id)
            && keys.version(transformation.latest_version).is_some()
        {
            return Ok(Arc::clone(keys));
        }
        let rows = Box::pin(transform::keys(store, mount.0, name)).await?;
        let keys = Arc::new(unwrap(barrier, mount, name, transformation, rows)?);
        let mut held = self.held.write();
        if held.len() >= HELD {
            held.clear();
        }
        held.insert(id, Arc::clone(&keys));
        Ok(keys)
    }

    pub fn forget_all(&self) {
        self.held.write().clear();
    }
}

fn unwrap(
    barrier: &Barrier,
    mount: MountId,
    name: &str,
    transformation: &Transformation,
    rows: Vec<TransformKeyRow>,
) -> Result<TransformationKeys, Fault> {
    if rows.is_empty() {
        // Deleted on another node, whose change has not arrived here.
        return Err(Fault::conflict("the transformation changed at the same moment, try again"));
    }
    let number = transformation.number;
    let mut versions = Vec::with_capacity(rows.len());
    let mut base = None;
    for row in rows {
        let version = u32::try_from(row.version).map_err(|_| Fault::Integrity("a key version cannot be"))?;
        let place = TransformKeyPlace { mount, transformation: name, number, version };
        let key = barrier.unwrap_key(&place, &WrappedKey::from_stored(row.wrapped_key).map_err(fault)?)?;
        if key.id() != transform_key_id(number, version) {
            return Err(fault(goldfin_crypto::CryptoError::Integrity));
        }
        if version == 0 { base = Some(key) } else { versions.push((version, key)) }
    }
    let base = base.ok_or(Fault::Integrity("the key of a transformation is missing"))?;
    if !versions.iter().any(|(version, _)| *version == transformation.latest_version) {
        return Err(Fault::conflict("the transformation's key changed at the same moment, try again"));
    }
    let convergent = transformation.convergent.then(|| Convergent::new(&base, number));
    let snapshot = MacKey::new(base.derive(Purpose::SnapshotMac, &[]));
    let audit = MacKey::new(base.derive(Purpose::ValueAudit, &[]));
    let shaped = transformation.form.kind == Kind::Tokenization && transformation.form.template.is_some();
    let shape = shaped.then(|| ShapeKeys::new(&base));
    Ok(TransformationKeys { format: format(&transformation.prefix, &base).map_err(fault)?, shape, convergent, audit, snapshot, versions })
}

/// Hands out the ids of new tokens, from blocks that this node took. What is left of a block at the end is never used.
#[derive(Debug, Default)]
pub struct TokenIds {
    block: Mutex<Range<i64>>,
    refill: tokio::sync::Mutex<()>,
}

impl TokenIds {
    pub async fn take(&self, store: &Store, count: usize) -> Result<Vec<i64>, StoreError> {
        let mut ids = Vec::with_capacity(count);
        self.take_some(&mut ids, count);
        if ids.len() == count {
            return Ok(ids);
        }
        let _one = self.refill.lock().await;
        loop {
            self.take_some(&mut ids, count);
            if ids.len() == count {
                return Ok(ids);
            }
            let first = Box::pin(transform::take_block(store)).await?;
            *self.block.lock() = first..first.saturating_add(BLOCK);
        }
    }

    fn take_some(&self, ids: &mut Vec<i64>, count: usize) {
        ids.extend(self.block.lock().by_ref().take(count - ids.len()));
    }
}
