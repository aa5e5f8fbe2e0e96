//! `sys/audit`: the one audit device that there is.

use crate::model::document::Node;
use crate::model::reply::{Answer, Reply};

pub(super) fn devices() -> Reply {
    let ledger = Node::object([
        ("type", Node::text("ledger")),
        ("description", Node::text("the append-only ledger, always on")),
        ("path", Node::text("ledger/")),
        ("options", Node::Object(Vec::new())),
        ("local", Node::Bool(false)),
    ]);
    Reply::new(Answer::Table(vec![("ledger/".to_owned(), ledger)]))
}
