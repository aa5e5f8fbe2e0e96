//! Decision tables against a set of policies, given or in force. Changes nothing.

use std::sync::Arc;

use crate::engine::sys::System;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::reply::Reply;
use crate::policy::compile::Compiled;
use crate::policy::source::PolicySource;
use crate::policy::table::{Outcome, Table};

use super::run::compiled;

impl System {
    pub(super) async fn test_policies(&self, set: Option<&[PolicySource]>, tables: &[(String, String)]) -> Result<Reply, Fault> {
        let mut tally = Tally::default();
        let set: Arc<Compiled> = match set {
            None => self.rules.current(),
            Some(set) => match compiled(set.to_vec()).await? {
                Ok(compiled) => Arc::new(compiled),
                Err(error) => {
                    tally.fail("", &format!("policy `{}`", error.policy), [("because", error.to_string())]);
                    return Ok(tally.answer(false));
                }
            },
        };
        let mut readable = true;
        for (name, text) in tables {
            match Table::read(text) {
                Ok(table) => table.run(&set).into_iter().for_each(|outcome| tally.count(name, outcome)),
                Err(error) => {
                    readable = false;
                    tally.fail(name, "the table", [("because", error.to_string())]);
                }
            }
        }
        Ok(tally.answer(readable))
    }
}

/// What came out, with every failure in words: they go to whoever sent the texts.
#[derive(Default)]
struct Tally {
    passed: i64,
    failures: Vec<Node>,
}

impl Tally {
    fn count(&mut self, table: &str, outcome: Outcome) {
        if outcome.passed {
            self.passed += 1;
            return;
        }
        let verdict = |allowed| if allowed { "allow" } else { "deny" };
        let by = outcome.decision.policies.join(", ");
        let because = outcome.decision.because.name();
        let members = [
            ("expected", verdict(outcome.expected).to_owned()),
            ("decided", verdict(outcome.decision.allowed).to_owned()),
            ("because", if by.is_empty() { because.to_owned() } else { format!("{because}: {by}") }),
        ];
        self.fail(table, &format!("{} ({})", outcome.says, outcome.action), members);
    }

    fn fail<const N: usize>(&mut self, table: &str, case: &str, members: [(&str, String); N]) {
        let named = [("table", table.to_owned()), ("case", case.to_owned())];
        let all = named.into_iter().chain(members).map(|(name, text)| (name.to_owned(), Node::text(text)));
        self.failures.push(Node::Object(all.collect()));
    }

    fn answer(self, valid: bool) -> Reply {
        Reply::data(Node::object([
            ("valid", Node::Bool(valid)),
            ("passed", Node::whole(self.passed)),
            ("failed", Node::whole(i64::try_from(self.failures.len()).unwrap_or(i64::MAX))),
            ("failures", Node::List(self.failures)),
        ]))
    }
}
