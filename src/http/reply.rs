//! What was released, as HTTP. Nothing else can be encoded here: a [`Released`] exists only when its entry is on disk.
//!
//! The whole answer is written into one buffer that is wiped when it has been sent; plaintext and auth tokens are read nowhere else on
//! this floor. There is no CORS header and no cookie.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldfin_crypto::Zeroizing;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use super::fault;
use crate::gate::released::Released;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::RequestId;
use crate::model::reply::{Answer, Grant, Reply};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-goldfin-request-id");
const RECEIPT: HeaderName = HeaderName::from_static("x-goldfin-receipt");

const NEXT: HeaderName = HeaderName::from_static("x-goldfin-next");

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

#[must_use]
pub fn encode(released: Released) -> Response<Zeroizing<Vec<u8>>> {
    let request = released.request();
    let receipt = released.receipt().map(crate::audit::receipt::Receipt::to_header);
    let mut response = match released.into_outcome() {
        Ok(reply) => encode_reply(request, reply),
        Err(refusal) => encode_fault(&refusal),
    };
    name(&mut response, request);
    if let Some(value) = receipt.and_then(|text| HeaderValue::try_from(text).ok()) {
        response.headers_mut().insert(RECEIPT, value);
    }
    response
}

/// An answer that no caller's secret can be in: the probes'.
#[must_use]
pub fn plain(status: u16, body: &Node, request: Option<RequestId>) -> Response<Zeroizing<Vec<u8>>> {
    let mut response = respond(status, JSON, body.to_plaintext().expose_into());
    if let Some(request) = request {
        name(&mut response, request);
    }
    response
}

fn name(response: &mut Response<Zeroizing<Vec<u8>>>, request: RequestId) {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = request.as_uuid().hyphenated().encode_lower(&mut text);
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
}

fn respond(status: u16, kind: &'static str, body: Zeroizing<Vec<u8>>) -> Response<Zeroizing<Vec<u8>>> {
    let mut response = Response::new(body);
    *response.status_mut() = match StatusCode::from_u16(status) {
        Ok(status) if !status.is_informational() => status,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let has_body = !response.body().is_empty();
    let headers = response.headers_mut();
    headers.reserve(8);
    if has_body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    response
}

fn encode_fault(refusal: &Fault) -> Response<Zeroizing<Vec<u8>>> {
    let (status, body) = fault::describe(refusal);
    let mut response = respond(status, JSON, body.to_plaintext().expose_into());
    if matches!(refusal, Fault::Unauthenticated(_)) {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Negotiate"));
    }
    if let Some(value) = fault::allow(refusal).and_then(|methods| HeaderValue::try_from(methods).ok()) {
        response.headers_mut().insert(ALLOW, value);
    }
    if let Some(seconds) = fault::retry_after(refusal) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn encode_reply(request: RequestId, reply: Reply) -> Response<Zeroizing<Vec<u8>>> {
    let status = reply.status();
    let warnings = if reply.warnings.is_empty() { Node::Null } else { Node::texts(reply.warnings) };
    let envelope = |data: &Node, auth: &Node, table: &[(String, Node)]| write_envelope(request, data, &warnings, auth, table);
    match reply.answer {
        Answer::Nothing => respond(status, JSON, Zeroizing::default()),
        Answer::Data(data) | Answer::Absent(data) | Answer::Status(_, data) => respond(status, JSON, envelope(&data, &Node::Null, &[])),
        Answer::Table(table) => {
            let data = Node::Object(table);
            let rows = if let Node::Object(rows) = &data { rows.as_slice() } else { &[] };
            respond(status, JSON, envelope(&data, &Node::Null, rows))
        }
        Answer::Auth(grant) => encode_grant(status, *grant, envelope),
        Answer::Bare(body) => respond(status, JSON, body.to_plaintext().expose_into()),
        Answer::Stream(kind, body) | Answer::Told(_, kind, body) => typed(kind, respond(status, kind, body.expose_into())),
        Answer::Lines { lines, next } => {
            let mut response = typed(NDJSON, respond(status, NDJSON, lines.expose_into()));
            if let Some(value) = next.and_then(|next| HeaderValue::try_from(next).ok()) {
                response.headers_mut().insert(NEXT, value);
            }
            response
        }
    }
}

/// No lines are of a type too.
fn typed(kind: &'static str, mut response: Response<Zeroizing<Vec<u8>>>) -> Response<Zeroizing<Vec<u8>>> {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn encode_grant(
    status: u16,
    mut grant: Grant,
    envelope: impl Fn(&Node, &Node, &[(String, Node)]) -> Zeroizing<Vec<u8>>,
) -> Response<Zeroizing<Vec<u8>>> {
    let proof = grant.negotiate.take();
    let mut response = respond(status, JSON, envelope(&Node::Null, &auth(grant), &[]));
    // The server's half of a mutual authentication (RFC 4559 section 4.1).
    if let Some(value) = proof.and_then(|token| HeaderValue::try_from(format!("Negotiate {}", STANDARD.encode(token))).ok()) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    response
}

fn auth(grant: Grant) -> Node {
    let metadata = grant.metadata.into_iter().map(|(name, value)| (name, Node::text(value))).collect();
    Node::object([
        ("client_token", Node::Text(grant.client_token)),
        ("accessor", Node::text(grant.accessor)),
        ("policies", Node::texts(grant.policies.iter().map(String::as_str))),
        ("token_policies", Node::texts(grant.policies.iter().map(String::as_str))),
        ("identity_policies", Node::List(Vec::new())),
        ("metadata", Node::Object(metadata)),
        ("lease_duration", Node::whole(i64::try_from(grant.lease_seconds).unwrap_or(i64::MAX))),
        ("renewable", Node::Bool(grant.renewable)),
        ("entity_id", Node::text("")),
        ("token_type", Node::text("service")),
        ("orphan", Node::Bool(grant.orphan)),
        ("mfa_requirement", Node::Null),
        ("num_uses", Node::whole(0)),
    ])
}

/// Every member is there, null where it is empty: clients parse the whole. `table` is repeated at the top level.
fn write_envelope(request: RequestId, data: &Node, warnings: &Node, auth: &Node, table: &[(String, Node)]) -> Zeroizing<Vec<u8>> {
    const FIXED: usize = 256;
    let sizes = [data.written_size(), warnings.written_size(), auth.written_size(), if table.is_empty() { 0 } else { data.written_size() }];
    // Sized up front: a buffer that grows leaves copies behind that nobody wipes.
    let mut out = Zeroizing::new(Vec::with_capacity(sizes.iter().sum::<usize>() + FIXED));
    let mut id = [0; uuid::fmt::Hyphenated::LENGTH];
    out.extend_from_slice(b"{\"request_id\":\"");
    out.extend_from_slice(request.as_uuid().hyphenated().encode_lower(&mut id).as_bytes());
    out.extend_from_slice(b"\",\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":0,\"data\":");
    data.write(&mut out);
    out.extend_from_slice(b",\"wrap_info\":null,\"warnings\":");
    warnings.write(&mut out);
    out.extend_from_slice(b",\"auth\":");
    auth.write(&mut out);
    out.extend_from_slice(b",\"mount_type\":\"\"");
    for (name, row) in table {
        out.push(b',');
        Node::text(name.as_str()).write(&mut out);
        out.push(b':');
        row.write(&mut out);
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use goldfin_crypto::Plaintext;

    use super::*;
    use crate::audit::receipt::Receipt;
    use crate::model::call::Verb;
    use crate::model::clock::Timestamp;
    use crate::model::id::StreamId;

    fn id() -> RequestId {
        RequestId::generate(Timestamp::from_unix_micros(1_700_000_000_000_000)).expect("random")
    }

    fn encoded(outcome: Result<Answer, Fault>) -> (u16, Response<Zeroizing<Vec<u8>>>, serde_json::Value) {
        let response = encode(Released::of_test(id(), outcome.map(Reply::new), None));
        let body =
            if response.body().is_empty() { serde_json::Value::Null } else { serde_json::from_slice(response.body()).expect("json") };
        (response.status().as_u16(), response, body)
    }

    fn header<'a>(response: &'a Response<Zeroizing<Vec<u8>>>, name: &str) -> Option<&'a str> {
        response.headers().get(name).map(|value| value.to_str().expect("ascii"))
    }

    const ENVELOPE: [&str; 9] =
        ["request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth", "mount_type"];

    #[test]
    fn the_envelope_is_whole_and_fits_its_buffer() {
        let data = Node::parse(br#"{"value":"synthetic \" text","list":[1,2.50,null]}"#).expect("json");
        let request = id();
        let buffer = write_envelope(request, &data, &Node::texts(["careful"]), &Node::Null, &[]);
        let room = data.written_size() + Node::texts(["careful"]).written_size() + Node::Null.written_size() + 256;
        assert!(buffer.len() <= room && buffer.capacity() >= room);
        let body: serde_json::Value = serde_json::from_slice(&buffer).expect("json");
        assert_eq!(body.as_object().expect("object").keys().map(String::as_str).collect::<Vec<_>>(), ENVELOPE);
        assert_eq!(body["request_id"], request.to_string());
        assert_eq!(body["data"]["value"], "synthetic \" text");
        assert_eq!(body["warnings"][0], "careful");
        assert!(body["wrap_info"].is_null() && body["auth"].is_null());
        assert_eq!((&body["lease_id"], &body["renewable"], &body["lease_duration"]), (&"".into(), &false.into(), &0.into()));
        assert!(String::from_utf8_lossy(&buffer).contains("2.50"), "digits are kept");
    }

    #[test]
    fn each_answer_has_its_status_and_shape() {
        let data = || Node::object([("a", Node::whole(1))]);
        let (status, response, body) = encoded(Ok(Answer::Nothing));
        assert_eq!((status, body.is_null()), (204, true));
        assert_eq!(header(&response, "content-type"), None);
        assert_eq!(encoded(Ok(Answer::Data(data()))).0, 200);
        let (status, _, body) = encoded(Ok(Answer::Absent(data())));
        assert_eq!((status, &body["data"]["a"]), (404, &1.into()));
        let (status, _, body) = encoded(Ok(Answer::Status(400, data())));
        assert_eq!((status, &body["data"]["a"]), (400, &1.into()));
        let (_, _, body) = encoded(Ok(Answer::Bare(data())));
        assert_eq!(body, serde_json::json!({"a": 1}));
        let (_, _, body) = encoded(Ok(Answer::Table(vec![("kv/".to_owned(), data())])));
        assert_eq!((&body["data"]["kv/"]["a"], &body["kv/"]["a"]), (&1.into(), &1.into()));
        let stream = encode(Released::of_test(
            id(),
            Ok(Reply::new(Answer::Stream("application/x-ndjson", Plaintext::from_text("{}\n{}\n".into())))),
            None,
        ));
        assert_eq!(header(&stream, "content-type"), Some("application/x-ndjson"));
        assert_eq!(stream.body().as_slice(), b"{}\n{}\n");
        let nothing = Answer::Lines { lines: Plaintext::new(Vec::new()), next: None };
        let empty = encode(Released::of_test(id(), Ok(Reply::new(nothing)), None));
        assert_eq!((header(&empty, "content-type"), empty.body().len()), (Some("application/x-ndjson"), 0));
        assert_eq!(encoded(Ok(Answer::Status(100, data()))).0, 500, "an informational status is none");
    }

    #[test]
    fn a_grant_has_what_clients_parse() {
        let grant = Grant {
            client_token: Plaintext::from_text("synthetic-token".into()),
            accessor: "synthetic-accessor".into(),
            policies: vec!["default".into(), "app".into()],
            metadata: vec![("role".into(), "web".into())],
            lease_seconds: 3600,
            renewable: true,
            account: "web".into(),
            orphan: true,
            negotiate: Some(b"proof".to_vec()),
        };
        let (_, response, body) = encoded(Ok(Answer::Auth(Box::new(grant))));
        let auth = &body["auth"];
        assert_eq!(auth["client_token"], "synthetic-token");
        assert_eq!(auth["policies"], auth["token_policies"]);
        assert_eq!(auth["metadata"]["role"], "web");
        assert_eq!((&auth["lease_duration"], &auth["renewable"], &auth["orphan"]), (&3600.into(), &true.into(), &true.into()));
        assert_eq!((&auth["token_type"], &auth["entity_id"], &auth["num_uses"]), (&"service".into(), &"".into(), &0.into()));
        assert!(auth["mfa_requirement"].is_null() && body["data"].is_null());
        assert_eq!(header(&response, "www-authenticate"), Some("Negotiate cHJvb2Y="));
    }

    #[test]
    fn every_answer_is_named_and_kept_by_nobody() {
        for outcome in
            [Ok(Answer::Nothing), Ok(Answer::Data(Node::Null)), Err(Fault::Denied), Err(Fault::Sealed), Err(Fault::not_found(""))]
        {
            let (_, response, _) = encoded(outcome);
            assert_eq!(header(&response, "x-goldfin-request-id").map(str::len), Some(36));
            assert_eq!(header(&response, "cache-control"), Some("no-store"));
            assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
            assert!(header(&response, "strict-transport-security").is_some());
            assert!(header(&response, "access-control-allow-origin").is_none());
            assert!(header(&response, "x-goldfin-receipt").is_none());
        }
        let receipt = Receipt::of_test(StreamId(3), 41, [0xab; 32]);
        let response = encode(Released::of_test(id(), Ok(Reply::nothing()), Some(receipt)));
        assert_eq!(header(&response, "x-goldfin-receipt"), Some(format!("3:41:{}", "ab".repeat(32)).as_str()));
    }

    #[test]
    fn refusals_say_what_to_do() {
        let (status, response, _) = encoded(Err(Fault::Unauthenticated("show a credential")));
        assert_eq!((status, header(&response, "www-authenticate")), (401, Some("Negotiate")));
        let (status, response, _) = encoded(Err(Fault::TooMany { retry_after: Duration::from_millis(1_200) }));
        assert_eq!((status, header(&response, "retry-after")), (429, Some("2")));
        let (status, response, _) = encoded(Err(Fault::VerbNotAllowed(vec![Verb::Read, Verb::Write])));
        assert_eq!((status, header(&response, "allow")), (405, Some("GET, POST, PUT")));
        let (status, response, _) = encoded(Err(Fault::WrongVerb));
        assert_eq!((status, header(&response, "allow")), (405, Some("GET, HEAD, POST, PUT, PATCH, DELETE")));
        let (status, response, body) = encoded(Err(Fault::not_found("")));
        assert_eq!((status, body), (404, serde_json::json!({"errors": []})));
        assert_eq!(header(&response, "content-type"), Some("application/json"));
    }
}
