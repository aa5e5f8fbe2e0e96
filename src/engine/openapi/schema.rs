//! Types as JSON Schema (2020-12, as OpenAPI 3.1 has it): as a request may send them, which is lenient, and as answers hold them.

use serde_json::{Map, Value, json};

use super::member::{Member, There, Type};

/// A century, beyond which no duration is taken.
const LONGEST_SECONDS: u64 = 3_155_760_000;

const NAME: &str = "^[A-Za-z0-9._@+=:-]{0,128}$";
const DURATION: &str = r"^\s*([0-9]+|([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)\s*$";

/// Which way a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    /// Behind the question mark, or in a path: text on the wire.
    Parameter,
    Answer,
}

/// The schema of an object with these members.
pub(super) fn object(members: impl Iterator<Item = &'static Member>, side: Side) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for member in members {
        let needed = match side {
            Side::Answer => member.there != There::Maybe,
            Side::Request | Side::Parameter => member.there == There::Must,
        };
        if needed {
            required.push(json!(member.name));
        }
        properties.insert(member.name.to_owned(), of_member(member, side));
    }
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        insert(&mut schema, "required", Value::Array(required));
    }
    schema
}

/// With its sentence, and with null where that is the same as absent.
pub(super) fn of_member(member: &Member, side: Side) -> Value {
    let null = match side {
        Side::Request => member.there != There::Must,
        Side::Parameter => false,
        Side::Answer => member.there == There::Null,
    };
    let schema = of_type(&member.is, side);
    let mut schema = if null { or_null(schema) } else { schema };
    insert(&mut schema, "description", json!(member.about));
    schema
}

pub(super) fn insert(schema: &mut Value, name: &str, value: Value) {
    if let Some(members) = schema.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// The same, or null.
pub(super) fn or_null(mut schema: Value) -> Value {
    let types = match schema.get("type") {
        Some(Value::String(one)) => json!([one, "null"]),
        Some(Value::Array(several)) => several.iter().cloned().chain([json!("null")]).collect(),
        // Anything is null too.
        _ if schema.as_object().is_some_and(Map::is_empty) => return schema,
        _ => return json!({"anyOf": [schema, {"type": "null"}]}),
    };
    insert(&mut schema, "type", types);
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.push(Value::Null);
    }
    schema
}

pub(super) fn of_type(is: &Type, side: Side) -> Value {
    let request = side == Side::Request;
    match is {
        Type::Text => json!({"type": "string"}),
        Type::Short(most) if side == Side::Answer => json!({"type": "string", "x-goldfin-bytes": most}),
        Type::Short(most) => json!({"type": "string", "maxLength": most}),
        Type::Name if side == Side::Answer => json!({"type": "string"}),
        Type::Name => json!({"type": "string", "pattern": NAME}),
        Type::OneOf(words) => json!({"type": "string", "enum": words}),
        Type::Moment => json!({"type": "string", "format": "date-time"}),
        Type::MomentOrSeconds => json!({"anyOf": [
            {"type": "string", "format": "date-time"},
            {"type": "string", "maxLength": 0},
            {"type": "integer", "minimum": 0, "maximum": 32_503_680_000_u64},
        ]}),
        Type::Whole(least, most) => whole(*least, *most, request),
        Type::Integer => json!({"type": "integer"}),
        Type::Number if request => json!({"type": ["number", "string"], "minimum": 0}),
        Type::Number => json!({"type": "number"}),
        Type::Score => json!({"type": "number", "minimum": 0, "maximum": 1}),
        Type::Seconds if side == Side::Answer => json!({"type": "integer", "minimum": 0}),
        Type::Seconds => json!({"type": ["integer", "string"], "minimum": 0, "maximum": LONGEST_SECONDS, "pattern": DURATION}),
        Type::SecondsOrNever => json!({"type": ["integer", "string"], "maximum": LONGEST_SECONDS}),
        Type::Flag if request => json!({"type": ["boolean", "string"], "enum": [true, false, "true", "false"]}),
        Type::Flag => json!({"type": "boolean"}),
        Type::Words if request => json!({"type": ["array", "string"], "items": {"type": "string"}}),
        Type::Words => json!({"type": "array", "items": {"type": "string"}}),
        Type::TextMap => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Type::LooseMap => json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}),
        Type::Object(members) => object(members.iter(), side),
        Type::Map(of) => json!({"type": "object", "additionalProperties": of_type(of, side)}),
        Type::List(of, 0) => json!({"type": "array", "items": of_type(of, side)}),
        Type::List(of, most) => json!({"type": "array", "items": of_type(of, side), "maxItems": most}),
        Type::Free => json!({"type": "object"}),
        Type::Any => json!({}),
        Type::Either(types) => json!({"anyOf": types.iter().map(|one| of_type(one, side)).collect::<Vec<_>>()}),
    }
}

/// A body may write the number as text.
fn whole(least: u64, most: u64, request: bool) -> Value {
    let mut schema = if request {
        json!({"type": ["integer", "string"], "minimum": least, "pattern": r"^\+?[0-9]+$"})
    } else {
        json!({"type": "integer", "minimum": least})
    };
    if most < u64::MAX {
        insert(&mut schema, "maximum", json!(most));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::super::member::{flag, text, whole};
    use super::*;

    #[test]
    fn requests_are_lenient_and_answers_are_not() {
        const MEMBERS: &[Member] = &[text("a", "A.").must(), flag("b", "B."), whole("c", "C.").null()];
        let request = object(MEMBERS.iter(), Side::Request);
        assert_eq!(request["required"], json!(["a"]));
        assert_eq!(request["properties"]["b"]["enum"], json!([true, false, "true", "false", null]));
        assert_eq!(request["properties"]["c"]["type"], json!(["integer", "string", "null"]));
        let answer = object(MEMBERS.iter(), Side::Answer);
        assert_eq!(answer["required"], json!(["a", "b", "c"]));
        assert_eq!(answer["properties"]["b"]["type"], json!("boolean"));
        assert_eq!(answer["properties"]["c"]["type"], json!(["integer", "null"]));
    }
}
