//! The one path: who, where, what, may they, work, commit, release. Each step's result is the next step's argument.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use goldfin_crypto::Plaintext;

use crate::audit::recorder::Asked;
use crate::auth::principal::Principal;
use crate::engine::keys::RotateOp;
use crate::engine::openapi::{self, watch::Watch};
use crate::engine::{Engine, Performer};
use crate::model::call::{Call, Negotiate, Verb};
use crate::model::clock::Timestamp;
use crate::model::counters::Counted;
use crate::model::document::Node;
use crate::model::facts::Facts;
use crate::model::fault::Fault;
use crate::model::mount::{Kind, Mount};
use crate::model::operation::{Operation, Resource, ResourceKind};
use crate::store::directory::Snapshot;
use crate::store::work::Work;

use super::house::House;
use super::released::Released;
use super::request::{Credential, Malformed, Request, Wanted};
use super::route::{Route, route, verbs_at};

/// Who is calling, with the auth token as it was shown or the SPNEGO token for a login; and the refusal of a bad credential.
struct Caller {
    who: Principal,
    shown: Option<Plaintext>,
    spnego: Option<Plaintext>,
    refused: Option<(Fault, &'static str)>,
}

impl House {
    /// Takes a request from its decoded form to an answer whose entry is on disk.
    pub(super) async fn answer(&self, asked: Asked, mut request: Request) -> Released {
        let credential = std::mem::replace(&mut request.credential, Credential::None);
        let address = request.peer.address;
        let caller = self.identify(credential, &request.peer).await;
        if !caller.who.is_anonymous() {
            return self.answer_caller(asked, request, caller).await;
        }
        if let Err(fault) = self.strangers.admit(address, asked.received) {
            return Released::unrecorded(asked.request, fault);
        }
        let released = self.answer_caller(asked, request, caller).await;
        self.strangers.saw(address, &released);
        released
    }

    async fn answer_caller(&self, mut asked: Asked, request: Request, caller: Caller) -> Released {
        let Request { peer, wanted, body, purpose, wrap_ttl, .. } = request;
        let Caller { who, shown, spnego, refused } = caller;
        let snapshot = self.directory.current();
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(malformed) => {
                let fault = match &malformed {
                    // Strangers do not learn what is there.
                    Malformed::Verb(Some(path)) if !who.is_anonymous() => Fault::VerbNotAllowed(verbs_at(&snapshot, path)),
                    _ => malformed_fault(malformed),
                };
                return self.refuse(&asked, &who, None, fault, Facts::default()).await;
            }
        };
        asked.path = Some(self.recorded_path(&snapshot, &wanted));
        let Wanted { verb, path, query } = wanted;
        let found = route(&snapshot, &path, verb);
        // Whoever logs in anew may still show the token that has expired: it proves nothing, and nothing is asked of it.
        let logs_in = found.as_ref().is_some_and(|route| open_to_strangers(route.mount.kind, &route.tail));
        if let Some((fault, reason)) = refused.filter(|(fault, _)| !(logs_in && *fault == Fault::Denied)) {
            return self.refuse(&asked, &who, None, fault, Facts { reason: Some(reason), ..Facts::default() }).await;
        }
        let Some(Route { mount, tail, verb }) = found else {
            let fault = match verbs_at(&snapshot, &path) {
                _ if who.is_anonymous() => Fault::Denied,
                none if none.is_empty() => Fault::not_found("no engine is mounted at this path"),
                verbs => Fault::VerbNotAllowed(verbs),
            };
            return self.refuse(&asked, &who, None, fault, Facts::default()).await;
        };
        if who.is_anonymous() && !open_to_strangers(mount.kind, &tail) {
            return self.refuse(&asked, &who, Some(&mount), Fault::Denied, Facts { reason: Some("missing"), ..Facts::default() }).await;
        }
        if let Err(fault) = self.rates.admit(snapshot.quotas(), &who, peer.address, path.path.as_str(), asked.received) {
            self.counters.add(Counted::RateRefused);
            return self.refuse(&asked, &who, Some(&mount), fault, Facts { reason: Some("rate_limited"), ..Facts::default() }).await;
        }
        if wrap_ttl.is_some() {
            let fault = Fault::invalid("response wrapping is not supported yet, leave `X-Vault-Wrap-TTL` out");
            return self.refuse(&asked, &who, Some(&mount), fault, Facts::default()).await;
        }
        let read = if is_plain_text(mount.kind, &tail) { Node::of_text(&body) } else { Node::of_body(&body) };
        let body = match read {
            Ok(node) => node,
            Err(fault) => return self.refuse(&asked, &who, Some(&mount), fault, Facts::default()).await,
        };
        asked.verb = verb.name();
        let negotiate = (mount.kind == Kind::Kerberos).then(|| Negotiate { token: spnego, channel_binding: peer.channel_binding.to_vec() });
        let call = Call {
            request: asked.request,
            now: asked.received,
            verb,
            mount: Arc::clone(&mount),
            tail,
            query,
            body,
            purpose,
            negotiate,
            shown,
        };
        // Boxed: the future of a request is as large as what it waits for, not as the largest of all engines.
        match mount.kind {
            Kind::System if RotateOp::answers(&call.tail) => Box::pin(self.perform(&self.engines.keys, &asked, who, call)).await,
            Kind::System => Box::pin(self.perform(&self.engines.system, &asked, who, call)).await,
            Kind::AuthToken => Box::pin(self.perform(&self.engines.auth_token, &asked, who, call)).await,
            Kind::Jwt | Kind::Kerberos => Box::pin(self.perform(&self.engines.login, &asked, who, call)).await,
            Kind::Kv => Box::pin(self.perform(&self.engines.kv, &asked, who, call)).await,
            Kind::Transform => Box::pin(self.perform(&self.engines.transform, &asked, who, call)).await,
        }
    }

    /// The path as entries hold it: where it would name a data subject, the subject's keyed hash stands in its place, also when the
    /// request is refused.
    fn recorded_path(&self, snapshot: &Snapshot, wanted: &Wanted) -> String {
        let path = wanted.path.path.as_str();
        let hidden = match route(snapshot, &wanted.path, Verb::Read) {
            Some(Route { mount, tail, .. }) if mount.kind == Kind::Transform => self.engines.transform.recorded_path(&mount, &tail),
            Some(Route { mount, tail, .. }) if mount.kind == Kind::AuthToken => crate::engine::auth_token::recorded_path(&tail),
            _ => None,
        };
        hidden.unwrap_or_else(|| path.to_owned())
    }

    /// The pipeline, written once for every engine.
    async fn perform<E: Engine>(&self, engine: &E, asked: &Asked, who: Principal, call: Call) -> Released {
        let (mount, now) = (Arc::clone(&call.mount), call.now);
        let (watch, verb, tail) = (Watch::begin(&call), call.verb, call.tail.clone());
        let op = match engine.parse(call) {
            Ok(op) => op,
            Err(bad) => {
                let bad = refused_verb(bad, openapi::verbs_of(mount.kind, &tail), verb);
                return self.refuse(asked, &who, Some(&mount), bad, Facts::default()).await;
            }
        };
        let watch = watch.understood(op.action());
        let permit = match self.rules.authorize(Arc::new(who), op, now) {
            Ok(permit) => permit,
            Err(denied) => {
                return match Box::pin(self.recorder.refuse_denied(asked, &denied, &Fault::Denied)).await {
                    Ok(receipt) => Released::recorded(asked.request, Err(Fault::Denied), receipt),
                    Err(fault) => Released::unrecorded(asked.request, fault),
                };
            }
        };
        let new_work = || Work::new(self.store.clone(), Arc::clone(&mount), now);
        match self.recorder.around(asked, permit, new_work, &Performer(engine)).await {
            Ok((outcome, receipt)) => {
                if let Ok(reply) = &outcome
                    && !reply.after.is_empty()
                {
                    Box::pin(self.apply(&reply.after)).await;
                }
                watch.answered(&outcome);
                Released::recorded(asked.request, outcome, receipt)
            }
            Err(fault) => {
                if fault == Fault::OutcomeUnknown {
                    self.mistrust();
                }
                Released::unrecorded(asked.request, fault)
            }
        }
    }

    async fn identify(&self, credential: Credential, peer: &super::request::Peer) -> Caller {
        let stranger = |refused| Caller { who: self.authenticator.anonymous(Some(peer.address)), shown: None, spnego: None, refused };
        match credential {
            Credential::None => stranger(None),
            Credential::Negotiate(token) => Caller { spnego: Some(token), ..stranger(None) },
            Credential::Ambiguous => stranger(Some((Fault::invalid("show exactly one credential"), "ambiguous_credential"))),
            Credential::AuthToken(shown) => match self.authenticator.principal(Some(&shown), Some(peer.address)).await {
                Ok(who) => Caller { who, shown: Some(shown), spnego: None, refused: None },
                Err(refused) => stranger(Some((refused.fault, refused.reason))),
            },
        }
    }

    /// Boxed, like what is rare elsewhere: a request that is answered is not to pay for its size.
    fn refuse<'a>(
        &'a self,
        asked: &'a Asked,
        who: &'a Principal,
        mount: Option<&'a Mount>,
        fault: Fault,
        facts: Facts,
    ) -> Pin<Box<dyn Future<Output = Released> + Send + 'a>> {
        Box::pin(async move {
            let resource = mount.map_or_else(
                || Resource::new(ResourceKind::Server, "server"),
                |mount| Resource::new(ResourceKind::Mount, mount.path.clone()),
            );
            match self.recorder.refuse(asked, who, &resource, &fault, facts).await {
                Ok(receipt) => Released::recorded(asked.request, Err(fault), receipt),
                Err(fault) => Released::unrecorded(asked.request, fault),
            }
        })
    }
}

/// What an engine refuses because of the verb, with the verbs that the path has.
fn refused_verb(fault: Fault, verbs: Vec<Verb>, verb: Verb) -> Fault {
    let other = matches!(fault, Fault::NotFound(_)) && !verbs.is_empty() && !verbs.contains(&verb);
    if other || fault == Fault::WrongVerb { Fault::VerbNotAllowed(verbs) } else { fault }
}

/// Where a caller without auth token gets as far as a parse: logins, and ledgers that prove themselves by their signature. Everything else
/// is refused alike, whatever is there.
fn open_to_strangers(kind: Kind, tail: &str) -> bool {
    kind.is_login() && (tail == "login" || tail.starts_with("login/")) || is_plain_text(kind, tail)
}

/// Where the body is text of another's protocol (C2SP tlog-witness).
fn is_plain_text(kind: Kind, tail: &str) -> bool {
    kind == Kind::System && tail == "ledger/witness/add-checkpoint"
}

pub(super) fn malformed_fault(malformed: Malformed) -> Fault {
    match malformed {
        Malformed::Path(refusal) => Fault::invalid(refusal.0),
        Malformed::Header(what) => Fault::invalid(what),
        Malformed::Verb(_) => Fault::WrongVerb,
        Malformed::BodyTooLarge => Fault::TooLarge("the body is too large for this path"),
        Malformed::BodyIncomplete => Fault::invalid("the body did not arrive whole"),
    }
}

/// The verb of a request that may be malformed, for its entry.
pub(super) fn verb_name(request: &Request) -> &'static str {
    request.wanted.as_ref().map_or("unknown", |wanted| Verb::name(wanted.verb))
}

/// What the entry of a request begins with.
pub(super) fn asked(request: &Request, id: crate::model::id::RequestId, received: Timestamp) -> Asked {
    Asked { request: id, received, peer: Some(request.peer.address), verb: verb_name(request), path: None }
}
