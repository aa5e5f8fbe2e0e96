//! A call becomes one operation, once.

use super::jwt_config::JwtConfig;
use super::jwt_role::JwtRole;
use super::kerberos_config::KerberosConfig;
use super::op::{KerberosWrite, Negotiated, Op, What, Write};
use crate::model::call::{Call, Verb, checked_name};
use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::model::mount::Kind;
use crate::store::control::ControlKind;
use crate::store::directory::Snapshot;

/// The name of the one configuration of a method.
pub(super) const CONFIG: &str = "config";

pub(super) fn parse(snapshot: &Snapshot, mut call: Call) -> Result<Op, Fault> {
    let tail = std::mem::take(&mut call.tail);
    let mount = call.mount.path.clone();
    let what = match call.mount.kind {
        Kind::Jwt => jwt(snapshot, call, &tail),
        Kind::Kerberos => kerberos(snapshot, call, &tail),
        Kind::Kv | Kind::Transform | Kind::AuthToken | Kind::System => Err(Fault::Internal("no login method")),
    }?;
    Ok(Op { mount, what })
}

fn jwt(snapshot: &Snapshot, mut call: Call, tail: &str) -> Result<What, Fault> {
    let (verb, mount) = (call.verb, call.mount.id);
    let segments: Vec<&str> = tail.split('/').collect();
    match (verb, segments.as_slice()) {
        (Verb::Write, ["login"]) => {
            let mut members = call.members()?;
            let role = members.word("role")?.filter(|role| !role.is_empty()).map(|role| checked_name(&role)).transpose()?;
            let jwt = members.secret("jwt")?.filter(|jwt| !jwt.is_empty()).ok_or_else(|| members.missing("jwt"))?;
            members.finish(&[])?;
            Ok(What::LoginWithJwt { role, jwt })
        }
        (Verb::Read, ["config"]) => Ok(What::ReadConfig),
        (Verb::Delete, ["config"]) => Ok(What::DeleteConfig),
        (Verb::Write, ["config"]) => {
            let (document, unknown) = JwtConfig::read(call.members()?)?;
            let before = snapshot.get_versioned::<JwtConfig>(ControlKind::Config, mount, CONFIG)?.map_or(0, |(_, version)| version);
            // Whoever names the issuer's keys can become everybody that the roles admit.
            Ok(What::WriteJwtConfig(Box::new(Write { document, before, grants: grants_of_roles(snapshot, mount)?, unknown })))
        }
        (Verb::List, ["role"]) => Ok(What::ListRoles),
        (Verb::Read, ["role", name]) => Ok(What::ReadRole(checked_name(name)?)),
        (Verb::Delete, ["role", name]) => Ok(What::DeleteRole(checked_name(name)?)),
        (Verb::Write, ["role", name]) => {
            let name = checked_name(name)?;
            let (role, before) = match snapshot.get_versioned::<JwtRole>(ControlKind::Role, mount, &name)? {
                Some((role, version)) => ((*role).clone(), version),
                None => (JwtRole::default(), 0),
            };
            let (document, unknown) = role.changed(call.members()?)?;
            // All of them, also those that stood there before: whom the role admits may have changed.
            let grants = document.grants();
            Ok(What::WriteRole { name, write: Box::new(Write { document, before, grants, unknown }) })
        }
        (_, ["login" | "config" | "role"] | ["role", _]) => Err(Fault::WrongVerb),
        _ => Err(Fault::not_found("there is nothing at this path")),
    }
}

fn kerberos(snapshot: &Snapshot, mut call: Call, tail: &str) -> Result<What, Fault> {
    let (verb, mount) = (call.verb, call.mount.id);
    match (verb, tail) {
        // `curl --negotiate` asks with GET unless it is told otherwise.
        (Verb::Read | Verb::Write, "login") => {
            let mut members = call.members()?;
            let text = members.secret("authorization")?.filter(|text| !text.is_empty());
            members.finish(&[])?;
            let (header, channel_binding) =
                call.negotiate.map_or((None, Vec::new()), |negotiate| (negotiate.token, negotiate.channel_binding));
            let shown = match (header, text) {
                (Some(_), Some(_)) => return Err(Fault::invalid("show exactly one credential, as a header or as `authorization`")),
                (Some(token), None) => Negotiated::Decoded(token),
                (None, Some(text)) => Negotiated::Text(text),
                (None, None) => Negotiated::Nothing,
            };
            Ok(What::LoginWithKerberos { shown, channel_binding })
        }
        (Verb::Read, "config") => Ok(What::ReadConfig),
        (Verb::Delete, "config") => Ok(What::DeleteConfig),
        (Verb::Write, "config") => {
            let (config, before) = match snapshot.get_versioned::<KerberosConfig>(ControlKind::Config, mount, CONFIG)? {
                Some((config, version)) => ((*config).clone(), version),
                None => (KerberosConfig::default(), 0),
            };
            let (document, keytab, unknown) = config.changed(call.members()?)?;
            let write = Write { document, before, grants: Vec::new(), unknown };
            Ok(What::WriteKerberosConfig(Box::new(KerberosWrite { write, keytab })))
        }
        (_, "login" | "config") => Err(Fault::WrongVerb),
        _ => Err(Fault::not_found("there is nothing at this path")),
    }
}

fn grants_of_roles(snapshot: &Snapshot, mount: MountId) -> Result<Vec<String>, Fault> {
    let mut grants = Vec::new();
    for name in snapshot.names(ControlKind::Role, mount) {
        if let Some(role) = snapshot.get::<JwtRole>(ControlKind::Role, mount, name)? {
            grants.extend(role.grants());
        }
    }
    grants.sort_unstable();
    grants.dedup();
    Ok(grants)
}
