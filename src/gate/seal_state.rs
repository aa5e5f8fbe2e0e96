//! What can be said and done about the seal from outside: its state, `init` and `unseal`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldfin_crypto::{Key, Share};

use crate::audit::entry::{Decision, Draft, EntryKind};
use crate::audit::recorder::Asked;
use crate::engine::Performer;
use crate::engine::init::{self, Init};
use crate::model::action::Action;
use crate::model::call::{Call, Verb};
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::{MountId, RequestId};
use crate::model::members::Members;
use crate::model::mount::Mount;
use crate::model::path::Requested;
use crate::model::reply::{Answer, Reply};
use crate::policy::compile::Compiled;
use crate::policy::rules::Rules;
use crate::seal::barrier::{Barrier, control_key, fault};
use crate::seal::shares::{self, KEYRING_ROW, KeyringState};
use crate::store::control::{ControlKey, ControlKind, SERVER};
use crate::store::keyring::SealRow;
use crate::store::work::Work;
use crate::store::{Store, control, keyring};

use super::released::Released;
use super::request::Request;
use super::{Founding, Gate, is_path};

/// What `sys/seal-status` and `sys/health` say. Nothing secret.
#[derive(Debug, Clone, Default)]
pub struct SealState {
    pub initialised: bool,
    pub sealed: bool,
    pub shares: u8,
    pub threshold: u8,
    pub progress: u8,
    /// Names the attempt to unseal that is under way.
    pub nonce: String,
    pub cluster_id: String,
    pub cluster_name: String,
    /// The public key of the ledger's checkpoints; known while unsealed.
    pub ledger_key: Option<String>,
}

/// The operations that are there while sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Init,
    Unseal,
}

impl Door {
    pub(super) fn of(path: &Requested, verb: Verb) -> Option<Self> {
        if verb != Verb::Write {
            return None;
        }
        if is_path(path, "sys/init") {
            Some(Self::Init)
        } else if is_path(path, "sys/unseal") {
            Some(Self::Unseal)
        } else {
            None
        }
    }
}

/// Opens everything behind the seal with the unseal key.
pub(super) async fn open_barrier(store: &Store, seal: &SealRow, key: Key) -> Result<Barrier, Fault> {
    let root = shares::open_root(seal, key)?;
    let barrier_key = shares::open_barrier_key(seal, &root)?;
    let mac = control_key(&barrier_key);
    let row = control::load(store, &mac, &ControlKey::new(ControlKind::Keyring, SERVER, KEYRING_ROW)).await?;
    let row = row.ok_or(Fault::Integrity("the keyring's row is missing"))?;
    let state: KeyringState = serde_json::from_str(&row.body).map_err(|_| Fault::Integrity("the keyring's row cannot be read"))?;
    shares::open_barrier(root, &barrier_key, &state, &keyring::load_keks(store).await?)
}

impl Gate {
    #[must_use]
    pub fn seal_state(&self) -> SealState {
        let seal = self.seal.load_full();
        let progress = self.progress.lock();
        SealState {
            initialised: seal.is_some(),
            sealed: self.house.load().is_none(),
            shares: seal.as_ref().map_or(0, |row| u8::try_from(row.shares).unwrap_or(0)),
            threshold: seal.as_ref().map_or(0, |row| u8::try_from(row.threshold).unwrap_or(0)),
            progress: u8::try_from(progress.count()).unwrap_or(u8::MAX),
            nonce: progress.nonce.clone(),
            cluster_id: seal.as_ref().map(|row| row.cluster_id.to_string()).unwrap_or_default(),
            cluster_name: seal.as_ref().map(|row| row.cluster_name.clone()).unwrap_or_default(),
            ledger_key: self.house.load().as_ref().map(|house| house.ledger_key()),
        }
    }

    pub(super) async fn at_the_door(self: Arc<Self>, door: Door, asked: Asked, request: Box<Request>) -> Released {
        let body = Node::of_body(&request.body);
        match door {
            Door::Init => {
                let outcome = match body {
                    Ok(body) => self.init(&asked, body).await,
                    Err(fault) => Err(fault),
                };
                match outcome {
                    Ok(released) => released,
                    Err(fault) => self.note(asked, Action::Init, Err(fault)).await,
                }
            }
            Door::Unseal => {
                let outcome = match body.and_then(Members::new) {
                    Ok(members) => self.unseal(members).await,
                    Err(fault) => Err(fault),
                };
                self.note(asked, Action::Unseal, outcome).await
            }
        }
    }

    /// Records an attempt: in the ledger where it is open, else in memory until it is.
    async fn note(&self, asked: Asked, action: Action, outcome: Result<Reply, Fault>) -> Released {
        let draft = attempt(&asked, action, &outcome);
        match self.house.load_full() {
            Some(house) => match house.recorder.note(draft).await {
                Ok(receipt) => Released::recorded(asked.request, outcome, receipt),
                Err(fault) => Released::unrecorded(asked.request, fault),
            },
            None => Released::deferred(asked.request, outcome, self.attempts.note(draft)),
        }
    }

    async fn init(self: &Arc<Self>, asked: &Asked, body: Node) -> Result<Released, Fault> {
        let _moving = self.moving.lock().await;
        let founding = self.founding.clone();
        let Founding { store, key_file, .. } = founding.clone();
        if keyring::read_seal(&store).await?.is_some() {
            return Err(Fault::invalid("goldfin is already initialised"));
        }
        let call = call_of(asked, body);
        let mount = Arc::clone(&call.mount);
        let op = init::parse(call)?;
        let cluster = RequestId::generate(asked.received).map_err(fault)?;
        let made = shares::make(op.shares, op.threshold, cluster.as_uuid(), asked.received).map_err(fault)?;
        if let Some(path) = &key_file {
            crate::seal::key_file::write(path, &made.unseal_key).map_err(|error| {
                tracing::error!(%error, "the key file cannot be written");
                Fault::Unavailable("the key file cannot be written; look into the server's log")
            })?;
        }
        let seal = made.seal.clone();
        let (recorder, writer) = super::opening::open_ledger(&founding, &made.barrier).await?;
        self.attempts.record(&recorder).await;
        let rules = Rules::new(Compiled::new(&[]).map_err(|_| Fault::Internal("base policies"))?);
        let engine = Init::new(made)?;
        let who = Arc::new(crate::auth::principal::Principal::anonymous(asked.peer));
        let permit = rules.authorize(who, op, asked.received).map_err(|_| Fault::Denied)?;
        let new_work = || Work::new(store.clone(), Arc::clone(&mount), asked.received);
        let done = recorder.around(asked, permit, new_work, &Performer(&engine)).await;
        drop(recorder);
        drop(tokio::task::spawn_blocking(move || writer.join()).await);
        let released = match done {
            Ok((outcome, receipt)) => Released::recorded(asked.request, outcome, receipt),
            Err(fault) => Released::unrecorded(asked.request, fault),
        };
        if released.is_granted() {
            self.seal.store(Some(Arc::new(seal)));
        } else if let Some(path) = &key_file {
            drop(std::fs::remove_file(path));
        }
        Ok(released)
    }

    async fn unseal(self: &Arc<Self>, mut members: Members) -> Result<Reply, Fault> {
        let reset = members.flag("reset")?.unwrap_or(false);
        let key = members.credential("key")?;
        members.finish(&["migrate"])?;
        if reset {
            self.progress.lock().reset();
            return Ok(self.status());
        }
        let Some(key) = key else { return Err(Fault::invalid("`key` is missing: a share of the unseal key, in hexadecimal or base64")) };
        if self.seal.load().is_none() {
            // Another node may have initialised since this one started.
            self.seal.store(keyring::read_seal(&self.founding.store).await?.map(Arc::new));
        }
        if self.house.load().is_some() {
            return Ok(self.status());
        }
        let share = decode_share(&key).ok_or_else(|| {
            self.progress.lock().reset();
            shares::wrong_shares()
        })?;
        if let Some(key) = self.take_share(share)? {
            self.unseal_with(key).await?;
        }
        Ok(self.status())
    }

    fn status(&self) -> Reply {
        let state = self.seal_state();
        Reply::new(Answer::Bare(Node::object([
            ("type", Node::text("shamir")),
            ("initialized", Node::Bool(state.initialised)),
            ("sealed", Node::Bool(state.sealed)),
            ("t", Node::whole(i64::from(state.threshold))),
            ("n", Node::whole(i64::from(state.shares))),
            ("progress", Node::whole(i64::from(state.progress))),
            ("nonce", Node::text(state.nonce)),
            ("version", Node::text(env!("CARGO_PKG_VERSION"))),
            ("build_date", Node::text("")),
            ("migration", Node::Bool(false)),
            ("cluster_name", Node::text(state.cluster_name)),
            ("cluster_id", Node::text(state.cluster_id)),
            ("recovery_seal", Node::Bool(false)),
            ("storage_type", Node::text("postgresql")),
            ("ledger_key", Node::text_or_null(state.ledger_key)),
        ])))
    }
}

/// Vault's clients send shares in hexadecimal or base64; 33 bytes either way.
fn decode_share(text: &str) -> Option<Share> {
    let text = text.trim();
    let bytes = if text.len() == 66 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).filter_map(|d| u8::try_from(d).ok()).collect();
        goldfin_crypto::Zeroizing::new(
            digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect::<Vec<u8>>(),
        )
    } else {
        goldfin_crypto::Zeroizing::new(STANDARD.decode(text).ok()?)
    };
    Share::from_bytes(&bytes).ok()
}

fn attempt(asked: &Asked, action: Action, outcome: &Result<Reply, Fault>) -> Draft {
    Draft {
        kind: EntryKind::Request,
        request: asked.request,
        received: asked.received,
        account: "anonymous".to_owned(),
        method: "none".to_owned(),
        accessor: None,
        peer: asked.peer,
        verb: asked.verb,
        action,
        resource: "Server:server".to_owned(),
        path: asked.path.clone(),
        decision: if outcome.is_ok() { Decision::Granted } else { Decision::Failed },
        policies: Vec::new(),
        policy_set: None,
        denied_because: None,
        status: outcome.as_ref().map_or_else(Fault::status, Reply::status),
        facts: Box::default(),
        changes: Vec::new(),
    }
}

/// Before there are mounts, `sys` is one of ours.
fn call_of(asked: &Asked, body: Node) -> Call {
    let mount = Mount::whole_server(MountId(1), asked.received);
    Call {
        request: asked.request,
        now: asked.received,
        verb: Verb::Write,
        mount: Arc::new(mount),
        tail: "init".to_owned(),
        query: crate::model::call::Query::default(),
        body,
        purpose: None,
        negotiate: None,
        shown: None,
    }
}
