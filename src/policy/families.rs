//! What a path of the API and a capability of Vault stand for: the table of `docs/policies.md`, for the converter.

use crate::model::action::Action;
use crate::model::mount::Kind;
use crate::model::operation::ResourceKind;

/// A family of paths below a mount.
#[derive(Debug)]
pub(super) struct Family {
    /// What follows the mount: `data`.
    pub(super) at: &'static str,
    pub(super) place: Place,
    /// All of these capabilities together stand for all of these actions.
    pub(super) rights: &'static [(&'static [&'static str], &'static [Action])],
}

/// What the rest of the path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A secret: `secret/data/a/b` is `Secret::"secret/a/b"`.
    Secret,
    /// `transform/role/a` is `Setting::"transform/role/a"`.
    Setting,
    /// `transform/transformation/a`, which stands for `Setting::"transform/transformations/<type>/a"` of whichever type.
    OfAnyType,
    /// `transform/tokenization/keys/a`, and the three acts below it, are `Setting::"transform/tokenization/keys/a"`.
    Keys,
    /// A role, which is not a resource: only all of them can be named.
    Role,
    /// `sys/policies/acl/a` is `Policy::"a"`, or with the prefix `auth/` `Mount::"auth/a"`.
    Named(ResourceKind, &'static str),
    /// The path alone: `sys/seal` is `Server::"server"`.
    One(ResourceKind, &'static str),
    /// Every account may, by the base policies.
    Base,
}

const SETTING: &[(&[&str], &[Action])] = &[
    (&["read"], &[Action::ReadSetting]),
    (&["list"], &[Action::ListSettings]),
    (&["create", "update"], &[Action::WriteSetting]),
    (&["delete"], &[Action::DeleteSetting]),
];

const KEYS: &[(&[&str], &[Action])] =
    &[(&["read"], &[Action::ReadSetting]), (&["list"], &[Action::ListSettings]), (&["update"], &[Action::RotateSetting])];

const fn family(at: &'static str, place: Place, rights: &'static [(&'static [&'static str], &'static [Action])]) -> Family {
    Family { at, place, rights }
}

const KV: &[Family] = &[
    family(
        "data",
        Place::Secret,
        &[(&["read"], &[Action::ReadSecret]), (&["create", "update"], &[Action::WriteSecret]), (&["delete"], &[Action::DeleteSecret])],
    ),
    family(
        "metadata",
        Place::Secret,
        &[
            (&["read"], &[Action::ReadSecretMetadata]),
            (&["list"], &[Action::ListSecrets]),
            (&["create", "update"], &[Action::WriteSecretMetadata]),
            (&["delete"], &[Action::DestroySecret]),
        ],
    ),
    family("delete", Place::Secret, &[(&["update"], &[Action::DeleteSecret])]),
    family("undelete", Place::Secret, &[(&["update"], &[Action::UndeleteSecret])]),
    family("destroy", Place::Secret, &[(&["update"], &[Action::DestroySecret])]),
    family("config", Place::Setting, SETTING),
];

const TRANSFORM: &[Family] = &[
    family("encode", Place::Role, &[(&["update"], &[Action::Encode])]),
    family("decode", Place::Role, &[(&["update"], &[Action::Decode])]),
    family("redact", Place::Role, &[(&["update"], &[Action::Encode])]),
    family("restore", Place::Role, &[(&["update"], &[Action::Decode])]),
    family("validate", Place::Role, &[(&["update"], &[Action::LookupPiiToken])]),
    family("metadata", Place::Role, &[(&["update"], &[Action::LookupPiiToken])]),
    family("tokenized", Place::Role, &[(&["update"], &[Action::LookupPiiToken]), (&["delete"], &[Action::DeletePiiToken])]),
    family("tokens", Place::Role, &[(&["update"], &[Action::LookupPiiToken]), (&["delete"], &[Action::DeletePiiToken])]),
    family("config", Place::Setting, SETTING),
    family("transformations/tokenization/snapshot", Place::Role, &[(&["update"], &[Action::SnapshotPiiTokens])]),
    family("transformations/tokenization/restore", Place::Role, &[(&["update"], &[Action::RestorePiiTokens])]),
    family("transformations/tokenization/export-decoded", Place::Role, &[(&["update"], &[Action::ExportPiiTokens])]),
    family("role", Place::Setting, SETTING),
    family("transformations", Place::Setting, SETTING),
    family("transformation", Place::OfAnyType, SETTING),
    family("transformations/tokenization/keys", Place::Keys, KEYS),
    family("tokenization/keys", Place::Keys, KEYS),
    family("template", Place::Setting, SETTING),
    family("alphabet", Place::Setting, SETTING),
];

const LOGIN: &[Family] = &[
    family("login", Place::Base, &[]),
    family("config", Place::Setting, SETTING),
    family("role", Place::Setting, SETTING),
    family("groups", Place::Setting, SETTING),
];

const AUTH_TOKEN: &[Family] = &[
    family("lookup-self", Place::Base, &[]),
    family("renew-self", Place::Base, &[]),
    family("revoke-self", Place::Base, &[]),
    family("create", Place::One(ResourceKind::AuthToken, "create"), &[(&["update"], &[Action::CreateAuthToken])]),
    family("create-orphan", Place::One(ResourceKind::AuthToken, "create-orphan"), &[(&["update"], &[Action::CreateAuthToken])]),
    family("accessors", Place::One(ResourceKind::AuthToken, "*"), &[(&["list"], &[Action::ListAuthTokens])]),
    family("roles", Place::Setting, SETTING),
];

const POLICY: &[(&[&str], &[Action])] = &[
    (&["read"], &[Action::ReadPolicy]),
    (&["list"], &[Action::ListPolicies]),
    (&["update"], &[Action::WritePolicy]),
    (&["delete"], &[Action::DeletePolicy]),
];

const MOUNT: &[(&[&str], &[Action])] = &[
    (&["read"], &[Action::ReadMount]),
    (&["list"], &[Action::ListMounts]),
    (&["create", "update"], &[Action::EnableMount, Action::TuneMount]),
    (&["delete"], &[Action::DisableMount]),
];

const SYSTEM: &[Family] = &[
    family("capabilities-self", Place::Base, &[]),
    family("internal/ui/mounts", Place::Base, &[]),
    family("internal/specs/openapi", Place::Base, &[]),
    family("health", Place::Base, &[]),
    family("seal-status", Place::Base, &[]),
    family("leader", Place::Base, &[]),
    family("policies/acl", Place::Named(ResourceKind::Policy, ""), POLICY),
    family("policy", Place::Named(ResourceKind::Policy, ""), POLICY),
    family("mounts", Place::Named(ResourceKind::Mount, ""), MOUNT),
    family("auth", Place::Named(ResourceKind::Mount, "auth/"), MOUNT),
    family("capabilities", Place::One(ResourceKind::AuthToken, "*"), &[(&["update"], &[Action::ReadCapabilities])]),
    family("capabilities-accessor", Place::One(ResourceKind::AuthToken, "*"), &[(&["update"], &[Action::ReadCapabilities])]),
    family("seal", Place::One(ResourceKind::Server, "server"), &[(&["update"], &[Action::Seal])]),
    family("rotate", Place::One(ResourceKind::Server, "server"), &[(&["update"], &[Action::RotateKeys])]),
    family("key-status", Place::One(ResourceKind::Server, "server"), &[(&["read"], &[Action::ReadKeyStatus])]),
    family("host-info", Place::One(ResourceKind::Server, "host-info"), &[(&["read"], &[Action::ReadServerStatus])]),
    family("metrics", Place::One(ResourceKind::Server, "metrics"), &[(&["read"], &[Action::ReadServerStatus])]),
    family("quotas", Place::Setting, SETTING),
];

pub(super) const fn of(kind: Kind) -> &'static [Family] {
    match kind {
        Kind::Kv => KV,
        Kind::Transform => TRANSFORM,
        Kind::AuthToken => AUTH_TOKEN,
        Kind::Jwt | Kind::Kerberos => LOGIN,
        Kind::System => SYSTEM,
    }
}
