//! What each verb does at a path: the table of `docs/policies.md`, for questions about rights. A request is never decided by it: its own
//! operation says what it does.

use crate::model::action::Action;
use crate::model::call::Verb;
use crate::model::fault::Fault;
use crate::model::mount::{Kind, Mount};
use crate::model::operation::{Resource, ResourceKind};
use crate::model::path::CanonicalPath;
use crate::store::control::ControlKind;
use crate::store::directory::Snapshot;

/// One thing that can be done at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine::sys) struct Candidate {
    pub verb: Verb,
    pub action: Action,
    pub resource: Resource,
}

use Action as A;
use ResourceKind as K;
use Verb::{Delete, List, Patch, Read, Write};

/// Everything that can be done at `path`. Nothing where no engine answers.
pub(in crate::engine::sys) fn candidates(snapshot: &Snapshot, path: &CanonicalPath) -> Result<Vec<Candidate>, Fault> {
    let found = snapshot.mounts().iter().find_map(|mount| path.below(&mount.path).map(|tail| (mount, tail)));
    let Some((mount, tail)) = found else { return Ok(Vec::new()) };
    let (head, rest) = tail.split_once('/').unwrap_or((tail, ""));
    match mount.kind {
        Kind::Kv => Ok(of_kv(&mount.path, head, rest)),
        Kind::Transform => of_transform(snapshot, mount, tail, head, rest),
        Kind::Jwt | Kind::Kerberos => Ok(of_login(&mount.path, tail, head)),
        Kind::AuthToken => Ok(of_auth_token(tail, head, rest)),
        Kind::System => Ok(of_system(tail, head, rest)),
    }
}

fn all(rights: &[(Verb, Action)], resource: &Resource) -> Vec<Candidate> {
    rights.iter().map(|(verb, action)| Candidate { verb: *verb, action: *action, resource: resource.clone() }).collect()
}

fn of_kv(mount: &str, head: &str, rest: &str) -> Vec<Candidate> {
    let secret = Resource::within(K::Secret, mount, rest);
    match (head, rest.is_empty()) {
        ("config", true) => all(&[(Read, A::ReadSetting), (Write, A::WriteSetting)], &Resource::within(K::Setting, mount, "config")),
        ("metadata", true) => all(&[(List, A::ListSecrets)], &secret),
        ("data", false) => {
            let rights = [(Read, A::ReadSecret), (Write, A::WriteSecret), (Patch, A::WriteSecret), (Delete, A::DeleteSecret)];
            all(&rights, &secret)
        }
        ("subkeys", false) => all(&[(Read, A::ReadSecretMetadata)], &secret),
        ("delete", false) => all(&[(Write, A::DeleteSecret)], &secret),
        ("undelete", false) => all(&[(Write, A::UndeleteSecret)], &secret),
        ("destroy", false) => all(&[(Write, A::DestroySecret)], &secret),
        ("metadata", false) => {
            let rights = [
                (Read, A::ReadSecretMetadata),
                (List, A::ListSecrets),
                (Write, A::WriteSecretMetadata),
                (Patch, A::WriteSecretMetadata),
                (Delete, A::DestroySecret),
            ];
            all(&rights, &secret)
        }
        _ => Vec::new(),
    }
}

const SETTING: &[(Verb, Action)] = &[(Read, A::ReadSetting), (Write, A::WriteSetting), (Delete, A::DeleteSetting)];
const SETTINGS: &[(Verb, Action)] = &[(List, A::ListSettings)];

fn of_transform(snapshot: &Snapshot, mount: &Mount, tail: &str, head: &str, rest: &str) -> Result<Vec<Candidate>, Fault> {
    let setting = Resource::within(K::Setting, &mount.path, &place_of_setting(snapshot, mount, tail)?);
    let role = rest.split('/').next().unwrap_or_default();
    let values = |rights: &[(Verb, Action)]| -> Result<Vec<Candidate>, Fault> {
        Ok(transformations(snapshot, mount, role)?.iter().flat_map(|resource| all(rights, resource)).collect())
    };
    let subject = |id: &str, rights: &[(Verb, Action)]| all(rights, &Resource::within(K::Subject, &mount.path, id));
    Ok(match head {
        "encode" | "redact" => values(&[(Write, A::Encode)])?,
        "decode" | "restore" => values(&[(Write, A::Decode)])?,
        "validate" | "metadata" => values(&[(Write, A::LookupPiiToken)])?,
        "tokens" | "tokenized" => values(&[(Write, A::LookupPiiToken), (Delete, A::DeletePiiToken)])?,
        "subjects" => match rest.rsplit_once('/') {
            Some((id, "export")) => subject(id, &[(Read, A::ExportSubject), (List, A::ExportSubject)]),
            Some((id, "disclosures")) => subject(id, &[(Read, A::ListDisclosures), (List, A::ListDisclosures)]),
            // The body names the person.
            _ if rest.is_empty() => subject("subjects", &[(Delete, A::EraseSubject)]),
            _ => {
                let by_body: &[(Verb, Action)] = match rest {
                    "lookup" => &[(Write, A::ReadSubject)],
                    "erase" => &[(Write, A::EraseSubject)],
                    "export" => &[(Write, A::ExportSubject)],
                    "disclosures" => &[(Write, A::ListDisclosures)],
                    _ => &[],
                };
                [subject("subjects", by_body), subject(rest, &[(Read, A::ReadSubject), (Delete, A::EraseSubject)])].concat()
            }
        },
        "tokenization" => of_transformation_keys(&mount.path, tail),
        "transformations" if rest == "tokenization/keys" || rest.starts_with("tokenization/keys/") => {
            of_transformation_keys(&mount.path, rest)
        }
        "config" => all(&[(Read, A::ReadSetting), (Write, A::WriteSetting)], &setting),
        "role" | "transformations" | "transformation" | "template" | "alphabet" => {
            [all(SETTING, &setting), all(SETTINGS, &setting)].concat()
        }
        _ => Vec::new(),
    })
}

/// Both paths of the keys stand for one setting.
fn of_transformation_keys(mount: &str, tail: &str) -> Vec<Candidate> {
    let setting = |place: &str, rights: &[(Verb, Action)]| all(rights, &Resource::within(K::Setting, mount, place));
    match tail.split('/').collect::<Vec<_>>().as_slice() {
        [_, "keys"] => setting(tail, SETTINGS),
        [_, "keys", _] => setting(tail, &[(Read, A::ReadSetting)]),
        [_, "keys", name, "rotate" | "config" | "trim"] => setting(&format!("tokenization/keys/{name}"), &[(Write, A::RotateSetting)]),
        _ => Vec::new(),
    }
}

/// The old path of a transformation stands for that of its type.
fn place_of_setting(snapshot: &Snapshot, mount: &Mount, tail: &str) -> Result<String, Fault> {
    let Some(name) = tail.strip_prefix("transformation/") else {
        return Ok(if tail == "transformation" { "transformations" } else { tail }.to_owned());
    };
    let body = snapshot.body(ControlKind::Transformation, mount.id, name)?.unwrap_or("null");
    let stored: serde_json::Value = serde_json::from_str(body).map_err(|_| Fault::Integrity("a control row cannot be read"))?;
    let kind = stored.pointer("/form/kind").and_then(serde_json::Value::as_str).unwrap_or("tokenization");
    Ok(format!("transformations/{kind}/{name}"))
}

/// The transformations of a role with their classes, as the transform engine names them to policies.
fn transformations(snapshot: &Snapshot, mount: &Mount, role: &str) -> Result<Vec<Resource>, Fault> {
    let read = |kind, name: &str| -> Result<serde_json::Value, Fault> {
        let body = snapshot.body(kind, mount.id, name)?.unwrap_or("null");
        serde_json::from_str(body).map_err(|_| Fault::Integrity("a control row cannot be read"))
    };
    let role = read(ControlKind::Role, role)?;
    let names = role.get("transformations").and_then(serde_json::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    names
        .iter()
        .filter_map(serde_json::Value::as_str)
        .map(|name| {
            let transformation = read(ControlKind::Transformation, name)?;
            let class = transformation.get("class").and_then(serde_json::Value::as_str).map(str::to_owned);
            Ok(Resource::within(K::Transformation, &mount.path, name).with_class(class))
        })
        .collect()
}

fn of_login(mount: &str, tail: &str, head: &str) -> Vec<Candidate> {
    match head {
        "login" => all(&[(Read, A::Login), (Write, A::Login)], &Resource::new(K::Mount, mount)),
        "config" | "role" | "groups" => {
            let setting = Resource::within(K::Setting, mount, tail);
            [all(SETTING, &setting), all(SETTINGS, &setting)].concat()
        }
        _ => Vec::new(),
    }
}

fn of_auth_token(tail: &str, head: &str, rest: &str) -> Vec<Candidate> {
    let token = |id: &str| Resource::new(K::AuthToken, id);
    match head {
        "lookup-self" => all(&[(Read, A::LookupSelf), (Write, A::LookupSelf)], &token("self")),
        "renew-self" => all(&[(Write, A::RenewSelf)], &token("self")),
        "revoke-self" => all(&[(Write, A::RevokeSelf)], &token("self")),
        "create" | "create-orphan" => all(&[(Write, A::CreateAuthToken)], &token(tail)),
        "lookup" | "lookup-accessor" => all(&[(Write, A::LookupAuthToken)], &token("*")),
        "renew" | "renew-accessor" => all(&[(Write, A::RenewAuthToken)], &token("*")),
        "revoke" | "revoke-accessor" | "revoke-orphan" | "tidy" => all(&[(Write, A::RevokeAuthToken)], &token("*")),
        "accessors" => all(&[(List, A::ListAuthTokens)], &token("*")),
        "roles" => {
            let setting = Resource::within(K::Setting, "auth/token", tail);
            all(if rest.is_empty() { SETTINGS } else { SETTING }, &setting)
        }
        _ => Vec::new(),
    }
}

fn of_system(tail: &str, head: &str, rest: &str) -> Vec<Candidate> {
    match head {
        "mounts" => of_mounts(rest, ""),
        "auth" => of_mounts(rest, "auth/"),
        "policy" => of_policies(rest),
        "policies" => of_policies_tree(rest),
        "accounts" => of_accounts(rest),
        "quotas" => {
            let setting = Resource::within(K::Setting, "sys", tail);
            [all(SETTING, &setting), all(SETTINGS, &setting)].concat()
        }
        "ledger" => of_ledger(rest),
        "internal" if tail == "internal/specs/openapi" => all(&[(Read, A::ReadApi)], &Resource::new(K::Mount, "*")),
        "internal" => all(&[(Read, A::ListOwnMounts)], &Resource::new(K::Mount, "*")),
        "capabilities-self" => all(&[(Write, A::ReadOwnCapabilities)], &Resource::new(K::AuthToken, "self")),
        "capabilities" | "capabilities-accessor" => all(&[(Write, A::ReadCapabilities)], &Resource::new(K::AuthToken, "*")),
        _ => of_server(tail, head),
    }
}

fn of_mounts(rest: &str, prefix: &str) -> Vec<Candidate> {
    if rest.is_empty() {
        return all(&[(Read, A::ListMounts), (List, A::ListMounts)], &Resource::new(K::Mount, "*"));
    }
    match rest.strip_suffix("/tune") {
        Some(path) => all(&[(Read, A::ReadMount), (Write, A::TuneMount)], &Resource::new(K::Mount, format!("{prefix}{path}"))),
        None => {
            let rights = [(Read, A::ReadMount), (Write, A::EnableMount), (Delete, A::DisableMount)];
            all(&rights, &Resource::new(K::Mount, format!("{prefix}{rest}")))
        }
    }
}

fn of_policies_tree(rest: &str) -> Vec<Candidate> {
    let every = Resource::new(K::Policy, "*");
    match rest {
        "load" => all(&[(Write, A::WritePolicies)], &every),
        "test" | "explain" | "who" | "convert" => all(&[(Write, A::ExplainPolicy)], &every),
        "acl" => of_policies(""),
        _ => rest.strip_prefix("acl/").map_or_else(Vec::new, of_policies),
    }
}

fn of_policies(name: &str) -> Vec<Candidate> {
    if name.is_empty() {
        return all(&[(Read, A::ListPolicies), (List, A::ListPolicies)], &Resource::new(K::Policy, "*"));
    }
    all(&[(Read, A::ReadPolicy), (Write, A::WritePolicy), (Delete, A::DeletePolicy)], &Resource::new(K::Policy, name))
}

fn of_accounts(name: &str) -> Vec<Candidate> {
    if name.is_empty() {
        return all(&[(List, A::ListAccounts)], &Resource::new(K::Account, "*"));
    }
    all(&[(Read, A::ReadAccount), (Write, A::WriteAccount), (Delete, A::DeleteAccount)], &Resource::new(K::Account, name))
}

fn of_ledger(rest: &str) -> Vec<Candidate> {
    let ledger = Resource::new(K::Ledger, "ledger");
    match rest.split('/').next().unwrap_or_default() {
        "entries" if rest == "entries" => all(&[(Read, A::ReadLedger), (List, A::ReadLedger)], &ledger),
        "entries" | "export" | "summary" => all(&[(Read, A::ReadLedger)], &ledger),
        "checkpoint" | "key" => all(&[(Read, A::VerifyLedger)], &ledger),
        "witness" => all(&[(Read, A::VerifyLedger), (Write, A::WitnessCheckpoint)], &ledger),
        "search" => all(&[(Write, A::ReadLedger)], &ledger),
        "archive" => all(&[(Read, A::VerifyLedger), (List, A::VerifyLedger), (Write, A::ArchiveLedger)], &ledger),
        "prune" => all(&[(Write, A::PruneLedger)], &ledger),
        "verify" => all(&[(Read, A::VerifyLedger), (Write, A::VerifyLedger)], &ledger),
        _ => match rest.split('/').skip(1).collect::<Vec<_>>().as_slice() {
            ["tile", "entries" | "lines", ..] => all(&[(Read, A::ReadLedger)], &ledger),
            ["tile" | "checkpoint" | "consistency", ..] => all(&[(Read, A::VerifyLedger)], &ledger),
            _ => Vec::new(),
        },
    }
}

fn of_server(tail: &str, head: &str) -> Vec<Candidate> {
    let server = |id: &str| Resource::new(K::Server, id);
    match head {
        "seal" => all(&[(Write, A::Seal)], &server("server")),
        "init" => all(&[(Read, A::ReadSealStatus), (Write, A::Init)], &server("server")),
        "unseal" => all(&[(Write, A::Unseal)], &server("server")),
        "seal-status" => all(&[(Read, A::ReadSealStatus)], &server("server")),
        "audit" => all(&[(Read, A::ReadServerStatus), (List, A::ReadServerStatus)], &server(head)),
        "health" | "leader" | "host-info" | "metrics" => all(&[(Read, A::ReadServerStatus)], &server(head)),
        "rotate" if tail == "rotate/status" => all(&[(Read, A::ReadKeyStatus)], &server("server")),
        "rotate" => all(&[(Write, A::RotateKeys)], &server("server")),
        "rekey" | "generate-root" => all(&[(Read, A::ReadKeyStatus), (Write, A::RotateKeys)], &server(head)),
        "key-status" => all(&[(Read, A::ReadKeyStatus)], &server("server")),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::openapi;

    /// Of values, what can be done depends on the role; logins and what is answered without a mount need no right of an account.
    fn is_elsewhere(kind: Kind, actions: &[A]) -> bool {
        let of_roles = [A::Encode, A::Decode, A::LookupPiiToken, A::DeletePiiToken];
        let of_pages = [A::SnapshotPiiTokens, A::RestorePiiTokens, A::ExportPiiTokens];
        actions.is_empty()
            || (kind == Kind::Transform && actions.iter().any(|action| of_roles.contains(action) || of_pages.contains(action)))
    }

    #[test]
    fn every_described_path_tells_its_capabilities() {
        let directory = openapi::usual_directory();
        let mut wrong = Vec::new();
        for (kind, verb, path, actions) in openapi::described() {
            let path = CanonicalPath::from_text(&path).expect("a path");
            let found = candidates(&directory.current(), &path).expect("candidates");
            let told = found.iter().any(|may| may.verb == verb && actions.contains(&may.action));
            if !told && !is_elsewhere(kind, actions) {
                wrong.push(format!("{} {}: {actions:?}", verb.name(), path.as_str()));
            }
        }
        assert!(wrong.is_empty(), "add to the table: {}", wrong.join("\n"));
    }
}
