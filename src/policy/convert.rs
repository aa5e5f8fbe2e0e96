//! Turns Vault's policies into Cedar: for each what it means and nothing more. What Cedar or goldfin cannot say is reported and
//! left out, together with every broader rule that would then reach further than it did.
//!
//! In Vault the most specific path decides alone; in Cedar every permit counts. So a rule leaves out, by `unless`, what a more
//! specific path of the same policy speaks about. Between policies Cedar knows no such order: a `deny` of one becomes a `forbid`
//! for whoever holds it, whatever other policies say.

use std::cmp::Reverse;
use std::fmt::Write;

use super::families::{self, Family, Place};
use super::hcl::{self, HclError, PathRule};
use crate::model::action::Action;
use crate::model::mount::Kind;
use crate::model::operation::ResourceKind;

/// What became of a policy of Vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// Cedar, every statement about the group of the given name.
    pub cedar: String,
    pub unexpressed: Vec<Unexpressed>,
}

/// A path that could not be converted, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexpressed {
    pub path: String,
    /// From 1.
    pub line: usize,
    pub reason: &'static str,
}

/// The mounts of a fresh server, for those who convert without one.
pub const USUAL_MOUNTS: &[(&str, Kind)] = &[
    ("secret", Kind::Kv),
    ("transform", Kind::Transform),
    ("auth/token", Kind::AuthToken),
    ("auth/jwt", Kind::Jwt),
    ("auth/kerberos", Kind::Kerberos),
    ("sys", Kind::System),
];

const REACHES_FURTHER: &str = "a more specific path of the policy cannot be converted, and this one would reach into it";

const NOTHING_THERE: &str = "nothing that goldfin has answers at this path";

/// Where the settings of transformations and of their keys stand below a mount, whichever path of Vault's leads to them.
const TRANSFORMATIONS: &str = "transformations";
const KEYS: &str = "tokenization/keys";
const TYPES: [&str; 3] = ["tokenization", "fpe", "masking"];

/// Nothing, a type, or a type and a name.
fn is_typed(path: &str) -> bool {
    let (kind, name) = path.split_once('/').unwrap_or((path, ""));
    path.is_empty() || (TYPES.contains(&kind) && !name.contains('/'))
}

impl Family {
    /// What the ids of its settings begin with.
    fn settings(&self) -> &'static str {
        match self.place {
            Place::OfAnyType => TRANSFORMATIONS,
            Place::Keys => KEYS,
            _ => self.at,
        }
    }
}

/// Converts the policy of Vault in `text` for the group `name`. `mounts` says what answers where.
pub fn convert(name: &str, text: &str, mounts: &[(&str, Kind)]) -> Result<Converted, HclError> {
    let rules = hcl::read(text)?;
    let parts: Vec<Part<'_>> = rules.iter().map(|rule| Part { rule, reach: reach(rule, mounts) }).collect();
    let mut converted = Converted { cedar: String::new(), unexpressed: Vec::new() };
    for part in &parts {
        let mut statements: Vec<Statement> = Vec::new();
        for outcome in part.statements(&parts) {
            match outcome {
                Ok(statement) => merge(&mut statements, statement),
                Err(reason) => converted.report(part.rule, reason),
            }
        }
        for statement in statements {
            statement.print(name, part.rule, &mut converted.cedar);
        }
    }
    Ok(converted)
}

impl Converted {
    fn report(&mut self, rule: &PathRule, reason: &'static str) {
        let found = Unexpressed { path: rule.path.clone(), line: rule.line, reason };
        if !self.unexpressed.contains(&found) {
            self.unexpressed.push(found);
        }
    }
}

/// A rule with the families that it reaches into.
struct Part<'a> {
    rule: &'a PathRule,
    reach: Result<Reach, &'static str>,
}

enum Reach {
    /// `path "*"`
    Everything,
    Into(Vec<Piece>),
}

/// What a rule says about one family of one mount.
#[derive(Clone)]
struct Piece {
    mount: String,
    family: &'static Family,
    tail: Tail,
}

/// What stands behind the family's path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tail {
    /// The path itself. With a slash at its end it can only be listed.
    Exact { path: String, slash: bool },
    /// Everything below a folder; below the family itself where the folder is empty.
    Folder(String),
    /// Everything that begins so, in the middle of a segment.
    Begins(String),
    /// One segment each where there is `None`.
    Segments(Vec<Option<String>>),
    /// `+` and `*` in one path.
    Both,
}

fn reach(rule: &PathRule, mounts: &[(&str, Kind)]) -> Result<Reach, &'static str> {
    let path = rule.path.trim_start_matches('/');
    if path == "*" {
        return Ok(Reach::Everything);
    }
    if path.contains("{{") {
        return Err("templates are not known; in Cedar, `resource.top == principal.name` gives everybody a folder of their own");
    }
    let (literal, glob) = path.strip_suffix('*').map_or((path, false), |literal| (literal, true));
    let mut pieces = Vec::new();
    for (mount, kind) in mounts {
        if let Some(rest) = literal.strip_prefix(mount).and_then(|rest| rest.strip_prefix('/')) {
            let families = families::of(*kind);
            // Of families that lie in each other the one that is meant: `transformations/tokenization/keys/a` is no transformation.
            let names = |family: &&Family| rest.strip_prefix(family.at).is_some_and(|behind| behind.is_empty() || behind.starts_with('/'));
            let nearest = families.iter().filter(names).map(|family| family.at.len()).max().unwrap_or(0);
            let found = families.iter().filter(|family| family.at.len() >= nearest);
            let found = found.filter_map(|family| Some((family, tail(family.at, rest, glob)?)));
            pieces.extend(found.map(|(family, tail)| Piece { mount: (*mount).to_owned(), family, tail }));
        } else if glob && format!("{mount}/").starts_with(literal) {
            let whole = |family| Piece { mount: (*mount).to_owned(), family, tail: Tail::Folder(String::new()) };
            pieces.extend(families::of(*kind).iter().map(whole));
        }
    }
    if pieces.is_empty() { Err(NOTHING_THERE) } else { Ok(Reach::Into(pieces)) }
}

fn tail(at: &str, rest: &str, glob: bool) -> Option<Tail> {
    if glob && format!("{at}/").starts_with(rest) {
        return Some(Tail::Folder(String::new()));
    }
    let behind = rest.strip_prefix(at)?;
    let path = if behind.is_empty() { "" } else { behind.strip_prefix('/')? };
    let segments: Vec<Option<String>> = path.split('/').map(|segment| (segment != "+").then(|| segment.to_owned())).collect();
    let plus = segments.iter().any(Option::is_none);
    Some(match (plus, glob) {
        (true, true) => Tail::Both,
        (true, false) => Tail::Segments(segments),
        (false, true) => path.strip_suffix('/').map_or_else(|| Tail::Begins(path.to_owned()), |folder| Tail::Folder(folder.to_owned())),
        (false, false) => Tail::Exact { path: path.trim_end_matches('/').to_owned(), slash: behind.ends_with('/') },
    })
}

impl Part<'_> {
    fn statements(&self, all: &[Part<'_>]) -> Vec<Result<Statement, &'static str>> {
        match &self.reach {
            Err(reason) => vec![Err(reason)],
            Ok(Reach::Everything) => vec![self.everything(all)],
            Ok(Reach::Into(pieces)) => {
                let explicit = pieces.len() == 1;
                pieces.iter().flat_map(|piece| self.of_piece(piece, all, explicit)).collect()
            }
        }
    }

    fn denies(&self) -> bool {
        self.rule.capabilities.contains("deny")
    }

    /// Whether a path that could not be converted may mean what the other one means: it begins with the same text.
    fn may_concern(&self, other: &Self) -> bool {
        let fixed = |part: &Self| part.rule.path.split(['*', '+', '{']).next().unwrap_or_default().to_owned();
        let (mine, theirs) = (fixed(self), fixed(other));
        mine.starts_with(&theirs) || theirs.starts_with(&mine)
    }

    /// `path "*"` with every capability is a permit without limits, if what else there is are denials.
    fn everything(&self, all: &[Part<'_>]) -> Result<Statement, &'static str> {
        if self.denies() {
            return Err("everything is denied unless a statement permits it, nothing to convert");
        }
        let whole = ["create", "read", "update", "delete", "list"].iter().all(|word| self.rule.capabilities.contains(*word));
        let alone = all
            .iter()
            .all(|other| std::ptr::eq(other.rule, self.rule) || (other.denies() && other.statements(all).iter().all(Result::is_ok)));
        if !whole || !alone || !self.rule.others.is_empty() {
            return Err("`*` can be converted with all five capabilities and beside denials only, name the mounts instead");
        }
        Ok(Statement { permit: true, actions: Vec::new(), scope: "resource".to_owned(), when: None, unless: Vec::new() })
    }

    fn of_piece(&self, piece: &Piece, all: &[Part<'_>], explicit: bool) -> Vec<Result<Statement, &'static str>> {
        if piece.family.place == Place::Base {
            let reason = "every account may do this, whatever its policies say";
            return if explicit { vec![Err(reason)] } else { Vec::new() };
        }
        let (actions, mut outcomes) = self.actions(piece);
        if let Some(reason) = piece.brings_more().filter(|_| explicit && !self.denies()) {
            outcomes.push(Err(reason));
        }
        if actions.is_empty() {
            return outcomes;
        }
        outcomes.push(self.one_statement(piece, actions, all));
        outcomes
    }

    fn one_statement(&self, piece: &Piece, actions: Vec<Action>, all: &[Part<'_>]) -> Result<Statement, &'static str> {
        if !self.denies() && !self.rule.others.is_empty() {
            return Err("only `capabilities` are known; what other members restrict would be lost");
        }
        let condition = piece.condition()?;
        let mut unless = Vec::new();
        for other in all.iter().filter(|other| outranks(&other.rule.path, &self.rule.path)) {
            let pieces = match &other.reach {
                Ok(Reach::Into(pieces)) => pieces,
                Err(_) if other.may_concern(self) => return Err(REACHES_FURTHER),
                _ => continue,
            };
            for narrower in pieces.iter().filter(|narrower| narrower.is_beside(piece) && !narrower.is_disjoint(piece)) {
                let except = narrower.condition().map_err(|_| REACHES_FURTHER)?;
                unless.push(except.alone());
            }
        }
        if unless.contains(&condition.alone()) {
            return Err("more specific paths of the policy decide here");
        }
        unless.sort();
        unless.dedup();
        Ok(Statement { permit: !self.denies(), actions, scope: condition.scope, when: condition.when, unless })
    }

    /// The actions that the capabilities stand for, and what they stand for only in part.
    fn actions(&self, piece: &Piece) -> (Vec<Action>, Vec<Result<Statement, &'static str>>) {
        let held = |word: &&str| self.rule.capabilities.contains(*word);
        let listed = matches!(&piece.tail, Tail::Exact { slash: true, .. });
        let mut actions = Vec::new();
        let mut outcomes = Vec::new();
        for (needed, given) in piece.rights() {
            if self.denies() || (needed.iter().all(held) && (!listed || needed == ["list"])) {
                actions.extend_from_slice(&given);
            } else if needed.iter().any(held) && !listed {
                outcomes.push(Err("goldfin does not tell `create` from `update`: grant both or neither"));
            }
        }
        let known = ["create", "read", "update", "patch", "delete", "list", "sudo", "deny"];
        if self.rule.capabilities.iter().any(|word| !known.contains(&word.as_str())) {
            outcomes.push(Err("one of the capabilities is not known"));
        }
        (actions, outcomes)
    }
}

/// A capability's words and its actions.
type Right = (Vec<&'static str>, Vec<Action>);

impl Piece {
    fn rights(&self) -> Vec<Right> {
        let all = matches!(&self.tail, Tail::Folder(folder) if folder.is_empty());
        let top = matches!(&self.tail, Tail::Exact { path, .. } if path.is_empty());
        match self.family.place {
            // The table itself: Vault reads it, and LIST of it means the same.
            Place::Named(ResourceKind::Policy, _) if top => {
                vec![(vec!["read"], vec![Action::ListPolicies]), (vec!["list"], vec![Action::ListPolicies])]
            }
            Place::Named(ResourceKind::Mount, _) if top => vec![(vec!["read"], vec![Action::ListMounts])],
            Place::Keys if !all => {
                let word = match &self.tail {
                    _ if top => "list",
                    Tail::Exact { path, .. } if !path.contains('/') => "read",
                    _ => "update",
                };
                let rights = self.family.rights.iter().filter(|(words, _)| *words == [word]);
                rights.map(|(words, actions)| (words.to_vec(), actions.to_vec())).collect()
            }
            _ => {
                let mut rights: Vec<Right> = self.family.rights.iter().map(|(words, actions)| (words.to_vec(), actions.to_vec())).collect();
                if all && self.family.place == Place::Named(ResourceKind::Policy, "") {
                    rights.push((vec!["update"], vec![Action::WritePolicies]));
                }
                rights
            }
        }
    }

    /// What goldfin does not tell apart, though Vault has a path for each.
    fn brings_more(&self) -> Option<&'static str> {
        match (self.family.place, self.family.at) {
            (Place::Role, "validate" | "metadata" | "tokenized" | "tokens") => {
                Some("`validate`, `metadata`, `tokenized` and `tokens` are one right in goldfin: the statement brings all four")
            }
            (Place::Secret, "delete") => Some("deleting any version and the newest is one right in goldfin: the statement brings both"),
            (Place::Keys, _) if matches!(&self.tail, Tail::Exact { path, .. } if path.contains('/')) => {
                Some("`rotate`, `config` and `trim` of a key are one right in goldfin: the statement brings all three")
            }
            (Place::Secret, "destroy") => Some("destroying versions and everything is one right in goldfin: the statement brings both"),
            _ => None,
        }
    }

    fn is_beside(&self, other: &Self) -> bool {
        self.mount == other.mount && self.family.at == other.family.at
    }

    /// Whether no path can be meant by both, as far as that is easily seen.
    fn is_disjoint(&self, other: &Self) -> bool {
        let ((mine, mine_open), (theirs, theirs_open)) = (self.tail.beginning(), other.tail.beginning());
        let covers = |open: bool, short: &str, long: &str| if open { long.starts_with(short) } else { long == short };
        !covers(mine_open, &mine, &theirs) && !covers(theirs_open, &theirs, &mine)
    }

    fn condition(&self) -> Result<Condition, &'static str> {
        let below = |id: &str| if id.is_empty() { self.mount.clone() } else { format!("{}/{id}", self.mount) };
        let mount = format!("resource in Mount::{}", quoted(&self.mount));
        match (self.family.place, &self.tail) {
            (_, Tail::Both) => Err("`+` and `*` in one path cannot be said in Cedar, name the folders"),
            (Place::Secret, Tail::Exact { path, .. }) => Ok(Condition::of(format!("resource == Secret::{}", quoted(&below(path))))),
            (Place::Secret | Place::Role, Tail::Folder(folder)) if folder.is_empty() => Ok(Condition::of(mount)),
            (Place::Secret, Tail::Folder(folder)) => Ok(Condition::of(format!("resource in Folder::{}", quoted(&below(folder))))),
            (Place::Secret, Tail::Begins(text)) => {
                Ok(Condition { scope: mount, when: Some(format!("resource.path like {}", beginning_with(&below(text)))) })
            }
            (Place::Secret, Tail::Segments(segments)) => Ok(Condition { scope: mount, when: Some(by_segments(&self.mount, segments)) }),
            (Place::Setting, Tail::Exact { path, .. } | Tail::Folder(path)) if self.family.at == TRANSFORMATIONS && !is_typed(path) => {
                Err(NOTHING_THERE)
            }
            (Place::OfAnyType, Tail::Exact { path, .. }) if !path.is_empty() => {
                let named = |kind: &str| format!("resource == Setting::{}", quoted(&below(&format!("{TRANSFORMATIONS}/{kind}/{path}"))));
                let each: Vec<String> = TYPES.iter().filter(|_| !path.contains('/')).map(|kind| named(kind)).collect();
                if each.is_empty() { Err(NOTHING_THERE) } else { Ok(Condition { scope: mount, when: Some(each.join(" || ")) }) }
            }
            (Place::Keys, Tail::Exact { path: key, .. } | Tail::Folder(key)) if !key.is_empty() => {
                let (key, act) = key.split_once('/').unwrap_or((key, "rotate"));
                if !["rotate", "config", "trim"].contains(&act) {
                    return Err(NOTHING_THERE);
                }
                Ok(Condition::of(format!("resource == Setting::{}", quoted(&below(&format!("{KEYS}/{key}"))))))
            }
            (Place::Setting | Place::OfAnyType | Place::Keys, Tail::Exact { path, .. }) => {
                let at = self.family.settings();
                let id = if path.is_empty() { at.to_owned() } else { format!("{at}/{path}") };
                Ok(Condition::of(format!("resource == Setting::{}", quoted(&below(&id)))))
            }
            (Place::Setting | Place::OfAnyType | Place::Keys, Tail::Folder(folder)) if folder.is_empty() => {
                let id = quoted(&below(self.family.settings()));
                Ok(Condition { scope: mount, when: Some(format!("resource == Setting::{id} || resource in Folder::{id}")) })
            }
            (Place::Setting, Tail::Folder(folder)) => {
                Ok(Condition::of(format!("resource in Folder::{}", quoted(&below(&format!("{}/{folder}", self.family.at))))))
            }
            (Place::Setting | Place::OfAnyType | Place::Keys, _) => Err("settings can be named one by one or by folder only"),
            (Place::Role, Tail::Exact { path, .. }) if self.family.at.starts_with("transformations/") && !path.is_empty() => {
                Ok(Condition::of(format!("resource == Transformation::{}", quoted(&below(path)))))
            }
            (Place::Role, _) => Err("a role is not a resource of goldfin's policies, name transformations or classes in Cedar"),
            (Place::Named(kind, _), Tail::Exact { path, .. }) if path.is_empty() => {
                Ok(Condition::of(format!("resource == {}::\"*\"", kind.name())))
            }
            (Place::Named(kind, prefix), Tail::Exact { path, .. }) => {
                Ok(Condition::of(format!("resource == {}::{}", kind.name(), quoted(&format!("{prefix}{path}")))))
            }
            (Place::Named(ResourceKind::Policy, _), Tail::Folder(folder)) if folder.is_empty() => {
                Ok(Condition::of("resource is Policy".to_owned()))
            }
            (Place::Named(..), _) => Err("these can be named one by one only"),
            (Place::One(kind, id), Tail::Exact { path: rest, .. } | Tail::Folder(rest)) if rest.is_empty() => {
                Ok(Condition::of(format!("resource == {}::{}", kind.name(), quoted(id))))
            }
            (Place::One(..) | Place::Base, _) => Err(NOTHING_THERE),
        }
    }
}

impl Tail {
    /// The text that every path of it begins with, and whether it may go on.
    fn beginning(&self) -> (String, bool) {
        match self {
            Self::Exact { path, .. } => (path.clone(), false),
            Self::Folder(folder) if folder.is_empty() => (String::new(), true),
            Self::Folder(folder) | Self::Begins(folder) => (folder.clone(), true),
            Self::Segments(segments) => {
                let fixed: Vec<&str> = segments.iter().map_while(|segment| segment.as_deref()).collect();
                (fixed.join("/"), true)
            }
            Self::Both => (String::new(), true),
        }
    }
}

fn beginning_with(text: &str) -> String {
    format!("\"{}*\"", literal(text))
}

/// Exactly the paths with these segments: as many as there are, and the fixed ones where they stand.
fn by_segments(mount: &str, segments: &[Option<String>]) -> String {
    let depth = mount.split('/').count() + segments.len();
    let parts = segments.iter().map(|segment| segment.as_deref().map_or_else(|| "*".to_owned(), literal));
    let text = std::iter::once(literal(mount)).chain(parts).collect::<Vec<_>>().join("/");
    format!("resource.path like \"{text}\" && resource.depth == {depth}")
}

/// What a statement asks of its resource.
struct Condition {
    scope: String,
    when: Option<String>,
}

impl Condition {
    fn of(scope: String) -> Self {
        Self { scope, when: None }
    }

    /// As one expression.
    fn alone(&self) -> String {
        match &self.when {
            None => self.scope.clone(),
            Some(when) => format!("({} && ({when}))", self.scope),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    permit: bool,
    /// Empty for any.
    actions: Vec<Action>,
    scope: String,
    when: Option<String>,
    unless: Vec<String>,
}

impl Statement {
    fn print(&self, name: &str, rule: &PathRule, into: &mut String) {
        let effect = if self.permit { "permit" } else { "forbid" };
        let actions: Vec<String> = self.actions.iter().map(|action| format!("Action::\"{action}\"")).collect();
        let action = if actions.is_empty() { "action".to_owned() } else { format!("action in [{}]", actions.join(", ")) };
        // A line break in the path would end the comment.
        let path: String = rule.path.chars().filter(|c| !c.is_control()).collect();
        let mut text = format!("// path \"{path}\"\n{effect} (\n  principal in Group::{},\n  {action},\n  {}\n)", quoted(name), self.scope);
        if let Some(when) = &self.when {
            let _ = write!(text, "\nwhen {{ {when} }}");
        }
        if !self.unless.is_empty() {
            let _ = write!(text, "\nunless {{ {} }}", self.unless.join(" || "));
        }
        into.push_str(&text);
        into.push_str(";\n\n");
    }
}

/// Statements that differ in their actions only are one.
fn merge(statements: &mut Vec<Statement>, new: Statement) {
    let same =
        |known: &&mut Statement| Statement { actions: Vec::new(), ..(**known).clone() } == Statement { actions: Vec::new(), ..new.clone() };
    match statements.iter_mut().find(same) {
        Some(known) => {
            known.actions.extend(new.actions);
            known.actions.sort_unstable();
            known.actions.dedup();
        }
        None => statements.push(new),
    }
}

/// Which of two paths decides where both match, as Vault documents it for its policies.
fn outranks(path: &str, other: &str) -> bool {
    let rank = |path: &str| {
        let wild = path.split('/').scan(0, |at, segment| {
            let here = *at;
            *at += segment.len() + 1;
            Some((here, segment))
        });
        let first_plus = wild.filter(|(_, segment)| *segment == "+").map(|(at, _)| at).next();
        let glob = path.strip_suffix('*').map(str::len);
        let first = first_plus.into_iter().chain(glob).min().unwrap_or(usize::MAX);
        (first, glob.is_none(), Reverse(path.split('/').filter(|segment| *segment == "+").count()), path.len())
    };
    path != other && (rank(path), path) > (rank(other), other)
}

/// Text of a `like` pattern in which every character means itself.
fn literal(text: &str) -> String {
    escaped(text).replace('*', "\\*")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => safe.extend(['\\', c]),
            c if c.is_control() => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}
