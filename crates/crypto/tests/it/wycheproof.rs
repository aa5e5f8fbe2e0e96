//! Project Wycheproof's cases for the primitives that the strongroom is built on.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use goldfin_crypto::{Key, MacKey, Zeroizing};
use hkdf::Hkdf;
use serde_json::Value;
use sha2::Sha256;

use crate::vectors::{bytes, file};

#[test]
fn aes_256_gcm() {
    let cases = cases("wycheproof_aes_256_gcm.json");
    assert_eq!(cases.len(), 48);
    for case in &cases {
        let cipher = Aes256Gcm::new_from_slice(&bytes(&case["key"])).unwrap();
        let nonce: [u8; 12] = bytes(&case["nonce"]).try_into().unwrap();
        let (aad, plaintext) = (bytes(&case["aad"]), bytes(&case["plaintext"]));
        let stored = bytes(&case["ciphertext_and_tag"]);
        let read = cipher.decrypt(&nonce.into(), Payload { msg: &stored, aad: &aad });
        if case["valid"] == true {
            assert_eq!(read.unwrap(), plaintext, "{case}");
            let written = cipher.encrypt(&nonce.into(), Payload { msg: &plaintext, aad: &aad });
            assert_eq!(written.unwrap(), stored, "{case}");
        } else {
            assert!(read.is_err(), "{case}");
        }
    }
}

#[test]
fn hmac_sha256() {
    let cases = cases("wycheproof_hmac_sha256.json");
    assert_eq!(cases.len(), 54);
    for case in &cases {
        let key: [u8; 32] = bytes(&case["key"]).try_into().unwrap();
        let mac = MacKey::new(Key::from_exposed(Zeroizing::new(key)));
        let (message, tag) = (bytes(&case["message"]), bytes(&case["tag"]));
        assert_eq!(mac.mac_raw(&[&message])[..tag.len()], tag, "{case}");
        assert_eq!(mac.verify_raw(&[&message], &tag), tag.len() == 32, "{case}");
    }
}

#[test]
fn hkdf_sha256() {
    let cases = cases("wycheproof_hkdf_sha256.json");
    assert_eq!(cases.len(), 97);
    for case in &cases {
        let expected = bytes(&case["okm"]);
        let mut derived = vec![0; expected.len()];
        Hkdf::<Sha256>::new(Some(&bytes(&case["salt"])), &bytes(&case["ikm"])).expand(&bytes(&case["info"]), &mut derived).unwrap();
        assert_eq!(derived, expected, "{case}");
    }
}

fn cases(name: &str) -> Vec<Value> {
    file(name)["cases"].as_array().unwrap().clone()
}
