//! The binary: the server's own commands, and in front of them the client half.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use goldfin::boot::{self, BootError};
use goldfin::config::LogFormat;
use goldfin::dev::session::{self, DevOptions};
use goldfin_cli::{ClientCommand, EXIT_CODES, GlobalOptions, Shell};

/// A vault for secrets and personal data.
#[derive(Debug, Parser)]
#[command(name = "goldfin", version, after_long_help = EXIT_CODES, propagate_version = true)]
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
    #[command(subcommand)]
    action: Option<ServerAction>,
}

#[derive(Debug, Subcommand)]
enum ServerAction {
    /// Apply the migrations; the configuration's login must be goldfin_migrator
    Migrate,
    /// Read the configuration and say whether it would do
    Check,
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
        Command::Completion { shell } => goldfin_cli::completion(shell, &mut Cli::command()),
        Command::Client(command) => goldfin_cli::run(command, cli.options),
    }
}

fn run_server(options: &ServerOptions) -> Result<(), BootError> {
    let config = boot::load_config(options.config.as_deref())?;
    boot::start_logging(config.log);
    match options.action {
        None => block_on(boot::server(config)),
        Some(ServerAction::Migrate) => block_on(boot::migrate(&config)),
        Some(ServerAction::Check) => boot::check(&config),
    }
}

fn block_on(work: impl Future<Output = Result<(), BootError>>) -> Result<(), BootError> {
    boot::harden();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(BootError::new)?;
    runtime.block_on(work)
}

fn finish(outcome: Result<(), BootError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            goldfin_cli::tell_failure(&error.to_string())
        }
    }
}
