//! It is moved through the house, so that there is one buffer to wipe.
fn main() {
    let secret = goldfin_crypto::Plaintext::from_text(String::new());
    let _ = secret.clone();
}
