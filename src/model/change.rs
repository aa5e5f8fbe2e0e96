//! What a committed request changed that nodes hold in memory. The entry names it, this node applies it at once, the others when they
//! read the entry (within a second).

use std::fmt;

use super::id::MountId;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// Mounts, roles, transformations, policies: everything that is held as one snapshot.
    Directory,
    /// The same, with the version of the manifest that it made: what the ledger remembers of the directory.
    Manifest(i64),
    /// One account, or one alias of an account.
    Account(String),
    /// An auth token, by its accessor.
    AuthToken(String),
    /// A secret or its metadata.
    Secret(MountId, String),
    /// The keyring: a new version, or one destroyed.
    Keyring,
    /// A data subject was erased: its number.
    Subject(i64),
    /// This node is to be sealed; no other node follows.
    Sealed,
}

impl Change {
    /// Reads what [`fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "directory" => return Some(Self::Directory),
            "keyring" => return Some(Self::Keyring),
            "sealed" => return Some(Self::Sealed),
            _ => {}
        }
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "account" => Some(Self::Account(rest.to_owned())),
            "manifest" => rest.parse().ok().map(Self::Manifest),
            "auth_token" => Some(Self::AuthToken(rest.to_owned())),
            "subject" => rest.parse().ok().map(Self::Subject),
            "secret" => {
                let (mount, path) = rest.split_once(':')?;
                Some(Self::Secret(MountId(mount.parse().ok()?), path.to_owned()))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory => f.write_str("directory"),
            Self::Keyring => f.write_str("keyring"),
            // Of one width, so that the newest is the greatest text.
            Self::Manifest(version) => write!(f, "manifest:{version:020}"),
            Self::Sealed => f.write_str("sealed"),
            Self::Account(name) => write!(f, "account:{name}"),
            Self::AuthToken(accessor) => write!(f, "auth_token:{accessor}"),
            Self::Subject(number) => write!(f, "subject:{number}"),
            Self::Secret(mount, path) => write!(f, "secret:{}:{path}", mount.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        for change in [
            Change::Directory,
            Change::Manifest(12),
            Change::Keyring,
            Change::Sealed,
            Change::Account("a:b".to_owned()),
            Change::AuthToken("x".to_owned()),
            Change::Subject(-3),
            Change::Secret(MountId(4), "a/b:c".to_owned()),
        ] {
            assert_eq!(Change::parse(&change.to_string()), Some(change));
        }
        assert_eq!(Change::parse("nothing"), None);
    }
}
