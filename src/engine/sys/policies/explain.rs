//! Would this account be allowed, and because of what; who may do this; and what a policy of Vault would be in Cedar.

use crate::engine::sys::System;
use crate::engine::sys::capabilities::{Candidate, candidates};
use crate::model::account::Account;
use crate::model::action::Action;
use crate::model::document::Node;
use crate::model::fault::{Complaint, Fault};
use crate::model::mount::Kind;
use crate::model::operation::{Resource, ResourceKind};
use crate::model::reply::Reply;
use crate::policy::asked::Asked;
use crate::policy::convert;
use crate::policy::decision::Because;
use crate::policy::explain::Explanation;
use crate::store::control::{self, ControlKey, ControlKind, SERVER};
use crate::store::directory::Snapshot;
use crate::store::work::Work;

use super::{Question, Target};

impl System {
    pub(super) async fn explain(&self, account: &str, groups: &[String], question: &Question, work: &mut Work) -> Result<Reply, Fault> {
        let mut held = self.groups_of(account, !groups.is_empty(), work).await?;
        held.extend(groups.iter().filter(|group| !held.contains(group)).cloned().collect::<Vec<_>>());
        let groups = held;
        let asked = asking(question, Asked::account(account, &groups));
        let set = self.rules.current();
        let mut shown = Vec::new();
        for (action, resource) in self.targets(question)? {
            let explanation = set.explain(&asked, action, &resource, &question.circumstances, self.clock.now());
            shown.push((explanation.allowed, explanation.because, explained(action, &resource, explanation)));
        }
        // A request that needs several rights, such as a batch over two transformations, needs all of them.
        let decisive = shown.iter().find(|(allowed, ..)| !allowed).or(shown.first());
        let (allowed, because) = decisive.map_or((false, Because::NonePermits), |(allowed, because, _)| (*allowed, *because));
        let members = [
            ("account", Node::text(account)),
            ("groups", Node::texts(groups)),
            ("allowed", Node::Bool(allowed)),
            ("because", Node::text(because.name())),
            ("says", Node::text(because.to_string())),
            ("decisions", Node::List(shown.into_iter().map(|(.., node)| node).collect())),
        ];
        Ok(Reply::data(Node::object(members)))
    }

    pub(super) async fn who(&self, question: &Question, work: &mut Work) -> Result<Reply, Fault> {
        let mut accounts = Vec::new();
        for row in control::all(work, self.tools.barrier.control(), ControlKind::Account, SERVER).await? {
            let account: Account = serde_json::from_str(&row.body).map_err(|_| Fault::Integrity("an account cannot be read"))?;
            if !account.disabled {
                accounts.push((row.key.name, account.groups));
            }
        }
        let asked: Vec<Asked<'_>> = accounts.iter().map(|(name, groups)| asking(question, Asked::account(name, groups))).collect();
        let set = self.rules.current();
        let mut rows = Vec::new();
        for (action, resource) in self.targets(question)? {
            let holders = set.who(&asked, action, &resource, &question.circumstances, self.clock.now());
            let holders = holders.into_iter().map(|holder| {
                Node::object([
                    ("account", Node::text(holder.account)),
                    ("policies", Node::texts(holder.policies.iter().map(|id| id.to_string()))),
                ])
            });
            rows.push(Node::object([
                ("action", Node::text(action.name())),
                ("resource", shown(&resource)),
                ("holders", Node::List(holders.collect())),
            ]));
        }
        Ok(Reply::data(Node::object([("targets", Node::List(rows))])))
    }

    pub(super) fn convert(&self, name: &str, text: &str) -> Result<Reply, Fault> {
        let snapshot = self.tools.directory.current();
        let mounts: Vec<(&str, Kind)> = snapshot.mounts().iter().map(|mount| (mount.path.as_str(), mount.kind)).collect();
        let converted =
            convert::convert(name, text, &mounts).map_err(|error| Fault::Invalid(Complaint::new(error.message).position(error.line, 1)))?;
        let left_out = converted.unexpressed.into_iter().map(|left| {
            Node::object([
                ("path", Node::text(left.path)),
                ("line", Node::whole(i64::try_from(left.line).unwrap_or(i64::MAX))),
                ("reason", Node::text(left.reason)),
            ])
        });
        Ok(Reply::data(Node::object([("policy", Node::text(converted.cedar)), ("not_expressed", Node::List(left_out.collect()))])))
    }

    /// What the question is about, as policies name it; at least one.
    fn targets(&self, question: &Question) -> Result<Vec<(Action, Resource)>, Fault> {
        let snapshot = self.tools.directory.current();
        let found: Vec<Candidate> = match &question.target {
            Target::Named(action, resource) => return Ok(vec![(*action, placed(resource, &snapshot))]),
            Target::Requested(verb, path) => candidates(&snapshot, path)?.into_iter().filter(|may| may.verb == *verb).collect(),
            Target::AtPath(action, path) => candidates(&snapshot, path)?.into_iter().filter(|may| may.action == *action).collect(),
        };
        if found.is_empty() {
            return Err(Fault::invalid("nothing of this kind can be done at this path"));
        }
        let mut targets: Vec<(Action, Resource)> = Vec::new();
        for candidate in found {
            let target = (candidate.action, candidate.resource);
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        Ok(targets)
    }

    async fn groups_of(&self, account: &str, may_be_missing: bool, work: &Work) -> Result<Vec<String>, Fault> {
        let key = ControlKey::new(ControlKind::Account, SERVER, account);
        match control::load(work.store(), self.tools.barrier.control(), &key).await? {
            Some(row) => {
                let account: Account = serde_json::from_str(&row.body).map_err(|_| Fault::Integrity("an account cannot be read"))?;
                Ok(account.groups)
            }
            None if may_be_missing => Ok(Vec::new()),
            None => Err(Fault::not_found("there is no account of this name, give `groups` to ask about one to be")),
        }
    }
}

/// Finds the mount of what lives under one, where it was not said.
fn placed(resource: &Resource, snapshot: &Snapshot) -> Resource {
    let below =
        matches!(resource.kind, ResourceKind::Secret | ResourceKind::Transformation | ResourceKind::Subject | ResourceKind::Setting);
    let mut resource = resource.clone();
    if below && resource.mount.is_none() {
        let holds = |path: &str| resource.id.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        resource.mount = snapshot.mounts().iter().find(|mount| holds(&mount.path)).map(|mount| mount.path.clone());
    }
    resource
}

fn asking<'a>(question: &'a Question, mut asked: Asked<'a>) -> Asked<'a> {
    if let Some(method) = &question.method {
        asked = asked.by(method);
    }
    if let Some(peer) = question.peer {
        asked = asked.from_peer(peer);
    }
    asked
}

fn explained(action: Action, resource: &Resource, explanation: Explanation) -> Node {
    let policies = explanation.policies.into_iter().map(|policy| {
        Node::object([("id", Node::text(policy.id.to_string())), ("effect", Node::text(policy.effect)), ("text", Node::text(policy.text))])
    });
    Node::object([
        ("action", Node::text(action.name())),
        ("resource", shown(resource)),
        ("allowed", Node::Bool(explanation.allowed)),
        ("because", Node::text(explanation.because.name())),
        ("says", Node::text(explanation.because.to_string())),
        ("policies", Node::List(policies.collect())),
        ("evaluated", Node::whole(i64::try_from(explanation.evaluated).unwrap_or(i64::MAX))),
    ])
}

fn shown(resource: &Resource) -> Node {
    Node::object([
        ("kind", Node::text(resource.kind.name())),
        ("id", Node::text(resource.id.clone())),
        ("class", Node::text_or_null(resource.class.clone())),
    ])
}
