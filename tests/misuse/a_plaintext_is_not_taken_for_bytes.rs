//! Reading it takes the word `expose`, which a reviewer can search for.
fn main() {
    let secret = goldfin_crypto::Plaintext::from_text(String::new());
    let _: &[u8] = secret.as_ref();
}
