//! Writes an archive: the entries of a stream in a month, compressed, with everything that it takes to verify them alone. The entries are
//! verified while they are written, with both keys, and the written file is read back and verified as a stranger would. Nothing is
//! recorded here, and the same entries give the same lines however often they are written.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use goldfin_crypto::digest::{Sha256Sum, hex};
use goldfin_ledger::SigningKey;
use goldfin_ledger::archived::Archived;
use goldfin_ledger::note::Checkpoint;
use goldfin_ledger::tile::Tiles;
use time::Date;

use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::id::StreamId;
use crate::store::Store;
use crate::store::ledger::Reading;
use crate::store::ledger_archive::{NewArchive, StoredArchive, Waiting};
use crate::store::ledger_tree::StoredCheckpoint;
use crate::store::ledger_verify::{RawCheckpoint, RawEntry};

use super::archive;
use super::archived::{believed, outlives};
use super::chain;
use super::check::{Check, Claim, Keys};
use super::lines::line;
use super::verify::{Verdict, step};

/// Entries that are read at a time.
const STRETCH: i64 = 2000;

const UNSOUND: Fault = Fault::Integrity("the month does not verify, so it is not archived; run `goldfin audit verify`");
const UNWRITTEN: Fault = Fault::Unavailable("the archive cannot be written; look into the server's log");

/// An archive that is to be written, and with what.
#[derive(Debug)]
pub struct Order {
    pub store: Store,
    /// With the MAC key.
    pub keys: Keys,
    pub signer: SigningKey,
    pub folder: PathBuf,
    pub wanted: Waiting,
}

/// The month as file names and members have it: `2026-01`.
#[must_use]
pub fn name_of(month: Date) -> String {
    format!("{:04}-{:02}", month.year(), u8::from(month.month()))
}

/// What stands before the first entry.
struct Begin {
    first: i64,
    last: i64,
    tree: Tiles,
    mac: Vec<u8>,
}

/// What came of the entries.
struct End {
    tree: Tiles,
    mac: [u8; 32],
    kept: [u8; 32],
    digest: [u8; 32],
    checkpoint: StoredCheckpoint,
}

/// Carries an order out: blocks, and computes for as long as a month has entries. The file has its name only once it was verified.
pub async fn write(order: Order) -> Result<NewArchive, Fault> {
    let Order { store, keys, signer, folder, wanted: Waiting { stream, month } } = &order;
    let mut reading = Reading::begin(store).await?;
    let begin = begin(&mut reading, keys, *stream, *month).await?;
    let node = reading.heads().await?.into_iter().find(|(_, head)| head.stream == *stream).map(|(node, _)| node).unwrap_or_default();
    let log = keys.log.log_id();
    let file = format!("{}-{:05}-{}.ndjson.gz", log.replace('/', "-"), stream.0, name_of(*month));
    let beside = folder.join(format!("{file}.{}.part", std::process::id()));
    let mut lines = Lines::create(&beside).map_err(|error| unwritten(&beside, &error))?;
    let head = Node::object([
        ("archive", Node::whole(1)),
        ("log", Node::text(log)),
        ("key", Node::text(keys.log.to_line())),
        ("stream", Node::whole(stream.0.into())),
        ("node", Node::text(node)),
        ("month", Node::text(name_of(*month))),
        ("first", Node::whole(begin.first)),
        ("last", Node::whole(begin.last)),
    ]);
    lines.node(&head).map_err(|error| unwritten(&beside, &error))?;
    let (first, last) = (begin.first, begin.last);
    let end = entries(&mut reading, &order, begin, lines).await;
    drop(reading);
    let end = match end {
        Ok(end) => end,
        Err(fault) => {
            drop(std::fs::remove_file(&beside));
            return Err(fault);
        }
    };
    read_back(&beside, keys, (first, last), &end.digest)?;
    settle(&beside, &folder.join(&file)).map_err(|error| unwritten(folder, &error))?;
    let root = end.tree.edge().root();
    let size = |seq: i64| u64::try_from(seq).unwrap_or(0);
    let says = Archived { stream: stream.0, first: size(first), last: size(last), root, mac: end.mac, digest: end.digest, kept: end.kept };
    let note = says.sign(signer).map_err(|_| Fault::Unavailable("the archive cannot be signed"))?;
    Ok(NewArchive {
        stream: *stream,
        first,
        last,
        month: *month,
        root,
        mac: end.mac,
        hashes: end.tree.edge().hashes().concat(),
        levels: end.tree.partial(),
        digest: end.digest,
        kept: end.kept,
        note,
        file,
        checkpoint: end.checkpoint,
    })
}

/// Where the month begins: behind the archive before, whose note must say so, or at the stream's first entry.
async fn begin(reading: &mut Reading, keys: &Keys, stream: StreamId, month: Date) -> Result<Begin, Fault> {
    let (first, last) = reading.range_of(stream, month).await?.ok_or(Fault::conflict("the month holds no entry of the stream any more"))?;
    if first == 1 {
        return Ok(Begin { first, last, tree: Tiles::default(), mac: Vec::new() });
    }
    let archives: Vec<StoredArchive> = reading.archives(stream).await?;
    let before = archives.last().filter(|before| before.last.checked_add(1) == Some(first)).ok_or_else(|| {
        tracing::error!(alarm = "ledger", stream = stream.0, first, "no archive ends before the first entry of the month");
        UNSOUND
    })?;
    let tree = believed(before, &keys.log).and_then(|(says, _)| Tiles::from_partial(says.last, &before.levels));
    let tree = tree.filter(|tree| tree.edge().root()[..] == before.root[..]).ok_or_else(|| {
        tracing::error!(alarm = "ledger", stream = stream.0, last = before.last, "the record of an archive is not what goldfin wrote");
        UNSOUND
    })?;
    Ok(Begin { first, last, tree, mac: before.mac.clone() })
}

/// Verifies the entries and writes them, with the checkpoints of their stretch.
async fn entries(reading: &mut Reading, order: &Order, begin: Begin, mut lines: Lines) -> Result<End, Fault> {
    let Order { keys, signer, wanted, .. } = order;
    let Begin { first, last, mut tree, mut mac } = begin;
    let unwritten = |error: std::io::Error| unwritten(&order.folder, &error);
    let mut check = Check::new(keys, wanted.stream, &[]);
    lines.node(&edge_line(wanted.stream, &tree, &mac)).map_err(unwritten)?;
    if first > 1 {
        check.resume(tree.edge().clone(), mac.clone());
        let vouching = Checkpoint { stream: wanted.stream.0, size: tree.edge().size(), root: tree.edge().root() };
        lines.node(&checkpoint_line(wanted.stream, &signed(&vouching, signer)?)).map_err(unwritten)?;
    }
    let (mut kept, mut from, mut full) = (Sha256Sum::default(), first, Vec::new());
    let mut closing = None;
    while from <= last {
        let end = last.min(from.saturating_add(STRETCH - 1));
        let names = reading.names(wanted.stream, from, end, i64::MAX).await?;
        let claims = reading.raw_checkpoints(wanted.stream, from, STRETCH).await?.into_iter().filter(|claim| claim.size <= end);
        let claims: Vec<StoredCheckpoint> = claims.map(stored).collect();
        claims.iter().for_each(|claim| check.claim(&Claim { size: claim.size, root: claim.root.clone(), note: claim.note.clone() }));
        let (mut beside, mut verdict, mut text) = (names.as_slice(), None, Vec::new());
        let take = |entry: &RawEntry<'_>| {
            if verdict.is_some() {
                return;
            }
            let of_entry;
            (of_entry, beside) = beside.split_at(beside.partition_point(|name| name.seq <= entry.seq));
            verdict = step(&mut check, entry, of_entry).err();
            let (body, proof) = entry.body.zip(entry.mac).unwrap_or_default();
            let leaf = chain::leaf(body);
            line(body, proof, &leaf, &mut text);
            tree.push(leaf, &mut full);
            if outlives(entry.change) {
                kept.update(&leaf);
            }
            proof.clone_into(&mut mac);
        };
        reading.each_entry(wanted.stream, from, end - from + 1, take).await?;
        if let Some(verdict) = verdict {
            return Err(told(wanted, &verdict));
        }
        if check.next_seq() != end + 1 {
            return Err(told(wanted, &Verdict::Tampered { seq: check.next_seq(), what: "the entry is missing" }));
        }
        full.clear();
        lines.bytes(&text).map_err(unwritten)?;
        for claim in claims {
            lines.node(&checkpoint_line(wanted.stream, &claim)).map_err(unwritten)?;
            closing = (claim.size == last).then_some(claim);
        }
        from = end + 1;
    }
    let (_, verdict) = check.finish(None);
    if verdict != Verdict::Sound {
        return Err(told(wanted, &verdict));
    }
    let checkpoint = match closing {
        Some(stored) => stored,
        None => {
            let end = Checkpoint { stream: wanted.stream.0, size: tree.edge().size(), root: tree.edge().root() };
            let made = signed(&end, signer)?;
            lines.node(&checkpoint_line(wanted.stream, &made)).map_err(unwritten)?;
            made
        }
    };
    let digest = lines.finish().map_err(unwritten)?;
    let mac = mac.try_into().map_err(|_| UNSOUND)?;
    Ok(End { tree, mac, kept: kept.finish(), digest, checkpoint })
}

/// The file as anybody reads it: every line, under the public key and the MAC key, and the digest of what was meant.
fn read_back(path: &Path, keys: &Keys, (first, last): (i64, i64), digest: &[u8; 32]) -> Result<(), Fault> {
    let paths = [path.to_owned()];
    let report = archive::verify(&paths, keys, &[], &|_| {});
    let whole =
        report.as_ref().is_ok_and(|report| report.exit_code() == 0 && report.streams.len() == 1 && report.entries() == last - first + 1);
    if whole && archive::digest_of(path).is_ok_and(|read| read == *digest) {
        return Ok(());
    }
    let why = report.map_or_else(|why| why, |_| "it is not what was written".to_owned());
    tracing::error!(alarm = "ledger", path = %path.display(), %why, "an archive that was just written does not verify");
    drop(std::fs::remove_file(path));
    Err(Fault::Integrity("the archive that was just written does not verify; look into the server's log"))
}

/// Gives the file its name, for good: what is recorded must be there after a power failure.
fn settle(beside: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::rename(beside, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn told(wanted: &Waiting, verdict: &Verdict) -> Fault {
    tracing::error!(alarm = "ledger", stream = wanted.stream.0, month = %name_of(wanted.month), ?verdict, "a month does not verify and is not archived");
    UNSOUND
}

fn unwritten(path: &Path, error: &std::io::Error) -> Fault {
    tracing::error!(alarm = "ledger", path = %path.display(), %error, "an archive cannot be written");
    UNWRITTEN
}

/// What it lacks, the check finds wrong.
fn stored(RawCheckpoint { size, root, note }: RawCheckpoint) -> StoredCheckpoint {
    StoredCheckpoint { size, root: root.unwrap_or_default(), note: note.unwrap_or_default() }
}

fn signed(checkpoint: &Checkpoint, signer: &SigningKey) -> Result<StoredCheckpoint, Fault> {
    let note = checkpoint.sign(signer).map_err(|_| Fault::Unavailable("the checkpoint cannot be signed"))?;
    Ok(StoredCheckpoint { size: i64::try_from(checkpoint.size).unwrap_or(i64::MAX), root: checkpoint.root.to_vec(), note })
}

fn checkpoint_line(stream: StreamId, checkpoint: &StoredCheckpoint) -> Node {
    Node::object([
        ("checkpoint", Node::whole(1)),
        ("stream", Node::whole(stream.0.into())),
        ("size", Node::whole(checkpoint.size)),
        ("root", Node::text(hex(&checkpoint.root))),
        ("note", Node::text(checkpoint.note.as_str())),
    ])
}

fn edge_line(stream: StreamId, tree: &Tiles, mac: &[u8]) -> Node {
    Node::object([
        ("edge", Node::whole(1)),
        ("stream", Node::whole(stream.0.into())),
        ("size", Node::whole(i64::try_from(tree.edge().size()).unwrap_or(i64::MAX))),
        ("mac", Node::text(hex(mac))),
        ("hashes", Node::texts(tree.edge().hashes().iter().map(|hash| hex(hash)))),
    ])
}

/// The lines of an archive on their way into a file, and their digest.
struct Lines {
    out: GzEncoder<BufWriter<File>>,
    sum: Sha256Sum,
}

impl Lines {
    fn create(path: &Path) -> std::io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        Ok(Self { out: GzEncoder::new(file, Compression::default()), sum: Sha256Sum::default() })
    }

    fn bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.sum.update(bytes);
        self.out.write_all(bytes)
    }

    fn node(&mut self, node: &Node) -> std::io::Result<()> {
        let mut line = Vec::new();
        node.write(&mut line);
        line.push(b'\n');
        self.bytes(&line)
    }

    /// The digest of all lines, once they are on the disk.
    fn finish(self) -> std::io::Result<[u8; 32]> {
        let file = self.out.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(self.sum.finish())
    }
}
