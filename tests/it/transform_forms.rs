//! Templates through the network: FF1, masking, and tokens in the shape of a value.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::server::{Answer, Server};
use crate::transform::{post, results};

const TWEAK: &str = "AAECAwQFBg==";

/// A server with the mount `transform` and the role `app` for every transformation that a test makes.
fn forms(transformations: &[(&str, &str, Value)]) -> Server {
    let server = Server::start();
    server.root_write("sys/mounts/transform", json!({ "type": "transform" }));
    for (kind, name, settings) in transformations {
        make(&server, kind, name, settings.clone());
    }
    let names: Vec<&str> = transformations.iter().map(|(_, name, _)| *name).collect();
    server.root_write("transform/role/app", json!({ "transformations": names }));
    server
}

fn make(server: &Server, kind: &str, name: &str, mut settings: Value) {
    settings["allowed_roles"] = json!(["*"]);
    post(server, &format!("transform/transformations/{kind}/{name}"), settings).expect(204);
}

fn encode(server: &Server, name: &str, value: &str, more: &Value) -> Answer {
    post(server, "transform/encode/app", with(name, value, more))
}

fn decode(server: &Server, name: &str, value: &str, more: &Value) -> Answer {
    post(server, "transform/decode/app", with(name, value, more))
}

fn with(name: &str, value: &str, more: &Value) -> Value {
    let mut body = json!({ "transformation": name, "value": value });
    for (member, node) in more.as_object().into_iter().flatten() {
        body[member] = node.clone();
    }
    body
}

fn encoded(answer: Answer) -> String {
    answer.expect(200).data()["encoded_value"].as_str().unwrap().to_owned()
}

fn decoded(answer: Answer) -> String {
    answer.expect(200).data()["decoded_value"].as_str().unwrap().to_owned()
}

#[test]
fn ff1_keeps_the_format_and_comes_back() {
    let server = forms(&[
        ("fpe", "ssn", json!({ "template": "builtin/socialsecuritynumber", "class": "ssn" })),
        ("fpe", "card", json!({ "template": "builtin/creditcardnumber", "tweak_source": "generated" })),
        ("fpe", "birth", json!({ "template": "builtin/dateofbirth", "tweak_source": "internal" })),
    ]);
    let tweak = json!({ "tweak": TWEAK });
    let made = encoded(encode(&server, "ssn", "000-12-3456", &tweak));
    assert!(made.len() == 11 && made != "000-12-3456" && made.as_bytes()[3] == b'-', "{made}");
    assert_eq!(encoded(encode(&server, "ssn", "000-12-3456", &tweak)), made, "the same value and tweak");
    assert_ne!(encoded(encode(&server, "ssn", "000-12-3456", &json!({ "tweak": "AAECAwQFBw==" }))), made);
    assert_eq!(decoded(decode(&server, "ssn", &made, &tweak)), "000-12-3456");
    assert_eq!(decoded(decode(&server, "ssn", &made.replace('-', ""), &tweak)), "000123456");
    let last_four = post(&server, "transform/decode/app/last-four", with("ssn", &made, &tweak));
    assert_eq!(decoded(last_four), "***-**-3456");
    let unknown = post(&server, "transform/decode/app/another", with("ssn", &made, &tweak)).expect(400);
    assert!(unknown.errors().contains("builtin/socialsecuritynumber") && !unknown.errors().contains("another"), "{}", unknown.errors());

    let card = encode(&server, "card", "4111 1111 1111 1111", &Value::Null).expect(200);
    let (value, tweak) = (card.data()["encoded_value"].as_str().unwrap(), card.data()["tweak"].as_str().unwrap());
    assert_eq!(decoded(decode(&server, "card", value, &json!({ "tweak": tweak }))), "4111 1111 1111 1111");
    let birth = encoded(encode(&server, "birth", "1946-12-31", &Value::Null));
    assert_eq!(decoded(decode(&server, "birth", &birth, &Value::Null)), "1946-12-31");
    let entries = server.entries("action=encode&limit=10");
    assert!(entries.iter().any(|entry| entry["class"] == json!("ssn") && entry["count"] == json!(1)), "{entries:?}");
    assert!(!entries.iter().any(|entry| entry.to_string().contains("12-3456")));
}

#[test]
fn what_does_not_fit_is_refused_item_by_item() {
    let server = forms(&[
        ("fpe", "ssn", json!({ "template": "builtin/socialsecuritynumber" })),
        ("fpe", "inside", json!({ "template": "builtin/socialsecuritynumber", "tweak_source": "internal" })),
        ("fpe", "made", json!({ "template": "builtin/socialsecuritynumber", "tweak_source": "generated" })),
        ("masking", "mask", json!({ "template": "builtin/socialsecuritynumber", "masking_character": "#" })),
        ("tokenization", "shaped", json!({ "shape": "builtin/socialsecuritynumber" })),
        ("tokenization", "opaque", json!({})),
    ]);
    for tweak in ["AAECAwQF", "AAECAwQFBgc=", "no base64", "AAECAwQFBg"] {
        let refused = encode(&server, "ssn", "123-45-6789", &json!({ "tweak": tweak })).expect(400);
        assert!(refused.errors().contains("`tweak`") && refused.errors().contains("7 bytes"), "{}", refused.errors());
    }
    assert!(encode(&server, "ssn", "123-45-6789", &Value::Null).expect(400).errors().contains("`tweak` is missing"));
    for name in ["inside", "made"] {
        assert!(encode(&server, name, "123-45-6789", &json!({ "tweak": TWEAK })).expect(400).errors().contains("leave it out"));
    }
    for member in [json!({ "subject": "s" }), json!({ "ttl": "1h" }), json!({ "metadata": { "a": "b" } })] {
        assert!(encode(&server, "inside", "123-45-6789", &member).expect(400).errors().contains("stores nothing"));
        encode(&server, "mask", "123-45-6789", &member).expect(200);
    }
    let long = "1".repeat(1 << 20);
    let bad = ["", "123-45-678", "synthetic", "٠٠٠-١٢-٣٤٥٦", "123-45-6789 ", &long];
    for name in ["inside", "mask", "shaped"] {
        for value in bad {
            let refused = encode(&server, name, value, &Value::Null).expect(400);
            assert!(refused.errors().contains("`value`") && !refused.errors().contains("678"), "{}", refused.errors());
        }
    }
    for value in bad {
        decode(&server, "inside", value, &Value::Null).expect(400);
    }
    assert!(decode(&server, "mask", "###-##-####", &Value::Null).expect(400).errors().contains("turned back"));
    for path in ["validate", "metadata", "tokenized", "tokens"] {
        post(&server, &format!("transform/{path}/app"), with("inside", "123-45-6789", &Value::Null)).expect(400);
    }
    server.ask(&server.root(), "DELETE", "transform/tokens/app", with("mask", "123-45-6789", &Value::Null)).expect(400);
    for verb in ["rotate", "config", "trim"] {
        let body = json!({ "min_decryption_version": 1, "min_available_version": 1 });
        assert!(post(&server, &format!("transform/tokenization/keys/inside/{verb}"), body).expect(400).errors().contains("one key"));
    }

    let batch = post(
        &server,
        "transform/encode/app",
        json!({ "transformation": "inside", "batch_input": [
            { "value": "123-45-6789", "reference": "fpe" },
            { "value": "123-45-6789", "transformation": "mask", "reference": "mask" },
            { "value": "123-45-6789", "transformation": "shaped", "reference": "shaped" },
            { "value": "123-45-6789", "transformation": "opaque" },
            { "value": "123-45-6789", "transformation": "ssn" },
            { "value": "123-45-6789", "transformation": "ssn", "tweak": TWEAK },
            { "value": "123-45-6789", "transformation": "ssn", "tweak": 7 },
            { "value": 123_456_789, "transformation": "mask" },
            "123-45-6789",
            { "value": "12-345-6789", "transformation": "shaped", "reference": "bad" },
        ] }),
    )
    .expect(200);
    let results = results(&batch);
    let status: Vec<Option<u64>> = results.iter().map(|result| result["status"].as_u64()).collect();
    assert_eq!(status, [None, None, None, None, Some(400), None, Some(400), Some(400), Some(400), Some(400)], "{results:?}");
    assert_eq!((&results[1]["encoded_value"], &results[9]["reference"]), (&json!("###-##-####"), &json!("bad")));
    let again: Vec<Value> = [(0, "inside"), (2, "shaped"), (3, "opaque")]
        .iter()
        .map(|(at, name)| json!({ "value": results[*at]["encoded_value"], "transformation": name }))
        .collect();
    let back = post(&server, "transform/decode/app", json!({ "batch_input": again })).expect(200);
    assert!(crate::transform::results(&back).iter().all(|result| result["decoded_value"] == json!("123-45-6789")), "{back:?}");
}

#[test]
fn templates_and_alphabets_are_kept_and_come_in_any_order() {
    let server = forms(&[("fpe", "early", json!({ "template": "later", "tweak_source": "internal" }))]);
    let root = server.root();
    assert!(encode(&server, "early", "abc", &Value::Null).expect(400).errors().contains("`later`"));
    let template = json!({ "type": "regex", "pattern": "([a-fé]{8})", "alphabet": "letters", "decode_formats": { "first": "<$1>" } });
    server.root_write("transform/template/later", template);
    assert!(encode(&server, "early", "abcdefab", &Value::Null).expect(400).errors().contains("`letters`"));
    server.root_write("transform/alphabet/letters", json!({ "alphabet": "abcdefé" }));
    let made = encoded(encode(&server, "early", "abcdéfab", &Value::Null));
    assert_eq!(decoded(decode(&server, "early", &made, &Value::Null)), "abcdéfab");
    assert!(encode(&server, "early", "abcde\u{301}fab", &Value::Null).expect(400).errors().contains("`later`"), "nothing is normalised");

    let read = server.root_read("transform/template/later");
    assert_eq!(
        read.data(),
        &json!({ "alphabet": "letters", "decode_formats": { "first": "<$1>" }, "encode_format": "", "pattern": "([a-fé]{8})", "type": "regex" })
    );
    assert_eq!(server.root_read("transform/alphabet/letters").data(), &json!({ "alphabet": "abcdefé" }));
    assert_eq!(server.root_read("transform/alphabet/builtin/numeric").data()["alphabet"], json!("0123456789"));
    assert!(server.root_read("transform/template/builtin/zip").data()["pattern"].is_string());
    let keys = |path: &str| server.ask(&root, "LIST", path, Value::Null).expect(200).data()["keys"].clone();
    assert!(keys("transform/template").as_array().unwrap().contains(&json!("builtin/socialsecuritynumber")));
    assert_eq!(keys("transform/template?filter=l*"), json!(["later"]));
    assert_eq!(keys("transform/alphabet?filter=builtin/num*"), json!(["builtin/numeric"]));
    let early = server.root_read("transform/transformation/early");
    assert_eq!(
        (&early.data()["templates"], &early.data()["tweak_source"], &early.data()["type"]),
        (&json!(["later"]), &json!("internal"), &json!("fpe"))
    );
    assert_eq!(keys("transform/transformations/fpe"), json!(["early"]));
    server.ask(&root, "LIST", "transform/transformations/masking", Value::Null).expect(404);
    server.ask(&root, "GET", "transform/transformations/masking/early", Value::Null).expect(404);

    // What was encoded depends on them.
    for (path, body) in [
        ("template/later", json!({ "pattern": "([a-f]{9})" })),
        ("alphabet/letters", json!({ "alphabet": "éfedcba" })),
        ("transformations/fpe/early", json!({ "template": "builtin/socialsecuritynumber" })),
        ("transformations/fpe/early", json!({ "tweak_source": "supplied" })),
        ("transformations/masking/early", json!({ "template": "later" })),
        ("transformation/early", json!({ "type": "tokenization" })),
    ] {
        post(&server, &format!("transform/{path}"), body).expect(400);
    }
    for path in ["template/later", "alphabet/letters"] {
        assert!(server.ask(&root, "DELETE", &format!("transform/{path}"), Value::Null).expect(400).errors().contains("`early`"));
    }
    server.root_write("transform/template/later", json!({ "decode_formats": "second=$1!" }));
    let formatted = post(&server, "transform/decode/app/second", json!({ "value": made }));
    assert_eq!(decoded(formatted), "abcdéfab!");
    assert_eq!(decoded(decode(&server, "early", &made, &Value::Null)), "abcdéfab");
    server.ask(&root, "DELETE", "transform/transformations/tokenization/early", Value::Null).expect(404);
    server.ask(&root, "DELETE", "transform/transformations/fpe/early", Value::Null).expect(204);
    for path in ["template/later", "alphabet/letters"] {
        server.ask(&root, "DELETE", &format!("transform/{path}"), Value::Null).expect(204);
        server.ask(&root, "GET", &format!("transform/{path}"), Value::Null).expect(404);
    }
}

#[test]
fn settings_that_could_not_work_are_refused() {
    let server = forms(&[]);
    for (path, body, says) in [
        ("template/a", json!({ "pattern": "([0-9]{9})" }), "`alphabet` is missing"),
        ("template/a", json!({ "alphabet": "builtin/numeric" }), "`pattern` is missing"),
        ("template/a", json!({ "pattern": "[0-9]{9}", "alphabet": "builtin/numeric" }), "captures nothing"),
        ("template/a", json!({ "pattern": "((a)b)", "alphabet": "builtin/numeric" }), "inside a capture"),
        ("template/a", json!({ "pattern": "(a{5000})", "alphabet": "builtin/numeric" }), "`pattern`"),
        ("template/a", json!({ "pattern": "(a)\\1", "alphabet": "builtin/numeric" }), "not a regular expression"),
        ("template/a", json!({ "pattern": "(a)", "alphabet": "builtin/numeric", "type": "glob" }), "`regex`"),
        ("template/a", json!({ "pattern": "(a)", "alphabet": "../x" }), "`alphabet`"),
        ("template/a", json!({ "pattern": "(a)(b)", "alphabet": "x", "encode_format": "$1" }), "`encode_format`"),
        ("template/a", json!({ "pattern": "(a)(b)", "alphabet": "x", "decode_formats": { "f": "$3" } }), "`decode_formats`"),
        ("template/a", json!({ "pattern": "(a)(b)", "alphabet": "x", "decode_formats": { "a b": "$1" } }), "`decode_formats`"),
        ("template/builtin/zip", json!({ "pattern": "(a)", "alphabet": "x" }), "built in"),
        ("alphabet/a", json!({ "alphabet": "a" }), "2 to 65,536"),
        ("alphabet/a", json!({ "alphabet": "aba" }), "twice"),
        ("alphabet/builtin/numeric", json!({ "alphabet": "ab" }), "built in"),
        ("transformations/fpe/a", json!({}), "`template` is missing"),
        ("transformations/fpe/a", json!({ "template": "builtin/nothing" }), "built in"),
        ("transformations/fpe/a", json!({ "template": "builtin/zip" }), "1,000,000"),
        ("transformations/fpe/a", json!({ "template": "builtin/emailkeepdomain" }), "1,000,000"),
        ("transformations/fpe/a", json!({ "template": "builtin/phone", "tweak_source": "mine" }), "`tweak_source`"),
        ("transformations/masking/a", json!({ "template": "builtin/phone", "masking_character": "ab" }), "`masking_character`"),
        ("transformations/tokenization/a", json!({ "shape": "builtin/zip" }), "1,000,000"),
    ] {
        let refused = post(&server, &format!("transform/{path}"), body).expect(400);
        assert!(refused.errors().contains(says), "{path}: {}", refused.errors());
    }
    // 999,999 values are too few, a million are enough; the alphabet counts, not only the pattern.
    server.root_write("transform/template/six", json!({ "pattern": "([0-9]{5}[0-8])", "alphabet": "builtin/numeric" }));
    assert!(post(&server, "transform/transformations/fpe/a", json!({ "template": "six" })).expect(400).errors().contains("(`six`)"));
    server.root_write("transform/template/six", json!({ "pattern": "([0-9]{6})" }));
    // What concerns another type is ignored.
    let foreign = json!({ "template": "six", "mapping_mode": "exportable", "convergent": true, "shape": "x", "masking_character": "ab", "max_ttl": "1h" });
    server.root_write("transform/transformations/fpe/a", foreign);
    server.root_write("transform/transformations/masking/b", json!({ "template": "six", "tweak_source": "mine", "prefix": "!" }));
    let odd = json!({ "type": "tokenization", "template": "six", "tweak_source": "mine", "masking_character": "ab" });
    server.root_write("transform/transformation/c", odd);
    assert_eq!(server.root_read("transform/transformation/c").data()["shape"], json!("opaque"));
}

#[test]
fn shaped_tokens_are_stored_unique_and_nobodys_number() {
    let mut server = forms(&[
        ("tokenization", "ssn", json!({ "shape": "builtin/socialsecuritynumber", "deletion_allowed": true, "mapping_mode": "exportable" })),
        ("tokenization", "other", json!({ "shape": "builtin/socialsecuritynumber" })),
        ("tokenization", "card", json!({ "shape": "builtin/creditcardnumber" })),
    ]);
    let values: Vec<Value> = (0..1500).map(|n| json!({ "value": format!("123-45-{n:04}"), "transformation": "ssn" })).collect();
    let answer = post(&server, "transform/encode/app", json!({ "batch_input": values })).expect(200);
    let tokens: Vec<String> = results(&answer).iter().map(|result| result["encoded_value"].as_str().unwrap().to_owned()).collect();
    assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), 1500);
    assert!(tokens.iter().all(|token| token.len() == 11 && token.starts_with('9') && !token.contains("123-45")), "{tokens:?}");
    let back: Vec<Value> = tokens.iter().map(|token| json!({ "value": token, "transformation": "ssn" })).collect();
    let answer = post(&server, "transform/decode/app", json!({ "batch_input": back })).expect(200);
    for (n, result) in results(&answer).iter().enumerate() {
        assert_eq!(result["decoded_value"], json!(format!("123-45-{n:04}")));
    }
    let rooted = |path: &str, name: &str, token: &str| post(&server, &format!("transform/{path}/app"), with(name, token, &Value::Null));
    assert_eq!(rooted("validate", "ssn", &tokens[0]).expect(200).data()["valid"], json!(true));

    // Foreign, forged, never issued, malformed: one answer.
    let refused = decode(&server, "ssn", "900-00-0000", &Value::Null).expect(400);
    for (name, token) in [("other", tokens[0].as_str()), ("ssn", "junk"), ("ssn", "123-45-6789"), ("card", &tokens[0]), ("ssn", "")] {
        assert_eq!(decode(&server, name, token, &Value::Null).expect(400).errors(), refused.errors(), "{name}");
    }
    // A subject's shaped tokens go with it, and an export finds them.
    let theirs = encoded(encode(&server, "ssn", "666-00-1111", &json!({ "subject": "veteran-1", "ttl": "1h", "metadata": { "k": "v" } })));
    let export = server.root_read("transform/subjects/veteran-1/export");
    assert_eq!(export.data()["values"][0]["value"], json!("666-00-1111"), "{export:?}");
    assert_eq!(rooted("metadata", "ssn", &theirs).expect(200).data()["metadata"], json!({ "k": "v" }));
    server.ask(&server.root(), "DELETE", "transform/subjects/veteran-1", Value::Null).expect(200);
    decode(&server, "ssn", &theirs, &Value::Null).expect(410);
    server.ask(&server.root(), "DELETE", "transform/tokens/app", with("ssn", &tokens[0], &Value::Null)).expect(204);
    assert_eq!(decode(&server, "ssn", &tokens[0], &Value::Null).expect(400).errors(), refused.errors());

    // After a restart and a rotation numbers go on, and old tokens stay.
    post(&server, "transform/tokenization/keys/ssn/rotate", json!({})).expect(204);
    server.kill_and_restart();
    assert_eq!(decoded(decode(&server, "ssn", &tokens[1], &Value::Null)), "123-45-0001");
    let mut seen: HashSet<String> = tokens.into_iter().collect();
    for _ in 0..20 {
        assert!(seen.insert(encoded(encode(&server, "ssn", "123-45-6789", &Value::Null))), "a token came twice");
    }
    for (path, body) in [("shape", json!({ "shape": "opaque" })), ("shape", json!({ "shape": "builtin/phone" }))] {
        assert!(post(&server, "transform/transformations/tokenization/ssn", body).expect(400).errors().contains(path));
    }
    assert_eq!(server.root_read("transform/transformation/ssn").data()["templates"], json!(["builtin/socialsecuritynumber"]));
}

#[test]
fn shaped_tokens_go_with_convergent_ones_and_through_a_snapshot() {
    let server = forms(&[
        (
            "tokenization",
            "shaped",
            json!({ "shape": "builtin/phone", "mapping_mode": "exportable", "per_value_audit": true, "deletion_allowed": true }),
        ),
        ("tokenization", "same", json!({ "convergent": true })),
        ("masking", "mask", json!({ "template": "builtin/phone" })),
    ]);
    let items: Vec<Value> = ["shaped", "same", "mask", "same", "shaped"]
        .iter()
        .map(|name| json!({ "value": "202-555-0142", "transformation": name }))
        .collect();
    let answer = post(&server, "transform/encode/app", json!({ "batch_input": items })).expect(200);
    let made: Vec<&str> = results(&answer).iter().map(|result| result["encoded_value"].as_str().unwrap()).collect();
    assert!(made[1] == made[3] && made[0] != made[4] && made[2] == "***-***-****" && made[0].starts_with('0'), "{made:?}");
    let entry = &server.entries("action=encode&limit=1")[0];
    assert_eq!(entry["tokens"].as_array().map(Vec::len), Some(5), "{entry:?}");
    assert_eq!(decoded(decode(&server, "shaped", made[4], &Value::Null)), "202-555-0142");
    assert_eq!(decoded(decode(&server, "same", made[1], &Value::Null)), "202-555-0142");

    let at = |act: &str, body: Value| post(&server, &format!("transform/transformations/tokenization/{act}"), body);
    let exported = at("export-decoded/shaped", json!({})).expect(200);
    let tokens: HashSet<&str> =
        exported.data()["values"].as_array().unwrap().iter().map(|value| value["token"].as_str().unwrap()).collect();
    assert_eq!(tokens, HashSet::from([made[0], made[4]]));
    let taken = at("snapshot/shaped", json!({})).expect(200).data()["values"].clone();
    for token in [made[0], made[4]] {
        server.ask(&server.root(), "DELETE", "transform/tokens/app", with("shaped", token, &Value::Null)).expect(204);
    }
    server.tamper("UPDATE transform_key SET issued = 0 WHERE transformation = 'shaped' AND version = 0");
    assert!(at("restore/shaped", json!({ "values": taken })).status < 300);
    assert_eq!(decoded(decode(&server, "shaped", made[0], &Value::Null)), "202-555-0142");
    assert_ne!(server.tamper("SELECT issued FROM transform_key WHERE transformation = 'shaped' AND version = 0").trim(), "0");
    let opaque = encoded(encode(&server, "same", "another", &Value::Null));
    assert_eq!(decoded(decode(&server, "same", &opaque, &Value::Null)), "another");
    for act in ["snapshot", "export-decoded"] {
        at(&format!("{act}/mask"), json!({})).expect(404);
    }
}

#[test]
fn a_shape_that_is_used_up_says_so() {
    let server = forms(&[("tokenization", "small", json!({ "shape": "builtin/zipplusfour" }))]);
    encode(&server, "small", "12345-6789", &Value::Null).expect(200);
    server.tamper("UPDATE transform_key SET issued = 900000 WHERE transformation = 'small' AND version = 0");
    let batch: Vec<Value> = (0..100).map(|_| json!({ "value": "12345-6789" })).collect();
    let answer = post(&server, "transform/encode/app", json!({ "batch_input": batch })).expect(200);
    let refused: Vec<&Value> = results(&answer).iter().filter(|result| result["status"] == json!(400)).collect();
    assert!(!refused.is_empty() && refused.iter().all(|result| result["error"].as_str().unwrap().contains("nearly used up")), "{answer:?}");
    encode(&server, "small", "12345-6789", &Value::Null).expect(400);
    // Numbers that were given out already: nothing is overwritten, and nobody else is disturbed.
    server.tamper("UPDATE transform_key SET issued = 0 WHERE transformation = 'small' AND version = 0");
    make(&server, "tokenization", "opaque", json!({}));
    server.root_write("transform/role/app", json!({ "transformations": ["small", "opaque"] }));
    let mut server = server;
    server.kill_and_restart();
    let refused = encode(&server, "small", "12345-6789", &Value::Null);
    assert!(refused.status >= 400, "{refused:?}");
    encode(&server, "opaque", "12345-6789", &Value::Null).expect(200);
}

#[test]
fn a_template_that_was_edited_in_the_database_is_not_honoured() {
    let mut server = forms(&[]);
    server.root_write("transform/template/own", json!({ "pattern": "([0-9]{9})", "alphabet": "builtin/numeric" }));
    make(&server, "masking", "mask", json!({ "template": "own" }));
    server.root_write("transform/role/app", json!({ "transformations": ["mask"] }));
    assert_eq!(encoded(encode(&server, "mask", "123456789", &Value::Null)), "*********");
    server.tamper("UPDATE control SET body = replace(body, '([0-9]{9})', '([0-9]{1})[0-9]{8}') WHERE kind = 'template'");
    server.kill_and_restart();
    let refused = encode(&server, "mask", "123456789", &Value::Null).expect(500);
    assert!(!refused.body.to_string().contains("23456789"));
}

#[test]
fn free_text_takes_opaque_tokens_only() {
    let server = forms(&[
        ("tokenization", "shaped", json!({ "shape": "builtin/socialsecuritynumber", "class": "ssn" })),
        ("tokenization", "phone", json!({ "class": "phone" })),
    ]);
    let text = "Synthetic: SSN 123-45-6789, phone 202-555-0142.";
    let redacted = post(&server, "transform/redact/app", json!({ "text": text })).expect(200);
    let written = redacted.data()["text"].as_str().unwrap();
    assert!(written.contains("[ssn]") && written.contains("pii_") && !written.contains("0142"), "{written}");
    let chosen = json!({ "text": text, "transformations": { "ssn": "shaped" } });
    assert!(post(&server, "transform/redact/app", chosen).expect(400).errors().contains("`transformations`"));
    let restored = post(&server, "transform/restore/app", json!({ "text": written })).expect(200);
    assert!(restored.data()["text"].as_str().unwrap().ends_with("phone 202-555-0142."), "{restored:?}");
}

#[test]
fn each_type_is_a_setting_of_its_own() {
    let server = forms(&[("fpe", "card", json!({ "template": "builtin/creditcardnumber", "tweak_source": "internal" }))]);
    let may = |path: &str| post(&server, "sys/capabilities-self", json!({ "paths": [path] })).expect(200).data()[path].clone();
    assert_eq!(may("transform/transformation/card"), may("transform/transformations/fpe/card"));
    for (name, policy) in [
        ("fpe-only", r#"permit(principal in Group::"fpe-only", action, resource == Setting::"transform/transformations/fpe/card");"#),
        ("old-path", r#"permit(principal in Group::"old-path", action, resource == Setting::"transform/transformation/card");"#),
    ] {
        server.root_write(&format!("sys/policies/acl/{name}"), json!({ "policy": policy }));
    }
    let (fpe, old) = (server.token_in(&["fpe-only"]), server.token_in(&["old-path"]));
    for path in ["transform/transformation/card", "transform/transformations/fpe/card"] {
        server.ask(&fpe, "GET", path, Value::Null).expect(200);
        server.ask(&old, "GET", path, Value::Null).expect(403);
    }
    server.ask(&fpe, "GET", "transform/transformations/masking/card", Value::Null).expect(403);
}
