//! One path with one verb as an OpenAPI operation, and what operations share: bodies and answers stand once in `components`.

use serde_json::{Map, Value, json};

use crate::model::call::Verb;
use crate::model::mount::Kind;

use super::member::{Member, There};
use super::route::{Gives, KINDS, Route, segments};
use super::schema::{Side, insert, object, of_type, or_null};
use super::{ANY_REQUEST, REFERENCE};

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const TEXT: &str = "text/plain";
const NDJSON: &str = "application/x-ndjson";

/// A mount, and the group of its paths.
#[derive(Debug)]
pub(super) struct Place<'m> {
    pub mount: &'m str,
    pub kind: Kind,
    pub tag: &'static str,
}

/// The bodies and answers that operations refer to.
#[derive(Debug, Default)]
pub(super) struct Components {
    bodies: Map<String, Value>,
    responses: Map<String, Value>,
}

impl Place<'_> {
    /// A list has a slash at its end: the same path without one may be read.
    pub fn path(&self, route: &Route) -> String {
        let slash = if route.verbs == [Verb::List] { "/" } else { "" };
        format!("/{}/{}{slash}", self.mount, route.path.replace("...}", "}"))
    }

    pub fn parameters(route: &Route) -> Vec<Value> {
        let placeholders = segments(route.path).into_iter().filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        placeholders.map(in_path).collect()
    }

    fn operation_id(&self, route: &Route, word: &str) -> String {
        slug(&format!("{word}-{}-{}", self.mount, route.path))
    }
}

/// What no path holds: controls, and what other programs take for a separator.
const SEGMENT: &str = r"[^\u0000-\u001f\u007f-\u009f%\\;/]+";
const NAME: &str = "[A-Za-z0-9._@+=:-]{1,128}";

/// What stands in a path.
fn in_path(placeholder: &str) -> Value {
    let name = placeholder.trim_end_matches("...");
    let one = |segment: &str| json!({"type": "string", "pattern": format!("^{segment}$")});
    let several = |segment: &str| json!({"type": "string", "pattern": format!("^{segment}(/{segment})*$")});
    let number = || json!({"type": "integer", "minimum": 0});
    let (about, schema) = match placeholder {
        "path..." => ("One or more segments, whose slashes are written as they are.", several(SEGMENT)),
        "mount..." => ("The path of a mount: names joined by slashes, which are written as they are.", several(NAME)),
        "kind" => ("The type of the transformation.", json!({"type": "string", "enum": KINDS})),
        "id" => ("The person's identifier. In a body it stands in no log: `subjects/lookup`, `subjects/erase` …", one(SEGMENT)),
        "format" => ("A decode format of the template.", one(NAME)),
        "stream" => ("A stream of the ledger: its number or its node's name.", one(SEGMENT)),
        "seq" => ("The number of the entry, from 1.", number()),
        "size" => ("The size of the tree.", number()),
        "tile..." => ("The name of the tile, such as `0/000.p/5`, `entries/000.p/5` or `lines/000.p/5`.", several(SEGMENT)),
        "role" => ("A role of the mount.", one(NAME)),
        _ => ("A name of letters, digits and `._@+=:-`.", one(NAME)),
    };
    json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema})
}

fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

/// The word for a verb in names, and its methods.
const fn methods(verb: Verb) -> &'static [(&'static str, &'static str)] {
    match verb {
        Verb::Read => &[("get", "read")],
        Verb::Probe => &[("head", "probe")],
        Verb::Write => &[("post", "write"), ("put", "put")],
        Verb::Patch => &[("patch", "patch")],
        Verb::Delete => &[("delete", "delete")],
        Verb::List => &[("get", "list")],
    }
}

impl Components {
    /// The operations of a route by their methods.
    pub fn operations(&mut self, place: &Place<'_>, route: &'static Route) -> Vec<(&'static str, Value)> {
        let Some(verb) = route.verbs.first().copied() else { return Vec::new() };
        let parameters = parameters(route);
        let (body, responses) = (self.body(place, route, verb), self.responses(place, route, verb));
        let made = methods(verb).iter().map(|(method, word)| {
            let mut operation = json!({
                "operationId": place.operation_id(route, word),
                "summary": route.says,
                "tags": [place.tag],
                "responses": responses,
            });
            if !route.actions.is_empty() {
                insert(&mut operation, "x-goldfin-actions", route.actions.iter().map(|action| json!(action.name())).collect());
            }
            if route.open {
                insert(&mut operation, "security", json!([]));
            }
            if !parameters.is_empty() {
                insert(&mut operation, "parameters", Value::Array(parameters.clone()));
            }
            if let Some(body) = &body {
                insert(&mut operation, "requestBody", body.clone());
            }
            (*method, operation)
        });
        made.collect()
    }

    fn body(&mut self, place: &Place<'_>, route: &'static Route, verb: Verb) -> Option<Value> {
        if !route.text.is_empty() {
            let schema = json!({"type": "string", "description": route.text});
            return Some(json!({"required": true, "content": {TEXT: {"schema": schema}}}));
        }
        route.members().next()?;
        let name = slug(&format!("{}-{}-{}", place.kind.name(), verb.name(), route.path));
        if !self.bodies.contains_key(&name) {
            let media = if verb == Verb::Patch { MERGE_PATCH } else { JSON };
            let examples: Map<String, Value> = route
                .examples
                .iter()
                .enumerate()
                .filter_map(|(number, text)| {
                    Some((format!("example-{}", number + 1), json!({"value": serde_json::from_str::<Value>(text).ok()?})))
                })
                .collect();
            let required = route.members().any(|member| member.there == There::Must);
            let schema = object(route.members(), Side::Request);
            // A body that is null is none.
            let schema = if required { schema } else { or_null(schema) };
            let content = json!({"schema": schema, "examples": examples});
            self.bodies.insert(name.clone(), json!({"required": required, "content": {media: content}}));
        }
        Some(reference("requestBodies", &name))
    }

    fn responses(&mut self, place: &Place<'_>, route: &'static Route, verb: Verb) -> Value {
        let name = slug(&format!("{}-{}-{}", place.kind.name(), verb.name(), route.path));
        let mut responses = Map::new();
        for (status, response) in given(route) {
            let name = if status == "200" { name.clone() } else { format!("{name}-{status}") };
            self.responses.insert(name.clone(), response);
            responses.insert(status.to_owned(), reference("responses", &name));
        }
        if matches!(route.gives, Gives::Nothing | Gives::Perhaps(_) | Gives::Warnings | Gives::Values(_)) {
            responses.insert("204".to_owned(), reference("responses", "Nothing"));
        }
        for status in ANY_REQUEST.iter().chain(route.also) {
            let entry = responses.entry(status.to_string());
            entry.or_insert_with(|| reference("responses", &format!("Error{status}")));
        }
        Value::Object(responses)
    }

    /// `components` of the document.
    pub fn into_value(mut self, schemas: &Value) -> Value {
        self.responses.insert("Nothing".to_owned(), json!({"description": "Done; there is nothing to say.", "headers": headers(&[])}));
        for (status, what) in ERRORS {
            let more: &[&str] = if *status == 429 { &["Retry-After"] } else { &[] };
            self.responses.insert(
                format!("Error{status}"),
                json!({"description": what, "headers": headers(more), "content": {JSON: {"schema": schema("Errors")}}}),
            );
        }
        json!({
            "schemas": schemas,
            "requestBodies": self.bodies,
            "responses": self.responses,
            "headers": {
                "X-Goldfin-Request-Id": {"description": "Names the request, as its entry does.", "schema": {"type": "string", "format": "uuid"}},
                "X-Goldfin-Receipt": {"description": "The entry: stream, number and leaf hash.", "schema": {"type": "string", "pattern": "^[0-9]+:[0-9]+:[0-9a-f]{64}$"}},
                "X-Goldfin-Next": {"description": "Where the lines go on; absent at the end.", "schema": {"type": "string"}},
                "Retry-After": {"description": "Seconds until it is worth another try.", "schema": {"type": "integer", "minimum": 1}},
            },
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Vault-Token", "description": "An auth token."},
                "bearer": {"type": "http", "scheme": "bearer", "description": "The same in `Authorization`."},
            },
        })
    }
}

const ERRORS: &[(u16, &str)] = &[
    (400, "The request has to change before it can succeed."),
    (401, "The credential proves nothing; show another."),
    (403, "No credential, or none that the policies permit this to."),
    (404, "There is nothing here; or an empty list, which has no errors."),
    (410, "It was there and is gone for good."),
    (413, "The body is too large."),
    (429, "Too many requests or values; `Retry-After` says when to go on."),
    (500, "A fault of goldfin, or a commit whose outcome is not known: the text says which."),
    (503, "Sealed, or something that is needed cannot be reached; nothing happened."),
];

fn parameters(route: &Route) -> Vec<Value> {
    let mut parameters: Vec<Value> = route
        .query
        .iter()
        .map(|member: &Member| {
            let schema = of_type(&member.is, Side::Parameter);
            json!({"name": member.name, "in": "query", "required": member.there == There::Must, "description": member.about, "schema": schema})
        })
        .collect();
    if route.verbs == [Verb::List] {
        parameters.push(json!({
            "name": "list", "in": "query", "required": false, "schema": {"type": "string"},
            "description": "`true` where a client takes the slash at the end away; else not needed.",
        }));
    }
    if route.purpose {
        parameters.push(json!({
            "name": "X-Goldfin-Purpose", "in": "header", "required": false,
            "description": "Why; a name that stands in a list of the transformation or the mount.",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{0,64}$"},
        }));
    }
    parameters
}

/// The answers of a route beside 204 and the errors.
fn given(route: &Route) -> Vec<(&'static str, Value)> {
    let data = |members: &[&'static [Member]]| object(members.iter().copied().flatten(), Side::Answer);
    match route.gives {
        Gives::Nothing => Vec::new(),
        Gives::Data(members) | Gives::Perhaps(members) => vec![("200", answer(route, &in_envelope(&data(&[members]))))],
        Gives::Parts(parts) => vec![("200", answer(route, &in_envelope(&data(parts))))],
        Gives::DataOrAbsent(members, absent) => {
            let gone = json!({"anyOf": [in_envelope(&data(&[absent])), schema("Errors")]});
            vec![
                ("200", answer(route, &in_envelope(&data(&[members])))),
                (
                    "404",
                    response("There is nothing here; or the version is deleted or destroyed, and only what is known of it is left.", &gone),
                ),
            ]
        }
        Gives::Warnings => vec![("200", answer(route, &in_envelope(&json!({"type": "null"}))))],
        Gives::Keys => vec![("200", answer(route, &in_envelope(&schema("Keys"))))],
        Gives::Table(is) => {
            let table = of_type(&is, Side::Answer);
            let whole = json!({"allOf": [in_envelope(&table)], "description": "The members of `data` stand at the top level too."});
            vec![("200", answer(route, &whole))]
        }
        Gives::Values(members) => values(route, members),
        Gives::Auth => {
            let auth = json!({"allOf": [schema("Envelope"), {"properties": {"auth": schema("Auth")}}]});
            vec![("200", answer(route, &auth))]
        }
        Gives::Health(members) => {
            let body = (!members.is_empty()).then(|| object(members.iter(), Side::Answer));
            let health = |what: &str| match &body {
                Some(body) => response(what, &json!({"anyOf": [body, schema("Errors")]})),
                None => json!({"description": what, "headers": headers(&[])}),
            };
            vec![
                ("200", health("All is well.")),
                ("501", health("It is not initialised.")),
                ("503", health("It is sealed.")),
                ("default", health("The status that the query asks for.")),
            ]
        }
        Gives::Bare(members) => vec![("200", answer(route, &object(members.iter(), Side::Answer)))],
        Gives::Document => vec![("200", answer(route, &json!({"type": "object"})))],
        Gives::Stream(kinds) => {
            let content: Map<String, Value> = kinds.iter().map(|kind| ((*kind).to_owned(), json!({}))).collect();
            vec![("200", json!({"description": route.says, "headers": headers(&["X-Goldfin-Next"]), "content": content}))]
        }
        Gives::Cosignature => {
            let told = |what: &str, kind: &str| json!({"description": what, "headers": headers(&[]), "content": {kind: {}}});
            vec![
                ("200", told("The signature of the witness.", TEXT)),
                ("409", told("The witness has seen another size, which is the body.", "text/x.tlog.size")),
                ("422", told("The proof does not lead from what was seen to the checkpoint.", TEXT)),
            ]
        }
        Gives::DataOrLines(members) => {
            let content = json!({JSON: {"schema": in_envelope(&data(&[members]))}, NDJSON: {}});
            vec![("200", json!({"description": route.says, "headers": headers(&["X-Goldfin-Next"]), "content": content}))]
        }
    }
}

/// One value, or many in their order; 400 where all failed, and the status that the request asks for where some did.
fn values(route: &Route, members: &'static [Member]) -> Vec<(&'static str, Value)> {
    let one = object(members.iter().chain(REFERENCE), Side::Answer);
    let many = json!({
        "type": "object",
        "required": ["batch_results"],
        "properties": {"batch_results": {"type": "array", "items": {"anyOf": [one, schema("FailedItem")]}}},
    });
    let failed = in_envelope(&many);
    vec![
        ("200", answer(route, &in_envelope(&json!({"anyOf": [many, one]})))),
        ("400", response("The request has to change; or every item of the batch failed.", &json!({"anyOf": [failed, schema("Errors")]}))),
        ("default", response("Some items failed, and the request asked for this status.", &failed)),
    ]
}

fn in_envelope(data: &Value) -> Value {
    json!({"allOf": [schema("Envelope"), {"properties": {"data": data}}]})
}

fn answer(route: &Route, schema: &Value) -> Value {
    response(route.says, schema)
}

fn response(description: &str, schema: &Value) -> Value {
    json!({"description": description, "headers": headers(&[]), "content": {JSON: {"schema": schema}}})
}

fn headers(more: &[&str]) -> Value {
    let usual = ["X-Goldfin-Request-Id", "X-Goldfin-Receipt"];
    let each = usual.iter().chain(more).map(|name| ((*name).to_owned(), reference("headers", name)));
    Value::Object(each.collect())
}

fn schema(name: &str) -> Value {
    reference("schemas", name)
}

fn reference(section: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{section}/{name}")})
}
