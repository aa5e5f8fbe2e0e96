//! The binary: the server's own commands, and in front of them the client half.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use goldfin::boot::{self, BootError, KeySource, Verification};
use goldfin::config::LogFormat;
use goldfin::dev::session::{self, DevOptions};
use goldfin::engine::openapi;
use goldfin::model::id::StreamId;
use goldfin_cli::{ClientCommand, EXIT_CODES, GlobalOptions, OfflineLedger, OfflineVerification, Shell};

/// Many small pieces of one size come and go with every batch; the system's allocator caches few of them (ADR 0012).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A vault for secrets and personal data.
#[derive(Debug, Parser)]
#[command(name = "goldfin", version, after_long_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    options: GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node against a PostgreSQL of its own
    ///
    /// Example: goldfin server --config /etc/goldfin/goldfin.toml
    Server(ServerOptions),
    /// Run a node with a private PostgreSQL, a development CA and the shipped policies; not for production
    ///
    /// Example: goldfin dev --ephemeral --listen 127.0.0.1:0 --env-file dev.env
    Dev(DevOptions),
    /// Print the description of the API (OpenAPI 3.1, JSON) for the usual mounts, without a server
    ///
    /// A server describes its own mounts: goldfin read sys/internal/specs/openapi
    ///
    /// Example: goldfin openapi > goldfin.openapi.json
    Openapi,
    /// Print the completion script of a shell
    ///
    /// Example: goldfin completion bash > /etc/bash_completion.d/goldfin
    Completion { shell: Shell },
    #[command(flatten)]
    Client(ClientCommand),
}

#[derive(Debug, clap::Args)]
struct ServerOptions {
    /// The configuration; `GOLDFIN_` variables go over it
    #[arg(long, env = "GOLDFIN_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Go on with a database that was restored to an earlier state, whose stream ends at this place: STREAM:SEQ. The log names it
    #[arg(long, value_name = "STREAM:SEQ", value_parser = boot::parse_place)]
    acknowledge_rollback: Option<(StreamId, i64)>,
    #[command(subcommand)]
    action: Option<ServerAction>,
}

#[derive(Debug, Subcommand)]
enum ServerAction {
    /// Apply the migrations; the configuration's login must be goldfin_migrator
    Migrate,
    /// Read the configuration and say whether it would do
    Check,
    /// Say how many days entries of the ledger are kept at least; the configuration's login must be goldfin_migrator
    ///
    /// 2192, six years, unless it is changed. Only what is archived and older can be pruned. An entry of the ledger tells of each change.
    Retention {
        /// At least 1
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..=36525))]
        days: i32,
    },
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return goldfin_cli::tell_usage(&error),
    };
    match cli.command {
        Command::Server(options) => finish(run_server(&options)),
        Command::Dev(options) => {
            boot::start_logging(LogFormat::Text);
            finish(block_on(session::run(options)))
        }
        Command::Openapi => print_openapi(),
        Command::Completion { shell } => goldfin_cli::completion(shell, &mut Cli::command()),
        Command::Client(command) => match command.offline_verification() {
            Some(wanted) => verify_offline(&wanted, cli.options),
            None => goldfin_cli::run(command, cli.options),
        },
    }
}

fn print_openapi() -> ExitCode {
    match serde_json::to_string_pretty(&openapi::document(openapi::USUAL_MOUNTS.iter().copied())) {
        Ok(text) => goldfin_cli::tell_text(&text),
        Err(error) => goldfin_cli::tell_failure(&error.to_string()),
    }
}

fn run_server(options: &ServerOptions) -> Result<(), BootError> {
    let config = boot::load_config(options.config.as_deref())?;
    boot::start_logging(config.log);
    match options.action {
        None => block_on(boot::server(config, options.acknowledge_rollback)),
        Some(ServerAction::Migrate) => block_on(boot::migrate(&config)),
        Some(ServerAction::Check) => boot::check(&config),
        Some(ServerAction::Retention { days }) => block_on(boot::set_retention(&config, days)),
    }
}

/// Exit code 4 wherever nothing can be said of the ledger: never the 2 that means tampered.
fn verify_offline(wanted: &OfflineVerification, options: GlobalOptions) -> ExitCode {
    let told = |why: &str| {
        let _ = goldfin_cli::tell_failure(why);
        ExitCode::from(4)
    };
    let keys = match (&wanted.public_key, &wanted.mac_key) {
        (public, Some(file)) => KeySource::Unseal { file, public: public.as_deref() },
        (Some(file), None) => KeySource::Public(file),
        (None, None) => {
            return told(
                "a key is missing: `--public-key FILE` (`goldfin audit key` prints it), or `--mac-key FILE` for the chain as well",
            );
        }
    };
    let verification = Verification { keys, checkpoints: &wanted.checkpoints, resume: wanted.resume };
    let report = match &wanted.ledger {
        OfflineLedger::Database(url) => {
            let progress = |total| -> Box<dyn Fn(u64) + Sync + Send> { Box::new(goldfin_cli::progress_of_entries(Some(total))) };
            block_on_this_thread(boot::verify_database(url, &verification, progress))
        }
        OfflineLedger::Archive(paths, seal) => {
            let progress = goldfin_cli::progress_of_entries(None);
            block_on_this_thread(boot::verify_archive(paths, seal.as_deref(), &verification, &progress))
        }
    };
    match report {
        Ok(report) => {
            let mut document = Vec::new();
            report.to_node().write(&mut document);
            goldfin_cli::tell_verification(options, &document)
        }
        Err(error) => told(&error.to_string()),
    }
}

/// For a verification: waking another thread for each piece that PostgreSQL sends would cost more than checking what is in it.
fn block_on_this_thread<T>(work: impl Future<Output = Result<T, BootError>>) -> Result<T, BootError> {
    boot::harden();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BootError::new)?;
    runtime.block_on(work)
}

fn block_on<T>(work: impl Future<Output = Result<T, BootError>>) -> Result<T, BootError> {
    boot::harden();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(BootError::new)?;
    runtime.block_on(work)
}

fn finish(outcome: Result<(), BootError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => goldfin_cli::tell_failure(&error.to_string()),
    }
}
