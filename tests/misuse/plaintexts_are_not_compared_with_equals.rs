//! `==` stops at the first difference, and its time tells where that was.
fn main() {
    let (a, b) = (goldfin_crypto::Plaintext::from_text(String::new()), goldfin_crypto::Plaintext::from_text(String::new()));
    let _ = a == b;
}
