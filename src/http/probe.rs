//! What strangers and load balancers may ask without a credential and without an entry: health, seal status, leader, initialised.
//!
//! Plain functions of a [`SealState`] and the time. They own no handle, so they can reveal nothing else.

use goldfin_crypto::Zeroizing;
use hyper::Response;

use super::reply;
use crate::gate::SealState;
use crate::gate::request::Wanted;
use crate::model::call::{Query, Verb};
use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::id::RequestId;

/// What the server says of itself.
#[derive(Debug, Clone)]
pub struct Site {
    /// Our own version: no other program's, which would promise other habits.
    pub version: &'static str,
    pub build_date: &'static str,
    /// Where clients reach this node, such as `https://vault.example.org:8200`; may be empty.
    pub address: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    Health,
    SealStatus,
    Leader,
    Initialised,
}

impl Probe {
    /// The probe that is wanted. HEAD has a use for health alone; all else is the gate's.
    #[must_use]
    pub fn of(wanted: &Wanted) -> Option<Self> {
        if wanted.path.slash {
            return None;
        }
        match (wanted.verb, wanted.path.path.as_str()) {
            (Verb::Read | Verb::Probe, "sys/health") => Some(Self::Health),
            (Verb::Read, "sys/seal-status") => Some(Self::SealStatus),
            (Verb::Read, "sys/leader") => Some(Self::Leader),
            (Verb::Read, "sys/init") => Some(Self::Initialised),
            _ => None,
        }
    }

    #[must_use]
    pub fn answer(self, query: &Query, state: &SealState, site: &Site, now: Timestamp) -> Response<Zeroizing<Vec<u8>>> {
        let (status, body) = match self {
            Self::Health => health(query, state, site, now),
            Self::SealStatus => (200, seal_status(state, site)),
            Self::Leader => (200, leader(site)),
            Self::Initialised => (200, Node::object([("initialized", Node::Bool(state.initialised))])),
        };
        reply::plain(status, &body, RequestId::generate(now).ok())
    }
}

/// 200 active, 501 not initialised, 503 sealed, each to be chosen otherwise by the query. A goldfin node is never a standby, so the
/// parameters for standbys (`standbyok`, `perfstandbyok`, `standbycode`, `drsecondarycode`, `performancestandbycode` …) only have to make sense.
fn health(query: &Query, state: &SealState, site: &Site, now: Timestamp) -> (u16, Node) {
    let mut codes = [
        "activecode",
        "standbycode",
        "sealedcode",
        "uninitcode",
        "drsecondarycode",
        "performancestandbycode",
        "removedcode",
        "haunhealthycode",
    ]
    .map(|name| (name, query.value(name).map(|text| text.parse::<u16>().ok().filter(|code| (200..600).contains(code)))))
    .into_iter();
    if codes.any(|(_, code)| code == Some(None)) {
        let wrong = "a status in the query must be a number from 200 to 599";
        return (400, Node::object([("errors", Node::texts([wrong]))]));
    }
    let chosen = |name: &str, usual: u16| query.value(name).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let status = match (state.initialised, state.sealed) {
        (false, _) => chosen("uninitcode", 501),
        (true, true) => chosen("sealedcode", 503),
        (true, false) => chosen("activecode", 200),
    };
    let body = Node::object([
        ("initialized", Node::Bool(state.initialised)),
        ("sealed", Node::Bool(state.sealed)),
        ("standby", Node::Bool(false)),
        ("performance_standby", Node::Bool(false)),
        ("replication_performance_mode", Node::text("disabled")),
        ("replication_perf_mode", Node::text("disabled")),
        ("replication_dr_mode", Node::text("disabled")),
        ("server_time_utc", Node::whole(now.unix_seconds())),
        ("version", Node::text(site.version)),
        ("enterprise", Node::Bool(false)),
        ("cluster_name", Node::text(state.cluster_name.as_str())),
        ("cluster_id", Node::text(state.cluster_id.as_str())),
        ("echo_duration_ms", Node::whole(0)),
        ("clock_skew_ms", Node::whole(0)),
        ("replication_primary_canary_age_ms", Node::whole(0)),
    ]);
    (status, body)
}

/// Also the answer of an unsealing.
#[must_use]
pub fn seal_status(state: &SealState, site: &Site) -> Node {
    Node::object([
        ("type", Node::text("shamir")),
        ("initialized", Node::Bool(state.initialised)),
        ("sealed", Node::Bool(state.sealed)),
        ("t", Node::whole(i64::from(state.threshold))),
        ("n", Node::whole(i64::from(state.shares))),
        ("progress", Node::whole(i64::from(state.progress))),
        ("nonce", Node::text(state.nonce.as_str())),
        ("version", Node::text(site.version)),
        ("build_date", Node::text(site.build_date)),
        ("migration", Node::Bool(false)),
        ("cluster_name", Node::text(state.cluster_name.as_str())),
        ("cluster_id", Node::text(state.cluster_id.as_str())),
        ("recovery_seal", Node::Bool(false)),
        ("storage_type", Node::text("postgresql")),
        ("ledger_key", Node::text_or_null(state.ledger_key.as_deref())),
    ])
}

fn leader(site: &Site) -> Node {
    Node::object([
        ("ha_enabled", Node::Bool(false)),
        ("is_self", Node::Bool(true)),
        ("active_time", Node::text("0001-01-01T00:00:00Z")),
        ("leader_address", Node::text(site.address.as_str())),
        ("leader_cluster_address", Node::text("")),
        ("performance_standby", Node::Bool(false)),
        ("performance_standby_last_remote_wal", Node::whole(0)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::query;
    use crate::model::path::CanonicalPath;

    fn site() -> Site {
        Site { version: "0.1.0", build_date: "2026-01-31T00:00:00Z", address: "https://localhost:8200".to_owned() }
    }

    fn state(initialised: bool, sealed: bool) -> SealState {
        SealState {
            initialised,
            sealed,
            shares: 5,
            threshold: 3,
            progress: 1,
            nonce: "n".into(),
            cluster_id: "c".into(),
            cluster_name: "goldfin".into(),
            ledger_key: None,
        }
    }

    fn ask(probe: Probe, raw: &str, state: &SealState) -> (u16, serde_json::Value) {
        let query = query::parse(raw).expect("query");
        let response = probe.answer(&query, state, &site(), Timestamp::from_unix_micros(1_700_000_000_000_000));
        (response.status().as_u16(), serde_json::from_slice(response.body()).expect("json"))
    }

    #[test]
    fn health_tells_by_its_status() {
        let status = |raw, initialised, sealed| ask(Probe::Health, raw, &state(initialised, sealed)).0;
        assert_eq!(status("", true, false), 200);
        assert_eq!(status("", true, true), 503);
        assert_eq!(status("", false, true), 501);
        assert_eq!(status("activecode=204&sealedcode=200", true, false), 204);
        assert_eq!(status("sealedcode=200", true, true), 200);
        assert_eq!(status("uninitcode=200", false, true), 200);
        assert_eq!(
            status("standbyok=true&perfstandbyok=true&standbycode=473&drsecondarycode=472&performancestandbycode=473", true, false),
            200
        );
        for wrong in ["activecode=abc", "sealedcode=100", "standbycode=999", "uninitcode=", "activecode=-1"] {
            assert_eq!(status(wrong, true, false), 400, "{wrong}");
        }
    }

    #[test]
    fn the_fields_are_those_that_clients_parse() {
        let (_, body) = ask(Probe::Health, "", &state(true, false));
        for field in [
            "initialized",
            "sealed",
            "standby",
            "performance_standby",
            "replication_dr_mode",
            "server_time_utc",
            "version",
            "cluster_name",
            "cluster_id",
        ] {
            assert!(body.get(field).is_some(), "{field}");
        }
        assert_eq!(body["server_time_utc"], 1_700_000_000);
        let (_, body) = ask(Probe::SealStatus, "", &state(true, true));
        assert_eq!(
            (&body["sealed"], &body["t"], &body["n"], &body["progress"], &body["type"]),
            (&true.into(), &3.into(), &5.into(), &1.into(), &"shamir".into())
        );
        assert!(body.get("data").is_none(), "no envelope");
        let (_, body) = ask(Probe::Leader, "", &state(true, false));
        assert_eq!((&body["ha_enabled"], &body["is_self"]), (&false.into(), &true.into()));
        assert_eq!(ask(Probe::Initialised, "", &state(false, true)).1, serde_json::json!({"initialized": false}));
    }

    #[test]
    fn only_these_are_probes() {
        let probe = |verb, raw| Probe::of(&Wanted { verb, path: CanonicalPath::parse(raw).expect("path"), query: Query::default() });
        assert_eq!(probe(Verb::Read, "sys/health"), Some(Probe::Health));
        assert_eq!(probe(Verb::Probe, "sys/health"), Some(Probe::Health));
        for (verb, raw) in [
            (Verb::Write, "sys/init"),
            (Verb::Probe, "sys/seal-status"),
            (Verb::Read, "sys/health/"),
            (Verb::Read, "sys/healthy"),
            (Verb::List, "sys/health"),
        ] {
            assert_eq!(probe(verb, raw), None, "{raw}");
        }
    }
}
