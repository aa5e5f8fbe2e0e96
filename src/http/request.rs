//! The head of a request, understood once: verb, path, query, credential and the few headers that mean something.
//!
//! Headers that claim who or where the client is, or that the verb is another (`X-Forwarded-For`, `Forwarded`, `X-Real-IP`,
//! `X-HTTP-Method-Override` …) are not read at all. Whatever is not understood becomes a [`Malformed`], which the gate refuses and records.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldfin_crypto::Plaintext;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use hyper::{HeaderMap, Method, Uri, Version};

use super::query;
use crate::gate::request::{Credential, Malformed, Wanted};
use crate::model::call::Verb;
use crate::model::path::{CanonicalPath, PathRefusal};
use crate::model::text::parse_duration;

/// A request's head.
#[derive(Debug)]
pub struct Head {
    pub wanted: Result<Wanted, Malformed>,
    pub credential: Credential,
    pub purpose: Option<String>,
    pub wrap_ttl: Option<Duration>,
}

impl Head {
    /// Understands a head, or says why not.
    #[must_use]
    pub fn read(method: &Method, target: &Uri, version: Version, headers: &HeaderMap, max_headers: usize) -> Self {
        let mut wanted = read_wanted(method, target);
        let mut refuse = |malformed: Malformed| {
            if wanted.is_ok() {
                wanted = Err(malformed);
            }
        };
        if let Err(malformed) = check_framing(target, version, headers, max_headers) {
            refuse(malformed);
        }
        if let Err(malformed) = check_namespace(headers).and_then(|()| check_content(method, headers)) {
            refuse(malformed);
        }
        let purpose = read_purpose(headers).unwrap_or_else(|malformed| {
            refuse(malformed);
            None
        });
        let wrap_ttl = read_wrap_ttl(headers).unwrap_or_else(|malformed| {
            refuse(malformed);
            None
        });
        Self { wanted, credential: read_credential(headers), purpose, wrap_ttl }
    }
}

fn read_wanted(method: &Method, target: &Uri) -> Result<Wanted, Malformed> {
    let verb = match method.as_str() {
        "GET" => Verb::Read,
        "HEAD" => Verb::Probe,
        "PUT" | "POST" => Verb::Write,
        "PATCH" => Verb::Patch,
        "DELETE" => Verb::Delete,
        "LIST" => Verb::List,
        _ => return Err(Malformed::Verb(target.path().strip_prefix("/v1/").and_then(|below| CanonicalPath::parse(below).ok()))),
    };
    // The absolute form (RFC 9112 section 3.2.2) and HTTP/2 bring an authority along: nothing depends on it.
    let below = target.path().strip_prefix("/v1/").ok_or(Malformed::Path(PathRefusal("the path does not begin with `/v1/`")))?;
    let path = CanonicalPath::parse(below).map_err(Malformed::Path)?;
    let query = query::parse(target.query().unwrap_or_default())?;
    // A trailing slash is left in `path.slash`: whether it means LIST depends on what the path belongs to, and that the gate knows.
    let verb = if verb == Verb::Read && query.is_true("list") { Verb::List } else { verb };
    Ok(Wanted { verb, path, query })
}

fn check_framing(target: &Uri, version: Version, headers: &HeaderMap, max_headers: usize) -> Result<(), Malformed> {
    if headers.len() > max_headers {
        return Err(Malformed::Header("there are too many headers"));
    }
    let hosts = headers.get_all(HOST).iter().count();
    // RFC 9112 section 3.2 asks for exactly one; in HTTP/2 the authority stands in its place.
    if hosts > 1 || (hosts == 0 && version == Version::HTTP_11 && target.authority().is_none()) {
        return Err(Malformed::Header("`Host` must be given once"));
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Malformed::Header("`Transfer-Encoding` can be `chunked` only")),
    }
}

fn check_namespace(headers: &HeaderMap) -> Result<(), Malformed> {
    for value in headers.get_all("x-vault-namespace") {
        if !matches!(value.as_bytes(), b"" | b"/" | b"root" | b"root/") {
            return Err(Malformed::Header("there is no such namespace, leave `X-Vault-Namespace` out"));
        }
    }
    Ok(())
}

/// Bodies are JSON whatever they are called: curl calls them a form, and `fetch` calls them text.
fn check_content(method: &Method, headers: &HeaderMap) -> Result<(), Malformed> {
    for coding in headers.get_all(CONTENT_ENCODING) {
        if !coding.as_bytes().eq_ignore_ascii_case(b"identity") {
            return Err(Malformed::Header("`Content-Encoding` is not supported, send the body as it is"));
        }
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let Some(first) = types.next() else { return Ok(()) };
    if types.next().is_some() {
        return Err(Malformed::Header("`Content-Type` must be given once"));
    }
    let essence = first.as_bytes().split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let one_of = |known: &[&[u8]]| known.iter().any(|known| essence.eq_ignore_ascii_case(known));
    if one_of(&[b"application/json", b"application/merge-patch+json", b""]) {
        return Ok(());
    }
    if *method == Method::PATCH {
        return Err(Malformed::Header("`Content-Type` of a PATCH must be `application/merge-patch+json`"));
    }
    if one_of(&[b"application/x-www-form-urlencoded", b"text/plain"]) {
        return Ok(());
    }
    Err(Malformed::Header("`Content-Type` must be `application/json`"))
}

/// The header's value, if it was given once and is visible ASCII.
fn only_word<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(());
    }
    match first.to_str() {
        Ok("") => Ok(None),
        Ok(word) if word.bytes().all(|b| b.is_ascii_graphic()) => Ok(Some(word)),
        _ => Err(()),
    }
}

fn read_purpose(headers: &HeaderMap) -> Result<Option<String>, Malformed> {
    let refusal = Malformed::Header("`X-Goldfin-Purpose` holds letters, digits and `._-` only, at most 64, and is given once");
    match only_word(headers, "x-goldfin-purpose") {
        Ok(None) => Ok(None),
        Ok(Some(word)) if word.len() <= 64 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) => {
            Ok(Some(word.to_owned()))
        }
        _ => Err(refusal),
    }
}

fn read_wrap_ttl(headers: &HeaderMap) -> Result<Option<Duration>, Malformed> {
    let refusal = Malformed::Header("`X-Vault-Wrap-TTL` must be seconds, or a duration such as `1h30m`, and is given once");
    match only_word(headers, "x-vault-wrap-ttl") {
        Ok(None) => Ok(None),
        Ok(Some(word)) => parse_duration(word).map(|span| Some(span).filter(|span| !span.is_zero())).ok_or(refusal),
        Err(()) => Err(refusal),
    }
}

/// One credential or none. An empty `X-Vault-Token` is none: clients without a token send it so.
fn read_credential(headers: &HeaderMap) -> Credential {
    let (Ok(token), Ok(shown)) = (only_word(headers, "x-vault-token"), read_authorization(headers)) else { return Credential::Ambiguous };
    match (token.map(|token| Plaintext::from_text(token.to_owned())), shown) {
        (None, None) => Credential::None,
        (Some(token), None) | (None, Some(Shown::Bearer(token))) => Credential::AuthToken(token),
        (None, Some(Shown::Negotiate(token))) => Credential::Negotiate(token),
        (Some(token), Some(Shown::Bearer(same))) if token.constant_time_eq(&same) => Credential::AuthToken(token),
        (Some(_), Some(_)) => Credential::Ambiguous,
    }
}

enum Shown {
    Bearer(Plaintext),
    Negotiate(Plaintext),
}

fn read_authorization(headers: &HeaderMap) -> Result<Option<Shown>, ()> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(());
    }
    let (scheme, rest) = first.to_str().map_err(|_| ())?.split_once(' ').ok_or(())?;
    let rest = rest.trim_start_matches(' ');
    if rest.is_empty() || !rest.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(());
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(Some(Shown::Bearer(Plaintext::from_text(rest.to_owned()))))
    } else if scheme.eq_ignore_ascii_case("negotiate") {
        let token = STANDARD.decode(rest).map_err(|_| ())?;
        Ok(Some(Shown::Negotiate(Plaintext::new(token))))
    } else {
        Err(())
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Head {
        let mut map = HeaderMap::new();
        map.insert(HOST, HeaderValue::from_static("localhost"));
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).expect("name"), HeaderValue::from_bytes(value.as_bytes()).expect("value"));
        }
        let method = Method::from_bytes(method.as_bytes()).expect("method");
        Head::read(&method, &target.parse().expect("target"), Version::HTTP_11, &map, 64)
    }

    fn verb(method: &str, target: &str) -> Result<(Verb, bool), Malformed> {
        head(method, target, &[]).wanted.map(|wanted| (wanted.verb, wanted.path.slash))
    }

    #[test]
    fn verbs_are_mapped_on_purpose() {
        for (method, target, meant) in [
            ("GET", "/v1/a", Verb::Read),
            ("HEAD", "/v1/a", Verb::Probe),
            ("PUT", "/v1/a", Verb::Write),
            ("POST", "/v1/a", Verb::Write),
            ("PATCH", "/v1/a", Verb::Patch),
            ("DELETE", "/v1/a?list=true", Verb::Delete),
            ("LIST", "/v1/a", Verb::List),
            ("GET", "/v1/a?list=true", Verb::List),
            ("GET", "/v1/a?list=false", Verb::Read),
            ("HEAD", "/v1/a?list=true", Verb::Probe),
        ] {
            assert_eq!(verb(method, target), Ok((meant, false)), "{method} {target}");
        }
        assert_eq!(verb("GET", "/v1/a/"), Ok((Verb::Read, true)));
        for method in ["OPTIONS", "TRACE", "CONNECT", "list", "get", "PROPFIND"] {
            assert_eq!(verb(method, "/v1/a"), Err(Malformed::Verb(CanonicalPath::parse("a").ok())), "{method}");
        }
    }

    #[test]
    fn paths_are_below_v1_and_canonical() {
        for target in
            ["/", "/v1", "/v1/", "/V1/a", "/v2/a", "/v1//a", "/v1/a/../b", "/v1/%2e%2e/a", "/v1/a%2fb", "//v1/a", "/ui/", "/v1/a;b", "*"]
        {
            assert!(matches!(verb("GET", target), Err(Malformed::Path(_))), "{target}");
        }
        assert_eq!(verb("GET", "http://anything.example/v1/a"), Ok((Verb::Read, false)));
        assert!(verb("GET", "http://anything.example/v1/../a").is_err());
    }

    #[test]
    fn claims_about_the_client_or_the_verb_change_nothing() {
        let claims = [
            ("X-HTTP-Method-Override", "DELETE"),
            ("X-HTTP-Method", "DELETE"),
            ("X-Method-Override", "DELETE"),
            ("X-Forwarded-For", "127.0.0.1"),
            ("Forwarded", "for=127.0.0.1"),
            ("X-Original-URL", "/v1/sys/seal"),
            ("X-Vault-Request", "true"),
        ];
        let wanted = head("GET", "/v1/a", &claims).wanted.expect("plain");
        assert_eq!((wanted.verb, wanted.path.path.as_str()), (Verb::Read, "a"));
    }

    #[test]
    fn one_credential_or_none() {
        let shown = |headers: &[(&str, &str)]| match head("GET", "/v1/a", headers).credential {
            Credential::None => "none".to_owned(),
            Credential::AuthToken(token) => format!("token {}", token.expose_text().expect("text")),
            Credential::Negotiate(token) => format!("negotiate {}", token.expose_text().expect("text")),
            Credential::Ambiguous => "ambiguous".to_owned(),
        };
        assert_eq!(shown(&[]), "none");
        assert_eq!(shown(&[("X-Vault-Token", "")]), "none");
        assert_eq!(shown(&[("X-Vault-Token", "synthetic")]), "token synthetic");
        assert_eq!(shown(&[("Authorization", "bearer synthetic")]), "token synthetic");
        assert_eq!(shown(&[("Authorization", "Negotiate c3BuZWdv")]), "negotiate spnego");
        assert_eq!(shown(&[("X-Vault-Token", "same"), ("Authorization", "Bearer same")]), "token same");
        for ambiguous in [
            &[("X-Vault-Token", "a"), ("Authorization", "Bearer b")][..],
            &[("X-Vault-Token", "a"), ("X-Vault-Token", "a")],
            &[("Authorization", "Bearer a"), ("Authorization", "Bearer a")],
            &[("X-Vault-Token", "a"), ("Authorization", "Negotiate c3BuZWdv")],
            &[("Authorization", "Basic dTpw")],
            &[("Authorization", "Bearer")],
            &[("Authorization", "Bearer ")],
            &[("Authorization", "Bearer a b")],
            &[("Authorization", "Negotiate !")],
            &[("X-Vault-Token", "a b")],
            &[("X-Vault-Token", "ä")],
        ] {
            assert_eq!(shown(ambiguous), "ambiguous", "{ambiguous:?}");
        }
    }

    #[test]
    fn headers_that_mean_something_must_be_understood() {
        let fine = |headers: &[(&str, &str)]| head("POST", "/v1/a", headers).wanted.is_ok();
        for good in [
            ("X-Vault-Namespace", ""),
            ("X-Vault-Namespace", "root"),
            ("X-Vault-Namespace", "/"),
            ("X-Vault-Wrap-TTL", "60"),
            ("X-Vault-Wrap-TTL", "1h30m"),
            ("X-Goldfin-Purpose", "claim-4711"),
            ("Content-Type", "application/json; charset=utf-8"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Encoding", "identity"),
            ("Transfer-Encoding", "chunked"),
        ] {
            assert!(fine(&[good]), "{good:?}");
        }
        for bad in [
            ("X-Vault-Namespace", "team"),
            ("X-Vault-Wrap-TTL", "soon"),
            ("X-Goldfin-Purpose", "a b"),
            ("X-Goldfin-Purpose", "a/b"),
            ("Content-Type", "multipart/form-data; boundary=x"),
            ("Content-Type", "application/json-patch+json"),
            ("Content-Encoding", "gzip"),
            ("Transfer-Encoding", "gzip, chunked"),
            ("Host", "second"),
        ] {
            assert!(!fine(&[bad]), "{bad:?}");
        }
        assert!(!fine(&[("X-Goldfin-Purpose", "a"), ("X-Goldfin-Purpose", "b")]));
        assert!(!fine(&[("X-Goldfin-Purpose", &"a".repeat(65))]));
        assert!(!fine(&[("X-A", "1"); 64]));
        assert_eq!(head("GET", "/v1/a", &[("X-Vault-Wrap-TTL", "1m")]).wrap_ttl, Some(Duration::from_secs(60)));
        assert_eq!(head("GET", "/v1/a", &[("X-Vault-Wrap-TTL", "0")]).wrap_ttl, None);
        assert_eq!(head("GET", "/v1/a", &[("X-Goldfin-Purpose", "treatment")]).purpose.as_deref(), Some("treatment"));
    }

    #[test]
    fn a_patch_says_which_kind_it_is() {
        let fine = |kind| head("PATCH", "/v1/a", &[("Content-Type", kind)]).wanted.is_ok();
        assert!(fine("application/merge-patch+json") && fine("application/json"));
        assert!(!fine("application/json-patch+json") && !fine("application/x-www-form-urlencoded"));
    }
}
