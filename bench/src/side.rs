//! Whom the load client asks: goldfin, and what goldfin is compared with. All sides take part in every round.

use std::sync::Arc;

use crate::case::{Case, Questions};
use crate::line::{Door, Line};
use crate::load::{Bounds, Lines, Round};
use crate::process::Processes;
use crate::trouble::Trouble;

/// The sides of the comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that is measured, with as many tokens as were asked for.
    Goldfin,
    /// The same with few tokens.
    Few,
    /// The same on a database whose ledger stores nothing.
    Unrecorded,
    /// `bench/naive`.
    Naive,
    /// SQL on one connection.
    Raw,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Self::Goldfin => "goldfin",
            Self::Few => "few tokens",
            Self::Unrecorded => "no ledger",
            Self::Naive => "naive",
            Self::Raw => "raw insert",
        }
    }
}

/// A side that is asked over the network, with what it is asked.
pub struct Party {
    pub side: Side,
    lines: Lines,
    questions: Arc<Questions>,
    processes: Processes,
}

impl Party {
    pub fn new(side: Side, door: Door, questions: Questions, processes: Processes) -> Self {
        Self { side, lines: Lines::new(door), questions: Arc::new(questions), processes }
    }

    /// The same, with a new connection for each request.
    pub fn unkept(&self) -> Self {
        Self { side: self.side, lines: self.lines.unkept(), questions: Arc::clone(&self.questions), processes: self.processes }
    }

    pub fn questions(&self) -> &Questions {
        &self.questions
    }

    /// One more connection, beside those of the rounds.
    pub async fn connect(&self) -> Result<Line, Trouble> {
        self.lines.door().connect().await
    }

    pub async fn round(&mut self, case: Case, connections: usize, bounds: Bounds) -> Result<Round, Trouble> {
        self.lines.round(case, connections, bounds, &self.questions, self.processes).await
    }
}
