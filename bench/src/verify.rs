//! How fast the ledger is verified: `goldfin audit verify --database`, held to one core, over the entries that the run has made.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::figures::count;
use crate::service::Service;
use crate::trouble::Trouble;
use crate::watch::now;

/// So often; what is told is the median. One after a run came to 155,000 entries a second, the one before to 442,000.
const TIMES: usize = 3;

#[derive(Debug)]
pub struct Verified {
    pub entries: usize,
    /// Entries a second, each time.
    pub rates: Vec<f64>,
}

impl Verified {
    /// Fails unless the ledger is sound.
    pub fn measure(goldfin: &Path, service: &Service) -> Result<Self, Trouble> {
        let mut verified = Self { entries: 0, rates: Vec::new() };
        for _ in 0..TIMES {
            let began = now();
            verified.entries = verify(goldfin, service)?;
            verified.rates.push(count(verified.entries) / now().duration_since(began).as_secs_f64());
        }
        Ok(verified)
    }
}

/// Gives the number of entries.
fn verify(goldfin: &Path, service: &Service) -> Result<usize, Trouble> {
    let url = format!("postgresql://goldfin_app@localhost/goldfin?host={}", service.socket()?.display());
    let output = Command::new("taskset")
        .args(["--cpu-list", "0"])
        .arg(goldfin)
        .args(["audit", "verify", "--format", "json", "--database", &url, "--mac-key"])
        .arg(service.file("unseal.key"))
        .env_clear()
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        return Err(Trouble(format!("the ledger does not verify: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    let told: Value = serde_json::from_slice(&output.stdout)?;
    let entries = told.pointer("/entries").or_else(|| told.pointer("/data/entries")).and_then(Value::as_u64);
    let entries = entries.ok_or_else(|| Trouble::new("the verification told no number of entries"))?;
    Ok(usize::try_from(entries)?)
}
