//! How rate, latency, size and WAL change while the table of tokens grows.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Options;
use crate::case::Case;
use crate::database::Database;
use crate::figures::{count, median};
use crate::load::Bounds;
use crate::report::Measured;
use crate::run::find;
use crate::side::{Party, Side};
use crate::svg::Panel;
use crate::trouble::Trouble;

const CONNECTIONS: usize = 64;

/// The figures with so many tokens present.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    pub tokens: f64,
    /// Encodes per second at 64 connections.
    pub rate: f64,
    /// The same as a share of the side with few tokens, measured in the same rounds.
    pub share: f64,
    /// Microseconds.
    pub p99: f64,
    /// Bytes of the table and its indexes.
    pub bytes: f64,
    /// Bytes of WAL per token that was encoded one by one, with the entry of its request.
    pub wal: f64,
}

/// What a panel shows.
type Figure = fn(&Stage) -> f64;

/// As it is, then with 100 thousand tokens, 1 million and so on, up to the number that was asked for.
pub async fn measure(options: &Options, database: &mut Database, parties: &mut [Party]) -> Result<Vec<Stage>, Trouble> {
    let mut curve = vec![stage(options, database, parties).await?];
    let mut wanted = 100_000;
    while wanted < options.tokens() {
        database.fill(wanted).await?;
        curve.push(stage(options, database, parties).await?);
        wanted *= 10;
    }
    database.fill(options.tokens()).await?;
    curve.push(stage(options, database, parties).await?);
    Ok(curve)
}

async fn stage(options: &Options, database: &mut Database, parties: &mut [Party]) -> Result<Stage, Trouble> {
    let bounds = Bounds::lasting(Duration::try_from_secs_f64(options.seconds)?);
    let (tokens, size) = (database.tokens().await?, database.tokens_size().await?);
    let (mut rates, mut shares, mut p99s, mut wal) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds() {
        let before = database.written().await?;
        let own = find(parties, Side::Goldfin)?.round(Case::Encode, CONNECTIONS, bounds).await?;
        let written = database.written().await? - before;
        wal.push(real(written)? / count(own.latencies.len()));
        let own = Measured::of(&own);
        let few = Measured::of(&find(parties, Side::Few)?.round(Case::Encode, CONNECTIONS, bounds).await?);
        rates.push(own.rate);
        shares.push(own.rate / few.rate);
        p99s.push(own.p99);
    }
    Ok(Stage {
        tokens: real(tokens)?,
        rate: median(rates),
        share: median(shares),
        p99: median(p99s),
        bytes: real(size)? / real(tokens)?,
        wal: median(wal),
    })
}

pub fn table(curve: &[Stage]) -> String {
    let mut text =
        format!("{:>11} {:>10} {:>12} {:>9} {:>12} {:>10}\n", "tokens", "encode/s", "/ few tokens", "p99 us", "bytes/token", "WAL/token");
    for stage in curve {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:>11.0} {:>10.0} {:>12.2} {:>9.0} {:>12.0} {:>10.0}",
            stage.tokens, stage.rate, stage.share, stage.p99, stage.bytes, stage.wal
        );
    }
    text
}

pub fn panels(curve: &[Stage]) -> Vec<Panel> {
    let figures: [(&str, Figure); 5] = [
        ("encodes per second, 64 connections", |stage| stage.rate),
        ("as a share of the rate with few tokens", |stage| stage.share),
        ("p99 of an encode, microseconds", |stage| stage.p99),
        ("bytes per token, table and indexes", |stage| stage.bytes),
        ("bytes of WAL per token, with its ledger entry", |stage| stage.wal),
    ];
    figures.into_iter().map(|(title, figure)| Panel::new(title, curve.iter().map(|stage| (stage.tokens, figure(stage))))).collect()
}

pub fn json(curve: &[Stage]) -> Value {
    let stages = curve.iter().map(|stage| {
        json!({ "tokens": stage.tokens, "rate": stage.rate, "share": stage.share, "p99_us": stage.p99, "bytes": stage.bytes, "wal": stage.wal })
    });
    stages.collect()
}

/// For a division; exact up to 2^32 and some, good enough above.
pub fn real(number: i64) -> Result<f64, Trouble> {
    Ok(count(usize::try_from(number / 1024)?) * 1024.0 + count(usize::try_from(number % 1024)?))
}
