//! A ciphertext is readable unchanged, at its place, under its key; anything else is an error.

use std::collections::HashSet;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use goldfin_crypto::{Ciphertext, CryptoError, DataKey, Key, KeyId, Place, Plaintext, TokenSecret, WrappedKey, Zeroizing};
use proptest::prelude::*;

use crate::places::{OtherColumn, OtherTable, Row, associated_data, text};

const ID: KeyId = KeyId { id: 5, version: 2 };

fn fixed() -> Key {
    Key::from_exposed(Zeroizing::new([0x42; 32]))
}

fn read<P: Place>(key: &DataKey, place: &P, stored: &[u8]) -> Result<Plaintext, CryptoError> {
    key.decrypt(place, &Ciphertext::from_stored(stored.to_vec())?)
}

#[test]
fn every_flipped_bit_and_every_truncation_is_an_error() {
    let key = DataKey::generate(ID).unwrap();
    let stored = key.encrypt(&Row::first(), &text("synthetic value")).unwrap().into_bytes();
    assert_eq!(stored.len(), 22 + 15 + 16);
    for bit in 0..stored.len() * 8 {
        let mut flipped = stored.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = read(&key, &Row::first(), &flipped).unwrap_err();
        let expected = if bit < 16 { [CryptoError::Malformed, CryptoError::Integrity] } else { [CryptoError::Integrity; 2] };
        assert!(expected.contains(&error), "bit {bit}: {error:?}");
    }
    for length in 0..stored.len() {
        let error = read(&key, &Row::first(), &stored[..length]).unwrap_err();
        let expected = if length < 38 { CryptoError::Malformed } else { CryptoError::Integrity };
        assert_eq!(error, expected, "length {length}");
    }
    let longer = [stored.as_slice(), &[0]].concat();
    assert_eq!(read(&key, &Row::first(), &longer).unwrap_err(), CryptoError::Integrity);
}

#[test]
fn every_flipped_bit_of_a_wrapped_key_is_an_error() {
    let kek = DataKey::generate(ID).unwrap();
    let dek = DataKey::generate(KeyId { id: 9, version: 1 }).unwrap();
    for stored in [kek.wrap(&Row::first(), &dek).unwrap().into_bytes(), kek.wrap_bare(&Row::first(), &fixed()).unwrap().into_bytes()] {
        for bit in 0..stored.len() * 8 {
            let mut flipped = stored.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Ok(wrapped) = WrappedKey::from_stored(flipped) else {
                assert!(bit < 16);
                continue;
            };
            let named = kek.unwrap_key(&Row::first(), &wrapped).map(|_| ());
            let bare = kek.unwrap_bare(&Row::first(), &wrapped).map(|_| ());
            assert_eq!(named, Err(CryptoError::Integrity), "bit {bit}");
            assert_eq!(bare, Err(CryptoError::Integrity), "bit {bit}");
        }
    }
}

#[test]
fn a_moved_ciphertext_is_an_integrity_error() {
    let key = DataKey::from_key(fixed(), ID);
    let here = Row::first();
    let stored = key.encrypt(&here, &text("synthetic value")).unwrap().into_bytes();
    assert_eq!(read(&key, &here, &stored).unwrap().expose(), b"synthetic value");

    let moved = [
        Row { namespace: 8, ..here.clone() },
        Row { path: "synthetic/path2".into(), ..here.clone() },
        Row { number: 43, ..here.clone() },
        Row { version: 2, ..here.clone() },
        Row { version: 4, ..here.clone() },
    ];
    for place in moved {
        let error = read(&key, &place, &stored).unwrap_err();
        assert_eq!(error, CryptoError::Integrity, "{place:?}");
    }
    let error = read(&key, &OtherColumn(here.clone()), &stored).unwrap_err();
    assert_eq!(error, CryptoError::Integrity);
    let error = read(&key, &OtherTable(here.clone()), &stored).unwrap_err();
    assert_eq!(error, CryptoError::Integrity);
}

#[test]
fn the_same_key_under_another_name_is_an_integrity_error() {
    let here = Row::first();
    let value = text("synthetic value");
    let stored = DataKey::from_key(fixed(), ID).encrypt(&here, &value).unwrap().into_bytes();
    for other in [KeyId { id: 6, ..ID }, KeyId { version: 1, ..ID }] {
        let renamed = DataKey::from_key(fixed(), other);
        assert_eq!(read(&renamed, &here, &stored).unwrap_err(), CryptoError::Integrity);
        let mut relabelled = stored.clone();
        relabelled[2..6].copy_from_slice(&other.id.to_be_bytes());
        relabelled[6..10].copy_from_slice(&other.version.to_be_bytes());
        assert_eq!(read(&renamed, &here, &relabelled).unwrap_err(), CryptoError::Integrity);
    }
    let stranger = DataKey::generate(ID).unwrap();
    assert_eq!(read(&stranger, &here, &stored).unwrap_err(), CryptoError::Integrity);
}

#[test]
fn a_message_key_reads_its_own_message_only() {
    let key = DataKey::from_key(fixed(), ID);
    let (secret, other) = (TokenSecret::generate().unwrap(), TokenSecret::generate().unwrap());
    let here = Row::first();
    let stored = key.message_key(&secret).encrypt(&here, &text("synthetic")).unwrap();
    assert_eq!((stored.key_id(), stored.key_version()), (5, 2));
    let again = key.message_key(&TokenSecret::from_plaintext(&secret.to_plaintext()).unwrap());
    assert_eq!(again.decrypt(&here, &stored).unwrap().expose(), b"synthetic");
    for wrong in [&key.message_key(&other), &key] {
        let error = wrong.decrypt(&here, &stored).unwrap_err();
        assert_eq!(error, CryptoError::Integrity);
    }
}

#[test]
fn nonces_are_unique_over_threads() {
    let key = DataKey::generate(ID).unwrap();
    let here = Row::first();
    let nonces: HashSet<[u8; 12]> = std::thread::scope(|scope| {
        let work = || {
            let value = Plaintext::new(Vec::new());
            (0..25_000)
                .map(|_| {
                    let stored = key.encrypt(&here, &value).unwrap();
                    stored.as_bytes()[10..22].try_into().unwrap()
                })
                .collect::<Vec<[u8; 12]>>()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(nonces.len(), 100_000);
    assert_eq!(key.uses(), 100_000);
}

#[test]
fn debug_shows_places_and_never_bytes() {
    let key = DataKey::generate(ID).unwrap();
    let stored = key.encrypt(&Row::first(), &text("synthetic")).unwrap();
    assert_eq!(format!("{stored:?}"), "Ciphertext(vector_row.value)");
    let wrapped = key.wrap(&Row::first(), &key).unwrap();
    assert_eq!(format!("{wrapped:?}"), "WrappedKey(vector_row.value)");
    assert_eq!(format!("{key:?}"), "DataKey(..)");
    assert_ne!(stored.digest(), wrapped.digest());
}

#[test]
fn error_texts_are_lower_case_without_full_stop() {
    use CryptoError::*;
    for error in
        [Integrity, UnknownKeyVersion, KeyDestroyed, KeyExhausted, PrimaryKey, Malformed, NotText, Random, TooLarge, Threshold, Shares]
    {
        let text = error.to_string();
        assert!(text.starts_with(char::is_lowercase) && !text.ends_with('.'), "{text}");
    }
}

fn any_row() -> impl Strategy<Value = Row> {
    (any::<i32>(), ".{0,40}", any::<i64>(), any::<u64>()).prop_map(|(namespace, path, number, version)| Row {
        namespace,
        path,
        number,
        version,
    })
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(value: Vec<u8>, place in any_row(), id: u32, version: u32) {
        let key = DataKey::generate(KeyId { id, version }).unwrap();
        let stored = key.encrypt(&place, &Plaintext::new(value.clone())).unwrap();
        prop_assert_eq!((stored.key_id(), stored.key_version()), (id, version));
        let stored = Ciphertext::from_stored(stored.into_bytes()).unwrap();
        let read = key.decrypt(&place, &stored).unwrap();
        prop_assert_eq!(read.expose(), value);
    }

    #[test]
    fn two_places_never_share_a_ciphertext(one in any_row(), other in any_row()) {
        prop_assume!(one != other);
        let key = DataKey::from_key(fixed(), ID);
        let stored = key.encrypt(&one, &text("synthetic")).unwrap();
        prop_assert_eq!(key.decrypt(&other, &stored).unwrap_err(), CryptoError::Integrity);
    }

    #[test]
    fn any_bytes_are_an_error_and_no_panic(bytes: Vec<u8>) {
        let key = DataKey::from_key(fixed(), ID);
        prop_assert!(read(&key, &Row::first(), &bytes).is_err());
        prop_assert!(WrappedKey::<Row>::from_stored(bytes).is_err());
    }

    #[test]
    fn aws_lc_reads_what_we_write(bytes: [u8; 32], value in prop::collection::vec(any::<u8>(), 0..5000), place in any_row()) {
        let key = DataKey::from_key(Key::from_exposed(Zeroizing::new(bytes)), ID);
        let stored = key.encrypt(&place, &Plaintext::new(value.clone())).unwrap().into_bytes();
        let theirs = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(&stored[10..22]).unwrap();
        let mut body = stored[22..].to_vec();
        let aad = Aad::from(associated_data(&place, ID.id, ID.version, 1));
        let read = theirs.open_in_place(nonce, aad, &mut body).unwrap();
        prop_assert_eq!(read, value.as_slice());
    }

    #[test]
    fn we_read_what_aws_lc_writes(bytes: [u8; 32], nonce: [u8; 12], value in prop::collection::vec(any::<u8>(), 0..5000), place in any_row()) {
        let theirs = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).unwrap());
        let mut body = value.clone();
        let aad = Aad::from(associated_data(&place, ID.id, ID.version, 1));
        theirs.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body).unwrap();
        let stored = [&[1, 1, 0, 0, 0, 5, 0, 0, 0, 2], nonce.as_slice(), &body].concat();
        let key = DataKey::from_key(Key::from_exposed(Zeroizing::new(bytes)), ID);
        let read = read(&key, &place, &stored).unwrap();
        prop_assert_eq!(read.expose(), value);
    }
}
