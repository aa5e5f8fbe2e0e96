//! Which attributes a statement looks at. A decision builds only those: parsing an address and a moment for Cedar costs more
//! than most decisions.

use cedar_policy::Policy;
use serde_json::Value;

/// A set of attributes, of the context and of entities alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reads(u16);

/// Every attribute of the schema.
const NAMES: &[&str] =
    &["method", "peer", "now", "purpose", "batch_size", "channel_bound", "grants", "held", "name", "path", "depth", "top", "class"];

impl Reads {
    pub(super) const ALL: Self = Self(u16::MAX);

    /// What `policy` may look at; everything where that cannot be told.
    pub(super) fn of(policy: &Policy) -> Self {
        let mut reads = Self::default();
        match policy.to_json() {
            Ok(tree) => reads.walk(&tree),
            Err(_) => reads = Self::ALL,
        }
        reads
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn has(self, name: &str) -> bool {
        NAMES.iter().position(|known| *known == name).is_none_or(|bit| self.0 & (1 << bit) != 0)
    }

    /// Takes every `.attr` and `has attr`, of whatever it is one. A context that is used otherwise, as in `context == {…}`,
    /// may be looked at as a whole.
    fn walk(&mut self, node: &Value) {
        match node {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(members) => {
                for (name, value) in members {
                    match (name.as_str(), value) {
                        ("." | "has", Value::Object(access)) => self.walk_access(access),
                        ("Var", Value::String(variable)) if variable == "context" => *self = Self::ALL,
                        _ => self.walk(value),
                    }
                }
            }
            _ => {}
        }
    }

    fn walk_access(&mut self, access: &serde_json::Map<String, Value>) {
        match access.get("attr").and_then(Value::as_str).and_then(|name| NAMES.iter().position(|known| *known == name)) {
            Some(bit) => self.0 |= 1 << bit,
            None => *self = Self::ALL,
        }
        if let Some(left) = access.get("left").filter(|left| left.get("Var").is_none()) {
            self.walk(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use cedar_policy::Schema;

    use super::super::compile::SCHEMA;
    use super::*;

    fn of(condition: &str) -> Vec<&'static str> {
        let policy = Policy::from_str(&format!("permit(principal, action, resource) when {{ {condition} }};")).expect("reads");
        let reads = Reads::of(&policy);
        if reads == Reads::ALL { vec!["all"] } else { NAMES.iter().copied().filter(|name| reads.has(name)).collect() }
    }

    #[test]
    fn finds_what_is_looked_at() {
        assert!(of("principal in Group::\"now\" && resource == Secret::\"peer\"").is_empty());
        assert_eq!(of("context has purpose && context[\"purpose\"] == \"now\""), ["purpose"]);
        assert_eq!(of("[context.batch_size].contains(1) && context.now.toTime() >= duration(\"8h\")"), ["now", "batch_size"]);
        assert_eq!(of("(if true then principal else principal).name == \"x\""), ["name"]);
        assert_eq!(of("context has peer && context.peer.isInRange(ip(\"10.0.0.0/8\"))"), ["peer"]);
        assert_eq!(of("resource.path like \"a*\" || {a: context.method} has a"), ["all"]);
        assert_eq!(of("context == {a: 1}"), ["all"]);
        assert_eq!(of("(if true then context else context).method == \"jwt\""), ["all"]);
        assert_eq!(of("context has \"n\\u{6f}w\""), ["now"]);
    }

    #[test]
    fn knows_every_attribute_of_the_schema() {
        let (_, warnings) = Schema::from_cedarschema_str(SCHEMA).expect("reads");
        assert_eq!(warnings.count(), 0);
        let attribute = |line: &&str| line.starts_with("  ") && !line.contains("//") && line.contains(": ") && !line.contains("appliesTo");
        let mut found: Vec<&str> =
            SCHEMA.lines().filter(attribute).filter_map(|line| line.split([':', '?']).next()).map(str::trim).collect();
        found.sort_unstable();
        found.dedup();
        let mut known = NAMES.to_vec();
        known.sort_unstable();
        assert_eq!(found, known);
    }
}
