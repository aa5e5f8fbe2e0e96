//! From the path below `sys` and the verb to an operation. What a row of `docs/policies.md` names is decided here, once.

use crate::engine::keys::RotateOp;
use crate::model::call::{Call, Verb};
use crate::model::fault::Fault;

use super::op::Op;
use super::{accounts, capabilities, ledger, mounts, policies, quotas};

pub(super) fn parse(call: Call) -> Result<Op, Fault> {
    let tail = call.tail.clone();
    let (head, rest) = tail.split_once('/').unwrap_or((tail.as_str(), ""));
    match head {
        "mounts" => mounts::parse(call, mounts::Side::Engines, rest).map(Op::Mounts),
        "auth" => mounts::parse(call, mounts::Side::Methods, rest).map(Op::Mounts),
        "policies" | "policy" => policies::parse(call, &tail).map(Op::Policies),
        "accounts" => accounts::parse(call, rest).map(Op::Accounts),
        "capabilities" | "capabilities-self" | "capabilities-accessor" if rest.is_empty() => {
            capabilities::parse(call, head).map(Op::Capabilities)
        }
        "internal" if rest == "specs/openapi" => only(&call, Verb::Read).map(|()| Op::Api),
        "internal" => own_mounts(&call, rest),
        "quotas" => quotas::parse(call, rest).map(Op::Quotas),
        "ledger" => ledger::parse(call, rest).map(Op::Ledger),
        _ if RotateOp::answers(&tail) => RotateOp::parse(call).map(Op::Keys),
        "audit" if rest.is_empty() => match call.verb {
            Verb::Read | Verb::List => Ok(Op::AuditDevices),
            _ => Err(Fault::invalid("the ledger is the only audit device: always on, and not to be changed")),
        },
        "metrics" if rest.is_empty() => {
            only(&call, Verb::Read)?;
            match call.query.value("format") {
                None | Some("" | "prometheus") => Ok(Op::Metrics),
                Some(_) => Err(Fault::invalid("`format` must be `prometheus`, the only one that there is")),
            }
        }
        "seal" if rest.is_empty() => {
            only(&call, Verb::Write)?;
            Ok(Op::Seal)
        }
        _ => Err(unknown_path()),
    }
}

fn own_mounts(call: &Call, rest: &str) -> Result<Op, Fault> {
    let Some(path) = rest.strip_prefix("ui/mounts") else { return Err(unknown_path()) };
    only(call, Verb::Read)?;
    match path.strip_prefix('/') {
        None if path.is_empty() => Ok(Op::OwnMounts(None)),
        Some(path) => Ok(Op::OwnMounts(Some(path.to_owned()))),
        None => Err(unknown_path()),
    }
}

/// The path has this verb and no other.
pub(super) fn only(call: &Call, verb: Verb) -> Result<(), Fault> {
    if call.verb == verb { Ok(()) } else { Err(Fault::WrongVerb) }
}

pub(super) fn unknown_path() -> Fault {
    Fault::not_found("there is no such path below `sys`")
}
