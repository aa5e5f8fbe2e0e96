//! One commit of one row, on the same PostgreSQL and disk: what the latency of an audited write is compared with.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::trouble::Trouble;

const COMMITS: usize = 400;

/// The median latency of a single-row commit over one session, in microseconds; measured by `psql`, so its own share is in it.
pub fn median_latency(socket: &Path) -> Result<f64, Trouble> {
    sql(socket, "CREATE TABLE IF NOT EXISTS bench_commit (id bigserial PRIMARY KEY, body text NOT NULL)")?;
    let insert = "INSERT INTO bench_commit (body) VALUES (repeat('x', 400));\n";
    let script = format!("\\timing on\n{}", insert.repeat(COMMITS));
    let told = sql(socket, &script)?;
    let latencies: Vec<f64> = told
        .lines()
        .filter_map(|line| line.strip_prefix("Time: ")?.split_whitespace().next()?.parse::<f64>().ok())
        .map(|ms| ms * 1000.0)
        .collect();
    sql(socket, "DROP TABLE bench_commit")?;
    if latencies.len() < COMMITS {
        return Err(Trouble::new("psql told no times"));
    }
    Ok(crate::figures::median(latencies))
}

/// Runs a script as the superuser; what psql printed.
fn sql(socket: &Path, script: &str) -> Result<String, Trouble> {
    let mut psql = Command::new("psql")
        .args(["--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "goldfin", "-h"])
        .arg(socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = psql.stdin.take() {
        std::io::Write::write_all(&mut stdin, script.as_bytes())?;
    }
    let output = psql.wait_with_output()?;
    if output.status.success() { Ok(String::from_utf8(output.stdout)?) } else { Err(Trouble::new("psql failed")) }
}
