//! `audit` and `rotate`.

use crate::fixture::{Folder, Server};

const ENTRY: &str = r#"{"stream":"node-1","seq":7,"time":"2026-01-01T00:00:00Z","account":"web","action":"decode","decision":"granted","status":200,"leaf":"ab"}"#;

fn page(next: &str) -> String {
    format!(r#"{{"request_id":"r","data":{{"entries":[{ENTRY}],"next":{next}}}}}"#)
}

#[test]
fn entries_are_fetched_page_by_page_with_their_filters() {
    let server = Server::answering(&[(200, &page("\"node-1:7\"")), (200, &page("null"))]);
    let run = server.run(
        &["audit", "list", "--ndjson", "--account", "web", "--decision", "denied", "--since", "2026-01-01T00:00:00Z", "--subject", "-"],
        "id",
    );
    assert_eq!((run.code, run.out), (0, format!("{ENTRY}\n{ENTRY}\n")), "{}", run.err);
    let filters = "account=web&subject=id&decision=denied&since=2026-01-01T00%3A00%3A00Z";
    assert_eq!(
        server.request_lines(),
        [
            format!("GET /v1/sys/ledger/entries?{filters}&limit=100"),
            format!("GET /v1/sys/ledger/entries?{filters}&limit=99&after=node-1%3A7")
        ]
    );
}

#[test]
fn a_limit_ends_the_list_and_says_so() {
    let server = Server::answering(&[(200, &page("\"x\""))]);
    let run = server.run(&["audit", "list", "--limit", "1"], "");
    assert!(run.out.starts_with("Time ") && run.out.contains("decode"), "{}", run.out);
    assert!(run.err.contains("there are more"));
}

#[test]
fn the_verdict_is_the_exit_code() {
    for (status, body, code) in [
        (200, r#"{"request_id":"r","data":{"verdict":"sound","entries":9}}"#, 0),
        (200, r#"{"request_id":"r","data":{"verdict":"tampered","first_bad":"node-1:7"}}"#, 2),
        (200, r#"{"request_id":"r","data":{"verdict":"shorter"}}"#, 3),
        (200, r#"{"request_id":"r","data":{"verdict":"unverifiable"}}"#, 4),
        (200, r#"{"request_id":"r","data":{}}"#, 4),
        (403, r#"{"errors":["permission denied"]}"#, 4),
        (503, r#"{"errors":["sealed"]}"#, 5),
    ] {
        let server = Server::answering(&[(status, body)]);
        assert_eq!(server.run(&["audit", "verify"], "").code, code, "{body}");
    }
}

#[test]
fn known_checkpoints_go_along() {
    let server = Server::answering(&[(200, r#"{"request_id":"r","data":{"verdict":"sound"}}"#)]);
    let folder = Folder::new();
    let file = folder.file("checkpoint", "synthetic note\n");
    assert_eq!(server.run(&["audit", "verify", "--checkpoint", &file], "").code, 0);
    assert_eq!(server.requests()[0].body(), r#"{"checkpoints":["synthetic note\n"]}"#);
}

#[test]
fn a_receipt_is_compared_with_its_entry() {
    let answer = format!(r#"{{"request_id":"r","data":{{"entry":{ENTRY},"proof":[]}}}}"#);
    let server = Server::answering(&[(200, &answer), (200, &answer)]);
    assert_eq!(server.run(&["audit", "show", "node-1:7:AB"], "").code, 0);
    let forged = server.run(&["audit", "show", "node-1:7:cd"], "");
    assert_eq!(forged.code, 2);
    assert!(forged.err.contains("not the one of the receipt"));
    assert_eq!(server.request_lines()[0], "GET /v1/sys/ledger/entries/node-1/7");
    assert_eq!(server.run(&["audit", "show", "node-1"], "").code, 1);
}

#[test]
fn a_rotation_is_waited_for_through_a_pause_of_the_server() {
    let status = |remaining: u32| format!(r#"{{"request_id":"r","data":{{"kek_version":2,"total":10,"remaining":{remaining}}}}}"#);
    let server = Server::answering(&[(204, ""), (503, r#"{"errors":["not now"]}"#), (200, &status(0))]);
    let run = server.run(&["rotate", "kek", "--wait"], "");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("kek_version  2"), "{}", run.out);
    assert_eq!(server.request_lines(), ["POST /v1/sys/rotate", "GET /v1/sys/rotate/status", "GET /v1/sys/rotate/status"]);
}
