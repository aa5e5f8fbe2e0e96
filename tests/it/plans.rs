//! How PostgreSQL finds what requests ask for.

use std::time::Duration;

use serde_json::{Value, json};

use crate::server::Server;
use crate::transform::{decode, encode, post, results, tokenizing};

/// Requests of each kind: more than PostgreSQL looks at before it keeps a plan.
const TURNS: u64 = 12;

/// How often the tables that every decode needs were read as a whole, and by an index.
fn scans(server: &Server) -> (u64, u64) {
    let counts = server
        .sql(
            "postgres",
            "SELECT sum(seq_scan) || ' ' || min(idx_scan) FROM pg_stat_user_tables WHERE relname IN ('pii_token', 'subject', 'ledger_head')",
        )
        .unwrap();
    let (whole, by_index) = counts.split_once(' ').unwrap();
    (whole.parse().unwrap(), by_index.parse().unwrap())
}

#[test]
fn no_request_reads_a_whole_table_because_it_was_small_once() {
    let server = tokenizing();
    let item = |n: u64| json!({ "value": format!("synthetic {n}"), "subject": format!("synthetic-{n}") });
    let single = encode(&server, item(0));
    let made = post(&server, "transform/encode/app", json!({ "batch_input": (1..40).map(item).collect::<Vec<_>>() })).expect(200);
    let batch: Vec<Value> = results(&made).iter().map(|item| json!({ "value": item["encoded_value"] })).collect();
    // From now on PostgreSQL knows that each of them fits into a page or two.
    for table in ["pii_token", "subject", "ledger_head"] {
        server.sql("postgres", &format!("ANALYZE {table}")).unwrap();
    }
    let before = scans(&server);
    for _ in 0..TURNS {
        decode(&server, &single).expect(200);
        post(&server, "transform/decode/app", json!({ "batch_input": batch })).expect(200);
    }
    // Sessions tell their counts a second later, or ten.
    for _ in 0..120 {
        let now = scans(&server);
        if now.1 >= before.1 + 2 * TURNS {
            assert_eq!(now.0, before.0, "a table was read as a whole");
            return;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    panic!("PostgreSQL counted {:?} before and {:?} after", before, scans(&server));
}
