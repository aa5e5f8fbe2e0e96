//! `account`: the accounts that services and people log in to.

use clap::{Args, Subcommand};

use crate::client::Ask;
use crate::document::Json;
use crate::failure::Failure;
use crate::input::{Source, labels};
use crate::session::Session;

/// Work with accounts: who may log in, as what, in which groups
#[derive(Subcommand, Debug)]
pub enum Account {
    List(List),
    Read(Read),
    Write(Write),
    Delete(Delete),
}

/// List the accounts
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin account list")]
pub struct List {}

/// Show an account
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin account read web")]
pub struct Read {
    /// Name of the account
    name: String,
}

/// Create or change an account
#[derive(Args, Debug)]
#[command(after_long_help = "\
An alias says which identity of a login method is this account: METHOD/NAME. Groups and aliases given replace those there are.

Examples:
  goldfin account write web --group services --alias kerberos/HTTP/web.example.org@EXAMPLE.ORG
  goldfin account write web --disabled true
  goldfin account write web --document @web.json")]
pub struct Write {
    /// Name of the account
    name: String,
    /// Group it is in; may be given more than once
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// Identity of a login method, as METHOD/NAME; may be given more than once
    #[arg(long, value_name = "METHOD/NAME")]
    alias: Vec<String>,
    /// Whether it is locked out; its tokens stop working too
    #[arg(long, value_name = "BOOL")]
    disabled: Option<bool>,
    /// A label, name=value, no secret; may be given more than once
    #[arg(long, value_name = "NAME=VALUE")]
    metadata: Vec<String>,
    /// The whole account as JSON: `-` or `@FILE`
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["group", "alias", "disabled", "metadata"])]
    document: Option<String>,
}

/// Delete an account; its tokens stop working
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin account delete web")]
pub struct Delete {
    /// Name of the account
    name: String,
}

impl Account {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::List(List {}) => {
                let data = session.ask(&Ask::list("sys/accounts"))?.data();
                session.out.names(&data)
            }
            Self::Read(Read { name }) => {
                let data = session.ask(&Ask::get(format!("sys/accounts/{name}")))?.data();
                session.out.show(&data)
            }
            Self::Write(command) => command.run(session),
            Self::Delete(Delete { name }) => {
                session.ask_and_show(&Ask::delete(format!("sys/accounts/{name}")), &format!("deleted: {name}"))
            }
        }
    }
}

impl Write {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let body = match &self.document {
            Some(source) => Source::parse(source, "account")?.document(&mut session.around, "account")?,
            None => self.body()?,
        };
        session.ask_and_show(&Ask::post(format!("sys/accounts/{}", self.name), body), &format!("written: {}", self.name))
    }

    fn body(&self) -> Result<Json, Failure> {
        let list = |name, texts: &[String]| (!texts.is_empty()).then(|| (name, Json::texts(texts.iter().map(String::as_str))));
        let metadata = if self.metadata.is_empty() { None } else { Some(labels(&self.metadata, "--metadata")?) };
        let members = [
            list("groups", &self.group),
            list("aliases", &self.alias),
            self.disabled.map(|disabled| ("disabled", Json::Bool(disabled))),
            metadata.map(|metadata| ("metadata", metadata)),
        ];
        Ok(Json::object(members.into_iter().flatten()))
    }
}
