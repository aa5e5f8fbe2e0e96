//! The network floor from outside: a real server on a real socket, spoken to in TLS, HTTP/1.1 and HTTP/2, politely and otherwise.

mod certificates;
mod ending;
mod smuggling;
mod speaking;
mod stalling;
mod trust;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request as HttpRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use self::certificates::Certificates;
use super::Answers;
use super::limits::Limits;
use super::probe::Site;
use super::server::{Server, Stopped};
use super::tls::{Tls, TlsFiles};
use crate::gate::SealState;
use crate::gate::released::Released;
use crate::gate::request::{Credential, Malformed, Request};
use crate::model::call::Verb;
use crate::model::clock::Clock;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::RequestId;
use crate::model::reply::Reply;

/// Longer than anything here may take: a test that waits this long has failed.
const TOO_LONG: Duration = Duration::from_secs(20);

/// What the stand-in for the gate was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    wanted: Result<(Verb, String, bool), Malformed>,
    body: String,
    credential: &'static str,
    certified: bool,
    address: String,
}

/// Stands in for the gate: remembers what it was asked, and answers it. `slow/…` takes 400 ms, `big/…` answers 24 MiB.
#[derive(Debug, Default)]
struct Echo(Mutex<Vec<Seen>>);

impl Answers for Echo {
    async fn call(self: &Arc<Self>, request: Box<Request>) -> Released {
        let seen = Seen {
            wanted: request.wanted.map(|wanted| (wanted.verb, wanted.path.path.as_str().to_owned(), wanted.path.slash)),
            body: request.body.expose_text().unwrap_or("not text").to_owned(),
            credential: match request.credential {
                Credential::None => "none",
                Credential::AuthToken(_) => "token",
                Credential::Negotiate(_) => "negotiate",
                Credential::Ambiguous => "ambiguous",
            },
            certified: request.peer.certificate.is_some(),
            address: request.peer.address.to_string(),
        };
        self.0.lock().push(seen.clone());
        let outcome = match &seen.wanted {
            Ok((_, path, _)) if path.starts_with("big/") => Ok(Node::text("x".repeat(24 * 1024 * 1024))),
            Ok((_, path, _)) => {
                if path.starts_with("slow/") {
                    tokio::time::sleep(Duration::from_millis(400)).await;
                }
                Ok(Node::object([
                    ("path", Node::text(path.as_str())),
                    ("size", Node::whole(i64::try_from(seen.body.len()).expect("size"))),
                ]))
            }
            Err(Malformed::Verb(_)) => Err(Fault::WrongVerb),
            Err(Malformed::BodyTooLarge) => Err(Fault::TooLarge("the body is too large")),
            Err(Malformed::BodyIncomplete) => Err(Fault::invalid("the body did not arrive in time")),
            Err(Malformed::Path(refusal)) => Err(Fault::invalid(refusal.0)),
            Err(Malformed::Header(what)) => Err(Fault::invalid(*what)),
        };
        let id = RequestId::generate(Clock::system().now()).expect("random");
        Released::of_test(id, outcome.map(Reply::data), None)
    }

    fn seal_state(&self) -> SealState {
        SealState { initialised: true, shares: 5, threshold: 3, cluster_name: "synthetic".to_owned(), ..SealState::default() }
    }
}

/// A server that runs until the test lets go of it.
struct Running {
    address: SocketAddr,
    certificates: Certificates,
    echo: Arc<Echo>,
    tls: Arc<Tls>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Stopped>,
}

fn start(limits: Limits) -> Running {
    let certificates = Certificates::make();
    let files = certificates.files();
    start_with(limits, certificates, files)
}

fn start_with(limits: Limits, certificates: Certificates, files: TlsFiles) -> Running {
    assert_eq!(limits.check(), Ok(()));
    let tls = Arc::new(Tls::load(files).expect("certificates"));
    let echo = Arc::new(Echo::default());
    let site = Site { version: "0.1.0", build_date: "2026-01-31T00:00:00Z", address: String::new() };
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(local, Arc::clone(&echo), Arc::clone(&tls), limits, Clock::system(), site).expect("listens");
    let address = server.local_address().expect("address");
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async move {
        let _ = stopped.await;
    }));
    Running { address, certificates, echo, tls, stop: Some(stop), serving }
}

impl Running {
    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.echo.0.lock())
    }

    fn begin_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    async fn stopped(self) -> Stopped {
        timeout(TOO_LONG, self.serving).await.expect("stops").expect("ends well")
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }

    async fn connect(&self, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").expect("name");
        TlsConnector::from(Arc::new(config)).connect(name, self.tcp().await).await
    }

    /// HTTP/1.1, by hand.
    async fn line(&self) -> TlsStream<TcpStream> {
        self.connect(self.certificates.client(&["http/1.1"])).await.expect("handshake")
    }

    /// Sends raw bytes on a connection of their own and returns what comes until the server closes it.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut line = self.line().await;
        line.write_all(bytes).await.expect("sends");
        rest(&mut line).await
    }

    async fn http2(&self) -> Http2 {
        self.http2_with(|_| ()).await
    }

    async fn http2_with(&self, change: impl FnOnce(&mut hyper::client::conn::http2::Builder<TokioExecutor>)) -> Http2 {
        let stream = self.connect(self.certificates.client(&["h2"])).await.expect("handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        change(&mut builder);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.expect("handshake");
        Http2 { sender, connection: tokio::spawn(connection) }
    }
}

struct Http2 {
    sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    async fn ask(&mut self, method: &str, path: &str, body: Vec<u8>) -> hyper::Result<(u16, String)> {
        let method = Method::from_bytes(method.as_bytes()).expect("method");
        let request =
            HttpRequest::builder().method(method).uri(format!("https://localhost{path}")).body(Full::from(body)).expect("request");
        let response = self.sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// What still comes until the other side closes, however it does that.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match timeout(TOO_LONG, stream.read(&mut piece)).await.expect("the server closes") {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&all).into_owned(),
            Ok(n) => all.extend_from_slice(&piece[..n]),
        }
    }
}

/// One answer with a `Content-Length` (or 204) on a connection that stays open: its status and its body.
async fn one_answer(stream: &mut (impl AsyncReadExt + Unpin)) -> (u16, String) {
    let mut all = Vec::new();
    loop {
        let byte = timeout(TOO_LONG, stream.read_u8()).await.expect("the server answers").expect("stays open");
        all.push(byte);
        if all.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8(all).expect("text").to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |text| text.parse().expect("length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("body");
    (status(&head), String::from_utf8(body).expect("text"))
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
}
