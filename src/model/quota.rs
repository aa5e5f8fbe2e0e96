//! Quotas as they are stored: what an account may do in a time, beside what the policies permit.

use serde::{Deserialize, Serialize};

/// The two kinds of quotas, and what stands before a quota's name in its path and in the name of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuotaKind {
    Disclosure,
    RateLimit,
}

impl QuotaKind {
    pub const ALL: [Self; 2] = [Self::Disclosure, Self::RateLimit];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disclosure => "disclosure",
            Self::RateLimit => "rate-limit",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name of the row of the quota `name`.
    #[must_use]
    pub fn row(self, name: &str) -> String {
        format!("{}/{name}", self.name())
    }
}

/// Values that an account encodes and reveals within an hour of the clock, on all nodes together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisclosureQuota {
    /// None: every account by itself.
    pub account: Option<String>,
    /// `transform/ssn`, as policies name it. None: all transformations of all mounts together.
    pub transformation: Option<String>,
    /// 0 is without limit.
    pub encoded_per_hour: u64,
    pub revealed_per_hour: u64,
}

/// Requests of a caller within a time, on each node by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RateQuota {
    /// None: every account by itself, and strangers by their address.
    pub account: Option<String>,
    /// A path and what is below it; with a `*` at its end, whatever begins so. Empty: every path.
    pub path: String,
    /// Requests in each interval.
    pub rate: f64,
    /// Seconds.
    pub interval: u64,
    /// How many seconds nothing more is let in once the rate was passed; 0: until the rate allows it again.
    pub block_interval: u64,
}

impl Default for RateQuota {
    fn default() -> Self {
        Self { account: None, path: String::new(), rate: 0.0, interval: 1, block_interval: 0 }
    }
}

impl RateQuota {
    /// Whether a request to `path` counts.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        match self.path.strip_suffix('*') {
            Some(beginning) => path.starts_with(beginning),
            None => {
                let behind = path.strip_prefix(self.path.as_str());
                self.path.is_empty() || behind.is_some_and(|behind| behind.is_empty() || behind.starts_with('/'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_covers_itself_and_what_is_below() {
        let covers = |quota: &str, path: &str| RateQuota { path: quota.to_owned(), ..RateQuota::default() }.covers(path);
        for (quota, path) in
            [("", "x"), ("transform", "transform"), ("transform", "transform/a/b"), ("a/b*", "a/bc/d"), ("a/*", "a/b"), ("*", "x")]
        {
            assert!(covers(quota, path), "{quota} {path}");
        }
        for (quota, path) in [("transform", "transforms/a"), ("a/b", "a"), ("a/b*", "a/c"), ("a/*", "a")] {
            assert!(!covers(quota, path), "{quota} {path}");
        }
    }

    #[test]
    fn kinds_are_read_back() {
        for kind in QuotaKind::ALL {
            assert_eq!(QuotaKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(QuotaKind::RateLimit.row("a"), "rate-limit/a");
    }
}
