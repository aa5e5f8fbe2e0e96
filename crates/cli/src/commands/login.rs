//! `login` and `logout`: getting a token, remembering it for the commands to come, and giving it up.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::auth_token::AuthToken;
use crate::client::{Ask, Client};
use crate::commands::bare;
use crate::document::Json;
use crate::failure::Failure;
use crate::input::Source;
use crate::kerberos::{self, Ticket};
use crate::options::Format;
use crate::session::Session;

/// Log in and remember the token in ~/.goldfin-token
#[derive(Args, Debug)]
#[command(after_long_help = "\
Kerberos binds the ticket to the server's certificate (tls-server-end-point, RFC 5929); behind a proxy that ends TLS it needs \
`--no-channel-binding`, where the server allows it.

Examples:
  goldfin login --method kerberos
  goldfin login --method kerberos --keytab /etc/web.keytab --principal web@EXAMPLE.ORG
  goldfin login --method jwt --role web --jwt-file /run/web/jwt
  goldfin login --method token < token.txt
  GOLDFIN_TOKEN=$(goldfin login --method jwt --role ci --jwt-file jwt --no-store)")]
pub struct Login {
    /// How to log in
    #[arg(long, value_enum, default_value_t = Method::Kerberos, value_name = "METHOD")]
    method: Method,
    /// Role to log in to (jwt)
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
    /// Mount of the login method; its own name if not given
    #[arg(long, value_name = "PATH")]
    mount: Option<String>,
    /// File with the JWT; standard input if not given (jwt)
    #[arg(long, value_name = "FILE")]
    jwt_file: Option<PathBuf>,
    /// Keytab to get a ticket with, instead of the credential cache (kerberos)
    #[arg(long, value_name = "FILE")]
    keytab: Option<PathBuf>,
    /// Principal to log in as, if there is a choice (kerberos)
    #[arg(long, value_name = "NAME@REALM")]
    principal: Option<String>,
    /// Service to ask a ticket for; HTTP and the address's host if not given (kerberos)
    #[arg(long, value_name = "SERVICE@HOST")]
    service: Option<String>,
    /// Do not bind the ticket to the server's certificate (kerberos)
    #[arg(long)]
    no_channel_binding: bool,
    /// Print the token and remember nothing
    #[arg(long)]
    no_store: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Kerberos,
    Jwt,
    /// A token that you have already, from standard input
    Token,
}

/// Revoke the token and forget it
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin logout")]
pub struct Logout {}

impl Login {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let auth = match self.method {
            Method::Kerberos => self.kerberos(session)?,
            Method::Jwt => self.jwt(session)?,
            Method::Token => return self.token(session),
        };
        let token = auth.str_of("client_token").ok_or_else(|| {
            Failure::no("the server answered without a token", "check that `--mount` is a login method and not something else")
        })?;
        self.keep(session, &AuthToken::new(token)?, &auth)
    }

    fn jwt(&self, session: &mut Session) -> Result<Json, Failure> {
        let source = self.jwt_file.clone().map_or(Source::Stdin, Source::File);
        let jwt = source.word(&mut session.around, "JWT")?;
        let role = self.role.as_deref().map(|role| ("role", Json::text(role)));
        let body = Json::object(std::iter::once(("jwt", Json::Text(jwt))).chain(role));
        let client = session.stranger()?;
        login(&client, Ask::post(self.path("jwt"), body))
    }

    fn kerberos(&self, session: &mut Session) -> Result<Json, Failure> {
        if let Some(keytab) = &self.keytab {
            kerberos::use_keytab(&session.around, keytab)?;
        }
        let client = session.stranger()?;
        // The first exchange shows the server's certificate; the ticket is bound to it, and no other is taken from here on.
        client.ask(&Ask::get("sys/seal-status").without_token())?;
        let certificate = client.peer().pin();
        let binding = match self.no_channel_binding {
            true => None,
            false => certificate.as_deref().and_then(kerberos::end_point),
        };
        let ticket =
            Ticket::obtain(&kerberos::service(self.service.as_deref(), client.address()), self.principal.as_deref(), binding.as_deref())?;
        let role = self.role.as_deref().map(|role| ("role", Json::text(role)));
        let ask = Ask { authorization: Some(ticket.header()), ..Ask::post(self.path("kerberos"), Json::object(role)) };
        login(&client, ask)
    }

    fn token(&self, session: &mut Session) -> Result<(), Failure> {
        let token = AuthToken::new(Source::Stdin.word(&mut session.around, "token")?.as_str())?;
        let client = Client::new(&session.settings, Some(AuthToken::new(token.expose())?))?;
        let data = client.ask(&Ask::get("auth/token/lookup-self"))?.data();
        self.keep(session, &token, &data)
    }

    fn path(&self, method: &str) -> String {
        format!("auth/{}/login", bare(self.mount.as_deref().unwrap_or(method)))
    }

    fn keep(&self, session: &mut Session, token: &AuthToken, about: &Json) -> Result<(), Failure> {
        if self.no_store {
            return match session.out.format {
                Format::Table => session.out.line(token.expose()),
                _ => session.out.show(about),
            };
        }
        let path = token.remember(&session.around)?;
        let name = about.str_of("display_name").or_else(|| about.get("metadata").and_then(|metadata| metadata.str_of("account")));
        let who = name.map(|name| format!(" as {name}")).unwrap_or_default();
        session.out.say(&format!("logged in{who}; the token is in {}", path.display()))?;
        match session.around.first_of(&["GOLDFIN_TOKEN", "VAULT_TOKEN"]) {
            Some(_) => session.out.warn("warning: GOLDFIN_TOKEN or VAULT_TOKEN is set and goes before the token just stored; unset it"),
            None => Ok(()),
        }
    }
}

/// The `auth` of the answer.
fn login(client: &Client, ask: Ask) -> Result<Json, Failure> {
    let mut answer = client.ask(&ask)?;
    Ok(answer.body.as_mut().and_then(|body| body.take("auth")).unwrap_or(Json::Null))
}

impl Logout {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let revoked = match session.client()?.has_token() {
            true => session.ask(&Ask::post("auth/token/revoke-self", Json::object([]))).map(|_| ()),
            false => Ok(()),
        };
        // Forgotten in any case; a token that the server no longer knows is as good as revoked.
        AuthToken::forget(&session.around)?;
        match revoked {
            Err(failure) if failure.status() != Some(403) && failure.status() != Some(401) => Err(failure),
            _ => session.out.say("logged out"),
        }
    }
}
