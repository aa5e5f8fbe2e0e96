//! The orphan rule holds it.
impl serde::Serialize for goldfin_crypto::Plaintext {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.expose())
    }
}

fn main() {}
