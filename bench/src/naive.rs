//! The naive Python service of `bench/naive`: started on a database of its own in the measured goldfin's PostgreSQL, with the same
//! settings and the same certificate, stopped by its process id.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hyper::header::HeaderValue;

use crate::database::Database;
use crate::line::Door;
use crate::process::Processes;
use crate::provision;
use crate::service::{PATIENCE, Service, end};
use crate::side::{Party, Side};
use crate::trouble::Trouble;
use crate::watch::now;

/// Synthetic, and worth nothing outside the benchmark.
const AUTH_TOKEN: &str = "synthetic-token-of-the-naive-service";
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

const WORKERS: &str = "2";

/// The service while it runs. Dropping it stops it.
pub struct Naive {
    child: Child,
}

impl Naive {
    /// `python` is that of an environment with `bench/naive/requirements.txt`; `folder` takes the log.
    pub async fn start(python: &Path, folder: &Path, service: &Service) -> Result<(Self, Party), Trouble> {
        let mut database = Database::open(service).await?;
        database.run("CREATE ROLE naive LOGIN").await?;
        database.run("CREATE DATABASE naive OWNER naive").await?;
        let url = format!("postgresql+asyncpg://naive@/naive?host={}", service.socket()?.display());
        let python = std::path::absolute(python)?;
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("naive");
        let log = File::options().create(true).append(true).open(folder.join("naive.log"))?;
        let command = |arguments: &[&str]| -> Result<Command, Trouble> {
            let mut command = Command::new(&python);
            command.args(arguments).current_dir(&program).env_clear().env("PYTHONDONTWRITEBYTECODE", "1");
            command.env("NAIVE_DATABASE", &url).env("NAIVE_TOKEN", AUTH_TOKEN).env("NAIVE_KEY", KEY);
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
            Ok(command)
        };
        if !command(&["service.py"])?.status()?.success() {
            return Err(Trouble(format!("the naive service cannot make its tables, see {}", folder.join("naive.log").display())));
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let mut uvicorn = command(&["-m", "uvicorn", "service:app", "--host", "127.0.0.1", "--port", &port, "--workers", WORKERS])?;
        // As long as goldfin waits; uvicorn's 5 s are as long as the others' turns may take.
        uvicorn.args(["--timeout-keep-alive", "75"]);
        uvicorn.args(["--no-access-log", "--log-level", "warning", "--ssl-certfile"]).arg(service.file("certs/server.pem"));
        uvicorn.arg("--ssl-keyfile").arg(service.file("certs/server.key"));
        let mut naive = Self { child: uvicorn.spawn()? };
        let door = Door::new(&format!("https://127.0.0.1:{port}"), Path::new(service.variable("VAULT_CACERT")?))?;
        naive.wait(&door).await?;
        let questions = provision::provision_naive(&door, AUTH_TOKEN).await?;
        let processes = Processes { own: Some(naive.child.id()), ..service.processes()? };
        Ok((naive, Party::new(Side::Naive, door, questions, processes)))
    }

    async fn wait(&mut self, door: &Door) -> Result<(), Trouble> {
        let health = provision::health(HeaderValue::from_static(AUTH_TOKEN))?;
        let began = now();
        while now().duration_since(began) < PATIENCE && self.child.try_wait()?.is_none() {
            if let Ok(mut line) = door.connect().await
                && line.ask(&health).await.is_ok_and(|(status, _)| status.is_success())
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Trouble::new("the naive service does not answer, see naive.log"))
    }

    /// It with its workers, in kilobytes.
    pub fn resident(&self) -> Result<u64, Trouble> {
        crate::process::resident_with_children(self.child.id())
    }

    pub fn stop(mut self) -> Result<(), Trouble> {
        end(&mut self.child)
    }
}

impl Drop for Naive {
    fn drop(&mut self) {
        drop(end(&mut self.child));
    }
}
