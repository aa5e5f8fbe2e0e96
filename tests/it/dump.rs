//! What a thief of a dump learns: who asked for equality shows it, everybody else's rows are noise.

use std::collections::HashSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::server::Server;
use crate::transform::{make, post, results};

/// Different values, each of them encoded twice.
const VALUES: usize = 1_700;
const ROLES: [&str; 3] = ["opaque", "same", "alike"];

fn value(n: usize) -> String {
    format!("synthetic 000-{n:06}")
}

fn tokens(server: &Server, role: &str) -> Vec<String> {
    let batch: Vec<Value> = (0..2 * VALUES).map(|n| json!({ "value": value(n % VALUES) })).collect();
    let answer = post(server, &format!("transform/encode/{role}"), json!({ "batch_input": batch })).expect(200);
    results(&answer).iter().map(|item| item["encoded_value"].as_str().unwrap().to_owned()).collect()
}

/// The stored bytes of a transformation's tokens, in hexadecimal.
fn stored(server: &Server, number: &str) -> Vec<String> {
    let statement = format!("SELECT encode(value, 'hex') FROM pii_token WHERE transformation = {number} ORDER BY id");
    server.sql("postgres", &statement).unwrap().lines().map(str::to_owned).collect()
}

fn distinct<T: std::hash::Hash + Eq>(items: impl IntoIterator<Item = T>) -> usize {
    items.into_iter().collect::<HashSet<_>>().len()
}

#[test]
fn equal_bytes_stand_only_where_equality_was_asked_for() {
    let server = Server::start();
    server.root_write("sys/mounts/transform", json!({ "type": "transform" }));
    for role in ROLES {
        make(&server, "transform", role, role, json!({ "convergent": role != "opaque" }));
    }
    let [opaque, same, alike] = ROLES.map(|role| tokens(&server, role));

    // In the tokens: one of a value where that was asked for, and never one of two transformations.
    assert_eq!(distinct(&opaque), 2 * VALUES);
    assert_eq!((distinct(&same), &same[..VALUES]), (VALUES, &same[VALUES..]));
    assert_eq!((distinct(&alike), &alike[..VALUES]), (VALUES, &alike[VALUES..]));
    assert_eq!(distinct(opaque.iter().chain(&same).chain(&alike)), 4 * VALUES);

    // In the rows: behind the header, which names format and key and nothing else, no piece stands twice.
    let numbers = server.sql("postgres", "SELECT DISTINCT transformation FROM pii_token ORDER BY 1").unwrap();
    let rows: Vec<Vec<String>> = numbers.lines().map(|number| stored(&server, number)).collect();
    assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), [2 * VALUES, VALUES, VALUES]);
    let length = rows[0][0].len();
    assert!(rows.iter().flatten().all(|row| row.len() == length), "values of one length are stored in one length");
    let header = (0..length).take_while(|at| distinct(rows[0].iter().map(|row| row.as_bytes()[*at])) == 1).count();
    assert!(header <= 2 * 10, "{header} digits are the same in all rows");
    // Eight bytes at a time: nonce, ciphertext and tag.
    for at in (20..=length - 16).step_by(16) {
        assert_eq!(distinct(rows.iter().flatten().map(|row| &row[at..at + 16])), 4 * VALUES, "at {at}");
    }
    // Beside them: a keyed hash of each value, another one in each transformation.
    let index = server.sql("postgres", "SELECT count(*), count(DISTINCT blind) FROM pii_token_index").unwrap();
    assert_eq!(index, format!("{0}|{0}", 2 * VALUES));

    // Neither values nor what a token holds beside its row's number is anywhere in the dump.
    let dump = Command::new("pg_dump").args(["-U", "postgres", "-h"]).arg(server.socket()).arg("goldfin").output().unwrap();
    assert!(dump.status.success());
    let text = String::from_utf8(dump.stdout).unwrap();
    assert!(text.contains("COPY public.pii_token ") && text.lines().count() > 4 * VALUES);
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    for n in (0..VALUES).step_by(100) {
        assert!(!text.contains(&value(n)) && !text.contains(&hex(&value(n))), "value {n}");
        for token in [&opaque[n], &same[n], &alike[n]] {
            let body = token.strip_prefix("pii_").unwrap();
            assert!(!text.contains(body) && !text.contains(&hex(body)), "token {n}");
        }
    }
    // Whoever holds the keys as well holds what goldfin holds: it lists no opaque token's value, not even for root.
    post(&server, "transform/transformations/tokenization/export-decoded/opaque", json!({})).expect(400);
}
