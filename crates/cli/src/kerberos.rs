//! A Kerberos ticket for the server, wrapped in SPNEGO and bound to the server's certificate.
//!
//! One message to the server and none back: TLS has shown who the server is, so its reply token proves nothing more. Absent on
//! purpose: delegation, and the names that a resolver would make of the host.

use std::path::Path;

use aws_lc_rs::digest;
use x509_parser::oid_registry::{OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::surroundings::Surroundings;

pub struct Ticket(Zeroizing<Vec<u8>>);

impl Ticket {
    /// What goes into `Authorization`.
    pub fn header(&self) -> Zeroizing<String> {
        use base64::Engine as _;
        let token = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(&*self.0));
        Zeroizing::new(format!("Negotiate {}", &*token))
    }

    #[cfg(feature = "kerberos")]
    pub fn obtain(service: &str, principal: Option<&str>, binding: Option<&[u8]>) -> Result<Self, Failure> {
        use libgssapi::context::{ClientCtx, CtxFlags};
        use libgssapi::credential::{Cred, CredUsage};
        use libgssapi::name::Name;
        use libgssapi::oid::{GSS_MECH_KRB5, GSS_MECH_SPNEGO, GSS_NT_HOSTBASED_SERVICE, GSS_NT_KRB5_PRINCIPAL, OidSet};

        let cannot = |what: &str, error: &libgssapi::error::Error| {
            Failure::local(
                format!("{what}: {}", error.to_string().replace('\0', "")),
                "get a ticket with `kinit`, or name a keytab with `--keytab`; `klist` shows what there is",
            )
        };
        let named = |text: &str, kind| Name::new(text.as_bytes(), Some(kind)).map_err(|error| cannot("the name cannot be read", &error));
        let credential = match principal {
            None => None,
            Some(principal) => {
                let name = named(principal, GSS_NT_KRB5_PRINCIPAL)?;
                let mut mechanisms = OidSet::new();
                for mechanism in [GSS_MECH_SPNEGO, GSS_MECH_KRB5] {
                    mechanisms.add(mechanism).map_err(|error| cannot("Kerberos is not available", &error))?;
                }
                let acquired = Cred::acquire(Some(&name), None, CredUsage::Initiate, Some(&mechanisms));
                Some(acquired.map_err(|error| cannot("there is no ticket of that principal", &error))?)
            }
        };
        let target = named(service, GSS_NT_HOSTBASED_SERVICE)?;
        let mut context = ClientCtx::new(credential, target, CtxFlags::GSS_C_MUTUAL_FLAG, Some(GSS_MECH_SPNEGO));
        let token = context.step(None, binding).map_err(|error| cannot(&format!("there is no ticket for `{service}`"), &error))?;
        let token = token.ok_or_else(|| Failure::local("Kerberos made no message for the server", "check `--service`"))?;
        Ok(Self(Zeroizing::new(token.to_vec())))
    }

    #[cfg(not(feature = "kerberos"))]
    pub fn obtain(_service: &str, _principal: Option<&str>, _binding: Option<&[u8]>) -> Result<Self, Failure> {
        Err(Failure::local(
            "this program was built without Kerberos",
            "build it with the feature `kerberos`, or log in with another method",
        ))
    }
}

/// `HTTP@host`, from the address unless it was given.
pub fn service(given: Option<&str>, address: &str) -> String {
    let authority = address.trim_start_matches("https://");
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    given.map_or_else(|| format!("HTTP@{host}"), str::to_owned)
}

/// The channel binding of RFC 5929, 4.1: SHA-256 of the certificate, or the hash that signed it if that is a longer one. None for
/// a certificate that cannot be read.
pub fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let signed_with = &parsed.signature_algorithm.algorithm;
    let hash = if [OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA512].contains(signed_with) {
        &digest::SHA512
    } else if [OID_PKCS1_SHA384WITHRSA, OID_SIG_ECDSA_WITH_SHA384].contains(signed_with) {
        &digest::SHA384
    } else {
        &digest::SHA256
    };
    Some([b"tls-server-end-point:", digest::digest(hash, certificate).as_ref()].concat())
}

/// MIT Kerberos takes a client's keytab from the environment only, which a running program cannot change safely: the program starts
/// itself again with it. The tickets stay in memory.
pub fn use_keytab(around: &Surroundings, keytab: &Path) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt;

    let next = "check `--keytab`";
    let keytab = keytab
        .canonicalize()
        .map_err(|error| Failure::local(format!("the keytab `{}` cannot be used: {error}", keytab.display()), next))?;
    let name = format!("FILE:{}", keytab.display());
    if around.first_of(&[CLIENT_KEYTAB]).is_some_and(|set| set == name) {
        return Ok(());
    }
    let program = std::env::current_exe().map_err(|error| Failure::local(format!("the program cannot be started again: {error}"), next))?;
    let error = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(CLIENT_KEYTAB, &name)
        .env("KRB5CCNAME", "MEMORY:goldfin")
        .exec();
    Err(Failure::local(format!("the program cannot be started again: {error}"), next))
}

const CLIENT_KEYTAB: &str = "KRB5_CLIENT_KTNAME";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_the_host_of_the_address() {
        assert_eq!(service(None, "https://vault.example.org:8200"), "HTTP@vault.example.org");
        assert_eq!(service(None, "https://vault.example.org"), "HTTP@vault.example.org");
        assert_eq!(service(Some("goldfin@vault"), "https://x:1"), "goldfin@vault");
    }

    #[test]
    fn a_binding_names_its_kind_and_hashes_the_certificate() {
        let certificate = crate::fixture::certificate();
        let binding = end_point(&certificate).unwrap();
        assert!(binding.starts_with(b"tls-server-end-point:"));
        assert_eq!(binding.len(), b"tls-server-end-point:".len() + 32);
        assert_ne!(Some(binding), end_point(&crate::fixture::certificate()));
        assert_eq!(end_point(b"not a certificate"), None);
    }
}
