//! Properties of tokens, without a database: what is encrypted comes back, and nothing else does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use goldfin_crypto::{Ciphertext, DataKey, Plaintext, TokenFormat};
use proptest::prelude::*;

use super::config::Transformation;
use super::convergent::Derivations;
use super::decode::open_row;
use super::encode::{NewRow, Planned, encode_one};
use super::keys::{TransformationKeys, format};
use super::op::{Input, Options, Use};
use super::place::transform_key_id;
use super::run::{Ready, not_a_token, read_token};
use super::subjects::SubjectKey;
use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::store::token_rows::TokenRow;
use crate::store::transform::NewTokens;

const MOUNT: MountId = MountId(7);
const NOW: Timestamp = Timestamp::from_unix_micros(1_700_000_000_000_000);

fn key(number: i32, version: u32) -> DataKey {
    DataKey::generate(transform_key_id(number, version)).expect("a key")
}

fn formats(prefix: &str, number: i32) -> TokenFormat {
    format(prefix, &key(number, 0)).expect("a format")
}

fn ready(number: i32) -> Ready {
    let mac = || goldfin_crypto::MacKey::new(goldfin_crypto::Key::generate().expect("a key"));
    let keys = TransformationKeys {
        format: formats("pii", number),
        shape: None,
        convergent: None,
        audit: mac(),
        snapshot: mac(),
        versions: vec![(1, key(number, 1))],
    };
    Ready { config: Arc::new(Transformation::new(number, NOW)), keys: Arc::new(keys), form: None, limit: 0 }
}

fn make(ready: &Ready, id: i64, value: &str, expires: Option<Timestamp>) -> (String, TokenRow) {
    let input = Input { target: 0, value: Plaintext::from_text(value.to_owned()), options: Options::default() };
    let mut rows = NewTokens::default();
    let token = encode_one(MOUNT, id, &Planned { input: &input, ready, expires }, &HashMap::new(), &mut rows).expect("a token");
    let row = TokenRow {
        id,
        transformation: rows.transformation[0],
        subject: None,
        subject_key: None,
        subject_hash: None,
        expires: rows.expires[0].map(Timestamp::from_date),
        value: rows.value[0].clone(),
        metadata: None,
    };
    (token, row)
}

fn open(mount: MountId, ready: &Ready, token: &str, row: &TokenRow) -> Result<String, Fault> {
    let (_, secret) = read_token(&ready.keys.format, &Plaintext::from_text(token.to_owned()))?;
    let key = ready.keys.version(1).expect("version 1").message_key(&secret);
    let value = Ciphertext::from_stored(row.value.clone()).expect("an envelope");
    let answered = open_row(mount, &key, row, &value, Use::Decode)?;
    match &answered[..] {
        [(name, Node::Text(value))] if name == "decoded_value" => Ok(value.expose_text().expect("text").to_owned()),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_text_comes_back(value in "\\PC{1,64}|[\\x00-\\x1f\u{300}\u{202e}🦊]{1,8}", id in any::<i64>(), micros in proptest::option::of(0_i64..4_102_444_800_000_000)) {
        let ready = ready(3);
        let (token, row) = make(&ready, id, &value, micros.map(Timestamp::from_unix_micros));
        prop_assert_eq!(token.len(), ready.keys.format.width());
        prop_assert_eq!(open(MOUNT, &ready, &token, &row), Ok(value));
    }

    #[test]
    fn a_changed_token_is_none(at in 0_usize..43, with in "[ -~]", id in any::<i64>()) {
        let ready = ready(3);
        let (token, row) = make(&ready, id, "synthetic", None);
        let mut changed = token.clone();
        changed.replace_range(at..=at, &with);
        if changed != token {
            prop_assert_eq!(open(MOUNT, &ready, &changed, &row), Err(not_a_token()));
        }
        prop_assert_eq!(open(MOUNT, &ready, token.get(..at).unwrap_or_default(), &row), Err(not_a_token()));
    }

    #[test]
    fn any_text_is_no_token(text in "(pii_)?\\PC{0,60}") {
        let read = read_token(&ready(3).keys.format, &Plaintext::from_text(text));
        prop_assert_eq!(read.map(|_| ()), Err(not_a_token()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_convergent_value_comes_back_from_its_one_token(value in "\\PC{1,64}|[\\x00-\\x1f\u{300}\u{202e}🦊]{1,8}", other in "\\PC{1,64}", id in 1..i64::MAX) {
        let base = key(3, 0);
        let mut ready = ready(3);
        let keys = Arc::get_mut(&mut ready.keys).expect("not shared");
        keys.convergent = Some(goldfin_crypto::Convergent::new(&base, 3));
        let subject = SubjectKey { id: 9, key: DataKey::generate(super::place::subject_key_id(9)).expect("a key") };
        let mut derivations = Derivations::default();
        let mut derive = |text: &str, subject| {
            let derived = derivations.derive(&ready, subject, &Plaintext::from_text(text.to_owned())).expect("derived");
            (derived.key, *derived.secret.expose())
        };
        let found = derive(&value, None);
        prop_assert_eq!(found, derive(&value, None));
        let others = [derive(&value, Some(([1; 32], &subject))), derive(&format!("{value} "), None), derive(&other, None)];
        for (at, (place, secret)) in others.into_iter().enumerate() {
            prop_assert!((at == 2 && other == value) || (place != found.0 && secret != found.1));
        }
        let plaintext = Plaintext::from_text(value.clone());
        let secret = derivations.derive(&ready, None, &plaintext).expect("derived").secret;
        let mut rows = NewTokens::default();
        let new = NewRow { mount: MOUNT, id, ready: &ready, subject: None, expires: None, value: &plaintext, metadata: None };
        new.write(&secret, &mut rows).expect("a row");
        let row = TokenRow {
            id,
            transformation: 3,
            subject: None,
            subject_key: None,
            subject_hash: None,
            expires: None,
            value: rows.value[0].clone(),
            metadata: None,
        };
        prop_assert_eq!(open(MOUNT, &ready, &ready.keys.format.render(id, &secret), &row), Ok(value));
    }
}

#[test]
fn a_token_of_another_transformation_is_none_even_under_the_same_prefix() {
    let (mine, other) = (ready(3), ready(4));
    let (token, row) = make(&other, 5, "synthetic", None);
    assert_eq!(open(MOUNT, &mine, &token, &row), Err(not_a_token()));
}

#[test]
fn a_row_opens_only_where_it_was_written_and_with_its_own_token() {
    let ready = ready(3);
    let (token, row) = make(&ready, 5, "synthetic", Some(NOW));
    let integrity = |row: &TokenRow, mount| matches!(open(mount, &ready, &token, row), Err(Fault::Integrity(_)));
    assert!(!integrity(&row, MOUNT));
    assert!(integrity(&row, MountId(8)));
    assert!(integrity(&TokenRow { id: 6, ..row.clone() }, MOUNT));
    assert!(integrity(&TokenRow { transformation: 4, ..row.clone() }, MOUNT));
    assert!(integrity(&TokenRow { expires: None, ..row.clone() }, MOUNT));
    assert!(integrity(&TokenRow { expires: Some(NOW.plus(std::time::Duration::from_micros(1))), ..row.clone() }, MOUNT));
    let (_, other) = make(&ready, 5, "synthetic", Some(NOW));
    assert!(integrity(&TokenRow { value: other.value, ..row }, MOUNT));
}

#[test]
fn equal_values_have_nothing_in_common() {
    let ready = ready(3);
    let (mut tokens, mut stored) = (HashSet::new(), HashSet::new());
    for id in 0..2000 {
        let (token, row) = make(&ready, id, "synthetic", None);
        assert!(tokens.insert(token) && stored.insert(row.value));
    }
}
