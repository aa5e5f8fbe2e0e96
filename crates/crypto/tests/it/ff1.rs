//! FF1 against NIST's samples and Project Wycheproof.

use aes::{Aes128, Aes192, Aes256};
use fpe::ff1::{FF1, FlexibleNumeralString};
use goldfin_crypto::{Ff1Key, Key, Zeroizing};
use proptest::prelude::*;
use serde_json::Value;

use crate::vectors::{bytes, file};

/// The smaller keys are NIST's, not ours: they go to the implementation underneath.
#[test]
fn nist_samples() {
    let cases = file("nist_ff1.json")["cases"].as_array().unwrap().clone();
    assert_eq!(cases.len(), 9);
    for case in &cases {
        let (key, tweak, radix) = (bytes(&case["key"]), bytes(&case["tweak"]), radix(case));
        let plain: FlexibleNumeralString = numerals(&case["plaintext"]).to_vec().into();
        let made = match key.len() {
            16 => FF1::<Aes128>::new(&key, radix).unwrap().encrypt(&tweak, &plain),
            24 => FF1::<Aes192>::new(&key, radix).unwrap().encrypt(&tweak, &plain),
            _ => FF1::<Aes256>::new(&key, radix).unwrap().encrypt(&tweak, &plain),
        };
        assert_eq!(Vec::<u16>::from(made.unwrap()), *numerals(&case["ciphertext"]), "{case}");
        if key.len() == 32 {
            let ours = ours(case);
            assert_eq!(ours.encrypt(&tweak, numerals(&case["plaintext"])).unwrap(), numerals(&case["ciphertext"]), "{case}");
            assert_eq!(ours.decrypt(&tweak, numerals(&case["ciphertext"])).unwrap(), numerals(&case["plaintext"]), "{case}");
        }
    }
}

/// Its small messages were allowed before revision 1 and are refused.
#[test]
fn wycheproof() {
    let cases = file("wycheproof_ff1.json")["cases"].as_array().unwrap().clone();
    assert_eq!(cases.len(), 505);
    let mut refused = 0;
    for case in &cases {
        let (key, tweak) = (ours(case), bytes(&case["tweak"]));
        let made = key.encrypt(&tweak, numerals(&case["plaintext"]));
        match case["flag"].as_str().unwrap() {
            "SmallMessageSize" | "InvalidMessageSize" | "InvalidPlaintext" => {
                assert!(made.is_err(), "{case}");
                refused += 1;
            }
            _ => {
                assert_eq!(made.unwrap(), numerals(&case["ciphertext"]), "{case}");
                assert_eq!(key.decrypt(&tweak, numerals(&case["ciphertext"])).unwrap(), numerals(&case["plaintext"]), "{case}");
            }
        }
    }
    assert_eq!(refused, 86);
}

proptest! {
    #[test]
    fn what_is_encrypted_comes_back(radix in 2_u32..=65_536, seed in proptest::collection::vec(any::<u16>(), 20..40), tweak in proptest::collection::vec(any::<u8>(), 0..40)) {
        let key = Ff1Key::new(&Key::from_exposed(Zeroizing::new([9; 32])), radix).unwrap();
        let numerals = Zeroizing::new(seed.iter().map(|n| u16::try_from(u32::from(*n) % radix).unwrap()).collect::<Vec<_>>());
        let made = key.encrypt(&tweak, numerals.clone()).unwrap();
        prop_assert_eq!(made.len(), numerals.len());
        prop_assert_eq!(key.decrypt(&tweak, made).unwrap(), numerals);
    }
}

fn ours(case: &Value) -> Ff1Key {
    let key: [u8; 32] = bytes(&case["key"]).try_into().unwrap();
    Ff1Key::new(&Key::from_exposed(Zeroizing::new(key)), radix(case)).unwrap()
}

fn radix(case: &Value) -> u32 {
    u32::try_from(case["radix"].as_u64().unwrap()).unwrap()
}

fn numerals(value: &Value) -> Zeroizing<Vec<u16>> {
    Zeroizing::new(value.as_array().unwrap().iter().map(|n| u16::try_from(n.as_u64().unwrap()).unwrap()).collect())
}
