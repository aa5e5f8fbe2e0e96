//! The operations of a sealed server, whose entries wait for the unsealing.

/// The witness that an entry waits in memory.
#[derive(Debug)]
pub struct Waiting(());
