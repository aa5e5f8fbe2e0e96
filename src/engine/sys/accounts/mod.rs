//! `sys/accounts`: who may log in, and in which groups.

mod run;

use std::collections::BTreeMap;

use unicode_normalization::is_nfc;

use crate::model::action::Action;
use crate::model::call::{Call, Verb, checked_name};
use crate::model::fault::Fault;
use crate::model::operation::{Resource, ResourceKind};
use crate::store::auth_token::ROOT_GROUP;

#[derive(Debug)]
pub enum AccountOp {
    List,
    Read(String),
    Write(String, Wanted),
    Delete(String),
}

/// What a request says of an account. None leaves it as it is.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub groups: Option<Vec<String>>,
    pub aliases: Option<Vec<String>>,
    pub disabled: Option<bool>,
    pub metadata: Option<BTreeMap<String, String>>,
}

impl AccountOp {
    pub(super) fn action(&self) -> Action {
        match self {
            Self::List => Action::ListAccounts,
            Self::Read(_) => Action::ReadAccount,
            Self::Write(..) => Action::WriteAccount,
            Self::Delete(_) => Action::DeleteAccount,
        }
    }

    pub(super) fn resource(&self) -> Resource {
        let id = match self {
            Self::List => "*",
            Self::Read(name) | Self::Write(name, _) | Self::Delete(name) => name,
        };
        Resource::new(ResourceKind::Account, id)
    }

    /// The groups that the request hands on by naming them. Those that the account has already are judged when it is read.
    pub(super) fn grants(&self) -> &[String] {
        match self {
            Self::Write(_, Wanted { groups: Some(groups), .. }) => groups,
            _ => &[],
        }
    }
}

/// Names that stand for somebody else in entries and policies.
const RESERVED: &[&str] = &[ROOT_GROUP, "anonymous"];

pub(super) fn parse(mut call: Call, name: &str) -> Result<AccountOp, Fault> {
    if name.is_empty() {
        return match call.verb {
            Verb::List => Ok(AccountOp::List),
            _ => Err(Fault::WrongVerb),
        };
    }
    let name = checked_name(name)?;
    match call.verb {
        Verb::Read => Ok(AccountOp::Read(name)),
        Verb::Delete => Ok(AccountOp::Delete(name)),
        Verb::Write => {
            if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
                return Err(Fault::invalid("the names `root` and `anonymous` are reserved, choose another"));
            }
            Ok(AccountOp::Write(name, wanted(&mut call)?))
        }
        _ => Err(Fault::WrongVerb),
    }
}

fn wanted(call: &mut Call) -> Result<Wanted, Fault> {
    let mut body = call.members()?;
    let groups = match body.words("groups")? {
        Some(groups) => Some(checked_groups(groups)?),
        None => None,
    };
    let aliases = match body.words("aliases")? {
        Some(aliases) => Some(checked_aliases(aliases)?),
        None => None,
    };
    let wanted = Wanted { groups, aliases, disabled: body.flag("disabled")?, metadata: body.text_map("metadata")? };
    if let Some(metadata) = &wanted.metadata
        && (metadata.len() > 64 || metadata.iter().any(|(name, value)| name.len() > 128 || value.len() > 512))
    {
        return Err(body.wrong("metadata", "holds at most 64 members of at most 512 bytes"));
    }
    // Vault's members for tokens and addresses of a user; a caller who sends one relies on it.
    body.finish(&[
        "token_bound_cidrs",
        "bound_cidrs",
        "token_num_uses",
        "token_max_ttl",
        "token_explicit_max_ttl",
        "policies",
        "token_policies",
    ])?;
    Ok(wanted)
}

fn checked_groups(groups: Vec<String>) -> Result<Vec<String>, Fault> {
    let mut checked = Vec::with_capacity(groups.len());
    for group in groups {
        // The group is compared as nobody else compares it, so that no spelling of it slips through.
        if group.trim().eq_ignore_ascii_case(ROOT_GROUP) {
            return Err(Fault::invalid("nobody hands on the group `root`"));
        }
        let group = checked_name(&group)?;
        if !checked.contains(&group) {
            checked.push(group);
        }
    }
    if checked.len() > 64 { Err(Fault::invalid("an account stands in at most 64 groups")) } else { Ok(checked) }
}

fn checked_aliases(aliases: Vec<String>) -> Result<Vec<String>, Fault> {
    let mut checked: Vec<String> = Vec::with_capacity(aliases.len());
    for alias in aliases {
        if !is_alias(&alias) {
            return Err(Fault::invalid("an alias is written `<login method>/<identity>`, such as `kerberos/web@EXAMPLE.TEST`"));
        }
        if !checked.contains(&alias) {
            checked.push(alias);
        }
    }
    if checked.len() > 64 { Err(Fault::invalid("an account has at most 64 aliases")) } else { Ok(checked) }
}

/// The identity is whatever the method proves, compared byte for byte: text without controls and in one normal form.
fn is_alias(text: &str) -> bool {
    let hidden =
        |c: char| c.is_control() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}');
    // A colon in the method is somebody's `method:identity`, which would name another identity than the one that is meant.
    let parts = text
        .split_once('/')
        .filter(|(method, identity)| crate::model::path::is_name(method) && !method.contains(':') && !identity.is_empty());
    parts.is_some() && text.len() <= 512 && !text.chars().any(hidden) && is_nfc(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_root_is_taken() {
        for group in ["root", "ROOT", " root", "root ", "Root", "root/../x", "../root", "a/b", "", "a b"] {
            assert!(checked_groups(vec![group.to_owned()]).is_err(), "{group:?}");
        }
        assert_eq!(checked_groups(vec!["a".to_owned(), "a".to_owned()]).expect("fine"), ["a"]);
    }

    #[test]
    fn aliases_name_a_method_and_an_identity() {
        for good in
            ["kerberos/web@EXAMPLE.TEST", "kerberos/HTTP/web.example.test@EXAMPLE.TEST", "jwt/https://issuer.test/users/7", "jwt/a|b"]
        {
            assert!(is_alias(good), "{good}");
        }
        for bad in
            ["", "kerberos", "kerberos/", "/x", "kerberos:HTTP/web@EXAMPLE.TEST", "jwt/a\u{202e}b", "jwt/a\nb", "jwt/e\u{301}", "j wt/a"]
        {
            assert!(!is_alias(bad), "{bad:?}");
        }
    }
}
