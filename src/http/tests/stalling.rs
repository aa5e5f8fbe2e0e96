//! Clients that are silent, slow, greedy or many (SEC-70, SEC-71): each is cut by its limit, and others do not notice.

use super::*;

fn short() -> Limits {
    Limits {
        handshake_timeout: Duration::from_millis(300),
        header_timeout: Duration::from_millis(300),
        body_timeout: Duration::from_millis(1_500),
        body_grace: Duration::from_millis(300),
        write_timeout: Duration::from_millis(500),
        answer_timeout: Duration::from_millis(500),
        idle_timeout: Duration::from_millis(600),
        ..Limits::default()
    }
}

/// Sends the bytes one by one, slowly, until the server has enough; then what it said.
async fn drip(line: &mut TlsStream<TcpStream>, bytes: &[u8]) -> String {
    for byte in bytes {
        tokio::time::sleep(Duration::from_millis(40)).await;
        if line.write_all(&[*byte]).await.is_err() || line.flush().await.is_err() {
            break;
        }
    }
    rest(line).await
}

async fn is_served(server: &Running) -> bool {
    let (status, _) = server.http2().await.ask("GET", "/v1/honest", Vec::new()).await.expect("answer");
    status == 200
}

#[tokio::test]
async fn silence_is_cut_wherever_it_begins() {
    let server = start(short());
    assert_eq!(rest(&mut server.tcp().await).await, "", "behind TCP");
    let mut half = server.tcp().await;
    half.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1]).await.expect("sends");
    assert_eq!(rest(&mut half).await, "", "within the handshake");
    assert_eq!(rest(&mut server.line().await).await, "", "behind the handshake");
    let mut line = server.connect(server.certificates.client(&["h2"])).await.expect("handshake");
    rest(&mut line).await;
    let mut line = server.line().await;
    line.write_all(b"GET /v1/a HTTP/1.1\r\nHost: ").await.expect("sends");
    assert_eq!(rest(&mut line).await, "", "within a head");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_head_has_its_time_however_often_it_moves() {
    let server = start(short());
    let answer = drip(
        &mut server.line().await,
        "GET /v1/a HTTP/1.1\r\nHost: x\r\nX-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n".as_bytes(),
    )
    .await;
    assert_eq!(answer, "");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_body_has_its_time_and_its_rate() {
    let server = start(short());
    let mut line = server.line().await;
    line.write_all(b"POST /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n").await.expect("sends");
    let answer = drip(&mut line, &[b'x'; 100]).await;
    assert_eq!(status(&answer), 400);
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(server.seen()[0].wanted, Err(Malformed::BodyIncomplete), "and the refusal is recorded");
    let mut line = server.line().await;
    line.write_all(b"POST /v1/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{").await.expect("sends");
    assert_eq!(status(&rest(&mut line).await), 400, "silence within a chunk");
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_its_time_and_not_sooner() {
    let server = start(short());
    let mut line = server.line().await;
    for _ in 0..3 {
        line.write_all(b"GET /v1/a HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sends");
        assert_eq!(one_answer(&mut line).await.0, 200);
        // Longer than a head may take, shorter than a connection may be idle.
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert_eq!(rest(&mut line).await, "");
    let mut http2 = server.http2().await;
    http2.ask("GET", "/v1/a", Vec::new()).await.expect("answer");
    timeout(TOO_LONG, &mut http2.connection).await.expect("closes").expect("joins").expect("with GOAWAY");
    let mut line = server.line().await;
    line.write_all(b"GET /v1/slow/a HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sends");
    assert_eq!(one_answer(&mut line).await.0, 200, "waiting for an answer is not idleness");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let server = start(Limits { max_connections: 1, ..short() });
    let mut line = server.line().await;
    line.write_all(b"GET /v1/big/a HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sends");
    // The only seat is taken until the server gives the client up.
    assert!(timeout(TOO_LONG, is_served(&server)).await.expect("the seat comes free"));
    drop(line);
}

#[tokio::test]
async fn a_client_that_opens_no_window_is_cut() {
    let server = start(Limits { max_connections: 1, ..short() });
    let mut http2 = server
        .http2_with(|builder| {
            builder.initial_stream_window_size(1_u32);
        })
        .await;
    let request = HttpRequest::get("https://localhost/v1/big/a").body(Full::default()).expect("request");
    let response = http2.sender.send_request(request).await.expect("head");
    assert!(timeout(TOO_LONG, is_served(&server)).await.expect("the seat comes free"));
    drop(response);
}

#[tokio::test]
async fn an_answer_that_is_read_may_take_longer_than_a_stall() {
    let server = start(Limits { answer_timeout: Duration::from_secs(20), ..short() });
    let mut line = server.line().await;
    line.write_all(b"GET /v1/big/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("sends");
    let mut total = 0;
    let mut piece = vec![0; 1024 * 1024];
    for n in 0.. {
        match timeout(TOO_LONG, line.read(&mut piece)).await.expect("comes").expect("reads") {
            0 => break,
            read => total += read,
        }
        if n % 200 == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert!(total > 24 * 1024 * 1024, "{total}");
}

#[tokio::test]
async fn many_silent_clients_keep_nobody_out() {
    let server = start(Limits { max_connections: 100, ..short() });
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(server.tcp().await);
    }
    assert!(timeout(TOO_LONG, is_served(&server)).await.expect("served"));
    drop(silent);
}

#[tokio::test]
async fn one_address_has_its_share() {
    let server = start(Limits { max_connections_per_address: Some(2), ..Limits::default() });
    let (one, _two) = (server.line().await, server.line().await);
    let third = server.connect(server.certificates.client(&["h2"])).await;
    assert!(third.is_err(), "closed before the handshake");
    drop(one);
    let deadline = crate::model::clock::instant() + TOO_LONG;
    while server.connect(server.certificates.client(&["h2"])).await.is_err() {
        assert!(crate::model::clock::instant() < deadline, "the place comes free");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn bodies_share_what_there_is() {
    let server = start(Limits { body_budget: 32 * 1024 * 1024, ..short() });
    let greedy =
        format!("POST /v1/transform/encode/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 33554432\r\n\r\n{}", "x".repeat(20 * 1024 * 1024));
    let mut one = server.line().await;
    one.write_all(greedy.as_bytes()).await.expect("sends");
    let mut two = server.line().await;
    two.write_all(greedy.as_bytes()).await.ok();
    let (one, two) = tokio::join!(rest(&mut one), rest(&mut two));
    assert_eq!([status(&one), status(&two)], [400, 400], "both are refused in the end");
    assert!(is_served(&server).await);
    let (status, _) = server.http2().await.ask("POST", "/v1/transform/encode/role", vec![b'x'; 20 * 1024 * 1024]).await.expect("answer");
    assert_eq!(status, 200, "and the budget is whole again");
}

#[tokio::test]
async fn rapid_resets_end_the_connection_and_not_the_server() {
    let server = start(short());
    let stream = server.connect(server.certificates.client(&["h2"])).await.expect("handshake");
    let (mut sender, connection) = h2::client::handshake(stream).await.expect("handshake");
    let connection = tokio::spawn(connection);
    for _ in 0..5_000 {
        let Ok(ready) = sender.clone().ready().await else { break };
        sender = ready;
        let request = HttpRequest::get("https://localhost/v1/slow/a").body(()).expect("request");
        let Ok((_, mut stream)) = sender.send_request(request, false) else { break };
        stream.send_reset(h2::Reason::CANCEL);
        tokio::task::yield_now().await;
    }
    drop(sender);
    let _ = timeout(TOO_LONG, connection).await.expect("ends");
    let reached = server.seen().len();
    assert!(reached < 1_000, "{reached} of 5,000 resets reached the gate");
    assert!(is_served(&server).await);
}
