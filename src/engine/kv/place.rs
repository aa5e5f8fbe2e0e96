//! Where the ciphertexts of secrets live, and so what they are bound to. A rotation of the keyring names the same places.

use goldfin_crypto::{KeyId, Place, RowId};

use crate::model::id::{MountId, ROOT_NAMESPACE};

/// Names the key of a secret and that of a version; the place binds each to everything else.
pub const SECRET_KEY: KeyId = KeyId { id: 1, version: 1 };

/// How many revisions of a secret's body are encrypted under one key, far below the 2^32 of SP 800-38D section 8.3.
pub const REVISIONS_PER_KEY: i64 = 1 << 24;

/// `kv_secret.wrapped_key`
#[derive(Debug, Clone, Copy)]
pub struct SecretKeyPlace<'a> {
    pub mount: MountId,
    pub path: &'a str,
}

/// `kv_secret.body`
#[derive(Debug, Clone, Copy)]
pub struct BodyPlace<'a> {
    pub mount: MountId,
    pub path: &'a str,
    pub revision: i64,
}

/// `kv_version.wrapped_key`
#[derive(Debug, Clone, Copy)]
pub struct VersionKeyPlace<'a> {
    pub mount: MountId,
    pub path: &'a str,
    pub version: i64,
}

/// `kv_version.value`
#[derive(Debug, Clone, Copy)]
pub struct ValuePlace<'a> {
    pub mount: MountId,
    pub path: &'a str,
    pub version: i64,
}

impl Place for SecretKeyPlace<'_> {
    const TABLE: &'static str = "kv_secret";
    const COLUMN: &'static str = "wrapped_key";

    fn namespace(&self) -> i32 {
        ROOT_NAMESPACE
    }

    fn row(&self, row: &mut RowId) {
        row.number(i64::from(self.mount.0));
        row.text(self.path);
    }

    fn version(&self) -> u64 {
        0
    }
}

impl Place for BodyPlace<'_> {
    const TABLE: &'static str = "kv_secret";
    const COLUMN: &'static str = "body";

    fn namespace(&self) -> i32 {
        ROOT_NAMESPACE
    }

    fn row(&self, row: &mut RowId) {
        row.number(i64::from(self.mount.0));
        row.text(self.path);
    }

    fn version(&self) -> u64 {
        self.revision.cast_unsigned()
    }
}

impl Place for VersionKeyPlace<'_> {
    const TABLE: &'static str = "kv_version";
    const COLUMN: &'static str = "wrapped_key";

    fn namespace(&self) -> i32 {
        ROOT_NAMESPACE
    }

    fn row(&self, row: &mut RowId) {
        row.number(i64::from(self.mount.0));
        row.text(self.path);
        row.number(self.version);
    }

    fn version(&self) -> u64 {
        0
    }
}

impl Place for ValuePlace<'_> {
    const TABLE: &'static str = "kv_version";
    const COLUMN: &'static str = "value";

    fn namespace(&self) -> i32 {
        ROOT_NAMESPACE
    }

    fn row(&self, row: &mut RowId) {
        row.number(i64::from(self.mount.0));
        row.text(self.path);
        row.number(self.version);
    }

    fn version(&self) -> u64 {
        0
    }
}
