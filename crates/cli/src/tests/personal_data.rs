//! `encode`, `decode`, `validate` and `subject`. Every value is synthetic.

use crate::fixture::{Folder, Server};

#[test]
fn encode_and_decode_print_the_value_alone() {
    let server = Server::answering(&[
        (200, r#"{"request_id":"r","data":{"encoded_value":"tok-1","tweak":"t"}}"#),
        (200, r#"{"request_id":"r","data":{"decoded_value":"synthetic person"}}"#),
    ]);
    let folder = Folder::new();
    let subject = folder.file("subject", "synthetic-subject\n");
    let encoded =
        server.run(&["encode", "-r", "backend", "-t", "name", "--ttl", "1h", "--subject", &format!("@{subject}")], "synthetic person\n");
    assert_eq!((encoded.code, encoded.out.as_str()), (0, "tok-1\n"), "{}", encoded.err);
    let decoded = server
        .run(&["decode", "-r", "support", "--purpose", "claims", "--decode-format", "short", "--tweak", "AAECAwQFBg==", "-"], "tok-1");
    assert_eq!(decoded.out, "synthetic person\n");
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /v1/transform/encode/backend");
    assert_eq!(requests[0].body(), r#"{"value":"synthetic person","subject":"synthetic-subject","ttl":"1h","transformation":"name"}"#);
    assert_eq!(requests[1].line, "POST /v1/transform/decode/support/short");
    assert_eq!(requests[1].body(), r#"{"value":"tok-1","purpose":"claims","tweak":"AAECAwQFBg=="}"#);
}

#[test]
fn values_and_subjects_are_never_arguments() {
    let server = Server::answering(&[]);
    for arguments in [
        &["encode", "-r", "a", "synthetic-value"][..],
        &["subject", "show", "--id", "synthetic-value"],
        &["audit", "list", "--subject", "synthetic-value"],
    ] {
        let run = server.run(arguments, "");
        assert_eq!(run.code, 1);
        assert!(!run.err.contains("synthetic-value") && run.err.contains("@FILE"), "{}", run.err);
    }
    assert_eq!(server.run(&["encode", "-r", "a", "--subject", "-"], "x").code, 1);
    assert!(server.requests().is_empty());
}

#[test]
fn validity_is_the_exit_code() {
    let server =
        Server::answering(&[(200, r#"{"request_id":"r","data":{"valid":true}}"#), (200, r#"{"request_id":"r","data":{"valid":false}}"#)]);
    let (valid, not) = (server.run(&["validate", "-r", "a"], "tok"), server.run(&["validate", "-r", "a"], "tok"));
    assert_eq!((valid.code, valid.out.as_str()), (0, "true\n"));
    assert_eq!((not.code, not.out.as_str()), (2, "false\n"));
}

#[test]
fn a_batch_goes_in_chunks_and_comes_back_in_order() {
    let server = Server::answering(&[
        (200, r#"{"request_id":"r","data":{"batch_results":[{"encoded_value":"t1"},{"encoded_value":"t2"}]}}"#),
        (200, r#"{"request_id":"r","data":{"batch_results":[{"encoded_value":"t3"}]}}"#),
    ]);
    let run = server.run(&["encode", "-r", "backend", "-t", "name", "--batch", "lines", "--chunk", "2"], "a\r\n b \nc");
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, "t1\nt2\nt3\n", "3 values\n"));
    let requests = server.requests();
    assert_eq!(requests[0].body(), r#"{"batch_input":[{"value":"a","transformation":"name"},{"value":" b ","transformation":"name"}]}"#);
    assert_eq!(requests[1].body(), r#"{"batch_input":[{"value":"c","transformation":"name"}]}"#);
}

#[test]
fn a_value_that_fails_keeps_its_line_and_is_told_by_position() {
    let results = r#"{"request_id":"r","data":{"batch_results":[{"decoded_value":"x"},{"error":"token not known","status":404},{"decoded_value":"two\nlines"}]}}"#;
    let server = Server::answering(&[(200, results)]);
    let run = server.run(&["decode", "-r", "a", "--batch", "lines"], "tok-1\ntok-2\ntok-3\n");
    assert_eq!((run.code, run.out.as_str()), (2, "x\n\n\n"));
    assert!(run.err.contains("value 2: token not known\n") && run.err.contains("2 of 3 values failed"), "{}", run.err);
    assert!(!run.err.contains("tok-2"));
}

#[test]
fn a_batch_of_which_all_failed_still_says_why() {
    let server = Server::answering(&[(
        400,
        r#"{"request_id":"r","data":{"batch_results":[{"error":"not a phone number","status":400,"reference":"7"}]}}"#,
    )]);
    let folder = Folder::new();
    let input = folder.file("values", "{\"value\":\"synthetic\",\"reference\":\"7\",\"transformation\":\"own\"}\n");
    let run = server.run(&["encode", "-r", "a", "-t", "phone", "--batch", "ndjson", "--input", &input], "");
    assert_eq!(run.code, 2);
    assert_eq!(run.out, "{\"error\":\"not a phone number\",\"status\":400,\"reference\":\"7\"}\n");
    assert_eq!(server.requests()[0].body(), r#"{"batch_input":[{"value":"synthetic","reference":"7","transformation":"own"}]}"#);
}

#[test]
fn a_refused_chunk_says_how_far_it_came() {
    let server = Server::answering(&[
        (200, r#"{"request_id":"r","data":{"batch_results":[{"encoded_value":"t1"}]}}"#),
        (429, r#"{"errors":["quota"]}"#),
    ]);
    let run = server.run(&["encode", "-r", "a", "--batch", "lines", "--chunk", "1"], "a\nb\n");
    assert_eq!((run.code, run.out.as_str()), (2, "t1\n"));
    assert!(run.err.starts_with("stopped after 1 values\nerror: "), "{}", run.err);
}

#[test]
fn a_line_that_is_no_object_is_named_by_its_number() {
    let server = Server::answering(&[]);
    let run = server.run(&["encode", "-r", "a", "--batch", "ndjson"], "{\"value\":\"a\"}\nsynthetic\n");
    assert_eq!(run.code, 1);
    assert!(run.err.contains("line 2") && !run.err.contains("synthetic"), "{}", run.err);
}

#[test]
fn a_missing_result_is_not_passed_over() {
    let server = Server::answering(&[(200, r#"{"request_id":"r","data":{"batch_results":[]}}"#)]);
    assert_eq!(server.run(&["encode", "-r", "a", "--batch", "lines"], "a\n").code, 5);
}

#[test]
fn a_subject_is_in_the_request_and_in_no_message() {
    let server =
        Server::answering(&[(403, r#"{"errors":["permission denied"]}"#), (200, r#"{"request_id":"r","data":{"values":2}}"#), (204, "")]);
    let run = server.run(&["subject", "show"], "synthetic id\n");
    assert_eq!(run.code, 2);
    assert!(run.err.contains("read a subject") && !run.err.contains("synthetic"), "{}", run.err);
    assert_eq!(server.run(&["subject", "show", "--id", "-"], "synthetic id").out, "Key     Value\nvalues  2\n");
    assert_eq!(server.run(&["subject", "erase"], "synthetic id").code, 1);
    let erased = server.run(&["subject", "erase", "--yes"], "synthetic id");
    assert_eq!((erased.code, erased.err.as_str()), (0, "erased\n"));
    assert_eq!(server.request_lines()[1..], ["GET /v1/transform/subjects/synthetic%20id", "DELETE /v1/transform/subjects/synthetic%20id"]);
}

#[test]
fn an_export_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::answering(&[(200, r#"{"request_id":"r","data":{"name":"synthetic"}}"#)]);
    let path = server.home.path().join("person.json");
    let run = server.run(&["subject", "export", "--output", &path.display().to_string(), "--purpose", "access-request"], "id");
    assert_eq!((run.code, run.out.as_str()), (0, ""), "{}", run.err);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(server.requests()[0].header("x-goldfin-purpose"), Some("access-request"));
}

#[test]
fn tokens_are_found_and_deleted_by_value() {
    let server = Server::answering(&[
        (200, r#"{"request_id":"r","data":{"tokenized":false}}"#),
        (200, r#"{"request_id":"r","data":{"tokens":["tok-1"]}}"#),
        (204, ""),
        (200, r#"{"request_id":"r","data":{"batch_results":[{"deleted":true},{"error":"synthetic","status":400}]}}"#),
    ]);
    let folder = Folder::new();
    let subject = format!("@{}", folder.file("subject", "synthetic-subject\n"));
    let unknown = server.run(&["pii-token", "tokenized", "-r", "a", "--subject", &subject], "synthetic person");
    assert_eq!((unknown.code, unknown.out.as_str()), (2, "false\n"), "{}", unknown.err);
    let found = server.run(&["pii-token", "find", "-r", "a", "-t", "icn"], "synthetic person");
    assert!(found.code == 0 && found.out.contains("tok-1"), "{} {}", found.out, found.err);
    let deleted = server.run(&["pii-token", "delete-value", "-r", "a"], "synthetic person");
    assert_eq!((deleted.code, deleted.err.as_str()), (0, "deleted\n"));
    assert_eq!(server.run(&["pii-token", "delete", "-r", "a", "--batch", "lines"], "tok-1\ntok-2").code, 2);
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /v1/transform/tokenized/a");
    assert_eq!(requests[0].body(), r#"{"value":"synthetic person","subject":"synthetic-subject"}"#);
    assert_eq!(requests[1].line, "POST /v1/transform/tokens/a");
    assert_eq!(
        (requests[2].line.as_str(), requests[2].body()),
        ("DELETE /v1/transform/tokenized/a", r#"{"value":"synthetic person"}"#.into())
    );
    assert_eq!(requests[3].line, "DELETE /v1/transform/tokens/a");
}

#[test]
fn snapshots_and_exports_are_printed_page_by_page() {
    let server = Server::answering(&[
        (200, r#"{"request_id":"r","data":{"values":["AAAA","BBBB"],"continuation":"after-2"}}"#),
        (200, r#"{"request_id":"r","data":{"values":["CCCC"]}}"#),
        (204, ""),
        (200, r#"{"request_id":"r","data":{"values":[{"plaintext":"eA==","token":"tok-1"}]}}"#),
    ]);
    let taken = server.run(&["pii-token", "snapshot", "phone"], "");
    assert_eq!((taken.code, taken.out.as_str(), taken.err.as_str()), (0, "AAAA\nBBBB\nCCCC\n", "3 tokens\n"));
    let restored = server.run(&["pii-token", "restore", "phone"], &taken.out);
    assert_eq!((restored.code, restored.err.as_str()), (0, "3 tokens\n"));
    let exported = server.run(&["pii-token", "export", "phone", "-m", "other", "-p", "migration"], "");
    assert_eq!(exported.out, "{\"plaintext\":\"eA==\",\"token\":\"tok-1\"}\n");
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /v1/transform/transformations/tokenization/snapshot/phone");
    assert_eq!(requests[1].body(), r#"{"continuation":"after-2"}"#);
    assert_eq!(requests[2].body(), r#"{"values":["AAAA","BBBB","CCCC"]}"#);
    assert_eq!(requests[3].line, "POST /v1/other/transformations/tokenization/export-decoded/phone");
    assert_eq!(requests[3].body(), r#"{"purpose":"migration"}"#);
}

#[test]
fn a_text_goes_and_comes_back_to_the_last_byte() {
    let server = Server::answering(&[
        (
            200,
            r#"{"request_id":"r","data":{"count":1,"replaced":[],"text":"I am pii_1 in [location].\n\n","unserved":[{"class":"location","count":1}]}}"#,
        ),
        (200, r#"{"request_id":"r","data":{"gone":1,"restored":1,"text":"I am synthetic.\n\n","unknown":2}}"#),
        (200, r#"{"request_id":"r","data":{"gone":0,"restored":0,"text":"x","unknown":0}}"#),
    ]);
    let folder = Folder::new();
    let spans = folder.file("spans", r#"[{"start":5,"end":14,"entity_type":"PERSON","score":0.85}]"#);
    let run = server.run(&["redact", "chat", "--spans", &format!("@{spans}"), "--class", "ssn", "--ttl", "1h"], "I am synthetic.\n\n");
    assert_eq!((run.code, run.out.as_str()), (0, "I am pii_1 in [location].\n\n"), "{}", run.err);
    assert_eq!(run.err, "1 replaced\n1 of class `location`, which no transformation of the role serves\n");
    let back = server.run(&["unredact", "chat", "--purpose", "claims", "-m", "pii/"], "I am pii_1.\n\n");
    assert_eq!((back.code, back.out.as_str()), (0, "I am synthetic.\n\n"));
    assert!(back.err.contains("left as they are, not known here: 2") && back.err.contains("expired or erased: 1"), "{}", back.err);
    let page = folder.file("page", "x");
    assert_eq!(server.run(&["--format", "json", "unredact", "chat", &format!("@{page}")], "").out.matches("\"restored\"").count(), 1);
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /v1/transform/redact/chat");
    let body = r#"{"text":"I am synthetic.\n\n","spans":[{"start":5,"end":14,"entity_type":"PERSON","score":0.85}],"classes":["ssn"],"on_unserved":"mask","ttl":"1h"}"#;
    assert_eq!(requests[0].body(), body);
    assert_eq!(requests[1].line, "POST /v1/pii/restore/chat");
    assert_eq!(requests[1].body(), r#"{"text":"I am pii_1.\n\n","purpose":"claims"}"#);
    assert_eq!(server.run(&["redact", "chat", "synthetic text"], "").code, 1);
    assert_eq!(server.run(&["redact", "chat", "--subject", "-"], "x").code, 1);
}
