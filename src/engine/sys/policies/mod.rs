//! `sys/policies` and the older `sys/policy`: Cedar texts under Vault's paths, and what only goldfin answers about them.

mod ask;
mod explain;
mod reason;
mod run;
mod tables;

use std::collections::BTreeMap;

use crate::model::action::Action;
use crate::model::call::{Call, Verb, checked_name};
use crate::model::document::Node;
use crate::model::fault::{Complaint, Fault};
use crate::model::members::Members;
use crate::model::operation::{Resource, ResourceKind};
use crate::policy::compile::{BASE, BASE_NAME};
use crate::policy::hcl::looks_like_hcl;
use crate::policy::source::{PolicySource, concerns_only_group};

use super::parse::{only, unknown_path};

pub use ask::{Question, Target};

#[derive(Debug)]
pub enum PolicyOp {
    List {
        old: bool,
    },
    Read {
        name: String,
        old: bool,
    },
    Write {
        source: PolicySource,
        own: bool,
    },
    Delete(String),
    /// Puts a whole set in the place of the stored one.
    Load(Vec<PolicySource>),
    /// Runs decision tables against the given set, or the one in force.
    Test {
        set: Option<Vec<PolicySource>>,
        tables: Vec<(String, String)>,
    },
    /// The groups are added to those of the account.
    Explain {
        account: String,
        groups: Vec<String>,
        question: Question,
    },
    Who(Question),
    /// Turns a policy of Vault into Cedar; stores nothing.
    Convert {
        name: String,
        text: String,
    },
}

impl PolicyOp {
    pub(super) fn action(&self) -> Action {
        match self {
            Self::List { .. } => Action::ListPolicies,
            Self::Read { .. } => Action::ReadPolicy,
            Self::Write { own: true, .. } => Action::WritePolicy,
            Self::Write { own: false, .. } | Self::Load(_) => Action::WritePolicies,
            Self::Delete(_) => Action::DeletePolicy,
            Self::Test { .. } | Self::Explain { .. } | Self::Who(_) | Self::Convert { .. } => Action::ExplainPolicy,
        }
    }

    pub(super) fn resource(&self) -> Resource {
        let id = match self {
            Self::Read { name, .. } | Self::Delete(name) => name,
            Self::Write { source, own: true } => &source.name,
            _ => "*",
        };
        Resource::new(ResourceKind::Policy, id)
    }
}

pub(super) fn parse(mut call: Call, tail: &str) -> Result<PolicyOp, Fault> {
    let old = tail == "policy" || tail.starts_with("policy/");
    let rest = if old { tail.strip_prefix("policy") } else { tail.strip_prefix("policies") }.unwrap_or_default().trim_start_matches('/');
    if !old {
        match rest {
            "load" => return parse_load(&mut call),
            "test" => return parse_test(&mut call),
            "explain" => return parse_explain(&mut call),
            "who" => return parse_who(&mut call),
            "convert" => return parse_convert(&mut call),
            _ => {}
        }
    }
    let name = match (old, rest) {
        (true, name) => name,
        (false, "acl") => "",
        (false, rest) => rest.strip_prefix("acl/").ok_or_else(unknown_path)?,
    };
    if name.is_empty() {
        return match call.verb {
            Verb::Read | Verb::List => Ok(PolicyOp::List { old }),
            _ => Err(Fault::WrongVerb),
        };
    }
    let name = checked_name(name)?;
    match call.verb {
        Verb::Read => Ok(PolicyOp::Read { name, old }),
        Verb::Delete => Ok(PolicyOp::Delete(name)),
        Verb::Write => parse_write(&mut call, name),
        _ => Err(Fault::WrongVerb),
    }
}

/// Which right the text needs is decided from the text, before anybody is asked whether the caller holds it.
fn parse_write(call: &mut Call, name: String) -> Result<PolicyOp, Fault> {
    let mut body = call.members()?;
    let (policy, rules) = (body.word("policy")?, body.word("rules")?);
    let text = policy.or(rules).ok_or_else(|| body.missing("policy"))?;
    body.finish(&[])?;
    let own = checked_text(&name, &text, None)?;
    Ok(PolicyOp::Write { source: PolicySource { name, text }, own })
}

fn parse_load(call: &mut Call) -> Result<PolicyOp, Fault> {
    only(call, Verb::Write)?;
    let mut body = call.members()?;
    let set = sources(&mut body)?.ok_or_else(|| body.missing("policies"))?;
    body.finish(&[])?;
    for (item, source) in set.iter().enumerate() {
        checked_text(&source.name, &source.text, Some(item))?;
    }
    Ok(PolicyOp::Load(set))
}

fn parse_test(call: &mut Call) -> Result<PolicyOp, Fault> {
    only(call, Verb::Write)?;
    let listed = matches!(call.body.member("tables"), Some(Node::List(_)));
    let mut body = call.members()?;
    let set = sources(&mut body)?;
    let tables = if listed {
        let texts = body.words("tables")?.unwrap_or_default();
        texts.into_iter().enumerate().map(|(number, text)| (number.to_string(), text)).collect()
    } else {
        body.text_map("tables")?.unwrap_or_default().into_iter().collect()
    };
    body.finish(&[])?;
    Ok(PolicyOp::Test { set, tables })
}

fn parse_explain(call: &mut Call) -> Result<PolicyOp, Fault> {
    only(call, Verb::Write)?;
    let mut body = call.members()?;
    let account = checked_name(&body.word("account")?.ok_or_else(|| body.missing("account"))?)?;
    let groups = body.words("groups")?.unwrap_or_default();
    let groups = groups.iter().map(|group| checked_name(group)).collect::<Result<_, _>>()?;
    let question = Question::read(&mut body)?;
    body.finish(&[])?;
    Ok(PolicyOp::Explain { account, groups, question })
}

fn parse_who(call: &mut Call) -> Result<PolicyOp, Fault> {
    only(call, Verb::Write)?;
    let mut body = call.members()?;
    let question = Question::read(&mut body)?;
    body.finish(&[])?;
    Ok(PolicyOp::Who(question))
}

fn parse_convert(call: &mut Call) -> Result<PolicyOp, Fault> {
    only(call, Verb::Write)?;
    let mut body = call.members()?;
    let name = checked_name(&body.word("name")?.ok_or_else(|| body.missing("name"))?)?;
    let text = body.word("hcl")?.ok_or_else(|| body.missing("hcl"))?;
    body.finish(&[])?;
    Ok(PolicyOp::Convert { name, text })
}

fn sources(body: &mut Members) -> Result<Option<Vec<PolicySource>>, Fault> {
    let Some(texts) = body.text_map("policies")? else { return Ok(None) };
    let texts: BTreeMap<String, String> = texts;
    texts
        .into_iter()
        // The shipped folder holds the base too, which is in every set; another text of that name is refused later.
        .filter(|(name, text)| name != BASE_NAME || text != BASE)
        .enumerate()
        .map(|(item, (name, text))| match checked_name(&name) {
            Ok(name) => Ok(PolicySource { name, text }),
            Err(_) => {
                Err(Fault::Invalid(Complaint::new("a policy's name holds letters, digits and `._@+=:-` only, at most 128").item(item)))
            }
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Reads the text; says whether it concerns the policy's own group alone.
fn checked_text(name: &str, text: &str, item: Option<usize>) -> Result<bool, Fault> {
    if looks_like_hcl(text) {
        let complaint = Complaint::new("the text is a policy of Vault (HCL), turn it into Cedar with `goldfin policy convert` first");
        return Err(Fault::Invalid(item.map_or(complaint.clone(), |item| complaint.item(item))));
    }
    concerns_only_group(text, name).map_err(|error| reason::complain(&error, item))
}
