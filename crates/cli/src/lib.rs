//! The client half of `goldfin`: commands that talk to a server over its HTTP API.
//!
//! It must never link the server's floors, and never take a secret as an argument or print one that was not asked for. The root
//! binary flattens [`ClientCommand`] and [`GlobalOptions`] into its own command line and hands both to [`run`].
//!
//! From the bottom: `document` `yaml` `failure` `surroundings`, then `options` `auth_token` `input` `output`, then `tls`
//! `client` `kerberos`, then `session`, then `commands`.

#![forbid(unsafe_code)]

mod auth_token;
mod client;
mod commands;
mod document;
mod failure;
#[cfg(test)]
mod fixture;
mod input;
mod kerberos;
mod options;
mod output;
mod session;
mod surroundings;
#[cfg(test)]
mod tests;
mod tls;
mod yaml;

use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;

pub use clap_complete::Shell;

pub use crate::commands::ClientCommand;
pub use crate::commands::audit::{OfflineLedger, OfflineVerification};
pub use crate::options::{Format, GlobalOptions};
use crate::session::Session;
use crate::surroundings::Surroundings;

/// Does what the command says and tells the outcome; the exit codes are in [`EXIT_CODES`].
#[must_use]
pub fn run(command: ClientCommand, options: GlobalOptions) -> ExitCode {
    ExitCode::from(run_in(command, options, Surroundings::of_process()))
}

/// Prints what clap has to say about the arguments: help and version are a success, wrong use is exit code 1 (clap's own 2 means
/// "refused by the server" here).
#[must_use]
pub fn tell_usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is the only way to fail, and then nobody reads.
    let _ = error.print();
    ExitCode::from(u8::from(error.use_stderr()))
}

/// Prints why a command of the server's half failed; exit code 1.
#[must_use]
pub fn tell_failure(why: &str) -> ExitCode {
    let mut around = Surroundings::of_process();
    // When stderr is closed nobody reads.
    let _ = writeln!(around.stderr, "error: {why}");
    ExitCode::FAILURE
}

/// Shows the report of a verification that the server's half carried out, and gives its exit code.
#[must_use]
pub fn tell_verification(options: GlobalOptions, report: &[u8]) -> ExitCode {
    let mut session = match Session::new(options, Surroundings::of_process()) {
        Ok(session) => session,
        Err(code) => return ExitCode::from(code),
    };
    ExitCode::from(commands::audit::show_report(&mut session, report))
}

/// A bar on standard error, where that is a terminal, for a verification that the server's half carries out; call it with how many entries more were looked at.
pub fn progress_of_entries(total: Option<u64>) -> impl Fn(u64) + Send + Sync + use<> {
    let bar = output::progress_bar(total, "entries", std::io::stderr().is_terminal());
    move |more| bar.inc(more)
}

/// Prints a text that the server's half made, with a line's end behind it.
#[must_use]
pub fn tell_text(text: &str) -> ExitCode {
    let mut around = Surroundings::of_process();
    match writeln!(around.stdout, "{text}").and_then(|()| around.stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints the script with which the shell completes the whole command line.
#[must_use]
pub fn completion(shell: Shell, command: &mut clap::Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "goldfin", &mut script);
    let mut around = Surroundings::of_process();
    match around.stdout.write_all(&script).and_then(|()| around.stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// For the end of the binary's long help.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    wrong use, or something on this machine
  2    refused by the server; `status`: sealed; `audit verify`: tampered
  3    `audit verify`: shorter than a known checkpoint
  4    `audit verify`: cannot be verified
  5    the server cannot be reached, is sealed, or could not answer
  141  the reader of the output closed it";

fn run_in(command: ClientCommand, options: GlobalOptions, around: Surroundings) -> u8 {
    let mut session = match Session::new(options, around) {
        Ok(session) => session,
        Err(code) => return code,
    };
    let outcome = command.run(&mut session);
    // What was printed before a failure is a result too.
    let flushed = session.out.flush();
    match outcome.and(flushed) {
        Ok(()) => 0,
        Err(failure) => {
            session.out.failure(&failure);
            failure.exit_code()
        }
    }
}
