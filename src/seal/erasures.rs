//! The erasures that this node remembers by itself: in a file outside of the database, and in memory.
//!
//! A database that is restored from a backup brings the wrapped keys back of people who were erased since. The file beside the node knows
//! who they are: before anything is served their keys are destroyed again, and whatever the database says, none of them is used here. It
//! holds numbers and keyed hashes, never an identifier or a key. A line that goldfin did not write stops the start: it would destroy.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use goldfin_crypto::MacKey;
use goldfin_crypto::digest::hex;
use parking_lot::{Mutex, RwLock};

use crate::model::clock::Timestamp;
use crate::model::id::MountId;
use crate::store::erasure::Erasure;

/// Why the file cannot be used. Names it and says what to do.
#[derive(Debug)]
pub struct JournalError(String);

impl std::fmt::Display for JournalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JournalError {}

/// The file. Cloning shares its lock.
#[derive(Debug, Clone)]
pub struct Journal {
    path: PathBuf,
    writing: Arc<Mutex<()>>,
}

impl Journal {
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, writing: Arc::new(Mutex::new(())) }
    }

    /// All erasures that the file holds; none where it is not there. What a crash cut short behind the last line is passed over.
    pub fn read(&self, mac: &MacKey) -> Result<Vec<Erasure>, JournalError> {
        let mut text = String::new();
        match std::fs::File::open(&self.path) {
            Ok(mut file) => file.read_to_string(&mut text).map_err(|error| self.failed("read", &error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed("read", &error)),
        };
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let parsed = whole.lines().enumerate().map(|(number, line)| {
            parse(mac, line).ok_or_else(|| {
                JournalError(format!(
                    "line {} of the file of erasures {} is not what goldfin wrote for this vault; put the file of this node back, or move it away if it is another vault's",
                    number + 1,
                    self.path.display()
                ))
            })
        });
        parsed.collect()
    }

    /// Adds erasures, and waits until they are on disk.
    pub fn append(&self, mac: &MacKey, erasures: &[Erasure]) -> Result<(), JournalError> {
        let _one = self.writing.lock();
        self.write(mac, erasures).map_err(|error| self.failed("written", &error))
    }

    fn write(&self, mac: &MacKey, erasures: &[Erasure]) -> std::io::Result<()> {
        let known = self.path.exists();
        let mut file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&self.path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let end = u64::try_from(end).map_err(std::io::Error::other)?;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        let lines: String = erasures.iter().map(|erasure| line(mac, erasure)).collect();
        file.write_all(lines.as_bytes())?;
        file.sync_all()?;
        if !known && let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn failed(&self, what: &str, error: &std::io::Error) -> JournalError {
        JournalError(format!("the file of erasures {} cannot be {what}: {error}", self.path.display()))
    }
}

/// The erasures in memory, by number and keyed hash, and since when this node knows of each.
#[derive(Debug, Default)]
pub struct Erased(RwLock<HashMap<(i64, [u8; 32]), Timestamp>>);

impl Erased {
    /// Takes note of erasures that are committed.
    pub fn remember(&self, erasures: &[Erasure], now: Timestamp) {
        let mut known = self.0.write();
        for erasure in erasures {
            known.entry((erasure.id, erasure.hash)).or_insert(now);
        }
    }

    /// Since when it is known that somebody was erased. A request that came later and still reads their key reads one that was put back;
    /// one that was under way may have read it before.
    #[must_use]
    pub fn known_since(&self, id: i64, hash: &[u8; 32]) -> Option<Timestamp> {
        self.0.read().get(&(id, *hash)).copied()
    }
}

fn tag(mac: &MacKey, erasure: &Erasure) -> [u8; 32] {
    let (mount, id, at) = (erasure.mount.0.to_be_bytes(), erasure.id.to_be_bytes(), erasure.at.unix_micros().to_be_bytes());
    mac.mac(&[b"erasure journal", &mount, &id, &erasure.hash, &at])
}

/// `1 MOUNT NUMBER HASH MICROSECONDS MAC`, the first being the form's version.
fn line(mac: &MacKey, erasure: &Erasure) -> String {
    let Erasure { mount, id, hash, at } = erasure;
    format!("1 {} {id} {} {} {}\n", mount.0, hex(hash), at.unix_micros(), hex(&tag(mac, erasure)))
}

fn parse(mac: &MacKey, text: &str) -> Option<Erasure> {
    let parts: Vec<&str> = text.split(' ').collect();
    let ["1", mount, id, hash, at, _] = parts.as_slice() else { return None };
    let erasure = Erasure {
        mount: MountId(mount.parse().ok()?),
        id: id.parse().ok()?,
        hash: unhex(hash)?,
        at: Timestamp::from_unix_micros(at.parse().ok()?),
    };
    // Written anew and compared as a whole: one line has one form.
    goldfin_crypto::mac::constant_time_eq(line(mac, &erasure).trim_end().as_bytes(), text.as_bytes()).then_some(erasure)
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let bytes: Vec<u8> = digits?.chunks(2).filter_map(|pair| if let [high, low] = pair { Some(high << 4 | low) } else { None }).collect();
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use goldfin_crypto::{Key, Zeroizing};

    use super::*;

    fn key(byte: u8) -> MacKey {
        MacKey::new(Key::from_exposed(Zeroizing::new([byte; 32])))
    }

    fn erasure(id: i64) -> Erasure {
        Erasure {
            mount: MountId(7),
            id,
            hash: [u8::try_from(id).expect("small"); 32],
            at: Timestamp::from_unix_micros(1_700_000_000_000_000 + id),
        }
    }

    fn journal(name: &str) -> Journal {
        let path = std::env::temp_dir().join(format!("goldfin-erasures-{}-{name}", std::process::id()));
        drop(std::fs::remove_file(&path));
        Journal::new(path)
    }

    #[test]
    fn reads_back_what_it_wrote_past_what_a_crash_cut_short() {
        let journal = journal("torn");
        assert!(journal.read(&key(1)).expect("absent").is_empty());
        journal.append(&key(1), &[erasure(1), erasure(2)]).expect("written");
        let whole = std::fs::read_to_string(&journal.path).expect("there");
        std::fs::write(&journal.path, format!("{whole}1 7 3 00ff")).expect("torn");
        assert_eq!(journal.read(&key(1)).expect("read"), [erasure(1), erasure(2)]);
        journal.append(&key(1), &[erasure(3)]).expect("written");
        assert_eq!(journal.read(&key(1)).expect("read"), [erasure(1), erasure(2), erasure(3)]);
        std::fs::remove_file(&journal.path).expect("removed");
    }

    #[test]
    fn takes_no_line_that_it_did_not_write() {
        let journal = journal("forged");
        journal.append(&key(1), &[erasure(1)]).expect("written");
        let written = std::fs::read_to_string(&journal.path).expect("there");
        assert!(journal.read(&key(2)).is_err(), "another vault's");
        for (from, to) in [
            ("1 7 1 ", "1 7 2 "),
            ("1 7 ", "1 8 "),
            ("1 7 ", "2 7 "),
            ("0101", "0102"),
            ("1 7 1 ", "1 7 01 "),
            ("1 7", "1  7"),
            ("\n", " \n"),
        ] {
            std::fs::write(&journal.path, written.replacen(from, to, 1)).expect("forged");
            assert!(journal.read(&key(1)).is_err(), "{from} {to}");
        }
        std::fs::remove_file(&journal.path).expect("removed");
    }

    #[test]
    fn remembers_a_number_whose_it_was_and_since_when() {
        let (erased, first) = (Erased::default(), Timestamp::from_unix_micros(1_800_000_000_000_000));
        erased.remember(&[erasure(1)], first);
        erased.remember(&[erasure(1)], Timestamp::from_unix_micros(1_900_000_000_000_000));
        assert_eq!(erased.known_since(1, &[1; 32]), Some(first));
        assert_eq!((erased.known_since(1, &[2; 32]), erased.known_since(2, &[1; 32])), (None, None));
    }
}
