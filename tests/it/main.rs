//! The integration tests: one binary that mirrors `src`. Every server is the real one with a PostgreSQL of its own.
#![cfg(test)]
#![expect(clippy::string_slice, reason = "a slice at the wrong place fails the test, as it should")]

mod auth_token;
mod dump;
mod faults;
#[cfg(feature = "kerberos")]
mod kdc;
#[cfg(feature = "kerberos")]
mod kerberos;
mod kv;
mod ledger_anchor;
mod ledger_mutations;
mod ledger_reading;
mod ledger_search;
mod ledger_tree;
mod ledger_witness;
mod limits;
mod login;
mod mixed;
mod outages;
mod people;
mod plans;
mod policy_convert;
mod privileges;
mod quotas;
mod redact;
mod restore;
mod retention;
mod rotate;
mod second_node;
mod server;
mod shipping;
mod start;
mod strangers;
mod subjects;
mod sys;
mod tamper;
mod transform;
mod transform_bounds;
mod transform_convergent;
mod transform_forms;
mod transform_many;
mod transform_rights;
mod transform_shaped_convergent;
mod transform_state;
mod tuning;
