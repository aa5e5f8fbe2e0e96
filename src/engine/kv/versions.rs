//! What is known of a secret's versions, and every rule about them. Pure: time comes in, nothing is read or written.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::clock::Timestamp;
use crate::model::fault::Fault;

use super::settings::Settings;

/// The encrypted document of a secret. Its `current` stands in a column too, where listings and joins need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// The newest version's number; 0 before the first.
    pub current: i64,
    /// The oldest number that is still remembered; 0 until the first is forgotten or the window is full.
    pub oldest: i64,
    pub created: Timestamp,
    /// When the newest version was written.
    pub updated: Timestamp,
    /// 0: as the mount says.
    pub max_versions: u32,
    pub cas_required: bool,
    /// 0: as the mount says.
    pub delete_after_millis: u64,
    pub custom_metadata: BTreeMap<String, String>,
    pub versions: BTreeMap<i64, Version>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    pub created: Timestamp,
    /// From then on it is deleted; may lie ahead.
    pub deleted: Option<Timestamp>,
    pub destroyed: bool,
    /// The SHA-256 of the value's ciphertext, in hexadecimal: another ciphertext of the same number, from before a secret was deleted
    /// and made again, is not taken for it. Empty once destroyed.
    pub digest: String,
}

/// What a version is at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State<'a> {
    /// Never written, or forgotten.
    Unknown,
    Live(&'a Version),
    Deleted(&'a Version),
    Destroyed(&'a Version),
}

/// What a request wants changed of a secret itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetadataChange {
    pub max_versions: Option<u32>,
    pub cas_required: Option<bool>,
    pub delete_after: Option<Duration>,
    pub custom_metadata: CustomChange,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CustomChange {
    #[default]
    Keep,
    Replace(BTreeMap<String, String>),
    /// A merge patch: a key without value is removed.
    Merge(BTreeMap<String, Option<String>>),
}

/// Kept where neither the secret nor the mount says how many.
pub const DEFAULT_MAX_VERSIONS: u32 = 10;

/// The limits of custom metadata, as in Vault.
pub const MAX_CUSTOM_KEYS: usize = 64;
const MAX_CUSTOM_KEY_BYTES: usize = 128;
const MAX_CUSTOM_VALUE_BYTES: usize = 512;

impl Versions {
    /// A secret without versions.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            current: 0,
            oldest: 0,
            created: now,
            updated: now,
            max_versions: 0,
            cas_required: false,
            delete_after_millis: 0,
            custom_metadata: BTreeMap::new(),
            versions: BTreeMap::new(),
        }
    }

    /// The state of a version; 0 means the current one, whose number is answered.
    #[must_use]
    pub fn state(&self, number: i64, now: Timestamp) -> (i64, State<'_>) {
        let number = if number == 0 { self.current } else { number };
        let state = match self.versions.get(&number) {
            None => State::Unknown,
            Some(version) if version.destroyed => State::Destroyed(version),
            Some(version) if version.deleted.is_some_and(|deleted| deleted <= now) => State::Deleted(version),
            Some(version) => State::Live(version),
        };
        (number, state)
    }

    /// Adds the version after the current one. Answers the numbers that fall out of the window and are forgotten for good.
    pub fn add(&mut self, now: Timestamp, settings: &Settings, digest: String) -> Vec<i64> {
        self.current += 1;
        self.updated = now;
        self.versions.insert(self.current, Version { created: now, deleted: self.expiry(now, settings), destroyed: false, digest });
        let limit = i64::from(match self.max_versions.max(settings.max_versions) {
            0 => DEFAULT_MAX_VERSIONS,
            set => set,
        });
        if self.current - self.oldest < limit {
            return Vec::new();
        }
        self.oldest = self.current - limit + 1;
        let kept = self.versions.split_off(&self.oldest);
        std::mem::replace(&mut self.versions, kept).into_keys().collect()
    }

    /// Marks live versions as deleted; says whether any was.
    pub fn delete(&mut self, numbers: &[i64], now: Timestamp) -> bool {
        let mut changed = false;
        for number in numbers {
            if let Some(version) = self.versions.get_mut(number)
                && !version.destroyed
                && version.deleted.is_none_or(|deleted| deleted > now)
            {
                version.deleted = Some(now);
                changed = true;
            }
        }
        changed
    }

    /// Takes deletions back. A version that expires by itself gets its whole lifetime anew. Says whether anything changed.
    pub fn undelete(&mut self, numbers: &[i64], now: Timestamp, settings: &Settings) -> bool {
        let expiry = self.expiry(now, settings);
        let mut changed = false;
        for number in numbers {
            if let Some(version) = self.versions.get_mut(number)
                && !version.destroyed
                && version.deleted != expiry
            {
                version.deleted = expiry;
                changed = true;
            }
        }
        changed
    }

    /// Marks versions as destroyed. Answers those whose ciphertext must go.
    pub fn destroy(&mut self, numbers: &[i64]) -> Vec<i64> {
        let mut gone = Vec::new();
        for number in numbers {
            if let Some(version) = self.versions.get_mut(number)
                && !version.destroyed
            {
                version.destroyed = true;
                version.digest.clear();
                gone.push(*number);
            }
        }
        gone
    }

    /// Changes the secret itself. Fails where the custom metadata would leave its limits.
    pub fn apply(&mut self, change: &MetadataChange) -> Result<(), Fault> {
        match &change.custom_metadata {
            CustomChange::Keep => {}
            CustomChange::Replace(custom) => self.custom_metadata.clone_from(custom),
            CustomChange::Merge(patch) => {
                for (key, value) in patch {
                    match value {
                        Some(value) => self.custom_metadata.insert(key.clone(), value.clone()),
                        None => self.custom_metadata.remove(key),
                    };
                }
            }
        }
        check_custom_metadata(&self.custom_metadata)?;
        if let Some(max_versions) = change.max_versions {
            self.max_versions = max_versions;
        }
        if let Some(cas_required) = change.cas_required {
            self.cas_required = cas_required;
        }
        if let Some(delete_after) = change.delete_after {
            self.delete_after_millis = u64::try_from(delete_after.as_millis()).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    #[must_use]
    pub fn delete_after(&self) -> Duration {
        Duration::from_millis(self.delete_after_millis)
    }

    fn expiry(&self, now: Timestamp, settings: &Settings) -> Option<Timestamp> {
        settings.lifetime(self.delete_after()).map(|lifetime| now.plus(lifetime))
    }
}

impl MetadataChange {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The check of a check-and-set, in Vault's words, which clients compare. `current` is 0 where the secret has no version yet.
pub fn check_and_set(current: i64, cas: Option<i64>, required: bool) -> Result<(), Fault> {
    match cas {
        Some(expected) if expected == current => Ok(()),
        Some(_) => Err(Fault::invalid("check-and-set parameter did not match the current version")),
        None if required => Err(Fault::invalid("check-and-set parameter required for this call")),
        None => Ok(()),
    }
}

/// Vault's limits. What is complained about is not named: it is text of the request.
pub fn check_custom_metadata(custom: &BTreeMap<String, String>) -> Result<(), Fault> {
    if custom.len() > MAX_CUSTOM_KEYS {
        return Err(Fault::invalid("custom_metadata validation failed: payload must contain at most 64 keys"));
    }
    for (key, value) in custom {
        if key.is_empty() || key.len() > MAX_CUSTOM_KEY_BYTES {
            return Err(Fault::invalid("custom_metadata validation failed: length of a key must be 0 < len(key) <= 128"));
        }
        if value.is_empty() || value.len() > MAX_CUSTOM_VALUE_BYTES {
            return Err(Fault::invalid("custom_metadata validation failed: length of a value must be 0 < len(value) <= 512"));
        }
        if key.chars().chain(value.chars()).any(char::is_control) {
            return Err(Fault::invalid("custom_metadata validation failed: a key or value contains unprintable characters"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
