//! Floor 3: who is calling. Verification of credentials, and nothing about what the caller may do.

pub mod authenticator;
pub mod jwks;
pub mod jwt;
pub mod kerberos;
pub mod principal;
pub mod throttle;
