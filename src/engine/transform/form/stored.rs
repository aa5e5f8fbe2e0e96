//! Templates and alphabets as settings: reading a body, and carrying it out.
//!
//! What encoded values depend on does not change while a transformation uses it: a changed alphabet would turn tokens into wrong
//! values without a sign. Rows are locked in one order: transformation, template, alphabet.

use std::collections::BTreeMap;

use crate::model::action::Action;
use crate::model::call::Verb;
use crate::model::change::Change;
use crate::model::document::Node;
use crate::model::fault::{Complaint, Fault};
use crate::model::members::Members;
use crate::model::path::is_name;
use crate::model::reply::Reply;
use crate::store::control::{self, ControlKey, ControlKind};
use crate::store::work::Work;

use super::super::Transform;
use super::super::config::{Transformation, matches_glob};
use super::super::run::read_text;
use super::super::settings::{name_of, read_body, write_body};
use super::alphabet::{self, Alphabet, BUILTIN};
use super::settings::{FormSettings, Kind, reference};
use super::template::{MAX_FORMAT_BYTES, Template, Written};
use super::{Form, builtin};

/// The most decode formats of a template.
const MOST_FORMATS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Templates,
    Alphabets,
}

/// What is done with templates or alphabets.
#[derive(Debug)]
pub struct FormOp {
    store: Store,
    act: Act,
}

#[derive(Debug)]
enum Act {
    Read(String),
    List(Option<String>),
    Delete(String),
    WriteTemplate(String, Box<TemplateDraft>),
    WriteAlphabet(String, Box<Alphabet>),
}

/// What a body says about a template; what it leaves out stays as it is.
#[derive(Debug)]
struct TemplateDraft {
    pattern: Option<String>,
    alphabet: Option<String>,
    encode_format: Option<String>,
    decode_formats: Option<BTreeMap<String, String>>,
}

impl Store {
    const fn path(self) -> &'static str {
        match self {
            Self::Templates => "template",
            Self::Alphabets => "alphabet",
        }
    }

    const fn kind(self) -> ControlKind {
        match self {
            Self::Templates => ControlKind::Template,
            Self::Alphabets => ControlKind::Alphabet,
        }
    }

    const fn missing(self) -> &'static str {
        match self {
            Self::Templates => "the template does not exist",
            Self::Alphabets => "the alphabet does not exist",
        }
    }
}

impl FormOp {
    /// The operation of a path below `template` or `alphabet`, given in segments.
    pub fn read(members: &mut Members, segments: &[&str], verb: Verb, filter: Option<String>) -> Result<Self, Fault> {
        let (store, rest) = match segments {
            ["template", rest @ ..] => (Store::Templates, rest),
            ["alphabet", rest @ ..] => (Store::Alphabets, rest),
            _ => return Err(Fault::Internal("path")),
        };
        let act = match (rest, verb) {
            ([], Verb::List) => Act::List(filter),
            ([name], Verb::Read) => Act::Read(name_of(name)?),
            (["builtin", name], Verb::Read) => Act::Read(format!("{BUILTIN}{}", name_of(name)?)),
            (["builtin", _], Verb::Write | Verb::Delete) => {
                return Err(Fault::invalid("what is built in cannot be changed, make your own under another name"));
            }
            ([name], Verb::Delete) => Act::Delete(name_of(name)?),
            ([name], Verb::Write) => {
                let name = name_of(name)?;
                match store {
                    Store::Templates => Act::WriteTemplate(name, Box::new(TemplateDraft::read(members)?)),
                    Store::Alphabets => {
                        let letters = members.word("alphabet")?.ok_or_else(|| members.missing("alphabet"))?;
                        let alphabet = Alphabet::new(&letters).map_err(|wrong| members.wrong("alphabet", wrong))?;
                        Act::WriteAlphabet(name, Box::new(alphabet))
                    }
                }
            }
            _ => return Err(Fault::WrongVerb),
        };
        Ok(Self { store, act })
    }

    pub fn action(&self) -> Action {
        match &self.act {
            Act::Read(_) => Action::ReadSetting,
            Act::List(_) => Action::ListSettings,
            Act::Delete(_) => Action::DeleteSetting,
            Act::WriteTemplate(..) | Act::WriteAlphabet(..) => Action::WriteSetting,
        }
    }

    pub fn place(&self) -> String {
        let at = self.store.path();
        match &self.act {
            Act::List(_) => at.to_owned(),
            Act::Read(name) | Act::Delete(name) | Act::WriteTemplate(name, _) | Act::WriteAlphabet(name, _) => format!("{at}/{name}"),
        }
    }
}

impl TemplateDraft {
    fn read(members: &mut Members) -> Result<Self, Fault> {
        if members.word("type")?.is_some_and(|kind| !kind.is_empty() && kind != "regex") {
            return Err(members.wrong("type", "must be `regex`"));
        }
        let alphabet = match members.word("alphabet")?.filter(|name| !name.is_empty()) {
            Some(name) => Some(reference(members, "alphabet", name)?),
            None => None,
        };
        let encode_format = members.word("encode_format")?;
        if encode_format.as_ref().is_some_and(|format| format.len() > MAX_FORMAT_BYTES) {
            return Err(members.wrong("encode_format", "is larger than 1,024 bytes"));
        }
        let pattern = members.word("pattern")?.filter(|pattern| !pattern.is_empty());
        Ok(Self { pattern, alphabet, encode_format, decode_formats: read_formats(members)? })
    }

    fn apply(self: &TemplateDraft, stored: Option<Written>) -> Result<Written, Fault> {
        let missing = |member| Fault::Invalid(Complaint::new("is missing").at(member));
        let (pattern, alphabet, encode_format, decode_formats) = match stored {
            Some(stored) => (Some(stored.pattern), Some(stored.alphabet), stored.encode_format, stored.decode_formats),
            None => (None, None, None, BTreeMap::new()),
        };
        Ok(Written {
            pattern: self.pattern.clone().or(pattern).ok_or_else(|| missing("pattern"))?,
            alphabet: self.alphabet.clone().or(alphabet).ok_or_else(|| missing("alphabet"))?,
            encode_format: match &self.encode_format {
                Some(format) => Some(format.clone()).filter(|format| !format.is_empty()),
                None => encode_format,
            },
            decode_formats: self.decode_formats.clone().unwrap_or(decode_formats),
        })
    }
}

/// An object of strings, or `name=format` as Vault's command line sends it.
fn read_formats(members: &mut Members) -> Result<Option<BTreeMap<String, String>>, Fault> {
    let wrong = "must be an object of at most 64 formats, each of at most 1,024 bytes, by names of letters, digits and `._@+=:-`";
    let node = members.take("decode_formats");
    let pair = |text: &str| text.split_once('=').map(|(name, format)| (name.to_owned(), format.to_owned()));
    let pairs: Option<Vec<(String, String)>> = match node {
        None => return Ok(None),
        Some(Node::Object(pairs)) => pairs
            .into_iter()
            .map(|(name, node)| match node {
                Node::Text(text) => read_text(&text).map(|text| (name, text.to_owned())),
                _ => None,
            })
            .collect(),
        Some(Node::Text(text)) if text.is_empty() => Some(Vec::new()),
        Some(Node::Text(text)) => read_text(&text).and_then(pair).map(|pair| vec![pair]),
        Some(Node::List(nodes)) => nodes
            .iter()
            .map(|node| match node {
                Node::Text(text) => read_text(text).and_then(pair),
                _ => None,
            })
            .collect(),
        Some(_) => None,
    };
    let pairs = pairs.ok_or_else(|| members.wrong("decode_formats", wrong))?;
    if pairs.len() > MOST_FORMATS || pairs.iter().any(|(name, format)| !is_name(name) || format.len() > MAX_FORMAT_BYTES) {
        return Err(members.wrong("decode_formats", wrong));
    }
    Ok(Some(pairs.into_iter().collect()))
}

impl Transform {
    pub(in crate::engine::transform) async fn settle_form(&self, op: &FormOp, work: &mut Work) -> Result<Reply, Fault> {
        match &op.act {
            Act::Read(name) => self.read_form(op.store, name, work),
            Act::List(filter) => {
                let snapshot = self.snapshot();
                let own = snapshot.names(op.store.kind(), work.mount_id()).map(str::to_owned);
                let mut names: Vec<String> = match op.store {
                    Store::Templates => own.chain(builtin::built_in_names()).collect(),
                    Store::Alphabets => own.chain(alphabet::built_in_names()).collect(),
                };
                names.sort_unstable();
                Reply::keys(names.into_iter().filter(|name| filter.as_deref().is_none_or(|filter| matches_glob(filter, name))))
            }
            Act::Delete(name) => {
                let key = ControlKey::new(op.store.kind(), work.mount_id(), name.as_str());
                if control::lock(work, self.tools.barrier.control(), &key).await?.is_some() {
                    self.refuse_if_used(work, op.store, name).await?;
                }
                control::delete(work, self.tools.barrier.control(), &key).await?;
                Ok(Reply::nothing().then(Change::Directory))
            }
            Act::WriteTemplate(name, draft) => self.write_template(work, name, draft).await,
            Act::WriteAlphabet(name, alphabet) => self.write_alphabet(work, name, alphabet).await,
        }
    }

    fn read_form(&self, store: Store, name: &str, work: &Work) -> Result<Reply, Fault> {
        let (snapshot, mount) = (self.snapshot(), work.mount_id());
        let missing = || Fault::not_found(store.missing());
        let node = match store {
            Store::Alphabets => {
                let alphabet = super::alphabet_of(&snapshot, mount, name)?.ok_or_else(missing)?;
                Node::object([("alphabet", Node::text(alphabet.written()))])
            }
            Store::Templates => {
                let template = super::template_of(&snapshot, mount, name)?.ok_or_else(missing)?;
                let written = template.written();
                let formats = written.decode_formats.iter().map(|(name, format)| (name.clone(), Node::text(format.as_str()))).collect();
                Node::object([
                    ("alphabet", Node::text(written.alphabet.as_str())),
                    ("decode_formats", Node::Object(formats)),
                    ("encode_format", Node::text(written.encode_format.clone().unwrap_or_default())),
                    ("pattern", Node::text(written.pattern.as_str())),
                    ("type", Node::text("regex")),
                ])
            }
        };
        Ok(Reply::data(node))
    }

    async fn write_template(&self, work: &mut Work, name: &str, draft: &TemplateDraft) -> Result<Reply, Fault> {
        let key = ControlKey::new(ControlKind::Template, work.mount_id(), name);
        let mac = self.tools.barrier.control();
        let row = control::lock(work, mac, &key).await?;
        let before = row.as_ref().map_or(0, |row| row.version);
        let stored: Option<Written> = row.map(|row| read_body(&row.body)).transpose()?;
        let written = draft.apply(stored.clone())?;
        let template = Template::new(written.clone()).map_err(|(member, wrong)| Fault::Invalid(Complaint::new(wrong).at(member)))?;
        if stored.is_some_and(|stored| stored.pattern != written.pattern || stored.alphabet != written.alphabet) {
            self.refuse_if_used(work, Store::Templates, name).await?;
        }
        control::put(work, mac, &key, before, &write_body(&template)?).await?;
        Ok(Reply::nothing().then(Change::Directory))
    }

    async fn write_alphabet(&self, work: &mut Work, name: &str, alphabet: &Alphabet) -> Result<Reply, Fault> {
        let key = ControlKey::new(ControlKind::Alphabet, work.mount_id(), name);
        let mac = self.tools.barrier.control();
        let row = control::lock(work, mac, &key).await?;
        let before = row.as_ref().map_or(0, |row| row.version);
        let stored: Option<Alphabet> = row.map(|row| read_body(&row.body)).transpose()?;
        if stored.is_some_and(|stored| stored.written() != alphabet.written()) {
            self.refuse_if_used(work, Store::Alphabets, name).await?;
        }
        control::put(work, mac, &key, before, &write_body(alphabet)?).await?;
        Ok(Reply::nothing().then(Change::Directory))
    }

    async fn refuse_if_used(&self, work: &mut Work, store: Store, name: &str) -> Result<(), Fault> {
        let (mac, mount) = (self.tools.barrier.control(), work.mount_id());
        let mut templates = vec![name.to_owned()];
        if store == Store::Alphabets {
            templates.clear();
            for row in control::all(work, mac, ControlKind::Template, mount).await? {
                if read_body::<Written>(&row.body)?.alphabet == name {
                    templates.push(row.key.name);
                }
            }
        }
        for row in control::all(work, mac, ControlKind::Transformation, mount).await? {
            let used: Transformation = read_body(&row.body)?;
            if templates.iter().any(|template| used.form.depends_on(template)) {
                let what = "a transformation uses it, and what was encoded depends on it; make another one, or delete the transformation";
                return Err(Fault::Invalid(Complaint::new(what).stored(row.key.name)));
            }
        }
        Ok(())
    }

    /// Refuses a form that could not be used, as far as what it names is there already, and holds that until the commit.
    pub(in crate::engine::transform) async fn check_form(&self, work: &mut Work, form: &FormSettings) -> Result<(), Fault> {
        let (mac, mount) = (self.tools.barrier.control(), work.mount_id());
        let Some(name) = form.template.as_deref() else {
            return match form.kind {
                Kind::Tokenization => Ok(()),
                Kind::Fpe | Kind::Masking => Err(Fault::Invalid(Complaint::new("is missing").at("template"))),
            };
        };
        let template = match name.strip_prefix(BUILTIN) {
            Some(short) => Some(
                builtin::built_in(short).ok_or_else(|| Fault::Invalid(Complaint::new("names nothing that is built in").at("template")))?,
            ),
            None => match control::lock(work, mac, &ControlKey::new(ControlKind::Template, mount, name)).await? {
                Some(row) => Some(std::sync::Arc::new(read_body::<Template>(&row.body)?)),
                None => None,
            },
        };
        let Some(template) = template else { return Ok(()) };
        if form.kind == Kind::Masking {
            return Ok(());
        }
        let letters = template.written().alphabet.clone();
        let alphabet = match letters.strip_prefix(BUILTIN) {
            Some(short) => alphabet::built_in(short),
            None => match control::lock(work, mac, &ControlKey::new(ControlKind::Alphabet, mount, letters.as_str())).await? {
                Some(row) => Some(std::sync::Arc::new(read_body::<Alphabet>(&row.body)?)),
                None => None,
            },
        };
        match alphabet {
            Some(alphabet) => Form::new(form.kind, name, template, Some(alphabet)).map(|_| ()),
            None => Ok(()),
        }
    }
}
