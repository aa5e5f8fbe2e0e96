//! The configuration of a KV mount: what holds for every secret that does not say otherwise. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The control row of kind `config`, name [`ROW`], below the mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many versions a secret keeps; 0 is not set.
    pub max_versions: u32,
    pub cas_required: bool,
    pub expiry: Expiry,
}

/// `delete_version_after` of a mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// A secret's own setting decides.
    #[default]
    Unset,
    AfterMillis(u64),
    /// No version expires, whatever the secret says.
    Never,
}

/// What a request wants changed of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsChange {
    pub max_versions: Option<u32>,
    pub cas_required: Option<bool>,
    pub expiry: Option<Expiry>,
}

/// The name of the control row.
pub const ROW: &str = "config";

impl Settings {
    pub fn apply(&mut self, change: &SettingsChange) {
        if let Some(max_versions) = change.max_versions {
            self.max_versions = max_versions;
        }
        if let Some(cas_required) = change.cas_required {
            self.cas_required = cas_required;
        }
        if let Some(expiry) = change.expiry {
            self.expiry = expiry;
        }
    }

    /// How long a version lives that is written now into a secret whose own setting is `own`: the shorter of both where both are set.
    #[must_use]
    pub fn lifetime(&self, own: Duration) -> Option<Duration> {
        let mounts = match self.expiry {
            Expiry::Never => return None,
            Expiry::Unset => None,
            Expiry::AfterMillis(millis) => Some(Duration::from_millis(millis)),
        };
        let own = Some(own).filter(|own| !own.is_zero());
        match (mounts, own) {
            (Some(mounts), Some(own)) => Some(mounts.min(own)),
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_lifetime_counts() {
        let of = |expiry| Settings { expiry, ..Settings::default() };
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        assert_eq!(of(Expiry::Unset).lifetime(Duration::ZERO), None);
        assert_eq!(of(Expiry::Unset).lifetime(hour), Some(hour));
        assert_eq!(of(Expiry::AfterMillis(60_000)).lifetime(Duration::ZERO), Some(minute));
        assert_eq!(of(Expiry::AfterMillis(60_000)).lifetime(hour), Some(minute));
        assert_eq!(of(Expiry::AfterMillis(3_600_000)).lifetime(minute), Some(minute));
        assert_eq!(of(Expiry::Never).lifetime(minute), None);
    }

    #[test]
    fn its_stored_form_is_frozen() {
        let settings = Settings { max_versions: 5, cas_required: true, expiry: Expiry::AfterMillis(1500) };
        let text = r#"{"max_versions":5,"cas_required":true,"expiry":{"after_millis":1500}}"#;
        assert_eq!(serde_json::to_string(&settings).expect("json"), text);
        assert_eq!(serde_json::from_str::<Settings>(text).expect("json"), settings);
        assert_eq!(serde_json::to_string(&Expiry::Never).expect("json"), r#""never""#);
    }

    #[test]
    fn changes_only_what_is_given() {
        let mut settings = Settings { max_versions: 5, cas_required: true, expiry: Expiry::Never };
        settings.apply(&SettingsChange::default());
        assert_eq!(settings, Settings { max_versions: 5, cas_required: true, expiry: Expiry::Never });
        settings.apply(&SettingsChange { max_versions: Some(0), cas_required: Some(false), expiry: Some(Expiry::Unset) });
        assert_eq!(settings, Settings::default());
    }
}
