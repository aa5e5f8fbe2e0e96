//! Whole command lines against a real HTTPS server with scripted answers.

mod command_line;
mod connection;
mod kv;
mod ledger;
mod life;
mod personal_data;
mod rules;
