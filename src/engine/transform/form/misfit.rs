//! Why a value does not go through a template. No variant carries data, so none can carry a value.

use crate::model::fault::{Complaint, Fault};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// The pattern does not match the whole of it.
    Pattern,
    /// It is longer than any value of a template.
    Long,
    /// A captured character is not in the alphabet.
    Alphabet,
    /// Too few captured characters for FF1.
    Short,
    /// The pattern admits almost none of the strings that its alphabet can write.
    Walk,
    /// Encoded, the value would read differently.
    Ambiguous,
    /// No tokens of this shape are left.
    Exhausted,
    /// The strongroom refused; the server's fault.
    Broken,
}

impl Misfit {
    /// The fault of an item; `template` is the stored name of what refused.
    #[must_use]
    pub fn fault(self, template: &str) -> Fault {
        let of_value = |what| Fault::Invalid(Complaint::new(what).at("value").stored(template));
        match self {
            Self::Pattern => of_value("does not match the pattern of the template"),
            Self::Long => of_value("is longer than 1,024 bytes, more than a value of a template may have"),
            Self::Alphabet => of_value("has a character that is not in the alphabet of the template"),
            Self::Short => of_value("has fewer captured characters than FF1 needs for a million values, use a stored token"),
            Self::Walk => of_value("finds no encoded form that the template's pattern admits, narrow its alphabet"),
            Self::Ambiguous => {
                of_value("would be read differently when encoded, because the template's pattern is ambiguous; change the pattern")
            }
            Self::Exhausted => Fault::Invalid(
                Complaint::new("the tokens of this shape are nearly used up, make another transformation or a template with more values")
                    .stored(template),
            ),
            Self::Broken => Fault::Internal("form"),
        }
    }
}
