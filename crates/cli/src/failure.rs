//! Why a command did not do what was asked, in words that say what to do next, and the exit code.
//!
//! Exit codes: 0 done · 1 wrong use or local trouble · 2 refused by the server · 5 the server cannot be reached or cannot
//! answer · 141 the reader of the output went away. `status` and `audit verify` have codes of their own besides.
//! A failure must never hold a secret: values that were sent, tokens and keys have no place in it.

use std::fmt::{self, Write as _};
use std::io;

use crate::document::commands_a_terminal;

#[derive(Debug)]
pub enum Failure {
    /// Wrong use, or something on this machine.
    Local { what: String, next: String },
    /// The server answered, and not with what was asked for.
    Refused(Box<Refusal>),
    /// The server's answer means no, in words of ours.
    No { what: String, next: String },
    /// No answer.
    Unreachable { what: String, next: String },
    /// Everything was said already; only the exit code is left.
    Told(u8),
    /// The reader of our output closed it: quiet, like every other tool in a pipe.
    OutputClosed,
}

#[derive(Debug)]
pub struct Refusal {
    pub status: u16,
    /// What was asked for, in the user's words.
    pub asked: String,
    pub errors: Vec<String>,
    pub request_id: Option<String>,
}

impl Failure {
    pub fn local(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Local { what: what.into(), next: next.into() }
    }

    pub fn no(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::No { what: what.into(), next: next.into() }
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Local { .. } => 1,
            Self::Refused(refusal) if refusal.status >= 500 => 5,
            Self::Refused(_) | Self::No { .. } => 2,
            Self::Unreachable { .. } => 5,
            Self::Told(code) => *code,
            Self::OutputClosed => 141,
        }
    }

    /// The status of the server's answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        if let Self::Refused(refusal) = self { Some(refusal.status) } else { None }
    }

    /// Is there nothing left to say?
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Told(_) | Self::OutputClosed)
    }
}

impl From<io::Error> for Failure {
    /// Only for writing to our own output; files are reported by name where they are opened.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        Self::local(format!("the output could not be written: {error}"), "see that the disk is not full and the terminal is still there")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { what, next } | Self::No { what, next } | Self::Unreachable { what, next } => {
                write!(f, "error: {}\n  hint: {}", on_screen(what), on_screen(next))
            }
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Told(_) | Self::OutputClosed => Ok(()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.status >= 500 { "could not answer" } else { "refused" };
        write!(f, "error: the server {verb} `{}` (status {})", on_screen(&self.asked), self.status)?;
        for error in &self.errors {
            write!(f, "\n  - {}", on_screen(error))?;
        }
        if let Some(id) = &self.request_id {
            write!(f, "\n  request id: {}", on_screen(id))?;
        }
        write!(f, "\n  hint: {}", self.hint())
    }
}

impl Refusal {
    fn hint(&self) -> String {
        let says = |word: &str| self.errors.iter().any(|error| error.contains(word));
        let request = self.request_id.as_deref().map_or("--since 5m".to_owned(), |id| format!("--request-id {}", on_screen(id)));
        match self.status {
            300..=399 => "this server passes requests on; name the server itself with `--address`".to_owned(),
            401 => "log in with `goldfin login`".to_owned(),
            403 => format!(
                "log in with `goldfin login` if you have not; otherwise an operator can see why with `goldfin audit list {request}` and what would help with `goldfin policy explain`"
            ),
            404 => "check the spelling with `goldfin list`; what you may not see looks the same as what is not there".to_owned(),
            409 => "someone else was faster; read it again and repeat".to_owned(),
            413 => "send less at once, for example a smaller `--chunk`".to_owned(),
            429 => "wait and repeat; an operator can raise the limit under `sys/quotas`".to_owned(),
            501 => "initialise the server with `goldfin init`".to_owned(),
            503 => "see `goldfin status`; a sealed server is opened with `goldfin unseal`".to_owned(),
            _ if says("outcome unknown") => {
                format!("it may have happened: look with `goldfin audit list {request}` before you repeat it")
            }
            400..=499 => "correct the request; the command's `--help` has examples".to_owned(),
            _ => format!("the server's log has more under the request id; `goldfin audit list {request}` says whether anything was done"),
        }
    }
}

/// Text from elsewhere, made harmless for a terminal.
pub fn on_screen(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if commands_a_terminal(character) {
            // Writing to a String cannot fail.
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, error: &str) -> Failure {
        let errors = vec![error.to_owned()];
        Failure::Refused(Box::new(Refusal { status, asked: "read secret/data/x".to_owned(), errors, request_id: Some("r-1".to_owned()) }))
    }

    #[test]
    fn a_denial_names_the_request_and_the_way_to_its_reason() {
        let failure = refusal(403, "permission denied");
        let text = failure.to_string();
        assert!(
            text.starts_with("error: the server refused `read secret/data/x` (status 403)\n  - permission denied\n  request id: r-1\n")
        );
        assert!(text.contains("goldfin audit list --request-id r-1"));
        assert_eq!(failure.exit_code(), 2);
    }

    #[test]
    fn an_unknown_outcome_is_not_to_be_repeated_blindly() {
        let failure = refusal(500, "outcome unknown");
        assert!(failure.to_string().contains("before you repeat it"));
        assert_eq!(failure.exit_code(), 5);
    }

    #[test]
    fn text_of_the_server_cannot_command_the_terminal() {
        assert_eq!(on_screen("a\u{1b}[2Jb\u{202e}"), "a\\u{1b}[2Jb\\u{202e}");
        assert!(!refusal(400, "\u{1b}]0;x\u{7}").to_string().contains('\u{1b}'));
    }

    #[test]
    fn a_closed_pipe_is_silent() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.is_silent());
        assert_eq!(failure.exit_code(), 141);
    }
}
