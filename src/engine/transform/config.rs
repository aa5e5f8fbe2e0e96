//! Roles and transformations as they are stored, and the pure rules about them.

use goldfin_crypto::digest::hex;
use serde::{Deserialize, Serialize};

use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::fault::{Complaint, Fault};

use super::form::settings::{FormSettings, Kind};

/// Which transformations callers may use together under one name. The names need not exist yet.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Role {
    pub transformations: Vec<String>,
}

/// Who can turn a token back.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum MappingMode {
    /// Whoever holds the token and may decode; nobody else, goldfin included.
    #[default]
    Default,
    /// An export too: the secret in the token is stored, encrypted.
    Exportable,
}

impl MappingMode {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Exportable => "exportable",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Default, Self::Exportable].into_iter().find(|mode| mode.name() == name)
    }
}

/// A transformation. Most members concern tokenization only.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Transformation {
    /// Never reused: rows name the transformation by it.
    pub number: i32,
    pub mapping_mode: MappingMode,
    /// The same value gives the same token.
    #[serde(default)]
    pub convergent: bool,
    /// Entries name each token of a request by a keyed hash.
    #[serde(default)]
    pub per_value_audit: bool,
    /// Seconds; 0 is without end.
    pub max_ttl: u64,
    pub allowed_roles: Vec<String>,
    pub deletion_allowed: bool,
    pub class: Option<String>,
    pub prefix: String,
    /// The purposes for which it reveals; empty: any, or none given.
    pub purposes: Vec<String>,
    /// Values of an account within an hour; 0: what the mount says.
    #[serde(default)]
    pub max_encoded_per_hour: u64,
    #[serde(default)]
    pub max_revealed_per_hour: u64,
    pub latest_version: u32,
    /// Versions below it are destroyed.
    pub min_available_version: u32,
    /// Versions below it are there and not used.
    pub min_decryption_version: u32,
    pub created: Timestamp,
    #[serde(default)]
    pub form: FormSettings,
}

/// What tokens begin with unless the transformation says otherwise.
pub const DEFAULT_PREFIX: &str = "pii";

impl Transformation {
    #[must_use]
    pub fn new(number: i32, created: Timestamp) -> Self {
        Self {
            number,
            mapping_mode: MappingMode::Default,
            convergent: false,
            per_value_audit: false,
            max_ttl: 0,
            allowed_roles: Vec::new(),
            deletion_allowed: false,
            class: None,
            prefix: DEFAULT_PREFIX.to_owned(),
            purposes: Vec::new(),
            max_encoded_per_hour: 0,
            max_revealed_per_hour: 0,
            latest_version: 1,
            min_available_version: 1,
            min_decryption_version: 1,
            created,
            form: FormSettings::default(),
        }
    }

    #[must_use]
    pub fn allows_role(&self, role: &str) -> bool {
        self.allowed_roles.iter().any(|pattern| matches_glob(pattern, role))
    }

    /// When a token made at `now` ends. `ttl` and `until` are what the caller asked for.
    pub fn expiry(&self, now: Timestamp, ttl: Option<std::time::Duration>, until: Option<Timestamp>) -> Result<Option<Timestamp>, Fault> {
        let latest = (self.max_ttl > 0).then(|| now.plus(std::time::Duration::from_secs(self.max_ttl)));
        let (asked, member) = match (ttl, until) {
            (Some(_), Some(_)) => return Err(Fault::Invalid(Complaint::new("cannot be given together with `expiration`").at("ttl"))),
            (Some(ttl), None) if !ttl.is_zero() => (now.plus(ttl), "ttl"),
            (None, Some(until)) => (until, "expiration"),
            _ => return Ok(latest),
        };
        if asked <= now {
            return Err(Fault::Invalid(Complaint::new("lies in the past").at(member)));
        }
        if latest.is_some_and(|latest| asked > latest) {
            return Err(Fault::Invalid(Complaint::new("goes beyond the `max_ttl` of the transformation").at(member)));
        }
        Ok(Some(asked))
    }

    /// As Vault answers a read, and what is ours.
    #[must_use]
    pub fn to_node(&self) -> Node {
        if self.form.kind != Kind::Tokenization {
            let mut members = vec![
                ("allowed_roles".to_owned(), Node::texts(self.allowed_roles.iter().cloned())),
                ("class".to_owned(), Node::text_or_null(self.class.clone())),
                ("creation_time".to_owned(), Node::text(self.created.to_rfc3339())),
                ("purposes".to_owned(), Node::texts(self.purposes.iter().cloned())),
            ];
            members.extend(self.form.members());
            return Node::Object(members);
        }
        let number = |number: u64| Node::Number(number.to_string().into_boxed_str());
        Node::object([
            ("allowed_roles", Node::texts(self.allowed_roles.iter().cloned())),
            ("class", Node::text_or_null(self.class.clone())),
            ("convergent", Node::Bool(self.convergent)),
            ("creation_time", Node::text(self.created.to_rfc3339())),
            ("deletion_allowed", Node::Bool(self.deletion_allowed)),
            ("mapping_mode", Node::text(self.mapping_mode.name())),
            ("max_encoded_per_hour", number(self.max_encoded_per_hour)),
            ("max_revealed_per_hour", number(self.max_revealed_per_hour)),
            ("max_ttl", number(self.max_ttl)),
            ("per_value_audit", Node::Bool(self.per_value_audit)),
            ("prefix", Node::text(self.prefix.clone())),
            ("purposes", Node::texts(self.purposes.iter().cloned())),
            ("shape", Node::text(self.form.shape_name())),
            ("stores", Node::texts(["builtin/internal"])),
            ("templates", Node::texts(self.form.template.clone())),
            ("type", Node::text("tokenization")),
        ])
    }

    /// The versions of its key.
    #[must_use]
    pub fn keys_node(&self, name: &str) -> Node {
        let number = |number: u32| Node::whole(i64::from(number));
        Node::object([
            ("latest_version", number(self.latest_version)),
            ("min_available_version", number(self.min_available_version)),
            ("min_decryption_version", number(self.min_decryption_version)),
            ("name", Node::text(name)),
            ("type", Node::text("aes256-gcm96")),
        ])
    }
}

/// `*` stands for any number of characters; everything else for itself.
#[must_use]
pub fn matches_glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, read));
                at += 1;
            }
            Some(wanted) if Some(wanted) == text.get(read) => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((behind, from)) => {
                    star = Some((behind, from + 1));
                    at = behind;
                    read = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

/// A subject as paths and policies name it: the beginning of its keyed hash.
#[must_use]
pub fn subject_name(hash: &[u8; 32]) -> String {
    let (head, _) = hash.split_at(8);
    hex(head)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_micros(1_700_000_000_000_000);

    #[test]
    fn globs_stand_for_what_they_say() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "a"),
            ("a*", "a"),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*c", "abc"),
            ("a*b*c", "a1b2b3c"),
            ("a", "a"),
            ("**", "x"),
        ] {
            assert!(matches_glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a", ""), ("a", "A"), ("a*c", "ab"), ("ab*ba", "aba"), ("a", "ab"), ("*b", "ba"), ("a?", "ab")]
        {
            assert!(!matches_glob(pattern, text), "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_glob_matches_whatever_its_stars_are_replaced_by(parts in proptest::collection::vec("[ab]{0,3}", 1..5), fill in "[abc]{0,4}") {
            prop_assert!(matches_glob(&parts.join("*"), &parts.join(&fill)));
        }
    }

    #[test]
    fn a_token_ends_when_it_must() {
        let hour = Duration::from_secs(3600);
        let mut transformation = Transformation::new(1, NOW);
        assert_eq!(transformation.expiry(NOW, None, None), Ok(None));
        assert_eq!(transformation.expiry(NOW, Some(Duration::ZERO), None), Ok(None));
        assert_eq!(transformation.expiry(NOW, Some(hour), None), Ok(Some(NOW.plus(hour))));
        assert_eq!(transformation.expiry(NOW, None, Some(NOW.plus(hour))), Ok(Some(NOW.plus(hour))));
        assert!(transformation.expiry(NOW, Some(hour), Some(NOW.plus(hour))).is_err());
        assert!(transformation.expiry(NOW, None, Some(NOW)).is_err());
        transformation.max_ttl = 3600;
        assert_eq!(transformation.expiry(NOW, None, None), Ok(Some(NOW.plus(hour))));
        assert_eq!(transformation.expiry(NOW, Some(hour), None), Ok(Some(NOW.plus(hour))));
        assert!(transformation.expiry(NOW, Some(hour * 2), None).is_err());
        assert!(transformation.expiry(NOW, None, Some(NOW.plus(hour * 2))).is_err());
    }
}
