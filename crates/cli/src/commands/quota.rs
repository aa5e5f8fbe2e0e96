//! `quota`: what accounts may do in a time.

use clap::{Args, Subcommand, ValueEnum};

use crate::client::Ask;
use crate::document::Json;
use crate::failure::Failure;
use crate::session::Session;

/// Work with quotas: values encoded and revealed in an hour, requests in a second
#[derive(Subcommand, Debug)]
pub enum Quota {
    List(List),
    Read(Read),
    Disclosure(Disclosure),
    RateLimit(RateLimit),
    Delete(Delete),
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Kind {
    Disclosure,
    RateLimit,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Disclosure => "sys/quotas/disclosure",
            Self::RateLimit => "sys/quotas/rate-limit",
        }
    }
}

/// List the quotas of one kind
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin quota list disclosure")]
pub struct List {
    kind: Kind,
}

/// Show a quota
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin quota read disclosure night")]
pub struct Read {
    kind: Kind,
    /// Name of the quota
    name: String,
}

/// Delete a quota; what was counted in this hour counts again if it is made anew
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin quota delete rate-limit everybody")]
pub struct Delete {
    kind: Kind,
    /// Name of the quota
    name: String,
}

/// Bound the values that an account encodes and reveals in an hour
#[derive(Args, Debug)]
#[command(after_long_help = "\
What is left out stays as it is; an empty text binds every account, or counts all transformations.

Examples:
  goldfin quota disclosure night --account vetassist --revealed 500
  goldfin quota disclosure guesses --transformation transform/ssn --encoded 1000")]
pub struct Disclosure {
    /// Name of the quota
    name: String,
    /// Account that it binds; each account by itself where there is none
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// MOUNT/TRANSFORMATION whose values it counts; of all together where there is none
    #[arg(long, value_name = "MOUNT/NAME")]
    transformation: Option<String>,
    /// Values encoded in an hour; 0 for no limit
    #[arg(long, value_name = "COUNT")]
    encoded: Option<u64>,
    /// Values revealed in an hour; 0 for no limit
    #[arg(long, value_name = "COUNT")]
    revealed: Option<u64>,
}

/// Bound the requests of a caller
#[derive(Args, Debug)]
#[command(after_long_help = "\
Each node counts by itself. What is left out stays as it is; an empty text binds every account, or covers every path.

Examples:
  goldfin quota rate-limit everybody --rate 100
  goldfin quota rate-limit batch --account nightly --path transform --rate 600 --interval 1m --block-interval 30s")]
pub struct RateLimit {
    /// Name of the quota
    name: String,
    /// Account that it binds; each account by itself where there is none
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Path that it covers with all below, or with `*` at its end; every path where there is none
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Requests in each interval
    #[arg(long, value_name = "NUMBER")]
    rate: Option<String>,
    /// The interval (1s where none was given)
    #[arg(long, value_name = "DURATION")]
    interval: Option<String>,
    /// How long nothing is let in once the rate was passed
    #[arg(long, value_name = "DURATION")]
    block_interval: Option<String>,
}

impl Quota {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::List(List { kind }) => {
                let data = session.ask(&Ask::list(kind.path()))?.data();
                session.out.names(&data)
            }
            Self::Read(Read { kind, name }) => {
                let data = session.ask(&Ask::get(format!("{}/{name}", kind.path())))?.data();
                session.out.show(&data)
            }
            Self::Delete(Delete { kind, name }) => {
                session.ask_and_show(&Ask::delete(format!("{}/{name}", kind.path())), &format!("deleted: {name}"))
            }
            Self::Disclosure(Disclosure { name, account, transformation, encoded, revealed }) => {
                let members = [
                    account.map(|account| ("account", Json::text(account))),
                    transformation.map(|transformation| ("transformation", Json::text(transformation))),
                    encoded.map(|count| ("encoded_per_hour", Json::number(count))),
                    revealed.map(|count| ("revealed_per_hour", Json::number(count))),
                ];
                write(session, Kind::Disclosure, &name, Json::object(members.into_iter().flatten()))
            }
            Self::RateLimit(RateLimit { name, account, path, rate, interval, block_interval }) => {
                let members = [
                    account.map(|account| ("account", Json::text(account))),
                    path.map(|path| ("path", Json::text(path))),
                    rate.map(|rate| ("rate", Json::text(rate))),
                    interval.map(|interval| ("interval", Json::text(interval))),
                    block_interval.map(|span| ("block_interval", Json::text(span))),
                ];
                write(session, Kind::RateLimit, &name, Json::object(members.into_iter().flatten()))
            }
        }
    }
}

fn write(session: &mut Session, kind: Kind, name: &str, body: Json) -> Result<(), Failure> {
    session.ask_and_show(&Ask::post(format!("{}/{name}", kind.path()), body), &format!("written: {name}"))
}
