//! Verifying an archive: NDJSON files as `docs/ledger-format.md` describes them. Nothing of an archive is believed; it is read twice, first
//! for what may stand anywhere, then for the entries in their order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use goldfin_ledger::note::Checkpoint;
use goldfin_ledger::tree::Edge;
use goldfin_ledger::{hex, unhex};
use serde::Deserialize;

use crate::model::id::StreamId;

use super::check::{Check, Claim, Keys, Shown};
use super::columns::Columns;
use super::verify::{Report, StreamReport, Verdict};

/// What stands behind the canonical bytes of an entry, but its braces: two members of 64 digits.
const SUFFIX: usize = 148;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointLine {
    checkpoint: u32,
    stream: i32,
    size: i64,
    root: String,
    note: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadLine {
    head: u32,
    stream: i32,
    node: String,
    seq: i64,
    mac: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EdgeLine {
    edge: u32,
    stream: i32,
    size: u64,
    mac: String,
    hashes: Vec<String>,
}

/// What is known of a stream before its entries.
#[derive(Debug, Default)]
struct Around {
    claims: Vec<Claim>,
    head: Option<HeadLine>,
    edge: Option<EdgeLine>,
}

/// An entry's line, cut.
struct Cut<'a> {
    body: String,
    mac: [u8; 32],
    leaf: &'a str,
}

/// Verifies a file, or a folder of them. The error says why nothing can be said; `progress` hears of every entry.
pub fn verify(path: &Path, keys: &Keys, trusted: &[Checkpoint], progress: &dyn Fn(u64)) -> Result<Report, String> {
    let files = files(path)?;
    let mut around: BTreeMap<i32, Around> = BTreeMap::new();
    let mut entries = false;
    for_each_line(&files, |line| gather(line, &mut around, &mut entries))?;
    if !entries && around.is_empty() && trusted.is_empty() {
        return Err("the archive holds no line of a ledger".to_owned());
    }
    for checkpoint in trusted {
        around.entry(checkpoint.stream).or_default();
    }
    let mut streams = BTreeMap::new();
    for (stream, around) in &around {
        streams.insert(*stream, Under { check: begin(*stream, around, keys, trusted)?, verdict: None });
    }
    let mut turn = None;
    for_each_line(&files, |line| {
        if !line.starts_with(b"{\"v\":") {
            return Ok(());
        }
        progress(1);
        let cut = cut(line).and_then(|cut| Columns::read(&cut.body).map(|columns| (columns.stream, columns.seq)).map(|place| (cut, place)));
        let stream = cut.as_ref().map(|(_, (stream, _))| *stream).or(turn).ok_or("the first entry of the archive cannot be read")?;
        turn = Some(stream);
        let under = streams.entry(stream).or_insert_with(|| Under { check: Check::new(keys, StreamId(stream), trusted), verdict: None });
        under.take(cut);
        Ok(())
    })?;
    let streams = streams.into_iter().map(|(stream, under)| under.report(stream, around.get(&stream))).collect();
    Ok(Report { streams })
}

/// A stream that is being verified, or has its verdict already.
struct Under<'a> {
    check: Check<'a>,
    verdict: Option<Verdict>,
}

impl Under<'_> {
    fn take(&mut self, cut: Option<(Cut<'_>, (i32, i64))>) {
        if self.verdict.is_some() {
            return;
        }
        let Some((cut, (_, seq))) = cut else {
            self.verdict = Some(Verdict::Tampered { seq: self.check.next_seq(), what: "the entry's line cannot be read" });
            return;
        };
        let shown = Shown { seq, body: &cut.body, mac: &cut.mac };
        self.verdict = self.check.step(shown, |_, leaf| hex(leaf) == cut.leaf).err();
    }

    fn report(self, stream: i32, around: Option<&Around>) -> StreamReport {
        let head = around.and_then(|around| around.head.as_ref());
        let node = head.map(|head| head.node.clone()).unwrap_or_default();
        // `gather` has seen to it that the MAC can be read; that of an empty stream is empty.
        let mac = head.map(|head| unhex(&head.mac).map(Vec::from).unwrap_or_default());
        let end = head.zip(mac.as_deref()).map(|(head, mac)| (head.seq, mac));
        let (entries, verdict) = match self.verdict {
            Some(verdict) => (self.check.entries(), verdict),
            None => self.check.finish(end),
        };
        StreamReport { stream: StreamId(stream), node, entries, verdict }
    }
}

fn begin<'a>(stream: i32, around: &Around, keys: &'a Keys, trusted: &[Checkpoint]) -> Result<Check<'a>, String> {
    let mut check = Check::new(keys, StreamId(stream), trusted);
    if let Some(line) = &around.edge {
        let hashes: Option<Vec<[u8; 32]>> = line.hashes.iter().map(|hash| unhex(hash)).collect();
        let edge = hashes.and_then(|hashes| Edge::from_parts(line.size, hashes));
        let root = edge.as_ref().map(Edge::root);
        let hidden = |kept: &&Checkpoint| kept.size < line.size || (kept.size == line.size && Some(kept.root) != root);
        if trusted.iter().filter(|kept| kept.stream == stream).any(|kept| hidden(&kept)) {
            return Err(format!("the archive of stream {stream} begins behind a kept checkpoint, which it says nothing about"));
        }
        let of_stream = trusted.iter().filter(|checkpoint| checkpoint.stream == stream).copied();
        let signed = around.claims.iter().filter_map(|claim| Checkpoint::open(claim.note.as_bytes(), &keys.log).ok());
        let vouched = of_stream
            .chain(signed)
            .any(|checkpoint| checkpoint.stream == stream && checkpoint.size == line.size && Some(checkpoint.root) == root);
        let (true, Some(edge), Some(mac)) = (vouched, edge, unhex(&line.mac)) else {
            return Err(format!(
                "the archive of stream {stream} does not begin at entry 1, and no checkpoint vouches for what is before it"
            ));
        };
        check.resume(edge, mac.to_vec());
    }
    around.claims.iter().for_each(|claim| check.claim(claim));
    Ok(check)
}

/// Takes a line that is not an entry.
fn gather(line: &[u8], around: &mut BTreeMap<i32, Around>, entries: &mut bool) -> Result<(), String> {
    let unreadable = || "the archive holds a line that cannot be read".to_owned();
    if line.starts_with(b"{\"v\":") {
        *entries = true;
        return Ok(());
    }
    let line = line.strip_suffix(b"\n").ok_or_else(unreadable)?;
    if line.starts_with(b"{\"checkpoint\":") {
        let line: CheckpointLine = serde_json::from_slice(line).map_err(|_| unreadable())?;
        let root = unhex(&line.root).filter(|_| line.checkpoint == 1).ok_or_else(unreadable)?;
        around.entry(line.stream).or_default().claims.push(Claim { size: line.size, root: root.to_vec(), note: line.note });
    } else if line.starts_with(b"{\"head\":") {
        let line: HeadLine = serde_json::from_slice(line).map_err(|_| unreadable())?;
        let readable = line.head == 1 && (unhex(&line.mac).is_some() || (line.mac.is_empty() && line.seq == 0));
        if around.entry(line.stream).or_default().head.replace(line).is_some() || !readable {
            return Err(unreadable());
        }
    } else if line.starts_with(b"{\"edge\":") {
        let line: EdgeLine = serde_json::from_slice(line).map_err(|_| unreadable())?;
        let readable = line.edge == 1;
        if around.entry(line.stream).or_default().edge.replace(line).is_some() || !readable {
            return Err(unreadable());
        }
    } else {
        return Err(unreadable());
    }
    Ok(())
}

/// Cuts an entry's line into its canonical bytes and what was put behind them.
fn cut(line: &[u8]) -> Option<Cut<'_>> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (body, suffix) = line.split_at_checked(line.len().checked_sub(SUFFIX)?)?;
    let rest = suffix.strip_prefix(",\"mac\":\"")?;
    let (mac, rest) = rest.split_at_checked(64)?;
    let leaf = rest.strip_prefix("\",\"leaf\":\"")?.strip_suffix("\"}")?;
    unhex(leaf)?;
    Some(Cut { body: format!("{body}}}"), mac: unhex(mac)?, leaf })
}

fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error: std::io::Error| format!("the archive {} cannot be read: {error}", path.display());
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "ndjson") {
            files.push(file);
        }
    }
    files.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(files)
}

fn for_each_line(files: &[PathBuf], mut take: impl FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
    let mut line = Vec::new();
    for path in files {
        let unreadable = |error: std::io::Error| format!("the archive {} cannot be read: {error}", path.display());
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(unreadable)?);
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
                break;
            }
            take(&line)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
