//! Auth tokens as they are stored: under a keyed hash of the token, never the token.

use std::collections::BTreeMap;

use goldfin_crypto::mac::MacKey;
use serde::{Deserialize, Serialize};

use crate::model::clock::Timestamp;
use crate::model::id::{MountId, ROOT_NAMESPACE};

use super::Store;
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

fn mac_of(mac: &MacKey, fingerprint: &[u8], body: &str) -> [u8; 32] {
    mac.mac(&[b"auth_token", &ROOT_NAMESPACE.to_be_bytes(), fingerprint, body.as_bytes()])
}

fn encode(row: &AuthTokenRow) -> Result<String, StoreError> {
    serde_json::to_string(row).map_err(|_| StoreError::Defect("an auth token cannot be encoded".to_owned()))
}

fn verified(mac: &MacKey, fingerprint: &[u8], body: &str, tag: &[u8]) -> Result<Found, StoreError> {
    let fingerprint: [u8; 32] = fingerprint.try_into().map_err(|_| StoreError::Integrity("an auth token was not written by goldfin"))?;
    if !goldfin_crypto::mac::constant_time_eq(&mac_of(mac, &fingerprint, body), tag) {
        return Err(StoreError::Integrity("an auth token was not written by goldfin"));
    }
    let row = serde_json::from_str(body).map_err(|_| StoreError::Integrity("an auth token cannot be read"))?;
    Ok(Found { fingerprint, row })
}

/// Finds a token by its keyed hash. One whose revocation stands in the ledger is not found, even where an old row was put back.
pub async fn find(store: &Store, mac: &MacKey, fingerprint: &[u8; 32]) -> Result<Option<Found>, StoreError> {
    let mut connection = store.connection().await?;
    let row = sqlx::query!(
        r#"SELECT t.body, t.mac,
                  EXISTS (SELECT FROM ledger_entry e
                          WHERE e.change >= 'auth_token:' || t.accessor AND e.change < 'auth_token:' || t.accessor || chr(11)
                            AND e.action IN ('revoke_auth_token', 'revoke_self')
                            AND e.decision = 'granted')
                  OR (t.parent IS NOT NULL AND NOT EXISTS (SELECT FROM auth_token p WHERE p.namespace = 0 AND p.accessor = t.parent)) AS "revoked!"
           FROM auth_token t WHERE t.namespace = 0 AND t.fingerprint = $1"#,
        &fingerprint[..]
    )
    .fetch_optional(&mut *connection)
    .await?;
    match row {
        Some(row) if !row.revoked => verified(mac, fingerprint, &row.body, &row.mac).map(Some),
        _ => Ok(None),
    }
}

/// Finds a token by its accessor and locks it until the work's commit.
pub async fn lock_by_accessor(work: &mut Work, mac: &MacKey, accessor: &str) -> Result<Option<Found>, StoreError> {
    let transaction = work.transaction().await?;
    let row = sqlx::query!("SELECT fingerprint, body, mac FROM auth_token WHERE namespace = 0 AND accessor = $1 FOR UPDATE", accessor)
        .fetch_optional(&mut **transaction)
        .await?;
    row.map(|row| verified(mac, &row.fingerprint, &row.body, &row.mac)).transpose()
}

pub async fn find_by_accessor(store: &Store, mac: &MacKey, accessor: &str) -> Result<Option<Found>, StoreError> {
    let mut connection = store.connection().await?;
    let row = sqlx::query!("SELECT fingerprint, body, mac FROM auth_token WHERE namespace = 0 AND accessor = $1", accessor)
        .fetch_optional(&mut *connection)
        .await?;
    row.map(|row| verified(mac, &row.fingerprint, &row.body, &row.mac)).transpose()
}

/// The accessors of all tokens, at most `limit`, in byte order.
pub async fn accessors(store: &Store, limit: i64) -> Result<Vec<String>, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_scalar!("SELECT accessor FROM auth_token WHERE namespace = 0 ORDER BY accessor LIMIT $1", limit)
        .fetch_all(&mut *connection)
        .await?)
}

pub async fn insert(work: &mut Work, mac: &MacKey, fingerprint: &[u8; 32], row: &AuthTokenRow) -> Result<(), StoreError> {
    let body = encode(row)?;
    let tag = mac_of(mac, fingerprint, &body);
    let transaction = work.transaction().await?;
    // A child is only made under a parent that is still there: the lock orders this against the parent's revocation.
    if let Some(parent) = &row.parent {
        let alive = sqlx::query_scalar!("SELECT accessor FROM auth_token WHERE namespace = 0 AND accessor = $1 FOR SHARE", parent)
            .fetch_optional(&mut **transaction)
            .await?;
        if alive.is_none() {
            return Err(StoreError::Conflict);
        }
    }
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
        "UPDATE auth_token SET body = $2, mac = $3, expires = $4, version = $5 WHERE namespace = 0 AND fingerprint = $1 AND version < $5",
        &found.fingerprint[..],
        body,
        &tag[..],
        found.row.expires.map(Timestamp::to_date),
        found.row.version
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

/// Deletes one token and lets its children live on.
pub async fn delete_alone(work: &mut Work, accessor: &str) -> Result<bool, StoreError> {
    let transaction = work.transaction().await?;
    let gone = sqlx::query!("DELETE FROM auth_token WHERE namespace = 0 AND accessor = $1", accessor).execute(&mut **transaction).await?;
    Ok(gone.rows_affected() > 0)
}

/// Deletes every token of an account that is disabled or deleted, with their children.
pub async fn delete_of_account(work: &mut Work, account: &str) -> Result<Vec<String>, StoreError> {
    let transaction = work.transaction().await?;
    let accessors = sqlx::query_scalar!("SELECT accessor FROM auth_token WHERE namespace = 0 AND account = $1", account)
        .fetch_all(&mut **transaction)
        .await?;
    delete_each(work, accessors).await
}

/// Deletes every token that a login method gave, with their children.
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

/// Deletes tokens that expired before `moment`; for the job.
pub async fn delete_expired(work: &mut Work, moment: Timestamp) -> Result<u64, StoreError> {
    let transaction = work.transaction().await?;
    let gone = sqlx::query!("DELETE FROM auth_token WHERE expires < $1", moment.to_date()).execute(&mut **transaction).await?;
    Ok(gone.rows_affected())
}
