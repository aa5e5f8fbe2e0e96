//! `init`, `unseal`, `status`, `login`, `logout` and `token`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::fixture::Server;

const KEYS: &str = r#"{"keys":["6161","6262","6363"],"keys_base64":["YWE=","YmI=","Y2M="],"root_token":"synthetic-root"}"#;
const SEALED: &str = r#"{"sealed":true,"initialized":true,"t":2,"n":3,"progress":0,"version":"0.1.0"}"#;
const HALF: &str = r#"{"sealed":true,"initialized":true,"t":2,"n":3,"progress":1}"#;
const OPEN: &str = r#"{"sealed":false,"initialized":true,"t":2,"n":3,"progress":0}"#;

#[test]
fn keys_are_shown_once_or_written_for_their_owner() {
    let server = Server::answering(&[(200, KEYS), (200, KEYS)]);
    let shown = server.run_with(&["init", "--key-shares", "3", "--key-threshold", "2"], "", &[]);
    assert_eq!(shown.out, "Key         Value\nshare 1     YWE=\nshare 2     YmI=\nshare 3     Y2M=\nroot token  synthetic-root\n");
    assert_eq!(server.requests()[0].line, "PUT /v1/sys/init");
    assert_eq!(server.requests()[0].body(), r#"{"secret_shares":3,"secret_threshold":2}"#);
    assert_eq!(server.requests()[0].header("x-vault-token"), None);

    let path = server.home.path().join("init.json");
    let file = path.display().to_string();
    let written = server.run_with(&["init", "--output", &file], "", &[]);
    assert_eq!((written.code, written.out.as_str()), (0, ""));
    assert!(!written.err.contains("synthetic-root"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(server.run_with(&["init", "--output", &file], "", &[]).code, 1);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn keys_that_cannot_be_written_are_shown_rather_than_lost() {
    let server = Server::answering(&[(200, KEYS)]);
    let run = server.run_with(&["init", "--output", "/nonexistent/folder/init.json"], "", &[]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("share 3     Y2M=") && run.err.contains("cannot be written"), "{}", run.err);
}

#[test]
fn a_share_comes_from_stdin_and_progress_is_told() {
    let server = Server::answering(&[(200, HALF), (200, OPEN)]);
    let first = server.run_with(&["unseal"], "YWE=\n", &[]);
    assert_eq!(first.code, 0);
    assert!(first.err.contains("1 of 2 shares given"), "{}", first.err);
    assert!(server.run_with(&["unseal", "--share", "-"], " YmI= ", &[]).err.contains("unsealed"));
    assert_eq!(server.requests()[1].body(), r#"{"key":"YmI="}"#);
    assert_eq!(server.run_with(&["unseal", "--share", "YWE="], "", &[]).code, 1);
    assert_eq!(server.run_with(&["unseal"], "", &[]).code, 1);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_keys_file_gives_as_many_shares_as_are_needed() {
    let server = Server::answering(&[(200, SEALED), (200, HALF), (200, OPEN)]);
    let file = server.home.file("init.json", KEYS);
    let run = server.run_with(&["unseal", "--keys-file", &file], "", &[]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(server.requests().iter().map(|request| request.body()).collect::<Vec<_>>(), ["", r#"{"key":"YWE="}"#, r#"{"key":"YmI="}"#]);

    let wrong = Server::answering(&[(200, SEALED), (200, SEALED), (200, SEALED), (200, SEALED)]);
    assert_eq!(wrong.run_with(&["unseal", "--keys-file", &file], "", &[]).code, 2);
}

#[test]
fn status_is_the_exit_code() {
    let server = Server::answering(&[(200, OPEN), (200, SEALED), (200, r#"{"initialized":false,"sealed":true}"#)]);
    let codes: Vec<u8> = (0..3).map(|_| server.run_with(&["status"], "", &[]).code).collect();
    assert_eq!(codes, [0, 2, 2]);
}

#[test]
fn a_jwt_login_is_remembered_and_forgotten() {
    let auth = r#"{"request_id":"r","data":null,"auth":{"client_token":"synthetic-new","display_name":"jwt-web","lease_duration":60}}"#;
    let server = Server::answering(&[(200, auth), (200, r#"{"request_id":"r","data":{"a":"b"}}"#), (204, "")]);
    let login = server.run_with(&["login", "--method", "jwt", "--role", "web"], "synthetic.jwt\n", &[]);
    assert_eq!((login.code, login.out.as_str()), (0, ""), "{}", login.err);
    assert!(login.err.contains("as jwt-web") && !login.err.contains("synthetic-new"));
    let file = server.home.path().join(".goldfin-token");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    assert_eq!(server.run_with(&["read", "a"], "", &[]).code, 0);
    assert_eq!(server.run_with(&["logout"], "", &[]).code, 0);
    assert!(!file.exists());
    let requests = server.requests();
    assert_eq!(
        (requests[0].line.as_str(), requests[0].body().as_str()),
        ("POST /v1/auth/jwt/login", r#"{"jwt":"synthetic.jwt","role":"web"}"#)
    );
    assert_eq!(requests[0].header("x-vault-token"), None);
    assert_eq!(requests[1].header("x-vault-token"), Some("synthetic-new"));
    assert_eq!(requests[2].line, "POST /v1/auth/token/revoke-self");
}

#[test]
fn a_login_can_leave_nothing_behind() {
    let server = Server::answering(&[(200, r#"{"request_id":"r","auth":{"client_token":"synthetic-new"}}"#)]);
    let run = server.run_with(&["login", "--method", "jwt", "--mount", "ci", "--no-store"], "j", &[]);
    assert_eq!(run.out, "synthetic-new\n");
    assert!(!server.home.path().join(".goldfin-token").exists());
    assert_eq!(server.requests()[0].line, "POST /v1/auth/ci/login");
}

#[test]
fn a_token_is_looked_up_before_it_is_stored() {
    let server =
        Server::answering(&[(403, r#"{"errors":["permission denied"]}"#), (200, r#"{"request_id":"r","data":{"display_name":"web"}}"#)]);
    assert_eq!(server.run_with(&["login", "--method", "token"], "synthetic-bad", &[]).code, 2);
    assert!(!server.home.path().join(".goldfin-token").exists());
    assert_eq!(server.run_with(&["login", "--method", "token"], "synthetic-good", &[]).code, 0);
    assert_eq!(server.requests()[1].header("x-vault-token"), Some("synthetic-good"));
}

#[test]
fn a_token_file_that_others_can_read_stops_everything() {
    let server = Server::answering(&[]);
    let file = server.home.file(".goldfin-token", "synthetic-token");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let run = server.run_with(&["read", "a"], "", &[]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("read by others"));
    assert!(server.requests().is_empty());
}

#[test]
fn logging_out_forgets_a_token_that_is_dead_already() {
    let server = Server::answering(&[(403, r#"{"errors":["permission denied"]}"#)]);
    let file = server.home.file(".goldfin-token", "synthetic-token");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(server.run_with(&["logout"], "", &[]).code, 0);
    assert!(!std::path::Path::new(&file).exists());
}

#[test]
fn tokens_are_ones_own_by_default() {
    let auth = r#"{"request_id":"r","auth":{"client_token":"synthetic-child","accessor":"acc","lease_duration":3600}}"#;
    let server = Server::answering(&[(200, r#"{"request_id":"r","data":{"ttl":60}}"#), (200, auth), (204, ""), (204, ""), (200, auth)]);
    assert_eq!(server.run(&["token", "lookup"], "").out, "Key  Value\nttl  60\n");
    let renewed = server.run(&["token", "renew", "--increment", "1h"], "");
    assert_eq!((renewed.out.as_str(), renewed.err.as_str()), ("", "renewed for 3600 seconds\n"));
    assert_eq!(server.run(&["token", "revoke", "--accessor", "acc"], "").code, 0);
    assert_eq!(server.run(&["token", "revoke", "--token", "-"], "synthetic-leaked\n").code, 0);
    let created = server.run(&["token", "create", "--orphan", "--policy", "a", "--ttl", "1h", "--metadata", "k=v"], "");
    assert_eq!((created.out.as_str(), created.err.as_str()), ("synthetic-child\n", "accessor: acc\n"));
    let requests = server.requests();
    let seen: Vec<(&str, String)> = requests.iter().map(|request| (request.line.as_str(), request.body())).collect();
    assert_eq!(seen[0].0, "GET /v1/auth/token/lookup-self");
    assert_eq!(seen[1], ("POST /v1/auth/token/renew-self", r#"{"increment":"1h"}"#.to_owned()));
    assert_eq!(seen[2], ("POST /v1/auth/token/revoke-accessor", r#"{"accessor":"acc"}"#.to_owned()));
    assert_eq!(seen[3], ("POST /v1/auth/token/revoke", r#"{"token":"synthetic-leaked"}"#.to_owned()));
    assert_eq!(seen[4], ("POST /v1/auth/token/create-orphan", r#"{"policies":["a"],"ttl":"1h","meta":{"k":"v"}}"#.to_owned()));
}
