//! Another node on the database of a running [`Server`]: `goldfin server` with a name, an address and a stream of its own.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::server::{Answer, Server, binary};

pub struct SecondNode {
    child: Child,
    folder: PathBuf,
    address: String,
}

impl SecondNode {
    pub fn start(first: &Server) -> Self {
        Self::start_with(first, "")
    }

    /// With more lines in its configuration.
    pub fn start_with(first: &Server, more: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = first.data().with_file_name("second");
        std::fs::create_dir_all(&folder).unwrap();
        let socket = std::fs::read_to_string(first.data().join("postgresql/cluster/postmaster.pid")).unwrap();
        let socket = socket.lines().nth(4).unwrap();
        let certificates = first.data().join("certs");
        let configuration = format!(
            "node = \"second\"\n[listen]\naddress = \"127.0.0.1:{port}\"\n[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n[database]\nhost = \"{socket}\"\npool = 6\n[seal]\nkey_file = \"{}\"\nerasures = \"{}\"\n{more}",
            certificates.join("server.pem").display(),
            certificates.join("server.key").display(),
            first.data().join("unseal.key").display(),
            folder.join("erasures").display()
        );
        let file = folder.join("goldfin.toml");
        std::fs::write(&file, configuration).unwrap();
        let log = std::fs::File::create(folder.join("goldfin.log")).unwrap();
        let child = Command::new(binary())
            .args(["server", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut node = Self { child, folder, address: format!("https://127.0.0.1:{port}") };
        node.wait_until_ready(first);
        node
    }

    fn wait_until_ready(&mut self, first: &Server) {
        for _ in 0..600 {
            if first.agent.get(format!("{}/v1/sys/health", self.address)).call().is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the second node ended with {status}: {}", std::fs::read_to_string(self.folder.join("goldfin.log")).unwrap());
            }
            sleep(Duration::from_millis(100));
        }
        panic!("the second node was not ready: {}", std::fs::read_to_string(self.folder.join("goldfin.log")).unwrap());
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// As [`Server::ask`], of this node.
    pub fn ask(&self, first: &Server, token: &str, method: &str, path: &str, body: Value) -> Answer {
        first.ask_at(&self.address, token, method, path, if body.is_null() { Vec::new() } else { serde_json::to_vec(&body).unwrap() }, &[])
    }

    /// The same after the database was restarted: each of the node's connections may have to find that out first.
    pub fn ask_again(&self, first: &Server, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        for _ in 0..100 {
            let answer = self.ask(first, token, method, path, body.clone());
            if answer.status != 503 {
                return answer;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("the second node does not come back");
    }
}

impl Drop for SecondNode {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
