//! A `goldfin dev` of the benchmark's own: started, timed, stopped by its process id.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::trouble::Trouble;
use crate::watch::now;

/// How long a start or a stop may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How closely a start is timed.
const LOOK: Duration = Duration::from_millis(1);

/// A running service. Dropping it stops it.
pub struct Service {
    child: Child,
    folder: PathBuf,
    variables: HashMap<String, String>,
}

impl Service {
    /// Starts `binary` on `folder/data`; gives how long it took to be ready.
    pub fn start(binary: &Path, folder: &Path) -> Result<(Self, Duration), Trouble> {
        let env_file = folder.join("bench.env");
        drop(fs::remove_file(&env_file));
        let log = File::options().create(true).append(true).open(folder.join("goldfin.log"))?;
        let began = now();
        let child = Command::new(binary)
            .args(["dev", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.join("data"))
            .arg("--env-file")
            .arg(&env_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut service = Self { child, folder: folder.to_owned(), variables: HashMap::new() };
        while now().duration_since(began) < PATIENCE {
            // It appears whole when goldfin is ready.
            if let Ok(text) = fs::read_to_string(&env_file) {
                let took = now().duration_since(began);
                service.variables =
                    text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                return Ok((service, took));
            }
            if service.child.try_wait()?.is_some() {
                break;
            }
            std::thread::sleep(LOOK);
        }
        Err(Trouble(format!("goldfin dev did not start, see {}", folder.join("goldfin.log").display())))
    }

    pub fn variable(&self, name: &str) -> Result<&str, Trouble> {
        self.variables.get(name).map(String::as_str).ok_or_else(|| Trouble(format!("goldfin dev told no {name}")))
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// The folder of the private PostgreSQL's socket.
    pub fn socket(&self) -> Result<PathBuf, Trouble> {
        let text = fs::read_to_string(self.folder.join("data/postgresql/cluster/postmaster.pid"))?;
        text.lines().nth(4).map(PathBuf::from).ok_or_else(|| Trouble::new("PostgreSQL told no socket"))
    }

    /// Asks it to stop and waits until it and its PostgreSQL are gone.
    pub fn stop(mut self) -> Result<(), Trouble> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Trouble> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let began = now();
        while now().duration_since(began) < PATIENCE {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Its PostgreSQL notices that its parent is gone.
        self.child.kill()?;
        self.child.wait()?;
        Err(Trouble::new("goldfin did not stop when asked to"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // `stop` has said what is wrong; here only the processes matter.
        drop(self.end());
    }
}
