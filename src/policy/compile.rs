//! A set of policies, validated as a whole and ready to decide. It is replaced as a whole or not at all.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{Authorizer, PolicySet, Schema, ValidationMode, ValidationWarning, Validator};
use goldfin_crypto::digest;
use miette::Diagnostic;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Options, OptionsBuilder, Weighter};

use super::entities::Vocabulary;
use super::reads::Reads;
use super::remembered::Remembered;
use super::slice::{Anchor, Index};
use super::source::{self, PolicyError, PolicySource, Statement};
use crate::model::action::Action;
use crate::model::path::is_name;

/// The part of every set that no stored policy replaces.
pub const BASE: &str = include_str!("../../policies/base.cedar");
pub const SCHEMA: &str = include_str!("../../policies/schema.cedarschema");
pub const BASE_NAME: &str = "base";

/// Names that no stored policy may have, in whatever case: one is part of goldfin, the other is the group that the base permits
/// everything.
const RESERVED: &[&str] = &[BASE_NAME, "root"];

#[derive(Debug)]
pub struct Compiled {
    pub(super) statements: Vec<Statement>,
    pub(super) vocabulary: Vocabulary,
    pub(super) authorizer: Authorizer,
    index: Index,
    slices: Cache<Box<[u32]>, Arc<Slice>, BySize>,
    pub(super) remembered: Remembered,
    set_hash: [u8; 32],
}

/// The statements that can apply to a question, and the attributes that they look at.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) policies: PolicySet,
    pub(super) reads: Reads,
    pub(super) count: usize,
}

/// Bounds the cached slices by the statements that they hold together, whatever their number.
#[derive(Debug, Clone)]
struct BySize;

impl Weighter<Box<[u32]>, Arc<Slice>> for BySize {
    fn weight(&self, key: &Box<[u32]>, _: &Arc<Slice>) -> u64 {
        key.len() as u64 + 1
    }
}

/// About 20 MB at most; a slice is a dozen statements, and questions that find the same statements share one.
const CACHED_STATEMENTS: u64 = 32_768;
const CACHED_SLICES: usize = 2_048;

impl Compiled {
    /// Reads, validates and indexes the base policies and `sources`. Every statement must satisfy the schema strictly, since one
    /// that errs at a decision denies it; one that can never apply is refused too, for it is a slip of the pen.
    pub fn new(sources: &[PolicySource]) -> Result<Self, PolicyError> {
        let base = PolicySource { name: BASE_NAME.to_owned(), text: BASE.to_owned() };
        check_names(sources)?;
        let mut statements = Vec::new();
        let mut origins = HashMap::new();
        for source in std::iter::once(&base).chain(sources) {
            for statement in source::read(source)? {
                if origins.insert(statement.id.clone(), (source, statement.offset)).is_some() {
                    return Err(PolicyError::at(source, statement.offset, "another statement of the policy has the same `@id`"));
                }
                statements.push(statement);
            }
        }
        validate(&statements, &origins)?;
        let vocabulary = Vocabulary::new(&statements).map_err(|_| PolicyError::whole("schema", "a type of the schema is unknown"))?;
        let mut index = Index::default();
        for (number, statement) in statements.iter().enumerate() {
            let number = u32::try_from(number).map_err(|_| PolicyError::whole(BASE_NAME, "there are too many statements"))?;
            index
                .file(number, &statement.policy, &vocabulary)
                .map_err(|_| PolicyError::whole(&statement.id, "the scope names something that the schema does not have"))?;
        }
        let slices = Cache::with_options(cache_options()?, BySize, DefaultHashBuilder::default(), DefaultLifecycle::default());
        let remembered = Remembered::new().ok_or_else(|| PolicyError::whole("", "the memory of decisions cannot be built"))?;
        Ok(Self { set_hash: hash(sources), remembered, statements, vocabulary, index, slices, authorizer: Authorizer::new() })
    }

    /// Names the set: the same names and texts give the same hash, in whatever order they came.
    #[must_use]
    pub const fn set_hash(&self) -> [u8; 32] {
        self.set_hash
    }

    /// How many statements there are, those of the base included.
    #[must_use]
    pub const fn statement_count(&self) -> usize {
        self.statements.len()
    }

    pub(super) fn slice(&self, principal: &[Anchor], action: Action, resource: &[Anchor]) -> Option<Arc<Slice>> {
        let numbers = self.index.find(principal, action, resource);
        if let Some(slice) = self.slices.get(numbers.as_slice()) {
            return Some(slice);
        }
        let statements: Vec<&Statement> = numbers.iter().map(|number| self.statement(*number)).collect::<Option<_>>()?;
        let slice = Arc::new(Slice {
            policies: PolicySet::from_policies(statements.iter().map(|statement| statement.policy.clone())).ok()?,
            reads: statements.iter().fold(Reads::default(), |reads, statement| reads.and(statement.reads)),
            count: statements.len(),
        });
        self.slices.insert(numbers.into_boxed_slice(), Arc::clone(&slice));
        Some(slice)
    }

    fn statement(&self, number: u32) -> Option<&Statement> {
        self.statements.get(usize::try_from(number).ok()?)
    }
}

fn check_names(sources: &[PolicySource]) -> Result<(), PolicyError> {
    let mut seen = BTreeSet::new();
    for source in sources {
        if !is_name(&source.name) {
            return Err(PolicyError::whole("", "a policy's name holds letters, digits and `._@+=:-` only, at most 128"));
        }
        if RESERVED.iter().any(|reserved| source.name.eq_ignore_ascii_case(reserved)) {
            return Err(PolicyError::whole(&source.name, "the name is reserved, choose another"));
        }
        if !seen.insert(&source.name) {
            return Err(PolicyError::whole(&source.name, "two policies have the name"));
        }
    }
    Ok(())
}

fn validate(statements: &[Statement], origins: &HashMap<Arc<str>, (&PolicySource, usize)>) -> Result<(), PolicyError> {
    let (schema, _) =
        Schema::from_cedarschema_str(SCHEMA).map_err(|_| PolicyError::whole("schema", "the embedded schema does not read"))?;
    let all = PolicySet::from_policies(statements.iter().map(|statement| statement.policy.clone()))
        .map_err(|error| PolicyError::of_cedar(&PolicySource { name: String::new(), text: String::new() }, &error, 0))?;
    let result = Validator::new(schema).validate(&all, ValidationMode::Strict);
    let mut found = Vec::new();
    for error in result.validation_errors() {
        found.extend(placed(origins, error.policy_id().as_ref(), error));
    }
    // What is wrong says more than that the statement can therefore never apply.
    let sound = found.is_empty();
    for warning in result.validation_warnings().filter(|_| sound) {
        let id: &str = warning.policy_id().as_ref();
        let of_base = id.strip_prefix(BASE_NAME).is_some_and(|rest| rest.starts_with('#'));
        let fatal = matches!(
            warning,
            ValidationWarning::ImpossiblePolicy(_)
                | ValidationWarning::InvalidActionApplication(_)
                | ValidationWarning::BidiCharsInString(_)
                | ValidationWarning::BidiCharsInIdentifier(_)
        );
        // The base forbids what the schema rules out already, and must go on doing so when the schema grows.
        if fatal && !of_base {
            found.extend(placed(origins, id, warning));
        }
    }
    // The first of them by place, so that the same set always gives the same error.
    found.sort_by(|a, b| (&a.policy, a.line, a.column, &a.message).cmp(&(&b.policy, b.line, b.column, &b.message)));
    match found.into_iter().next() {
        Some(first) => Err(first),
        None if result.validation_passed() => Ok(()),
        None => Err(PolicyError::whole("", "the set does not satisfy the schema")),
    }
}

fn placed(origins: &HashMap<Arc<str>, (&PolicySource, usize)>, id: &str, complaint: &dyn Diagnostic) -> Option<PolicyError> {
    origins.get(id).map(|(source, offset)| PolicyError::of_cedar(source, complaint, *offset))
}

fn hash(sources: &[PolicySource]) -> [u8; 32] {
    let mut ordered: Vec<(&str, &str)> = sources.iter().map(|source| (source.name.as_str(), source.text.as_str())).collect();
    ordered.sort_unstable();
    let mut parts = Vec::new();
    for (name, text) in [("", SCHEMA), (BASE_NAME, BASE)].into_iter().chain(ordered) {
        for part in [name, text] {
            parts.extend_from_slice(&(part.len() as u64).to_be_bytes());
            parts.extend_from_slice(part.as_bytes());
        }
    }
    digest::sha256(&[&parts])
}

fn cache_options() -> Result<Options, PolicyError> {
    OptionsBuilder::new()
        .shards(4)
        .estimated_items_capacity(CACHED_SLICES)
        .weight_capacity(CACHED_STATEMENTS)
        .build()
        .map_err(|_| PolicyError::whole("", "the cache of slices cannot be built"))
}

#[cfg(test)]
mod tests {
    use cedar_policy::EntityTypeName;

    use super::super::entities::Kind;
    use super::*;

    fn one(name: &str, text: &str) -> Vec<PolicySource> {
        vec![PolicySource { name: name.to_owned(), text: text.to_owned() }]
    }

    fn refusal(name: &str, text: &str) -> PolicyError {
        Compiled::new(&one(name, text)).expect_err("the policy must be refused")
    }

    #[test]
    fn the_schema_holds_the_actions_and_the_types() {
        let (schema, warnings) = Schema::from_cedarschema_str(SCHEMA).expect("the schema reads");
        assert_eq!(warnings.count(), 0);
        let mut actions: Vec<String> = schema.actions().map(|uid| uid.id().unescaped().to_owned()).collect();
        let mut expected: Vec<String> = Action::ALL.iter().map(|action| action.name().to_owned()).collect();
        actions.sort();
        expected.sort();
        assert_eq!(actions, expected);
        let mut types: Vec<String> = schema.entity_types().map(EntityTypeName::to_string).collect();
        let mut expected: Vec<String> = Kind::all().map(|kind| kind.name().to_owned()).collect();
        types.sort();
        expected.sort();
        assert_eq!(types, expected);
    }

    #[test]
    fn errors_name_the_policy_and_the_place() {
        let error = refusal("app", "permit(principal, action, resource);\n  permit(principal, action == , resource);");
        assert_eq!((error.policy.as_str(), error.line), ("app", 2));
        assert!(error.to_string().starts_with("policy `app`, line 2, column "), "{error}");
        let error = refusal("app", "\n\npermit(principal, action == Action::\"read_sekret\", resource);");
        assert_eq!(error.line, 3, "{error}");
        let error = refusal("app", "permit(principal, action == Action::\"read_secret\", resource) when { context.porpoise == \"x\" };");
        assert_eq!((error.line, error.column > 1), (1, true), "{error}");
        let error = refusal("app", "permit(principal, action == Action::\"decode\", resource) when { resource.class == \"ssn\" };");
        assert!(error.message.contains("class"), "{error}");
    }

    #[test]
    fn what_could_never_apply_or_would_replace_the_base_is_refused() {
        refusal("app", "permit(principal, action == Action::\"decode\", resource == Secret::\"secret/app\");");
        refusal("app", "permit(principal == ?principal, action, resource);");
        refusal("app", "permit(principal, action, resource in Group::\"x\");");
        refusal("app", "permit(principal == User::\"x\", action, resource);");
        refusal("app", "@id(\"a b\") permit(principal, action, resource);");
        refusal("app", "@id(\"a\") permit(principal, action, resource); @id(\"a\") permit(principal, action, resource);");
        refusal("app", "path \"secret/*\" { capabilities = [\"read\"] }");
        refusal("base", "");
        refusal("ROOT", "");
        refusal("a/b", "");
        let twice = [one("app", ""), one("app", "")].concat();
        assert!(Compiled::new(&twice).is_err());
    }

    #[test]
    fn one_bad_policy_refuses_the_set() {
        let set = [one("good", "permit(principal in Group::\"good\", action, resource);"), one("bad", "permit(")].concat();
        assert_eq!(Compiled::new(&set).expect_err("refused").policy, "bad");
    }

    #[test]
    fn the_hash_names_the_set_and_not_its_order() {
        let a = one("a", "permit(principal in Group::\"a\", action, resource);");
        let b = one("b", "permit(principal in Group::\"b\", action, resource);");
        let hash = |sources: &[PolicySource]| Compiled::new(sources).expect("compiles").set_hash();
        assert_eq!(hash(&[a.clone(), b.clone()].concat()), hash(&[b.clone(), a.clone()].concat()));
        assert_ne!(hash(&a), hash(&b));
        assert_ne!(hash(&a), hash(&one("a", "permit(principal in Group::\"a\", action, resource); ")));
    }

    #[test]
    fn a_long_message_is_cut() {
        let error = refusal("app", &format!("permit(principal, action, resource) when {{ {} }};", "x".repeat(5_000)));
        assert!(error.message.chars().count() <= 301);
    }
}
