//! Writing accounts and the rows of their aliases.
//!
//! Auth tokens carry the groups that their account had when they were made, so whatever takes a right from an account ends its tokens.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::auth::principal::Principal;
use crate::engine::sys::System;
use crate::model::account::{Account, Alias};
use crate::model::action::Action;
use crate::model::change::Change;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::operation::{Circumstances, Resource, ResourceKind};
use crate::model::reply::Reply;
use crate::policy::asked::Asked;
use crate::store::auth_token;
use crate::store::control::{self, ControlKey, ControlKind, SERVER};
use crate::store::work::Work;

use super::{AccountOp, Wanted};

impl System {
    pub(in crate::engine::sys) async fn run_accounts(&self, op: &AccountOp, who: &Arc<Principal>, work: &mut Work) -> Result<Reply, Fault> {
        match op {
            AccountOp::List => Reply::keys(control::names(work.store(), ControlKind::Account, SERVER).await?),
            AccountOp::Read(name) => {
                let row = control::load(work.store(), self.tools.barrier.control(), &key(name)).await?.ok_or_else(no_account)?;
                Ok(Reply::data(shown(name, &read(&row.body)?)))
            }
            AccountOp::Write(name, wanted) => self.write_account(name, wanted, who, work).await,
            AccountOp::Delete(name) => self.delete_account(name, work).await,
        }
    }

    async fn write_account(&self, name: &str, wanted: &Wanted, who: &Principal, work: &mut Work) -> Result<Reply, Fault> {
        let mac = self.tools.barrier.control();
        let (before, version) = match control::lock(work, mac, &key(name)).await? {
            Some(row) => (Some(read(&row.body)?), row.version),
            None => (None, 0),
        };
        let old = before.unwrap_or_else(|| Account { created: work.now(), ..Account::default() });
        let new = merged(&old, wanted);
        if hands_on(&old, &new, version == 0) {
            self.check_grants(name, &new, who, work)?;
        }
        let body = serde_json::to_string(&new).map_err(|_| Fault::Internal("account"))?;
        work.facts.version = Some(control::put(work, mac, &key(name), version, &body).await?);
        self.move_aliases(name, &old.aliases, &new.aliases, work).await?;
        let mut reply = Reply::nothing().then(Change::Account(name.to_owned()));
        if takes_away(&old, &new) {
            reply = self.end_tokens(name, reply, work).await?;
        }
        Ok(reply)
    }

    /// An identity that becomes this account, and an account that comes back, receive all of its groups: the caller must be allowed to
    /// hand on each of them, not only those that the request names.
    fn check_grants(&self, name: &str, account: &Account, who: &Principal, work: &mut Work) -> Result<(), Fault> {
        let circumstances = Circumstances { batch_size: 1, grants: account.groups.clone(), ..Circumstances::default() };
        let resource = Resource::new(ResourceKind::Account, name);
        let decision = self.rules.decide(&Asked::from(who), Action::WriteAccount, &resource, &circumstances, work.now());
        if decision.allowed {
            return Ok(());
        }
        work.facts.reason = Some(decision.because.name());
        Err(Fault::Denied)
    }

    async fn delete_account(&self, name: &str, work: &mut Work) -> Result<Reply, Fault> {
        let mac = self.tools.barrier.control();
        let Some(row) = control::lock(work, mac, &key(name)).await? else { return Ok(Reply::nothing()) };
        let account = read(&row.body)?;
        self.move_aliases(name, &account.aliases, &[], work).await?;
        let reply = self.end_tokens(name, Reply::nothing().then(Change::Account(name.to_owned())), work).await?;
        control::delete(work, mac, &key(name)).await?;
        // Whatever is put back is older.
        work.facts.version = row.version.checked_add(1);
        Ok(reply)
    }

    /// Each alias belongs to one account. The rows are visited in one order, so that two requests never wait for each other.
    async fn move_aliases(&self, account: &str, old: &[String], new: &[String], work: &mut Work) -> Result<(), Fault> {
        let mac = self.tools.barrier.control();
        let touched: BTreeSet<&String> = old.iter().chain(new).filter(|alias| !(old.contains(alias) && new.contains(alias))).collect();
        for alias in touched {
            let key = ControlKey::new(ControlKind::Alias, SERVER, alias.as_str());
            let row = control::lock(work, mac, &key).await?;
            if !new.contains(alias) {
                control::delete(work, mac, &key).await?;
                continue;
            }
            match row {
                Some(row) => {
                    let of: Alias = serde_json::from_str(&row.body).map_err(|_| Fault::Integrity("an alias cannot be read"))?;
                    if of.account != account {
                        return Err(Fault::invalid("an alias belongs to another account, take it from that one first"));
                    }
                }
                None => {
                    let body = serde_json::to_string(&Alias { account: account.to_owned() }).map_err(|_| Fault::Internal("alias"))?;
                    control::put(work, mac, &key, 0, &body).await?;
                }
            }
        }
        Ok(())
    }

    async fn end_tokens(&self, account: &str, mut reply: Reply, work: &mut Work) -> Result<Reply, Fault> {
        let ended = auth_token::delete_of_account(work, account).await?;
        work.facts.count = u64::try_from(ended.len()).ok();
        for accessor in ended {
            reply = reply.then(Change::AuthToken(accessor));
        }
        Ok(reply)
    }
}

fn merged(old: &Account, wanted: &Wanted) -> Account {
    Account {
        groups: wanted.groups.clone().unwrap_or_else(|| old.groups.clone()),
        disabled: wanted.disabled.unwrap_or(old.disabled),
        aliases: wanted.aliases.clone().unwrap_or_else(|| old.aliases.clone()),
        metadata: wanted.metadata.clone().unwrap_or_else(|| old.metadata.clone()),
        created: old.created,
    }
}

/// Whether somebody may come to hold rights by the change who did not before.
fn hands_on(old: &Account, new: &Account, is_new: bool) -> bool {
    is_new
        || new.groups.iter().any(|group| !old.groups.contains(group))
        || new.aliases.iter().any(|alias| !old.aliases.contains(alias))
        || (old.disabled && !new.disabled)
}

fn takes_away(old: &Account, new: &Account) -> bool {
    let same = |a: &[String], b: &[String]| a.len() == b.len() && a.iter().all(|group| b.contains(group));
    !same(&old.groups, &new.groups) || old.aliases.iter().any(|alias| !new.aliases.contains(alias)) || (new.disabled && !old.disabled)
}

fn key(name: &str) -> ControlKey {
    ControlKey::new(ControlKind::Account, SERVER, name)
}

fn read(body: &str) -> Result<Account, Fault> {
    serde_json::from_str(body).map_err(|_| Fault::Integrity("an account cannot be read"))
}

fn no_account() -> Fault {
    Fault::not_found("there is no account of this name")
}

fn shown(name: &str, account: &Account) -> Node {
    let metadata = account.metadata.iter().map(|(name, value)| (name.clone(), Node::text(value.clone())));
    Node::object([
        ("name", Node::text(name)),
        ("groups", Node::texts(account.groups.clone())),
        ("aliases", Node::texts(account.aliases.clone())),
        ("disabled", Node::Bool(account.disabled)),
        ("metadata", Node::Object(metadata.collect())),
        ("created", Node::text(account.created.to_rfc3339())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(groups: &[&str], aliases: &[&str], disabled: bool) -> Account {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Account { groups: owned(groups), aliases: owned(aliases), disabled, ..Account::default() }
    }

    #[test]
    fn what_hands_on_and_what_takes_away() {
        let plain = account(&["a"], &["jwt/x"], false);
        for (to, hands, takes) in [
            (account(&["a"], &["jwt/x"], false), false, false),
            (account(&["a", "b"], &["jwt/x"], false), true, true),
            (account(&[], &["jwt/x"], false), false, true),
            (account(&["a"], &["jwt/x", "jwt/y"], false), true, false),
            (account(&["a"], &[], false), false, true),
            (account(&["a"], &["jwt/x"], true), false, true),
        ] {
            assert_eq!((hands_on(&plain, &to, false), takes_away(&plain, &to)), (hands, takes), "{to:?}");
        }
        assert!(hands_on(&account(&["a"], &[], true), &account(&["a"], &[], false), false));
        assert!(hands_on(&Account::default(), &Account::default(), true));
    }
}
