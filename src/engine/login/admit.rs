//! From a proven identity to an auth token: the same for every method.

use std::collections::BTreeMap;

use goldfin_crypto::{Accessor, AuthToken, Plaintext};

use crate::auth::kerberos::REPLAY_WINDOW;
use crate::engine::Tools;
use crate::engine::auth_token::life::{self, Wish};
use crate::engine::auth_token::{DEFAULT_GROUP, view};
use crate::model::account::{Account, Alias};
use crate::model::fault::Fault;
use crate::model::mount::Mount;
use crate::model::reply::{Answer, Grant, Reply};
use crate::seal::barrier::fault;
use crate::store::auth_token::{self, AuthTokenRow, ROOT_GROUP};
use crate::store::control::{self, ControlKey, ControlKind, SERVER};
use crate::store::error::StoreError;
use crate::store::replay;
use crate::store::work::Work;

/// What a method proved, and what its role or configuration gives for it.
#[derive(Debug)]
pub(super) struct Proven {
    /// `jwt` or `kerberos`: what policies see.
    pub method: &'static str,
    /// The principal, or the value of the user claim. Exact: nothing is folded, cut or completed.
    pub identity: String,
    /// Groups that the method's role gives, beside those of the account.
    pub groups: Vec<String>,
    pub default_group: bool,
    pub wish: Wish,
    pub metadata: BTreeMap<String, String>,
    pub channel_bound: bool,
    /// Of a proof that may be used once: a value that is the same however the proof is wrapped.
    pub once: Option<[u8; 32]>,
    /// The rows that the proof was judged by, with their versions: none may have changed when the token is made.
    pub judged_by: Vec<(ControlKey, i64)>,
    /// What the client gets to see that it talks to the right server.
    pub reply: Option<Vec<u8>>,
}

pub(super) async fn admit(tools: &Tools, work: &mut Work, proven: Proven) -> Result<Reply, Fault> {
    let mount = work.mount().clone();
    let method = mount.method_name().unwrap_or_default();
    let alias = format!("{method}/{}", proven.identity);
    let known = account_of(tools, work, &alias).await?;
    let (account, groups) = match &known {
        Some((name, account, _)) => (name.clone(), account.groups.as_slice()),
        // Named by its alias, which no stored account can be called: a slash is in it.
        None if !proven.groups.is_empty() => (alias.clone(), [].as_slice()),
        None => {
            work.facts.account = Some(alias);
            return refuse(work, "no_account");
        }
    };
    work.facts.account = Some(account.clone());
    if known.as_ref().is_some_and(|(_, account, _)| account.disabled) {
        return refuse(work, "disabled");
    }
    let groups = groups_of(groups, &proven);
    if groups.iter().any(|group| group.trim().eq_ignore_ascii_case(ROOT_GROUP)) {
        return refuse(work, "root_group");
    }
    // From here on in one transaction with the entry: the proof is used up, the account and the method are held as they are.
    if let Some(once) = &proven.once
        && !replay::remember(work, &tools.barrier.replay_hash(once), work.now().plus(REPLAY_WINDOW)).await?
    {
        work.facts.reason = Some("replay");
        return Err(refused_proof());
    }
    let account_row = known.iter().map(|(name, _, version)| (account_key(name), *version));
    hold(tools, work, &mount, account_row.chain(proven.judged_by.iter().cloned()).collect()).await?;
    let (token, row) = new_token(work, &mount, account, groups, &proven)?;
    auth_token::insert(work, tools.barrier.control(), &token.fingerprint(tools.barrier.lookup()), &row).await?;
    work.facts.accessor = Some(row.accessor.clone());
    let shown = Plaintext::from_text(token.expose_text().to_owned());
    let grant = Grant { negotiate: proven.reply, ..view::grant(&row, shown, work.now()) };
    Ok(Reply::new(Answer::Auth(Box::new(grant))))
}

/// What a caller hears whose Kerberos proof is refused, whatever the reason.
pub(super) fn refused_proof() -> Fault {
    Fault::Unauthenticated("the Kerberos login is refused; get a new ticket and try again, the ledger's entry of this request says why")
}

fn refuse(work: &mut Work, reason: &'static str) -> Result<Reply, Fault> {
    work.facts.reason = Some(reason);
    Err(Fault::Denied)
}

/// The account that an alias belongs to, with the version of its row. Both rows must name each other: an old alias that somebody put
/// back into the database leads nowhere.
async fn account_of(tools: &Tools, work: &Work, alias: &str) -> Result<Option<(String, Account, i64)>, Fault> {
    let (store, mac) = (work.store(), tools.barrier.control());
    let unreadable = |_| Fault::Integrity("a control row cannot be read");
    let Some(row) = control::load(store, mac, &ControlKey::new(ControlKind::Alias, SERVER, alias)).await? else { return Ok(None) };
    let name = serde_json::from_str::<Alias>(&row.body).map_err(unreadable)?.account;
    let Some(row) = control::load(store, mac, &account_key(&name)).await? else { return Ok(None) };
    let account: Account = serde_json::from_str(&row.body).map_err(unreadable)?;
    Ok(account.aliases.iter().any(|known| known == alias).then_some((name, account, row.version)))
}

fn account_key(name: &str) -> ControlKey {
    ControlKey::new(ControlKind::Account, SERVER, name)
}

/// Keeps the method and all that admits the login as they were read until the commit, so that nothing of it is disabled in between.
/// Where this node's picture is not the newest, it is read anew and the login tried again.
async fn hold(tools: &Tools, work: &mut Work, mount: &Mount, mut rows: Vec<(ControlKey, i64)>) -> Result<(), Fault> {
    let path = tools.directory.current().get_versioned::<Mount>(ControlKind::Mount, SERVER, &mount.path)?;
    rows.push((ControlKey::new(ControlKind::Mount, SERVER, mount.path.as_str()), path.map_or(0, |(_, version)| version)));
    for (key, version) in rows {
        if !auth_token::hold(work, &key, version).await? {
            tools.directory.reload(work.store(), tools.barrier.control()).await?;
            return Err(StoreError::Conflict.into());
        }
    }
    Ok(())
}

fn groups_of(account: &[String], proven: &Proven) -> Vec<String> {
    let mut groups: Vec<String> = account.iter().chain(&proven.groups).cloned().collect();
    if proven.default_group {
        groups.push(DEFAULT_GROUP.to_owned());
    }
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn new_token(
    work: &Work,
    mount: &Mount,
    account: String,
    groups: Vec<String>,
    proven: &Proven,
) -> Result<(AuthToken, AuthTokenRow), Fault> {
    let life = life::begin(work.now(), proven.wish, life::LOGIN.tuned(mount.default_lease_ttl, mount.max_lease_ttl));
    let row = AuthTokenRow {
        accessor: Accessor::generate().map_err(fault)?,
        account,
        groups,
        method: proven.method.to_owned(),
        path: format!("{}/login", mount.path),
        display_name: format!("{}-{}", mount.method_name().unwrap_or_default(), proven.identity),
        metadata: proven.metadata.clone(),
        created: work.now(),
        renewed: None,
        expires: Some(life.expires),
        max_expires: life.max_expires,
        ttl: life.ttl,
        explicit_max_ttl: proven.wish.explicit_max_ttl,
        period: proven.wish.period,
        renewable: true,
        parent: None,
        channel_bound: proven.channel_bound,
        mount: mount.id.0,
        version: 1,
    };
    Ok((AuthToken::generate().map_err(fault)?, row))
}
