//! Where the seal's own ciphertexts live, hence what they are bound to.

use goldfin_crypto::{KeyId, Place, RowId};

use crate::model::id::ROOT_NAMESPACE;

/// Which key wraps what: the numbers in the headers of the seal's ciphertexts.
pub const UNSEAL_KEY: u32 = 1;
pub const ROOT_KEY: u32 = 2;
pub const KEYRING: u32 = 3;

/// The root key under the unseal key.
#[derive(Debug)]
pub struct RootPlace {
    pub generation: u32,
}

impl Place for RootPlace {
    const TABLE: &'static str = "seal";
    const COLUMN: &'static str = "wrapped_root";

    fn namespace(&self) -> i32 {
        ROOT_NAMESPACE
    }

    fn row(&self, row: &mut RowId) {
        row.text("root");
    }

    fn version(&self) -> u64 {
        u64::from(self.generation)
    }
}

/// The barrier key under the root key.
#[derive(Debug)]
pub struct BarrierPlace;

impl Place for BarrierPlace {
    const TABLE: &'static str = "seal";
    const COLUMN: &'static str = "wrapped_barrier";

    fn namespace(&self) -> i32 {
        ROOT_NAMESPACE
    }

    fn row(&self, row: &mut RowId) {
        row.text("barrier");
    }

    fn version(&self) -> u64 {
        1
    }
}

/// A version of the keyring under the root key.
#[derive(Debug)]
pub struct KekPlace {
    pub version: u32,
}

impl Place for KekPlace {
    const TABLE: &'static str = "kek";
    const COLUMN: &'static str = "wrapped_key";

    fn namespace(&self) -> i32 {
        ROOT_NAMESPACE
    }

    fn row(&self, row: &mut RowId) {
        row.number(i64::from(self.version));
    }

    fn version(&self) -> u64 {
        u64::from(self.version)
    }
}

#[must_use]
pub fn unseal_key_id(generation: u32) -> KeyId {
    KeyId { id: UNSEAL_KEY, version: generation }
}

#[must_use]
pub fn root_key_id() -> KeyId {
    KeyId { id: ROOT_KEY, version: 1 }
}
