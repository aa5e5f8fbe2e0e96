use std::collections::{BTreeMap, HashSet};

use goldfin_crypto::KeyId;
use proptest::prelude::*;

use super::*;
use crate::engine::transform::form::{alphabet, builtin, template::Written};

fn keys(byte: u8) -> ShapeKeys {
    ShapeKeys::new(&DataKey::from_key(Key::from_exposed(Zeroizing::new([byte; 32])), KeyId { id: 1, version: 0 }))
}

fn built_in(name: &str) -> (std::sync::Arc<Template>, Shape) {
    let template = builtin::built_in(name).expect(name);
    let shape = Shape::new(&template, &numeric()).expect(name);
    (template, shape)
}

fn numeric() -> std::sync::Arc<Alphabet> {
    alphabet::built_in("numeric").expect("numeric")
}

fn own(pattern: &str) -> Template {
    Template::new(Written {
        pattern: pattern.into(),
        alphabet: "builtin/numeric".into(),
        encode_format: None,
        decode_formats: BTreeMap::new(),
    })
    .expect(pattern)
}

fn make(shape: &Shape, template: &Template, keys: &ShapeKeys, value: &str, serial: u64) -> Result<(i64, String), Misfit> {
    let taken = template.take(value)?;
    let place = shape.place(&taken)?;
    let row = shape.row(place, 7, serial)?;
    shape.render(keys, template, (value, &taken), place, row).map(|token| (row, token.to_string()))
}

#[test]
fn tokens_are_of_values_that_nobody_has() {
    let keys = keys(1);
    for (name, value, looks) in [
        ("socialsecuritynumber", "123-45-6789", "^9[0-9]{2}-([0-4][0-9]|6[6-9]|89)-[0-9]{4}$"),
        ("socialsecuritynumber", "123456789", "^9[0-9]{8}$"),
        ("creditcardnumber", "4111-1111-1111-1111", "^9999-[0-9]{4}-[0-9]{4}-[0-9]{4}$"),
        ("creditcardnumber", "378282246310005", "^9999[0-9]{11}$"),
        ("phone", "+1 (555) 010-1234", "^\\+1 \\(0[0-9]{2}\\) [0-9]{3}-[0-9]{4}$"),
        ("email", "Jane.Doe@example.org", "^[0-9a-z]{12}@token\\.invalid$"),
        ("emailkeepdomain", "Jane.Doe@example.org", "^pii\\.[0-9a-z]{12}@example\\.org$"),
        ("dateofbirth", "1946-12-31", "^[3-9][0-9]{3}-[0-9]{2}-[0-2][0-9]$"),
        ("usdateofbirth", "12/31/1946", "^[0-9]{2}/[0-2][0-9]/[3-9][0-9]{3}$"),
        ("vafilenumber", "C12345678", "^C[0-9]{8}$"),
        ("vafilenumber", "123456789", "^9[0-9]{8}$"),
        ("edipi", "1234567890", "^9[0-9]{9}$"),
        ("icn", "1012667145V762142", "^9[0-9]{9}V[0-9]{6}$"),
        ("zipplusfour", "12345-6789", "^000[0-9]{2}-[0-9]{4}$"),
    ] {
        let (template, shape) = built_in(name);
        let looks = regex::Regex::new(looks).expect(looks);
        let mut seen = HashSet::new();
        for serial in 0..300 {
            let (row, token) = make(&shape, &template, &keys, value, serial).expect(name);
            assert!(looks.is_match(&token), "{name} {token}");
            assert_eq!(shape.read(&keys, &template, 7, &token), Some(row), "{name} {token}");
            assert!(seen.insert(token) && row > 1 << 62);
        }
    }
}

#[test]
fn a_checksum_stays_right_and_a_wrong_one_wrong() {
    let (template, shape) = built_in("creditcardnumber");
    let digits = |token: &str| token.chars().filter(char::is_ascii_digit).collect::<Vec<char>>();
    for serial in 0..200 {
        let (right, token) = make(&shape, &template, &keys(1), "4111 1111 1111 1111", serial).expect("a token");
        assert!(builtin::luhn_holds(&digits(&token)));
        let (wrong, token) = make(&shape, &template, &keys(1), "4111 1111 1111 1112", serial).expect("a token");
        assert!(!builtin::luhn_holds(&digits(&token)));
        assert_ne!(right, wrong, "a token with the other checksum is another row's");
    }
}

#[test]
fn tokens_do_not_collide_and_are_spread() {
    let (template, shape) = built_in("socialsecuritynumber");
    let keys = keys(2);
    let (mut seen, mut areas) = (HashSet::new(), BTreeMap::<String, u32>::new());
    for serial in 0..10_000 {
        let (_, token) = make(&shape, &template, &keys, "123-45-6789", serial).expect("a token");
        *areas.entry(token.get(..3).expect("an area").to_owned()).or_default() += 1;
        assert!(seen.insert(token));
    }
    // 100 areas with 100 each, give or take; five standard deviations are 50.
    assert_eq!(areas.len(), 100);
    assert!(areas.values().all(|count| (50..=150).contains(count)), "{areas:?}");
}

#[test]
fn the_shape_of_another_key_or_transformation_reads_other_rows() {
    let (template, shape) = built_in("socialsecuritynumber");
    let (row, token) = make(&shape, &template, &keys(1), "123-45-6789", 5).expect("a token");
    assert_ne!(shape.read(&keys(2), &template, 7, &token), Some(row));
    assert_ne!(shape.read(&keys(1), &template, 8, &token), Some(row));
    assert_eq!(shape.read(&keys(1), &template, 7, &token.replace('-', "")), Some(row), "the separators are not part of it");
    for junk in ["", "123-45-6789", "900-50-0000", "90000000", "pii_abc", "900-00-00000"] {
        assert_eq!(shape.read(&keys(1), &template, 7, junk), None, "{junk}");
    }
}

#[test]
fn it_ends_before_the_last_token() {
    let (template, shape) = built_in("zipplusfour");
    assert_eq!(shape.smallest(), 1_000_000);
    assert!(make(&shape, &template, &keys(1), "123456789", 899_999).is_ok());
    assert_eq!(make(&shape, &template, &keys(1), "123456789", 900_000), Err(Misfit::Exhausted));
    assert_eq!(make(&shape, &template, &keys(1), "123456789", u64::MAX), Err(Misfit::Exhausted));
    let (template, shape) = built_in("icn");
    assert_eq!(make(&shape, &template, &keys(1), "1012667145V762142", 1 << 32), Err(Misfit::Exhausted));
}

#[test]
fn templates_without_a_shape_say_why() {
    for (pattern, why) in
        [("([0-9]{5})", "1,000,000"), ("([0-9]{5})(?:-([0-9]{4}))?", "left out"), ("([a-z]{9})", "no token"), ("(0|[1-9][0-9]{8})x", "")]
    {
        let made = Shape::new(&own(pattern), &numeric());
        match why {
            "" => assert!(made.is_ok(), "{pattern}"),
            why => assert!(made.as_ref().is_err_and(|text| text.contains(why)), "{pattern} {made:?}"),
        }
    }
    assert!(Shape::new(&builtin::built_in("zip").expect("zip"), &numeric()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn tokens_of_any_template_match_it_and_name_their_row(which in 0_usize..7, serial in 0_u64..900_000) {
        let (pattern, value) = [
            ("([0-9]{6})", "123456"),
            ("x([0-9]{3})-?([0-9]{4,9})y", "x123-45678y"),
            ("([0-9]+)", "1"),
            ("(0[1-9]|1[0-2])([0-9]{6})", "01123456"),
            ("([0-9]{40})", "0000000000000000000000000000000000000000"),
            ("(1(?:2|34)[0-9]{6})", "12123456"),
            ("([0-9]{3}é[0-9]{4})🦊.*", "123é4567🦊 rest"),
        ][which];
        let template = own(pattern);
        let shape = Shape::new(&template, &numeric()).expect(pattern);
        let (row, token) = make(&shape, &template, &keys(3), value, serial).expect("a token");
        prop_assert!(template.take(&token).is_ok());
        prop_assert_eq!(shape.read(&keys(3), &template, 7, &token), Some(row));
    }

    #[test]
    fn whatever_is_shown_is_read_without_harm(text in "\\PC{0,30}|[0-9-]{0,20}") {
        let (template, shape) = built_in("socialsecuritynumber");
        if let Some(row) = shape.read(&keys(1), &template, 7, &text) {
            prop_assert!(row > 1 << 62);
        }
    }
}
