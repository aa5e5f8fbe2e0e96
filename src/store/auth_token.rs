//! Auth tokens as they are stored: under a keyed hash of the token, never the token.

use std::collections::BTreeMap;

use goldfin_crypto::mac::MacKey;
use serde::{Deserialize, Serialize};

use crate::model::clock::Timestamp;
use crate::model::id::{MountId, ROOT_NAMESPACE};

use super::Store;
use super::control::{ControlKey, ControlKind, SERVER};
use super::error::StoreError;
use super::work::Work;

/// The group that may do everything that the base policies do not forbid. Only `init` and `generate-root` put a token into it.
pub const ROOT_GROUP: &str = "root";

/// What is known of an auth token. Authenticated by a MAC over the row, so that an inserted or edited one is not honoured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuthTokenRow {
    pub accessor: String,
    pub account: String,
    /// The Cedar groups of its holder: those of the account and those of the role that it came from.
    pub groups: Vec<String>,
    /// `kerberos`, `jwt`, `token` or `root`.
    pub method: String,
    /// The path that made it: `auth/jwt/login`.
    pub path: String,
    pub display_name: String,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    pub created: Timestamp,
    pub renewed: Option<Timestamp>,
    /// None never expires: only the root token of `init`.
    pub expires: Option<Timestamp>,
    /// Beyond this no renewal reaches.
    pub max_expires: Option<Timestamp>,
    /// The life that was asked for at creation, in seconds.
    pub ttl: u64,
    pub explicit_max_ttl: u64,
    pub period: u64,
    pub renewable: bool,
    /// The accessor of the token that made it; revoking that one revokes this one.
    pub parent: Option<String>,
    pub channel_bound: bool,
    /// The mount of the login method: disabling it ends the token.
    pub mount: i32,
    /// Counts renewals, so that an older row put back is told from the newest.
    pub version: i64,
}

impl AuthTokenRow {
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| now >= at)
    }

    /// Seconds left; 0 for one that never expires.
    #[must_use]
    pub fn seconds_left(&self, now: Timestamp) -> u64 {
        self.expires.map_or(0, |at| at.since(now).as_secs())
    }

    #[must_use]
    pub fn is_root(&self) -> bool {
        self.groups.iter().any(|group| group == ROOT_GROUP)
    }
}

/// A stored token with the fingerprint that it is found by.
#[derive(Debug, Clone)]
pub struct Found {
    pub fingerprint: [u8; 32],
    pub row: AuthTokenRow,
}

/// A stored token and those above it: who made it, who made that one, and so on.
#[derive(Debug, Clone)]
pub struct Line {
    pub found: Found,
    pub ancestors: Vec<AuthTokenRow>,
}

impl Line {
    /// Whether the token or one above it has expired: with that one this one ends.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.found.row.is_expired(now) || self.ancestors.iter().any(|row| row.is_expired(now))
    }
}

fn mac_of(mac: &MacKey, fingerprint: &[u8], body: &str) -> [u8; 32] {
    mac.mac(&[b"auth_token", &ROOT_NAMESPACE.to_be_bytes(), fingerprint, body.as_bytes()])
}

fn encode(row: &AuthTokenRow) -> Result<String, StoreError> {
    serde_json::to_string(row).map_err(|_| StoreError::Defect("an auth token cannot be encoded".to_owned()))
}

/// A row as the database gives it: nothing in it is believed before its MAC held.
struct Stored {
    fingerprint: Vec<u8>,
    accessor: String,
    parent: Option<String>,
    body: String,
    mac: Vec<u8>,
}

impl Stored {
    fn verified(self, mac: &MacKey) -> Result<Found, StoreError> {
        let forged = StoreError::Integrity("an auth token was not written by goldfin");
        let Ok(fingerprint) = <[u8; 32]>::try_from(self.fingerprint.as_slice()) else { return Err(forged) };
        if !goldfin_crypto::mac::constant_time_eq(&mac_of(mac, &fingerprint, &self.body), &self.mac) {
            return Err(forged);
        }
        let row: AuthTokenRow = serde_json::from_str(&self.body).map_err(|_| StoreError::Integrity("an auth token cannot be read"))?;
        // The columns repeat parts of the body for searching; a revocation is looked up by them.
        if row.accessor != self.accessor || row.parent != self.parent {
            return Err(forged);
        }
        Ok(Found { fingerprint, row })
    }
}

/// Finds a token by its keyed hash, with all above it. One whose revocation, or that of one above it, stands in the ledger is not found,
/// even where old rows were put back; nor is one whose maker is gone. Expiry is for the caller to judge.
pub async fn find(store: &Store, mac: &MacKey, fingerprint: &[u8; 32]) -> Result<Option<Line>, StoreError> {
    let mut connection = store.connection().await?;
    let rows = sqlx::query!(
        r#"WITH RECURSIVE line (depth, fingerprint, accessor, parent, body, mac) AS (
               SELECT 0, fingerprint, accessor, parent, body, mac FROM auth_token WHERE namespace = 0 AND fingerprint = $1
               UNION ALL
               SELECT l.depth + 1, p.fingerprint, p.accessor, p.parent, p.body, p.mac
               FROM line l JOIN auth_token p ON p.namespace = 0 AND p.accessor = l.parent
               WHERE l.depth < 64
           )
           SELECT fingerprint AS "fingerprint!", accessor AS "accessor!", parent, body AS "body!", mac AS "mac!",
                  EXISTS (SELECT FROM ledger_change e
                          WHERE left(e.change, 64) >= 'auth_token:' || line.accessor AND left(e.change, 64) < 'auth_token:' || line.accessor || chr(11)
                            AND e.action IN ('revoke_auth_token', 'revoke_self')
                            AND e.decision = 'granted') AS "revoked!"
           FROM line ORDER BY depth"#,
        &fingerprint[..]
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut line = Vec::with_capacity(rows.len());
    for row in rows {
        if row.revoked {
            return Ok(None);
        }
        let stored = Stored { fingerprint: row.fingerprint, accessor: row.accessor, parent: row.parent, body: row.body, mac: row.mac };
        line.push(stored.verified(mac)?);
    }
    // The last has no maker, unless the maker is gone (or the line is longer than any that goldfin makes).
    if line.last().is_none_or(|last| last.row.parent.is_some()) {
        return Ok(None);
    }
    let mut line = line.into_iter();
    Ok(line.next().map(|found| Line { found, ancestors: line.map(|above| above.row).collect() }))
}

/// The same by the token's accessor.
pub async fn find_by_accessor(store: &Store, mac: &MacKey, accessor: &str) -> Result<Option<Line>, StoreError> {
    let known = {
        let mut connection = store.connection().await?;
        sqlx::query_scalar!("SELECT fingerprint FROM auth_token WHERE namespace = 0 AND accessor = $1", accessor)
            .fetch_optional(&mut *connection)
            .await?
    };
    match known.and_then(|fingerprint| <[u8; 32]>::try_from(fingerprint.as_slice()).ok()) {
        // One that was put under another accessor is not the one that was asked for.
        Some(fingerprint) => Ok(find(store, mac, &fingerprint).await?.filter(|line| line.found.row.accessor == accessor)),
        None => Ok(None),
    }
}

/// Finds a token by its accessor and locks it until the work's commit.
pub async fn lock_by_accessor(work: &mut Work, mac: &MacKey, accessor: &str) -> Result<Option<Found>, StoreError> {
    let transaction = work.transaction().await?;
    let row = sqlx::query_as!(
        Stored,
        "SELECT fingerprint, accessor, parent, body, mac FROM auth_token WHERE namespace = 0 AND accessor = $1 FOR UPDATE",
        accessor
    )
    .fetch_optional(&mut **transaction)
    .await?;
    row.map(|row| row.verified(mac)).transpose()
}

/// The accessors of all tokens, at most `limit`, in byte order.
pub async fn accessors(store: &Store, limit: i64) -> Result<Vec<String>, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_scalar!("SELECT accessor FROM auth_token WHERE namespace = 0 ORDER BY accessor LIMIT $1", limit)
        .fetch_all(&mut *connection)
        .await?)
}

/// Says whether a row that decides about a login is still what it was, and keeps it so until the work's commit: a token made for an
/// account or under a method that is disabled at the same moment must not outlive it.
pub async fn hold(work: &mut Work, key: &ControlKey, version: i64) -> Result<bool, StoreError> {
    let transaction = work.transaction().await?;
    let now = sqlx::query_scalar!(
        "SELECT version FROM control WHERE namespace = 0 AND kind = $1 AND mount = $2 AND name = $3 FOR SHARE",
        key.kind.name(),
        key.mount.0,
        key.name
    )
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(now == Some(version))
}

/// Says whether a token is still there, and keeps it so until the work's commit: for the making of its children.
pub async fn hold_parent(work: &mut Work, accessor: &str) -> Result<bool, StoreError> {
    let transaction = work.transaction().await?;
    let alive = sqlx::query_scalar!("SELECT accessor FROM auth_token WHERE namespace = 0 AND accessor = $1 FOR SHARE", accessor)
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(alive.is_some())
}

pub async fn insert(work: &mut Work, mac: &MacKey, fingerprint: &[u8; 32], row: &AuthTokenRow) -> Result<(), StoreError> {
    let body = encode(row)?;
    let tag = mac_of(mac, fingerprint, &body);
    // A child is only made under a parent that is still there: the lock orders this against the parent's revocation.
    if let Some(parent) = &row.parent
        && !hold_parent(work, parent).await?
    {
        return Err(StoreError::Conflict);
    }
    let transaction = work.transaction().await?;
    sqlx::query!(
        "INSERT INTO auth_token (namespace, fingerprint, accessor, account, parent, mount, expires, version, body, mac)
         VALUES (0, $1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &fingerprint[..],
        row.accessor,
        row.account,
        row.parent,
        row.mount,
        row.expires.map(Timestamp::to_date),
        row.version,
        body,
        &tag[..]
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Replaces the row of a token that is locked in the work's transaction.
pub async fn update(work: &mut Work, mac: &MacKey, found: &Found) -> Result<(), StoreError> {
    let body = encode(&found.row)?;
    let tag = mac_of(mac, &found.fingerprint, &body);
    let transaction = work.transaction().await?;
    let written = sqlx::query!(
        "UPDATE auth_token SET body = $2, mac = $3, expires = $4, version = $5, parent = $6 WHERE namespace = 0 AND fingerprint = $1 AND version < $5",
        &found.fingerprint[..],
        body,
        &tag[..],
        found.row.expires.map(Timestamp::to_date),
        found.row.version,
        found.row.parent
    )
    .execute(&mut **transaction)
    .await?;
    if written.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

/// Deletes a token and, as deep as they go, those that it made. Gives the accessors of all.
pub async fn delete_with_children(work: &mut Work, accessor: &str) -> Result<Vec<String>, StoreError> {
    let transaction = work.transaction().await?;
    let mut gone = Vec::new();
    let mut parents = vec![accessor.to_owned()];
    while !parents.is_empty() {
        // Deleting takes the lock that a child's insert waits for; after it no child can be made, so one more round finds the last.
        let deleted: Vec<String> =
            sqlx::query_scalar!("DELETE FROM auth_token WHERE namespace = 0 AND accessor = ANY ($1) RETURNING accessor", &parents)
                .fetch_all(&mut **transaction)
                .await?;
        let children = sqlx::query_scalar!("SELECT accessor FROM auth_token WHERE namespace = 0 AND parent = ANY ($1)", &parents)
            .fetch_all(&mut **transaction)
            .await?;
        gone.extend(deleted);
        parents = children;
    }
    Ok(gone)
}

/// Deletes one token and lets its children live on as orphans. Gives the accessors of the children; None: it was not there.
pub async fn delete_alone(work: &mut Work, mac: &MacKey, accessor: &str) -> Result<Option<Vec<String>>, StoreError> {
    let transaction = work.transaction().await?;
    // Deleting takes the lock that a child's insert waits for, so the children that are seen after it are all there will be.
    let gone = sqlx::query!("DELETE FROM auth_token WHERE namespace = 0 AND accessor = $1", accessor).execute(&mut **transaction).await?;
    if gone.rows_affected() == 0 {
        return Ok(None);
    }
    let children = sqlx::query_as!(
        Stored,
        "SELECT fingerprint, accessor, parent, body, mac FROM auth_token WHERE namespace = 0 AND parent = $1 ORDER BY accessor FOR UPDATE",
        accessor
    )
    .fetch_all(&mut **transaction)
    .await?;
    let mut orphans = Vec::with_capacity(children.len());
    for child in children {
        let mut child = child.verified(mac)?;
        child.row.parent = None;
        child.row.version += 1;
        update(work, mac, &child).await?;
        orphans.push(child.row.accessor);
    }
    Ok(Some(orphans))
}

/// Deletes every token of an account that is disabled or deleted, with their children. A login that is under way for it is waited for
/// (see [`hold`]) and its token deleted too.
pub async fn delete_of_account(work: &mut Work, account: &str) -> Result<Vec<String>, StoreError> {
    let transaction = work.transaction().await?;
    sqlx::query!(
        "SELECT version FROM control WHERE namespace = 0 AND kind = $1 AND mount = $2 AND name = $3 FOR UPDATE",
        ControlKind::Account.name(),
        SERVER.0,
        account
    )
    .fetch_optional(&mut **transaction)
    .await?;
    let accessors = sqlx::query_scalar!("SELECT accessor FROM auth_token WHERE namespace = 0 AND account = $1", account)
        .fetch_all(&mut **transaction)
        .await?;
    delete_each(work, accessors).await
}

/// Deletes every token that a login method gave, with their children. The method's own row must have been deleted in the same
/// transaction before, so that no login is under way any more (see [`hold`]).
pub async fn delete_of_mount(work: &mut Work, mount: MountId) -> Result<Vec<String>, StoreError> {
    let transaction = work.transaction().await?;
    let accessors = sqlx::query_scalar!("SELECT accessor FROM auth_token WHERE namespace = 0 AND mount = $1", mount.0)
        .fetch_all(&mut **transaction)
        .await?;
    delete_each(work, accessors).await
}

async fn delete_each(work: &mut Work, accessors: Vec<String>) -> Result<Vec<String>, StoreError> {
    let mut gone = Vec::new();
    for accessor in accessors {
        gone.extend(delete_with_children(work, &accessor).await?);
    }
    Ok(gone)
}

/// Deletes tokens that expired before `moment`, at most `limit`; for the job. One that is being renewed is left alone.
pub async fn delete_expired(work: &mut Work, moment: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let transaction = work.transaction().await?;
    let gone = sqlx::query!(
        "DELETE FROM auth_token WHERE namespace = 0 AND expires < $1 AND fingerprint IN (
             SELECT fingerprint FROM auth_token WHERE namespace = 0 AND expires < $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)",
        moment.to_date(),
        limit
    )
    .execute(&mut **transaction)
    .await?;
    Ok(gone.rows_affected())
}
