//! The ledger counted: what `sys/ledger/summary` answers. The views of auditors count the same.

use crate::model::clock::Timestamp;

use super::Store;
use super::error::StoreError;

/// Between which moments is counted, and how many rows at most.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    pub since: Timestamp,
    pub until: Timestamp,
    pub limit: i64,
}

/// Requests of an account on a day.
#[derive(Debug)]
pub struct OfAccount {
    pub day: time::Date,
    pub account: String,
    pub requests: i64,
    pub granted: i64,
    pub denied: i64,
    pub failed: i64,
    pub revealed: i64,
}

/// Refusals of an account's requests for one reason.
#[derive(Debug)]
pub struct OfRefusal {
    pub day: time::Date,
    pub account: String,
    pub action: String,
    pub because: String,
    pub policy: Option<String>,
    pub refusals: i64,
}

/// Values of a class that an account saw.
#[derive(Debug)]
pub struct OfClass {
    pub day: time::Date,
    pub class: Option<String>,
    pub account: String,
    pub purpose: Option<String>,
    pub requests: i64,
    pub revealed: i64,
}

pub async fn by_account(store: &Store, counted: Counted) -> Result<Vec<OfAccount>, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_as!(
        OfAccount,
        r#"SELECT (e.time AT TIME ZONE 'UTC')::date AS "day!", e.account, count(*) AS "requests!",
                  count(*) FILTER (WHERE e.decision = 'granted') AS "granted!", count(*) FILTER (WHERE e.decision = 'denied') AS "denied!",
                  count(*) FILTER (WHERE e.decision = 'failed') AS "failed!",
                  coalesce(sum(coalesce((b.body ->> 'succeeded')::bigint, (b.body ->> 'count')::bigint, 1))
                      FILTER (WHERE e.decision = 'granted' AND e.action IN ('decode', 'export_subject', 'export_pii_tokens')), 0)::bigint AS "revealed!"
           FROM ledger_entry e, LATERAL (SELECT ledger_members(e.body) AS body) b
           WHERE e.time >= $1 AND e.time < $2 AND b.body ->> 'kind' = 'request'
           GROUP BY 1, 2 ORDER BY 1 DESC, 2 LIMIT $3"#,
        counted.since.to_date(),
        counted.until.to_date(),
        counted.limit
    )
    .fetch_all(&mut *connection)
    .await?)
}

pub async fn by_refusal(store: &Store, counted: Counted) -> Result<Vec<OfRefusal>, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_as!(
        OfRefusal,
        r#"SELECT (e.time AT TIME ZONE 'UTC')::date AS "day!", e.account, e.action,
                  coalesce(b.body ->> 'denied_because', b.body ->> 'reason', 'denied') AS "because!", p.policy AS "policy?",
                  sum(coalesce(CASE WHEN b.body ->> 'kind' = 'notice' THEN (b.body ->> 'count')::bigint END, 1))::bigint AS "refusals!"
           FROM ledger_entry e CROSS JOIN LATERAL (SELECT ledger_members(e.body) AS body) b
                LEFT JOIN LATERAL jsonb_array_elements_text(b.body -> 'policies') AS p (policy) ON b.body ? 'denied_because'
           WHERE e.time >= $1 AND e.time < $2 AND e.decision = 'denied'
           GROUP BY 1, 2, 3, 4, 5 ORDER BY 1 DESC, 6 DESC, 2, 3, 4, 5 LIMIT $3"#,
        counted.since.to_date(),
        counted.until.to_date(),
        counted.limit
    )
    .fetch_all(&mut *connection)
    .await?)
}

pub async fn by_class(store: &Store, counted: Counted) -> Result<Vec<OfClass>, StoreError> {
    let mut connection = store.connection().await?;
    Ok(sqlx::query_as!(
        OfClass,
        r#"SELECT (e.time AT TIME ZONE 'UTC')::date AS "day!", b.body ->> 'class' AS class, e.account, b.body ->> 'purpose' AS purpose,
                  count(*) AS "requests!",
                  sum(coalesce((b.body ->> 'succeeded')::bigint, (b.body ->> 'count')::bigint, 1))::bigint AS "revealed!"
           FROM ledger_entry e, LATERAL (SELECT ledger_members(e.body) AS body) b
           WHERE e.time >= $1 AND e.time < $2 AND e.decision = 'granted' AND e.action IN ('decode', 'export_subject', 'export_pii_tokens')
             AND coalesce((b.body ->> 'succeeded')::bigint, (b.body ->> 'count')::bigint, 1) > 0
           GROUP BY 1, 2, 3, 4 ORDER BY 1 DESC, 6 DESC, 2, 3, 4 LIMIT $3"#,
        counted.since.to_date(),
        counted.until.to_date(),
        counted.limit
    )
    .fetch_all(&mut *connection)
    .await?)
}
