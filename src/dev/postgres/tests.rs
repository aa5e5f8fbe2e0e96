//! Against the real programs of the distribution.

use std::io::Read;
use std::process::Child;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::*;
use crate::dev::process::alive;

fn folder() -> EphemeralFolder {
    EphemeralFolder::create().unwrap()
}

async fn value(options: &PgConnectOptions, sql: &'static str) -> Result<String, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    sqlx::query_scalar(sql).fetch_one(&mut connection).await
}

async fn run(options: &PgConnectOptions, sql: &'static str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    sqlx::raw_sql(sql).execute(&mut connection).await.map(drop)
}

fn kill(pid: u32) {
    signal::kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roles_can_do_what_they_are_for_and_no_more() {
    let folder = folder();
    let postgres = PrivatePostgres::start(folder.path(), false).unwrap();
    postgres.prepare_roles().await.unwrap();
    run(
        &postgres.url_superuser(),
        "ALTER ROLE goldfin_app SUPERUSER; ALTER ROLE goldfin_app SET synchronous_commit = off; GRANT pg_write_all_data TO goldfin_app",
    )
    .await
    .unwrap();
    postgres.prepare_roles().await.unwrap();

    let who = "SELECT current_user || ' ' || (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) || ' ' \
               || current_setting('synchronous_commit') || ' ' || pg_has_role('pg_write_all_data', 'MEMBER')";
    assert_eq!(value(&postgres.url_app(), who).await.unwrap(), "goldfin_app false on false");
    assert_eq!(value(&postgres.url_auditor(), who).await.unwrap(), "goldfin_auditor false on false");
    assert_eq!(value(&postgres.url_migrator(), who).await.unwrap(), "goldfin_migrator false on false");
    assert_eq!(value(&postgres.url_superuser(), "SELECT current_database()").await.unwrap(), DATABASE);

    run(&postgres.url_migrator(), "SET ROLE goldfin_owner; CREATE SCHEMA s; CREATE TABLE s.t (id int)").await.unwrap();
    assert!(run(&postgres.url_migrator(), "CREATE TABLE u (id int)").await.is_err());
    assert!(run(&postgres.url_app(), "CREATE TABLE u (id int)").await.is_err());
    assert!(run(&postgres.url_app(), "SET ROLE goldfin_owner").await.is_err());
    assert!(run(&postgres.url_auditor(), "SELECT * FROM s.t").await.is_err());
    let owner = PgConnectOptions::clone(&postgres.url_app()).username("goldfin_owner");
    assert!(PgConnection::connect_with(&owner).await.is_err(), "the owner must not log in");
    postgres.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_durable_and_deaf_to_the_network() {
    let folder = folder();
    let postgres = PrivatePostgres::start(folder.path(), true).unwrap();
    postgres.prepare_roles().await.unwrap();
    let settings = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN \
                    ('fsync', 'full_page_writes', 'synchronous_commit', 'listen_addresses', 'data_checksums', 'server_encoding')";
    assert_eq!(
        value(&postgres.url_app(), settings).await.unwrap(),
        "data_checksums=on fsync=on full_page_writes=on listen_addresses= server_encoding=UTF8 synchronous_commit=on"
    );
    assert!(fs::read_to_string(postgres.log()).unwrap().contains("string_agg(name"), "statements are logged on request");
    for (path, mode) in [(&postgres.cluster, 0o700), (&postgres.sockets, 0o700), (&postgres.log, 0o600)] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, mode, "{}", path.display());
    }
    let status = fs::metadata(format!("/proc/{}", postgres.process_id().unwrap())).unwrap();
    assert_ne!(status.uid(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_used_by_one_process_and_its_data_stay() {
    let folder = folder();
    let postgres = PrivatePostgres::start(folder.path(), false).unwrap();
    postgres.prepare_roles().await.unwrap();
    assert!(matches!(PrivatePostgres::start(folder.path(), false), Err(DevError::InUse(_))));
    run(&postgres.url_superuser(), "CREATE TABLE kept AS SELECT 'still here' AS what").await.unwrap();
    let pid = postgres.process_id().unwrap();
    postgres.stop().unwrap();
    assert!(!alive(pid));

    let again = PrivatePostgres::start(folder.path(), false).unwrap();
    assert_eq!(value(&again.url_superuser(), "SELECT what FROM kept").await.unwrap(), "still here");
    let pid = again.process_id().unwrap();
    drop(again);
    assert!(!alive(pid));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_noticed_and_comes_back_with_its_data() {
    let folder = folder();
    let mut postgres = PrivatePostgres::start(folder.path(), false).unwrap();
    postgres.prepare_roles().await.unwrap();
    run(&postgres.url_superuser(), "CREATE TABLE kept AS SELECT 'still here' AS what").await.unwrap();
    kill(postgres.process_id().unwrap());
    assert!(patiently(Duration::from_secs(10), || !postgres.is_running()));
    assert!(postgres.cluster.join("postmaster.pid").exists(), "the stale file is what this test is about");
    postgres.restart().unwrap();
    assert_eq!(value(&postgres.url_superuser(), "SELECT what FROM kept").await.unwrap(), "still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_pid_file_that_names_a_stranger_hinders_nothing() {
    let folder = folder();
    let postgres = PrivatePostgres::start(folder.path(), false).unwrap();
    let (cluster, pid) = (postgres.cluster.clone(), postgres.process_id().unwrap());
    let stranger = PrivatePostgres::start(&folder.path().join("other"), false).unwrap();
    let file = fs::read_to_string(cluster.join("postmaster.pid")).unwrap();
    postgres.stop().unwrap();
    let stale = file.replacen(&pid.to_string(), &stranger.process_id().unwrap().to_string(), 1);
    fs::write(cluster.join("postmaster.pid"), stale).unwrap();

    let again = PrivatePostgres::start(folder.path(), false).unwrap();
    assert!(again.is_running() && stranger.is_running());
}

#[test]
fn a_long_path_gets_a_short_socket() {
    let folder = folder();
    let deep = folder.path().join("a".repeat(60)).join("b".repeat(60));
    let postgres = PrivatePostgres::start(&deep, false).unwrap();
    assert!(socket_in(&postgres.sockets).as_os_str().len() <= LONGEST_SOCKET_PATH);
    let sockets = postgres.sockets.clone();
    postgres.stop().unwrap();
    assert!(!sockets.exists());
}

/// Root only: another user has no folder its own server could not enter.
#[test]
fn a_folder_the_server_cannot_enter_gets_a_place_elsewhere() {
    if !geteuid().is_root() {
        return;
    }
    let folder = folder();
    let closed = folder.path().join("closed");
    let data = closed.join("data");
    DirBuilder::new().mode(0o700).create(&closed).unwrap();
    assert_eq!(fs::metadata(&closed).unwrap().uid(), 0);
    let postgres = PrivatePostgres::start(&data, false).unwrap();
    let place = fs::read_link(data.join("postgresql")).unwrap();
    postgres.stop().unwrap();
    assert_eq!(fs::metadata(&closed).unwrap().mode() & 0o777, 0o700, "folders above are left alone");
    assert_eq!(fs::read_to_string(place.join("belongs-to")).unwrap().trim_end(), data.to_str().unwrap());
    PrivatePostgres::start(&data, false).unwrap().stop().unwrap();
    assert_eq!(fs::read_link(data.join("postgresql")).unwrap(), place, "the second start uses the same place");
    assert!(place.starts_with(ELSEWHERE));
    fs::remove_dir_all(place).unwrap();
}

#[test]
fn a_private_data_folder_becomes_enterable_for_the_server_alone() {
    if !geteuid().is_root() {
        return;
    }
    let folder = folder();
    let data = folder.path().join("private");
    DirBuilder::new().mode(0o700).create(&data).unwrap();
    let postgres = PrivatePostgres::start(&data, false).unwrap();
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o777, 0o710);
    assert!(!data.join("postgresql").is_symlink());
    postgres.stop().unwrap();
}

const VICTIM: &str = "GOLDFIN_TEST_START_POSTGRES_IN";

/// Not a test by itself: the process that the next test kills.
#[test]
fn start_one_and_wait_to_be_killed() {
    let Some(data) = std::env::var_os(VICTIM) else { return };
    let postgres = PrivatePostgres::start(Path::new(&data), false).unwrap();
    fs::write(Path::new(&data).join("started"), postgres.process_id().unwrap().to_string()).unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    std::thread::sleep(Duration::from_secs(600));
}

#[test]
fn it_ends_with_a_killed_owner_and_the_folder_can_be_used_again_at_once() {
    let folder = folder();
    let mut owner = start_victim(folder.path());
    let started = folder.path().join("started");
    assert!(patiently(Duration::from_secs(60), || fs::read_to_string(&started).is_ok_and(|pid| !pid.is_empty())));
    let old: u32 = fs::read_to_string(&started).unwrap().parse().unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();

    let postgres = PrivatePostgres::start(folder.path(), false).unwrap();
    assert_ne!(postgres.process_id().unwrap(), old);
    postgres.stop().unwrap();
    assert!(patiently(Duration::from_secs(10), || !fs::read_to_string(format!("/proc/{old}/comm"))
        .is_ok_and(|name| name.trim() == "postgres")
        || fs::read_link(format!("/proc/{old}/cwd")).is_err()));
}

#[test]
fn the_server_follows_its_killed_owner_without_another_start() {
    if !Path::new("/usr/bin/setpriv").exists() {
        return;
    }
    let folder = folder();
    let mut owner = start_victim(folder.path());
    let started = folder.path().join("started");
    assert!(patiently(Duration::from_secs(60), || fs::read_to_string(&started).is_ok_and(|pid| !pid.is_empty())));
    let old: u32 = fs::read_to_string(&started).unwrap().parse().unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(patiently(Duration::from_secs(60), || fs::read_link(format!("/proc/{old}/cwd")).is_err()));
}

fn start_victim(data: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "dev::postgres::tests::start_one_and_wait_to_be_killed"])
        .env(VICTIM, data)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}
