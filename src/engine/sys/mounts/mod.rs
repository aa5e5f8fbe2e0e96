//! `sys/mounts` and `sys/auth`: what answers where.

mod run;
pub(super) mod shown;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::action::Action;
use crate::model::call::{Call, Verb};
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::members::Members;
use crate::model::mount::Kind;
use crate::model::operation::{Resource, ResourceKind};
use crate::model::path::is_mount_path;

use super::parse::unknown_path;

/// Which of the two tables: engines at any path, login methods below `auth/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Engines,
    Methods,
}

/// The path is that of the mount itself: `secret`, `auth/jwt`.
#[derive(Debug)]
pub enum MountOp {
    List(Side),
    Read(String),
    Enable(String, New),
    Disable(String),
    ReadTuning(String),
    Tune(String, Tuning),
}

/// A mount to be.
#[derive(Debug, Clone)]
pub struct New {
    pub kind: Kind,
    pub description: String,
    pub default_lease_ttl: u64,
    pub max_lease_ttl: u64,
    pub options: BTreeMap<String, String>,
}

/// What of a mount may change. None leaves it as it is.
#[derive(Debug, Clone)]
pub struct Tuning {
    pub description: Option<String>,
    pub default_lease_ttl: Option<u64>,
    pub max_lease_ttl: Option<u64>,
    pub options: Option<BTreeMap<String, String>>,
}

impl MountOp {
    pub(super) fn action(&self) -> Action {
        match self {
            Self::List(_) => Action::ListMounts,
            Self::Read(_) | Self::ReadTuning(_) => Action::ReadMount,
            Self::Enable(..) => Action::EnableMount,
            Self::Disable(_) => Action::DisableMount,
            Self::Tune(..) => Action::TuneMount,
        }
    }

    pub(super) fn resource(&self) -> Resource {
        let id = match self {
            Self::List(_) => "*",
            Self::Read(path) | Self::Enable(path, _) | Self::Disable(path) | Self::ReadTuning(path) | Self::Tune(path, _) => path,
        };
        Resource::new(ResourceKind::Mount, id)
    }
}

/// First segments that no engine may take: what is there already, what login methods live under, and what clients know as Vault's own.
const RESERVED: &[&str] = &["sys", "auth", "identity", "cubbyhole"];

pub(super) fn parse(mut call: Call, side: Side, rest: &str) -> Result<MountOp, Fault> {
    if rest.is_empty() {
        return match call.verb {
            Verb::Read | Verb::List => Ok(MountOp::List(side)),
            _ => Err(Fault::WrongVerb),
        };
    }
    if let Some(path) = rest.strip_suffix("/tune") {
        let path = mount_path(side, path)?;
        return match call.verb {
            Verb::Read => Ok(MountOp::ReadTuning(path)),
            Verb::Write => Ok(MountOp::Tune(path, parse_tuning(call.members()?)?)),
            _ => Err(Fault::WrongVerb),
        };
    }
    let path = mount_path(side, rest)?;
    match call.verb {
        Verb::Read => Ok(MountOp::Read(path)),
        Verb::Delete => {
            refuse_fixed(&path)?;
            Ok(MountOp::Disable(path))
        }
        Verb::Write => {
            let new = parse_new(call.members()?, side)?;
            refuse_reserved(side, &path)?;
            Ok(MountOp::Enable(path, new))
        }
        _ => Err(Fault::WrongVerb),
    }
}

fn mount_path(side: Side, text: &str) -> Result<String, Fault> {
    if !is_mount_path(text) || text == "tune" {
        return Err(Fault::invalid("a mount's path is names of letters, digits and `._@+=:-` joined by `/`"));
    }
    match side {
        Side::Engines => Ok(text.to_owned()),
        Side::Methods => Ok(format!("auth/{text}")),
    }
}

fn refuse_fixed(path: &str) -> Result<(), Fault> {
    match path {
        "sys" | "auth/token" => Err(Fault::invalid("this mount is part of goldfin and stays")),
        _ => Ok(()),
    }
}

fn refuse_reserved(side: Side, path: &str) -> Result<(), Fault> {
    let first = path.split('/').next().unwrap_or_default();
    if side == Side::Engines && RESERVED.contains(&first) {
        return Err(Fault::invalid(
            "the path begins with a reserved name: `sys`, `auth`, `identity` or `cubbyhole`; login methods are enabled at `sys/auth`",
        ));
    }
    refuse_fixed(path)?;
    // `…/tune` is how the mount before it is tuned.
    if path.ends_with("/tune") { Err(unknown_path()) } else { Ok(()) }
}

/// Members that would have restricted the mount, and that goldfin does not have.
const RESTRICTING: &[&str] = &[
    "seal_wrap",
    "local",
    "external_entropy_access",
    "force_no_cache",
    "allowed_managed_keys",
    "user_lockout_config",
    "identity_token_key",
];

fn parse_new(mut body: Members, side: Side) -> Result<New, Fault> {
    let kind = body.word("type")?.ok_or_else(|| body.missing("type"))?;
    let mut options = body.loose_text_map("options")?.unwrap_or_default();
    let mut new = New {
        kind: match side {
            Side::Engines => Kind::from_engine_name(&kind).ok_or_else(|| body.wrong("type", "must be `kv` or `transform`"))?,
            Side::Methods => Kind::from_method_name(&kind).ok_or_else(|| body.wrong("type", "must be `kerberos` or `jwt`"))?,
        },
        description: body.word("description")?.unwrap_or_default(),
        default_lease_ttl: 0,
        max_lease_ttl: 0,
        options: BTreeMap::new(),
    };
    let tuning = match body.object("config")? {
        Some(members) => parse_tuning(Members::new(Node::Object(members))?)?,
        None => Tuning { description: None, default_lease_ttl: None, max_lease_ttl: None, options: None },
    };
    new.default_lease_ttl = tuning.default_lease_ttl.unwrap_or(0);
    new.max_lease_ttl = tuning.max_lease_ttl.unwrap_or(0);
    refuse_long(&new.description)?;
    body.finish(RESTRICTING)?;
    if new.kind == Kind::Kv {
        // Every client reads the version from here before it builds a path.
        let version = options.entry("version".to_owned()).or_insert_with(|| "2".to_owned());
        refuse_version_1(version)?;
    }
    refuse_many(&options)?;
    new.options = options;
    Ok(new)
}

fn parse_tuning(mut body: Members) -> Result<Tuning, Fault> {
    let tuning = Tuning {
        description: body.word("description")?,
        default_lease_ttl: body.duration("default_lease_ttl")?.map(|span: Duration| span.as_secs()),
        max_lease_ttl: body.duration("max_lease_ttl")?.map(|span: Duration| span.as_secs()),
        options: body.loose_text_map("options")?,
    };
    body.finish(RESTRICTING)?;
    if let Some(description) = &tuning.description {
        refuse_long(description)?;
    }
    if let Some(options) = &tuning.options {
        refuse_many(options)?;
        if let Some(version) = options.get("version") {
            refuse_version_1(version)?;
        }
    }
    Ok(tuning)
}

fn refuse_version_1(version: &str) -> Result<(), Fault> {
    match version {
        "2" => Ok(()),
        "1" => Err(Fault::invalid("KV version 1 is not supported yet, use version 2")),
        _ => Err(Fault::invalid("`options.version` must be `2`")),
    }
}

fn refuse_long(description: &str) -> Result<(), Fault> {
    if description.len() > 4096 { Err(Fault::invalid("`description` is longer than 4,096 bytes")) } else { Ok(()) }
}

fn refuse_many(options: &BTreeMap<String, String>) -> Result<(), Fault> {
    let size: usize = options.iter().map(|(name, value)| name.len() + value.len()).sum();
    if options.len() > 32 || size > 4096 { Err(Fault::invalid("`options` holds too much")) } else { Ok(()) }
}
