//! `sys/ledger/archive` and `sys/ledger/prune`: months that are over leave the database by way of verified archives. A request does one
//! step, an archive or a month, and has one entry; whoever wants more asks again. A step that is killed leaves nothing behind.

use std::path::{Path, PathBuf};

use goldfin_crypto::digest::{Sha256Sum, hex};
use time::{Date, Month};

use crate::audit::archive::digest_of;
use crate::audit::archived::believed;
use crate::audit::archiving::{self, Order, name_of};
use crate::audit::chain;
use crate::audit::check::Keys;
use crate::engine::sys::System;
use crate::engine::sys::parse::only;
use crate::model::action::Action;
use crate::model::call::{Call, Verb};
use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::fault::{Complaint, Fault};
use crate::model::reply::Reply;
use crate::store::ledger_archive::{self, StoredArchive};
use crate::store::work::Work;

#[derive(Debug, PartialEq, Eq)]
pub enum ArchiveOp {
    /// The archives, and how long entries are kept.
    List,
    /// Writes the next archive of a month up to this one.
    Write { until: Date },
    /// Prunes the oldest month, up to this one.
    Prune { until: Date },
}

impl ArchiveOp {
    pub(super) fn action(&self) -> Action {
        match self {
            Self::List => Action::VerifyLedger,
            Self::Write { .. } => Action::ArchiveLedger,
            Self::Prune { .. } => Action::PruneLedger,
        }
    }
}

pub(super) fn parse(call: &mut Call, rest: &str) -> Result<ArchiveOp, Fault> {
    if rest == "archive" && matches!(call.verb, Verb::Read | Verb::List) {
        return Ok(ArchiveOp::List);
    }
    only(call, Verb::Write)?;
    let mut body = call.members()?;
    let until = body.word("until")?;
    let until = until.as_deref().and_then(month).ok_or_else(|| body.wrong("until", "must be a month, such as `2026-01`"))?;
    body.finish(&[])?;
    Ok(if rest == "archive" { ArchiveOp::Write { until } } else { ArchiveOp::Prune { until } })
}

/// `2026-01`.
fn month(text: &str) -> Option<Date> {
    let (year, month) = text.split_once('-').filter(|(year, month)| year.len() == 4 && month.len() == 2)?;
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    let month: u8 = Some(month).filter(|text| digits(text))?.parse().ok()?;
    let year: i32 = Some(year).filter(|text| digits(text))?.parse().ok()?;
    Date::from_calendar_date(year, Month::try_from(month).ok()?, 1).ok()
}

impl System {
    pub(super) async fn run_archive(&self, op: &ArchiveOp, work: &mut Work) -> Result<Reply, Fault> {
        match op {
            ArchiveOp::List => {
                let archives = ledger_archive::archives(work.store(), None).await?;
                let days = ledger_archive::retention_days(work.store()).await?;
                Ok(Reply::data(Node::object([
                    ("archives", Node::List(archives.iter().map(shown).collect())),
                    ("retention_days", Node::whole(days.into())),
                ])))
            }
            ArchiveOp::Write { until } => self.write_archive(*until, work).await,
            ArchiveOp::Prune { until } => self.prune(*until, work).await,
        }
    }

    fn archive_folder(&self) -> Result<PathBuf, Fault> {
        self.archive
            .clone()
            .ok_or(Fault::invalid("this node has no folder for archives; set `archive` in the section `ledger` of its configuration"))
    }

    async fn write_archive(&self, until: Date, work: &mut Work) -> Result<Reply, Fault> {
        let folder = self.archive_folder()?;
        let waiting = ledger_archive::waiting(work.store(), until).await?;
        let remaining = |done: usize| Node::whole(i64::try_from(waiting.len().saturating_sub(done)).unwrap_or(i64::MAX));
        let Some(wanted) = waiting.first().copied() else {
            work.facts.count = Some(0);
            return Ok(Reply::data(Node::object([("archive", Node::Null), ("remaining", remaining(0))])));
        };
        let keys = Keys { log: self.log_key()?, mac: Some(self.tools.barrier.ledger()) };
        let order = Order { store: work.store().clone(), keys, signer: self.tools.barrier.checkpoint()?, folder, wanted };
        // It computes and waits for disks for as long as the month is large.
        let runtime = tokio::runtime::Handle::current();
        let written = tokio::task::spawn_blocking(move || runtime.block_on(archiving::write(order)));
        let new = written.await.map_err(|_| Fault::Internal("archiving"))??;
        ledger_archive::record(work, &new).await?;
        work.facts.count = u64::try_from(new.last - new.first + 1).ok();
        work.facts.digest = Some(new.digest);
        work.facts.ranges = vec![range(new.month, new.stream.0, new.first, new.last, &new.root)];
        let archive = Node::object([
            ("stream", Node::whole(new.stream.0.into())),
            ("month", Node::text(name_of(new.month))),
            ("first", Node::whole(new.first)),
            ("last", Node::whole(new.last)),
            ("digest", Node::text(hex(&new.digest))),
            ("file", Node::text(new.file)),
        ]);
        Ok(Reply::data(Node::object([("archive", archive), ("remaining", remaining(1))])))
    }

    async fn prune(&self, until: Date, work: &mut Work) -> Result<Reply, Fault> {
        let months = ledger_archive::prunable(work.store(), until).await?;
        let remaining = |done: usize| {
            let due = months.iter().skip(done).filter(|month| month.due).count();
            Node::whole(i64::try_from(due).unwrap_or(i64::MAX))
        };
        let Some(oldest) = months.first() else {
            work.facts.count = Some(0);
            return Ok(Reply::data(Node::object([("month", Node::Null), ("remaining", remaining(0))])));
        };
        if !oldest.due {
            return Err(Fault::invalid("the oldest month is within the retention; its entries are kept for so long"));
        }
        if oldest.unarchived > 0 {
            return Err(Fault::invalid("the oldest month holds entries that are not archived; archive it first"));
        }
        let archives = ledger_archive::archives(work.store(), None).await?;
        let archives: Vec<StoredArchive> = archives.into_iter().filter(|archive| archive.month == oldest.month).collect();
        let log = self.log_key()?;
        for archive in &archives {
            if believed(archive, &log).is_none() {
                tracing::error!(
                    alarm = "ledger",
                    stream = archive.stream,
                    last = archive.last,
                    "the record of an archive is not what goldfin wrote"
                );
                return Err(Fault::Integrity("the record of an archive is not what goldfin wrote; run `goldfin audit verify`"));
            }
            self.look_at(archive).await?;
        }
        let kept = ledger_archive::prune(work, oldest.month).await?;
        for archive in &archives {
            let mut sum = Sha256Sum::default();
            kept.iter().filter(|entry| entry.stream == archive.stream).for_each(|entry| sum.update(&chain::leaf(&entry.body)));
            if sum.finish()[..] != archive.kept[..] {
                tracing::error!(alarm = "ledger", stream = archive.stream, "what would be kept of a month is not what was archived of it");
                return Err(Fault::Integrity("the month is not what was archived of it; run `goldfin audit verify`"));
            }
        }
        let entries: i64 = archives.iter().map(|archive| archive.last - archive.first + 1).sum();
        work.facts.count = u64::try_from(entries).ok();
        work.facts.ranges =
            archives.iter().map(|archive| range(archive.month, archive.stream, archive.first, archive.last, &archive.root)).collect();
        Ok(Reply::data(Node::object([
            ("month", Node::text(name_of(oldest.month))),
            ("entries", Node::whole(entries)),
            ("remaining", remaining(1)),
        ])))
    }

    /// The file must be there and hold what was recorded.
    async fn look_at(&self, archive: &StoredArchive) -> Result<(), Fault> {
        let path = self.archive_folder()?.join(Path::new(&archive.file).file_name().unwrap_or_default());
        let file = path.clone();
        let read = tokio::task::spawn_blocking(move || digest_of(&file)).await.map_err(|_| Fault::Internal("archive"))?;
        let why = match read {
            Ok(digest) if digest[..] == archive.digest[..] => return Ok(()),
            Ok(_) => "it is not what was written".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::error!(alarm = "ledger", path = %path.display(), %why, "an archive is damaged or gone, its month is not pruned");
        Err(Fault::Invalid(
            Complaint::new("an archive of the month is damaged or gone from this node's folder; put it back first")
                .stored(archive.file.clone()),
        ))
    }
}

/// `2026-01/1:1-4711:ROOT`: the month, the stream, its entries, and the root of the tree behind which the stream goes on.
fn range(month: Date, stream: i32, first: i64, last: i64, root: &[u8]) -> String {
    format!("{}/{stream}:{first}-{last}:{}", name_of(month), hex(root))
}

fn shown(archive: &StoredArchive) -> Node {
    let time = |time: time::OffsetDateTime| Node::text(Timestamp::from_date(time).to_rfc3339());
    Node::object([
        ("stream", Node::whole(archive.stream.into())),
        ("month", Node::text(name_of(archive.month))),
        ("first", Node::whole(archive.first)),
        ("last", Node::whole(archive.last)),
        ("root", Node::text(hex(&archive.root))),
        ("mac", Node::text(hex(&archive.mac))),
        ("hashes", Node::texts(archive.hashes.chunks(32).map(hex))),
        ("digest", Node::text(hex(&archive.digest))),
        ("kept", Node::text(hex(&archive.kept))),
        ("note", Node::text(archive.note.as_str())),
        ("file", Node::text(archive.file.as_str())),
        ("verified", time(archive.verified)),
        ("pruned", archive.pruned.map_or(Node::Null, time)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_read_as_people_write_them_and_nothing_else_is() {
        assert_eq!(month("2026-01").map(name_of).as_deref(), Some("2026-01"));
        for wrong in ["", "2026", "2026-13", "2026-00", "2026-1", "26-01", "2026-01-01", "+026-01", "2026-+1", "2026/01"] {
            assert_eq!(month(wrong), None, "{wrong}");
        }
    }
}
