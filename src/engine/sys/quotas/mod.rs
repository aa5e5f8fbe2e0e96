//! `sys/quotas/disclosure/:name` and `sys/quotas/rate-limit/:name`: what accounts may do in a time, whatever the policies permit.
//!
//! Written here, kept elsewhere: the transform engine counts values, the gate requests. A quota binds from the commit that writes it.

mod run;

use crate::model::action::Action;
use crate::model::call::{Call, Verb, checked_name};
use crate::model::fault::Fault;
use crate::model::members::Members;
use crate::model::operation::{Resource, ResourceKind};
use crate::model::path::CanonicalPath;
use crate::model::quota::QuotaKind;

use super::parse::unknown_path;

#[derive(Debug)]
pub struct QuotaOp {
    kind: QuotaKind,
    act: QuotaAct,
}

#[derive(Debug)]
enum QuotaAct {
    List,
    Read(String),
    Write(String, Draft, usize),
    Delete(String),
}

/// What a body says of a quota; what it leaves out stays as it is. `Some(None)` takes a name away.
#[derive(Debug)]
enum Draft {
    Disclosure {
        account: Option<Option<String>>,
        transformation: Option<Option<String>>,
        encoded_per_hour: Option<u64>,
        revealed_per_hour: Option<u64>,
    },
    RateLimit {
        account: Option<Option<String>>,
        path: Option<String>,
        rate: Option<f64>,
        interval: Option<u64>,
        block_interval: Option<u64>,
    },
}

impl QuotaOp {
    pub(super) fn action(&self) -> Action {
        match self.act {
            QuotaAct::List => Action::ListSettings,
            QuotaAct::Read(_) => Action::ReadSetting,
            QuotaAct::Write(..) => Action::WriteSetting,
            QuotaAct::Delete(_) => Action::DeleteSetting,
        }
    }

    pub(super) fn resource(&self) -> Resource {
        let tail = match &self.act {
            QuotaAct::List => format!("quotas/{}", self.kind.name()),
            QuotaAct::Read(name) | QuotaAct::Write(name, ..) | QuotaAct::Delete(name) => format!("quotas/{}", self.kind.row(name)),
        };
        Resource::within(ResourceKind::Setting, "sys", &tail)
    }
}

pub(super) fn parse(mut call: Call, rest: &str) -> Result<QuotaOp, Fault> {
    let (kind, name) = rest.split_once('/').unwrap_or((rest, ""));
    let kind = QuotaKind::from_name(kind).ok_or_else(unknown_path)?;
    let act = match (name, call.verb) {
        ("", Verb::List) => QuotaAct::List,
        ("", _) => return Err(Fault::WrongVerb),
        (name, Verb::Read) => QuotaAct::Read(checked_name(name)?),
        (name, Verb::Delete) => QuotaAct::Delete(checked_name(name)?),
        (name, Verb::Write) => {
            let name = checked_name(name)?;
            let mut body = call.members()?;
            let draft = match kind {
                QuotaKind::Disclosure => disclosure(&mut body)?,
                QuotaKind::RateLimit => rate_limit(&mut body)?,
            };
            QuotaAct::Write(name, draft, body.finish(RESTRICTING)?)
        }
        _ => return Err(Fault::WrongVerb),
    };
    Ok(QuotaOp { kind, act })
}

/// Members of Vault's quotas that narrow one to a role of a login method or count another thing than the caller.
const RESTRICTING: &[&str] = &["role", "group_by", "secondary_rate"];

/// The most values or requests that a quota may speak of.
const MOST_VALUES: u64 = 1_000_000_000_000;
const MOST_REQUESTS: f64 = 1_000_000_000.0;

/// The longest interval, in seconds: a day.
const LONGEST: u64 = 86_400;

fn disclosure(body: &mut Members) -> Result<Draft, Fault> {
    let transformation = match body.word("transformation")? {
        Some(place) if place.is_empty() => Some(None),
        Some(place) if place.contains('/') && CanonicalPath::from_text(&place).is_ok() => Some(Some(place)),
        Some(_) => return Err(body.wrong("transformation", "must be a mount and a transformation, such as `transform/ssn`")),
        None => None,
    };
    let mut limit = |name| match body.whole(name)? {
        Some(limit) if limit > MOST_VALUES => Err(body.wrong(name, "must be at most 1,000,000,000,000; 0 for none")),
        limit => Ok(limit),
    };
    let (encoded_per_hour, revealed_per_hour) = (limit("encoded_per_hour")?, limit("revealed_per_hour")?);
    Ok(Draft::Disclosure { account: account(body)?, transformation, encoded_per_hour, revealed_per_hour })
}

fn rate_limit(body: &mut Members) -> Result<Draft, Fault> {
    if body.word("type")?.is_some_and(|kind| !kind.is_empty() && kind != QuotaKind::RateLimit.name()) {
        return Err(body.wrong("type", "must be `rate-limit`"));
    }
    // There is one namespace, so that nothing is handed down.
    body.flag("inheritable")?;
    // With the slash behind a mount's name, as Vault writes it.
    let path = body.word("path")?.map(|path| path.strip_suffix('/').map_or(path.clone(), str::to_owned));
    if let Some(path) = path.as_deref().map(|path| path.strip_suffix('*').unwrap_or(path)) {
        let whole = path.strip_suffix('/').unwrap_or(path);
        if path.contains('*') || !(whole.is_empty() || CanonicalPath::from_text(whole).is_ok()) {
            return Err(body.wrong("path", "must be a path without `/v1/`; a `*` may stand at its end"));
        }
    }
    let rate = body.fraction("rate")?;
    if rate.is_some_and(|rate| rate <= 0.0 || rate > MOST_REQUESTS) {
        return Err(body.wrong("rate", "must be a number above 0"));
    }
    let mut span = |name, least| match body.duration(name)?.map(|span| span.as_secs()) {
        Some(seconds) if !(least..=LONGEST).contains(&seconds) => Err(body.wrong(name, "must be whole seconds, at most a day")),
        seconds => Ok(seconds),
    };
    let (interval, block_interval) = (span("interval", 1)?, span("block_interval", 0)?);
    Ok(Draft::RateLimit { account: account(body)?, path, rate, interval, block_interval })
}

/// An account as entries name it: one that is stored, or the name that a login by role gives (`jwt/somebody`).
fn account(body: &mut Members) -> Result<Option<Option<String>>, Fault> {
    match body.word("account")? {
        Some(account) if account.is_empty() => Ok(Some(None)),
        Some(account) if account.len() <= 512 && !account.chars().any(char::is_control) => Ok(Some(Some(account))),
        Some(_) => Err(body.wrong("account", "must be the name of an account, as the ledger shows it")),
        None => Ok(None),
    }
}
