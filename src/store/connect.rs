//! Opening the database, and refusing one that would break a promise.
//!
//! Only `boot` calls [`open`] and [`migrate`]; `tests/tidy.rs` holds that.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
pub use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::model::tuning::Tuning;

use super::Store;
use super::error::StoreError;
use super::ledger::WriterConnection;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Why the start is refused. The text says what to do.
#[derive(Debug)]
pub struct Refusal(pub String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// How to reach the database as the application's role.
#[derive(Debug, Clone)]
pub struct Access {
    pub options: PgConnectOptions,
    pub pool: u32,
    pub tuning: Tuning,
}

impl Access {
    /// The options of every session: what PostgreSQL could be told to relax is set here and read back in [`check_session`].
    fn session(&self) -> PgConnectOptions {
        self.options
            .clone()
            .application_name("goldfin")
            .options([
                ("synchronous_commit", "on"),
                ("search_path", "public"),
                ("statement_timeout", "30s"),
                ("lock_timeout", "5s"),
                ("idle_in_transaction_session_timeout", "60s"),
                ("client_min_messages", "warning"),
                ("plan_cache_mode", "auto"),
                // What requests ask for has an index. A plan is kept, however the table grows: none may read all of it because it was
                // small once.
                ("enable_seqscan", "off"),
            ])
            // Parameters hold ciphertext only, but statements are nobody's business in a log.
            .disable_statement_logging()
    }

    /// Opens the pool after the database has passed every check.
    pub async fn open(&self) -> Result<Store, Refusal> {
        self.check_again().await.map_err(|error| unreachable_database(&error))??;
        let pool = PgPoolOptions::new()
            .max_connections(self.pool)
            .min_connections(1)
            .acquire_timeout(Duration::from_secs(5))
            .test_before_acquire(false)
            .idle_timeout(Duration::from_secs(600))
            .after_connect(|connection, _| {
                Box::pin(async move { check_session(connection).await.map_err(|refusal| sqlx::Error::Configuration(Box::new(refusal))) })
            })
            .connect_with(self.session())
            .await
            .map_err(|error| unreachable_database(&error))?;
        Ok(Store::from_pool(pool, self.tuning))
    }

    /// Makes the checks of [`Access::open`] on a new connection, which sees what was changed since. The outer error: there is none.
    pub async fn check(&self) -> Result<Result<(), Refusal>, StoreError> {
        Ok(self.check_again().await?)
    }

    async fn check_again(&self) -> Result<Result<(), Refusal>, sqlx::Error> {
        let mut connection = self.connect().await?;
        let session = check_session(&mut connection).await;
        let checked = match session {
            Ok(()) => check_schema(&mut connection).await,
            refused => refused,
        };
        drop(connection.close().await);
        Ok(checked)
    }

    /// One more connection, for the ledger's writer.
    pub async fn writer(&self) -> Result<WriterConnection, StoreError> {
        let mut connection = self.connect().await?;
        check_session(&mut connection).await.map_err(|_| StoreError::Unavailable("the database's settings changed"))?;
        Ok(WriterConnection::new(connection))
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        match tokio::time::timeout(Duration::from_secs(5), self.session().connect()).await {
            Ok(connection) => connection,
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }
}

/// Opens any database that holds goldfin's schema, for reading only: an auditor's copy, a restored dump. An auditor's login, to which the
/// ledger's tables are closed, finds views of the same names.
pub async fn open_for_reading(options: PgConnectOptions) -> Result<Store, Refusal> {
    let options = options
        .application_name("goldfin verify")
        .options([("default_transaction_read_only", "on"), ("search_path", "public")])
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .after_connect(|connection, _| Box::pin(look_into_views(connection)))
        .connect_with(options)
        .await
        .map_err(|error| unreachable_database(&error))?;
    Ok(Store::from_pool(pool, Tuning::default()))
}

/// Only where there is no other way: what a view shows, its owner decides.
async fn look_into_views(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let open =
        sqlx::query_scalar!(r#"SELECT coalesce(has_table_privilege(to_regclass('public.ledger_entry'), 'SELECT'), true) AS "open!""#)
            .fetch_one(&mut *connection)
            .await?;
    if !open {
        sqlx::query!("SET search_path = auditing, public").execute(connection).await?;
    }
    Ok(())
}

fn unreachable_database(error: &sqlx::Error) -> Refusal {
    match error {
        sqlx::Error::Database(database) => Refusal(format!("PostgreSQL refuses the connection: {}", database.message())),
        sqlx::Error::Configuration(refusal) => Refusal(refusal.to_string()),
        sqlx::Error::Io(io) => Refusal(format!("PostgreSQL cannot be reached: {io}; check the `database` section of the configuration")),
        _ => Refusal("PostgreSQL cannot be reached; check the `database` section of the configuration".to_owned()),
    }
}

/// Applies the migrations as the owner. `options` log in as the migrator, or in `goldfin dev` as the superuser.
pub async fn migrate(options: &PgConnectOptions) -> Result<(), Refusal> {
    let options = options.clone().application_name("goldfin migrate").options([("role", "goldfin_owner"), ("search_path", "public")]);
    let mut connection = options.connect().await.map_err(|error| unreachable_database(&error))?;
    MIGRATIONS.run(&mut connection).await.map_err(|error| Refusal(format!("the migrations cannot be applied: {error}")))?;
    drop(connection.close().await);
    Ok(())
}

/// Says how many days entries of the ledger are kept at least, as the owner; how many it was.
pub async fn set_retention(options: &PgConnectOptions, days: i32) -> Result<i32, Refusal> {
    let options = options.clone().application_name("goldfin retention").options([("role", "goldfin_owner"), ("search_path", "public")]);
    let mut connection = options.connect().await.map_err(|error| unreachable_database(&error))?;
    let before = sqlx::query_scalar!("SELECT days FROM ledger_retention ORDER BY version DESC LIMIT 1").fetch_one(&mut connection).await;
    let before = before.map_err(|error| unreachable_database(&error))?;
    if before != days {
        let set = sqlx::query!("INSERT INTO ledger_retention (days) VALUES ($1)", days).execute(&mut connection).await;
        set.map_err(|error| Refusal(format!("the retention cannot be set: {error}")))?;
    }
    drop(connection.close().await);
    Ok(before)
}

/// Refuses a login that could do more than the application's role, and settings under which an acknowledged write can be lost.
pub async fn check_session(connection: &mut PgConnection) -> Result<(), Refusal> {
    let row = sqlx::query!(
        r#"SELECT r.rolsuper AS "superuser!", r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls AS "powerful!",
                  pg_has_role(current_user, 'pg_write_all_data', 'MEMBER') OR pg_has_role(current_user, 'pg_write_server_files', 'MEMBER')
                      OR pg_has_role(current_user, 'pg_execute_server_program', 'MEMBER') AS "writes_all!",
                  EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND pg_has_role(current_user, c.relowner, 'MEMBER')) AS "owner!",
                  current_setting('synchronous_commit') AS "synchronous_commit!", current_setting('fsync') AS "fsync!",
                  current_setting('full_page_writes') AS "full_page_writes!", current_setting('server_version_num')::integer AS "version!",
                  current_setting('session_replication_role') AS "replication_role!"
           FROM pg_roles r WHERE r.rolname = current_user"#
    )
    .fetch_one(connection)
    .await
    .map_err(|error| unreachable_database(&error))?;
    let refused = |why: &str| Err(Refusal(why.to_owned()));
    if row.version < 150_000 {
        return refused("PostgreSQL 15 or newer is needed");
    }
    if row.superuser {
        return refused("goldfin does not run as a database superuser; log in as goldfin_app (docs/roles.sql)");
    }
    if row.owner {
        return refused("goldfin does not run as the owner of its tables; log in as goldfin_app (docs/roles.sql)");
    }
    if row.powerful || row.writes_all {
        return refused("the database login holds more rights than goldfin_app needs; log in as goldfin_app (docs/roles.sql)");
    }
    if row.fsync != "on" || row.full_page_writes != "on" {
        return refused("PostgreSQL runs with fsync or full_page_writes off, so acknowledged writes can be lost; turn both on");
    }
    if !matches!(row.synchronous_commit.as_str(), "on" | "remote_apply") {
        return refused("synchronous_commit is not on, so acknowledged writes can be lost; remove the setting from the role or database");
    }
    if row.replication_role != "origin" {
        return refused("session_replication_role is not origin, so the ledger's triggers are off; remove the setting");
    }
    Ok(())
}

/// The triggers that keep the ledger append-only, and new keys off retired versions of the keyring.
const TRIGGERS: i64 = 24;

/// Refuses a schema that this binary does not know, triggers that are switched off, and rights on the ledger beyond reading.
pub async fn check_schema(connection: &mut PgConnection) -> Result<(), Refusal> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let applied = sqlx::query_scalar::<_, i64>("SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success")
        .fetch_one(&mut *connection)
        .await
        .map_err(|_| Refusal("the database holds no schema of goldfin; run `goldfin server migrate` as the migrator".to_owned()))?;
    if applied > known {
        return Err(Refusal(format!("the database's schema has version {applied} and this goldfin knows {known}; run a newer goldfin")));
    }
    if applied < known {
        return Err(Refusal(format!(
            "the database's schema has version {applied} and this goldfin needs {known}; run `goldfin server migrate` as the migrator"
        )));
    }
    let ledger = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('ledger_entry'::regclass, 'ledger_head'::regclass, 'ledger_subject'::regclass,
                              'ledger_tile'::regclass, 'ledger_checkpoint'::regclass, 'ledger_archive'::regclass, 'ledger_kept'::regclass, 'kv_secret'::regclass, 'kv_version'::regclass,
                              'transform_key'::regclass, 'subject'::regclass, 'control'::regclass)
                          AND NOT tgisinternal AND tgenabled = 'O') AS "triggers!",
                  EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent IN ('ledger_entry'::regclass, 'ledger_subject'::regclass)
                          AND 2 <> (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = i.inhrelid AND NOT t.tgisinternal AND t.tgenabled = 'O')) AS "loose!",
                  EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent IN ('ledger_entry'::regclass, 'ledger_subject'::regclass)
                          AND has_table_privilege(i.inhrelid, 'INSERT, UPDATE, DELETE, TRUNCATE')) OR
                      has_table_privilege('ledger_entry', 'INSERT') OR has_table_privilege('ledger_entry', 'UPDATE')
                      OR has_table_privilege('ledger_entry', 'DELETE') OR has_table_privilege('ledger_entry', 'TRUNCATE')
                      OR has_table_privilege('ledger_head', 'INSERT') OR has_table_privilege('ledger_head', 'UPDATE')
                      OR has_table_privilege('ledger_head', 'DELETE')
                      OR has_table_privilege('ledger_subject', 'INSERT, UPDATE, DELETE, TRUNCATE')
                      OR has_table_privilege('ledger_tile', 'INSERT, UPDATE, DELETE, TRUNCATE')
                      OR has_table_privilege('ledger_archive', 'INSERT, UPDATE, DELETE, TRUNCATE')
                      OR has_table_privilege('ledger_kept', 'INSERT, UPDATE, DELETE, TRUNCATE')
                      OR has_table_privilege('ledger_retention', 'INSERT, UPDATE, DELETE, TRUNCATE')
                      OR has_table_privilege('ledger_checkpoint', 'INSERT, UPDATE, DELETE, TRUNCATE') AS "writable!""#
    )
    .fetch_one(connection)
    .await
    .map_err(|error| unreachable_database(&error))?;
    if ledger.triggers != TRIGGERS || ledger.loose {
        return Err(Refusal(
            "triggers of goldfin's schema are missing or disabled; enable them (`ALTER TABLE ledger_entry ENABLE TRIGGER ALL`, and the like)".to_owned(),
        ));
    }
    if ledger.writable {
        return Err(Refusal("the login may write the ledger's tables directly; revoke that (migrations/0006_grants.sql)".to_owned()));
    }
    Ok(())
}
