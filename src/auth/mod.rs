//! Floor 3: who is calling.

pub mod principal;
