//! Starting PostgreSQL so that it ends with us, and finding what an earlier run left.
//!
//! A process is signalled only after its working folder and its name say that it is the PostgreSQL meant: a
//! number in a file may belong to anybody by now.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::error::DevError;

const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);

/// A running child and the thread that started it.
///
/// The thread exists because the kernel counts the *thread* that forked as the parent whose death ends the child
/// (`PR_SET_PDEATHSIG`): started from a worker of a thread pool, the child would end when the pool shrinks.
#[derive(Debug)]
pub(super) struct Supervised {
    id: u32,
    keeper: JoinHandle<()>,
}

impl Supervised {
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        let (tell, told) = mpsc::channel();
        let keeper = thread::Builder::new().name("postgresql".to_owned()).spawn(move || {
            let started = command.spawn();
            let (id, child) = match started {
                Ok(child) => (Ok(child.id()), Some(child)),
                Err(error) => (Err(error), None),
            };
            if tell.send(id).is_ok() {
                keep(child);
            }
        })?;
        let id = told.recv().map_err(io::Error::other)??;
        Ok(Self { id, keeper })
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn ended(&self) -> bool {
        self.keeper.is_finished()
    }

    /// A fast stop: sessions are cut, a checkpoint is written. Falls back to the immediate stop, which needs
    /// recovery at the next start but loses nothing.
    pub(super) fn stop(&self, folder: &Path) -> Result<(), DevError> {
        for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGKILL] {
            if !self.ended() {
                send(self.id, signal);
            }
            if patiently(PATIENCE, || self.ended()) {
                return Ok(());
            }
        }
        Err(DevError::StillRunning(folder.to_owned()))
    }
}

fn keep(child: Option<Child>) {
    if let Some(mut child) = child
        && let Err(error) = child.wait()
    {
        tracing::warn!(%error, "cannot wait for PostgreSQL");
    }
}

/// Ends every PostgreSQL process whose working folder is `cluster`, as an earlier run that was killed leaves them:
/// its postmaster still at work, or sessions of a postmaster that is gone.
pub(super) fn stop_leftovers(cluster: &Path) -> Result<(), DevError> {
    let within = |folder: &Path| folder == cluster;
    for (signal, patience) in
        [(Signal::SIGINT, PATIENCE), (Signal::SIGQUIT, Duration::from_secs(5)), (Signal::SIGKILL, Duration::from_secs(5))]
    {
        if signal == Signal::SIGINT {
            // To a session SIGINT means "cancel the query", so the fast stop is for the postmaster alone.
            postmaster_of(cluster).into_iter().for_each(|pid| send(pid, signal));
        } else {
            postgres_processes(within).into_iter().for_each(|pid| send(pid, signal));
        }
        if patiently(patience, || postgres_processes(within).is_empty()) {
            return Ok(());
        }
    }
    Err(DevError::StillRunning(cluster.to_owned()))
}

/// Ends every PostgreSQL process that works somewhere below `folder`, without ceremony: the folder is about to be
/// deleted.
pub(super) fn stop_below(folder: &Path) {
    let within = |place: &Path| place.starts_with(folder);
    postgres_processes(within).into_iter().for_each(|pid| send(pid, Signal::SIGQUIT));
    if !patiently(Duration::from_secs(5), || postgres_processes(within).is_empty()) {
        postgres_processes(within).into_iter().for_each(|pid| send(pid, Signal::SIGKILL));
    }
}

/// Whether there is a process of this number.
pub(super) fn alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Waits until `done` says so; false when it did not within about `limit`.
pub(super) fn patiently(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let mut waited = Duration::ZERO;
    while !done() {
        if waited >= limit {
            return false;
        }
        thread::sleep(PAUSE);
        waited += PAUSE;
    }
    true
}

fn postmaster_of(cluster: &Path) -> Option<u32> {
    let file = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    let pid = file.lines().next()?.trim().parse().ok()?;
    works_as_postgres(pid, |folder| folder == cluster).then_some(pid)
}

fn postgres_processes(within: impl Fn(&Path) -> bool) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|&pid| works_as_postgres(pid, &within)).collect()
}

/// A process that has ended but was not waited for has no working folder any more, so it counts as gone.
fn works_as_postgres(pid: u32, within: impl Fn(&Path) -> bool) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim_end() == "postgres")
        && fs::read_link(process.join("cwd")).is_ok_and(|folder| within(&folder))
}

fn send(pid: u32, signal: Signal) {
    // Zero and negative numbers mean groups of processes.
    if let Ok(target @ 1..) = i32::try_from(pid)
        && let Err(error) = kill(Pid::from_raw(target), signal)
    {
        tracing::debug!(pid, %error, "cannot signal PostgreSQL, it may have ended just now");
    }
}
