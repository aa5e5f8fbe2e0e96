//! Before a house is opened, whoever was erased is erased again: a database restored from a backup may have brought their keys back.
//! And what was erased here or on another node is written down beside this one.

use std::collections::HashSet;
use std::sync::Arc;

use crate::audit::recorder::{Asked, Perform, Recorder, Running};
use crate::auth::authenticator::Authenticator;
use crate::model::action::Action;
use crate::model::change::Change;
use crate::model::clock::Clock;
use crate::model::facts::SubjectCount;
use crate::model::fault::Fault;
use crate::model::id::RequestId;
use crate::model::mount::Mount;
use crate::model::operation::{Operation, Resource, ResourceKind};
use crate::model::reply::Reply;
use crate::policy::authorized::Authorized;
use crate::policy::rules::Rules;
use crate::seal::barrier::{Barrier, fault};
use crate::seal::erasures::{Journal, JournalError};
use crate::store::Store;
use crate::store::control::SERVER;
use crate::store::erasure::{self, Erasure};
use crate::store::work::Work;

/// What the opening of a house has at hand.
pub(super) struct Opening<'a> {
    pub store: &'a Store,
    pub recorder: &'a Recorder,
    pub authenticator: &'a Authenticator,
    pub rules: &'a Rules,
    pub barrier: &'a Barrier,
    pub clock: &'a Clock,
    pub journal: Option<&'a Journal>,
}

/// The erasures to repeat, as an operation of goldfin's own.
#[derive(Debug)]
struct Again(Vec<Erasure>);

impl Operation for Again {
    fn action(&self) -> Action {
        Action::RunJob
    }

    fn resource(&self) -> Resource {
        Resource::new(ResourceKind::Server, "server")
    }
}

struct Repeat;

impl Perform<Again> for Repeat {
    fn perform<'a>(&'a self, permit: &'a Authorized<Again>, work: &'a mut Work) -> Running<'a> {
        Box::pin(repeat(&permit.op().0, work))
    }
}

async fn repeat(erasures: &[Erasure], work: &mut Work) -> Result<Reply, Fault> {
    let gone = erasure::repeat(work, erasures).await?;
    tracing::error!(alarm = "erasure", subjects = gone.len(), "the database held keys of people who were erased; they are destroyed again");
    work.facts.reason = Some("erased_again");
    work.facts.count = u64::try_from(gone.len()).ok();
    let named = |(_, subject, tokens): &(i64, [u8; 32], u64)| SubjectCount { subject: *subject, class: None, count: *tokens };
    work.facts.subjects = gone.iter().filter(|(_, _, tokens)| *tokens > 0).map(named).collect();
    work.facts.subjects.sort_unstable();
    Ok(gone.into_iter().fold(Reply::nothing(), |reply, (id, ..)| reply.then(Change::Subject(id))))
}

impl Opening<'_> {
    /// Brings the database to what this node remembers, and then this node to what the database knows.
    pub(super) async fn settle(&self) -> Result<(), Fault> {
        let known = match self.journal {
            Some(journal) => journal.read(self.barrier.control()).map_err(told)?,
            None => {
                tracing::warn!("erasures are remembered in the database alone, which a restored backup takes back; set `seal.erasures`");
                Vec::new()
            }
        };
        if erasure::came_back(self.store, &known).await? {
            self.erase_again(known.clone()).await?;
        }
        let stored = erasure::all(self.store).await?;
        let names: HashSet<(i64, [u8; 32])> = known.iter().map(|erasure| (erasure.id, erasure.hash)).collect();
        let new: Vec<Erasure> = stored.iter().filter(|erasure| !names.contains(&(erasure.id, erasure.hash))).cloned().collect();
        if let (Some(journal), false) = (self.journal, new.is_empty()) {
            journal.append(self.barrier.control(), &new).map_err(told)?;
        }
        let now = self.clock.now();
        self.barrier.erased().remember(&known, now);
        self.barrier.erased().remember(&stored, now);
        Ok(())
    }

    async fn erase_again(&self, erasures: Vec<Erasure>) -> Result<(), Fault> {
        let now = self.clock.now();
        let asked = Asked { request: RequestId::generate(now).map_err(fault)?, received: now, peer: None, verb: "start", path: None };
        let who = Arc::new(self.authenticator.job("erasures"));
        let permit = match self.rules.authorize(who, Again(erasures), now) {
            Ok(permit) => permit,
            Err(denied) => {
                self.recorder.refuse_denied(&asked, &denied, &Fault::Denied).await?;
                return Err(Fault::Denied);
            }
        };
        let mount = Arc::new(Mount::whole_server(SERVER, now));
        let new_work = || Work::new(self.store.clone(), Arc::clone(&mount), now);
        let (outcome, _) = self.recorder.around(&asked, permit, new_work, &Repeat).await?;
        outcome.map(drop)
    }
}

/// Writes down an erasure that was committed, here or elsewhere. Where that fails the next start makes up for it.
pub(super) async fn write_down(store: &Store, barrier: &Arc<Barrier>, journal: Option<&Journal>, id: i64, clock: &Clock) {
    let erasure = match erasure::find(store, id).await {
        Ok(Some(erasure)) => erasure,
        Ok(None) => return,
        Err(_) => return tracing::error!(alarm = "erasure", "an erasure cannot be read, and is written down at the next start"),
    };
    barrier.erased().remember(std::slice::from_ref(&erasure), clock.now());
    let Some(journal) = journal.cloned() else { return };
    let barrier = Arc::clone(barrier);
    let written = tokio::task::spawn_blocking(move || journal.append(barrier.control(), &[erasure])).await;
    if let Ok(Err(error)) = written {
        tracing::error!(alarm = "erasure", %error, "an erasure is not written down beside this node");
    }
}

fn told(error: JournalError) -> Fault {
    tracing::error!(alarm = "erasure", %error, "the erasures that this node remembers cannot be used");
    Fault::Unavailable("the file of erasures cannot be used; look into the server's log")
}
