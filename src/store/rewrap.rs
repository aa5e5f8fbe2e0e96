//! The rows that hold a wrapped key, for a rotation: which are not under the wanted version, and putting a re-wrapped key in place.
//!
//! The version is told from the header in SQL (crates/crypto/src/envelope.rs), so what is done already costs a comparison. A key is
//! replaced only where the old bytes still stand: a write or an erasure that came in between is never undone.

use crate::model::clock::Timestamp;
use crate::model::id::MountId;

use super::control::{ControlKey, ControlKind};
use super::error::StoreError;
use super::work::Work;
use super::{Store, Transaction};

/// Where a wrapped key stands. Ordered within a table as its primary key is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Home {
    Secret { mount: MountId, path: String },
    SecretVersion { mount: MountId, path: String, version: i64 },
    TransformKey { mount: MountId, transformation: String, version: i32 },
    Subject { mount: MountId, id: i64, hash: Vec<u8> },
}

/// The tables that hold wrapped keys. A new one is added here, to [`Home`] and to the triggers of `migrations/0007_retired_keys.sql`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    Secrets,
    SecretVersions,
    TransformKeys,
    Subjects,
}

impl Table {
    pub const ALL: &'static [Self] = &[Self::Secrets, Self::SecretVersions, Self::TransformKeys, Self::Subjects];
}

/// A wrapped key that is not under the wanted version.
#[derive(Debug, Clone)]
pub struct Stale {
    pub home: Home,
    pub wrapped_key: Vec<u8>,
}

/// A wrapped key on its way to its place.
#[derive(Debug, Clone)]
pub struct Replacement {
    pub home: Home,
    pub old: Vec<u8>,
    pub new: Vec<u8>,
}

/// A stretch of a table: what is stale in it, and where the next begins; nothing where the table ends.
#[derive(Debug)]
pub struct Stretch {
    pub stale: Vec<Stale>,
    pub last: Option<Home>,
}

/// The rows that are looked at in one statement, so that none comes near the statement's timeout.
const STRETCH: i64 = 5000;

/// The bytes of a header that name the key: id and version, big endian.
pub type KeyName = [u8; 8];

/// The right to run the rotation, held by one node at a time. Two holders would do no harm, only the same work twice.
#[derive(Debug)]
pub struct Lease(Transaction);

impl Lease {
    /// None: another node holds it. It is given back on drop.
    pub async fn take(store: &Store) -> Result<Option<Self>, StoreError> {
        let mut transaction = store.begin().await?;
        // 7307 marks the rotation's lock among the advisory locks of the database.
        let mine = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock(7307, 0) AS "mine!""#).fetch_one(&mut *transaction).await?;
        Ok(mine.then_some(Self(transaction)))
    }

    /// Keeps the lease's session from being ended as idle; an error when it is lost.
    pub async fn hold(&mut self) -> Result<(), StoreError> {
        sqlx::query_scalar!(r#"SELECT 1 AS "one!""#).fetch_one(&mut *self.0).await?;
        Ok(())
    }
}

/// How many keys are not under `wanted`.
pub async fn count_stale(store: &Store, wanted: &KeyName) -> Result<i64, StoreError> {
    let mut connection = store.connection().await?;
    let mut total = 0;
    total += sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM kv_secret WHERE namespace = 0 AND substring(wrapped_key FROM 3 FOR 8) <> $1"#,
        &wanted[..]
    )
    .fetch_one(&mut *connection)
    .await?;
    total += sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM kv_version WHERE namespace = 0 AND substring(wrapped_key FROM 3 FOR 8) <> $1"#,
        &wanted[..]
    )
    .fetch_one(&mut *connection)
    .await?;
    total += sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM transform_key WHERE namespace = 0 AND substring(wrapped_key FROM 3 FOR 8) <> $1"#,
        &wanted[..]
    )
    .fetch_one(&mut *connection)
    .await?;
    total += sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM subject WHERE namespace = 0 AND substring(wrapped_key FROM 3 FOR 8) <> $1"#,
        &wanted[..]
    )
    .fetch_one(&mut *connection)
    .await?;
    Ok(total)
}

/// Looks at the rows of a table behind `after`, in the order of its primary key.
pub async fn stretch(store: &Store, table: Table, after: Option<&Home>, wanted: &KeyName) -> Result<Stretch, StoreError> {
    let rows = match table {
        Table::Secrets => secrets(store, after, wanted).await?,
        Table::SecretVersions => secret_versions(store, after, wanted).await?,
        Table::TransformKeys => transform_keys(store, after, wanted).await?,
        Table::Subjects => subjects(store, after, wanted).await?,
    };
    let last = rows.last().map(|(home, _)| home.clone());
    let stale = rows.into_iter().filter_map(|(home, key)| key.map(|wrapped_key| Stale { home, wrapped_key })).collect();
    Ok(Stretch { stale, last })
}

/// A row of a stretch: its key only where it is stale. The last row of the stretch is always among them.
type Seen = (Home, Option<Vec<u8>>);

async fn secrets(store: &Store, after: Option<&Home>, wanted: &KeyName) -> Result<Vec<Seen>, StoreError> {
    let (mount, path) = match after {
        Some(Home::Secret { mount, path }) => (mount.0, path.as_str()),
        _ => (i32::MIN, ""),
    };
    let mut connection = store.connection().await?;
    let rows = sqlx::query!(
        r#"WITH stretch AS MATERIALIZED (
               SELECT mount, path, wrapped_key, substring(wrapped_key FROM 3 FOR 8) <> $3 AS stale,
                      row_number() OVER (ORDER BY mount, path) AS n
               FROM kv_secret WHERE namespace = 0 AND (mount, path) > ($1, $2) ORDER BY mount, path LIMIT $4
           )
           SELECT mount AS "mount!", path AS "path!", CASE WHEN stale THEN wrapped_key END AS wrapped_key
           FROM stretch WHERE stale OR n = (SELECT max(n) FROM stretch) ORDER BY n"#,
        mount,
        path,
        &wanted[..],
        STRETCH
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(rows.into_iter().map(|row| (Home::Secret { mount: MountId(row.mount), path: row.path }, row.wrapped_key)).collect())
}

async fn secret_versions(store: &Store, after: Option<&Home>, wanted: &KeyName) -> Result<Vec<Seen>, StoreError> {
    let (mount, path, version) = match after {
        Some(Home::SecretVersion { mount, path, version }) => (mount.0, path.as_str(), *version),
        _ => (i32::MIN, "", i64::MIN),
    };
    let mut connection = store.connection().await?;
    let rows = sqlx::query!(
        r#"WITH stretch AS MATERIALIZED (
               SELECT mount, path, version, wrapped_key, substring(wrapped_key FROM 3 FOR 8) <> $4 AS stale,
                      row_number() OVER (ORDER BY mount, path, version) AS n
               FROM kv_version WHERE namespace = 0 AND (mount, path, version) > ($1, $2, $3) ORDER BY mount, path, version LIMIT $5
           )
           SELECT mount AS "mount!", path AS "path!", version AS "version!", CASE WHEN stale THEN wrapped_key END AS wrapped_key
           FROM stretch WHERE stale OR n = (SELECT max(n) FROM stretch) ORDER BY n"#,
        mount,
        path,
        version,
        &wanted[..],
        STRETCH
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (Home::SecretVersion { mount: MountId(row.mount), path: row.path, version: row.version }, row.wrapped_key))
        .collect())
}

async fn transform_keys(store: &Store, after: Option<&Home>, wanted: &KeyName) -> Result<Vec<Seen>, StoreError> {
    let (mount, transformation, version) = match after {
        Some(Home::TransformKey { mount, transformation, version }) => (mount.0, transformation.as_str(), *version),
        _ => (i32::MIN, "", i32::MIN),
    };
    let mut connection = store.connection().await?;
    let rows = sqlx::query!(
        r#"WITH stretch AS MATERIALIZED (
               SELECT mount, transformation, version, wrapped_key, substring(wrapped_key FROM 3 FOR 8) <> $4 AS stale,
                      row_number() OVER (ORDER BY mount, transformation, version) AS n
               FROM transform_key WHERE namespace = 0 AND (mount, transformation, version) > ($1, $2, $3)
               ORDER BY mount, transformation, version LIMIT $5
           )
           SELECT mount AS "mount!", transformation AS "transformation!", version AS "version!", CASE WHEN stale THEN wrapped_key END AS wrapped_key
           FROM stretch WHERE stale OR n = (SELECT max(n) FROM stretch) ORDER BY n"#,
        mount,
        transformation,
        version,
        &wanted[..],
        STRETCH
    )
    .fetch_all(&mut *connection)
    .await?;
    let home = |mount, transformation, version| Home::TransformKey { mount: MountId(mount), transformation, version };
    Ok(rows.into_iter().map(|row| (home(row.mount, row.transformation, row.version), row.wrapped_key)).collect())
}

async fn subjects(store: &Store, after: Option<&Home>, wanted: &KeyName) -> Result<Vec<Seen>, StoreError> {
    let id = match after {
        Some(Home::Subject { id, .. }) => *id,
        _ => i64::MIN,
    };
    let mut connection = store.connection().await?;
    let rows = sqlx::query!(
        r#"WITH stretch AS MATERIALIZED (
               SELECT id, mount, hash, wrapped_key, wrapped_key IS NOT NULL AND substring(wrapped_key FROM 3 FOR 8) <> $2 AS stale,
                      row_number() OVER (ORDER BY id) AS n
               FROM subject WHERE namespace = 0 AND id > $1 ORDER BY id LIMIT $3
           )
           SELECT id AS "id!", mount AS "mount!", hash AS "hash!", CASE WHEN stale THEN wrapped_key END AS wrapped_key
           FROM stretch WHERE stale OR n = (SELECT max(n) FROM stretch) ORDER BY n"#,
        id,
        &wanted[..],
        STRETCH
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(rows.into_iter().map(|row| (Home::Subject { mount: MountId(row.mount), id: row.id, hash: row.hash }, row.wrapped_key)).collect())
}

/// The control rows that hold a wrapped key: configurations of login methods. What their bodies say is for whoever checks their MAC.
pub async fn settings_with_keys(store: &Store) -> Result<Vec<ControlKey>, StoreError> {
    let mut connection = store.connection().await?;
    let rows = sqlx::query!(
        r#"SELECT mount, name FROM control WHERE namespace = 0 AND kind = $1 AND strpos(body, '"wrapped_key"') > 0 ORDER BY mount, name"#,
        ControlKind::Config.name()
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(rows.into_iter().map(|row| ControlKey::new(ControlKind::Config, MountId(row.mount), row.name)).collect())
}

/// Puts re-wrapped keys in place in the work's transaction, where the old ones still stand; says how many did.
pub async fn replace(work: &mut Work, replacements: &[Replacement]) -> Result<u64, StoreError> {
    let mut columns = Columns::default();
    for replacement in replacements {
        columns.push(replacement);
    }
    let transaction = work.transaction().await?;
    let mut replaced = 0;
    replaced += sqlx::query!(
        "UPDATE kv_secret t SET wrapped_key = n.new FROM unnest($1::integer[], $2::text[], $3::bytea[], $4::bytea[]) AS n (mount, path, old, new)
         WHERE t.namespace = 0 AND t.mount = n.mount AND t.path = n.path AND t.wrapped_key = n.old",
        &columns.secrets.mount,
        &columns.secrets.name,
        &columns.secrets.old,
        &columns.secrets.new
    )
    .execute(&mut **transaction)
    .await?
    .rows_affected();
    replaced += sqlx::query!(
        "UPDATE kv_version t SET wrapped_key = n.new
         FROM unnest($1::integer[], $2::text[], $3::bigint[], $4::bytea[], $5::bytea[]) AS n (mount, path, version, old, new)
         WHERE t.namespace = 0 AND t.mount = n.mount AND t.path = n.path AND t.version = n.version AND t.wrapped_key = n.old",
        &columns.versions.mount,
        &columns.versions.name,
        &columns.versions.number,
        &columns.versions.old,
        &columns.versions.new
    )
    .execute(&mut **transaction)
    .await?
    .rows_affected();
    replaced += sqlx::query!(
        "UPDATE transform_key t SET wrapped_key = n.new
         FROM unnest($1::integer[], $2::text[], $3::bigint[], $4::bytea[], $5::bytea[]) AS n (mount, transformation, version, old, new)
         WHERE t.namespace = 0 AND t.mount = n.mount AND t.transformation = n.transformation AND t.version = n.version AND t.wrapped_key = n.old",
        &columns.transform_keys.mount,
        &columns.transform_keys.name,
        &columns.transform_keys.number,
        &columns.transform_keys.old,
        &columns.transform_keys.new
    )
    .execute(&mut **transaction)
    .await?
    .rows_affected();
    replaced += sqlx::query!(
        "UPDATE subject t SET wrapped_key = n.new FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS n (id, old, new)
         WHERE t.namespace = 0 AND t.id = n.id AND t.wrapped_key = n.old",
        &columns.subjects.number,
        &columns.subjects.old,
        &columns.subjects.new
    )
    .execute(&mut **transaction)
    .await?
    .rows_affected();
    Ok(replaced)
}

#[derive(Default)]
struct Columns {
    secrets: TableColumns,
    versions: TableColumns,
    transform_keys: TableColumns,
    subjects: TableColumns,
}

#[derive(Default)]
struct TableColumns {
    mount: Vec<i32>,
    name: Vec<String>,
    number: Vec<i64>,
    old: Vec<Vec<u8>>,
    new: Vec<Vec<u8>>,
}

impl Columns {
    fn push(&mut self, replacement: &Replacement) {
        let (table, mount, name, number) = match &replacement.home {
            Home::Secret { mount, path } => (&mut self.secrets, mount, path.as_str(), 0),
            Home::SecretVersion { mount, path, version } => (&mut self.versions, mount, path.as_str(), *version),
            Home::TransformKey { mount, transformation, version } => {
                (&mut self.transform_keys, mount, transformation.as_str(), i64::from(*version))
            }
            Home::Subject { mount, id, .. } => (&mut self.subjects, mount, "", *id),
        };
        table.mount.push(mount.0);
        table.name.push(name.to_owned());
        table.number.push(number);
        table.old.push(replacement.old.clone());
        table.new.push(replacement.new.clone());
    }
}

/// Retires the versions before `primary` in the work's transaction: waits until every transaction that writes a wrapped key has ended,
/// and from the commit on the database refuses keys under them. Gives up after two seconds, during which such writes wait too.
pub async fn retire(work: &mut Work, primary: i32) -> Result<(), StoreError> {
    let now: Timestamp = work.now();
    let transaction = work.transaction().await?;
    sqlx::query!(r#"SELECT set_config('lock_timeout', '2s', true) AS "set!""#).fetch_one(&mut **transaction).await?;
    sqlx::query!(r#"SELECT pg_advisory_xact_lock(7306, 0)::text AS "locked!""#).fetch_one(&mut **transaction).await?;
    sqlx::query!("UPDATE kek SET retired = $2 WHERE namespace = 0 AND version < $1 AND retired IS NULL", primary, now.to_date())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
