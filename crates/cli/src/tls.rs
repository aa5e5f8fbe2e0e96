//! TLS for the HTTP client, with the server's certificate in hand: Kerberos binds its ticket to it (RFC 5929).
//!
//! ureq's own connector does not show the certificate. This one remembers it, and once a ticket has been bound to it, refuses
//! any new connection that shows another one. Absent on purpose: a switch that turns verification off.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, TransportAdapter};

use crate::failure::Failure;

/// What the server showed on the newest connection, and whether it must stay that.
#[derive(Default)]
pub struct PeerCertificate(Mutex<Peer>);

#[derive(Default)]
struct Peer {
    der: Option<Vec<u8>>,
    pinned: bool,
}

impl PeerCertificate {
    /// The certificate; from now on a connection that shows another one is refused.
    pub fn pin(&self) -> Option<Vec<u8>> {
        let mut peer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        peer.pinned = peer.der.is_some();
        peer.der.clone()
    }

    fn meet(&self, der: &[u8]) -> Result<(), ureq::Error> {
        let mut peer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if peer.pinned && peer.der.as_deref() != Some(der) {
            return Err(ureq::Error::Tls("the server showed another certificate than a moment ago; repeat the login"));
        }
        peer.der = Some(der.to_vec());
        Ok(())
    }
}

/// Trusts the certificates of the file, or those of the system when there is none.
pub fn client_config(ca_cert: Option<&Path>) -> Result<Arc<ClientConfig>, Failure> {
    let roots = match ca_cert {
        Some(path) => roots_of(path)?,
        None => roots_of_system()?,
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::local(format!("TLS cannot be set up: {error}"), "report this: the build lacks a protocol version"))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn roots_of(path: &Path) -> Result<RootCertStore, Failure> {
    let name = path.display();
    let next = "name the CA's PEM file with `--ca-cert` or `GOLDFIN_CACERT`";
    let bytes = std::fs::read(path).map_err(|error| Failure::local(format!("the CA file `{name}` cannot be read: {error}"), next))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| Failure::local(format!("the CA file `{name}` is not PEM: {error}"), next))?;
        roots
            .add(certificate)
            .map_err(|error| Failure::local(format!("the CA file `{name}` holds no usable certificate: {error}"), next))?;
    }
    if roots.is_empty() {
        return Err(Failure::local(format!("the CA file `{name}` holds no certificate"), next));
    }
    Ok(roots)
}

fn roots_of_system() -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(Failure::local(
            "this system has no list of trusted CAs",
            "name the CA's PEM file with `--ca-cert` or `GOLDFIN_CACERT`",
        ));
    }
    Ok(roots)
}

/// Puts TLS on the connection that the link before it in ureq's chain opened.
pub struct TlsConnector {
    pub config: Arc<ClientConfig>,
    pub peer: Arc<PeerCertificate>,
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = TlsTransport;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<TlsTransport>, ureq::Error> {
        let (Some(transport), true, Some(host)) = (chained, details.needs_tls(), details.uri.host()) else {
            return Err(ureq::Error::TlsRequired);
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|_| ureq::Error::Tls("the address has no valid host name"))?;
        let mut conn = ClientConnection::new(Arc::clone(&self.config), name)?;
        let mut sock = TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        sock.set_timeout(details.timeout);
        conn.complete_io(&mut sock)?;
        let leaf = conn.peer_certificates().and_then(<[_]>::first).ok_or(ureq::Error::Tls("the server showed no certificate"))?;
        self.peer.meet(leaf)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(TlsTransport { buffers, stream: StreamOwned { conn, sock } }))
    }
}

pub struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let input = self.buffers.input_append_buf();
        let amount = self.stream.read(input)?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConnector")
    }
}

/// A constant: the buffers hold a request with its token.
impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}
