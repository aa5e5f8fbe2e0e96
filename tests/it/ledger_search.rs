//! Asking the ledger: filters, pages in both directions, and that whoever asks is in it.

use serde_json::{Value, json};

use crate::server::Server;

/// A second stream beside the server's own, made by hand: `count` entries, one a millisecond from `start` (SQL) on.
fn another_stream(server: &Server, count: u32, start: &str) {
    server.tamper(&format!(
        r#"SELECT ledger_make_months(({start})::timestamptz);
           INSERT INTO ledger_stream (node) VALUES ('other');
           INSERT INTO ledger_head SELECT stream, {count}, '\x00' FROM ledger_stream WHERE node = 'other';
           INSERT INTO ledger_entry
           SELECT s.stream, n, t, ('0191e2c4-7a35-7c1b-9a44-' || lpad(to_hex(n), 12, '0'))::uuid, 'account-' || n % 7, 'read_secret', 'Secret:synthetic/' || n,
                  'granted', NULL, NULL, format('{{"v":1,"stream":%s,"seq":%s,"path":"synthetic/data/%s","status":200,"latency_us":1}}', s.stream, n, n), '\x00'
           FROM ledger_stream s, generate_series(1, {count}) n, LATERAL (SELECT ({start})::timestamptz + n * interval '1 millisecond' AS t) a
           WHERE s.node = 'other'; ANALYZE ledger_entry"#
    ));
}

fn place(entry: &Value) -> (String, i64, i64) {
    let time = entry["time"].as_str().unwrap_or_default().to_owned();
    (time, entry["stream"].as_i64().unwrap(), entry["seq"].as_i64().unwrap())
}

/// Every page of a search, following `link`.
fn pages(server: &Server, filter: &str, first: &str, link: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut cursor) = (Vec::new(), first.to_owned());
    loop {
        let page = server.root_read(&format!("sys/ledger/entries?{filter}&cursor={cursor}")).data().clone();
        pages.push(page["entries"].as_array().unwrap().clone());
        match page[link].as_str() {
            Some(next) if link == "next" || !page["entries"].as_array().unwrap().is_empty() => cursor = next.to_owned(),
            _ => return pages,
        }
        assert!(pages.len() < 10_000, "the pages do not end");
    }
}

#[test]
fn each_filter_finds_what_the_auditors_view_holds() {
    let server = Server::start();
    let root = server.root();
    for n in 0..3 {
        server.root_write(&format!("secret/data/app/{n}"), json!({ "data": { "n": n } }));
        server.root_read(&format!("secret/data/app/{n}"));
    }
    server.ask(&root, "GET", "secret/data/app_x/none", Value::Null).expect(404);
    server.ask("hvs.synthetic", "GET", "secret/data/app/1", Value::Null).expect(403);
    let nobody = server.token_in(&["group-that-no-policy-names"]);
    let refused = server.ask(&nobody, "GET", "secret/data/app/1", Value::Null).expect(403);
    let id = refused.headers["x-goldfin-request-id"].clone();
    let until =
        server.sql("postgres", "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')").unwrap();
    for (filter, condition) in [
        ("account=root", "account = 'root'"),
        ("action=read_secret", "action = 'read_secret'"),
        ("action=read_secret&decision=granted", "action = 'read_secret' AND decision = 'granted'"),
        ("path=secret/data/app/1", "entry::jsonb ->> 'path' LIKE 'secret/data/app/1%'"),
        ("path=secret/data/app_", "entry::jsonb ->> 'path' LIKE 'secret/data/app\\_%'"),
        ("resource=secret/app/", "resource LIKE '%:secret/app/%'"),
        ("resource=Secret:secret/app/1", "resource = 'Secret:secret/app/1'"),
        ("peer=127.0.0.1", "peer = '127.0.0.1'"),
        ("peer=127.0.0.0/8&status=403", "peer = '127.0.0.1' AND status = 403"),
        ("peer=192.0.2.0/24", "false"),
        ("status=404", "status = 404"),
        ("method=none", "method = 'none'"),
        ("denied_because=none_permits", "entry::jsonb ->> 'denied_because' = 'none_permits'"),
        ("reason=malformed", "entry::jsonb ->> 'reason' = 'malformed'"),
        ("kind=request", "kind = 'request'"),
        (&format!("request_id={id}"), &format!("request_id = '{id}'")),
    ] {
        let found = server.entries(&format!("{filter}&until={until}&limit=1000"));
        let numbers = found.iter().map(|entry| entry["seq"].to_string()).collect::<Vec<_>>().join(",");
        let statement =
            format!("SELECT coalesce(string_agg(seq::text, ',' ORDER BY seq DESC), '') FROM audit WHERE {condition} AND time < '{until}'");
        assert_eq!(numbers, server.sql("goldfin_auditor", &statement).unwrap(), "{filter}");
    }
    for found in ["path=secret/data/app_", "status=404", "denied_because=none_permits", "method=none"] {
        assert!(!server.entries(found).is_empty(), "{found}");
    }
    for query in ["peer=here", "status=ok", "order=up", "cursor=x", "subject=a-person"] {
        server.ask(&root, "GET", &format!("sys/ledger/entries?{query}"), Value::Null).expect(400);
    }
    for body in [json!({ "status": "ok" }), json!({ "cursor": "x" }), json!({ "Subject": "a" }), json!({ "subject": 123_456_789 })] {
        let answer = server.ask(&root, "POST", "sys/ledger/search", body).expect(400);
        assert!(!answer.errors().contains("123456789"));
    }
    let found = server.root_write("sys/ledger/search", json!({ "status": 404, "path": "secret/data/app_", "limit": 1 })).data().clone();
    assert_eq!(found["entries"].as_array().unwrap().len(), 1);
}

#[test]
fn pages_of_several_streams_go_both_ways_and_lose_nothing() {
    let server = Server::start();
    // Before, among and behind the entries of the server's own stream.
    another_stream(&server, 400, "(SELECT min(time) FROM ledger_entry) - interval '100 milliseconds'");
    for n in 0..20 {
        server.root_write(&format!("secret/data/app/{n}"), json!({ "data": { "n": n } }));
    }
    let until =
        server.sql("postgres", "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')").unwrap();
    let expected = server
        .sql("postgres", &format!("SELECT string_agg(stream || ':' || seq, ' ' ORDER BY time DESC, stream DESC, seq DESC) FROM ledger_entry WHERE time < '{until}'"))
        .unwrap();
    let listed = |pages: &[Vec<Value>]| {
        let all = pages.iter().flatten().map(place).map(|(_, stream, seq)| format!("{stream}:{seq}"));
        all.collect::<Vec<_>>()
    };
    let newest = pages(&server, &format!("until={until}&limit=37"), "", "next");
    assert!(newest.iter().rev().skip(1).all(|page| page.len() == 37));
    assert_eq!(listed(&newest).join(" "), expected);
    let oldest = pages(&server, &format!("until={until}&limit=37&order=oldest"), "", "next");
    let mut backwards = listed(&oldest);
    backwards.reverse();
    assert_eq!(backwards.join(" "), expected);
    // From the last page back to the first.
    let mut cursor = String::new();
    for _ in 1..newest.len() {
        let page = server.root_read(&format!("sys/ledger/entries?until={until}&limit=37&cursor={cursor}")).data().clone();
        cursor = page["next"].as_str().unwrap().to_owned();
    }
    let mut back = pages(&server, &format!("until={until}&limit=37"), &cursor, "previous");
    assert_eq!(back.remove(0), *newest.last().unwrap());
    back.pop();
    back.reverse();
    assert_eq!(listed(&back), listed(newest.get(..newest.len() - 1).unwrap()));
    // The end that is newest can be followed: what comes later is on the page before the first.
    let first = server.root_read("sys/ledger/entries?action=write_secret&limit=5").data().clone();
    let follow = format!("sys/ledger/entries?action=write_secret&cursor={}", first["previous"].as_str().unwrap());
    assert_eq!(server.root_read(&follow).data()["entries"], json!([]));
    server.root_write("secret/data/app/later", json!({ "data": {} }));
    let later = server.root_read(&follow).data().clone();
    assert_eq!(later["entries"].as_array().unwrap().len(), 1);
    assert_eq!(later["entries"][0]["resource"], json!("Secret:secret/app/later"));
}

#[test]
fn a_rare_entry_among_many_is_found_in_bounded_steps() {
    let server = Server::start();
    another_stream(&server, 250_000, "timestamptz '2026-01-01 00:00:00Z'");
    let filter = "path=synthetic/data/77777&limit=10";
    let first = server.root_read(&format!("sys/ledger/entries?{filter}")).data().clone();
    assert_eq!(
        (&first["entries"], first["next"].is_string()),
        (&json!([]), true),
        "a page looks at so many entries and says where to go on"
    );
    let found = pages(&server, filter, "", "next");
    assert_eq!(found.iter().flatten().map(|entry| entry["seq"].clone()).collect::<Vec<_>>(), [json!(77_777)]);
    assert!(found.len() <= 4, "{}", found.len());
    // Times are found without walking to them.
    let within = server.entries("since=2026-01-01T00:01:00Z&until=2026-01-01T00:01:00.010Z&limit=100");
    assert_eq!(within.iter().map(|entry| entry["seq"].as_i64().unwrap()).collect::<Vec<_>>(), (60_000..60_010).rev().collect::<Vec<_>>());
    let plan = server
        .sql("postgres", "EXPLAIN SELECT seq FROM ledger_entry WHERE stream = 2 AND seq > 0 AND seq <= 250000 AND request = '0191e2c4-7a35-7c1b-9a44-000000012fd1' ORDER BY time DESC, seq DESC LIMIT 100000")
        .unwrap();
    assert!(plan.contains("request_idx"), "{plan}");
    assert_eq!(server.entries("request_id=0191e2c4-7a35-7c1b-9a44-000000012fd1")[0]["seq"], json!(77_777));
}

#[test]
fn whoever_reads_the_ledger_is_in_it() {
    let server = Server::start();
    let auditor = server.token_in(&["auditor"]);
    let stranger = server.token_in(&["nobody"]);
    for (method, path, body) in [
        ("GET", "sys/ledger/entries?limit=3", Value::Null),
        ("POST", "sys/ledger/search", json!({ "limit": 3 })),
        ("GET", "sys/ledger/entries/1/1", Value::Null),
    ] {
        let read = server.ask(&auditor, method, path, body.clone()).expect(200);
        let refused = server.ask(&stranger, method, path, body).expect(403);
        for (answer, decision) in [(read, "granted"), (refused, "denied")] {
            let id = &answer.headers["x-goldfin-request-id"];
            let entry = &server.entries(&format!("request_id={id}"))[0];
            assert_eq!((&entry["action"], &entry["decision"]), (&json!("read_ledger"), &json!(decision)), "{path}");
            assert_eq!(entry["path"].as_str(), path.split('?').next());
        }
    }
    let refused = server.entries("action=read_ledger&decision=denied");
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|entry| entry["denied_because"] == json!("none_permits")));
}
