//! What a node counts for those who watch it, since it was unsealed. Numbers under names of ours: nothing that a request says becomes a
//! name or a label, so that reading them tells nothing about anybody.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counted {
    ($($(#[$doc:meta])* $variant:ident = $family:literal $labels:literal,)*) => {
        /// What is counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Counted { $($(#[$doc])* $variant,)* }

        impl Counted {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The metric and its labels.
            const fn name(self) -> (&'static str, &'static str) {
                match self { $(Self::$variant => ($family, $labels),)* }
            }
        }
    };
}

counted! {
    /// An account took 80 % of a limit or quota.
    NearEncoded = "goldfin_limit_near_total" "kind=\"encoded\"",
    NearRevealed = "goldfin_limit_near_total" "kind=\"revealed\"",
    /// A request was refused by a limit or quota on values.
    RefusedEncoded = "goldfin_limit_refused_total" "kind=\"encoded\"",
    RefusedRevealed = "goldfin_limit_refused_total" "kind=\"revealed\"",
    /// A request was refused by a quota on requests.
    RateRefused = "goldfin_rate_refused_total" "",
}

/// One number for each.
#[derive(Debug, Default)]
pub struct Counters([AtomicU64; Counted::ALL.len()]);

impl Counters {
    pub fn add(&self, what: Counted) {
        if let Some((number, _)) = self.0.iter().zip(Counted::ALL).find(|(_, known)| **known == what) {
            number.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// In the text format of Prometheus, version 0.0.4.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (mut text, mut last) = (String::new(), "");
        for (number, what) in self.0.iter().zip(Counted::ALL) {
            let (family, labels) = what.name();
            let number = number.load(Ordering::Relaxed);
            let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            let kind = if family == last { String::new() } else { format!("# TYPE {family} counter\n") };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{kind}{family}{labels} {number}");
            last = family;
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_reads_what_was_counted() {
        let counters = Counters::default();
        counters.add(Counted::NearRevealed);
        counters.add(Counted::RateRefused);
        counters.add(Counted::RateRefused);
        let text = counters.to_text();
        assert!(text.starts_with("# TYPE goldfin_limit_near_total counter\ngoldfin_limit_near_total{kind=\"encoded\"} 0\n"), "{text}");
        assert!(
            text.contains("\ngoldfin_limit_near_total{kind=\"revealed\"} 1\n") && text.ends_with("\ngoldfin_rate_refused_total 2\n"),
            "{text}"
        );
        assert_eq!(text.matches("# TYPE").count(), 3);
    }
}
