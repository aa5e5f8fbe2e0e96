//! What a transformation says about its form: the type, the template, and what goes with them.

use serde::{Deserialize, Serialize};

use crate::model::document::Node;
use crate::model::fault::{Complaint, Fault};
use crate::model::members::Members;
use crate::model::path::is_name;

use super::alphabet::BUILTIN;

/// What a transformation makes of a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    #[default]
    Tokenization,
    Fpe,
    Masking,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Tokenization, Self::Fpe, Self::Masking];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokenization => "tokenization",
            Self::Fpe => "fpe",
            Self::Masking => "masking",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Where the tweak of FF1 comes from: what makes equal values differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TweakSource {
    /// The caller gives it, for encoding and for decoding.
    #[default]
    Supplied,
    /// Made for each value; the answer tells it.
    Generated,
    /// One for the transformation.
    Internal,
}

impl TweakSource {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Supplied => "supplied",
            Self::Generated => "generated",
            Self::Internal => "internal",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Supplied, Self::Generated, Self::Internal].into_iter().find(|source| source.name() == name)
    }
}

/// The form of a transformation as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormSettings {
    pub kind: Kind,
    /// The name of a template, which need not exist yet; of a tokenization, the shape of its tokens.
    pub template: Option<String>,
    pub tweak_source: TweakSource,
    pub masking_character: char,
}

impl Default for FormSettings {
    fn default() -> Self {
        Self { kind: Kind::Tokenization, template: None, tweak_source: TweakSource::Supplied, masking_character: '*' }
    }
}

impl FormSettings {
    /// Whether what was encoded depends on the template for ever.
    #[must_use]
    pub fn depends_on(&self, template: &str) -> bool {
        self.kind != Kind::Masking && self.template.as_deref() == Some(template)
    }

    #[must_use]
    pub fn is_opaque(&self) -> bool {
        self.kind == Kind::Tokenization && self.template.is_none()
    }

    #[must_use]
    pub fn shape_name(&self) -> &str {
        self.template.as_deref().unwrap_or("opaque")
    }

    /// The members that FPE and masking answer beside those of every type.
    #[must_use]
    pub fn members(&self) -> Vec<(String, Node)> {
        let mut members = vec![
            ("template".to_owned(), Node::text_or_null(self.template.clone())),
            ("templates".to_owned(), Node::texts(self.template.clone())),
            ("type".to_owned(), Node::text(self.kind.name())),
        ];
        match self.kind {
            Kind::Fpe => members.push(("tweak_source".to_owned(), Node::text(self.tweak_source.name()))),
            Kind::Masking => members.push(("masking_character".to_owned(), Node::text(self.masking_character))),
            Kind::Tokenization => {}
        }
        members
    }
}

/// What a body says about the form; what it leaves out stays as it is.
#[derive(Debug, Default)]
pub struct FormDraft {
    pub kind: Kind,
    /// `Some(None)`: opaque.
    template: Option<Option<String>>,
    tweak_source: Option<TweakSource>,
    masking_character: Option<char>,
}

impl FormDraft {
    /// Reads the type, which the path may name already, and what belongs to it. What concerns another type is taken and means nothing.
    pub fn read(members: &mut Members, typed: Option<Kind>) -> Result<Self, Fault> {
        let written = members.word("type")?.filter(|kind| !kind.is_empty());
        let named = match written.as_deref() {
            Some(name) => Some(Kind::from_name(name).ok_or_else(|| members.wrong("type", "must be `tokenization`, `fpe` or `masking`"))?),
            None => None,
        };
        let kind = match (typed, named) {
            (Some(typed), Some(named)) if typed != named => return Err(members.wrong("type", "is not the type of this path")),
            (Some(kind), _) | (None, Some(kind)) => kind,
            (None, None) => return Err(members.missing("type")),
        };
        let mut draft = Self { kind, ..Self::default() };
        match kind {
            Kind::Tokenization => {
                draft.template = match members.word("shape")?.filter(|shape| !shape.is_empty()) {
                    Some(shape) if shape == "opaque" => Some(None),
                    Some(shape) => Some(Some(reference(members, "shape", shape)?)),
                    None => None,
                };
            }
            Kind::Fpe | Kind::Masking => draft.template = read_template(members)?.map(Some),
        }
        if kind == Kind::Fpe {
            draft.tweak_source = match members.word("tweak_source")?.filter(|source| !source.is_empty()) {
                Some(name) => Some(
                    TweakSource::from_name(&name)
                        .ok_or_else(|| members.wrong("tweak_source", "must be `supplied`, `generated` or `internal`"))?,
                ),
                None => None,
            };
        }
        if kind == Kind::Masking {
            draft.masking_character = match members.word("masking_character")?.filter(|text| !text.is_empty()) {
                Some(text) => Some(one_character(&text).ok_or_else(|| members.wrong("masking_character", "must be one character"))?),
                None => None,
            };
        }
        for foreign in ["template", "templates", "shape", "tweak_source", "masking_character"] {
            drop(members.take(foreign));
        }
        Ok(draft)
    }

    /// What values that were encoded depend on does not change.
    pub fn refuse_changes(&self, stored: &FormSettings) -> Result<(), Fault> {
        let refused = |member| Err(Fault::Invalid(Complaint::new("cannot be changed, make another transformation").at(member)));
        if self.kind != stored.kind {
            return refused("type");
        }
        let template = if self.kind == Kind::Tokenization { "shape" } else { "template" };
        let unset = self.kind == Kind::Fpe && stored.template.is_none();
        if self.kind != Kind::Masking && !unset && self.template.as_ref().is_some_and(|template| *template != stored.template) {
            return refused(template);
        }
        if self.tweak_source.is_some_and(|source| source != stored.tweak_source) {
            return refused("tweak_source");
        }
        Ok(())
    }

    pub fn apply(&self, to: &mut FormSettings) {
        to.kind = self.kind;
        if let Some(template) = &self.template {
            to.template.clone_from(template);
        }
        to.tweak_source = self.tweak_source.unwrap_or(to.tweak_source);
        to.masking_character = self.masking_character.unwrap_or(to.masking_character);
    }
}

/// `template`, or the one of `templates`.
fn read_template(members: &mut Members) -> Result<Option<String>, Fault> {
    if let Some(name) = members.word("template")?.filter(|name| !name.is_empty()) {
        return reference(members, "template", name).map(Some);
    }
    match members.words("templates")?.as_deref() {
        None | Some([]) => Ok(None),
        Some([name]) => reference(members, "templates", name.clone()).map(Some),
        Some(_) => Err(members.wrong("templates", "must name one template")),
    }
}

/// A name of a template or an alphabet, or of a built-in one.
pub fn reference(members: &Members, member: &'static str, name: String) -> Result<String, Fault> {
    if is_name(name.strip_prefix(BUILTIN).unwrap_or(&name)) {
        Ok(name)
    } else {
        Err(members.wrong(member, "must be a name of letters, digits and `._@+=:-`, or `builtin/` and such a name"))
    }
}

fn one_character(text: &str) -> Option<char> {
    let mut characters = text.chars();
    characters.next().filter(|character| characters.next().is_none() && !character.is_control())
}
