//! `audit prove`, `audit checkpoint`, `audit consistent`, `audit key`: what the ledger says is checked here, by hashes and a signature.
//! Nothing that the server answers is believed but for the public key, and that only where none was given.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use goldfin_ledger::note::{Checkpoint, LogKey, NoteError};
use goldfin_ledger::proof::{includes, is_beginning};
use goldfin_ledger::{hex, leaf_hash, unhex};

use crate::client::Ask;
use crate::document::Json;
use crate::failure::Failure;
use crate::input::Source;
use crate::output::Table;
use crate::session::Session;

/// Get the proof that an answer's entry is in the ledger, and check it
#[derive(Args, Debug)]
#[command(after_long_help = "\
The proof leads from the entry's hash to a checkpoint that the ledger has signed. With `--checkpoint` it is also proven that nothing before a
checkpoint of yours has changed.

Exit codes: 0 proven; 2 the proof is wrong; 3 the ledger is shorter than your checkpoint.

Examples:
  goldfin audit prove 1:4711:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  goldfin audit prove 1:4711 --checkpoint yesterday.checkpoint --key ledger.key")]
pub struct Prove {
    /// STREAM:SEQ:LEAF, as the header `X-Goldfin-Receipt` of an answer gives it; STREAM:SEQ does not compare the hash
    #[arg(value_name = "RECEIPT")]
    receipt: String,
    /// A checkpoint kept from before, a signed note
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    #[command(flatten)]
    key: KeyFile,
}

/// Print the newest checkpoint: three lines and a signature, to be kept where the ledger cannot be reached
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin audit checkpoint --stream 1 > 2026-01-31.checkpoint")]
pub struct PrintCheckpoint {
    /// The stream's number or its node's name; needed where there are several
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
}

/// Prove that the ledger of one checkpoint is the beginning of that of another
#[derive(Args, Debug)]
#[command(after_long_help = "\
Exit codes: 0 it is; 2 it is not.

Example:
  goldfin audit consistent yesterday.checkpoint today.checkpoint --key ledger.key")]
pub struct Consistent {
    #[arg(value_name = "OLD")]
    old: PathBuf,
    #[arg(value_name = "NEW")]
    new: PathBuf,
    #[command(flatten)]
    key: KeyFile,
}

/// Print the public key of the ledger's checkpoints, one line for a file
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  goldfin audit key > ledger.key")]
pub struct PrintKey {}

#[derive(Args, Debug)]
struct KeyFile {
    /// The ledger's public key, as `goldfin audit key` printed it; without it the server is asked, which proves less
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// How often a checkpoint is asked for that covers a new entry; the server makes one within ten seconds.
const TRIES: u32 = 30;
const BETWEEN: Duration = Duration::from_millis(500);

impl KeyFile {
    fn open(&self, session: &mut Session) -> Result<LogKey, Failure> {
        let line = match &self.key {
            Some(path) => Source::File(path.clone()).text(&mut session.around, "public key")?,
            None => {
                session.out.warn("warning: the public key comes from the server that is being checked; keep `goldfin audit key`, and give it with `--key`")?;
                fetch_key(session)?
            }
        };
        LogKey::parse(&line).map_err(|error| refused("the public key", error))
    }
}

fn fetch_key(session: &mut Session) -> Result<zeroize::Zeroizing<String>, Failure> {
    let data = session.ask(&Ask::get("sys/ledger/key"))?.data();
    data.get("key").map(Json::plain).ok_or_else(odd)
}

impl PrintKey {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let key = fetch_key(session)?;
        session.out.line(&key)
    }
}

impl PrintCheckpoint {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let note = if let Some(stream) = &self.stream {
            let data = session.ask(&Ask::get(format!("sys/ledger/checkpoint/{stream}")))?.data();
            data.str_of("note").map(str::to_owned)
        } else {
            let data = session.ask(&Ask::get("sys/ledger/checkpoint"))?.data();
            match data.get("checkpoints").map_or(&[][..], Json::items) {
                [one] => one.str_of("note").map(str::to_owned),
                [] => return Err(Failure::local("the ledger has no checkpoint yet", "one is made within ten seconds of an entry")),
                several => {
                    let names: Vec<String> = several.iter().filter_map(|of| Some(of.str_of("node")?.to_owned())).collect();
                    return Err(Failure::local(
                        "the ledger has several streams",
                        format!("name one with `--stream`: {}", names.join(", ")),
                    ));
                }
            }
        };
        session.out.raw(note.ok_or_else(odd)?.as_bytes())
    }
}

/// What a proof is of.
struct Proven {
    leaf: [u8; 32],
    seq: u64,
    checkpoint: Checkpoint,
}

impl Prove {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let form = || Failure::local("this is not a receipt", "write it as STREAM:SEQ:LEAF, as the header `X-Goldfin-Receipt` gives it");
        let mut parts = self.receipt.splitn(3, ':');
        let (Some(stream), Some(seq)) = (parts.next(), parts.next()) else { return Err(form()) };
        let seq: u64 = seq.parse().map_err(|_| form())?;
        let mine = parts.next().map(|leaf| unhex(leaf).ok_or_else(form)).transpose()?;
        let key = self.key.open(session)?;
        let kept = self.checkpoint.as_ref().map(|path| open(session, path, &key)).transpose()?;
        let data = covered(session, stream, seq)?;
        let proven = check(&data, seq, &key)?;
        if mine.is_some_and(|mine| mine != proven.leaf) {
            return Err(wrong("the ledger's entry is not the one of the receipt"));
        }
        if stream.parse() != Ok(proven.checkpoint.stream) {
            return Err(wrong("the checkpoint is of another stream than the receipt"));
        }
        if let Some(kept) = &kept {
            compare(session, kept, &proven.checkpoint)?;
        }
        let shown = Json::object([
            ("proven", Json::Bool(true)),
            ("stream", Json::text(proven.checkpoint.stream.to_string())),
            ("seq", Json::number(proven.seq)),
            ("leaf", Json::text(hex(&proven.leaf))),
            ("size", Json::number(proven.checkpoint.size)),
            ("root", Json::text(hex(&proven.checkpoint.root))),
            ("consistent_with", kept.map_or(Json::Null, |kept| Json::number(kept.size))),
        ]);
        session.out.present(&shown, Table::of_members)
    }
}

/// The entry with its proof, once a checkpoint covers it.
fn covered(session: &mut Session, stream: &str, seq: u64) -> Result<Json, Failure> {
    for _ in 0..TRIES {
        let data = session.ask(&Ask::get(format!("sys/ledger/entries/{stream}/{seq}")))?.data();
        if data.get("proof").is_some_and(|proof| !proof.is_null()) {
            return Ok(data);
        }
        std::thread::sleep(BETWEEN);
    }
    Err(wrong("no checkpoint covers the entry, although one is due every ten seconds"))
}

fn check(data: &Json, seq: u64, key: &LogKey) -> Result<Proven, Failure> {
    let proof = data.get("proof").ok_or_else(odd)?;
    let body = data.str_of("body").ok_or_else(odd)?;
    let note = proof.str_of("note").ok_or_else(odd)?;
    let hashes = hashes(proof)?;
    let checkpoint = Checkpoint::open(note.as_bytes(), key).map_err(|error| wrong(&error.to_string()))?;
    let leaf = leaf_hash(body.as_bytes());
    let index = seq.checked_sub(1).ok_or_else(odd)?;
    if includes(&leaf, index, checkpoint.size, &hashes, &checkpoint.root) {
        Ok(Proven { leaf, seq, checkpoint })
    } else {
        Err(wrong("the proof does not lead from the entry to the checkpoint"))
    }
}

impl Consistent {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let key = self.key.open(session)?;
        let (old, new) = (open(session, &self.old, &key)?, open(session, &self.new, &key)?);
        if old.size > new.size {
            return Err(Failure::local("the first checkpoint is the larger one", "name the older one first"));
        }
        compare(session, &old, &new)?;
        let shown = Json::object([
            ("consistent", Json::Bool(true)),
            ("stream", Json::text(old.stream.to_string())),
            ("from", Json::number(old.size)),
            ("to", Json::number(new.size)),
        ]);
        session.out.present(&shown, Table::of_members)
    }
}

/// Proves that what was kept is the beginning of what is there.
fn compare(session: &mut Session, kept: &Checkpoint, newer: &Checkpoint) -> Result<(), Failure> {
    if kept.stream != newer.stream {
        return Err(Failure::local("the checkpoints are of different streams", "compare those of one stream"));
    }
    if kept.size > newer.size {
        session.out.warn(
            "error: the ledger is shorter than the checkpoint that was kept\n  hint: keep the checkpoint, and run `goldfin audit verify`",
        )?;
        return Err(Failure::Told(3));
    }
    let proof = if kept.size == newer.size {
        Vec::new()
    } else {
        let ask = Ask::get(format!("sys/ledger/{}/consistency", newer.stream)).and("from", Some(kept.size)).and("to", Some(newer.size));
        hashes(&session.ask(&ask)?.data())?
    };
    if is_beginning(kept.size, &kept.root, newer.size, &newer.root, &proof) {
        Ok(())
    } else {
        Err(wrong("the ledger of the older checkpoint is not the beginning of the newer one's"))
    }
}

fn open(session: &mut Session, path: &std::path::Path, key: &LogKey) -> Result<Checkpoint, Failure> {
    let note = Source::File(path.to_owned()).bytes(&mut session.around, "checkpoint")?;
    Checkpoint::open(&note, key).map_err(|error| refused(&format!("`{}`", path.display()), error))
}

fn hashes(of: &Json) -> Result<Vec<[u8; 32]>, Failure> {
    let items = of.get("hashes").ok_or_else(odd)?.items();
    items.iter().map(|hash| hash.as_str().and_then(unhex)).collect::<Option<_>>().ok_or_else(odd)
}

fn refused(what: &str, error: NoteError) -> Failure {
    Failure::local(format!("{what}: {error}"), "give the file as `goldfin audit checkpoint` or `goldfin audit key` printed it")
}

fn odd() -> Failure {
    Failure::local("the server's answer is not what was asked for", "see that client and server are of the same release")
}

fn wrong(what: &str) -> Failure {
    Failure::no(what, "keep the receipt and the checkpoints, and run `goldfin audit verify`")
}
