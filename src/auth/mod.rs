//! Who is calling: verification of credentials, and nothing about what the caller may do.

pub mod jwks;
pub mod jwt;
pub mod kerberos;
pub mod throttle;
