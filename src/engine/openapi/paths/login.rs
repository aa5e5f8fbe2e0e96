//! Login methods: JWT and Kerberos.

use super::super::member::{Member, Type, flag, free, name, of, one_of, seconds, text, text_map, whole, words};
use super::super::route::{Gives, Route};
use crate::model::action::Action as A;
use crate::model::call::Verb::{Delete, List, Read, Write};

const KEYS: &[Member] = &[
    text("jwks_url", "Where the issuer's keys are fetched from."),
    text("jwks_ca_pem", "Whom that server's certificate is signed by, in PEM."),
    text("oidc_discovery_url", "Where the issuer's configuration is fetched from."),
    text("oidc_discovery_ca_pem", "Whom that server's certificate is signed by, in PEM."),
    words("jwt_validation_pubkeys", "The keys themselves, in PEM."),
    text("jwks_file", "A file with the keys on the server's disk."),
    text("bound_issuer", "The issuer that tokens must name."),
    words("jwt_supported_algs", "The signatures that are taken; all that fit the key where empty."),
    text("default_role", "The role of logins that name none."),
    flag("jwks_allow_private", "Whether keys may be fetched from private networks."),
    flag("jwks_allow_http_loopback", "Whether they may be fetched without TLS from this machine."),
];

const READ_KEYS: &[Member] = &[
    text("oidc_client_id", "Empty; for clients of Vault."),
    text("oidc_response_mode", "Empty; for clients of Vault."),
    words("oidc_response_types", "Empty; for clients of Vault."),
];

const LEEWAY: Type = Type::SecondsOrNever;

const ROLE: &[Member] = &[
    text("user_claim", "The claim that names who logs in."),
    flag("user_claim_json_pointer", "Whether `user_claim` is a JSON pointer."),
    words("bound_audiences", "One of them must be the token's audience."),
    text("bound_subject", "What the claim `sub` must be."),
    free("bound_claims", "What claims must be, by their names: a value or a list of values."),
    one_of("bound_claims_type", &["", "string", "glob"], "Whether `*` in a bound claim stands for anything."),
    text_map("claim_mappings", "Claims that become metadata, with their names there."),
    text("groups_claim", "The claim that holds names of groups."),
    of("group_policies", Type::Map(&Type::Words), "Which groups of goldfin such a name stands for."),
    of("expiration_leeway", LEEWAY, "How long a token is taken after its end; 0 for the default, -1 for not at all."),
    of("not_before_leeway", LEEWAY, "How long it is taken before its beginning."),
    of("clock_skew_leeway", LEEWAY, "How far clocks may differ."),
    seconds("max_age", "How old a token may be; 0 where it does not matter."),
    words("token_policies", "The groups of a login; `policies` is its older name."),
    words("policies", "The older name of `token_policies`."),
    flag("token_no_default_policy", "Whether logins stand outside of the group `default`."),
    seconds("token_ttl", "How long a login lives."),
    seconds("ttl", "The older name of `token_ttl`."),
    seconds("token_max_ttl", "How far it can be renewed."),
    seconds("max_ttl", "The older name of `token_max_ttl`."),
    seconds("token_explicit_max_ttl", "After which no renewal helps."),
    seconds("explicit_max_ttl", "The older name of `token_explicit_max_ttl`."),
    seconds("token_period", "How long each renewal gives."),
    seconds("period", "The older name of `token_period`."),
    one_of("token_type", &["", "default", "service", "default-service"], "`service`"),
    one_of("role_type", &["", "jwt"], "`jwt`: browser logins are not there."),
    words("allowed_redirect_uris", "Kept for clients of Vault; means nothing."),
];

/// Of browser logins; and the name under which a list of groups is read.
const NOT_OURS: &[&str] = &["oidc_scopes", "verbose_oidc_logging", "oauth2_metadata", "callback_mode", "alias_metadata", "name"];

const READ_ROLE: &[Member] = &[
    words("allowed_redirect_uris", "As it was written."),
    words("bound_audiences", "One of them must be the token's audience."),
    free("bound_claims", "What claims must be.").null(),
    one_of("bound_claims_type", &["string", "glob"], "Whether `*` in a bound claim stands for anything."),
    text("bound_subject", "What the claim `sub` must be; empty where it does not matter."),
    text_map("claim_mappings", "Claims that become metadata.").null(),
    of("clock_skew_leeway", Type::Integer, "Seconds; 0 for the default, -1 for none."),
    of("expiration_leeway", Type::Integer, "Seconds; 0 for the default, -1 for none."),
    free("group_policies", "Groups by the names of the groups claim.").null(),
    text("groups_claim", "The claim that holds names of groups."),
    whole("max_age", "Seconds; 0 where it does not matter."),
    of("not_before_leeway", Type::Integer, "Seconds; 0 for the default, -1 for none."),
    of("oidc_scopes", Type::Any, "Null; for clients of Vault.").null(),
    text("role_type", "`jwt`"),
    words("token_bound_cidrs", "Empty; for clients of Vault."),
    whole("token_explicit_max_ttl", "Seconds."),
    whole("token_max_ttl", "Seconds."),
    flag("token_no_default_policy", "Whether logins stand outside of the group `default`."),
    whole("token_num_uses", "0; for clients of Vault."),
    whole("token_period", "Seconds."),
    words("token_policies", "The groups of a login."),
    whole("token_ttl", "Seconds."),
    text("token_type", "`service`"),
    text("user_claim", "The claim that names who logs in."),
    flag("user_claim_json_pointer", "Whether `user_claim` is a JSON pointer."),
    flag("verbose_oidc_logging", "False; for clients of Vault."),
];

pub(super) const JWT: &[Route] = &[
    Route::new(&[Write], "login", "Log in with a JWT", &[A::Login], Gives::Auth)
        .body(
            &[&[text("jwt", "The signed token of the issuer.").must(), name("role", "The role; the method's `default_role` where none is given.")]],
            &[r#"{"jwt": "synthetic", "role": "app"}"#],
        )
        .open(),
    Route::new(&[Read], "config", "Read where the issuer's keys come from", &[A::ReadSetting], Gives::Parts(&[KEYS, READ_KEYS])),
    Route::new(&[Write], "config", "Say where the issuer's keys come from: exactly one source", &[A::WriteSetting], Gives::Nothing)
        .body(
            &[KEYS],
            &[r#"{"jwks_url": "https://issuer.example/keys", "jwks_ca_pem": "", "bound_issuer": "https://issuer.example",
                 "jwt_supported_algs": ["EdDSA"], "default_role": "app", "jwks_allow_private": false, "jwks_allow_http_loopback": false}"#],
        )
        .besides(&["oidc_response_mode", "oidc_response_types"]),
    Route::new(&[Delete], "config", "Forget the issuer", &[A::DeleteSetting], Gives::Nothing),
    Route::new(&[List], "role", "List the roles", &[A::ListSettings], Gives::Keys),
    Route::new(&[Read], "role/{name}", "Read a role", &[A::ReadSetting], Gives::Data(READ_ROLE)),
    Route::new(&[Delete], "role/{name}", "Delete a role", &[A::DeleteSetting], Gives::Nothing),
    Route::new(&[Write], "role/{name}", "Write a role; what is not named stays", &[A::WriteSetting], Gives::Nothing)
        .body(
            &[ROLE],
            &[r#"{"user_claim": "sub", "bound_audiences": ["goldfin"], "token_policies": ["app"], "token_ttl": "1h", "expiration_leeway": 30,
                 "bound_claims": {"department": ["synthetic"]}, "group_policies": {"staff": ["app"]}, "role_type": "jwt"}"#],
        )
        .besides(NOT_OURS),
];

const KERBEROS_CONFIG: &[Member] = &[
    text("keytab", "The keytab in base64; it is stored encrypted and never shown."),
    text("keytab_file", "Or a file on the server's disk that holds it."),
    text("service_account", "The complete principal: `HTTP/vault.example.org@EXAMPLE.ORG`."),
    flag("remove_instance_name", "False: principals are compared whole."),
    flag("require_channel_binding", "Refuse logins that are not bound to their TLS connection."),
    flag("token_no_default_policy", "Whether logins stand outside of the group `default`."),
    seconds("token_ttl", "How long a login lives."),
    seconds("token_max_ttl", "How far it can be renewed."),
    seconds("token_explicit_max_ttl", "After which no renewal helps."),
    seconds("token_period", "How long each renewal gives."),
];

const LOGIN: &[Member] = &[text("authorization", "The same as the header `Authorization`, as Vault's own client sends it.")];

pub(super) const KERBEROS: &[Route] = &[
    Route::new(&[Read], "login", "Log in with the header `Authorization: Negotiate …`", &[A::Login], Gives::Auth)
        .also(&[401])
        .besides(&["authorization"])
        .open(),
    Route::new(&[Write], "login", "Log in with a Kerberos ticket, in the header or the body", &[A::Login], Gives::Auth)
        .body(&[LOGIN], &[r#"{"authorization": "Negotiate c3ludGhldGlj"}"#])
        .also(&[401])
        .open(),
    Route::new(
        &[Read],
        "config",
        "Read the method's configuration, without its keys",
        &[A::ReadSetting],
        Gives::Data(&[
            flag("add_group_aliases", "False; for clients of Vault."),
            text("keytab_file", "The file that holds the keytab; empty where it is stored."),
            flag("keytab_stored", "Whether goldfin keeps the keytab itself."),
            flag("remove_instance_name", "False."),
            flag("require_channel_binding", "Whether logins must be bound to their TLS connection."),
            text("service_account", "The principal that tickets are for."),
            whole("token_explicit_max_ttl", "Seconds."),
            whole("token_max_ttl", "Seconds."),
            flag("token_no_default_policy", "Whether logins stand outside of the group `default`."),
            whole("token_period", "Seconds."),
            whole("token_ttl", "Seconds."),
        ]),
    ),
    Route::new(&[Write], "config", "Configure the method; what is not named stays", &[A::WriteSetting], Gives::Nothing)
        .body(
            &[KERBEROS_CONFIG],
            &[r#"{"keytab_file": "/etc/goldfin/http.keytab", "service_account": "HTTP/vault.example.org@EXAMPLE.ORG", "token_ttl": "1h",
                 "remove_instance_name": false, "require_channel_binding": false}"#],
        )
        .besides(&["add_group_aliases"]),
    Route::new(&[Delete], "config", "Forget the configuration with its keys", &[A::DeleteSetting], Gives::Nothing),
];
