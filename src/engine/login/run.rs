//! What the operations of a login method do.

use std::sync::Arc;
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use goldfin_crypto::{Plaintext, Zeroizing};
use serde::Serialize;

use super::Login;
use super::admit::{Proven, admit, refused_proof};
use super::jwt_config::JwtConfig;
use super::jwt_role::JwtRole;
use super::kerberos_config::KerberosConfig;
use super::keytab::{self, SealedKeytab, Service};
use super::op::{KerberosWrite, Negotiated, Op, What, Write};
use super::parse::CONFIG;
use super::sources::Keys;
use crate::auth::jwks::JwtLoginError;
use crate::auth::jwt::JwtRefusal;
use crate::auth::kerberos::KerberosRefusal;
use crate::model::change::Change;
use crate::model::fault::Fault;
use crate::model::mount::Kind;
use crate::model::reply::Reply;
use crate::policy::authorized::Authorized;
use crate::store::control::{self, ControlKey, ControlKind};
use crate::store::work::Work;

pub(super) async fn run(login: &Login, permit: &Authorized<Op>, work: &mut Work) -> Result<Reply, Fault> {
    match &permit.op().what {
        What::LoginWithJwt { .. } | What::LoginWithKerberos { .. } => throttled(login, permit, work).await,
        What::ReadConfig => read_config(login, work),
        What::WriteJwtConfig(write) => {
            let config = write.document.clone();
            // Reads the system's certificates.
            blocking(move || Keys::of(&config)).await??;
            put(login, work, ControlKind::Config, CONFIG, write).await
        }
        What::WriteKerberosConfig(write) => write_kerberos_config(login, work, write).await,
        What::DeleteConfig => delete(login, work, ControlKind::Config, CONFIG).await,
        What::ReadRole(name) => {
            let role = login.tools.directory.current().get::<JwtRole>(ControlKind::Role, work.mount_id(), name)?;
            role.map(|role| Reply::data(role.view())).ok_or_else(|| Fault::not_found("there is no such role"))
        }
        What::ListRoles => Reply::keys(login.tools.directory.current().names(ControlKind::Role, work.mount_id())),
        What::WriteRole { name, write } => put(login, work, ControlKind::Role, name, write).await,
        What::DeleteRole(name) => delete(login, work, ControlKind::Role, name).await,
    }
}

/// Every attempt counts until it has succeeded, so that many at once cannot overshoot. What is not the caller's fault does not count.
async fn throttled(login: &Login, permit: &Authorized<Op>, work: &mut Work) -> Result<Reply, Fault> {
    if let What::LoginWithKerberos { shown: Negotiated::Nothing, .. } = &permit.op().what {
        work.facts.reason = Some("missing");
        return Err(Fault::Unauthenticated("show a Kerberos ticket: `Authorization: Negotiate`, as `curl --negotiate -u :` does"));
    }
    let Some(peer) = permit.principal().peer() else { return Err(Fault::Denied) };
    if let Err(wait) = login.throttle.begin(peer, work.now().unix_micros() / 1000) {
        work.facts.reason = Some("throttled");
        return Err(Fault::TooMany { retry_after: Duration::from_secs(wait.retry_after_seconds.into()) });
    }
    let outcome = match &permit.op().what {
        What::LoginWithJwt { role, jwt } => with_jwt(login, work, role.as_deref(), jwt).await,
        What::LoginWithKerberos { shown, channel_binding } => with_kerberos(login, work, shown, channel_binding).await,
        _ => Err(Fault::Internal("no login")),
    };
    if !matches!(outcome, Err(Fault::Denied | Fault::Unauthenticated(_) | Fault::Invalid(_))) {
        login.throttle.succeeded(peer);
    }
    outcome
}

async fn with_jwt(login: &Login, work: &mut Work, role: Option<&str>, jwt: &Plaintext) -> Result<Reply, Fault> {
    let snapshot = login.tools.directory.current();
    let mount = work.mount_id();
    let Some((config, version)) = snapshot.get_versioned::<JwtConfig>(ControlKind::Config, mount, CONFIG)? else {
        return Err(not_configured(work));
    };
    let name = role.unwrap_or(&config.default_role);
    if name.is_empty() {
        return Err(Fault::invalid("`role` is missing, and the method has no default"));
    }
    let Some((role, role_version)) = snapshot.get_versioned::<JwtRole>(ControlKind::Role, mount, name)? else {
        work.facts.reason = Some("unknown_role");
        return Err(refused_jwt());
    };
    let keys = login.sources.jwt(mount, version, &config)?;
    let rules = role.rules(config.issuer());
    let text = Zeroizing::new(jwt.expose_text().map_err(|_| refused_jwt())?.to_owned());
    let now = work.now().unix_seconds();
    let claims = match blocking(move || keys.verify(&text, &rules, now)).await? {
        Ok(claims) => claims,
        Err(JwtLoginError::Refused(refusal)) => {
            work.facts.reason = Some(jwt_reason(refusal));
            return Err(refused_jwt());
        }
        Err(JwtLoginError::NoKeys(error)) => {
            tracing::warn!(%error, mount = %work.mount().path, "a login method has no keys to verify tokens with");
            work.facts.reason = Some("no_keys");
            return Err(Fault::Unavailable("the keys of the token's issuer cannot be had now; the server's log says why"));
        }
    };
    let mut metadata = claims.metadata;
    metadata.insert("role".to_owned(), name.to_owned());
    let proven = Proven {
        method: "jwt",
        identity: claims.user,
        groups: role.gives(&claims.groups),
        default_group: !role.token_no_default_policy,
        wish: role.wish(),
        metadata,
        channel_bound: false,
        once: None,
        judged_by: vec![
            (ControlKey::new(ControlKind::Config, mount, CONFIG), version),
            (ControlKey::new(ControlKind::Role, mount, name), role_version),
        ],
        reply: None,
    };
    admit(&login.tools, work, proven).await
}

async fn with_kerberos(login: &Login, work: &mut Work, shown: &Negotiated, channel_binding: &[u8]) -> Result<Reply, Fault> {
    let mount = work.mount_id();
    let snapshot = login.tools.directory.current();
    let Some((config, version)) = snapshot.get_versioned::<KerberosConfig>(ControlKind::Config, mount, CONFIG)? else {
        return Err(not_configured(work));
    };
    let Some(token) = decoded(shown) else {
        work.facts.reason = Some("malformed");
        return Err(refused_proof());
    };
    // Without the connection's binding a token that was caught elsewhere would pass.
    if channel_binding.is_empty() {
        work.facts.reason = Some("no_channel");
        return Err(refused_proof());
    }
    let service = service(login, work, version, Arc::clone(&config)).await?;
    let binding = channel_binding.to_vec();
    let accepted = match blocking(move || service.acceptor.accept(&token, Some(&binding))).await? {
        Ok(accepted) => accepted,
        Err(refusal) => {
            work.facts.reason = Some(kerberos_reason(refusal));
            return Err(refused_proof());
        }
    };
    let principal = accepted.principal.to_string();
    if config.require_channel_binding && !accepted.channel_bound {
        work.facts.reason = Some("not_channel_bound");
        return Err(refused_proof());
    }
    let metadata = [("principal", principal.as_str()), ("realm", accepted.principal.realm())];
    let proven = Proven {
        method: "kerberos",
        groups: Vec::new(),
        default_group: !config.token_no_default_policy,
        wish: config.wish(),
        metadata: metadata.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        channel_bound: accepted.channel_bound,
        once: Some(accepted.replay_digest),
        judged_by: vec![(ControlKey::new(ControlKind::Config, mount, CONFIG), version)],
        reply: accepted.reply_token,
        identity: principal,
    };
    admit(&login.tools, work, proven).await
}

async fn service(login: &Login, work: &mut Work, version: i64, config: Arc<KerberosConfig>) -> Result<Arc<Service>, Fault> {
    let (barrier, mount) = (Arc::clone(&login.tools.barrier), work.mount_id());
    let sources = Arc::clone(&login.sources);
    blocking(move || sources.kerberos(&barrier, mount, version, &config)).await?.map_err(|fault| {
        tracing::error!(%fault, mount = %work.mount().path, "a Kerberos method cannot accept logins");
        work.facts.reason = Some("no_keytab");
        Fault::Unavailable("the login method cannot accept logins now; the server's log says why")
    })
}

/// The token's bytes, wiped after use.
fn decoded(shown: &Negotiated) -> Option<Zeroizing<Vec<u8>>> {
    match shown {
        Negotiated::Nothing => None,
        Negotiated::Decoded(token) => Some(Zeroizing::new(token.expose().to_vec())),
        Negotiated::Text(text) => {
            let (scheme, encoded) = text.expose_text().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("negotiate").then(|| STANDARD.decode(encoded.trim()).ok()).flatten().map(Zeroizing::new)
        }
    }
}

async fn write_kerberos_config(login: &Login, work: &mut Work, write: &KerberosWrite) -> Result<Reply, Fault> {
    let (barrier, mount) = (Arc::clone(&login.tools.barrier), work.mount_id());
    let mut config = write.write.document.clone();
    let given = write.keytab.as_ref().map(keytab::decode).transpose()?;
    // Opened once to see that the library takes it, and that the principal is in it.
    let (tried, given) = {
        let config = config.clone();
        let barrier = Arc::clone(&barrier);
        blocking(move || (Service::open(&barrier, mount, &config, given.as_ref()).map(drop), given)).await?
    };
    tried?;
    if let Some(keytab) = &given {
        config.keytab = Some(SealedKeytab::seal(&barrier, mount, keytab)?);
    }
    let write = Write { document: config, before: write.write.before, grants: Vec::new(), unknown: write.write.unknown };
    put(login, work, ControlKind::Config, CONFIG, &write).await
}

fn read_config(login: &Login, work: &Work) -> Result<Reply, Fault> {
    let (snapshot, mount) = (login.tools.directory.current(), work.mount());
    let view = if mount.kind == Kind::Kerberos {
        snapshot.get::<KerberosConfig>(ControlKind::Config, mount.id, CONFIG)?.map(|config| config.view())
    } else {
        snapshot.get::<JwtConfig>(ControlKind::Config, mount.id, CONFIG)?.map(|config| config.view())
    };
    view.map(Reply::data).ok_or_else(|| Fault::not_found("the login method is not configured"))
}

async fn put<T: Serialize>(login: &Login, work: &mut Work, kind: ControlKind, name: &str, write: &Write<T>) -> Result<Reply, Fault> {
    let key = ControlKey::new(kind, work.mount_id(), name);
    let body = serde_json::to_string(&write.document).map_err(|_| Fault::Internal("setting"))?;
    work.facts.version = Some(control::put(work, login.tools.barrier.control(), &key, write.before, &body).await?);
    Ok(Reply::nothing().then(Change::Directory).warn_of_unknown(write.unknown))
}

async fn delete(login: &Login, work: &mut Work, kind: ControlKind, name: &str) -> Result<Reply, Fault> {
    let key = ControlKey::new(kind, work.mount_id(), name);
    control::delete(work, login.tools.barrier.control(), &key).await?;
    Ok(Reply::nothing().then(Change::Directory))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Fault::Internal("login"))
}

fn not_configured(work: &mut Work) -> Fault {
    work.facts.reason = Some("not_configured");
    Fault::invalid("the login method is not configured")
}

/// One text for all: a stranger does not learn which demand was not met.
fn refused_jwt() -> Fault {
    Fault::invalid(
        "error validating token: it does not meet what the method and the role demand, the ledger's entry of this request says why",
    )
}

fn jwt_reason(refusal: JwtRefusal) -> &'static str {
    match refusal {
        JwtRefusal::TooLong => "too_long",
        JwtRefusal::Malformed => "malformed",
        JwtRefusal::BadAlgorithm => "bad_algorithm",
        JwtRefusal::BadHeader => "bad_header",
        JwtRefusal::UnknownKey => "unknown_key",
        JwtRefusal::AmbiguousKey => "ambiguous_key",
        JwtRefusal::BadSignature => "bad_signature",
        JwtRefusal::MissingExpiry => "missing_expiry",
        JwtRefusal::Expired => "expired",
        JwtRefusal::NotYetValid => "not_yet_valid",
        JwtRefusal::TooOld => "too_old",
        JwtRefusal::WrongIssuer => "wrong_issuer",
        JwtRefusal::WrongAudience => "wrong_audience",
        JwtRefusal::WrongSubject => "wrong_subject",
        JwtRefusal::WrongClaim => "wrong_claim",
        JwtRefusal::BadUser => "bad_user",
        JwtRefusal::BadGroups => "bad_groups",
        JwtRefusal::BadMetadata => "bad_metadata",
    }
}

fn kerberos_reason(refusal: KerberosRefusal) -> &'static str {
    match refusal {
        KerberosRefusal::Malformed => "malformed",
        KerberosRefusal::NotKerberos => "not_kerberos",
        KerberosRefusal::ContinueNeeded => "continue_needed",
        KerberosRefusal::Expired => "expired",
        KerberosRefusal::WrongKey => "wrong_key",
        KerberosRefusal::ClockSkew => "clock_skew",
        KerberosRefusal::ChannelBindingMismatch => "wrong_channel_binding",
        KerberosRefusal::Replay => "replay",
        KerberosRefusal::Anonymous => "anonymous",
        KerberosRefusal::BadName => "bad_name",
        KerberosRefusal::Other => "other",
    }
}
