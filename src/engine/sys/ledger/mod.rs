//! `sys/ledger`: reading and verifying what was recorded. Reading it is recorded like anything else.

mod asking;
mod export;
mod run;
mod shown;
mod summary;
mod tree;
mod witness;

use goldfin_crypto::Plaintext;

use crate::model::action::Action;
use crate::model::call::{Call, Verb};
use crate::model::fault::Fault;
use crate::model::path::is_mount_path;
use crate::store::ledger_search::Search;

use super::parse::{only, unknown_path};

#[derive(Debug)]
pub enum LedgerOp {
    Entries {
        search: Search,
        ndjson: bool,
    },
    /// The same with a person's own identifier, which belongs in no path or query; its keyed hash is looked for.
    Search {
        search: Search,
        subject: Option<(Plaintext, String)>,
        ndjson: bool,
    },
    /// A stream by its number or its node's name.
    Entry {
        stream: String,
        seq: i64,
    },
    Export(export::Export),
    Summary(summary::Summary),
    Verify {
        /// Notes that the caller has kept.
        checkpoints: Vec<String>,
    },
    /// Checkpoints, tiles, proofs.
    Tree(tree::TreeOp),
    /// For other ledgers, which this one is a witness of.
    Witness(witness::WitnessOp),
}

impl LedgerOp {
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Verify { .. } => Action::VerifyLedger,
            Self::Tree(op) => op.action(),
            Self::Witness(op) => op.action(),
            _ => Action::ReadLedger,
        }
    }
}

pub(super) fn parse(mut call: Call, rest: &str) -> Result<LedgerOp, Fault> {
    if let Some(rest) = rest.strip_prefix("witness").filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        return witness::WitnessOp::parse(&call, rest.trim_start_matches('/')).map(LedgerOp::Witness);
    }
    if let Some(op) = tree::TreeOp::parse(&call, rest) {
        return op.map(LedgerOp::Tree);
    }
    match rest {
        "entries" => {
            if !matches!(call.verb, Verb::Read | Verb::List) {
                return Err(Fault::WrongVerb);
            }
            let search = asking::search(|name| Ok(call.query.value(name).filter(|text| !text.is_empty()).map(str::to_owned)))?;
            Ok(LedgerOp::Entries { search, ndjson: is_ndjson(call.query.value("format"))? })
        }
        "search" => parse_search(&mut call),
        "export" => export::parse(&call).map(LedgerOp::Export),
        "summary" => summary::parse(&call).map(LedgerOp::Summary),
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
    let search = asking::search(|name| match name {
        "subject" => Ok(None),
        "limit" | "status" => Ok(body.whole(name)?.map(|number| number.to_string())),
        name => body.word(name),
    })?;
    body.finish(&[])?;
    Ok(LedgerOp::Search { search, subject: subject.map(|subject| (subject, mount)), ndjson: is_ndjson(format.as_deref())? })
}

fn is_ndjson(format: Option<&str>) -> Result<bool, Fault> {
    match format {
        None | Some("" | "json") => Ok(false),
        Some("ndjson") => Ok(true),
        Some(_) => Err(Fault::invalid("`format` must be `json` or `ndjson`")),
    }
}
