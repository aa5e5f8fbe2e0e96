//! The stored tokens of a transformation as a whole: taking a snapshot, putting one back, and the export of values in the clear.
//!
//! A snapshot holds ciphertext only. Each of its values carries a MAC under a key of the transformation, so that a restore takes back what
//! goldfin gave and nothing else. An export reveals: it has an action of its own and is a disclosure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldfin_crypto::{Ciphertext, DataKey, TokenSecret};

use crate::model::action::Action;
use crate::model::call::{Call, Verb};
use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::fault::{Complaint, Fault};
use crate::model::members::Members;
use crate::model::reply::Reply;
use crate::seal::barrier::fault;
use crate::store::control::ControlKind;
use crate::store::token_state::{self, StateRow};
use crate::store::transform;
use crate::store::work::Work;

use super::Transform;
use super::config::{MappingMode, Transformation};
use super::decode::{decrypt, version_of};
use super::encode::{export_key, note_ids};
use super::form::settings::Kind;
use super::limits::{Harm, Load, Meter};
use super::mount_config;
use super::op::Target;
use super::parse::one_purpose;
use super::per_value::PerValue;
use super::place::{TokenRowId, TokenSecretPlace, TokenValue};
use super::purposes::{self, Given};
use super::run::{Ready, Results, base64_of};
use super::settings::{name_of, no_transformation};
use super::subjects::{Concerned, note_subjects, unwrap_subject};

/// The tokens of one page, unless the caller says otherwise, and at most.
const PAGE: u64 = 1000;
const LARGEST_PAGE: u64 = 10_000;

#[derive(Debug)]
pub(super) struct StateOp {
    /// The transformation as it was when the request was understood, hence as it was authorised.
    pub target: Target,
    pub act: StateAct,
}

#[derive(Debug)]
pub(super) enum StateAct {
    Snapshot {
        after: i64,
        limit: i64,
    },
    /// The values of a snapshot, in base64.
    Restore(Vec<String>),
    Export {
        after: i64,
        limit: i64,
        purpose: Option<String>,
    },
}

impl StateOp {
    pub(super) fn action(&self) -> Action {
        match self.act {
            StateAct::Snapshot { .. } => Action::SnapshotPiiTokens,
            StateAct::Restore(_) => Action::RestorePiiTokens,
            StateAct::Export { .. } => Action::ExportPiiTokens,
        }
    }

    /// The purpose, and how many values it concerns.
    pub(super) fn circumstances(&self) -> (Option<String>, usize) {
        let count = |limit: i64| usize::try_from(limit).unwrap_or(usize::MAX);
        match &self.act {
            StateAct::Snapshot { limit, .. } => (None, count(*limit)),
            StateAct::Restore(values) => (None, values.len()),
            StateAct::Export { limit, purpose, .. } => (purpose.clone(), count(*limit)),
        }
    }
}

impl Transform {
    pub(super) fn read_state(&self, mut call: Call, act: &str, name: &str) -> Result<(StateOp, usize), Fault> {
        if call.verb != Verb::Write {
            return Err(Fault::WrongVerb);
        }
        let name = name_of(name)?;
        let mut members = call.members()?;
        let act = match act {
            "restore" => {
                let values = members.words("values")?.ok_or_else(|| members.missing("values"))?;
                if values.is_empty() || values.len() > usize::try_from(LARGEST_PAGE).unwrap_or(usize::MAX) {
                    return Err(members.wrong("values", "must hold 1 to 10,000 values of a snapshot"));
                }
                StateAct::Restore(values)
            }
            act => {
                let (after, limit) = read_page(&mut members)?;
                match act {
                    "snapshot" => StateAct::Snapshot { after, limit },
                    _ => StateAct::Export { after, limit, purpose: self.purpose_of_export(&mut call, &mut members, &name)? },
                }
            }
        };
        let unknown = members.finish(&[])?;
        let stored = self.snapshot().get::<Transformation>(ControlKind::Transformation, call.mount.id, &name).ok().flatten();
        let target = Target { name: Some(name), class: stored.and_then(|stored| stored.class.clone()) };
        Ok((StateOp { target, act }, unknown))
    }

    fn purpose_of_export(&self, call: &mut Call, members: &mut Members, name: &str) -> Result<Option<String>, Fault> {
        let Some(word) = one_purpose(call.purpose.take(), members)? else { return Ok(None) };
        let (snapshot, mut given) = (self.snapshot(), Given::new(word));
        match snapshot.get::<Transformation>(ControlKind::Transformation, call.mount.id, name) {
            Ok(Some(stored)) if !stored.purposes.is_empty() => given.look_in(&stored.purposes),
            _ => given.look_in(&mount_config::of_mount(&snapshot, call.mount.id)?.purposes),
        }
        Ok(Some(given.judged().for_the_entry()))
    }

    pub(super) async fn state(&self, op: &StateOp, account: &str, work: &mut Work) -> Result<Reply, Fault> {
        let name = op.target.name.as_deref().ok_or(Fault::Internal("target"))?;
        let mount = work.mount_id();
        let config = self.snapshot().get::<Transformation>(ControlKind::Transformation, mount, name)?.ok_or_else(no_transformation)?;
        if config.class != op.target.class {
            return Err(Fault::conflict("the transformation changed at the same moment, try again"));
        }
        if config.form.kind != Kind::Tokenization {
            return Err(no_transformation());
        }
        let form = self.forms.form(&self.snapshot(), mount, &config)?;
        let keys = self.keys.keys(work.store(), &self.tools.barrier, mount, name, &config).await?;
        let of_mount = mount_config::of_mount(&self.snapshot(), mount)?;
        let limit = of_mount.limit(&config, Harm::Revealed);
        let ready = Ready { config, keys, form, limit };
        match &op.act {
            StateAct::Snapshot { after, limit } => take(&ready, *after, *limit, work).await,
            StateAct::Restore(values) => restore(&ready, name, values, work).await,
            StateAct::Export { after, limit, purpose } => {
                if ready.config.mapping_mode != MappingMode::Exportable {
                    return Err(Fault::Invalid(
                        Complaint::new("the transformation's `mapping_mode` is not `exportable`: only who holds a token can decode it")
                            .stored(name),
                    ));
                }
                purposes::check(purpose.as_deref(), &ready.config.purposes, &of_mount.purposes, true)?;
                self.export_page((name, &ready), account, (*after, *limit), work).await
            }
        }
    }

    async fn export_page(
        &self,
        (name, ready): (&str, &Ready),
        account: &str,
        (after, limit): (i64, i64),
        work: &mut Work,
    ) -> Result<Reply, Fault> {
        let page = token_state::page(work.store(), ready.config.number, after, limit).await?;
        let now = work.now();
        let load = Load {
            meter: Meter::Transformation(ready.config.number),
            name,
            class: ready.config.class.as_deref(),
            limit: ready.limit,
            count: page.rows.iter().filter(|row| !ended(row, now)).count(),
        };
        self.spend(account, Harm::Revealed, vec![load], work).await?;
        let mut values = Vec::with_capacity(page.rows.len());
        let (mut ids, mut concerned) = (Vec::new(), Vec::new());
        let mut per_value = PerValue::of(std::iter::once(ready));
        for (at, row) in page.rows.into_iter().enumerate() {
            super::convergent::breathe(at).await;
            if ended(&row, work.now()) {
                continue;
            }
            let (id, hash, expires) = (row.id, row.subject_hash.clone(), row.expires);
            // The tokens of a version that is destroyed or out of use are nobody's to read any more.
            let Some((token, value)) = self.opened(ready, row, work)? else { continue };
            let mut members = vec![("plaintext".to_owned(), value), ("token".to_owned(), Node::text(token))];
            members.extend(expires.map(|end| ("expiration_time".to_owned(), Node::text(end.to_rfc3339()))));
            values.push(Node::Object(members));
            ids.push(id);
            let subject = hash.as_deref().and_then(|hash| hash.try_into().ok());
            concerned.push(Some(Concerned { subject, class: ready.config.class.as_deref() }));
            per_value.add(Some((ready, id)));
        }
        note_ids(work, &ids);
        per_value.note(work);
        work.facts.class.clone_from(&ready.config.class);
        work.facts.count = u64::try_from(ids.len()).ok();
        let all: Results = concerned.iter().map(|_| Ok(Vec::new())).collect();
        note_subjects(&concerned, &all, work);
        Ok(Reply::data(paged(values, page.next)))
    }

    /// The token of an exportable row, and its value in base64.
    fn opened(&self, ready: &Ready, row: StateRow, work: &Work) -> Result<Option<(String, Node)>, Fault> {
        let mount = work.mount_id();
        let place = TokenRowId { mount, transformation: ready.config.number, id: row.id, expires: row.expires };
        let value = Ciphertext::<TokenValue>::from_stored(row.value).map_err(fault)?;
        let of_subject: DataKey;
        let key = match (row.subject, row.subject_hash, row.subject_key) {
            (Some(subject), Some(hash), Some(wrapped)) => {
                of_subject = unwrap_subject(&self.tools.barrier, mount, subject, &hash, &wrapped, work.now())?;
                &of_subject
            }
            _ => match version_of(ready, value.key_version()) {
                Ok(key) => key,
                Err(Fault::Gone(_) | Fault::Invalid(_)) => return Ok(None),
                Err(other) => return Err(other),
            },
        };
        let stored = row.secret.ok_or(Fault::Integrity("the secret of an exportable token is missing"))?;
        let secret = decrypt(&export_key(key, row.id), &TokenSecretPlace(place), &stored)?;
        let secret = TokenSecret::from_plaintext(&secret).map_err(fault)?;
        let value = key.message_key(&secret).decrypt(&TokenValue(place), &value).map_err(fault)?;
        Ok(Some((ready.token(row.id, &secret, &value)?, base64_of(&value))))
    }
}

async fn take(ready: &Ready, after: i64, limit: i64, work: &mut Work) -> Result<Reply, Fault> {
    let page = token_state::page(work.store(), ready.config.number, after, limit).await?;
    let values: Vec<Node> = page
        .rows
        .iter()
        .filter(|row| row.subject.is_none() || row.subject_key.is_some())
        .map(|row| Node::text(STANDARD.encode(write(ready, row))))
        .collect();
    work.facts.class.clone_from(&ready.config.class);
    work.facts.count = u64::try_from(values.len()).ok();
    Ok(Reply::data(paged(values, page.next)))
}

async fn restore(ready: &Ready, name: &str, values: &[String], work: &mut Work) -> Result<Reply, Fault> {
    let mut rows = Vec::with_capacity(values.len());
    for (at, value) in values.iter().enumerate() {
        super::convergent::breathe(at).await;
        let row = STANDARD.decode(value).ok().and_then(|bytes| read(ready, &bytes));
        rows.push(row.ok_or_else(|| {
            Fault::Invalid(Complaint::new("holds what is no value of a snapshot of this transformation, nothing was restored").at("values"))
        })?);
    }
    let highest = rows.iter().map(|row| row.id).max().unwrap_or_default();
    match ready.next_serial(highest) {
        None => token_state::pass(work.store(), highest).await?,
        // The highest row is the highest serial number: they are in one order.
        Some(next) => transform::pass_serials(work.store(), work.mount_id().0, name, next).await?,
    }
    let now = work.now();
    rows.retain(|row| row.expires.is_none_or(|expires| expires > now));
    let outcome = token_state::restore(work, ready.config.number, &rows).await?;
    work.facts.class.clone_from(&ready.config.class);
    work.facts.count = Some(outcome.restored);
    if outcome.erased == 0 {
        return Ok(Reply::nothing());
    }
    let mut reply = Reply::data(Node::object([("restored", Node::Number(outcome.restored.to_string().into_boxed_str()))]));
    reply.warnings.push(format!("{} values belong to erased subjects and were not restored", outcome.erased));
    Ok(reply)
}

fn read_page(members: &mut Members) -> Result<(i64, i64), Fault> {
    let limit = members.whole("limit")?.unwrap_or(PAGE);
    if limit == 0 || limit > LARGEST_PAGE {
        return Err(members.wrong("limit", "must be from 1 to 10,000"));
    }
    let after = match members.word("continuation")?.filter(|text| !text.is_empty()) {
        None => i64::MIN,
        Some(text) => text
            .strip_prefix("after-")
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| members.wrong("continuation", "must be the `continuation` of the page before"))?,
    };
    Ok((after, i64::try_from(limit).map_err(|_| Fault::Internal("page"))?))
}

fn paged(values: Vec<Node>, next: Option<i64>) -> Node {
    let mut members = vec![("values".to_owned(), Node::List(values))];
    members.extend(next.map(|id| ("continuation".to_owned(), Node::text(format!("after-{id}")))));
    Node::Object(members)
}

fn ended(row: &StateRow, now: Timestamp) -> bool {
    row.expires.is_some_and(|expires| expires <= now) || (row.subject.is_some() && row.subject_key.is_none())
}

/// The format of a value of a snapshot, before its MAC of 32 bytes: version 1 ‖ number 8 ‖ subject ‖ expiry in microseconds ‖ value ‖
/// metadata ‖ secret ‖ blind index, the last six behind a length of 4 bytes, `ffffffff` for what is absent.
const VERSION: u8 = 1;
const MAC: usize = 32;

fn write(ready: &Ready, row: &StateRow) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&row.id.to_be_bytes());
    let (subject, expires) = (row.subject.map(i64::to_be_bytes), row.expires.map(|end| end.unix_micros().to_be_bytes()));
    let parts: [Option<&[u8]>; 6] = [
        subject.as_ref().map(<[u8; 8]>::as_slice),
        expires.as_ref().map(<[u8; 8]>::as_slice),
        Some(&row.value),
        row.metadata.as_deref(),
        row.secret.as_deref(),
        row.blind.as_ref().map(<[u8; 16]>::as_slice),
    ];
    for part in parts {
        let length = part.map_or(u32::MAX, |part| u32::try_from(part.len()).unwrap_or(u32::MAX));
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part.unwrap_or_default());
    }
    let mac = ready.keys.snapshot.mac(&[&bytes]);
    bytes.extend_from_slice(&mac);
    bytes
}

/// None where it is not what [`write`] wrote for this transformation.
fn read(ready: &Ready, bytes: &[u8]) -> Option<StateRow> {
    let (body, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC)?)?;
    if !ready.keys.snapshot.verify(&[body], mac) {
        return None;
    }
    let (version, rest) = body.split_first()?;
    let (id, mut rest) = rest.split_first_chunk::<8>()?;
    let mut part = || -> Option<Option<Vec<u8>>> {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length);
        if length == u32::MAX {
            rest = behind;
            return Some(None);
        }
        let (part, behind) = behind.split_at_checked(usize::try_from(length).ok()?)?;
        rest = behind;
        Some(Some(part.to_vec()))
    };
    let number = |part: Option<Vec<u8>>| part.map(|bytes| bytes.try_into().map(i64::from_be_bytes)).transpose().ok();
    let row = StateRow {
        id: i64::from_be_bytes(*id),
        subject: number(part()?)?,
        expires: number(part()?)?.map(Timestamp::from_unix_micros),
        value: part()??,
        metadata: part()?,
        secret: part()?,
        blind: part()?.map(TryInto::try_into).transpose().ok()?,
        subject_key: None,
        subject_hash: None,
    };
    (*version == VERSION && rest.is_empty()).then_some(row)
}
