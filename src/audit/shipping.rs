//! Shipping: the committed entries of this node's stream as lines of JSON to a file or to standard output, for whoever collects logs.
//!
//! It reads what is committed from the database, so it can neither slow the writer down nor show what was never committed. Every entry is
//! shipped at least once: the position is written behind the lines, and a crash between the two ships some again (`stream` and `seq` tell).
//! It asks for no permit and leaves no entry, or it would ship its own entries for ever; that it ships, and where to, the configuration says.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::fault::Fault;
use crate::model::id::StreamId;
use crate::store::ledger_export::{Rest, take};
use crate::store::{Store, ledger};

use super::lines::ndjson;

/// Entries and bytes of one delivery.
const MOST: usize = 1000;
const BYTES: usize = 4 * 1024 * 1024;

/// Where the lines go, and where is written how far they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipping {
    pub target: Target,
    pub position: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Stdout,
    /// Appended to, and opened anew for each delivery, so that it may be moved away.
    File(PathBuf),
}

impl Shipping {
    /// Ships what was committed since the last time; says how many entries.
    pub async fn advance(self: &Arc<Self>, store: &Store, stream: StreamId) -> Result<u64, Fault> {
        let mut shipped = 0;
        loop {
            let last = ledger::positions(store).await?.get(&stream.0).copied().unwrap_or(0);
            let this = Arc::clone(self);
            let seq = blocking(move || this.position_of(stream)).await?;
            if seq > last {
                tracing::error!(alarm = "ledger", stream = stream.0, shipped = seq, ends = last, "more was shipped than the ledger holds");
                return Err(Fault::Integrity("more of the ledger was shipped than there is"));
            }
            if seq == last {
                return Ok(shipped);
            }
            let mut rest = vec![Rest { stream: stream.0, next: seq + 1, last }];
            let entries = take(store, &mut rest, MOST, BYTES).await?;
            let Some(newest) = entries.last().map(|entry| entry.seq) else {
                return Err(Fault::Integrity("entries that are to be shipped are missing"));
            };
            let this = Arc::clone(self);
            blocking(move || this.deliver(stream, newest, &ndjson(&entries))).await?;
            shipped += u64::try_from(newest - seq).unwrap_or(0);
        }
    }

    fn deliver(&self, stream: StreamId, newest: i64, lines: &[u8]) -> io::Result<()> {
        match &self.target {
            Target::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()?;
            }
            Target::File(path) => {
                let mut file = OpenOptions::new().create(true).append(true).open(path)?;
                file.write_all(lines)?;
                file.sync_data()?;
            }
        }
        let beside = self.position.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(format!("{}:{newest}\n", stream.0).as_bytes())?;
        file.sync_data()?;
        std::fs::rename(&beside, &self.position)
    }

    /// The number of the last entry that was shipped. A position of another stream, or none, is the beginning; one that cannot be read
    /// is an error, so that nobody ships years again by accident.
    fn position_of(&self, stream: StreamId) -> io::Result<i64> {
        let text = match std::fs::read_to_string(&self.position) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let unreadable = || io::Error::new(io::ErrorKind::InvalidData, "the file of the position holds no STREAM:SEQ");
        let (of, seq) = text.trim_end().split_once(':').ok_or_else(unreadable)?;
        let (of, seq): (i32, i64) = of.parse().ok().zip(seq.parse().ok()).ok_or_else(unreadable)?;
        Ok(if of == stream.0 { seq.max(0) } else { 0 })
    }

    /// The usual file of the position: beside the file of the lines.
    #[must_use]
    pub fn usual_position(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".position");
        PathBuf::from(name)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|_| Fault::Internal("shipping"))?;
    done.map_err(|error| {
        tracing::error!(alarm = "shipping", %error, "the ledger cannot be shipped now, it is tried again");
        Fault::Unavailable("the ledger cannot be shipped now")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_kept_and_nonsense_is_no_position() {
        let folder = std::env::temp_dir().join(format!("goldfin-shipping-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("ledger.ndjson");
        let shipping = Shipping { position: Shipping::usual_position(&path), target: Target::File(path.clone()) };
        assert_eq!(shipping.position_of(StreamId(3)).unwrap(), 0);
        shipping.deliver(StreamId(3), 7, b"{}\n").unwrap();
        std::fs::rename(&path, folder.join("moved")).unwrap();
        shipping.deliver(StreamId(3), 8, b"[]\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[]\n");
        assert_eq!((shipping.position_of(StreamId(3)).unwrap(), shipping.position_of(StreamId(4)).unwrap()), (8, 0));
        for nonsense in ["", "3", "3:x", "x:3"] {
            std::fs::write(&shipping.position, nonsense).unwrap();
            assert!(shipping.position_of(StreamId(3)).is_err(), "{nonsense}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
