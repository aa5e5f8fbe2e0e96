//! A PostgreSQL of one's own: started in a folder, reachable over a unix socket in that folder, gone with its owner.
//!
//! It is as durable as a real one (fsync, full-page writes, synchronous commits, checksums), because what is built
//! against it is tested by killing it. It trusts whoever can enter the socket's folder, so it never listens on the
//! network; there is deliberately no option for that.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::unistd::geteuid;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection, PgConnection};

use super::error::DevError;
use super::folder::{EphemeralFolder, FolderLock, make_passable, new_folder};
use super::process::{Supervised, patiently, stop_leftovers};
use super::programs::{Programs, ServerUser, last_lines};

/// The database that goldfin lives in.
pub const DATABASE: &str = "goldfin";

/// The same file that operators run by hand.
const ROLES: &str = include_str!("../../docs/roles.sql");

/// Where the cluster goes when its user may not enter the data folder (say, one below `/root`).
const ELSEWHERE: &str = "/var/lib/goldfin-dev";

const PORT: u16 = 5432;

/// A socket's path has to fit into 108 bytes, the last of them zero.
const LONGEST_SOCKET_PATH: usize = 107;

/// Recovery after a kill replays at most what `max_wal_size` allows.
const START_PATIENCE: Duration = Duration::from_secs(120);

const SETTINGS: [&str; 14] = [
    "listen_addresses=",
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "shared_buffers=128MB",
    "max_connections=60",
    "max_wal_size=2GB",
    // Else Linux gathers what sessions write for half a minute, and then commits wait while it is flushed.
    "backend_flush_after=2MB",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "logging_collector=off",
    "log_destination=stderr",
    "log_line_prefix=%m [%p] %q%u@%d ",
];

/// A running PostgreSQL that belongs to this process. Dropping it stops it.
#[derive(Debug)]
pub struct PrivatePostgres {
    programs: Programs,
    cluster: PathBuf,
    sockets: PathBuf,
    log: PathBuf,
    log_statements: bool,
    server: Option<Supervised>,
    _short_sockets: Option<EphemeralFolder>,
    _lock: FolderLock,
}

impl PrivatePostgres {
    /// Starts the PostgreSQL of the data folder `data`, making the folder and the cluster on first use; blocks until
    /// it accepts connections. The cluster is in `data/postgresql`. What an earlier run left running there is
    /// stopped first.
    ///
    /// `log_statement_all` writes the text of every statement to the log, for tests that look for plaintext in it.
    ///
    /// As root the server runs as the user `postgres`. If that user cannot enter `data`, `data` becomes enterable
    /// for its group; if a folder above is the obstacle, `data/postgresql` becomes a link into
    /// `/var/lib/goldfin-dev`.
    pub fn start(data: &Path, log_statement_all: bool) -> Result<Self, DevError> {
        let programs = Programs::find(made_with(data))?;
        let place = place(data, &programs)?;
        let lock = FolderLock::take(&place)?;
        let (sockets, short) = socket_folder(&place)?;
        let mut postgres = Self {
            cluster: place.join("cluster"),
            sockets,
            log: place.join("postgresql.log"),
            log_statements: log_statement_all,
            server: None,
            programs,
            _short_sockets: short,
            _lock: lock,
        };
        postgres.make_cluster(&place)?;
        postgres.launch()?;
        Ok(postgres)
    }

    /// Whether the server process is there. It is not after somebody killed it.
    pub fn is_running(&self) -> bool {
        self.server.as_ref().is_some_and(|server| !server.ended())
    }

    /// Stops the server if it runs and starts it again, on the same socket.
    pub fn restart(&mut self) -> Result<(), DevError> {
        self.halt()?;
        self.launch()
    }

    /// Stops the server: sessions are cut, everything is written. Blocks until it is gone.
    pub fn stop(mut self) -> Result<(), DevError> {
        self.halt()
    }

    /// The server's process id, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.server.as_ref().filter(|server| !server.ended()).map(Supervised::id)
    }

    /// The server's log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The folder of the database files, which the server's user alone can read.
    pub fn cluster(&self) -> &Path {
        &self.cluster
    }

    /// Makes the database `goldfin` and the four roles of `docs/roles.sql`, or puts them right.
    pub async fn prepare_roles(&self) -> Result<(), DevError> {
        self.make_database_and_roles().await.map_err(|error| DevError::Database(error.into()))
    }

    /// As `goldfin_app`, the role of a node.
    pub fn url_app(&self) -> PgConnectOptions {
        self.options("goldfin_app", DATABASE)
    }

    /// As `goldfin_migrator`, who says `SET ROLE goldfin_owner` and applies migrations.
    pub fn url_migrator(&self) -> PgConnectOptions {
        self.options("goldfin_migrator", DATABASE)
    }

    /// As `goldfin_auditor`, who reads the auditors' views.
    pub fn url_auditor(&self) -> PgConnectOptions {
        self.options("goldfin_auditor", DATABASE)
    }

    /// As the superuser `postgres`: for tests that play the attacker with write access. goldfin refuses to serve as it.
    pub fn url_superuser(&self) -> PgConnectOptions {
        self.options("postgres", DATABASE)
    }

    async fn make_database_and_roles(&self) -> Result<(), sqlx::Error> {
        let mut everywhere = PgConnection::connect_with(&self.options("postgres", "postgres")).await?;
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut everywhere)
            .await?;
        if !exists {
            sqlx::raw_sql("CREATE DATABASE goldfin").execute(&mut everywhere).await?;
        }
        everywhere.close().await?;
        let mut here = PgConnection::connect_with(&self.url_superuser()).await?;
        sqlx::raw_sql(ROLES).execute(&mut here).await?;
        here.close().await
    }

    fn options(&self, role: &str, database: &str) -> PgConnectOptions {
        // Every value that the environment could have set otherwise is set here.
        PgConnectOptions::new_without_pgpass()
            .socket(&self.sockets)
            .port(PORT)
            .username(role)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
            .application_name("goldfin dev")
    }

    /// Under another name first, so that a cluster that was cut short is never taken for one.
    fn make_cluster(&self, place: &Path) -> Result<(), DevError> {
        if self.cluster.exists() {
            return Ok(());
        }
        let unfinished = place.join("cluster.unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(DevError::file("delete", &unfinished))?;
        }
        self.programs.server_user().make_folder(&unfinished)?;
        self.programs.initdb(&unfinished)?;
        fs::rename(&unfinished, &self.cluster).map_err(DevError::file("rename", &unfinished))
    }

    fn launch(&mut self) -> Result<(), DevError> {
        stop_leftovers(&self.cluster)?;
        // With nothing left running, what they claim is stale; the number in it may be somebody else's by now,
        // and PostgreSQL would believe it.
        remove_if_there(&self.cluster.join("postmaster.pid"))?;
        remove_if_there(&socket_in(&self.sockets))?;
        remove_if_there(&self.sockets.join(format!(".s.PGSQL.{PORT}.lock")))?;
        self.programs.server_user().make_folder(&self.sockets)?;

        let server = Supervised::spawn(self.server_command()?).map_err(DevError::file("start PostgreSQL in", &self.cluster))?;
        let mut ready = false;
        patiently(START_PATIENCE, || {
            ready = self.accepts(server.id());
            ready || server.ended()
        });
        if ready {
            self.server = Some(server);
            return Ok(());
        }
        server.stop(&self.cluster)?;
        let said = fs::read(&self.log).map(|log| last_lines(&String::from_utf8_lossy(&log))).unwrap_or_default();
        Err(DevError::Program { program: "postgres", said })
    }

    fn server_command(&self) -> Result<Command, DevError> {
        let log = File::options().create(true).append(true).mode(0o600).open(&self.log).map_err(DevError::file("open", &self.log))?;
        let mut command = self.programs.server();
        command.arg("-D").arg(&self.cluster).arg("-k").arg(&self.sockets);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.args(["-c", &format!("port={PORT}")]);
        command.args(["-c", if self.log_statements { "log_statement=all" } else { "log_statement=none" }]);
        command.stdout(Stdio::null()).stderr(log);
        Ok(command)
    }

    fn accepts(&self, postmaster: u32) -> bool {
        let Ok(file) = fs::read_to_string(self.cluster.join("postmaster.pid")) else { return false };
        file.lines().next() == Some(postmaster.to_string().as_str())
            && file.lines().nth(7).map(str::trim) == Some("ready")
            && UnixStream::connect(socket_in(&self.sockets)).is_ok()
    }

    fn halt(&mut self) -> Result<(), DevError> {
        match self.server.take() {
            Some(server) => server.stop(&self.cluster),
            None => Ok(()),
        }
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        if let Err(error) = self.halt() {
            tracing::warn!(%error, "cannot stop the private PostgreSQL");
        }
    }
}

fn made_with(data: &Path) -> Option<u32> {
    let version = fs::read_to_string(data.join("postgresql/cluster/PG_VERSION")).ok()?;
    version.trim().parse().ok()
}

/// The folder of cluster, sockets, log and lock.
fn place(data: &Path, programs: &Programs) -> Result<PathBuf, DevError> {
    // Only for folders that are made now. What goldfin writes beside the cluster is mode 0600.
    let mode = if geteuid().is_root() { 0o711 } else { 0o700 };
    DirBuilder::new().recursive(true).mode(mode).create(data).map_err(DevError::file("make", data))?;
    let inside = data.join("postgresql");
    if !inside.exists() {
        let data = data.canonicalize().map_err(DevError::file("find", data))?;
        if enterable(&data, programs)? {
            make_passable(&inside).map_err(DevError::file("make", &inside))?;
        } else {
            let elsewhere = place_elsewhere(&data)?;
            remove_if_there(&inside)?;
            symlink(&elsewhere, &inside).map_err(DevError::file("link", &inside))?;
        }
    }
    inside.canonicalize().map_err(DevError::file("find", &inside))
}

fn enterable(data: &Path, programs: &Programs) -> Result<bool, DevError> {
    if programs.server_can_enter(data) {
        return Ok(true);
    }
    let (ServerUser::Other { gid, .. }, Some(above)) = (programs.server_user(), data.parent()) else {
        return Ok(false);
    };
    let found = fs::metadata(data).map_err(DevError::file("read", data))?;
    if found.uid() != geteuid().as_raw() || !programs.server_can_enter(above) {
        return Ok(false);
    }
    chown(data, None, Some(gid)).map_err(DevError::file("change the group of", data))?;
    let owner_only = found.mode() & 0o700;
    fs::set_permissions(data, Permissions::from_mode(owner_only | 0o010)).map_err(DevError::file("change the mode of", data))?;
    Ok(programs.server_can_enter(data))
}

fn place_elsewhere(data: &Path) -> Result<PathBuf, DevError> {
    let parent = Path::new(ELSEWHERE);
    if !parent.exists() {
        make_passable(parent).map_err(DevError::file("make", parent))?;
    }
    let place = new_folder(parent, "")?;
    let note = place.join("belongs-to");
    fs::write(&note, format!("{}\n", data.display())).map_err(DevError::file("write", &note))?;
    Ok(place)
}

fn socket_folder(place: &Path) -> Result<(PathBuf, Option<EphemeralFolder>), DevError> {
    let inside = place.join("socket");
    if socket_in(&inside).as_os_str().len() <= LONGEST_SOCKET_PATH {
        return Ok((inside, None));
    }
    let short = EphemeralFolder::create_in(Path::new("/tmp"))?;
    Ok((short.path().join("socket"), Some(short)))
}

fn socket_in(folder: &Path) -> PathBuf {
    folder.join(format!(".s.PGSQL.{PORT}"))
}

fn remove_if_there(path: &Path) -> Result<(), DevError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DevError::file("delete", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
