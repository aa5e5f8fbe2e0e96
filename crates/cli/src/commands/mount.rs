//! `mount` and `auth`: where engines and login methods are mounted. Two tables of one shape.

use clap::{Args, Subcommand};

use crate::client::Ask;
use crate::commands::bare;
use crate::document::Json;
use crate::failure::Failure;
use crate::input::labels;
use crate::output::{Table, cell};
use crate::session::Session;

/// Work with mounts of engines
#[derive(Subcommand, Debug)]
pub enum Mount {
    List(List),
    Enable(Enable),
    Disable(Disable),
    Tune(Tune),
}

/// Work with login methods
#[derive(Subcommand, Debug)]
pub enum Auth {
    List(List),
    Enable(Enable),
    Disable(Disable),
    Tune(Tune),
}

/// List what is mounted
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  goldfin mount list\n  goldfin --format json auth list")]
pub struct List {}

/// Mount something
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  goldfin mount enable kv --path apps --option version=2 --description 'secrets of the applications'
  goldfin mount enable transform
  goldfin auth enable kerberos")]
pub struct Enable {
    /// What to mount: kv, transform, transit …, or kerberos, jwt, approle, cert …
    kind: String,
    /// Where; the kind's own name if not given
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

/// Take a mount away, with everything in it
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  goldfin mount disable apps --yes\n  goldfin auth disable jwt --yes")]
pub struct Disable {
    /// Path of the mount
    path: String,
    /// Yes, with everything in it
    #[arg(long)]
    yes: bool,
}

/// Change the settings of a mount; without options, show them
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  goldfin mount tune apps\n  goldfin mount tune apps --max-lease-ttl 24h\n  goldfin auth tune kerberos --description 'the services'"
)]
pub struct Tune {
    /// Path of the mount
    path: String,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Args, Debug)]
struct Settings {
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// How long a token or lease lives when nobody says
    #[arg(long, value_name = "DURATION")]
    default_lease_ttl: Option<String>,
    /// How long a token or lease lives at most
    #[arg(long, value_name = "DURATION")]
    max_lease_ttl: Option<String>,
    /// An option of the kind, name=value; may be given more than once
    #[arg(long, value_name = "NAME=VALUE")]
    option: Vec<String>,
}

impl Mount {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::List(List {}) => list(session, "sys/mounts"),
            Self::Enable(command) => command.run(session, "sys/mounts"),
            Self::Disable(command) => command.run(session, "sys/mounts"),
            Self::Tune(command) => command.run(session, "sys/mounts"),
        }
    }
}

impl Auth {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::List(List {}) => list(session, "sys/auth"),
            Self::Enable(command) => command.run(session, "sys/auth"),
            Self::Disable(command) => command.run(session, "sys/auth"),
            Self::Tune(command) => command.run(session, "sys/auth"),
        }
    }
}

fn list(session: &mut Session, table: &str) -> Result<(), Failure> {
    let data = session.ask(&Ask::get(table))?.data();
    session.out.present(&data, |data| {
        let mut table = Table::new(&["Path", "Type", "Accessor", "Description"]);
        for (path, mount) in data.members() {
            let text = |name| cell(mount.str_of(name).unwrap_or_default());
            table.row([cell(path), text("type"), text("accessor"), text("description")]);
        }
        table
    })
}

impl Enable {
    fn run(self, session: &mut Session, table: &str) -> Result<(), Failure> {
        let path = bare(self.path.as_deref().unwrap_or(&self.kind)).to_owned();
        let config = self.settings.lease_members();
        let members = [
            Some(("type", Json::text(self.kind))),
            self.settings.description.as_deref().map(|description| ("description", Json::text(description))),
            (!config.is_empty()).then(|| ("config", Json::object(config))),
            self.settings.option_member()?,
        ];
        session.ask_and_show(
            &Ask::post(format!("{table}/{path}"), Json::object(members.into_iter().flatten())),
            &format!("mounted at {path}/"),
        )
    }
}

impl Disable {
    fn run(self, session: &mut Session, table: &str) -> Result<(), Failure> {
        let path = bare(&self.path);
        if !self.yes {
            return Err(Failure::local(
                format!("taking `{path}/` away takes everything in it away"),
                "repeat with `--yes` if that is what you want",
            ));
        }
        session.ask_and_show(&Ask::delete(format!("{table}/{path}")), &format!("taken away: {path}/"))
    }
}

impl Tune {
    fn run(self, session: &mut Session, table: &str) -> Result<(), Failure> {
        let path = format!("{table}/{}/tune", bare(&self.path));
        let mut members = self.settings.lease_members();
        members.extend(self.settings.description.as_deref().map(|description| ("description", Json::text(description))));
        members.extend(self.settings.option_member()?);
        if members.is_empty() {
            let data = session.ask(&Ask::get(path))?.data();
            return session.out.show(&data);
        }
        session.ask_and_show(&Ask::post(path, Json::object(members)), &format!("changed: {}/", bare(&self.path)))
    }
}

impl Settings {
    fn lease_members(&self) -> Vec<(&'static str, Json)> {
        let text = |name, value: &Option<String>| value.as_deref().map(|value| (name, Json::text(value)));
        [text("default_lease_ttl", &self.default_lease_ttl), text("max_lease_ttl", &self.max_lease_ttl)].into_iter().flatten().collect()
    }

    fn option_member(&self) -> Result<Option<(&'static str, Json)>, Failure> {
        if self.option.is_empty() { Ok(None) } else { labels(&self.option, "--option").map(|options| Some(("options", options))) }
    }
}
