//! Reading a request's body: at most so much, at most so long, and not slower than it must be; into memory that is wiped.

use std::sync::Arc;
use std::time::Duration;

use goldfin_crypto::{Plaintext, Zeroizing};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::limits::Limits;
use crate::gate::request::{MAX_BATCH_BODY, MAX_BODY, Malformed};
use crate::model::clock;
use crate::model::path::CanonicalPath;

/// What a body starts with, whatever length it claims.
const FIRST: usize = 16 * 1024;

const KIB: usize = 1024;

/// The segments below a mount whose bodies may be long: `transform/encode/:role`, `transit/sign/:key` and their like.
const BATCHES: [&str; 14] = [
    "encode",
    "decode",
    "validate",
    "tokenized",
    "tokens",
    "redact",
    "restore",
    "encrypt",
    "decrypt",
    "rewrap",
    "sign",
    "verify",
    "hmac",
    "datakey",
];

/// How long the body of this path may be, in bytes.
#[must_use]
pub fn limit(path: &CanonicalPath) -> usize {
    let mut segments = path.as_str().split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segments.peek().is_some() && BATCHES.contains(&segment) {
            return MAX_BATCH_BODY;
        }
    }
    MAX_BODY
}

/// What all bodies together may hold, so that many long ones cannot take the memory of all.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

/// A body's part of the budget, given back when dropped.
#[derive(Debug)]
pub struct Held(Option<OwnedSemaphorePermit>);

impl Budget {
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / KIB).min(Semaphore::MAX_PERMITS))))
    }

    async fn extend(&self, held: &mut Held, bytes: usize) -> Result<(), Malformed> {
        let units = u32::try_from(bytes.div_ceil(KIB)).map_err(|_| Malformed::BodyTooLarge)?;
        let more = Arc::clone(&self.0).acquire_many_owned(units).await.map_err(|_| Malformed::BodyIncomplete)?;
        match &mut held.0 {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// Reads to the end. The body's memory counts against the budget until [`Held`] is dropped.
pub async fn read<B>(body: B, limit: usize, limits: &Limits, budget: &Budget) -> Result<(Plaintext, Held), Malformed>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut held = Held(None);
    if body.is_end_stream() {
        return Ok((Plaintext::new(Vec::new()), held));
    }
    let claimed = body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if claimed.is_some_and(|length| length > limit) {
        return Err(Malformed::BodyTooLarge);
    }
    let most = claimed.unwrap_or(limit);
    let begun = clock::instant();
    let reading = fill(body, most, begun, limits, budget, &mut held);
    let mut buffer = match tokio::time::timeout_at(begun + limits.body_timeout, reading).await {
        Ok(buffer) => buffer?,
        Err(_) => return Err(Malformed::BodyIncomplete),
    };
    Ok((Plaintext::new(std::mem::take(&mut *buffer)), held))
}

async fn fill<B>(
    mut body: B,
    most: usize,
    begun: Instant,
    limits: &Limits,
    budget: &Budget,
    held: &mut Held,
) -> Result<Zeroizing<Vec<u8>>, Malformed>
where
    B: Body<Data = Bytes> + Unpin,
{
    let first = most.min(FIRST);
    timely(begun, 0, limits, budget.extend(held, first)).await??;
    let mut buffer = Zeroizing::new(Vec::with_capacity(first));
    while let Some(frame) = timely(begun, buffer.len(), limits, body.frame()).await? {
        let frame = frame.map_err(|_| Malformed::BodyIncomplete)?;
        // Trailers say nothing that we want to know.
        let Ok(data) = frame.into_data() else { continue };
        let needed = buffer.len().saturating_add(data.len());
        if needed > most {
            return Err(Malformed::BodyTooLarge);
        }
        if needed > buffer.capacity() {
            let capacity = needed.max(buffer.capacity().saturating_mul(2)).min(most);
            timely(begun, buffer.len(), limits, budget.extend(held, capacity - buffer.capacity())).await??;
            // Not `reserve`: it would leave the old memory behind as it is.
            let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
            larger.extend_from_slice(&buffer);
            buffer = larger;
        }
        buffer.extend_from_slice(&data);
    }
    Ok(buffer)
}

/// Throws away what still comes of a body that is not wanted, as far as it is no longer than any that is.
pub async fn discard<B>(body: &mut B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut left = 2 * MAX_BATCH_BODY;
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Waits no longer than the slowest rate allows for what has come so far.
async fn timely<F: Future>(begun: Instant, received: usize, limits: &Limits, what: F) -> Result<F::Output, Malformed> {
    let earned = Duration::from_millis((received as u64).saturating_mul(1000) / u64::from(limits.body_min_rate.max(1)));
    tokio::time::timeout_at(begun + limits.body_grace + earned, what).await.map_err(|_| Malformed::BodyIncomplete)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body_util::Full;
    use hyper::body::Frame;

    use super::*;

    /// Gives `size` bytes every `pause`, `times` times; claims no length.
    struct Drip {
        size: usize,
        pause: Duration,
        times: usize,
        sleep: Pin<Box<tokio::time::Sleep>>,
    }

    impl Drip {
        fn new(size: usize, pause: Duration, times: usize) -> Self {
            Self { size, pause, times, sleep: Box::pin(tokio::time::sleep(pause)) }
        }
    }

    impl Body for Drip {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.times == 0 {
                return Poll::Ready(None);
            }
            std::task::ready!(self.sleep.as_mut().poll(cx));
            let next = clock::instant() + self.pause;
            self.sleep.as_mut().reset(next);
            self.times -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; self.size])))))
        }
    }

    fn limit_of(path: &str) -> usize {
        limit(&CanonicalPath::from_text(path).expect("path"))
    }

    fn budget() -> Budget {
        Budget::new(64 * 1024 * 1024)
    }

    #[test]
    fn batches_may_be_long() {
        for path in ["transform/encode/role", "a/b/decode/role/format", "transit/sign/key/sha2-256"] {
            assert_eq!(limit_of(path), MAX_BATCH_BODY, "{path}");
        }
        for path in ["encode", "encode/role", "secret/data/encode", "secret/data/app", "sys/unseal"] {
            assert_eq!(limit_of(path), MAX_BODY, "{path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reads_what_fits() {
        let (body, _held) = read(Full::new(Bytes::from_static(b"{}")), 2, &Limits::default(), &budget()).await.expect("fits");
        assert_eq!(body.expose(), b"{}");
        let long = Drip::new(10_000, Duration::from_millis(1), 100);
        let (body, _held) = read(long, 1_000_000, &Limits::default(), &budget()).await.expect("fits");
        assert_eq!(body.len(), 1_000_000);
        assert!(body.expose().iter().all(|b| *b == b'x'));
    }

    #[tokio::test(start_paused = true)]
    async fn refuses_what_is_too_long_claimed_or_not() {
        let claimed = read(Full::new(Bytes::from_static(b"123")), 2, &Limits::default(), &budget()).await;
        assert_eq!(claimed.err(), Some(Malformed::BodyTooLarge));
        let unclaimed = read(Drip::new(600, Duration::ZERO, 2), 1_000, &Limits::default(), &budget()).await;
        assert_eq!(unclaimed.err(), Some(Malformed::BodyTooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn cuts_what_is_slow() {
        let limits =
            Limits { body_timeout: Duration::from_secs(30), body_grace: Duration::from_secs(5), body_min_rate: 100, ..Limits::default() };
        let begun = clock::instant();
        let trickle = read(Drip::new(1, Duration::from_secs(1), 1_000), 1_000_000, &limits, &budget()).await;
        assert_eq!(trickle.err(), Some(Malformed::BodyIncomplete));
        assert!(begun.elapsed() < Duration::from_secs(7), "cut by the rate");
        let begun = clock::instant();
        let long = read(Drip::new(200, Duration::from_secs(1), 1_000), 1_000_000, &limits, &budget()).await;
        assert_eq!(long.err(), Some(Malformed::BodyIncomplete));
        assert_eq!(begun.elapsed(), Duration::from_secs(30), "cut by the deadline");
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_budget_and_gives_it_back() {
        let budget = Budget::new(32 * 1024);
        let drip = || Drip::new(8 * 1024, Duration::ZERO, 4);
        let (_body, held) = read(drip(), 32 * 1024, &Limits::default(), &budget).await.expect("fits");
        assert_eq!(read(drip(), 32 * 1024, &Limits::default(), &budget).await.err(), Some(Malformed::BodyIncomplete));
        drop(held);
        assert!(read(drip(), 32 * 1024, &Limits::default(), &budget).await.is_ok());
    }
}
