//! What can be done: a closed list. Policies, entries and metrics use these words; `policies/schema.cedarschema` must hold the same list.

use std::fmt;

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action { $($(#[$doc])* $variant,)* }

        impl Action {
            pub const ALL: &'static [Action] = &[$(Action::$variant,)*];

            /// The word in policies and entries.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Action::$variant => $name,)* }
            }

            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Action::$variant),)* _ => None }
            }
        }
    };
}

actions! {
    // secrets
    ReadSecret = "read_secret",
    WriteSecret = "write_secret",
    DeleteSecret = "delete_secret",
    UndeleteSecret = "undelete_secret",
    DestroySecret = "destroy_secret",
    ListSecrets = "list_secrets",
    ReadSecretMetadata = "read_secret_metadata",
    WriteSecretMetadata = "write_secret_metadata",
    // personal data
    Encode = "encode",
    Decode = "decode",
    /// Whether a token is valid, and what is attached to it.
    LookupPiiToken = "lookup_pii_token",
    DeletePiiToken = "delete_pii_token",
    /// The stored tokens of a transformation, as ciphertext.
    SnapshotPiiTokens = "snapshot_pii_tokens",
    RestorePiiTokens = "restore_pii_tokens",
    /// The values of an exportable transformation, in the clear.
    ExportPiiTokens = "export_pii_tokens",
    ReadSubject = "read_subject",
    ExportSubject = "export_subject",
    EraseSubject = "erase_subject",
    ListDisclosures = "list_disclosures",
    // the configuration of a mount: roles, transformations, keys of a login method
    ReadSetting = "read_setting",
    ListSettings = "list_settings",
    WriteSetting = "write_setting",
    DeleteSetting = "delete_setting",
    RotateSetting = "rotate_setting",
    // who
    Login = "login",
    CreateAuthToken = "create_auth_token",
    LookupAuthToken = "lookup_auth_token",
    RenewAuthToken = "renew_auth_token",
    RevokeAuthToken = "revoke_auth_token",
    ListAuthTokens = "list_auth_tokens",
    LookupSelf = "lookup_self",
    RenewSelf = "renew_self",
    RevokeSelf = "revoke_self",
    ReadAccount = "read_account",
    ListAccounts = "list_accounts",
    WriteAccount = "write_account",
    DeleteAccount = "delete_account",
    // may they
    ReadPolicy = "read_policy",
    ListPolicies = "list_policies",
    /// One policy, whose every statement concerns its own group.
    WritePolicy = "write_policy",
    /// Any policy, and the whole set at once.
    WritePolicies = "write_policies",
    DeletePolicy = "delete_policy",
    ExplainPolicy = "explain_policy",
    ReadOwnCapabilities = "read_own_capabilities",
    ReadCapabilities = "read_capabilities",
    // mounts, of engines and of login methods
    ReadMount = "read_mount",
    ListMounts = "list_mounts",
    EnableMount = "enable_mount",
    DisableMount = "disable_mount",
    TuneMount = "tune_mount",
    /// The mounts that the caller itself may use (`sys/internal/ui/mounts`).
    ListOwnMounts = "list_own_mounts",
    /// The description of the API (`sys/internal/specs/openapi`).
    ReadApi = "read_api",
    // the server
    Init = "init",
    Unseal = "unseal",
    Seal = "seal",
    ReadSealStatus = "read_seal_status",
    ReadServerStatus = "read_server_status",
    RotateKeys = "rotate_keys",
    ReadKeyStatus = "read_key_status",
    // the ledger
    ReadLedger = "read_ledger",
    VerifyLedger = "verify_ledger",
    AcknowledgeLedger = "acknowledge_ledger",
    ArchiveLedger = "archive_ledger",
    PruneLedger = "prune_ledger",
    /// Another ledger asks for a cosignature of its checkpoint.
    WitnessCheckpoint = "witness_checkpoint",
    // what goldfin does by itself
    RunJob = "run_job",
    /// A request that did not get as far as an operation: malformed, unknown path, no credential.
    Unroutable = "unroutable",
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_read_back() {
        for action in Action::ALL {
            assert_eq!(Action::from_name(action.name()), Some(*action));
        }
        let names: std::collections::HashSet<_> = Action::ALL.iter().map(|action| action.name()).collect();
        assert_eq!(names.len(), Action::ALL.len());
    }
}
