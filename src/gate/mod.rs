//! Floor 7: the one path of every request.

mod erasures;
mod house;
mod opening;
mod perform;
mod rates;
pub mod released;
pub mod request;
mod route;
mod seal_state;
mod sealed;
pub mod strangers;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use goldfin_crypto::{Key, Share};
use goldfin_ledger::note::LogKey;
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;

use crate::audit::high_water::HighWater;
use crate::audit::recorder::{Asked, Recorder};
use crate::audit::shipping::Shipping;
use crate::audit::witness::Witness;
use crate::auth::authenticator::Authenticator;
use crate::model::clock::Clock;
use crate::model::fault::Fault;
use crate::model::id::{RequestId, StreamId};
use crate::model::path::Requested;
use crate::model::to_its_end::ToItsEnd;
use crate::policy::rules::Rules;
use crate::seal::barrier::Barrier;
use crate::seal::erasures::Journal;
use crate::seal::shares::Progress;
use crate::store::Store;
use crate::store::connect::Access;
use crate::store::directory::Directory;
use crate::store::keyring::SealRow;

use house::House;
use released::Released;
use request::Request;
pub use seal_state::SealState;
use sealed::Attempts;
use strangers::Strangers;

/// Handles of the open house, for what goldfin does by itself. They hold keys: whoever has them lets go when told to.
#[derive(Debug, Clone)]
pub struct Workshop {
    pub store: Store,
    pub access: Access,
    pub recorder: Recorder,
    pub authenticator: Arc<Authenticator>,
    pub rules: Arc<Rules>,
    pub directory: Arc<Directory>,
    pub barrier: Arc<Barrier>,
    pub clock: Clock,
    pub strangers: Arc<Strangers>,
    pub shipping: Option<Arc<Shipping>>,
    pub witnesses: Arc<[Witness]>,
}

/// Starts what works beside the requests while the house is open. What it gives is dropped before the house closes.
pub type Companions = fn(Workshop) -> Box<dyn Send + Sync>;

/// What the gate is made from.
#[derive(Debug, Clone)]
pub struct Founding {
    pub store: Store,
    pub access: Access,
    /// This node's name: its stream of the ledger.
    pub node: String,
    /// Where this node remembers who was erased, outside of the database.
    pub erasures: Option<Journal>,
    pub clock: Clock,
    /// Where the unseal key lies for unattended starts.
    pub key_file: Option<PathBuf>,
    pub ledger: LedgerAnchor,
    pub companions: Companions,
    /// What strangers were refused too often.
    pub strangers: Arc<Strangers>,
    /// Where this node's stream of the ledger is shipped to.
    pub shipping: Option<Arc<Shipping>>,
}

/// What is known of this node's stream without asking the database, and what this node knows of others'.
#[derive(Debug, Clone, Default)]
pub struct LedgerAnchor {
    pub high_water: Option<HighWater>,
    /// The folder that archives of months are written to.
    pub archive: Option<PathBuf>,
    /// Where an operator has acknowledged that the stream ends: a database restored to an earlier state.
    pub acknowledged: Option<(StreamId, i64)>,
    /// Who is shown the checkpoints, and asked at the start.
    pub witnesses: Arc<[Witness]>,
    /// The ledgers that this one is a witness of.
    pub witness_of: Arc<[LogKey]>,
}

/// The door to everything. Sealed, it answers `init`, `unseal` and nothing else.
pub struct Gate {
    founding: Founding,
    house: ArcSwapOption<House>,
    /// The seal's row once it is known; it changes only by `init`.
    seal: ArcSwapOption<SealRow>,
    progress: Mutex<Progress>,
    attempts: Attempts,
    /// One opening or closing at a time.
    moving: AsyncMutex<()>,
}

impl Gate {
    /// Looks whether goldfin is initialised, and unseals it where there is a key file.
    pub async fn open(founding: Founding) -> Result<Arc<Self>, Fault> {
        let seal = crate::store::keyring::read_seal(&founding.store).await?;
        let gate = Arc::new(Self {
            founding,
            house: ArcSwapOption::empty(),
            seal: ArcSwapOption::from_pointee(seal),
            progress: Mutex::new(Progress::default()),
            attempts: Attempts::default(),
            moving: AsyncMutex::new(()),
        });
        if gate.seal.load().is_some() {
            gate.unseal_from_key_file().await?;
        }
        Ok(gate)
    }

    /// Unseals with the key file, where there is one.
    pub async fn unseal_from_key_file(self: &Arc<Self>) -> Result<(), Fault> {
        let Some(path) = &self.founding.key_file else { return Ok(()) };
        let key = crate::seal::key_file::read(path).map_err(|error| {
            tracing::error!(%error, "the key file cannot be used");
            Fault::Unavailable("the key file cannot be used")
        })?;
        match key {
            Some(key) => self.unseal_with(key).await,
            None => Ok(()),
        }
    }

    /// Answers one request. A client that hangs up does not stop it half-way.
    pub async fn call(self: &Arc<Self>, request: Box<Request>) -> Released {
        let now = self.founding.clock.now();
        let id = match RequestId::generate(now) {
            Ok(id) => id,
            Err(_) => return Released::unrecorded(RequestId::nil(), Fault::Unavailable("the system gives no randomness")),
        };
        let asked = perform::asked(&request, id, now);
        match ToItsEnd::new(Arc::clone(self).answer(asked, request)).await {
            Ok(released) => released,
            Err(_) => {
                tracing::error!(request = %id, "a request panicked before its answer");
                Released::unrecorded(id, Fault::Internal("panic"))
            }
        }
    }

    /// The answer to whoever shows no auth token, before anything of the request is read, where their source was refused too often.
    #[must_use]
    pub fn turn_away(&self, address: std::net::IpAddr) -> Option<Released> {
        let now = self.founding.clock.now();
        let fault = self.founding.strangers.turn_away(address, now)?;
        Some(Released::unrecorded(RequestId::generate(now).unwrap_or(RequestId::nil()), fault))
    }

    async fn answer(self: Arc<Self>, mut asked: Asked, request: Box<Request>) -> Released {
        if let Ok(wanted) = &request.wanted
            && let Some(door) = seal_state::Door::of(&wanted.path, wanted.verb)
        {
            asked.path = Some(wanted.path.path.as_str().to_owned());
            let (strangers, address) = (Arc::clone(&self.founding.strangers), request.peer.address);
            if let Err(fault) = strangers.admit(address, asked.received) {
                return Released::unrecorded(asked.request, fault);
            }
            // Boxed: the future of every request would be as large as that of an unsealing.
            let released = Box::pin(self.at_the_door(door, asked, request)).await;
            strangers.saw(address, &released);
            return released;
        }
        match self.house.load_full() {
            Some(house) => house.answer(asked, request).await,
            None => Released::unrecorded(asked.request, Fault::Sealed),
        }
    }

    /// Opens the house with the unseal key. Fails as a whole: nothing is open afterwards.
    async fn unseal_with(self: &Arc<Self>, key: Key) -> Result<(), Fault> {
        let _moving = self.moving.lock().await;
        if self.house.load().is_some() {
            return Ok(());
        }
        let seal = self.seal.load_full().ok_or(Fault::Invalid("goldfin is not initialised".into()))?;
        let barrier = seal_state::open_barrier(&self.founding.store, &seal, key).await?;
        let house = Arc::new(House::open(self.founding.clone(), barrier).await?);
        self.attempts.record(&house.recorder).await;
        self.move_in(house);
        Ok(())
    }

    fn move_in(self: &Arc<Self>, house: Arc<House>) {
        tokio::spawn(House::follow(Arc::downgrade(&house), house.stream()));
        let (gate, mut sealing) = (Arc::downgrade(self), house.sealing());
        tokio::spawn(async move {
            // An error means that the house is gone, sealed by someone else.
            if sealing.wait_for(|sealing| *sealing).await.is_ok()
                && let Some(gate) = gate.upgrade()
            {
                gate.seal().await;
            }
        });
        self.house.store(Some(house));
        tracing::info!("unsealed");
    }

    /// Closes the house: new requests find it sealed at once; the keys go when the last request in flight has ended.
    pub async fn seal(&self) {
        let _moving = self.moving.lock().await;
        let Some(mut house) = self.house.swap(None) else { return };
        house.dismiss();
        drop(self.founding.strangers.record(&house.recorder, &self.founding.clock).await);
        for _ in 0..1000 {
            match Arc::try_unwrap(house) {
                Ok(house) => {
                    drop(tokio::task::spawn_blocking(move || house.close()).await);
                    tracing::info!("sealed");
                    return;
                }
                Err(shared) => house = shared,
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        tracing::error!("a request did not end within ten seconds of the seal");
    }

    /// Takes a share of the unseal key.
    fn take_share(&self, share: Share) -> Result<Option<Key>, Fault> {
        let seal = self.seal.load_full().ok_or(Fault::Invalid("goldfin is not initialised; run `goldfin init` first".into()))?;
        let threshold = usize::try_from(seal.threshold).unwrap_or(usize::MAX);
        let now = self.founding.clock.now();
        let nonce = || RequestId::generate(now).map(|id| id.to_string()).unwrap_or_default();
        match self.progress.lock().give(share, threshold, nonce)? {
            crate::seal::shares::Step::Waiting => Ok(None),
            crate::seal::shares::Step::Complete(key) => Ok(Some(key)),
        }
    }
}

/// Whether a path is exactly this one, with or without trailing slash.
fn is_path(requested: &Requested, path: &str) -> bool {
    requested.path.as_str() == path && !requested.slash
}
