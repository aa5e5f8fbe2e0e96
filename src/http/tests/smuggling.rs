//! Requests whose end is a matter of opinion (SEC-72): 400, the connection closes, and what was hidden behind is never read.

use super::*;

const HIDDEN: &str = "GET /v1/hidden HTTP/1.1\r\nHost: x\r\n\r\n";

async fn refused(server: &Running, bytes: &str) {
    let answer = server.raw(bytes.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "), "{bytes:?} was answered {answer:?}");
    assert_eq!(answer.matches("HTTP/1.").count(), 1, "{bytes:?} was answered more than once: {answer:?}");
    for seen in server.seen() {
        assert!(seen.wanted.is_err(), "{bytes:?} was understood as {:?}", seen.wanted);
    }
}

#[tokio::test]
async fn two_opinions_about_the_length() {
    let server = start(Limits::default());
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Content-Length : 5",
        "Content-Length\t: 5",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked, chunked",
    ] {
        refused(&server, &format!("POST /v1/a HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n0\r\n\r\n{HIDDEN}")).await;
    }
}

#[tokio::test]
async fn lines_that_are_none() {
    let server = start(Limits::default());
    for request in [
        "GET /v1/a HTTP/1.1\nHost: x\n\n",
        "GET /v1/a HTTP/1.1\r\nHost: x\n\r\n",
        "GET /v1/a HTTP/1.1\nHost: x\r\n\r\n",
        "GET /v1/a HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n",
        "GET /v1/a HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\tc\r\n\r\n",
        "GET /v1/a HTTP/1.1\r\n Host: x\r\n\r\n",
        "GET /v1/a HTTP/1.1\r\nHost: x\r\nX-A: b\rX-B: c\r\n\r\n",
        "GET /v1/a HTTP/1.1\r\nHost: x\r\nX-A: b\0c\r\n\r\n",
        "GET /v1/a HTTP/1.1\r\nHost: x\r\nX A: b\r\n\r\n",
        "GET /v1/a HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
        "GET /v1/a HTTP/1.1\r\nHost: x\r\nX-A\r\n\r\n",
        "GET  /v1/a HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/a  HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/a b HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/a\r\nHost: x\r\n\r\n",
        "GET /v1/a HTTP/1.2\r\nHost: x\r\n\r\n",
        "GET /v1/a HTTP/3.0\r\nHost: x\r\n\r\n",
        "GET /v1/a http/1.1\r\nHost: x\r\n\r\n",
        "G\u{0}ET /v1/a HTTP/1.1\r\nHost: x\r\n\r\n",
        "\u{16}\u{3}\u{1}\r\n\r\n",
    ] {
        refused(&server, &format!("{request}{HIDDEN}")).await;
    }
}

#[tokio::test]
async fn http2_is_not_guessed() {
    let server = start(Limits::default());
    let answer = server.raw(format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{HIDDEN}").as_bytes()).await;
    assert_eq!(answer, "", "closed without a word");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn hosts_and_old_versions() {
    let server = start(Limits::default());
    refused(&server, "GET /v1/a HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    refused(&server, "GET /v1/a HTTP/1.1\r\nHost: x\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    refused(&server, "POST /v1/a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn broken_chunks_end_the_connection() {
    let server = start(Limits::default());
    for chunks in [
        "x\r\n",
        "-1\r\n",
        "5;\n",
        "2\r\n{}x\r\n0\r\n\r\n",
        "2\n{}\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
        "2\r\n{}0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n",
    ] {
        refused(&server, &format!("POST /v1/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{HIDDEN}")).await;
    }
}

#[tokio::test]
async fn what_is_pipelined_honestly_is_served() {
    let server = start(Limits::default());
    let two =
        "POST /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\n\n\n\n\n}GET /v1/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = server.raw(two.as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    let paths: Vec<_> = server.seen().into_iter().map(|seen| seen.wanted.map(|wanted| wanted.1)).collect();
    assert_eq!(paths, [Ok("a".to_owned()), Ok("b".to_owned())]);
}
