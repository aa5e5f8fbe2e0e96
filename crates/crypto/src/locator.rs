//! Where a ciphertext lives, and the associated data that binds it there.
//!
//! A ciphertext that is moved to another row, column, table, namespace, version or key no longer verifies.

use crate::data_key::KeyId;
use crate::envelope::FORMAT;

/// One column of one row. Two places that can both hold bytes under one key must differ in at least one answer.
pub trait Place {
    /// The table, as the database names it.
    const TABLE: &'static str;
    /// The column, as the database names it.
    const COLUMN: &'static str;
    /// The namespace's number.
    fn namespace(&self) -> i32;
    /// Adds every part of the row's identity, always in the same order.
    fn row(&self, row: &mut RowId);
    /// The version of the row, so that an older one cannot be put back; 0 where rows are written once.
    fn version(&self) -> u64;
}

/// Collects the parts of a row's identity: each a tag for its type, a length, and its bytes.
#[derive(Debug)]
pub struct RowId(Vec<u8>);

impl RowId {
    /// Adds a text, such as a path.
    pub fn text(&mut self, part: &str) {
        self.part(b't', part.as_bytes());
    }

    /// Adds a number, such as an id; 8 bytes, big endian.
    pub fn number(&mut self, part: i64) {
        self.part(b'n', &part.to_be_bytes());
    }

    /// Adds bytes, such as a UUID or a keyed hash.
    pub fn bytes(&mut self, part: &[u8]) {
        self.part(b'b', part);
    }

    fn part(&mut self, tag: u8, bytes: &[u8]) {
        self.0.push(tag);
        framed(&mut self.0, bytes);
    }
}

/// Length-prefixed (8 bytes, big endian): format, namespace, table, row, column, version, key id, key version,
/// algorithm. Numbers are big endian in their own width.
pub(crate) fn associated_data<P: Place>(place: &P, key: KeyId, algorithm: u8) -> Vec<u8> {
    let mut data = Vec::with_capacity(CAPACITY);
    framed(&mut data, &[FORMAT]);
    framed(&mut data, &place.namespace().to_be_bytes());
    framed(&mut data, P::TABLE.as_bytes());
    let length_at = data.len();
    data.extend_from_slice(&[0; 8]);
    let row_at = data.len();
    let mut row = RowId(data);
    place.row(&mut row);
    let mut data = row.0;
    let row_length = (data.len() - row_at) as u64;
    if let Some(length) = data.get_mut(length_at..row_at) {
        length.copy_from_slice(&row_length.to_be_bytes());
    }
    framed(&mut data, P::COLUMN.as_bytes());
    framed(&mut data, &place.version().to_be_bytes());
    framed(&mut data, &key.id.to_be_bytes());
    framed(&mut data, &key.version.to_be_bytes());
    framed(&mut data, &[algorithm]);
    data
}

fn framed(data: &mut Vec<u8>, bytes: &[u8]) {
    data.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    data.extend_from_slice(bytes);
}

/// Enough for a place of two short parts without a second allocation.
const CAPACITY: usize = 192;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    struct Parts(Vec<Part>);

    enum Part {
        Text(&'static str),
        Number(i64),
        Bytes(&'static [u8]),
    }

    impl Place for Parts {
        const TABLE: &'static str = "parts";
        const COLUMN: &'static str = "value";
        fn namespace(&self) -> i32 {
            1
        }
        fn row(&self, row: &mut RowId) {
            for part in &self.0 {
                match part {
                    Part::Text(text) => row.text(text),
                    Part::Number(number) => row.number(*number),
                    Part::Bytes(bytes) => row.bytes(bytes),
                }
            }
        }
        fn version(&self) -> u64 {
            0
        }
    }

    #[test]
    fn rows_of_other_parts_never_collide() {
        use Part::{Bytes, Number, Text};
        let rows = [
            vec![],
            vec![Text("")],
            vec![Text(""), Text("")],
            vec![Text("ab")],
            vec![Text("a"), Text("b")],
            vec![Bytes(b"ab")],
            vec![Bytes(b"a"), Text("b")],
            vec![Number(1)],
            vec![Bytes(&[0, 0, 0, 0, 0, 0, 0, 1])],
            vec![Text("\0\0\0\0\0\0\0\u{1}")],
            vec![Number(-1)],
        ];
        let key = KeyId { id: 1, version: 1 };
        let count = rows.len();
        let distinct: HashSet<_> = rows.into_iter().map(|row| associated_data(&Parts(row), key, 1)).collect();
        assert_eq!(distinct.len(), count);
    }
}
