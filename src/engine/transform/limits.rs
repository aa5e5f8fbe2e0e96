//! Limits on harm: how many values an account encodes and reveals within an hour of the clock, on all nodes together: through a
//! transformation, by its own setting or the mount's, and through whatever a quota of `sys/quotas/disclosure` names. What stops bulk
//! theft by a permitted account, and the use of encode as a dictionary.
//!
//! A node takes blocks of allowance from the database and spends them in memory, so that a request writes nothing for it. Allowance that
//! was taken and not spent is lost with the node: more than the limit never happens, a little less may. Nothing is given back for a
//! request that fails later, or for a token that is none: an attempt counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::clock::Timestamp;
use crate::model::counters::Counted;
use crate::model::facts::Notice;
use crate::model::fault::{Complaint, Fault};
use crate::model::quota::QuotaKind;
use crate::store::allowance::{self, Taken, Want};
use crate::store::work::Work;

use super::Transform;

const HOUR_MICROS: i64 = 3_600_000_000;

/// A block is this part of the limit: what a node that ends may lose, and how often the database is asked.
const PARTS: i64 = 64;

/// From this percentage of the limit on, those who watch are told.
const NEAR: i64 = 80;

/// Accounts that are held at the same time; beyond it the shares are forgotten, on the safe side.
const HELD: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Harm {
    Encoded,
    Revealed,
}

impl Harm {
    const fn kind(self) -> &'static str {
        match self {
            Self::Encoded => "encoded",
            Self::Revealed => "revealed",
        }
    }

    /// What those who watch count: an account that comes near, and a request that is refused.
    const fn counted(self) -> (Counted, Counted) {
        match self {
            Self::Encoded => (Counted::NearEncoded, Counted::RefusedEncoded),
            Self::Revealed => (Counted::NearRevealed, Counted::RefusedRevealed),
        }
    }

    const fn member(self, of: &Meter) -> &'static str {
        match (self, of) {
            (Self::Encoded, Meter::Transformation(_)) => "max_encoded_per_hour",
            (Self::Revealed, Meter::Transformation(_)) => "max_revealed_per_hour",
            (Self::Encoded, Meter::Quota(_)) => "encoded_per_hour",
            (Self::Revealed, Meter::Quota(_)) => "revealed_per_hour",
        }
    }
}

/// What an account's values are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Meter {
    Transformation(i32),
    /// By its name: one that is deleted and made again within the hour goes on counting.
    Quota(Arc<str>),
}

/// What a request is about to do to one transformation, or within one quota.
#[derive(Debug, Clone)]
pub(super) struct Load<'a> {
    pub meter: Meter,
    pub name: &'a str,
    pub class: Option<&'a str>,
    /// Of an hour; 0 is none.
    pub limit: u64,
    pub count: usize,
}

/// What this node may still spend of an hour.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    hour: i64,
    limit: i64,
    left: i64,
    /// What the database had left when it was asked last; others only take from it.
    beyond: i64,
}

type OfAccounts = HashMap<Arc<str>, Share>;

#[derive(Debug, Default)]
pub(super) struct Limits {
    shares: Mutex<HashMap<(Meter, Harm), OfAccounts>>,
    asking: tokio::sync::Mutex<()>,
}

/// What became of an attempt to spend from memory.
enum Spent {
    Done,
    /// The database must be asked for at least so many.
    Missing(i64),
    Exhausted,
}

impl Limits {
    /// Spends the allowance for all of `loads`, or for none of them.
    pub(super) async fn spend(&self, account: &str, harm: Harm, loads: &[Load<'_>], work: &mut Work) -> Result<(), Fault> {
        for (position, load) in loads.iter().enumerate().filter(|(_, load)| load.limit > 0 && load.count > 0) {
            if let Err(fault) = self.spend_one(account, harm, load, work).await {
                for spent in loads.iter().take(position) {
                    self.put_back(account, harm, spent);
                }
                if matches!(fault, Fault::LimitReached { .. } | Fault::Invalid(_)) {
                    work.facts.reason = Some("limit_reached");
                    tracing::warn!(alarm = "limit", account, name = load.name, kind = harm.kind(), "a limit on values refuses an account");
                }
                return Err(fault);
            }
        }
        Ok(())
    }

    async fn spend_one(&self, account: &str, harm: Harm, load: &Load<'_>, work: &mut Work) -> Result<(), Fault> {
        let limit = i64::try_from(load.limit).unwrap_or(i64::MAX);
        let count = i64::try_from(load.count).unwrap_or(i64::MAX);
        if count > limit {
            let complaint = Complaint::new("is smaller than the number of values in this request, send fewer at a time");
            return Err(Fault::Invalid(complaint.at(harm.member(&load.meter)).stored(load.name)));
        }
        let now_hour = work.now().unix_micros().div_euclid(HOUR_MICROS);
        if let Spent::Done = self.draw(account, harm, &load.meter, now_hour, limit, count) {
            return Ok(());
        }
        let _one = self.asking.lock().await;
        loop {
            let needed = match self.draw(account, harm, &load.meter, now_hour, limit, count) {
                Spent::Done => return Ok(()),
                Spent::Exhausted => return Err(self.reached(account, harm, load, work.now())),
                Spent::Missing(needed) => needed,
            };
            let block = (limit / PARTS).max(1);
            let kind = harm.kind();
            let (transformation, quota) = match &load.meter {
                Meter::Transformation(number) => (*number, ""),
                Meter::Quota(name) => (0, &**name),
            };
            let want = Want { transformation, quota, account, kind, hour: now_hour, limit, needed, block };
            let taken = Box::pin(allowance::take(work.store(), &want)).await?;
            self.add(account, harm, &load.meter, limit, taken);
            if let Taken::Granted { granted, taken, .. } = taken {
                let near = i128::from(limit) * i128::from(NEAR);
                if i128::from(taken) * 100 >= near && i128::from(taken - granted) * 100 < near {
                    tell(account, harm, load, taken, work);
                }
            }
        }
    }

    fn draw(&self, account: &str, harm: Harm, meter: &Meter, hour: i64, limit: i64, count: i64) -> Spent {
        let mut shares = self.shares.lock();
        let share = shares.get_mut(&(meter.clone(), harm)).and_then(|accounts| accounts.get_mut(account));
        match share {
            Some(share) if share.hour >= hour && share.limit == limit => {
                if share.left >= count {
                    share.left -= count;
                    Spent::Done
                } else if share.left.saturating_add(share.beyond) < count {
                    Spent::Exhausted
                } else {
                    Spent::Missing(count - share.left)
                }
            }
            _ => Spent::Missing(count),
        }
    }

    fn add(&self, account: &str, harm: Harm, meter: &Meter, limit: i64, taken: Taken) {
        let mut shares = self.shares.lock();
        if shares.values().map(HashMap::len).sum::<usize>() >= HELD {
            shares.clear();
        }
        let share = shares.entry((meter.clone(), harm)).or_default().entry(Arc::from(account)).or_default();
        let (hour, granted, beyond) = match taken {
            Taken::Granted { hour, granted, taken } => (hour, granted, limit - taken),
            Taken::Refused { hour, left } => (hour, 0, left),
        };
        if share.hour != hour || share.limit != limit {
            *share = Share { hour, limit, left: 0, beyond: 0 };
        }
        share.left += granted;
        share.beyond = beyond;
    }

    fn put_back(&self, account: &str, harm: Harm, load: &Load<'_>) {
        let mut shares = self.shares.lock();
        if let Some(share) = shares.get_mut(&(load.meter.clone(), harm)).and_then(|accounts| accounts.get_mut(account))
            && i64::try_from(load.limit) == Ok(share.limit)
        {
            share.left += i64::try_from(load.count).unwrap_or(0);
        }
    }

    fn reached(&self, account: &str, harm: Harm, load: &Load<'_>, now: Timestamp) -> Fault {
        let shares = self.shares.lock();
        let share = shares.get(&(load.meter.clone(), harm)).and_then(|accounts| accounts.get(account));
        let hour = share.map_or(0, |share| share.hour).max(now.unix_micros().div_euclid(HOUR_MICROS));
        let opens = Timestamp::from_unix_micros((hour + 1).saturating_mul(HOUR_MICROS));
        let what = match load.meter {
            Meter::Transformation(_) => "of the transformation would be passed by this account",
            Meter::Quota(_) => "of the quota would be passed by this account",
        };
        let complaint = Complaint::new(what).at(harm.member(&load.meter)).stored(load.name);
        Fault::LimitReached { complaint, opens, retry_after: opens.since(now).max(Duration::from_secs(1)) }
    }
}

impl Transform {
    /// Spends the allowance for all of `loads`, and of every quota that binds the account; or none at all.
    pub(super) async fn spend(&self, account: &str, harm: Harm, mut loads: Vec<Load<'_>>, work: &mut Work) -> Result<(), Fault> {
        let snapshot = self.snapshot();
        let of_transformations = loads.len();
        for named in snapshot.quotas().disclosure(account)? {
            let limit = match harm {
                Harm::Encoded => named.quota.encoded_per_hour,
                Harm::Revealed => named.quota.revealed_per_hour,
            };
            let counts = |load: &&Load<'_>| match named.quota.transformation.as_deref() {
                None => true,
                Some(place) => place.strip_suffix(load.name).and_then(|mount| mount.strip_suffix('/')) == Some(&work.mount().path),
            };
            let concerned = loads.iter().take(of_transformations).filter(counts);
            let count = concerned.map(|load| load.count).sum();
            loads.push(Load { meter: Meter::Quota(Arc::clone(&named.name)), name: &named.name, class: None, limit, count });
        }
        let told = work.notices.len();
        let spent = self.limits.spend(account, harm, &loads, work).await;
        let (near, refused) = harm.counted();
        (told..work.notices.len()).for_each(|_| self.tools.counters.add(near));
        if work.facts.reason == Some("limit_reached") {
            self.tools.counters.add(refused);
        }
        spent
    }
}

fn tell(account: &str, harm: Harm, load: &Load<'_>, taken: i64, work: &mut Work) {
    let reason = match (harm, &load.meter) {
        (Harm::Encoded, Meter::Transformation(_)) => "near_max_encoded_per_hour",
        (Harm::Revealed, Meter::Transformation(_)) => "near_max_revealed_per_hour",
        (Harm::Encoded, Meter::Quota(_)) => "near_encoded_per_hour",
        (Harm::Revealed, Meter::Quota(_)) => "near_revealed_per_hour",
    };
    tracing::warn!(
        alarm = "limit",
        account,
        name = load.name,
        kind = harm.kind(),
        taken,
        limit = load.limit,
        "an account comes near a limit on values"
    );
    let resource = match &load.meter {
        Meter::Transformation(_) => format!("Transformation:{}/{}", work.mount().path, load.name),
        Meter::Quota(name) => format!("Setting:sys/quotas/{}", QuotaKind::Disclosure.row(name)),
    };
    let count = u64::try_from(taken).unwrap_or(0);
    work.notices.push(Notice { reason, resource, class: load.class.map(str::to_owned), count });
}
