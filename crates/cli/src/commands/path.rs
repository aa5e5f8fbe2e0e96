//! `read`, `write`, `list` and `delete`: any path of the API, for what has no command of its own.

use clap::Args;

use crate::client::Ask;
use crate::commands::bare;
use crate::failure::Failure;
use crate::input::fields;
use crate::session::Session;

/// Read any path of the API
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  goldfin read sys/seal-status
  goldfin read --field role_id auth/approle/role/web/role-id
  goldfin --format json read transform/role/support")]
pub struct Read {
    /// Path below /v1/
    path: String,
    /// Print only this member of the answer, as it is
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
}

/// Write to any path of the API
#[derive(Args, Debug)]
#[command(after_long_help = "\
Values come from standard input (`name=-`, one line break at the end is taken off) or a file (`name=@FILE`, byte for byte), or all \
of them as a JSON object (`-` or `@FILE`). `name=value` is refused: other processes see arguments, and the shell remembers them.

Examples:
  echo '{\"transformations\": [\"ssn\"]}' | goldfin write transform/role/support -
  goldfin write auth/jwt/config @jwt.json
  goldfin write --empty auth/approle/role/web/secret-id")]
pub struct Write {
    /// Path below /v1/
    path: String,
    /// `name=-`, `name=@FILE`, or one `-` or `@FILE` with a JSON object
    #[arg(value_name = "VALUES")]
    values: Vec<String>,
    /// Send an empty object
    #[arg(long, short = 'e', conflicts_with = "values")]
    empty: bool,
    /// Print only this member of the answer, as it is
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
}

/// List what is below a path
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  goldfin list transform/role
  goldfin list sys/policies/acl")]
pub struct List {
    /// Path below /v1/
    path: String,
}

/// Delete what is at a path
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  goldfin delete transform/role/support
  goldfin delete auth/approle/role/web")]
pub struct Delete {
    /// Path below /v1/
    path: String,
}

impl Read {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let data = session.ask(&Ask::get(bare(&self.path)))?.data();
        match self.field {
            Some(field) => session.out.field(&data, &field),
            None => session.out.show(&data),
        }
    }
}

impl Write {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        if self.values.is_empty() && !self.empty {
            return Err(Failure::local(
                "nothing to write was given",
                "give `-` for a JSON object on standard input, or `--empty` for none",
            ));
        }
        let body = fields(&self.values, &mut session.around)?;
        let mut answer = session.ask(&Ask::put(bare(&self.path), body))?;
        // A login answers with `auth`, a wrapped answer with `wrap_info`; neither is in `data`.
        let beside =
            ["auth", "wrap_info"].iter().find_map(|name| answer.body.as_mut().and_then(|body| body.take(name)).filter(|it| !it.is_null()));
        let data = beside.unwrap_or_else(|| answer.data());
        match self.field {
            Some(field) => session.out.field(&data, &field),
            None if data.is_null() => session.out.say(&format!("written: {}", bare(&self.path))),
            None => session.out.show(&data),
        }
    }
}

impl List {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let data = session.ask(&Ask::list(bare(&self.path)))?.data();
        session.out.names(&data)
    }
}

impl Delete {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        session.ask_and_show(&Ask::delete(bare(&self.path)), &format!("deleted: {}", bare(&self.path)))
    }
}
