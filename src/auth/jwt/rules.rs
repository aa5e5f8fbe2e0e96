//! What a role demands of a token's claims, and what it takes from them. Pure: no keys, no clock of its own.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value};

use super::{JwtRefusal, VerifiedClaims, json::claim};

/// The rules of one role. A claim is named plainly, or by a JSON pointer that starts with `/`.
#[derive(Clone, Debug, Default)]
pub struct JwtRules {
    /// Compared byte for byte; a trailing slash is another issuer.
    pub issuer: Option<String>,
    /// The token must be for one of these. Empty: it must be for nobody in particular.
    pub audiences: Vec<String>,
    pub subject: Option<String>,
    /// All must match.
    pub bound_claims: Vec<BoundClaim>,
    /// `*` in allowed texts stands for any characters, and bound claims must be texts.
    pub bound_claims_glob: bool,
    pub user_claim: String,
    pub groups_claim: Option<String>,
    /// From claim to metadata name. A claim that is absent is passed over.
    pub claim_mappings: Vec<(String, String)>,
    pub leeways: JwtLeeways,
    /// The longest time since `iat`, in seconds.
    pub max_age_seconds: Option<u32>,
}

/// A claim and the texts, numbers or booleans of which it must be one (or, being a list, hold one).
#[derive(Clone, Debug)]
pub struct BoundClaim {
    pub claim: String,
    pub allowed: Vec<Value>,
}

/// Tolerances in seconds.
#[derive(Clone, Copy, Debug)]
pub struct JwtLeeways {
    /// How long a token without `exp` lives after its `iat` or `nbf`; 0 refuses it.
    pub expiration: u32,
    /// If set, a token without `nbf` and `iat` is accepted only this long before its `exp`.
    pub not_before: Option<u32>,
    /// How far clocks may differ, for every comparison.
    pub clock_skew: u32,
}

/// Why a role's rules are refused when it is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RulesError {
    Unbound,
    NoUserClaim,
    EmptyBound,
    BadBoundClaim,
    BadMapping,
}

impl Default for JwtLeeways {
    fn default() -> Self {
        Self { expiration: 150, not_before: None, clock_skew: 60 }
    }
}

impl JwtRules {
    /// To be called when a role is saved. A role that any token of the issuer satisfies is refused.
    pub fn validate(&self) -> Result<(), RulesError> {
        if self.audiences.is_empty() && self.subject.is_none() && self.bound_claims.is_empty() {
            return Err(RulesError::Unbound);
        }
        if self.user_claim.is_empty() {
            return Err(RulesError::NoUserClaim);
        }
        let empty = |text: &Option<String>| text.as_ref().is_some_and(String::is_empty);
        if empty(&self.issuer) || empty(&self.subject) || self.audiences.iter().any(String::is_empty) {
            return Err(RulesError::EmptyBound);
        }
        for bound in &self.bound_claims {
            let usable = |value: &Value| match value {
                Value::String(text) => !(self.bound_claims_glob && text.chars().all(|c| c == '*')),
                Value::Number(_) | Value::Bool(_) => !self.bound_claims_glob,
                _ => false,
            };
            if bound.claim.is_empty() || bound.allowed.is_empty() || !bound.allowed.iter().all(usable) {
                return Err(RulesError::BadBoundClaim);
            }
        }
        let mut names: Vec<_> = self.claim_mappings.iter().map(|(_, name)| name.as_str()).collect();
        names.sort_unstable();
        let repeated = names.windows(2).any(|pair| pair.first() == pair.last());
        if repeated || self.claim_mappings.iter().any(|(from, name)| from.is_empty() || !is_name(name) || name == "role") {
            return Err(RulesError::BadMapping);
        }
        Ok(())
    }

    pub(super) fn check(&self, claims: &Map<String, Value>, now: i64) -> Result<VerifiedClaims, JwtRefusal> {
        // A logout token (OpenID Connect Back-Channel Logout, 2.4) has issuer, audience and subject of a login.
        if claims.contains_key("events") {
            return Err(JwtRefusal::BadHeader);
        }
        let expires_unix = self.check_times(claims, now)?;
        let issuer = text_claim(claims, "iss").map_err(|()| JwtRefusal::WrongIssuer)?;
        if self.issuer.is_some() && issuer != self.issuer {
            return Err(JwtRefusal::WrongIssuer);
        }
        self.check_audience(claims.get("aud"))?;
        let subject = text_claim(claims, "sub").map_err(|()| JwtRefusal::WrongSubject)?;
        if self.subject.is_some() && subject != self.subject {
            return Err(JwtRefusal::WrongSubject);
        }
        if !self.bound_claims.iter().all(|bound| self.is_met(bound, claims)) {
            return Err(JwtRefusal::WrongClaim);
        }
        let user = match claim(claims, &self.user_claim) {
            Some(Value::String(user)) if is_name(user) => user.clone(),
            _ => return Err(JwtRefusal::BadUser),
        };
        let groups = self.groups(claims)?;
        let metadata = self.metadata(claims)?;
        Ok(VerifiedClaims { user, subject, issuer, groups, metadata, expires_unix })
    }

    /// The end of the token's life, which has not come yet.
    fn check_times(&self, claims: &Map<String, Value>, now: i64) -> Result<i64, JwtRefusal> {
        let skew = i64::from(self.leeways.clock_skew);
        let issued = time_claim(claims, "iat", f64::floor)?;
        let begins = time_claim(claims, "nbf", f64::ceil)?;
        let expires = match (time_claim(claims, "exp", f64::floor)?, issued.max(begins)) {
            (Some(expires), _) => expires,
            (None, Some(latest)) if self.leeways.expiration > 0 => latest.saturating_add(self.leeways.expiration.into()),
            (None, _) => return Err(JwtRefusal::MissingExpiry),
        };
        if now >= expires.saturating_add(skew) {
            return Err(JwtRefusal::Expired);
        }
        let undated = || self.leeways.not_before.map(|leeway| expires.saturating_sub(leeway.into()));
        if issued.max(begins).or_else(undated).is_some_and(|start| now < start.saturating_sub(skew)) {
            return Err(JwtRefusal::NotYetValid);
        }
        if let Some(max_age) = self.max_age_seconds {
            let oldest = now.saturating_sub(max_age.into()).saturating_sub(skew);
            if issued.is_none_or(|issued| issued < oldest) {
                return Err(JwtRefusal::TooOld);
            }
        }
        Ok(expires)
    }

    fn check_audience(&self, audience: Option<&Value>) -> Result<(), JwtRefusal> {
        let bound = |value: &Value| value.as_str().is_some_and(|text| self.audiences.iter().any(|bound| bound == text));
        let met = match audience {
            None => self.audiences.is_empty(),
            Some(single @ Value::String(_)) => bound(single),
            Some(Value::Array(several)) => several.iter().all(Value::is_string) && several.iter().any(bound),
            Some(_) => false,
        };
        if met { Ok(()) } else { Err(JwtRefusal::WrongAudience) }
    }

    fn is_met(&self, bound: &BoundClaim, claims: &Map<String, Value>) -> bool {
        let allows = |value: &Value| {
            bound.allowed.iter().any(|allowed| match (allowed, value) {
                (Value::String(pattern), Value::String(text)) if self.bound_claims_glob => glob(pattern, text),
                _ if self.bound_claims_glob => false,
                (Value::String(_) | Value::Number(_) | Value::Bool(_), _) => allowed == value,
                _ => false,
            })
        };
        match claim(claims, &bound.claim) {
            Some(Value::Array(items)) => items.iter().any(allows),
            Some(single) => allows(single),
            None => false,
        }
    }

    fn groups(&self, claims: &Map<String, Value>) -> Result<Vec<String>, JwtRefusal> {
        let Some(name) = &self.groups_claim else { return Ok(Vec::new()) };
        let group = |value: &Value| match value {
            Value::String(text) if is_plain_text(text) => Ok(text.clone()),
            _ => Err(JwtRefusal::BadGroups),
        };
        match claim(claims, name) {
            Some(Value::Array(items)) if items.len() <= MOST_GROUPS => items.iter().map(group).collect(),
            Some(single @ Value::String(_)) => Ok(vec![group(single)?]),
            _ => Err(JwtRefusal::BadGroups),
        }
    }

    fn metadata(&self, claims: &Map<String, Value>) -> Result<BTreeMap<String, String>, JwtRefusal> {
        let mut metadata = BTreeMap::new();
        for (from, name) in &self.claim_mappings {
            let text = match claim(claims, from) {
                None | Some(Value::Null) => continue,
                Some(Value::String(text)) => text.clone(),
                Some(scalar @ (Value::Bool(_) | Value::Number(_))) => scalar.to_string(),
                Some(_) => return Err(JwtRefusal::BadMetadata),
            };
            if !is_plain_text(&text) {
                return Err(JwtRefusal::BadMetadata);
            }
            metadata.insert(name.clone(), text);
        }
        Ok(metadata)
    }
}

fn text_claim(claims: &Map<String, Value>, name: &str) -> Result<Option<String>, ()> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(()),
    }
}

/// A NumericDate (RFC 7519, 2), which may have a fraction; rounded towards the stricter side.
fn time_claim(claims: &Map<String, Value>, name: &str, round: fn(f64) -> f64) -> Result<Option<i64>, JwtRefusal> {
    let number = match claims.get(name) {
        None => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(JwtRefusal::Malformed),
    };
    let seconds = match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => whole,
        #[expect(clippy::cast_possible_truncation, reason = "rounded, and within the range checked below")]
        (None, Some(fraction)) if fraction.abs() < LATEST_TIME as f64 => round(fraction) as i64,
        _ => return Err(JwtRefusal::Malformed),
    };
    if (0..LATEST_TIME).contains(&seconds) { Ok(Some(seconds)) } else { Err(JwtRefusal::Malformed) }
}

/// `*` matches any run of characters, all else itself. Linear: it goes back to the last `*` only.
fn glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let (Some(first), Some(last)) = (pieces.next(), pieces.next_back()) else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@+=:-".contains(&byte))
}

/// No control or direction-changing characters, which would make one log line look like another.
fn is_plain_text(text: &str) -> bool {
    (1..=512).contains(&text.len())
        && !text.chars().any(|c| {
            c.is_control()
                || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        })
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unbound => "the role would accept any token of its issuer; set `bound_audiences`, `bound_subject` or `bound_claims`",
            Self::NoUserClaim => "the role has no `user_claim`; name the claim that identifies the caller, for example `sub`",
            Self::EmptyBound => "the role has an empty issuer, subject or audience; leave it out or give a value",
            Self::BadBoundClaim => {
                "`bound_claims` must map each claim to texts, numbers or booleans, and to texts other than `*` with globs"
            }
            Self::BadMapping => {
                "`claim_mappings` must map claims to different metadata names of letters, digits and `._@+=:-`, and not to `role`"
            }
        })
    }
}

impl std::error::Error for RulesError {}

const MOST_GROUPS: usize = 256;
/// The year 9999; later times come from milliseconds taken for seconds.
const LATEST_TIME: i64 = 253_402_300_800;

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
