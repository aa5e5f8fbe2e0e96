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
use crate::model::path::Requested;
use crate::policy::authorized::Authorized;
use crate::store::directory::Snapshot;
use crate::store::work::Work;

use super::house::House;
use super::released::Released;
use super::request::{Credential, Malformed, Request, Wanted};
use super::route::{Route, place, route, verbs_at};

/// Who is calling, with the auth token as it was shown or the SPNEGO token for a login; and the refusal of a bad credential.
struct Caller {
    who: Principal,
    shown: Option<Plaintext>,
    spnego: Option<Plaintext>,
    refused: Option<Refusal>,
}

/// Why a request goes no further.
struct Refusal {
    mount: Option<Arc<Mount>>,
    fault: Box<Fault>,
    /// What its entry says beyond that.
    reason: Option<&'static str>,
}

impl Refusal {
    fn of(mount: Option<&Arc<Mount>>, fault: Fault) -> Self {
        Self { mount: mount.cloned(), fault: Box::new(fault), reason: None }
    }

    fn because(mount: Option<&Arc<Mount>>, fault: Fault, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..Self::of(mount, fault) }
    }
}

/// An answer on its way. Boxed: the future of a request is as large as what it waits for, not as the largest of all engines.
type Answering<'a> = Pin<Box<dyn Future<Output = Released> + Send + 'a>>;

impl House {
    /// Takes a request from its decoded form to an answer whose entry is on disk.
    pub(super) async fn answer(&self, mut asked: Asked, mut request: Box<Request>) -> Released {
        // What is known before is out of scope while the answer is made, and takes no room of its future.
        let (stranger, answering) = {
            let credential = std::mem::replace(&mut request.credential, Credential::None);
            let caller = self.identify(credential, &request.peer).await;
            let stranger = caller.who.is_anonymous().then_some(request.peer.address);
            if let Some(address) = stranger
                && let Err(fault) = self.strangers.admit(address, asked.received)
            {
                return Released::unrecorded(asked.request, fault);
            }
            (stranger, self.go_on(&mut asked, *request, caller))
        };
        let released = answering.await;
        if let Some(address) = stranger {
            self.strangers.saw(address, &released);
        }
        released
    }

    fn go_on<'a>(&'a self, asked: &'a mut Asked, request: Request, mut caller: Caller) -> Answering<'a> {
        match self.understand(asked, request, &mut caller) {
            Ok(call) => self.pass_on(asked, caller.who, call),
            Err(refusal) => self.refuse(asked, caller.who, refusal),
        }
    }

    /// All that is asked of a request before an engine reads it. Waits for nothing.
    fn understand(&self, asked: &mut Asked, request: Request, caller: &mut Caller) -> Result<Call, Refusal> {
        let Request { peer, wanted, body, purpose, wrap_ttl, .. } = request;
        let snapshot = self.directory.current();
        let is_stranger = caller.who.is_anonymous();
        let Wanted { verb, path, query } = wanted.map_err(|malformed| {
            let fault = match &malformed {
                // Strangers do not learn what is there.
                Malformed::Verb(Some(path)) if !is_stranger => Fault::VerbNotAllowed(verbs_at(&snapshot, path)),
                _ => malformed_fault(malformed),
            };
            Refusal::of(None, fault)
        })?;
        asked.path = Some(self.recorded_path(&snapshot, &path));
        let found = route(&snapshot, &path, verb);
        // Whoever logs in anew may still show the token that has expired: it proves nothing, and nothing is asked of it.
        let logs_in = found.as_ref().is_some_and(|route| open_to_strangers(route.mount.kind, &route.tail));
        if let Some(refusal) = caller.refused.take().filter(|refusal| !(logs_in && *refusal.fault == Fault::Denied)) {
            return Err(refusal);
        }
        let Some(Route { mount, tail, verb }) = found else {
            let fault = match verbs_at(&snapshot, &path) {
                _ if is_stranger => Fault::Denied,
                none if none.is_empty() => Fault::not_found("no engine is mounted at this path"),
                verbs => Fault::VerbNotAllowed(verbs),
            };
            return Err(Refusal::of(None, fault));
        };
        if is_stranger && !open_to_strangers(mount.kind, &tail) {
            return Err(Refusal::because(Some(&mount), Fault::Denied, "missing"));
        }
        if let Err(fault) = self.rates.admit(snapshot.quotas(), &caller.who, peer.address, path.path.as_str(), asked.received) {
            self.counters.add(Counted::RateRefused);
            return Err(Refusal::because(Some(&mount), fault, "rate_limited"));
        }
        if wrap_ttl.is_some() {
            let fault = Fault::invalid("response wrapping is not supported yet, leave `X-Vault-Wrap-TTL` out");
            return Err(Refusal::of(Some(&mount), fault));
        }
        let read = if is_plain_text(mount.kind, &tail) { Node::of_text(&body) } else { Node::of_body(&body) };
        let body = read.map_err(|fault| Refusal::of(Some(&mount), fault))?;
        asked.verb = verb.name();
        let spnego = caller.spnego.take();
        let negotiate = (mount.kind == Kind::Kerberos).then(|| Negotiate { token: spnego, channel_binding: peer.channel_binding.to_vec() });
        let (request, now, shown) = (asked.request, asked.received, caller.shown.take());
        Ok(Call { request, now, verb, mount, tail, query, body, purpose, negotiate, shown })
    }

    /// The path as entries hold it: where it would name a data subject, the subject's keyed hash stands in its place, also when the
    /// request is refused.
    fn recorded_path(&self, snapshot: &Snapshot, wanted: &Requested) -> String {
        let hidden = match place(snapshot, wanted) {
            Some((mount, tail)) if mount.kind == Kind::Transform => self.engines.transform.recorded_path(mount, tail),
            Some((mount, tail)) if mount.kind == Kind::AuthToken => crate::engine::auth_token::recorded_path(tail),
            _ => None,
        };
        hidden.unwrap_or_else(|| wanted.path.as_str().to_owned())
    }

    fn pass_on<'a>(&'a self, asked: &'a Asked, who: Principal, call: Call) -> Answering<'a> {
        match call.mount.kind {
            Kind::System if RotateOp::answers(&call.tail) => self.perform(&self.engines.keys, asked, who, call),
            Kind::System => self.perform(&self.engines.system, asked, who, call),
            Kind::AuthToken => self.perform(&self.engines.auth_token, asked, who, call),
            Kind::Jwt | Kind::Kerberos => self.perform(&self.engines.login, asked, who, call),
            Kind::Kv => self.perform(&self.engines.kv, asked, who, call),
            Kind::Transform => self.perform(&self.engines.transform, asked, who, call),
        }
    }

    /// The pipeline, written once for every engine.
    fn perform<'a, E: Engine>(&'a self, engine: &'a E, asked: &'a Asked, who: Principal, call: Call) -> Answering<'a> {
        let (mount, now) = (Arc::clone(&call.mount), call.now);
        let (watch, verb, tail) = (Watch::begin(&call), call.verb, call.tail.clone());
        let op = match engine.parse(call) {
            Ok(op) => op,
            Err(bad) => {
                let bad = refused_verb(bad, openapi::verbs_of(mount.kind, &tail), verb);
                return self.refuse(asked, who, Refusal::of(Some(&mount), bad));
            }
        };
        let watch = watch.understood(op.action());
        match self.rules.authorize(Arc::new(who), op, now) {
            Ok(permit) => Box::pin(self.carry_out(engine, asked, permit, (mount, now), watch)),
            Err(denied) => Box::pin(async move {
                match self.recorder.refuse_denied(asked, &denied, &Fault::Denied).await {
                    Ok(receipt) => Released::recorded(asked.request, Err(Fault::Denied), receipt),
                    Err(fault) => Released::unrecorded(asked.request, fault),
                }
            }),
        }
    }

    async fn carry_out<E: Engine>(
        &self,
        engine: &E,
        asked: &Asked,
        permit: Authorized<E::Op>,
        (mount, now): (Arc<Mount>, Timestamp),
        watch: Watch,
    ) -> Released {
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
        let stranger = |refused| Caller {
            who: self.authenticator.anonymous(Some(peer.address)),
            shown: None,
            spnego: None,
            refused: Option::map(refused, |(fault, reason)| Refusal::because(None, fault, reason)),
        };
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

    fn refuse<'a>(&'a self, asked: &'a Asked, who: Principal, refusal: Refusal) -> Answering<'a> {
        Box::pin(async move {
            let Refusal { mount, fault, reason } = refusal;
            let resource = mount.map_or_else(
                || Resource::new(ResourceKind::Server, "server"),
                |mount| Resource::new(ResourceKind::Mount, mount.path.clone()),
            );
            match self.recorder.refuse(asked, &who, &resource, &fault, Facts { reason, ..Facts::default() }).await {
                Ok(receipt) => Released::recorded(asked.request, Err(*fault), receipt),
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
