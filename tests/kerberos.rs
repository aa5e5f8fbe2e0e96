//! The Kerberos acceptor against a real KDC.
#![cfg(test)]
#![cfg(feature = "kerberos")]

#[path = "it/kdc.rs"]
mod kdc;

#[path = "it/kerberos.rs"]
mod kerberos;
