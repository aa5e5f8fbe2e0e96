//! `kv` and the generic commands with a body.

use crate::fixture::{Folder, Server};

const SECRET: &str = r#"{"request_id":"r","data":{"data":{"user":"web","password":"synthetic\nvalue"},"metadata":{"version":3,"created_time":"2026-01-01T00:00:00Z"}}}"#;

#[test]
fn get_shows_values_and_version_or_one_field_as_it_is() {
    let server = Server::answering(&[(200, SECRET), (200, SECRET), (200, SECRET)]);
    let all = server.run(&["kv", "get", "db/web"], "");
    assert_eq!(
        all.out,
        "Key        Value\nuser       web\npassword   synthetic\\u{a}value\n(version)  3\n(created)  2026-01-01T00:00:00Z\n"
    );
    let field = server.run(&["kv", "get", "--mount", "/apps/", "--version", "3", "--field", "password", "db/web"], "");
    assert_eq!(field.out, "synthetic\nvalue");
    let missing = server.run(&["kv", "get", "--field", "pasword", "db/web"], "");
    assert!(missing.err.contains("user, password"), "{}", missing.err);
    assert_eq!(server.request_lines()[..2], ["GET /v1/secret/data/db/web", "GET /v1/apps/data/db/web?version=3"]);
}

#[test]
fn a_deleted_version_says_how_to_bring_it_back() {
    let deleted =
        r#"{"request_id":"r","data":{"data":null,"metadata":{"version":3,"deletion_time":"2026-01-02T00:00:00Z","destroyed":false}}}"#;
    let destroyed = r#"{"request_id":"r","data":{"data":null,"metadata":{"version":2,"deletion_time":"","destroyed":true}}}"#;
    let server = Server::answering(&[(404, deleted), (404, destroyed), (404, r#"{"errors":[]}"#)]);
    let run = server.run(&["kv", "get", "db/web"], "");
    assert_eq!(run.code, 2);
    assert!(run.err.contains("deleted at 2026-01-02T00:00:00Z") && run.err.contains("goldfin kv undelete --versions 3"), "{}", run.err);
    assert!(server.run(&["kv", "get", "db/web"], "").err.contains("version 2 of `db/web` was destroyed"));
    assert!(server.run(&["kv", "get", "db/web"], "").err.contains("status 404"));
}

#[test]
fn put_takes_values_from_stdin_and_files_and_passes_cas() {
    let answer = r#"{"request_id":"r","data":{"version":1}}"#;
    let server = Server::answering(&[(200, answer), (200, answer)]);
    let folder = Folder::new();
    let file = folder.file("user", "web\n");
    let put = server.run(&["kv", "put", "--cas", "0", "db/web", "password=-", &format!("user=@{file}")], "synthetic\n");
    assert_eq!(put.code, 0, "{}", put.err);
    let patch = server.run(&["kv", "patch", "db/web", "-"], r#"{"old":null,"n":1.10}"#);
    assert_eq!(patch.code, 0, "{}", patch.err);
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /v1/secret/data/db/web");
    assert_eq!(requests[0].body(), r#"{"data":{"password":"synthetic","user":"web\n"},"options":{"cas":0}}"#);
    assert_eq!(requests[1].line, "PATCH /v1/secret/data/db/web");
    assert_eq!(requests[1].header("content-type"), Some("application/merge-patch+json"));
    assert_eq!(requests[1].body(), r#"{"data":{"old":null,"n":1.10}}"#);
}

#[test]
fn versions_go_to_the_path_of_their_verb() {
    let server = Server::answering(&[(204, ""); 6]);
    for arguments in [
        &["kv", "delete", "a/b"][..],
        &["kv", "delete", "--versions", "1,2", "a/b"],
        &["kv", "undelete", "--versions", "1", "a/b"],
        &["kv", "destroy", "--versions", "2", "a/b"],
        &["kv", "metadata", "delete", "a/b"],
        &["kv", "metadata", "put", "--max-versions", "5", "--cas-required", "true", "--custom", "owner=web=team", "a/b"],
    ] {
        let run = server.run(arguments, "");
        assert_eq!((run.code, run.out.as_str()), (0, ""), "{arguments:?} {}", run.err);
        assert!(run.err.contains("a/b"), "{}", run.err);
    }
    let expected = [
        "DELETE /v1/secret/data/a/b",
        "POST /v1/secret/delete/a/b",
        "POST /v1/secret/undelete/a/b",
        "POST /v1/secret/destroy/a/b",
        "DELETE /v1/secret/metadata/a/b",
        "POST /v1/secret/metadata/a/b",
    ];
    assert_eq!(server.request_lines(), expected);
    assert_eq!(server.requests()[1].body(), r#"{"versions":[1,2]}"#);
    assert_eq!(server.requests()[5].body(), r#"{"max_versions":5,"cas_required":true,"custom_metadata":{"owner":"web=team"}}"#);
}

#[test]
fn lists_and_metadata() {
    let metadata = r#"{"request_id":"r","data":{"current_version":2,"versions":{"1":{"created_time":"t1","deletion_time":"","destroyed":true},"2":{"created_time":"t2","deletion_time":"t3","destroyed":false}}}}"#;
    let server = Server::answering(&[
        (200, r#"{"request_id":"r","data":{"keys":["web"]}}"#),
        (200, r#"{"request_id":"r","data":{"keys":["db/"]}}"#),
        (200, metadata),
    ]);
    assert_eq!(server.run(&["kv", "list", "db"], "").out, "web\n");
    assert_eq!(server.run(&["kv", "list"], "").out, "db/\n");
    assert_eq!(
        server.run(&["kv", "metadata", "get", "db/web"], "").out,
        "Key              Value\ncurrent_version  2\nversion 1        created t1, destroyed\nversion 2        created t2, deleted t3\n"
    );
    assert_eq!(server.request_lines()[..2], ["GET /v1/secret/metadata/db?list=true", "GET /v1/secret/metadata?list=true"]);
}

#[test]
fn write_shows_what_a_login_or_a_wrapping_answers() {
    let login = r#"{"request_id":"r","data":null,"wrap_info":null,"auth":{"client_token":"synthetic","policies":["a"]}}"#;
    let server = Server::answering(&[(200, login), (204, "")]);
    assert_eq!(server.run(&["write", "--field", "client_token", "auth/approle/login", "-"], r#"{"role_id":"x"}"#).out, "synthetic");
    let done = server.run(&["write", "transform/role/support", "-"], r#"{"transformations":["ssn"]}"#);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "", "written: transform/role/support\n"));
    assert_eq!(server.request_lines(), ["PUT /v1/auth/approle/login", "PUT /v1/transform/role/support"]);
    assert_eq!(server.run(&["write", "a"], "").code, 1);
}
