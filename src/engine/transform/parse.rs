//! Bytes become an operation: which path means what, and which members it takes.

use crate::model::call::{Call, Verb};
use crate::model::clock::Timestamp;
use crate::model::fault::Fault;
use crate::model::members::Members;
use crate::model::path::is_name;
use crate::store::control::ControlKind;
use crate::store::disclosure::Page;

use super::Transform;
use super::config::Transformation;
use super::form::settings::Kind;
use super::form::stored::FormOp;
use super::mount_config::{self, CONFIG};
use super::op::{SubjectAct, SubjectOp, TransformOp, Use, What};
use super::purposes::Given;
use super::settings::{SettingOp, name_of, read_draft, read_role, read_version};

/// Disclosures and exported values of one answer, unless the caller says otherwise, and at most.
const PAGE: u64 = 100;
const LARGEST_PAGE: u64 = 1000;

/// The longest identifier of a subject, in bytes.
const MAX_SUBJECT_BYTES: usize = 512;

impl Transform {
    pub(super) fn understand(&self, mut call: Call) -> Result<TransformOp, Fault> {
        let mount = call.mount.path.clone();
        let tail = std::mem::take(&mut call.tail);
        let segments: Vec<&str> = if tail.is_empty() { Vec::new() } else { tail.split('/').collect() };
        let (what, unknown) = match segments.as_slice() {
            ["encode", role] => self.values(call, Use::Encode, role, None)?,
            ["decode", role] => self.values(call, Use::Decode, role, None)?,
            ["decode", role, format] => self.values(call, Use::Decode, role, Some(name_of(format)?))?,
            ["validate", role] => self.values(call, Use::Validate, role, None)?,
            ["metadata", role] => self.values(call, Use::Metadata, role, None)?,
            ["tokens", role] if call.verb == Verb::Delete => self.values(call, Use::DeleteByToken, role, None)?,
            ["tokenized", role] if call.verb == Verb::Delete => self.values(call, Use::DeleteByValue, role, None)?,
            ["tokens", role] => self.values(call, Use::Tokens, role, None)?,
            ["tokenized", role] => self.values(call, Use::Tokenized, role, None)?,
            ["subjects", ..] => self.subject(call, &segments)?,
            ["transformations", "tokenization", act @ ("snapshot" | "restore" | "export-decoded"), name] => {
                let (state, unknown) = self.read_state(call, act, name)?;
                (What::State(state), unknown)
            }
            ["redact", role] => self.texts(call, Use::Encode, role)?,
            ["restore", role] => self.texts(call, Use::Decode, role)?,
            other => {
                let (setting, unknown) = self.setting(&mut call, other)?;
                (What::Setting(setting), unknown)
            }
        };
        Ok(TransformOp { mount, what, unknown })
    }

    fn values(&self, mut call: Call, usage: Use, role: &str, format: Option<String>) -> Result<(What, usize), Fault> {
        let by_deletion = matches!(usage, Use::DeleteByToken | Use::DeleteByValue);
        if !by_deletion && call.verb != Verb::Write {
            return Err(Fault::WrongVerb);
        }
        let role = name_of(role)?;
        let members = call.members()?;
        let (values, unknown) = self.read_values(&call, members, usage, role, format)?;
        Ok((What::Values(values), unknown))
    }

    /// A subject is named by the path, or by the body so that its identifier stands in no URL.
    fn subject(&self, mut call: Call, segments: &[&str]) -> Result<(What, usize), Fault> {
        let mut members = call.members()?;
        let page = |members: &mut Members, call: &Call| -> Result<i64, Fault> {
            let asked = match call.query.value("limit") {
                Some(text) => text.parse().map_err(|_| members.wrong("limit", "must be a whole number"))?,
                None => members.whole("limit")?.unwrap_or(PAGE),
            };
            if asked == 0 || asked > LARGEST_PAGE {
                return Err(members.wrong("limit", "must be from 1 to 1,000"));
            }
            i64::try_from(asked).map_err(|_| Fault::Internal("page"))
        };
        let after = |members: &mut Members, call: &Call| -> Result<Option<String>, Fault> {
            Ok(call.query.value("after").map(str::to_owned).or(members.word("after")?))
        };
        let moment = |members: &mut Members, call: &Call, name: &'static str| -> Result<Option<Timestamp>, Fault> {
            let given = call.query.value(name).map(str::to_owned).or(members.word(name)?).filter(|text| !text.is_empty());
            let wrong = || members.wrong(name, "must be a moment as RFC 3339 writes it");
            given.map(|text| Timestamp::from_rfc3339(&text).ok_or_else(wrong)).transpose()
        };
        let (named, act) = match (segments, call.verb) {
            (["subjects"], Verb::Delete) | (["subjects", "erase"], Verb::Write) => (None, "erase"),
            (["subjects", "lookup"], Verb::Write) => (None, "read"),
            (["subjects", act @ ("disclosures" | "export")], Verb::Write) => (None, *act),
            (["subjects", id], Verb::Read) => (Some(*id), "read"),
            (["subjects", id], Verb::Delete) => (Some(*id), "erase"),
            (["subjects", id, act @ ("disclosures" | "export")], Verb::Read | Verb::List) => (Some(*id), *act),
            _ => return Err(Fault::WrongVerb),
        };
        let subject = match named {
            Some(id) => goldfin_crypto::Plaintext::from_text(id.to_owned()),
            None => members.secret("subject")?.ok_or_else(|| members.missing("subject"))?,
        };
        let hash = self.subject_hash(&call, &members, &subject)?;
        let act = match act {
            "erase" => SubjectAct::Erase,
            "disclosures" => {
                let before = match after(&mut members, &call)? {
                    Some(text) => Some(parse_page(&text).ok_or_else(|| members.wrong("after", "must be the `next` of the page before"))?),
                    None => None,
                };
                let (since, until) = (moment(&mut members, &call, "since")?, moment(&mut members, &call, "until")?);
                SubjectAct::Disclosures(Page { since, until, before, limit: page(&mut members, &call)? })
            }
            "export" => {
                let after = match after(&mut members, &call)? {
                    Some(text) => text.parse().map_err(|_| members.wrong("after", "must be the `next` of the page before"))?,
                    None => 0,
                };
                let purpose = one_purpose(call.purpose.take(), &mut members)?;
                let purpose = purpose.map(|word| self.listed_somewhere(&call, word)).transpose()?;
                SubjectAct::Export { after, limit: page(&mut members, &call)?, purpose }
            }
            _ => SubjectAct::Read,
        };
        let unknown = members.finish(&[])?;
        Ok((What::Subject(SubjectOp { hash, act }), unknown))
    }

    /// An export may reveal values of any transformation of the mount.
    fn listed_somewhere(&self, call: &Call, word: String) -> Result<String, Fault> {
        let (snapshot, mount, mut given) = (self.snapshot(), call.mount.id, Given::new(word));
        given.look_in(&mount_config::of_mount(&snapshot, mount)?.purposes);
        for name in snapshot.names(ControlKind::Transformation, mount) {
            // One that cannot be honoured counts as absent; carrying the operation out says so.
            if let Ok(Some(transformation)) = snapshot.get::<Transformation>(ControlKind::Transformation, mount, name) {
                given.look_in(&transformation.purposes);
            }
        }
        Ok(given.judged().for_the_entry())
    }

    pub(super) fn subject_hash(&self, call: &Call, members: &Members, subject: &goldfin_crypto::Plaintext) -> Result<[u8; 32], Fault> {
        if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES {
            return Err(members.wrong("subject", "must be 1 to 512 bytes"));
        }
        Ok(self.tools.barrier.subject_hash(call.mount.id, subject))
    }
}

/// The purpose of the header and of the body, which must agree.
pub(super) fn one_purpose(header: Option<String>, members: &mut Members) -> Result<Option<String>, Fault> {
    let body = members.word("purpose")?.filter(|purpose| !purpose.is_empty());
    let purpose = match (header, body) {
        (Some(header), Some(body)) if header != body => {
            return Err(members.wrong("purpose", "is not the purpose of the header `X-Goldfin-Purpose`, give one"));
        }
        (header, body) => header.or(body),
    };
    match &purpose {
        // It is written into the ledger: a word, not a sentence about somebody.
        Some(word) if !is_name(word) || word.len() > 64 => {
            Err(members.wrong("purpose", "must be a name of letters, digits and `._@+=:-`, at most 64"))
        }
        _ => Ok(purpose),
    }
}

/// Where a page of disclosures ended: time, stream and number of the entry.
pub(super) fn page_text(at: (Timestamp, i32, i64)) -> String {
    format!("{}.{}.{}", at.0.unix_micros(), at.1, at.2)
}

fn parse_page(text: &str) -> Option<(Timestamp, i32, i64)> {
    let mut parts = text.split('.');
    let at = (Timestamp::from_unix_micros(parts.next()?.parse().ok()?), parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(at)
}

impl Transform {
    fn setting(&self, call: &mut Call, segments: &[&str]) -> Result<(SettingOp, usize), Fault> {
        let verb = call.verb;
        let filter = call.query.value("filter").map(str::to_owned);
        let mut members = call.members()?;
        let op = match (segments, verb) {
            ([CONFIG], Verb::Read) => SettingOp::ReadConfig,
            ([CONFIG], Verb::Write) => SettingOp::WriteConfig(mount_config::read_draft(&mut members)?),
            (["role"], Verb::List) => SettingOp::ListRoles(filter),
            (["role", name], Verb::Read) => SettingOp::ReadRole(name_of(name)?),
            (["role", name], Verb::Write) => SettingOp::WriteRole(name_of(name)?, read_role(&mut members)?),
            (["role", name], Verb::Delete) => SettingOp::DeleteRole(name_of(name)?),
            (["template" | "alphabet", ..], verb) => SettingOp::Form(FormOp::read(&mut members, segments, verb, filter)?),
            (["transformations", "tokenization", "keys"] | ["tokenization", "keys"], Verb::List) => SettingOp::ListKeys(filter),
            (["transformations", "tokenization", "keys", rest @ ..] | ["tokenization", "keys", rest @ ..], verb) => {
                key_setting(&mut members, rest, verb)?
            }
            (["transformation" | "transformations"], Verb::List) => SettingOp::ListTransformations { filter, kind: None },
            (["transformation", name], verb) => {
                let name = name_of(name)?;
                let stored = self.snapshot().get::<Transformation>(ControlKind::Transformation, call.mount.id, &name).ok().flatten();
                let kind = stored.map(|stored| stored.form.kind).unwrap_or_default();
                transformation_setting(&mut members, (name, kind), verb, None)?
            }
            (["transformations", kind], Verb::List) => SettingOp::ListTransformations { filter, kind: Some(known_kind(kind)?) },
            (["transformations", kind, name], verb) => {
                let kind = known_kind(kind)?;
                transformation_setting(&mut members, (name_of(name)?, kind), verb, Some(kind))?
            }
            ([CONFIG, ..] | ["role" | "transformation" | "transformations" | "tokenization", ..], _) => return Err(Fault::WrongVerb),
            _ => return Err(no_path()),
        };
        let unknown = members.finish(&[])?;
        Ok((op, unknown))
    }
}

/// `typed`: the type that the path names.
fn transformation_setting(members: &mut Members, of: (String, Kind), verb: Verb, typed: Option<Kind>) -> Result<SettingOp, Fault> {
    let (name, kind) = of;
    match verb {
        Verb::Read => Ok(SettingOp::ReadTransformation(kind, name)),
        Verb::Write => Ok(SettingOp::WriteTransformation(name, Box::new(read_draft(members, typed)?))),
        Verb::Delete => Ok(SettingOp::DeleteTransformation(kind, name)),
        _ => Err(Fault::WrongVerb),
    }
}

fn known_kind(segment: &str) -> Result<Kind, Fault> {
    Kind::from_name(segment).ok_or_else(no_path)
}

fn no_path() -> Fault {
    Fault::not_found("the transform engine has no such path")
}

fn key_setting(members: &mut Members, segments: &[&str], verb: Verb) -> Result<SettingOp, Fault> {
    match (segments, verb) {
        ([name], Verb::Read) => Ok(SettingOp::ReadKey(name_of(name)?)),
        ([name, "rotate"], Verb::Write) => Ok(SettingOp::RotateKey(name_of(name)?)),
        ([name, "config"], Verb::Write) => Ok(SettingOp::ConfigureKey(name_of(name)?, read_version(members, "min_decryption_version")?)),
        ([name, "trim"], Verb::Write) => Ok(SettingOp::TrimKey(name_of(name)?, read_version(members, "min_available_version")?)),
        _ => Err(Fault::WrongVerb),
    }
}
