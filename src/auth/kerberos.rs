//! Kerberos logins: one token in, one verified principal out (SPNEGO or bare krb5, one round).
//!
//! It proves who holds a ticket for the pinned service principal. It must never let a token pass twice by
//! itself deciding that it was fresh: the host's replay cache is off, and [`Accepted::replay_digest`] has to be
//! inserted into the replay table that all nodes share, before the login counts. It must never be called
//! without the connection's channel binding where there is a connection with TLS.
//! Absent on purpose: more than one round, delegation, anonymous principals, mapping of names, sessions.

#[cfg_attr(not(feature = "kerberos"), path = "kerberos/absent.rs")]
mod ffi;
mod name;
mod token;

use std::{
    ffi::CString,
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use goldfin_crypto::digest::sha256;
pub use name::{KerberosName, NameError};

/// Accepts tickets for one service principal. Shared by all threads; calls block, so use `spawn_blocking`.
pub struct Acceptor {
    credential: ffi::Credential,
}

/// A verified login, still to be checked against the replay table.
#[derive(Debug)]
pub struct Accepted {
    pub principal: KerberosName,
    /// The client bound its login to the channel binding that was given. A client that sends no binding is
    /// accepted with `false` here; whoever makes binding mandatory refuses that.
    pub channel_bound: bool,
    /// The answer of mutual authentication, for `WWW-Authenticate: Negotiate`.
    pub reply_token: Option<Vec<u8>>,
    /// One value per authenticator, however its token is wrapped: unique in the replay table for at least
    /// [`REPLAY_WINDOW`].
    pub replay_digest: [u8; 32],
    /// What is left of the ticket, including the tolerated clock skew: an upper bound, not a session length.
    pub ticket_remaining: Duration,
}

/// Why a token was refused. Text for callers is the same for all of them; this is for the ledger and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KerberosRefusal {
    Malformed,
    NotKerberos,
    ContinueNeeded,
    Expired,
    WrongKey,
    ClockSkew,
    ChannelBindingMismatch,
    Replay,
    Anonymous,
    BadName,
    Other,
}

/// Why there is no acceptor; each says what to do.
#[derive(Debug)]
pub enum KerberosError {
    BadPrincipal(NameError),
    KeytabUnreadable(PathBuf, io::ErrorKind),
    PrincipalNotInKeytab(PathBuf),
    /// The routine error of the GSS library (RFC 2744, 3.9.1).
    Library(u32),
    NotBuilt,
}

impl Acceptor {
    /// `service_principal` is complete, as in `HTTP/vault.example.org@EXAMPLE.ORG`, and pinned: tickets for
    /// other principals of the same keytab are refused. Keys added to the keytab later are found without a restart.
    pub fn new(keytab: &Path, service_principal: &str) -> Result<Self, KerberosError> {
        let principal = KerberosName::parse(service_principal).map_err(KerberosError::BadPrincipal)?;
        fs::File::open(keytab)
            .and_then(|file| file.metadata())
            .and_then(|found| if found.is_file() { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) })
            .map_err(|error| KerberosError::KeytabUnreadable(keytab.to_owned(), error.kind()))?;
        let mut typed = b"FILE:".to_vec();
        typed.extend_from_slice(keytab.as_os_str().as_encoded_bytes());
        let typed = CString::new(typed).map_err(|_| KerberosError::KeytabUnreadable(keytab.to_owned(), io::ErrorKind::InvalidInput))?;
        let credential = ffi::Credential::acquire(&typed, &principal.to_string()).map_err(|failure| match failure {
            AcquireFailure::Library(major) if routine(major) == GSS_NO_CRED => KerberosError::PrincipalNotInKeytab(keytab.to_owned()),
            AcquireFailure::Library(major) => KerberosError::Library(routine(major)),
            AcquireFailure::NotBuilt => KerberosError::NotBuilt,
        })?;
        Ok(Self { credential })
    }

    /// `channel_binding` is the whole application data: `tls-server-end-point:` and the hash of the certificate
    /// (RFC 5929, 4).
    pub fn accept(&self, token: &[u8], channel_binding: Option<&[u8]>) -> Result<Accepted, KerberosRefusal> {
        if token.len() > LONGEST_TOKEN {
            return Err(KerberosRefusal::Malformed);
        }
        let authenticator = token::authenticator(token)?;
        let outcome = self.credential.accept(token, channel_binding);
        if outcome.major != GSS_COMPLETE {
            return Err(refusal(&outcome));
        }
        if outcome.flags & FLAG_ANONYMOUS != 0 {
            return Err(KerberosRefusal::Anonymous);
        }
        let principal = outcome
            .principal
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| KerberosName::parse(&text).ok())
            .ok_or(KerberosRefusal::BadName)?;
        if principal.is_well_known() {
            return Err(KerberosRefusal::Anonymous);
        }
        Ok(Accepted {
            principal,
            channel_bound: channel_binding.is_some() && outcome.flags & FLAG_CHANNEL_BOUND != 0,
            reply_token: (!outcome.reply.is_empty()).then_some(outcome.reply),
            replay_digest: sha256(&[REPLAY_LABEL, authenticator]),
            ticket_remaining: Duration::from_secs(outcome.lifetime_seconds.into()),
        })
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

/// What the GSS library said to one token.
struct Outcome {
    major: u32,
    flags: u32,
    lifetime_seconds: u32,
    principal: Option<Vec<u8>>,
    reply: Vec<u8>,
}

#[cfg_attr(not(feature = "kerberos"), expect(dead_code, reason = "only the GSS library reports its own errors"))]
enum AcquireFailure {
    Library(u32),
    #[cfg_attr(feature = "kerberos", expect(dead_code, reason = "made only in builds without the library"))]
    NotBuilt,
}

/// Routine errors are a number in bits 16 to 23, not flags. Minor codes are numbered in order of first use and
/// mean nothing; where GSS only says "failure", the KRB-ERROR that the library made for the client says why.
fn refusal(outcome: &Outcome) -> KerberosRefusal {
    match routine(outcome.major) {
        GSS_BAD_MECH => KerberosRefusal::NotKerberos,
        GSS_BAD_BINDINGS => KerberosRefusal::ChannelBindingMismatch,
        GSS_BAD_SIG => KerberosRefusal::WrongKey,
        GSS_DEFECTIVE_TOKEN => KerberosRefusal::Malformed,
        GSS_CREDENTIALS_EXPIRED | GSS_CONTEXT_EXPIRED => KerberosRefusal::Expired,
        0 if outcome.major & GSS_DUPLICATE_TOKEN != 0 => KerberosRefusal::Replay,
        0 if outcome.major & GSS_CONTINUE_NEEDED != 0 => KerberosRefusal::ContinueNeeded,
        _ => match token::reply_error_code(&outcome.reply) {
            Some(KRB_MODIFIED | KRB_BAD_INTEGRITY | KRB_BAD_KEY_VERSION | KRB_NO_KEY | KRB_NOT_US) => KerberosRefusal::WrongKey,
            Some(KRB_TICKET_EXPIRED) => KerberosRefusal::Expired,
            Some(KRB_TICKET_NOT_YET_VALID | KRB_CLOCK_SKEW) => KerberosRefusal::ClockSkew,
            Some(KRB_REPEAT) => KerberosRefusal::Replay,
            _ => KerberosRefusal::Other,
        },
    }
}

fn routine(major: u32) -> u32 {
    (major >> 16) & 0xff
}

impl fmt::Display for KerberosRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the token is not a well-formed SPNEGO or krb5 token; send a fresh one",
            Self::NotKerberos => "the token is not a Kerberos token; configure the client for Kerberos, not NTLM",
            Self::ContinueNeeded => "the token needs a second round; send a krb5 token with the first request",
            Self::Expired => "the ticket has expired; get a new one with kinit",
            Self::WrongKey => "the ticket does not fit the keytab; after a rotation, get a new ticket and update the keytab",
            Self::ClockSkew => "the clocks of client and server differ too much; synchronise them",
            Self::ChannelBindingMismatch => "the login is bound to another TLS connection; log in directly, without a proxy that ends TLS",
            Self::Replay => "the token was used before; send a fresh one",
            Self::Anonymous => "anonymous principals cannot log in; use a named principal",
            Self::BadName => "the principal's name is not supported; use visible ASCII with a realm",
            Self::Other => "the ticket was refused; get a new one and see the server's Kerberos settings",
        })
    }
}

impl std::error::Error for KerberosRefusal {}

impl fmt::Display for KerberosError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadPrincipal(error) => error.fmt(f),
            Self::KeytabUnreadable(path, kind) => {
                write!(
                    f,
                    "keytab `{}` cannot be read ({kind}); export it on the KDC, for example with `kadmin ktadd -k`, and let goldfin's user read it",
                    path.display()
                )
            }
            Self::PrincipalNotInKeytab(path) => {
                write!(
                    f,
                    "keytab `{}` has no key of the configured service principal; compare with `klist -k` and export the principal again",
                    path.display()
                )
            }
            Self::Library(routine) => {
                write!(
                    f,
                    "the Kerberos library refused the service credential (gss routine error {routine}); check krb5.conf and the keytab with `klist -k`"
                )
            }
            Self::NotBuilt => f.write_str("this goldfin was built without Kerberos; use a build with the `kerberos` feature"),
        }
    }
}

impl std::error::Error for KerberosError {}

/// How long a digest must stay in the replay table. An authenticator is good for twice the library's clock
/// skew (five minutes unless krb5.conf says otherwise); an hour covers a skew of up to thirty minutes.
pub const REPLAY_WINDOW: Duration = Duration::from_secs(3600);

const REPLAY_LABEL: &[u8] = b"goldfin/kerberos/authenticator/v1\0";

/// What fits into a request's header in base64; tickets with large authorisation data stay below it.
const LONGEST_TOKEN: usize = 64 * 1024;

const GSS_COMPLETE: u32 = 0;
const GSS_CONTINUE_NEEDED: u32 = 1;
const GSS_DUPLICATE_TOKEN: u32 = 2;
const GSS_BAD_MECH: u32 = 1;
const GSS_BAD_BINDINGS: u32 = 4;
const GSS_BAD_SIG: u32 = 6;
const GSS_NO_CRED: u32 = 7;
const GSS_DEFECTIVE_TOKEN: u32 = 9;
const GSS_CREDENTIALS_EXPIRED: u32 = 11;
const GSS_CONTEXT_EXPIRED: u32 = 12;

const FLAG_ANONYMOUS: u32 = 0x40;
const FLAG_CHANNEL_BOUND: u32 = 0x800;

/// Error codes of RFC 4120, 7.5.9.
const KRB_BAD_INTEGRITY: u32 = 31;
const KRB_TICKET_EXPIRED: u32 = 32;
const KRB_TICKET_NOT_YET_VALID: u32 = 33;
const KRB_REPEAT: u32 = 34;
const KRB_NOT_US: u32 = 35;
const KRB_CLOCK_SKEW: u32 = 37;
const KRB_MODIFIED: u32 = 41;
const KRB_BAD_KEY_VERSION: u32 = 44;
const KRB_NO_KEY: u32 = 45;
