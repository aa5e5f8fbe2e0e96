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

/// Inserts a new secret's row, or replaces a locked one of revision `before`.
pub async fn put(work: &mut Work, path: &str, before: Option<i64>, row: &SecretRow) -> Result<(), StoreError> {
    let mount = work.mount_id().0;
    let transaction = work.transaction().await?;
    let written = match before {
        None => {
            sqlx::query!(
                "INSERT INTO kv_secret (namespace, mount, path, current, revision, wrapped_key, body) VALUES (0, $1, $2, $3, $4, $5, $6)
                 ON CONFLICT DO NOTHING",
                mount,
                path,
                row.current,
                row.revision,
                row.wrapped_key,
                row.body
            )
            .execute(&mut **transaction)
            .await?
        }
        Some(before) => {
            sqlx::query!(
                "UPDATE kv_secret SET current = $3, revision = $4, wrapped_key = $5, body = $6
                 WHERE namespace = 0 AND mount = $1 AND path = $2 AND revision = $7",
                mount,
                path,
                row.current,
                row.revision,
                row.wrapped_key,
                row.body,
                before
            )
            .execute(&mut **transaction)
            .await?
        }
    };
    if written.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

pub async fn insert_version(work: &mut Work, path: &str, row: &VersionRow) -> Result<(), StoreError> {
    let mount = work.mount_id().0;
    let transaction = work.transaction().await?;
    sqlx::query!(
        "INSERT INTO kv_version (namespace, mount, path, version, wrapped_key, value) VALUES (0, $1, $2, $3, $4, $5)",
        mount,
        path,
        row.version,
        row.wrapped_key,
        row.value
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
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
    sqlx::query!("DELETE FROM kv_version WHERE namespace = 0 AND mount = $1 AND path = $2", mount, path)
        .execute(&mut **transaction)
        .await?;
    let gone = sqlx::query!("DELETE FROM kv_secret WHERE namespace = 0 AND mount = $1 AND path = $2", mount, path)
        .execute(&mut **transaction)
        .await?;
    Ok(gone.rows_affected() > 0)
}

/// The names right below a folder, folders with a trailing slash; at most `limit`, in byte order.
pub async fn list(work: &Work, folder: &str, limit: i32) -> Result<Vec<String>, StoreError> {
    let mut connection = work.store().connection().await?;
    // Each step jumps behind all paths that share the name just found, so a folder of many costs as many steps as names.
    let names = sqlx::query_scalar!(
        r#"WITH RECURSIVE step (name, stop, n) AS (
               (SELECT CASE WHEN strpos(substr(path, length($2) + 1), '/') > 0
                            THEN split_part(substr(path, length($2) + 1), '/', 1) || '/' ELSE substr(path, length($2) + 1) END COLLATE "C",
                       CASE WHEN strpos(substr(path, length($2) + 1), '/') > 0
                            THEN $2 || split_part(substr(path, length($2) + 1), '/', 1) || '0' ELSE path END COLLATE "C", 1
                FROM kv_secret WHERE namespace = 0 AND mount = $1 AND path > $2 COLLATE "C" AND starts_with(path, $2) ORDER BY path LIMIT 1)
               UNION ALL
               SELECT next.name, next.stop, step.n + 1 FROM step, LATERAL (
                   SELECT CASE WHEN strpos(substr(path, length($2) + 1), '/') > 0
                               THEN split_part(substr(path, length($2) + 1), '/', 1) || '/' ELSE substr(path, length($2) + 1) END COLLATE "C" AS name,
                          CASE WHEN strpos(substr(path, length($2) + 1), '/') > 0
                               THEN $2 || split_part(substr(path, length($2) + 1), '/', 1) || '0' ELSE path END COLLATE "C" AS stop
                   FROM kv_secret
                   WHERE namespace = 0 AND mount = $1 AND path > step.stop AND starts_with(path, $2) ORDER BY path LIMIT 1
               ) next WHERE step.n < $3
           )
           SELECT DISTINCT name AS "name!" FROM step ORDER BY 1"#,
        work.mount_id().0,
        folder,
        limit
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
