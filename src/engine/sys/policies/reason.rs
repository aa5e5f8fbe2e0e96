//! Why a policy was refused, in words of ours. Cedar's own message repeats the text that was sent; it is shown by `sys/policies/test`,
//! whose answer goes to whoever sent it, and never in an error.

use crate::model::fault::{Complaint, Fault};
use crate::policy::source::PolicyError;

pub(super) fn complain(error: &PolicyError, item: Option<usize>) -> Fault {
    let mut complaint = Complaint::new(reason(&error.message));
    if let Some(item) = item {
        complaint = complaint.item(item);
    }
    if error.line > 0 {
        complaint = complaint.position(error.line, error.column);
    }
    Fault::Invalid(complaint)
}

/// What the message is about, by words that it holds. The first that fits.
const REASONS: &[(&str, &str)] = &[
    ("longer than 1 MiB", "the text of a policy is longer than 1 MiB, split it"),
    ("templates are not supported", "templates are not supported, write the statement without `?principal` and `?resource`"),
    ("an `@id` holds", "an `@id` holds letters, digits and `._@+=:-` only, at most 128"),
    ("is never in a group", "a resource is never in a group, name the account itself"),
    ("has the same `@id`", "two statements of the policy have the same `@id`"),
    ("the name is reserved", "the names `base` and `root` are reserved, choose another"),
    ("two policies have the name", "two policies have the same name"),
    ("for entity `Action::", "the action is not in the schema, see `policies/schema.cedarschema`"),
    ("unrecognized action", "the action is not in the schema, see `policies/schema.cedarschema`"),
    ("unrecognized entity type", "the entity type is not in the schema, see `policies/schema.cedarschema`"),
    ("unable to find an applicable action", "no action applies to this principal and this resource, see `policies/schema.cedarschema`"),
    ("policy is impossible", "the statement can never apply, see `policies/schema.cedarschema` for what fits together"),
    ("not found", "an attribute is used that the schema does not have, see `policies/schema.cedarschema`"),
    ("optional attribute", "an attribute that may be absent is used without `has` before it"),
    ("unable to guarantee safety", "an attribute that may be absent is used without `has` before it"),
    ("unexpected type", "two things of different types are put together"),
    ("unexpected", "the text is not Cedar here"),
];

fn reason(message: &str) -> &'static str {
    REASONS
        .iter()
        .find(|(words, _)| message.contains(words))
        .map_or("the policy is not Cedar that fits the schema; `goldfin policy test` shows the whole message", |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use crate::policy::compile::Compiled;
    use crate::policy::source::PolicySource;

    use super::*;

    fn refusal(text: &str) -> String {
        let source = PolicySource { name: "n".to_owned(), text: text.to_owned() };
        let error = Compiled::new(&[source]).expect_err("the policy must be refused");
        complain(&error, None).to_string()
    }

    #[test]
    fn a_refusal_says_what_and_where_and_repeats_nothing() {
        for (text, words) in [
            ("permit(canary", "not Cedar here (line 1, column "),
            (r#"permit(principal, action == Action::"canary", resource);"#, "the action is not in the schema"),
            (r#"permit(principal == Canary::"canary", action, resource);"#, "the entity type is not in the schema"),
            (r#"permit(principal, action == Action::"decode", resource) when { context.canary == "x" };"#, "an attribute is used that"),
            (r#"permit(principal, action == Action::"decode", resource) when { resource.class == "canary" };"#, "without `has` before it"),
            (r#"permit(principal, action == Action::"decode", resource == Secret::"canary");"#, "line 1"),
            (r#"permit(principal == ?principal, action, resource);"#, "templates are not supported"),
        ] {
            let said = refusal(text);
            assert!(said.contains(words), "{text} gave {said}");
            assert!(!said.to_lowercase().contains("canary"), "{said}");
        }
    }
}
