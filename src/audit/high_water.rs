//! The node's high-water mark: the newest entry that this node knows to be committed, in a file outside of the database. A database that
//! is behind it was set back, and whoever set it back could not reach the file.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use goldfin_ledger::{hex, unhex};

/// A place of a stream and what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The stream, named so that no other ledger has one of this name (`docs/ledger-format.md`).
    pub origin: String,
    pub seq: i64,
    pub leaf: [u8; 32],
}

/// The file of the mark: one line, `ORIGIN SEQ LEAF`.
#[derive(Debug, Clone)]
pub struct HighWater {
    path: PathBuf,
}

impl HighWater {
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// None where there is no file yet. The error says what to do.
    pub fn read(&self) -> Result<Option<Mark>, String> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("the high-water file {} cannot be read: {error}", self.path.display())),
        };
        let mark = parse(&text).ok_or_else(|| {
            format!(
                "the high-water file {} holds no mark; verify the ledger against another witness, then delete the file",
                self.path.display()
            )
        })?;
        Ok(Some(mark))
    }

    /// Replaces the file as a whole. Only where `durable` is wanted the disk is waited for: a mark that a power failure set back is still
    /// right, and only older.
    pub fn write(&self, mark: &Mark, durable: bool) -> std::io::Result<()> {
        let beside = self.path.with_extension("new");
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        writeln!(file, "{} {} {}", mark.origin, mark.seq, hex(&mark.leaf))?;
        if durable {
            file.sync_data()?;
        }
        std::fs::rename(&beside, &self.path)
    }
}

fn parse(text: &str) -> Option<Mark> {
    let mut words = text.strip_suffix('\n')?.split(' ');
    let (origin, seq, leaf) = (words.next()?, words.next()?, words.next()?);
    words.next().is_none().then_some(())?;
    let seq: i64 = seq.parse().ok().filter(|seq| *seq > 0)?;
    Some(Mark { origin: origin.to_owned(), seq, leaf: unhex(leaf)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_a_broken_file_is_no_missing_one() {
        let folder = std::env::temp_dir().join(format!("goldfin-high-water-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("folder");
        let file = HighWater::new(folder.join("mark"));
        assert_eq!(file.read(), Ok(None));
        for (seq, durable) in [(1, true), (4711, false)] {
            let mark = Mark { origin: "goldfin/0123456789abcdef/1".to_owned(), seq, leaf: [7; 32] };
            file.write(&mark, durable).expect("written");
            assert_eq!(file.read(), Ok(Some(mark)));
        }
        for broken in ["", "goldfin/1 4", "a 1 00\n", &format!("a 0 {}\n", "0".repeat(64)), &format!("a 1 {} b\n", "0".repeat(64))] {
            std::fs::write(folder.join("mark"), broken).expect("broken");
            assert!(file.read().is_err(), "{broken}");
        }
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
