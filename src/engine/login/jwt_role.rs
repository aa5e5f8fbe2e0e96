//! A role of a JWT method: what it demands of a token, and what it gives for one. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth::jwt::{BoundClaim, JwtLeeways, JwtRules, RulesError};
use crate::engine::auth_token::life::Wish;
use crate::engine::auth_token::parse::{groups, only_service};
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::members::Members;
use crate::model::path::is_name;
use crate::store::auth_token::ROOT_GROUP;

/// The control row of kind `role` of a JWT method. Members that a write does not name keep their values, as in Vault.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq)]
#[serde(default)]
pub struct JwtRole {
    pub user_claim: String,
    pub user_claim_json_pointer: bool,
    pub bound_audiences: Vec<String>,
    pub bound_subject: String,
    pub bound_claims: BTreeMap<String, Vec<Value>>,
    pub bound_claims_glob: bool,
    pub claim_mappings: BTreeMap<String, String>,
    pub groups_claim: String,
    /// Ours: which of our groups a name in the groups claim stands for. Exact names; those that are not here mean nothing.
    pub group_policies: BTreeMap<String, Vec<String>>,
    /// Seconds; None is the default, 0 is none at all.
    pub expiration_leeway: Option<u32>,
    pub not_before_leeway: Option<u32>,
    pub clock_skew_leeway: Option<u32>,
    pub max_age: u32,
    pub token_policies: Vec<String>,
    pub token_no_default_policy: bool,
    pub token_ttl: u64,
    pub token_max_ttl: u64,
    pub token_explicit_max_ttl: u64,
    pub token_period: u64,
    pub allowed_redirect_uris: Vec<String>,
}

/// Members of Vault's roles that would narrow a login and that goldfin does not have.
const RESTRICTING: &[&str] = &["token_bound_cidrs", "bound_cidrs", "token_num_uses", "num_uses", "token_strictly_bind_ip"];

/// Members that concern browser logins only.
const NOT_OURS: &[&str] = &["oidc_scopes", "verbose_oidc_logging", "oauth2_metadata", "callback_mode", "alias_metadata"];

/// The longest tolerance, in seconds: a day.
const LONGEST_LEEWAY: u32 = 86_400;

/// The defaults of Vault, in seconds.
const LEEWAY: u32 = 150;
const CLOCK_SKEW: u32 = 60;

impl JwtRole {
    /// The role as it is after a write whose members are `members`.
    pub(super) fn changed(mut self, mut members: Members) -> Result<(Self, usize), Fault> {
        self.read_bounds(&mut members)?;
        self.read_times(&mut members)?;
        self.read_token(&mut members)?;
        match members.word("role_type")?.as_deref() {
            None | Some("" | "jwt") => {}
            Some(_) => return Err(members.wrong("role_type", "must be `jwt`: browser logins are not supported")),
        }
        for name in NOT_OURS {
            members.take(name);
        }
        let pointer = self.user_claim.starts_with('/');
        if pointer != self.user_claim_json_pointer {
            return Err(members.wrong("user_claim", "starts with `/` exactly where `user_claim_json_pointer` is true"));
        }
        self.rules(None).validate().map_err(refusal)?;
        let unknown = members.finish(RESTRICTING)?;
        Ok((self, unknown))
    }

    fn read_bounds(&mut self, members: &mut Members) -> Result<(), Fault> {
        set(&mut self.user_claim, members.word("user_claim")?);
        set(&mut self.user_claim_json_pointer, members.flag("user_claim_json_pointer")?);
        set(&mut self.bound_audiences, members.words("bound_audiences")?);
        set(&mut self.bound_subject, members.word("bound_subject")?);
        set(&mut self.groups_claim, members.word("groups_claim")?);
        set(&mut self.claim_mappings, members.text_map("claim_mappings")?);
        set(&mut self.allowed_redirect_uris, members.words("allowed_redirect_uris")?);
        if let Some(bound) = members.object("bound_claims")? {
            self.bound_claims = bound
                .into_iter()
                .map(|(claim, node)| bound_values(node).map(|values| (claim, values)))
                .collect::<Option<_>>()
                .ok_or_else(|| refusal(RulesError::BadBoundClaim))?;
        }
        match members.word("bound_claims_type")?.as_deref() {
            None => {}
            Some("" | "string") => self.bound_claims_glob = false,
            Some("glob") => self.bound_claims_glob = true,
            Some(_) => return Err(members.wrong("bound_claims_type", "must be `string` or `glob`")),
        }
        if let Some(mapped) = members.object("group_policies")? {
            self.group_policies = mapped
                .into_iter()
                .map(|(name, node)| mapped_groups(node).map(|groups| (name, groups)))
                .collect::<Option<_>>()
                .ok_or_else(|| {
                    members.wrong("group_policies", "must map names of the groups claim to lists of names of groups, none of them `root`")
                })?;
        }
        Ok(())
    }

    fn read_times(&mut self, members: &mut Members) -> Result<(), Fault> {
        for (name, leeway) in [
            ("expiration_leeway", &mut self.expiration_leeway),
            ("not_before_leeway", &mut self.not_before_leeway),
            ("clock_skew_leeway", &mut self.clock_skew_leeway),
        ] {
            if let Some(read) = read_leeway(members, name)? {
                *leeway = read;
            }
        }
        if let Some(age) = members.duration("max_age")? {
            self.max_age = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        }
        Ok(())
    }

    fn read_token(&mut self, members: &mut Members) -> Result<(), Fault> {
        // An empty list takes all away; `groups` tells it from none only by whether the member was there.
        for name in ["policies", "token_policies"] {
            if let Some(node) = members.take(name) {
                let mut alone = Members::new(Node::Object(vec![(name.to_owned(), node)]))?;
                self.token_policies = groups(&mut alone, name)?.unwrap_or_default();
            }
        }
        set(&mut self.token_no_default_policy, members.flag("token_no_default_policy")?);
        for (old, new, seconds) in [
            ("ttl", "token_ttl", &mut self.token_ttl),
            ("max_ttl", "token_max_ttl", &mut self.token_max_ttl),
            ("explicit_max_ttl", "token_explicit_max_ttl", &mut self.token_explicit_max_ttl),
            ("period", "token_period", &mut self.token_period),
        ] {
            let (old, new) = (members.duration(old)?, members.duration(new)?);
            set(seconds, new.or(old).map(|span| span.as_secs()));
        }
        only_service(members, "token_type")
    }

    pub(super) fn rules(&self, issuer: Option<String>) -> JwtRules {
        JwtRules {
            issuer,
            audiences: self.bound_audiences.clone(),
            subject: given(&self.bound_subject),
            bound_claims: self
                .bound_claims
                .iter()
                .map(|(claim, allowed)| BoundClaim { claim: claim.clone(), allowed: allowed.clone() })
                .collect(),
            bound_claims_glob: self.bound_claims_glob,
            user_claim: self.user_claim.clone(),
            groups_claim: given(&self.groups_claim),
            claim_mappings: self.claim_mappings.iter().map(|(claim, name)| (claim.clone(), name.clone())).collect(),
            leeways: JwtLeeways {
                expiration: self.expiration_leeway.unwrap_or(LEEWAY),
                not_before: Some(self.not_before_leeway.unwrap_or(LEEWAY)),
                clock_skew: self.clock_skew_leeway.unwrap_or(CLOCK_SKEW),
            },
            max_age_seconds: (self.max_age > 0).then_some(self.max_age),
        }
    }

    /// The groups that the role gives to a bearer of these names in the groups claim.
    pub(super) fn gives(&self, claimed: &[String]) -> Vec<String> {
        let mapped = claimed.iter().filter_map(|name| self.group_policies.get(name)).flatten();
        self.token_policies.iter().chain(mapped).cloned().collect()
    }

    /// All that the role could give to anybody.
    pub(super) fn grants(&self) -> Vec<String> {
        let mut all: Vec<String> = self.token_policies.iter().chain(self.group_policies.values().flatten()).cloned().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(super) fn wish(&self) -> Wish {
        Wish { ttl: self.token_ttl, max_ttl: self.token_max_ttl, explicit_max_ttl: self.token_explicit_max_ttl, period: self.token_period }
    }

    pub(super) fn view(&self) -> Node {
        let map = |entries: Vec<(String, Node)>| if entries.is_empty() { Node::Null } else { Node::Object(entries) };
        let lists = |lists: &BTreeMap<String, Vec<String>>| {
            map(lists.iter().map(|(name, list)| (name.clone(), Node::texts(list.iter().cloned()))).collect())
        };
        Node::object([
            ("allowed_redirect_uris", Node::texts(self.allowed_redirect_uris.iter().cloned())),
            ("bound_audiences", Node::texts(self.bound_audiences.iter().cloned())),
            (
                "bound_claims",
                map(self.bound_claims.iter().map(|(claim, allowed)| (claim.clone(), Value::Array(allowed.clone()).into())).collect()),
            ),
            ("bound_claims_type", Node::text(if self.bound_claims_glob { "glob" } else { "string" })),
            ("bound_subject", Node::text(self.bound_subject.clone())),
            ("claim_mappings", map(self.claim_mappings.iter().map(|(claim, name)| (claim.clone(), Node::text(name.clone()))).collect())),
            ("clock_skew_leeway", leeway_view(self.clock_skew_leeway)),
            ("expiration_leeway", leeway_view(self.expiration_leeway)),
            ("group_policies", lists(&self.group_policies)),
            ("groups_claim", Node::text(self.groups_claim.clone())),
            ("max_age", Node::whole(self.max_age.into())),
            ("not_before_leeway", leeway_view(self.not_before_leeway)),
            ("oidc_scopes", Node::Null),
            ("role_type", Node::text("jwt")),
            ("token_bound_cidrs", Node::List(Vec::new())),
            ("token_explicit_max_ttl", seconds(self.token_explicit_max_ttl)),
            ("token_max_ttl", seconds(self.token_max_ttl)),
            ("token_no_default_policy", Node::Bool(self.token_no_default_policy)),
            ("token_num_uses", Node::whole(0)),
            ("token_period", seconds(self.token_period)),
            ("token_policies", Node::texts(self.token_policies.iter().cloned())),
            ("token_ttl", seconds(self.token_ttl)),
            ("token_type", Node::text("service")),
            ("user_claim", Node::text(self.user_claim.clone())),
            ("user_claim_json_pointer", Node::Bool(self.user_claim_json_pointer)),
            ("verbose_oidc_logging", Node::Bool(false)),
        ])
    }
}

fn set<T>(place: &mut T, read: Option<T>) {
    if let Some(read) = read {
        *place = read;
    }
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// As in Vault, 0 asks for the default and -1 for none at all.
fn read_leeway(members: &mut Members, name: &'static str) -> Result<Option<Option<u32>>, Fault> {
    let node = match members.take(name) {
        None => return Ok(None),
        Some(Node::Number(digits)) if &*digits == "-1" => return Ok(Some(Some(0))),
        Some(node) => node,
    };
    let mut alone = Members::new(Node::Object(vec![(name.to_owned(), node)]))?;
    let span = alone.duration(name)?.map_or(0, |span| span.as_secs());
    match u32::try_from(span) {
        Ok(0) => Ok(Some(None)),
        Ok(span) if span <= LONGEST_LEEWAY => Ok(Some(Some(span))),
        _ => Err(members.wrong(name, "must be a day at most")),
    }
}

fn leeway_view(leeway: Option<u32>) -> Node {
    Node::whole(leeway.map_or(0, |span| if span == 0 { -1 } else { i64::from(span) }))
}

fn bound_values(node: Node) -> Option<Vec<Value>> {
    match node {
        Node::List(items) => items.into_iter().map(scalar).collect(),
        single => scalar(single).map(|value| vec![value]),
    }
}

fn scalar(node: Node) -> Option<Value> {
    match node {
        Node::Bool(flag) => Some(Value::Bool(flag)),
        Node::Number(digits) => serde_json::from_str(&digits).ok(),
        Node::Text(_) => text(node).map(Value::String),
        Node::Null | Node::List(_) | Node::Object(_) | Node::Written(_) => None,
    }
}

fn mapped_groups(node: Node) -> Option<Vec<String>> {
    let names: Vec<String> = match node {
        Node::List(items) => items.into_iter().map(text).collect::<Option<_>>()?,
        single => vec![text(single)?],
    };
    names.iter().all(|name| is_name(name) && !name.eq_ignore_ascii_case(ROOT_GROUP)).then_some(names)
}

/// The text of a node, through the members that may read it.
fn text(node: Node) -> Option<String> {
    Members::new(Node::Object(vec![("name".to_owned(), node)])).ok()?.word("name").ok()?
}

fn refusal(error: RulesError) -> Fault {
    Fault::invalid(match error {
        RulesError::Unbound => "the role would accept any token of its issuer; set `bound_audiences`, `bound_subject` or `bound_claims`",
        RulesError::NoUserClaim => "the role has no `user_claim`; name the claim that identifies the caller, for example `sub`",
        RulesError::EmptyBound => "the role has an empty subject or audience; leave it out or give a value",
        RulesError::BadBoundClaim => {
            "`bound_claims` must map each claim to texts, numbers or booleans, and to texts other than `*` with globs"
        }
        RulesError::BadMapping => {
            "`claim_mappings` must map claims to different metadata names of letters, digits and `._@+=:-`, and not to `role`"
        }
    })
}

fn seconds(number: u64) -> Node {
    Node::whole(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(before: JwtRole, json: &str) -> Result<JwtRole, String> {
        let members = Members::new(Node::parse(json.as_bytes()).expect("json")).expect("object");
        before.changed(members).map(|(role, _)| role).map_err(|fault| fault.to_string())
    }

    fn new(json: &str) -> Result<JwtRole, String> {
        role(JwtRole::default(), json)
    }

    #[test]
    fn a_role_that_binds_nothing_is_refused() {
        assert!(new(r#"{"user_claim":"sub"}"#).expect_err("unbound").contains("any token"));
        assert!(new(r#"{"user_claim":"sub","bound_audiences":[]}"#).is_err());
        assert!(new(r#"{"user_claim":"sub","bound_subject":""}"#).is_err());
        assert!(new(r#"{"user_claim":"sub","bound_claims":{"a":"*"},"bound_claims_type":"glob"}"#).is_err());
        assert!(new(r#"{"bound_subject":"x"}"#).is_err(), "no user claim");
        assert!(new(r#"{"user_claim":"sub","bound_subject":"x"}"#).is_ok());
    }

    #[test]
    fn a_write_keeps_what_it_does_not_name() {
        let first =
            new(r#"{"user_claim":"sub","bound_audiences":"a","bound_claims":{"n":7,"s":["x","y"]},"token_policies":["p"]}"#).expect("role");
        let second = role(first.clone(), r#"{"token_ttl":"5m"}"#).expect("role");
        assert_eq!(second, JwtRole { token_ttl: 300, ..first.clone() });
        assert_eq!(role(first.clone(), r#"{"token_policies":[]}"#).expect("role").token_policies, Vec::<String>::new());
        assert_eq!(role(first, r#"{"token_policies":null}"#).expect("role").token_policies, vec!["p".to_owned()]);
    }

    #[test]
    fn root_is_given_by_no_role() {
        for json in [
            r#"{"user_claim":"sub","bound_audiences":"a","token_policies":["root"]}"#,
            r#"{"user_claim":"sub","bound_audiences":"a","policies":"x, ROOT"}"#,
            r#"{"user_claim":"sub","bound_audiences":"a","token_policies":[" root"]}"#,
            r#"{"user_claim":"sub","bound_audiences":"a","token_policies":["root/../x"]}"#,
            r#"{"user_claim":"sub","bound_audiences":"a","group_policies":{"staff":["Root"]}}"#,
        ] {
            assert!(new(json).is_err(), "{json}");
        }
    }

    #[test]
    fn what_would_narrow_and_is_not_here_is_refused() {
        for member in [r#""token_bound_cidrs":["10.0.0.0/8"]"#, r#""token_num_uses":1"#, r#""role_type":"oidc""#, r#""token_type":"batch""#]
        {
            assert!(new(&format!(r#"{{"user_claim":"sub","bound_audiences":"a",{member}}}"#)).is_err(), "{member}");
        }
        let harmless = r#"{"user_claim":"https://vault/user","bound_audiences":["1234"],"token_num_uses":0,"allowed_redirect_uris":["x"],"verbose_oidc_logging":false}"#;
        assert!(new(harmless).is_ok());
    }

    #[test]
    fn leeways_are_read_as_vault_reads_them() {
        let base = r#""user_claim":"sub","bound_audiences":"a""#;
        let leeways = |json: &str| new(&format!("{{{base},{json}}}")).map(|role| role.rules(None).leeways);
        let of = |leeways: JwtLeeways| (leeways.expiration, leeways.not_before, leeways.clock_skew);
        assert_eq!(of(leeways(r#""x":1"#).expect("role")), (150, Some(150), 60));
        assert_eq!(of(leeways(r#""expiration_leeway":0,"clock_skew_leeway":"2m""#).expect("role")), (150, Some(150), 120));
        assert_eq!(of(leeways(r#""expiration_leeway":-1,"not_before_leeway":-1,"clock_skew_leeway":-1"#).expect("role")), (0, Some(0), 0));
        assert!(leeways(r#""clock_skew_leeway":86401"#).is_err());
        assert!(leeways(r#""clock_skew_leeway":-2"#).is_err());
    }

    #[test]
    fn pointers_are_asked_for_by_name() {
        assert!(new(r#"{"user_claim":"/a/b","bound_audiences":"a"}"#).is_err());
        assert!(new(r#"{"user_claim":"/a/b","user_claim_json_pointer":true,"bound_audiences":"a"}"#).is_ok());
        assert!(new(r#"{"user_claim":"sub","user_claim_json_pointer":true,"bound_audiences":"a"}"#).is_err());
    }

    #[test]
    fn groups_of_the_issuer_are_mapped_by_exact_names() {
        let role = new(r#"{"user_claim":"sub","bound_audiences":"a","groups_claim":"groups","group_policies":{"staff":["claims"],"admin":"ops"},"token_policies":["base"]}"#).expect("role");
        let gives = |claimed: &[&str]| role.gives(&claimed.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(gives(&["staff"]), ["base", "claims"]);
        assert_eq!(gives(&["Staff", "staff ", "base", "ops"]), ["base"]);
        assert_eq!(role.grants(), ["base", "claims", "ops"]);
    }
}
