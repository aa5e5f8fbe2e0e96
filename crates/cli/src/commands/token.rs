//! `token`: the caller's own token by default, another one by its accessor or from standard input or a file.

use clap::{Args, Subcommand};

use crate::auth_token::AuthToken;
use crate::client::Ask;
use crate::document::Json;
use crate::failure::Failure;
use crate::input::{Source, labels};
use crate::options::Format;
use crate::session::Session;

/// Look up, renew, revoke and create tokens
#[derive(Subcommand, Debug)]
pub enum AuthTokenCommand {
    Lookup(Lookup),
    Renew(Renew),
    Revoke(Revoke),
    Create(Create),
}

#[derive(Args, Debug)]
struct Which {
    /// Another token, by its accessor
    #[arg(long, value_name = "ACCESSOR", conflicts_with = "token")]
    accessor: Option<String>,
    /// Another token: `-` for standard input, or `@FILE`; never the token itself
    #[arg(long, value_name = "SOURCE")]
    token: Option<String>,
}

/// Show what a token is: its policies, how long it lives
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  goldfin token lookup\n  goldfin token lookup --accessor ACCESSOR")]
pub struct Lookup {
    #[command(flatten)]
    which: Which,
}

/// Let a token live longer
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin token renew --increment 1h")]
pub struct Renew {
    #[command(flatten)]
    which: Which,
    /// How long from now, for example 1h
    #[arg(long, value_name = "DURATION")]
    increment: Option<String>,
}

/// Revoke a token and what was made with it
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  goldfin token revoke\n  goldfin token revoke --accessor ACCESSOR\n  goldfin token revoke --token @leaked.txt"
)]
pub struct Revoke {
    #[command(flatten)]
    which: Which,
}

/// Create a token and print it
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  goldfin token create --policy web --ttl 1h > /run/web/token
  goldfin --format json token create --orphan --policy backup --period 24h")]
pub struct Create {
    /// Policy of the new token, a group in the rules; may be given more than once
    #[arg(long, value_name = "NAME")]
    policy: Vec<String>,
    /// How long it lives, for example 1h
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// It may be renewed for ever, this long at a time
    #[arg(long, value_name = "DURATION")]
    period: Option<String>,
    /// How long it may live at most, renewed or not
    #[arg(long, value_name = "DURATION")]
    explicit_max_ttl: Option<String>,
    /// Name shown in the ledger
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// A label, name=value, no secret; may be given more than once
    #[arg(long, value_name = "NAME=VALUE")]
    metadata: Vec<String>,
    /// Token role to create it by
    #[arg(long, value_name = "NAME", conflicts_with = "orphan")]
    role: Option<String>,
    /// It does not end with the token that makes it
    #[arg(long)]
    orphan: bool,
    /// Without the policy `default`
    #[arg(long)]
    no_default_policy: bool,
    /// It cannot be renewed
    #[arg(long)]
    not_renewable: bool,
}

impl AuthTokenCommand {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Lookup(command) => {
                let ask = match command.which.body(session)? {
                    None => Ask::get("auth/token/lookup-self"),
                    Some((tail, body)) => Ask::post(format!("auth/token/lookup{tail}"), body),
                };
                let data = session.ask(&ask)?.data();
                session.out.show(&data)
            }
            Self::Renew(command) => command.run(session),
            Self::Revoke(command) => {
                let ask = match command.which.body(session)? {
                    None => Ask::post("auth/token/revoke-self", Json::object([])),
                    Some((tail, body)) => Ask::post(format!("auth/token/revoke{tail}"), body),
                };
                session.ask_and_show(&ask, "revoked")
            }
            Self::Create(command) => command.run(session),
        }
    }
}

impl Which {
    /// The tail of the path and the body; none when it is the caller's own token.
    fn body(&self, session: &mut Session) -> Result<Option<(&'static str, Json)>, Failure> {
        if let Some(accessor) = &self.accessor {
            return Ok(Some(("-accessor", Json::object([("accessor", Json::text(accessor))]))));
        }
        let Some(source) = &self.token else { return Ok(None) };
        let token = Source::parse(source, "token")?.word(&mut session.around, "token")?;
        Ok(Some(("", Json::object([("token", Json::text(AuthToken::new(token.as_str())?.expose()))]))))
    }
}

impl Renew {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let increment = self.increment.as_deref().map(|increment| ("increment".to_owned(), Json::text(increment)));
        let (tail, body) = self.which.body(session)?.unwrap_or(("-self", Json::object([])));
        let members = body.members().iter().cloned().chain(increment).collect();
        let mut answer = session.ask(&Ask::post(format!("auth/token/renew{tail}"), Json::Object(members)))?;
        let auth = answer.body.as_mut().and_then(|body| body.take("auth")).unwrap_or(Json::Null);
        match session.out.format {
            // The token is known already; nothing is gained by showing it again.
            Format::Table => {
                session.out.say(&format!("renewed for {} seconds", &*auth.get("lease_duration").map(Json::plain).unwrap_or_default()))
            }
            _ => session.out.show(&auth),
        }
    }
}

impl Create {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let metadata = if self.metadata.is_empty() { None } else { Some(labels(&self.metadata, "--metadata")?) };
        let text = |name, value: &Option<String>| value.as_deref().map(|value| (name, Json::text(value)));
        let members = [
            (!self.policy.is_empty()).then(|| ("policies", Json::texts(self.policy.iter().map(String::as_str)))),
            text("ttl", &self.ttl),
            text("period", &self.period),
            text("explicit_max_ttl", &self.explicit_max_ttl),
            text("display_name", &self.display_name),
            metadata.map(|metadata| ("meta", metadata)),
            self.no_default_policy.then_some(("no_default_policy", Json::Bool(true))),
            self.not_renewable.then_some(("renewable", Json::Bool(false))),
        ];
        let path = match &self.role {
            Some(role) => format!("auth/token/create/{role}"),
            None if self.orphan => "auth/token/create-orphan".to_owned(),
            None => "auth/token/create".to_owned(),
        };
        let mut answer = session.ask(&Ask::post(path, Json::object(members.into_iter().flatten())))?;
        let auth = answer.body.as_mut().and_then(|body| body.take("auth")).unwrap_or(Json::Null);
        match session.out.format {
            Format::Table => {
                session.out.single(&auth, "client_token")?;
                let accessor = auth.get("accessor").map(Json::plain).unwrap_or_default();
                session.out.say(&format!("accessor: {}", &*accessor))
            }
            _ => session.out.show(&auth),
        }
    }
}
