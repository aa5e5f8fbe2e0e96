//! What can go wrong with the database, sorted by what the caller must do about it.

use crate::model::fault::Fault;

#[derive(Debug, Clone)]
pub enum StoreError {
    /// The database cannot be reached or refuses for now; nothing happened.
    Unavailable(&'static str),
    /// Somebody else changed the same thing first.
    Conflict,
    /// A subject is erased or being erased (SQLSTATE GF001).
    SubjectGone,
    /// The stream does not end where the writer believes (SQLSTATE GF002).
    Fork,
    /// The connection died under a commit: it may or may not have happened.
    OutcomeUnknown,
    /// A row failed its MAC.
    Integrity(&'static str),
    /// A defect; the text is PostgreSQL's primary message or a word of ours, never a parameter.
    Defect(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => from_sqlstate(database.code().as_deref().unwrap_or_default(), database.message()),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => Self::Unavailable("the database cannot be reached"),
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Self::Unavailable("no connection to the database is free"),
            sqlx::Error::Protocol(_) => Self::Unavailable("the connection to the database broke"),
            sqlx::Error::RowNotFound => Self::Defect("a row that must be there is missing".to_owned()),
            sqlx::Error::ColumnDecode { index, .. } => Self::Defect(format!("column {index} has another type than expected")),
            _ => Self::Defect("unexpected error of the database driver".to_owned()),
        }
    }
}

/// SQLSTATE classes of the PostgreSQL manual, appendix A.
fn from_sqlstate(code: &str, message: &str) -> StoreError {
    match code {
        "GF001" => StoreError::SubjectGone,
        "GF002" => StoreError::Fork,
        // Wrapped under a version that was retired meanwhile: run again it is wrapped under the primary.
        "GF004" => StoreError::Conflict,
        "23505" | "40001" | "40P01" | "23503" => StoreError::Conflict,
        "25006" => StoreError::Unavailable("the database is read-only"),
        "53100" | "53200" | "53300" | "53000" | "58030" => StoreError::Unavailable("the database has run out of a resource"),
        "57014" => StoreError::Unavailable("the database took too long"),
        "55P03" => StoreError::Unavailable("a row is locked"),
        "42501" => StoreError::Unavailable("the database refuses a right that goldfin needs"),
        code if code.starts_with("28") || code == "3D000" => StoreError::Unavailable("the database does not let goldfin in"),
        code if code.starts_with("57P") || code.starts_with("08") => StoreError::Unavailable("the database cannot be reached"),
        code => StoreError::Defect(format!("SQLSTATE {code}: {}", first_line(message))),
    }
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

impl StoreError {
    /// The same error where it struck while a commit was under way.
    #[must_use]
    pub fn under_commit(self) -> Self {
        match self {
            Self::Unavailable("the database cannot be reached" | "the connection to the database broke") => Self::OutcomeUnknown,
            other => other,
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(what) => Self::Unavailable(what),
            StoreError::Conflict => Self::conflict("somebody else changed the same thing at the same moment, try again"),
            StoreError::SubjectGone => Self::conflict("the subject was erased at the same moment, try again"),
            StoreError::Fork => Self::Unavailable("the ledger has another writer"),
            StoreError::OutcomeUnknown => Self::OutcomeUnknown,
            StoreError::Integrity(what) => {
                tracing::error!(alarm = "integrity", what, "a stored row failed its integrity check");
                Self::Integrity(what)
            }
            StoreError::Defect(text) => {
                tracing::error!(detail = %text, "unexpected error of the store");
                Self::Internal("store")
            }
        }
    }
}
