//! Floor 5: what was done. One request, one entry, committed before the answer leaves.

pub mod chain;
pub mod entry;
pub mod lines;
pub mod receipt;
pub mod recorder;
pub mod shipping;
pub mod verify;
mod writer;
