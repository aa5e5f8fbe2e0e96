//! A member of a body, a parameter or a header, as the description of the API knows it: its type, whether it has to be there, and one
//! sentence. Constants only; [`super::schema`] turns them into JSON Schema.

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Text,
    /// Text of at most so many bytes.
    Short(u32),
    /// A name: letters, digits and `._@+=:-`.
    Name,
    OneOf(&'static [&'static str]),
    /// RFC 3339.
    Moment,
    /// RFC 3339, or seconds since 1970 in a request.
    MomentOrSeconds,
    /// A whole number from the first to the second; a request may write it as text.
    Whole(u64, u64),
    /// Any whole number, also below zero.
    Integer,
    /// A number that may have a fraction, from 0; a request may write it as text.
    Number,
    /// From 0 to 1.
    Score,
    /// A duration: seconds, or text such as `1h30m`; a number in answers.
    Seconds,
    /// The same, with a sign before it for never.
    SecondsOrNever,
    Flag,
    /// A list of texts; a request may send one text with commas.
    Words,
    /// Names of members with texts.
    TextMap,
    /// The same where a request may send numbers and truth values.
    LooseMap,
    /// An object with these members.
    Object(&'static [Member]),
    /// An object that anybody may name the members of.
    Map(&'static Type),
    /// At most so many of one type; 0 is no limit.
    List(&'static Type, u32),
    /// Any object.
    Free,
    Any,
    /// One of several types.
    Either(&'static [Type]),
}

/// Whether it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// Optional in a request, always there in an answer.
    Usual,
    /// A request cannot do without it.
    Must,
    /// An answer may leave it out.
    Maybe,
    /// Null in an answer where there is none.
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    pub name: &'static str,
    pub is: Type,
    pub about: &'static str,
    pub there: There,
}

impl Member {
    #[must_use]
    pub const fn must(self) -> Self {
        Self { there: There::Must, ..self }
    }

    #[must_use]
    pub const fn maybe(self) -> Self {
        Self { there: There::Maybe, ..self }
    }

    #[must_use]
    pub const fn null(self) -> Self {
        Self { there: There::Null, ..self }
    }
}

/// A member of any type; the short forms below are for those that are met often.
#[must_use]
pub const fn of(name: &'static str, is: Type, about: &'static str) -> Member {
    Member { name, is, about, there: There::Usual }
}

#[must_use]
pub const fn text(name: &'static str, about: &'static str) -> Member {
    of(name, Type::Text, about)
}

#[must_use]
pub const fn name(name: &'static str, about: &'static str) -> Member {
    of(name, Type::Name, about)
}

#[must_use]
pub const fn one_of(name: &'static str, words: &'static [&'static str], about: &'static str) -> Member {
    of(name, Type::OneOf(words), about)
}

#[must_use]
pub const fn moment(name: &'static str, about: &'static str) -> Member {
    of(name, Type::Moment, about)
}

#[must_use]
pub const fn whole(name: &'static str, about: &'static str) -> Member {
    of(name, Type::Whole(0, u64::MAX), about)
}

#[must_use]
pub const fn seconds(name: &'static str, about: &'static str) -> Member {
    of(name, Type::Seconds, about)
}

#[must_use]
pub const fn flag(name: &'static str, about: &'static str) -> Member {
    of(name, Type::Flag, about)
}

#[must_use]
pub const fn words(name: &'static str, about: &'static str) -> Member {
    of(name, Type::Words, about)
}

#[must_use]
pub const fn text_map(name: &'static str, about: &'static str) -> Member {
    of(name, Type::TextMap, about)
}

#[must_use]
pub const fn free(name: &'static str, about: &'static str) -> Member {
    of(name, Type::Free, about)
}

#[must_use]
pub const fn object(name: &'static str, members: &'static [Member], about: &'static str) -> Member {
    of(name, Type::Object(members), about)
}
