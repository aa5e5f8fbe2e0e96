//! `kv`: versioned secrets. Paths are relative to the mount; `data/` and its kin are put in here.

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use crate::client::{Answer, Ask};
use crate::commands::bare;
use crate::document::Json;
use crate::failure::Failure;
use crate::input::{fields, labels};
use crate::output::{Table, cell};
use crate::session::Session;

/// Work with versioned secrets
#[derive(Subcommand, Debug)]
pub enum Kv {
    Get(Get),
    Put(Put),
    Patch(Patch),
    Delete(Delete),
    Undelete(Versions),
    Destroy(Destroy),
    List(List),
    #[command(subcommand)]
    Metadata(Metadata),
}

#[derive(Args, Debug)]
struct Place {
    /// Mount of the secrets
    #[arg(long, short, default_value = "secret", value_name = "PATH")]
    mount: String,
    /// Path of the secret below the mount
    path: String,
}

/// Read a secret
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  goldfin kv get db/web
  goldfin kv get --field password db/web > /run/web/password
  goldfin --format json kv get --version 3 db/web")]
pub struct Get {
    #[command(flatten)]
    place: Place,
    /// Version to read, instead of the newest
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Print only this value, as it is
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
}

/// Write a secret as a new version
#[derive(Args, Debug)]
#[command(after_long_help = "\
Values come from standard input or files, never from arguments; see `goldfin write --help`.

Examples:
  openssl rand -base64 24 | goldfin kv put db/web password=-
  goldfin kv put --cas 0 tls/web key=@web.key certificate=@web.crt
  goldfin kv put db/web @secret.json")]
pub struct Put {
    #[command(flatten)]
    place: Place,
    /// `name=-`, `name=@FILE`, or one `-` or `@FILE` with a JSON object
    #[arg(required = true, value_name = "VALUES")]
    values: Vec<String>,
    /// Write only if this is the current version; 0: only if there is none
    #[arg(long, value_name = "N")]
    cas: Option<u64>,
}

/// Change some values of a secret and keep the others
#[derive(Args, Debug)]
#[command(after_long_help = "\
A member that is null in a JSON object is removed.

Examples:
  openssl rand -base64 24 | goldfin kv patch db/web password=-
  echo '{\"old\": null}' | goldfin kv patch db/web -")]
pub struct Patch {
    #[command(flatten)]
    put: Put,
}

/// Delete versions of a secret; `undelete` brings them back
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  goldfin kv delete db/web
  goldfin kv delete --versions 2,3 db/web")]
pub struct Delete {
    #[command(flatten)]
    place: Place,
    /// Versions to delete, instead of the newest
    #[arg(long, value_delimiter = ',', value_name = "N,N")]
    versions: Vec<u64>,
}

/// Bring deleted versions back
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin kv undelete --versions 3 db/web")]
pub struct Versions {
    #[command(flatten)]
    place: Place,
    /// Versions
    #[arg(long, required = true, value_delimiter = ',', value_name = "N,N")]
    versions: Vec<u64>,
}

/// Destroy versions for good
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin kv destroy --versions 1,2 db/web")]
pub struct Destroy {
    #[command(flatten)]
    versions: Versions,
}

/// List secrets
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  goldfin kv list\n  goldfin kv list --mount apps db")]
pub struct List {
    /// Mount of the secrets
    #[arg(long, short, default_value = "secret", value_name = "PATH")]
    mount: String,
    /// Folder below the mount
    #[arg(default_value = "")]
    path: String,
}

/// Work with what is known about a secret besides its values
#[derive(Subcommand, Debug)]
pub enum Metadata {
    Get(MetadataGet),
    Put(MetadataPut),
    Delete(MetadataDelete),
}

/// Show a secret's versions and settings
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin kv metadata get db/web")]
pub struct MetadataGet {
    #[command(flatten)]
    place: Place,
}

/// Change a secret's settings
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  goldfin kv metadata put --max-versions 10 --cas-required true db/web
  goldfin kv metadata put --custom owner=web-team db/web")]
pub struct MetadataPut {
    #[command(flatten)]
    place: Place,
    /// How many versions are kept
    #[arg(long, value_name = "N")]
    max_versions: Option<u64>,
    /// Whether writes must name the current version
    #[arg(long, value_name = "BOOL")]
    cas_required: Option<bool>,
    /// After how long a new version is deleted, for example 720h
    #[arg(long, value_name = "DURATION")]
    delete_version_after: Option<String>,
    /// A label, name=value, no secret; replaces the labels there are
    #[arg(long, value_name = "NAME=VALUE")]
    custom: Vec<String>,
}

/// Delete a secret with all its versions for good
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin kv metadata delete db/web")]
pub struct MetadataDelete {
    #[command(flatten)]
    place: Place,
}

impl Kv {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Get(command) => command.run(session),
            Self::Put(command) => command.run(session, false),
            Self::Patch(command) => command.put.run(session, true),
            Self::Delete(command) => command.run(session),
            Self::Undelete(command) => command.run(session, "undelete", "undeleted"),
            Self::Destroy(command) => command.versions.run(session, "destroy", "destroyed"),
            Self::List(command) => command.run(session),
            Self::Metadata(Metadata::Get(command)) => command.run(session),
            Self::Metadata(Metadata::Put(command)) => command.run(session),
            Self::Metadata(Metadata::Delete(command)) => command.run(session),
        }
    }
}

impl Place {
    fn under(&self, prefix: &str) -> String {
        format!("{}/{prefix}/{}", bare(&self.mount), bare(&self.path))
    }
}

impl Get {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let ask = Ask::get(self.place.under("data")).and("version", self.version);
        let data = session.ask_expecting(&ask, is_deleted)?.data();
        let metadata = data.get("metadata");
        let secret = match data.get("data") {
            Some(secret) if !secret.is_null() => secret,
            _ => return Err(gone(metadata, &self.place)),
        };
        match self.field {
            Some(field) => session.out.field(secret, &field),
            None => session.out.present(&data, |_| table(secret, metadata)),
        }
    }
}

/// A deleted version is a 404 with its metadata; nothing at all is a 404 without.
fn is_deleted(answer: &Answer) -> bool {
    let metadata = answer.body.as_ref().and_then(|body| body.get("data")).and_then(|data| data.get("metadata"));
    answer.status == 404 && metadata.is_some_and(|metadata| !metadata.is_null())
}

fn gone(metadata: Option<&Json>, place: &Place) -> Failure {
    let version = metadata.and_then(|metadata| metadata.u64_of("version")).unwrap_or(0);
    let path = bare(&place.path);
    if metadata.and_then(|metadata| metadata.get("destroyed")).and_then(Json::as_bool) == Some(true) {
        return Failure::no(
            format!("version {version} of `{path}` was destroyed and is gone"),
            "read another version with `--version`; `goldfin kv metadata get` shows which there are",
        );
    }
    let when = metadata.and_then(|metadata| metadata.str_of("deletion_time")).unwrap_or("an unknown time");
    Failure::no(
        format!("version {version} of `{path}` was deleted at {when}"),
        format!("bring it back with `goldfin kv undelete --versions {version}`, or read another with `--version`"),
    )
}

fn table(secret: &Json, metadata: Option<&Json>) -> Table {
    let mut table = Table::of_members(secret);
    for (name, shown) in [("version", "(version)"), ("created_time", "(created)")] {
        if let Some(value) = metadata.and_then(|metadata| metadata.get(name)) {
            table.row([cell(shown), value.plain()]);
        }
    }
    table
}

impl Put {
    fn run(self, session: &mut Session, patch: bool) -> Result<(), Failure> {
        let data = fields(&self.values, &mut session.around)?;
        let options = self.cas.map(|cas| ("options", Json::object([("cas", Json::number(cas))])));
        let body = Json::object([Some(("data", data)), options].into_iter().flatten());
        let path = self.place.under("data");
        let ask = if patch { Ask::patch(path, body) } else { Ask::post(path, body) };
        let data = session.ask(&ask)?.data();
        session.out.show(&data)
    }
}

impl Delete {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let ask = match self.versions.is_empty() {
            true => Ask::delete(self.place.under("data")),
            false => Ask::post(self.place.under("delete"), versions(&self.versions)),
        };
        session.ask_and_show(&ask, &format!("deleted: {}; `goldfin kv undelete` brings it back", bare(&self.place.path)))
    }
}

impl Versions {
    fn run(self, session: &mut Session, verb: &str, done: &str) -> Result<(), Failure> {
        let ask = Ask::post(self.place.under(verb), versions(&self.versions));
        let numbers: Vec<String> = self.versions.iter().map(u64::to_string).collect();
        session.ask_and_show(&ask, &format!("{done}: {}, version {}", bare(&self.place.path), numbers.join(", ")))
    }
}

fn versions(versions: &[u64]) -> Json {
    Json::object([("versions", Json::List(versions.iter().copied().map(Json::number).collect()))])
}

impl List {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let path = format!("{}/metadata/{}", bare(&self.mount), bare(&self.path));
        let data = session.ask(&Ask::list(bare(&path)))?.data();
        session.out.names(&data)
    }
}

impl MetadataGet {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let data = session.ask(&Ask::get(self.place.under("metadata")))?.data();
        session.out.present(&data, metadata_table)
    }
}

/// The settings, then a row for each version.
fn metadata_table(data: &Json) -> Table {
    let mut table = Table::new(&["Key", "Value"]);
    for (name, value) in data.members().iter().filter(|(name, _)| name != "versions") {
        table.row([cell(name), value.plain()]);
    }
    for (number, version) in data.get("versions").map(Json::members).unwrap_or_default() {
        let created = version.str_of("created_time").unwrap_or_default();
        let state = match (version.get("destroyed").and_then(Json::as_bool), version.str_of("deletion_time")) {
            (Some(true), _) => ", destroyed".to_owned(),
            (_, Some(when)) if !when.is_empty() => format!(", deleted {when}"),
            _ => String::new(),
        };
        table.row([cell(&format!("version {number}")), Zeroizing::new(format!("created {created}{state}"))]);
    }
    table
}

impl MetadataPut {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let custom = if self.custom.is_empty() { None } else { Some(labels(&self.custom, "--custom")?) };
        let members = [
            self.max_versions.map(|number| ("max_versions", Json::number(number))),
            self.cas_required.map(|required| ("cas_required", Json::Bool(required))),
            self.delete_version_after.as_deref().map(|after| ("delete_version_after", Json::text(after))),
            custom.map(|custom| ("custom_metadata", custom)),
        ];
        let body = Json::object(members.into_iter().flatten());
        if body.members().is_empty() {
            return Err(Failure::local("no setting was given", "give at least one, such as `--max-versions 10`"));
        }
        session.ask_and_show(&Ask::post(self.place.under("metadata"), body), &format!("changed: {}", bare(&self.place.path)))
    }
}

impl MetadataDelete {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        session.ask_and_show(&Ask::delete(self.place.under("metadata")), &format!("deleted with all versions: {}", bare(&self.place.path)))
    }
}
