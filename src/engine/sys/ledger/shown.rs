//! Entries and verdicts as callers see them.

use goldfin_crypto::Plaintext;
use goldfin_crypto::digest::hex;

use crate::audit::chain;
use crate::audit::verify::{Report, StreamReport, Verdict};
use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::store::ledger::StoredEntry;

/// The canonical members of the entry, its MAC and its leaf hash.
pub(super) fn entry(stored: &StoredEntry) -> Node {
    let mut members = match Node::parse(stored.body.as_bytes()) {
        Ok(Node::Object(members)) => members,
        // Not what goldfin wrote: shown as it is, so that the page around it can be read.
        _ => vec![
            ("stream".to_owned(), Node::whole(stored.stream.into())),
            ("seq".to_owned(), Node::whole(stored.seq)),
            ("unreadable".to_owned(), Node::text(stored.body.clone())),
        ],
    };
    members.push(("mac".to_owned(), Node::text(hex(&stored.mac))));
    members.push(("leaf".to_owned(), Node::text(hex(&chain::leaf(&stored.body)))));
    Node::Object(members)
}

/// One entry a line.
pub(super) fn ndjson(entries: &[StoredEntry]) -> Plaintext {
    let mut out = Vec::with_capacity(entries.iter().map(|entry| entry.body.len() + 192).sum());
    for stored in entries {
        entry(stored).write(&mut out);
        out.push(b'\n');
    }
    Plaintext::new(out)
}

/// Where the next page begins: the time, stream and number of the last entry of this one, so that whoever reads NDJSON can make it too.
pub(super) fn cursor(last: &StoredEntry) -> String {
    format!("{},{},{}", Timestamp::from_date(last.time).to_rfc3339(), last.stream, last.seq)
}

pub(super) fn read_cursor(text: &str) -> Option<(time::OffsetDateTime, i32, i64)> {
    let mut parts = text.splitn(3, ',');
    let time = Timestamp::from_rfc3339(parts.next()?)?;
    Some((time.to_date(), parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub(super) fn report(report: &Report) -> Node {
    let code = report.exit_code();
    let verdict = match code {
        0 => "sound",
        2 => "tampered",
        _ => "shorter",
    };
    Node::object([
        ("sound", Node::Bool(code == 0)),
        ("verdict", Node::text(verdict)),
        ("exit_code", Node::whole(code.into())),
        ("entries", Node::whole(report.entries())),
        ("streams", Node::List(report.streams.iter().map(stream).collect())),
    ])
}

fn stream(report: &StreamReport) -> Node {
    let (verdict, seq, what) = match &report.verdict {
        Verdict::Sound => ("sound", None, None),
        Verdict::Tampered { seq, what } => ("tampered", Some(*seq), Some(*what)),
        Verdict::Shorter { ends, .. } => ("shorter", Some(*ends), Some("the entries end before a place that is known")),
    };
    Node::object([
        ("stream", Node::whole(report.stream.0.into())),
        ("node", Node::text(report.node.clone())),
        ("entries", Node::whole(report.entries)),
        ("verdict", Node::text(verdict)),
        ("seq", seq.map_or(Node::Null, Node::whole)),
        ("what", Node::text_or_null(what)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        let time = Timestamp::from_unix_micros(1_700_000_000_000_001);
        let place = read_cursor("2023-11-14T22:13:20.000001Z,3,77").expect("reads");
        assert_eq!(place, (time.to_date(), 3, 77));
        assert!(read_cursor("2023-11-14T22:13:20.000001Z,3").is_none());
    }
}
