//! What `goldfin dev` needs besides the server itself: a PostgreSQL of its own, in a folder of its own, and
//! certificates for localhost.
//!
//! It starts programs of the distribution and writes files below the data folder. It must never be used by
//! `goldfin server`: everything here trusts whoever can reach the folder.

pub mod certificates;
pub mod error;
pub mod folder;
pub mod postgres;
mod process;
mod programs;
pub mod session;
