//! The rows of secrets. Everything in them but the path and the numbers is ciphertext.

use crate::model::id::MountId;

use super::error::StoreError;
use super::work::Work;

/// A secret with the ciphertext of one of its versions, where that is there.
#[derive(Debug, Clone)]
pub struct SecretRow {
    pub current: i64,
    pub revision: i64,
    pub wrapped_key: Vec<u8>,
    pub body: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct VersionRow {
    pub version: i64,
    pub wrapped_key: Vec<u8>,
    pub value: Vec<u8>,
}

/// Reads a secret and one version of it; version 0 means the current one.
pub async fn read(work: &Work, path: &str, version: i64) -> Result<Option<(SecretRow, Option<VersionRow>)>, StoreError> {
    let mut connection = work.store().connection().await?;
    let row = sqlx::query!(
        r#"SELECT s.current, s.revision, s.wrapped_key, s.body,
                  v.version AS "version?", v.wrapped_key AS "version_key?", v.value AS "value?"
           FROM kv_secret s
           LEFT JOIN kv_version v ON v.namespace = 0 AND v.mount = s.mount AND v.path = s.path
                AND v.version = CASE WHEN $3::bigint = 0 THEN s.current ELSE $3 END
           WHERE s.namespace = 0 AND s.mount = $1 AND s.path = $2"#,
        work.mount_id().0,
        path,
        version
    )
    .fetch_optional(&mut *connection)
    .await?;
    Ok(row.map(|row| {
        let secret = SecretRow { current: row.current, revision: row.revision, wrapped_key: row.wrapped_key, body: row.body };
        let version = match (row.version, row.version_key, row.value) {
            (Some(version), Some(wrapped_key), Some(value)) => Some(VersionRow { version, wrapped_key, value }),
            _ => None,
        };
        (secret, version)
    }))
}

/// Reads a secret's row and locks it until the commit.
pub async fn lock(work: &mut Work, path: &str) -> Result<Option<SecretRow>, StoreError> {
    let mount = work.mount_id().0;
    let transaction = work.transaction().await?;
    Ok(sqlx::query_as!(
        SecretRow,
        "SELECT current, revision, wrapped_key, body FROM kv_secret WHERE namespace = 0 AND mount = $1 AND path = $2 FOR UPDATE",
        mount,
        path
    )
    .fetch_optional(&mut **transaction)
    .await?)
}

/// Reads one version of a locked secret.
pub async fn read_version(work: &mut Work, path: &str, version: i64) -> Result<Option<VersionRow>, StoreError> {
    let mount = work.mount_id().0;
    let transaction = work.transaction().await?;
    Ok(sqlx::query_as!(
        VersionRow,
        "SELECT version, wrapped_key, value FROM kv_version WHERE namespace = 0 AND mount = $1 AND path = $2 AND version = $3",
        mount,
        path,
        version
    )
    .fetch_optional(&mut **transaction)
    .await?)
}

/// Inserts a new secret's row where `before` is 0, else replaces a locked one of revision `before`.
/// Somebody else's change in between is [`StoreError::Conflict`].
pub async fn put(work: &mut Work, path: &str, before: i64, row: &SecretRow) -> Result<(), StoreError> {
    let mount = work.mount_id().0;
    let transaction = work.transaction().await?;
    let written = sqlx::query!(
        "INSERT INTO kv_secret (namespace, mount, path, current, revision, wrapped_key, body) VALUES (0, $1, $2, $3, $4, $5, $6)
         ON CONFLICT (namespace, mount, path) DO UPDATE SET current = $3, revision = $4, wrapped_key = $5, body = $6
         WHERE kv_secret.revision = $7",
        mount,
        path,
        row.current,
        row.revision,
        row.wrapped_key,
        row.body,
        before
    )
    .execute(&mut **transaction)
    .await?;
    if written.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

/// The same together with a new version, and without those that are forgotten for it.
pub async fn put_version(
    work: &mut Work,
    path: &str,
    before: i64,
    row: &SecretRow,
    version: &VersionRow,
    forgotten: &[i64],
) -> Result<(), StoreError> {
    let mount = work.mount_id().0;
    let transaction = work.transaction().await?;
    // A row that is there under the new number was not written by goldfin; it must not be able to block the secret.
    let written = sqlx::query!(
        "WITH secret AS (
             INSERT INTO kv_secret (namespace, mount, path, current, revision, wrapped_key, body) VALUES (0, $1, $2, $3, $4, $5, $6)
             ON CONFLICT (namespace, mount, path) DO UPDATE SET current = $3, revision = $4, wrapped_key = $5, body = $6
             WHERE kv_secret.revision = $7
             RETURNING kv_secret.mount, kv_secret.path
         ), forgotten AS (
             DELETE FROM kv_version v USING secret s
             WHERE v.namespace = 0 AND v.mount = s.mount AND v.path = s.path AND v.version = ANY ($11)
         )
         INSERT INTO kv_version (namespace, mount, path, version, wrapped_key, value) SELECT 0, mount, path, $8, $9, $10 FROM secret
         ON CONFLICT (namespace, mount, path, version) DO UPDATE SET wrapped_key = $9, value = $10",
        mount,
        path,
        row.current,
        row.revision,
        row.wrapped_key,
        row.body,
        before,
        version.version,
        version.wrapped_key,
        version.value,
        forgotten
    )
    .execute(&mut **transaction)
    .await?;
    if written.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

/// Removes the ciphertext and the wrapped key of versions for good.
pub async fn delete_versions(work: &mut Work, path: &str, versions: &[i64]) -> Result<(), StoreError> {
    let mount = work.mount_id().0;
    let transaction = work.transaction().await?;
    sqlx::query!("DELETE FROM kv_version WHERE namespace = 0 AND mount = $1 AND path = $2 AND version = ANY ($3)", mount, path, versions)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Removes a secret with all its versions; says whether it was there.
pub async fn delete(work: &mut Work, path: &str) -> Result<bool, StoreError> {
    let mount = work.mount_id().0;
    let transaction = work.transaction().await?;
    // The secret first: it waits for whoever is adding a version, and only then sees which versions there are.
    let gone = sqlx::query!("DELETE FROM kv_secret WHERE namespace = 0 AND mount = $1 AND path = $2", mount, path)
        .execute(&mut **transaction)
        .await?;
    sqlx::query!("DELETE FROM kv_version WHERE namespace = 0 AND mount = $1 AND path = $2", mount, path)
        .execute(&mut **transaction)
        .await?;
    Ok(gone.rows_affected() > 0)
}

/// The names right below a folder, folders with a trailing slash; at most `limit`, in byte order. `folder` is empty or ends in a slash.
pub async fn list(work: &Work, folder: &str, limit: i32) -> Result<Vec<String>, StoreError> {
    let end = match folder.strip_suffix('/') {
        // The byte behind the slash.
        Some(name) => format!("{name}0"),
        // Behind every path: none is longer than 1,024 bytes.
        None => "\u{10ffff}".repeat(257),
    };
    let mut connection = work.store().connection().await?;
    // Each step jumps behind all paths that share the name just found, so a folder costs as many steps as it has names, however many
    // secrets lie below them. Behind a secret comes its path with the smallest byte added, which no path holds.
    let names = sqlx::query_scalar!(
        r#"WITH RECURSIVE step (name, next, n) AS (
               SELECT ''::text COLLATE "C", $2::text COLLATE "C", 0
               UNION ALL
               SELECT found.name COLLATE "C", found.next COLLATE "C", step.n + 1
               FROM step, LATERAL (
                   SELECT CASE WHEN slash > 0 THEN left(rest, slash) ELSE rest END AS name,
                          CASE WHEN slash > 0 THEN $2::text || left(rest, slash - 1) || '0' ELSE path || chr(1) END AS next
                   FROM kv_secret,
                        LATERAL (SELECT substr(path, length($2::text) + 1) AS rest) below,
                        LATERAL (SELECT strpos(rest, '/') AS slash) split
                   WHERE namespace = 0 AND mount = $1 AND path >= step.next AND path < $4::text
                   ORDER BY path
                   LIMIT 1
               ) found
               WHERE step.n < $3
           )
           SELECT name AS "name!" FROM step WHERE n > 0 ORDER BY n"#,
        work.mount_id().0,
        folder,
        limit,
        end
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(names)
}

/// Removes every secret of a mount that is going away.
pub async fn delete_of_mount(work: &mut Work, mount: MountId) -> Result<(), StoreError> {
    let transaction = work.transaction().await?;
    sqlx::query!("DELETE FROM kv_version WHERE namespace = 0 AND mount = $1", mount.0).execute(&mut **transaction).await?;
    sqlx::query!("DELETE FROM kv_secret WHERE namespace = 0 AND mount = $1", mount.0).execute(&mut **transaction).await?;
    Ok(())
}
