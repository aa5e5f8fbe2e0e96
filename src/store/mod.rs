//! Floor 2: the only floor that knows SQL.
//!
//! Engines reach it through a [`work::Work`], which is confined to one mount; the recorder commits what a work has gathered together
//! with its entry. Nothing here decides anything.

pub mod allowance;
pub mod auth_token;
pub mod connect;
pub mod control;
pub mod convergent;
pub mod directory;
pub mod disclosure;
pub mod erasure;
pub mod error;
pub mod expiry;
pub mod keyring;
pub mod kv;
pub mod ledger;
pub mod ledger_archive;
pub mod ledger_export;
pub mod ledger_months;
pub mod ledger_search;
pub mod ledger_summary;
pub mod ledger_tree;
pub mod ledger_verify;
pub mod manifest;
pub mod new_tokens;
pub mod quotas;
pub mod removed;
pub mod replay;
pub mod rewrap;
pub mod subject;
pub mod token_lookup;
pub mod token_rows;
pub mod token_state;
pub mod transform;
pub mod witness;
pub mod work;

use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::tuning::Tuning;

use error::StoreError;

pub(crate) type Transaction = sqlx::Transaction<'static, Postgres>;

/// One connection in so many may be held by a large request.
const LANES_OF: usize = 3;

/// The pool of connections as the application's role. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    /// Large requests that may hold a connection each while they work; the others are for everybody else.
    lanes: Arc<Semaphore>,
    tuning: Tuning,
}

impl Store {
    pub(crate) fn from_pool(pool: PgPool, tuning: Tuning) -> Self {
        let connections = usize::try_from(pool.options().get_max_connections()).unwrap_or(usize::MAX);
        Self { pool, lanes: Arc::new(Semaphore::new((connections / LANES_OF).max(1))), tuning }
    }

    pub(crate) fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    // Boxed here and in `begin`: what the making of a connection takes, four kilobytes, is part of the pool's futures, and would be of all
    // that wait for them.
    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        Ok(Box::pin(self.pool.acquire()).await?)
    }

    pub(crate) async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(Box::pin(self.pool.begin()).await?)
    }

    /// Waits until one more large request may hold a connection. Take it before the connection.
    pub(crate) async fn lane(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        Arc::clone(&self.lanes).acquire_owned().await.map_err(|_| StoreError::Unavailable("the database is closed"))
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}
