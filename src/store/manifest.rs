//! The manifest: one control row that lists the others with their versions, so that a row which is planted, put back or taken away in
//! the database is told from what goldfin wrote. Every change of a listed row moves the manifest on in the same transaction, and the
//! entry of that request names the manifest's version; so a manifest that was put back itself is older than the ledger says.
//!
//! Accounts and aliases are not listed: there may be very many, each is looked up alone, and each names the other. Nor is the keyring's
//! state, which moves with every batch of a rotation.

use std::collections::BTreeMap;

use goldfin_crypto::MacKey;
use serde::{Deserialize, Serialize};

use crate::model::change::Change;
use crate::model::id::MountId;

use super::Store;
use super::control::{self, ControlKey, ControlKind, SERVER};
use super::error::StoreError;
use super::work::Work;

const MISSING: StoreError = StoreError::Integrity("the manifest of the control rows is missing");

/// Which rows there are, with their versions.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Manifest(BTreeMap<String, i64>);

impl Manifest {
    pub(super) fn version_of(&self, key: &ControlKey) -> Option<i64> {
        self.0.get(&name_of(key)).copied()
    }

    pub(super) fn set(&mut self, key: &ControlKey, version: i64) {
        self.0.insert(name_of(key), version);
    }

    pub(super) fn remove(&mut self, key: &ControlKey) -> bool {
        self.0.remove(&name_of(key)).is_some()
    }

    pub(super) fn remove_mount(&mut self, mount: MountId) {
        self.0.retain(|name, _| parse(name).is_none_or(|key| key.mount != mount));
    }

    /// All rows that must be there.
    pub(super) fn rows(&self) -> impl Iterator<Item = (ControlKey, i64)> {
        self.0.iter().filter_map(|(name, version)| Some((parse(name)?, *version)))
    }

    pub(super) fn read(body: &str) -> Result<Self, StoreError> {
        serde_json::from_str(body).map_err(|_| StoreError::Integrity("the manifest of the control rows cannot be read"))
    }
}

pub(super) fn key() -> ControlKey {
    ControlKey::new(ControlKind::Manifest, SERVER, "directory")
}

pub(super) fn lists(kind: ControlKind) -> bool {
    !matches!(kind, ControlKind::Account | ControlKind::Alias | ControlKind::Keyring | ControlKind::Manifest)
}

/// Makes the manifest of a new vault, in the work's transaction.
pub async fn begin(work: &mut Work, mac: &MacKey) -> Result<(), StoreError> {
    write(work, mac, 0, &Manifest::default()).await
}

/// The manifest, locked until the work's commit, with its version.
pub(super) async fn lock(work: &mut Work, mac: &MacKey) -> Result<(Manifest, i64), StoreError> {
    let row = control::lock(work, mac, &key()).await?.ok_or(MISSING)?;
    Ok((Manifest::read(&row.body)?, row.version))
}

/// Writes the successor of version `before`, and has the entry name it.
pub(super) async fn write(work: &mut Work, mac: &MacKey, before: i64, manifest: &Manifest) -> Result<(), StoreError> {
    let body = serde_json::to_string(manifest).map_err(|_| StoreError::Defect("the manifest cannot be written".to_owned()))?;
    let version = before.saturating_add(1);
    control::write_row(work, mac, &key(), version, &body, Some(before)).await?;
    work.facts.manifest = Some(version);
    Ok(())
}

/// The newest version that an entry of the ledger names; 0 where none does.
pub(super) async fn newest_in_ledger(store: &Store) -> Result<i64, StoreError> {
    let mut connection = store.connection().await?;
    let newest = sqlx::query_scalar!(
        r#"SELECT left(change, 64) AS "change!" FROM ledger_change
           WHERE left(change, 64) >= 'manifest:' AND left(change, 64) < 'manifest;' AND change IS NOT NULL
           ORDER BY left(change, 64) DESC LIMIT 1"#
    )
    .fetch_optional(&mut *connection)
    .await?;
    Ok(newest.and_then(|text| text.lines().next().and_then(Change::parse)).map_or(0, |change| match change {
        Change::Manifest(version) => version,
        _ => 0,
    }))
}

fn name_of(key: &ControlKey) -> String {
    format!("{}/{}/{}", key.kind.name(), key.mount.0, key.name)
}

fn parse(name: &str) -> Option<ControlKey> {
    let (kind, rest) = name.split_once('/')?;
    let (mount, name) = rest.split_once('/')?;
    Some(ControlKey::new(ControlKind::from_name(kind)?, MountId(mount.parse().ok()?), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_listed_under_names_that_cannot_be_confused() {
        let mut manifest = Manifest::default();
        let one = ControlKey::new(ControlKind::Role, MountId(12), "a/b");
        let two = ControlKey::new(ControlKind::Role, MountId(1), "2/a/b");
        manifest.set(&one, 7);
        assert_eq!((manifest.version_of(&one), manifest.version_of(&two)), (Some(7), None));
        assert_eq!(manifest.rows().collect::<Vec<_>>(), [(one.clone(), 7)]);
        let read = Manifest::read(&serde_json::to_string(&manifest).expect("text")).expect("a manifest");
        assert_eq!(read.version_of(&one), Some(7));
        manifest.set(&two, 8);
        manifest.remove_mount(MountId(12));
        assert!(!manifest.remove(&one) && manifest.remove(&two));
    }
}
