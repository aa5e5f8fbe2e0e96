//! The database silent, locked, read-only or held by somebody else: a 503 and nothing happened, and goldfin goes on by itself afterwards.

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
