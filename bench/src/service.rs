//! A `goldfin dev` of the benchmark's own: started, timed, stopped by its process id.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::Processes;
use crate::trouble::Trouble;
use crate::watch::now;

/// How long a start or a stop may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

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
        Self::start_tuned(binary, folder, &[])
    }

    /// The same with levers moved.
    pub fn start_tuned(binary: &Path, folder: &Path, tuning: &[&str]) -> Result<(Self, Duration), Trouble> {
        // The user of PostgreSQL has to get through it.
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o711))?;
        let env_file = folder.join("bench.env");
        drop(fs::remove_file(&env_file));
        let log = File::options().create(true).append(true).open(folder.join("goldfin.log"))?;
        let began = now();
        let child = Command::new(binary)
            .args(["dev", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.join("data"))
            .arg("--env-file")
            .arg(&env_file)
            .args(tuning.iter().flat_map(|setting| ["--tuning", *setting]))
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

    /// It and its private PostgreSQL.
    pub fn processes(&self) -> Result<Processes, Trouble> {
        Ok(Processes { own: Some(self.child.id()), postgres: self.postmaster(0)?.parse()? })
    }

    /// The folder of the private PostgreSQL's files.
    pub fn cluster(&self) -> Result<PathBuf, Trouble> {
        Ok(self.folder.join("data/postgresql/cluster").canonicalize()?)
    }

    /// The folder of the private PostgreSQL's socket.
    pub fn socket(&self) -> Result<PathBuf, Trouble> {
        self.postmaster(4).map(PathBuf::from)
    }

    /// A file below the data folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join("data").join(name)
    }

    fn postmaster(&self, line: usize) -> Result<String, Trouble> {
        let text = fs::read_to_string(self.folder.join("data/postgresql/cluster/postmaster.pid"))?;
        text.lines().nth(line).map(str::to_owned).ok_or_else(|| Trouble::new("PostgreSQL did not tell where it is"))
    }

    /// Asks it to stop and waits until it and its PostgreSQL are gone.
    pub fn stop(mut self) -> Result<(), Trouble> {
        self.end()
    }

    /// Where it was started.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Like [`Self::stop`], for whoever starts another in its place.
    pub fn halt(&mut self) -> Result<(), Trouble> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Trouble> {
        end(&mut self.child)
    }
}

/// Asks a process of ours to stop and waits until it is gone; after too long it is killed, and whatever it started notices that.
pub fn end(child: &mut Child) -> Result<(), Trouble> {
    if child.try_wait()?.is_some() {
        return Ok(());
    }
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
    let began = now();
    while now().duration_since(began) < PATIENCE {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Err(Trouble::new("a service did not stop when asked to"))
}

impl Drop for Service {
    fn drop(&mut self) {
        // `stop` has said what is wrong; here only the processes matter.
        drop(self.end());
    }
}
