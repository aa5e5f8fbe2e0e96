//! Months of the ledger that leave the database: archived, verified, pruned, and verified over the cut. `--clock` lets the server live
//! through them, so that every entry is what goldfin wrote.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::ledger_mutations::goldfin;
use crate::ledger_tree::checkpoint_covering;
use crate::server::Server;

/// A server that has entries of January and February 2012, and of now.
fn of_three_months() -> Server {
    let mut server = Server::start_with(&["--clock", "2012-01-10T12:00:00Z"]);
    write(&server, "january", 4);
    server.stop();
    server.start_again_with(&["--clock", "2012-02-10T12:00:00Z"]);
    write(&server, "february", 4);
    server.stop();
    server.start_again_with(&[]);
    write(&server, "now", 2);
    server
}

fn write(server: &Server, path: &str, count: u32) {
    for n in 0..count {
        server.root_write(&format!("secret/data/{path}"), json!({ "data": { "n": n } }));
    }
}

fn archive_next(server: &Server) -> Value {
    server.root_write("sys/ledger/archive", json!({ "until": "2012-12" })).data().clone()
}

fn prune(server: &Server) -> crate::server::Answer {
    server.ask(&server.root(), "POST", "sys/ledger/prune", json!({ "until": "2012-12" }))
}

fn number(server: &Server, query: &str) -> i64 {
    server.sql("postgres", query).unwrap().parse().unwrap()
}

fn files(server: &Server) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(server.data().join("archive")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn key(server: &Server) -> PathBuf {
    let key = server.data().join("ledger.key");
    std::fs::write(&key, goldfin(server, &["audit", "key"]).1).unwrap();
    key
}

/// The verdict on the database without a server: exit code and place, with the MAC key and with the public key.
fn offline(server: &Server, public: &Path) -> [(i32, Value); 2] {
    let url = format!("postgresql:///goldfin?host={}&user=postgres", server.socket().display());
    let unseal = server.variable("GOLDFIN_UNSEAL_KEYS_FILE").to_owned();
    [["--mac-key", &unseal], ["--public-key", public.to_str().unwrap()]].map(|keys| {
        let (code, out, _) = goldfin(server, &[&["audit", "verify", "--format", "json", "--database", &url], &keys[..]].concat());
        (code, serde_json::from_str::<Value>(&out).map_or(Value::Null, |report| report["streams"][0]["seq"].clone()))
    })
}

const SOUND: (i32, Value) = (0, Value::Null);

#[test]
fn months_are_archived_and_pruned_and_verification_goes_on_over_the_cut() {
    let mut server = of_three_months();
    let january = number(&server, "SELECT max(seq) FROM ledger_entry WHERE time < '2012-02-01Z'");
    let february = number(&server, "SELECT max(seq) FROM ledger_entry WHERE time < '2012-03-01Z'");
    assert_eq!(number(&server, "SELECT count(*) FROM ledger_entry_2012_01"), january);
    let (code, out, error) = goldfin(&server, &["audit", "archive", "--until", "2012-12"]);
    assert!(code == 0 && out.contains("2012-01") && out.contains("2012-02"), "{code} {out} {error}");
    assert_eq!(archive_next(&server), json!({ "archive": null, "remaining": 0 }));
    let files = files(&server);
    assert_eq!(files.len(), 2);
    // Each is an entry that names what was archived.
    let recorded = server.entries("action=archive_ledger&order=oldest");
    let first = &recorded[0];
    assert_eq!((&first["decision"], &first["count"]), (&json!("granted"), &json!(january)));
    assert!(first["ranges"][0].as_str().unwrap().starts_with(&format!("2012-01/1:1-{january}:")), "{first}");
    // Archives verify alone and one behind the other, and a cut in their row is found.
    let key = key(&server);
    let verify = |paths: &[&PathBuf]| {
        let mut arguments = vec!["audit", "verify", "--format", "json", "--public-key", key.to_str().unwrap()];
        paths.iter().for_each(|path| arguments.extend(["--archive", path.to_str().unwrap()]));
        let (code, out, _) = goldfin(&server, &arguments);
        (code, serde_json::from_str::<Value>(&out).map_or(Value::Null, |report| report["entries"].clone()))
    };
    assert_eq!(verify(&[&files[0]]), (0, json!(january)));
    assert_eq!(verify(&[&files[1]]), (0, json!(february - january)));
    assert_eq!(verify(&[&files[1], &files[0]]), (0, json!(february)), "in the order of their names");
    assert_eq!(verify(&[&server.data().join("archive")]), (0, json!(february)));
    let receipt = server.root_write("secret/data/now", json!({ "data": {} })).headers["x-goldfin-receipt"].clone();
    // Pruned, month by month, and nothing else changes.
    let pruned = prune(&server).expect(200);
    assert_eq!((&pruned.data()["month"], &pruned.data()["entries"]), (&json!("2012-01"), &json!(january)));
    assert_eq!(number(&server, "SELECT min(seq) FROM ledger_entry"), january + 1);
    assert_eq!((server.verify()["exit_code"].clone(), offline(&server, &key)), (json!(0), [SOUND, SOUND]));
    assert_eq!(number(&server, "SELECT ledger_seq_before(1, '2012-01-20Z')"), january);
    let listed = server.entries("since=2012-01-01T00:00:00Z&until=2012-03-01T00:00:00Z&limit=1000");
    assert_eq!(listed.len() as i64, february - january);
    server.ask(&server.root(), "GET", "sys/ledger/entries/1/1", Value::Null).expect(410);
    server.ask(&server.root(), "GET", "sys/ledger/1/tile/lines/000.p/1", Value::Null).expect(410);
    let entry = &server.entries("action=prune_ledger")[0];
    assert!(entry["ranges"][0].as_str().unwrap().starts_with(&format!("2012-01/1:1-{january}:")), "{entry}");
    let (code, out, _) = goldfin(&server, &["audit", "prune", "--until", "2012-12"]);
    assert!(code == 0 && out.contains("2012-02"), "{code} {out}");
    assert!(number(&server, "SELECT ledger_drop_pruned()") > 0);
    assert!(server.sql("postgres", "SELECT FROM ledger_entry_2012_01").unwrap_err().contains("does not exist"));
    // What older rows of other tables are told by is still known: the node starts, and goes on signing the same tree.
    server.kill_and_restart();
    let seq: u64 = receipt.split(':').nth(1).unwrap().parse().unwrap();
    checkpoint_covering(&server, seq + 1);
    assert_eq!((server.verify()["exit_code"].clone(), offline(&server, &key)), (json!(0), [SOUND, SOUND]));
    let (code, _, error) = goldfin(&server, &["audit", "prove", &receipt, "--key", key.to_str().unwrap()]);
    assert_eq!(code, 0, "{error}");
    let path = format!("sys/ledger/1/consistency?from={january}&to={seq}");
    server.ask(&server.root(), "GET", &path, Value::Null).expect(200);
    let listed = server.root_read("sys/ledger/archive").data().clone();
    assert_eq!((listed["archives"].as_array().unwrap().len(), &listed["retention_days"]), (2, &json!(2192)));
    // A checkpoint from before the cut is compared with the archives, not with what is left.
    let note = server.sql("postgres", "SELECT note FROM ledger_checkpoint ORDER BY size LIMIT 1").unwrap() + "\n";
    let kept = server.data().join("january.checkpoint");
    std::fs::write(&kept, &note).unwrap();
    server.ask(&server.root(), "POST", "sys/ledger/verify", json!({ "checkpoints": [note] })).expect(400);
    let (public, kept) = (key.to_str().unwrap(), kept.to_str().unwrap());
    let folder = server.data().join("archive");
    let arguments = ["audit", "verify", "--archive", folder.to_str().unwrap(), "--public-key", public, "--checkpoint", kept];
    assert_eq!(goldfin(&server, &arguments).0, 0);
}

#[test]
fn what_is_not_archived_or_within_the_retention_is_not_pruned() {
    let server = of_three_months();
    let refused = |what: &str| {
        let answer = prune(&server).expect(400);
        assert!(answer.errors().contains(what), "{what}: {answer:?}");
    };
    let as_app = |statement: &str| server.sql("goldfin_app", statement).unwrap_err();
    refused("not archived");
    assert!(as_app("SELECT ledger_prune('2012-01-01')").contains("not archived"));
    assert!(as_app("TRUNCATE ledger_entry_2012_01").contains("permission denied"));
    assert!(as_app("ALTER TABLE ledger_entry DETACH PARTITION ledger_entry_2012_01").contains("must be owner"));
    assert!(as_app("INSERT INTO ledger_retention (days) VALUES (1)").contains("permission denied"));
    // A month of now is not over, and nobody else may ask.
    let nobody = server.token_in(&["nobody"]);
    for path in ["archive", "prune"] {
        server.ask(&nobody, "POST", &format!("sys/ledger/{path}"), json!({ "until": "2012-12" })).expect(403);
        for until in [json!("2012"), json!("2012-13"), json!(2012), Value::Null] {
            server.ask(&server.root(), "POST", &format!("sys/ledger/{path}"), json!({ "until": until })).expect(400);
        }
    }
    server.ask(&server.root(), "POST", "sys/ledger/archive", json!({ "until": "2099-12" })).expect(200);
    server.ask(&server.root(), "POST", "sys/ledger/archive", json!({ "until": "2099-12" })).expect(200);
    assert_eq!(server.root_write("sys/ledger/archive", json!({ "until": "2099-12" })).data()["archive"], Value::Null);
    // The file is damaged, or gone: bringing it back helps.
    let file = files(&server)[0].clone();
    let whole = std::fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    refused("damaged or gone");
    std::fs::remove_file(&file).unwrap();
    refused("damaged or gone");
    std::fs::write(&file, &whole).unwrap();
    // The owner alone says how long.
    server.sql("postgres", "SET ROLE goldfin_owner; INSERT INTO ledger_retention (days) VALUES (36525)").unwrap();
    refused("within the retention");
    assert!(as_app("SELECT ledger_prune('2012-01-01')").contains("within the retention"));
    assert!(server.sql("postgres", "UPDATE ledger_archive SET file = ''").unwrap_err().contains("append-only"));
    assert!(server.sql("postgres", "DELETE FROM ledger_archive").unwrap_err().contains("append-only"));
    server.sql("postgres", "SET ROLE goldfin_owner; INSERT INTO ledger_retention (days) VALUES (2192)").unwrap();
    prune(&server).expect(200);
    assert_eq!(server.verify()["exit_code"], json!(0));
}

#[test]
fn what_was_tampered_with_is_neither_archived_nor_taken_for_pruned() {
    let server = of_three_months();
    let copy = |name: &str| server.sql("postgres", &format!("CREATE TABLE {name} AS SELECT * FROM ledger_entry")).unwrap();
    copy("before");
    // An edit, and a hole: the month is not archived, and no file is left.
    for statement in [
        "UPDATE ledger_entry SET body = replace(body, '\"status\":2', '\"status\":4') WHERE seq = 3",
        "DELETE FROM ledger_entry WHERE seq = 3",
    ] {
        server.tamper(statement);
        server.ask(&server.root(), "POST", "sys/ledger/archive", json!({ "until": "2012-12" })).expect(500);
        assert_eq!((files(&server).len(), number(&server, "SELECT count(*) FROM ledger_archive")), (0, 0));
        server.tamper("DELETE FROM ledger_entry WHERE seq = 3; INSERT INTO ledger_entry SELECT * FROM before WHERE seq = 3");
    }
    // What a kill left under the file's name is written anew.
    std::fs::write(server.data().join("archive/left.part"), "synthetic").unwrap();
    let file = archive_next(&server)["archive"]["file"].as_str().unwrap().to_owned();
    assert!(file.ends_with("-00001-2012-01.ndjson.gz"), "{file}");
    archive_next(&server);
    prune(&server).expect(200);
    let january = number(&server, "SELECT last FROM ledger_archive ORDER BY last LIMIT 1");
    let (sound, key) = ([SOUND, SOUND], key(&server));
    assert_eq!(offline(&server, &key), sound);
    server
        .sql("postgres", "CREATE TABLE rows AS SELECT * FROM ledger_archive; CREATE TABLE left_over AS SELECT * FROM ledger_kept")
        .unwrap();
    let restore = "DELETE FROM ledger_archive; INSERT INTO ledger_archive SELECT * FROM rows; DELETE FROM ledger_kept; INSERT INTO ledger_kept SELECT * FROM left_over;
        DELETE FROM ledger_entry; INSERT INTO ledger_entry SELECT * FROM before WHERE seq > (SELECT min(last) FROM rows);
        INSERT INTO ledger_entry SELECT * FROM later";
    server.sql("postgres", "CREATE TABLE later AS SELECT * FROM ledger_entry WHERE seq > (SELECT max(seq) FROM before)").unwrap();
    let at = |seq: i64| [(2, json!(seq)), (2, json!(seq))];
    for (statement, expected) in [
        ("DELETE FROM ledger_archive".to_owned(), at(1)),
        ("UPDATE ledger_archive SET pruned = NULL".to_owned(), at(1)),
        ("UPDATE ledger_archive SET note = translate(note, 'ABCDEFGHIJKLM', 'BCDEFGHIJKLMA')".to_owned(), at(1)),
        ("UPDATE ledger_archive SET mac = sha256(mac)".to_owned(), at(1)),
        // Pruned more than was pruned, or less, or what was never archived.
        ("UPDATE ledger_archive SET pruned = now()".to_owned(), at(number(&server, "SELECT max(last) + 1 FROM ledger_archive"))),
        (format!("DELETE FROM ledger_entry WHERE seq = {january} + 1"), at(january + 1)),
        ("INSERT INTO ledger_entry SELECT * FROM before WHERE seq = 2".to_owned(), at(january + 1)),
        ("DELETE FROM ledger_kept WHERE seq = (SELECT max(seq) FROM ledger_kept)".to_owned(), at(1)),
        (
            "UPDATE ledger_kept SET action = 'x' WHERE seq = (SELECT max(seq) FROM ledger_kept)".to_owned(),
            at(number(&server, "SELECT max(seq) FROM ledger_kept")),
        ),
        (format!("INSERT INTO ledger_kept SELECT * FROM before WHERE seq = {january} + 1"), at(january + 1)),
    ] {
        server.tamper(&statement);
        assert_eq!(offline(&server, &key), expected, "{statement}");
        server.tamper(restore);
        assert_eq!(offline(&server, &key), sound, "restored behind {statement}");
    }
}
