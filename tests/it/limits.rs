//! Limits on values per account and hour: exact, told in time, kept across restarts and nodes.

use serde_json::{Value, json};

use crate::login::jwt::logged_in;
use crate::second_node::SecondNode;
use crate::server::{Answer, Server};
use crate::transform::{make, post, results, tokenizing};

/// Waits for the next hour where this one is nearly over: a limit begins anew with it.
pub fn with_time_left_in_the_hour() {
    let now = u64::try_from(goldfin::model::clock::Clock::system().now().unix_seconds()).unwrap();
    let left = 3600 - now % 3600;
    if left < 180 {
        std::thread::sleep(std::time::Duration::from_secs(left + 1));
    }
}

/// A server whose transformation `note` reveals and encodes so many values per account and hour.
fn limited(settings: Value) -> Server {
    with_time_left_in_the_hour();
    let server = tokenizing();
    server.root_write("transform/transformations/tokenization/note", settings);
    server
}

pub fn refused(answer: Answer) -> String {
    let answer = answer.expect(429);
    let wait: u64 = answer.headers["retry-after"].parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    assert!(answer.errors().contains("opens again at 20"), "{answer:?}");
    answer.errors()
}

fn batch_of(token: &Value, count: usize) -> Value {
    json!({ "batch_input": vec![json!({ "value": token }); count] })
}

#[test]
fn a_limit_is_exact_and_told_before_it_is_reached() {
    let server = limited(json!({ "max_revealed_per_hour": 10 }));
    let settings = server.root_read("transform/transformations/tokenization/note");
    assert_eq!((&settings.data()["max_revealed_per_hour"], &settings.data()["max_encoded_per_hour"]), (&json!(10), &json!(0)));
    let token = post(&server, "transform/encode/app", json!({ "value": "v" })).expect(200).data()["encoded_value"].clone();
    let reveal = |count: usize| post(&server, "transform/decode/app", batch_of(&token, count));
    // Junk is an attempt too.
    post(&server, "transform/decode/app", json!({ "value": "junk" })).expect(400);
    reveal(6).expect(200);
    assert!(server.entries("action=decode&limit=50").iter().all(|entry| entry["kind"] == json!("request")));
    reveal(1).expect(200);
    let told = server.entries("action=decode&limit=50");
    let notices: Vec<&Value> = told.iter().filter(|entry| entry["kind"] == json!("notice")).collect();
    assert_eq!(notices.len(), 1, "{told:?}");
    assert_eq!(
        (&notices[0]["reason"], &notices[0]["resource"], &notices[0]["count"], &notices[0]["class"]),
        (&json!("near_max_revealed_per_hour"), &json!("Transformation:transform/note"), &json!(8), &json!("note"))
    );
    assert!(std::fs::read_to_string(server.log()).unwrap().contains("comes near a limit"));
    // Two are left: three are refused as a whole, and take nothing.
    let said = refused(reveal(3));
    assert!(said.contains("`max_revealed_per_hour`") && said.contains("(`note`)"), "{said}");
    assert!(!said.contains("batch_results"));
    let entry = &server.entries("action=decode&limit=1")[0];
    assert_eq!(
        (&entry["status"], &entry["reason"], &entry["decision"], &entry["count"]),
        (&json!(429), &json!("limit_reached"), &json!("failed"), &json!(3))
    );
    reveal(2).expect(200);
    refused(reveal(1));
    refused(post(&server, "transform/decode/app", json!({ "value": token })));
    // More than a whole hour holds is never let in: there is nothing to wait for.
    assert!(reveal(11).expect(400).errors().contains("send fewer"));
    // What reveals nothing goes on, and so does the same transformation of another mount.
    post(&server, "transform/validate/app", json!({ "value": token })).expect(200);
    post(&server, "transform/encode/app", json!({ "value": "v" })).expect(200);
    let other = post(&server, "other/encode/app", json!({ "value": "v" })).expect(200).data()["encoded_value"].clone();
    (0..12).for_each(|_| drop(post(&server, "other/decode/app", json!({ "value": other })).expect(200)));
    // A higher limit opens it at once, a lower one closes it.
    server.root_write("transform/transformations/tokenization/note", json!({ "max_revealed_per_hour": 12 }));
    reveal(2).expect(200);
    refused(reveal(1));
    server.root_write("transform/transformations/tokenization/note", json!({ "max_revealed_per_hour": 5 }));
    refused(reveal(1));
    server.root_write("transform/transformations/tokenization/note", json!({ "max_revealed_per_hour": 0 }));
    reveal(20).expect(200);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn a_limit_is_an_accounts_and_a_mount_has_one_for_all() {
    let server = limited(json!({}));
    server.root_write("transform/config", json!({ "max_encoded_per_hour": 6, "max_revealed_per_hour": 4 }));
    make(&server, "transform", "open", "open", json!({ "mapping_mode": "exportable", "max_encoded_per_hour": 20 }));
    server.root_write("transform/role/both", json!({ "transformations": ["note", "open"] }));
    let encode = |role: &str, count: usize| {
        let items = vec![json!({ "value": "v", "subject": "synthetic" }); count];
        post(&server, &format!("transform/encode/{role}"), json!({ "batch_input": items }))
    };
    encode("app", 5).expect(200);
    let answer = encode("open", 20).expect(200);
    let token = results(&answer)[0]["encoded_value"].clone();
    refused(encode("open", 1));
    // Of two transformations one would be passed: nothing is done, and nothing is taken from the other.
    let items: Vec<Value> = ["note", "open"].iter().map(|name| json!({ "value": "v", "transformation": name })).collect();
    let before = server.sql("postgres", "SELECT count(*) FROM pii_token").unwrap();
    refused(post(&server, "transform/encode/both", json!({ "batch_input": items })));
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM pii_token").unwrap(), before);
    encode("app", 1).expect(200);
    refused(encode("app", 1));
    // An export reveals too.
    let export = |limit: usize| post(&server, "transform/subjects/export", json!({ "subject": "synthetic", "limit": limit }));
    assert_eq!(export(3).expect(200).data()["values"].as_array().unwrap().len(), 3);
    refused(export(2));
    post(&server, "transform/decode/open", json!({ "value": token })).expect(200);
    refused(post(&server, "transform/decode/open", json!({ "value": token })));
    // Another account has an hour of its own.
    // All tokens of an account share its hour.
    let all = r#"permit (principal in Group::"another", action, resource in Mount::"transform");"#;
    server.root_write("sys/policies/acl/another", json!({ "policy": all }));
    refused(server.ask(&server.token_in(&["another"]), "POST", "transform/decode/open", json!({ "value": token })));
    let clerk = logged_in(&server, "clerk", &["clerk"]);
    let policy = r#"permit (principal in Group::"clerk", action == Action::"decode", resource in Mount::"transform") when { context.batch_size <= 2 };"#;
    server.root_write("sys/policies/acl/clerk", json!({ "policy": policy }));
    let reveal = |count: usize| server.ask(&clerk, "POST", "transform/decode/open", batch_of(&token, count));
    // A policy bounds a request, and what it refuses takes no allowance.
    reveal(3).expect(403);
    reveal(2).expect(200);
    reveal(2).expect(200);
    refused(reveal(1));
}

#[test]
fn a_dictionary_meets_the_limit_across_a_restart_and_a_second_node() {
    let mut server = limited(json!({ "max_encoded_per_hour": 22_000 }));
    let second = SecondNode::start(&server);
    let root = server.root();
    let (mut encoded, mut turned_away) = (0, 0);
    for round in 0..20 {
        let guesses: Vec<Value> = (0..5_000).map(|n| json!({ "value": format!("synthetic {}", round * 5_000 + n) })).collect();
        let body = json!({ "batch_input": guesses });
        if round == 2 {
            server.kill_and_restart();
            // The database went with it: the second node's first answer may say that it does not know how its commit ended.
            while second.ask(&server, &root, "GET", "transform/config", Value::Null).status != 200 {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
        let answer = if round % 2 == 0 {
            server.ask(&root, "POST", "transform/encode/app", body)
        } else {
            second.ask_again(&server, &root, "POST", "transform/encode/app", &body)
        };
        match answer.status {
            200 => encoded += results(&answer).iter().filter(|item| item["encoded_value"].is_string()).count(),
            _ => {
                refused(answer);
                turned_away += 5_000;
            }
        }
    }
    assert_eq!((encoded, turned_away), (20_000, 80_000));
    // One at a time from both: what is left is spent, and not one more.
    let mut singles = 0;
    for place in 0..200 {
        let body = json!({ "batch_input": vec![json!({ "value": "v" }); 20] });
        let answer = if place % 2 == 0 {
            server.ask(&root, "POST", "transform/encode/app", body)
        } else {
            second.ask_again(&server, &root, "POST", "transform/encode/app", &body)
        };
        singles += if answer.status == 200 { 20 } else { 0 };
    }
    assert!((1_000..=2_000).contains(&singles), "{singles}");
    let stored: usize = server.sql("postgres", "SELECT count(*) FROM pii_token").unwrap().parse().unwrap();
    assert_eq!(stored, encoded + singles);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

/// A way to reveal or to encode `count` values through the transformation `name`, whose tokens `made` are.
fn uses(way: &str, name: &str, made: &[String], count: usize) -> Vec<(String, Value)> {
    let items = |values: Vec<Value>| json!({ "batch_input": values });
    let tokens = made.iter().take(count);
    let one = |path: &str, body: Value| vec![(format!("transform/{path}"), body)];
    match way {
        "decode" => tokens.map(|token| (format!("transform/decode/{name}"), json!({ "value": token }))).collect(),
        "batch" => one(&format!("decode/{name}"), items(tokens.map(|token| json!({ "value": token })).collect())),
        "restore" => one(&format!("restore/{name}"), json!({ "text": tokens.cloned().collect::<Vec<_>>().join(" and ") })),
        "restore-batch" => one(&format!("restore/{name}"), items(tokens.map(|token| json!({ "text": token })).collect())),
        "subject" => one("subjects/export", json!({ "subject": format!("synthetic {name}"), "limit": count })),
        "export" => one(&format!("transformations/tokenization/export-decoded/{name}"), json!({ "limit": count })),
        "encode" => (0..count).map(|n| (format!("transform/encode/{name}"), json!({ "value": n.to_string() }))).collect(),
        "encode-batch" => one(&format!("encode/{name}"), items((0..count).map(|n| json!({ "value": n.to_string() })).collect())),
        "redact" => {
            let spans: Vec<Value> = (0..count).map(|n| json!({ "start": n * 3, "end": n * 3 + 2, "class": name })).collect();
            let text: Vec<String> = (10..10 + count).map(|n| n.to_string()).collect();
            one(&format!("redact/{name}"), json!({ "text": text.join(" "), "spans": spans }))
        }
        other => panic!("{other}"),
    }
}

const REVEALING: [&str; 6] = ["decode", "batch", "restore", "restore-batch", "subject", "export"];
const ENCODING: [&str; 3] = ["encode", "encode-batch", "redact"];

#[test]
fn every_way_to_reveal_or_encode_meets_the_limit_on_two_nodes_and_across_a_restart() {
    with_time_left_in_the_hour();
    let mut server = tokenizing();
    let node = SecondNode::start(&server);
    let root = server.root();
    let mut made = std::collections::HashMap::new();
    for way in REVEALING.iter().chain(&ENCODING) {
        make(&server, "transform", way, way, json!({ "mapping_mode": "exportable", "class": way }));
        let items: Vec<Value> = (0..20).map(|n| json!({ "value": format!("v{n}"), "subject": format!("synthetic {way}") })).collect();
        let answer = post(&server, &format!("transform/encode/{way}"), json!({ "batch_input": items })).expect(200);
        let tokens: Vec<String> = results(&answer).iter().map(|item| item["encoded_value"].as_str().unwrap().to_owned()).collect();
        made.insert(*way, tokens);
        let member = if ENCODING.contains(way) { "max_encoded_per_hour" } else { "max_revealed_per_hour" };
        server.root_write(&format!("transform/transformations/tokenization/{way}"), json!({ member: 20 }));
    }
    std::thread::sleep(std::time::Duration::from_millis(1200));
    let at = |server: &Server, second: bool, way: &str, count: usize| -> Answer {
        let mut answers = uses(way, way, &made[way], count).into_iter().map(|(path, body)| match second {
            false => server.ask(&root, "POST", &path, body),
            true => node.ask_again(server, &root, "POST", &path, &body),
        });
        let first = answers.next().unwrap();
        answers.fold(first, |worst, answer| if answer.status > worst.status { answer } else { worst })
    };
    for way in REVEALING.iter().chain(&ENCODING) {
        let notices = |server: &Server| server.entries("kind=notice&limit=100").into_iter();
        let told = |server: &Server| notices(server).filter(|entry| entry["class"] == json!(way)).collect::<Vec<_>>();
        assert_eq!(at(&server, false, way, 15).status, 200, "{way}");
        assert!(told(&server).is_empty(), "{way}");
        assert_eq!(at(&server, true, way, 1).status, 200, "{way}");
        let told = told(&server);
        assert_eq!(told.len(), 1, "{way}");
        let reason = if ENCODING.contains(way) { "near_max_encoded_per_hour" } else { "near_max_revealed_per_hour" };
        assert_eq!((&told[0]["reason"], &told[0]["count"], &told[0]["class"]), (&json!(reason), &json!(16), &json!(way)), "{way}");
        assert_eq!(at(&server, true, way, 4).status, 200, "{way}");
        for second in [false, true] {
            let answer = at(&server, second, way, 1);
            let text = answer.body.to_string();
            assert!(!text.contains("decoded_value") && !text.contains("encoded_value") && !text.contains("\"v1\""), "{way}: {text}");
            assert!(refused(answer).contains(":00:00"), "{way}: it opens with the hour");
        }
        let entry = &server.entries("reason=limit_reached&limit=1")[0];
        assert_eq!((&entry["status"], &entry["decision"]), (&json!(429), &json!("failed")), "{way}");
    }
    server.kill_and_restart();
    while node.ask(&server, &root, "GET", "transform/config", Value::Null).status != 200 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for way in REVEALING.iter().chain(&ENCODING) {
        for second in [false, true] {
            refused(at(&server, second, way, 1));
        }
    }
    assert_eq!(server.verify()["exit_code"], json!(0));
}
