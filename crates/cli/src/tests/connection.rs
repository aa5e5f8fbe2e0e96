//! Reaching a server, being refused by it, and what is sent along.

use crate::fixture::{Folder, Server, run};

const EMPTY: &str = r#"{"request_id":"r","data":{"a":"b"}}"#;

#[test]
fn a_request_carries_token_namespace_and_the_mark_of_a_client() {
    let server = Server::answering(&[(200, EMPTY)]);
    let run = server.run(&["--namespace", "team", "read", "/sys/host info/"], "");
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let requests = server.requests();
    assert_eq!(requests[0].line, "GET /v1/sys/host%20info");
    assert_eq!(requests[0].header("x-vault-token"), Some("synthetic-token"));
    assert_eq!(requests[0].header("x-vault-namespace"), Some("team"));
    assert_eq!(requests[0].header("x-vault-request"), Some("true"));
}

#[test]
fn plain_http_is_refused_before_anything_is_sent() {
    let run = run(&["--address", "http://127.0.0.1:8200", "status"], "", vec![]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("no TLS"), "{}", run.err);
}

#[test]
fn goldfins_variables_go_before_vaults() {
    let server = Server::answering(&[(200, EMPTY)]);
    let run = server.run_with(
        &["read", "a"],
        "",
        &[("GOLDFIN_TOKEN", "of-goldfin"), ("VAULT_TOKEN", "of-vault"), ("VAULT_NAMESPACE", "v"), ("GOLDFIN_NAMESPACE", "g")],
    );
    assert_eq!(run.code, 0, "{}", run.err);
    let requests = server.requests();
    assert_eq!(requests[0].header("x-vault-token"), Some("of-goldfin"));
    assert_eq!(requests[0].header("x-vault-namespace"), Some("g"));
}

#[test]
fn without_a_token_nothing_is_asked() {
    let server = Server::answering(&[]);
    let run = server.run_with(&["read", "a"], "", &[]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("goldfin login"), "{}", run.err);
    assert!(server.requests().is_empty());
}

#[test]
fn a_server_of_another_ca_gets_no_token() {
    let (server, other) = (Server::answering(&[(200, EMPTY)]), Server::answering(&[]));
    let ca = other.home.path().join("ca.pem").display().to_string();
    let run = server.run(&["--ca-cert", &ca, "read", "a"], "");
    assert_eq!(run.code, 5);
    assert!(run.err.contains("--ca-cert"), "{}", run.err);
    assert!(server.requests().is_empty());
}

#[test]
fn a_server_of_another_name_gets_no_token() {
    let server = Server::answering(&[(200, EMPTY)]);
    let address = server.address.replace("localhost", "127.0.0.1");
    let run = server.run(&["--address", &address, "read", "a"], "");
    assert_eq!(run.code, 5);
    assert!(server.requests().is_empty());
}

#[test]
fn a_missing_or_empty_ca_file_is_a_local_error() {
    let folder = Folder::new();
    let empty = folder.file("empty.pem", "");
    for file in ["/nonexistent/ca.pem", &empty] {
        let run = run(&["--ca-cert", file, "status"], "", vec![]);
        assert_eq!(run.code, 1, "{}", run.err);
    }
}

#[test]
fn nobody_listening_is_5() {
    let server = Server::answering(&[]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = server.run(&["--address", &format!("https://localhost:{}", free.port()), "read", "a"], "");
    assert_eq!(run.code, 5, "{}", run.err);
}

#[test]
fn a_refusal_shows_the_reason_the_request_and_a_way_on() {
    let server = Server::answering(&[(403, r#"{"errors":["permission denied\u001b[2J"]}"#)]);
    let run = server.run(&["read", "secret/data/x"], "");
    assert_eq!(run.code, 2);
    assert_eq!(run.out, "");
    assert!(
        run.err.starts_with(
            "error: the server refused `GET secret/data/x` (status 403)\n  - permission denied\\u{1b}[2J\n  request id: request-1\n  hint: "
        ),
        "{}",
        run.err
    );
    assert!(run.err.contains("goldfin audit list --request-id request-1"));
}

#[test]
fn a_sealed_server_and_an_unknown_outcome_are_5() {
    let server = Server::answering(&[(503, r#"{"errors":["sealed"]}"#), (500, r#"{"errors":["outcome unknown"]}"#), (503, "")]);
    assert!(server.run(&["read", "a"], "").err.contains("goldfin unseal"));
    let unknown = server.run(&["delete", "a"], "");
    assert_eq!(unknown.code, 5);
    assert!(unknown.err.contains("before you repeat it"));
    assert_eq!(server.run(&["read", "a"], "").code, 5);
}

#[test]
fn a_redirect_is_not_followed() {
    let server = Server::answering(&[(307, "")]);
    let run = server.run(&["read", "a"], "");
    assert_eq!(run.code, 2);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_is_not_json_is_not_goldfin() {
    let server = Server::answering(&[(200, "<html>")]);
    let run = server.run(&["read", "a"], "");
    assert_eq!(run.code, 5);
    assert!(run.err.contains("did not answer in JSON"));
}

#[test]
fn warnings_of_the_server_are_passed_on() {
    let server = Server::answering(&[(200, r#"{"request_id":"r","data":{"a":1},"warnings":["1 member is not known"]}"#)]);
    let run = server.run(&["--quiet", "write", "--empty", "a"], "");
    assert_eq!(run.err, "warning: 1 member is not known\n");
}

#[test]
fn formats_show_the_data_and_keep_digits() {
    let answer = r#"{"request_id":"r","lease_id":"","data":{"n":1.10,"t":"a: \u001b","l":["x"]},"auth":null}"#;
    let server = Server::answering(&[(200, answer); 3]);
    assert_eq!(
        server.run(&["--format", "json", "read", "a"], "").out,
        "{\n  \"n\": 1.10,\n  \"t\": \"a: \\u001b\",\n  \"l\": [\n    \"x\"\n  ]\n}\n"
    );
    assert_eq!(server.run(&["--format", "yaml", "read", "a"], "").out, "\"n\": 1.10\n\"t\": \"a: \\u001b\"\n\"l\":\n  - \"x\"\n");
    assert_eq!(server.run(&["read", "a"], "").out, "Key  Value\nn    1.10\nt    a: \\u{1b}\nl    [\"x\"]\n");
}

#[test]
fn lists_are_one_name_a_line_and_an_empty_one_is_refused() {
    let server = Server::answering(&[(200, r#"{"request_id":"r","data":{"keys":["a","b/"]}}"#), (404, r#"{"errors":[]}"#)]);
    assert_eq!(server.run(&["list", "transform/role"], "").out, "a\nb/\n");
    assert_eq!(server.run(&["list", "transform/role"], "").code, 2);
    assert_eq!(server.request_lines()[0], "GET /v1/transform/role?list=true");
}
