//! `init`, `unseal`, `seal` and `status`: the life of a server before anyone can log in.

use std::path::PathBuf;

use clap::Args;

use crate::auth_token::write_private;
use crate::client::{Ask, Client};
use crate::document::Json;
use crate::failure::Failure;
use crate::input::Source;
use crate::options::Format;
use crate::output::{Output, Table, cell};
use crate::session::Session;

/// Initialise a new server: make its keys and print the shares, once
#[derive(Args, Debug)]
#[command(after_long_help = "\
The shares and the root token are shown this once and stored nowhere. Give each share to another person.

Examples:
  goldfin init --key-shares 5 --key-threshold 3
  goldfin init --output init.json        # for a machine: a file that only you can read, for `goldfin unseal --keys-file`")]
pub struct Init {
    /// Into how many shares the key is split
    #[arg(long, value_name = "N", default_value_t = 5)]
    key_shares: u64,
    /// How many of them unseal
    #[arg(long, value_name = "N", default_value_t = 3)]
    key_threshold: u64,
    /// Write the answer as JSON to this file, readable by you only, and print nothing secret
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Give the server a share of its key; with enough of them it opens
#[derive(Args, Debug)]
#[command(after_long_help = "\
A share is asked for on the terminal, or comes from standard input or a file; never from an argument.

Examples:
  goldfin unseal
  goldfin unseal --share @share.txt
  goldfin unseal --keys-file init.json
  goldfin unseal --reset")]
pub struct Unseal {
    /// Where the share is: `-` for standard input, or `@FILE`
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["keys_file", "reset"])]
    share: Option<String>,
    /// The JSON of `goldfin init --output`: use as many of its shares as are needed
    #[arg(long, value_name = "FILE", conflicts_with = "reset")]
    keys_file: Option<PathBuf>,
    /// Forget the shares given so far
    #[arg(long)]
    reset: bool,
}

/// Seal the server: it forgets its keys and answers nothing until it is unsealed
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin seal")]
pub struct Seal {}

/// Say whether the server is initialised and unsealed
#[derive(Args, Debug)]
#[command(after_long_help = "\
Exit code 0: unsealed; 2: sealed or not initialised; 5: not reached.

Example:
  goldfin status || goldfin unseal")]
pub struct Status {}

impl Init {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        if self.output.as_ref().is_some_and(|path| path.exists()) {
            return Err(Failure::local("the output file is there already, and may hold the keys of another server", "name a new file"));
        }
        let body = Json::object([("secret_shares", Json::number(self.key_shares)), ("secret_threshold", Json::number(self.key_threshold))]);
        let data = session.stranger()?.ask(&Ask::put("sys/init", body).without_token())?.data();
        let Some(path) = self.output else { return show_keys(&mut session.out, &data, self.key_threshold) };
        if let Err(failure) = write_private(&path, data.pretty().as_bytes()) {
            // The keys exist nowhere else: better on the screen than lost.
            session.out.failure(&failure);
            show_keys(&mut session.out, &data, self.key_threshold)?;
            return Err(Failure::Told(1));
        }
        session.out.say(&format!("initialised; the shares and the root token are in {}, for your eyes only", path.display()))
    }
}

fn show_keys(out: &mut Output, data: &Json, threshold: u64) -> Result<(), Failure> {
    out.present(data, |data| {
        let mut table = Table::new(&["Key", "Value"]);
        let shares = data.get("keys_base64").or_else(|| data.get("keys")).map(Json::items).unwrap_or_default();
        for (index, share) in shares.iter().enumerate() {
            table.row([cell(&format!("share {}", index + 1)), share.plain()]);
        }
        table.row([cell("root token"), cell(data.str_of("root_token").unwrap_or_default())]);
        if let Some(key) = data.str_of("ledger_key") {
            table.row([cell("public key of the ledger"), cell(key)]);
        }
        table
    })?;
    out.say(&format!(
        "This is shown once and stored nowhere. Give each share to another person; {threshold} of them unseal the server.\nRevoke the root token (`goldfin token revoke`) when accounts and policies are in place."
    ))
}

impl Unseal {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let client = session.stranger()?;
        if self.reset {
            let status = put(&client, Json::object([("reset", Json::Bool(true))]))?;
            return session.out.present(&status, status_table);
        }
        let status = match &self.keys_file {
            Some(path) => from_file(session, &client, path)?,
            None => {
                let share = Source::or_stdin(self.share.as_deref(), "share")?.word(&mut session.around, "share")?;
                put(&client, Json::object([("key", Json::Text(share))]))?
            }
        };
        session.out.present(&status, status_table)?;
        match sealed(&status) {
            false => session.out.say("unsealed"),
            true => {
                let (given, needed) = (status.u64_of("progress").unwrap_or(0), status.u64_of("t").unwrap_or(0));
                session.out.say(&format!("{given} of {needed} shares given; repeat with another"))
            }
        }
    }
}

/// Gives shares until the server is open. One left over from an earlier attempt is counted by the server.
fn from_file(session: &mut Session, client: &Client, path: &std::path::Path) -> Result<Json, Failure> {
    let keys = Source::File(path.to_owned()).document(&mut session.around, "keys file")?;
    let shares = keys.get("keys_base64").or_else(|| keys.get("keys")).map(Json::items).unwrap_or_default();
    let mut status = client.ask(&Ask::get("sys/seal-status").without_token())?.data();
    if shares.is_empty() {
        return Err(Failure::local(format!("`{}` holds no shares", path.display()), "name the file that `goldfin init --output` wrote"));
    }
    let bar = session.out.progress(status.u64_of("t"), "shares");
    for share in shares {
        if !sealed(&status) {
            break;
        }
        status = put(client, Json::object([("key", share.clone())])).inspect_err(|_| bar.finish_and_clear())?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    if sealed(&status) {
        return Err(Failure::no(
            "every share of the file was given and the server is still sealed",
            "check that the file is this server's",
        ));
    }
    Ok(status)
}

fn put(client: &Client, body: Json) -> Result<Json, Failure> {
    Ok(client.ask(&Ask::put("sys/unseal", body).without_token())?.data())
}

/// What cannot be read as open is sealed.
fn sealed(status: &Json) -> bool {
    status.get("sealed").and_then(Json::as_bool) != Some(false)
}

impl Seal {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        session.ask_and_show(&Ask::put("sys/seal", Json::object([])), "sealed")
    }
}

impl Status {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let status = session.stranger()?.ask(&Ask::get("sys/seal-status").without_token())?.data();
        session.out.present(&status, status_table)?;
        if session.out.format == Format::Table && status.get("initialized").and_then(Json::as_bool) == Some(false) {
            session.out.say("not initialised; `goldfin init` makes its keys")?;
        }
        if sealed(&status) { Err(Failure::Told(2)) } else { Ok(()) }
    }
}

fn status_table(status: &Json) -> Table {
    let mut table = Table::new(&["Key", "Value"]);
    let mut row = |name: &str, member: &str| {
        if let Some(value) = status.get(member).filter(|value| !value.is_null()) {
            table.row([cell(name), value.plain()]);
        }
    };
    row("Sealed", "sealed");
    row("Initialised", "initialized");
    row("Seal", "type");
    row("Shares", "n");
    row("Threshold", "t");
    row("Given", "progress");
    row("Version", "version");
    row("Cluster", "cluster_name");
    row("Ledger key", "ledger_key");
    table
}
