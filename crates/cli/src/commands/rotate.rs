//! `rotate`: new keys, and how far the work is that follows.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::client::Ask;
use crate::document::Json;
use crate::failure::Failure;
use crate::session::Session;

/// Rotate keys
#[derive(Subcommand, Debug)]
pub enum Rotate {
    Kek(Kek),
    Status(Status),
}

/// Make a new key-encryption key; what the old ones wrap is wrapped again in the background
#[derive(Args, Debug)]
#[command(after_long_help = "\
It can be interrupted: the server goes on by itself, after a restart too. `goldfin rotate status` says how far it is.

Examples:
  goldfin rotate kek
  goldfin rotate kek --wait")]
pub struct Kek {
    /// Wait until everything is wrapped with the new key
    #[arg(long)]
    wait: bool,
}

/// Say which keys are in use and how far a rotation is
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  goldfin rotate status\n  goldfin rotate status --wait")]
pub struct Status {
    /// Wait until everything is wrapped with the new key
    #[arg(long)]
    wait: bool,
}

impl Rotate {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let wait = match self {
            Self::Kek(Kek { wait }) => {
                session.ask_and_show(&Ask::post("sys/rotate", Json::object([])), "a new key is in use")?;
                if !wait {
                    return Ok(());
                }
                wait
            }
            Self::Status(Status { wait }) => wait,
        };
        let data = if wait { waited(session)? } else { progress(session)? };
        session.out.show(&data)
    }
}

fn progress(session: &mut Session) -> Result<Json, Failure> {
    Ok(session.ask(&Ask::get("sys/rotate/status"))?.data())
}

/// Asks until `remaining` is 0. A server that is away for a moment does not end it: the rotation goes on without us.
fn waited(session: &mut Session) -> Result<Json, Failure> {
    let mut bar = None;
    let mut silent = 0;
    loop {
        match progress(session) {
            Ok(data) => {
                silent = 0;
                let (Some(remaining), total) = (data.u64_of("remaining"), data.u64_of("total").unwrap_or(0)) else { return Ok(data) };
                let bar = bar.get_or_insert_with(|| session.out.progress(Some(total), "keys"));
                bar.set_length(total.max(remaining));
                bar.set_position(total.saturating_sub(remaining));
                if remaining == 0 {
                    bar.finish_and_clear();
                    return Ok(data);
                }
            }
            Err(failure) if failure.exit_code() == 5 && silent < PATIENCE => silent += 1,
            Err(failure) => return Err(failure),
        }
        std::thread::sleep(PAUSE);
    }
}

const PAUSE: Duration = Duration::from_secs(1);
/// How many answers may fail one after the other.
const PATIENCE: u32 = 30;
