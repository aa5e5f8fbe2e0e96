//! A vault without gate: PostgreSQL, ledger, keyring and what the jobs work with; and the rows whose keys a rotation moves. All of the
//! content is synthetic.

use std::collections::HashMap;
use std::sync::Arc;

use goldfin::audit::recorder::{Asked, Opened, Opening, Recorder, WriterThread};
use goldfin::auth::authenticator::Authenticator;
use goldfin::dev::folder::EphemeralFolder;
use goldfin::dev::postgres::PrivatePostgres;
use goldfin::engine::keys::{Rotate, RotateOp};
use goldfin::engine::kv::place::{SecretKeyPlace, VersionKeyPlace};
use goldfin::engine::transform::place::{SubjectKeyPlace, TransformKeyPlace};
use goldfin::engine::{Performer, Tools};
use goldfin::gate::strangers::Strangers;
use goldfin::http::limits::Limits;
use goldfin::jobs::Workshop;
use goldfin::model::clock::Clock;
use goldfin::model::fault::Fault;
use goldfin::model::id::{MountId, RequestId};
use goldfin::model::mount::{Kind, Mount};
use goldfin::model::reply::Reply;
use goldfin::model::tuning::Tuning;
use goldfin::policy::compile::Compiled;
use goldfin::policy::rules::Rules;
use goldfin::seal::barrier::Barrier;
use goldfin::seal::rotate;
use goldfin::seal::shares::{self, KEYRING_ROW, KeyringState, Rotation};
use goldfin::store::connect::{self, Access};
use goldfin::store::control::{self, ControlKey, ControlKind, SERVER};
use goldfin::store::directory::Directory;
use goldfin::store::error::StoreError;
use goldfin::store::rewrap::Home;
use goldfin::store::work::{Pending, Work};
use goldfin::store::{keyring, manifest};
use goldfin_crypto::{DataKey, KeyId, Keyring, MacKey, Place, Purpose, WrappedKey};
use sqlx::{Connection, PgConnection, Row};

pub const MOUNT: MountId = MountId(10);

pub struct Vault {
    pub workshop: Workshop,
    pub rotate: Rotate,
    pub postgres: PrivatePostgres,
    _writer: WriterThread,
    _folder: EphemeralFolder,
}

/// What each row's key is: known before, compared after.
pub type Known = HashMap<Home, [u8; 32]>;

impl Vault {
    pub async fn open() -> Self {
        let folder = EphemeralFolder::create().unwrap();
        let postgres = PrivatePostgres::start(folder.path(), false).unwrap();
        postgres.prepare_roles().await.unwrap();
        connect::migrate(&postgres.url_migrator()).await.unwrap();
        let access = Access { options: postgres.url_app(), pool: 12, tuning: Tuning::default() };
        let store = access.open().await.unwrap();
        let clock = Clock::system();
        let made = shares::make(1, 1, RequestId::generate(clock.now()).unwrap().as_uuid(), clock.now()).unwrap();
        let mut work = Work::new(store.clone(), mount(), clock.now());
        keyring::insert_seal(&mut work, &made.seal).await.unwrap();
        keyring::add_kek(&mut work, &made.kek).await.unwrap();
        manifest::begin(&mut work, made.barrier.control()).await.unwrap();
        let state = serde_json::to_string(&made.state).unwrap();
        control::put(&mut work, made.barrier.control(), &ControlKey::new(ControlKind::Keyring, SERVER, KEYRING_ROW), 0, &state)
            .await
            .unwrap();
        commit(work).await.unwrap();
        let barrier = Arc::new(made.barrier);
        let opening = Opening {
            access: access.clone(),
            node: "node".to_owned(),
            mac: barrier.ledger(),
            checkpoint: barrier.checkpoint().unwrap(),
            clock: clock.clone(),
            high_water: None,
            acknowledged: None,
        };
        let Opened { recorder, writer, .. } = Recorder::open(opening).await.unwrap();
        let authenticator = Authenticator::new(store.clone(), Arc::clone(barrier.lookup()), Arc::clone(barrier.control()), clock.clone());
        let directory = Arc::new(Directory::open(&store, barrier.control()).await.unwrap());
        let rules = Arc::new(Rules::new(Compiled::new(&[]).unwrap()));
        let rotate = Rotate::new(Tools { barrier: Arc::clone(&barrier), directory: Arc::clone(&directory), counters: Arc::default() });
        let strangers = Arc::new(Strangers::new(Limits::default().strangers()));
        let workshop = Workshop {
            store,
            access,
            recorder,
            authenticator: Arc::new(authenticator),
            rules,
            directory,
            barrier,
            clock,
            strangers,
            shipping: None,
            witnesses: std::sync::Arc::new([]),
        };
        Self { workshop, rotate, postgres, _writer: writer, _folder: folder }
    }

    pub fn barrier(&self) -> &Barrier {
        &self.workshop.barrier
    }

    pub fn work(&self) -> Work {
        Work::new(self.workshop.store.clone(), mount(), self.workshop.clock.now())
    }

    pub async fn sql(&self) -> PgConnection {
        PgConnection::connect_with(&self.postgres.url_superuser()).await.unwrap()
    }

    /// What a request to the keyring's paths does, without the network.
    pub async fn ask(&self, op: RotateOp) -> Result<Reply, Fault> {
        let now = self.workshop.clock.now();
        let asked = Asked { request: RequestId::generate(now).unwrap(), received: now, peer: None, verb: "write", path: None };
        let who = Arc::new(self.workshop.authenticator.job("test"));
        let permit = self.workshop.rules.authorize(who, op, now).expect("the base policies permit it");
        let (outcome, _) = self.workshop.recorder.around(&asked, permit, || self.work(), &Performer(&self.rotate)).await?;
        if outcome.as_ref().is_ok_and(|reply| !reply.after.is_empty()) {
            self.hear().await;
        }
        outcome
    }

    /// What a node does when it reads of a change of the keyring.
    pub async fn hear(&self) {
        let state = self.state().await;
        let rows = keyring::load_keks(&self.workshop.store).await.unwrap();
        self.barrier().replace_keyring(shares::open_keyring(self.barrier().root(), &state, &rows).unwrap());
    }

    pub async fn state(&self) -> KeyringState {
        rotate::read_state(&self.workshop.store, self.barrier().control()).await.unwrap()
    }

    pub async fn rotation(&self) -> Rotation {
        self.state().await.rotation.expect("a rotation")
    }

    /// Rows of every table, each with a key of its own, wrapped under what is the primary now.
    pub async fn fill(&self, count: i64) -> Known {
        let mut known = Known::new();
        let mut sql = self.sql().await;
        let ring = self.barrier().keyring();
        let (paths, keys) = column(count, |n| {
            let path = format!("app/{n}");
            let (key, mark) = wrapped(&ring, &SecretKeyPlace { mount: MOUNT, path: &path });
            known.insert(Home::Secret { mount: MOUNT, path: path.clone() }, mark);
            (path, key)
        });
        sqlx::query("INSERT INTO kv_secret (mount, path, current, revision, wrapped_key, body) SELECT 10, n.path, 1, 1, n.key, 'body' FROM unnest($1::text[], $2::bytea[]) AS n (path, key)")
            .bind(paths).bind(keys).execute(&mut sql).await.unwrap();
        let (versions, keys) = column(count, |n| {
            let (path, version) = ("app/0".to_owned(), n + 1);
            let (key, mark) = wrapped(&ring, &VersionKeyPlace { mount: MOUNT, path: &path, version });
            known.insert(Home::SecretVersion { mount: MOUNT, path, version }, mark);
            (version, key)
        });
        sqlx::query("INSERT INTO kv_version (mount, path, version, wrapped_key, value) SELECT 10, 'app/0', n.version, n.key, 'value' FROM unnest($1::bigint[], $2::bytea[]) AS n (version, key)")
            .bind(versions).bind(keys).execute(&mut sql).await.unwrap();
        self.fill_transformations(count, &ring, &mut known).await;
        let (subjects, keys) = column(count, |n| {
            let hash = n.to_be_bytes().repeat(4);
            let (key, mark) = wrapped(&ring, &SubjectKeyPlace { mount: MOUNT, id: n, hash: &hash });
            known.insert(Home::Subject { mount: MOUNT, id: n, hash }, mark);
            (n, key)
        });
        let hashes: Vec<Vec<u8>> = subjects.iter().map(|n: &i64| n.to_be_bytes().repeat(4)).collect();
        sqlx::query("INSERT INTO subject (id, mount, hash, wrapped_key, created) OVERRIDING SYSTEM VALUE SELECT n.id, 10, n.hash, n.key, now() FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS n (id, hash, key)")
            .bind(subjects).bind(hashes).bind(keys).execute(&mut sql).await.unwrap();
        known
    }

    /// A hundred versions of the keys of each transformation, which its control row gives a number.
    async fn fill_transformations(&self, count: i64, ring: &Keyring, known: &mut Known) {
        let mut work = self.work();
        for number in 0..=count / 100 {
            let key = ControlKey::new(ControlKind::Transformation, MOUNT, format!("t{number}"));
            control::put(&mut work, self.barrier().control(), &key, 0, &format!(r#"{{"number":{number}}}"#)).await.unwrap();
        }
        commit(work).await.unwrap();
        let (rows, keys) = column(count, |n| {
            let (transformation, version) = (format!("t{}", n / 100), i32::try_from(n % 100).unwrap());
            let number = i32::try_from(n / 100).unwrap();
            let place = TransformKeyPlace { mount: MOUNT, transformation: &transformation, number, version: version.cast_unsigned() };
            let (key, mark) = wrapped(ring, &place);
            known.insert(Home::TransformKey { mount: MOUNT, transformation: transformation.clone(), version }, mark);
            ((transformation, version), key)
        });
        let (names, versions): (Vec<String>, Vec<i32>) = rows.into_iter().unzip();
        sqlx::query("INSERT INTO transform_key (mount, transformation, version, wrapped_key, created) SELECT 10, n.t, n.v, n.key, now() FROM unnest($1::text[], $2::integer[], $3::bytea[]) AS n (t, v, key)")
            .bind(names).bind(versions).bind(keys).execute(&mut self.sql().await).await.unwrap();
    }

    /// Every wrapped key in the database, read back and unwrapped: the version that it is under and what it is.
    pub async fn read_all(&self) -> HashMap<Home, (u32, Option<[u8; 32]>)> {
        let mut sql = self.sql().await;
        let ring = self.barrier().keyring();
        let mut all = HashMap::new();
        for row in sqlx::query("SELECT path, wrapped_key FROM kv_secret").fetch_all(&mut sql).await.unwrap() {
            let path: String = row.get(0);
            let read = opened(&ring, &SecretKeyPlace { mount: MOUNT, path: &path }, row.get(1));
            all.insert(Home::Secret { mount: MOUNT, path }, read);
        }
        for row in sqlx::query("SELECT path, version, wrapped_key FROM kv_version").fetch_all(&mut sql).await.unwrap() {
            let (path, version): (String, i64) = (row.get(0), row.get(1));
            let read = opened(&ring, &VersionKeyPlace { mount: MOUNT, path: &path, version }, row.get(2));
            all.insert(Home::SecretVersion { mount: MOUNT, path, version }, read);
        }
        for row in sqlx::query("SELECT transformation, version, wrapped_key FROM transform_key").fetch_all(&mut sql).await.unwrap() {
            let (transformation, version): (String, i32) = (row.get(0), row.get(1));
            let number = transformation.trim_start_matches('t').parse().unwrap_or(-1);
            let place = TransformKeyPlace { mount: MOUNT, transformation: &transformation, number, version: version.cast_unsigned() };
            let read = opened(&ring, &place, row.get(2));
            all.insert(Home::TransformKey { mount: MOUNT, transformation, version }, read);
        }
        let living = "SELECT id, hash, wrapped_key FROM subject WHERE wrapped_key IS NOT NULL";
        for row in sqlx::query(living).fetch_all(&mut sql).await.unwrap() {
            let (id, hash): (i64, Vec<u8>) = (row.get(0), row.get(1));
            let read = opened(&ring, &SubjectKeyPlace { mount: MOUNT, id, hash: &hash }, row.get(2));
            all.insert(Home::Subject { mount: MOUNT, id, hash }, read);
        }
        all
    }

    /// Ledger entries of an action: account, decision and body.
    pub async fn entries(&self, action: &str) -> Vec<(String, String, serde_json::Value)> {
        sqlx::query("SELECT account, decision, body FROM ledger_entry WHERE action = $1 ORDER BY stream, seq")
            .bind(action)
            .fetch_all(&mut self.sql().await)
            .await
            .unwrap()
            .into_iter()
            .map(|row| (row.get(0), row.get(1), serde_json::from_str(row.get(2)).unwrap()))
            .collect()
    }
}

/// Commits a work without entry: what is tested here is the row.
pub async fn commit(work: Work) -> Result<(), StoreError> {
    match work.into_parts() {
        (Pending::Transaction(transaction), _) => Ok(transaction.commit().await?),
        _ => Ok(()),
    }
}

pub fn mount() -> Arc<Mount> {
    let json = r#"{"id":10,"path":"x","kind":"kv","accessor":"a","uuid":"u","created":0}"#;
    let mount: Mount = serde_json::from_str(json).unwrap();
    assert_eq!(mount.kind, Kind::Kv);
    Arc::new(mount)
}

fn column<T>(count: i64, mut row: impl FnMut(i64) -> (T, Vec<u8>)) -> (Vec<T>, Vec<Vec<u8>>) {
    (0..count).map(&mut row).unzip()
}

pub fn wrapped<P: Place>(ring: &Keyring, place: &P) -> (Vec<u8>, [u8; 32]) {
    let key = DataKey::generate(KeyId { id: 1, version: 1 }).unwrap();
    (ring.wrap(place, &key).unwrap().into_bytes(), mark(&key))
}

/// Tells keys apart without showing them.
fn mark(key: &DataKey) -> [u8; 32] {
    MacKey::new(key.derive(Purpose::FieldHash, &[])).mac(&[b"test"])
}

fn opened<P: Place>(ring: &Keyring, place: &P, stored: Vec<u8>) -> (u32, Option<[u8; 32]>) {
    let Ok(wrapped) = WrappedKey::<P>::from_stored(stored) else { return (0, None) };
    (wrapped.key_version(), ring.unwrap_key(place, &wrapped).ok().map(|key| mark(&key)))
}
