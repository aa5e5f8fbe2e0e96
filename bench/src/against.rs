//! The same cases with other builds of goldfin, or with the same one set otherwise, in the same rounds.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Options;
use crate::database::Database;
use crate::figures::median;
use crate::load::Bounds;
use crate::plan;
use crate::report::{Cell, Measured};
use crate::run::party;
use crate::service::Service;
use crate::side::{Party, Side};
use crate::trouble::Trouble;

/// One goldfin with its own database.
struct Build {
    name: String,
    service: Service,
    party: Party,
}

/// What each build made of the same cases.
#[derive(Debug)]
pub struct Compared {
    name: String,
    cells: Vec<Cell>,
}

/// The build of `--goldfin` first.
pub async fn measure(options: &Options) -> Result<Vec<Compared>, Trouble> {
    let mut cells = plan::cells(options);
    cells.retain(|cell| cell.side == Side::Goldfin);
    let mut builds = vec![start(options, 0, &options.goldfin.to_string_lossy()).await?];
    for (number, named) in options.against.iter().enumerate() {
        builds.push(start(options, number + 1, named).await?);
    }
    let empty = |cell: &Cell| Cell { rounds: Vec::new(), ..*cell };
    let mut all: Vec<Compared> =
        builds.iter().map(|build| Compared { name: build.name.clone(), cells: cells.iter().map(empty).collect() }).collect();
    let time = Duration::try_from_secs_f64(options.seconds)?;
    for (at, cell) in cells.iter().enumerate() {
        for build in &mut builds {
            build.party.round(cell.case, cell.connections, Bounds::lasting(time.min(Duration::from_millis(500)))).await?;
        }
        for round in 0..options.rounds() {
            for place in 0..builds.len() {
                // Each is first as often as the others.
                let number = (place + round) % builds.len();
                let (Some(build), Some(compared)) = (builds.get_mut(number), all.get_mut(number)) else { continue };
                let measured = Measured::of(&build.party.round(cell.case, cell.connections, Bounds::lasting(time)).await?);
                if let Some(cell) = compared.cells.get_mut(at) {
                    cell.rounds.push(measured);
                }
            }
        }
    }
    for build in builds {
        build.service.stop()?;
    }
    Ok(all)
}

/// `BINARY`, or `BINARY,KEY=VALUE,…` with settings of `[tuning]`.
async fn start(options: &Options, number: usize, named: &str) -> Result<Build, Trouble> {
    let mut parts = named.split(',');
    let binary = Path::new(parts.next().unwrap_or_default());
    let tuning: Vec<&str> = parts.collect();
    let (service, _) = Service::start_tuned(binary, &options.folder.join(format!("build-{number}")), &tuning)?;
    let party = party(Side::Goldfin, &service).await?;
    Database::open_seasoned(&service).await?;
    Ok(Build { name: named.to_owned(), service, party })
}

/// Medians over the rounds; the ratio to the first is the median of the ratios within the rounds.
pub fn table(all: &[Compared]) -> String {
    let mut text = format!(
        "{:<14} {:>5} {:>10} {:>9} {:>9} {:>10} {:>9} {:>8}  build\n",
        "case", "conn", "req/s", "p50 us", "p99 us", "CPU own us", "CPU PG us", "/ first"
    );
    let Some(first) = all.first() else { return text };
    for (at, usual) in first.cells.iter().enumerate() {
        for Compared { name, cells } in all {
            let Some(cell) = cells.get(at) else { continue };
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{:<14} {:>5} {:>10.0} {:>9.0} {:>9.0} {:>10.1} {:>9.1} {:>8.3}  {name}",
                cell.case.name(),
                cell.connections,
                cell.median(|round| round.rate),
                cell.median(|round| round.p50),
                cell.median(|round| round.p99),
                cell.median(|round| round.takes.own),
                cell.median(|round| round.takes.postgres),
                median(cell.ratios(usual))
            );
        }
    }
    text
}

pub fn json(all: &[Compared]) -> Value {
    all.iter().map(|Compared { name, cells }| json!({ "build": name, "cells": cells.iter().map(Cell::json).collect::<Value>() })).collect()
}
