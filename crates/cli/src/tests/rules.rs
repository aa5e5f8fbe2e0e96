//! `policy`, `account`, `mount` and `auth`.

use crate::fixture::{Folder, Server};

#[test]
fn a_folder_is_loaded_as_a_whole() {
    let server = Server::answering(&[(204, "")]);
    let folder = Folder::new();
    folder.file("b.cedar", "permit (b);");
    folder.file("a.cedar", "permit (a);");
    folder.file("notes.txt", "no policy");
    let run = server.run(&["policy", "load", &folder.path().display().to_string()], "");
    assert_eq!(run.code, 0);
    assert!(run.err.contains("in force: 2 policies"), "{}", run.err);
    assert_eq!(server.requests()[0].line, "POST /v1/sys/policies/load");
    assert_eq!(server.requests()[0].body(), r#"{"policies":{"a":"permit (a);","b":"permit (b);"}}"#);
    let empty = Folder::new();
    assert_eq!(server.run(&["policy", "load", &empty.path().display().to_string()], "").code, 1);
}

#[test]
fn a_table_that_fails_is_exit_code_2() {
    let server = Server::answering(&[
        (200, r#"{"request_id":"r","data":{"passed":3,"failed":0,"failures":[]}}"#),
        (
            200,
            r#"{"request_id":"r","data":{"passed":2,"failed":1,"failures":[{"table":"t","case":"c","expected":"denied","decided":"granted"}]}}"#,
        ),
    ]);
    let folder = Folder::new();
    folder.file("a.cedar", "permit (a);");
    std::fs::create_dir(folder.path().join("decisions")).unwrap();
    folder.file("decisions/t.toml", "[[case]]");
    let path = folder.path().display().to_string();
    let sound = server.run(&["policy", "test", &path], "");
    assert_eq!((sound.code, sound.out.as_str(), sound.err.as_str()), (0, "", "3 decisions as expected, 0 not\n"));
    let broken = server.run(&["policy", "test", &path], "");
    assert_eq!(broken.code, 2);
    assert!(broken.out.contains("granted"));
    assert_eq!(server.requests()[0].body(), r#"{"policies":{"a":"permit (a);"},"tables":{"t":"[[case]]"}}"#);
}

#[test]
fn explain_and_who_ask_the_question_in_full() {
    let server = Server::answering(&[
        (200, r#"{"request_id":"r","data":{"allowed":false,"because":[]}}"#),
        (200, r#"{"request_id":"r","data":{"accounts":["web"]}}"#),
    ]);
    let arguments = [
        "policy",
        "explain",
        "--account",
        "web",
        "--group",
        "g",
        "--action",
        "decode",
        "--path",
        "transform/decode/a",
        "--purpose",
        "p",
        "--batch-size",
        "9",
    ];
    assert_eq!(server.run(&arguments, "").code, 2);
    assert_eq!(server.run(&["policy", "who", "--action", "read_secret", "--resource", "Secret::\"a\""], "").code, 0);
    let requests = server.requests();
    assert_eq!(
        requests[0].body(),
        r#"{"action":"decode","path":"transform/decode/a","account":"web","groups":["g"],"purpose":"p","batch_size":9}"#
    );
    assert_eq!(requests[1].body(), r#"{"action":"read_secret","resource":"Secret::\"a\""}"#);
}

#[test]
fn policies_are_read_and_written_as_text() {
    let server = Server::answering(&[
        (200, r#"{"request_id":"r","data":{"name":"a","policy":"permit (\n  principal\n);"}}"#),
        (204, ""),
        (200, r#"{"request_id":"r","data":{"policy":"permit (x);","not_expressed":["sudo"]}}"#),
    ]);
    assert_eq!(server.run(&["policy", "read", "a"], "").out, "permit (\n  principal\n);\n");
    assert_eq!(server.run(&["policy", "write", "a"], "permit (a);\n").code, 0);
    let converted = server.run(&["policy", "convert", "--name", "web"], "path {}");
    assert_eq!((converted.out.as_str(), converted.err.as_str()), ("permit (x);\n", "not expressed: sudo\n"));
    assert_eq!(server.requests()[1].line, "PUT /v1/sys/policies/acl/a");
    assert_eq!(server.requests()[2].body(), r#"{"hcl":"path {}","name":"web"}"#);
}

#[test]
fn accounts_are_written_from_options_or_a_document() {
    let server = Server::answering(&[(204, ""), (204, "")]);
    assert_eq!(
        server.run(&["account", "write", "web", "--group", "a", "--group", "b", "--alias", "kerberos/x@Y", "--disabled", "true"], "").code,
        0
    );
    assert_eq!(server.run(&["account", "write", "web", "--document", "-"], r#"{"groups":[]}"#).code, 0);
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /v1/sys/accounts/web");
    assert_eq!(requests[0].body(), r#"{"groups":["a","b"],"aliases":["kerberos/x@Y"],"disabled":true}"#);
    assert_eq!(requests[1].body(), r#"{"groups":[]}"#);
}

#[test]
fn quotas_are_written_listed_and_deleted() {
    let listed = r#"{"request_id":"r","data":{"keys":["night"]}}"#;
    let server = Server::answering(&[(204, ""), (204, ""), (200, listed), (204, "")]);
    let disclosure = ["quota", "disclosure", "night", "--account", "web", "--transformation", "", "--revealed", "500"];
    assert_eq!(server.run(&disclosure, "").code, 0);
    let rate = ["quota", "rate-limit", "all", "--path", "transform", "--rate", "2.5", "--interval", "1m", "--block-interval", "30s"];
    assert_eq!(server.run(&rate, "").code, 0);
    assert_eq!(server.run(&["quota", "list", "disclosure"], "").out, "night\n");
    assert_eq!(server.run(&["quota", "delete", "rate-limit", "all"], "").code, 0);
    let requests = server.requests();
    let seen: Vec<(&str, String)> = requests.iter().map(|request| (request.line.as_str(), request.body())).collect();
    assert_eq!(
        seen[0],
        ("POST /v1/sys/quotas/disclosure/night", r#"{"account":"web","transformation":"","revealed_per_hour":500}"#.to_owned())
    );
    let limits = r#"{"path":"transform","rate":"2.5","interval":"1m","block_interval":"30s"}"#;
    assert_eq!(seen[1], ("POST /v1/sys/quotas/rate-limit/all", limits.to_owned()));
    assert!(seen[2].0.contains("/v1/sys/quotas/disclosure"), "{}", seen[2].0);
    assert_eq!(seen[3].0, "DELETE /v1/sys/quotas/rate-limit/all");
}

#[test]
fn mounts_are_listed_enabled_tuned_and_taken_away_only_on_purpose() {
    let table = r#"{"request_id":"r","data":{"secret/":{"type":"kv","accessor":"kv_1","description":"d"}},"secret/":{}}"#;
    let server = Server::answering(&[(200, table), (204, ""), (204, ""), (204, ""), (204, "")]);
    assert_eq!(server.run(&["mount", "list"], "").out, "Path     Type  Accessor  Description\nsecret/  kv    kv_1      d\n");
    assert_eq!(server.run(&["mount", "enable", "kv", "--path", "/apps/", "--option", "version=2", "--max-lease-ttl", "24h"], "").code, 0);
    assert_eq!(server.run(&["auth", "enable", "kerberos"], "").code, 0);
    assert_eq!(server.run(&["auth", "tune", "kerberos", "--description", "d"], "").code, 0);
    assert_eq!(server.run(&["mount", "disable", "apps"], "").code, 1);
    assert_eq!(server.run(&["mount", "disable", "apps", "--yes"], "").code, 0);
    let requests = server.requests();
    let seen: Vec<(&str, String)> = requests.iter().skip(1).map(|request| (request.line.as_str(), request.body())).collect();
    assert_eq!(
        seen[0],
        ("POST /v1/sys/mounts/apps", r#"{"type":"kv","config":{"max_lease_ttl":"24h"},"options":{"version":"2"}}"#.to_owned())
    );
    assert_eq!(seen[1], ("POST /v1/sys/auth/kerberos", r#"{"type":"kerberos"}"#.to_owned()));
    assert_eq!(seen[2], ("POST /v1/sys/auth/kerberos/tune", r#"{"description":"d"}"#.to_owned()));
    assert_eq!(seen[3].0, "DELETE /v1/sys/mounts/apps");
}
