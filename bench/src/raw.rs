//! The other side of R5: the same rows by one connection, a thousand a commit, into a copy of the same table beside it.

use crate::database::{Database, Rows};
use crate::load::{Bounds, Round, within};
use crate::process::{self, Processes};
use crate::service::Service;
use crate::trouble::Trouble;
use crate::watch::now;

/// Ids that goldfin does not reach in a benchmark.
const FIRST: i64 = 1 << 48;

pub struct Raw {
    database: Database,
    rows: Rows,
    next: i64,
    processes: Processes,
}

impl Raw {
    pub async fn new(service: &Service) -> Result<Self, Trouble> {
        let mut database = Database::open(service).await?;
        let rows = database.copy_tokens().await?;
        Ok(Self { database, rows, next: FIRST, processes: Processes { own: None, ..service.processes()? } })
    }

    pub async fn round(&mut self, bounds: Bounds) -> Result<Round, Trouble> {
        let before = process::used(self.processes)?;
        let measured = bounds.measured();
        let (mut latencies, mut answered, mut requests) = (Vec::new(), 0.0, 0);
        loop {
            let sent = now();
            if sent >= measured.end {
                break;
            }
            self.database.insert_raw(&self.rows, self.next).await?;
            let ended = now();
            self.next += 1000;
            requests += 1;
            if ended > measured.start {
                latencies.push(u32::try_from(ended.duration_since(sent).as_micros())?);
                answered += within(sent, ended, &measured);
            }
        }
        let elapsed = now().duration_since(measured.start);
        latencies.sort_unstable();
        let used = process::used(self.processes)?.since(before);
        Ok(Round { elapsed, rate: answered / bounds.time.as_secs_f64(), requests, used, latencies, refused: Vec::new() })
    }
}
