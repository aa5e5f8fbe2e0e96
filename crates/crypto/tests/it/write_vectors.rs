//! Writes the files of `tests/vectors/crypto` that do not exist yet; never changes one:
//! `GOLDFIN_WRITE_VECTORS=yes cargo test -p goldfin-crypto --test it write_missing_vectors`.

use goldfin_crypto::{AuthToken, DataKey, Key, KeyId, MacKey, Plaintext, Purpose, SecretId, TokenSecret, Zeroizing, digest::hex, shamir};
use serde_json::{Value, json};

use crate::places::{Row, associated_data};
use crate::vectors::{path, secret_of, token_format};

#[test]
fn write_missing_vectors() {
    if std::env::var_os("GOLDFIN_WRITE_VECTORS").is_none() {
        return;
    }
    write("envelope.json", "AES-256-GCM envelopes of data; with `token_secret` under the message key", envelopes());
    write("wrapped_key.json", "wrapped keys; `wrapped_key_id` where the key has a name", wrapped_keys());
    write("pii_token.json", "opaque PII tokens", pii_tokens());
    write("auth_token.json", "auth tokens and secret ids, synthetic, never issued", auth_tokens());
    write("mac.json", "HMAC-SHA256 over parts, length-prefixed and raw", macs());
    write("hkdf_labels.json", "derived keys per purpose and context", labels());
    write("shamir.json", "shares of keys: 32 bytes y, 1 byte x", shares());
}

fn envelopes() -> Vec<Value> {
    let values: [&[u8]; 4] = [b"", b"x", b"synthetic value 123-45-6789", &[0xff; 100]];
    let message = TokenSecret::from_exposed(Zeroizing::new(sequence(0x70)));
    let mut cases = Vec::new();
    for (at, value) in (0_u8..).zip(values) {
        let row = sample_row(at);
        let id = KeyId { id: 0x0102_0304, version: 1 + u32::from(at) };
        let bytes = sequence(0x10 + at);
        let key = DataKey::from_key(Key::from_exposed(Zeroizing::new(bytes)), id);
        let plaintext = Plaintext::new(value.to_vec());
        let mut case = located(&row, &bytes, id, 1);
        let stored = match at {
            3 => {
                case["token_secret"] = hex(message.expose()).into();
                key.message_key(&message).encrypt(&row, &plaintext)
            }
            _ => key.encrypt(&row, &plaintext),
        }
        .unwrap();
        case["plaintext"] = hex(value).into();
        case["stored"] = hex(stored.as_bytes()).into();
        case["digest"] = hex(&stored.digest()).into();
        cases.push(case);
    }
    cases
}

fn wrapped_keys() -> Vec<Value> {
    let id = KeyId { id: 3, version: 9 };
    let kek = DataKey::from_key(Key::from_exposed(Zeroizing::new(sequence(0x20))), id);
    let inner: [u8; 32] = sequence(0x30);
    let row = sample_row(1);
    let mut named = located(&row, &sequence::<32>(0x20), id, 2);
    let name = KeyId { id: 0x0a0b_0c0d, version: 5 };
    let dek = DataKey::from_key(Key::from_exposed(Zeroizing::new(inner)), name);
    named["wrapped_key_id"] = name.id.into();
    named["wrapped_key_version"] = name.version.into();
    named["wrapped_key"] = hex(&inner).into();
    named["stored"] = hex(kek.wrap(&row, &dek).unwrap().as_bytes()).into();
    let mut bare = located(&row, &sequence::<32>(0x20), id, 3);
    let key = Key::from_exposed(Zeroizing::new(inner));
    bare["wrapped_key"] = hex(&inner).into();
    bare["stored"] = hex(kek.wrap_bare(&row, &key).unwrap().as_bytes()).into();
    vec![named, bare]
}

fn pii_tokens() -> Vec<Value> {
    [("pii", 1), ("pii", i64::MAX), ("ssn", 0), ("a-long_prefix", -1)]
        .into_iter()
        .zip(0_u8..)
        .map(|((prefix, id), at)| {
            let mut case = json!({
                "prefix": prefix,
                "permutation_key": hex(&sequence::<32>(0x40 + at)),
                "checksum_key": hex(&sequence::<32>(0x50 + at)),
                "id": id.to_string(),
                "token_secret": hex(&sequence::<16>(0x60 + at)),
            });
            let secret = secret_of(&case["token_secret"]);
            case["token"] = token_format(&case).render(id, &secret).into();
            case
        })
        .collect()
}

fn auth_tokens() -> Vec<Value> {
    let key = sequence(0x21);
    let lookup = MacKey::new(Key::from_exposed(Zeroizing::new(key)));
    let (token, secret) = (spelled("gft_"), spelled("gfs_"));
    let case = |text: &str, fingerprint: [u8; 32]| json!({ "text": text, "lookup_key": hex(&key), "fingerprint": hex(&fingerprint) });
    vec![
        case(&token, AuthToken::parse(&token).unwrap().fingerprint(&lookup)),
        case(&secret, SecretId::parse(&secret).unwrap().fingerprint(&lookup)),
    ]
}

/// A credential that nobody takes for a real one.
fn spelled(prefix: &str) -> String {
    let text = format!("{prefix}0Synthetic00Synthetic00Synthetic0");
    let checksum = crc32fast::hash(text.as_bytes());
    let alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digit = |power| char::from(alphabet[(checksum / 62_u32.pow(power) % 62) as usize]);
    text + &(0..6).rev().map(digit).collect::<String>()
}

fn macs() -> Vec<Value> {
    let lists: [&[&[u8]]; 5] = [&[], &[b""], &[b"abc"], &[b"ab", b"c"], &[b"", &[0; 100], b"synthetic"]];
    let key = sequence(0x22);
    let mac = MacKey::new(Key::from_exposed(Zeroizing::new(key)));
    lists
        .iter()
        .map(|parts| {
            json!({
                "key": hex(&key),
                "parts": parts.iter().map(|part| hex(part)).collect::<Vec<_>>(),
                "mac": hex(&mac.mac(parts)),
                "mac_raw": hex(&mac.mac_raw(parts)),
            })
        })
        .collect()
}

fn labels() -> Vec<Value> {
    let key: [u8; 32] = sequence(0x23);
    let mut cases = Vec::new();
    for purpose in Purpose::ALL {
        for context in CONTEXTS {
            let derived = Key::from_exposed(Zeroizing::new(key)).derive(purpose, context);
            cases.push(json!({
                "key": hex(&key),
                "label": purpose.label(),
                "context": context.iter().map(|part| hex(part)).collect::<Vec<_>>(),
                "derived": hex(derived.expose_bytes()),
            }));
        }
    }
    cases
}

fn shares() -> Vec<Value> {
    [(1, 1), (3, 2), (5, 3), (10, 10)]
        .into_iter()
        .zip(0_u8..)
        .map(|((shares, threshold), at)| {
            let key: [u8; 32] = sequence(0x80 + at);
            let split = shamir::split(&Key::from_exposed(Zeroizing::new(key)), shares, threshold).unwrap();
            json!({
                "key": hex(&key),
                "threshold": threshold,
                "shares": split.iter().map(|share| hex(share.to_bytes().as_slice())).collect::<Vec<_>>(),
            })
        })
        .collect()
}

fn sample_row(at: u8) -> Row {
    Row {
        namespace: i32::from(at) - 1,
        path: ["", "synthetic/path", "größe", "a/b/c"][usize::from(at)].into(),
        number: i64::MAX - i64::from(at),
        version: u64::from(at) << 40,
    }
}

fn located(row: &Row, key: &[u8; 32], id: KeyId, algorithm: u8) -> Value {
    json!({
        "namespace": row.namespace,
        "table": "vector_row",
        "row": [{ "text": row.path }, { "number": row.number.to_string() }],
        "column": "value",
        "version": row.version.to_string(),
        "key": hex(key),
        "key_id": id.id,
        "key_version": id.version,
        "associated_data": hex(&associated_data(row, id.id, id.version, algorithm)),
    })
}

/// Bytes counting up: synthetic on sight.
fn sequence<const N: usize>(from: u8) -> [u8; N] {
    std::array::from_fn(|at| from.wrapping_add(at as u8))
}

fn write(name: &str, about: &str, cases: Vec<Value>) {
    if !path(name).exists() {
        let text = serde_json::to_string_pretty(&json!({ "about": about, "cases": cases })).unwrap();
        std::fs::write(path(name), text + "\n").unwrap();
    }
}

const CONTEXTS: [&[&[u8]]; 2] = [&[], &[b"namespace", &[0, 0, 0, 7]]];
