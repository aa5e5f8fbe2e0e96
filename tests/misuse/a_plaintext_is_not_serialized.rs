//! The strongroom does not link serde, and nobody else may teach its types.
fn main() {
    let secret = goldfin_crypto::Plaintext::from_text(String::new());
    let _ = serde_json::to_string(&secret);
}
