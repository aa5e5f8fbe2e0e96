//! The places that the tests encrypt for.

use goldfin_crypto::{Place, Plaintext, RowId};

/// A value in a row named by a path and a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub namespace: i32,
    pub path: String,
    pub number: i64,
    pub version: u64,
}

impl Row {
    pub fn first() -> Self {
        Self { namespace: 7, path: "synthetic/path".into(), number: 42, version: 3 }
    }

    fn identity(&self, row: &mut RowId) {
        row.text(&self.path);
        row.number(self.number);
    }
}

impl Place for Row {
    const TABLE: &'static str = "vector_row";
    const COLUMN: &'static str = "value";
    fn namespace(&self) -> i32 {
        self.namespace
    }
    fn row(&self, row: &mut RowId) {
        self.identity(row);
    }
    fn version(&self) -> u64 {
        self.version
    }
}

/// Another column of the same row.
pub struct OtherColumn(pub Row);

impl Place for OtherColumn {
    const TABLE: &'static str = "vector_row";
    const COLUMN: &'static str = "other";
    fn namespace(&self) -> i32 {
        self.0.namespace
    }
    fn row(&self, row: &mut RowId) {
        self.0.identity(row);
    }
    fn version(&self) -> u64 {
        self.0.version
    }
}

/// The same column of another table.
pub struct OtherTable(pub Row);

impl Place for OtherTable {
    const TABLE: &'static str = "vector_other";
    const COLUMN: &'static str = "value";
    fn namespace(&self) -> i32 {
        self.0.namespace
    }
    fn row(&self, row: &mut RowId) {
        self.0.identity(row);
    }
    fn version(&self) -> u64 {
        self.0.version
    }
}

pub fn text(value: &str) -> Plaintext {
    Plaintext::from_text(value.into())
}

/// The associated data of a [`Row`], written a second time from the documentation.
pub fn associated_data(row: &Row, key_id: u32, key_version: u32, algorithm: u8) -> Vec<u8> {
    fn framed(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u64).to_be_bytes(), bytes].concat()
    }
    let identity = [b"t".to_vec(), framed(row.path.as_bytes()), b"n".to_vec(), framed(&row.number.to_be_bytes())].concat();
    [
        framed(&[1]),
        framed(&row.namespace.to_be_bytes()),
        framed(b"vector_row"),
        framed(&identity),
        framed(b"value"),
        framed(&row.version.to_be_bytes()),
        framed(&key_id.to_be_bytes()),
        framed(&key_version.to_be_bytes()),
        framed(&[algorithm]),
    ]
    .concat()
}
