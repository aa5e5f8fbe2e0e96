//! The database silent, locked, read-only, full, closed or held by somebody else: a 503 and nothing happened, and goldfin goes on by
//! itself afterwards.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::faults::await_health;
use crate::server::Server;
use crate::transform::{encode, tokenizing};

/// A vault with a secret and a token, and what must come of neither while the database fails.
struct Held {
    server: Server,
    token: String,
}

impl Held {
    fn new() -> Self {
        let server = tokenizing();
        server.root_write("secret/data/app", json!({ "data": { "password": "synthetic canary" } }));
        server.root_read("secret/data/app");
        let token = encode(&server, json!({ "value": "synthetic value" }));
        Self { server, token }
    }

    fn refuses(&self) {
        let root = self.server.root();
        for (method, path, body) in [
            ("GET", "secret/data/app", Value::Null),
            ("POST", "transform/decode/app", json!({ "value": self.token })),
            ("POST", "secret/data/app", json!({ "data": { "password": "synthetic second" } })),
        ] {
            let answer = self.server.ask(&root, method, path, body);
            // A commit that was under way when the database fell silent may come to its end later.
            let unknown = answer.status == 500 && answer.errors().contains("outcome unknown");
            assert!(answer.status == 503 || unknown, "{answer:?}");
            assert!(!answer.body.to_string().contains("synthetic"), "{answer:?}");
        }
        self.server.ask("", "GET", "sys/health", Value::Null).expect(200);
    }

    fn recovers(&self) {
        await_health(&self.server);
        let decoded = self.server.root_write("transform/decode/app", json!({ "value": self.token }));
        assert_eq!(decoded.data()["decoded_value"], json!("synthetic value"));
        assert_eq!(self.server.verify()["exit_code"], json!(0));
    }

    /// Another session that does something and keeps what it holds.
    fn session(&self, statements: &str) -> Session {
        let session = Command::new("psql")
            .args(["--no-psqlrc", "-qAt", "-U", "postgres", "-d", "goldfin", "-h"])
            .arg(self.server.socket())
            .args(["-c", "SET application_name = 'outage'", "-c", "BEGIN", "-c", statements, "-c", "SELECT pg_sleep(600)"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Session)
            .unwrap();
        let holds = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'outage' AND wait_event = 'PgSleep'";
        for _ in 0..300 {
            if self.server.sql("postgres", holds).unwrap() == "1" {
                return session;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("the other session does not hold what it wanted");
    }

    fn end(&self, session: Session) {
        self.server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'outage'").unwrap();
        drop(session);
    }

    /// Moves every part of the entries' table to a tablespace.
    fn move_entries(&self, to: &str) {
        let parts = "SELECT relid::regclass FROM pg_partition_tree('ledger_entry') WHERE isleaf";
        let parts = self.server.sql("postgres", parts).unwrap();
        assert!(!parts.is_empty());
        for part in parts.lines() {
            self.server.sql("postgres", &format!("ALTER TABLE {part} SET TABLESPACE {to}")).unwrap();
        }
    }

    fn cut_connections(&self) {
        self.server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'goldfin_app'").unwrap();
    }
}

/// Ends with its `psql`.
struct Session(Child);

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_silent_database() {
    let held = Held::new();
    let postmaster = held.server.postgres_id().to_string();
    let signal = |name: &str| {
        let children = Command::new("pgrep").args(["-P", &postmaster]).output().unwrap().stdout;
        let processes = String::from_utf8(children).unwrap();
        Command::new("kill").arg(name).arg(&postmaster).args(processes.split_whitespace()).status().unwrap();
    };
    signal("-STOP");
    held.refuses();
    signal("-CONT");
    held.recovers();
}

#[test]
fn a_locked_head() {
    let held = Held::new();
    let session = held.session("SELECT FROM ledger_head FOR UPDATE");
    held.refuses();
    held.end(session);
    held.recovers();
}

#[test]
fn a_stream_that_another_session_claims() {
    let held = Held::new();
    held.cut_connections();
    let session = held.session("SELECT pg_advisory_lock(7305, stream) FROM ledger_stream");
    // Only when the writer's connection is gone can its lock be taken: the session was waiting for that.
    held.refuses();
    held.end(session);
    held.recovers();
}

#[test]
fn a_database_that_became_read_only() {
    let held = Held::new();
    held.server.sql("postgres", "ALTER DATABASE goldfin SET default_transaction_read_only = on").unwrap();
    held.cut_connections();
    held.refuses();
    held.server.sql("postgres", "BEGIN READ WRITE; ALTER DATABASE goldfin RESET default_transaction_read_only; COMMIT").unwrap();
    held.cut_connections();
    held.recovers();
}

#[test]
fn a_right_that_was_revoked() {
    let held = Held::new();
    let function =
        "ledger_append(integer, bigint, bytea, timestamptz[], uuid[], text[], text[], text[], text[], bytea[], text[], text[], bytea[])";
    held.server.sql("postgres", &format!("REVOKE EXECUTE ON FUNCTION {function} FROM goldfin_app")).unwrap();
    held.refuses();
    held.server.sql("postgres", &format!("GRANT EXECUTE ON FUNCTION {function} TO goldfin_app")).unwrap();
    held.recovers();
}

#[test]
fn connections_that_are_cut_and_not_let_in_again() {
    let held = Held::new();
    held.server.sql("postgres", "ALTER ROLE goldfin_app NOLOGIN").unwrap();
    held.cut_connections();
    held.refuses();
    held.server.sql("postgres", "ALTER ROLE goldfin_app LOGIN").unwrap();
    held.recovers();
}

#[test]
fn a_full_disk() {
    let held = Held::new();
    let Some(small) = SmallDisk::find(&held.server) else {
        eprintln!("not tried: there is no small file system here, and none can be mounted");
        return;
    };
    let folder = small.folder.join("entries");
    std::fs::create_dir_all(&folder).unwrap();
    let owner = std::fs::metadata(held.server.data().join("postgresql/cluster")).unwrap();
    std::os::unix::fs::chown(&folder, Some(owner.uid()), Some(owner.gid())).unwrap();
    held.server.sql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", folder.display())).unwrap();
    held.move_entries("small");
    held.recovers();
    let ballast = small.fill();
    // The pages that are there have room for some entries more.
    let mut more = 0;
    while held.server.ask(&held.server.root(), "GET", "secret/data/app", Value::Null).status == 200 {
        more += 1;
        assert!(more < 5_000, "the disk is not full");
    }
    held.refuses();
    let extend = "INSERT INTO ledger_entry SELECT stream, seq + 1000000 + n, time, request, account, action, resource, decision, subject, change, body, mac FROM ledger_entry, generate_series(1, 200) n LIMIT 200";
    let said =
        held.server.sql("postgres", &format!("BEGIN; SET LOCAL session_replication_role = replica; {extend}; ROLLBACK")).unwrap_err();
    assert!(said.contains("No space left on device"), "{said}");
    std::fs::remove_file(ballast).unwrap();
    held.recovers();
    // PostgreSQL goes on without what will be gone with the small disk.
    held.move_entries("pg_default");
    held.server.sql("postgres", "DROP TABLESPACE small").unwrap();
    held.recovers();
}

/// A file system of some megabytes that can be filled: mounted for this, or one that the system has for small things.
struct SmallDisk {
    folder: PathBuf,
    mounted: bool,
}

/// Nobody else's memory is filled for a test.
const LARGEST: u64 = 96 << 20;

impl SmallDisk {
    fn find(server: &Server) -> Option<Self> {
        let own = server.data().with_file_name("small");
        std::fs::create_dir_all(&own).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m,mode=0755", "tmpfs"]).arg(&own).stderr(Stdio::null()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { folder: own, mounted: true });
        }
        ["/run/lock", "/dev/shm"].iter().find_map(|place| {
            let free = free_bytes(place)?;
            let folder = PathBuf::from(place).join(format!("goldfin-it-{}", std::process::id()));
            let usable = (4 << 20..LARGEST).contains(&free) && std::fs::create_dir(&folder).is_ok();
            usable.then_some(Self { folder, mounted: false })
        })
    }

    /// Leaves no room.
    fn fill(&self) -> PathBuf {
        let ballast = self.folder.join("ballast");
        let mut file = std::fs::File::create(&ballast).unwrap();
        for size in [1 << 20, 4096] {
            while std::io::Write::write_all(&mut file, &vec![0; size]).is_ok() {}
        }
        ballast
    }
}

/// What is free of a file system in memory.
fn free_bytes(place: &str) -> Option<u64> {
    let output = Command::new("df").args(["-B1", "--output=fstype,avail", place]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut words = text.lines().nth(1)?.split_whitespace();
    (words.next()? == "tmpfs").then_some(())?;
    words.next()?.parse().ok()
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
