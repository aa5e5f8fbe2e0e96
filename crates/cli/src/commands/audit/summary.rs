//! `audit summary`: the ledger counted.

use clap::{Args, ValueEnum};

use crate::client::Ask;
use crate::document::Json;
use crate::failure::Failure;
use crate::output::Table;
use crate::session::Session;

/// Count entries: by account and day, refusals by policy, reveals by class
#[derive(Args, Debug)]
#[command(after_long_help = "\
Without `--since` the last seven days are counted; days are days of UTC.

Examples:
  goldfin audit summary
  goldfin audit summary --by refusals --since 2026-01-01T00:00:00Z
  goldfin audit summary --by reveals --format json")]
pub struct Summary {
    /// What to count by
    #[arg(long, value_enum, default_value_t = By::Accounts)]
    by: By,
    /// From this time on, RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time, RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// Requests of each account on each day
    Accounts,
    /// Refusals by the policy that forbade, or because none permitted
    Refusals,
    /// Values revealed, by class and purpose
    Reveals,
}

impl By {
    fn word(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Refusals => "refusals",
            Self::Reveals => "reveals",
        }
    }

    fn columns(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Accounts => &[
                ("Day", "day"),
                ("Account", "account"),
                ("Requests", "requests"),
                ("Granted", "granted"),
                ("Denied", "denied"),
                ("Failed", "failed"),
                ("Values revealed", "revealed"),
            ],
            Self::Refusals => &[
                ("Day", "day"),
                ("Account", "account"),
                ("Action", "action"),
                ("Because", "because"),
                ("Policy", "policy"),
                ("Refusals", "refusals"),
            ],
            Self::Reveals => &[
                ("Day", "day"),
                ("Class", "class"),
                ("Account", "account"),
                ("Purpose", "purpose"),
                ("Requests", "requests"),
                ("Values revealed", "revealed"),
            ],
        }
    }
}

impl Summary {
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let ask = Ask::get("sys/ledger/summary")
            .and("by", Some(self.by.word()))
            .and("since", self.since.as_deref())
            .and("until", self.until.as_deref());
        let data = session.ask(&ask.called("count the ledger"))?.data();
        let rows = data.get("rows").map(Json::items).unwrap_or_default();
        session.out.present(&data, |_| Table::of_items(rows, self.by.columns()))?;
        if data.get("truncated").and_then(Json::as_bool) == Some(true) {
            session.out.say("there are more rows: narrow the time with `--since` and `--until`")?;
        }
        Ok(())
    }
}
