//! `Debug` prints a constant; `Display` is not there.
fn main() {
    let secret = goldfin_crypto::Plaintext::from_text(String::new());
    let _ = format!("{secret}");
}
