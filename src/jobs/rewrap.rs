//! Moves every wrapped key under the primary after a rotation, in batches that can be killed at any place. docs/rotation.md says what
//! makes its end sound.
//!
//! It never touches data, and never mends: a key that is not what goldfin wrote at its place stays as it is, and the rotation unfinished.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use goldfin_crypto::Keyring;
use serde::Deserialize;

use crate::audit::recorder::{Perform, Running};
use crate::engine::kv::place::{SecretKeyPlace, VersionKeyPlace};
use crate::engine::login;
use crate::engine::transform::place::{SubjectKeyPlace, TransformKeyPlace};
use crate::model::action::Action;
use crate::model::change::Change;
use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::model::reply::{Answer, Reply};
use crate::policy::authorized::Authorized;
use crate::seal::rotate::{self, Rewrapped};
use crate::seal::shares::{KeyringState, Rotation};
use crate::store::control::{self, ControlKey, ControlKind};
use crate::store::rewrap::{self, Home, KeyName, Lease, Replacement, Stale, Table};
use crate::store::work::Work;

use super::{Job, JobOp, Workshop};

/// Keys in one unit of work.
const BATCH: usize = 500;

/// By then every node that can be reached has heard of a new primary. Soundness does not rest on it, only that nobody is refused.
const HEARD: Duration = Duration::from_secs(3);

/// How long a rotation rests in which only damaged keys are left.
const REST: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Default)]
pub(super) struct Rewrap {
    /// Keys looked damaged in the last pass: once more, before it is said aloud, because one may have been deleted under our eyes.
    suspected: bool,
    resting: Option<Timestamp>,
}

impl Job for Rewrap {
    const NAME: &'static str = "rewrap";
    const PERIOD: Duration = Duration::from_secs(1);

    async fn run(mut self, workshop: Workshop) -> Result<Self, Fault> {
        if self.resting.is_some_and(|until| workshop.clock.now() < until) {
            return Ok(self);
        }
        self.resting = None;
        let mut lease = None;
        loop {
            let state = rotate::read_state(&workshop.store, workshop.barrier.control()).await?;
            let Some(rotation) = state.rotation.filter(|rotation| rotation.finished.is_none()) else { return Ok(self) };
            let ring = workshop.barrier.keyring();
            if ring.primary() != rotation.to {
                return Ok(self);
            }
            if lease.is_none() {
                lease = Lease::take(&workshop.store).await?;
            }
            let Some(lease) = lease.as_mut() else { return Ok(self) };
            let mut pass = Pass::new(&workshop, ring, rotation).await?;
            pass.run(lease).await?;
            if !self.conclude(&pass).await? {
                return Ok(self);
            }
        }
    }
}

impl Rewrap {
    /// What a pass over all tables means; true when another one is to follow at once.
    async fn conclude(&mut self, pass: &Pass<'_>) -> Result<bool, Fault> {
        let (workshop, rotation) = (pass.workshop, &pass.rotation);
        if rotation.retired.is_none() {
            if workshop.clock.now() < rotation.started.plus(HEARD) {
                return Ok(pass.moved > 0);
            }
            // Also while more keys come: a node that does not hear would go on wrapping under the old version for ever.
            pass.take_step(Step::Retire).await?;
            return Ok(true);
        }
        if pass.stale > pass.damaged {
            return Ok(pass.moved > 0);
        }
        // The pass began after the older versions were retired, and all that it found is damaged, or nothing.
        if pass.damaged > 0 && !self.suspected {
            self.suspected = true;
            return Ok(false);
        }
        self.suspected = false;
        if pass.damaged == 0 {
            pass.take_step(Step::Finish).await?;
            tracing::info!(version = rotation.to, "every wrapped key is under the new version");
            return Ok(false);
        }
        self.resting = Some(workshop.clock.now().plus(REST));
        if pass.damaged != rotation.damaged {
            pass.take_step(Step::Stall { damaged: pass.damaged }).await?;
        }
        Ok(false)
    }
}

/// One walk over all tables.
struct Pass<'w> {
    workshop: &'w Workshop,
    ring: Arc<Keyring>,
    rotation: Rotation,
    wanted: KeyName,
    /// The keys to re-wrap as they were counted at the beginning.
    total: i64,
    numbers: HashMap<(MountId, String), Option<i32>>,
    stale: i64,
    moved: i64,
    damaged: i64,
}

impl<'w> Pass<'w> {
    async fn new(workshop: &'w Workshop, ring: Arc<Keyring>, rotation: Rotation) -> Result<Self, Fault> {
        let wanted = rotate::name_in_headers(rotation.to);
        let total = match rotation.total {
            Some(total) => total,
            None => rewrap::count_stale(&workshop.store, &wanted).await?,
        };
        Ok(Self { workshop, ring, rotation, wanted, total, numbers: HashMap::new(), stale: 0, moved: 0, damaged: 0 })
    }

    async fn run(&mut self, lease: &mut Lease) -> Result<(), Fault> {
        for table in Table::ALL {
            let mut after = None;
            loop {
                let stretch = rewrap::stretch(&self.workshop.store, *table, after.as_ref(), &self.wanted).await?;
                let mut stale = stretch.stale.into_iter().peekable();
                while stale.peek().is_some() {
                    let batch: Vec<Stale> = stale.by_ref().take(BATCH).collect();
                    self.move_batch(batch).await?;
                    lease.hold().await?;
                }
                lease.hold().await?;
                let Some(last) = stretch.last else { break };
                after = Some(last);
            }
        }
        self.move_settings().await
    }

    /// The control rows that hold a wrapped key; there are few.
    async fn move_settings(&mut self) -> Result<(), Fault> {
        let (store, mac) = (&self.workshop.store, self.workshop.barrier.control());
        let mut moved = 0;
        for key in rewrap::settings_with_keys(store).await? {
            let loaded = control::load(store, mac, &key).await.map_err(Fault::from);
            let rewrapped = match loaded {
                Ok(None) => continue,
                Ok(Some(row)) => login::rewrap(&self.ring, key.mount, &row.body).map(|body| body.map(|body| (row.version, body))),
                Err(fault) => Err(fault),
            };
            match rewrapped {
                Ok(None) => {}
                Ok(Some((before, body))) => {
                    self.stale += 1;
                    moved += self.take_step(Step::MoveSetting { key, before, body }).await?;
                }
                Err(Fault::Integrity(_) | Fault::Gone(_)) => {
                    self.stale += 1;
                    self.damaged += 1;
                    tracing::error!(alarm = "integrity", mount = key.mount.0, name = %key.name, "the key of a setting cannot be re-wrapped");
                }
                Err(fault) => return Err(fault),
            }
        }
        self.moved += moved;
        if moved > 0 {
            // Whoever changes a setting names the version that this node holds.
            self.workshop.directory.reload(store, mac).await?;
        }
        Ok(())
    }

    async fn move_batch(&mut self, batch: Vec<Stale>) -> Result<(), Fault> {
        let mut replacements = Vec::with_capacity(batch.len());
        for Stale { home, wrapped_key } in batch {
            self.stale += 1;
            match self.rewrapped(&home, wrapped_key.clone()).await? {
                Rewrapped::Moved(new) => replacements.push(Replacement { home, old: wrapped_key, new }),
                Rewrapped::Already => {}
                Rewrapped::Damaged => {
                    self.damaged += 1;
                    tracing::error!(
                        alarm = "integrity",
                        ?home,
                        "a wrapped key is not what goldfin wrote at this place; it is not re-wrapped"
                    );
                }
            }
        }
        if !replacements.is_empty() {
            self.moved += self.take_step(Step::Move(replacements)).await?;
        }
        Ok(())
    }

    async fn rewrapped(&mut self, home: &Home, stored: Vec<u8>) -> Result<Rewrapped, Fault> {
        match home {
            Home::Secret { mount, path } => rotate::rewrap(&self.ring, &SecretKeyPlace { mount: *mount, path }, stored),
            Home::SecretVersion { mount, path, version } => {
                rotate::rewrap(&self.ring, &VersionKeyPlace { mount: *mount, path, version: *version }, stored)
            }
            Home::TransformKey { mount, transformation, version } => {
                let Some(number) = self.number(*mount, transformation).await? else { return Ok(Rewrapped::Damaged) };
                let Ok(version) = u32::try_from(*version) else { return Ok(Rewrapped::Damaged) };
                rotate::rewrap(&self.ring, &TransformKeyPlace { mount: *mount, transformation, number, version }, stored)
            }
            Home::Subject { mount, id, hash } => rotate::rewrap(&self.ring, &SubjectKeyPlace { mount: *mount, id: *id, hash }, stored),
        }
    }

    /// The number that a transformation's keys are bound to; None where its row is missing or not honoured.
    async fn number(&mut self, mount: MountId, transformation: &str) -> Result<Option<i32>, Fault> {
        let known = (mount, transformation.to_owned());
        if let Some(number) = self.numbers.get(&known) {
            return Ok(*number);
        }
        let key = ControlKey::new(ControlKind::Transformation, mount, transformation);
        let number = match control::load(&self.workshop.store, self.workshop.barrier.control(), &key).await.map_err(Fault::from) {
            Ok(row) => row.and_then(|row| serde_json::from_str(&row.body).ok()).map(|Numbered { number }| number),
            Err(Fault::Integrity(_)) => None,
            Err(fault) => return Err(fault),
        };
        self.numbers.insert(known, number);
        Ok(number)
    }

    /// Commits one step of the rotation with its entry; gives how many keys were moved.
    async fn take_step(&self, step: Step) -> Result<i64, Fault> {
        let performer = StepOf { workshop: self.workshop, to: self.rotation.to, total: self.total, step, moved: AtomicI64::new(0) };
        self.workshop.perform(Rewrap::NAME, Action::RotateKeys, &performer).await?;
        Ok(performer.moved.load(Ordering::Relaxed))
    }
}

/// What of a transformation its keys are bound to.
#[derive(Deserialize)]
struct Numbered {
    number: i32,
}

/// One unit of work of a rotation.
enum Step {
    Move(Vec<Replacement>),
    /// One control row, where it is still of this version.
    MoveSetting {
        key: ControlKey,
        before: i64,
        body: String,
    },
    /// From here on the database refuses keys under older versions.
    Retire,
    Finish,
    /// Only damaged keys are left.
    Stall {
        damaged: i64,
    },
}

struct StepOf<'w> {
    workshop: &'w Workshop,
    to: u32,
    total: i64,
    step: Step,
    moved: AtomicI64,
}

impl Perform<JobOp> for StepOf<'_> {
    fn perform<'a>(&'a self, _: &'a Authorized<JobOp>, work: &'a mut Work) -> Running<'a> {
        Box::pin(self.run(work))
    }
}

impl StepOf<'_> {
    /// The keyring's row is locked first and by all steps, so that no two of them wait for each other in a circle.
    async fn run(&self, work: &mut Work) -> Result<Reply, Fault> {
        let mac = self.workshop.barrier.control();
        let (mut state, before) = rotate::lock_state(work, mac).await?;
        let now = work.now();
        let rotation = under_way(&mut state, self.to)?;
        let mut reply = Reply::nothing();
        work.facts.version = Some(i64::from(self.to));
        match &self.step {
            Step::Move(replacements) => {
                let moved = rewrap::replace(work, replacements).await?;
                self.count_moved(rotation, work, moved);
            }
            Step::MoveSetting { key, before, body } => {
                let there = control::lock(work, mac, key).await?;
                if there.is_some_and(|row| row.version == *before) {
                    control::put(work, mac, key, *before, body).await?;
                    self.count_moved(rotation, work, 1);
                    reply = reply.then(Change::Directory);
                }
            }
            Step::Retire => {
                let primary = i32::try_from(self.to).map_err(|_| Fault::Internal("keyring"))?;
                rewrap::retire(work, primary).await?;
                rotation.retired = Some(now);
            }
            Step::Finish => {
                rotation.damaged = 0;
                rotation.finished = Some(now);
            }
            Step::Stall { damaged } => {
                rotation.damaged = *damaged;
                work.facts.count = u64::try_from(*damaged).ok();
                work.facts.reason = Some("integrity");
                // A failure that is remembered: the status says how many keys are damaged.
                reply = Reply::new(Answer::Status(500, Node::Null));
            }
        }
        rotate::put_state(work, mac, before, &state).await?;
        Ok(reply)
    }

    fn count_moved(&self, rotation: &mut Rotation, work: &mut Work, moved: u64) {
        work.facts.count = Some(moved);
        let moved = i64::try_from(moved).unwrap_or(i64::MAX);
        self.moved.store(moved, Ordering::Relaxed);
        rotation.total.get_or_insert(self.total);
        rotation.done = rotation.done.saturating_add(moved);
    }
}

fn under_way(state: &mut KeyringState, to: u32) -> Result<&mut Rotation, Fault> {
    state
        .rotation
        .as_mut()
        .filter(|rotation| rotation.to == to && rotation.finished.is_none())
        .ok_or(Fault::Invalid("the rotation ended or another one began meanwhile".into()))
}
