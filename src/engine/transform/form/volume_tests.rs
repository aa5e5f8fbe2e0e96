//! Round trips by the thousand; by the million where `GOLDFIN_ROUND_TRIPS=1000000` asks for it.

use std::collections::HashSet;

use goldfin_crypto::{DataKey, Ff1Key, Key, KeyId, Zeroizing};

use super::alphabet;
use super::builtin::built_in;
use super::fpe::{Direction, Fpe};
use super::shape::{Shape, ShapeKeys};

fn round_trips() -> u64 {
    std::env::var("GOLDFIN_ROUND_TRIPS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

/// Numbers without a pattern, and the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A value of each format, with leading zeros where the format has them.
fn value(name: &str, dice: &mut Dice) -> String {
    let number = dice.roll();
    // Every eighth is small, so that it begins with zeros.
    let number = if number.is_multiple_of(8) { number % 1000 } else { number };
    match name {
        "socialsecuritynumber" => {
            let digits = number % 1_000_000_000;
            format!("{:03}-{:02}-{:04}", digits / 1_000_000, digits / 10_000 % 100, digits % 10_000)
        }
        "creditcardnumber" => format!("{:016}", number % 10_000_000_000_000_000),
        "edipi" => format!("{:010}", number % 10_000_000_000),
        "zipplusfour" => format!("{:05}-{:04}", number % 100_000, (number >> 20) % 10_000),
        other => panic!("{other}"),
    }
}

const KINDS: [&str; 4] = ["socialsecuritynumber", "creditcardnumber", "edipi", "zipplusfour"];

#[test]
fn ff1_gives_back_every_value_in_its_format() {
    let letters = alphabet::built_in("numeric").expect("numeric");
    let key = Ff1Key::new(&Key::from_exposed(Zeroizing::new([5; 32])), letters.radix()).expect("a key");
    let mut dice = Dice(56);
    for turn in 0..round_trips() {
        let name = KINDS[usize::try_from(turn % 4).expect("small")];
        let template = built_in(name).expect(name);
        let fpe = Fpe { template: &template, alphabet: &letters, key: &key };
        let value = value(name, &mut dice);
        let tweak = turn.to_be_bytes();
        let made = fpe.turn(&value, &tweak[1..], Direction::Encode).expect("encrypted");
        let layout = |text: &str| text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
        assert_eq!(layout(&made), layout(&value), "{value}");
        let back = fpe.turn(&made, &tweak[1..], Direction::Decode).expect("decrypted");
        assert_eq!(back.as_str(), value, "{}", made.as_str());
        if turn % 64 == 0 {
            let other = fpe.turn(&value, b"another", Direction::Encode).expect("encrypted");
            assert_ne!(other.as_str(), made.as_str(), "another tweak");
        }
    }
}

#[test]
fn shaped_tokens_name_their_rows_and_are_unique() {
    let letters = alphabet::built_in("numeric").expect("numeric");
    let keys = ShapeKeys::new(&DataKey::from_key(Key::from_exposed(Zeroizing::new([9; 32])), KeyId { id: 1, version: 0 }));
    let mut dice = Dice(57);
    for name in KINDS {
        let template = built_in(name).expect(name);
        let shape = Shape::new(&template, &letters).expect(name);
        let trips = round_trips().min(shape.smallest() - shape.smallest() / 10);
        let mut seen = HashSet::with_capacity(usize::try_from(trips).expect("fits"));
        for serial in 0..trips {
            let value = value(name, &mut dice);
            let taken = template.take(&value).expect("fits");
            let place = shape.place(&taken).expect("a place");
            let row = shape.row(place, 7, serial).expect("a row");
            let token = shape.render(&keys, &template, (&value, &taken), place, row).expect("a token");
            assert_eq!(shape.read(&keys, &template, 7, &token), Some(row), "{}", token.as_str());
            let digits: u64 = token.chars().filter(char::is_ascii_digit).collect::<String>().parse().expect("digits");
            assert!(seen.insert(digits), "{} came twice", token.as_str());
        }
    }
}
