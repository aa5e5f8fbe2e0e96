//! The distribution's PostgreSQL programs, and the user to run them as.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{User, geteuid};

use super::error::DevError;

const INSTALLED: &str = "/usr/lib/postgresql";
const SETPRIV: &str = "/usr/bin/setpriv";
const OLDEST: u32 = 15;

/// The folder of the server programs of one major version.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    folder: PathBuf,
    server: ServerUser,
}

/// Whom the server runs as: ourselves, or as root somebody who is not.
#[derive(Debug, Clone, Copy)]
pub(super) enum ServerUser {
    Ourselves,
    Other { uid: u32, gid: u32 },
}

impl Programs {
    /// The newest installed, or exactly version `wanted`, which a folder that exists already insists on.
    pub(super) fn find(wanted: Option<u32>) -> Result<Self, DevError> {
        let mut versions: Vec<u32> = fs::read_dir(INSTALLED)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|version| wanted.map_or(*version >= OLDEST, |exact| exact == *version))
            .filter(|version| folder_of(*version).join("postgres").exists())
            .collect();
        versions.sort_unstable();
        let newest = versions.pop().ok_or(DevError::NoPostgres { wanted })?;
        Ok(Self { folder: folder_of(newest), server: ServerUser::find()? })
    }

    pub(super) fn server_user(&self) -> ServerUser {
        self.server
    }

    /// Fills `cluster`, an empty folder of the server's user, with a new database cluster. Whoever can enter the
    /// socket's folder is trusted; nobody else can connect.
    pub(super) fn initdb(&self, cluster: &Path) -> Result<(), DevError> {
        let output = self
            .command("initdb")
            .arg("--pgdata")
            .arg(cluster)
            .args(["--username=postgres", "--auth-local=trust", "--auth-host=reject"])
            .args(["--encoding=UTF8", "--locale=C", "--data-checksums", "--no-sync", "--no-instructions"])
            .output()
            .map_err(DevError::file("run", &self.folder.join("initdb")))?;
        if output.status.success() {
            return Ok(());
        }
        Err(DevError::Program { program: "initdb", said: last_lines(&String::from_utf8_lossy(&output.stderr)) })
    }

    /// The server, told to end when the thread that starts it does. `setpriv` sets that after the change of
    /// user, which would clear it; without `setpriv` the next start ends what is left.
    pub(super) fn server(&self) -> Command {
        if !Path::new(SETPRIV).exists() {
            return self.command("postgres");
        }
        let mut command = self.run_as_server(Path::new(SETPRIV));
        command.args(["--pdeathsig", "INT", "--"]).arg(self.folder.join("postgres"));
        command
    }

    /// Whether the server's user can enter `folder`. Asked by trying, so access lists count too.
    pub(super) fn server_can_enter(&self, folder: &Path) -> bool {
        self.run_as_server(Path::new("/usr/bin/test")).arg("-x").arg(folder).status().is_ok_and(|status| status.success())
    }

    fn command(&self, program: &str) -> Command {
        self.run_as_server(&self.folder.join(program))
    }

    /// No variable of ours reaches the server: `PGPORT` and its like would change what it does.
    fn run_as_server(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null())
            // Its own group, so that Ctrl-C stops goldfin first and the database after it.
            .process_group(0);
        if let ServerUser::Other { uid, gid } = self.server {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl ServerUser {
    fn find() -> Result<Self, DevError> {
        if !geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .filter(|user| !user.uid.is_root())
            .map(|user| Self::Other { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
            .ok_or(DevError::NoServerUser)
    }

    /// Makes `folder` if it is missing, enterable by the server's user alone.
    pub(super) fn make_folder(self, folder: &Path) -> Result<(), DevError> {
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => {}
            Err(exists) if exists.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(DevError::file("make", folder)(source)),
        }
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid } => chown(folder, Some(uid), Some(gid)).map_err(DevError::file("change the owner of", folder)),
        }
    }
}

/// The last few lines a program wrote, as one line.
pub(super) fn last_lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(5).collect();
    lines.reverse();
    lines.join("; ")
}

fn folder_of(version: u32) -> PathBuf {
    Path::new(INSTALLED).join(version.to_string()).join("bin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_version_is_named_with_its_cure() {
        let error = Programs::find(Some(999)).unwrap_err().to_string();
        assert!(error.contains("apt-get install postgresql-999"), "{error}");
    }

    #[test]
    fn the_end_of_a_log_is_told_in_order() {
        assert_eq!(last_lines("one\n\ntwo\n3\n4\n5\n6\n"), "two; 3; 4; 5; 6");
        assert_eq!(last_lines(""), "");
    }
}
