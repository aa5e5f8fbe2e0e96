//! `sys/capabilities…`: what somebody may do at a path, in Vault's words.

mod run;
mod table;

use goldfin_crypto::Plaintext;

use crate::model::action::Action;
use crate::model::call::{Call, Verb};
use crate::model::fault::Fault;
use crate::model::operation::{Resource, ResourceKind};

use super::parse::only;

pub(super) use table::{Candidate, candidates};

#[derive(Debug)]
pub struct CapabilityOp {
    pub whose: Whose,
    pub paths: Vec<String>,
}

#[derive(Debug)]
pub enum Whose {
    Own,
    Token(Plaintext),
    Accessor(String),
}

impl CapabilityOp {
    pub(super) fn action(&self) -> Action {
        match self.whose {
            Whose::Own => Action::ReadOwnCapabilities,
            Whose::Token(_) | Whose::Accessor(_) => Action::ReadCapabilities,
        }
    }

    pub(super) fn resource(&self) -> Resource {
        Resource::new(ResourceKind::AuthToken, if matches!(self.whose, Whose::Own) { "self" } else { "*" })
    }
}

const MOST_PATHS: usize = 256;

pub(super) fn parse(mut call: Call, head: &str) -> Result<CapabilityOp, Fault> {
    only(&call, Verb::Write)?;
    let mut body = call.members()?;
    let whose = match head {
        "capabilities" => Whose::Token(body.secret("token")?.ok_or_else(|| body.missing("token"))?),
        "capabilities-accessor" => Whose::Accessor(body.word("accessor")?.ok_or_else(|| body.missing("accessor"))?),
        _ => {
            // Vault's clients may send their own token along.
            body.secret("token")?;
            Whose::Own
        }
    };
    let (paths, path) = (body.words("paths")?, body.words("path")?);
    let paths = paths.filter(|paths| !paths.is_empty()).or(path).ok_or_else(|| body.missing("paths"))?;
    body.finish(&[])?;
    if paths.is_empty() || paths.len() > MOST_PATHS {
        return Err(Fault::invalid("`paths` must hold from 1 to 256 paths"));
    }
    Ok(CapabilityOp { whose, paths })
}
