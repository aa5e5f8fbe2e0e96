//! What is said of a written archive: a signed note (C2SP signed-note) of the range of entries, the tree and the chain at its end, and
//! digests of its lines and of the entries that outlive a pruning. `docs/ledger-format.md` has the form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldfin_crypto::{CryptoError, SigningKey};

use crate::note::{LONGEST, LogKey, NoteError};

const FORM: NoteError = NoteError("it is not the record of an archive: a signed note of six lines");

/// Entries `first` to `last` of a stream were archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archived {
    pub stream: i32,
    pub first: u64,
    pub last: u64,
    /// Of the tree of size `last`.
    pub root: [u8; 32],
    /// Of entry `last`.
    pub mac: [u8; 32],
    /// SHA-256 of the archive's lines, uncompressed.
    pub digest: [u8; 32],
    /// SHA-256 over the leaves of the entries that stay when the rest is pruned.
    pub kept: [u8; 32],
}

impl Archived {
    /// The signed note. Its origin is no checkpoint's, so that neither passes for the other.
    pub fn sign(&self, key: &SigningKey) -> Result<String, CryptoError> {
        let log = LogKey::new(key.verifying_key());
        let name = format!("{}/archive", log.origin(self.stream));
        let mut text = format!("{name}\n{} {}\n", self.first, self.last);
        for hash in [&self.root, &self.mac, &self.digest, &self.kept] {
            text.push_str(&STANDARD.encode(hash));
            text.push('\n');
        }
        let mut signature = log.key_id(&name).to_vec();
        signature.extend_from_slice(&key.sign(text.as_bytes())?);
        Ok(format!("{text}\n\u{2014} {name} {}\n", STANDARD.encode(signature)))
    }

    /// Reads a note that this log signed.
    pub fn open(note: &[u8], key: &LogKey) -> Result<Self, NoteError> {
        if note.len() > LONGEST {
            return Err(FORM);
        }
        let note = std::str::from_utf8(note).map_err(|_| FORM)?;
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(FORM);
        }
        let (lines, signatures) = note.rsplit_once("\n\n").ok_or(FORM)?;
        let text = note.get(..=lines.len()).ok_or(FORM)?;
        let lines: Vec<&str> = lines.split('\n').collect();
        let [name, range, hashes @ ..] = lines.as_slice() else { return Err(FORM) };
        let [root, mac, digest, kept] = *hashes else { return Err(FORM) };
        let stream = name.strip_suffix("/archive").and_then(|origin| key.stream_of(origin));
        let stream = stream.ok_or(NoteError("the record of the archive is of another ledger than the public key"))?;
        key.check_signatures(name, text, signatures, FORM)?;
        let (first, last) = range.split_once(' ').ok_or(FORM)?;
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(FORM);
        }
        Ok(Self { stream, first, last, root: hash(root)?, mac: hash(mac)?, digest: hash(digest)?, kept: hash(kept)? })
    }
}

/// Decimal from 1 to the largest number of an entry.
fn number(text: &str) -> Result<u64, NoteError> {
    let canonical = text.bytes().all(|digit| digit.is_ascii_digit()) && !text.starts_with('0');
    let number: i64 = if canonical { text.parse().map_err(|_| FORM)? } else { return Err(FORM) };
    u64::try_from(number).map_err(|_| FORM)
}

fn hash(text: &str) -> Result<[u8; 32], NoteError> {
    STANDARD.decode(text).ok().and_then(|hash| hash.try_into().ok()).ok_or(FORM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::Checkpoint;
    use goldfin_crypto::{Key, Zeroizing};

    fn signer(seed: u8) -> SigningKey {
        SigningKey::new(Key::from_exposed(Zeroizing::new([seed; 32]))).expect("key")
    }

    #[test]
    fn a_record_reads_back_and_passes_for_nothing_else() {
        let key = signer(1);
        let log = LogKey::new(key.verifying_key());
        let archived = Archived { stream: 3, first: 5, last: 4711, root: [1; 32], mac: [2; 32], digest: [3; 32], kept: [4; 32] };
        let note = archived.sign(&key).expect("signed");
        assert_eq!(Archived::open(note.as_bytes(), &log), Ok(archived));
        assert!(Checkpoint::open(note.as_bytes(), &log).is_err());
        let checkpoint = Checkpoint { stream: 3, size: 4711, root: [1; 32] }.sign(&key).expect("signed");
        assert!(Archived::open(checkpoint.as_bytes(), &log).is_err());
        assert!(Archived::open(note.as_bytes(), &LogKey::new(signer(2).verifying_key())).is_err());
        for (from, to) in [("5 4711", "5 4712"), ("5 4711", "05 4711"), ("/3/", "/4/"), ("\n\n", "\n"), ("AQEB", "AQEC")] {
            assert!(Archived::open(note.replacen(from, to, 1).as_bytes(), &log).is_err(), "{from}");
        }
        for (first, last) in [(0, 1), (2, 1), (1, u64::MAX)] {
            let wrong = Archived { first, last, ..archived }.sign(&key).expect("signed");
            assert!(Archived::open(wrong.as_bytes(), &log).is_err(), "{first} {last}");
        }
    }
}
