//! Quotas: values of an account over all of its tokens and transformations, and requests of a caller.

use serde_json::{Value, json};

use crate::limits::{refused, with_time_left_in_the_hour};
use crate::login::jwt::logged_in;
use crate::second_node::SecondNode;
use crate::server::{Answer, Server};
use crate::transform::{make, post, tokenizing};

const NONE: Value = Value::Null;

fn batch(value: &str, count: usize) -> Value {
    json!({ "batch_input": vec![json!({ "value": value }); count] })
}

fn token(answer: &Answer) -> String {
    answer.data()["encoded_value"].as_str().unwrap().to_owned()
}

/// A token of the account `clerk`, who may do everything with the mount `transform`.
fn clerk(server: &Server) -> String {
    let policy = r#"permit (principal in Group::"clerk", action, resource in Mount::"transform");
        permit (principal in Group::"clerk", action in [Action::"read_setting", Action::"list_settings"], resource in Folder::"sys/quotas/disclosure");"#;
    server.root_write("sys/policies/acl/clerk", json!({ "policy": policy }));
    logged_in(server, "clerk", &["clerk"])
}

#[test]
fn quotas_are_settings_like_others() {
    let server = tokenizing();
    let root = server.root();
    let clerk = clerk(&server);
    let path = "sys/quotas/disclosure/night";
    server.ask(&root, "GET", path, NONE).expect(404);
    server.ask(&root, "LIST", "sys/quotas/disclosure", NONE).expect(404);
    server.root_write(path, json!({ "account": "clerk", "transformation": "transform/note", "revealed_per_hour": 5 }));
    let read = server.root_read(path);
    let written = json!({ "account": "clerk", "encoded_per_hour": 0, "name": "night", "revealed_per_hour": 5,
        "transformation": "transform/note", "type": "disclosure" });
    assert_eq!(read.data(), &written);
    // What is left out stays; an empty text takes away.
    server.ask(&root, "PUT", path, json!({ "encoded_per_hour": "7", "account": "" })).expect(204);
    let read = server.root_read(path);
    assert_eq!(
        (&read.data()["account"], &read.data()["encoded_per_hour"], &read.data()["revealed_per_hour"]),
        (&NONE, &json!(7), &json!(5))
    );
    server.root_write(
        "sys/quotas/rate-limit/all",
        json!({ "rate": 10.5, "path": "transform/", "interval": "2s", "type": "rate-limit", "name": "all" }),
    );
    let read = server.root_read("sys/quotas/rate-limit/all");
    let written = json!({ "account": null, "block_interval": 0, "inheritable": false, "interval": 2, "name": "all", "path": "transform",
        "rate": 10.5, "role": "", "type": "rate-limit" });
    assert_eq!(read.data(), &written);
    for kind in ["disclosure/night", "rate-limit/all"] {
        let (kind, name) = kind.split_once('/').unwrap();
        let keys = server.ask(&root, "LIST", &format!("sys/quotas/{kind}"), NONE).expect(200);
        assert_eq!(keys.data()["keys"], json!([name]));
    }
    // Rights: a setting, and the ledger names it.
    server.ask(&clerk, "GET", path, NONE).expect(200);
    server.ask(&clerk, "LIST", "sys/quotas/disclosure", NONE).expect(200);
    server.ask(&clerk, "GET", "sys/quotas/rate-limit/all", NONE).expect(403);
    server.ask(&clerk, "POST", path, json!({ "revealed_per_hour": 0 })).expect(403);
    server.ask(&clerk, "DELETE", path, NONE).expect(403);
    let may = post(&server, "sys/capabilities-self", json!({ "paths": [path] })).expect(200);
    assert!(
        may.data()[path].as_array().unwrap().contains(&json!("root")) || may.data()[path].as_array().unwrap().contains(&json!("update"))
    );
    let entry = &server.entries("action=write_setting&decision=denied&limit=1")[0];
    assert_eq!((&entry["resource"], &entry["account"]), (&json!("Setting:sys/quotas/disclosure/night"), &json!("clerk")));
    bad_input(&server);
    server.ask(&root, "DELETE", path, NONE).expect(204);
    server.ask(&root, "DELETE", path, NONE).expect(204);
    server.ask(&root, "GET", path, NONE).expect(404);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

fn bad_input(server: &Server) {
    let root = server.root();
    for (kind, body, says) in [
        ("disclosure", json!({}), "`encoded_per_hour`"),
        ("disclosure", json!({ "revealed_per_hour": 0 }), "both missing or 0"),
        ("disclosure", json!({ "revealed_per_hour": -1 }), "`revealed_per_hour`"),
        ("disclosure", json!({ "revealed_per_hour": 1.5 }), "`revealed_per_hour`"),
        ("disclosure", json!({ "encoded_per_hour": 1_000_000_000_001_u64 }), "`encoded_per_hour`"),
        ("disclosure", json!({ "Revealed_per_hour": 1 }), "`revealed_per_hour`"),
        ("disclosure", json!({ "revealed_per_hour": 1, "account": 7 }), "`account`"),
        ("disclosure", json!({ "revealed_per_hour": 1, "account": "a\nb" }), "`account`"),
        ("disclosure", json!({ "revealed_per_hour": 1, "transformation": "synthetic" }), "`transformation`"),
        ("disclosure", json!({ "revealed_per_hour": 1, "transformation": "a//b" }), "`transformation`"),
        ("rate-limit", json!({}), "`rate` is missing"),
        ("rate-limit", json!({ "rate": 0 }), "`rate`"),
        ("rate-limit", json!({ "rate": -3 }), "`rate`"),
        ("rate-limit", json!({ "rate": "many" }), "`rate`"),
        ("rate-limit", json!({ "rate": [1] }), "`rate`"),
        ("rate-limit", json!({ "rate": 1e300 }), "`rate`"),
        ("rate-limit", json!({ "rate": 1, "interval": 0 }), "`interval`"),
        ("rate-limit", json!({ "rate": 1, "interval": "2d" }), "`interval`"),
        ("rate-limit", json!({ "rate": 1, "block_interval": "-1s" }), "`block_interval`"),
        ("rate-limit", json!({ "rate": 1, "path": "a/../b" }), "`path`"),
        ("rate-limit", json!({ "rate": 1, "path": "a*b" }), "`path`"),
        ("rate-limit", json!({ "rate": 1, "role": "synthetic" }), "`role` would restrict"),
        ("rate-limit", json!({ "rate": 1, "type": "lease-count" }), "`type`"),
    ] {
        let answer = server.ask(&root, "POST", &format!("sys/quotas/{kind}/bad"), body).expect(400);
        assert!(answer.errors().contains(says) && !answer.errors().contains("synthetic"), "{says}: {answer:?}");
    }
    for (method, path, status) in [
        ("GET", "sys/quotas", 404),
        ("LIST", "sys/quotas/lease-count", 404),
        ("POST", "sys/quotas/disclosure", 405),
        ("DELETE", "sys/quotas/rate-limit", 405),
        ("POST", "sys/quotas/disclosure/a%20b", 400),
        ("GET", "sys/quotas/disclosure/a/b", 400),
        ("PATCH", "sys/quotas/disclosure/a", 405),
    ] {
        server.ask(&root, method, path, if method == "POST" { json!({ "revealed_per_hour": 1 }) } else { NONE }).expect(status);
    }
    server.ask(&root, "GET", "sys/quotas/disclosure/bad", NONE).expect(404);
}

#[test]
fn a_quota_counts_over_all_tokens_and_transformations_of_an_account() {
    with_time_left_in_the_hour();
    let server = tokenizing();
    make(&server, "transform", "open", "open", json!({ "mapping_mode": "exportable" }));
    make(&server, "transform", "other", "other", json!({}));
    let clerk = clerk(&server);
    let second = server.root_write("auth/token/create", json!({ "policies": ["clerk"], "ttl": "1h" }));
    let colleague = second.body["auth"]["client_token"].as_str().unwrap().to_owned();
    server.root_write("sys/quotas/disclosure/clerk", json!({ "account": "clerk", "revealed_per_hour": 10 }));
    server.root_write("sys/quotas/disclosure/guesses", json!({ "transformation": "transform/note", "encoded_per_hour": 8 }));
    let ask = |who: &str, path: &str, body: Value| server.ask(who, "POST", &format!("transform/{path}"), body);
    let made = token(&ask(&clerk, "encode/open", json!({ "value": "v", "subject": "synthetic" })).expect(200));
    let note = token(&ask(&clerk, "encode/app", json!({ "value": "v" })).expect(200));

    // Seven through one, one through another: 80 %, and an alarm.
    ask(&clerk, "decode/open", batch(&made, 7)).expect(200);
    assert!(server.entries("kind=notice&limit=10").is_empty());
    ask(&clerk, "decode/app", json!({ "value": note })).expect(200);
    let told = server.entries("kind=notice&limit=10");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (&told[0]["reason"], &told[0]["resource"], &told[0]["count"], &told[0]["account"]),
        (&json!("near_revealed_per_hour"), &json!("Setting:sys/quotas/disclosure/clerk"), &json!(8), &json!("clerk"))
    );
    // An export reveals as well, and what would pass the quota is refused whole.
    let said = refused(ask(&clerk, "decode/open", batch(&made, 3)));
    assert!(said.contains("`revealed_per_hour`") && said.contains("(`clerk`)"), "{said}");
    ask(&clerk, "subjects/export", json!({ "subject": "synthetic" })).expect(200);
    ask(&clerk, "decode/open", json!({ "value": made })).expect(200);
    for (path, body) in [
        ("decode/open", json!({ "value": made })),
        ("decode/app", json!({ "value": note })),
        ("restore/app", json!({ "text": format!("see {note}") })),
        ("subjects/export", json!({ "subject": "synthetic" })),
        ("transformations/tokenization/export-decoded/open", json!({})),
    ] {
        refused(ask(&clerk, path, body));
    }
    assert!(ask(&clerk, "decode/open", batch(&made, 11)).expect(400).errors().contains("send fewer"));
    ask(&clerk, "validate/open", json!({ "value": made })).expect(200);
    // Another account has its own hour, and root none of this quota.
    ask(&colleague, "decode/open", batch(&made, 20)).expect(200);
    post(&server, "transform/decode/open", batch(&made, 20)).expect(200);

    // The other quota binds each account by itself, for one transformation; the clerk encoded one through it.
    ask(&clerk, "encode/app", batch("v", 7)).expect(200);
    let said = refused(ask(&clerk, "encode/app", json!({ "value": "v" })));
    assert!(said.contains("`encoded_per_hour`") && said.contains("(`guesses`)"), "{said}");
    refused(ask(&clerk, "redact/app", json!({ "text": "Call 202-555-0142.", "spans": [{ "start": 5, "end": 17, "class": "note" }] })));
    ask(&clerk, "encode/other", batch("v", 20)).expect(200);
    ask(&colleague, "encode/app", batch("v", 8)).expect(200);
    refused(ask(&colleague, "encode/app", json!({ "value": "v" })));
    server.ask(&colleague, "POST", "other/encode/app", json!({ "value": "v" })).expect(403);
    post(&server, "other/encode/app", batch("v", 20)).expect(200);
    // It goes on counting when it is made anew, a higher one opens at once, and none is none.
    server.ask(&server.root(), "DELETE", "sys/quotas/disclosure/guesses", NONE).expect(204);
    ask(&clerk, "encode/app", batch("v", 20)).expect(200);
    server.root_write("sys/quotas/disclosure/guesses", json!({ "transformation": "transform/note", "encoded_per_hour": 8 }));
    refused(ask(&clerk, "encode/app", json!({ "value": "v" })));
    server.root_write("sys/quotas/disclosure/guesses", json!({ "encoded_per_hour": 12 }));
    ask(&clerk, "encode/app", json!({ "value": "v" })).expect(200);
    metrics(&server, &clerk);
    let entry = &server.entries("action=encode&reason=limit_reached&limit=1")[0];
    assert_eq!((&entry["status"], &entry["decision"]), (&json!(429), &json!("failed")));
    assert!(std::fs::read_to_string(server.log()).unwrap().contains("a limit on values refuses an account"));
    assert_eq!(server.verify()["exit_code"], json!(0));
}

/// What this node counted, for those who may ask.
fn metrics(server: &Server, clerk: &str) {
    server.ask(clerk, "GET", "sys/metrics", NONE).expect(403);
    server.ask("", "GET", "sys/metrics", NONE).expect(403);
    server.ask(&server.root(), "GET", "sys/metrics?format=json", NONE).expect(400);
    server.ask(&server.root(), "POST", "sys/metrics", NONE).expect(405);
    let answer = server.root_read("sys/metrics?format=prometheus");
    assert!(answer.headers["content-type"].starts_with("text/plain"), "{answer:?}");
    let text = answer.body.as_str().unwrap();
    let number = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse::<u64>().unwrap();
    assert_eq!(number("goldfin_limit_near_total{kind=\"revealed\"}"), 1, "{text}");
    assert_eq!((number("goldfin_limit_near_total{kind=\"encoded\"}"), number("goldfin_rate_refused_total")), (2, 0), "{text}");
    assert!(
        number("goldfin_limit_refused_total{kind=\"revealed\"}") >= 7 && number("goldfin_limit_refused_total{kind=\"encoded\"}") >= 4,
        "{text}"
    );
    assert!(!text.contains("clerk") && !text.contains("note"), "{text}");
}

#[test]
fn a_quota_holds_across_nodes_and_a_restart() {
    with_time_left_in_the_hour();
    let mut server = tokenizing();
    let node = SecondNode::start(&server);
    server.root_write("sys/quotas/disclosure/all", json!({ "revealed_per_hour": 640 }));
    let made = token(&post(&server, "transform/encode/app", json!({ "value": "v" })).expect(200));
    let root = server.root();
    // The other node hears of the quota within a second.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    let mut revealed = 0;
    for round in 0..40 {
        if round == 10 {
            server.kill_and_restart();
            while node.ask(&server, &root, "GET", "transform/config", NONE).status != 200 {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
        let answer = match round % 2 {
            0 => server.ask(&root, "POST", "transform/decode/app", batch(&made, 25)),
            _ => node.ask_again(&server, &root, "POST", "transform/decode/app", &batch(&made, 25)),
        };
        match answer.status {
            200 => revealed += 25,
            _ => drop(refused(answer)),
        }
    }
    assert!((550..=640).contains(&revealed), "{revealed}");
    let notices = server.entries("kind=notice&limit=10");
    assert_eq!(notices.iter().filter(|entry| entry["reason"] == json!("near_revealed_per_hour")).count(), 1, "{notices:?}");
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn a_quota_that_was_edited_or_taken_away_reveals_nothing() {
    let server = tokenizing();
    let made = token(&post(&server, "transform/encode/app", json!({ "value": "synthetic value" })).expect(200));
    for (name, damage) in [
        ("edited", "UPDATE control SET body = replace(body, '5', '5000') WHERE kind = 'quota'"),
        ("gone", "DELETE FROM control WHERE kind = 'quota'"),
    ] {
        server.root_write(&format!("sys/quotas/disclosure/{name}"), json!({ "revealed_per_hour": 5 }));
        server.tamper(damage);
        // Whatever makes nodes read the directory anew.
        server.root_write("sys/policies/acl/any", json!({ "policy": "" }));
        let refused = post(&server, "transform/decode/app", json!({ "value": made })).expect(500);
        assert!(!refused.body.to_string().contains("synthetic"), "{refused:?}");
        post(&server, "transform/encode/app", json!({ "value": "v" })).expect(500);
        server.ask(&server.root(), "DELETE", &format!("sys/quotas/disclosure/{name}"), NONE).expect(204);
        post(&server, "transform/decode/app", json!({ "value": made })).expect(200);
    }
    // One that was planted binds nobody.
    server.root_write("sys/quotas/disclosure/real", json!({ "revealed_per_hour": 100 }));
    server.tamper(
        "INSERT INTO control SELECT namespace, kind, mount, 'disclosure/planted', version, body, mac FROM control WHERE kind = 'quota'",
    );
    server.root_write("sys/policies/acl/any", json!({ "policy": "" }));
    post(&server, "transform/decode/app", json!({ "value": made })).expect(200);
}

#[test]
fn requests_of_a_caller_are_bounded_and_each_refusal_recorded() {
    let server = tokenizing();
    let clerk = clerk(&server);
    server.root_write("sys/quotas/rate-limit/slow", json!({ "account": "clerk", "path": "transform", "rate": 5, "interval": "1h" }));
    let asked: Vec<Answer> = (0..8).map(|_| server.ask(&clerk, "POST", "transform/encode/app", json!({ "value": "v" }))).collect();
    let statuses: Vec<u16> = asked.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
    let last = &asked[7];
    let wait: u64 = last.headers["retry-after"].parse().unwrap();
    assert!((600..=720).contains(&wait) && last.headers.contains_key("x-goldfin-receipt"), "{last:?}");
    let entries = server.entries("account=clerk&reason=rate_limited&limit=10");
    assert_eq!(entries.len(), 3);
    assert_eq!((&entries[0]["status"], &entries[0]["path"]), (&json!(429), &json!("transform/encode/app")));
    // Other paths, other accounts and root are free; what the base grants outside of the path too.
    server.ask(&clerk, "GET", "auth/token/lookup-self", NONE).expect(200);
    let other = server.token_in(&["clerk"]);
    server.ask(&other, "POST", "transform/encode/app", json!({ "value": "v" })).expect(200);
    server.root_write("sys/quotas/rate-limit/all", json!({ "rate": 1, "interval": "1h", "block_interval": "1h" }));
    for _ in 0..5 {
        server.root_read("sys/quotas/rate-limit/all");
    }
    // Everybody else has one request left, strangers by their address; then they wait for the block to end.
    server.ask(&other, "GET", "auth/token/lookup-self", NONE).expect(200);
    server.ask(&other, "GET", "auth/token/lookup-self", NONE).expect(429);
    assert_eq!(server.ask("", "POST", "auth/jwt/login", json!({ "role": "app", "jwt": "x" })).status / 100, 4);
    server.ask("", "POST", "auth/jwt/login", json!({ "role": "app", "jwt": "x" })).expect(429);
    server.ask("", "GET", "sys/health", NONE).expect(200);
    for name in ["all", "slow"] {
        server.ask(&server.root(), "DELETE", &format!("sys/quotas/rate-limit/{name}"), NONE).expect(204);
    }
    server.ask(&clerk, "POST", "transform/encode/app", json!({ "value": "v" })).expect(200);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn counts_of_past_hours_are_forgotten() {
    let server = tokenizing();
    server.root_write("sys/quotas/disclosure/all", json!({ "encoded_per_hour": 1000 }));
    post(&server, "transform/encode/app", json!({ "value": "v" })).expect(200);
    server.tamper("INSERT INTO allowance (transformation, account, kind, hour, taken, given) SELECT 1, 'past ' || n, 'encoded', 5, 1, 1 FROM generate_series(1, 3000) n");
    let hours = || {
        server.sql("postgres", "SELECT count(*) FILTER (WHERE hour = 5) || ' ' || count(*) FILTER (WHERE hour > 5) FROM allowance").unwrap()
    };
    assert_eq!(hours(), "3000 1");
    // The job runs every minute.
    for _ in 0..900 {
        if hours() == "0 1" {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("the counts stay: {}", hours());
}
