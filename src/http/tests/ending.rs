//! Stopping: what was begun is finished, nothing new begins, and nobody can hold the server up.

use super::*;

#[tokio::test]
async fn requests_in_flight_are_finished() {
    let mut server = start(Limits::default());
    let mut line = server.line().await;
    line.write_all(b"GET /v1/slow/a HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sends");
    let mut http2 = server.http2().await;
    let mut other = Http2 { sender: http2.sender.clone(), connection: tokio::spawn(async { Ok(()) }) };
    let asked = tokio::spawn(async move { other.ask("GET", "/v1/slow/b", Vec::new()).await });
    while server.echo.0.lock().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.begin_to_stop();
    let answer = rest(&mut line).await;
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("slow/a"), "{answer}");
    assert_eq!(asked.await.expect("joins").expect("answer").0, 200);
    assert!(http2.ask("GET", "/v1/late", Vec::new()).await.is_err(), "nothing new begins");
    let address = server.address;
    assert_eq!(server.stopped().await, Stopped { cut: 0 });
    assert!(TcpStream::connect(address).await.is_err(), "and nobody is let in");
}

#[tokio::test]
async fn idle_and_unfinished_connections_do_not_hold_it_up() {
    let mut server = start(Limits { drain_timeout: Duration::from_secs(15), ..Limits::default() });
    let silent = server.tcp().await;
    let fresh = server.line().await;
    let mut used = server.line().await;
    used.write_all(b"GET /v1/a HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sends");
    assert_eq!(one_answer(&mut used).await.0, 200);
    let mut http2 = server.http2().await;
    http2.ask("GET", "/v1/a", Vec::new()).await.expect("answer");
    server.begin_to_stop();
    assert_eq!(server.stopped().await, Stopped { cut: 0 });
    drop((silent, fresh, used));
}

#[tokio::test]
async fn what_takes_too_long_is_cut() {
    let mut server = start(Limits { drain_timeout: Duration::from_millis(100), ..Limits::default() });
    let mut line = server.line().await;
    line.write_all(b"GET /v1/slow/a HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sends");
    while server.echo.0.lock().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.begin_to_stop();
    assert_eq!(server.stopped().await, Stopped { cut: 1 });
    assert_eq!(rest(&mut line).await, "");
}
