//! Control rows: mounts, accounts, roles, transformations, policies. One JSON document each, with a version and a MAC.
//!
//! A row whose MAC fails is not honoured: reading it is an integrity error, never a missing row.

use goldfin_crypto::MacKey;
use goldfin_crypto::mac::constant_time_eq;
use sqlx::PgConnection;

use crate::model::id::{MountId, ROOT_NAMESPACE};

use super::Store;
use super::directory::Loaded;
use super::error::StoreError;
use super::manifest::{self, Manifest};
use super::work::Work;

const NOT_OURS: StoreError = StoreError::Integrity("a control row was not written by goldfin");

/// What a control row is. Names are part of the MAC and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ControlKind {
    Mount,
    Policy,
    /// The keyring: primary, states, progress of a rotation.
    Keyring,
    /// A role of a login method or of a transform mount.
    Role,
    /// The configuration of a login method or of a mount.
    Config,
    Transformation,
    Template,
    Alphabet,
    Quota,
    /// An account, by name. Loaded one by one.
    Account,
    /// The account that an identity maps to: `kerberos/user@REALM`, `jwt/<mount>/<claim>`. Loaded one by one.
    Alias,
    /// Which rows of most other kinds there are.
    Manifest,
}

impl ControlKind {
    const ALL: [Self; 12] = [
        Self::Mount,
        Self::Policy,
        Self::Keyring,
        Self::Role,
        Self::Config,
        Self::Transformation,
        Self::Template,
        Self::Alphabet,
        Self::Quota,
        Self::Account,
        Self::Alias,
        Self::Manifest,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            Self::Policy => "policy",
            Self::Keyring => "keyring",
            Self::Role => "role",
            Self::Config => "config",
            Self::Transformation => "transformation",
            Self::Template => "template",
            Self::Alphabet => "alphabet",
            Self::Quota => "quota",
            Self::Account => "account",
            Self::Alias => "alias",
            Self::Manifest => "manifest",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether nodes hold all rows of it in their snapshot. There may be any number of the others.
    const fn is_held(self) -> bool {
        !matches!(self, Self::Account | Self::Alias)
    }
}

/// Names one control row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ControlKey {
    pub kind: ControlKind,
    pub mount: MountId,
    pub name: String,
}

/// The mount number of rows that belong to the server.
pub const SERVER: MountId = MountId(0);

impl ControlKey {
    pub fn new(kind: ControlKind, mount: MountId, name: impl Into<String>) -> Self {
        Self { kind, mount, name: name.into() }
    }

    fn mac(&self, key: &MacKey, version: i64, body: &str) -> [u8; 32] {
        key.mac(&[
            b"control",
            &ROOT_NAMESPACE.to_be_bytes(),
            self.kind.name().as_bytes(),
            &self.mount.0.to_be_bytes(),
            self.name.as_bytes(),
            &version.to_be_bytes(),
            body.as_bytes(),
        ])
    }
}

/// A row whose MAC held.
#[derive(Debug, Clone)]
pub struct ControlRow {
    pub key: ControlKey,
    pub version: i64,
    pub body: String,
}

/// Reads every row that nodes hold as one snapshot: all but accounts and aliases. One that fails its MAC is given by its name.
pub(super) async fn load_all(store: &Store, mac: &MacKey) -> Result<Vec<Loaded>, StoreError> {
    let mut connection = store.connection().await?;
    // By name, so that what is not held is not even read over.
    let held: Vec<String> = ControlKind::ALL.into_iter().filter(|kind| kind.is_held()).map(|kind| kind.name().to_owned()).collect();
    let rows = sqlx::query!("SELECT kind, mount, name, version, body, mac FROM control WHERE namespace = 0 AND kind = ANY($1)", &held)
        .fetch_all(&mut *connection)
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            // Of a kind that this build does not know: nothing asks for it.
            let kind = ControlKind::from_name(&row.kind)?;
            let key = ControlKey { kind, mount: MountId(row.mount), name: row.name };
            let sound = constant_time_eq(&key.mac(mac, row.version, &row.body), &row.mac);
            Some(if sound { Ok(ControlRow { key, version: row.version, body: row.body }) } else { Err(key) })
        })
        .collect())
}

/// Reads one row, outside of any transaction. An account that is older than the ledger says was put back.
pub async fn load(store: &Store, mac: &MacKey, key: &ControlKey) -> Result<Option<ControlRow>, StoreError> {
    let mut connection = store.connection().await?;
    let row = read(&mut connection, mac, key, false).await?;
    if let Some(row) = &row
        && key.kind == ControlKind::Account
        && row.version < recorded_version(&mut connection, key).await?
    {
        return Err(StoreError::Integrity("an account was put back as it once was"));
    }
    Ok(row)
}

/// The newest version of an account that an entry names; 0 where none does.
async fn recorded_version(connection: &mut PgConnection, key: &ControlKey) -> Result<i64, StoreError> {
    let change = format!("account:{}", key.name);
    Ok(sqlx::query_scalar!(
        r#"SELECT coalesce(max((body::jsonb ->> 'version')::bigint), 0) AS "version!" FROM ledger_change
           WHERE left(change, 64) >= left($1, 64) AND left(change, 64) < left($1, 64) || chr(11)
             AND split_part(change, chr(10), 1) = $1 AND decision = 'granted'"#,
        change
    )
    .fetch_one(connection)
    .await?)
}

/// Reads one row in the work's transaction and locks it until the commit.
pub async fn lock(work: &mut Work, mac: &MacKey, key: &ControlKey) -> Result<Option<ControlRow>, StoreError> {
    let transaction = work.transaction().await?;
    read(transaction, mac, key, true).await
}

/// Reads every row of a kind below a mount in the work's transaction, in byte order of their names. One that goldfin wrote and that is
/// not what it was spoils the reading; one that was planted is passed over.
pub async fn all(work: &mut Work, mac: &MacKey, kind: ControlKind, mount: MountId) -> Result<Vec<ControlRow>, StoreError> {
    let manifest = if manifest::lists(kind) { Some(manifest::lock(work, mac).await?.0) } else { None };
    let transaction = work.transaction().await?;
    let rows = sqlx::query!(
        "SELECT name, version, body, mac FROM control WHERE namespace = 0 AND kind = $1 AND mount = $2 ORDER BY name",
        kind.name(),
        mount.0
    )
    .fetch_all(&mut **transaction)
    .await?;
    let mut sound = Vec::with_capacity(rows.len());
    for row in rows {
        let key = ControlKey { kind, mount, name: row.name };
        let listed = manifest.as_ref().map(|manifest| manifest.version_of(&key));
        if listed == Some(None) {
            continue;
        }
        let as_listed = listed.flatten().is_none_or(|version| version == row.version);
        if !as_listed || !constant_time_eq(&key.mac(mac, row.version, &row.body), &row.mac) {
            return Err(NOT_OURS);
        }
        sound.push(ControlRow { key, version: row.version, body: row.body });
    }
    let here = |manifest: &Manifest| manifest.rows().filter(|(key, _)| key.kind == kind && key.mount == mount).count();
    if manifest.as_ref().is_some_and(|manifest| here(manifest) != sound.len()) {
        return Err(StoreError::Integrity("a control row was taken away"));
    }
    Ok(sound)
}

/// The names of a kind below a mount, in byte order.
pub async fn names(store: &Store, kind: ControlKind, mount: MountId) -> Result<Vec<String>, StoreError> {
    let mut connection = store.connection().await?;
    let names = sqlx::query_scalar!(
        "SELECT name FROM control WHERE namespace = 0 AND kind = $1 AND mount = $2 ORDER BY name",
        kind.name(),
        mount.0
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(names)
}

/// Writes a row in the work's transaction: a new one where `before` is 0, else the successor of version `before`.
/// Somebody else's change in between is [`StoreError::Conflict`].
pub async fn put(work: &mut Work, mac: &MacKey, key: &ControlKey, before: i64, body: &str) -> Result<i64, StoreError> {
    // A name that was deleted and comes back must be newer than whatever stood there: an older version counts as put back.
    let version = if before == 0 { work.now().unix_micros().max(1) } else { before + 1 };
    if !manifest::lists(key.kind) {
        write_row(work, mac, key, version, body, Some(before)).await?;
        return Ok(version);
    }
    let (mut manifest, its_version) = manifest::lock(work, mac).await?;
    match manifest.version_of(key) {
        Some(listed) if listed != before => return Err(StoreError::Conflict),
        Some(_) => write_row(work, mac, key, version, body, Some(before)).await?,
        // What stands there, if anything, was planted.
        None => write_row(work, mac, key, version, body, None).await?,
    }
    manifest.set(key, version);
    manifest::write(work, mac, its_version, &manifest).await?;
    Ok(version)
}

/// Writes a row over version `over` of it (0: there must be none), or over whatever is there.
pub(super) async fn write_row(
    work: &mut Work,
    mac: &MacKey,
    key: &ControlKey,
    version: i64,
    body: &str,
    over: Option<i64>,
) -> Result<(), StoreError> {
    let tag = key.mac(mac, version, body);
    let transaction = work.transaction().await?;
    let written = sqlx::query!(
        "INSERT INTO control (namespace, kind, mount, name, version, body, mac) VALUES (0, $1, $2, $3, $4, $5, $6)
         ON CONFLICT (namespace, kind, mount, name) DO UPDATE SET version = $4, body = $5, mac = $6
         WHERE $7::bigint IS NULL OR control.version = $7",
        key.kind.name(),
        key.mount.0,
        key.name,
        version,
        body,
        &tag[..],
        over
    )
    .execute(&mut **transaction)
    .await?;
    if written.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

/// Deletes a row in the work's transaction; says whether it was there.
pub async fn delete(work: &mut Work, mac: &MacKey, key: &ControlKey) -> Result<bool, StoreError> {
    let mut listed = false;
    if manifest::lists(key.kind) {
        let (mut manifest, version) = manifest::lock(work, mac).await?;
        listed = manifest.remove(key);
        if listed {
            manifest::write(work, mac, version, &manifest).await?;
        }
    }
    let transaction = work.transaction().await?;
    let gone = sqlx::query!(
        "DELETE FROM control WHERE namespace = 0 AND kind = $1 AND mount = $2 AND name = $3",
        key.kind.name(),
        key.mount.0,
        key.name
    )
    .execute(&mut **transaction)
    .await?;
    Ok(listed || gone.rows_affected() > 0)
}

/// Deletes every row of a mount that is going away.
pub async fn delete_of_mount(work: &mut Work, mac: &MacKey, mount: MountId) -> Result<(), StoreError> {
    let (mut manifest, version) = manifest::lock(work, mac).await?;
    manifest.remove_mount(mount);
    manifest::write(work, mac, version, &manifest).await?;
    let transaction = work.transaction().await?;
    sqlx::query!("DELETE FROM control WHERE namespace = 0 AND mount = $1", mount.0).execute(&mut **transaction).await?;
    Ok(())
}

/// The number of a new mount; never reused.
pub async fn next_mount_number(work: &mut Work) -> Result<MountId, StoreError> {
    let transaction = work.transaction().await?;
    let number = sqlx::query_scalar!(r#"SELECT nextval('mount_number')::integer AS "number!""#).fetch_one(&mut **transaction).await?;
    Ok(MountId(number))
}

async fn read(connection: &mut PgConnection, mac: &MacKey, key: &ControlKey, lock: bool) -> Result<Option<ControlRow>, StoreError> {
    let (kind, mount, name) = (key.kind.name(), key.mount.0, key.name.as_str());
    let found = if lock {
        sqlx::query!(
            "SELECT version, body, mac FROM control WHERE namespace = 0 AND kind = $1 AND mount = $2 AND name = $3 FOR UPDATE",
            kind,
            mount,
            name
        )
        .fetch_optional(connection)
        .await?
        .map(|row| (row.version, row.body, row.mac))
    } else {
        sqlx::query!(
            "SELECT version, body, mac FROM control WHERE namespace = 0 AND kind = $1 AND mount = $2 AND name = $3",
            kind,
            mount,
            name
        )
        .fetch_optional(connection)
        .await?
        .map(|row| (row.version, row.body, row.mac))
    };
    let Some((version, body, tag)) = found else { return Ok(None) };
    if constant_time_eq(&key.mac(mac, version, &body), &tag) {
        Ok(Some(ControlRow { key: key.clone(), version, body }))
    } else {
        Err(NOT_OURS)
    }
}
