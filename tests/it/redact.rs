//! Free text through the network: redaction, restoring, spans that callers bring, rights, and what the ledger says of it. Every
//! person in here is made up.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::server::{Answer, Server};
use crate::transform::{make, post, results};

const PAGE: &str =
    "Hi, I'm 🦊 Zoe\u{301}. My SSN is 078-05-1120, call (202) 555-0142 or write a@example.com. \u{202b}שלום 078-05-1120\u{202c}";

/// A server whose role `chat` serves three classes and `name`.
fn chatting() -> Server {
    let server = Server::start();
    server.root_write("sys/mounts/transform", json!({ "type": "transform" }));
    for class in ["ssn", "phone", "email", "name"] {
        make(&server, "transform", "chat", class, json!({ "class": class }));
    }
    server.root_write("transform/role/chat", json!({ "transformations": ["ssn", "phone", "email", "name"] }));
    server
}

fn redact(server: &Server, body: Value) -> Answer {
    post(server, "transform/redact/chat", body)
}

fn restore(server: &Server, text: &str) -> Answer {
    post(server, "transform/restore/chat", json!({ "text": text })).expect(200)
}

fn text(answer: &Answer) -> String {
    answer.data()["text"].as_str().unwrap().to_owned()
}

/// What stands at the places that an answer names.
fn replaced(answer: &Answer) -> Vec<(String, String)> {
    let letters: Vec<char> = text(answer).chars().collect();
    let place = |item: &Value, member: &str| usize::try_from(item[member].as_u64().unwrap()).unwrap();
    let items = answer.data()["replaced"].as_array().unwrap();
    items
        .iter()
        .map(|item| (item["class"].as_str().unwrap().to_owned(), letters[place(item, "start")..place(item, "end")].iter().collect()))
        .collect()
}

#[test]
fn a_text_is_redacted_and_restored() {
    let server = chatting();
    let answer = redact(&server, json!({ "text": PAGE, "stray": 1 })).expect(200);
    let found = replaced(&answer);
    assert_eq!(found.iter().map(|(class, _)| class.as_str()).collect::<Vec<_>>(), ["ssn", "phone", "email", "ssn"]);
    assert!(found.iter().all(|(_, token)| token.starts_with("pii_") && token.len() == 43));
    // The same value is the same token within a text, and another in the next.
    assert_eq!(found[0].1, found[3].1);
    assert_eq!((&answer.data()["count"], &answer.data()["unserved"]), (&json!(4), &json!([])));
    assert_eq!(answer.data()["replaced"][1]["transformation"], json!("phone"));
    assert!(answer.body["warnings"][0].as_str().unwrap().starts_with("1 members"));
    let redacted = text(&answer);
    for value in ["078-05-1120", "555-0142", "a@example.com"] {
        assert!(!answer.body.to_string().contains(value), "{redacted}");
    }
    assert!(redacted.contains("🦊 Zoe\u{301}") && redacted.contains("\u{202b}שלום pii_"));
    let restored = restore(&server, &redacted);
    assert_eq!(text(&restored), PAGE);
    assert_eq!((&restored.data()["restored"], &restored.data()["unknown"], &restored.data()["gone"]), (&json!(4), &json!(0), &json!(0)));
    assert_ne!(text(&redact(&server, json!({ "text": PAGE })).expect(200)), redacted);
    // A token of a text is an ordinary one.
    let decoded = post(&server, "transform/decode/chat", json!({ "value": found[0].1, "transformation": "ssn" })).expect(200);
    assert_eq!(decoded.data()["decoded_value"], json!("078-05-1120"));
    for plain in ["", "nothing to find here", "_ \\_ pii_ 🦊"] {
        assert_eq!(text(&redact(&server, json!({ "text": plain })).expect(200)), plain);
        assert_eq!(text(&restore(&server, plain)), plain);
    }
}

#[test]
fn tokens_survive_what_is_done_with_a_text() {
    let server = chatting();
    let source = "SSN 078-05-1120, a@example.com";
    let redacted = text(&redact(&server, json!({ "text": source })).expect(200));
    let quoted = redacted.replace(' ', "\n> ");
    let json_text = json!({ "a": { "b": [redacted] } }).to_string();
    let escaped = redacted.replace('_', "\\_");
    let json_escaped = json!(escaped).to_string();
    for (changed, expected) in [
        (quoted, source.replace(' ', "\n> ")),
        (json_text, json!({ "a": { "b": [source] } }).to_string()),
        (escaped, source.to_owned()),
        (json_escaped, json!(source).to_string()),
        (redacted.replace("pii", "_pii").replace(',', "_,"), "SSN _078-05-1120_, _a@example.com".to_owned()),
        (format!("**{redacted}**x{redacted}"), format!("**{source}**x{source}")),
        (format!("| {redacted} |"), format!("| {source} |")),
    ] {
        assert_eq!(text(&restore(&server, &changed)), expected);
    }
    // What was found in the middle of a word, or next to another, comes back too.
    for source in ["x078-05-1120y", "078-05-1120078-05-1120", "号码078-05-1120号码"] {
        let spans = json!([{ "start": 1, "end": 12, "class": "name" }]);
        let redacted = text(&redact(&server, json!({ "text": source, "spans": spans })).expect(200));
        assert_eq!(text(&restore(&server, &redacted)), source);
    }
}

#[test]
fn spans_of_presidio_are_taken() {
    let server = chatting();
    let source = "🦊 Jane Roe of Springfield, 078-05-1120";
    let spans = json!([
        { "entity_type": "PERSON", "start": 2, "end": 10, "score": 0.85, "analysis_explanation": null },
        { "entity_type": "LOCATION", "start": 14, "end": 25, "score": 0.85 },
        { "entity_type": "US_SSN", "start": 27, "end": 38, "score": 1.0 },
        { "class": "name", "start": 2, "end": 25, "score": 0.1 }
    ]);
    let answer = redact(&server, json!({ "text": source, "spans": spans })).expect(200);
    let found = replaced(&answer);
    assert_eq!(found.iter().map(|(class, _)| class.as_str()).collect::<Vec<_>>(), ["name", "name", "location", "ssn"]);
    assert_eq!(found[2].1, "[location]");
    assert_eq!(answer.data()["unserved"], json!([{ "class": "location", "count": 1 }]));
    assert_eq!(text(&restore(&server, &text(&answer))), source.replace("Springfield", "[location]"));

    let location = json!([{ "entity_type": "LOCATION", "start": 14, "end": 25 }]);
    let ask = |more: Value| {
        let mut body = json!({ "text": source, "spans": location, "classes": [] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        redact(&server, body)
    };
    let left = ask(json!({ "on_unserved": "leave" })).expect(200);
    assert_eq!((text(&left).as_str(), &left.data()["unserved"][0]["count"], &left.data()["count"]), (source, &json!(1), &json!(0)));
    assert!(ask(json!({ "on_unserved": "fail" })).expect(400).errors().contains("no transformation of the role serves"));
    let mapped = ask(json!({ "transformations": { "LOCATION": "name" } })).expect(200);
    assert_eq!(replaced(&mapped)[0].0, "location");
    assert_eq!(text(&restore(&server, &text(&mapped))), source);
    assert!(ask(json!({ "transformations": { "LOCATION": "elsewhere" } })).expect(400).errors().contains("none of the role's"));
    assert_eq!(text(&ask(json!({ "spans": [], "classes": "ssn" })).expect(200)).matches("pii_").count(), 1);
    assert_eq!(text(&ask(json!({ "spans": [], "classes": ["phone", "email"] })).expect(200)), source);
    // A class is compared byte for byte, an entity type is not one.
    make(&server, "transform", "loud", "loud", json!({ "class": "NAME" }));
    let loud = json!([{ "class": "NAME", "start": 2, "end": 6 }, { "entity_type": "NAME", "start": 7, "end": 10 }]);
    let answer = post(&server, "transform/redact/loud", json!({ "text": source, "spans": loud, "classes": [] })).expect(200);
    assert_eq!((&answer.data()["replaced"][0]["transformation"], &answer.data()["unserved"][0]["class"]), (&json!("loud"), &json!("name")));
    let sure = redact(&server, json!({ "text": "202 555 0142 and 2025550142", "min_score": 0.5 })).expect(200);
    assert_eq!(sure.data()["count"], json!(1));
}

#[test]
fn wrong_requests_are_told_without_their_text() {
    let server = chatting();
    let span = |start: Value, end: Value| json!([{ "start": start, "end": end, "class": "name" }]);
    for (spans, expected) in [
        (span(json!(0), json!(16)), "behind the end"),
        (span(json!(9), json!(3)), "ends before it begins"),
        (span(json!(3), json!(3)), "is empty"),
        (span(json!(-1), json!(3)), "`start`"),
        (span(json!("x"), json!(3)), "`start`"),
        (span(json!(1.5), json!(3)), "`start`"),
        (span(json!(0), json!(null)), "`end`"),
        (span(json!(0), json!([])), "`end`"),
        (span(json!(0), json!(99999999999999999999_u128.to_string())), "`end`"),
        (json!([{ "start": 0, "end": 3 }]), "`class`"),
        (json!([{ "start": 0, "end": 3, "class": "canary class" }]), "`class`"),
        (json!([{ "start": 0, "end": 3, "class": 7 }]), "`class`"),
        (json!([{ "start": 0, "end": 3, "class": "name", "score": 1.1 }]), "`score`"),
        (json!([{ "start": 0, "end": 3, "class": "name", "score": "high" }]), "`score`"),
        (json!(["canary"]), "objects"),
        (json!({}), "must be a list"),
        (json!("canary"), "must be a list"),
    ] {
        let refused = redact(&server, json!({ "text": "canary 🦊 canary", "spans": spans })).expect(400);
        assert!(refused.errors().contains(expected) && !refused.errors().contains("canary"), "{spans}: {}", refused.errors());
    }
    for body in [
        json!({}),
        json!({ "text": 7 }),
        json!({ "text": ["a"] }),
        json!({ "text": "x".repeat((1 << 20) + 1) }),
        json!({ "text": "a", "classes": ["canary"] }),
        json!({ "text": "a", "on_unserved": "canary" }),
        json!({ "text": "a", "min_score": 2 }),
        json!({ "text": "a", "transformations": { "name": "canary name" } }),
        json!({ "text": "a", "Spans": [] }),
        json!({ "text": "a", "batch_input": [{ "text": "a" }] }),
        json!({ "batch_input": [] }),
        json!({ "batch_input": [{ "text": "a" }], "spans": [] }),
        json!({ "batch_input": vec![json!({ "text": "x".repeat(1 << 20) }); 5] }),
        json!({ "text": "a@example.com ".repeat(10_001) }),
    ] {
        let refused = redact(&server, body).expect(400);
        assert!(!refused.errors().contains("canary"), "{}", refused.errors());
    }
    post(&server, "transform/redact/nobody", json!({ "text": "a" })).expect(400);
    post(&server, "transform/restore/nobody", json!({ "text": "a" })).expect(400);
    server.ask(&server.root(), "GET", "transform/redact/chat", Value::Null).expect(405);
    server.ask("", "POST", "transform/redact/chat", json!({ "text": "a" })).expect(403);
    server.ask(&server.token_in(&[]), "POST", "transform/redact/chat", json!({ "text": "a" })).expect(403);
    server.ask(&server.token_in(&[]), "POST", "transform/restore/chat", json!({ "text": "a" })).expect(403);
}

#[test]
fn batches_answer_text_by_text() {
    let server = chatting();
    let batch = json!({ "subject": "synthetic-1", "batch_input": [
        { "text": "078-05-1120", "reference": "first" },
        { "text": 7, "reference": "second" },
        { "text": "Jane", "spans": [{ "start": 0, "end": 9, "class": "name" }], "reference": "third" },
        { "text": "none" },
        "canary",
        { "text": "Jane", "spans": [{ "start": 0, "end": 4, "class": "name" }], "subject": "synthetic-2" }
    ] });
    let answer = redact(&server, batch).expect(200);
    let statuses: Vec<Option<u64>> = results(&answer).iter().map(|item| item["status"].as_u64()).collect();
    assert_eq!(statuses, [None, Some(400), Some(400), None, Some(400), None]);
    assert_eq!((&results(&answer)[0]["reference"], &results(&answer)[2]["reference"]), (&json!("first"), &json!("third")));
    let (one, two) = (&results(&answer)[0]["text"], &results(&answer)[5]["text"]);

    let both = json!({ "batch_input": [{ "text": format!("{} {}", one.as_str().unwrap(), two.as_str().unwrap()) }, { "text": one }, { "text": 7 }] });
    let answer = post(&server, "transform/restore/chat", both.clone()).expect(200);
    assert_eq!((&results(&answer)[0]["text"], &results(&answer)[1]["text"]), (&json!("078-05-1120 Jane"), &json!("078-05-1120")));
    assert_eq!(results(&answer)[2]["status"], json!(400));
    // Disclosures are counted by value and named by person.
    post(&server, "transform/restore/chat", json!({ "text": two })).expect(200);
    let seen = server.root_read("transform/subjects/synthetic-2/disclosures");
    // That of the batch, which was about others too, and that of the one text.
    let seen: Vec<(&Value, &Value)> =
        seen.data()["disclosures"].as_array().unwrap().iter().map(|one| (&one["class"], &one["count"])).collect();
    assert_eq!(seen, [(&json!("name"), &json!(1)); 2]);

    server.ask(&server.root(), "DELETE", "transform/subjects/synthetic-1", Value::Null).expect(200);
    let answer = post(&server, "transform/restore/chat", both).expect(200);
    assert_eq!(results(&answer)[0]["text"].as_str().unwrap(), format!("{} Jane", one.as_str().unwrap()));
    assert_eq!((&results(&answer)[0]["gone"], &results(&answer)[0]["restored"]), (&json!(1), &json!(1)));
    let all_wrong = json!({ "batch_input": [{ "text": 7 }] });
    post(&server, "transform/redact/chat", all_wrong).expect(400);
}

#[test]
fn what_is_no_token_stays_and_is_counted() {
    let server = chatting();
    make(&server, "transform", "other", "other", json!({ "class": "ssn" }));
    make(&server, "transform", "marked", "marked", json!({ "class": "ssn", "prefix": "va-ssn" }));
    let foreign = text(&post(&server, "transform/redact/other", json!({ "text": "078-05-1120" })).expect(200));
    let marked = text(&post(&server, "transform/redact/marked", json!({ "text": "078-05-1120" })).expect(200));
    let good = text(&redact(&server, json!({ "text": "078-05-1120" })).expect(200));
    assert!(marked.starts_with("va-ssn_"));
    let mut forged = good.clone();
    forged.replace_range(20..21, if &good[20..21] == "a" { "b" } else { "a" });
    let page = format!("{foreign} {forged} {} {marked} {good}", &good[..40]);
    let answer = restore(&server, &page);
    assert_eq!(text(&answer), page.replace(&format!(" {good}"), " 078-05-1120"));
    assert_eq!((&answer.data()["unknown"], &answer.data()["restored"]), (&json!(3), &json!(1)));
    let escaped = marked.replace('-', "\\-").replace('_', "\\_");
    assert_eq!(text(&post(&server, "transform/restore/marked", json!({ "text": escaped })).expect(200)), "078-05-1120");
    let short = text(&redact(&server, json!({ "text": "078-05-1120", "ttl": "4s" })).expect(200));
    assert_eq!(text(&restore(&server, &short)), "078-05-1120");
    std::thread::sleep(std::time::Duration::from_millis(4100));
    assert_eq!(restore(&server, &short).data(), &json!({ "gone": 1, "restored": 0, "text": short, "unknown": 0 }));
    server.root_write("transform/transformations/tokenization/ssn", json!({ "max_ttl": "1h" }));
    assert!(redact(&server, json!({ "text": "078-05-1120", "ttl": "2h" })).expect(400).errors().contains("max_ttl"));
}

#[test]
fn rights_and_purposes_are_those_of_encode_and_decode() {
    let server = chatting();
    server.root_write("transform/transformations/tokenization/phone", json!({ "purposes": ["claims"] }));
    let policy = r#"
        permit(principal in Group::"desk", action == Action::"encode", resource in Mount::"transform")
        unless { resource has class && resource.class == "email" };
        permit(principal in Group::"desk", action == Action::"decode", resource in Mount::"transform")
        when { resource has class && ["phone", "name"].contains(resource.class) && context.batch_size <= 3 };"#;
    server.root_write("sys/policies/acl/desk", json!({ "policy": policy }));
    let desk = server.token_in(&["desk"]);
    let ask = |path: &str, body: Value| server.ask(&desk, "POST", &format!("transform/{path}/chat"), body);
    let source = "078-05-1120 and 202-555-0142";
    let redacted = text(&ask("redact", json!({ "text": source })).expect(200));
    // An e-mail address may not be encoded: its text fails as a whole, and nothing of it is stored.
    ask("redact", json!({ "text": "a@example.com" })).expect(403);
    let answer = ask("redact", json!({ "batch_input": [{ "text": "a@example.com 078-05-1120" }, { "text": "078-05-1120" }] })).expect(200);
    assert_eq!(results(&answer)[0], json!({ "error": "permission denied", "status": 403 }));
    assert_eq!(results(&answer)[1]["count"], json!(1));
    ask("redact", json!({ "text": "nothing" })).expect(200);

    let restored = ask("restore", json!({ "text": redacted, "purpose": "claims" })).expect(200);
    assert!(text(&restored).ends_with(" and 202-555-0142") && text(&restored).starts_with("pii_"), "{}", text(&restored));
    assert_eq!((&restored.data()["restored"], &restored.data()["unknown"]), (&json!(1), &json!(1)));
    assert!(restored.body["warnings"][0].as_str().unwrap().contains("permission denied"));
    let without = ask("restore", json!({ "text": redacted })).expect(200);
    assert_eq!(text(&without), redacted);
    let many: Vec<String> = (0..4).map(|n| text(&ask("redact", json!({ "text": format!("202-555-014{n}") })).expect(200))).collect();
    ask("restore", json!({ "text": many.join(" "), "purpose": "claims" })).expect(403);
    ask("restore", json!({ "text": many[..3].join(" "), "purpose": "claims" })).expect(200);

    let entries = server.entries("action=decode&decision=granted");
    let of = |seen: &str| entries.iter().find(|entry| entry["request_id"] == json!(seen)).unwrap().clone();
    let entry = of(restored.body["request_id"].as_str().unwrap());
    assert_eq!((&entry["class"], &entry["purpose"]), (&json!("phone"), &json!("claims")));
    assert_eq!((&entry["count"], &entry["succeeded"], &entry["reason"]), (&json!(2), &json!(1), &json!("partly_denied")));
    let entry = of(without.body["request_id"].as_str().unwrap());
    assert_eq!((&entry["count"], &entry["succeeded"]), (&json!(2), &json!(0)));

    server.root_write("transform/role/calls", json!({ "transformations": ["phone"] }));
    let refused = post(&server, "transform/restore/calls", json!({ "text": redacted })).expect(400);
    assert!(refused.errors().contains("`purpose` is missing"), "{}", refused.errors());
}

#[test]
fn a_text_leaves_one_entry_and_nothing_of_itself() {
    let server = chatting();
    let before = server.entries("limit=1")[0]["seq"].as_i64().unwrap();
    let source = "canary-word 078-05-1120 a@example.com";
    let spans = json!([{ "start": 0, "end": 11, "class": "canary-class" }]);
    let answer = redact(&server, json!({ "text": source, "spans": spans, "subject": "canary-subject" })).expect(200);
    let redacted = text(&answer);
    restore(&server, &redacted);
    redact(&server, json!({ "text": source, "spans": spans, "on_unserved": "fail" })).expect(400);
    redact(&server, json!({ "text": source, "spans": ["canary-word"] })).expect(400);
    let written = server
        .sql("postgres", &format!("SELECT body FROM ledger_entry WHERE seq > {before} AND body NOT LIKE '%read_ledger%' ORDER BY seq"))
        .unwrap();
    let entries: Vec<Value> =
        written.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|entry: &Value| entry["kind"] == json!("request")).collect();
    assert_eq!(entries.len(), 4, "{written}");
    assert_eq!((&entries[0]["action"], &entries[0]["count"], &entries[0]["class"]), (&json!("encode"), &json!(2), &json!("email,ssn")));
    assert_eq!((&entries[1]["action"], &entries[1]["count"], &entries[1]["class"]), (&json!("decode"), &json!(2), &json!("email,ssn")));
    assert_eq!(entries[0]["subject"], entries[1]["subject"]);
    let log = std::fs::read_to_string(server.log()).unwrap();
    for canary in ["canary", "078-05-1120", "a@example.com", &redacted[redacted.find("pii_").unwrap()..][..43]] {
        assert!(!written.contains(canary) && !log.contains(canary), "{canary}");
    }
}

#[test]
fn a_text_of_a_mebibyte_goes_and_comes_back() {
    let server = chatting();
    let line = |n: usize| format!("Line {n}: call 202-555-{:04} or a{n}@example.com, ratings 30 to 70 %. 🦊 ", n % 10_000);
    let mut source: String = (0..4_000).map(line).collect();
    source.push_str(&"x ".repeat((1_048_576 - source.len()) / 2));
    source.push_str(&"y".repeat(1_048_576 - source.len()));
    assert_eq!(source.len(), 1 << 20);
    let answer = redact(&server, json!({ "text": source })).expect(200);
    assert_eq!(answer.data()["count"], json!(8_000));
    let redacted = text(&answer);
    let tokens: HashSet<&str> = redacted.match_indices("pii_").map(|(at, _)| &redacted[at..at + 43]).collect();
    assert_eq!((tokens.len(), redacted.contains("@example")), (8_000, false));
    let restored = restore(&server, &redacted);
    assert!(text(&restored) == source);
    assert_eq!(restored.data()["restored"], json!(8_000));
}
