//! The birth of a vault: the seal's row, the keyring, the mounts that are always there and the root token, in one transaction with the
//! first entry of the ledger. What must leave exactly once, the shares and the root token, leaves as the answer.

use goldfin_crypto::digest::hex;
use goldfin_crypto::{Accessor, AuthToken, Plaintext};
use goldfin_ledger::note::LogKey;
use parking_lot::Mutex;

use crate::audit::recorder::Running;
use crate::model::action::Action;
use crate::model::call::Call;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::MountId;
use crate::model::mount::{Kind, Mount};
use crate::model::operation::{Operation, Resource, ResourceKind};
use crate::model::reply::{Answer, Reply};
use crate::policy::authorized::Authorized;
use crate::seal::barrier::fault;
use crate::seal::shares::{KEYRING_ROW, Made};
use crate::store::auth_token::{self, AuthTokenRow, ROOT_GROUP};
use crate::store::control::{self, ControlKey, ControlKind, SERVER};
use crate::store::error::StoreError;
use crate::store::work::Work;
use crate::store::{keyring, manifest};

use super::Engine;

/// The largest number of shares, as in Vault.
const MAX_SHARES: u64 = 255;

/// What the caller of `sys/init` asks for.
#[derive(Debug, Clone, Copy)]
pub struct InitOp {
    pub shares: u8,
    pub threshold: u8,
}

impl Operation for InitOp {
    fn action(&self) -> Action {
        Action::Init
    }

    fn resource(&self) -> Resource {
        Resource::new(ResourceKind::Server, "server")
    }
}

/// Reads the body of `sys/init`. Vault's members for encrypted shares are refused: they would be expected to protect something.
pub fn parse(mut call: Call) -> Result<InitOp, Fault> {
    let mut members = call.members()?;
    let shares = members.whole("secret_shares")?.unwrap_or(5);
    let threshold = members.whole("secret_threshold")?.unwrap_or(if shares == 1 { 1 } else { 3 });
    let wrong_threshold = members.wrong("secret_threshold", "must be from 1 to the number of shares, and above 1 where there are several");
    if shares == 0 || shares > MAX_SHARES {
        return Err(members.wrong("secret_shares", "must be from 1 to 255"));
    }
    if threshold == 0 || threshold > shares || (threshold == 1 && shares > 1) {
        return Err(wrong_threshold);
    }
    members.finish(&["pgp_keys", "root_token_pgp_key", "recovery_shares", "recovery_threshold", "recovery_pgp_keys", "stored_shares"])?;
    let narrow = |number: u64| u8::try_from(number).map_err(|_| Fault::invalid("the numbers of shares are out of range"));
    Ok(InitOp { shares: narrow(shares)?, threshold: narrow(threshold)? })
}

/// Stores what [`crate::seal::shares::make`] made.
pub struct Init {
    made: Mutex<Option<Made>>,
    root_token: AuthToken,
    accessor: String,
}

impl Init {
    pub fn new(made: Made) -> Result<Self, Fault> {
        Ok(Self {
            made: Mutex::new(Some(made)),
            root_token: AuthToken::generate().map_err(fault)?,
            accessor: Accessor::generate().map_err(fault)?,
        })
    }

    async fn store(&self, work: &mut Work) -> Result<Reply, Fault> {
        // Taken out: the keys leave once, and a run that lost the race to another node has nothing left to give.
        let Some(made) = self.made.lock().take() else {
            return Err(Fault::invalid("goldfin is already initialised"));
        };
        match keyring::insert_seal(work, &made.seal).await {
            Ok(()) => {}
            Err(StoreError::Conflict) => return Err(Fault::invalid("goldfin is already initialised")),
            Err(error) => return Err(error.into()),
        }
        keyring::add_kek(work, &made.kek).await?;
        let mac = made.barrier.control();
        manifest::begin(work, mac).await?;
        let state = serde_json::to_string(&made.state).map_err(|_| Fault::Internal("init"))?;
        control::put(work, mac, &ControlKey::new(ControlKind::Keyring, SERVER, KEYRING_ROW), 0, &state).await?;
        for mount in first_mounts(work)? {
            let body = serde_json::to_string(&mount).map_err(|_| Fault::Internal("init"))?;
            control::put(work, mac, &ControlKey::new(ControlKind::Mount, SERVER, mount.path.clone()), 0, &body).await?;
        }
        let row = root_row(&self.accessor, work);
        let fingerprint = self.root_token.fingerprint(made.barrier.lookup());
        auth_token::insert(work, mac, &fingerprint, &row).await?;
        work.facts.accessor = Some(self.accessor.clone());
        let log = LogKey::new(made.barrier.checkpoint()?.verifying_key());
        Ok(Reply::new(Answer::Bare(answer(&made, &self.root_token, &log))))
    }
}

impl Engine for Init {
    type Op = InitOp;

    fn parse(&self, call: Call) -> Result<InitOp, Fault> {
        parse(call)
    }

    fn run<'a>(&'a self, _permit: &'a Authorized<InitOp>, work: &'a mut Work) -> Running<'a> {
        Box::pin(self.store(work))
    }
}

fn first_mounts(work: &Work) -> Result<Vec<Mount>, Fault> {
    [(1, "sys", Kind::System, "the server itself"), (2, "auth/token", Kind::AuthToken, "auth tokens")]
        .into_iter()
        .map(|(number, path, kind, description)| {
            Ok(Mount {
                id: MountId(number),
                path: path.to_owned(),
                kind,
                accessor: format!("{}_{}", kind.name(), Accessor::generate().map_err(fault)?.get(..8).unwrap_or_default()),
                uuid: crate::model::id::RequestId::generate(work.now()).map_err(fault)?.to_string(),
                description: description.to_owned(),
                created: work.now(),
                default_lease_ttl: 0,
                max_lease_ttl: 0,
                options: std::collections::BTreeMap::new(),
            })
        })
        .collect()
}

/// The root token: no expiry, the group `root`. Revoke it once the first accounts and policies stand.
fn root_row(accessor: &str, work: &Work) -> AuthTokenRow {
    AuthTokenRow {
        accessor: accessor.to_owned(),
        account: ROOT_GROUP.to_owned(),
        groups: vec![ROOT_GROUP.to_owned()],
        method: ROOT_GROUP.to_owned(),
        path: "auth/token/root".to_owned(),
        display_name: ROOT_GROUP.to_owned(),
        metadata: std::collections::BTreeMap::new(),
        created: work.now(),
        renewed: None,
        expires: None,
        max_expires: None,
        ttl: 0,
        explicit_max_ttl: 0,
        period: 0,
        renewable: false,
        parent: None,
        channel_bound: false,
        mount: 2,
        version: 1,
    }
}

fn answer(made: &Made, root_token: &AuthToken, log: &LogKey) -> Node {
    let shares: Vec<_> = made.shares.iter().map(goldfin_crypto::Share::to_bytes).collect();
    let keys = shares.iter().map(|share| Node::Text(Plaintext::from_text(hex(share.as_slice())))).collect();
    let encoded = shares.iter().map(|share| {
        Node::Text(Plaintext::from_text(base64::Engine::encode(&base64::engine::general_purpose::STANDARD, share.as_slice())))
    });
    Node::object([
        ("keys", Node::List(keys)),
        ("keys_base64", Node::List(encoded.collect())),
        ("root_token", Node::text(root_token.expose_text())),
        // Public: what an auditor needs, from the moment at which nobody can have changed it.
        ("ledger_key", Node::text(log.to_line())),
    ])
}
