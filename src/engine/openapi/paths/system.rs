//! `sys`: the server, its seal and keys, mounts, accounts, capabilities.

use super::super::member::{Member, Type, flag, free, name, object, of, one_of, seconds, text, text_map, whole, words};
use super::super::route::{Gives, Route};
use crate::model::action::Action as A;
use crate::model::call::Verb::{Delete, List, Probe, Read, Write};

const CODE: Type = Type::Whole(200, 599);

const HEALTH: &[Member] = &[
    flag("initialized", "Whether there is anything in it."),
    flag("sealed", "Whether it has to be unsealed."),
    flag("standby", "False."),
    flag("performance_standby", "False."),
    text("replication_performance_mode", "`disabled`"),
    text("replication_perf_mode", "`disabled`"),
    text("replication_dr_mode", "`disabled`"),
    of("server_time_utc", Type::Integer, "Seconds since 1970."),
    text("version", "goldfin's version."),
    flag("enterprise", "False."),
    text("cluster_name", "The cluster's name; empty before it is initialised."),
    text("cluster_id", "The cluster's id; empty before it is initialised."),
    whole("echo_duration_ms", "0"),
    whole("clock_skew_ms", "0"),
    whole("replication_primary_canary_age_ms", "0"),
];

const HEALTH_QUERY: &[Member] = &[
    of("activecode", CODE, "The status where all is well, in place of 200."),
    of("sealedcode", CODE, "The status while sealed, in place of 503."),
    of("uninitcode", CODE, "The status before it is initialised, in place of 501."),
    of("standbycode", CODE, "Means nothing: no node is a standby."),
    of("drsecondarycode", CODE, "Means nothing: no node is a standby."),
    of("performancestandbycode", CODE, "Means nothing: no node is a standby."),
    of("removedcode", CODE, "Means nothing: no node is a standby."),
    of("haunhealthycode", CODE, "Means nothing: no node is a standby."),
];

const SEAL_STATUS: &[Member] = &[
    text("type", "`shamir`"),
    flag("initialized", "Whether there is anything in it."),
    flag("sealed", "Whether it has to be unsealed."),
    whole("t", "How many shares unseal it."),
    whole("n", "How many shares there are."),
    whole("progress", "How many shares were given so far."),
    text("nonce", "Names the attempt that is under way; else empty."),
    text("version", "goldfin's version."),
    text("build_date", "When it was built, or empty."),
    flag("migration", "False."),
    text("cluster_name", "The cluster's name."),
    text("cluster_id", "The cluster's id."),
    flag("recovery_seal", "False."),
    text("storage_type", "`postgresql`"),
    text("ledger_key", "The public key that the ledger is signed with; null where it is not known.").null(),
];

const AUDIT_DEVICE: Type = Type::Map(&Type::Object(&[
    text("type", "`ledger`"),
    text("description", "What it is."),
    text("path", "Its name."),
    free("options", "Empty."),
    flag("local", "False."),
]));

const KEY_STATUS: Type = Type::Object(&[
    whole("term", "The version that encrypts."),
    text("install_time", "Since when.").null(),
    whole("encryptions", "How often it was used since this node started."),
]);

const ROTATION: &[Member] = &[
    whole("primary", "The version that encrypts."),
    of(
        "versions",
        Type::List(
            &Type::Object(&[
                whole("version", "Its number."),
                text("state", "What it is used for."),
                text("created", "Since when it is there.").null(),
                text("retired", "Since when nothing is under it.").null(),
            ]),
            0,
        ),
        "All versions of the keyring.",
    ),
    whole("total", "How many rows have to be wrapped anew."),
    whole("remaining", "How many of them are left."),
    object(
        "rotation",
        &[
            whole("to", "The version that they move to."),
            text("started", "When it began."),
            whole("done", "How many are done."),
            whole("total", "How many there are."),
            whole("per_second", "How fast it goes."),
            whole("damaged", "How many could not be read."),
            text("finished", "When it ended; null while it runs.").null(),
        ],
        "The last rotation; null before the first.",
    )
    .null(),
];

const PATHS: &[Member] = &[words("paths", "The paths that are asked about, 1 to 256."), words("path", "The same by its other name.")];

/// The paths' own names are members too.
const CAPABILITIES: Type = Type::Map(&Type::Words);

const BRIEF: Type = Type::Map(&Type::Object(&[
    text("type", "What answers there."),
    text("description", "What people say of it."),
    text_map("options", "What was given when it was made.").null(),
]));

const MOUNT: &[Member] = &[
    text("type", "What answers there."),
    text("description", "What people say of it."),
    text("accessor", "Names the mount whatever its path."),
    text("uuid", "The same as a UUID."),
    object(
        "config",
        &[
            whole("default_lease_ttl", "Seconds; 0 for the server's default."),
            whole("max_lease_ttl", "Seconds; 0 for the server's default."),
            flag("force_no_cache", "False."),
            text("token_type", "`default-service`, of login methods.").maybe(),
        ],
        "How long what it gives lives.",
    ),
    text_map("options", "What was given when it was made.").null(),
    flag("local", "False."),
    flag("seal_wrap", "False."),
    flag("external_entropy_access", "False."),
    text("plugin_version", "Empty."),
    text("running_plugin_version", "goldfin's version."),
    text("running_sha256", "Empty."),
    text("deprecation_status", "`supported`"),
];

const MOUNT_WITH_PATH: &[Member] = &[text("path", "Where it is, with a slash at its end.")];

const TUNED: Type = Type::Object(&[
    whole("default_lease_ttl", "Seconds."),
    whole("max_lease_ttl", "Seconds."),
    flag("force_no_cache", "False."),
    text("description", "What people say of it."),
    text_map("options", "What was given when it was made; of KV.").maybe(),
    text("token_type", "`default-service`, of login methods.").maybe(),
]);

const TUNING: &[Member] = &[
    of("description", Type::Short(4096), "What people say of it."),
    seconds("default_lease_ttl", "How long what it gives lives at first."),
    seconds("max_lease_ttl", "How far that can be renewed."),
    of("options", Type::LooseMap, "At most 32, such as `version`."),
];

const NEW_ENGINE: &[Member] = &[
    one_of("type", &["kv", "kv-v2", "transform"], "What shall answer there.").must(),
    of("description", Type::Short(4096), "What people say of it."),
    object("config", TUNING, "How long what it gives lives."),
    of("options", Type::LooseMap, "Of KV: `version`, which is `2`."),
];

const NEW_METHOD: &[Member] = &[
    one_of("type", &["jwt", "oidc", "kerberos"], "What shall answer there.").must(),
    of("description", Type::Short(4096), "What people say of it."),
    object("config", TUNING, "How long what it gives lives."),
    of("options", Type::LooseMap, "Means nothing; it is kept."),
];

const ENGINE: &[&str] = &[
    r#"{"type": "kv", "description": "synthetic", "config": {"default_lease_ttl": "1h", "max_lease_ttl": 86400}, "options": {"version": 2}}"#,
];
const METHOD: &[&str] = &[r#"{"type": "jwt", "description": "synthetic", "config": {"max_lease_ttl": "24h"}, "options": {}}"#];
const TUNED_TO: &[&str] =
    &[r#"{"description": "synthetic", "default_lease_ttl": "1h", "max_lease_ttl": "24h", "options": {"version": "2"}}"#];

pub(super) const ROUTES: &[Route] = &[
    Route::new(&[Read], "health", "Ask whether all is well; the status says it too", &[], Gives::Health(HEALTH)).query(HEALTH_QUERY).open(),
    Route::new(&[Probe], "health", "Ask whether all is well, by the status alone", &[], Gives::Health(&[])).query(HEALTH_QUERY).open(),
    Route::new(&[Read], "seal-status", "Read the state of the seal", &[], Gives::Bare(SEAL_STATUS)).open(),
    Route::new(
        &[Read],
        "leader",
        "Ask whether this node leads: every node does",
        &[],
        Gives::Bare(&[
            flag("ha_enabled", "False."),
            flag("is_self", "True."),
            text("active_time", "For clients of Vault."),
            text("leader_address", "Where clients reach this node."),
            text("leader_cluster_address", "Empty."),
            flag("performance_standby", "False."),
            whole("performance_standby_last_remote_wal", "0"),
        ]),
    )
    .open(),
    Route::new(
        &[Read],
        "init",
        "Ask whether goldfin is initialised",
        &[],
        Gives::Bare(&[flag("initialized", "Whether there is anything in it.")]),
    )
    .open(),
    Route::new(
        &[Write],
        "init",
        "Make the keys of a new goldfin; once",
        &[A::Init],
        Gives::Bare(&[
            words("keys", "The shares of the unseal key in hexadecimal. They are shown once."),
            words("keys_base64", "The same in base64."),
            text("root_token", "The first auth token."),
            text("ledger_key", "The public key that the ledger is signed with."),
        ]),
    )
    .body(
        &[&[
            of("secret_shares", Type::Whole(1, 255), "How many shares; 5 unless given."),
            of("secret_threshold", Type::Whole(1, 255), "How many of them unseal; 3 unless given."),
        ]],
        &[r#"{"secret_shares": 5, "secret_threshold": 3}"#],
    )
    .open(),
    Route::new(&[Write], "unseal", "Give one share of the unseal key", &[A::Unseal], Gives::Bare(SEAL_STATUS))
        .body(
            &[&[text("key", "The share, in hexadecimal or base64."), flag("reset", "Forget the shares that were given so far.")]],
            &[r#"{"reset": true}"#],
        )
        .open(),
    Route::new(&[Write], "seal", "Seal goldfin: drop all keys", &[A::Seal], Gives::Nothing),
    Route::new(&[Write], "rotate", "Make a new version of the keyring and wrap everything anew", &[A::RotateKeys], Gives::Nothing),
    Route::new(&[Read], "rotate/status", "Read how far the last rotation is", &[A::ReadKeyStatus], Gives::Data(ROTATION)),
    Route::new(&[Read], "key-status", "Read which key encrypts, as Vault tells it", &[A::ReadKeyStatus], Gives::Table(KEY_STATUS)),
    Route::new(
        &[Read, List],
        "audit",
        "List the audit devices: the ledger is the only one",
        &[A::ReadServerStatus],
        Gives::Table(AUDIT_DEVICE),
    ),
    Route::new(
        &[Read],
        "metrics",
        "Read measurements, as Prometheus asks for them",
        &[A::ReadServerStatus],
        Gives::Stream(&["text/plain"]),
    )
    .query(&[one_of("format", &["", "prometheus"], "The only one that there is.")]),
    Route::new(&[Write], "capabilities-self", "Ask what the caller may do at paths", &[A::ReadOwnCapabilities], Gives::Table(CAPABILITIES))
        .body(
            &[PATHS, &[text("token", "Means nothing; the caller's own counts.")]],
            &[r#"{"paths": ["secret/data/app"], "path": "secret"}"#],
        ),
    Route::new(
        &[Write],
        "capabilities",
        "Ask what the holder of a token may do at paths",
        &[A::ReadCapabilities],
        Gives::Table(CAPABILITIES),
    )
    .body(&[PATHS, &[text("token", "The auth token.").must()]], &[r#"{"paths": "secret/data/app", "token": "synthetic"}"#]),
    Route::new(
        &[Write],
        "capabilities-accessor",
        "Ask what the token of an accessor may do at paths",
        &[A::ReadCapabilities],
        Gives::Table(CAPABILITIES),
    )
    .body(
        &[PATHS, &[text("accessor", "The accessor.").must()]],
        &[r#"{"path": "secret/data/app", "accessor": "Synthetic0Synthetic0Synt"}"#],
    ),
    Route::new(
        &[Read],
        "internal/ui/mounts",
        "List what answers where, as clients ask before they build a path",
        &[A::ListOwnMounts],
        Gives::Data(&[of("secret", BRIEF, "The engines by their paths."), of("auth", BRIEF, "The login methods by their names.")]),
    ),
    Route::new(
        &[Read],
        "internal/ui/mounts/{path...}",
        "Read which mount answers at a path",
        &[A::ListOwnMounts],
        Gives::Parts(&[MOUNT, MOUNT_WITH_PATH]),
    ),
    Route::new(&[Read], "internal/specs/openapi", "Read this description", &[A::ReadApi], Gives::Document),
];

pub(super) const MOUNTS: &[Route] = &[
    Route::new(&[Read, List], "mounts", "List the mounts of engines", &[A::ListMounts], Gives::Table(Type::Map(&Type::Object(MOUNT)))),
    Route::new(&[Read], "mounts/{mount...}/tune", "Read the tuning of a mount", &[A::ReadMount], Gives::Table(TUNED)),
    Route::new(&[Write], "mounts/{mount...}/tune", "Tune a mount; what is not named stays", &[A::TuneMount], Gives::Nothing)
        .body(&[TUNING], TUNED_TO),
    Route::new(&[Read], "mounts/{mount...}", "Read a mount", &[A::ReadMount], Gives::Data(MOUNT)),
    Route::new(&[Write], "mounts/{mount...}", "Enable an engine", &[A::EnableMount], Gives::Nothing).body(&[NEW_ENGINE], ENGINE),
    Route::new(&[Delete], "mounts/{mount...}", "Disable an engine with everything in it", &[A::DisableMount], Gives::Nothing),
    Route::new(&[Read, List], "auth", "List the login methods", &[A::ListMounts], Gives::Table(Type::Map(&Type::Object(MOUNT)))),
    Route::new(&[Read], "auth/{mount...}/tune", "Read the tuning of a login method", &[A::ReadMount], Gives::Table(TUNED)),
    Route::new(&[Write], "auth/{mount...}/tune", "Tune a login method; what is not named stays", &[A::TuneMount], Gives::Nothing)
        .body(&[TUNING], TUNED_TO),
    Route::new(&[Read], "auth/{mount...}", "Read a login method", &[A::ReadMount], Gives::Data(MOUNT)),
    Route::new(&[Write], "auth/{mount...}", "Enable a login method", &[A::EnableMount], Gives::Nothing).body(&[NEW_METHOD], METHOD),
    Route::new(&[Delete], "auth/{mount...}", "Disable a login method and end its logins", &[A::DisableMount], Gives::Nothing),
];

pub(super) const ACCOUNTS: &[Route] = &[
    Route::new(&[List], "accounts", "List the accounts", &[A::ListAccounts], Gives::Keys),
    Route::new(
        &[Read],
        "accounts/{name}",
        "Read an account",
        &[A::ReadAccount],
        Gives::Data(&[
            name("name", "The account."),
            words("groups", "The groups that it stands in."),
            words("aliases", "The identities that log in as it: `<login method>/<identity>`."),
            flag("disabled", "Whether nobody can log in as it."),
            text_map("metadata", "What was attached."),
            of("created", Type::Moment, "When it was made."),
        ]),
    ),
    Route::new(&[Write], "accounts/{name}", "Write an account; what is not named stays", &[A::WriteAccount], Gives::Nothing).body(
        &[&[
            words("groups", "The groups that it stands in, at most 64."),
            words("aliases", "The identities that log in as it, at most 64: `<login method>/<identity>`."),
            flag("disabled", "Whether nobody can log in as it."),
            text_map("metadata", "At most 64 texts of at most 512 bytes."),
        ]],
        &[r#"{"groups": ["app"], "aliases": ["kerberos/web@EXAMPLE.TEST"], "disabled": false, "metadata": {"owner": "synthetic"}}"#],
    ),
    Route::new(&[Delete], "accounts/{name}", "Delete an account and end its logins", &[A::DeleteAccount], Gives::Nothing),
];
