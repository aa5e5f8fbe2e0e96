//! `goldfin dev`: a private PostgreSQL, a development CA, a node that is initialised and unsealed, the shipped policies, and a file to
//! `source`. Started again on the same folder it keeps its address and keys, also after kill -9 of itself or of its PostgreSQL.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use goldfin_crypto::Plaintext;
use tokio::sync::watch;

use crate::audit::high_water::HighWater;
use crate::boot::{self, BootError, Node, Running};
use crate::config::{self, Ledger, WitnessedBy};
use crate::gate::request::{Credential, Peer, Request, Wanted};
use crate::gate::{Gate, LedgerAnchor};
use crate::http::limits::Limits;
use crate::http::tls::TlsFiles;
use crate::model::call::{Query, Verb};
use crate::model::clock::{Clock, Timestamp};
use crate::model::document::Node as Json;
use crate::model::id::StreamId;
use crate::model::path::CanonicalPath;
use crate::model::reply::Answer;
use crate::model::tuning::Tuning;
use crate::store::connect::Access;

use super::certificates::DevelopmentCertificates;
use super::folder::EphemeralFolder;
use super::postgres::PrivatePostgres;

/// The policies that `goldfin dev` puts in force: those of the folder `policies/`.
const POLICIES: [(&str, &str); 5] = [
    ("analyst", include_str!("../../policies/analyst.cedar")),
    ("auditor", include_str!("../../policies/auditor.cedar")),
    ("operator", include_str!("../../policies/operator.cedar")),
    ("service", include_str!("../../policies/service.cedar")),
    ("vetassist", include_str!("../../policies/vetassist.cedar")),
];

/// How often the private PostgreSQL is looked after.
const WATCH: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub struct DevOptions {
    /// The folder of the database, the certificates and the keys; survives restarts
    #[arg(long, default_value = "dev-data", conflicts_with = "ephemeral")]
    data: PathBuf,
    /// Use a new folder and delete it at the end
    #[arg(long)]
    ephemeral: bool,
    /// Where to listen; port 0 takes a free one. Default: the address of the last start, else a free port of 127.0.0.1
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Write the variables for `source` here too; appears when goldfin is ready
    #[arg(long)]
    env_file: Option<PathBuf>,
    /// Go on with a database that was restored to an earlier state, whose stream ends at this place: STREAM:SEQ
    #[arg(long, value_name = "STREAM:SEQ", value_parser = boot::parse_place)]
    acknowledge_rollback: Option<(StreamId, i64)>,
    /// Let goldfin's clock begin at this moment (RFC 3339) instead of now, to see what long times do; a folder's clock never goes back
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    clock: Option<Timestamp>,
    /// A witness of the ledger: the URL below which its `add-checkpoint` is. With `--witness-key`, and `--witness-ca`
    #[arg(long, value_name = "URL", requires = "witness_key")]
    witness: Option<String>,
    /// The witness's verifier key
    #[arg(long, value_name = "KEY", requires = "witness")]
    witness_key: Option<String>,
    /// The CA of the witness's certificate
    #[arg(long, value_name = "FILE", requires = "witness")]
    witness_ca: Option<PathBuf>,
    /// Be a witness of another ledger: its public key, as `goldfin audit key` prints it
    #[arg(long, value_name = "KEY")]
    witness_of: Vec<String>,
    /// Shares of the unseal key
    #[arg(long, default_value_t = 1)]
    key_shares: u8,
    /// Shares that open the seal
    #[arg(long, default_value_t = 1)]
    key_threshold: u8,
    /// Let the private PostgreSQL log every statement with its parameters, to see that no secret is in them
    #[arg(long)]
    log_statements: bool,
    /// Move a lever of speed, as in the configuration's `[tuning]`, to see what it is worth; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    tuning: Vec<String>,
}

fn parse_moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::from_rfc3339(text).ok_or_else(|| "write it as in RFC 3339, for example `2026-01-31T12:00:00Z`".to_owned())
}

/// Runs until SIGTERM or SIGINT, then stops everything that it started.
pub async fn run(options: DevOptions) -> Result<(), BootError> {
    let stop = boot::stop_signal()?;
    let tuning = config::tuning(&options.tuning).map_err(BootError::new)?;
    let ephemeral = if options.ephemeral { Some(EphemeralFolder::create().map_err(BootError::new)?) } else { None };
    let folder = match &ephemeral {
        Some(folder) => folder.path().to_owned(),
        None => own_folder(&options.data)?,
    };
    let (data, log_all) = (folder.clone(), options.log_statements);
    let postgres = tokio::task::spawn_blocking(move || PrivatePostgres::start(&data, log_all))
        .await
        .map_err(BootError::new)?
        .map_err(BootError::new)?;
    let outcome = serve(&options, tuning, &folder, postgres, stop).await;
    drop(ephemeral);
    outcome
}

async fn serve(
    options: &DevOptions,
    tuning: Tuning,
    folder: &Path,
    postgres: PrivatePostgres,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), BootError> {
    postgres.prepare_roles().await.map_err(BootError::new)?;
    boot::prepare(&postgres.url_migrator()).await?;
    let certificates = DevelopmentCertificates::open(&folder.join("certs"), Clock::system().now().to_date()).map_err(BootError::new)?;
    let server = certificates.server();
    let address_file = folder.join("address");
    let node = Node {
        access: Access { options: postgres.url_app(), pool: 12, tuning },
        node: "dev".to_owned(),
        erasures: Some(folder.join("erasures")),
        key_file: Some(folder.join("unseal.key")),
        ledger: anchor(options, folder)?,
        clock: options.clock.map_or_else(Clock::system, Clock::beginning),
        tls: TlsFiles {
            certificate: server.certificate,
            key: server.key,
            client_ca: Some(certificates.authority()),
            client_crls: Vec::new(),
        },
        address: options.listen.or_else(|| read_address(&address_file)).unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)),
        public: None,
        limits: Limits::default(),
        shipping: None,
    };
    let running = Running::start(node).await?;
    let address = running.address()?;
    let keys = Keys { answer: folder.join("unseal-keys.json"), root_token: folder.join("root-token") };
    if !running.gate.seal_state().initialised {
        found(&running.gate, options, &keys).await?;
    }
    private_file(&address_file, address.to_string().as_bytes())?;
    let variables = variables(address, &certificates.authority(), &keys)?;
    private_file(&folder.join("dev.env"), variables.as_bytes())?;
    let (ended, over) = watch::channel(false);
    let guard = tokio::spawn(look_after(postgres, over));
    let serving = tokio::spawn(running.serve(stop));
    if let Some(path) = &options.env_file {
        private_file(path, variables.as_bytes())?;
    }
    tracing::info!(address = %format!("https://{address}"), variables = %folder.join("dev.env").display(), "ready; `source` the variables to talk to it");
    serving.await.map_err(BootError::new)?;
    let _ = ended.send(true);
    guard.await.map_err(BootError::new)?
}

fn anchor(options: &DevOptions, folder: &Path) -> Result<LedgerAnchor, BootError> {
    let witness =
        options.witness.clone().zip(options.witness_key.clone()).map(|(url, key)| WitnessedBy { url, key, ca: options.witness_ca.clone() });
    let ledger = Ledger { witnesses: witness.into_iter().collect(), witness_of: options.witness_of.clone(), ..Ledger::default() };
    Ok(LedgerAnchor {
        high_water: Some(HighWater::new(folder.join("high-water"))),
        archive: Some(own_folder(&folder.join("archive"))?),
        acknowledged: options.acknowledge_rollback,
        witnesses: ledger.witnesses().map_err(BootError::new)?,
        witness_of: ledger.witness_of().map_err(BootError::new)?,
    })
}

/// Starts the private PostgreSQL again when it was killed, and stops it at the end.
async fn look_after(mut postgres: PrivatePostgres, mut over: watch::Receiver<bool>) -> Result<(), BootError> {
    loop {
        tokio::select! {
            _ = over.wait_for(|over| *over) => break,
            () = tokio::time::sleep(WATCH) => {}
        }
        if !postgres.is_running() {
            tracing::warn!("the private PostgreSQL is gone, starting it again");
            let (again, started) = tokio::task::spawn_blocking(move || {
                let started = postgres.restart();
                (postgres, started)
            })
            .await
            .map_err(BootError::new)?;
            postgres = again;
            if let Err(error) = started {
                tracing::error!(%error, "the private PostgreSQL does not start");
            }
        }
    }
    tokio::task::spawn_blocking(move || postgres.stop()).await.map_err(BootError::new)?.map_err(BootError::new)
}

/// Where the answer of `sys/init` and the root token are kept.
struct Keys {
    answer: PathBuf,
    root_token: PathBuf,
}

/// Initialises, unseals, mounts `secret/` and loads the policies: through the gate, like any client.
async fn found(gate: &Arc<Gate>, options: &DevOptions, keys: &Keys) -> Result<(), BootError> {
    let shares = Json::object([
        ("secret_shares", Json::whole(options.key_shares.into())),
        ("secret_threshold", Json::whole(options.key_threshold.into())),
    ]);
    let answer = ask(gate, "sys/init", None, shares).await?;
    let Answer::Bare(born) = answer else { return Err(BootError::new("init answered in another form than expected")) };
    private_file(&keys.answer, born.to_plaintext().expose())?;
    let Some(Json::Text(root_token)) = born.member("root_token") else { return Err(BootError::new("init gave no root token")) };
    private_file(&keys.root_token, root_token.expose())?;
    gate.unseal_from_key_file().await.map_err(BootError::new)?;
    let token = || Plaintext::new(root_token.expose().to_vec());
    let kv = Json::object([
        ("type", Json::text("kv")),
        ("description", Json::text("secrets")),
        ("options", Json::object([("version", Json::text("2"))])),
    ]);
    ask(gate, "sys/mounts/secret", Some(token()), kv).await?;
    let policies = POLICIES.iter().map(|(name, text)| ((*name).to_owned(), Json::text(*text))).collect();
    ask(gate, "sys/policies/load", Some(token()), Json::object([("policies", Json::Object(policies))])).await?;
    Ok(())
}

async fn ask(gate: &Arc<Gate>, path: &str, token: Option<Plaintext>, body: Json) -> Result<Answer, BootError> {
    let path = CanonicalPath::parse(path).map_err(|refusal| BootError::new(refusal.0))?;
    let request = Request {
        peer: Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), certificate: None, channel_binding: Arc::from([]) },
        wanted: Ok(Wanted { verb: Verb::Write, path, query: Query::default() }),
        credential: token.map_or(Credential::None, Credential::AuthToken),
        body: body.to_plaintext(),
        purpose: None,
        wrap_ttl: None,
    };
    gate.call(Box::new(request)).await.into_outcome().map(|reply| reply.answer).map_err(BootError::new)
}

fn variables(address: SocketAddr, authority: &Path, keys: &Keys) -> Result<String, BootError> {
    let token =
        std::fs::read_to_string(&keys.root_token).map_err(|error| BootError::new(format!("{}: {error}", keys.root_token.display())))?;
    Ok(format!(
        "VAULT_ADDR=https://{address}\nVAULT_CACERT={}\nVAULT_TOKEN={}\nGOLDFIN_UNSEAL_KEYS_FILE={}\n",
        authority.display(),
        token.trim(),
        keys.answer.display()
    ))
}

fn read_address(path: &Path) -> Option<SocketAddr> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Makes the data folder where it is missing, and gives its full path.
fn own_folder(path: &Path) -> Result<PathBuf, BootError> {
    let failed = |error: std::io::Error| BootError::new(format!("{}: {error}", path.display()));
    if !path.exists() {
        std::fs::create_dir_all(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    path.canonicalize().map_err(failed)
}

/// Writes a file that only its owner can read. It appears whole or not at all.
fn private_file(path: &Path, content: &[u8]) -> Result<(), BootError> {
    let failed = |error: std::io::Error| BootError::new(format!("{}: {error}", path.display()));
    let beside = path.with_extension("new");
    drop(std::fs::remove_file(&beside));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).map_err(failed)?;
    std::io::Write::write_all(&mut file, content).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}
