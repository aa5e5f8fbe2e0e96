//! Floor 7: the one path that every request takes.

pub mod released;
pub mod request;
mod sealed;

/// What anybody may know of the server: whether it is initialised and sealed, and how far an unsealing got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealState {
    pub initialised: bool,
    pub sealed: bool,
    /// How many shares of the unseal key there are, and how many of them unseal.
    pub shares: u8,
    pub threshold: u8,
    /// How many shares of the present attempt have been given.
    pub progress: u8,
    /// Names the present attempt; empty when there is none.
    pub nonce: String,
    pub cluster_id: String,
    pub cluster_name: String,
}
