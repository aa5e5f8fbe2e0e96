//! Two references for the decision, over thousands of random sets and questions: Cedar over the whole set with the whole
//! hierarchy, and a model of the language's meaning that shares no code with Cedar.

use std::collections::HashSet;
use std::str::FromStr;

use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request, RestrictedExpression};

use super::asked::{Asked, Caller};
use super::compile::Compiled;
use super::decision::Because;
use super::entities;
use super::reads::Reads;
use super::source::PolicySource;
use crate::model::action::Action;
use crate::model::clock::Timestamp;
use crate::model::operation::{Circumstances, Resource, ResourceKind};

const SETS: usize = 140;
const QUESTIONS: usize = 80;
const NOW: Timestamp = Timestamp::from_unix_micros(1_700_000_000_000_000);

const ACCOUNTS: &[&str] = &["alice", "bob", "*", "a\"b", "Group::\"lead\""];
const GROUPS: &[&str] = &["lead", "app", "ops", "a\"b", "*", "alice"];
const MOUNTS: &[&str] = &["secret", "team/kv"];
const SEGMENTS: &[&str] = &["app", "alice", "a\"b", "*", "bob"];
const PURPOSES: &[&str] = &["claims", "support"];
const SECRET_ACTIONS: &[Action] = &[Action::ReadSecret, Action::WriteSecret, Action::ListSecrets];
const OTHER_ACTIONS: &[Action] =
    &[Action::Decode, Action::Encode, Action::Login, Action::WritePolicies, Action::WriteAccount, Action::ReadServerStatus];

/// SplitMix64: enough to choose, the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).expect("small")
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }

    fn some(&mut self, from: &[&str], at_most: usize) -> Vec<String> {
        (0..self.roll(at_most + 1)).map(|_| self.pick(from).to_owned()).collect()
    }

    fn path(&mut self) -> String {
        let mut path = self.pick(MOUNTS).to_owned();
        for _ in 0..=self.roll(3) {
            path = format!("{path}/{}", self.pick(SEGMENTS));
        }
        path
    }
}

#[derive(Debug, Clone)]
enum Who {
    Any,
    Accounts,
    Jobs,
    Anonymous,
    Account(String),
    Group(String),
    AccountInGroup(String),
    Namespace,
}

#[derive(Debug, Clone)]
enum Onto {
    Any,
    Kind(ResourceKind),
    One(ResourceKind, String),
    Folder(String),
    SecretInFolder(String),
    Mount(String),
}

#[derive(Debug, Clone)]
enum If {
    Always,
    /// `context.batch_size * MAX`: errs from 2 on.
    Errs,
    BatchAtMost(u64),
    Purpose(String),
    Holds(String),
    CallerIn(String),
    ResourceIn(String),
    /// The first segment below the mount is the caller's name.
    Own,
    Actions(Vec<Action>),
}

#[derive(Debug, Clone)]
struct Rule {
    permit: bool,
    who: Who,
    /// Empty for any.
    actions: Vec<Action>,
    onto: Onto,
    condition: If,
    unless: bool,
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn action_list(actions: &[Action]) -> String {
    actions.iter().map(|action| format!("Action::\"{action}\"")).collect::<Vec<_>>().join(", ")
}

impl Rule {
    fn random(dice: &mut Dice) -> Self {
        let who = match dice.roll(12) {
            0 => Who::Any,
            1 => Who::Accounts,
            2 => Who::Namespace,
            3..5 => Who::Account(dice.pick(ACCOUNTS).to_owned()),
            5 => Who::AccountInGroup(dice.pick(GROUPS).to_owned()),
            _ => Who::Group(dice.pick(GROUPS).to_owned()),
        };
        let about_secrets = dice.roll(3) > 0;
        let actions = match dice.roll(4) {
            0 => Vec::new(),
            _ if about_secrets => (0..=dice.roll(2)).map(|_| SECRET_ACTIONS[dice.roll(SECRET_ACTIONS.len())]).collect(),
            _ => (0..=dice.roll(2)).map(|_| OTHER_ACTIONS[dice.roll(OTHER_ACTIONS.len())]).collect(),
        };
        let onto = match dice.roll(7) {
            _ if !about_secrets => Onto::Any,
            0 => Onto::Any,
            1 => Onto::Kind(ResourceKind::Secret),
            2 => Onto::One(ResourceKind::Secret, dice.path()),
            3 => Onto::Mount(dice.pick(MOUNTS).to_owned()),
            4 => Onto::SecretInFolder(dice.path()),
            _ => Onto::Folder(dice.path()),
        };
        let condition = match dice.roll(14) {
            0 => If::Errs,
            1 => If::BatchAtMost(dice.roll(4) as u64),
            2 => If::Purpose(dice.pick(PURPOSES).to_owned()),
            3 => If::Holds(dice.pick(GROUPS).to_owned()),
            4 => If::CallerIn(dice.pick(GROUPS).to_owned()),
            5 if about_secrets => If::ResourceIn(dice.path()),
            6..8 => If::Own,
            _ => If::Always,
        };
        Self { permit: dice.roll(4) > 0, who, actions, onto, condition, unless: dice.roll(4) == 0 }
    }

    /// The base policies, written down a second time.
    fn base() -> Vec<Self> {
        let rule = |permit, who, actions: &[Action], onto, condition, unless| Self {
            permit,
            who,
            actions: actions.to_vec(),
            onto,
            condition,
            unless,
        };
        let strangers = [Action::Login, Action::Init, Action::Unseal, Action::ReadSealStatus];
        let strangers_more = [strangers.as_slice(), &[Action::ReadServerStatus]].concat();
        let own = [
            Action::LookupSelf,
            Action::RenewSelf,
            Action::RevokeSelf,
            Action::ReadOwnCapabilities,
            Action::ListOwnMounts,
            Action::ReadApi,
        ];
        let jobs = [Action::RunJob, Action::RotateKeys, Action::ReadKeyStatus, Action::RotateSetting];
        let server = |id: &str| Onto::One(ResourceKind::Server, id.to_owned());
        vec![
            rule(true, Who::Group("root".to_owned()), &[], Onto::Any, If::Always, false),
            rule(true, Who::Any, &strangers, Onto::Any, If::Always, false),
            rule(true, Who::Any, &[Action::ReadServerStatus], server("health"), If::Always, false),
            rule(true, Who::Any, &[Action::ReadServerStatus], server("leader"), If::Always, false),
            rule(true, Who::Accounts, &own, Onto::Any, If::Always, false),
            rule(true, Who::Jobs, &jobs, Onto::Any, If::Always, false),
            rule(false, Who::Anonymous, &[], Onto::Any, If::Actions(strangers_more), true),
            rule(false, Who::Jobs, &[], Onto::Any, If::Actions(jobs.to_vec()), true),
            rule(false, Who::Accounts, &[Action::RunJob], Onto::Any, If::Always, false),
        ]
    }

    fn text(&self) -> String {
        let who = match &self.who {
            Who::Any => "principal".to_owned(),
            Who::Accounts => "principal is Account".to_owned(),
            Who::Jobs => "principal is Job".to_owned(),
            Who::Anonymous => "principal is Anonymous".to_owned(),
            Who::Account(name) => format!("principal == Account::{}", quoted(name)),
            Who::Group(name) => format!("principal in Group::{}", quoted(name)),
            Who::AccountInGroup(name) => format!("principal is Account in Group::{}", quoted(name)),
            Who::Namespace => "principal in Namespace::\"root\"".to_owned(),
        };
        let action = match self.actions.as_slice() {
            [] => "action".to_owned(),
            [one] => format!("action == Action::\"{one}\""),
            several => format!("action in [{}]", action_list(several)),
        };
        let onto = match &self.onto {
            Onto::Any => "resource".to_owned(),
            Onto::Kind(kind) => format!("resource is {}", kind.name()),
            Onto::One(kind, id) => format!("resource == {}::{}", kind.name(), quoted(id)),
            Onto::Folder(id) => format!("resource in Folder::{}", quoted(id)),
            Onto::SecretInFolder(id) => format!("resource is Secret in Folder::{}", quoted(id)),
            Onto::Mount(id) => format!("resource in Mount::{}", quoted(id)),
        };
        let condition = match &self.condition {
            If::Always => None,
            If::Errs => Some("context.batch_size * 9223372036854775807 >= 0".to_owned()),
            If::BatchAtMost(most) => Some(format!("context.batch_size <= {most}")),
            If::Purpose(purpose) => Some(format!("context has purpose && context.purpose == {}", quoted(purpose))),
            If::Holds(group) => Some(format!("context.held.contains({})", quoted(group))),
            If::CallerIn(group) => Some(format!("principal in Group::{}", quoted(group))),
            If::ResourceIn(folder) => Some(format!("resource in Folder::{}", quoted(folder))),
            If::Own => Some("principal is Account && resource is Secret && resource has top && resource.top == principal.name".to_owned()),
            If::Actions(actions) => Some(format!("action in [{}]", action_list(actions))),
        };
        let effect = if self.permit { "permit" } else { "forbid" };
        let keyword = if self.unless { "unless" } else { "when" };
        let condition = condition.map(|text| format!(" {keyword} {{ {text} }}")).unwrap_or_default();
        format!("{effect}({who}, {action}, {onto}){condition};")
    }

    /// Whether the rule holds; `None` when it errs.
    fn holds(&self, asked: &Asked<'_>, action: Action, resource: &Resource, circumstances: &Circumstances) -> Option<bool> {
        let is_account = matches!(asked.caller, Caller::Account(_));
        let in_group = |group: &String| is_account && asked.groups.contains(group);
        let who = match &self.who {
            Who::Any => true,
            Who::Accounts | Who::Namespace => is_account,
            Who::Jobs => matches!(asked.caller, Caller::Job(_)),
            Who::Anonymous => asked.caller == Caller::Anonymous,
            Who::Account(name) => asked.caller == Caller::Account(name),
            Who::Group(group) | Who::AccountInGroup(group) => in_group(group),
        };
        let below = |folder: &str| {
            let listed = action == Action::ListSecrets && resource.id == *folder;
            resource.kind == ResourceKind::Secret && (listed || resource.id.starts_with(&format!("{folder}/")))
        };
        let onto = match &self.onto {
            Onto::Any => true,
            Onto::Kind(kind) => resource.kind == *kind,
            Onto::One(kind, id) => resource.kind == *kind && resource.id == *id,
            Onto::Folder(folder) | Onto::SecretInFolder(folder) => below(folder),
            // `in` holds for the thing itself too.
            Onto::Mount(mount) => resource.mount.as_ref() == Some(mount) || (resource.kind == ResourceKind::Mount && resource.id == *mount),
        };
        let scope = who && onto && (self.actions.is_empty() || self.actions.contains(&action));
        if !scope {
            return Some(false);
        }
        let condition = match &self.condition {
            If::Always => return Some(true),
            If::Errs if circumstances.batch_size >= 2 => return None,
            If::Errs => true,
            If::BatchAtMost(most) => circumstances.batch_size <= *most,
            If::Purpose(purpose) => circumstances.purpose.as_ref() == Some(purpose),
            If::Holds(group) => asked.groups.contains(group),
            If::CallerIn(group) => in_group(group),
            If::ResourceIn(folder) => below(folder),
            If::Own => {
                let segments: Vec<&str> = resource.id.split('/').collect();
                let below = resource.mount.as_ref().map_or(0, |mount| mount.split('/').count());
                is_account && resource.kind == ResourceKind::Secret && segments.get(below) == Some(&asked.name())
            }
            If::Actions(actions) => actions.contains(&action),
        };
        Some(condition != self.unless)
    }
}

fn modelled(rules: &[Rule], asked: &Asked<'_>, action: Action, resource: &Resource, circumstances: &Circumstances) -> Because {
    let plain = |action, resource: &Resource, circumstances: &Circumstances| {
        let answers: Vec<(bool, Option<bool>)> =
            rules.iter().map(|rule| (rule.permit, rule.holds(asked, action, resource, circumstances))).collect();
        if answers.iter().any(|(_, answer)| answer.is_none()) {
            Because::EvaluationError
        } else if answers.contains(&(false, Some(true))) {
            Because::Forbidden
        } else if answers.contains(&(true, Some(true))) {
            Because::Permitted
        } else {
            Because::NonePermits
        }
    };
    if circumstances.grants.iter().any(|group| group.to_lowercase() == "root") {
        return Because::GrantNotHeld;
    }
    let answer = plain(action, resource, circumstances);
    let not_held = action != Action::Login && circumstances.grants.iter().any(|group| !asked.groups.contains(group));
    if answer != Because::Permitted || !not_held {
        return answer;
    }
    let all = Resource::new(ResourceKind::Policy, "*");
    match plain(Action::WritePolicies, &all, &Circumstances { batch_size: 1, ..Circumstances::default() }) {
        Because::Permitted => Because::Permitted,
        _ => Because::GrantNotHeld,
    }
}

fn uid(kind: &str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind).expect("a type"), EntityId::new(id))
}

fn caller(asked: &Asked<'_>) -> EntityUid {
    match asked.caller {
        Caller::Anonymous => uid("Anonymous", "anonymous"),
        Caller::Job(name) => uid("Job", name),
        Caller::Account(name) => uid("Account", name),
    }
}

/// Every entity there is, each with its direct parents only.
fn whole_hierarchy(asked: &Asked<'_>, action: Action, resource: &Resource) -> Entities {
    let root = uid("Namespace", "root");
    let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
    let mut all = vec![Entity::new_no_attrs(root.clone(), HashSet::new())];
    let groups: HashSet<&String> = asked.groups.iter().collect();
    all.extend(groups.iter().map(|group| Entity::new_no_attrs(uid("Group", group), HashSet::from([root.clone()]))));
    if let Caller::Account(name) = asked.caller {
        let parents = groups.iter().map(|group| uid("Group", group)).chain([root.clone()]).collect();
        all.push(Entity::new(caller(asked), [("name".to_owned(), text(name))].into(), parents).expect("an entity"));
    } else {
        all.push(Entity::new_no_attrs(caller(asked), HashSet::new()));
    }
    let mut parent = None;
    let mut attributes = vec![("path".to_owned(), text(&resource.id))];
    if let Some(mount) = &resource.mount {
        all.push(Entity::new_no_attrs(uid("Mount", mount), HashSet::from([root])));
        parent = Some(uid("Mount", mount));
        let tail = resource.id.strip_prefix(&format!("{mount}/")).unwrap_or_default();
        let segments: Vec<&str> = tail.split('/').collect();
        attributes.push(("top".to_owned(), text(segments[0])));
        let deepest = if action == Action::ListSecrets { segments.len() } else { segments.len() - 1 };
        for end in 1..=deepest {
            let folder = uid("Folder", &format!("{mount}/{}", segments[..end].join("/")));
            all.push(Entity::new_no_attrs(folder.clone(), parent.into_iter().collect()));
            parent = Some(folder);
        }
    }
    let target = uid(resource.kind.name(), &resource.id);
    if all.iter().all(|entity| entity.uid() != target) {
        all.push(Entity::new(target, attributes.into_iter().collect(), parent.into_iter().collect()).expect("an entity"));
    }
    Entities::from_entities(all, None).expect("a hierarchy")
}

/// What Cedar says without slice: the deciding or erring statements too.
fn unsliced(
    set: &Compiled,
    all: &PolicySet,
    asked: &Asked<'_>,
    action: Action,
    resource: &Resource,
    circumstances: &Circumstances,
) -> (bool, Vec<String>, usize) {
    let context = entities::context(asked, circumstances, NOW, Reads::ALL).expect("a context");
    let target = uid(resource.kind.name(), &resource.id);
    let request = Request::new(caller(asked), uid("Action", action.name()), target, context, None).expect("a request");
    let response = set.authorizer.is_authorized(&request, all, &whole_hierarchy(asked, action, resource));
    let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
    reasons.sort();
    (response.decision() == cedar_policy::Decision::Allow, reasons, response.diagnostics().errors().count())
}

struct Question {
    account: String,
    kind: usize,
    groups: Vec<String>,
    action: Action,
    resource: Resource,
    circumstances: Circumstances,
}

impl Question {
    fn random(dice: &mut Dice) -> Self {
        let (action, resource) = match dice.roll(8) {
            0 => (Action::ReadServerStatus, Resource::new(ResourceKind::Server, if dice.roll(2) == 0 { "health" } else { "host" })),
            1 => (Action::WriteAccount, Resource::new(ResourceKind::Account, dice.pick(ACCOUNTS))),
            2 => {
                let action = if dice.roll(2) == 0 { Action::Encode } else { Action::Decode };
                (action, Resource::within(ResourceKind::Transformation, "transform", "ssn"))
            }
            3 => (OTHER_ACTIONS[dice.roll(OTHER_ACTIONS.len())], Resource::new(ResourceKind::Mount, dice.pick(MOUNTS))),
            _ => {
                let mount = dice.pick(MOUNTS);
                let depth = dice.roll(4);
                let tail: Vec<&str> = (0..=depth).map(|_| dice.pick(SEGMENTS)).collect();
                (SECRET_ACTIONS[dice.roll(SECRET_ACTIONS.len())], Resource::within(ResourceKind::Secret, mount, &tail.join("/")))
            }
        };
        let mut groups = dice.some(GROUPS, 3);
        if dice.roll(20) == 0 {
            groups.push("root".to_owned());
        }
        let mut grants = if dice.roll(4) == 0 { dice.some(GROUPS, 2) } else { Vec::new() };
        if dice.roll(50) == 0 {
            grants.push("ROOT".to_owned());
        }
        let purpose = (dice.roll(2) == 0).then(|| dice.pick(PURPOSES).to_owned());
        let circumstances = Circumstances { purpose, batch_size: dice.roll(4) as u64, grants };
        Self { account: dice.pick(ACCOUNTS).to_owned(), kind: dice.roll(20), groups, action, resource, circumstances }
    }

    fn asked(&self) -> Asked<'_> {
        match self.kind {
            0 => Asked::anonymous(None),
            1 => Asked::job("expiry"),
            _ => Asked::account(&self.account, &self.groups),
        }
    }
}

fn random_set(dice: &mut Dice) -> Option<(Vec<Rule>, Compiled)> {
    let rules: Vec<Rule> = (0..3 + dice.roll(20)).map(|_| Rule::random(dice)).collect();
    let (left, right) = rules.split_at(rules.len() / 2);
    let text = |rules: &[Rule]| rules.iter().map(Rule::text).collect::<Vec<_>>().join("\n");
    let sources = [("left", left), ("right", right)].map(|(name, rules)| PolicySource { name: name.to_owned(), text: text(rules) });
    // Some random rules can never apply and are refused; another set is tried then.
    let set = Compiled::new(&sources).ok()?;
    Some((Rule::base().into_iter().chain(rules).collect(), set))
}

#[test]
fn the_slice_decides_as_the_whole_set_and_as_the_model() {
    let mut dice = Dice(0x6f1d);
    let mut seen = std::collections::HashMap::<Because, usize>::new();
    let mut sets = 0;
    while sets < SETS {
        let Some((rules, set)) = random_set(&mut dice) else { continue };
        sets += 1;
        let all = PolicySet::from_policies(set.statements.iter().map(|statement| statement.policy.clone())).expect("a set");
        for _ in 0..QUESTIONS {
            let question = Question::random(&mut dice);
            let (asked, action, resource) = (question.asked(), question.action, &question.resource);
            let told = || {
                format!(
                    "{asked:?} {action} {resource:?} {:?}\n{}",
                    question.circumstances,
                    rules.iter().map(Rule::text).collect::<Vec<_>>().join("\n")
                )
            };
            let decision = set.decide(&asked, action, resource, &question.circumstances, NOW);
            assert_eq!(decision.because, modelled(&rules, &asked, action, resource, &question.circumstances), "{}", told());
            assert_eq!(decision.allowed, decision.because == Because::Permitted);
            *seen.entry(decision.because).or_default() += 1;

            let ungranted = Circumstances { grants: Vec::new(), ..question.circumstances.clone() };
            let sliced = set.decide(&asked, action, resource, &ungranted, NOW);
            let (allowed, reasons, errors) = unsliced(&set, &all, &asked, action, resource, &ungranted);
            assert_eq!((sliced.allowed, sliced.errors), (allowed && errors == 0, errors), "{}", told());
            if errors == 0 {
                assert_eq!(sliced.policies.iter().map(ToString::to_string).collect::<Vec<_>>(), reasons, "{}", told());
            }
        }
    }
    for because in Because::ALL {
        assert!(seen.get(because).is_some_and(|count| *count >= 50), "{because:?} came too seldom: {seen:?}");
    }
}
