//! The commands, one file for each topic. A command turns its arguments into requests and their answers into output; it decides
//! nothing that the server decides.

use clap::Subcommand;

use crate::failure::Failure;
use crate::session::Session;

mod account;
pub mod audit;
mod kv;
mod login;
mod mount;
mod operator;
mod path;
mod pii_token;
mod policy;
mod proof;
mod quota;
mod redact;
mod rotate;
mod subject;
mod token;
mod transform;
mod transform_batch;

/// Every command of the client; the binary flattens it into its own.
#[derive(Subcommand, Debug)]
pub enum ClientCommand {
    Init(operator::Init),
    Unseal(operator::Unseal),
    Seal(operator::Seal),
    Status(operator::Status),
    Login(login::Login),
    Logout(login::Logout),
    Read(path::Read),
    Write(path::Write),
    List(path::List),
    Delete(path::Delete),
    #[command(subcommand)]
    Kv(kv::Kv),
    Encode(transform::Encode),
    Decode(transform::Decode),
    Validate(transform::Validate),
    Redact(redact::Redact),
    Unredact(redact::Unredact),
    #[command(subcommand)]
    PiiToken(pii_token::PiiToken),
    #[command(subcommand)]
    Subject(subject::Subject),
    #[command(subcommand)]
    Token(token::AuthTokenCommand),
    #[command(subcommand)]
    Account(account::Account),
    #[command(subcommand)]
    Mount(mount::Mount),
    #[command(subcommand)]
    Auth(mount::Auth),
    #[command(subcommand)]
    Policy(policy::Policy),
    #[command(subcommand)]
    Quota(quota::Quota),
    #[command(subcommand)]
    Audit(audit::Audit),
    #[command(subcommand)]
    Rotate(rotate::Rotate),
}

impl ClientCommand {
    /// What `audit verify` is to check without a server. The binary does it itself, before [`crate::run`]: the verifier is the
    /// server's half.
    #[must_use]
    pub fn offline_verification(&self) -> Option<audit::OfflineVerification> {
        match self {
            Self::Audit(audit) => audit.offline_verification(),
            _ => None,
        }
    }

    pub(crate) fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Init(command) => command.run(session),
            Self::Unseal(command) => command.run(session),
            Self::Seal(command) => command.run(session),
            Self::Status(command) => command.run(session),
            Self::Login(command) => command.run(session),
            Self::Logout(command) => command.run(session),
            Self::Read(command) => command.run(session),
            Self::Write(command) => command.run(session),
            Self::List(command) => command.run(session),
            Self::Delete(command) => command.run(session),
            Self::Kv(command) => command.run(session),
            Self::Encode(command) => command.run(session),
            Self::Decode(command) => command.run(session),
            Self::Validate(command) => command.run(session),
            Self::PiiToken(command) => command.run(session),
            Self::Redact(command) => command.run(session),
            Self::Unredact(command) => command.run(session),
            Self::Subject(command) => command.run(session),
            Self::Token(command) => command.run(session),
            Self::Account(command) => command.run(session),
            Self::Mount(command) => command.run(session),
            Self::Auth(command) => command.run(session),
            Self::Policy(command) => command.run(session),
            Self::Quota(command) => command.run(session),
            Self::Audit(command) => command.run(session),
            Self::Rotate(command) => command.run(session),
        }
    }
}

/// `a/b` of `/a/b/`: mounts and folders are written with and without slashes.
fn bare(path: &str) -> &str {
    path.trim_matches('/')
}
