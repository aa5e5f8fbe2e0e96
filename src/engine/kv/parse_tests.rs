use std::sync::Arc;

use super::*;
use crate::model::action::Action;
use crate::model::clock::Timestamp;
use crate::model::id::{MountId, RequestId};
use crate::model::mount::{Kind, Mount};
use crate::model::operation::{Operation, ResourceKind};

fn call(verb: Verb, tail: &str, query: &[(&str, &str)], body: &str) -> Call {
    let now = Timestamp::from_unix_micros(0);
    let mount = Mount {
        id: MountId(3),
        path: "apps/secret".to_owned(),
        kind: Kind::Kv,
        accessor: String::new(),
        uuid: String::new(),
        description: String::new(),
        created: now,
        default_lease_ttl: 0,
        max_lease_ttl: 0,
        options: BTreeMap::new(),
    };
    Call {
        request: RequestId::generate(now).expect("random"),
        now,
        verb,
        mount: Arc::new(mount),
        tail: tail.to_owned(),
        query: Query::new(query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()),
        body: if body.is_empty() { Node::Null } else { Node::parse(body.as_bytes()).expect("json") },
        purpose: None,
        negotiate: None,
        shown: None,
    }
}

fn parsed(verb: Verb, tail: &str, body: &str) -> Result<Op, Fault> {
    parse(call(verb, tail, &[], body))
}

fn task(verb: Verb, tail: &str, body: &str) -> Task {
    parsed(verb, tail, body).expect("taken").task
}

fn refusal(verb: Verb, tail: &str, body: &str) -> (u16, String) {
    let fault = parsed(verb, tail, body).expect_err("refused");
    (fault.status(), fault.to_string())
}

#[test]
fn every_path_and_verb_is_one_action_on_one_resource() {
    let versions = r#"{"versions":[1]}"#;
    for (verb, tail, body, action, id) in [
        (Verb::Read, "data/app/db", "", Action::ReadSecret, "apps/secret/app/db"),
        (Verb::Write, "data/app/db", r#"{"data":{}}"#, Action::WriteSecret, "apps/secret/app/db"),
        (Verb::Patch, "data/app/db", r#"{"data":{}}"#, Action::WriteSecret, "apps/secret/app/db"),
        (Verb::Delete, "data/app/db", "", Action::DeleteSecret, "apps/secret/app/db"),
        (Verb::Write, "delete/app/db", versions, Action::DeleteSecret, "apps/secret/app/db"),
        (Verb::Write, "undelete/app/db", versions, Action::UndeleteSecret, "apps/secret/app/db"),
        (Verb::Write, "destroy/app/db", versions, Action::DestroySecret, "apps/secret/app/db"),
        (Verb::Read, "subkeys/app/db", "", Action::ReadSecretMetadata, "apps/secret/app/db"),
        (Verb::Read, "metadata/app/db", "", Action::ReadSecretMetadata, "apps/secret/app/db"),
        (Verb::Write, "metadata/app/db", "", Action::WriteSecretMetadata, "apps/secret/app/db"),
        (Verb::Patch, "metadata/app/db", "", Action::WriteSecretMetadata, "apps/secret/app/db"),
        (Verb::Delete, "metadata/app/db", "", Action::DestroySecret, "apps/secret/app/db"),
        (Verb::List, "metadata/app", "", Action::ListSecrets, "apps/secret/app"),
        (Verb::List, "metadata", "", Action::ListSecrets, "apps/secret"),
        (Verb::Read, "config", "", Action::ReadSetting, "apps/secret/config"),
        (Verb::Write, "config", "", Action::WriteSetting, "apps/secret/config"),
    ] {
        let op = parsed(verb, tail, body).expect(tail);
        let resource = op.resource();
        assert_eq!((op.action(), resource.id.as_str(), resource.mount.as_deref()), (action, id, Some("apps/secret")), "{verb:?} {tail}");
        let kind = if tail == "config" { ResourceKind::Setting } else { ResourceKind::Secret };
        assert_eq!(resource.kind, kind);
    }
}

#[test]
fn other_verbs_and_paths_are_refused() {
    let verbs = [Verb::Read, Verb::Probe, Verb::Write, Verb::Patch, Verb::Delete, Verb::List];
    for (tail, allowed) in [
        ("data/a", &[Verb::Read, Verb::Write, Verb::Patch, Verb::Delete][..]),
        ("metadata/a", &[Verb::Read, Verb::Write, Verb::Patch, Verb::Delete, Verb::List]),
        ("delete/a", &[Verb::Write]),
        ("undelete/a", &[Verb::Write]),
        ("destroy/a", &[Verb::Write]),
        ("subkeys/a", &[Verb::Read]),
        ("config", &[Verb::Read, Verb::Write]),
    ] {
        for verb in verbs.into_iter().filter(|verb| !allowed.contains(verb)) {
            assert_eq!(refusal(verb, tail, "").0, 405, "{verb:?} {tail}");
        }
    }
    for tail in ["", "app/db", "dat/a", "config/a", "Data/a"] {
        for verb in verbs {
            assert_eq!(refusal(verb, tail, "").0, 404, "{verb:?} {tail}");
        }
    }
    for (verb, tail) in [(Verb::Read, "data"), (Verb::Write, "metadata"), (Verb::Write, "destroy"), (Verb::Read, "subkeys")] {
        assert_eq!(refusal(verb, tail, "").0, 400, "{verb:?} {tail}");
    }
}

#[test]
fn a_write_takes_data_and_check_and_set() {
    let cas = |body: &str| match task(Verb::Write, "data/a", body) {
        Task::Write { cas, .. } => cas,
        other => panic!("{other:?}"),
    };
    assert_eq!(cas(r#"{"data":{}}"#), None);
    assert_eq!(cas(r#"{"data":{},"options":{}}"#), None);
    assert_eq!(cas(r#"{"data":{},"options":null}"#), None);
    assert_eq!(cas(r#"{"data":{},"options":{"cas":null}}"#), None);
    assert_eq!(cas(r#"{"data":{},"options":{"cas":0}}"#), Some(0));
    assert_eq!(cas(r#"{"data":{},"options":{"cas":"7"}}"#), Some(7));
    for options in [r#"{"cas":"x"}"#, r#"{"cas":1.5}"#, r#"{"cas":-1}"#, r#"{"cas":[]}"#, r#"{"cas":18446744073709551615}"#] {
        let (status, text) = refusal(Verb::Write, "data/a", &format!(r#"{{"data":{{}},"options":{options}}}"#));
        assert_eq!((status, text.as_str()), (400, "error parsing check-and-set parameter"), "{options}");
    }
    for body in ["", "{}", r#"{"data":null}"#] {
        assert_eq!(refusal(Verb::Write, "data/a", body), (400, "no data provided".to_owned()));
    }
    for body in ["[]", r#"{"data":"synthetic"}"#, r#"{"data":[1]}"#, r#"{"data":{},"options":1}"#, r#"{"Data":{},"data":{}}"#] {
        assert_eq!(refusal(Verb::Write, "data/a", body).0, 400, "{body}");
    }
}

#[test]
fn what_is_stored_is_what_came() {
    let Task::Write { data, .. } = task(Verb::Write, "data/a", r#"{"data":{"n":1.000,"long":12345678901234567890,"t":null}}"#) else {
        panic!()
    };
    assert_eq!(data.expose_text(), Ok(r#"{"n":1.000,"long":12345678901234567890,"t":null}"#));
}

#[test]
fn unknown_members_are_counted_in_both_objects() {
    let op = parsed(Verb::Write, "data/a", r#"{"data":{},"options":{"more":1,"cas":1},"other":2,"null":null}"#).expect("taken");
    assert_eq!(op.unknown, 2);
}

#[test]
fn versions_come_in_many_forms() {
    let of = |body: &str| match task(Verb::Write, "destroy/a", body) {
        Task::Destroy { versions } => versions,
        other => panic!("{other:?}"),
    };
    assert_eq!(of(r#"{"versions":[3,"1",2,3]}"#), [1, 2, 3]);
    assert_eq!(of(r#"{"versions":"4, 5"}"#), [4, 5]);
    assert_eq!(of(r#"{"versions":6}"#), [6]);
    for body in ["", r#"{"versions":[]}"#, r#"{"versions":""}"#, r#"{"versions":[null]}"#] {
        assert_eq!(refusal(Verb::Write, "destroy/a", body), (400, "No version number provided".to_owned()), "{body}");
    }
    for versions in ["[-1]", "[1.5]", r#"["x"]"#, "[[1]]", "true", r#""1,x""#, "{}"] {
        assert_eq!(refusal(Verb::Write, "delete/a", &format!(r#"{{"versions":{versions}}}"#)).0, 400, "{versions}");
    }
}

#[test]
fn numbers_behind_the_question_mark() {
    let of = |query: &[(&str, &str)]| parse(call(Verb::Read, "subkeys/a", query, "")).map(|op| op.task);
    assert!(matches!(of(&[]), Ok(Task::Subkeys { version: 0, depth: 0 })));
    assert!(matches!(of(&[("version", "3"), ("depth", "2")]), Ok(Task::Subkeys { version: 3, depth: 2 })));
    assert!(matches!(of(&[("version", "")]), Ok(Task::Subkeys { version: 0, depth: 0 })));
    for text in ["-1", "+1", "1.0", "x", "99999999999999999999", "１"] {
        let fault = of(&[("version", text)]).expect_err("refused");
        assert_eq!(fault.to_string(), "`version` must be a whole number that is not negative");
    }
}

#[test]
fn metadata_and_its_patch() {
    let written = |verb, body: &str| match task(verb, "metadata/a", body) {
        Task::WriteMetadata { change } | Task::PatchMetadata { change } => change,
        other => panic!("{other:?}"),
    };
    assert!(written(Verb::Write, r#"{"max_versions":null,"custom_metadata":null}"#).is_empty(), "null is not given");
    let change =
        written(Verb::Write, r#"{"max_versions":5,"cas_required":true,"delete_version_after":"3h25m19s","custom_metadata":{"k":"v"}}"#);
    let custom = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    let expected = MetadataChange {
        max_versions: Some(5),
        cas_required: Some(true),
        delete_after: Some(Duration::from_secs(12_319)),
        custom_metadata: CustomChange::Replace(custom),
    };
    assert_eq!(change, expected);
    let patch = written(Verb::Patch, r#"{"max_versions":null,"cas_required":null,"delete_version_after":null,"custom_metadata":null}"#);
    let reset = MetadataChange {
        max_versions: Some(0),
        cas_required: Some(false),
        delete_after: Some(Duration::ZERO),
        custom_metadata: CustomChange::Replace(BTreeMap::new()),
    };
    assert_eq!(patch, reset, "in a patch null takes away");
    let patch = written(Verb::Patch, r#"{"custom_metadata":{"gone":null,"k":"v"}}"#);
    let merged = BTreeMap::from([("gone".to_owned(), None), ("k".to_owned(), Some("v".to_owned()))]);
    assert_eq!(patch.custom_metadata, CustomChange::Merge(merged));
    for body in [
        r#"{"max_versions":10001}"#,
        r#"{"max_versions":-1}"#,
        r#"{"cas_required":"maybe"}"#,
        r#"{"delete_version_after":"-1s"}"#,
        r#"{"delete_version_after":"soon"}"#,
        r#"{"custom_metadata":{"k":1}}"#,
        r#"{"custom_metadata":{"":"v"}}"#,
        r#"{"custom_metadata":"k=v"}"#,
    ] {
        assert_eq!(refusal(Verb::Write, "metadata/a", body).0, 400, "{body}");
        assert_eq!(refusal(Verb::Patch, "metadata/a", body).0, 400, "{body}");
    }
}

#[test]
fn the_mounts_expiry_may_be_switched_off() {
    let of = |value: &str| match task(Verb::Write, "config", &format!(r#"{{"delete_version_after":{value}}}"#)) {
        Task::WriteSettings { change } => change.expiry,
        other => panic!("{other:?}"),
    };
    assert_eq!(of("null"), None);
    assert_eq!(of("0"), Some(Expiry::Unset));
    assert_eq!(of(r#""0s""#), Some(Expiry::Unset));
    assert_eq!(of(r#""-0s""#), Some(Expiry::Unset));
    assert_eq!(of(r#""1h30m""#), Some(Expiry::AfterMillis(5_400_000)));
    assert_eq!(of("90"), Some(Expiry::AfterMillis(90_000)));
    assert_eq!(of("-1"), Some(Expiry::Never));
    assert_eq!(of(r#""-1s""#), Some(Expiry::Never));
    for value in [r#""--1s""#, r#""-""#, r#""x""#, "1.5", "[]", "true"] {
        assert_eq!(refusal(Verb::Write, "config", &format!(r#"{{"delete_version_after":{value}}}"#)).0, 400, "{value}");
    }
}

#[test]
fn refusals_repeat_nothing_of_the_request() {
    for (verb, tail, body) in [
        (Verb::Write, "data/canary-5", r#"{"data":"canary-5"}"#),
        (Verb::Write, "data/canary-5", r#"{"data":{},"options":{"cas":"canary-5"}}"#),
        (Verb::Write, "metadata/canary-5", r#"{"custom_metadata":{"canary-5\u0001":"canary-5"}}"#),
        (Verb::Write, "destroy/canary-5", r#"{"versions":"canary-5"}"#),
        (Verb::Write, "config", r#"{"delete_version_after":"canary-5"}"#),
        (Verb::Read, "canary-5/x", ""),
    ] {
        assert!(!refusal(verb, tail, body).1.contains("canary"), "{tail} {body}");
    }
}
