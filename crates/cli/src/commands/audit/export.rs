//! `audit export`: the ledger as NDJSON on standard output, page by page, whatever its size.

use clap::Args;

use crate::client::Ask;
use crate::failure::Failure;
use crate::session::Session;

/// Export the ledger as NDJSON: every entry with its MAC and leaf, stream by stream
#[derive(Args, Debug)]
#[command(after_long_help = "\
Each line is the entry's canonical bytes with `mac` and `leaf` put behind the last member. The export ends where the streams ended when it
began. Each page that is fetched is itself recorded. Exit code 0 means that the export is whole.

Examples:
  goldfin audit export > ledger.ndjson
  goldfin audit export --since 2026-01-01T00:00:00Z --until 2026-02-01T00:00:00Z | zstd > january.ndjson.zst
  goldfin audit export --cursor CURSOR >> ledger.ndjson")]
pub struct Export {
    /// From this time on, RFC 3339
    #[arg(long, value_name = "TIME", conflicts_with = "cursor")]
    since: Option<String>,
    /// Before this time, RFC 3339
    #[arg(long, value_name = "TIME", conflicts_with = "cursor")]
    until: Option<String>,
    /// One stream only, by its number or its node's name
    #[arg(long, value_name = "STREAM", conflicts_with = "cursor")]
    stream: Option<String>,
    /// Go on where an export broke off; it said this cursor
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

impl Export {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let bar = session.out.progress(None, "entries");
        let mut cursor = self.cursor.clone();
        loop {
            let ask = match &cursor {
                Some(cursor) => Ask::get("sys/ledger/export").and("cursor", Some(cursor)),
                None => Ask::get("sys/ledger/export")
                    .and("since", self.since.as_deref())
                    .and("until", self.until.as_deref())
                    .and("stream", self.stream.as_deref()),
            };
            let page = match session.client()?.lines(&ask.called("export the ledger")) {
                Ok(page) => page,
                Err(failure) => {
                    bar.finish_and_clear();
                    if let Some(cursor) = &cursor {
                        session
                            .out
                            .warn(&format!("the export is not whole; go on with `goldfin audit export --cursor {cursor} >> FILE`"))?;
                    }
                    return Err(failure);
                }
            };
            session.out.raw(&page.bytes)?;
            bar.inc(page.bytes.iter().filter(|byte| **byte == b'\n').count() as u64);
            cursor = page.next;
            if cursor.is_none() {
                bar.finish_and_clear();
                return session.out.flush();
            }
        }
    }
}
