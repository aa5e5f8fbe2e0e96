//! What a command works with: the settings, the server, the streams.

use crate::client::{Answer, Ask, Client};
use crate::document::Json;
use crate::failure::Failure;
use crate::options::{GlobalOptions, Settings};
use crate::output::Output;
use crate::surroundings::Surroundings;

pub struct Session {
    pub settings: Settings,
    pub around: Surroundings,
    pub out: Output,
    client: Option<Client>,
}

impl Session {
    /// What is wrong with the options is told here; the error is the exit code.
    pub fn new(options: GlobalOptions, mut around: Surroundings) -> Result<Self, u8> {
        let mut out = Output {
            format: options.format,
            quiet: options.quiet,
            stdout: std::mem::replace(&mut around.stdout, Box::new(std::io::sink())),
            stdout_is_terminal: around.stdout_is_terminal,
            stderr: std::mem::replace(&mut around.stderr, Box::new(std::io::sink())),
            stderr_is_terminal: around.stderr_is_terminal,
        };
        match Settings::resolve(options, &around) {
            Ok(settings) => Ok(Self { settings, around, out, client: None }),
            Err(failure) => {
                out.failure(&failure);
                Err(failure.exit_code())
            }
        }
    }

    /// The server; made on first use, so that wrong use is told before a missing CA file is.
    pub fn client(&mut self) -> Result<&Client, Failure> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::new(&self.settings, self.settings.auth_token(&self.around)?)?,
        };
        Ok(self.client.insert(client))
    }

    /// The server as a stranger sees it: for logging in, and for what a sealed server answers.
    pub fn stranger(&mut self) -> Result<Client, Failure> {
        Client::new(&self.settings, None)
    }

    pub fn ask(&mut self, ask: &Ask) -> Result<Answer, Failure> {
        self.ask_expecting(ask, |_| false)
    }

    /// Takes a refusal that `expected` knows as an answer.
    pub fn ask_expecting(&mut self, ask: &Ask, expected: impl Fn(&Answer) -> bool) -> Result<Answer, Failure> {
        let client = self.client()?;
        if ask.with_token && !client.has_token() {
            return Err(Failure::local("no token is known", "log in with `goldfin login`, or set `GOLDFIN_TOKEN` or `--token-file`"));
        }
        let answer = client.ask_expecting(ask, expected)?;
        self.pass_on_warnings(&answer)?;
        Ok(answer)
    }

    /// Asks, and prints the `data` of the answer, or what was done when there is none.
    pub fn ask_and_show(&mut self, ask: &Ask, done: &str) -> Result<(), Failure> {
        match self.ask(ask)?.data() {
            Json::Null => self.out.say(done),
            data => self.out.show(&data),
        }
    }

    pub fn pass_on_warnings(&mut self, answer: &Answer) -> Result<(), Failure> {
        let warnings = answer.body.as_ref().and_then(|body| body.get("warnings")).map(Json::items).unwrap_or_default();
        warnings.iter().try_for_each(|warning| self.out.warn(&format!("warning: {}", &*warning.plain())))
    }
}
