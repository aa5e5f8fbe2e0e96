//! The levers of speed that can be moved. The defaults are for use; the other settings are there to show what each lever is worth.
//! None of them touches what is recorded, decided or made durable.

use serde::Deserialize;

/// Read from the configuration's `[tuning]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tuning {
    /// The most requests in one commit of the ledger's writer, 1 to 1000. 1000
    pub group: usize,
    /// Whether decodes of single values that come at the same time share a lookup. true
    pub coalesce: bool,
    /// From so many new tokens on, 2 to 1000000, a request copies them in a transaction of its own; a request has 10,000 at most. One alone
    /// always rides with others: its entry holds its digest. 256
    pub lane_from: usize,
    /// The tokens of a batch that are looked for and opened together, 1 to 10000; two such parts are worked on at the same time, while cores
    /// are free. 500
    pub lookup_part: usize,
    /// From so many tokens on, 1 to 1000000, that were made one after the other, a lookup reads them as one stretch. 4
    pub stretch_from: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { group: 1000, coalesce: true, lane_from: 256, lookup_part: 500, stretch_from: 4 }
    }
}

impl Tuning {
    /// Says which setting is out of its range.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(1..=1000).contains(&self.group) {
            return Err("`group` must be from 1 to 1000");
        }
        if !(2..=1_000_000).contains(&self.lane_from) {
            return Err("`lane_from` must be from 2 to 1000000");
        }
        if !(1..=10_000).contains(&self.lookup_part) {
            return Err("`lookup_part` must be from 1 to 10000");
        }
        if !(1..=1_000_000).contains(&self.stretch_from) {
            return Err("`stretch_from` must be from 1 to 1000000");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let usual = Tuning::default();
        assert_eq!(usual.check(), Ok(()));
        assert_eq!(Tuning { group: 1, coalesce: false, lane_from: 1_000_000, lookup_part: 1, stretch_from: 1_000_000 }.check(), Ok(()));
        for (wrong, named) in [
            (Tuning { group: 0, ..usual }, "group"),
            (Tuning { group: 1001, ..usual }, "group"),
            (Tuning { lane_from: 1, ..usual }, "lane_from"),
            (Tuning { lookup_part: 0, ..usual }, "lookup_part"),
            (Tuning { lookup_part: 10_001, ..usual }, "lookup_part"),
            (Tuning { stretch_from: 0, ..usual }, "stretch_from"),
            (Tuning { stretch_from: 1_000_001, ..usual }, "stretch_from"),
        ] {
            assert!(wrong.check().unwrap_err().contains(named), "{wrong:?}");
        }
    }
}
