//! Nonces are made inside `encrypt`.
use goldfin_crypto::{DataKey, Place, Plaintext};

fn encrypt<P: Place>(key: &DataKey, place: &P, secret: &Plaintext) {
    let _ = key.encrypt(place, secret, [0_u8; 12]);
}

fn main() {}
