//! Test support: a real HTTPS server with scripted answers, and a whole command line run against it. All data is synthetic.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use clap::Parser;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use zeroize::Zeroizing;

use crate::document::Json;
use crate::surroundings::Surroundings;
use crate::{ClientCommand, GlobalOptions};

/// The command line as the root binary makes it.
#[derive(Parser, Debug)]
#[command(name = "goldfin")]
pub struct Cli {
    #[command(flatten)]
    pub options: GlobalOptions,
    #[command(subcommand)]
    pub command: ClientCommand,
}

/// A folder that is gone when the test is.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let path = std::env::temp_dir().join(format!("goldfin-cli-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Streams without a terminal and an empty environment.
pub fn surroundings(stdin: &str) -> Surroundings {
    Surroundings {
        variable: Box::new(|_| None),
        stdin: Box::new(std::io::Cursor::new(stdin.as_bytes().to_vec())),
        stdin_is_terminal: false,
        stdout: Box::new(std::io::sink()),
        stdout_is_terminal: false,
        stderr: Box::new(std::io::sink()),
        stderr_is_terminal: false,
        ask: |_| Ok(Zeroizing::new("synthetic answer".to_owned())),
    }
}

/// A self-signed certificate, DER.
pub fn certificate() -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().der().to_vec()
}

pub struct Recorded {
    /// Method and target, as in the request line.
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Json>,
}

impl Recorded {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn body(&self) -> String {
        self.body.as_ref().map(|body| body.compact().to_string()).unwrap_or_default()
    }
}

pub struct Run {
    pub code: u8,
    pub out: String,
    pub err: String,
}

/// Answers each request with the next of its answers.
pub struct Server {
    pub address: String,
    pub home: Folder,
    requests: Arc<Mutex<Vec<Recorded>>>,
}

impl Server {
    pub fn answering(answers: &[(u16, &str)]) -> Self {
        let home = Folder::new();
        let (config, ca) = tls();
        home.file("ca.pem", &ca);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let answers: VecDeque<(u16, String)> = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        let (answers, requests) = (Arc::new(Mutex::new(answers)), Arc::new(Mutex::new(Vec::new())));
        let recorded = Arc::clone(&requests);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (config, answers, recorded) = (Arc::clone(&config), Arc::clone(&answers), Arc::clone(&recorded));
                std::thread::spawn(move || serve(stream, config, &answers, &recorded));
            }
        });
        Self { address, home, requests }
    }

    pub fn requests(&self) -> std::sync::MutexGuard<'_, Vec<Recorded>> {
        self.requests.lock().unwrap()
    }

    pub fn request_lines(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.line.clone()).collect()
    }

    /// The command line, with a synthetic token in the environment.
    pub fn run(&self, arguments: &[&str], stdin: &str) -> Run {
        self.run_with(arguments, stdin, &[("GOLDFIN_TOKEN", "synthetic-token")])
    }

    pub fn run_with(&self, arguments: &[&str], stdin: &str, variables: &[(&'static str, &'static str)]) -> Run {
        let (address, ca) = (self.address.clone(), self.home.path().join("ca.pem").display().to_string());
        let home = self.home.path().display().to_string();
        let mut all: Vec<(&'static str, String)> = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        all.extend([("VAULT_ADDR", address), ("VAULT_CACERT", ca), ("HOME", home)]);
        run(arguments, stdin, all)
    }
}

pub fn run(arguments: &[&str], stdin: &str, variables: Vec<(&'static str, String)>) -> Run {
    let cli = Cli::try_parse_from([&["goldfin"], arguments].concat()).unwrap();
    let (out, err) = (Shared::default(), Shared::default());
    let around = Surroundings {
        variable: Box::new(move |name| variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.clone())),
        stdout: Box::new(out.clone()),
        stderr: Box::new(err.clone()),
        ..surroundings(stdin)
    };
    let code = crate::run_in(cli.command, cli.options, around);
    Run { code, out: out.text(), err: err.text() }
}

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn tls() -> (Arc<ServerConfig>, String) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    (Arc::new(config), ca_pem)
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, answers: &Mutex<VecDeque<(u16, String)>>, requests: &Mutex<Vec<Recorded>>) {
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), stream));
    while let Some(request) = receive(&mut stream) {
        requests.lock().unwrap().push(request);
        let unexpected = (500, r#"{"errors":["the test did not expect this request"]}"#.to_owned());
        let (status, body) = answers.lock().unwrap().pop_front().unwrap_or(unexpected);
        // A header that a scripted answer begins with.
        let (more, body) = match body.strip_prefix("X-Goldfin-Next: ").and_then(|rest| rest.split_once('\n')) {
            Some((next, rest)) => (format!("X-Goldfin-Next: {next}\r\n"), rest.to_owned()),
            None => (String::new(), body),
        };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{more}X-Goldfin-Request-Id: request-1\r\n\r\n", body.len());
        let tls = stream.get_mut();
        if tls.write_all(head.as_bytes()).and_then(|()| tls.write_all(body.as_bytes())).and_then(|()| tls.flush()).is_err() {
            break;
        }
    }
}

fn receive(stream: &mut impl BufRead) -> Option<Recorded> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length =
        headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length")).map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    Some(Recorded { line, headers, body: Json::parse(&body).ok() })
}
