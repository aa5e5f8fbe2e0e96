use super::*;
use goldfin_crypto::{Key, Zeroizing};
use proptest::prelude::*;
use signed_note::Verifier as _;

fn signing() -> SigningKey {
    SigningKey::new(Key::from_exposed(Zeroizing::new([9; 32]))).unwrap()
}

fn log() -> LogKey {
    LogKey::new(signing().verifying_key())
}

fn note(stream: i32, size: u64) -> String {
    Checkpoint { stream, size, root: [5; 32] }.sign(&signing()).unwrap()
}

#[test]
fn a_checkpoint_reads_back_and_the_same_tree_gives_the_same_note() {
    let made = note(3, 4711);
    assert_eq!(Checkpoint::open(made.as_bytes(), &log()), Ok(Checkpoint { stream: 3, size: 4711, root: [5; 32] }));
    assert_eq!(made, note(3, 4711));
    assert!(made.starts_with(&format!("{}/3\n4711\n", log().log_id())));
}

#[test]
fn keys_read_back_and_answer_to_their_own_names_only() {
    let line = log().to_line();
    assert_eq!(LogKey::parse(&line), Ok(log()));
    assert_eq!(LogKey::parse(&format!("{line}\n")), Ok(log()));
    let public = line.rsplit_once('+').unwrap().1;
    let origin = log().origin(2);
    assert_eq!(LogKey::parse(&format!("{origin}+{}+{public}", hex(&log().key_id(&origin)))), Ok(log()));
    for name in ["goldfin/0123456789abcdef", "other", &format!("{}/0", log().log_id()), &format!("{}/01", log().log_id())] {
        assert!(LogKey::parse(&format!("{name}+{}+{public}", hex(&log().key_id(name)))).is_err(), "{name}");
    }
    for wrong in ["", "a+b", "a+b+c", line.get(..line.len() - 4).unwrap(), &line.replace('+', "-")] {
        assert!(LogKey::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn notes_of_another_form_are_refused() {
    let good = note(1, 12);
    let (text, signature) = good.split_once("\n\n").unwrap();
    let [origin, size, root]: [&str; 3] = text.split('\n').collect::<Vec<_>>().try_into().unwrap();
    let resigned = |text: String| {
        let mut bytes = log().key_id(origin).to_vec();
        bytes.extend_from_slice(&signing().sign(text.as_bytes()).unwrap());
        format!("{text}\n\u{2014} {origin} {}\n", STANDARD.encode(bytes))
    };
    assert_eq!(resigned(format!("{text}\n")), good);
    let with_size = |size: &str| resigned(format!("{origin}\n{size}\n{root}\n"));
    for (what, wrong) in [
        ("nothing", String::new()),
        ("no signature", format!("{text}\n")),
        ("no empty line", good.replace("\n\n", "\n")),
        ("no end", good.trim_end().to_owned()),
        ("two ends", format!("{good}\n")),
        ("an extension line", resigned(format!("{text}\nmore\n"))),
        ("two lines", resigned(format!("{origin}\n{size}\n"))),
        ("an empty line within", resigned(format!("{origin}\n\n{root}\n"))),
        ("size 0", with_size("0")),
        ("size 012", with_size("012")),
        ("size +12", with_size("+12")),
        ("size 2^63", with_size("9223372036854775808")),
        ("a short root", resigned(format!("{origin}\n{size}\n{}\n", STANDARD.encode([5; 31])))),
        ("a root without padding", resigned(format!("{origin}\n{size}\n{}\n", root.trim_end_matches('=')))),
        ("another origin", good.replace(origin, "goldfin/0123456789abcdef/1")),
        ("another stream", good.replace(origin, &log().origin(2))),
        ("another size", good.replace("\n12\n", "\n13\n")),
        ("a carriage return", good.replacen('\n', "\r\n", 1)),
        ("a hyphen for the dash", good.replace('\u{2014}', "-")),
        ("seventeen signatures", format!("{text}\n\n{}", format!("{}\n", signature.trim_end()).repeat(17))),
        ("too long", format!("{good}\u{2014} witness {}\n", STANDARD.encode(vec![1; LONGEST]))),
    ] {
        assert!(Checkpoint::open(wrong.as_bytes(), &log()).is_err(), "{what}");
    }
    let witnessed = format!("{good}\u{2014} witness.example {}\n", STANDARD.encode([1; 70]));
    assert!(Checkpoint::open(witnessed.as_bytes(), &log()).is_ok());
    let other = LogKey::new(SigningKey::new(Key::from_exposed(Zeroizing::new([8; 32]))).unwrap().verifying_key());
    assert!(Checkpoint::open(good.as_bytes(), &other).is_err());
}

#[test]
fn another_implementation_reads_our_notes_and_writes_the_same() {
    let origin = log().origin(1);
    let line = format!("{origin}+{}+{}", hex(&log().key_id(&origin)), log().to_line().rsplit_once('+').unwrap().1);
    let theirs = signed_note::StandardVerifier::new(&line).unwrap();
    assert_eq!(theirs.name(), origin);
    let good = note(1, 70_000);
    let opened = signed_note::Note::from_bytes(good.as_bytes()).unwrap();
    let (verified, _) = opened.verify(&signed_note::VerifierList::new(vec![Box::new(theirs)])).unwrap();
    assert_eq!(verified.len(), 1);
    let text = tlog_tiles::Checkpoint::from_bytes(opened.text()).unwrap();
    assert_eq!((text.origin(), text.size(), text.hash().0), (origin.as_str(), 70_000, [5; 32]));
}

proptest! {
    #[test]
    fn bytes_that_are_changed_anywhere_are_no_checkpoint(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let good = note(1, 12).into_bytes();
        let mut changed = good.clone();
        let at = at.index(changed.len());
        changed[at] = to;
        if changed != good {
            prop_assert!(Checkpoint::open(&changed, &log()).is_err());
        }
    }

    #[test]
    fn nothing_that_is_read_ends_badly(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC*") {
        prop_assert!(Checkpoint::open(&bytes, &log()).is_err());
        prop_assert!(Checkpoint::open(text.as_bytes(), &log()).is_err());
        prop_assert!(LogKey::parse(&text).is_err());
    }
}
