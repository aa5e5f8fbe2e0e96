//! Listening: who is let in, how many, and how the server stops.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::Answers;
use super::body::Budget;
use super::connection::{self, Phase, Shared};
use super::limits::Limits;
use super::probe::Site;
use super::tls::Tls;
use crate::model::clock::Clock;

/// Connections that the kernel keeps waiting while all seats are taken.
const BACKLOG: u32 = 1024;

/// How long an `accept` waits after the system had no more descriptors or memory for it.
const EXHAUSTED: Duration = Duration::from_millis(200);

/// How long connections have to go when they are cut.
const CUT: Duration = Duration::from_secs(1);

/// A server that listens.
#[derive(Debug)]
pub struct Server<A> {
    listener: TcpListener,
    shared: Arc<Shared<A>>,
    neighbours: Arc<Neighbours>,
}

/// How a server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were not finished when the time for that was over.
    pub cut: usize,
}

impl<A: Answers> Server<A> {
    /// Listens at `address`; port 0 takes a free one. The limits must have passed [`Limits::check`].
    pub fn bind(address: SocketAddr, answers: Arc<A>, tls: Arc<Tls>, limits: Limits, clock: Clock, site: Site) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let seats = usize::try_from(limits.max_connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let neighbours = Arc::new(Neighbours { most: limits.max_connections_per_address, here: Mutex::default() });
        let budget = Budget::new(limits.body_budget);
        let shared = Arc::new(Shared { answers, tls, limits, clock, site, budget, seats: Arc::new(Semaphore::new(seats)) });
        Ok(Self { listener, shared, neighbours })
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is ready; then nobody is let in, requests in flight are finished, and the rest is cut.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Stopped {
        let (phase, _) = watch::channel(Phase::Serving);
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = stop.as_mut() => break,
                accepted = self.accept() => match accepted {
                    Ok((seat, tcp, address)) => self.let_in(seat, tcp, address, &phase),
                    Err(error) => {
                        if let Some(pause) = pause_after(&error) {
                            tracing::warn!(%error, "no connection can be accepted, trying again shortly");
                            tokio::select! {
                                () = stop.as_mut() => break,
                                () = tokio::time::sleep(pause) => {}
                            }
                        }
                    }
                },
            }
        }
        let Self { listener, shared, .. } = self;
        // Whoever connects from now on is refused by the kernel and goes to another node.
        drop(listener);
        drain(&shared.seats, &shared.limits, &phase).await
    }

    /// A seat first: while all are taken, connections wait in the kernel and cost nothing.
    async fn accept(&self) -> io::Result<(OwnedSemaphorePermit, TcpStream, IpAddr)> {
        let seat = Arc::clone(&self.shared.seats).acquire_owned().await.map_err(io::Error::other)?;
        let (tcp, address) = self.listener.accept().await?;
        tcp.set_nodelay(true)?;
        Ok((seat, tcp, address.ip().to_canonical()))
    }

    fn let_in(&self, seat: OwnedSemaphorePermit, tcp: TcpStream, address: IpAddr, phase: &watch::Sender<Phase>) {
        let Some(place) = Neighbours::join(&self.neighbours, address) else { return };
        let (shared, phase) = (Arc::clone(&self.shared), phase.subscribe());
        tokio::spawn(async move {
            connection::run(shared, tcp, address, phase).await;
            drop((seat, place));
        });
    }
}

/// What an error of `accept` asks for: nothing when one connection failed, a pause when the system has no room for another, so that
/// the loop does not spin on a listener that stays ready.
fn pause_after(error: &io::Error) -> Option<Duration> {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, NotConnected};
    match error.kind() {
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | NotConnected => None,
        _ => Some(EXHAUSTED),
    }
}

async fn drain(seats: &Arc<Semaphore>, limits: &Limits, phase: &watch::Sender<Phase>) -> Stopped {
    // Every connection holds a seat until it has ended.
    let all = async || seats.acquire_many(limits.max_connections).await.is_ok();
    phase.send_replace(Phase::Draining);
    if timeout(limits.drain_timeout, all()).await.is_ok() {
        return Stopped { cut: 0 };
    }
    let cut = usize::try_from(limits.max_connections).unwrap_or(usize::MAX).saturating_sub(seats.available_permits());
    phase.send_replace(Phase::Cutting);
    let _ = timeout(CUT, all()).await;
    Stopped { cut }
}

/// How many connections each address has.
#[derive(Debug)]
struct Neighbours {
    most: Option<u32>,
    here: Mutex<HashMap<IpAddr, u32>>,
}

/// One connection's place among those of its address.
struct Place {
    neighbours: Arc<Neighbours>,
    /// None where nobody counts.
    household: Option<IpAddr>,
}

impl Neighbours {
    fn join(neighbours: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let Some(most) = neighbours.most else { return Some(Place { neighbours: Arc::clone(neighbours), household: None }) };
        let household = household(address);
        let mut here = neighbours.here.lock();
        let count = here.entry(household).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(here);
        Some(Place { neighbours: Arc::clone(neighbours), household: Some(household) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(household) = self.household else { return };
        let mut here = self.neighbours.here.lock();
        if let Some(count) = here.get_mut(&household) {
            *count -= 1;
            if *count == 0 {
                here.remove(&household);
            }
        }
    }
}

/// An IPv6 customer has a /64 of addresses at least, so these count as one.
fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhaustion_pauses_and_one_bad_connection_does_not() {
        // EMFILE, ENFILE, ENOBUFS, ENOMEM
        for code in [24, 23, 105, 12] {
            assert_eq!(pause_after(&io::Error::from_raw_os_error(code)), Some(EXHAUSTED), "{code}");
        }
        // ECONNABORTED, EINTR, ECONNRESET
        for code in [103, 4, 104] {
            assert_eq!(pause_after(&io::Error::from_raw_os_error(code)), None, "{code}");
        }
    }

    #[test]
    fn neighbours_are_counted_and_forgotten() {
        let neighbours = Arc::new(Neighbours { most: Some(2), here: Mutex::default() });
        let join = |text: &str| Neighbours::join(&neighbours, text.parse().expect("address"));
        let (one, _two) = (join("2001:db8::1"), join("2001:db8::2"));
        assert!(one.is_some() && join("2001:db8::3").is_none(), "one /64");
        assert!(join("2001:db8:0:1::1").is_some() && join("192.0.2.1").is_some());
        drop(one);
        let again = join("2001:db8::4");
        assert!(again.is_some());
        drop((again, _two));
        assert!(neighbours.here.lock().is_empty());
    }
}
