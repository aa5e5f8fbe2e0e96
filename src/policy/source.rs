//! The text of policies: read into statements, each with an id and a position. What does not read is refused with its place.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint, ResourceConstraint};
use miette::Diagnostic;

use super::reads::Reads;
use crate::model::path::is_name;

/// A policy as it is stored: its name, which is also the group that it is about, and its Cedar text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySource {
    pub name: String,
    pub text: String,
}

/// Why a policy was refused. The text of a policy is not secret, but no more of it than a few words is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    pub policy: String,
    /// From 1; 0 where the whole policy is meant.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub message: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "policy `{}`: {}", self.policy, self.message)
        } else {
            write!(f, "policy `{}`, line {}, column {}: {}", self.policy, self.line, self.column, self.message)
        }
    }
}

impl std::error::Error for PolicyError {}

impl PolicyError {
    /// About the policy as a whole.
    pub(super) fn whole(policy: &str, message: impl Into<String>) -> Self {
        Self { policy: policy.to_owned(), line: 0, column: 0, message: message.into() }
    }

    /// About a byte of the text.
    pub(super) fn at(source: &PolicySource, offset: usize, message: &str) -> Self {
        let before = source.text.get(..offset).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Self { policy: source.name.clone(), line, column, message: shorten(message) }
    }

    /// What Cedar complains about, at the place that it names, or at `fallback`.
    pub(super) fn of_cedar(source: &PolicySource, complaint: &dyn Diagnostic, fallback: usize) -> Self {
        let offset = complaint.labels().and_then(|mut labels| labels.next()).map_or(fallback, |label| label.offset());
        let mut message = complaint.to_string();
        if let Some(help) = complaint.help() {
            message = format!("{message} ({help})");
        }
        Self::at(source, offset, &message)
    }
}

/// One statement of a policy.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) id: Arc<str>,
    pub(super) policy: Policy,
    pub(super) reads: Reads,
    /// Where it begins in the text of its policy, in bytes.
    pub(super) offset: usize,
}

/// The longest text of one policy, in bytes: twice what Vault takes.
pub const MAX_POLICY_BYTES: usize = 1 << 20;

/// Reads the statements in the order in which they stand.
pub(super) fn read(source: &PolicySource) -> Result<Vec<Statement>, PolicyError> {
    if source.text.len() > MAX_POLICY_BYTES {
        return Err(PolicyError::whole(&source.name, "the text is longer than 1 MiB, split the policy"));
    }
    let set = PolicySet::from_str(&source.text).map_err(|errors| match errors.iter().next() {
        Some(first) => PolicyError::of_cedar(source, first, 0),
        None => PolicyError::whole(&source.name, "the text is not Cedar"),
    })?;
    if let Some(template) = set.templates().next() {
        let offset = source.text.find(&template.to_cedar()).unwrap_or(0);
        return Err(PolicyError::at(
            source,
            offset,
            "templates are not supported, write the statement without `?principal` and `?resource`",
        ));
    }
    let mut parsed: Vec<(usize, Policy)> = set.policies().map(|policy| (number(policy.id()), policy.clone())).collect();
    parsed.sort_by_key(|(number, _)| *number);
    let mut statements = Vec::with_capacity(parsed.len());
    let mut from = 0;
    for (index, (_, policy)) in parsed.into_iter().enumerate() {
        let text = policy.to_cedar().unwrap_or_default();
        let offset = source.text.get(from..).and_then(|rest| rest.find(&text)).map_or(from, |at| from + at);
        from = offset + text.len();
        statements.push(statement(source, index, policy, offset)?);
    }
    Ok(statements)
}

fn statement(source: &PolicySource, index: usize, policy: Policy, offset: usize) -> Result<Statement, PolicyError> {
    let id: Arc<str> = match policy.annotation("id") {
        None => format!("{}#{}", source.name, index + 1).into(),
        Some(given) if is_name(given) => format!("{}#{given}", source.name).into(),
        Some(_) => return Err(PolicyError::at(source, offset, "an `@id` holds letters, digits and `._@+=:-` only, at most 128")),
    };
    if let ResourceConstraint::In(group) | ResourceConstraint::IsIn(_, group) = policy.resource_constraint()
        && group.type_name().basename() == "Group"
    {
        return Err(PolicyError::at(source, offset, "a resource is never in a group, name the account itself"));
    }
    Ok(Statement { reads: Reads::of(&policy), policy: policy.new_id(PolicyId::new(&id)), id, offset })
}

/// Cedar numbers the statements of a text `policy0`, `policy1` and so on.
fn number(id: &PolicyId) -> usize {
    let id: &str = id.as_ref();
    id.strip_prefix("policy").and_then(|digits| digits.parse().ok()).unwrap_or(usize::MAX)
}

/// Whether every statement of `text` concerns the group `name` and nobody else: what the right to write that one policy covers.
pub fn concerns_only_group(text: &str, name: &str) -> Result<bool, PolicyError> {
    let source = PolicySource { name: name.to_owned(), text: text.to_owned() };
    let statements = read(&source)?;
    Ok(statements.iter().all(|statement| is_about(&statement.policy, name)))
}

fn is_about(policy: &Policy, name: &str) -> bool {
    let is_group = |uid: &EntityUid| uid.type_name().to_string() == "Group" && uid.id().unescaped() == name;
    match policy.principal_constraint() {
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => is_group(&uid),
        _ => false,
    }
}

fn shorten(message: &str) -> String {
    const LONGEST: usize = 300;
    let clean: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match clean.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", clean.get(..end).unwrap_or_default()),
        None => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_to_one_policy_covers_its_own_group_only() {
        let own = r#"permit(principal in Group::"n", action == Action::"read_secret", resource);"#;
        let covers = |text: &str| concerns_only_group(text, "n").expect("reads");
        assert!(covers(own));
        assert!(covers(r#"permit(principal is Account in Group::"n", action, resource);"#));
        assert!(covers(""));
        for wider in [
            "permit(principal, action, resource);",
            r#"permit(principal == Account::"n", action, resource);"#,
            r#"permit(principal in Group::"N", action, resource);"#,
            r#"permit(principal in Account::"n", action, resource);"#,
            r#"permit(principal in Other::Group::"n", action, resource);"#,
            r#"permit(principal, action, resource) when { principal in Group::"n" };"#,
            r#"forbid(principal is Account, action, resource);"#,
        ] {
            assert!(!covers(wider), "{wider}");
            assert!(!covers(&format!("{own}\n{wider}")), "{wider}");
        }
        assert!(concerns_only_group("permit(", "n").is_err());
    }

    #[test]
    fn statements_have_ids_and_places() {
        let text = "permit(principal, action, resource);\n@id(\"two\")\npermit(principal, action, resource);\nforbid(principal, action, resource);";
        let source = PolicySource { name: "p".to_owned(), text: text.to_owned() };
        let statements = read(&source).expect("reads");
        let ids: Vec<&str> = statements.iter().map(|statement| &*statement.id).collect();
        assert_eq!(ids, ["p#1", "p#two", "p#3"]);
        assert!(statements.windows(2).all(|pair| pair[0].offset < pair[1].offset));
    }
}
