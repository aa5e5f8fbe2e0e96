//! The strongroom: keys, envelopes, tokens and everything else that touches secret bytes.
//!
//! It must never learn to serialise, print, log or store what it holds, so it links neither serde, tracing,
//! tokio nor sqlx; the orphan rule then keeps the rest of the program from teaching it. Absent on purpose:
//! caller-chosen nonces, trial decryption, a way to switch off associated data, and a clock.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod base62;
pub mod blind_index;
pub mod ciphertext;
pub mod convergent;
pub mod credential;
pub mod data_key;
pub mod digest;
mod envelope;
pub mod error;
pub mod ff1;
pub mod key;
pub mod keyring;
pub mod locator;
pub mod mac;
pub mod password;
pub mod plaintext;
pub mod random;
pub mod shamir;
pub mod signing;
pub mod token;

pub use blind_index::BlindIndex;
pub use ciphertext::{Ciphertext, WrappedKey};
pub use convergent::{Convergent, ValueIndex};
pub use credential::{Accessor, AuthToken, NotACredential, SecretId};
pub use data_key::{DataKey, KeyId};
pub use error::CryptoError;
pub use ff1::{Ff1Key, NumberPermutation};
pub use key::{Key, Purpose};
pub use keyring::{KekVersion, KeyState, Keyring};
pub use locator::{Place, RowId};
pub use mac::{MacKey, constant_time_eq};
pub use plaintext::Plaintext;
pub use shamir::Share;
pub use signing::{SigningKey, VerifyingKey};
pub use token::{NotAToken, TokenFormat, TokenSecret};
/// Re-exported so that callers zeroize with the very type this API names.
pub use zeroize::Zeroizing;
