//! Floor 5: are the keys here. Sealed means that no key but the seal's own ciphertext is in memory.

pub mod barrier;
pub mod erasures;
pub mod key_file;
pub mod place;
pub mod rotate;
pub mod shares;
