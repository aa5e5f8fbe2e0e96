//! The words for each path. Decided by the function that decides requests, for one value and without a purpose.

use crate::auth::principal::Principal;
use crate::engine::sys::System;
use crate::engine::sys::run::shown_token;
use crate::model::action::Action;
use crate::model::call::Verb;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::operation::{Resource, ResourceKind};
use crate::model::path::CanonicalPath;
use crate::model::reply::{Answer, Reply};
use crate::policy::asked::Asked;
use crate::policy::compile::Compiled;
use crate::policy::explain::Possibility;
use crate::store::auth_token::{self, AuthTokenRow, Line};
use crate::store::directory::Snapshot;
use crate::store::work::Work;

use super::{CapabilityOp, Whose, candidates};

impl System {
    pub(in crate::engine::sys) async fn run_capabilities(
        &self,
        op: &CapabilityOp,
        who: &Principal,
        work: &mut Work,
    ) -> Result<Reply, Fault> {
        let other = match &op.whose {
            Whose::Own => None,
            Whose::Token(text) => Some(self.of_token(text, work).await?),
            Whose::Accessor(accessor) => Some(self.of_accessor(accessor, work).await?),
        };
        if let Some(row) = &other {
            work.facts.accessor = Some(row.accessor.clone());
        }
        let asked = match &other {
            Some(row) => Asked::account(&row.account, &row.groups).by(&row.method),
            None => Asked::from(who),
        };
        let (set, snapshot) = (self.rules.current(), self.tools.directory.current());
        let mut members = Vec::with_capacity(op.paths.len() + 1);
        for path in &op.paths {
            members.push((path.clone(), words(&set, &snapshot, &asked, path, work)?));
        }
        if let Some(path) = op.paths.first() {
            members.push(("capabilities".to_owned(), words(&set, &snapshot, &asked, path, work)?));
        }
        Ok(Reply::new(Answer::Table(members)))
    }

    async fn of_token(&self, text: &goldfin_crypto::Plaintext, work: &Work) -> Result<AuthTokenRow, Fault> {
        let fingerprint = shown_token(text)?.fingerprint(self.tools.barrier.lookup());
        living(auth_token::find(work.store(), self.tools.barrier.control(), &fingerprint).await?, work)
    }

    async fn of_accessor(&self, accessor: &str, work: &Work) -> Result<AuthTokenRow, Fault> {
        living(auth_token::find_by_accessor(work.store(), self.tools.barrier.control(), accessor).await?, work)
    }
}

fn living(line: Option<Line>, work: &Work) -> Result<AuthTokenRow, Fault> {
    match line {
        Some(line) if !line.is_expired(work.now()) => Ok(line.found.row),
        _ => Err(Fault::invalid("there is no such auth token, or it has expired or been revoked")),
    }
}

fn words(set: &Compiled, snapshot: &Snapshot, asked: &Asked<'_>, path: &str, work: &Work) -> Result<Node, Fault> {
    // What is no path leads nowhere; only `root` is told otherwise, as by Vault.
    let path = CanonicalPath::from_text(path.trim_matches('/'));
    let found = path.map_or_else(|_| Ok(Vec::new()), |path| candidates(snapshot, &path))?;
    let mut possible = Vec::new();
    for candidate in found {
        for capability in capabilities_of(candidate.verb) {
            possible.push(Possibility { capability, action: candidate.action, resource: candidate.resource.clone() });
            if candidate.action == Action::WritePolicy {
                let all = Resource::new(ResourceKind::Policy, "*");
                possible.push(Possibility { capability, action: Action::WritePolicies, resource: all });
            }
        }
    }
    Ok(Node::texts(set.capabilities(asked, &possible, work.now())))
}

const fn capabilities_of(verb: Verb) -> &'static [&'static str] {
    match verb {
        Verb::Read | Verb::Probe => &["read"],
        Verb::List => &["list"],
        Verb::Write => &["create", "update"],
        Verb::Patch => &["patch"],
        Verb::Delete => &["delete"],
    }
}
