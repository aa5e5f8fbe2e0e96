//! Requests as honest clients send them, and as curious ones do.

use super::*;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn both_protocols_reach_the_gate_with_the_same_request() {
    let server = start(Limits::default());
    let answer = server.raw(b"POST /v1/secret/data/a%20b HTTP/1.1\r\nHost: x\r\nX-Vault-Token: synthetic\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}").await;
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("x-goldfin-request-id: ") && answer.contains("cache-control: no-store"), "{answer}");
    let one = server.seen();
    let mut http2 = server.http2().await;
    let request = HttpRequest::post("https://localhost/v1/secret/data/a%20b")
        .header("x-vault-token", "synthetic")
        .body(Full::from("{}"))
        .expect("request");
    let response = http2.sender.send_request(request).await.expect("answer");
    assert_eq!(response.status(), 200);
    let two = server.seen();
    assert_eq!(one, two);
    let expected = Seen {
        wanted: Ok((Verb::Write, "secret/data/a b".to_owned(), false)),
        body: "{}".to_owned(),
        credential: "token",
        certified: false,
        address: "127.0.0.1".to_owned(),
    };
    assert_eq!(one, [expected]);
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let server = start(Limits::default());
    let mut line = server.line().await;
    for n in 0..20 {
        let body = "x".repeat(n * 700);
        let request = format!("PUT /v1/a/{n} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        line.write_all(request.as_bytes()).await.expect("sends");
        let (status, answer) = one_answer(&mut line).await;
        assert_eq!(status, 200);
        assert!(answer.contains(&format!("\"path\":\"a/{n}\",\"size\":{}", n * 700)), "{answer}");
    }
    let mut http2 = server.http2().await;
    for n in 0..20 {
        let (status, answer) = http2.ask("PUT", &format!("/v1/b/{n}"), vec![b'x'; n * 700]).await.expect("answer");
        assert_eq!(status, 200);
        assert!(answer.contains(&format!("\"path\":\"b/{n}\",\"size\":{}", n * 700)), "{answer}");
    }
    assert_eq!(server.seen().len(), 40);
}

#[tokio::test]
async fn verbs_arrive_as_they_are_meant() {
    let server = start(Limits::default());
    for (method, target, verb, slash) in [
        ("GET", "/v1/a", Verb::Read, false),
        ("LIST", "/v1/a", Verb::List, false),
        ("LIST", "/v1/a/", Verb::List, true),
        ("GET", "/v1/a?list=true", Verb::List, false),
        ("GET", "/v1/a/", Verb::Read, true),
        ("DELETE", "/v1/sys/mounts/kv/", Verb::Delete, true),
        ("PATCH", "/v1/a", Verb::Patch, false),
    ] {
        let answer = server.raw(format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await;
        assert_eq!(status(&answer), 200, "{method} {target}");
        let seen = server.seen();
        let wanted = seen[0].wanted.as_ref().expect("understood");
        assert_eq!((wanted.0, wanted.2), (verb, slash), "{method} {target}");
        let mut http2 = server.http2().await;
        http2.ask(method, target, Vec::new()).await.expect("answer");
        assert_eq!(server.seen(), seen, "{method} {target} over HTTP/2");
    }
    for method in ["OPTIONS", "TRACE", "PROPFIND", "list"] {
        let answer = server.raw(format!("{method} /v1/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await;
        assert_eq!(status(&answer), 405, "{method}");
        assert!(matches!(server.seen()[0].wanted, Err(Malformed::Verb(_))), "{method} is recorded");
    }
}

#[tokio::test]
async fn head_says_how_long_the_answer_would_be_and_no_more() {
    let server = start(Limits::default());
    let answer = server.raw(b"HEAD /v1/sys/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("head");
    assert_eq!((status(head), body), (200, ""));
    let length: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|text| text.parse().ok()).expect("length");
    assert!(length > 100);
    let mut http2 = server.http2().await;
    assert_eq!(http2.ask("HEAD", "/v1/sys/health", Vec::new()).await.expect("answer"), (200, String::new()));
    assert!(server.seen().is_empty(), "probes are not the gate's");
    http2.ask("HEAD", "/v1/secret/a", Vec::new()).await.expect("answer");
    assert_eq!(server.seen()[0].wanted.as_ref().map(|wanted| wanted.0), Ok(Verb::Probe));
}

#[tokio::test]
async fn probes_are_answered_without_the_gate() {
    let server = start(Limits::default());
    for path in ["/v1/sys/health", "/v1/sys/health?standbyok=true", "/v1/sys/seal-status", "/v1/sys/leader", "/v1/sys/init"] {
        let answer = server.raw(get(path).as_bytes()).await;
        assert_eq!(status(&answer), 200, "{path}");
        assert!(answer.contains("x-goldfin-request-id: "), "{path}");
    }
    assert!(server.seen().is_empty());
    server.raw(b"PUT /v1/sys/init HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").await;
    assert_eq!(server.seen().len(), 1, "an initialisation is the gate's");
}

#[tokio::test]
async fn paths_are_refused_or_canonical() {
    let server = start(Limits::default());
    for target in [
        "/v1/a/%2e%2e/b",
        "/v1/a/../b",
        "/v1/a//b",
        "/v1/a%2Fb",
        "/v1/a%00",
        "/v1/a%0d%0aX:y",
        "/v1/a%252e",
        "/v1/a;b",
        "/v1/a\\b",
        "/",
        "/v1",
        "/ui/",
        "/v1/%e2%80%ae",
        "/v1/e%cc%81",
        "/v1/a?a=1&a=2",
    ] {
        let answer = server.raw(get(target).as_bytes()).await;
        assert_eq!(status(&answer), 400, "{target}");
        for seen in server.seen() {
            assert!(matches!(seen.wanted, Err(Malformed::Path(_))), "{target}");
        }
    }
    let answer = server.raw(get("http://169.254.169.254/v1/a").as_bytes()).await;
    assert_eq!(status(&answer), 200);
    assert_eq!(server.seen()[0].wanted, Ok((Verb::Read, "a".to_owned(), false)), "the absolute form is its path");
}

#[tokio::test]
async fn headers_claim_nothing() {
    let server = start(Limits::default());
    let claims = "X-Forwarded-For: 192.0.2.9\r\nForwarded: for=192.0.2.9\r\nX-Real-IP: 192.0.2.9\r\nX-HTTP-Method-Override: DELETE\r\nX-SSL-Client-Cert: x\r\n";
    server.raw(format!("GET /v1/a HTTP/1.1\r\nHost: x\r\n{claims}Connection: close\r\n\r\n").as_bytes()).await;
    let seen = server.seen();
    assert_eq!((seen[0].address.as_str(), seen[0].certified), ("127.0.0.1", false));
    assert_eq!(seen[0].wanted.as_ref().map(|wanted| wanted.0), Ok(Verb::Read));
    let proxied = server.raw(b"PROXY TCP4 192.0.2.9 192.0.2.1 1 443\r\nGET /v1/a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(status(&proxied), 400);
}

#[tokio::test]
async fn heads_are_bounded() {
    let server = start(Limits::default());
    let long = server.raw(format!("GET /v1/a HTTP/1.1\r\nHost: x\r\nX-A: {}\r\n\r\n", "a".repeat(17 * 1024)).as_bytes()).await;
    assert_eq!(status(&long), 431);
    let fields: String = (0..64).map(|n| format!("X-{n}: 1\r\n")).collect();
    let many = server.raw(format!("GET /v1/a HTTP/1.1\r\nHost: x\r\n{fields}Connection: close\r\n\r\n").as_bytes()).await;
    assert_eq!(status(&many), 400);
    assert!(matches!(server.seen()[0].wanted, Err(Malformed::Header(_))));
    let mut http2 = server.http2().await;
    let request = HttpRequest::get("https://localhost/v1/a").header("x-a", "a".repeat(17 * 1024)).body(Full::default()).expect("request");
    let refused = http2.sender.send_request(request).await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == 431));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn bodies_are_bounded_before_they_are_read() {
    let server = start(Limits::default());
    let claimed = server.raw(b"POST /v1/secret/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n").await;
    assert_eq!(status(&claimed), 413, "no byte of it was sent");
    assert!(claimed.contains("connection: close"));
    let chunk = format!("{:x}\r\n{}\r\n", 64 * 1024, "x".repeat(64 * 1024));
    let chunked = format!("POST /v1/secret/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(32));
    assert_eq!(status(&server.raw(chunked.as_bytes()).await), 413);
    let whole = format!("POST /v1/secret/a HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n{}", "x".repeat(8_000_000));
    assert_eq!(status(&server.raw(whole.as_bytes()).await), 413, "the answer outlives what was still being sent");
    let mut http2 = server.http2().await;
    assert_eq!(http2.ask("POST", "/v1/secret/a", vec![b'x'; 8_000_000]).await.expect("answer").0, 413);
    for seen in server.seen() {
        assert_eq!(seen.wanted, Err(Malformed::BodyTooLarge));
    }
    assert_eq!(http2.ask("POST", "/v1/a", b"{}".to_vec()).await.expect("answer").0, 200, "and the connection goes on");
    let batch = server.http2().await.ask("POST", "/v1/transform/encode/role", vec![b'x'; 8_000_000]).await.expect("answer");
    assert!(batch.1.contains("\"size\":8000000"), "{}", batch.1);
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_to_continue_is_told() {
    let server = start(Limits::default());
    let mut line = server.line().await;
    line.write_all(b"POST /v1/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await.expect("sends");
    assert_eq!(one_answer(&mut line).await.0, 100);
    line.write_all(b"{}").await.expect("sends");
    assert_eq!(one_answer(&mut line).await.0, 200);
    line.write_all(b"POST /v1/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2000000\r\n\r\n").await.expect("sends");
    assert_eq!(one_answer(&mut line).await.0, 413, "and is not when it would be in vain");
}

#[tokio::test]
async fn bodies_come_as_they_are() {
    let server = start(Limits::default());
    let with = |header: &str| format!("POST /v1/a HTTP/1.1\r\nHost: x\r\n{header}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
    assert_eq!(status(&server.raw(with("Content-Encoding: gzip").as_bytes()).await), 400);
    assert_eq!(status(&server.raw(with("Content-Type: multipart/form-data").as_bytes()).await), 400);
    assert_eq!(status(&server.raw(with("Content-Type: application/x-www-form-urlencoded").as_bytes()).await), 200);
    let chunked = server.raw(b"POST /v1/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n").await;
    assert_eq!(status(&chunked), 200);
    assert!(chunked.contains("connection: close"), "behind a chunked body nothing is read");
    assert_eq!(server.seen().last().map(|seen| seen.body.clone()).as_deref(), Some("{}"));
}
