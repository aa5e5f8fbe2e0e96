use proptest::prelude::*;

use super::super::settings::Expiry;
use super::*;

const SECOND: i64 = 1_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_unix_micros(second * SECOND)
}

fn with(count: i64, settings: &Settings) -> Versions {
    let mut versions = Versions::new(at(0));
    for n in 1..=count {
        versions.add(at(n), settings, format!("digest-{n}"));
    }
    versions
}

#[test]
fn keeps_ten_versions_unless_told_otherwise() {
    let mut versions = with(10, &Settings::default());
    assert_eq!((versions.current, versions.oldest, versions.versions.len()), (10, 1, 10));
    assert_eq!(versions.add(at(11), &Settings::default(), String::new()), [1]);
    assert_eq!((versions.current, versions.oldest), (11, 2));
    assert_eq!(versions.state(1, at(11)), (1, State::Unknown));
}

#[test]
fn a_smaller_window_forgets_several_at_once() {
    let mut versions = with(5, &Settings::default());
    versions.max_versions = 2;
    assert_eq!(versions.add(at(6), &Settings::default(), String::new()), [1, 2, 3, 4]);
    assert_eq!((versions.oldest, versions.versions.len()), (5, 2));
    // As in Vault, the larger of the secret's and the mount's number counts.
    let mount = Settings { max_versions: 3, ..Settings::default() };
    assert_eq!(versions.add(at(7), &mount, String::new()), [] as [i64; 0]);
}

#[test]
fn check_and_set_compares_with_the_current_version() {
    assert!(check_and_set(0, Some(0), false).is_ok());
    assert!(check_and_set(3, Some(3), true).is_ok());
    assert!(check_and_set(3, None, false).is_ok());
    for (current, cas) in [(3, 0), (3, 2), (3, 4), (0, 1), (0, -1)] {
        let fault = check_and_set(current, Some(cas), false).expect_err("refused");
        assert_eq!((fault.status(), fault.to_string().as_str()), (400, "check-and-set parameter did not match the current version"));
    }
    assert_eq!(check_and_set(0, None, true).expect_err("refused").to_string(), "check-and-set parameter required for this call");
}

#[test]
fn deletes_and_undeletes() {
    let plain = Settings::default();
    let mut versions = with(3, &plain);
    assert!(!versions.delete(&[0], at(9)), "only a read takes 0 for the current one");
    assert!(versions.delete(&[3], at(9)));
    assert!(matches!(versions.state(0, at(9)), (3, State::Deleted(_))));
    assert!(!versions.delete(&[3, 7, -1], at(10)), "already deleted, unknown");
    assert_eq!(versions.versions[&3].deleted, Some(at(9)), "the first deletion's time stays");
    assert!(versions.undelete(&[3, 99], at(11), &plain));
    assert!(matches!(versions.state(3, at(11)), (3, State::Live(_))));
    assert!(!versions.undelete(&[3], at(11), &plain));
}

#[test]
fn destroys_for_good_and_once() {
    let mut versions = with(3, &Settings::default());
    assert_eq!(versions.destroy(&[2, 2, 8]), [2]);
    assert_eq!(versions.destroy(&[2]), [] as [i64; 0]);
    assert!(matches!(versions.state(2, at(9)), (2, State::Destroyed(_))));
    assert!(!versions.undelete(&[2], at(9), &Settings::default()));
    assert!(!versions.delete(&[2], at(9)));
    assert_eq!(versions.versions[&2].digest, "");
}

#[test]
fn expires_after_the_lifetime() {
    let mount = Settings { expiry: Expiry::AfterMillis(10_000), ..Settings::default() };
    let mut versions = with(1, &mount);
    assert_eq!(versions.versions[&1].deleted, Some(at(11)));
    assert!(matches!(versions.state(1, at(10)), (1, State::Live(_))));
    assert!(matches!(versions.state(1, at(11)), (1, State::Deleted(_))));
    // Taken back, it lives as long again.
    assert!(versions.undelete(&[1], at(20), &mount));
    assert_eq!(versions.versions[&1].deleted, Some(at(30)));
    // A version that would expire later can be deleted before.
    assert!(versions.delete(&[1], at(21)));
    versions.delete_after_millis = 2_000;
    versions.add(at(40), &mount, String::new());
    assert_eq!(versions.versions[&2].deleted, Some(at(42)));
    versions.add(at(50), &Settings { expiry: Expiry::Never, ..Settings::default() }, String::new());
    assert_eq!(versions.versions[&3].deleted, None);
}

#[test]
fn metadata_changes_only_what_is_given() {
    let mut versions = Versions::new(at(0));
    let custom = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>();
    let all = MetadataChange {
        max_versions: Some(4),
        cas_required: Some(true),
        delete_after: Some(Duration::from_secs(7)),
        custom_metadata: CustomChange::Replace(custom(&[("a", "1"), ("b", "2")])),
    };
    versions.apply(&all).expect("fine");
    assert_eq!((versions.max_versions, versions.cas_required, versions.delete_after()), (4, true, Duration::from_secs(7)));
    let patch =
        CustomChange::Merge(BTreeMap::from([("a".to_owned(), None), ("c".to_owned(), Some("3".to_owned())), ("no".to_owned(), None)]));
    versions.apply(&MetadataChange { custom_metadata: patch, ..MetadataChange::default() }).expect("fine");
    assert_eq!(versions.custom_metadata, custom(&[("b", "2"), ("c", "3")]));
    assert_eq!(versions.max_versions, 4);
    assert!(MetadataChange::default().is_empty() && !all.is_empty());
}

#[test]
fn custom_metadata_has_limits() {
    let of = |key: String, value: String| check_custom_metadata(&BTreeMap::from([(key, value)]));
    assert!(of("k".repeat(128), "v".repeat(512)).is_ok());
    for (key, value) in [(0, 1), (129, 1), (1, 0), (1, 513)] {
        assert!(of("k".repeat(key), "v".repeat(value)).is_err());
    }
    assert!(of("k\n".to_owned(), "v".to_owned()).is_err());
    let many = |count: usize| (0..count).map(|n| (n.to_string(), "v".to_owned())).collect::<BTreeMap<_, _>>();
    assert!(check_custom_metadata(&many(64)).is_ok());
    assert!(check_custom_metadata(&many(65)).is_err());
    let mut versions = Versions::new(at(0));
    versions.custom_metadata = many(64);
    let one_more = CustomChange::Merge(BTreeMap::from([("one more".to_owned(), Some("v".to_owned()))]));
    assert!(versions.apply(&MetadataChange { custom_metadata: one_more, ..MetadataChange::default() }).is_err());
}

#[test]
fn its_stored_form_is_frozen() {
    let mut versions = with(1, &Settings::default());
    versions.custom_metadata.insert("owner".to_owned(), "synthetic".to_owned());
    let text = r#"{"current":1,"oldest":0,"created":0,"updated":1000000,"max_versions":0,"cas_required":false,"delete_after_millis":0,"custom_metadata":{"owner":"synthetic"},"versions":{"1":{"created":1000000,"deleted":null,"destroyed":false,"digest":"digest-1"}}}"#;
    assert_eq!(serde_json::to_string(&versions).expect("json"), text);
    assert_eq!(serde_json::from_str::<Versions>(text).expect("json"), versions);
}

#[derive(Debug, Clone)]
enum Step {
    Add,
    Delete(i64),
    Undelete(i64),
    Destroy(i64),
    Window(u32),
    Lifetime(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Add),
        2 => (-1_i64..15).prop_map(Step::Delete),
        2 => (-1_i64..15).prop_map(Step::Undelete),
        1 => (-1_i64..15).prop_map(Step::Destroy),
        1 => (0_u32..6).prop_map(Step::Window),
        1 => (0_u64..4_000).prop_map(Step::Lifetime),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn whatever_happens_the_window_holds(steps in steps(), mount_window in 0_u32..4) {
        let settings = Settings { max_versions: mount_window, ..Settings::default() };
        let mut versions = Versions::new(at(0));
        let mut destroyed = std::collections::HashSet::new();
        let mut forgotten = 0;
        for (second, step) in steps.into_iter().enumerate() {
            let now = at(second as i64 + 1);
            let before = versions.current;
            match step {
                Step::Add => {
                    let trimmed = versions.add(now, &settings, "d".to_owned());
                    prop_assert_eq!(versions.current, before + 1, "numbers are never used twice");
                    prop_assert!(trimmed.iter().all(|n| *n > forgotten && !versions.versions.contains_key(n)));
                    forgotten = trimmed.last().copied().unwrap_or(forgotten);
                    let limit = match versions.max_versions.max(mount_window) { 0 => DEFAULT_MAX_VERSIONS, set => set };
                    prop_assert!(versions.versions.len() <= limit as usize);
                    prop_assert!(matches!(versions.state(0, now), (_, State::Live(_))));
                }
                Step::Delete(n) => { versions.delete(&[n], now); }
                Step::Undelete(n) => { versions.undelete(&[n], now, &settings); }
                Step::Destroy(n) => destroyed.extend(versions.destroy(&[n])),
                Step::Window(n) => versions.max_versions = n,
                Step::Lifetime(millis) => versions.delete_after_millis = millis,
            }
            prop_assert!(versions.current >= before);
            prop_assert!(versions.versions.keys().all(|n| (1..=versions.current).contains(n) && *n >= versions.oldest));
            prop_assert!(versions.current == 0 || versions.versions.contains_key(&versions.current));
            for n in &destroyed {
                prop_assert!(matches!(versions.state(*n, now).1, State::Destroyed(_) | State::Unknown), "destroyed is for good");
            }
            let text = serde_json::to_string(&versions).expect("json");
            prop_assert_eq!(serde_json::from_str::<Versions>(&text).expect("json"), versions.clone());
        }
    }
}
