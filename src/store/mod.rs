//! Floor 2: the only floor that knows SQL.

pub mod auth_token;
