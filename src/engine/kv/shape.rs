//! The answers' shapes: exactly the members that Vault's clients read. Pure.

use crate::model::clock::Timestamp;
use crate::model::document::Node;

use super::go_duration::go_text;
use super::settings::{Expiry, Settings};
use super::versions::{Version, Versions};

/// `metadata` of a read, and the whole `data` of a write.
#[must_use]
pub fn version(versions: &Versions, number: i64, version: &Version) -> Node {
    Node::object([
        ("created_time", Node::text(version.created.to_rfc3339())),
        ("custom_metadata", custom_metadata(versions)),
        ("deletion_time", moment_or_empty(version.deleted)),
        ("destroyed", Node::Bool(version.destroyed)),
        ("version", Node::whole(number)),
    ])
}

/// `data` of a read of a secret's metadata.
#[must_use]
pub fn secret(versions: &Versions) -> Node {
    let each = |(number, version): (&i64, &Version)| {
        let members = [
            ("created_time", Node::text(version.created.to_rfc3339())),
            ("deletion_time", moment_or_empty(version.deleted)),
            ("destroyed", Node::Bool(version.destroyed)),
        ];
        (number.to_string(), Node::object(members))
    };
    Node::object([
        ("cas_required", Node::Bool(versions.cas_required)),
        ("created_time", Node::text(versions.created.to_rfc3339())),
        ("current_version", Node::whole(versions.current)),
        ("custom_metadata", custom_metadata(versions)),
        ("delete_version_after", Node::text(go_text(versions.delete_after()))),
        ("max_versions", Node::whole(i64::from(versions.max_versions))),
        ("oldest_version", Node::whole(versions.oldest)),
        ("updated_time", Node::text(versions.updated.to_rfc3339())),
        ("versions", Node::Object(versions.versions.iter().map(each).collect())),
    ])
}

/// `data` of a read of the mount's configuration. A negative time is how Vault says never.
#[must_use]
pub fn settings(settings: &Settings) -> Node {
    let expiry = match settings.expiry {
        Expiry::Unset => "0s".to_owned(),
        Expiry::AfterMillis(millis) => go_text(std::time::Duration::from_millis(millis)),
        Expiry::Never => "-1s".to_owned(),
    };
    Node::object([
        ("cas_required", Node::Bool(settings.cas_required)),
        ("delete_version_after", Node::text(expiry)),
        ("max_versions", Node::whole(i64::from(settings.max_versions))),
    ])
}

fn custom_metadata(versions: &Versions) -> Node {
    if versions.custom_metadata.is_empty() {
        return Node::Null;
    }
    Node::Object(versions.custom_metadata.iter().map(|(key, value)| (key.clone(), Node::text(value.as_str()))).collect())
}

fn moment_or_empty(moment: Option<Timestamp>) -> Node {
    Node::text(moment.map_or_else(String::new, Timestamp::to_rfc3339))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn written(node: &Node) -> Value {
        serde_json::from_slice(node.to_plaintext().expose()).expect("json")
    }

    #[test]
    fn a_secret_has_every_member_that_clients_parse() {
        let at = Timestamp::from_unix_micros(1_700_000_000_000_000);
        let mut versions = Versions::new(at);
        versions.add(at, &Settings::default(), String::new());
        versions.add(at, &Settings::default(), String::new());
        versions.delete(&[1], at);
        versions.destroy(&[2]);
        let moment = "2023-11-14T22:13:20.000000Z";
        assert_eq!(
            written(&secret(&versions)),
            json!({
                "cas_required": false, "created_time": moment, "current_version": 2, "custom_metadata": null, "delete_version_after": "0s",
                "max_versions": 0, "oldest_version": 0, "updated_time": moment,
                "versions": {
                    "1": {"created_time": moment, "deletion_time": moment, "destroyed": false},
                    "2": {"created_time": moment, "deletion_time": "", "destroyed": true},
                },
            })
        );
        versions.custom_metadata.insert("owner".to_owned(), "synthetic".to_owned());
        assert_eq!(
            written(&version(&versions, 2, &versions.versions[&2])),
            json!({"created_time": moment, "custom_metadata": {"owner": "synthetic"}, "deletion_time": "", "destroyed": true, "version": 2})
        );
    }

    #[test]
    fn the_configuration_has_three_members() {
        let of = |expiry| written(&settings(&Settings { max_versions: 5, cas_required: true, expiry }));
        assert_eq!(
            of(Expiry::AfterMillis(12_319_000)),
            json!({"cas_required": true, "delete_version_after": "3h25m19s", "max_versions": 5})
        );
        assert_eq!(of(Expiry::Never)["delete_version_after"], "-1s");
        assert_eq!(
            written(&settings(&Settings::default())),
            json!({"cas_required": false, "delete_version_after": "0s", "max_versions": 0})
        );
    }
}
