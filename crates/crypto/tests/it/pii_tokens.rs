//! Opaque PII tokens: they come back whole, and nothing else is taken for one.

use std::collections::HashSet;

use goldfin_crypto::{CryptoError, Key, NotAToken, Purpose, TokenFormat, TokenSecret, Zeroizing};
use proptest::prelude::*;

fn format(prefix: &str, seed: u8) -> TokenFormat {
    let key = Key::from_exposed(Zeroizing::new([seed; 32]));
    let permutation = key.derive(Purpose::TokenPermutation, &[]);
    let checksum = key.derive(Purpose::TokenChecksum, &[]);
    TokenFormat::new(prefix, &permutation, &checksum).unwrap()
}

fn secret(byte: u8) -> TokenSecret {
    TokenSecret::from_exposed(Zeroizing::new([byte; 16]))
}

#[test]
fn every_other_character_at_every_position_is_refused() {
    let tokens = format("pii", 1);
    let token = tokens.render(1, &secret(9));
    assert_eq!(token.len(), tokens.width());
    for at in 0..token.len() {
        for other in (0..=127_u8).filter(|byte| *byte != token.as_bytes()[at]) {
            let mut changed = token.clone().into_bytes();
            changed[at] = other;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(tokens.parse(&changed).err(), Some(NotAToken), "{at} {other}");
        }
    }
}

#[test]
fn other_lengths_and_alphabets_are_refused() {
    let tokens = format("pii", 1);
    let token = tokens.render(1, &secret(9));
    for length in 0..token.len() {
        assert_eq!(tokens.parse(token.get(..length).unwrap()).err(), Some(NotAToken));
    }
    for text in [
        format!("{token}0"),
        format!(" {token}"),
        format!("{token}\n"),
        token.replace("pii_", "PII_"),
        token.replace("pii_", "pii"),
        format!("pii_{}", "z".repeat(39)),
        format!("pii_{}", "é".repeat(20)),
    ] {
        assert_eq!(tokens.parse(&text).err(), Some(NotAToken), "{text}");
    }
}

#[test]
fn a_token_of_another_transformation_is_refused() {
    let token = format("pii", 1).render(1, &secret(9));
    assert_eq!(format("pii", 2).parse(&token).err(), Some(NotAToken));
    let renamed = token.replace("pii_", "ssn_");
    assert_eq!(format("ssn", 1).parse(&renamed).err(), Some(NotAToken));
}

#[test]
fn neighbouring_rows_share_nothing_to_see() {
    let tokens = format("pii", 1);
    let heads: HashSet<String> = (0..1000).map(|id| tokens.render(id, &secret(9)).get(..15).unwrap().to_owned()).collect();
    assert_eq!(heads.len(), 1000);
}

#[test]
fn prefixes_are_short_plain_and_not_those_of_credentials() {
    let key = Key::generate().unwrap();
    for good in ["p", "pii", "tok_ssn-1", "abcdefghijklmnopqrstuvwx"] {
        let tokens = TokenFormat::new(good, &key, &key).unwrap();
        let token = tokens.render(5, &secret(1));
        assert_eq!(tokens.parse(&token).unwrap().0, 5);
    }
    for bad in ["", "gft", "gfs", "a b", "a/b", "ä", "a\n", "abcdefghijklmnopqrstuvwxy"] {
        let error = TokenFormat::new(bad, &key, &key).err();
        assert_eq!(error, Some(CryptoError::Malformed), "{bad}");
    }
}

#[test]
fn a_secret_is_sixteen_bytes() {
    for length in [0, 15, 17] {
        let value = goldfin_crypto::Plaintext::new(vec![1; length]);
        let error = TokenSecret::from_plaintext(&value).err();
        assert_eq!(error, Some(CryptoError::Malformed));
    }
}

proptest! {
    #[test]
    fn id_and_secret_come_back(id: i64, bytes: [u8; 16], seed: u8) {
        let tokens = format("pii", seed);
        let token = tokens.render(id, &TokenSecret::from_exposed(Zeroizing::new(bytes)));
        prop_assert_eq!(token.len(), 43);
        let (parsed, secret) = tokens.parse(&token).unwrap();
        prop_assert_eq!(parsed, id);
        prop_assert_eq!(secret.expose(), &bytes);
    }

    #[test]
    fn well_formed_text_is_no_token(text in "pii_[0-9A-Za-z]{39}") {
        prop_assert!(format("pii", 1).parse(&text).is_err());
    }

    #[test]
    fn any_text_is_no_panic(text in ".*") {
        prop_assert!(format("pii", 1).parse(&text).is_err());
    }
}
