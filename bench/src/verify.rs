//! How fast the ledger is verified: `goldfin audit verify --database`, held to one core, over the entries that the run has made.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::figures::count;
use crate::service::Service;
use crate::trouble::Trouble;
use crate::watch::now;

#[derive(Debug, Clone, Copy)]
pub struct Verified {
    pub entries: usize,
    pub seconds: f64,
}

impl Verified {
    /// Fails unless the ledger is sound.
    pub fn measure(goldfin: &Path, service: &Service) -> Result<Self, Trouble> {
        let url = format!("postgresql://goldfin_app@localhost/goldfin?host={}", service.socket()?.display());
        let began = now();
        let output = Command::new("taskset")
            .args(["--cpu-list", "0"])
            .arg(goldfin)
            .args(["audit", "verify", "--format", "json", "--database", &url, "--mac-key"])
            .arg(service.file("unseal.key"))
            .env_clear()
            .stdin(Stdio::null())
            .output()?;
        let seconds = now().duration_since(began).as_secs_f64();
        if !output.status.success() {
            return Err(Trouble(format!("the ledger does not verify: {}", String::from_utf8_lossy(&output.stderr).trim())));
        }
        let told: Value = serde_json::from_slice(&output.stdout)?;
        let entries = told.pointer("/entries").or_else(|| told.pointer("/data/entries")).and_then(Value::as_u64);
        let entries = entries.ok_or_else(|| Trouble::new("the verification told no number of entries"))?;
        Ok(Self { entries: usize::try_from(entries)?, seconds })
    }

    pub fn per_second(self) -> f64 {
        count(self.entries) / self.seconds
    }
}
