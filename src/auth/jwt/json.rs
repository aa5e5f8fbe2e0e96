//! JSON without duplicate members: two parsers must not read two meanings into one signed text (RFC 8725, 2.4).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The one object in `bytes`; `None` for anything else, for duplicate members, and for trailing text.
pub(super) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice::<Unique>(bytes) {
        Ok(Unique(Value::Object(map))) => Some(map),
        _ => None,
    }
}

/// A claim by name, or by JSON pointer (RFC 6901) where the name starts with `/`.
pub(super) fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let Some(path) = name.strip_prefix('/') else { return claims.get(name) };
    let mut segments = path.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~"));
    let first = claims.get(&segments.next()?)?;
    segments.try_fold(first, |value, segment| match value {
        Value::Object(map) => map.get(&segment),
        Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
        _ => None,
    })
}

struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("json without duplicate members")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Unique(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let Unique(value) = access.next_value()?;
            if map.insert(key, value).is_some() {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn duplicates_and_other_texts_are_refused() {
        assert!(object(br#"{"a":1,"b":{"c":[true,null,"x",1.5,-3]}}"#).is_some());
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"b":2}]}"#,
            r#"{"a":1,"\u0061":2}"#,
            "[]",
            "1",
            "",
            "{} {}",
            "{\"a\":1e999}",
        ] {
            assert!(object(text.as_bytes()).is_none(), "{text}");
        }
        assert!(object(&[b"{\"a\":".repeat(5000), b"1".to_vec(), b"}".repeat(5000)].concat()).is_none());
        assert!(object(b"{\"a\":\"\xff\"}").is_none());
    }

    #[test]
    fn claims_by_name_and_by_pointer() {
        let claims = object(br#"{"a/b":1,"realm_access":{"roles":["x","y"]},"https://id/x":2}"#).unwrap();
        assert_eq!(claim(&claims, "a/b"), Some(&json!(1)));
        assert_eq!(claim(&claims, "/a~1b"), Some(&json!(1)));
        assert_eq!(claim(&claims, "https://id/x"), Some(&json!(2)));
        assert_eq!(claim(&claims, "/realm_access/roles/1"), Some(&json!("y")));
        assert_eq!(claim(&claims, "/realm_access/roles/9"), None);
        assert_eq!(claim(&claims, "/realm_access/roles/-1"), None);
        assert_eq!(claim(&claims, "/"), None);
        assert_eq!(claim(&claims, "/realm_access/roles/1/z"), None);
    }
}
