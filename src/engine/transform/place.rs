//! Where the ciphertexts and keys of this engine live, hence what they are bound to. A row that is moved, or whose expiry is changed by
//! hand, no longer opens.

use goldfin_crypto::{KeyId, Place, RowId};

use crate::model::clock::Timestamp;
use crate::model::id::{MountId, ROOT_NAMESPACE};

/// A wrapped key of a transformation; version 0 makes ids and checksums, the others encrypt.
#[derive(Debug)]
pub struct TransformKeyPlace<'a> {
    pub mount: MountId,
    pub transformation: &'a str,
    pub number: i32,
    pub version: u32,
}

impl Place for TransformKeyPlace<'_> {
    const TABLE: &'static str = "transform_key";
    const COLUMN: &'static str = "wrapped_key";

    fn namespace(&self) -> i32 {
        ROOT_NAMESPACE
    }

    fn row(&self, row: &mut RowId) {
        row.number(i64::from(self.mount.0));
        row.text(self.transformation);
        row.number(i64::from(self.number));
    }

    fn version(&self) -> u64 {
        u64::from(self.version)
    }
}

/// The wrapped key of a data subject.
#[derive(Debug)]
pub struct SubjectKeyPlace<'a> {
    pub mount: MountId,
    pub id: i64,
    pub hash: &'a [u8],
}

impl Place for SubjectKeyPlace<'_> {
    const TABLE: &'static str = "subject";
    const COLUMN: &'static str = "wrapped_key";

    fn namespace(&self) -> i32 {
        ROOT_NAMESPACE
    }

    fn row(&self, row: &mut RowId) {
        row.number(i64::from(self.mount.0));
        row.number(self.id);
        row.bytes(self.hash);
    }

    fn version(&self) -> u64 {
        1
    }
}

/// The row of a PII token: what all of its columns are bound to.
#[derive(Debug, Clone, Copy)]
pub struct TokenRowId {
    pub mount: MountId,
    pub transformation: i32,
    pub id: i64,
    pub expires: Option<Timestamp>,
}

impl TokenRowId {
    fn write(&self, row: &mut RowId) {
        row.number(i64::from(self.mount.0));
        row.number(i64::from(self.transformation));
        row.number(self.id);
        row.number(self.expires.map_or(i64::MIN, Timestamp::unix_micros));
    }
}

macro_rules! column {
    ($(#[$doc:meta])* $name:ident = $column:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name(pub TokenRowId);

        impl Place for $name {
            const TABLE: &'static str = "pii_token";
            const COLUMN: &'static str = $column;

            fn namespace(&self) -> i32 {
                ROOT_NAMESPACE
            }

            fn row(&self, row: &mut RowId) {
                self.0.write(row);
            }

            fn version(&self) -> u64 {
                0
            }
        }
    };
}

column! {
    /// The value that the token stands for.
    TokenValue = "value"
}
column! {
    /// What the caller attached to the token.
    TokenMetadata = "metadata"
}
column! {
    /// The token's own secret, for an export.
    TokenSecretPlace = "secret"
}

/// The name of a transformation's key in headers.
#[must_use]
pub fn transform_key_id(number: i32, version: u32) -> KeyId {
    KeyId { id: u32::try_from(number).unwrap_or_default(), version }
}

/// The name of a subject's key in headers: the low half of its number. What binds it is the place, which holds all of it.
#[must_use]
pub fn subject_key_id(id: i64) -> KeyId {
    KeyId { id: u32::try_from(id & 0xffff_ffff).unwrap_or_default(), version: 1 }
}
