//! Rotations: killed and resumed, beside writers and erasures, over damaged rows; and the other jobs.

mod vault;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldfin::engine::keys::RotateOp;
use goldfin::engine::kv::place::{SecretKeyPlace, VersionKeyPlace};
use goldfin::jobs::{self, Errand, run_once};
use goldfin::model::change::Change;
use goldfin::model::document::Node;
use goldfin::model::fault::Fault;
use goldfin::model::reply::Answer;
use goldfin::store::control::{self, ControlKey, ControlKind};
use goldfin::store::error::StoreError;
use goldfin::store::kv::{self, SecretRow, VersionRow};
use goldfin::store::rewrap::Home;
use goldfin::store::subject;
use goldfin::store::work::Work;
use goldfin_crypto::{Keyring, Place, RowId, WrappedKey};
use serde_json::json;
use sqlx::{Connection, Row};
use tokio::time::sleep;

use crate::server::Server;
use vault::{MOUNT, Vault, commit, wrapped};

/// Far beyond what a rotation of these tests takes on a busy machine.
const PATIENCE: u32 = 1200;

async fn until_finished(vault: &Vault) {
    for _ in 0..PATIENCE {
        if vault.rotation().await.finished.is_some() {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("the rotation does not end: {:?}", vault.rotation().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rotation_that_is_killed_is_resumed_beside_writers_and_erasures() {
    let vault = Arc::new(Vault::open().await);
    let mut known = vault.fill(5000).await;
    let old = Arc::new(vault.barrier().keyring().duplicate());
    let reply = vault.ask(RotateOp::Rotate).await.unwrap();
    assert_eq!((reply.status(), reply.after), (204, vec![Change::Keyring]));
    assert_eq!(vault.barrier().keyring().primary(), 2);

    let stop = Arc::new(AtomicBool::new(false));
    let stale = tokio::spawn(write_under_the_old_version(Arc::clone(&vault), old, Arc::clone(&stop)));
    let touched = tokio::spawn(change_secrets(Arc::clone(&vault), Arc::clone(&stop)));
    let erased = tokio::spawn(erase_subjects(Arc::clone(&vault), 300));

    let mut kills = 0;
    while vault.rotation().await.finished.is_none() && kills < 8 {
        let before = vault.rotation().await.done;
        let running = jobs::spawn(vault.workshop.clone());
        for _ in 0..PATIENCE {
            if vault.rotation().await.done > before {
                break;
            }
            sleep(Duration::from_millis(5)).await;
        }
        drop(running);
        kills += 1;
    }
    assert!(vault.rotation().await.done > 0);
    let running = jobs::spawn(vault.workshop.clone());
    until_finished(&vault).await;
    stop.store(true, Ordering::Relaxed);
    let (accepted, refused) = stale.await.unwrap();
    assert!(refused > 0, "the database took a key under a retired version");
    assert!(!accepted.is_empty(), "no write was under way when the version changed");
    known.extend(accepted);
    let touched = touched.await.unwrap();
    let erased = erased.await.unwrap();
    drop(running);

    let all = vault.read_all().await;
    for (home, mark) in &known {
        if matches!(home, Home::Subject { id, .. } if erased.contains(id)) {
            assert!(!all.contains_key(home), "an erased subject's key came back");
        } else {
            assert_eq!(all.get(home), Some(&(2, Some(*mark))), "{home:?}");
        }
    }
    assert_eq!(all.len() + erased.len(), known.len());
    let mut sql = vault.sql().await;
    for (path, body) in touched {
        let stored: Vec<u8> =
            sqlx::query("SELECT body FROM kv_secret WHERE path = $1").bind(path).fetch_one(&mut sql).await.unwrap().get(0);
        assert_eq!(stored, body, "a write was undone");
    }

    let rotation = vault.rotation().await;
    assert_eq!((rotation.damaged, rotation.remaining()), (0, 0));
    assert!(rotation.done >= rotation.total.unwrap() - 300, "{rotation:?}");
    let moved: i64 = vault.entries("rotate_keys").await.iter().filter_map(|(_, _, body)| body["count"].as_i64()).sum();
    assert_eq!(moved, rotation.done, "a batch has no entry");
    assert!(vault.entries("rotate_keys").await.iter().any(|(account, ..)| account == "rewrap"));
}

/// Goes on wrapping under what it holds, as a node does that has not heard. Gives what the database took, and how often it refused.
async fn write_under_the_old_version(vault: Arc<Vault>, old: Arc<Keyring>, stop: Arc<AtomicBool>) -> (Vec<(Home, [u8; 32])>, u64) {
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let path = format!("late/{n}");
        let mut work = vault.work();
        match write_secret(&mut work, &old, &path).await {
            Ok(written) => {
                sleep(Duration::from_millis(20)).await;
                commit(work).await.unwrap();
                accepted.extend(written);
            }
            Err(StoreError::Conflict) => {
                refused += 1;
                sleep(Duration::from_millis(20)).await;
            }
            // While a version is retired, writers wait; a busy machine may make one wait too long.
            Err(StoreError::Unavailable(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    (accepted, refused)
}

async fn write_secret(work: &mut Work, ring: &Keyring, path: &str) -> Result<[(Home, [u8; 32]); 2], StoreError> {
    let (wrapped_key, secret) = wrapped(ring, &SecretKeyPlace { mount: MOUNT, path });
    let row = SecretRow { current: 1, revision: 1, wrapped_key, body: b"body".to_vec() };
    let (wrapped_key, version) = wrapped(ring, &VersionKeyPlace { mount: MOUNT, path, version: 1 });
    kv::put_version(work, path, 0, &row, &VersionRow { version: 1, wrapped_key, value: b"value".to_vec() }, &[]).await?;
    let path = path.to_owned();
    Ok([(Home::Secret { mount: MOUNT, path: path.clone() }, secret), (Home::SecretVersion { mount: MOUNT, path, version: 1 }, version)])
}

/// Writes secrets as the engine does: locked, with the key that they have.
async fn change_secrets(vault: Arc<Vault>, stop: Arc<AtomicBool>) -> Vec<(String, Vec<u8>)> {
    let mut written = std::collections::HashMap::new();
    for n in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let path = format!("app/{}", (n * 37) % 5000);
        let mut work = vault.work();
        let Ok(Some(mut row)) = kv::lock(&mut work, &path).await else { continue };
        sleep(Duration::from_millis(2)).await;
        let before = row.revision;
        row.revision += 1;
        row.body = format!("body {n}").into_bytes();
        let body = row.body.clone();
        if kv::put(&mut work, &path, before, &row).await.is_ok() && commit(work).await.is_ok() {
            written.insert(path, body);
        }
    }
    written.into_iter().collect()
}

async fn erase_subjects(vault: Arc<Vault>, count: i64) -> HashSet<i64> {
    let mut erased = HashSet::new();
    for n in 0..count {
        let id = (n * 16) % 5000;
        for _ in 0..50 {
            let mut work = vault.work();
            match subject::erase(&mut work, &id.to_be_bytes().repeat(4)).await {
                Ok(gone) => {
                    assert_eq!(gone.ids, [id]);
                    commit(work).await.unwrap();
                    erased.insert(id);
                    break;
                }
                Err(StoreError::Conflict | StoreError::Unavailable(_)) => sleep(Duration::from_millis(20)).await,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    erased
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_wrapped_before_and_commits_late_is_waited_for() {
    let vault = Vault::open().await;
    vault.fill(10).await;
    let mut late = vault.work();
    let written = write_secret(&mut late, &vault.barrier().keyring(), "late").await.unwrap();
    vault.ask(RotateOp::Rotate).await.unwrap();
    let running = jobs::spawn(vault.workshop.clone());
    for _ in 0..PATIENCE {
        let rotation = vault.rotation().await;
        assert_eq!(rotation.finished, None, "finished while a key under the old version waited for its commit");
        if vault.entries("rotate_keys").await.iter().any(|(_, decision, _)| decision == "failed") {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(vault.rotation().await.retired, None);
    commit(late).await.unwrap();
    until_finished(&vault).await;
    drop(running);
    let all = vault.read_all().await;
    for (home, mark) in written {
        assert_eq!(all.get(&home), Some(&(2, Some(mark))));
    }
    assert!(all.values().all(|(version, mark)| *version == 2 && mark.is_some()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_keys_are_left_alone_and_the_rotation_does_not_say_finished() {
    let vault = Vault::open().await;
    vault.fill(600).await;
    let mut sql = vault.sql().await;
    for damage in [
        // Two rows swapped, one byte changed, one cut short, one renamed to a version that never was, one whose transformation is gone.
        "UPDATE kv_version v SET wrapped_key = o.wrapped_key FROM kv_version o WHERE v.version + o.version = 11 AND v.version IN (5, 6)",
        "UPDATE subject SET wrapped_key = set_byte(wrapped_key, 40, get_byte(wrapped_key, 40) # 1) WHERE id = 7",
        "UPDATE kv_secret SET wrapped_key = substring(wrapped_key FROM 1 FOR 20) WHERE path = 'app/3'",
        "UPDATE kv_secret SET wrapped_key = set_byte(wrapped_key, 9, 77) WHERE path = 'app/4'",
        "INSERT INTO transform_key (namespace, mount, transformation, version, wrapped_key, created) SELECT namespace, mount, 'gone', version, wrapped_key, created FROM transform_key WHERE transformation = 't0' AND version = 1",
    ] {
        sqlx::query(damage).execute(&mut sql).await.unwrap();
    }
    let damaged_rows = "SELECT string_agg(encode(k, 'hex'), ' ' ORDER BY k) FROM (
        SELECT wrapped_key AS k FROM kv_version WHERE version IN (5, 6) UNION ALL SELECT wrapped_key FROM subject WHERE id = 7
        UNION ALL SELECT wrapped_key FROM kv_secret WHERE path IN ('app/3', 'app/4')
        UNION ALL SELECT wrapped_key FROM transform_key WHERE transformation = 'gone') AS damaged";
    let before: String = sqlx::query(damaged_rows).fetch_one(&mut sql).await.unwrap().get(0);
    vault.ask(RotateOp::Rotate).await.unwrap();
    assert!(matches!(vault.ask(RotateOp::Rotate).await, Err(Fault::Invalid(_))), "two rotations at once");
    let running = jobs::spawn(vault.workshop.clone());
    for _ in 0..PATIENCE {
        if vault.rotation().await.damaged > 0 {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    drop(running);
    let rotation = vault.rotation().await;
    assert_eq!((rotation.damaged, rotation.finished), (6, None), "{rotation:?}");
    assert!(rotation.remaining() >= 1);
    assert_eq!(sqlx::query(damaged_rows).fetch_one(&mut sql).await.unwrap().get::<String, _>(0), before, "a damaged key was touched");
    let sound = sound_rows_under(&vault, 2).await;
    assert_eq!(sound, 4 * 600 - 5);
    let told = vault.entries("rotate_keys").await;
    let told: Vec<_> = told.iter().filter(|(_, decision, body)| decision == "failed" && body["reason"] == "integrity").collect();
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0].2["count"], &told[0].2["status"]), (&6.into(), &500.into()));

    // An operator deletes them; nothing else is in the way of the end, nor was a new rotation.
    vault.ask(RotateOp::Rotate).await.unwrap();
    for repair in [
        "DELETE FROM kv_version WHERE version IN (5, 6)",
        "UPDATE subject SET wrapped_key = NULL, erased = now() WHERE id = 7",
        "DELETE FROM kv_secret WHERE path IN ('app/3', 'app/4')",
        "DELETE FROM transform_key WHERE transformation = 'gone'",
    ] {
        sqlx::query(repair).execute(&mut sql).await.unwrap();
    }
    let running = jobs::spawn(vault.workshop.clone());
    until_finished(&vault).await;
    drop(running);
    assert_eq!(sound_rows_under(&vault, 3).await, 4 * 600 - 5);
    let states: Vec<String> = vault.state().await.states.into_values().collect();
    assert_eq!(states, ["deactivated", "deactivated", "active"]);
}

/// A place of the login engine, as its format is frozen.
struct KeytabKey;

impl Place for KeytabKey {
    const TABLE: &'static str = "control";
    const COLUMN: &'static str = "body.keytab.wrapped_key";

    fn namespace(&self) -> i32 {
        0
    }

    fn row(&self, row: &mut RowId) {
        row.text("config");
        row.number(MOUNT.0.into());
    }

    fn version(&self) -> u64 {
        0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_a_keytab_is_moved_too_and_none_comes_back() {
    let vault = Vault::open().await;
    let (mac, row) = (vault.barrier().control(), ControlKey::new(ControlKind::Config, MOUNT, "config"));
    let body = |key: &[u8]| {
        json!({ "service_account": "synthetic", "keytab": { "wrapped_key": STANDARD.encode(key), "ciphertext": "" } }).to_string()
    };
    let (old, _) = wrapped(&vault.barrier().keyring(), &KeytabKey);
    let (stale, _) = wrapped(&vault.barrier().keyring(), &KeytabKey);
    let mut work = vault.work();
    control::put(&mut work, mac, &row, 0, &body(&old)).await.unwrap();
    commit(work).await.unwrap();
    vault.ask(RotateOp::Rotate).await.unwrap();
    let running = jobs::spawn(vault.workshop.clone());
    until_finished(&vault).await;
    drop(running);

    let stored = control::load(&vault.workshop.store, mac, &row).await.unwrap().unwrap();
    let config: serde_json::Value = serde_json::from_str(&stored.body).unwrap();
    assert_eq!(config["service_account"], "synthetic");
    let key = STANDARD.decode(config["keytab"]["wrapped_key"].as_str().unwrap()).unwrap();
    let key = WrappedKey::<KeytabKey>::from_stored(key).unwrap();
    assert_eq!(key.key_version(), 2);
    assert!(vault.barrier().unwrap_key(&KeytabKey, &key).is_ok());
    let held = vault.workshop.directory.current().get_versioned::<serde_json::Value>(ControlKind::Config, MOUNT, "config").unwrap();
    assert_eq!(held.unwrap().1, stored.version, "this node would refuse the next change of the setting");

    let mut work = vault.work();
    let late = control::put(&mut work, mac, &row, stored.version, &body(&stale)).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    let mut work = vault.work();
    control::put(&mut work, mac, &row, stored.version, &stored.body.replace("synthetic", "changed")).await.unwrap();
    commit(work).await.unwrap();
}

#[test]
fn a_rotation_through_the_api_survives_being_killed() {
    let mut server = Server::start();
    for n in 0..30 {
        server.root_write(&format!("secret/data/app/{n}"), json!({ "data": { "synthetic": n } }));
    }
    assert_eq!(server.root_write("sys/rotate", serde_json::Value::Null).status, 204);
    assert_eq!(server.ask(&server.root(), "PUT", "sys/rotate", serde_json::Value::Null).status, 400);
    assert_eq!(server.ask(&server.root(), "DELETE", "sys/rotate", serde_json::Value::Null).status, 405);
    let stranger = server.token_in(&["nobody"]);
    for (method, path) in [("POST", "sys/rotate"), ("GET", "sys/rotate/status"), ("GET", "sys/key-status")] {
        assert_eq!(server.ask(&stranger, method, path, serde_json::Value::Null).status, 403, "{path}");
    }
    server.kill_and_restart();
    let mut remaining = -1;
    for _ in 0..PATIENCE {
        remaining = server.root_read("sys/rotate/status").data()["remaining"].as_i64().unwrap();
        if remaining == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(remaining, 0);
    let under = "SELECT count(*) FROM (SELECT wrapped_key FROM kv_secret UNION ALL SELECT wrapped_key FROM kv_version) k
                 WHERE substring(wrapped_key FROM 7 FOR 4) <> int4send(2)";
    assert_eq!(server.sql("postgres", under).unwrap(), "0");
    for n in 0..30 {
        assert_eq!(server.root_read(&format!("secret/data/app/{n}")).data()["data"]["synthetic"], n);
    }
    let status = server.root_read("sys/key-status").body;
    assert_eq!((&status["data"]["term"], &status["term"]), (&json!(2), &json!(2)));
}

async fn sound_rows_under(vault: &Vault, wanted: u32) -> usize {
    vault.read_all().await.into_values().filter(|(version, mark)| *version == wanted && mark.is_some()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyring_says_what_it_is() {
    let vault = Vault::open().await;
    vault.fill(20).await;
    let Answer::Table(members) = vault.ask(RotateOp::KeyStatus).await.unwrap().answer else { panic!("not a table") };
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["term", "install_time", "encryptions"]);
    assert_eq!(text(&members[2].1), "80");
    let none = status(&vault).await;
    assert_eq!((&none["primary"], &none["remaining"], &none["rotation"]), (&1.into(), &0.into(), &serde_json::Value::Null));

    vault.ask(RotateOp::Rotate).await.unwrap();
    let begun = status(&vault).await;
    assert_eq!((&begun["primary"], &begun["versions"][0]["state"]), (&2.into(), &"deactivated".into()));
    assert!(begun["remaining"].as_i64().unwrap() > 0 && begun["rotation"]["finished"].is_null());
    run_once(&vault.workshop, Errand::Rewrap).await.unwrap();
    let moved = status(&vault).await;
    assert_eq!((&moved["rotation"]["done"], &moved["total"]), (&80.into(), &80.into()));
    assert_eq!(moved["remaining"], 1, "it said finished before every node can have heard");
    sleep(Duration::from_secs(3)).await;
    run_once(&vault.workshop, Errand::Rewrap).await.unwrap();
    let ended = status(&vault).await;
    assert_eq!(ended["remaining"], 0);
    assert!(ended["versions"][0]["retired"].is_string() && ended["versions"][1]["retired"].is_null());
}

async fn status(vault: &Vault) -> serde_json::Value {
    let Answer::Data(node) = vault.ask(RotateOp::Status).await.unwrap().answer else { panic!("not data") };
    serde_json::from_str(&text(&node)).unwrap()
}

fn text(node: &Node) -> String {
    let mut out = Vec::new();
    node.write(&mut out);
    String::from_utf8(out).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_is_deleted_with_an_entry_and_nothing_else() {
    let vault = Vault::open().await;
    let mut sql = vault.sql().await;
    run_once(&vault.workshop, Errand::Expiry).await.unwrap();
    assert!(vault.entries("run_job").await.is_empty(), "an entry about nothing");
    for rows in [
        "INSERT INTO auth_token (fingerprint, accessor, account, mount, expires, version, body, mac)
         SELECT int4send(n), 'synthetic-' || n, 'synthetic', 2, now() + (n - 4500) * interval '1 second', 1, '{}', '' FROM generate_series(1, 4600) n WHERE n <= 4400 OR n > 4550",
        "INSERT INTO auth_token (fingerprint, accessor, account, mount, expires, version, body, mac) VALUES ('x', 'forever', 'synthetic', 2, NULL, 1, '{}', '')",
        "INSERT INTO pii_token (transformation, id, expires, value) SELECT 1, n, CASE WHEN n % 2 = 0 THEN now() - interval '1 minute' END, 'x' FROM generate_series(1, 100) n",
        "INSERT INTO replay (digest, until) VALUES ('old', now() - interval '20 minutes'), ('recent', now() - interval '1 minute')",
    ] {
        sqlx::query(rows).execute(&mut sql).await.unwrap();
    }
    run_once(&vault.workshop, Errand::Expiry).await.unwrap();
    let left: (i64, i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM auth_token), (SELECT count(*) FROM pii_token), (SELECT count(*) FROM replay)")
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(left, (51, 50, 1));
    let entries = vault.entries("run_job").await;
    assert_eq!(entries.iter().map(|(.., body)| body["count"].as_i64().unwrap()).collect::<Vec<_>>(), [2051, 2000, 400]);
    assert!(entries.iter().all(|(account, decision, _)| account == "expiry" && decision == "granted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_deleted_transformations_left_is_removed_stretch_by_stretch() {
    let vault = Vault::open().await;
    let mut sql = vault.sql().await;
    for rows in [
        "INSERT INTO pii_token (transformation, id, value) SELECT 1 + n % 3, n, 'x' FROM generate_series(1, 120000) n",
        "INSERT INTO pii_token_index (transformation, blind, id) SELECT 1 + n % 3, md5(n::text)::uuid, n FROM generate_series(1, 30) n",
        "INSERT INTO transform_removed (transformation, removed) VALUES (1, now() - interval '2 minutes'), (2, now() - interval '1 hour'), (3, now())",
    ] {
        sqlx::query(rows).execute(&mut sql).await.unwrap();
    }
    run_once(&vault.workshop, Errand::Expiry).await.unwrap();
    let left: Vec<(i32, i64)> = sqlx::query_as(
        "SELECT transformation, count(*) FROM (SELECT transformation FROM pii_token UNION ALL SELECT transformation FROM pii_token_index
             UNION ALL SELECT transformation FROM transform_removed) every GROUP BY transformation",
    )
    .fetch_all(&mut sql)
    .await
    .unwrap();
    assert_eq!(left, [(3, 40_000 + 10 + 1)], "a transformation that was deleted just now may still be in use");
    let entries = vault.entries("run_job").await;
    let counts: Vec<i64> = entries.iter().map(|(.., body)| body["count"].as_i64().unwrap()).collect();
    assert!(counts.len() == 3 && counts.iter().sum::<i64>() == 80_000, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_self_check_finds_what_was_loosened_and_says_so() {
    let vault = Vault::open().await;
    run_once(&vault.workshop, Errand::SelfCheck).await.unwrap();
    assert!(vault.entries("run_job").await.is_empty());
    let mut sql = vault.sql().await;
    sqlx::query("ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_append_only").execute(&mut sql).await.unwrap();
    run_once(&vault.workshop, Errand::SelfCheck).await.unwrap();
    let entries = vault.entries("run_job").await;
    assert_eq!(entries.len(), 1);
    assert_eq!((&entries[0].2["kind"], &entries[0].2["reason"]), (&"notice".into(), &"database_refused".into()));
    assert_eq!(entries[0].1, "failed");
    sql.close().await.unwrap();
}
