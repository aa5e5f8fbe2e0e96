//! The keyring from outside: `sys/rotate`, `sys/rotate/status` and `sys/key-status`. Below `sys`, so the system engine hands these
//! paths on. It never shows a key, wrapped or not.

use crate::audit::recorder::Running;
use crate::model::action::Action;
use crate::model::call::{Call, Verb};
use crate::model::change::Change;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::operation::{Operation, Resource, ResourceKind};
use crate::model::reply::{Answer, Reply};
use crate::policy::authorized::Authorized;
use crate::seal::barrier::Barrier;
use crate::seal::rotate;
use crate::seal::shares::{KeyringState, Rotation};
use crate::store::keyring::{self, KekRow};
use crate::store::work::Work;

use super::{Engine, Tools};

/// What can be asked of the keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotateOp {
    /// A new primary; what the old versions wrap is re-wrapped in the background.
    Rotate,
    /// The versions, and how far the re-wrapping is.
    Status,
    /// The primary as Vault's API describes it.
    KeyStatus,
}

impl RotateOp {
    /// Whether this engine answers a path below `sys`.
    #[must_use]
    pub fn answers(tail: &str) -> bool {
        matches!(tail, "rotate" | "rotate/status" | "key-status")
    }

    pub fn parse(mut call: Call) -> Result<Self, Fault> {
        match (call.tail.as_str(), call.verb) {
            ("rotate", Verb::Write) => {
                call.members()?.finish(&[])?;
                Ok(Self::Rotate)
            }
            ("rotate/status", Verb::Read) => Ok(Self::Status),
            ("key-status", Verb::Read) => Ok(Self::KeyStatus),
            (tail, _) if Self::answers(tail) => Err(Fault::WrongVerb),
            _ => Err(Fault::not_found("there is nothing at this path")),
        }
    }

    /// Performs a permitted operation of this kind.
    pub async fn run(self, barrier: &Barrier, work: &mut Work) -> Result<Reply, Fault> {
        match self {
            Self::Rotate => {
                let version = rotate::rotate(work, barrier).await?;
                work.facts.version = Some(i64::from(version));
                Ok(Reply::nothing().then(Change::Keyring))
            }
            Self::Status => {
                let state = rotate::read_state(work.store(), barrier.control()).await?;
                let rows = keyring::load_keks(work.store()).await?;
                work.facts.version = Some(i64::from(state.primary));
                Ok(Reply::data(status(&state, &rows, work)))
            }
            Self::KeyStatus => {
                let state = rotate::read_state(work.store(), barrier.control()).await?;
                let rows = keyring::load_keks(work.store()).await?;
                work.facts.version = Some(i64::from(state.primary));
                Ok(Reply::new(Answer::Table(key_status(&state, &rows, barrier))))
            }
        }
    }
}

impl Operation for RotateOp {
    fn action(&self) -> Action {
        match self {
            Self::Rotate => Action::RotateKeys,
            Self::Status | Self::KeyStatus => Action::ReadKeyStatus,
        }
    }

    fn resource(&self) -> Resource {
        Resource::new(ResourceKind::Server, "server")
    }
}

#[derive(Debug)]
pub struct Rotate {
    tools: Tools,
}

impl Rotate {
    #[must_use]
    pub fn new(tools: Tools) -> Self {
        Self { tools }
    }
}

impl Engine for Rotate {
    type Op = RotateOp;

    fn parse(&self, call: Call) -> Result<RotateOp, Fault> {
        RotateOp::parse(call)
    }

    fn run<'a>(&'a self, permit: &'a Authorized<RotateOp>, work: &'a mut Work) -> Running<'a> {
        Box::pin(permit.op().run(&self.tools.barrier, work))
    }
}

fn status(state: &KeyringState, rows: &[KekRow], work: &Work) -> Node {
    let versions = state.states.iter().map(|(version, word)| {
        let row = row_of(rows, *version);
        Node::object([
            ("version", Node::whole(i64::from(*version))),
            ("state", Node::text(word.as_str())),
            ("created", Node::text_or_null(row.map(|row| row.created.to_rfc3339()))),
            ("retired", Node::text_or_null(row.and_then(|row| row.retired).map(|at| at.to_rfc3339()))),
        ])
    });
    let rotation = state.rotation.as_ref();
    let remaining = rotation.map_or(0, Rotation::remaining);
    let total = rotation.map_or(0, |rotation| rotation.total.unwrap_or(0).max(rotation.done));
    Node::object([
        ("primary", Node::whole(i64::from(state.primary))),
        ("versions", Node::List(versions.collect())),
        ("total", Node::whole(total)),
        ("remaining", Node::whole(remaining)),
        ("rotation", rotation.map_or(Node::Null, |rotation| progress(rotation, total, work))),
    ])
}

fn progress(rotation: &Rotation, total: i64, work: &Work) -> Node {
    Node::object([
        ("to", Node::whole(i64::from(rotation.to))),
        ("started", Node::text(rotation.started.to_rfc3339())),
        ("done", Node::whole(rotation.done)),
        ("total", Node::whole(total)),
        ("per_second", Node::whole(rotation.per_second(work.now()))),
        ("damaged", Node::whole(rotation.damaged)),
        ("finished", Node::text_or_null(rotation.finished.map(|at| at.to_rfc3339()))),
    ])
}

fn key_status(state: &KeyringState, rows: &[KekRow], barrier: &Barrier) -> Vec<(String, Node)> {
    let installed = row_of(rows, state.primary).map(|row| row.created.to_rfc3339());
    let ring = barrier.keyring();
    let uses = ring.versions().iter().find(|version| version.number() == state.primary).map_or(0, |version| version.uses());
    vec![
        ("term".to_owned(), Node::whole(i64::from(state.primary))),
        ("install_time".to_owned(), Node::text_or_null(installed)),
        ("encryptions".to_owned(), Node::whole(i64::try_from(uses).unwrap_or(i64::MAX))),
    ]
}

fn row_of(rows: &[KekRow], version: u32) -> Option<&KekRow> {
    rows.iter().find(|row| u32::try_from(row.version) == Ok(version))
}
