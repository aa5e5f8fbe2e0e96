//! A call becomes one operation, once.

use goldfin_crypto::Plaintext;

use super::life::Wish;
use super::op::{Op, Target, Wanted};
use super::role::TokenRole;
use crate::model::call::{Call, Verb, checked_name};
use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::model::members::Members;
use crate::model::path::is_name;
use crate::store::auth_token::ROOT_GROUP;
use crate::store::control::ControlKind;
use crate::store::directory::Snapshot;

/// Members of Vault's API that would narrow a new token and that goldfin does not have; and `id`, because no caller chooses a token.
const RESTRICTING: &[&str] = &["num_uses", "id", "entity_alias", "bound_cidrs", "token_bound_cidrs"];

/// The most groups of one token, and the most members of its metadata.
const MOST: usize = 64;
const LONGEST_METADATA: usize = 512;

pub(super) fn parse(snapshot: &Snapshot, mut call: Call) -> Result<Op, Fault> {
    let tail = std::mem::take(&mut call.tail);
    let members = call.members()?;
    let (verb, mount, shown) = (call.verb, call.mount.id, call.shown);
    let segments: Vec<&str> = tail.split('/').collect();
    match (verb, segments.as_slice()) {
        (Verb::Read | Verb::Write, ["lookup-self"]) => Ok(Op::LookupSelf { shown: own(shown)? }),
        (Verb::Write, ["renew-self"]) => {
            let (members, increment) = increment(members)?;
            members.finish(&[])?;
            Ok(Op::RenewSelf { shown: own(shown)?, increment })
        }
        (Verb::Write, ["revoke-self"]) => Ok(Op::RevokeSelf),
        (Verb::Write, ["create"]) => wanted(members, false, None),
        (Verb::Write, ["create-orphan"]) => wanted(members, true, None),
        (Verb::Write, ["create", role]) => wanted(members, false, Some(named_role(snapshot, mount, role)?)),
        (Verb::Write, ["lookup" | "renew" | "revoke" | "revoke-orphan"]) => by_token(&tail, members, shown),
        (Verb::Write, ["lookup-accessor" | "renew-accessor" | "revoke-accessor"]) => by_accessor(&tail, members),
        (Verb::List, ["accessors"]) => Ok(Op::Accessors),
        (Verb::Write, ["tidy"]) => Ok(Op::Tidy),
        (Verb::List, ["roles"]) => Ok(Op::ListRoles),
        (Verb::Read, ["roles", name]) => Ok(Op::ReadRole(checked_name(name)?)),
        (Verb::Delete, ["roles", name]) => Ok(Op::DeleteRole(checked_name(name)?)),
        (Verb::Write, ["roles", name]) => {
            let name = checked_name(name)?;
            let (role, before) = match snapshot.get_versioned::<TokenRole>(ControlKind::Role, mount, &name)? {
                Some((role, version)) => ((*role).clone(), version),
                None => (TokenRole::default(), 0),
            };
            let (role, unknown) = role.changed(members)?;
            Ok(Op::WriteRole { name, role: Box::new(role), before, unknown })
        }
        (_, known) if is_known(known) => Err(Fault::WrongVerb),
        _ => Err(Fault::not_found("there is nothing at this path")),
    }
}

fn is_known(segments: &[&str]) -> bool {
    const WORDS: &[&str] = &[
        "lookup-self",
        "renew-self",
        "revoke-self",
        "create",
        "create-orphan",
        "lookup",
        "renew",
        "revoke",
        "revoke-orphan",
        "lookup-accessor",
        "renew-accessor",
        "revoke-accessor",
        "accessors",
        "tidy",
        "roles",
    ];
    matches!(segments, [word] if WORDS.contains(word)) || matches!(segments, ["roles" | "create", _])
}

/// Nobody gets here without having shown a token.
fn own(shown: Option<Plaintext>) -> Result<Plaintext, Fault> {
    shown.ok_or(Fault::Denied)
}

fn increment(mut members: Members) -> Result<(Members, u64), Fault> {
    let increment = members.duration("increment")?.map_or(0, |span| span.as_secs());
    Ok((members, increment))
}

/// Whoever gives its own token asks about itself, which everybody may.
fn by_token(word: &str, members: Members, shown: Option<Plaintext>) -> Result<Op, Fault> {
    let (mut members, increment) = increment(members)?;
    let token = members.secret("token")?.filter(|token| !token.is_empty()).ok_or_else(|| members.missing("token"))?;
    members.finish(&[])?;
    let is_own = shown.as_ref().is_some_and(|shown| shown.constant_time_eq(&token));
    Ok(match (word, is_own) {
        ("lookup", true) => Op::LookupSelf { shown: token },
        ("renew", true) => Op::RenewSelf { shown: token, increment },
        ("revoke", true) => Op::RevokeSelf,
        ("lookup", false) => Op::Lookup(Target::AuthToken(token)),
        ("renew", false) => Op::Renew { target: Target::AuthToken(token), increment },
        ("revoke", false) => Op::Revoke(Target::AuthToken(token)),
        _ => Op::RevokeOrphan(Target::AuthToken(token)),
    })
}

fn by_accessor(word: &str, members: Members) -> Result<Op, Fault> {
    let (mut members, increment) = increment(members)?;
    let accessor = members.word("accessor")?.ok_or_else(|| members.missing("accessor"))?;
    // The shape is checked before the text becomes the id of a resource and part of an entry.
    if !(accessor.len() == ACCESSOR_WIDTH && accessor.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return Err(members.wrong("accessor", "is no accessor, copy it whole"));
    }
    members.finish(&[])?;
    let target = Target::Accessor(accessor);
    Ok(match word {
        "lookup-accessor" => Op::Lookup(target),
        "renew-accessor" => Op::Renew { target, increment },
        _ => Op::Revoke(target),
    })
}

/// Reads the role here, because what it hands on is part of the question to the policies. Whether it is there is said on use.
fn named_role(snapshot: &Snapshot, mount: MountId, name: &str) -> Result<(String, Option<TokenRole>), Fault> {
    let name = checked_name(name)?;
    let role = snapshot.get::<TokenRole>(ControlKind::Role, mount, &name)?;
    Ok((name, role.map(|role| (*role).clone())))
}

fn wanted(mut members: Members, orphan: bool, role: Option<(String, Option<TokenRole>)>) -> Result<Op, Fault> {
    let groups = groups(&mut members, "policies")?;
    let seconds = |members: &mut Members, name: &'static str| Ok::<_, Fault>(members.duration(name)?.map_or(0, |span| span.as_secs()));
    let (ttl, lease) = (seconds(&mut members, "ttl")?, seconds(&mut members, "lease")?);
    let wish = Wish {
        ttl: if ttl > 0 { ttl } else { lease },
        max_ttl: 0,
        explicit_max_ttl: seconds(&mut members, "explicit_max_ttl")?,
        period: seconds(&mut members, "period")?,
    };
    let no_parent = members.flag("no_parent")?.unwrap_or(false);
    let default_group = !members.flag("no_default_policy")?.unwrap_or(false);
    let renewable = members.flag("renewable")?.unwrap_or(true);
    let display_name = members.word("display_name")?.filter(|name| !name.is_empty()).map(|name| displayable(&name));
    let metadata = metadata(&mut members)?;
    only_service(&mut members, "type")?;
    let unknown = members.finish(RESTRICTING)?;
    let orphan = orphan || no_parent;
    Ok(Op::Create(Box::new(Wanted { groups, default_group, orphan, wish, renewable, display_name, metadata, role, unknown })))
}

/// Names of groups that are given to a token, a role or an account. None is `root`, however it is spelt.
pub(in crate::engine) fn groups(members: &mut Members, name: &'static str) -> Result<Option<Vec<String>>, Fault> {
    let Some(mut groups) = members.words(name)? else { return Ok(None) };
    if groups.len() > MOST {
        return Err(members.wrong(name, "must hold at most 64 names"));
    }
    if groups.iter().any(|group| group.eq_ignore_ascii_case(ROOT_GROUP)) {
        return Err(members.wrong(name, "must not hold `root`: nobody hands it on"));
    }
    if !groups.iter().all(|group| is_name(group)) {
        return Err(members.wrong(name, "must hold names of letters, digits and `._@+=:-` only"));
    }
    groups.sort_unstable();
    groups.dedup();
    // Vault's clients send an empty list where nothing was said.
    Ok(Some(groups).filter(|groups| !groups.is_empty()))
}

/// goldfin has no batch tokens: each is stored, so that each can be revoked.
pub(in crate::engine) fn only_service(members: &mut Members, name: &'static str) -> Result<(), Fault> {
    match members.word(name)?.as_deref() {
        None | Some("" | "default" | "service" | "default-service") => Ok(()),
        Some(_) => Err(members.wrong(name, "must be `service`: every auth token is stored, so that it can be revoked")),
    }
}

fn metadata(members: &mut Members) -> Result<std::collections::BTreeMap<String, String>, Fault> {
    let (meta, metadata) = (members.text_map("meta")?, members.text_map("metadata")?);
    let metadata = meta.or(metadata).unwrap_or_default();
    let fits = |text: &str| text.len() <= LONGEST_METADATA && !text.chars().any(char::is_control);
    if metadata.len() > MOST || !metadata.iter().all(|(name, value)| fits(name) && fits(value)) {
        return Err(members.wrong("meta", "must hold at most 64 members of at most 512 bytes without control characters"));
    }
    Ok(metadata)
}

/// As Vault does it: what is no letter, digit or hyphen becomes a hyphen. It is shown and never compared.
fn displayable(name: &str) -> String {
    name.chars().take(128).map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect()
}

const ACCESSOR_WIDTH: usize = 24;
