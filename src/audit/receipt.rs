//! The witness that an entry is committed. Only the recorder can make one.

use crate::model::id::StreamId;

/// Where the entry of a request stands, and its leaf hash (RFC 6962 section 2.1).
#[derive(Debug)]
pub struct Receipt {
    stream: StreamId,
    seq: i64,
    leaf: [u8; 32],
}

impl Receipt {
    pub(super) fn new(stream: StreamId, seq: i64, leaf: [u8; 32]) -> Self {
        Self { stream, seq, leaf }
    }

    /// The header `X-Goldfin-Receipt`: stream, sequence number and leaf hash in hexadecimal.
    #[must_use]
    pub fn to_header(&self) -> String {
        [self.stream.0.to_string(), self.seq.to_string(), goldfin_crypto::digest::hex(&self.leaf)].join(":")
    }

    /// For the tests of the network floor.
    #[cfg(test)]
    pub(crate) fn of_test(stream: StreamId, seq: i64, leaf: [u8; 32]) -> Self {
        Self::new(stream, seq, leaf)
    }
}
