//! One request to the server, and its answer.
//!
//! Knows the headers, the envelope and the error shape of the API; knows no command. Never follows a redirect, because the token
//! would go along; never goes through a proxy of the environment, because it is not the server that the user named.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::{Method, Request, Response, header::HeaderValue};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, TcpConnector};
use ureq::{Agent, Body};
use zeroize::Zeroizing;

use crate::auth_token::AuthToken;
use crate::document::Json;
use crate::failure::{Failure, Refusal};
use crate::options::Settings;
use crate::tls::{PeerCertificate, TlsConnector, client_config};

pub struct Client {
    agent: Agent,
    address: String,
    namespace: Option<String>,
    token: Option<AuthToken>,
    peer: Arc<PeerCertificate>,
}

/// A request, as a command asks it.
pub struct Ask {
    pub method: Method,
    /// Below `/v1/`, as the user would write it; encoded on the way.
    pub path: String,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<Json>,
    /// What an error calls it; the path when there is none. Needed where the path holds personal data.
    pub label: Option<&'static str>,
    pub purpose: Option<String>,
    /// In place of the token: `Negotiate …`.
    pub authorization: Option<Zeroizing<String>>,
    /// Whether the token goes along.
    pub with_token: bool,
}

pub struct Answer {
    pub status: u16,
    pub body: Option<Json>,
    pub request_id: Option<String>,
    /// The `WWW-Authenticate` header of a login.
    pub authenticate: Option<String>,
    /// Where the entry of the request stands in the ledger: stream, number, leaf hash.
    pub receipt: Option<String>,
}

/// Lines of an answer, and where they go on.
pub struct Lines {
    pub bytes: Zeroizing<Vec<u8>>,
    pub next: Option<String>,
}

/// An answer before it is read as JSON.
struct Received {
    status: u16,
    request_id: Option<String>,
    authenticate: Option<String>,
    receipt: Option<String>,
    next: Option<String>,
    bytes: Zeroizing<Vec<u8>>,
}

impl Ask {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        let path = path.into();
        Self { method, path, query: Vec::new(), body: None, label: None, purpose: None, authorization: None, with_token: true }
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn post(path: impl Into<String>, body: Json) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, path) }
    }

    pub fn put(path: impl Into<String>, body: Json) -> Self {
        Self { body: Some(body), ..Self::new(Method::PUT, path) }
    }

    pub fn patch(path: impl Into<String>, body: Json) -> Self {
        Self { body: Some(body), ..Self::new(Method::PATCH, path) }
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub fn list(path: impl Into<String>) -> Self {
        Self { query: vec![("list", "true".to_owned())], ..Self::get(path) }
    }

    /// A parameter of the query, if it was given.
    pub fn and(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub fn called(self, label: &'static str) -> Self {
        Self { label: Some(label), ..self }
    }

    pub fn without_token(self) -> Self {
        Self { with_token: false, ..self }
    }

    fn described(&self) -> String {
        match self.label {
            Some(label) => label.to_owned(),
            None => format!("{} {}", self.method, self.path),
        }
    }
}

impl Answer {
    /// The `data` of the envelope, or the whole document of an answer that has no envelope.
    pub fn data(self) -> Json {
        let Some(mut body) = self.body else { return Json::Null };
        if body.get("request_id").is_none() {
            return body;
        }
        body.take("data").unwrap_or(Json::Null)
    }
}

impl Client {
    pub fn new(settings: &Settings, token: Option<AuthToken>) -> Result<Self, Failure> {
        let peer = Arc::new(PeerCertificate::default());
        let tls = TlsConnector { config: client_config(settings.ca_cert.as_deref())?, peer: Arc::clone(&peer) };
        let config = Agent::config_builder()
            .https_only(true)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .allow_non_standard_methods(true)
            .user_agent(concat!("goldfin/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECTING))
            .timeout_recv_response(Some(ANSWERING))
            .build();
        let agent = Agent::with_parts(config, ().chain(TcpConnector::default()).chain(tls), DefaultResolver::default());
        Ok(Self { agent, address: settings.address.clone(), namespace: settings.namespace.clone(), token, peer })
    }

    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub fn peer(&self) -> &PeerCertificate {
        &self.peer
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The answer of a request that succeeded; every other status is a failure.
    pub fn ask(&self, ask: &Ask) -> Result<Answer, Failure> {
        let answer = self.exchange(ask)?;
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(refusal(ask, answer)) }
    }

    /// The answer, unless its status is a refusal that `expected` does not name.
    pub fn ask_expecting(&self, ask: &Ask, expected: impl Fn(&Answer) -> bool) -> Result<Answer, Failure> {
        let answer = self.exchange(ask)?;
        if (200..300).contains(&answer.status) || expected(&answer) { Ok(answer) } else { Err(refusal(ask, answer)) }
    }

    /// The answer of a request that succeeded, as lines that are not looked into.
    pub fn lines(&self, ask: &Ask) -> Result<Lines, Failure> {
        let received = self.receive(ask)?;
        if (200..300).contains(&received.status) {
            return Ok(Lines { bytes: received.bytes, next: received.next });
        }
        Err(refusal(ask, self.parsed(received)?))
    }

    fn exchange(&self, ask: &Ask) -> Result<Answer, Failure> {
        let received = self.receive(ask)?;
        self.parsed(received)
    }

    fn receive(&self, ask: &Ask) -> Result<Received, Failure> {
        let request = self.request(ask)?;
        let answer = match &ask.body {
            None => self.agent.run(request),
            Some(body) => {
                let (parts, ()) = request.into_parts();
                let bytes = body.compact();
                self.agent.run(Request::from_parts(parts, bytes.as_bytes()))
            }
        };
        let response = answer.map_err(|error| self.unreachable(&error))?;
        self.read(response)
    }

    fn request(&self, ask: &Ask) -> Result<Request<()>, Failure> {
        let mut builder = Request::builder().method(ask.method.clone()).uri(self.uri(ask)).header("X-Vault-Request", "true");
        if let Some(namespace) = &self.namespace {
            builder = builder.header("X-Vault-Namespace", namespace);
        }
        if let Some(purpose) = &ask.purpose {
            builder = builder.header("X-Goldfin-Purpose", purpose);
        }
        if let Some(authorization) = &ask.authorization {
            builder = builder.header("Authorization", secret_value(authorization)?);
        } else if let (true, Some(token)) = (ask.with_token, &self.token) {
            builder = builder.header("X-Vault-Token", secret_value(token.expose())?);
        }
        if ask.body.is_some() {
            let kind = if ask.method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
            builder = builder.header("Content-Type", kind);
        }
        builder.body(()).map_err(|_| {
            Failure::local(
                "the request cannot be written down: a name in it holds characters that a header or URL cannot carry",
                "use plain text",
            )
        })
    }

    fn uri(&self, ask: &Ask) -> String {
        let mut uri = format!("{}/v1/{}", self.address, encode(ask.path.trim_start_matches('/'), true));
        for (index, (name, value)) in ask.query.iter().enumerate() {
            uri.push(if index == 0 { '?' } else { '&' });
            uri.push_str(name);
            uri.push('=');
            uri.push_str(&encode(value, false));
        }
        uri
    }

    fn read(&self, response: Response<Body>) -> Result<Received, Failure> {
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (request_id, authenticate, next) = (header("X-Goldfin-Request-Id"), header("WWW-Authenticate"), header("X-Goldfin-Next"));
        let receipt = header("X-Goldfin-Receipt");
        let mut bytes = Zeroizing::new(Vec::new());
        let mut reader = response.into_body().into_with_config().limit(LARGEST).reader();
        reader.read_to_end(&mut bytes).map_err(|error| Failure::Unreachable {
            what: format!("the answer of {} broke off: {error}", self.address),
            next: "it may have happened all the same; look before you repeat it".to_owned(),
        })?;
        Ok(Received { status, request_id, authenticate, receipt, next, bytes })
    }

    fn parsed(&self, received: Received) -> Result<Answer, Failure> {
        let Received { status, request_id, authenticate, receipt, bytes, .. } = received;
        let body = match bytes.is_empty() {
            true => None,
            false => match Json::parse(&bytes) {
                Ok(body) => Some(body),
                Err(_) if status >= 400 => None,
                Err(_) => {
                    return Err(Failure::Unreachable {
                        what: format!("{} did not answer in JSON", self.address),
                        next: "check that `--address` names a goldfin server and not something before it".to_owned(),
                    });
                }
            },
        };
        let request_id = request_id.or_else(|| body.as_ref().and_then(|body| body.str_of("request_id")).map(str::to_owned));
        Ok(Answer { status, body, request_id, authenticate, receipt })
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let next = match error {
            ureq::Error::Rustls(rustls::Error::InvalidCertificate(_)) => {
                "name the CA that signed the server's certificate with `--ca-cert` or `GOLDFIN_CACERT`, and the server as its certificate does"
            }
            ureq::Error::Io(inner) if inner.to_string().contains("certificate") => {
                "name the CA that signed the server's certificate with `--ca-cert` or `GOLDFIN_CACERT`, and the server as its certificate does"
            }
            ureq::Error::Timeout(_) => "the server took too long; for a change, look whether it happened before you repeat it",
            _ => "check `--address` or `GOLDFIN_ADDR`, and that the server is running",
        };
        Failure::Unreachable { what: format!("no answer from {}: {error}", self.address), next: next.to_owned() }
    }
}

fn secret_value(text: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Failure::local("the credential holds characters that a header cannot carry", "log in again"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn refusal(ask: &Ask, answer: Answer) -> Failure {
    let errors = answer.body.as_ref().and_then(|body| body.get("errors")).map(Json::items).unwrap_or_default();
    let errors = errors.iter().map(|error| error.plain().to_string()).collect();
    Failure::Refused(Box::new(Refusal { status: answer.status, asked: ask.described(), errors, request_id: answer.request_id }))
}

/// Percent-encodes everything but unreserved characters (RFC 3986) and, in a path, what names may hold.
pub fn encode(text: &str, is_path: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (is_path && b"/@+=:".contains(&byte));
        if plain {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

const CONNECTING: Duration = Duration::from_secs(10);
/// A load of a large policy set or a verification may take its time.
const ANSWERING: Duration = Duration::from_secs(300);
/// More than the largest batch (32 MiB) can answer.
const LARGEST: u64 = 256 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_encoded_once() {
        assert_eq!(encode("secret/data/a b?x#%é", true), "secret/data/a%20b%3Fx%23%25%C3%A9");
        assert_eq!(encode("a/b&c=d", false), "a%2Fb%26c%3Dd");
    }

    #[test]
    fn data_is_unwrapped_only_from_an_envelope() {
        let answer =
            |body: &[u8]| Answer { status: 200, body: Json::parse(body).ok(), request_id: None, authenticate: None, receipt: None };
        assert_eq!(*answer(br#"{"request_id":"r","data":{"a":1}}"#).data().compact(), r#"{"a":1}"#);
        assert_eq!(*answer(br#"{"sealed":true,"data":1}"#).data().compact(), r#"{"sealed":true,"data":1}"#);
        assert_eq!(*answer(b"").data().compact(), "null");
    }
}
