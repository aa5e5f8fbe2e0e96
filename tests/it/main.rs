//! The integration tests: one binary that mirrors `src`. Every server is the real one with a PostgreSQL of its own.
#![cfg(test)]

#[cfg(feature = "kerberos")]
mod kdc;
#[cfg(feature = "kerberos")]
mod kerberos;
mod kv;
mod rotate;
mod server;
mod start;
