//! The typed operations of a transform mount.

use std::sync::Arc;
use std::time::Duration;

use goldfin_crypto::Plaintext;

use crate::model::action::Action;
use crate::model::clock::Timestamp;
use crate::model::fault::Fault;
use crate::model::operation::{Circumstances, Operation, Resource, ResourceKind};

use crate::store::disclosure::Page;

use super::config::subject_name;
use super::limits::Harm;
use super::purposes::Purpose;
use super::redact::TextOp;
use super::settings::SettingOp;
use super::state::StateOp;

#[derive(Debug)]
pub struct TransformOp {
    /// The mount's path.
    pub(super) mount: String,
    pub(super) what: What,
    /// Members of the body that nobody knows.
    pub(super) unknown: usize,
}

#[derive(Debug)]
pub(super) enum What {
    Setting(SettingOp),
    Values(ValuesOp),
    Text(TextOp),
    Subject(SubjectOp),
    State(StateOp),
}

/// What is done with values or tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Encode,
    Decode,
    Validate,
    Metadata,
    DeleteByToken,
    /// Whether a value has a token, and which: of convergent transformations only, like the deletion by value.
    Tokenized,
    Tokens,
    DeleteByValue,
}

impl Use {
    /// What a limit counts.
    pub(super) fn harm(self) -> Option<Harm> {
        match self {
            Self::Encode => Some(Harm::Encoded),
            Self::Decode => Some(Harm::Revealed),
            Self::Validate | Self::Metadata | Self::DeleteByToken | Self::Tokenized | Self::Tokens | Self::DeleteByValue => None,
        }
    }

    /// What begins with a value that may have a token already.
    pub(super) fn by_value(self) -> bool {
        matches!(self, Self::Tokenized | Self::Tokens | Self::DeleteByValue)
    }

    fn action(self) -> Action {
        match self {
            Self::Encode => Action::Encode,
            Self::Decode => Action::Decode,
            Self::Validate | Self::Metadata | Self::Tokenized | Self::Tokens => Action::LookupPiiToken,
            Self::DeleteByToken | Self::DeleteByValue => Action::DeletePiiToken,
        }
    }
}

#[derive(Debug)]
pub(super) struct ValuesOp {
    pub usage: Use,
    pub role: String,
    /// The format that was asked for behind the role's name.
    pub format: Option<String>,
    /// The transformations that the items concern, each once; at least one.
    pub targets: Vec<Target>,
    pub items: Arc<Vec<Item>>,
    /// Whether the answer is a list.
    pub batch: bool,
    pub purpose: Option<Purpose>,
    /// The status of a batch that failed in part.
    pub partial_failure: Option<u16>,
}

/// A transformation as a request names it, and as it was found when the request was understood. What is authorised is what is run:
/// nothing is resolved to another one later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// Absent where the request names none and the role does not decide it.
    pub name: Option<String>,
    pub class: Option<String>,
}

#[derive(Debug)]
pub(super) struct Item {
    pub input: Result<Input, Fault>,
    pub reference: Option<String>,
}

#[derive(Debug)]
pub(super) struct Input {
    pub target: usize,
    /// The value, or the token.
    pub value: Plaintext,
    pub options: Options,
}

/// What goes with a value that is encoded.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    pub ttl: Option<Duration>,
    pub expiration: Option<Timestamp>,
    /// A JSON object of strings.
    pub metadata: Option<Arc<Plaintext>>,
    pub subject: Option<[u8; 32]>,
    /// What format-preserving encryption is tweaked with, in base64; of decoding too.
    pub tweak: Option<String>,
}

#[derive(Debug)]
pub(super) struct SubjectOp {
    /// The keyed hash; the identifier itself ends here.
    pub hash: [u8; 32],
    pub act: SubjectAct,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SubjectAct {
    Read,
    Erase,
    Export { after: i64, limit: i64, purpose: Option<String> },
    Disclosures(Page),
}

impl ValuesOp {
    fn resource_of(&self, mount: &str, target: &Target) -> Resource {
        Resource::within(ResourceKind::Transformation, mount, target.name.as_deref().unwrap_or(&self.role)).with_class(target.class.clone())
    }

    /// All of the transformations in one: names hold no comma.
    fn resource(&self, mount: &str) -> Resource {
        if let [target] = self.targets.as_slice() {
            return self.resource_of(mount, target);
        }
        let names: Vec<&str> = self.targets.iter().map(|target| target.name.as_deref().unwrap_or(&self.role)).collect();
        Resource::within(ResourceKind::Transformation, mount, &names.join(",")).with_class(classes(self.targets.iter()))
    }
}

fn word(values: &ValuesOp) -> Option<String> {
    values.purpose.as_ref().map(|purpose| purpose.word.clone())
}

/// The classes of transformations as an entry names them.
pub(super) fn classes<'a>(targets: impl Iterator<Item = &'a Target>) -> Option<String> {
    let mut classes: Vec<&str> = targets.filter_map(|target| target.class.as_deref()).collect();
    classes.sort_unstable();
    classes.dedup();
    (!classes.is_empty()).then(|| classes.join(","))
}

impl Operation for TransformOp {
    fn action(&self) -> Action {
        match &self.what {
            What::Setting(setting) => setting.action(),
            What::Values(values) | What::Text(TextOp { values, .. }) => values.usage.action(),
            What::State(state) => state.action(),
            What::Subject(subject) => match subject.act {
                SubjectAct::Read => Action::ReadSubject,
                SubjectAct::Erase => Action::EraseSubject,
                SubjectAct::Export { .. } => Action::ExportSubject,
                SubjectAct::Disclosures(_) => Action::ListDisclosures,
            },
        }
    }

    fn resource(&self) -> Resource {
        match &self.what {
            What::Setting(setting) => Resource::within(ResourceKind::Setting, &self.mount, &setting.place()),
            What::Values(values) | What::Text(TextOp { values, .. }) => values.resource(&self.mount),
            What::State(StateOp { target, .. }) => {
                Resource::within(ResourceKind::Transformation, &self.mount, target.name.as_deref().unwrap_or_default())
                    .with_class(target.class.clone())
            }
            What::Subject(subject) => {
                Resource::within(ResourceKind::Subject, &self.mount, &format!("subjects/{}", subject_name(&subject.hash)))
            }
        }
    }

    fn circumstances(&self) -> Circumstances {
        let (purpose, batch_size) = match &self.what {
            What::Values(values) => (word(values), values.items.len()),
            What::Text(text) => (word(&text.values), text.count.max(1)),
            What::State(state) => state.circumstances(),
            What::Subject(SubjectOp { act: SubjectAct::Export { purpose, .. }, .. }) => (purpose.clone(), 1),
            What::Setting(_) | What::Subject(_) => (None, 1),
        };
        Circumstances { purpose, batch_size: u64::try_from(batch_size).unwrap_or(u64::MAX), grants: Vec::new() }
    }

    fn recorded_purpose(&self) -> Option<String> {
        match &self.what {
            What::Values(values) | What::Text(TextOp { values, .. }) => values.purpose.as_ref().map(Purpose::for_the_entry),
            _ => self.circumstances().purpose,
        }
    }

    fn parts(&self) -> Vec<Resource> {
        match &self.what {
            What::Values(values) | What::Text(TextOp { values, .. }) if values.targets.len() > 1 => {
                values.targets.iter().map(|target| values.resource_of(&self.mount, target)).collect()
            }
            _ => Vec::new(),
        }
    }
}
