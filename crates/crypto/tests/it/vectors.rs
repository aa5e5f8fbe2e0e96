//! The frozen formats: files in `tests/vectors/crypto` that any language can run (`check.py` there is one).
//!
//! A vector that no longer passes is a broken format, not a file to renew. `write_vectors` made them.

use std::path::PathBuf;

use goldfin_crypto::{
    AuthToken, Ciphertext, Convergent, DataKey, Key, KeyId, MacKey, Plaintext, Purpose, SecretId, Share, TokenFormat, TokenSecret,
    WrappedKey, Zeroizing, digest::hex, shamir,
};
use serde_json::{Value, json};

use crate::places::{Row, associated_data};

#[test]
fn envelopes_are_frozen() {
    for case in cases("envelope.json") {
        let (row, key) = (row(&case), data_key(&case));
        let expected = bytes(&case["plaintext"]);
        let id = key.id();
        assert_eq!(bytes(&case["associated_data"]), associated_data(&row, id.id, id.version, 1));
        let stored = Ciphertext::from_stored(bytes(&case["stored"])).unwrap();
        assert_eq!(hex(&stored.digest()), case["digest"]);
        let read = match case.get("token_secret") {
            None => key.decrypt(&row, &stored),
            Some(secret) => key.message_key(&secret_of(secret)).decrypt(&row, &stored),
        };
        assert_eq!(read.unwrap().expose(), expected);
    }
}

#[test]
fn wrapped_keys_are_frozen() {
    for case in cases("wrapped_key.json") {
        let (row, kek) = (row(&case), data_key(&case));
        let stored = WrappedKey::from_stored(bytes(&case["stored"])).unwrap();
        let id = kek.id();
        let algorithm = stored.as_bytes()[1];
        assert_eq!(bytes(&case["associated_data"]), associated_data(&row, id.id, id.version, algorithm));
        let inner = match case.get("wrapped_key_id") {
            None => kek.unwrap_bare(&row, &stored).unwrap(),
            Some(named) => {
                let inner = kek.unwrap_key(&row, &stored).unwrap();
                assert_eq!(
                    (u64::from(inner.id().id), u64::from(inner.id().version)),
                    (named.as_u64().unwrap(), case["wrapped_key_version"].as_u64().unwrap(),)
                );
                inner.derive(Purpose::RootCheck, &[])
            }
        };
        let expected = match case.get("wrapped_key_id") {
            None => key_of(&case["wrapped_key"]),
            Some(_) => key_of(&case["wrapped_key"]).derive(Purpose::RootCheck, &[]),
        };
        assert_eq!(inner.expose_bytes(), expected.expose_bytes());
    }
}

#[test]
fn pii_tokens_are_frozen() {
    for case in cases("pii_token.json") {
        let tokens = token_format(&case);
        let token = case["token"].as_str().unwrap();
        let id: i64 = case["id"].as_str().unwrap().parse().unwrap();
        let secret = secret_of(&case["token_secret"]);
        assert_eq!(tokens.render(id, &secret), token);
        let (parsed, parsed_secret) = tokens.parse(token).unwrap();
        assert_eq!((parsed, parsed_secret.expose()), (id, secret.expose()));
    }
}

#[test]
fn convergent_tokens_are_frozen() {
    for case in cases("convergent.json") {
        let base = DataKey::from_key(key_of(&case["key"]), KeyId { id: 1, version: 0 });
        let derived = Convergent::new(&base, i32::try_from(case["transformation"].as_i64().unwrap()).unwrap());
        let value = Plaintext::from_text(case["value"].as_str().unwrap().to_owned());
        let secret = derived.secret(&value);
        assert_eq!((hex(secret.expose()), hex(&derived.index(&value))), (text(&case["token_secret"]), text(&case["index"])));
        let (permutation, checksum) = (base.derive(Purpose::TokenPermutation, &[]), base.derive(Purpose::TokenChecksum, &[]));
        let tokens = TokenFormat::new(case["prefix"].as_str().unwrap(), &permutation, &checksum).unwrap();
        assert_eq!(tokens.render(text(&case["id"]).parse().unwrap(), &secret), text(&case["token"]));
    }
}

#[test]
fn auth_tokens_are_frozen() {
    for case in cases("auth_token.json") {
        let text = case["text"].as_str().unwrap();
        let lookup = MacKey::new(key_of(&case["lookup_key"]));
        let fingerprint = if text.starts_with("gft_") {
            AuthToken::parse(text).map(|token| token.fingerprint(&lookup))
        } else {
            SecretId::parse(text).map(|secret| secret.fingerprint(&lookup))
        };
        assert_eq!(hex(&fingerprint.unwrap()), case["fingerprint"]);
    }
}

#[test]
fn macs_are_frozen() {
    for case in cases("mac.json") {
        let key = MacKey::new(key_of(&case["key"]));
        let parts: Vec<Vec<u8>> = case["parts"].as_array().unwrap().iter().map(bytes).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        assert_eq!(hex(&key.mac(&parts)), case["mac"]);
        assert_eq!(hex(&key.mac_raw(&parts)), case["mac_raw"]);
        assert!(key.verify(&parts, &bytes(&case["mac"])));
    }
}

#[test]
fn labels_are_frozen() {
    let cases = cases("hkdf_labels.json");
    assert_eq!(cases.len(), Purpose::ALL.len() * 2);
    for case in &cases {
        let purpose = Purpose::ALL.into_iter().find(|known| known.label() == case["label"]);
        let context: Vec<Vec<u8>> = case["context"].as_array().unwrap().iter().map(bytes).collect();
        let context: Vec<&[u8]> = context.iter().map(Vec::as_slice).collect();
        let derived = key_of(&case["key"]).derive(purpose.unwrap(), &context);
        assert_eq!(hex(derived.expose_bytes()), case["derived"]);
    }
}

#[test]
fn shares_are_frozen() {
    for case in cases("shamir.json") {
        let shares: Vec<Vec<u8>> = case["shares"].as_array().unwrap().iter().map(bytes).collect();
        let threshold = usize::try_from(case["threshold"].as_u64().unwrap()).unwrap();
        for chosen in shares.windows(threshold) {
            let chosen: Vec<Share> = chosen.iter().map(|share| Share::from_bytes(share).unwrap()).collect();
            let key = shamir::combine(&chosen).unwrap();
            assert_eq!(hex(key.expose_bytes()), case["key"]);
        }
    }
}

fn row(case: &Value) -> Row {
    assert_eq!((&case["table"], &case["column"]), (&json!("vector_row"), &json!("value")));
    Row {
        namespace: i32::try_from(case["namespace"].as_i64().unwrap()).unwrap(),
        path: case["row"][0]["text"].as_str().unwrap().into(),
        number: case["row"][1]["number"].as_str().unwrap().parse().unwrap(),
        version: case["version"].as_str().unwrap().parse().unwrap(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn data_key(case: &Value) -> DataKey {
    let number = |name: &str| u32::try_from(case[name].as_u64().unwrap()).unwrap();
    DataKey::from_key(key_of(&case["key"]), KeyId { id: number("key_id"), version: number("key_version") })
}

pub fn token_format(case: &Value) -> TokenFormat {
    let prefix = case["prefix"].as_str().unwrap();
    TokenFormat::new(prefix, &key_of(&case["permutation_key"]), &key_of(&case["checksum_key"])).unwrap()
}

fn key_of(value: &Value) -> Key {
    Key::from_exposed(Zeroizing::new(bytes(value).try_into().unwrap()))
}

pub fn secret_of(value: &Value) -> TokenSecret {
    TokenSecret::from_exposed(Zeroizing::new(bytes(value).try_into().unwrap()))
}

pub fn bytes(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes();
    assert!(digits.len().is_multiple_of(2));
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

pub fn file(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(name)).unwrap()).unwrap()
}

fn cases(name: &str) -> Vec<Value> {
    file(name)["cases"].as_array().unwrap().clone()
}

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/crypto").join(name)
}
