//! `auth/token`: the callers' own credentials.

use super::super::member::{Member, Type, flag, name, of, one_of, seconds, text, text_map, whole, words};
use super::super::route::{Gives, Route};
use crate::model::action::Action as A;
use crate::model::call::Verb::{Delete, List, Read, Write};

const SERVICE: &[&str] = &["", "default", "service", "default-service"];

pub(super) const LOOKED_UP: &[Member] = &[
    text("accessor", "Names the token without opening anything."),
    text("account", "Whose token it is."),
    flag("channel_bound", "Whether the login was bound to its TLS connection."),
    of("creation_time", Type::Integer, "Seconds since 1970."),
    whole("creation_ttl", "Seconds that it was given."),
    text("display_name", "What it is called."),
    text("entity_id", "Empty; for clients of Vault."),
    of("expire_time", Type::Moment, "When it ends; null for never.").null(),
    whole("explicit_max_ttl", "Seconds after which no renewal helps; 0 for none."),
    text("id", "The token, where the caller showed it; else empty."),
    words("identity_policies", "Empty; for clients of Vault."),
    of("issue_time", Type::Moment, "When it was made."),
    text_map("meta", "What was attached when it was made.").null(),
    text("method", "How its bearer proved who it is."),
    whole("num_uses", "0: there is no limit of uses."),
    flag("orphan", "Whether it outlives the token that made it."),
    text("path", "The path that made it."),
    words("policies", "The groups that it stands in."),
    flag("renewable", "Whether it can be renewed."),
    whole("ttl", "Seconds that are left; 0 for no end."),
    text("type", "`service`"),
    of("last_renewal", Type::Moment, "When it was renewed last.").maybe(),
    of("last_renewal_time", Type::Integer, "The same in seconds since 1970.").maybe(),
    whole("period", "Seconds that each renewal gives.").maybe(),
];

const TOKEN: &[Member] = &[text("token", "The auth token that is meant.").must()];
const ACCESSOR: &[Member] = &[text("accessor", "The accessor of the auth token that is meant, 24 letters and digits.").must()];
const INCREMENT: &[Member] = &[seconds("increment", "How long it should live from now on; 0 for the usual.")];

const WANTED: &[Member] = &[
    words("policies", "The groups that it stands in, at most 64; those of its maker where none is named."),
    seconds("ttl", "How long it lives at first."),
    seconds("lease", "The older name of `ttl`."),
    seconds("explicit_max_ttl", "After which no renewal helps."),
    seconds("period", "How long each renewal gives; such a token has no other end."),
    flag("no_parent", "Whether it outlives the token that makes it."),
    flag("no_default_policy", "Whether it stands outside of the group `default`."),
    flag("renewable", "Whether it can be renewed; true unless given."),
    text("display_name", "What it is called in lists and entries."),
    text_map("meta", "What is attached: at most 64 texts of at most 512 bytes."),
    text_map("metadata", "The same by its other name."),
    one_of("type", SERVICE, "`service`: every token is stored, so that it can be revoked."),
];

const MADE: &[&str] = &[
    r#"{"policies": ["app"], "ttl": "1h", "explicit_max_ttl": "24h", "renewable": true, "display_name": "synthetic", "meta": {"job": "nightly"}}"#,
    r#"{"policies": "app", "lease": 60, "period": 0, "no_parent": false, "no_default_policy": false, "metadata": {}, "type": "service"}"#,
];

const ROLE: &[Member] = &[
    words("allowed_policies", "The groups that a token may be given; those of its maker where empty."),
    words("disallowed_policies", "The groups that it may never be given."),
    flag("orphan", "Whether tokens outlive their maker."),
    flag("renewable", "Whether tokens can be renewed."),
    flag("token_no_default_policy", "Whether tokens stand outside of the group `default`."),
    text("path_suffix", "What is put behind the path that made a token."),
    seconds("explicit_max_ttl", "After which no renewal helps."),
    seconds("token_explicit_max_ttl", "The same by its newer name."),
    seconds("period", "How long each renewal gives."),
    seconds("token_period", "The same by its newer name."),
    one_of("token_type", SERVICE, "`service`"),
];

const READ_ROLE: &[Member] = &[
    words("allowed_entity_aliases", "Empty; for clients of Vault."),
    words("allowed_policies", "The groups that a token may be given."),
    words("allowed_policies_glob", "Empty; for clients of Vault."),
    words("disallowed_policies", "The groups that it may never be given."),
    words("disallowed_policies_glob", "Empty; for clients of Vault."),
    whole("explicit_max_ttl", "Seconds after which no renewal helps; 0 for none."),
    name("name", "The role."),
    flag("orphan", "Whether tokens outlive their maker."),
    text("path_suffix", "What is put behind the path that made a token."),
    whole("period", "Seconds that each renewal gives; 0 where it is not periodic."),
    flag("renewable", "Whether tokens can be renewed."),
    whole("token_explicit_max_ttl", "As `explicit_max_ttl`."),
    flag("token_no_default_policy", "Whether tokens stand outside of the group `default`."),
    whole("token_period", "As `period`."),
    text("token_type", "`service`"),
];

pub(super) const ROUTES: &[Route] = &[
    Route::new(&[Read], "lookup-self", "Look the caller's own token up", &[A::LookupSelf], Gives::Data(LOOKED_UP)),
    Route::new(&[Write], "lookup-self", "Look the caller's own token up", &[A::LookupSelf], Gives::Data(LOOKED_UP)),
    Route::new(&[Write], "renew-self", "Renew the caller's own token", &[A::RenewSelf], Gives::Auth)
        .body(&[INCREMENT], &[r#"{"increment": "1h"}"#]),
    Route::new(&[Write], "revoke-self", "Revoke the caller's own token with all that it made", &[A::RevokeSelf], Gives::Nothing),
    Route::new(&[Write], "create", "Make an auth token", &[A::CreateAuthToken], Gives::Auth).body(&[WANTED], MADE),
    Route::new(&[Write], "create-orphan", "Make an auth token that outlives its maker", &[A::CreateAuthToken], Gives::Auth)
        .body(&[WANTED], MADE),
    Route::new(&[Write], "create/{role}", "Make an auth token by a role", &[A::CreateAuthToken], Gives::Auth).body(&[WANTED], MADE),
    Route::new(&[Write], "lookup", "Look an auth token up", &[A::LookupAuthToken, A::LookupSelf], Gives::Data(LOOKED_UP))
        .body(&[TOKEN, INCREMENT], &[r#"{"token": "synthetic"}"#]),
    Route::new(&[Write], "renew", "Renew an auth token", &[A::RenewAuthToken, A::RenewSelf], Gives::Auth)
        .body(&[TOKEN, INCREMENT], &[r#"{"token": "synthetic", "increment": 60}"#]),
    Route::new(&[Write], "revoke", "Revoke an auth token with all that it made", &[A::RevokeAuthToken, A::RevokeSelf], Gives::Nothing)
        .body(&[TOKEN, INCREMENT], &[r#"{"token": "synthetic"}"#]),
    Route::new(&[Write], "revoke-orphan", "Revoke an auth token; what it made goes on", &[A::RevokeAuthToken], Gives::Nothing)
        .body(&[TOKEN, INCREMENT], &[r#"{"token": "synthetic"}"#]),
    Route::new(&[Write], "lookup-accessor", "Look an auth token up by its accessor", &[A::LookupAuthToken], Gives::Data(LOOKED_UP))
        .body(&[ACCESSOR, INCREMENT], &[r#"{"accessor": "Synthetic0Synthetic0Synt"}"#]),
    Route::new(&[Write], "renew-accessor", "Renew an auth token by its accessor", &[A::RenewAuthToken], Gives::Auth)
        .body(&[ACCESSOR, INCREMENT], &[r#"{"accessor": "Synthetic0Synthetic0Synt", "increment": 60}"#]),
    Route::new(&[Write], "revoke-accessor", "Revoke an auth token by its accessor", &[A::RevokeAuthToken], Gives::Nothing)
        .body(&[ACCESSOR, INCREMENT], &[r#"{"accessor": "Synthetic0Synthetic0Synt"}"#]),
    Route::new(&[List], "accessors", "List the accessors of all auth tokens", &[A::ListAuthTokens], Gives::Keys),
    Route::new(&[Write], "tidy", "Delete auth tokens that have ended", &[A::RevokeAuthToken], Gives::Nothing),
    Route::new(&[List], "roles", "List the roles", &[A::ListSettings], Gives::Keys),
    Route::new(&[Read], "roles/{name}", "Read a role", &[A::ReadSetting], Gives::Data(READ_ROLE)),
    Route::new(&[Delete], "roles/{name}", "Delete a role", &[A::DeleteSetting], Gives::Nothing),
    Route::new(&[Write], "roles/{name}", "Write a role; what is not named stays", &[A::WriteSetting], Gives::Nothing).body(
        &[ROLE],
        &[r#"{"allowed_policies": ["app"], "disallowed_policies": ["admin"], "orphan": true, "renewable": true, "token_no_default_policy": false,
             "path_suffix": "nightly", "explicit_max_ttl": 0, "token_explicit_max_ttl": "24h", "period": 0, "token_period": 0, "token_type": "service"}"#],
    ),
];
