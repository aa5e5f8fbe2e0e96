//! Whoever owns the database edits the ledger with every trigger off: the verifier without a server names the place, with the MAC key and
//! with the public key alone.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::ledger_tree::checkpoint_covering;
use crate::server::Server;

/// A copy of a ledger that nobody writes any more.
struct Copy<'a> {
    server: &'a Server,
    key: PathBuf,
    checkpoint: PathBuf,
    entries: i64,
    sizes: Vec<i64>,
}

fn psql(server: &Server, database: &str, statement: &str) -> String {
    let output = Command::new("psql")
        .args(["--no-psqlrc", "-qAtX", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-h"])
        .arg(server.socket())
        .args(["-c", statement])
        .output()
        .unwrap();
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn goldfin(server: &Server, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_goldfin"))
        .args(arguments)
        .env("GOLDFIN_ADDR", server.address())
        .env("GOLDFIN_CACERT", server.variable("VAULT_CACERT"))
        .env("GOLDFIN_TOKEN", server.root())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

impl<'a> Copy<'a> {
    fn of(server: &'a Server) -> Self {
        for round in 0..3 {
            for n in 0..4 {
                server.root_write("secret/data/app", json!({ "data": { "n": round * 4 + n } }));
            }
            // A stop leaves a checkpoint; between them there are others only now and then.
            let seq: u64 = server.sql("postgres", "SELECT max(seq) FROM ledger_entry").unwrap().parse().unwrap();
            checkpoint_covering(server, seq);
        }
        let (key, checkpoint) = (server.data().join("ledger.key"), server.data().join("kept.checkpoint"));
        let told = |arguments: &[&str]| {
            let (code, out, error) = goldfin(server, arguments);
            assert_eq!(code, 0, "{error}");
            out
        };
        std::fs::write(&key, told(&["audit", "key"])).unwrap();
        std::fs::write(&checkpoint, told(&["audit", "checkpoint"])).unwrap();
        let dump = format!(
            "createdb -h {0} -U postgres copy && pg_dump -h {0} -U postgres goldfin | psql -q -h {0} -U postgres copy >/dev/null",
            server.socket().display()
        );
        assert!(Command::new("sh").args(["-c", &dump]).status().unwrap().success());
        // Everything behind the newest checkpoint goes, so that what is left is proven to its end.
        let cut = "SET session_replication_role = replica;
            DELETE FROM ledger_entry WHERE seq > (SELECT max(size) FROM ledger_checkpoint);
            UPDATE ledger_head SET (seq, mac) = (SELECT seq, mac FROM ledger_entry ORDER BY seq DESC LIMIT 1);";
        psql(server, "copy", cut);
        let entries = psql(server, "copy", "SELECT seq FROM ledger_head").parse().unwrap();
        let sizes =
            psql(server, "copy", "SELECT size FROM ledger_checkpoint ORDER BY size").lines().map(|size| size.parse().unwrap()).collect();
        Self { server, key, checkpoint, entries, sizes }
    }

    /// The first entry behind the last checkpoint before a place.
    fn behind(&self, seq: i64) -> i64 {
        self.sizes.iter().copied().filter(|size| *size < seq).max().unwrap_or(0) + 1
    }

    /// Tampers with a copy of the copy; exit code and place with the MAC key, with the public key, and with it and a kept checkpoint.
    fn verdicts(&self, statement: &str) -> [(i32, Option<i64>); 3] {
        psql(self.server, "postgres", "CREATE DATABASE mutated TEMPLATE copy");
        if !statement.is_empty() {
            psql(self.server, "mutated", &format!("SET session_replication_role = replica; {statement}"));
        }
        let keys = self.server.variable("GOLDFIN_UNSEAL_KEYS_FILE").to_owned();
        let (public, kept) = (self.key.to_str().unwrap(), self.checkpoint.to_str().unwrap());
        let told = [
            self.verify("mutated", &["--mac-key", &keys]),
            self.verify("mutated", &["--public-key", public]),
            self.verify("mutated", &["--public-key", public, "--checkpoint", kept]),
        ];
        psql(self.server, "postgres", "DROP DATABASE mutated");
        told
    }

    fn verify(&self, database: &str, keys: &[&str]) -> (i32, Option<i64>) {
        let url = format!("postgresql:///{database}?host={}&user=postgres", self.server.socket().display());
        let (code, out, error) = goldfin(self.server, &[&["audit", "verify", "--format", "json", "--database", &url], keys].concat());
        if code == 4 {
            assert!(error.contains("no stream of a ledger"), "{error}");
            return (code, None);
        }
        let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out} {error}"));
        (code, report["streams"][0]["seq"].as_i64())
    }
}

/// Moves an entry to another number, in its bytes too: what somebody does who knows the format.
const MOVE: &str = "SET seq = -(seq + {by}), body = replace(body, '\"seq\":' || seq || ',', '\"seq\":' || (seq + {by}) || ',')";

#[test]
fn every_mutation_is_found_at_its_place() {
    let server = Server::start();
    let copy = Copy::of(&server);
    let last = copy.entries;
    assert!(copy.sizes.len() >= 2 && *copy.sizes.last().unwrap() == last, "{:?}", copy.sizes);
    assert_eq!(copy.verdicts(""), [(0, None); 3]);
    let settle = "UPDATE ledger_entry SET seq = -seq WHERE seq < 0;
        UPDATE ledger_head SET (seq, mac) = (SELECT seq, mac FROM ledger_entry ORDER BY seq DESC LIMIT 1);";
    let moved = |by: i64, which: &str| format!("UPDATE ledger_entry {} WHERE {which};", MOVE.replace("{by}", &by.to_string()));
    for at in [1, last / 2, last] {
        let tampered = |seq: i64| (2, Some(seq));
        let behind = tampered(copy.behind(at));
        let edit = format!("UPDATE ledger_entry SET body = replace(body, '\"status\":2', '\"status\":4') WHERE seq = {at}");
        assert_eq!(copy.verdicts(&edit), [tampered(at), behind, behind], "edit {at}");
        let delete = format!("DELETE FROM ledger_entry WHERE seq = {at}");
        let gone = if at == last { (3, Some(last - 1)) } else { tampered(at) };
        assert_eq!(copy.verdicts(&delete), [gone; 3], "delete {at}");
        let close = format!("{delete}; {} {settle}", moved(-1, &format!("seq > {at}")));
        let closed = if at == last { [gone; 3] } else { [tampered(at), behind, behind] };
        assert_eq!(copy.verdicts(&close), closed, "delete and close up {at}");
        // The entry once more behind itself, the later ones moved up.
        let insert = format!(
            "{} INSERT INTO ledger_entry SELECT (jsonb_populate_record(e, jsonb_build_object('seq', {at} + 1,
                 'body', replace(body, '\"seq\":{at},', '\"seq\":{at1},')))).* FROM ledger_entry e WHERE seq = {at}; {settle}",
            moved(1, &format!("seq > {at}")),
            at1 = at + 1
        );
        let doubled = copy.verdicts(&insert);
        assert_eq!(doubled[0], tampered(at + 1), "insert behind {at}");
        // Behind the last checkpoint the public key alone knows nothing: the one case that only the MAC key tells.
        let told = if at == last { (0, None) } else { tampered(copy.behind(at + 1)) };
        assert_eq!(doubled[1..], [told, told], "insert behind {at}");
        if at < last {
            let swap = format!("{} {} {settle}", moved(1, &format!("seq = {at}")), moved(-1, &format!("seq = {at} + 1")));
            let behind = tampered(copy.behind(at + 1).min(copy.behind(at)));
            let swapped = copy.verdicts(&swap);
            assert_eq!(swapped[0], tampered(at), "swap {at}");
            assert_eq!(swapped[1], behind, "swap {at}");
        }
        let cut = format!(
            "DELETE FROM ledger_entry WHERE seq >= {at}; UPDATE ledger_head SET (seq, mac) =
             (SELECT coalesce(max(seq), 0), coalesce((SELECT mac FROM ledger_entry ORDER BY seq DESC LIMIT 1), '') FROM ledger_entry);"
        );
        assert_eq!(copy.verdicts(&cut), [(3, Some(at - 1)); 3], "cut at {at}");
        // With the checkpoints gone too, only what was kept elsewhere knows.
        let all = format!("{cut} DELETE FROM ledger_checkpoint WHERE size >= {at}");
        assert_eq!(copy.verdicts(&all), [(0, None), (0, None), (3, Some(at - 1))], "cut at {at} with its checkpoints");
    }
    let gone = "DELETE FROM ledger_entry; DELETE FROM ledger_checkpoint; DELETE FROM ledger_head; DELETE FROM ledger_stream";
    assert_eq!(copy.verdicts(gone), [(4, None), (4, None), (3, Some(0))]);
    let headless = "DELETE FROM ledger_head";
    assert_eq!(copy.verdicts(headless), [(2, Some(1)); 3]);
    let forged = "UPDATE ledger_checkpoint SET note = translate(note, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'BCDEFGHIJKLMNOPQRSTUVWXYZA') WHERE size = (SELECT max(size) FROM ledger_checkpoint)";
    assert_eq!(copy.verdicts(forged)[1], (2, Some(copy.behind(last))));
    // Tiles are a cache: nothing is proven by them.
    assert_eq!(copy.verdicts("DELETE FROM ledger_tile"), [(0, None); 3]);
}

#[test]
fn an_archive_is_verified_and_a_verification_goes_on_from_a_kept_checkpoint() {
    let server = Server::start();
    let copy = Copy::of(&server);
    let (key, kept) = (copy.key.to_str().unwrap(), copy.checkpoint.to_str().unwrap());
    let lines = psql(
        &server,
        "copy",
        "SELECT left(body, -1) || ',\"mac\":\"' || encode(mac, 'hex') || '\",\"leaf\":\"'
                || encode(sha256('\\x00'::bytea || convert_to(body, 'UTF8')), 'hex') || '\"}' FROM ledger_entry ORDER BY stream, seq",
    ) + "\n";
    let archive = server.data().join("ledger.ndjson");
    let verify = |text: &str, more: &[&str]| {
        std::fs::write(&archive, text).unwrap();
        let arguments = ["audit", "verify", "--format", "json", "--archive", archive.to_str().unwrap(), "--public-key", key];
        let (code, out, _) = goldfin(&server, &[&arguments[..], more].concat());
        (code, serde_json::from_str::<Value>(&out).map_or(Value::Null, |report| report["streams"][0]["seq"].clone()))
    };
    assert_eq!(verify(&lines, &[]), (0, Value::Null));
    assert_eq!(verify(&lines, &["--checkpoint", kept]), (0, Value::Null));
    assert_eq!(verify(&lines.replacen("\"status\":2", "\"status\":4", 1), &[]).0, 2);
    // With the MAC key, which a database's seal opens, the place is exact; a key that opens nothing says nothing.
    let seal = format!("postgresql:///copy?host={}&user=postgres", server.socket().display());
    let unseal = server.variable("GOLDFIN_UNSEAL_KEYS_FILE").to_owned();
    let with_mac = |text: &str, more: &[&str]| {
        std::fs::write(&archive, text).unwrap();
        let arguments = ["audit", "verify", "--format", "json", "--archive", archive.to_str().unwrap(), "--mac-key", &unseal];
        let (code, out, _) = goldfin(&server, &[&arguments[..], more].concat());
        (code, serde_json::from_str::<Value>(&out).map_or(Value::Null, |report| report["streams"][0]["seq"].clone()))
    };
    assert_eq!(with_mac(&lines, &["--seal", &seal]), (0, Value::Null));
    assert_eq!(with_mac(&lines, &["--seal", &seal, "--public-key", key]), (0, Value::Null));
    assert_eq!(with_mac(&lines, &[]).0, 4);
    let late = usize::try_from(copy.sizes[0]).unwrap() + 1;
    let line = lines.lines().nth(late).unwrap();
    let body = format!("{}}}", line[..line.len() - 148].replace("\"status\":2", "\"status\":4"));
    let leaf = goldfin_ledger::hex(&goldfin_ledger::leaf_hash(body.as_bytes()));
    let forged = format!("{},\"mac\":\"{}\",\"leaf\":\"{leaf}\"}}", &body[..body.len() - 1], &line[line.len() - 140..line.len() - 76]);
    let forged = lines.replace(line, &forged);
    assert_eq!(with_mac(&forged, &["--seal", &seal]), (2, json!(late + 1)));
    assert_eq!(verify(&forged, &["--checkpoint", kept]), (2, json!(1)), "the public key alone knows no place before a checkpoint");
    let shorter: String = lines.lines().take(3).map(|line| format!("{line}\n")).collect();
    assert_eq!(verify(&shorter, &["--checkpoint", kept]), (3, json!(3)));
    let gap: String = lines.lines().enumerate().filter(|(at, _)| *at != 4).map(|(_, line)| format!("{line}\n")).collect();
    assert_eq!(verify(&gap, &[]), (2, json!(5)));
    assert_eq!(verify("", &[]).0, 4);
    assert_eq!(verify("{\"other\":1}\n", &[]).0, 4);
    assert_eq!(verify(&lines, &["--checkpoint", key]).0, 4);
    // From a kept checkpoint on, with the MAC key.
    let older = server.data().join("older.checkpoint");
    let note = psql(&server, "copy", "SELECT note FROM ledger_checkpoint ORDER BY size LIMIT 1") + "\n";
    std::fs::write(&older, note).unwrap();
    let keys = server.variable("GOLDFIN_UNSEAL_KEYS_FILE").to_owned();
    let resumed = ["--mac-key", &keys, "--checkpoint", older.to_str().unwrap(), "--resume"];
    assert_eq!(copy.verify("copy", &resumed), (0, None));
    let late = copy.sizes[0] + 1;
    let edit = format!(
        "SET session_replication_role = replica; UPDATE ledger_entry SET body = replace(body, '\"status\":2', '\"status\":4') WHERE seq = {late}"
    );
    psql(&server, "copy", &edit);
    assert_eq!(copy.verify("copy", &resumed), (2, Some(late)));
}

#[test]
fn the_command_line_checks_proofs_itself() {
    let server = Server::start();
    let receipt = server.root_write("secret/data/app", json!({ "data": { "n": 1 } })).headers["x-goldfin-receipt"].clone();
    let seq: u64 = receipt.split(':').nth(1).unwrap().parse().unwrap();
    let (_, older) = checkpoint_covering(&server, seq);
    let key = server.data().join("ledger.key");
    std::fs::write(&key, goldfin(&server, &["audit", "key"]).1).unwrap();
    let (old, new) = (server.data().join("old"), server.data().join("new"));
    std::fs::write(&old, older).unwrap();
    let (key, old) = (key.to_str().unwrap(), old.to_str().unwrap());
    let (code, out, error) = goldfin(&server, &["audit", "prove", &receipt, "--key", key, "--checkpoint", old, "--format", "json"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["proven"], json!(true));
    let another = server.root_write("secret/data/app", json!({ "data": { "n": 2 } })).headers["x-goldfin-receipt"].clone();
    let seq: u64 = another.split(':').nth(1).unwrap().parse().unwrap();
    checkpoint_covering(&server, seq);
    std::fs::write(&new, goldfin(&server, &["audit", "checkpoint", "--stream", "dev"]).1).unwrap();
    let new = new.to_str().unwrap();
    assert_eq!(goldfin(&server, &["audit", "consistent", old, new, "--key", key]).0, 0);
    assert_eq!(goldfin(&server, &["audit", "consistent", new, old, "--key", key]).0, 1);
    let swapped = format!("{}:{}", receipt.rsplit_once(':').unwrap().0, another.rsplit_once(':').unwrap().1);
    assert_eq!(goldfin(&server, &["audit", "prove", &swapped, "--key", key]).0, 2);
    assert_eq!(goldfin(&server, &["audit", "prove", "nonsense", "--key", key]).0, 1);
    let (code, _, said) = goldfin(&server, &["audit", "prove", &receipt]);
    assert!(code == 0 && said.contains("comes from the server"), "{code} {said}");
}

/// With nothing that opens a table: the views of a schema of their own.
#[test]
fn an_auditor_verifies_with_the_public_key_alone() {
    let server = Server::start();
    let copy = Copy::of(&server);
    let (key, kept) = (copy.key.to_str().unwrap(), copy.checkpoint.to_str().unwrap());
    let verify = |database: &str, more: &[&str]| {
        let url = format!("postgresql:///{database}?host={}&user=goldfin_auditor", server.socket().display());
        let arguments = ["audit", "verify", "--format", "json", "--database", &url];
        let (code, out, _) = goldfin(&server, &[&arguments[..], more].concat());
        (code, serde_json::from_str::<Value>(&out).map_or(Value::Null, |report| report["streams"][0]["seq"].clone()))
    };
    assert_eq!(verify("goldfin", &["--public-key", key]), (0, Value::Null));
    assert_eq!(verify("goldfin", &["--public-key", key, "--checkpoint", kept]), (0, Value::Null));
    assert_eq!(verify("goldfin", &["--public-key", key, "--checkpoint", kept, "--resume"]), (0, Value::Null));
    // The seal is not the auditor's to read.
    let keys = server.variable("GOLDFIN_UNSEAL_KEYS_FILE").to_owned();
    assert_eq!(verify("goldfin", &["--mac-key", &keys]).0, 4);
    // A copy is restored with its rights, and what was changed there is found through the views, too.
    psql(&server, "postgres", "GRANT CONNECT ON DATABASE copy TO goldfin_auditor");
    assert_eq!(verify("copy", &["--public-key", key]), (0, Value::Null));
    let at = copy.sizes[0] + 1;
    let edit = format!(
        "SET session_replication_role = replica; UPDATE ledger_entry SET body = replace(body, '\"status\":2', '\"status\":4') WHERE seq = {at}"
    );
    psql(&server, "copy", "CREATE TABLE kept AS SELECT * FROM ledger_entry");
    psql(&server, "copy", &edit);
    assert_eq!(verify("copy", &["--public-key", key]), (2, json!(at)));
    // Who owns the views decides what they show; whoever may read the tables verifies the tables.
    let shown = "GRANT SELECT ON kept TO goldfin_owner; CREATE OR REPLACE VIEW auditing.ledger_entry AS SELECT * FROM kept";
    psql(&server, "copy", shown);
    assert_eq!(verify("copy", &["--public-key", key]), (0, Value::Null));
    assert_eq!(copy.verify("copy", &["--public-key", key]), (2, Some(at)));
}
