//! Floor 5: what was done. One request, one entry, committed before the answer leaves.

pub mod archive;
pub mod archived;
pub mod archiving;
pub mod chain;
pub mod check;
mod checkpointer;
pub mod columns;
pub mod entry;
pub mod high_water;
pub mod lines;
mod pace;
pub mod prove;
mod queue;
pub mod receipt;
pub mod recorder;
pub mod shipping;
pub mod verify;
pub mod witness;
mod writer;
