//! goldfin: a vault for secrets and personal data.
//!
//! `ls src` reads like the path of a request; a floor imports only the floors below it. ARCHITECTURE.md walks through two requests.

pub mod audit;
pub mod auth;
pub mod boot;
pub mod config;
pub mod dev;
pub mod engine;
pub mod gate;
pub mod http;
pub mod jobs;
pub mod model;
pub mod policy;
pub mod seal;
pub mod store;
