//! Floor 1: the words that every other floor shares. No I/O, no keys, no decisions.

pub mod account;
pub mod action;
pub mod call;
pub mod change;
pub mod clock;
pub mod counters;
pub mod document;
pub mod facts;
pub mod fault;
pub mod freshness;
pub mod id;
pub mod member_class;
pub mod members;
pub mod mount;
pub mod operation;
pub mod path;
pub mod quota;
pub mod reading;
pub mod reply;
pub mod text;
pub mod to_its_end;
pub mod tuning;
