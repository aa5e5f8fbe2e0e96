//! The strongroom from outside, through its public words only.
#![cfg(test)]

mod credentials;
mod envelopes;
mod ff1;
mod keyrings;
mod pii_tokens;
mod places;
mod shares;
mod vectors;
mod write_vectors;
mod wycheproof;

use goldfin_crypto::{DataKey, Key, Keyring, MacKey, Plaintext, Share, TokenFormat};

#[test]
fn secrets_may_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Plaintext>();
    shared::<(Key, DataKey, Keyring)>();
    shared::<(MacKey, TokenFormat, Share)>();
}

/// The orphan rule keeps secrets from being serialised, logged or stored only while none of those crates is linked.
#[test]
fn the_strongroom_links_exactly_these() {
    let manifest = include_str!("../../Cargo.toml");
    let (_, rest) = manifest.split_once("\n[dependencies]\n").unwrap();
    let (section, _) = rest.split_once("\n[").unwrap();
    let names: Vec<&str> = section
        .lines()
        .filter_map(|line| line.split([' ', '.', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect();
    let allowed = ["aes", "aes-gcm", "aws-lc-rs", "argon2", "crc32fast", "fpe", "hkdf", "hmac", "rand", "sha2", "subtle", "zeroize"];
    assert_eq!(names, allowed);
}
