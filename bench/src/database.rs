//! The superuser's door to the database of a goldfin that the benchmark started: sizes, fills, settings. It opens no other: PostgreSQL
//! itself says where its files are, and they must be those of the benchmark's folder.

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection, PgConnection};

use crate::figures::median;
use crate::service::Service;
use crate::trouble::Trouble;
use crate::watch::now;

/// The shape of a token's row, once more, for the other side of R5.
const COPY: &str = "CREATE TABLE bench_raw (LIKE pii_token INCLUDING ALL); INSERT INTO bench_raw SELECT * FROM pii_token";

/// Real entries that the copies are made of: the newest of each kind, of a person where there is one.
const TEMPLATES: &str = "CREATE TABLE IF NOT EXISTS bench_entry AS
    SELECT row_number() OVER () - 1 AS number, e.* FROM (
        SELECT DISTINCT ON (action) action, account, resource, decision, subject, body FROM ledger_entry
        WHERE action IN ('read_secret', 'encode', 'decode') AND decision = 'granted' AND change IS NULL
        ORDER BY action, subject IS NULL, stream, seq DESC
    ) e;
    ANALYZE bench_entry";

/// The stream of the copies. It ends where its head says; no node claims it.
const STREAM: &str = "INSERT INTO ledger_stream (node) VALUES ('bench') ON CONFLICT DO NOTHING;
    INSERT INTO ledger_head (stream, seq, mac) SELECT stream, 0, '' FROM ledger_stream WHERE node = 'bench' ON CONFLICT DO NOTHING";

/// Segments of WAL that a database which has run for a while finds ready: 16 MiB each.
const SEGMENTS: usize = 120;

/// Rows of one transaction of a fill.
const STRETCH: i64 = 100_000;

/// Ids that goldfin takes at a time (`store::transform::BLOCK`).
const BLOCK: i64 = 4096;

const COMMITS: usize = 100;

/// A session of the superuser.
#[derive(Debug)]
pub struct Database {
    connection: PgConnection,
}

/// Rows as goldfin would insert them, column by column.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    transformation: Vec<i32>,
    value: Vec<Vec<u8>>,
}

impl Database {
    pub async fn open(service: &Service) -> Result<Self, Trouble> {
        let mut opened = Self { connection: PgConnection::connect_with(&options(&service.socket()?, "goldfin")).await? };
        let files: String = sqlx::query_scalar("SELECT current_setting('data_directory')").fetch_one(&mut opened.connection).await?;
        if Path::new(&files).canonicalize()? != service.cluster()? {
            return Err(Trouble::new("this PostgreSQL is not the one that the benchmark made"));
        }
        Ok(opened)
    }

    /// Opens the database of a service that has just begun, and gives it used segments of WAL to write over, as one that has run for a
    /// while has them. Each new one would hold up all commits while PostgreSQL fills it with zeros, here for 20 to 60 ms.
    pub async fn open_seasoned(service: &Service) -> Result<Self, Trouble> {
        let mut opened = Self::open(service).await?;
        opened.run("ALTER SYSTEM SET min_wal_size = '2GB'").await?;
        opened.run("SELECT pg_reload_conf()").await?;
        for _ in 0..SEGMENTS {
            opened.run("SELECT pg_logical_emit_message(false, 'bench', 'used')").await?;
            opened.run("SELECT pg_switch_wal()").await?;
        }
        opened.run("CHECKPOINT").await?;
        Ok(opened)
    }

    /// Runs statements one after the other.
    pub async fn run(&mut self, statements: &'static str) -> Result<(), Trouble> {
        sqlx::raw_sql(statements).execute(&mut self.connection).await?;
        Ok(())
    }

    pub async fn number(&mut self, query: &'static str) -> Result<i64, Trouble> {
        Ok(sqlx::query_scalar(query).fetch_one(&mut self.connection).await?)
    }

    pub async fn tokens(&mut self) -> Result<i64, Trouble> {
        self.number("SELECT count(*) FROM pii_token").await
    }

    /// Bytes of the tokens' table with its indexes.
    pub async fn tokens_size(&mut self) -> Result<i64, Trouble> {
        self.number("SELECT pg_total_relation_size('pii_token')").await
    }

    /// Bytes of WAL written so far.
    pub async fn written(&mut self) -> Result<i64, Trouble> {
        self.number("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").await
    }

    /// Adds rows of the shape of a stored token until there are `wanted`. Nobody holds tokens for them and nobody can decrypt them; for
    /// the table they are as heavy as any.
    pub async fn fill(&mut self, wanted: i64) -> Result<(), Trouble> {
        let missing = wanted - self.tokens().await?;
        if missing <= 0 {
            return Ok(());
        }
        let first: i64 =
            sqlx::query_scalar("SELECT (nextval('pii_token_block') + 1) * $1").bind(BLOCK).fetch_one(&mut self.connection).await?;
        sqlx::query("SELECT setval('pii_token_block', $1)").bind((first + missing) / BLOCK + 1).execute(&mut self.connection).await?;
        for from in (first..first + missing).step_by(usize::try_from(STRETCH)?) {
            sqlx::query(
                "INSERT INTO pii_token (transformation, id, value)
                 SELECT t.transformation, g, substr(t.value, 1, 8) || substr(sha256(int8send(g)) || sha256(int8send(-g)), 1, length(t.value) - 8)
                 FROM generate_series($1::bigint, $2::bigint) g, (SELECT transformation, value FROM pii_token ORDER BY id LIMIT 1) t",
            )
            .bind(from)
            .bind((from + STRETCH).min(first + missing) - 1)
            .execute(&mut self.connection)
            .await?;
        }
        self.run("VACUUM (ANALYZE) pii_token").await?;
        self.run("CHECKPOINT").await
    }

    /// Entries of all streams.
    pub async fn entries(&mut self) -> Result<i64, Trouble> {
        self.number("SELECT sum(seq)::bigint FROM ledger_head").await
    }

    /// Bytes of the entries' partitions with their indexes.
    pub async fn ledger_size(&mut self) -> Result<i64, Trouble> {
        self.number("SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree('ledger_entry')").await
    }

    /// Whom the newest entry names.
    pub async fn newest_account(&mut self) -> Result<String, Trouble> {
        let query = "SELECT account FROM ledger_entry ORDER BY time DESC, seq DESC LIMIT 1";
        Ok(sqlx::query_scalar(query).fetch_one(&mut self.connection).await?)
    }

    /// Adds copies of entries to a stream of their own until the ledger has `wanted`, over the time of this month; the last of `most`
    /// would be of now. One in a thousand copies is of the same account, one in a hundred thousand of the same person.
    pub async fn fill_ledger(&mut self, wanted: i64, most: i64) -> Result<(), Trouble> {
        let missing = wanted - self.entries().await?;
        if missing <= 0 {
            return Ok(());
        }
        self.run(TEMPLATES).await?;
        self.run(STREAM).await?;
        let (stream, last): (i32, i64) =
            sqlx::query_as("SELECT stream, seq FROM ledger_stream JOIN ledger_head USING (stream) WHERE node = 'bench'")
                .fetch_one(&mut self.connection)
                .await?;
        for from in (last + 1..=last + missing).step_by(usize::try_from(STRETCH)?) {
            sqlx::query(
                "INSERT INTO ledger_entry (stream, seq, time, request, account, action, resource, decision, subject, change, body, mac)
                 SELECT $1, g, at.time, (at.millis || '7' || substr(md5(g::text), 1, 19))::uuid, 'account-' || g % 1000, t.action, t.resource,
                        t.decision, CASE WHEN t.subject IS NOT NULL THEN sha256(int8send(g % 100000)) END, NULL, t.body, sha256(int8send(g))
                 FROM generate_series($2::bigint, $3::bigint) g
                 JOIN bench_entry t ON t.number = g % (SELECT count(*) FROM bench_entry),
                 LATERAL (SELECT begins + (created - begins) * (g::float8 / $4) AS time
                          FROM (SELECT created, date_trunc('month', created) AS begins FROM ledger_stream WHERE stream = $1) s) w,
                 LATERAL (SELECT w.time, lpad(to_hex((extract(epoch FROM w.time) * 1000)::bigint), 12, '0') AS millis) at",
            )
            .bind(stream)
            .bind(from)
            .bind((from + STRETCH - 1).min(last + missing))
            .bind(most)
            .execute(&mut self.connection)
            .await?;
        }
        self.run("VACUUM (ANALYZE) ledger_entry").await?;
        sqlx::query(
            "UPDATE ledger_head SET (seq, mac) = (SELECT seq, mac FROM ledger_entry WHERE stream = $1 ORDER BY seq DESC LIMIT 1)
             WHERE stream = $1",
        )
        .bind(stream)
        .execute(&mut self.connection)
        .await?;
        self.run("CHECKPOINT").await
    }

    /// Makes the copy of the tokens' table that [`Self::insert_raw`] fills; gives a thousand of its rows.
    pub async fn copy_tokens(&mut self) -> Result<Rows, Trouble> {
        self.run(COPY).await?;
        self.run("VACUUM (ANALYZE) bench_raw").await?;
        let found: Vec<(i32, Vec<u8>)> = sqlx::query_as("SELECT transformation, value FROM pii_token ORDER BY id DESC LIMIT 1000")
            .fetch_all(&mut self.connection)
            .await?;
        let (transformation, value) = found.into_iter().unzip();
        Ok(Rows { transformation, value })
    }

    /// One commit of these rows under the ids from `first` on, as the statement of a group writes them.
    pub async fn insert_raw(&mut self, rows: &Rows, first: i64) -> Result<(), Trouble> {
        let count = rows.value.len();
        let ids: Vec<i64> = (first..).take(count).collect();
        sqlx::query(
            "INSERT INTO bench_raw (transformation, id, subject, expires, value, metadata, secret)
             SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::bytea[], $6::bytea[], $7::bytea[])",
        )
        .bind(&rows.transformation)
        .bind(ids)
        .bind(vec![None::<i64>; count])
        .bind(vec![None::<String>; count])
        .bind(&rows.value)
        .bind(vec![None::<Vec<u8>>; count])
        .bind(vec![None::<Vec<u8>>; count])
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// The median latency of a commit of one row, in microseconds.
    pub async fn commit_latency(&mut self) -> Result<f64, Trouble> {
        self.run("CREATE TABLE IF NOT EXISTS bench_commit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL)")
            .await?;
        let mut latencies = Vec::with_capacity(COMMITS);
        for _ in 0..COMMITS {
            let began = now();
            sqlx::query("INSERT INTO bench_commit (body) VALUES (repeat('x', 400))").execute(&mut self.connection).await?;
            latencies.push(now().duration_since(began).as_secs_f64() * 1e6);
        }
        Ok(median(latencies))
    }

    /// Makes every flush of the WAL wait 2 ms first, as on a slower disk, or takes that back. Sessions learn of it within moments.
    pub async fn slow_disk(&mut self, slow: bool) -> Result<(), Trouble> {
        if slow {
            self.run("ALTER SYSTEM SET commit_delay = 2000").await?;
            self.run("ALTER SYSTEM SET commit_siblings = 0").await?;
        } else {
            self.run("ALTER SYSTEM RESET commit_delay").await?;
            self.run("ALTER SYSTEM RESET commit_siblings").await?;
        }
        self.run("SELECT pg_reload_conf()").await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(())
    }
}

/// Over the socket, whatever the environment says.
fn options(socket: &Path, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket)
        .port(5432)
        .username("postgres")
        .database(database)
        .ssl_mode(PgSslMode::Disable)
        .application_name("goldfin bench")
}
