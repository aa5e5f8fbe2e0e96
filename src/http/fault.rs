//! A fault as HTTP: its status, and `{"errors":["…"]}`. The texts are the fault's own; nothing of the request gets in here.

use crate::model::call::Verb;
use crate::model::document::Node;
use crate::model::fault::Fault;

/// The status and the body. A fault without words (an empty LIST) has an empty list of errors, as clients of Vault expect it.
#[must_use]
pub fn describe(fault: &Fault) -> (u16, Node) {
    let said = fault.to_string();
    let errors = if said.is_empty() { Node::List(Vec::new()) } else { Node::texts([said]) };
    (fault.status(), Node::object([("errors", errors)]))
}

/// The seconds of `Retry-After` (RFC 9110 section 10.2.3), rounded up, at least 1.
#[must_use]
pub fn retry_after(fault: &Fault) -> Option<u64> {
    match fault {
        Fault::TooMany { retry_after } | Fault::LimitReached { retry_after, .. } => {
            Some(retry_after.as_secs().saturating_add(u64::from(retry_after.subsec_nanos() > 0)).max(1))
        }
        _ => None,
    }
}

/// `Allow` (RFC 9110 section 15.5.6): the methods of the path, or all that there are where the path was not looked at.
#[must_use]
pub fn allow(fault: &Fault) -> Option<String> {
    let methods = |verbs: &[Verb]| {
        let mut methods: Vec<&str> = Vec::new();
        for method in verbs.iter().flat_map(|verb| verb.methods()) {
            if !methods.contains(method) {
                methods.push(method);
            }
        }
        methods.join(", ")
    };
    match fault {
        Fault::VerbNotAllowed(verbs) => Some(methods(verbs)),
        Fault::WrongVerb => Some(methods(Verb::ALL)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::fault::Complaint;

    fn body(fault: &Fault) -> String {
        describe(fault).1.to_plaintext().expose_text().expect("utf-8").to_owned()
    }

    #[test]
    fn errors_are_a_list_of_texts() {
        assert_eq!(body(&Fault::Denied), r#"{"errors":["permission denied"]}"#);
        assert_eq!(describe(&Fault::Denied).0, 403);
        assert_eq!(body(&Fault::not_found("")), r#"{"errors":[]}"#);
        let quoted = Fault::Invalid(Complaint::new("is not known").at("role").stored("a\"b"));
        assert_eq!(body(&quoted), r#"{"errors":["`role` is not known (`a\"b`)"]}"#);
        assert_eq!(body(&Fault::Sealed), r#"{"errors":["goldfin is sealed, unseal it first"]}"#);
    }

    #[test]
    fn waiting_is_rounded_up() {
        let after = |millis| retry_after(&Fault::TooMany { retry_after: Duration::from_millis(millis) });
        assert_eq!(after(0), Some(1));
        assert_eq!(after(1_001), Some(2));
        assert_eq!(after(5_000), Some(5));
        assert_eq!(retry_after(&Fault::Denied), None);
    }
}
