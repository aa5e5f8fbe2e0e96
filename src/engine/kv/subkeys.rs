//! The structure of a secret without its values. Pure.

use crate::model::document::Node;

/// The keys of an object, each with the keys below it, or null. `depth` is how many levels are shown; 0 shows all.
/// Lists, empty objects and every other value become null, as in Vault.
#[must_use]
pub fn subkeys(value: Node, depth: u64) -> Node {
    match value {
        Node::Object(members) => keys(members, depth, 1),
        _ => Node::Null,
    }
}

fn keys(members: Vec<(String, Node)>, depth: u64, level: u64) -> Node {
    let below = |node| match node {
        Node::Object(inner) if !inner.is_empty() && (depth == 0 || level < depth) => keys(inner, depth, level + 1),
        _ => Node::Null,
    };
    Node::Object(members.into_iter().map(|(name, node)| (name, below(node))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn of(value: &Value, depth: u64) -> Value {
        serde_json::from_slice(subkeys(Node::from(value.clone()), depth).to_plaintext().expose()).expect("json")
    }

    #[test]
    fn shows_keys_to_the_depth_asked_for() {
        let secret = json!({"a": "synthetic", "b": {"c": {"d": 1, "e": {}}, "f": [{"g": 2}]}, "h": null});
        assert_eq!(of(&secret, 0), json!({"a": null, "b": {"c": {"d": null, "e": null}, "f": null}, "h": null}));
        assert_eq!(of(&secret, 1), json!({"a": null, "b": null, "h": null}));
        assert_eq!(of(&secret, 2), json!({"a": null, "b": {"c": null, "f": null}, "h": null}));
        assert_eq!(of(&secret, 9), of(&secret, 0));
        assert_eq!(of(&json!({}), 0), json!({}));
    }

    fn only_keys(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Object(members) => members.values().all(only_keys),
            _ => false,
        }
    }

    fn document() -> impl Strategy<Value = Value> {
        any::<i32>().prop_map(Value::from).prop_recursive(5, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-d]", inner, 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn never_shows_a_value(value in document(), depth in 0_u64..5) {
            prop_assert!(only_keys(&of(&value, depth)));
        }
    }
}
