//! What the database's logins may not do, and the databases that goldfin refuses to start on.

use std::process::Command;

use serde_json::json;

use crate::server::Server;

#[test]
fn the_application_cannot_touch_the_ledger() {
    let server = Server::start();
    server.root_write("secret/data/app", json!({ "data": {} }));
    for statement in [
        "DELETE FROM ledger_entry",
        "UPDATE ledger_entry SET account = 'x'",
        "TRUNCATE ledger_entry",
        "INSERT INTO ledger_entry SELECT stream, seq + 1000, time, request, account, action, resource, decision, subject, change, body, mac FROM ledger_entry LIMIT 1",
        "DELETE FROM ledger_subject",
        "INSERT INTO ledger_subject VALUES (1, 1, '', '', now(), 1)",
        "UPDATE ledger_head SET seq = 0",
        "DELETE FROM ledger_head",
        "INSERT INTO ledger_head VALUES (77, 0, '')",
        "INSERT INTO ledger_stream (node) VALUES ('x')",
        "DELETE FROM ledger_stream",
        "DELETE FROM ledger_checkpoint",
        "INSERT INTO ledger_checkpoint VALUES (1, 1, decode(repeat('00', 32), 'hex'), '')",
        "UPDATE ledger_tile SET level = 1",
        "TRUNCATE ledger_tile",
        "ALTER TABLE ledger_entry DISABLE TRIGGER ALL",
        "DROP TABLE ledger_entry",
        "CREATE TABLE public.shadow (x integer)",
        "CREATE FUNCTION public.ledger_append() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "SET session_replication_role = replica",
        "SET ROLE goldfin_owner",
        "DELETE FROM seal",
        "DELETE FROM subject",
    ] {
        let refused = server.sql("goldfin_app", statement).expect_err(statement);
        assert!(refused.contains("permission denied") || refused.contains("must be owner"), "{statement}: {refused}");
    }
    // Even the superuser is told by the triggers before an accident happens.
    for statement in [
        "DELETE FROM ledger_entry",
        "UPDATE ledger_entry SET account = 'x'",
        "TRUNCATE ledger_entry",
        "UPDATE ledger_head SET seq = 0",
        "DELETE FROM ledger_checkpoint",
        "TRUNCATE ledger_tile",
    ] {
        assert!(server.sql("postgres", statement).expect_err(statement).contains("ledger") || statement.contains("head"), "{statement}");
    }
    // Nobody is named in an entry that is there.
    let late = "SELECT ledger_name_subjects(1, '{1}', ARRAY[now()], '{x}', '{x}', '{1}')";
    assert!(server.sql("goldfin_app", late).expect_err(late).contains("was written before"));
    assert!(server.sql("goldfin_auditor", "SELECT count(*) FROM audit").unwrap().parse::<u32>().unwrap() > 0);
    // Auditors verify through views of the tables' names, and the tables stay closed.
    for table in ["ledger_stream", "ledger_head", "ledger_entry", "ledger_checkpoint"] {
        let rows = server.sql("goldfin_auditor", &format!("SELECT count(*) FROM auditing.{table}")).expect(table);
        assert!(rows.parse::<u32>().unwrap() > 0 || table == "ledger_checkpoint", "{table}");
    }
    for statement in [
        "SELECT * FROM ledger_entry",
        "SELECT * FROM ledger_head",
        "SELECT * FROM ledger_subject",
        "SELECT * FROM ledger_tile",
        "SELECT * FROM seal",
        "SELECT * FROM control",
        "SELECT * FROM kv_version",
        "DELETE FROM control",
        "DELETE FROM auditing.ledger_entry",
        "UPDATE auditing.ledger_head SET seq = 0",
        "INSERT INTO auditing.ledger_stream (node) VALUES ('x')",
        "CREATE VIEW auditing.shadow AS SELECT 1",
        "CREATE TABLE auditing.shadow (x integer)",
    ] {
        assert!(server.sql("goldfin_auditor", statement).expect_err(statement).contains("permission denied"), "{statement}");
    }
    assert_eq!(server.verify()["exit_code"], json!(0));
}

/// Starts `goldfin server` as `user` and gives what it said before it refused.
fn refusal(server: &Server, user: &str) -> String {
    let folder = server.data().with_file_name(format!("refused-{user}"));
    std::fs::create_dir_all(&folder).unwrap();
    let pid_file = std::fs::read_to_string(server.data().join("postgresql/cluster/postmaster.pid")).unwrap();
    let socket = pid_file.lines().nth(4).unwrap();
    let certificates = server.data().join("certs");
    let configuration = format!(
        "node = \"refused\"\n[listen]\naddress = \"127.0.0.1:0\"\n[tls]\ncertificate = \"{0}/server.pem\"\nkey = \"{0}/server.key\"\n[database]\nhost = \"{socket}\"\nuser = \"{user}\"\n",
        certificates.display()
    );
    let file = folder.join("goldfin.toml");
    std::fs::write(&file, configuration).unwrap();
    let output =
        Command::new("timeout").arg("30").arg(env!("CARGO_BIN_EXE_goldfin")).args(["server", "--config"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_database_that_would_break_a_promise_is_refused() {
    let server = Server::start();
    assert!(refusal(&server, "postgres").contains("superuser"));
    server.sql("postgres", "GRANT goldfin_owner TO goldfin_app").unwrap();
    assert!(refusal(&server, "goldfin_app").contains("owner"));
    server.sql("postgres", "REVOKE goldfin_owner FROM goldfin_app; GRANT pg_write_all_data TO goldfin_app").unwrap();
    assert!(refusal(&server, "goldfin_app").contains("more rights"));
    server.sql("postgres", "REVOKE pg_write_all_data FROM goldfin_app; GRANT INSERT ON ledger_entry TO goldfin_app").unwrap();
    assert!(refusal(&server, "goldfin_app").contains("ledger's tables"));
    server
        .sql(
            "postgres",
            "REVOKE INSERT ON ledger_entry FROM goldfin_app; ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_append_only",
        )
        .unwrap();
    assert!(refusal(&server, "goldfin_app").contains("triggers"));
    server.sql("postgres", "ALTER TABLE ledger_entry ENABLE TRIGGER ledger_entry_append_only").unwrap();
    server
        .sql("postgres", "UPDATE _sqlx_migrations SET version = version + 1000 WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .unwrap();
    assert!(refusal(&server, "goldfin_app").contains("newer goldfin"));
    server.sql("postgres", "DELETE FROM _sqlx_migrations WHERE version > 1000").unwrap();
    assert!(refusal(&server, "goldfin_app").contains("goldfin server migrate"));
}

#[test]
fn a_session_setting_of_the_role_does_not_weaken_commits() {
    let mut server = Server::start();
    server.sql("postgres", "ALTER ROLE goldfin_app SET synchronous_commit = off").unwrap();
    server.kill_and_restart();
    // The session sets it itself, and the append function looks again.
    server.root_write("secret/data/app", json!({ "data": {} }));
    let refused = server.sql(
        "goldfin_app",
        "SET synchronous_commit = off; SELECT ledger_append(1, 0, '', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
    );
    assert!(refused.unwrap_err().contains("synchronous_commit"));
}

/// Operators and functions of the names that the ledger's functions use, found first by whoever names no schema.
const TRAPS: &str = "
    CREATE SCHEMA trap;
    GRANT USAGE ON SCHEMA trap TO PUBLIC;
    DO $do$
    DECLARE
        v text[];
    BEGIN
        FOREACH v SLICE 1 IN ARRAY ARRAY[
            ['+', 'bigint', 'integer'], ['=', 'bigint', 'bigint'], ['=', 'integer', 'integer'], ['=', 'bytea', 'bytea'],
            ['=', 'bigint', 'integer'], ['<>', 'text', 'text'], ['<>', 'integer', 'integer'], ['<=', 'bigint', 'bigint'],
            ['<', 'bigint', 'integer']] LOOP
            EXECUTE format($f$CREATE OR REPLACE FUNCTION trap.sprung(%1$s, %2$s) RETURNS boolean LANGUAGE plpgsql AS $b$BEGIN RAISE EXCEPTION 'trapped'; END$b$ $f$, v[2], v[3]);
            EXECUTE format('CREATE OPERATOR trap.%s (FUNCTION = trap.sprung, LEFTARG = %s, RIGHTARG = %s)', v[1], v[2], v[3]);
        END LOOP;
        FOREACH v SLICE 1 IN ARRAY ARRAY[
            ['cardinality', 'anyarray', 'integer'], ['current_setting', 'text', 'text'], ['generate_series', 'integer, integer', 'SETOF integer']] LOOP
            EXECUTE format($f$CREATE FUNCTION trap.%s(%s) RETURNS %s LANGUAGE plpgsql AS $b$BEGIN RAISE EXCEPTION 'trapped'; END$b$ $f$, v[1], v[2], v[3]);
        END LOOP;
    END
    $do$";

#[test]
fn a_search_path_of_the_caller_leads_the_ledgers_functions_nowhere() {
    let server = Server::start();
    server.sql("postgres", TRAPS).unwrap();
    let trapped = |statement: &str| server.sql("goldfin_app", &format!("SET search_path = trap, pg_catalog, public; {statement}"));
    for bait in ["SELECT 1::bigint + 1", "SELECT cardinality('{1}'::integer[])"] {
        assert!(trapped(bait).unwrap_err().contains("trapped"), "{bait}");
    }
    let append = |after: &str| {
        format!(
            "SELECT ledger_append(stream, {after}, mac, '{{now}}', ARRAY[gen_random_uuid()], '{{a}}', '{{a}}', '{{a}}', '{{a}}', '{{NULL}}', '{{NULL}}', '{{a}}', '{{m}}')
             FROM ledger_head"
        )
    };
    assert!(trapped(&append("77")).unwrap_err().contains("does not end where the writer believes"));
    let ends: i64 = server.sql("postgres", "SELECT seq FROM ledger_head").unwrap().parse().unwrap();
    assert_eq!(trapped(&append("seq")).unwrap(), (ends + 1).to_string());
    assert_eq!(trapped("SELECT subjects_alive('{}')").unwrap(), "0");
    assert!(trapped("SELECT subjects_alive('{-1}')").unwrap_err().contains("is erased"));
}
