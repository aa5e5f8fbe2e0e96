//! From the auth token that a request shows to the principal that it proves.
//!
//! Rows are held in memory for half a minute. An expiry is judged at every use; a revocation on this node removes the held row at once,
//! one on another node when its entry is read. It must never hold what it read before a removal that came in between: a removal counts
//! up the generation, and a reading that began in an older generation is used once and not kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use goldfin_crypto::mac::MacKey;
use goldfin_crypto::{AuthToken, Plaintext};
use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::model::account::Account;
use crate::model::change::Change;
use crate::model::clock::{Clock, Timestamp};
use crate::model::fault::Fault;
use crate::model::freshness::{Freshness, Terms};
use crate::store::Store;
use crate::store::auth_token::{self, AuthTokenRow, Line, ROOT_GROUP};
use crate::store::control::{self, ControlKey, ControlKind, SERVER};
use crate::store::error::StoreError;

use super::principal::Principal;

/// Makes principals. One per unsealing, because its keys are the barrier's.
#[derive(Debug)]
pub struct Authenticator {
    store: Store,
    lookup: Arc<MacKey>,
    control: Arc<MacKey>,
    clock: Clock,
    held: Cache<[u8; 32], Arc<Held>>,
    generation: Mutex<u64>,
}

/// Why a shown credential proves nothing.
#[derive(Debug)]
pub struct Refused {
    /// For the entry: `malformed`, `unknown`, `expired`, `disabled`, `forged`, `unavailable`.
    pub reason: &'static str,
    /// For the caller: the same for all but a failure of the database.
    pub fault: Fault,
    /// Whom the entry names: nobody.
    pub who: Principal,
}

#[derive(Debug)]
struct Held {
    row: Arc<AuthTokenRow>,
    /// The accessors of those above it: with each of them this one ends.
    ancestors: Vec<String>,
    /// The first moment at which one above it expires, as far as is known; a renewal may have moved it.
    line_expires: Option<Timestamp>,
    freshness: Freshness,
}

enum Load {
    Alive(Arc<AuthTokenRow>),
    Dead(&'static str),
}

impl Authenticator {
    /// `lookup` fingerprints tokens, `control` authenticates the rows.
    #[must_use]
    pub fn new(store: Store, lookup: Arc<MacKey>, control: Arc<MacKey>, clock: Clock) -> Self {
        Self { store, lookup, control, clock, held: Cache::new(MOST_HELD), generation: Mutex::new(0) }
    }

    /// Whoever shows no token is anonymous; a token that proves nothing is refused.
    pub async fn principal(&self, shown: Option<&Plaintext>, peer: Option<IpAddr>) -> Result<Principal, Refused> {
        let Some(shown) = shown else { return Ok(Principal::anonymous(peer)) };
        let refused = |reason, fault| Refused { reason, fault, who: Principal::anonymous(peer) };
        let token = shown.expose_text().ok().and_then(|text| AuthToken::parse(text).ok());
        // The checksum spares the database whatever is no token at all.
        let Some(token) = token else { return Err(refused("malformed", Fault::Denied)) };
        match self.alive(&token.fingerprint(&self.lookup)).await {
            Ok(Load::Alive(row)) => Ok(Principal::account(row, peer)),
            Ok(Load::Dead(reason)) => Err(refused(reason, Fault::Denied)),
            Err(StoreError::Integrity(what)) => {
                tracing::error!(alarm = "integrity", what, "a stored auth token is not honoured");
                Err(refused("forged", Fault::Denied))
            }
            Err(error) => Err(refused("unavailable", error.into())),
        }
    }

    #[must_use]
    pub fn anonymous(&self, peer: Option<IpAddr>) -> Principal {
        Principal::anonymous(peer)
    }

    /// goldfin itself, under the name of one of its jobs.
    #[must_use]
    pub fn job(&self, name: &'static str) -> Principal {
        Principal::job(name)
    }

    /// Forgets what a committed change may have ended; the next use reads it again.
    pub fn forget(&self, change: &Change) {
        let touched: Box<dyn Fn(&Held) -> bool> = match change {
            Change::AuthToken(accessor) => {
                Box::new(move |held| held.row.accessor == *accessor || held.ancestors.iter().any(|above| above == accessor))
            }
            // The entry may name an alias; which account that was, the row that is gone cannot say any more.
            Change::Account(_) | Change::Directory | Change::Manifest(_) | Change::Sealed => Box::new(|_| true),
            Change::Secret(..) | Change::Keyring | Change::Subject(_) => return,
        };
        let mut generation = self.generation.lock();
        *generation += 1;
        self.held.retain(|_, held| !touched(held));
    }

    async fn alive(&self, fingerprint: &[u8; 32]) -> Result<Load, StoreError> {
        let now = self.clock.now();
        match self.held.get(fingerprint) {
            Some(held) if held.may_be_used(now) => Ok(Load::Alive(Arc::clone(&held.row))),
            _ => Box::pin(self.load(fingerprint, now)).await,
        }
    }

    async fn load(&self, fingerprint: &[u8; 32], now: Timestamp) -> Result<Load, StoreError> {
        let began = *self.generation.lock();
        let read = self.read(fingerprint, now).await;
        let generation = self.generation.lock();
        let line = match read? {
            Ok(line) => line,
            Err(dead) => {
                self.held.remove(fingerprint);
                return Ok(Load::Dead(dead));
            }
        };
        let held = Held::new(line, now);
        let row = Arc::clone(&held.row);
        if *generation == began {
            self.held.insert(*fingerprint, Arc::new(held));
        }
        Ok(Load::Alive(row))
    }

    /// The token with all above it, or the word for why it is dead.
    async fn read(&self, fingerprint: &[u8; 32], now: Timestamp) -> Result<Result<Line, &'static str>, StoreError> {
        let Some(line) = auth_token::find(&self.store, &self.control, fingerprint).await? else { return Ok(Err("unknown")) };
        if line.is_expired(now) {
            return Ok(Err("expired"));
        }
        if self.is_disabled(&line.found.row.account).await? {
            return Ok(Err("disabled"));
        }
        Ok(Ok(line))
    }

    /// Disabling an account deletes its tokens; this holds even where their rows were put back.
    async fn is_disabled(&self, account: &str) -> Result<bool, StoreError> {
        // No account is stored under these names: the root token's, and those of identities that a role admits.
        if account == ROOT_GROUP || account.contains('/') {
            return Ok(false);
        }
        let key = ControlKey::new(ControlKind::Account, SERVER, account);
        let Some(stored) = control::load(&self.store, &self.control, &key).await? else { return Ok(true) };
        let account: Account = serde_json::from_str(&stored.body).map_err(|_| StoreError::Integrity("an account cannot be read"))?;
        Ok(account.disabled)
    }
}

impl Held {
    fn new(line: Line, now: Timestamp) -> Self {
        let line_expires = line.ancestors.iter().filter_map(|row| row.expires).min();
        Self {
            row: Arc::new(line.found.row),
            ancestors: line.ancestors.into_iter().map(|row| row.accessor).collect(),
            line_expires,
            freshness: Freshness::of(now, TERMS),
        }
    }

    /// False for the one caller that reads the row again when it is due; the others go on with it meanwhile.
    fn may_be_used(&self, now: Timestamp) -> bool {
        // Another node may have renewed it a moment ago: the database decides.
        let is_over = self.row.is_expired(now) || self.line_expires.is_some_and(|at| now >= at);
        !is_over && self.freshness.may_be_used(now)
    }
}

/// Whoever calls before there is an authenticator: `sys/init`.
#[must_use]
pub fn stranger(peer: Option<IpAddr>) -> Principal {
    Principal::anonymous(peer)
}

const MOST_HELD: usize = 10_000;
const TERMS: Terms = Terms { due: Duration::from_secs(30), stale: Duration::from_secs(60), retry: Duration::from_secs(5) };

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_micros(1_700_000_000_000_000);

    fn row(accessor: &str, seconds: Option<u64>) -> AuthTokenRow {
        serde_json::from_value(serde_json::json!({
            "accessor": accessor, "account": "synthetic", "groups": [], "method": "token", "path": "", "display_name": "",
            "created": NOW, "renewed": null, "expires": seconds.map(after), "max_expires": null, "ttl": 0, "explicit_max_ttl": 0,
            "period": 0, "renewable": true, "parent": null, "channel_bound": false, "mount": 2, "version": 1
        }))
        .expect("a row")
    }

    fn after(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn held(own: Option<u64>, above: &[Option<u64>]) -> Held {
        let found = auth_token::Found { fingerprint: [0; 32], row: row("own", own) };
        let ancestors = above.iter().map(|seconds| row("above", *seconds)).collect();
        Held::new(Line { found, ancestors }, NOW)
    }

    #[test]
    fn a_row_is_read_again_after_half_a_minute_and_not_used_after_a_whole_one() {
        let held = held(None, &[]);
        assert!(held.may_be_used(after(29)) && !held.may_be_used(after(30)) && held.may_be_used(after(31)));
        assert!(!held.may_be_used(after(60)));
    }

    #[test]
    fn an_expiry_is_judged_at_every_use_also_of_those_above() {
        assert!(held(Some(10), &[]).may_be_used(after(9)));
        assert!(!held(Some(10), &[]).may_be_used(after(10)));
        assert!(!held(None, &[Some(20), Some(5), None]).may_be_used(after(5)));
        assert!(held(None, &[Some(20), Some(5), None]).may_be_used(after(4)));
    }
}
