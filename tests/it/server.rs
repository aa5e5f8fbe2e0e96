//! A running `goldfin dev` with its private PostgreSQL, and a client for it. Stopped by process id when dropped.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Request;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How long a start may take on a busy machine.
const PATIENCE: u32 = 600;

pub struct Server {
    child: Child,
    folder: PathBuf,
    variables: HashMap<String, String>,
    pub agent: Agent,
    arguments: Vec<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub headers: HashMap<String, String>,
}

impl Answer {
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}", self.body);
        self
    }

    pub fn data(&self) -> &Value {
        &self.body["data"]
    }

    pub fn errors(&self) -> String {
        self.body["errors"].to_string()
    }
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts with more arguments for `goldfin dev`.
    pub fn start_with(more: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("goldfin-it-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let arguments: Vec<String> = more.iter().map(|part| (*part).to_owned()).collect();
        let child = spawn(&folder, &arguments);
        let mut server = Self { child, folder, variables: HashMap::new(), agent: Agent::new_with_defaults(), arguments };
        server.wait_until_ready();
        server
    }

    fn env_file(&self) -> PathBuf {
        self.folder.join("test.env")
    }

    fn wait_until_ready(&mut self) {
        for _ in 0..PATIENCE {
            if let Ok(text) = std::fs::read_to_string(self.env_file()) {
                self.variables =
                    text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                self.agent = agent(Path::new(&self.variables["VAULT_CACERT"]));
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut said = String::new();
                self.child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
                panic!("goldfin dev ended with {status}: {said} {}", std::fs::read_to_string(self.log()).unwrap_or_default());
            }
            sleep(Duration::from_millis(100));
        }
        panic!("goldfin dev was not ready in time");
    }

    /// Kills goldfin without warning and starts it again on the same folder.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::remove_file(self.env_file()).unwrap();
        self.child = spawn(&self.folder, &self.arguments);
        self.wait_until_ready();
    }

    /// Starts goldfin again after a stop, with other arguments.
    pub fn start_again_with(&mut self, more: &[&str]) {
        let _ = std::fs::remove_file(self.env_file());
        self.arguments = more.iter().map(|part| (*part).to_owned()).collect();
        self.child = spawn(&self.folder, &self.arguments);
        self.wait_until_ready();
    }

    /// The same where it must not come up; what it said.
    pub fn kill_and_fail_to_start(&mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let before = std::fs::metadata(self.log()).unwrap().len();
        std::fs::remove_file(self.env_file()).unwrap();
        self.child = spawn(&self.folder, &self.arguments);
        let status = self.child.wait().unwrap();
        assert!(!status.success(), "goldfin came up");
        let log = std::fs::read_to_string(self.log()).unwrap();
        log.get(usize::try_from(before).unwrap()..).unwrap_or_default().to_owned()
    }

    /// Stops goldfin as an operator does.
    pub fn stop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
            self.child.wait().unwrap();
        }
    }

    /// Stops it as an operator does and starts it again on the same folder.
    pub fn restart(&mut self) {
        self.stop();
        std::fs::remove_file(self.env_file()).unwrap();
        self.child = spawn(&self.folder, &self.arguments);
        self.wait_until_ready();
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// What goldfin wrote to stderr.
    pub fn log(&self) -> PathBuf {
        self.folder.join("goldfin.log")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn variable(&self, name: &str) -> &str {
        &self.variables[name]
    }

    pub fn address(&self) -> &str {
        self.variable("VAULT_ADDR")
    }

    pub fn root(&self) -> String {
        self.variable("VAULT_TOKEN").to_owned()
    }

    pub fn unseal_keys(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.variable("GOLDFIN_UNSEAL_KEYS_FILE")).unwrap()).unwrap()
    }

    /// One request below `/v1/` with an auth token (empty: none) and a JSON body (null: none).
    pub fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        self.ask_with(token, method, path, body, &[])
    }

    pub fn ask_with(&self, token: &str, method: &str, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
        let text = if body.is_null() { Vec::new() } else { serde_json::to_vec(&body).unwrap() };
        self.ask_raw(token, method, path, text, headers)
    }

    pub fn ask_raw(&self, token: &str, method: &str, path: &str, body: Vec<u8>, headers: &[(&str, &str)]) -> Answer {
        self.ask_at(self.address(), token, method, path, body, headers)
    }

    /// The same of another node with the same CA.
    pub fn ask_at(&self, address: &str, token: &str, method: &str, path: &str, body: Vec<u8>, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{address}/v1/{path}"));
        if !token.is_empty() {
            request = request.header("X-Vault-Token", token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = self.agent.run(request.body(body).unwrap()).unwrap();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned()))
            .collect();
        let text = response.body_mut().read_to_string().unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        Answer { status: response.status().as_u16(), body, headers }
    }

    /// As root, and it must succeed.
    pub fn root_write(&self, path: &str, body: Value) -> Answer {
        let answer = self.ask(&self.root(), "POST", path, body);
        assert!(answer.status < 300, "{path}: {answer:?}");
        answer
    }

    pub fn root_read(&self, path: &str) -> Answer {
        let answer = self.ask(&self.root(), "GET", path, Value::Null);
        assert!(answer.status < 300, "{path}: {answer:?}");
        answer
    }

    /// A token of an account-like holder that stands in `groups`.
    pub fn token_in(&self, groups: &[&str]) -> String {
        let answer = self.root_write("auth/token/create", json!({ "policies": groups, "ttl": "1h", "no_parent": true }));
        answer.body["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// Runs SQL as one of `postgres`, `goldfin_app`, `goldfin_auditor`; what `psql` printed, or its error.
    pub fn sql(&self, role: &str, statement: &str) -> Result<String, String> {
        let output = Command::new("psql")
            .args(["--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "-U", role, "-h"])
            .arg(self.socket())
            .args(["-d", "goldfin", "-c", statement])
            .output()
            .unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// As the superuser with triggers switched off: what an attacker with the database's password can do.
    pub fn tamper(&self, statement: &str) -> String {
        self.sql("postgres", &format!("SET session_replication_role = replica; {statement}")).unwrap()
    }

    pub fn socket(&self) -> PathBuf {
        let found = std::fs::read_to_string(self.data().join("postgresql/cluster/postmaster.pid")).unwrap();
        PathBuf::from(found.lines().nth(4).unwrap())
    }

    /// The process id of the private PostgreSQL.
    pub fn postgres_id(&self) -> u32 {
        let found = std::fs::read_to_string(self.data().join("postgresql/cluster/postmaster.pid")).unwrap();
        found.lines().next().unwrap().parse().unwrap()
    }

    /// The verdict of the server's own verification.
    pub fn verify(&self) -> Value {
        self.root_write("sys/ledger/verify", Value::Null).data().clone()
    }

    /// The newest entries that fit, newest first.
    pub fn entries(&self, filter: &str) -> Vec<Value> {
        self.root_read(&format!("sys/ledger/entries?{filter}")).data()["entries"].as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// The goldfin under test: this build's, or another (a release build) that `GOLDFIN_BINARY` names.
pub fn binary() -> PathBuf {
    std::env::var_os("GOLDFIN_BINARY").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_goldfin")), PathBuf::from)
}

fn spawn(folder: &Path, more: &[String]) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("goldfin.log")).unwrap();
    Command::new(binary())
        .arg("dev")
        .arg("--data")
        .arg(folder.join("data"))
        .arg("--env-file")
        .arg(folder.join("test.env"))
        .args(more)
        .env_remove("GOLDFIN_LOG_FILTER")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn agent(ca: &Path) -> Agent {
    let certificate = Certificate::from_pem(&std::fs::read(ca).unwrap()).unwrap();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[certificate]))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    Agent::config_builder().tls_config(tls).http_status_as_error(false).allow_non_standard_methods(true).proxy(None).build().new_agent()
}
