//! Floor 4: may they. Cedar decides over the stored policies; nothing here reads a store, a request or a secret.
//!
//! Everything is denied unless a policy permits it; a `forbid` wins; an evaluation error is a denial, because Cedar skips the
//! policy that errs and that policy may have been a `forbid`. The answer of a decision is a witness, [`authorized::Authorized`],
//! which the engines need as an argument. Deliberately absent: templates, action groups, policies that call out, and a switch
//! that turns any of it off.

pub mod asked;
pub mod authorized;
pub mod compile;
pub mod convert;
#[cfg(test)]
mod convert_tests;
pub mod decision;
#[cfg(test)]
mod differential;
mod entities;
pub mod explain;
mod families;
pub mod hcl;
mod reads;
mod remembered;
pub mod rules;
mod slice;
pub mod source;
pub mod table;
