//! A ciphertext knows where it lives by its type too.
use goldfin::seal::place::{BarrierPlace, RootPlace};
use goldfin_crypto::WrappedKey;

fn moved(wrapped: WrappedKey<RootPlace>) -> WrappedKey<BarrierPlace> {
    wrapped
}

fn main() {}
