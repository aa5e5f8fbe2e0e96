//! The composition root: reads the configuration, hardens the process, opens the store, the gate and the network, and ends them in order.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use goldfin_ledger::note::{Checkpoint, LogKey};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::audit::archive;
use crate::audit::check::Keys;
use crate::audit::high_water::HighWater;
use crate::audit::shipping::Shipping;
use crate::audit::verify::{Report, verify};
use crate::config::{Config, LogFormat};
use crate::gate::strangers::Strangers;
use crate::gate::{Founding, Gate, LedgerAnchor, Workshop};
use crate::http::limits::Limits;
use crate::http::probe::Site;
use crate::http::server::Server;
use crate::http::tls::{Tls, TlsFiles};
use crate::jobs;
use crate::model::clock::Clock;
use crate::model::id::StreamId;
use crate::seal::barrier::{checkpoint_key, ledger_key};
use crate::seal::erasures::Journal;
use crate::seal::{key_file, shares};
use crate::store::connect::{self, Access};
use crate::store::error::StoreError;
use crate::store::keyring;
use crate::store::ledger::Reading;

/// Why goldfin does not start or ended badly. The text says what to do.
#[derive(Debug)]
pub struct BootError(String);

impl BootError {
    pub fn new(what: impl std::fmt::Display) -> Self {
        Self(what.to_string())
    }
}

impl std::fmt::Display for BootError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BootError {}

/// What a running node is made from, whoever configured it: the file, or `goldfin dev`.
pub struct Node {
    pub access: Access,
    pub node: String,
    /// Where this node remembers who was erased.
    pub erasures: Option<std::path::PathBuf>,
    pub key_file: Option<std::path::PathBuf>,
    pub ledger: LedgerAnchor,
    pub clock: Clock,
    pub tls: TlsFiles,
    pub address: std::net::SocketAddr,
    pub public: Option<String>,
    pub limits: Limits,
    pub shipping: Option<Shipping>,
}

/// A node that listens; [`Running::serve`] answers requests until it is told to stop.
pub struct Running {
    pub gate: Arc<Gate>,
    server: Server<Gate>,
    tls: Arc<Tls>,
    store: crate::store::Store,
}

/// No core dumps, no reading of our memory by other processes of the same user, and our pages locked where the limit allows.
pub fn harden() {
    let refused = |what: &str, error: nix::Error| tracing::warn!(%error, "cannot {what}");
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        refused("switch core dumps off", error);
    }
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        refused("keep other processes from our memory", error);
    }
    // A finite limit is not enough: locking succeeds at first, and threads then fail to start.
    match getrlimit(Resource::RLIMIT_MEMLOCK) {
        Ok((soft, _)) if soft == nix::libc::RLIM_INFINITY => {
            if let Err(error) =
                nix::sys::mman::mlockall(nix::sys::mman::MlockAllFlags::MCL_CURRENT | nix::sys::mman::MlockAllFlags::MCL_FUTURE)
            {
                refused("lock our memory", error);
            }
        }
        _ => tracing::info!("memory is not locked: set LimitMEMLOCK=infinity to keep keys out of swap"),
    }
}

/// Log lines go to stderr. They hold ids and words of ours.
pub fn start_logging(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("GOLDFIN_LOG_FILTER")
        .unwrap_or_else(|_| "info,sqlx=warn,hyper=warn,rustls=warn".into());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    drop(started);
}

/// `goldfin server`: serves until SIGTERM or SIGINT.
///
/// `acknowledged` is the place where an operator says that the stream may end: a database restored to an earlier state.
pub async fn server(config: Config, acknowledged: Option<(StreamId, i64)>) -> Result<(), BootError> {
    let shipping = config.ledger.shipping().map_err(BootError::new)?;
    let (witnesses, witness_of) = (config.ledger.witnesses().map_err(BootError::new)?, config.ledger.witness_of().map_err(BootError::new)?);
    let node = Node {
        access: Access { options: config.database.options().map_err(BootError::new)?, pool: config.database.pool, tuning: config.tuning },
        node: config.node,
        erasures: config.seal.erasures,
        key_file: config.seal.key_file,
        ledger: LedgerAnchor {
            high_water: config.ledger.high_water.map(HighWater::new),
            archive: config.ledger.archive,
            acknowledged,
            witnesses,
            witness_of,
        },
        clock: Clock::system(),
        tls: config.tls,
        address: config.listen.address,
        public: config.listen.public,
        limits: config.limits,
        shipping,
    };
    Running::start(node).await?.serve(stop_signal()?).await;
    Ok(())
}

/// `goldfin server migrate`: applies the migrations as the login that the configuration names.
pub async fn migrate(config: &Config) -> Result<(), BootError> {
    prepare(&config.database.options().map_err(BootError::new)?).await
}

/// `goldfin server retention`: says how long entries of the ledger are kept at least, as the login that the configuration names.
pub async fn set_retention(config: &Config, days: i32) -> Result<(), BootError> {
    let options = config.database.options().map_err(BootError::new)?;
    let before = connect::set_retention(&options, days).await.map_err(BootError::new)?;
    tracing::info!(before, days, "the days that entries of the ledger are kept at least; an entry will tell of it");
    Ok(())
}

/// Applies the migrations with a login that may become the owner.
pub async fn prepare(migrator: &connect::PgConnectOptions) -> Result<(), BootError> {
    connect::migrate(migrator).await.map_err(BootError::new)
}

/// What `goldfin audit verify` verifies without a server.
pub struct Verification<'a> {
    pub keys: KeySource<'a>,
    /// Checkpoints that the caller has kept, one signed note a file.
    pub checkpoints: &'a [PathBuf],
    /// Whether to begin at the newest of them.
    pub resume: bool,
}

/// Where the keys of a verification come from.
#[derive(Clone, Copy)]
pub enum KeySource<'a> {
    /// The public key of the checkpoints: the tree is verified, and not the chain.
    Public(&'a Path),
    /// The seal's key file, or the answer of `init` with its shares: opens both keys of the ledger, from a database's seal. A public key
    /// that is given beside it has to be the same.
    Unseal { file: &'a Path, public: Option<&'a Path> },
}

/// `goldfin audit verify --database URL`: verifies a database that no node needs to serve. `progress` is called with the number of entries
/// and gives what hears of each.
pub async fn verify_database(
    url: &str,
    wanted: &Verification<'_>,
    progress: impl FnOnce(u64) -> Box<dyn Fn(u64) + Sync + Send>,
) -> Result<Report, BootError> {
    let store = open_for_reading(url).await?;
    let keys = keys(wanted.keys, Some(&store)).await?;
    let kept = kept(&keys, wanted.checkpoints)?;
    let unreadable = |_| BootError::new(UNREADABLE);
    let mut reading = Reading::begin(&store).await.map_err(unreadable)?;
    let expected = reading.expected().await.map_err(unreadable)?;
    let heard = progress(u64::try_from(expected).unwrap_or(0));
    let report = verify(&mut reading, &keys, &kept, wanted.resume, &heard).await.map_err(|error| match error {
        StoreError::Integrity(why) => BootError::new(why),
        other => unreadable(other),
    })?;
    if report.streams.is_empty() {
        return Err(BootError("the database holds no stream of a ledger".to_owned()));
    }
    drop(reading);
    store.close().await;
    Ok(report)
}

/// `goldfin audit verify --archive PATH`. `seal` is the database whose seal opens the MAC key, where that is wanted.
pub async fn verify_archive(
    paths: &[PathBuf],
    seal: Option<&str>,
    wanted: &Verification<'_>,
    progress: &dyn Fn(u64),
) -> Result<Report, BootError> {
    let store = match seal {
        Some(url) => Some(open_for_reading(url).await?),
        None => None,
    };
    let keys = keys(wanted.keys, store.as_ref()).await?;
    if let Some(store) = store {
        store.close().await;
    }
    let kept = kept(&keys, wanted.checkpoints)?;
    archive::verify(paths, &keys, &kept, progress).map_err(BootError)
}

const UNREADABLE: &str = "the database holds no ledger of goldfin, or the login may not read it";

async fn open_for_reading(url: &str) -> Result<crate::store::Store, BootError> {
    let options: connect::PgConnectOptions =
        url.parse().map_err(|_| BootError::new("the database's URL cannot be read; write it as postgresql://user@host/name"))?;
    if url.split_once("://").is_some_and(|(_, rest)| rest.split_once('@').is_some_and(|(login, _)| login.contains(':')))
        || url.contains("password=")
    {
        return Err(BootError::new(
            "the database's URL holds a password, which other processes can read; put it into ~/.pgpass or PGPASSWORD",
        ));
    }
    connect::open_for_reading(options).await.map_err(BootError::new)
}

async fn keys(wanted: KeySource<'_>, store: Option<&crate::store::Store>) -> Result<Keys, BootError> {
    let (file, public) = match wanted {
        KeySource::Public(file) => return Ok(Keys { log: public_key(file)?, mac: None }),
        KeySource::Unseal { file, public } => (file, public),
    };
    let store = store.ok_or_else(|| {
        BootError::new("the MAC key is opened by a database's seal: give `--seal URL`, or the public key alone (`--public-key FILE`)")
    })?;
    let seal = keyring::read_seal(store).await.map_err(|_| BootError::new(UNREADABLE))?;
    let seal = seal.ok_or_else(|| BootError::new("the database's vault is not initialised"))?;
    let unseal_key = key_file::read_any(file).map_err(BootError::new)?;
    let root = shares::open_root(&seal, unseal_key).map_err(|_| BootError::new("the key does not open this database's seal"))?;
    let barrier_key = shares::open_barrier_key(&seal, &root).map_err(BootError::new)?;
    let log = LogKey::new(checkpoint_key(&barrier_key).map_err(BootError::new)?.verifying_key());
    if let Some(public) = public
        && public_key(public)? != log
    {
        return Err(BootError::new("the public key is not that of the vault which the key opens"));
    }
    Ok(Keys { log, mac: Some(ledger_key(&barrier_key)) })
}

fn public_key(file: &Path) -> Result<LogKey, BootError> {
    let said = |why: &dyn std::fmt::Display| BootError(format!("the public key {}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| said(&error))?;
    LogKey::parse(&text).map_err(|error| said(&error))
}

fn kept(keys: &Keys, files: &[PathBuf]) -> Result<Vec<Checkpoint>, BootError> {
    let opened = files.iter().map(|file| {
        let said = |why: &dyn std::fmt::Display| BootError(format!("the checkpoint {}: {why}", file.display()));
        Checkpoint::open(&std::fs::read(file).map_err(|error| said(&error))?, &keys.log).map_err(|error| said(&error))
    });
    opened.collect()
}

/// `goldfin server check`: the configuration has been read; what it points at is looked at too.
pub fn check(config: &Config) -> Result<(), BootError> {
    config.database.options().map_err(BootError::new)?;
    Tls::load(config.tls.clone()).map_err(BootError::new)?;
    tracing::info!("the configuration is good");
    Ok(())
}

impl Running {
    /// Opens everything and listens. Nothing is answered before [`Self::serve`].
    pub async fn start(node: Node) -> Result<Self, BootError> {
        let clock = node.clock;
        let tls = Arc::new(Tls::load(node.tls).map_err(BootError::new)?);
        let store = node.access.open().await.map_err(BootError::new)?;
        let founding = Founding {
            store: store.clone(),
            access: node.access,
            node: node.node,
            erasures: node.erasures.map(Journal::new),
            clock: clock.clone(),
            key_file: node.key_file,
            ledger: node.ledger,
            companions,
            strangers: Arc::new(Strangers::new(node.limits.strangers())),
            shipping: node.shipping.map(Arc::new),
        };
        let gate = Gate::open(founding).await.map_err(BootError::new)?;
        let site = Site {
            version: env!("CARGO_PKG_VERSION"),
            build_date: "",
            address: node.public.unwrap_or_else(|| format!("https://{}", node.address)),
        };
        let server = Server::bind(node.address, Arc::clone(&gate), Arc::clone(&tls), node.limits, clock, site)
            .map_err(|error| BootError(format!("cannot listen on {}: {error}", node.address)))?;
        Ok(Self { gate, server, tls, store })
    }

    pub fn address(&self) -> Result<std::net::SocketAddr, BootError> {
        self.server.local_address().map_err(BootError::new)
    }

    /// Answers requests until `stop` resolves; then finishes those in flight, commits what was taken and forgets the keys.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) {
        let Self { gate, server, tls, store } = self;
        let reloads = tokio::spawn(reload_on_hangup(tls));
        let stopped = server
            .run(async move {
                stop.await;
                tracing::info!("stopping: requests in flight are finished");
            })
            .await;
        if stopped.cut > 0 {
            tracing::warn!(connections = stopped.cut, "connections were cut at the end of the drain timeout");
        }
        reloads.abort();
        gate.seal().await;
        store.close().await;
        tracing::info!("stopped");
    }
}

fn companions(workshop: Workshop) -> Box<dyn Send + Sync> {
    Box::new(jobs::spawn(workshop))
}

/// SIGTERM and SIGINT.
pub fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, BootError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(BootError::new)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(BootError::new)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

async fn reload_on_hangup(tls: Arc<Tls>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        match tls.reload() {
            Ok(()) => tracing::info!("the certificate was read anew"),
            Err(error) => tracing::error!(%error, "the certificate was not read anew, the old one stays"),
        }
    }
}

/// STREAM:SEQ, as the log and `goldfin audit` name a place of the ledger.
pub fn parse_place(text: &str) -> Result<(StreamId, i64), String> {
    let place = text.split_once(':').and_then(|(stream, seq)| Some((StreamId(stream.parse().ok()?), seq.parse().ok()?)));
    place.ok_or_else(|| "write it as STREAM:SEQ, for example `1:4711`".to_owned())
}

/// Reads the configuration for a command.
pub fn load_config(file: Option<&Path>) -> Result<Config, BootError> {
    Config::load(file, std::env::vars()).map_err(BootError::new)
}
