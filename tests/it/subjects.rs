//! Data subjects: erasure and its races, what is held, who saw it, and that an identifier stands nowhere but in requests.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::server::Server;
use crate::transform::{decode, encode, make, post, results, tokenizing};

fn bound(server: &Server, subject: &str, value: &str) -> String {
    encode(server, json!({ "value": value, "subject": subject }))
}

#[test]
fn an_erased_subject_is_gone_and_may_come_again() {
    let server = tokenizing();
    let root = server.root();
    let (mine, other) = (bound(&server, "canary-veteran-1", "synthetic one"), bound(&server, "canary-veteran-2", "synthetic two"));
    let held = server.root_read("transform/subjects/canary-veteran-1");
    assert_eq!(held.data()["held"], json!([{ "class": "note", "count": 1, "transformation": "note" }]));
    assert_eq!((&held.data()["alive"], &held.data()["erased"]), (&json!(true), &json!([])));
    decode(&server, &mine).expect(200);

    let gone = server.ask(&root, "DELETE", "transform/subjects/canary-veteran-1", Value::Null).expect(200);
    assert_eq!(gone.data()["erased"], json!(1));
    assert!(decode(&server, &mine).expect(410).errors().contains("erased"));
    post(&server, "transform/metadata/app", json!({ "value": mine })).expect(410);
    assert_eq!(post(&server, "transform/validate/app", json!({ "value": mine })).expect(200).data(), &json!({ "valid": false }));
    let batch = json!({ "batch_input": [{ "value": mine }, { "value": other }] });
    let answer = post(&server, "transform/decode/app", batch).expect(200);
    assert_eq!((&results(&answer)[0]["status"], &results(&answer)[1]["decoded_value"]), (&json!(410), &json!("synthetic two")));

    let again = bound(&server, "canary-veteran-1", "synthetic three");
    assert_eq!(decode(&server, &again).expect(200).data()["decoded_value"], json!("synthetic three"));
    decode(&server, &mine).expect(410);
    let held = server.root_read("transform/subjects/canary-veteran-1");
    assert_eq!((&held.data()["alive"], held.data()["erased"].as_array().unwrap().len()), (&json!(true), 1));
    // The same without an identifier in the path.
    let looked_up = post(&server, "transform/subjects/lookup", json!({ "subject": "canary-veteran-1" })).expect(200);
    assert_eq!(looked_up.data(), held.data());
    assert_eq!(post(&server, "transform/subjects/erase", json!({ "subject": "canary-veteran-1" })).expect(200).data()["erased"], json!(1));
    assert_eq!(
        server.ask(&root, "DELETE", "transform/subjects", json!({ "subject": "canary-veteran-1" })).expect(200).data()["erased"],
        json!(0)
    );
    decode(&server, &again).expect(410);
    decode(&server, &other).expect(200);
    for (method, path, body) in [
        ("GET", "transform/subjects/canary-nobody", Value::Null),
        ("DELETE", "transform/subjects/canary-nobody", Value::Null),
        ("POST", "transform/subjects/lookup", json!({ "subject": "canary-nobody" })),
        // Another mount knows nobody of this one.
        ("GET", "other/subjects/canary-veteran-2", Value::Null),
    ] {
        server.ask(&root, method, path, body).expect(404);
    }
    server.ask(&root, "POST", "transform/subjects/canary-veteran-2", json!({})).expect(405);
    server.ask("", "GET", "transform/subjects/canary-veteran-2", Value::Null).expect(403);
    server.ask("gft_wrong", "GET", "transform/subjects/canary-veteran-2", Value::Null).expect(403);
    server.ask_raw(&root, "POST", "transform/subjects/canary-veteran-2", b"{".to_vec(), &[]).expect(400);
    post(&server, "transform/subjects/erase", json!({})).expect(400);
    post(&server, "transform/encode/app", json!({ "value": "x", "subject": "" })).expect(400);

    let written = server.sql("postgres", "SELECT string_agg(body || resource, ' ') FROM ledger_entry").unwrap();
    assert!(!written.contains("canary-"), "an identifier is in the ledger");
    assert!(!std::fs::read_to_string(server.log()).unwrap().contains("canary-"), "an identifier is in the log");
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM subject WHERE erased IS NOT NULL AND wrapped_key IS NULL").unwrap(), "2");
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn an_encode_beside_an_erasure_is_before_it_or_after_it() {
    let server = tokenizing();
    let over = AtomicBool::new(false);
    let tokens = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (server, over) = (&server, &over);
                scope.spawn(move || {
                    let mut tokens = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        if worker == 0 {
                            let batch = json!({ "batch_input": [
                                { "value": "v", "subject": "synthetic-raced" }, { "value": "v", "subject": "synthetic-bystander" }, { "value": "v" }
                            ] });
                            let answer = post(server, "transform/encode/app", batch).expect(200);
                            tokens.push(results(&answer)[0]["encoded_value"].as_str().unwrap().to_owned());
                        } else {
                            tokens.push(bound(server, "synthetic-raced", "v"));
                        }
                    }
                    tokens
                })
            })
            .collect();
        // On a busy machine it takes a while until the first token is there to be met.
        let mut met = 0;
        for round in 0..2000 {
            let erased = post(&server, "transform/subjects/erase", json!({ "subject": "synthetic-raced" }));
            assert!([200, 404].contains(&erased.status), "{erased:?}");
            met += u32::from(erased.data()["erased"].as_u64() > Some(0));
            if round >= 30 && met >= 3 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(15));
        }
        over.store(true, Ordering::Relaxed);
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    let before: usize = tokens.iter().filter(|token| decode(&server, token).status == 410).count();
    for token in &tokens {
        let answer = decode(&server, token);
        assert!(answer.status == 410 || answer.data()["decoded_value"] == json!("v"), "{answer:?}");
    }
    assert!(before > 0, "no erasure met a token");
    server.ask(&server.root(), "DELETE", "transform/subjects", json!({ "subject": "synthetic-raced" }));
    for token in &tokens {
        decode(&server, token).expect(410);
    }
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn many_subjects_are_made_at_once_by_several() {
    let server = tokenizing();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let server = &server;
            scope.spawn(move || {
                let batch: Vec<Value> = (0..200)
                    .map(|n| json!({ "value": format!("{worker}"), "subject": format!("synthetic-{}", (n * (worker + 1)) % 200) }))
                    .collect();
                let answer = post(server, "transform/encode/app", json!({ "batch_input": batch })).expect(200);
                let back: Vec<Value> = results(&answer).iter().map(|item| json!({ "value": item["encoded_value"] })).collect();
                let answer = post(server, "transform/decode/app", json!({ "batch_input": back })).expect(200);
                assert!(results(&answer).iter().all(|item| item["decoded_value"] == json!(format!("{worker}"))));
            });
        }
    });
    assert_eq!(server.sql("postgres", "SELECT count(*) = count(DISTINCT hash) FROM subject").unwrap(), "t");
}

#[test]
fn disclosures_tell_who_saw_what_and_why() {
    let server = tokenizing();
    make(&server, "transform", "claim", "claim", json!({ "class": "claim", "purposes": ["claims", "support"] }));
    let token =
        post(&server, "transform/encode/claim", json!({ "value": "v", "subject": "synthetic-seen" })).expect(200).data()["encoded_value"]
            .clone();
    let other = bound(&server, "synthetic-unseen", "v");
    let reveal = |body: Value, header: Option<&str>| {
        let headers: Vec<(&str, &str)> = header.iter().map(|purpose| ("X-Goldfin-Purpose", *purpose)).collect();
        server.ask_with(&server.root(), "POST", "transform/decode/claim", body, &headers)
    };
    assert!(reveal(json!({ "value": token }), None).expect(400).errors().contains("claims, support"));
    reveal(json!({ "value": token, "purpose": "curiosity" }), None).expect(400);
    reveal(json!({ "value": token, "purpose": "claims" }), Some("support")).expect(400);
    reveal(json!({ "value": token, "purpose": "a sentence about somebody" }), None).expect(400);
    reveal(json!({ "value": token, "purpose": "claims" }), None).expect(200);
    reveal(json!({ "value": token }), Some("support")).expect(200);
    reveal(json!({ "value": token, "purpose": "claims" }), Some("claims")).expect(200);
    let batch = json!({ "batch_input": [{ "value": token, "purpose": "claims" }, { "value": token }, { "value": "junk" }] });
    reveal(batch, None).expect(200);
    reveal(json!({ "batch_input": [{ "value": token, "purpose": "claims" }, { "value": token, "purpose": "support" }] }), None).expect(400);
    decode(&server, &other).expect(200);

    let seen = server.root_read("transform/subjects/synthetic-seen/disclosures");
    let seen = seen.data()["disclosures"].as_array().unwrap();
    let told: Vec<Value> = seen.iter().map(|one| json!([one["account"], one["class"], one["purpose"], one["count"]])).collect();
    let expected = [("claims", 2), ("claims", 1), ("support", 1), ("claims", 1)];
    assert_eq!(told, expected.map(|(purpose, count)| json!(["root", "claim", purpose, count])));
    let mut paged = Vec::new();
    let mut after = Value::Null;
    loop {
        let page =
            post(&server, "transform/subjects/disclosures", json!({ "subject": "synthetic-seen", "limit": 2, "after": after })).expect(200);
        paged.extend(page.data()["disclosures"].as_array().unwrap().clone());
        after = page.data()["next"].clone();
        if after.is_null() {
            break;
        }
    }
    // The refused attempts name the subject too, and revealed nothing.
    assert_eq!(&paged, seen);
    post(&server, "transform/subjects/disclosures", json!({ "subject": "synthetic-seen", "after": "x" })).expect(400);
    post(&server, "transform/subjects/disclosures", json!({ "subject": "synthetic-seen", "limit": 0 })).expect(400);
}

#[test]
fn exportable_values_can_be_exported_and_no_others() {
    let server = tokenizing();
    make(&server, "transform", "open", "open", json!({ "mapping_mode": "exportable", "class": "open" }));
    for n in 0..5 {
        post(
            &server,
            "transform/encode/open",
            json!({ "value": format!("synthetic {n}"), "subject": "synthetic-asks", "metadata": { "n": n.to_string() } }),
        )
        .expect(200);
    }
    post(&server, "transform/encode/open", json!({ "value": "of nobody" })).expect(200);
    bound(&server, "synthetic-asks", "not exportable");
    let all = server.root_read("transform/subjects/synthetic-asks/export");
    assert_eq!((&all.data()["held"], &all.data()["next"]), (&json!(6), &Value::Null));
    let values: Vec<&Value> = all.data()["values"].as_array().unwrap().iter().map(|one| &one["value"]).collect();
    assert_eq!(values, ["synthetic 0", "synthetic 1", "synthetic 2", "synthetic 3", "synthetic 4"]);
    assert_eq!(all.data()["values"][3]["metadata"], json!({ "n": "3" }));
    let first = post(&server, "transform/subjects/export", json!({ "subject": "synthetic-asks", "limit": 3 })).expect(200);
    let body = json!({ "subject": "synthetic-asks", "limit": 3, "after": first.data()["next"] });
    assert_eq!(post(&server, "transform/subjects/export", body).expect(200).data()["values"].as_array().unwrap().len(), 2);
    let seen = server.root_read("transform/subjects/synthetic-asks/disclosures");
    assert_eq!(seen.data()["disclosures"].as_array().unwrap().len(), 3);
    assert_eq!(seen.data()["disclosures"][0]["count"], json!(2));
    server.ask(&server.root(), "DELETE", "transform/subjects/synthetic-asks", Value::Null).expect(200);
    server.ask(&server.root(), "GET", "transform/subjects/synthetic-asks/export", Value::Null).expect(410);
}
