//! `sys/ledger/summary`: requests by account and day, refusals by policy, reveals by class.

use std::time::Duration;

use crate::model::call::{Call, Verb};
use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::reply::Reply;
use crate::store::ledger_summary::{Counted, OfAccount, OfClass, OfRefusal, by_account, by_class, by_refusal};
use crate::store::work::Work;

use super::super::parse::only;

/// What is counted unless the caller says since when.
const USUAL: Duration = Duration::from_secs(7 * 24 * 3600);

/// The most rows of an answer.
const MOST: i64 = 5000;

#[derive(Debug, Clone, Copy)]
pub struct Summary {
    by: By,
    counted: Counted,
}

#[derive(Debug, Clone, Copy)]
enum By {
    Accounts,
    Refusals,
    Reveals,
}

pub(super) fn parse(call: &Call) -> Result<Summary, Fault> {
    only(call, Verb::Read)?;
    let by = match call.query.value("by") {
        None | Some("" | "accounts") => By::Accounts,
        Some("refusals") => By::Refusals,
        Some("reveals") => By::Reveals,
        Some(_) => return Err(Fault::invalid("`by` must be `accounts`, `refusals` or `reveals`")),
    };
    let moment = |name, what| {
        let text = call.query.value(name).filter(|text| !text.is_empty());
        text.map(|text| Timestamp::from_rfc3339(text).ok_or(Fault::invalid(what))).transpose()
    };
    let until = moment("until", "`until` must be a moment as in RFC 3339")?.unwrap_or(call.now);
    let usual = || Timestamp::from_unix_micros(until.unix_micros().saturating_sub(i64::try_from(USUAL.as_micros()).unwrap_or(0)));
    let since = moment("since", "`since` must be a moment as in RFC 3339")?.unwrap_or_else(usual);
    Ok(Summary { by, counted: Counted { since, until, limit: MOST + 1 } })
}

impl Summary {
    pub(super) async fn run(&self, work: &mut Work) -> Result<Reply, Fault> {
        let (name, mut rows) = match self.by {
            By::Accounts => ("accounts", nodes(by_account(work.store(), self.counted).await?, of_account)),
            By::Refusals => ("refusals", nodes(by_refusal(work.store(), self.counted).await?, of_refusal)),
            By::Reveals => ("reveals", nodes(by_class(work.store(), self.counted).await?, of_class)),
        };
        let most = usize::try_from(MOST).unwrap_or(usize::MAX);
        let truncated = rows.len() > most;
        rows.truncate(most);
        work.facts.count = u64::try_from(rows.len()).ok();
        Ok(Reply::data(Node::object([
            ("by", Node::text(name)),
            ("since", Node::text(self.counted.since.to_rfc3339())),
            ("until", Node::text(self.counted.until.to_rfc3339())),
            ("rows", Node::List(rows)),
            ("truncated", Node::Bool(truncated)),
        ])))
    }
}

fn nodes<T>(rows: Vec<T>, node: fn(T) -> Node) -> Vec<Node> {
    rows.into_iter().map(node).collect()
}

fn of_account(row: OfAccount) -> Node {
    Node::object([
        ("day", Node::text(row.day.to_string())),
        ("account", Node::text(row.account)),
        ("requests", Node::whole(row.requests)),
        ("granted", Node::whole(row.granted)),
        ("denied", Node::whole(row.denied)),
        ("failed", Node::whole(row.failed)),
        ("revealed", Node::whole(row.revealed)),
    ])
}

fn of_refusal(row: OfRefusal) -> Node {
    Node::object([
        ("day", Node::text(row.day.to_string())),
        ("account", Node::text(row.account)),
        ("action", Node::text(row.action)),
        ("because", Node::text(row.because)),
        ("policy", Node::text_or_null(row.policy)),
        ("refusals", Node::whole(row.refusals)),
    ])
}

fn of_class(row: OfClass) -> Node {
    Node::object([
        ("day", Node::text(row.day.to_string())),
        ("class", Node::text_or_null(row.class)),
        ("account", Node::text(row.account)),
        ("purpose", Node::text_or_null(row.purpose)),
        ("requests", Node::whole(row.requests)),
        ("revealed", Node::whole(row.revealed)),
    ])
}
