//! Reading and writing the stored set. It is replaced as a whole or not at all: every write compiles the whole resulting set first.

use std::collections::BTreeMap;

use crate::auth::principal::Principal;
use crate::engine::sys::System;
use crate::model::action::Action;
use crate::model::change::Change;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::operation::{Circumstances, Resource, ResourceKind};
use crate::model::reply::{Answer, Reply};
use crate::policy::asked::Asked;
use crate::policy::compile::{BASE_NAME, Compiled};
use crate::policy::source::{PolicyError, PolicySource, concerns_only_group};
use crate::store::auth_token::ROOT_GROUP;
use crate::store::control::{self, ControlKey, ControlKind, ControlRow, SERVER};
use crate::store::work::Work;

use super::PolicyOp;
use super::reason::complain;

impl System {
    pub(in crate::engine::sys) async fn run_policies(&self, op: &PolicyOp, who: &Principal, work: &mut Work) -> Result<Reply, Fault> {
        match op {
            PolicyOp::List { old } => self.list_policies(*old),
            PolicyOp::Read { name, old } => self.read_policy(name, *old),
            PolicyOp::Write { source, own } => self.write_policy(source, *own, who, work).await,
            PolicyOp::Delete(name) => self.delete_policy(name, work).await,
            PolicyOp::Load(set) => self.load_policies(set, work).await,
            PolicyOp::Test { set, tables } => self.test_policies(set.as_deref(), tables).await,
            PolicyOp::Explain { account, groups, question } => self.explain(account, groups, question, work).await,
            PolicyOp::Who(question) => self.who(question, work).await,
            PolicyOp::Convert { name, text } => self.convert(name, text),
        }
    }

    fn list_policies(&self, old: bool) -> Result<Reply, Fault> {
        let snapshot = self.tools.directory.current();
        let names: Vec<String> = snapshot.names(ControlKind::Policy, SERVER).map(str::to_owned).collect();
        if names.is_empty() {
            return Err(Fault::not_found(""));
        }
        let members = vec![("keys".to_owned(), Node::texts(names.clone())), ("policies".to_owned(), Node::texts(names))];
        Ok(Reply::new(if old { Answer::Table(members) } else { Answer::Data(Node::Object(members)) }))
    }

    fn read_policy(&self, name: &str, old: bool) -> Result<Reply, Fault> {
        let snapshot = self.tools.directory.current();
        let text = snapshot.body(ControlKind::Policy, SERVER, name)?.ok_or_else(|| Fault::not_found("there is no policy of this name"))?;
        let of = |member: &str| vec![("name".to_owned(), Node::text(name)), (member.to_owned(), Node::text(text))];
        Ok(Reply::new(if old { Answer::Table(of("rules")) } else { Answer::Data(Node::Object(of("policy"))) }))
    }

    async fn write_policy(&self, source: &PolicySource, own: bool, who: &Principal, work: &mut Work) -> Result<Reply, Fault> {
        let stored = self.stored_policies(work).await?;
        if let Some(row) = stored.get(&source.name).filter(|_| own) {
            self.check_replaced(row, who, work)?;
        }
        let mut next: Vec<PolicySource> = stored.values().filter(|row| row.key.name != source.name).map(source_of).collect();
        next.push(source.clone());
        if let Err(error) = compiled(next).await? {
            return Err(of_another(&error, std::slice::from_ref(source)).unwrap_or_else(|| complain(&error, None)));
        }
        let before = stored.get(&source.name).map_or(0, |row| row.version);
        self.put_policy(source, before, work).await?;
        Ok(Reply::nothing().then(Change::Directory))
    }

    /// The right to one policy does not cover a text that stands there and concerns others: a `forbid` for everybody would be gone.
    fn check_replaced(&self, row: &ControlRow, who: &Principal, work: &mut Work) -> Result<(), Fault> {
        if concerns_only_group(&row.body, &row.key.name).unwrap_or(false) {
            return Ok(());
        }
        let alone = Circumstances { batch_size: 1, ..Circumstances::default() };
        let every = Resource::new(ResourceKind::Policy, "*");
        let decision = self.rules.decide(&Asked::from(who), Action::WritePolicies, &every, &alone, work.now());
        if decision.allowed {
            return Ok(());
        }
        work.facts.reason = Some("replaces_wider");
        Err(Fault::Denied)
    }

    async fn delete_policy(&self, name: &str, work: &mut Work) -> Result<Reply, Fault> {
        if is_reserved(name) {
            return Err(Fault::invalid("this policy is part of goldfin and stays"));
        }
        self.lock_directory(work).await?;
        let gone = control::delete(work, self.tools.barrier.control(), &ControlKey::new(ControlKind::Policy, SERVER, name)).await?;
        Ok(if gone { Reply::nothing().then(Change::Directory) } else { Reply::nothing() })
    }

    async fn load_policies(&self, set: &[PolicySource], work: &mut Work) -> Result<Reply, Fault> {
        let stored = self.stored_policies(work).await?;
        if let Err(error) = compiled(set.to_vec()).await? {
            let item = set.iter().position(|source| source.name == error.policy);
            return Err(complain(&error, item));
        }
        for name in stored.keys().filter(|name| !set.iter().any(|source| source.name == **name)) {
            control::delete(work, self.tools.barrier.control(), &ControlKey::new(ControlKind::Policy, SERVER, name.as_str())).await?;
        }
        for source in set {
            let row = stored.get(&source.name);
            if row.is_none_or(|row| row.body != source.text) {
                self.put_policy(source, row.map_or(0, |row| row.version), work).await?;
            }
        }
        work.facts.count = u64::try_from(set.len()).ok();
        Ok(Reply::nothing().then(Change::Directory))
    }

    /// The set as it is stored, under the lock that keeps it so until the commit.
    async fn stored_policies(&self, work: &mut Work) -> Result<BTreeMap<String, ControlRow>, Fault> {
        self.lock_directory(work).await?;
        let rows = control::all(work, self.tools.barrier.control(), ControlKind::Policy, SERVER).await?;
        Ok(rows.into_iter().map(|row| (row.key.name.clone(), row)).collect())
    }

    async fn put_policy(&self, source: &PolicySource, before: i64, work: &mut Work) -> Result<(), Fault> {
        let key = ControlKey::new(ControlKind::Policy, SERVER, source.name.as_str());
        control::put(work, self.tools.barrier.control(), &key, before, &source.text).await?;
        Ok(())
    }
}

/// Compiling thousands of statements takes a tenth of a second: not on a thread that others wait for.
pub(super) async fn compiled(set: Vec<PolicySource>) -> Result<Result<Compiled, PolicyError>, Fault> {
    tokio::task::spawn_blocking(move || Compiled::new(&set)).await.map_err(|_| Fault::Internal("policy"))
}

/// The complaint where it is not the given text that does not compile but a stored one.
fn of_another(error: &PolicyError, given: &[PolicySource]) -> Option<Fault> {
    if error.policy.is_empty() || given.iter().any(|source| source.name == error.policy) {
        return None;
    }
    let what = "the set cannot be taken because of another policy that is stored, put that one right first";
    Some(Fault::Invalid(crate::model::fault::Complaint::new(what).stored(error.policy.clone())))
}

fn is_reserved(name: &str) -> bool {
    [BASE_NAME, ROOT_GROUP].iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}

fn source_of(row: &ControlRow) -> PolicySource {
    PolicySource { name: row.key.name.clone(), text: row.body.clone() }
}
