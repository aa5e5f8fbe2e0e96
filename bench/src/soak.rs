//! Everything at once for long: whether memory and latency stay where they are.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Options;
use crate::case::Case;
use crate::figures::{count, median, percentile};
use crate::load::Bounds;
use crate::process;
use crate::run::{megabytes, party};
use crate::service::Service;
use crate::side::{Party, Side};
use crate::svg::Panel;
use crate::trouble::Trouble;
use crate::watch::now;

const CONNECTIONS: usize = 16;

/// Seconds between two samples of the memory, where the run is long enough.
const SAMPLED: f64 = 5.0;

/// Samples of a line, where the run is long enough.
const SAMPLES: usize = 12;

/// Lines of a short run.
const LINES: f64 = 6.0;

/// A minute of the run, or the sixth part of one that is shorter than six.
#[derive(Debug)]
struct Line {
    /// Where it ends.
    minute: f64,
    /// Requests per second, without those that were refused with 429 or 503.
    rate: f64,
    /// Microseconds.
    p99: f64,
    refused: usize,
    /// MB, in the order of the samples.
    resident: Vec<f64>,
}

/// What was seen, line by line.
#[derive(Debug)]
pub struct Soak(Vec<Line>);

/// A node of its own under the mixed load.
pub async fn measure(options: &Options, minutes: f64) -> Result<Soak, Trouble> {
    let (service, _) = Service::start(&options.goldfin, &options.folder.join("soak"))?;
    let mut party = party(Side::Goldfin, &service).await?;
    let time = Duration::try_from_secs_f64(SAMPLED.min(minutes * 60.0 / LINES / count(SAMPLES)))?;
    let (began, mut lines) = (now(), Vec::new());
    while now().duration_since(began).as_secs_f64() < minutes * 60.0 {
        let mut line = line(&mut party, service.process_id(), time).await?;
        line.minute = now().duration_since(began).as_secs_f64() / 60.0;
        lines.push(line);
    }
    service.stop()?;
    Ok(Soak(lines))
}

async fn line(party: &mut Party, process: u32, time: Duration) -> Result<Line, Trouble> {
    let bounds = Bounds { refusals: true, ..Bounds::lasting(time) };
    let (mut latencies, mut elapsed) = (Vec::new(), 0.0);
    let mut line = Line { minute: 0.0, rate: 0.0, p99: 0.0, refused: 0, resident: Vec::with_capacity(SAMPLES) };
    for _ in 0..SAMPLES {
        let round = party.round(Case::Mixed, CONNECTIONS, bounds).await?;
        latencies.extend(round.latencies);
        elapsed += round.elapsed.as_secs_f64();
        line.refused += round.refused.len();
        line.resident.push(megabytes(process::resident(process)?));
    }
    latencies.sort_unstable();
    line.rate = count(latencies.len()) / elapsed;
    line.p99 = percentile(&latencies, 0.99);
    Ok(line)
}

impl Soak {
    /// The medians of the resident memory in the middle third and in the last, in MB.
    fn thirds(&self) -> (f64, f64) {
        let samples: Vec<f64> = self.0.iter().flat_map(|line| &line.resident).copied().collect();
        let third = samples.len() / 3;
        let of = |from: usize, to: usize| median(samples.iter().take(to).skip(from).copied().collect());
        (of(third, samples.len() - third), of(samples.len() - third, samples.len()))
    }

    fn stays(&self) -> bool {
        let (middle, last) = self.thirds();
        (last / middle - 1.0).abs() <= 0.1
    }

    pub fn table(&self) -> String {
        let mut text = format!("{:>8} {:>10} {:>9} {:>9} {:>12}\n", "minute", "req/s", "p99 us", "refused", "resident MB");
        for line in &self.0 {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{:>8.1} {:>10.0} {:>9.0} {:>9} {:>12.1}",
                line.minute,
                line.rate,
                line.p99,
                line.refused,
                median(line.resident.clone())
            );
        }
        let (middle, last) = self.thirds();
        let verdict = if self.stays() { "within 10 %" } else { "MORE than 10 % apart" };
        let _ = writeln!(text, "resident MB in the middle third {middle:.1}, in the last {last:.1}: {verdict}");
        text
    }

    pub fn panels(&self) -> Vec<Panel> {
        let of = |title: &str, figure: fn(&Line) -> f64| Panel::new(title, self.0.iter().map(|line| (line.minute, figure(line))));
        vec![
            of("requests per second, 16 connections", |line| line.rate),
            of("p99, microseconds", |line| line.p99),
            of("resident MB", |line| median(line.resident.clone())),
        ]
    }

    pub fn json(&self) -> Value {
        let (middle, last) = self.thirds();
        let lines: Vec<Value> = self
            .0
            .iter()
            .map(|line| {
                json!({ "minute": line.minute, "rate": line.rate, "p99_us": line.p99, "refused": line.refused, "resident_mb": line.resident })
            })
            .collect();
        json!({ "lines": lines, "resident_mb_middle": middle, "resident_mb_last": last, "stays": self.stays() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soak(resident: &[f64]) -> Soak {
        let line = |(minute, resident): (f64, &f64)| Line { minute, rate: 100.0, p99: 5.0, refused: 0, resident: vec![*resident; 4] };
        Soak([1.0, 2.0, 3.0, 4.0, 5.0, 6.0].into_iter().zip(resident).map(line).collect())
    }

    #[test]
    fn the_last_third_is_compared_with_the_middle() {
        let steady = soak(&[20.0, 30.0, 50.0, 50.0, 52.0, 53.0]);
        assert!(steady.stays() && steady.table().contains("within 10 %"));
        let growing = soak(&[20.0, 30.0, 50.0, 50.0, 60.0, 70.0]);
        assert!(!growing.stays() && growing.table().contains("MORE"));
        assert_eq!(growing.table().lines().count(), 8);
        assert_eq!(growing.json().pointer("/lines/5/minute"), Some(&json!(6.0)));
    }
}
