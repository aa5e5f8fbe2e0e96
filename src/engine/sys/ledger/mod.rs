//! `sys/ledger`: reading and verifying what was recorded. Reading it is recorded like anything else.

mod run;
mod shown;
mod tree;

use goldfin_crypto::Plaintext;

use crate::model::action::Action;
use crate::model::call::{Call, Verb};
use crate::model::clock::Timestamp;
use crate::model::fault::Fault;
use crate::model::path::is_mount_path;
use crate::store::ledger::Filter;

use super::parse::{only, unknown_path};

#[derive(Debug)]
pub enum LedgerOp {
    Entries {
        filter: Filter,
        ndjson: bool,
    },
    /// The same with a person's own identifier, which belongs in no path or query; its keyed hash is looked for.
    Search {
        filter: Filter,
        subject: Option<(Plaintext, String)>,
        ndjson: bool,
    },
    /// A stream by its number or its node's name.
    Entry {
        stream: String,
        seq: i64,
    },
    Verify {
        /// Notes that the caller has kept.
        checkpoints: Vec<String>,
    },
    /// Checkpoints, tiles, proofs.
    Tree(tree::TreeOp),
}

impl LedgerOp {
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Verify { .. } => Action::VerifyLedger,
            Self::Tree(op) => op.action(),
            _ => Action::ReadLedger,
        }
    }
}

pub(super) fn parse(mut call: Call, rest: &str) -> Result<LedgerOp, Fault> {
    if let Some(op) = tree::TreeOp::parse(&call, rest) {
        return op.map(LedgerOp::Tree);
    }
    match rest {
        "entries" => {
            if !matches!(call.verb, Verb::Read | Verb::List) {
                return Err(Fault::WrongVerb);
            }
            let filter = filter(|name| Ok(call.query.value(name).filter(|text| !text.is_empty()).map(str::to_owned)))?;
            Ok(LedgerOp::Entries { filter, ndjson: is_ndjson(call.query.value("format"))? })
        }
        "search" => parse_search(&mut call),
        "verify" => {
            if !matches!(call.verb, Verb::Read | Verb::Write) {
                return Err(Fault::WrongVerb);
            }
            let mut body = call.members()?;
            let checkpoints = body.words("checkpoints")?.unwrap_or_default();
            if checkpoints.len() > 100 {
                return Err(body.wrong("checkpoints", "must be a list of at most 100 signed notes"));
            }
            Ok(LedgerOp::Verify { checkpoints })
        }
        _ => {
            let (stream, seq) = rest.strip_prefix("entries/").and_then(|place| place.rsplit_once('/')).ok_or_else(unknown_path)?;
            only(&call, Verb::Read)?;
            let seq = seq.parse().map_err(|_| Fault::invalid("an entry is named by its stream and its number"))?;
            Ok(LedgerOp::Entry { stream: stream.to_owned(), seq })
        }
    }
}

fn parse_search(call: &mut Call) -> Result<LedgerOp, Fault> {
    only(call, Verb::Write)?;
    let mut body = call.members()?;
    let subject = body.secret("subject")?;
    let mount = body.word("mount")?.unwrap_or_else(|| "transform".to_owned());
    if !is_mount_path(&mount) {
        return Err(body.wrong("mount", "must be the path of a mount"));
    }
    let format = body.word("format")?;
    let filter = filter(|name| match name {
        "subject" => Ok(None),
        "limit" => Ok(body.whole(name)?.map(|limit| limit.to_string())),
        name => body.word(name),
    })?;
    body.finish(&[])?;
    Ok(LedgerOp::Search { filter, subject: subject.map(|subject| (subject, mount)), ndjson: is_ndjson(format.as_deref())? })
}

fn is_ndjson(format: Option<&str>) -> Result<bool, Fault> {
    match format {
        None | Some("" | "json") => Ok(false),
        Some("ndjson") => Ok(true),
        Some(_) => Err(Fault::invalid("`format` must be `json` or `ndjson`")),
    }
}

const DEFAULT_LIMIT: i64 = 100;
const MOST: i64 = 1000;

/// Reads the filters by name, from wherever they come.
fn filter(mut text: impl FnMut(&'static str) -> Result<Option<String>, Fault>) -> Result<Filter, Fault> {
    let invalid = |what| move |()| Fault::invalid(what);
    let moment = |text: Option<String>, what| text.map(|text| Timestamp::from_rfc3339(&text).ok_or(())).transpose().map_err(invalid(what));
    let action = text("action")?;
    if action.as_deref().is_some_and(|action| Action::from_name(action).is_none()) {
        return Err(Fault::invalid("`action` must be one of the actions of `policies/schema.cedarschema`"));
    }
    let decision = text("decision")?;
    if decision.as_deref().is_some_and(|decision| !matches!(decision, "granted" | "denied" | "failed")) {
        return Err(Fault::invalid("`decision` must be `granted`, `denied` or `failed`"));
    }
    let subject = match text("subject")? {
        Some(hash) => Some(hash_of(&hash).ok_or_else(|| {
            Fault::invalid(
                "`subject` must be the hash that entries show; to search by a person's own identifier write it to `sys/ledger/search`",
            )
        })?),
        None => None,
    };
    let request =
        text("request_id")?.map(|id| id.parse().map_err(|_| ())).transpose().map_err(invalid("`request_id` must be a request's id"))?;
    let limit =
        text("limit")?.map_or(Ok(DEFAULT_LIMIT), |limit| limit.parse()).map_err(|_| Fault::invalid("`limit` must be a whole number"))?;
    let before = match text("before")? {
        Some(cursor) => Some(cursor),
        None => text("after")?,
    };
    let before = before.map(|cursor| shown::read_cursor(&cursor).ok_or(())).transpose();
    Ok(Filter {
        account: text("account")?,
        action,
        path: text("path")?,
        subject,
        decision,
        request,
        class: text("class")?,
        purpose: text("purpose")?,
        since: moment(text("since")?, "`since` must be a moment as in RFC 3339")?,
        until: moment(text("until")?, "`until` must be a moment as in RFC 3339")?,
        before: before.map_err(invalid("`before` must be the `next` of another page"))?,
        limit: limit.clamp(1, MOST),
    })
}

fn hash_of(hex: &str) -> Option<Vec<u8>> {
    if hex.len() != 64 {
        return None;
    }
    let digits: Option<Vec<u8>> = hex.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    Some(digits?.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Filter, Fault> {
        filter(|name| Ok(pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())))
    }

    #[test]
    fn filters_are_read_and_nonsense_is_refused() {
        assert_eq!(of(&[]).expect("none").limit, 100);
        assert_eq!(of(&[("limit", "100000")]).expect("many").limit, 1000);
        assert_eq!(of(&[("subject", &"0f".repeat(32))]).expect("hash").subject, Some(vec![15; 32]));
        for (name, value) in [
            ("action", "read_sekret"),
            ("decision", "yes"),
            ("subject", "an identifier"),
            ("request_id", "7"),
            ("since", "yesterday"),
            ("until", "now"),
            ("before", "page 2"),
            ("limit", "all"),
        ] {
            assert!(of(&[(name, value)]).is_err(), "{name}");
        }
    }
}
