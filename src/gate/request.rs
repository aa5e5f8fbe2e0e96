//! A request as the network hands it over: decoded, not yet believed.

use std::net::IpAddr;
use std::time::Duration;

use goldfin_crypto::Plaintext;

use crate::model::call::{Query, Verb};
use crate::model::path::{PathRefusal, Requested};

/// The largest body of the batch endpoints, in bytes.
pub const MAX_BATCH_BODY: usize = 32 * 1024 * 1024;

/// The largest body everywhere else, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;

#[derive(Debug)]
pub struct Request {
    pub peer: Peer,
    /// What the request wants, or why its line or headers cannot be understood.
    pub wanted: Result<Wanted, Malformed>,
    pub credential: Credential,
    pub body: Plaintext,
    pub purpose: Option<String>,
    pub wrap_ttl: Option<Duration>,
}

#[derive(Debug)]
pub struct Wanted {
    pub verb: Verb,
    pub path: Requested,
    pub query: Query,
}

/// Why a request is refused before it is routed. Words of ours, never of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    Path(PathRefusal),
    Header(&'static str),
    /// A method that means nothing anywhere; and the path, so that the answer can say which do there.
    Verb(Option<Requested>),
    BodyTooLarge,
    /// The body did not arrive in time, or broke off.
    BodyIncomplete,
}

/// The other end of the connection, as TLS and TCP know it; no header is believed.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: IpAddr,
    /// The client's certificate (DER), verified against the configured CA.
    pub certificate: Option<std::sync::Arc<[u8]>>,
    /// `tls-server-end-point:` and the hash of our certificate (RFC 5929), for Kerberos.
    pub channel_binding: std::sync::Arc<[u8]>,
}

/// What the caller shows of itself.
#[derive(Debug)]
pub enum Credential {
    None,
    /// `X-Vault-Token`, or `Authorization: Bearer` with one of our tokens.
    AuthToken(Plaintext),
    /// `Authorization: Negotiate`: a SPNEGO token (RFC 4559), decoded from base64.
    Negotiate(Plaintext),
    /// More than one, or one that cannot be read: refused, never guessed.
    Ambiguous,
}
