//! Auth tokens, secret ids, accessors.

use std::collections::HashSet;

use goldfin_crypto::{Accessor, AuthToken, Key, MacKey, NotACredential, SecretId, Zeroizing};
use proptest::prelude::*;

fn lookup(seed: u8) -> MacKey {
    MacKey::new(Key::from_exposed(Zeroizing::new([seed; 32])))
}

#[test]
fn a_credential_comes_back_from_its_text() {
    let token = AuthToken::generate().unwrap();
    assert!(token.expose_text().starts_with("gft_"));
    assert_eq!(token.expose_text().len(), 43);
    let parsed = AuthToken::parse(token.expose_text()).unwrap();
    assert_eq!(parsed.fingerprint(&lookup(1)), token.fingerprint(&lookup(1)));
    assert_ne!(parsed.fingerprint(&lookup(2)), token.fingerprint(&lookup(1)));

    let secret = SecretId::generate().unwrap();
    assert!(secret.expose_text().starts_with("gfs_"));
    let parsed = SecretId::parse(secret.expose_text()).unwrap();
    assert_eq!(parsed.fingerprint(&lookup(1)), secret.fingerprint(&lookup(1)));

    assert_eq!(format!("{token:?} {secret:?}"), "AuthToken(..) SecretId(..)");
}

#[test]
fn every_other_character_at_every_position_is_refused() {
    let token = AuthToken::generate().unwrap();
    let text = token.expose_text();
    for at in 0..text.len() {
        for other in (0..=127_u8).filter(|byte| *byte != text.as_bytes()[at]) {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = other;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(AuthToken::parse(&changed).err(), Some(NotACredential), "{at} {other}");
        }
    }
}

#[test]
fn one_kind_is_not_the_other() {
    let token = AuthToken::generate().unwrap();
    assert!(SecretId::parse(token.expose_text()).is_err());
    let renamed = token.expose_text().replace("gft_", "gfs_");
    assert!(SecretId::parse(&renamed).is_err());
    for text in ["", "gft_", "hvs.synthetic", "s.synthetic", "gft_é"] {
        assert!(AuthToken::parse(text).is_err());
    }
}

#[test]
fn accessors_are_distinct_base62() {
    let accessors: HashSet<String> = (0..10_000).map(|_| Accessor::generate().unwrap()).collect();
    assert_eq!(accessors.len(), 10_000);
    assert!(accessors.iter().all(|a| a.len() == 24 && a.bytes().all(|b| b.is_ascii_alphanumeric())));
}

#[test]
fn accessors_favour_no_character() {
    let mut counts = [0_u32; 128];
    for _ in 0..10_000 {
        for byte in Accessor::generate().unwrap().bytes() {
            counts[usize::from(byte)] += 1;
        }
    }
    // 240,000 characters over 62: mean 3,871, standard deviation 61.7; seven of them either way.
    let seen: Vec<u32> = counts.into_iter().filter(|count| *count > 0).collect();
    assert_eq!(seen.len(), 62);
    assert!(seen.iter().all(|count| (3_439..=4_303).contains(count)), "{seen:?}");
}

proptest! {
    #[test]
    fn any_text_is_no_credential(text in ".*") {
        prop_assert!(AuthToken::parse(&text).is_err());
        prop_assert!(SecretId::parse(&text).is_err());
    }
}
