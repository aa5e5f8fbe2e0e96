//! One connection from its TLS handshake to its end: requests go to the gate one by one, and a watch cuts the client that stalls.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use goldfin_crypto::{Plaintext, Zeroizing};
use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Answers;
use super::body::{self, Budget};
use super::limits::Limits;
use super::probe::{Probe, Site};
use super::pulse::{Busy, Pulse, Unsent, Verdict};
use super::reply;
use super::request::Head;
use super::tls::Tls;
use super::wire::Wire;
use crate::gate::request::{self as gate, Credential, Malformed, Peer};
use crate::model::clock::{self, Clock};

/// How long a connection that was asked to end, or whose request was not read to its end, may take to go.
const FAREWELL: Duration = Duration::from_secs(2);

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared<A> {
    pub answers: Arc<A>,
    pub tls: Arc<Tls>,
    pub limits: Limits,
    pub clock: Clock,
    pub site: Site,
    pub budget: Budget,
    pub seats: Arc<Semaphore>,
}

/// How far the server is on its way to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// Finish what was begun.
    Draining,
    /// End now.
    Cutting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Closed,
    /// Answered by hyper with an error, because it could not read the request.
    Unreadable,
    Cut,
}

/// Serves one connection to its end.
pub(super) async fn run<A: Answers>(shared: Arc<Shared<A>>, tcp: TcpStream, address: IpAddr, mut phase: watch::Receiver<Phase>) {
    // Boxed, like what is rarer than HTTP/1.1: the connection keeps the room of the largest of these as long as it is there.
    let greeting = Box::pin(greet(&shared, tcp, address));
    let greeted = tokio::select! {
        greeted = greeting => greeted,
        _ = next(&mut phase) => return,
    };
    let Some((stream, peer, is_http2)) = greeted else { return };
    let line = Arc::new(Line { shared, peer, pulse: Arc::new(Pulse::new()) });
    // HTTP/2 is spoken where ALPN chose it (RFC 9113 section 3.2), never guessed from the first bytes.
    if is_http2 { Box::pin(serve_http2(&line, stream, phase)).await } else { serve_http1(&line, stream, phase).await }
}

/// The handshake; and whether HTTP/2 was agreed on. None: it came to nothing, or to a certificate that holds no longer.
async fn greet<A>(shared: &Shared<A>, tcp: TcpStream, address: IpAddr) -> Option<(TlsStream<TcpStream>, Peer, bool)> {
    let loaded = shared.tls.current();
    // Neither the reason nor the address is of use above debug: anybody can cause as many as they like.
    let stream = match timeout(shared.limits.handshake_timeout, TlsAcceptor::from(loaded.config()).accept(tcp)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "TLS handshake failed");
            return None;
        }
        Err(_) => {
            tracing::debug!(%address, "TLS handshake took too long");
            return None;
        }
    };
    let session = stream.get_ref().1;
    if !loaded.trusts(session, shared.clock.now()) {
        tracing::debug!(%address, "client certificate of a resumed session holds no longer");
        return None;
    }
    let certificate = session.peer_certificates().and_then(<[_]>::first).map(|leaf| Arc::from(leaf.as_ref()));
    let peer = Peer { address, certificate, channel_binding: loaded.channel_binding() };
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    Some((stream, peer, is_http2))
}

async fn serve_http1<A: Answers>(line: &Arc<Line<A>>, stream: TlsStream<TcpStream>, phase: watch::Receiver<Phase>) {
    let wire = TokioIo::new(Wire::http1(stream, Arc::clone(&line.pulse)));
    let service = {
        let line = Arc::clone(line);
        service_fn(move |request| Arc::clone(&line).answer(request))
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper's timer runs while the connection is idle, too; the watch tells the two apart.
        .header_read_timeout(None)
        .max_header_size(usize::try_from(line.shared.limits.max_header_bytes).unwrap_or(usize::MAX))
        .serve_connection(wire, service);
    let ending = watch_over(Pin::new(&mut connection), line, phase).await;
    let has_more = line.pulse.is_unread() || line.pulse.is_doubtful() || ending == Ending::Unreadable;
    if ending != Ending::Cut && has_more {
        let (tcp, _) = connection.into_parts().io.into_inner().into_stream().into_inner();
        part(tcp).await;
    }
}

async fn serve_http2<A: Answers>(line: &Arc<Line<A>>, stream: TlsStream<TcpStream>, phase: watch::Receiver<Phase>) {
    let limits = &line.shared.limits;
    let wire = TokioIo::new(Wire::http2(stream, Arc::clone(&line.pulse)));
    let service = {
        let line = Arc::clone(line);
        service_fn(move |request| Arc::clone(&line).answer(request))
    };
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(limits.max_header_bytes)
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout)
        .max_pending_accept_reset_streams(limits.max_pending_resets)
        .max_local_error_reset_streams(limits.max_error_resets)
        .serve_connection(wire, service);
    watch_over(pin!(connection), line, phase).await;
}

/// Runs the connection until it ends by itself, or the watch or the server ends it.
async fn watch_over<A, C>(mut connection: Pin<&mut C>, line: &Line<A>, mut phase: watch::Receiver<Phase>) -> Ending
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let (limits, pulse) = (&line.shared.limits, &line.pulse);
    let mut ticks = interval(limits.tick());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn_ends = clock::instant() + limits.answer_timeout;
    let mut asked_to_end: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                return if result.is_err_and(|error| error.is_parse()) { Ending::Unreadable } else { Ending::Closed };
            }
            phase = next(&mut phase) => match phase {
                Phase::Cutting => return Ending::Cut,
                Phase::Serving | Phase::Draining => {
                    asked_to_end.get_or_insert_with(clock::instant);
                    connection.as_mut().graceful_shutdown();
                }
            },
            now = ticks.tick() => {
                if now >= turn_ends {
                    if !pulse.turn() {
                        return Ending::Cut;
                    }
                    turn_ends = now + limits.answer_timeout;
                }
                match pulse.verdict(limits, line.shared.seats.available_permits() == 0) {
                    Verdict::Fine => {}
                    Verdict::Stuck => return Ending::Cut,
                    Verdict::Idle => {
                        asked_to_end.get_or_insert(now);
                        connection.as_mut().graceful_shutdown();
                    }
                }
                if !pulse.is_busy() && asked_to_end.is_some_and(|since| now.saturating_duration_since(since) >= FAREWELL) {
                    return Ending::Cut;
                }
            }
        }
    }
}

/// The next phase of the server; a server that is gone cuts.
async fn next(phase: &mut watch::Receiver<Phase>) -> Phase {
    match phase.changed().await {
        Ok(()) => *phase.borrow_and_update(),
        Err(_) => Phase::Cutting,
    }
}

/// Throws away what still comes, for a while: closing at once would reset the connection, and the reset would overtake the answer.
async fn part(mut tcp: TcpStream) {
    let discarding = async {
        tcp.shutdown().await?;
        let mut waste = vec![0; 64 * 1024];
        while tcp.read(&mut waste).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // Nothing is to be done about an error: the connection ends here anyway.
    let _ = timeout(FAREWELL, discarding).await;
}

/// A connection as its requests see it.
struct Line<A> {
    shared: Arc<Shared<A>>,
    peer: Peer,
    pulse: Arc<Pulse>,
}

impl<A: Answers> Line<A> {
    /// Begins with what needs no waiting, so that the answer's future holds what was understood and not what it was read from.
    fn answer(self: Arc<Self>, request: Request<Incoming>) -> impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> {
        let busy = Busy::begin(&self.pulse);
        let is_http1 = request.version() < Version::HTTP_2;
        let is_chunked = request.headers().contains_key(TRANSFER_ENCODING);
        let is_head = request.method() == Method::HEAD;
        let (head, mut body) = self.read_head(request);
        async move {
            let mut response = match head.wanted.as_ref().ok().and_then(Probe::of) {
                Some(probe) => {
                    self.leave(&body);
                    self.probe(probe, &head)
                }
                None => self.pass_on(head, &mut body).await,
            };
            if !is_http1 {
                // Reset under its body, the stream would lose the answer that is on its way.
                let _ = timeout(FAREWELL, body::discard(&mut body)).await;
            }
            if is_head {
                response = without_body(response);
            }
            // Behind a chunked body the framing is not watched, see `framing`.
            if is_http1 && (is_chunked || self.pulse.is_unread() || self.pulse.is_doubtful()) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let unsent = busy.answered();
            Ok(response.map(|buffer| Full::new(Bytes::from_owner(Outgoing { buffer, _unsent: unsent }))))
        }
    }

    fn read_head(&self, request: Request<Incoming>) -> (Box<Head>, Incoming) {
        let (parts, body) = request.into_parts();
        let mut head = Head::read(&parts.method, &parts.uri, parts.version, &parts.headers, self.shared.limits.max_headers);
        if self.pulse.is_doubtful() {
            head.wanted = Err(Malformed::Header("where the request ends is not beyond doubt"));
        }
        (Box::new(head), body)
    }

    fn probe(&self, probe: Probe, head: &Head) -> Response<Zeroizing<Vec<u8>>> {
        let query = head.wanted.as_ref().map(|wanted| wanted.query.clone()).unwrap_or_default();
        probe.answer(&query, &self.shared.answers.seal_state(), &self.shared.site, self.shared.clock.now())
    }

    async fn pass_on(&self, head: Box<Head>, incoming: &mut Incoming) -> Response<Zeroizing<Vec<u8>>> {
        if !matches!(head.credential, Credential::AuthToken(_))
            && let Some(released) = self.shared.answers.turn_away(self.peer.address)
        {
            self.leave(incoming);
            return reply::encode(released);
        }
        let limits = &self.shared.limits;
        let nothing = || Plaintext::new(Vec::new());
        // The body's part of the budget is given back when it is answered, not when it is read.
        let Head { wanted, credential, purpose, wrap_ttl } = *head;
        let (wanted, body, _held) = match wanted {
            Err(malformed) => {
                self.leave(incoming);
                (Err(malformed), nothing(), None)
            }
            Ok(wanted) if incoming.is_end_stream() => (Ok(wanted), nothing(), None),
            // Boxed: what has no body is not to pay for its size.
            Ok(wanted) => match Box::pin(body::read(incoming, body::limit(&wanted.path.path), limits, &self.shared.budget)).await {
                Ok((body, held)) => (Ok(wanted), body, Some(held)),
                Err(malformed) => {
                    self.pulse.leave_unread();
                    (Err(malformed), nothing(), None)
                }
            },
        };
        let request = Box::new(gate::Request { peer: self.peer.clone(), wanted, credential, body, purpose, wrap_ttl });
        reply::encode(self.shared.answers.call(request).await)
    }

    /// Notes that a body, if there is one, will not be read.
    fn leave(&self, body: &Incoming) {
        if !body.is_end_stream() {
            self.pulse.leave_unread();
        }
    }
}

/// The answer to HEAD (RFC 9110 section 9.3.2): the length of what GET would have said, and nothing else.
fn without_body(mut response: Response<Zeroizing<Vec<u8>>>) -> Response<Zeroizing<Vec<u8>>> {
    let length = response.body().len();
    if length > 0 {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.map(|_| Zeroizing::default())
}

/// An answer in hyper's hands: wiped and counted off when hyper lets go of it.
struct Outgoing {
    buffer: Zeroizing<Vec<u8>>,
    _unsent: Unsent,
}

impl AsRef<[u8]> for Outgoing {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}
