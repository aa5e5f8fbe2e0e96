//! Verdicts as callers see them.

use crate::audit::verify::{Report, StreamReport, Verdict};
use crate::model::document::Node;

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
