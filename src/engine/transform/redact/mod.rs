//! Free text: the personal data in it becomes tokens, and its tokens become values again.
//!
//! A text is searched when the request is understood, so that what is authorised is what was found: redaction is an encode of the
//! values of a text, restoring a decode of its tokens, with the same rights, purposes and entries. Never in an entry, a log or an
//! error: anything of the text, or a class that a caller made up.

mod ask;
mod context;
mod dates;
mod email;
mod numbers;
mod recognise;
mod replace;
mod restore;
mod spans;
#[cfg(test)]
mod tests;
mod text;
mod tokens;

use super::op::ValuesOp;
use tokens::Candidates;

/// Texts of one request.
#[derive(Debug)]
pub(super) struct TextOp {
    /// The role, the transformations and the texts: an item each, whose value is the whole text.
    pub values: ValuesOp,
    pub plan: Plan,
    /// How many values the request makes tokens of, or shows tokens of.
    pub count: usize,
}

/// What is to be done in each text. A text that could not be read has nothing in its place.
#[derive(Debug)]
pub(super) enum Plan {
    Redact(Vec<Vec<Piece>>),
    Restore(Vec<Shown>),
}

/// A stretch of a text that is replaced.
#[derive(Debug)]
pub(super) struct Piece {
    pub start: usize,
    pub end: usize,
    pub class: String,
    pub fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// A token of the transformation at this position of the targets.
    Encode(usize),
    /// No transformation serves the class: `[class]` in its place, for good.
    Mask,
    /// No transformation serves the class: it stays.
    Leave,
}

/// What looks like tokens in a text, and the targets that each prefix stands for.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub candidates: Candidates,
    pub targets: std::sync::Arc<Vec<Vec<usize>>>,
}
