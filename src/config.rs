//! The configuration: a TOML file, and `GOLDFIN_` variables over it. A key that is not known, or a value that is no good, stops the
//! start with a message that names it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use goldfin_ledger::note::LogKey;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::audit::shipping::{Shipping, Target};
use crate::audit::witness::Witness;
use crate::http::limits::Limits;
use crate::http::tls::TlsFiles;
use crate::model::path::is_name;
use crate::model::tuning::Tuning;
use crate::seal::key_file::is_private;
use crate::store::connect::{PgConnectOptions, PgSslMode};

/// Variables that belong to the client half or to scripts, not to the server's configuration.
const NOT_OURS: [&str; 7] = [
    "GOLDFIN_ADDR",
    "GOLDFIN_CACERT",
    "GOLDFIN_TOKEN",
    "GOLDFIN_TOKEN_FILE",
    "GOLDFIN_NAMESPACE",
    "GOLDFIN_UNSEAL_KEYS_FILE",
    "GOLDFIN_CONFIG",
];

/// Keys whose values are numbers; what a variable holds is text.
const NUMBERS: [&str; 2] = ["port", "pool"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This node's name: its stream of the ledger. Two nodes never share one.
    pub node: String,
    /// `text` or `json`.
    #[serde(default)]
    pub log: LogFormat,
    pub listen: Listen,
    pub tls: TlsFiles,
    pub database: Database,
    #[serde(default)]
    pub seal: Seal,
    #[serde(default)]
    pub ledger: Ledger,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub tuning: Tuning,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    pub address: SocketAddr,
    /// Where clients reach this node, for `sys/leader`. The address unless given.
    pub public: Option<String>,
}

/// How the application's role reaches PostgreSQL 15 or newer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// A host name, or the folder of a unix socket.
    pub host: String,
    #[serde(default = "default_port")]
    pub port: u16,
    #[serde(default = "default_database")]
    pub name: String,
    #[serde(default = "default_user")]
    pub user: String,
    /// A file that holds the password, readable by goldfin only.
    pub password_file: Option<PathBuf>,
    /// The CA of PostgreSQL's certificate. Over TCP the certificate and its name are always verified.
    pub ca: Option<PathBuf>,
    /// A client certificate for PostgreSQL and its key.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Connections, 2 to 64; more are slower.
    #[serde(default = "default_pool")]
    pub pool: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The unseal key for unattended starts, such as a systemd credential. Written by `init` when it is not there.
    pub key_file: Option<PathBuf>,
    /// Where this node remembers who was erased, outside of the database, so that a restored backup brings nobody back. Written by goldfin.
    pub erasures: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Where the entries of this node go as lines of JSON: `stdout`, or the path of a file.
    pub ship: Option<String>,
    /// The file that holds how far they are; beside the file of the lines unless given. `stdout` needs one.
    pub ship_position: Option<PathBuf>,
    /// A file outside of the database that says how far this node's stream is: a database that was set back is then refused. Goldfin
    /// writes it; the folder must be writable by goldfin.
    pub high_water: Option<PathBuf>,
    /// The folder that archives of months are written to, which goldfin may write. Only a node that has one archives and prunes.
    pub archive: Option<PathBuf>,
    /// Who is shown this node's checkpoints (C2SP tlog-witness), and asked at the start whether the database was set back.
    #[serde(default)]
    pub witnesses: Vec<WitnessedBy>,
    /// The public keys of other ledgers (`goldfin audit key`) that this one is a witness of.
    #[serde(default)]
    pub witness_of: Vec<String>,
}

/// A witness: another goldfin, or any that speaks C2SP tlog-witness.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessedBy {
    /// Its submission prefix; of a goldfin `https://HOST/v1/sys/ledger/witness`.
    pub url: String,
    /// Its verifier key; of a goldfin what `sys/ledger/witness` shows as `key`.
    pub key: String,
    /// The CA of its certificate, instead of the system's.
    pub ca: Option<PathBuf>,
}

impl WitnessedBy {
    /// The witness, ready to be asked.
    pub fn open(&self) -> Result<Witness, ConfigError> {
        let ca = self.ca.as_deref().map(|path| std::fs::read(path).map_err(|error| unreadable(path, "ledger.witnesses.ca", &error)));
        Witness::new(&self.url, &self.key, ca.transpose()?).map_err(|why| ConfigError(format!("`ledger.witnesses`: {why}")))
    }
}

impl Ledger {
    pub fn witnesses(&self) -> Result<Arc<[Witness]>, ConfigError> {
        self.witnesses.iter().map(WitnessedBy::open).collect()
    }

    pub fn witness_of(&self) -> Result<Arc<[LogKey]>, ConfigError> {
        let parsed = self.witness_of.iter().map(|line| LogKey::parse(line));
        parsed.collect::<Result<_, _>>().map_err(|error| ConfigError(format!("`ledger.witness_of`: {error}")))
    }

    /// Where the ledger is shipped to, if anywhere.
    pub fn shipping(&self) -> Result<Option<Shipping>, ConfigError> {
        let refuse = |what: &str| Err(ConfigError(what.to_owned()));
        let (target, usual) = match self.ship.as_deref() {
            None if self.ship_position.is_some() => return refuse("`ledger.ship_position` goes with `ledger.ship`"),
            None => return Ok(None),
            Some("stdout") => (Target::Stdout, None),
            Some(path) if path.starts_with('/') => (Target::File(PathBuf::from(path)), Some(Shipping::usual_position(Path::new(path)))),
            Some(_) => return refuse("`ledger.ship` must be `stdout` or the whole path of a file, beginning with `/`"),
        };
        match self.ship_position.clone().or(usual) {
            Some(position) => Ok(Some(Shipping { target, position })),
            None => refuse("`ledger.ship_position` is needed to ship to `stdout`: a file that holds how far the lines are"),
        }
    }
}

/// Why the configuration is refused. Names the key, variable or file.
#[derive(Debug)]
pub struct ConfigError(pub String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

fn default_port() -> u16 {
    5432
}

fn default_database() -> String {
    "goldfin".to_owned()
}

fn default_user() -> String {
    "goldfin_app".to_owned()
}

fn default_pool() -> u32 {
    12
}

impl Config {
    /// Reads the file, then the variables, then checks what types alone cannot.
    pub fn load(file: Option<&Path>, variables: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut table = match file {
            Some(path) => read_table(path)?,
            None => toml::Table::new(),
        };
        for (name, value) in variables {
            if name.starts_with("GOLDFIN_") && !NOT_OURS.contains(&name.as_str()) {
                overlay(&mut table, &name, value)?;
            }
        }
        let source = file.map_or_else(|| "the variables".to_owned(), |path| format!("`{}`", path.display()));
        let config: Self = table.try_into().map_err(|error: toml::de::Error| ConfigError(format!("{source}: {}", error.message())))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |what: &str| Err(ConfigError(what.to_owned()));
        if !is_name(&self.node) {
            return refuse("`node` must be a name of letters, digits and `._@+=:-`");
        }
        if !(2..=64).contains(&self.database.pool) {
            return refuse("`database.pool` must be from 2 to 64");
        }
        if self.database.certificate.is_some() != self.database.key.is_some() {
            return refuse("`database.certificate` and `database.key` go together");
        }
        self.ledger.shipping()?;
        self.ledger.witnesses()?;
        self.ledger.witness_of()?;
        self.limits.check().map_err(|what| ConfigError(format!("`limits`: {what}")))?;
        in_range(&self.tuning)
    }
}

/// The levers of `goldfin dev`: settings as in `[tuning]`, such as `group=1`.
pub fn tuning(settings: &[String]) -> Result<Tuning, ConfigError> {
    let refuse = |what: &str| ConfigError(format!("`tuning`: {what}"));
    let mut table = toml::Table::new();
    for setting in settings {
        let setting = setting.parse::<toml::Table>();
        table.extend(setting.map_err(|_| refuse("write a setting as KEY=VALUE, such as `group=1` or `coalesce=false`"))?);
    }
    let tuning: Tuning = table.try_into().map_err(|error: toml::de::Error| refuse(error.message()))?;
    in_range(&tuning)?;
    Ok(tuning)
}

fn in_range(tuning: &Tuning) -> Result<(), ConfigError> {
    tuning.check().map_err(|what| ConfigError(format!("`tuning`: {what}")))
}

impl Database {
    /// The driver's options. Over TCP: TLS, with the certificate and the name verified.
    pub fn options(&self) -> Result<PgConnectOptions, ConfigError> {
        let mut options = PgConnectOptions::new_without_pgpass().port(self.port).username(&self.user).database(&self.name);
        if self.host.starts_with('/') {
            options = options.socket(&self.host).ssl_mode(PgSslMode::Disable);
        } else {
            options = options.host(&self.host).ssl_mode(PgSslMode::VerifyFull);
        }
        if let Some(path) = &self.ca {
            options = options.ssl_root_cert(path);
        }
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            private(key, "database.key")?;
            options = options.ssl_client_cert(certificate).ssl_client_key(key);
        }
        if let Some(path) = &self.password_file {
            options = options.password(password(path)?.expose_secret());
        }
        Ok(options)
    }
}

fn password(path: &Path) -> Result<SecretString, ConfigError> {
    private(path, "database.password_file")?;
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, "database.password_file", &error))?;
    Ok(SecretString::from(text.trim_end_matches(['\n', '\r']).to_owned()))
}

/// Refuses a file that others can read.
fn private(path: &Path, key: &str) -> Result<(), ConfigError> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, key, &error))?;
    if is_private(&metadata) {
        Ok(())
    } else {
        Err(ConfigError(format!("`{key}`: {} can be read by others; run `chmod 600` on it", path.display())))
    }
}

fn unreadable(path: &Path, key: &str, error: &std::io::Error) -> ConfigError {
    ConfigError(format!("`{key}`: {} cannot be read: {error}", path.display()))
}

fn read_table(path: &Path) -> Result<toml::Table, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError(format!("`{}` cannot be read: {error}", path.display())))?;
    text.parse().map_err(|error: toml::de::Error| {
        // The message alone: the long form quotes the line, and a line may hold what should not have been in the file.
        ConfigError(format!("`{}`: {}", path.display(), error.message()))
    })
}

/// `GOLDFIN_DATABASE_PASSWORD_FILE` is `database.password_file`; `GOLDFIN_NODE` is `node`.
fn overlay(table: &mut toml::Table, variable: &str, value: String) -> Result<(), ConfigError> {
    const SECTIONS: [&str; 7] = ["listen", "tls", "database", "seal", "limits", "ledger", "tuning"];
    let name = variable.trim_start_matches("GOLDFIN_").to_ascii_lowercase();
    let (section, key) = match SECTIONS.iter().find_map(|section| name.strip_prefix(section)?.strip_prefix('_').map(|key| (*section, key)))
    {
        Some((section, key)) => (Some(section), key),
        None => (None, name.as_str()),
    };
    let typed = match section {
        Some("tuning") if key == "coalesce" => value.parse().map_or(toml::Value::String(value), toml::Value::Boolean),
        Some("limits" | "tuning") => value.parse().map_or(toml::Value::String(value), toml::Value::Integer),
        Some("tls") if key == "client_crls" => {
            toml::Value::Array(value.split(',').map(|path| toml::Value::String(path.trim().to_owned())).collect())
        }
        _ if NUMBERS.contains(&key) => {
            toml::Value::Integer(value.parse().map_err(|_| ConfigError(format!("`{variable}` must be a whole number")))?)
        }
        _ => toml::Value::String(value),
    };
    let target = match section {
        None => table,
        Some(section) => match table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new())) {
            toml::Value::Table(inner) => inner,
            _ => return Err(ConfigError(format!("`{section}` must be a section of the configuration"))),
        },
    };
    target.insert(key.to_owned(), typed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        node = "a"
        [listen]
        address = "127.0.0.1:8200"
        [tls]
        certificate = "server.pem"
        key = "server.key"
        [database]
        host = "/run/postgresql"
    "#;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let file = std::env::temp_dir().join(format!("goldfin-config-{}-{:?}.toml", std::process::id(), std::thread::current().id()));
        std::fs::write(&file, text).unwrap();
        let loaded = Config::load(Some(&file), variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        std::fs::remove_file(&file).unwrap();
        loaded.map_err(|error| error.to_string())
    }

    #[test]
    fn variables_go_over_the_file() {
        let config = load(
            GOOD,
            &[("GOLDFIN_NODE", "b"), ("GOLDFIN_DATABASE_POOL", "8"), ("GOLDFIN_ADDR", "https://x"), ("GOLDFIN_LIMITS_MAX_STREAMS", "7")],
        )
        .unwrap();
        assert_eq!((config.node.as_str(), config.database.pool, config.limits.max_streams), ("b", 8, 7));
    }

    #[test]
    fn the_ledger_is_shipped_where_the_configuration_says() {
        let shipping = |more: &str| {
            load(&format!("{GOOD}\n{more}"), &[]).and_then(|config| config.ledger.shipping().map_err(|error| error.to_string()))
        };
        assert_eq!(shipping("").unwrap(), None);
        let file = shipping("[ledger]\nship = \"/var/log/goldfin/ledger.ndjson\"").unwrap().unwrap();
        assert_eq!(file.position, Path::new("/var/log/goldfin/ledger.ndjson.position"));
        let stdout = shipping("[ledger]\nship = \"stdout\"\nship_position = \"/var/lib/goldfin/shipped\"").unwrap().unwrap();
        assert_eq!(stdout, Shipping { target: Target::Stdout, position: PathBuf::from("/var/lib/goldfin/shipped") });
        for wrong in ["ship = \"stdout\"", "ship = \"ledger.ndjson\"", "ship_position = \"/x\"", "shop = \"/x\""] {
            assert!(shipping(&format!("[ledger]\n{wrong}")).is_err(), "{wrong}");
        }
        let from_variable = load(GOOD, &[("GOLDFIN_LEDGER_SHIP", "/x")]).unwrap();
        assert!(from_variable.ledger.shipping().unwrap().is_some());
    }

    #[test]
    fn levers_are_moved_by_file_variable_and_option() {
        assert_eq!(load(GOOD, &[]).unwrap().tuning, Tuning::default());
        let moved = Tuning { group: 1, coalesce: false, ..Tuning::default() };
        let file = format!("{GOOD}\n[tuning]\ngroup = 1\ncoalesce = false");
        assert_eq!(load(&file, &[]).unwrap().tuning, moved);
        assert_eq!(load(GOOD, &[("GOLDFIN_TUNING_GROUP", "1"), ("GOLDFIN_TUNING_COALESCE", "false")]).unwrap().tuning, moved);
        let options = |settings: &[&str]| tuning(&settings.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(options(&["group=1", "coalesce=false"]).unwrap(), moved);
        assert_eq!(options(&[]).unwrap(), Tuning::default());
        for (wrong, named) in [
            ("group=0", "group"),
            ("lane_from=1", "lane_from"),
            ("coalesce=1", "boolean"),
            ("coalesce=perhaps", "KEY=VALUE"),
            ("gruop=1", "gruop"),
        ] {
            let refused = options(&[wrong]).unwrap_err().to_string();
            assert!(refused.contains(named) && refused.contains("tuning"), "{refused}");
        }
        assert!(load(GOOD, &[("GOLDFIN_TUNING_LOOKUP_PART", "many")]).is_err());
        assert!(load(&format!("{GOOD}\n[tuning]\nlookup_part = 10001"), &[]).unwrap_err().contains("lookup_part"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(load(&GOOD.replace("host", "hots"), &[]).unwrap_err().contains("hots"));
        assert!(load(GOOD, &[("GOLDFIN_DATABASE_POOL", "many")]).unwrap_err().contains("GOLDFIN_DATABASE_POOL"));
        assert!(load(GOOD, &[("GOLDFIN_DATABASE_POOL", "1000")]).unwrap_err().contains("database.pool"));
        assert!(load(GOOD, &[("GOLDFIN_NONSENSE", "1")]).unwrap_err().contains("nonsense"));
        assert!(load(GOOD, &[("GOLDFIN_NODE", "a b")]).unwrap_err().contains("node"));
    }
}
