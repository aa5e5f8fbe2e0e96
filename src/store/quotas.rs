//! The quotas of a snapshot, by the accounts that they bind. Found once for each snapshot, so that a request asks a table.

use std::collections::HashMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::model::fault::Fault;
use crate::model::quota::{DisclosureQuota, QuotaKind, RateQuota};

use super::control::{ControlKind, SERVER};
use super::directory::Snapshot;

/// A quota with its name.
#[derive(Debug)]
pub struct Named<Q> {
    pub name: Arc<str>,
    pub quota: Arc<Q>,
}

/// Those of one account, and those that bind everybody.
#[derive(Debug)]
struct Bound<Q> {
    of_accounts: HashMap<String, Vec<Named<Q>>>,
    of_all: Vec<Named<Q>>,
}

#[derive(Debug)]
pub struct Quotas {
    disclosure: Bound<DisclosureQuota>,
    rates: Bound<RateQuota>,
    /// A quota of disclosures is there and not what goldfin wrote.
    unsound: bool,
}

impl Quotas {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let (mut disclosure, mut rates, mut unsound) = (Bound::default(), Bound::default(), false);
        for row in snapshot.names(ControlKind::Quota, SERVER) {
            match row.split_once('/').and_then(|(kind, name)| Some((QuotaKind::from_name(kind)?, name))) {
                Some((QuotaKind::Disclosure, name)) => match read::<DisclosureQuota>(snapshot, row) {
                    Some(quota) => disclosure.add(quota.account.clone(), name, quota),
                    None => unsound = true,
                },
                // What slows a caller down and cannot be read slows nobody down: whoever would mend it is a caller too.
                Some((QuotaKind::RateLimit, name)) => {
                    if let Some(quota) = read::<RateQuota>(snapshot, row) {
                        rates.add(quota.account.clone(), name, quota);
                    }
                }
                None => {}
            }
        }
        Self { disclosure, rates, unsound }
    }

    /// The quotas of disclosures that bind an account. An error where one of them cannot be known: nothing is revealed past a quota that
    /// somebody edited or took away.
    pub fn disclosure(&self, account: &str) -> Result<impl Iterator<Item = &Named<DisclosureQuota>>, Fault> {
        if self.unsound {
            return Err(Fault::Integrity("a quota is not honoured, write it again or delete it"));
        }
        Ok(self.disclosure.binding(account))
    }

    /// Whether no quota of disclosures binds anybody.
    #[must_use]
    pub fn disclose_freely(&self) -> bool {
        !self.unsound && self.disclosure.of_all.is_empty() && self.disclosure.of_accounts.is_empty()
    }

    pub fn rates(&self, account: &str) -> impl Iterator<Item = &Named<RateQuota>> {
        self.rates.binding(account)
    }
}

impl<Q> Default for Bound<Q> {
    fn default() -> Self {
        Self { of_accounts: HashMap::new(), of_all: Vec::new() }
    }
}

impl<Q> Bound<Q> {
    fn add(&mut self, account: Option<String>, name: &str, quota: Arc<Q>) {
        let named = Named { name: Arc::from(name), quota };
        match account {
            Some(account) => self.of_accounts.entry(account).or_default().push(named),
            None => self.of_all.push(named),
        }
    }

    fn binding(&self, account: &str) -> impl Iterator<Item = &Named<Q>> {
        self.of_all.iter().chain(self.of_accounts.get(account).into_iter().flatten())
    }
}

fn read<Q: DeserializeOwned + Send + Sync + 'static>(snapshot: &Snapshot, row: &str) -> Option<Arc<Q>> {
    snapshot.get::<Q>(ControlKind::Quota, SERVER, row).ok().flatten()
}
