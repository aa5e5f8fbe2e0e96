//! What the operations on auth tokens do.

use goldfin_crypto::{Accessor, AuthToken, Plaintext};

use super::op::{Op, Target, Wanted};
use super::role::TokenRole;
use super::{DEFAULT_GROUP, life, view};
use crate::engine::Tools;
use crate::model::change::Change;
use crate::model::facts::Facts;
use crate::model::fault::{Complaint, Fault};
use crate::model::reply::{Answer, Reply};
use crate::policy::authorized::Authorized;
use crate::seal::barrier::fault;
use crate::store::auth_token::{self, AuthTokenRow, Line, ROOT_GROUP};
use crate::store::control::{self, ControlKey, ControlKind};
use crate::store::work::Work;

/// The most expired tokens that one `tidy` deletes; the job deletes the rest.
const TIDY_LIMIT: i64 = 10_000;

/// The longest line of tokens that were made one from the other.
const DEEPEST: usize = 30;

/// The most accessors of one answer.
const MOST_ACCESSORS: i64 = 100_000;

pub(super) async fn run(tools: &Tools, permit: &Authorized<Op>, work: &mut Work) -> Result<Reply, Fault> {
    let own = permit.principal().token();
    match permit.op() {
        Op::LookupSelf { shown } => {
            let row = own.ok_or(Fault::Denied)?;
            Ok(Reply::data(view::lookup(row, copy(shown), work.now())))
        }
        Op::RenewSelf { shown, increment } => {
            let row = own.ok_or(Fault::Denied)?;
            renew(tools, work, &row.accessor, *increment, copy(shown)).await
        }
        Op::RevokeSelf => {
            let row = own.ok_or(Fault::Denied)?;
            revoke(work, &row.accessor).await
        }
        Op::Create(wanted) => create(tools, work, own.ok_or(Fault::Denied)?, wanted).await,
        Op::Lookup(target) => {
            let line = alive(tools, work, target).await?;
            work.facts.accessor = Some(line.found.row.accessor.clone());
            Ok(Reply::data(view::lookup(&line.found.row, id(target), work.now())))
        }
        Op::Renew { target, increment } => {
            let line = alive(tools, work, target).await?;
            renew(tools, work, &line.found.row.accessor, *increment, id(target)).await
        }
        Op::Revoke(target) => match find(tools, work, target).await? {
            Some(line) => revoke(work, &line.found.row.accessor).await,
            None => unknown(work, target),
        },
        Op::RevokeOrphan(target) => match find(tools, work, target).await? {
            Some(line) => revoke_alone(tools, work, &line.found.row.accessor).await,
            None => unknown(work, target),
        },
        Op::Accessors => accessors(work).await,
        Op::Tidy => {
            work.facts.count = Some(auth_token::delete_expired(work, work.now(), TIDY_LIMIT).await?);
            Ok(Reply::nothing())
        }
        Op::ReadRole(name) => {
            let role = tools.directory.current().get::<TokenRole>(ControlKind::Role, work.mount_id(), name)?;
            role.map(|role| Reply::data(role.view(name))).ok_or_else(|| Fault::not_found("there is no such role"))
        }
        Op::ListRoles => Reply::keys(tools.directory.current().names(ControlKind::Role, work.mount_id())),
        Op::WriteRole { name, role, before, unknown } => write_role(tools, work, name, role, *before, *unknown).await,
        Op::DeleteRole(name) => {
            let key = ControlKey::new(ControlKind::Role, work.mount_id(), name.as_str());
            control::delete(work, tools.barrier.control(), &key).await?;
            Ok(Reply::nothing().then(Change::Directory))
        }
    }
}

async fn create(tools: &Tools, work: &mut Work, maker: &AuthTokenRow, wanted: &Wanted) -> Result<Reply, Fault> {
    let role = match &wanted.role {
        Some((_, None)) => return Err(Fault::invalid("there is no such role")),
        Some((_, Some(role))) => Some(role),
        None => None,
    };
    let groups = groups_of(maker, wanted, role)?;
    let orphan = wanted.orphan || role.is_some_and(|role| role.orphan);
    if !orphan {
        let line = auth_token::find_by_accessor(work.store(), tools.barrier.control(), &maker.accessor).await?;
        if line.ok_or(Fault::Denied)?.ancestors.len() >= DEEPEST {
            return Err(Fault::invalid("the line of tokens that made each other is too long, create an orphan"));
        }
    }
    // Held until the commit: a maker that is revoked at this moment has either no child yet, or takes this one with it.
    if !auth_token::hold_parent(work, &maker.accessor).await? {
        work.facts.reason = Some("revoked");
        return Err(Fault::Denied);
    }
    let mount = work.mount().clone();
    let wish = role.map_or(wanted.wish, |role| role.narrow(wanted.wish));
    let life = life::begin(work.now(), wish, life::CHILD.tuned(mount.default_lease_ttl, mount.max_lease_ttl));
    let token = AuthToken::generate().map_err(fault)?;
    let row = AuthTokenRow {
        accessor: Accessor::generate().map_err(fault)?,
        account: maker.account.clone(),
        groups,
        method: "token".to_owned(),
        path: path_of(wanted, role),
        display_name: wanted.display_name.as_ref().map_or_else(|| "token".to_owned(), |name| format!("token-{name}")),
        metadata: wanted.metadata.clone(),
        created: work.now(),
        renewed: None,
        expires: Some(life.expires),
        max_expires: life.max_expires,
        ttl: life.ttl,
        explicit_max_ttl: wish.explicit_max_ttl,
        period: wish.period,
        renewable: wanted.renewable && role.is_none_or(|role| role.renewable),
        parent: (!orphan).then(|| maker.accessor.clone()),
        channel_bound: false,
        mount: mount.id.0,
        version: 1,
    };
    auth_token::insert(work, tools.barrier.control(), &token.fingerprint(tools.barrier.lookup()), &row).await?;
    *work.facts = Facts { accessor: Some(row.accessor.clone()), ..Facts::default() };
    let shown = Plaintext::from_text(token.expose_text().to_owned());
    Ok(Reply::new(Answer::Auth(Box::new(view::grant(&row, shown, work.now())))).warn_of_unknown(wanted.unknown))
}

/// The child's groups. Those that were asked for have been decided on; those of its maker it may have anyway, `root` excepted.
fn groups_of(maker: &AuthTokenRow, wanted: &Wanted, role: Option<&TokenRole>) -> Result<Vec<String>, Fault> {
    let named = wanted.grants();
    let mut groups = if named.is_empty() {
        maker.groups.iter().filter(|group| !group.eq_ignore_ascii_case(ROOT_GROUP) && *group != DEFAULT_GROUP).cloned().collect()
    } else {
        named
    };
    if let Some(refusal) = role.and_then(|role| role.refusal(&groups)) {
        return Err(refusal);
    }
    let default_group = wanted.default_group && role.is_none_or(|role| !role.no_default_policy);
    if default_group && (maker.is_root() || maker.groups.iter().any(|group| group == DEFAULT_GROUP)) {
        groups.push(DEFAULT_GROUP.to_owned());
    }
    groups.sort_unstable();
    groups.dedup();
    Ok(groups)
}

fn path_of(wanted: &Wanted, role: Option<&TokenRole>) -> String {
    let suffix = role.map(|role| role.path_suffix.as_str()).filter(|suffix| !suffix.is_empty());
    match (&wanted.role, suffix) {
        (Some((name, _)), Some(suffix)) => format!("auth/token/create/{name}/{suffix}"),
        (Some((name, _)), None) => format!("auth/token/create/{name}"),
        (None, _) if wanted.orphan => "auth/token/create-orphan".to_owned(),
        (None, _) => "auth/token/create".to_owned(),
    }
}

async fn renew(tools: &Tools, work: &mut Work, accessor: &str, increment: u64, id: Plaintext) -> Result<Reply, Fault> {
    let now = work.now();
    work.facts.accessor = Some(accessor.to_owned());
    let mut found = auth_token::lock_by_accessor(work, tools.barrier.control(), accessor).await?.ok_or(Fault::Denied)?;
    if found.row.is_expired(now) {
        work.facts.reason = Some("expired");
        return Err(Fault::Denied);
    }
    if !found.row.renewable {
        return Err(Fault::invalid("the auth token is not renewable, log in again"));
    }
    found.row.expires = Some(life::renewed(&found.row, now, increment));
    found.row.renewed = Some(now);
    found.row.version += 1;
    auth_token::update(work, tools.barrier.control(), &found).await?;
    let grant = view::grant(&found.row, id, now);
    Ok(Reply::new(Answer::Auth(Box::new(grant))).then(Change::AuthToken(accessor.to_owned())))
}

async fn revoke(work: &mut Work, accessor: &str) -> Result<Reply, Fault> {
    let mut gone = auth_token::delete_with_children(work, accessor).await?;
    work.facts.accessor = Some(accessor.to_owned());
    work.facts.count = u64::try_from(gone.len()).ok();
    // The target leads: by it a row that is put back is found to be revoked.
    gone.sort_by_key(|each| each != accessor);
    Ok(gone.into_iter().fold(Reply::nothing(), |reply, each| reply.then(Change::AuthToken(each))))
}

async fn revoke_alone(tools: &Tools, work: &mut Work, accessor: &str) -> Result<Reply, Fault> {
    work.facts.accessor = Some(accessor.to_owned());
    let Some(orphans) = auth_token::delete_alone(work, tools.barrier.control(), accessor).await? else { return Ok(Reply::nothing()) };
    // The target alone: that the others are named in an entry of this action would count as their revocation.
    drop(orphans);
    Ok(Reply::nothing().then(Change::AuthToken(accessor.to_owned())))
}

async fn accessors(work: &Work) -> Result<Reply, Fault> {
    let known = auth_token::accessors(work.store(), MOST_ACCESSORS).await?;
    let whole = i64::try_from(known.len()).is_ok_and(|count| count < MOST_ACCESSORS);
    let mut reply = Reply::keys(known)?;
    if !whole {
        reply.warnings.push("only the first 100,000 accessors are listed".to_owned());
    }
    Ok(reply)
}

async fn write_role(tools: &Tools, work: &mut Work, name: &str, role: &TokenRole, before: i64, unknown: usize) -> Result<Reply, Fault> {
    let key = ControlKey::new(ControlKind::Role, work.mount_id(), name);
    let body = serde_json::to_string(role).map_err(|_| Fault::Internal("role"))?;
    work.facts.version = Some(control::put(work, tools.barrier.control(), &key, before, &body).await?);
    Ok(Reply::nothing().then(Change::Directory).warn_of_unknown(unknown))
}

/// The token that is meant, whatever became of it since.
async fn find(tools: &Tools, work: &Work, target: &Target) -> Result<Option<Line>, Fault> {
    let (store, control) = (work.store(), tools.barrier.control());
    Ok(match target {
        Target::Accessor(accessor) => auth_token::find_by_accessor(store, control, accessor).await?,
        Target::AuthToken(token) => match token.expose_text().ok().and_then(|text| AuthToken::parse(text).ok()) {
            Some(token) => auth_token::find(store, control, &token.fingerprint(tools.barrier.lookup())).await?,
            None => None,
        },
    })
}

async fn alive(tools: &Tools, work: &mut Work, target: &Target) -> Result<Line, Fault> {
    let line = find(tools, work, target).await?.filter(|line| !line.is_expired(work.now()));
    line.ok_or_else(|| {
        work.facts.reason = Some("unknown");
        match target {
            Target::AuthToken(_) => Fault::Denied,
            Target::Accessor(_) => invalid_accessor(),
        }
    })
}

/// Revoking what is not there: with the token itself it is done already, as Vault answers; an accessor may have been mistyped.
fn unknown(work: &mut Work, target: &Target) -> Result<Reply, Fault> {
    work.facts.reason = Some("unknown");
    match target {
        Target::AuthToken(token) if token.expose_text().is_ok_and(|text| AuthToken::parse(text).is_ok()) => Ok(Reply::nothing()),
        Target::AuthToken(_) => Err(Fault::Invalid(Complaint::new("is no auth token, copy it whole").at("token"))),
        Target::Accessor(_) => Err(invalid_accessor()),
    }
}

fn invalid_accessor() -> Fault {
    Fault::Invalid(Complaint::new("names no auth token").at("accessor"))
}

fn id(target: &Target) -> Plaintext {
    match target {
        Target::AuthToken(token) => copy(token),
        Target::Accessor(_) => Plaintext::from_text(String::new()),
    }
}

fn copy(shown: &Plaintext) -> Plaintext {
    Plaintext::new(shown.expose().to_vec())
}
