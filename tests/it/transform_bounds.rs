//! The edges of what can be tokenized: the largest bodies and values, all of Unicode, what is no text, and wrong types in every place.

use serde_json::{Value, json};

use crate::server::{Answer, Server};
use crate::transform::{make, post, results, tokenizing};

/// One transformation of each stored kind, all in the role `all`.
fn kinds() -> (Server, [&'static str; 3]) {
    let server = tokenizing();
    make(&server, "transform", "opaque", "opaque", json!({ "deletion_allowed": true }));
    make(&server, "transform", "same", "same", json!({ "convergent": true, "deletion_allowed": true }));
    make(&server, "transform", "open", "open", json!({ "mapping_mode": "exportable", "deletion_allowed": true, "per_value_audit": true }));
    (server, ["opaque", "same", "open"])
}

fn raw(server: &Server, path: &str, body: Vec<u8>) -> Answer {
    server.ask_raw(&server.root(), "POST", path, body, &[])
}

/// What goldfin holds, and what it held at most since it started; in bytes.
fn memory(server: &Server) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process_id())).unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

#[test]
fn the_largest_body_is_answered_in_bounded_memory() {
    let server = tokenizing();
    // Ten thousand values stay under 64 MB.
    let many = serde_json::to_vec(&json!({ "batch_input": vec![json!({ "value": "synthetic 000-00-0000" }); 10_000] })).unwrap();
    raw(&server, "transform/encode/app", serde_json::to_vec(&json!({ "value": "v" })).unwrap()).expect(200);
    let (before, _) = memory(&server);
    assert_eq!(results(&raw(&server, "transform/encode/app", many).expect(200)).len(), 10_000);
    let (_, most) = memory(&server);
    assert!(most - before < 64 << 20, "{} MB for ten thousand values", (most - before) >> 20);

    // The largest body that there is, with values as large as they may be.
    let value = |n: usize| format!("{n:02}{}", "x".repeat((1 << 20) - 2));
    let items: Vec<Value> = (0..31).map(|n| json!({ "value": value(n) })).collect();
    let mut body = serde_json::to_vec(&json!({ "batch_input": items })).unwrap();
    drop(items);
    assert!(body.len() < 32 << 20);
    body.resize(32 << 20, b' ');
    let (before, _) = memory(&server);
    let answer = raw(&server, "transform/encode/app", body.clone()).expect(200);
    let (_, most) = memory(&server);
    println!("{} MB for an encode of 32 MB", (most - before) >> 20);
    assert!(most - before < 256 << 20, "{} MB for an encode of 32 MB", (most - before) >> 20);
    let tokens: Vec<Value> = results(&answer).iter().map(|item| json!({ "value": item["encoded_value"] })).collect();
    for (n, token) in tokens.iter().enumerate() {
        let decoded = post(&server, "transform/decode/app", token.clone()).expect(200);
        assert!(decoded.data()["decoded_value"] == json!(value(n)), "{n}");
    }
    let all = raw_size(&server, &json!({ "batch_input": tokens }));
    assert!(all > 31 << 20, "{all}");
    let (_, most) = memory(&server);
    println!("{} MB for a decode of 32 MB", (most - before) >> 20);
    assert!(most - before < 256 << 20, "{} MB for a decode of 32 MB", (most - before) >> 20);
    body.push(b' ');
    raw(&server, "transform/encode/app", body).expect(413);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

/// The size of the answer to a decode, which is larger than the test's client reads by itself.
fn raw_size(server: &Server, body: &Value) -> usize {
    let request = ureq::http::Request::builder()
        .method("POST")
        .uri(format!("{}/v1/transform/decode/app", server.address()))
        .header("X-Vault-Token", server.root())
        .body(serde_json::to_vec(body).unwrap())
        .unwrap();
    let mut answer = server.agent.run(request).unwrap();
    assert_eq!(answer.status(), 200);
    answer.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap().len()
}

#[test]
fn all_of_unicode_goes_in_and_comes_out_as_it_was() {
    let (server, kinds) = kinds();
    let mut texts: Vec<String> = [
        "\u{e9}",
        "e\u{301}",
        "\u{fb01}",
        "\u{212b}",
        "\u{c5}",
        "\u{0}",
        "\u{feff}x",
        "\u{202e}abc",
        "\u{1f9d1}\u{200d}\u{1f52c}",
        "\u{1f1fa}\u{1f1f8}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{e000}",
        "\u{fdd0}",
        "\u{1100}\u{1161}\u{11a8}",
        "\u{ac01}",
        "\u{0660}\u{0661}",
        " \t\r\n",
        "\"\\/\u{8}\u{c}",
        "\u{7f}\u{80}\u{9f}",
        "\u{2028}\u{2029}",
        "<script>&amp;",
        "%00%2e",
        "${x}",
        "\u{dc}\u{308}",
        "\u{1e9e}",
    ]
    .map(str::to_owned)
    .to_vec();
    // Every plane, a stretch of each, in one text.
    for plane in 0..=16_u32 {
        texts.push((0..600).filter_map(|step| char::from_u32(plane * 0x1_0000 + step * 109)).collect());
    }
    for kind in kinds {
        let items: Vec<Value> = texts.iter().map(|text| json!({ "value": text, "metadata": { "note": text } })).collect();
        let answer = post(&server, &format!("transform/encode/{kind}"), json!({ "batch_input": items })).expect(200);
        let tokens: Vec<Value> = results(&answer).iter().map(|item| json!({ "value": item["encoded_value"] })).collect();
        let answer = post(&server, &format!("transform/decode/{kind}"), json!({ "batch_input": tokens })).expect(200);
        for (text, item) in texts.iter().zip(results(&answer)) {
            assert_eq!(item["decoded_value"], json!(text), "{kind}: {}", text.escape_unicode());
        }
        let answer = post(&server, &format!("transform/metadata/{kind}"), json!({ "batch_input": tokens })).expect(200);
        for (text, item) in texts.iter().zip(results(&answer)) {
            assert_eq!(item["metadata"]["note"], json!(text), "{kind}: {}", text.escape_unicode());
        }
    }
    // What is written as escapes is the text that it stands for; half a pair is none.
    let same = |body: &str| raw(&server, "transform/encode/same", body.as_bytes().to_vec()).expect(200).data()["encoded_value"].clone();
    assert_eq!(same(r#"{"value":"Zo\u00eb \ud83e\udd8a"}"#), same("{\"value\":\"Zo\u{eb} \u{1f98a}\"}"));
    assert_ne!(same("{\"value\":\"\u{e9}\"}"), same("{\"value\":\"e\u{301}\"}"), "nothing is normalised");
    for body in [r#"{"value":"\ud83e"}"#, r#"{"value":"\udd8a\ud83e"}"#, r#"{"value":"\ud83ex"}"#, r#"{"value":"\u12"}"#] {
        raw(&server, "transform/encode/app", body.as_bytes().to_vec()).expect(400);
    }
    // Bytes that are no UTF-8: overlong, a surrogate, beyond the last character, cut short, lone.
    for bytes in [&b"\xc0\xaf"[..], b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xff", b"\x80"] {
        for (before, after) in
            [("{\"value\":\"synthetic", "\"}"), ("{\"batch_input\":[{\"value\":\"synthetic", "\"}]}"), ("{\"syn", "\":1}")]
        {
            let refused = raw(&server, "transform/encode/app", [before.as_bytes(), bytes, after.as_bytes()].concat()).expect(400);
            assert!(!refused.errors().contains("synthetic"), "{refused:?}");
        }
    }
}

#[test]
fn templates_take_letters_of_any_script() {
    let server = tokenizing();
    server.root_write("transform/alphabet/greek", json!({ "alphabet": "\u{3b1}\u{3b2}\u{3b3}\u{3b4}\u{3b5}\u{3b6}\u{3b7}\u{3b8}" }));
    server.root_write(
        "transform/alphabet/animals",
        json!({ "alphabet": "\u{1f980}\u{1f98a}\u{1f989}\u{1f40b}\u{1f40c}\u{1f41d}\u{1f422}\u{1f426}\u{1f428}\u{1f42c}" }),
    );
    let greek = json!({ "pattern": "\u{2116}([\u{3b1}-\u{3b8}]{4})[\u{2010}-]([\u{3b1}-\u{3b8}]{4})\u{3c9}*", "alphabet": "greek", "encode_format": "\u{2116}$1-$2\u{3c9}" });
    server.root_write("transform/template/greek", greek);
    server.root_write("transform/template/animals", json!({ "pattern": "([\u{1f400}-\u{1f9ff}]{7})", "alphabet": "animals" }));
    for (name, value, shown) in [
        ("greek", "\u{2116}\u{3b1}\u{3b1}\u{3b1}\u{3b2}\u{2010}\u{3b8}\u{3b7}\u{3b6}\u{3b5}\u{3c9}\u{3c9}", None),
        ("animals", "\u{1f980}\u{1f980}\u{1f98a}\u{1f989}\u{1f40b}\u{1f40c}\u{1f41d}", Some("***")),
    ] {
        for (kind, more) in [
            ("fpe", json!({ "tweak_source": "internal", "template": name })),
            ("tokenization", json!({ "shape": name })),
            ("masking", json!({ "template": name })),
        ] {
            let own = format!("{kind}-{name}");
            let mut settings = more.clone();
            settings["allowed_roles"] = json!("*");
            post(&server, &format!("transform/transformations/{kind}/{own}"), settings).expect(204);
            post(&server, &format!("transform/role/{own}"), json!({ "transformations": [own] })).expect(204);
            let encode = |value: &str| post(&server, &format!("transform/encode/{own}"), json!({ "value": value }));
            let made = encode(value).expect(200).data()["encoded_value"].as_str().unwrap().to_owned();
            assert_ne!(made, value);
            if kind == "masking" {
                assert!(shown.is_none_or(|shown| made.contains(shown)), "{made}");
                continue;
            }
            let decoded = post(&server, &format!("transform/decode/{own}"), json!({ "value": made })).expect(200);
            let back = decoded.data()["decoded_value"].as_str().unwrap();
            // An encode format writes the layout anew; nothing else changes.
            let letters = |text: &str| text.chars().filter(|c| !"\u{2010}-\u{3c9}".contains(*c)).collect::<String>();
            assert_eq!(letters(back), letters(value), "{own}: {made}");
            assert!(kind == "fpe" || back == value, "{own}: {made}");
            for wrong in ["", "\u{3b1}", "synthetic", &format!("{value}\u{301}"), &value.replace(['\u{3b1}', '\u{1f980}'], "a")] {
                assert_eq!(encode(wrong).status, 400, "{own}: {wrong}");
            }
        }
    }
}

#[test]
fn wrong_types_empty_and_long_values_fail_their_item_alone() {
    let (server, kinds) = kinds();
    let root = server.root();
    let long = "x".repeat((1 << 20) + 1);
    for kind in kinds {
        let good = post(&server, &format!("transform/encode/{kind}"), json!({ "value": "v" })).expect(200).data()["encoded_value"].clone();
        for (verb, path, right) in [
            ("POST", "encode", json!("w")),
            ("POST", "decode", good.clone()),
            ("POST", "validate", good.clone()),
            ("POST", "metadata", good.clone()),
            ("POST", "tokenized", json!("v")),
            ("POST", "tokens", json!("v")),
            ("DELETE", "tokens", good.clone()),
        ] {
            if kind != "same" && (path == "tokenized" || (path == "tokens" && verb == "POST")) {
                continue;
            }
            let mut items: Vec<Value> = vec![
                json!({ "value": 7 }),
                json!({ "value": 1.5 }),
                json!({ "value": true }),
                json!({ "value": null }),
                json!({ "value": ["a"] }),
                json!({ "value": { "a": "b" } }),
                json!({}),
                json!(null),
                json!(7),
                json!("text"),
                json!([]),
                json!({ "value": "v", "transformation": 7 }),
                json!({ "value": "v", "reference": [] }),
                json!({ "value": "v", "Value": "v" }),
                json!({ "value": "v", "transformation": "synthetic" }),
            ];
            if path == "encode" {
                items.extend([
                    json!({ "value": "" }),
                    json!({ "value": long }),
                    json!({ "value": "v", "ttl": [] }),
                    json!({ "value": "v", "ttl": "soon" }),
                    json!({ "value": "v", "subject": 7 }),
                    json!({ "value": "v", "subject": "" }),
                    json!({ "value": "v", "metadata": { "a": 1 } }),
                    json!({ "value": "v", "expiration": 7 }),
                    json!({ "value": "v", "tweak": 7 }),
                ]);
            }
            let wrong = items.len();
            items.push(json!({ "value": right, "reference": "right" }));
            let answer = server.ask(&root, verb, &format!("transform/{path}/{kind}"), json!({ "batch_input": items })).expect(200);
            for (item, result) in items.iter().zip(results(&answer)).take(wrong) {
                assert!(result["status"] == json!(400) && result["error"].is_string(), "{verb} {path} {kind}: {item}: {result}");
                assert!(!result.to_string().contains("synthetic") && !result.to_string().contains("soon"), "{result}");
            }
            let last = &results(&answer)[wrong];
            assert!(last.get("error").is_none() && last["reference"] == json!("right"), "{verb} {path} {kind}: {last}");
        }
    }
    // A value of a megabyte is the largest, for each kind of stored token; an empty one is refused alone too.
    for kind in kinds {
        let encode = |value: &str| post(&server, &format!("transform/encode/{kind}"), json!({ "value": value }));
        let token = encode(&long[1..]).expect(200).data()["encoded_value"].clone();
        let decoded = post(&server, &format!("transform/decode/{kind}"), json!({ "value": token })).expect(200);
        assert!(decoded.data()["decoded_value"] == json!(long[1..]));
        for wrong in ["", &long] {
            assert!(encode(wrong).expect(400).errors().contains("`value`"));
        }
    }
}

/// How often the rows of tokens were looked for, once the counts stand still.
fn looked_for(server: &Server) -> u64 {
    let count = || server.sql("postgres", "SELECT idx_scan + seq_scan FROM pg_stat_user_tables WHERE relname = 'pii_token'").unwrap();
    let mut last = String::new();
    loop {
        std::thread::sleep(std::time::Duration::from_millis(2500));
        let now = count();
        if now == last {
            return now.parse().unwrap();
        }
        last = now;
    }
}

#[test]
fn tokens_that_are_none_cost_the_same_work() {
    let server = tokenizing();
    make(&server, "transform", "second", "second", json!({}));
    for name in ["shaped", "other"] {
        make(&server, "transform", name, name, json!({ "shape": "builtin/socialsecuritynumber" }));
    }
    let foreign =
        post(&server, "transform/encode/second", json!({ "value": "v" })).expect(200).data()["encoded_value"].as_str().unwrap().to_owned();
    let shaped: Vec<String> = (0..40)
        .map(|n| {
            post(&server, "transform/encode/other", json!({ "value": format!("123-45-{n:04}") })).expect(200).data()["encoded_value"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let mut forged = foreign.clone().into_bytes();
    let at = forged.len() - 9;
    forged[at] = if forged[at] == b'a' { b'b' } else { b'a' };
    let forged = String::from_utf8(forged).unwrap();
    let work = |role: &str, tokens: &[String]| {
        let before = looked_for(&server);
        for token in tokens {
            let refused = post(&server, &format!("transform/decode/{role}"), json!({ "value": token })).expect(400);
            assert_eq!(refused.body, json!({ "errors": ["the token is not one of this transformation"] }));
            assert_eq!(refused.headers.get("content-length"), Some(&refused.body.to_string().len().to_string()));
        }
        looked_for(&server) - before
    };
    // Of an opaque one the checksum says so, whoever made it, and the database is not asked.
    assert_eq!((work("app", &vec![foreign; 40]), work("app", &vec![forged; 40])), (0, 0));
    // Every number is one that a shape could have made, its own or another's: each is looked for once.
    let never: Vec<String> = (0..40).map(|n| format!("9{n:02}-44-8{n:03}")).filter(|token| !shaped.contains(token)).take(40).collect();
    assert_eq!((work("shaped", &shaped), work("shaped", &never)), (40, 40));
}
