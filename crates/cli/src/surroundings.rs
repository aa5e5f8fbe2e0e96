//! What the process finds around it: environment, home, standard streams. Passed down, so that tests bring their own.

use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;

use zeroize::Zeroizing;

/// Looks a variable up; one that is empty counts as not set.
pub type Variables = dyn Fn(&str) -> Option<String>;

pub struct Surroundings {
    pub variable: Box<Variables>,
    pub stdin: Box<dyn Read>,
    pub stdin_is_terminal: bool,
    pub stdout: Box<dyn Write>,
    pub stdout_is_terminal: bool,
    pub stderr: Box<dyn Write>,
    pub stderr_is_terminal: bool,
    /// Asks on the terminal without echo.
    pub ask: fn(&str) -> io::Result<Zeroizing<String>>,
}

impl Surroundings {
    pub fn of_process() -> Self {
        Self {
            variable: Box::new(|name| std::env::var(name).ok().filter(|value| !value.is_empty())),
            stdin_is_terminal: io::stdin().is_terminal(),
            stdin: Box::new(io::stdin()),
            stdout_is_terminal: io::stdout().is_terminal(),
            // Standard output writes line by line by itself, which costs a call to the system for each of a batch's values.
            stdout: match io::stdout().is_terminal() {
                true => Box::new(io::stdout()),
                false => Box::new(BufWriter::new(io::stdout())),
            },
            stderr_is_terminal: io::stderr().is_terminal(),
            stderr: Box::new(io::stderr()),
            ask: |prompt| rpassword::prompt_password(prompt).map(Zeroizing::new),
        }
    }

    /// The first of these variables that is set and not empty.
    pub fn first_of(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| (self.variable)(name))
    }

    pub fn home(&self) -> Option<PathBuf> {
        self.first_of(&["HOME"]).map(PathBuf::from)
    }
}
