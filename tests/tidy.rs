//! What the compiler cannot hold: floors, powers, sizes, leaf files, words.
//!
//! It reads the sources as text. When it refuses something that is right, change a table here and give the reason in the row.
#![cfg(test)]
#![expect(clippy::string_slice, reason = "the positions come from `find` on the same text")]

use std::fs;
use std::path::Path;

/// Parts of `src` by floor; a part may import itself and what is below, never its own floor's neighbours.
const FLOORS: &[(&str, u8)] = &[
    ("model", 1),
    ("store", 2),
    ("auth", 3),
    ("policy", 4),
    ("audit", 5),
    ("seal", 5),
    ("engine", 6),
    ("gate", 7),
    ("http", 8),
    ("console", 8),
    ("jobs", 8),
];

/// On top of the house: these see every floor.
const TOP: &[&str] = &["boot", "config", "dev", "lib", "main"];

/// A crate or a call, and the only places that may name it. `*` stands for one name; what ends in `/` is a folder.
const POWERS: &[(&[&str], &[&str], &str)] = &[
    (&["sqlx::"], &["src/store/", "src/dev/postgres.rs"], "SQL is floor 2; dev makes the roles before there is a store"),
    (
        &["axum::", "hyper::", "hyper_util::", "http_body_util::", "http::"],
        &["src/http/", "src/console/", "src/auth/jwks/fetch.rs", "bench/"],
        "the edge, and the one client; the benchmarks' load",
    ),
    (&["cedar_policy::"], &["src/policy/"], "one floor decides"),
    (&["libgssapi::", "libgssapi_sys::"], &["src/auth/kerberos.rs", "src/auth/kerberos/", "crates/cli/"], "one acceptor, one initiator"),
    (&["jsonwebtoken::"], &["src/auth/jwt.rs", "src/auth/jwt/"], "one verifier"),
    (&["ureq::"], &["src/auth/jwks/fetch.rs", "crates/cli/"], "the server calls nobody but the issuers it was told of"),
    (&["aes::", "aes_gcm::", "argon2::", "fpe::", "hkdf::", "hmac::", "sha2::", "subtle::"], &["crates/crypto/"], "the strongroom"),
    (&["rand::"], &["crates/crypto/src/random.rs"], "randomness is passed down"),
    (
        &["SystemTime::now", "Instant::now", "OffsetDateTime::now_utc", "Uuid::now_v7"],
        &["src/model/clock.rs", "bench/src/watch.rs"],
        "the time is passed down; a benchmark measures it",
    ),
    (&["store::open", "connect::open", "connect::migrate", "access.open("], &["src/boot.rs"], "one root opens the store"),
    (&[concat!("unsafe", " {"), concat!("unsafe", " fn"), concat!("unsafe", " impl")], &["src/auth/kerberos/ffi.rs"], "the GSS calls"),
];

/// Who may read a secret with `.expose…`, outside the strongroom.
const EXPOSE: &[(&str, &str)] = &[
    ("src/model/document.rs", "writes the JSON of an answer"),
    ("src/model/members.rs", "reads the members a request names"),
    ("src/http/reply.rs", "plaintext leaves here"),
    ("src/engine/*/run.rs", "what an engine does with it is its work"),
    ("src/engine/transform/form/run.rs", "a value is read through its template"),
    ("src/engine/transform/redact/text.rs", "finding personal data in a text is reading it"),
    ("src/auth/authenticator.rs", "a shown token becomes its fingerprint"),
    ("src/engine/login/keytab.rs", "the Kerberos library reads its keys from a file"),
    ("src/engine/login/admit.rs", "a new auth token becomes its fingerprint and leaves once"),
    ("src/config.rs", "the database's password goes to the driver"),
    ("src/dev/session.rs", "the answer of `init` goes to files of the developer"),
    ("src/engine/init.rs", "the shares and the root token leave once"),
    ("src/seal/key_file.rs", "the unseal key lives in this file"),
    ("src/seal/barrier.rs", "a subject's name becomes a keyed hash"),
    ("crates/cli/", "the client shows its user what the server sent"),
];

/// Whoever is inside a witness's module can forge it, so nothing else is.
const LEAVES: &[&str] = &["src/auth/principal.rs", "src/policy/authorized.rs", "src/audit/receipt.rs", "src/gate/released.rs"];
const LEAF_LINES: usize = 100;
const FILE_LINES: usize = 600;

const NAMELESS: &[&str] = &["util", "utils", "helper", "helpers", "common", "core", "prelude", "misc"];

/// Text that stands in no source file.
const BANNED: &[(&str, &str)] = &[
    (concat!("#[", "allow("), "write #[expect(lint, reason = \"…\")]"),
    (concat!("#![", "allow("), "write #![expect(lint, reason = \"…\")]"),
    (concat!("#[", "ignore"), "a test runs or it is deleted"),
    (concat!("struct ", "Token "), "AuthToken or PiiToken"),
    (concat!("enum ", "Token "), "AuthToken or PiiToken"),
    (concat!("type ", "Token "), "AuthToken or PiiToken"),
];

/// What the strongroom never links.
const NOT_IN_THE_STRONGROOM: &[&str] = &["serde", "serde_json", "tracing", "tokio", "sqlx", "axum"];

fn check(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let names: Vec<&str> = path.split('/').collect();
    for name in &names {
        if NAMELESS.contains(&name.trim_end_matches(".rs")) {
            found.push(format!("{path}: `{name}` says nothing about what is in it"));
        }
    }
    let lines = text.lines().count();
    if lines > FILE_LINES {
        found.push(format!("{path}: {lines} lines, the limit is {FILE_LINES}"));
    }
    for (banned, instead) in BANNED {
        if let Some(line) = line_of(text, |line| line.contains(banned)) {
            found.push(format!("{path}:{line}: `{banned}`: {instead}"));
        }
    }
    if LEAVES.contains(&path) && (lines >= LEAF_LINES || line_of(text, declares_module).is_some()) {
        found.push(format!("{path}: a witness stands alone, in under {LEAF_LINES} lines"));
    }
    if LEAVES.iter().any(|leaf| path.starts_with(&format!("{}/", leaf.trim_end_matches(".rs")))) {
        found.push(format!("{path}: a witness has no child modules"));
    }
    if path.starts_with("tests/") || path.contains("/tests/") || path.starts_with("bench/") || path.ends_with("tests.rs") {
        return found;
    }
    let code = production(text);
    found.extend(check_floor(path, code));
    for (needles, places, why) in POWERS {
        for needle in *needles {
            if let Some(line) = line_of(code, |line| names_path(line, needle))
                && !places.iter().any(|place| within(path, place))
            {
                found.push(format!("{path}:{line}: `{needle}` belongs in {} ({why})", places.join(", ")));
            }
        }
    }
    if !path.starts_with("crates/crypto/")
        && !EXPOSE.iter().any(|(place, _)| within(path, place))
        && let Some(line) = line_of(code, |line| line.contains(concat!(".", "expose")))
    {
        found.push(format!("{path}:{line}: this file may not read a secret"));
    }
    found
}

fn check_floor(path: &str, code: &str) -> Vec<String> {
    let Some(inside) = path.strip_prefix("src/") else { return Vec::new() };
    let part = inside.split('/').next().unwrap().trim_end_matches(".rs");
    if TOP.contains(&part) {
        return Vec::new();
    }
    let Some(floor) = floor_of(part) else { return vec![format!("{path}: `{part}` is on no floor, give it one")] };
    let mut found = Vec::new();
    for (number, line) in code_lines(code) {
        for import in imports(line) {
            if import != part && floor_of(import).is_none_or(|below| below >= floor) {
                found.push(format!("{path}:{number}: {part} (floor {floor}) imports `{import}`, which is not below it"));
            }
        }
    }
    found
}

fn floor_of(part: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == part).map(|(_, floor)| *floor)
}

/// The first name after each `crate::`; a group after it is refused by giving a name that is on no floor.
fn imports(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").filter_map(|(at, word)| {
        let rest = &line[at + word.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let in_a_name = line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        // `pub(in crate::store)` and `$crate::` name a part too; a bare `crate::{` does not say which.
        (!in_a_name).then(|| if end == 0 { "{…}" } else { &rest[..end] })
    })
}

/// A crate (`http::`) counts at the start of a path only: `crate::http::` is somebody else. A call counts wherever it is named.
fn names_path(line: &str, needle: &str) -> bool {
    let in_a_name = |text: &str| text.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    line.match_indices(needle).any(|(at, _)| {
        let before = &line[..at];
        let further_in = before.strip_suffix("::").is_some_and(in_a_name);
        !in_a_name(before) && (!needle.ends_with("::") || !further_in)
    })
}

/// Unit tests at the end of a file may import and read what they like.
fn production(text: &str) -> &str {
    text.match_indices("\n#[cfg(test)]\n")
        .find(|(at, marker)| {
            let mut after = text[at + marker.len()..].lines().skip_while(|line| line.starts_with("#["));
            after.next().is_some_and(declares_module)
        })
        .map_or(text, |(at, _)| &text[..at])
}

fn declares_module(line: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("pub").map_or(line, |rest| rest.split_once(' ').map_or(rest, |(_, rest)| rest));
    line.starts_with("mod ")
}

fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn line_of(text: &str, wanted: impl Fn(&str) -> bool) -> Option<usize> {
    code_lines(text).find(|(_, line)| wanted(line)).map(|(number, _)| number)
}

fn within(path: &str, place: &str) -> bool {
    let (mut parts, mut wanted) = (path.split('/'), place.trim_end_matches('/').split('/'));
    let matches = wanted.all(|name| parts.next().is_some_and(|part| name == "*" || part == name));
    matches && (place.ends_with('/') || parts.next().is_none())
}

fn rust_files(folder: &Path, into: &mut Vec<std::path::PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() && !path.ends_with("target") {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "crates", "tests", "bench", "fuzz"] {
        rust_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > 50, "the sources are somewhere else");
    let mut found: Vec<String> = files
        .iter()
        .flat_map(|file| check(file.strip_prefix(root).unwrap().to_str().unwrap(), &fs::read_to_string(file).unwrap()))
        .collect();
    found.sort();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_exception_is_still_needed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = POWERS.iter().flat_map(|(_, places, _)| *places).chain(EXPOSE.iter().map(|(place, _)| place)).chain(LEAVES);
    for place in places.filter(|place| place.ends_with(".rs") && !place.contains('*') && !place.ends_with("boot.rs")) {
        let folder_is_there = root.join(place).parent().is_some_and(Path::exists);
        assert!(!folder_is_there || root.join(place).exists(), "`{place}` is gone, take it out of the table");
    }
}

#[test]
fn the_strongroom_and_the_client_link_what_they_may() {
    let links = |manifest: &str| {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(manifest)).unwrap();
        let section = text.split("[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap().to_owned();
        section.lines().filter_map(|line| line.split([' ', '.', '=']).next().map(str::to_owned)).collect::<Vec<_>>()
    };
    let strongroom = links("crates/crypto/Cargo.toml");
    assert!(strongroom.contains(&"zeroize".to_owned()));
    assert!(!strongroom.iter().any(|name| NOT_IN_THE_STRONGROOM.contains(&name.as_str())), "{strongroom:?}");
    assert!(!links("crates/cli/Cargo.toml").iter().any(|name| name == "goldfin"), "the client talks HTTP only");
}

#[test]
fn it_catches_what_it_is_for() {
    let planted: &[(&str, &str, &str)] = &[
        ("src/store/kv.rs", "use crate::engine::kv::Op;\n", "imports `engine`"),
        ("src/audit/chain.rs", "fn f() { crate::seal::barrier() }\n", "imports `seal`"),
        ("src/auth/mod.rs", "use crate::{store::Store, gate::Gate};\n", "imports `{…}`"),
        ("src/bridge/mod.rs", "", "on no floor"),
        ("src/engine/kv/run.rs", "use sqlx::query;\n", "belongs in src/store/"),
        ("src/engine/kv/run.rs", "async { ::sqlx::query(text) }\n", "belongs in src/store/"),
        ("src/engine/kv/mod.rs", "fn f() -> axum::Router {}\n", "belongs in src/http/"),
        ("src/gate/mod.rs", "use http::StatusCode;\n", "belongs in src/http/"),
        ("src/jobs/expiry.rs", "let t = std::time::Instant::now();\n", "the time is passed down"),
        ("src/gate/mod.rs", "let store = access.open().await?;\n", "one root"),
        ("src/gate/mod.rs", "let x = body.expose();\n", "may not read a secret"),
        ("src/engine/kv/parse.rs", "body.expose_text()\n", "may not read a secret"),
        ("src/seal/kek.rs", "\n#[cfg(test)]\nuse x;\nfn f() { rand::rng() }\n", "randomness"),
        ("src/auth/principal.rs", "pub(crate) mod forge;\n", "stands alone"),
        ("src/auth/principal/forge.rs", "", "no child modules"),
        ("src/gate/released.rs", &"\n".repeat(LEAF_LINES), "stands alone"),
        ("src/gate/mod.rs", &"\n".repeat(FILE_LINES + 1), "the limit is"),
        ("src/engine/utils.rs", "", "says nothing"),
        ("src/store/common/mod.rs", "", "says nothing"),
        ("tests/it/kv.rs", concat!("#[", "ignore = \"slow\"]\n"), "deleted"),
        ("crates/crypto/src/key.rs", concat!("#[", "allow(dead_code)]\n"), "expect"),
        ("crates/cli/src/main.rs", concat!("pub struct ", "Token {\n"), "AuthToken"),
        ("src/http/tls.rs", concat!("unsafe", " { f() }\n"), "GSS"),
    ];
    for (path, text, expected) in planted {
        let found = check(path, text);
        assert!(found.iter().any(|line| line.contains(expected)), "{path} with {text:?} gave {found:?}");
    }
}

#[test]
fn it_lets_the_rest_be() {
    let fine: &[(&str, &str)] = &[
        ("src/gate/mod.rs", "use crate::audit::Recorder;\nuse crate::model::Fault;\n// crate::http:: comes later, sqlx:: never\n"),
        ("src/store/kv.rs", "use sqlx::query;\nuse crate::store::Work;\npub(in crate::store) fn f() {}\n"),
        ("src/boot.rs", "use crate::http::serve;\ncrate::store::connect::migrate(&options).await?;\n"),
        ("src/http/mod.rs", "use crate::gate::Gate;\nuse axum::http::StatusCode;\n"),
        ("src/engine/kv/run.rs", "value.expose();\n"),
        ("src/engine/kv/mod.rs", "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::dev::postgres;\n    use sqlx::query;\n}\n"),
        ("src/seal/tests.rs", "use crate::dev::postgres::PrivatePostgres;\n"),
        ("src/auth/jwks.rs", "fn operand() { my_rand::rng() }\n"),
    ];
    for (path, text) in fine {
        assert_eq!(check(path, text), Vec::<String>::new(), "{path}");
    }
}
