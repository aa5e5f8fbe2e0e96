//! `sys/policies` and the older `sys/policy`.

use super::super::member::{Member, Type, flag, name, of, one_of, text, text_map, whole, words};
use super::super::route::{Gives, Route};
use crate::model::action::Action as A;
use crate::model::call::Verb::{Delete, List, Read, Write};

const TEXT: &[Member] = &[text("policy", "The policy in Cedar, at most 1 MiB."), text("rules", "The same by its older name.")];

const NAMES: &[Member] = &[words("keys", "The policies."), words("policies", "The same by its older name.")];

const QUESTION: &[Member] = &[
    text("action", "What is done, as policies name it; with `resource` or `path`."),
    of(
        "resource",
        Type::Either(&[
            Type::Text,
            Type::Object(&[
                text("kind", "Its type.").must(),
                text("id", "Its name.").must(),
                text("mount", "The mount that it belongs to."),
                text("class", "Its class."),
            ]),
        ]),
        "To what, as policies write it: `Secret::\"secret/app\"`.",
    ),
    text("path", "The path of a request, in place of `resource`."),
    text("verb", "What the request does: `read`, `list`, `write`, `patch` or `delete`; with `path`."),
    text("purpose", "Why."),
    whole("batch_size", "How many values; 1 unless given."),
    text("peer", "The address that the request comes from."),
    one_of("method", &["kerberos", "jwt", "token", "root"], "How the caller proved who it is."),
];

const BY_RESOURCE: &str = r#"{"account": "synthetic", "groups": ["app"], "action": "read_secret", "resource": {"kind": "Secret", "id": "secret/app", "mount": "secret", "class": null},
    "purpose": "claims", "batch_size": 10, "peer": "192.0.2.1", "method": "token"}"#;
const BY_PATH: &str = r#"{"account": "synthetic", "path": "secret/data/app", "verb": "read"}"#;

const SHOWN: Type =
    Type::Object(&[text("kind", "Its type."), text("id", "Its name."), text("class", "Its class; null where it has none.").null()]);

const EXPLAINED: Type = Type::Object(&[
    text("action", "What would be done."),
    of("resource", SHOWN, "To what."),
    flag("allowed", "Whether it would be."),
    text("because", "Why, in a word."),
    text("says", "Why, in a sentence."),
    of(
        "policies",
        Type::List(&Type::Object(&[text("id", "Its name."), text("effect", "`permit` or `forbid`."), text("text", "What it says.")]), 0),
        "The statements that decided.",
    ),
    whole("evaluated", "How many statements were looked at."),
]);

const FAILURE: Type = Type::Object(&[
    text("table", "The table."),
    text("case", "The decision."),
    text("expected", "What the table says.").maybe(),
    text("decided", "What the policies say.").maybe(),
    text("because", "Why."),
]);

pub(super) const ROUTES: &[Route] = &[
    Route::new(&[Read, List], "policies/acl", "List the policies", &[A::ListPolicies], Gives::Data(NAMES)).also(&[404]),
    Route::new(
        &[Read],
        "policies/acl/{name}",
        "Read a policy",
        &[A::ReadPolicy],
        Gives::Data(&[name("name", "The policy."), text("policy", "Its text.")]),
    ),
    Route::new(&[Write], "policies/acl/{name}", "Write a policy", &[A::WritePolicy, A::WritePolicies], Gives::Nothing).body(
        &[TEXT],
        &[r#"{"policy": "permit (principal in Group::\"app\", action == Action::\"read_secret\", resource in Folder::\"secret/app\");"}"#],
    ),
    Route::new(&[Delete], "policies/acl/{name}", "Delete a policy", &[A::DeletePolicy], Gives::Nothing),
    Route::new(&[Read, List], "policy", "List the policies, by the older path", &[A::ListPolicies], Gives::Table(Type::Object(NAMES)))
        .also(&[404]),
    Route::new(
        &[Read],
        "policy/{name}",
        "Read a policy, by the older path",
        &[A::ReadPolicy],
        Gives::Table(Type::Object(&[name("name", "The policy."), text("rules", "Its text.")])),
    ),
    Route::new(&[Write], "policy/{name}", "Write a policy, by the older path", &[A::WritePolicy, A::WritePolicies], Gives::Nothing).body(
        &[TEXT],
        &[r#"{"rules": "permit (principal in Group::\"app\", action == Action::\"read_secret\", resource in Folder::\"secret/app\");"}"#],
    ),
    Route::new(&[Delete], "policy/{name}", "Delete a policy, by the older path", &[A::DeletePolicy], Gives::Nothing),
    Route::new(
        &[Write],
        "policies/load",
        "Put a whole set of policies in the place of the stored one",
        &[A::WritePolicies],
        Gives::Nothing,
    )
    .body(
        &[&[text_map("policies", "The texts by their names.").must()]],
        &[r#"{"policies": {"app": "permit (principal in Group::\"app\", action == Action::\"list_mounts\", resource);"}}"#],
    ),
    Route::new(
        &[Write],
        "policies/test",
        "Run tables of decisions against a set of policies, or the one in force",
        &[A::ExplainPolicy],
        Gives::Data(&[
            flag("valid", "Whether policies and tables can be read."),
            whole("passed", "How many decisions are as the tables say."),
            whole("failed", "How many are not."),
            of("failures", Type::List(&FAILURE, 0), "Those, in words."),
        ]),
    )
    .body(
        &[&[
            text_map("policies", "The texts by their names; the set in force where there is none."),
            of("tables", Type::Either(&[Type::TextMap, Type::Words]), "Tables in TOML, as a list or by their names."),
        ]],
        &[r#"{"policies": {}, "tables": {"synthetic": ""}}"#, r#"{"tables": [""]}"#],
    ),
    Route::new(
        &[Write],
        "policies/explain",
        "Ask whether an account may do something, and why",
        &[A::ExplainPolicy],
        Gives::Data(&[
            text("account", "The account."),
            words("groups", "The groups that it was judged in."),
            flag("allowed", "Whether it may."),
            text("because", "Why, in a word."),
            text("says", "Why, in a sentence."),
            of("decisions", Type::List(&EXPLAINED, 0), "Each decision that the request needs."),
        ]),
    )
    .body(
        &[&[name("account", "Who is asked about.").must(), words("groups", "Groups besides those of the account.")], QUESTION],
        &[BY_RESOURCE, BY_PATH],
    ),
    Route::new(
        &[Write],
        "policies/who",
        "Ask which accounts may do something",
        &[A::ExplainPolicy],
        Gives::Data(&[of(
            "targets",
            Type::List(
                &Type::Object(&[
                    text("action", "What is done."),
                    of("resource", SHOWN, "To what."),
                    of(
                        "holders",
                        Type::List(&Type::Object(&[text("account", "Who may."), words("policies", "By which statements.")]), 0),
                        "The accounts that may.",
                    ),
                ]),
                0,
            ),
            "Each thing that the request does.",
        )]),
    )
    .body(&[QUESTION], &[BY_RESOURCE_ALONE, BY_PATH_ALONE]),
    Route::new(
        &[Write],
        "policies/convert",
        "Turn a policy of Vault into Cedar; nothing is stored",
        &[A::ExplainPolicy],
        Gives::Data(&[
            text("policy", "The policy in Cedar."),
            of(
                "not_expressed",
                Type::List(
                    &Type::Object(&[text("path", "The path."), whole("line", "Its line."), text("reason", "Why it has no counterpart.")]),
                    0,
                ),
                "What was left out.",
            ),
        ]),
    )
    .body(
        &[&[name("name", "What it shall be called.").must(), text("hcl", "The policy in HCL.").must()]],
        &[r#"{"name": "app", "hcl": "path \"secret/data/app\" { capabilities = [\"read\"] }"}"#],
    ),
];

const BY_RESOURCE_ALONE: &str =
    r#"{"action": "read_secret", "resource": {"kind": "Secret", "id": "secret/app", "mount": "secret"}, "method": "jwt"}"#;
const BY_PATH_ALONE: &str = r#"{"path": "secret/data/app", "verb": "read"}"#;
