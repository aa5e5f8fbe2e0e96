//! Load: so many connections ask as fast as they are answered, until the time or the number of requests is over.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::case::{Case, Left, Questions, holds_all};
use crate::line::{Door, Line};
use crate::process::{self, Processes, Used};
use crate::trouble::Trouble;
use crate::watch::now;

/// Every so many answers one is kept, to be looked at when the clock has stopped.
const KEPT: usize = 97;

/// What counts of a round, and when it ends, whichever comes first.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// What comes before, under the same load, and does not count: others had the machine until then, and its caches.
    pub lead: Duration,
    pub time: Duration,
    pub requests: u64,
    /// Whether 429 and 503 are answers like others; else they stop the benchmark.
    pub refusals: bool,
}

impl Bounds {
    pub fn lasting(time: Duration) -> Self {
        Self { lead: Duration::ZERO, time, requests: u64::MAX, refusals: false }
    }

    /// What is measured of a round that begins now.
    pub fn measured(self) -> Range<Instant> {
        let from = now() + self.lead;
        from..from + self.time
    }
}

/// What one round gave.
#[derive(Debug)]
pub struct Round {
    pub elapsed: Duration,
    /// Requests per second, see [`within`].
    pub rate: f64,
    /// Done, with those in the lead.
    pub requests: usize,
    /// By all of these.
    pub used: Used,
    /// Of every request that was done behind the lead, in microseconds, sorted.
    pub latencies: Vec<u32>,
    /// Of every request that was refused with 429 or 503.
    pub refused: Vec<u32>,
}

/// Connections that stay open from round to round.
pub struct Lines {
    door: Door,
    /// Whether each request gets a new one.
    unkept: bool,
    open: Vec<Line>,
}

/// What one connection did.
struct Done {
    line: Line,
    answered: f64,
    requests: usize,
    latencies: Vec<u32>,
    refused: Vec<u32>,
    left: Vec<Left>,
}

impl Lines {
    pub fn new(door: Door) -> Self {
        Self { door, unkept: false, open: Vec::new() }
    }

    pub fn unkept(&self) -> Self {
        Self { door: self.door.clone(), unkept: true, open: Vec::new() }
    }

    pub fn door(&self) -> &Door {
        &self.door
    }

    /// Runs one case and proves what it left.
    pub async fn round(
        &mut self,
        case: Case,
        connections: usize,
        bounds: Bounds,
        questions: &Arc<Questions>,
        processes: Processes,
    ) -> Result<Round, Trouble> {
        self.open.retain(Line::is_open);
        while self.open.len() < connections {
            self.open.push(self.door.connect().await?);
        }
        let left_to_ask = Arc::new(AtomicU64::new(bounds.requests));
        let mut tasks = JoinSet::new();
        let before = process::used(processes)?;
        let measured = bounds.measured();
        for (connection, line) in self.open.drain(..connections).enumerate() {
            tasks.spawn(ask_on(
                (line, self.unkept.then(|| self.door.clone())),
                case,
                connection,
                (measured.clone(), bounds.refusals),
                Arc::clone(&left_to_ask),
                Arc::clone(questions),
            ));
        }
        let (mut latencies, mut refused, mut left, mut answered, mut requests) = (Vec::new(), Vec::new(), Vec::new(), 0.0, 0);
        while let Some(done) = tasks.join_next().await {
            let done = done??;
            answered += done.answered;
            requests += done.requests;
            latencies.extend(done.latencies);
            refused.extend(done.refused);
            left.extend(done.left);
            self.open.push(done.line);
        }
        let elapsed = now().duration_since(measured.start);
        let used = process::used(processes)?.since(before);
        self.prove(&left, questions).await?;
        latencies.sort_unstable();
        refused.sort_unstable();
        Ok(Round { elapsed, rate: answered / elapsed.min(bounds.time).as_secs_f64(), requests, used, latencies, refused })
    }

    async fn prove(&mut self, left: &[Left], questions: &Questions) -> Result<(), Trouble> {
        let line = self.open.first_mut().ok_or_else(|| Trouble::new("no connection is open"))?;
        // Spread over what was kept: all connections, the first and the last answers.
        for left in left.iter().step_by(left.len() / 32 + 1) {
            let Some((ask, held)) = questions.proof(left)? else { continue };
            let (status, body) = line.ask(&ask).await?;
            if status.as_u16() != 200 || !holds_all(std::str::from_utf8(&body)?, &held) {
                return Err(Trouble(format!("what was encoded does not turn back, status {status}")));
            }
        }
        Ok(())
    }
}

/// How much of a request counts: the share of its time that was in what is measured. So a round of few long requests says what one of many
/// short ones says.
pub fn within(sent: Instant, answered: Instant, measured: &Range<Instant>) -> f64 {
    if measured.start <= sent && answered <= measured.end {
        return 1.0;
    }
    let inside = answered.min(measured.end).saturating_duration_since(sent.max(measured.start));
    inside.as_secs_f64() / answered.duration_since(sent).as_secs_f64()
}

async fn ask_on(
    (mut line, door): (Line, Option<Door>),
    case: Case,
    connection: usize,
    (measured, refusals): (Range<Instant>, bool),
    left_to_ask: Arc<AtomicU64>,
    questions: Arc<Questions>,
) -> Result<Done, Trouble> {
    let (mut latencies, mut refused, mut left) = (Vec::new(), Vec::new(), Vec::new());
    let (mut turn, mut answered, mut requests) = (0, 0.0, 0);
    loop {
        let ask = questions.ask(case, connection, turn)?;
        let sent = now();
        if sent >= measured.end || left_to_ask.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            return Ok(Done { line, answered, requests, latencies, refused, left });
        }
        if let Some(door) = &door {
            line = door.connect().await?;
        }
        let (status, body) = line.ask(&ask).await?;
        let ended = now();
        let took = u32::try_from(ended.duration_since(sent).as_micros()).unwrap_or(u32::MAX);
        if refusals && matches!(status.as_u16(), 429 | 503) {
            refused.push(took);
            turn += 1;
            continue;
        }
        requests += 1;
        if ended > measured.start {
            latencies.push(took);
            answered += within(sent, ended, &measured);
        }
        let kept = questions.check(case, connection, turn, status, &body)?;
        if turn % KEPT == 0 {
            left.push(kept);
        }
        turn += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_by_the_share_of_its_time_that_is_measured() {
        let began = now();
        let at = |millis| began + Duration::from_millis(millis);
        let share = |sent, answered| within(at(sent), at(answered), &(at(20)..at(60)));
        for (sent, answered, counts) in [(20, 20, 1.0), (20, 60, 1.0), (50, 90, 0.25), (10, 30, 0.5), (0, 80, 0.5), (0, 10, 0.0)] {
            assert!((share(sent, answered) - counts).abs() < 1e-9, "{sent} to {answered}");
        }
        // Of four in a row of 250 ms each the rate is four a second, whatever of them is measured.
        let rate: f64 = (0..4).map(|turn| within(at(turn * 250), at(turn * 250 + 250), &(at(60)..at(960)))).sum::<f64>() / 0.9;
        assert!((rate - 4.0).abs() < 1e-9);
    }
}
