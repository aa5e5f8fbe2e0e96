//! What each member of a request's or an answer's body is: the one table. Members of the same name have the class of the most delicate of
//! them, wherever they stand.
//!
//! It decides what may become plain text in memory ([`super::members::Members`] hands delicate members out as `Plaintext` only) and what
//! may enter an entry of the ledger (`audit::entry` writes no member that may not be recorded). A member that stands in the code and not
//! here fails a test.

/// What a member holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberClass {
    /// About a person, or whatever a caller attaches to it: values, subjects, metadata.
    Personal,
    /// What applications keep: the data of a secret.
    Secret,
    /// What opens something: tokens, keys, shares, proofs.
    Credential,
    /// Free text of people: descriptions, policies, errors.
    Prose,
    /// The name or id of something that goldfin stores.
    Name,
    /// A word of a closed list.
    Word,
    Number,
    /// A truth value or another setting that tells nothing about anybody.
    Setting,
    /// A moment or a duration.
    Time,
    /// A hash, keyed or not.
    Hash,
    /// Holds other members.
    Container,
}

impl MemberClass {
    /// Read as `Plaintext` and in no other way: wiped, and unable to be printed.
    #[must_use]
    pub const fn is_delicate(self) -> bool {
        matches!(self, Self::Personal | Self::Secret | Self::Credential)
    }

    /// Whether an entry of the ledger or a line of the log may hold it as it is.
    #[must_use]
    pub const fn may_be_recorded(self) -> bool {
        !matches!(self, Self::Personal | Self::Secret | Self::Credential | Self::Prose | Self::Container)
    }
}

macro_rules! members {
    ($($class:ident: $($name:literal)*;)*) => {
        /// Every member with its class.
        pub const MEMBERS: &[(&str, MemberClass)] = &[$($(($name, MemberClass::$class),)*)*];

        /// None for a name that no body of ours has.
        #[must_use]
        pub fn class_of(name: &str) -> Option<MemberClass> {
            match name { $($($name => Some(MemberClass::$class),)*)* _ => None }
        }
    };
}

members! {
    Personal: "value" "decoded_value" "encoded_value" "subject" "metadata" "meta" "tokens" "user_claim_value" "text";
    Secret: "data" "custom_metadata";
    Credential: "token" "client_token" "root_token" "jwt" "authorization" "keytab" "key" "key_base64" "keys_base64" "kerberos_token";
    Prose: "body" "note" "pattern" "encode_format" "decode_formats" "description" "policy" "rules" "hcl" "says" "tables" "errors" "warnings" "what" "display_name" "not_expressed"
        "options" "config" "bound_claims" "bound_subject" "claim_mappings" "unreadable" "entry" "reference";
    Name: "logs" "ledger_key" "log_id" "origin" "classes" "continuation" "accessor" "account" "accounts" "action" "actions" "add_group_aliases" "aliases" "allowed_entity_aliases" "allowed_policies"
        "allowed_policies_glob" "allowed_roles" "allowed_redirect_uris" "bound_audiences" "bound_issuer" "class" "cluster_id"
        "cluster_name" "default_role" "disallowed_policies" "disallowed_policies_glob" "groups" "groups_claim" "group_policies" "id"
        "identity_policies" "jwks_file" "jwks_url" "keytab_file" "leader_address" "leader_cluster_address" "login_account" "mount"
        "mount_type" "name" "names" "node" "oidc_client_id" "oidc_discovery_url" "oidc_scopes" "path" "path_suffix" "paths" "plugin_version"
        "policies" "prefix" "purpose" "purposes" "request_id" "resource" "role" "running_plugin_version" "service_account" "stores"
        "target_accessor" "template" "templates" "token_policies" "transformation" "transformations" "user_claim" "uuid" "entity_id"
        "capabilities" "table" "case" "peer" "namespace" "stream" "streams" "policy_set" "next" "previous" "cursor" "after" "before"
        "changes" "token_bound_cidrs" "bound_cidrs" "held" "keys" "holders" "targets" "storage_type" "build_date" "lease_id" "alphabet"
        "namespace_id" "granted_groups" "orphaned" "realm";
    Word: "on_unserved" "because" "bound_claims_type" "by" "decision" "denied_because" "deprecation_status" "effect" "expected" "decided" "format"
        "jwt_supported_algs" "kind" "mapping_mode" "method" "oidc_response_mode" "oidc_response_types" "order" "reason"
        "replication_dr_mode" "replication_perf_mode" "replication_performance_mode" "role_type" "shape" "state" "status" "token_type"
        "tweak_source" "type" "verb" "verdict";
    Number: "index" "start" "end" "restored" "active_time" "batch_size" "cas" "clock_skew_ms" "count" "current_version" "damaged" "done" "echo_duration_ms"
        "encoded_per_hour" "entries" "evaluated" "exit_code" "failed" "failures" "kek_version" "latency_us" "limit" "line" "max_versions"
        "min_available_version" "min_decryption_version" "latest_version" "n" "num_uses" "oldest_version"
        "partial_failure_response_code" "passed" "per_second" "primary" "progress" "refusals" "remaining" "requests" "retired" "revealed"
        "revealed_per_hour" "reveals" "secret_shares" "secret_threshold" "seq" "server_time_utc" "size" "succeeded" "t" "term"
        "token_num_uses" "total" "to" "v" "values" "version" "versions" "performance_standby_last_remote_wal"
        "replication_primary_canary_age_ms" "position" "column" "item" "rate";
    Setting: "masking_character" "tweak" "alive" "allowed" "cas_required" "channel_bound" "convergent" "deletion_allowed" "denied" "destroyed" "disabled" "enterprise"
        "external_entropy_access" "granted" "ha_enabled" "initialized" "is_self" "jwks_allow_http_loopback" "jwks_allow_private"
        "keytab_stored" "local" "mfa_requirement" "migration" "no_default_policy" "no_parent" "orphan" "per_value_audit"
        "performance_standby" "recovery_seal" "remove_instance_name" "renewable" "require_channel_binding" "reset" "seal_wrap" "sealed"
        "sound" "standby" "token_no_default_policy" "truncated" "user_claim_json_pointer" "valid" "verbose_oidc_logging" "finished"
        "jwks_ca_pem" "oidc_discovery_ca_pem" "jwt_validation_pubkeys" "tokenized" "upgrading" "recovery_seal_type" "oldest_first" "inheritable";
    Time: "created" "created_time" "creation_time" "day" "default_lease_ttl" "delete_version_after" "duration" "erased" "expiration"
        "expiration_time" "expire_time" "explicit_max_ttl" "increment" "issue_time" "last_renewal" "last_renewal_time" "lease_duration"
        "block_interval" "interval" "max_age" "max_lease_ttl" "max_ttl" "period" "since" "started" "time" "ttl" "until" "updated_time" "deletion_time";
    Hash: "hashes" "root" "hash" "nonce" "batch" "digest" "leaf" "mac" "running_sha256";
    Container: "auth" "spans" "batch_input" "batch_results" "checkpoints" "decisions" "disclosures" "rows" "wrap_info";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Literal names behind each of `openings` in the production part of a source file.
    fn names_behind(text: &str, openings: &[&str]) -> Vec<String> {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let mut names = Vec::new();
        for opening in openings {
            for rest in code.split(opening).skip(1) {
                let Some((name, behind)) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')) else { continue };
                let is_name =
                    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
                // `("name", Node` makes a member of an answer; other pairs that begin with a text are none.
                if is_name && (*opening != "(" || behind.trim_start_matches([',', ' ', '\n']).starts_with("Node")) {
                    names.push(name.to_owned());
                }
            }
        }
        names
    }

    fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !path.to_string_lossy().contains("test") {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_member_that_is_read_or_written_has_a_class() {
        let openings = [
            ".word(",
            ".words(",
            ".secret(",
            ".credential(",
            ".flag(",
            ".whole(",
            ".duration(",
            ".list(",
            ".object(",
            ".text_map(",
            ".loose_text_map(",
            ".fraction(",
            "(",
        ];
        let (mut files, mut seen) = (Vec::new(), BTreeSet::new());
        for part in ["engine", "gate", "http"] {
            sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(part), &mut files);
        }
        for file in files {
            seen.extend(names_behind(&std::fs::read_to_string(file).expect("source"), &openings));
        }
        assert!(seen.len() > 200, "the search finds members: {}", seen.len());
        let unknown: Vec<&String> = seen.iter().filter(|name| class_of(name).is_none()).collect();
        assert!(unknown.is_empty(), "give these a class: {unknown:?}");
    }

    #[test]
    fn each_name_stands_once() {
        let names: BTreeSet<&str> = MEMBERS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), MEMBERS.len());
    }
}
