//! Policies of Vault, converted and put in force: what real requests may do by them.

use serde_json::{Value, json};

use crate::server::Server;
use crate::transform::{make, tokenizing};

/// Converts a policy for the group `app`, puts it in force, and gives a token of the group.
fn in_force(server: &Server, hcl: &str) -> String {
    let converted = server.root_write("sys/policies/convert", json!({ "name": "app", "hcl": hcl }));
    assert_eq!(converted.data()["not_expressed"], json!([]), "{hcl}");
    server.root_write("sys/policies/acl/app", json!({ "policy": converted.data()["policy"] }));
    server.token_in(&["app"])
}

#[test]
fn converted_policies_decide_as_vaults_did() {
    let server = tokenizing();
    make(&server, "transform", "kept", "kept", json!({}));
    server.root_write("transform/transformations/masking/mask", json!({ "template": "builtin/phone", "allowed_roles": "*" }));
    let template = json!({ "pattern": "([0-9]{9})", "alphabet": "builtin/numeric" });
    server.root_write("transform/template/nine", template.clone());
    let write = json!({ "type": "tokenization", "class": "note" });
    // What a path of Vault permits, requests that it permits, and requests that it does not.
    type Asked<'a> = (&'a str, &'a str, &'a Value);
    let (none, limit) = (&Value::Null, &json!({ "min_decryption_version": 1 }));
    let cases: &[(&str, &[Asked<'_>], &[Asked<'_>])] = &[
        (
            r#"path "transform/transformation/note" { capabilities = ["create", "read", "update"] }"#,
            &[
                ("GET", "transformation/note", none),
                ("POST", "transformation/note", &write),
                ("GET", "transformations/tokenization/note", none),
            ],
            &[("DELETE", "transformation/note", none), ("GET", "transformation/kept", none), ("LIST", "transformation", none)],
        ),
        (
            r#"path "transform/transformation/*" { capabilities = ["read", "list"] } path "transform/transformation/kept" { capabilities = ["deny"] }"#,
            &[("GET", "transformation/mask", none), ("LIST", "transformation", none), ("LIST", "transformations/masking", none)],
            &[("GET", "transformation/kept", none), ("POST", "transformation/note", &write), ("GET", "role/app", none)],
        ),
        (
            r#"path "transform/transformations/masking/mask" { capabilities = ["read", "delete"] }"#,
            &[("GET", "transformations/masking/mask", none), ("GET", "transformation/mask", none)],
            &[("GET", "transformations/tokenization/note", none), ("LIST", "transformations/masking", none)],
        ),
        (
            r#"path "transform/transformations/tokenization/*" { capabilities = ["read", "list"] }"#,
            &[("GET", "transformations/tokenization/note", none), ("LIST", "transformations/tokenization", none)],
            &[("GET", "transformations/masking/mask", none), ("POST", "transformations/tokenization/note", &write)],
        ),
        (
            r#"path "transform/role/app" { capabilities = ["read"] } path "transform/role/" { capabilities = ["list"] }"#,
            &[("GET", "role/app", none), ("LIST", "role", none)],
            &[("GET", "role/kept", none), ("GET", "template/nine", none), ("DELETE", "role/app", none)],
        ),
        (
            r#"path "transform/template/*" { capabilities = ["create", "read", "update", "list"] } path "transform/alphabet/*" { capabilities = ["read"] }"#,
            &[
                ("POST", "template/nine", &template),
                ("GET", "template/nine", none),
                ("LIST", "template", none),
                ("GET", "alphabet/builtin/numeric", none),
            ],
            &[("DELETE", "template/nine", none), ("LIST", "alphabet", none), ("GET", "role/app", none)],
        ),
        (
            r#"path "transform/tokenization/keys/*" { capabilities = ["read", "update", "list"] }"#,
            &[
                ("GET", "tokenization/keys/note", none),
                ("POST", "tokenization/keys/note/rotate", none),
                ("POST", "tokenization/keys/note/config", limit),
                ("LIST", "transformations/tokenization/keys", none),
            ],
            &[("GET", "transformation/note", none)],
        ),
        (
            r#"path "transform/transformations/tokenization/keys/note" { capabilities = ["read"] }"#,
            &[("GET", "transformations/tokenization/keys/note", none), ("GET", "tokenization/keys/note", none)],
            &[("POST", "tokenization/keys/note/rotate", none), ("GET", "tokenization/keys/kept", none)],
        ),
        (
            r#"path "transform/config" { capabilities = ["read"] } path "sys/quotas/rate-limit/all" { capabilities = ["read"] }"#,
            &[("GET", "config", none)],
            &[("POST", "config", none), ("GET", "role/app", none)],
        ),
        (
            r#"path "transform/transformations/tokenization/snapshot/note" { capabilities = ["update"] }"#,
            &[("POST", "transformations/tokenization/snapshot/note", none)],
            &[("POST", "transformations/tokenization/snapshot/kept", none), ("GET", "transformations/tokenization/note", none)],
        ),
    ];
    for (hcl, permitted, refused) in cases {
        let token = in_force(&server, hcl);
        for (method, path, body) in *permitted {
            let answer = server.ask(&token, method, &format!("transform/{path}"), (*body).clone());
            assert!(answer.status < 300, "{hcl}: {method} {path}: {answer:?}");
        }
        for (method, path, body) in *refused {
            let answer = server.ask(&token, method, &format!("transform/{path}"), (*body).clone());
            assert_eq!(answer.status, 403, "{hcl}: {method} {path}: {answer:?}");
        }
    }
    server.root_write("sys/quotas/rate-limit/all", json!({ "rate": 1000 }));
    let token = in_force(&server, r#"path "sys/quotas/rate-limit/*" { capabilities = ["create", "read", "update", "list"] }"#);
    server.ask(&token, "GET", "sys/quotas/rate-limit/all", Value::Null).expect(200);
    server.ask(&token, "LIST", "sys/quotas/rate-limit", Value::Null).expect(200);
    server.ask(&token, "POST", "sys/quotas/rate-limit/all", json!({ "rate": 2000 })).expect(204);
    server.ask(&token, "DELETE", "sys/quotas/rate-limit/all", Value::Null).expect(403);
    server.ask(&token, "POST", "sys/quotas/disclosure/all", json!({ "revealed_per_hour": 1 })).expect(403);
    assert_eq!(server.verify()["exit_code"], json!(0));
}
