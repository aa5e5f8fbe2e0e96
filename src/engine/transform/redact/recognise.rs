//! What is found without being told: the classes of personal data that a format, a check digit or a word next to them gives away.
//!
//! Pure, and linear in the length of the text. Deliberately absent: names, addresses and everything that needs a model of language;
//! the caller's own spans bring these.

use super::context::Context;
use super::spans::{Score, Span};
use super::{dates, email, numbers};

/// A class of personal data that goldfin finds by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Ssn,
    CreditCard,
    Phone,
    Email,
    DateOfBirth,
    Zip,
    VaFileNumber,
    Edipi,
    Icn,
}

impl Class {
    pub const ALL: [Self; 9] =
        [Self::Ssn, Self::CreditCard, Self::Phone, Self::Email, Self::DateOfBirth, Self::Zip, Self::VaFileNumber, Self::Edipi, Self::Icn];

    /// As transformations name it in their `class`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ssn => "ssn",
            Self::CreditCard => "credit_card",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::DateOfBirth => "dob",
            Self::Zip => "zip",
            Self::VaFileNumber => "va_file_number",
            Self::Edipi => "edipi",
            Self::Icn => "icn",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// A stretch that was found, in code points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub start: usize,
    pub end: usize,
    pub class: Class,
    /// In thousandths.
    pub score: u16,
}

/// Everything of these classes in a text; what is found may overlap.
pub(super) fn recognise(letters: &[char], classes: &[Class]) -> Vec<Span> {
    let mut found = Vec::new();
    if classes.is_empty() {
        return Vec::new();
    }
    let context = Context::of(letters);
    numbers::find(letters, &context, &mut found);
    dates::find(letters, &context, &mut found);
    email::find(letters, &mut found);
    found
        .into_iter()
        .filter(|found| classes.contains(&found.class))
        .map(|found| Span { start: found.start, end: found.end, class: found.class.name().to_owned(), score: Score(found.score) })
        .collect()
}
