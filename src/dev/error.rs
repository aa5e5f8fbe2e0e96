//! Why the development surroundings could not be set up. It is read by the person who typed `goldfin dev`, so it
//! names files; it never holds a key or a row.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What went wrong while starting, stopping or preparing something of `goldfin dev`.
#[derive(Debug)]
pub enum DevError {
    /// No PostgreSQL of a usable version below `/usr/lib/postgresql`.
    NoPostgres {
        /// The major version the data folder was made with, if there is one already.
        wanted: Option<u32>,
    },
    /// PostgreSQL refuses to run as root, and there is neither a `postgres` nor a `nobody` to run it as.
    NoServerUser,
    /// Another `goldfin dev` holds the folder.
    InUse(PathBuf),
    /// A file or folder could not be used.
    File {
        /// What was being done to it, as in "cannot `doing` `path`".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program did not do its work.
    Program {
        /// Its name.
        program: &'static str,
        /// The last lines it wrote.
        said: String,
    },
    /// PostgreSQL did not stop.
    StillRunning(PathBuf),
    /// A statement failed while the roles and the database were made.
    Database(Box<dyn Error + Send + Sync>),
    /// A certificate or key could not be made.
    Certificate(Box<dyn Error + Send + Sync>),
}

impl DevError {
    /// For `map_err`: what was being done to which file.
    pub(super) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }
}

impl fmt::Display for DevError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPostgres { wanted: None } => {
                f.write_str("no PostgreSQL 15 or newer below `/usr/lib/postgresql`, run `apt-get install postgresql`")
            }
            Self::NoPostgres { wanted: Some(major) } => write!(
                f,
                "the data folder was made with PostgreSQL {major}, run `apt-get install postgresql-{major}` or choose another folder"
            ),
            Self::NoServerUser => {
                f.write_str("PostgreSQL does not run as root and there is no user `postgres`, run `goldfin dev` as another user")
            }
            Self::InUse(path) => {
                write!(f, "another `goldfin dev` uses `{}`, stop it or choose another folder", path.display())
            }
            Self::File { doing, path, source } => write!(f, "cannot {doing} `{}`: {source}", path.display()),
            Self::Program { program, said } => write!(f, "`{program}` failed: {said}"),
            Self::StillRunning(path) => {
                write!(f, "the PostgreSQL of `{}` does not stop, stop it by hand and try again", path.display())
            }
            Self::Database(source) => write!(f, "cannot prepare the development database: {source}"),
            Self::Certificate(source) => write!(f, "cannot make a development certificate: {source}"),
        }
    }
}

impl Error for DevError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Database(source) | Self::Certificate(source) => Some(source.as_ref()),
            Self::NoPostgres { .. } | Self::NoServerUser | Self::InUse(_) | Self::Program { .. } | Self::StillRunning(_) => None,
        }
    }
}
