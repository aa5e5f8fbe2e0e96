//! `sys/ledger/export`: the ledger as NDJSON, whatever its size, in pages of bounded size.
//!
//! An answer that streams would have left in part before its entry could say how much it revealed. Pages keep the gate's one path: each
//! is read, recorded and only then sent, and the header `X-Goldfin-Next` says where the next begins. The first page fixes where the
//! export ends, so that it comes to an end while the ledger grows.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use goldfin_crypto::Plaintext;

use crate::audit::lines::ndjson;
use crate::model::call::{Call, Verb};
use crate::model::clock::Timestamp;
use crate::model::fault::Fault;
use crate::model::reply::{Answer, Reply};
use crate::store::ledger_export::{Rest, plan, take};
use crate::store::work::Work;

use super::super::parse::only;

/// Entries of a page, and bytes about which it ends.
const MOST: usize = 5000;
const BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug)]
pub enum Export {
    Begin { stream: Option<String>, since: Option<Timestamp>, until: Option<Timestamp>, limit: usize },
    GoOn { rest: Vec<Rest>, limit: usize },
}

pub(super) fn parse(call: &Call) -> Result<Export, Fault> {
    only(call, Verb::Read)?;
    let text = |name| call.query.value(name).filter(|text| !text.is_empty());
    let limit = text("limit").map_or(Ok(MOST), str::parse).map_err(|_| Fault::invalid("`limit` must be a whole number"))?.clamp(1, MOST);
    if let Some(cursor) = text("cursor") {
        if ["stream", "since", "until"].iter().any(|name| text(name).is_some()) {
            return Err(Fault::invalid("`cursor` goes on with an export, leave `stream`, `since` and `until` out"));
        }
        let rest = read_cursor(cursor).ok_or(Fault::invalid("`cursor` must be the `X-Goldfin-Next` of another page"))?;
        return Ok(Export::GoOn { rest, limit });
    }
    let moment = |name, what| text(name).map(|text| Timestamp::from_rfc3339(text).ok_or(Fault::invalid(what))).transpose();
    Ok(Export::Begin {
        stream: text("stream").map(str::to_owned),
        since: moment("since", "`since` must be a moment as in RFC 3339")?,
        until: moment("until", "`until` must be a moment as in RFC 3339")?,
        limit,
    })
}

impl Export {
    pub(super) async fn run(&self, work: &mut Work) -> Result<Reply, Fault> {
        let (mut rest, limit) = match self {
            Self::Begin { stream, since, until, limit } => (plan(work.store(), stream.as_deref(), *since, *until).await?, *limit),
            Self::GoOn { rest, limit } => (rest.clone(), *limit),
        };
        let entries = take(work.store(), &mut rest, limit, BYTES).await?;
        work.facts.count = u64::try_from(entries.len()).ok();
        let next = (!rest.is_empty()).then(|| cursor(&rest));
        Ok(Reply::new(Answer::Lines { lines: Plaintext::new(ndjson(&entries)), next }))
    }
}

fn cursor(rest: &[Rest]) -> String {
    let parts: Vec<String> = rest.iter().map(|Rest { stream, next, last }| format!("{stream}.{next}.{last}")).collect();
    URL_SAFE_NO_PAD.encode(parts.join(","))
}

fn read_cursor(text: &str) -> Option<Vec<Rest>> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let rest = text.split(',').map(|part| {
        let mut numbers = part.splitn(3, '.');
        let rest = Rest { stream: numbers.next()?.parse().ok()?, next: numbers.next()?.parse().ok()?, last: numbers.next()?.parse().ok()? };
        (rest.next > 0 && rest.next <= rest.last && rest.last < i64::MAX).then_some(rest)
    });
    rest.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_a_forged_one_is_refused() {
        let rest = vec![Rest { stream: 1, next: 5, last: 9 }, Rest { stream: 12, next: 1, last: 1 }];
        assert_eq!(read_cursor(&cursor(&rest)), Some(rest));
        for forged in ["", "1.5", "1.0.9", "1.9.5", "1.1.9223372036854775807", "x.1.2", "1.1.2,"] {
            assert_eq!(read_cursor(&URL_SAFE_NO_PAD.encode(forged)), None, "{forged}");
        }
        assert_eq!(read_cursor("not base64!"), None);
    }
}
