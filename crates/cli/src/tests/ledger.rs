//! `audit` and `rotate`.

use crate::fixture::{Folder, Server};

const ENTRY: &str = r#"{"stream":"node-1","seq":7,"time":"2026-01-01T00:00:00Z","account":"web","action":"decode","decision":"granted","status":200,"leaf":"ab"}"#;

fn page(next: &str) -> String {
    format!(r#"{{"request_id":"r","data":{{"entries":[{ENTRY}],"next":{next}}}}}"#)
}

#[test]
fn entries_are_fetched_page_by_page_with_their_filters() {
    let empty = r#"{"request_id":"r","data":{"entries":[],"next":"c-2"}}"#;
    let server = Server::answering(&[(200, &page("\"c-1\"")), (200, empty), (200, &page("null"))]);
    let filters = ["--account", "web", "--decision", "denied", "--peer", "192.0.2.0/24", "--status", "403", "--resource", "secret/a"];
    let run = server.run(&[&["audit", "list", "--ndjson", "--oldest-first"], &filters[..]].concat(), "");
    assert_eq!((run.code, run.out), (0, format!("{ENTRY}\n{ENTRY}\n")), "{}", run.err);
    let filters = "account=web&resource=secret%2Fa&decision=denied&peer=192.0.2.0%2F24&status=403&order=oldest";
    assert_eq!(
        server.request_lines(),
        [
            format!("GET /v1/sys/ledger/entries?{filters}&limit=100"),
            format!("GET /v1/sys/ledger/entries?{filters}&cursor=c-1&limit=99"),
            format!("GET /v1/sys/ledger/entries?{filters}&cursor=c-2&limit=99")
        ]
    );
}

#[test]
fn a_persons_id_travels_in_the_body() {
    let server = Server::answering(&[(200, &page("\"c\"")), (200, &page("null"))]);
    let run = server.run(&["audit", "list", "--subject", "-", "--action", "decode", "--mount", "pii"], "synthetic-id");
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(server.request_lines(), ["POST /v1/sys/ledger/search", "POST /v1/sys/ledger/search"]);
    assert_eq!(server.requests()[0].body(), r#"{"action":"decode","mount":"pii","subject":"synthetic-id","limit":100}"#);
    assert_eq!(server.requests()[1].body(), r#"{"action":"decode","cursor":"c","mount":"pii","subject":"synthetic-id","limit":99}"#);
}

#[test]
fn an_export_is_written_as_it_comes_and_says_where_it_broke_off() {
    let server = Server::answering(&[(200, "X-Goldfin-Next: c-1\n{\"seq\":1}\n"), (200, "{\"seq\":2}\n")]);
    let run = server.run(&["audit", "export", "--stream", "node-1"], "");
    assert_eq!((run.code, run.out.as_str()), (0, "{\"seq\":1}\n{\"seq\":2}\n"), "{}", run.err);
    assert_eq!(server.request_lines(), ["GET /v1/sys/ledger/export?stream=node-1", "GET /v1/sys/ledger/export?cursor=c-1"]);
    let server = Server::answering(&[(200, "X-Goldfin-Next: c-1\n{\"seq\":1}\n"), (503, r#"{"errors":["sealed"]}"#)]);
    let run = server.run(&["audit", "export"], "");
    assert_eq!((run.code, run.out.as_str()), (5, "{\"seq\":1}\n"));
    assert!(run.err.contains("--cursor c-1"), "{}", run.err);
}

#[test]
fn a_request_is_shown_as_a_person_reads_it() {
    let id = "0191e2c4-7a35-7c1b-9a44-3f5b7c1d2e3f";
    let entry = r#"{"stream":1,"seq":7,"time":"2026-01-01T00:00:00Z","account":"web","method":"jwt","action":"decode","decision":"denied","status":403,"denied_because":"forbidden","policies":["support#no-ssn"]}"#;
    let found = format!(r#"{{"request_id":"r","data":{{"entries":[{entry}],"next":null}}}}"#);
    let server = Server::answering(&[(200, &found), (200, r#"{"request_id":"r","data":{"entries":[],"next":null}}"#)]);
    let run = server.run(&["audit", "show", id], "");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("a policy forbids it: support#no-ssn") && run.out.contains("web, by jwt"), "{}", run.out);
    assert_eq!(server.request_lines(), [format!("GET /v1/sys/ledger/entries?request_id={id}&order=oldest")]);
    let run = server.run(&["audit", "show", id], "");
    assert_eq!(run.code, 2);
    assert!(run.err.contains("no entry of this request"));
}

#[test]
fn a_summary_has_the_columns_of_what_it_counts() {
    let answer = r#"{"request_id":"r","data":{"rows":[{"day":"2026-01-01","class":"ssn","account":"web","purpose":"claims","requests":2,"revealed":5}],"truncated":true}}"#;
    let server = Server::answering(&[(200, answer)]);
    let run = server.run(&["audit", "summary", "--by", "reveals"], "");
    assert!(run.out.contains("ssn") && run.out.contains("Values revealed"), "{}", run.out);
    assert!(run.err.contains("there are more rows"));
    assert_eq!(server.request_lines(), ["GET /v1/sys/ledger/summary?by=reveals"]);
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

#[test]
fn months_are_archived_and_pruned_until_none_is_left() {
    let archived = |left: u32| {
        format!(
            r#"{{"request_id":"r","data":{{"archive":{{"month":"2012-01","stream":1,"first":1,"last":9,"file":"f-{left}"}},"remaining":{left}}}}}"#
        )
    };
    let server = Server::answering(&[(200, &archived(1)), (200, &archived(0))]);
    let run = server.run(&["audit", "archive", "--until", "2012-02"], "");
    assert!(run.code == 0 && run.out.contains("f-1") && run.out.contains("f-0"), "{} {}", run.out, run.err);
    assert_eq!(server.request_lines(), ["POST /v1/sys/ledger/archive", "POST /v1/sys/ledger/archive"]);
    assert_eq!(server.requests()[0].body(), r#"{"until":"2012-02"}"#);
    let pruned = r#"{"request_id":"r","data":{"month":"2012-01","entries":9,"remaining":1}}"#;
    let server = Server::answering(&[(200, pruned), (400, r#"{"errors":["the oldest month holds entries that are not archived"]}"#)]);
    let run = server.run(&["audit", "prune", "--until", "2012-02"], "");
    assert!(run.code == 2 && run.err.contains("pruned 2012-01") && run.err.contains("not archived"), "{} {}", run.code, run.err);
}
