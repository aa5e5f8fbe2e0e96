//! Secrets with versions.

use super::super::member::{Member, Type, flag, free, object, of, text, text_map, whole};
use super::super::route::{Gives, Route};
use crate::model::action::Action as A;
use crate::model::call::Verb::{Delete, List, Patch, Read, Write};

const VERSION_OF: &[Member] = &[
    of("created_time", Type::Moment, "When it was written."),
    text_map("custom_metadata", "What people attached to the secret.").null(),
    text("deletion_time", "When it was deleted or will be; empty where neither."),
    flag("destroyed", "Whether its value is gone for good."),
    whole("version", "Its number, from 1."),
];

const CHANGED: &[Member] = &[
    free("data", "The members of the secret. Numbers come back digit for digit.").must(),
    object(
        "options",
        &[whole("cas", "The version that must be the current one; 0 where the secret must not exist.")],
        "Conditions of the write.",
    ),
];

const VERSIONS: &[Member] = &[of(
    "versions",
    Type::Either(&[Type::List(&Type::Whole(0, u64::MAX), 0), Type::Words, Type::Whole(0, u64::MAX)]),
    "The versions that are meant.",
)
.must()];

const WHICH: Member = whole("version", "The version that is wanted; 0 is the current one.");

const MOST_VERSIONS: Member = of("max_versions", Type::Whole(0, 10_000), "How many versions are kept; 0 where the mount decides.");

const METADATA: &[Member] = &[
    MOST_VERSIONS,
    flag("cas_required", "Whether each write has to name the version that it replaces."),
    of("delete_version_after", Type::Seconds, "How long a version lives; 0 is for ever."),
    text_map("custom_metadata", "What people want to attach: texts by name."),
];

/// Null takes a text away.
const CHANGED_METADATA: &[Member] = &[
    MOST_VERSIONS,
    flag("cas_required", "Whether each write has to name the version that it replaces."),
    of("delete_version_after", Type::Seconds, "How long a version lives; 0 is for ever."),
    free("custom_metadata", "What people want to attach: texts by name, null to take one away."),
];

const READ_METADATA: &[Member] = &[
    flag("cas_required", "Whether each write has to name the version that it replaces."),
    of("created_time", Type::Moment, "When the secret was first written."),
    whole("current_version", "The newest version; 0 where there is none."),
    text_map("custom_metadata", "What people attached to it.").null(),
    text("delete_version_after", "How long a version lives; `0s` is for ever."),
    whole("max_versions", "How many versions are kept; 0 where the mount decides."),
    whole("oldest_version", "The oldest version that is kept."),
    of("updated_time", Type::Moment, "When anything of it was changed last."),
    of(
        "versions",
        Type::Map(&Type::Object(&[
            of("created_time", Type::Moment, "When it was written."),
            text("deletion_time", "When it was deleted or will be; empty where neither."),
            flag("destroyed", "Whether its value is gone for good."),
        ])),
        "The versions by their numbers.",
    ),
];

pub(super) const ROUTES: &[Route] = &[
    Route::new(
        &[Read],
        "config",
        "Read the settings of the mount",
        &[A::ReadSetting],
        Gives::Data(&[
            flag("cas_required", "Whether each write has to name the version that it replaces."),
            text("delete_version_after", "How long a version lives; `0s` where each secret decides, `-1s` for ever."),
            whole("max_versions", "How many versions of a secret are kept; 0 is ten."),
        ]),
    ),
    Route::new(&[Write], "config", "Change the settings of the mount", &[A::WriteSetting], Gives::Nothing).body(
        &[&[
            MOST_VERSIONS,
            flag("cas_required", "Whether each write has to name the version that it replaces."),
            of("delete_version_after", Type::SecondsOrNever, "How long a version lives; 0 takes it back, below 0 is for ever."),
        ]],
        &[r#"{"max_versions": 5, "cas_required": false, "delete_version_after": "720h"}"#],
    ),
    Route::new(
        &[Read],
        "data/{path...}",
        "Read a version of a secret",
        &[A::ReadSecret],
        Gives::DataOrAbsent(
            &[free("data", "The members of the secret."), object("metadata", VERSION_OF, "What is known of the version.")],
            &[of("data", Type::Any, "Null: the value is not there any more."), object("metadata", VERSION_OF, "What is known of the version.")],
        ),
    )
    .query(&[WHICH])
    .purpose(),
    Route::new(&[Write], "data/{path...}", "Write a new version of a secret", &[A::WriteSecret], Gives::Data(VERSION_OF))
        .body(&[CHANGED], &[r#"{"data": {"user": "synthetic", "password": "synthetic"}, "options": {"cas": 0}}"#]),
    Route::new(
        &[Patch],
        "data/{path...}",
        "Write a new version with some members changed (RFC 7396)",
        &[A::WriteSecret],
        Gives::DataOrAbsent(VERSION_OF, VERSION_OF),
    )
    .body(&[CHANGED], &[r#"{"data": {"password": "synthetic", "user": null}, "options": {"cas": 1}}"#]),
    Route::new(&[Delete], "data/{path...}", "Delete the current version; it can be brought back", &[A::DeleteSecret], Gives::Nothing),
    Route::new(&[List], "metadata", "List the secrets and folders of the mount", &[A::ListSecrets], Gives::Keys),
    Route::new(&[List], "metadata/{path...}", "List the secrets and folders of a folder", &[A::ListSecrets], Gives::Keys),
    Route::new(&[Read], "metadata/{path...}", "Read what is known of a secret", &[A::ReadSecretMetadata], Gives::Data(READ_METADATA)),
    Route::new(&[Write], "metadata/{path...}", "Write the settings of a secret", &[A::WriteSecretMetadata], Gives::Warnings).body(
        &[METADATA],
        &[r#"{"max_versions": 3, "cas_required": true, "delete_version_after": "1h30m", "custom_metadata": {"owner": "synthetic"}}"#],
    ),
    Route::new(
        &[Patch],
        "metadata/{path...}",
        "Change some settings of a secret; null sets one back (RFC 7396)",
        &[A::WriteSecretMetadata],
        Gives::Warnings,
    )
    .body(
        &[CHANGED_METADATA],
        &[r#"{"max_versions": null, "cas_required": false, "delete_version_after": 60, "custom_metadata": {"owner": null, "team": "synthetic"}}"#],
    ),
    Route::new(&[Delete], "metadata/{path...}", "Destroy a secret with all of its versions", &[A::DestroySecret], Gives::Nothing),
    Route::new(&[Write], "delete/{path...}", "Delete versions; they can be brought back", &[A::DeleteSecret], Gives::Nothing)
        .body(&[VERSIONS], &[r#"{"versions": [1, 2]}"#]),
    Route::new(&[Write], "undelete/{path...}", "Bring deleted versions back", &[A::UndeleteSecret], Gives::Nothing)
        .body(&[VERSIONS], &[r#"{"versions": [1]}"#]),
    Route::new(&[Write], "destroy/{path...}", "Destroy versions for good", &[A::DestroySecret], Gives::Nothing)
        .body(&[VERSIONS], &[r#"{"versions": [1]}"#]),
    Route::new(
        &[Read],
        "subkeys/{path...}",
        "Read the names of a secret's members, without their values",
        &[A::ReadSecretMetadata],
        Gives::DataOrAbsent(
            &[free("subkeys", "The members, each with null in place of its value."), object("metadata", VERSION_OF, "What is known of the version.")],
            &[of("subkeys", Type::Any, "Null: the value is not there any more."), object("metadata", VERSION_OF, "What is known of the version.")],
        ),
    )
    .query(&[WHICH, whole("depth", "How many levels are shown; 0 is all.")]),
];
