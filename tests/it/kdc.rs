//! A throw-away MIT KDC for tests: realm `GOLDFIN.TEST` on a free loopback port, in a folder of its own, with
//! the layout of `scripts/kdc`. Principals have random keys; nothing here looks like a real credential.
//!
//! The Kerberos library reads its configuration from the environment, which a test must not change while its
//! neighbours run. So clients run in child processes: [`Kdc::env`] for programs such as `curl`, and
//! [`Kdc::handshake`], which starts this test binary again.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use libgssapi::{
    context::{ClientCtx, CtxFlags, SecurityContext},
    name::Name,
    oid::{GSS_MECH_KRB5, GSS_MECH_SPNEGO, GSS_NT_KRB5_PRINCIPAL},
};

pub const REALM: &str = "GOLDFIN.TEST";

/// A running KDC; stopped, and its folder removed, on drop.
pub struct Kdc {
    directory: PathBuf,
    server: Child,
    tickets: AtomicU32,
}

/// How a client frames its token, and whether it asks the server to prove itself too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Spnego,
    SpnegoOneWay,
    Krb5,
    Krb5OneWay,
}

impl Kdc {
    pub fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("goldfin-kdc-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            configure(&directory, port);
            if !directory.join("principal").exists() {
                let password = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
                admin(&directory, "kdb5_util", &["create", "-s", "-r", REALM], &format!("{password}{password}"));
            }
            let mut server = program(&directory, "krb5kdc")
                .args(["-n", "-r", REALM])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("{error}: {INSTALL}"));
            if is_ready(&mut server, port) {
                return Self { directory, server, tickets: AtomicU32::new(0) };
            }
            let _ = server.kill();
            let _ = server.wait();
        }
        panic!("the KDC did not start in {}", directory.display());
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Adds `name` (or `name/instance`) with a random key; a second call gives it a new key in the same keytab.
    pub fn principal_with_keytab(&self, name: &str) -> PathBuf {
        let keytab = self.directory.join(format!("{}.keytab", name.replace('/', "_")));
        admin(&self.directory, "kadmin.local", &["-r", REALM, "-q", &format!("addprinc -randkey {name}")], "");
        admin(&self.directory, "kadmin.local", &["-r", REALM, "-q", &format!("ktadd -k {} {name}", keytab.display())], "");
        assert!(keytab.exists(), "no keytab for {name}");
        keytab
    }

    pub fn service_keytab(&self, service: &str) -> PathBuf {
        self.principal_with_keytab(service)
    }

    /// Logs a principal in from its keytab; the ticket cache.
    pub fn ticket(&self, keytab: &Path, principal: &str) -> PathBuf {
        self.ticket_for(keytab, principal, "1h")
    }

    /// As [`Kdc::ticket`], for `lifetime` as in `30s` or `2h`.
    pub fn ticket_for(&self, keytab: &Path, principal: &str, lifetime: &str) -> PathBuf {
        let cache = self.directory.join(format!("ccache-{}", self.tickets.fetch_add(1, Ordering::Relaxed)));
        let keytab = keytab.display().to_string();
        let target = format!("FILE:{}", cache.display());
        admin(&self.directory, "kinit", &["-k", "-t", &keytab, "-l", lifetime, "-c", &target, principal], "");
        cache
    }

    /// For child processes: which KDC to use. Add `KRB5CCNAME` with a ticket cache for clients.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        environment(&self.directory)
    }

    /// The first token of a client that logs in to `service` (as in `HTTP/localhost`).
    pub fn token(&self, cache: &Path, service: &str, framing: Framing, binding: Option<&[u8]>) -> Vec<u8> {
        let mut first = Vec::new();
        self.handshake(cache, service, framing, binding, |token| {
            first = token.to_vec();
            None
        });
        first
    }

    /// A whole login: `answer` gets the client's token and gives the server's reply. True if the client is then
    /// satisfied that it talked to the service.
    pub fn handshake(
        &self,
        cache: &Path,
        service: &str,
        framing: Framing,
        binding: Option<&[u8]>,
        answer: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> bool {
        let child_test = test_name(module_path!(), "negotiate_in_child");
        let mut client = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &child_test, "--nocapture", "--test-threads=1"])
            .envs(self.env())
            .env("KRB5CCNAME", format!("FILE:{}", cache.display()))
            .env(CHILD_SERVICE, format!("{service}@{REALM}"))
            .env(CHILD_FRAMING, format!("{framing:?}"))
            .env(CHILD_BINDING, binding.map(hex).unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(client.stdout.take().unwrap()).lines().map(Result::unwrap);
        let token = said.find_map(|line| line.split_once("client token ").map(|(_, token)| unhex(token)));
        let token = token.expect("the client made no token");
        let reply = answer(&token).unwrap_or_default();
        writeln!(client.stdin.take().unwrap(), "{}", hex(&reply)).unwrap();
        let satisfied = said.any(|line| line.contains("client satisfied"));
        client.wait().unwrap();
        satisfied
    }
}

impl Drop for Kdc {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Does nothing in an ordinary run; in a child of [`Kdc::handshake`] it is the client.
#[test]
fn negotiate_in_child() {
    let Ok(service) = std::env::var(CHILD_SERVICE) else { return };
    let framing = std::env::var(CHILD_FRAMING).unwrap();
    let binding = std::env::var(CHILD_BINDING).map(|text| unhex(&text)).unwrap();
    let binding = (!binding.is_empty()).then_some(&binding[..]);
    let mechanism = if framing.starts_with("Spnego") { &GSS_MECH_SPNEGO } else { &GSS_MECH_KRB5 };
    let mutual = if framing.ends_with("OneWay") { CtxFlags::empty() } else { CtxFlags::GSS_C_MUTUAL_FLAG };
    let name = Name::new(service.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL)).unwrap();
    let mut client = ClientCtx::new(None, name, mutual, Some(*mechanism));
    let token = client.step(None, binding).unwrap().unwrap();
    println!("client token {}", hex(&token));
    let mut reply = String::new();
    std::io::stdin().read_line(&mut reply).unwrap();
    let reply = unhex(reply.trim());
    if !reply.is_empty() && !client.is_complete() {
        client.step(Some(&reply), binding).unwrap();
    }
    if client.is_complete() {
        println!("client satisfied");
    }
}

/// The name by which the test binary knows a test of the module at `module_path`.
pub fn test_name(module_path: &str, test: &str) -> String {
    let (_, module) = module_path.split_once("::").unwrap_or_default();
    format!("{module}::{test}")
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2).unwrap(), 16).unwrap()).collect()
}

fn configure(directory: &Path, port: u16) {
    let at = directory.display();
    let krb5 = format!(
        "[libdefaults]
    default_realm = {REALM}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
[realms]
    {REALM} = {{
        kdc = 127.0.0.1:{port}
    }}
[domain_realm]
    localhost = {REALM}
"
    );
    let kdc = format!(
        "[kdcdefaults]
    kdc_listen = 127.0.0.1:{port}
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {REALM} = {{
        database_name = {at}/principal
        key_stash_file = {at}/stash
        acl_file = {at}/kadm5.acl
        max_life = 1d
        supported_enctypes = aes256-cts-hmac-sha384-192:normal aes256-cts-hmac-sha1-96:normal
    }}
"
    );
    fs::write(directory.join("krb5.conf"), krb5).unwrap();
    fs::write(directory.join("kdc.conf"), kdc).unwrap();
}

fn environment(directory: &Path) -> Vec<(&'static str, String)> {
    let file = |name: &str| directory.join(name).display().to_string();
    vec![("KRB5_CONFIG", file("krb5.conf")), ("KRB5_KDC_PROFILE", file("kdc.conf")), ("KRB5CCNAME", format!("FILE:{}", file("ccache")))]
}

fn program(directory: &Path, name: &str) -> Command {
    let found = ["/usr/sbin", "/sbin", "/usr/bin"].iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
    let mut command = Command::new(found.unwrap_or_else(|| panic!("`{name}` is missing: {INSTALL}")));
    command.envs(environment(directory)).current_dir(directory);
    command
}

fn admin(directory: &Path, name: &str, arguments: &[&str], input: &str) {
    let mut child =
        program(directory, name).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn is_ready(server: &mut Child, port: u16) -> bool {
    for _ in 0..600 {
        thread::sleep(Duration::from_millis(10));
        if server.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
    }
    false
}

const INSTALL: &str = "install it with: apt-get install krb5-kdc krb5-admin-server krb5-user";
const CHILD_SERVICE: &str = "GOLDFIN_TEST_NEGOTIATE_SERVICE";
const CHILD_FRAMING: &str = "GOLDFIN_TEST_NEGOTIATE_FRAMING";
const CHILD_BINDING: &str = "GOLDFIN_TEST_NEGOTIATE_BINDING";
