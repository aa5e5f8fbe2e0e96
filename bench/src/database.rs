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

    /// One commit of these rows under the ids from `first` on, as `pii_token_append` writes them.
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
