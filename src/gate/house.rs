//! Everything that exists only while unsealed. Dropping it zeroizes the keys and ends the ledger's writer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use goldfin_ledger::note::LogKey;
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;

use crate::audit::recorder::{Recorder, WriterThread};
use crate::auth::authenticator::Authenticator;
use crate::engine::Tools;
use crate::engine::auth_token::AuthTokens;
use crate::engine::keys::Rotate;
use crate::engine::kv::Kv;
use crate::engine::login::Login;
use crate::engine::sys::System;
use crate::engine::transform::Transform;
use crate::model::change::Change;
use crate::model::clock::{self, Clock};
use crate::model::counters::Counters;
use crate::model::fault::Fault;
use crate::model::id::StreamId;
use crate::policy::compile::Compiled;
use crate::policy::rules::Rules;
use crate::policy::source::PolicySource;
use crate::seal::barrier::Barrier;
use crate::seal::erasures::Journal;
use crate::seal::shares::{self, KEYRING_ROW, KeyringState};
use crate::store::control::{ControlKind, SERVER};
use crate::store::directory::Directory;
use crate::store::{Store, keyring, ledger, ledger_months};

use super::opening::open_ledger;
use super::rates::Rates;
use super::strangers::Strangers;
use super::{Founding, Workshop};

/// How often the other streams are asked for changes. Half of the second that promise 5 grants.
const FEED: Duration = Duration::from_millis(400);

/// How long a reading of the other streams may take: it holds the house, which a seal waits for.
const FEED_PATIENCE: Duration = Duration::from_secs(5);

/// How long a commit may still come to an end after its connection died: twice the timeout of statements.
const DOUBT: Duration = Duration::from_secs(60);

pub struct House {
    pub(super) store: Store,
    pub(super) recorder: Recorder,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) rules: Arc<Rules>,
    pub(super) directory: Arc<Directory>,
    pub(super) engines: Engines,
    pub(super) strangers: Arc<Strangers>,
    pub(super) rates: Rates,
    pub(super) counters: Arc<Counters>,
    barrier: Arc<Barrier>,
    ledger_key: String,
    erasures: Option<Journal>,
    clock: Clock,
    writer: Mutex<Option<WriterThread>>,
    /// Told when a change says that this node is to be sealed.
    sealing: tokio::sync::watch::Sender<bool>,
    /// What works beside the requests; dropped before the writer is waited for.
    companions: Mutex<Option<Box<dyn Send + Sync>>>,
    /// Where the streams ended before the directory was read: the feed begins there.
    seen: HashMap<i32, i64>,
    /// What is in memory may be older than the database.
    doubt: Doubt,
}

/// Whether what is in memory may be older than the database: a reading failed, or the outcome of a commit is unknown. It is then read
/// anew until it cannot be any more.
#[derive(Debug, Default)]
struct Doubt {
    directory: AtomicBool,
    keyring: AtomicBool,
    until: Mutex<Option<tokio::time::Instant>>,
    /// One reload at a time: one that was overtaken must not put older policies or keys back.
    reloading: AsyncMutex<()>,
}

impl Doubt {
    fn is_on(&self) -> bool {
        let mut until = self.until.lock();
        if until.is_some_and(|end| clock::instant() >= end) {
            *until = None;
        }
        until.is_some() || self.directory.load(Ordering::Relaxed) || self.keyring.load(Ordering::Relaxed)
    }
}

/// One of each kind. The exhaustive match in `perform` is the checklist of whoever adds one.
pub(super) struct Engines {
    pub system: System,
    pub auth_token: AuthTokens,
    pub login: Login,
    pub kv: Kv,
    pub transform: Transform,
    /// Below `sys`, and an engine of its own.
    pub keys: Rotate,
}

impl House {
    /// Opens the ledger's stream, the directory and the policies behind a barrier.
    pub(super) async fn open(founding: Founding, barrier: Barrier) -> Result<Self, Fault> {
        let barrier = Arc::new(barrier);
        let ledger_key = LogKey::new(barrier.checkpoint()?.verifying_key()).to_line();
        let Founding { store, access, erasures, clock, companions, strangers, shipping, .. } = founding.clone();
        if let Some(newest) = ledger::newest_time(&store).await? {
            clock.not_before(newest);
        }
        if let Err(error) = ledger_months::make(&store, clock.now()).await {
            tracing::warn!(?error, "the ledger's months cannot be made ahead now, it is tried again");
        }
        // Before the directory is read, so that no change falls between the two.
        let seen = ledger::positions(&store).await?;
        let directory = Arc::new(Directory::open(&store, barrier.control()).await?);
        let rules = Arc::new(Rules::new(compile(&directory)?));
        let (recorder, writer) = open_ledger(&founding, &barrier).await?;
        let counters = Arc::new(Counters::default());
        let tools = Tools { barrier: Arc::clone(&barrier), directory: Arc::clone(&directory), counters: Arc::clone(&counters) };
        let (lookup, control) = (Arc::clone(barrier.lookup()), Arc::clone(barrier.control()));
        let authenticator = Arc::new(Authenticator::new(store.clone(), lookup, control, clock.clone()));
        let opening = super::erasures::Opening {
            store: &store,
            recorder: &recorder,
            authenticator: &authenticator,
            rules: &rules,
            barrier: &barrier,
            clock: &clock,
            journal: erasures.as_ref(),
        };
        Box::pin(opening.settle()).await?;
        let engines = Engines {
            system: System::new(
                tools.clone(),
                Arc::clone(&rules),
                clock.clone(),
                founding.ledger.archive.clone(),
                Arc::clone(&founding.ledger.witness_of),
            ),
            auth_token: AuthTokens::new(tools.clone()),
            login: Login::new(tools.clone()),
            kv: Kv::new(tools.clone()),
            transform: Transform::new(tools.clone()),
            keys: Rotate::new(tools),
        };
        let companions = companions(Workshop {
            store: store.clone(),
            access,
            recorder: recorder.clone(),
            authenticator: Arc::clone(&authenticator),
            rules: Arc::clone(&rules),
            directory: Arc::clone(&directory),
            barrier: Arc::clone(&barrier),
            clock: clock.clone(),
            strangers: Arc::clone(&strangers),
            shipping,
            witnesses: Arc::clone(&founding.ledger.witnesses),
        });
        let (sealing, _) = tokio::sync::watch::channel(false);
        let (writer, companions) = (Mutex::new(Some(writer)), Mutex::new(Some(companions)));
        Ok(Self {
            store,
            recorder,
            authenticator,
            rules,
            directory,
            engines,
            barrier,
            ledger_key,
            erasures,
            clock,
            writer,
            sealing,
            companions,
            seen,
            doubt: Doubt::default(),
            strangers,
            rates: Rates::default(),
            counters,
        })
    }

    /// Turns true when a committed request asked for the seal.
    pub(super) fn sealing(&self) -> tokio::sync::watch::Receiver<bool> {
        self.sealing.subscribe()
    }

    /// Stops what works beside the requests.
    pub(super) fn dismiss(&self) {
        drop(self.companions.lock().take());
    }

    /// Puts in force what a committed request changed. Runs before the answer leaves, so that the change holds here at once.
    pub(super) async fn apply(&self, changes: &[Change]) {
        for change in changes {
            self.authenticator.forget(change);
            match change {
                Change::Directory | Change::Manifest(_) => self.reload().await,
                Change::Keyring => self.reload_keyring().await,
                Change::Secret(mount, path) => self.engines.kv.forget(*mount, path),
                Change::Sealed => drop(self.sealing.send(true)),
                Change::Subject(id) => {
                    super::erasures::write_down(&self.store, &self.barrier, self.erasures.as_ref(), *id, &self.clock).await
                }
                Change::Account(_) | Change::AuthToken(_) => {}
            }
        }
    }

    /// A commit whose outcome is unknown may have changed what this node holds, now or when the database finishes it.
    pub(super) fn mistrust(&self) {
        *self.doubt.until.lock() = Some(clock::instant() + DOUBT);
    }

    /// Follows the other nodes' streams until the house is gone.
    pub(super) async fn follow(house: std::sync::Weak<Self>, own: StreamId) {
        let mut seen = house.upgrade().map(|house| house.seen.clone()).unwrap_or_default();
        loop {
            tokio::time::sleep(FEED).await;
            let Some(house) = house.upgrade() else { return };
            let doubtful = house.doubt.is_on();
            match timeout(FEED_PATIENCE, ledger::changes(&house.store, own, &mut seen)).await {
                Ok(Ok(found)) => {
                    let changes: Vec<Change> = found.iter().flat_map(|text| text.lines()).filter_map(Change::parse).collect();
                    let others: Vec<Change> = changes.into_iter().filter(|change| *change != Change::Sealed).collect();
                    house.apply(&others).await;
                }
                // What was in flight may come to its end only when the database is back.
                Ok(Err(_)) | Err(_) if doubtful => house.mistrust(),
                Ok(Err(_)) | Err(_) => tracing::debug!("the other streams cannot be read now"),
            }
            if doubtful {
                house.apply(&[Change::Directory, Change::Keyring]).await;
            }
        }
    }

    /// The verifier key of this ledger's checkpoints.
    pub(super) fn ledger_key(&self) -> String {
        self.ledger_key.clone()
    }

    pub(super) fn stream(&self) -> StreamId {
        self.recorder.stream()
    }

    /// Reads the directory anew. A set of policies that does not compile, or holds a row that goldfin did not write, is not taken: the
    /// old one goes on.
    async fn reload(&self) {
        self.engines.transform.forget_all();
        self.engines.kv.forget_all();
        let _reloading = self.doubt.reloading.lock().await;
        if self.directory.reload(&self.store, self.barrier.control()).await.is_err() {
            tracing::error!(alarm = "directory", "the directory cannot be read anew, the old one goes on until it can");
            self.doubt.directory.store(true, Ordering::Relaxed);
            return;
        }
        self.doubt.directory.store(false, Ordering::Relaxed);
        match compile(&self.directory) {
            Ok(compiled) => self.rules.replace(compiled),
            Err(_) => tracing::error!(alarm = "policy", "the stored policies are not taken, the old ones go on"),
        }
    }

    async fn reload_keyring(&self) {
        let _reloading = self.doubt.reloading.lock().await;
        let reloaded = self.directory.reload(&self.store, self.barrier.control()).await;
        let rows = keyring::load_keks(&self.store).await;
        self.doubt.keyring.store(reloaded.is_err() || rows.is_err(), Ordering::Relaxed);
        let state = self.directory.current().get::<KeyringState>(ControlKind::Keyring, SERVER, KEYRING_ROW);
        let (Ok(()), Ok(Some(state)), Ok(rows)) = (reloaded, state, rows) else {
            tracing::error!(alarm = "keyring", "the keyring cannot be read anew, the old one goes on");
            return;
        };
        match shares::open_keyring(self.barrier.root(), &state, &rows) {
            Ok(keyring) => {
                self.barrier.replace_keyring(keyring);
                self.engines.kv.forget_all();
                self.engines.transform.forget_all();
            }
            Err(_) => tracing::error!(alarm = "keyring", "the keyring cannot be opened anew, the old one goes on"),
        }
    }

    /// Ends the writer once everything that it took is committed.
    pub(super) fn close(self) {
        let writer = self.writer.lock().take();
        drop(self);
        if let Some(writer) = writer {
            writer.join();
        }
    }
}

/// The stored policies as a set. A row that is not honoured spoils the set: a `forbid` could be missing from it.
fn compile(directory: &Directory) -> Result<Compiled, Fault> {
    let snapshot = directory.current();
    let sources: Vec<PolicySource> =
        snapshot.policies()?.into_iter().map(|(name, text)| PolicySource { name: name.to_owned(), text: text.to_owned() }).collect();
    Compiled::new(&sources).map_err(|_| Fault::Integrity("the stored policies do not compile"))
}
