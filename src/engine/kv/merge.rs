//! JSON merge patch (RFC 7396). Pure: values are moved, none is read or copied.

use std::collections::HashMap;

use crate::model::document::{MAX_MEMBERS, Node};
use crate::model::fault::Fault;

/// `target` with `patch` applied. An object that would outgrow what goldfin takes is refused, because it could not be read again.
pub fn merge(target: Node, patch: Node) -> Result<Node, Fault> {
    let Node::Object(patch) = patch else { return Ok(patch) };
    let target = match target {
        Node::Object(members) => members,
        _ => Vec::new(),
    };
    let order: Vec<String> = patch.iter().map(|(name, _)| name.clone()).collect();
    let mut changes: HashMap<String, Node> = patch.into_iter().collect();
    let mut merged = Vec::with_capacity(target.len());
    for (name, value) in target {
        match changes.remove(&name) {
            None => merged.push((name, value)),
            Some(Node::Null) => {}
            Some(change) => merged.push((name, merge(value, change)?)),
        }
    }
    for name in order {
        match changes.remove(&name) {
            None | Some(Node::Null) => {}
            // Applied to nothing, so that no null of the patch stays in what is stored.
            Some(change) => merged.push((name, merge(Node::Null, change)?)),
        }
    }
    if merged.len() > MAX_MEMBERS {
        return Err(Fault::invalid("an object of the secret would hold more than 10,000 members"));
    }
    Ok(Node::Object(merged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn merged(target: &Value, patch: &Value) -> Value {
        let node = merge(Node::from(target.clone()), Node::from(patch.clone())).expect("small");
        serde_json::from_slice(node.to_plaintext().expose()).expect("json")
    }

    #[test]
    fn the_examples_of_appendix_a() {
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            assert_eq!(merged(&target, &patch), result, "{target} with {patch}");
        }
    }

    #[test]
    fn keeps_order_and_digits() {
        let target = Node::parse(br#"{"z":1.000,"a":{"n":100e0}}"#).expect("json");
        let node = merge(target, Node::parse(br#"{"new":12345678901234567890.10,"a":{"m":-0}}"#).expect("json")).expect("small");
        assert_eq!(node.to_plaintext().expose_text(), Ok(r#"{"z":1.000,"a":{"n":100e0,"m":-0},"new":12345678901234567890.10}"#));
    }

    #[test]
    fn refuses_what_could_not_be_read_again() {
        let object = |from: usize, to: usize| Node::Object((from..to).map(|n| (format!("k{n}"), Node::Bool(true))).collect());
        assert!(merge(object(0, MAX_MEMBERS), object(0, MAX_MEMBERS)).is_ok());
        assert!(merge(object(0, MAX_MEMBERS), object(1, MAX_MEMBERS + 1)).is_err());
        assert!(merge(Node::object([("in", object(0, MAX_MEMBERS))]), Node::object([("in", object(1, MAX_MEMBERS + 1))])).is_err());
    }

    /// The pseudo-code of RFC 7396 section 2, word by word.
    fn model(target: Value, patch: Value) -> Value {
        let Value::Object(patch) = patch else { return patch };
        let mut target = match target {
            Value::Object(members) => members,
            _ => serde_json::Map::new(),
        };
        for (name, value) in patch {
            if value.is_null() {
                target.remove(&name);
            } else {
                let old = target.remove(&name).unwrap_or(Value::Null);
                target.insert(name, model(old, value));
            }
        }
        Value::Object(target)
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-d]", inner, 0..5).prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_the_pseudo_code(target in document(), patch in document()) {
            let once = merged(&target, &patch);
            prop_assert_eq!(&once, &model(target, patch.clone()));
            prop_assert_eq!(merged(&once, &patch), once);
        }
    }
}
