//! One keep-alive connection: HTTP/1.1 over TLS 1.3, to loopback and nowhere else.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::trouble::Trouble;

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const PURPOSE: HeaderName = HeaderName::from_static("x-goldfin-purpose");

/// Where the service is and how to speak to it.
#[derive(Clone)]
pub struct Door {
    address: SocketAddr,
    host: HeaderValue,
    tls: TlsConnector,
}

/// One request, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: Method,
    pub path: Uri,
    pub body: Bytes,
    pub token: Option<HeaderValue>,
    pub purpose: Option<HeaderValue>,
}

/// A connection in use.
#[derive(Debug)]
pub struct Line {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

impl Door {
    /// Refuses every address that is not this machine's own: this program is a load on whatever it talks to.
    pub fn new(url: &str, authority: &Path) -> Result<Self, Trouble> {
        let bare = url.strip_prefix("https://").ok_or_else(|| Trouble::new("the address must begin with https://"))?;
        let address: SocketAddr = bare.parse().map_err(|_| Trouble::new("the address must be an IP address with a port"))?;
        if !address.ip().is_loopback() {
            return Err(Trouble::new("the load client talks to loopback only"));
        }
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A new connection is to be a whole handshake.
        config.resumption = Resumption::disabled();
        Ok(Self { address, host: HeaderValue::from_str(bare)?, tls: TlsConnector::from(Arc::new(config)) })
    }

    pub async fn connect(&self) -> Result<Line, Trouble> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let tls = self.tls.connect(ServerName::IpAddress(self.address.ip().into()), tcp).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
        // It ends with its sender; what breaks it is seen by the next request.
        tokio::spawn(connection);
        Ok(Line { sender, host: self.host.clone() })
    }
}

impl Line {
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request and reads its answer to the end.
    pub async fn ask(&mut self, ask: &Ask) -> Result<(StatusCode, Bytes), Trouble> {
        self.sender.ready().await?;
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = ask.path.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        if !ask.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(token) = &ask.token {
            headers.insert(AUTH_TOKEN, token.clone());
        }
        if let Some(purpose) = &ask.purpose {
            headers.insert(PURPOSE, purpose.clone());
        }
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_talked_to() {
        for url in [
            "https://192.0.2.1:8200",
            "https://[2001:db8::1]:8200",
            "https://0.0.0.0:8200",
            "https://localhost:8200",
            "http://127.0.0.1:8200",
        ] {
            assert!(Door::new(url, Path::new("/dev/null")).is_err(), "{url}");
        }
        assert!(Door::new("https://127.0.0.1:8200", Path::new("/dev/null")).is_ok());
    }
}
