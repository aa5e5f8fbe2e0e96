//! Logins through HTTPS: real JWTs, and (where it is built in) a real KDC.

pub mod jwt;
#[cfg(feature = "kerberos")]
mod kerberos;

use serde_json::{Value, json};

use crate::server::{Answer, Server};

const NONE: Value = Value::Null;

/// Enables a login method at `auth/<path>`.
fn enable(server: &Server, path: &str, kind: &str) {
    server.root_write(&format!("sys/auth/{path}"), json!({ "type": kind }));
}

fn account(server: &Server, name: &str, body: Value) {
    server.root_write(&format!("sys/accounts/{name}"), body);
}

fn token_of(answer: &Answer) -> String {
    answer.body["auth"]["client_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

fn groups_of(answer: &Answer) -> Value {
    answer.body["auth"]["policies"].clone()
}

fn status_of(server: &Server, token: &str) -> u16 {
    server.ask(token, "GET", "auth/token/lookup-self", NONE).status
}

/// Of the newest login at a path: its reason, the account that it proved, the decision.
fn newest_login(server: &Server) -> (Value, Value, Value) {
    let entry = server.entries("action=login&limit=1").into_iter().next().unwrap();
    (entry["reason"].clone(), entry["login_account"].clone(), entry["decision"].clone())
}

fn tokens_stored(server: &Server) -> u64 {
    server.sql("postgres", "SELECT count(*) FROM auth_token").unwrap().parse().unwrap()
}
