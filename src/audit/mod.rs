//! Floor 5: what was done. One request, one entry, committed before the answer leaves.

pub mod chain;
mod checkpointer;
pub mod entry;
pub mod high_water;
pub mod receipt;
pub mod recorder;
pub mod verify;
mod writer;
