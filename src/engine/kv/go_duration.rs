//! Durations as Go's `time.Duration` prints them, because Vault's clients parse that: `0s`, `1.5s`, `250ms`, `3h25m19s`. Pure.

use std::time::Duration;

/// The text of a span of whole milliseconds; what is finer is cut off.
#[must_use]
pub fn go_text(span: Duration) -> String {
    let millis = span.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (seconds, fraction) = (millis / 1000, millis % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut text = String::new();
    if hours > 0 {
        text.push_str(&format!("{hours}h"));
    }
    if seconds >= 60 {
        text.push_str(&format!("{minutes}m"));
    }
    text.push_str(&(seconds % 60).to_string());
    if fraction > 0 {
        let digits = format!(".{fraction:03}");
        text.push_str(digits.trim_end_matches('0'));
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_what_go_prints() {
        for (millis, text) in [
            (0, "0s"),
            (1, "1ms"),
            (250, "250ms"),
            (1_000, "1s"),
            (1_500, "1.5s"),
            (1_050, "1.05s"),
            (59_000, "59s"),
            (60_000, "1m0s"),
            (61_001, "1m1.001s"),
            (3_600_000, "1h0m0s"),
            (12_319_000, "3h25m19s"),
            (86_400_000, "24h0m0s"),
            (2_764_800_000, "768h0m0s"),
        ] {
            assert_eq!(go_text(Duration::from_millis(millis)), text);
        }
    }

    /// Reads what Go prints, as a client does.
    fn read(text: &str) -> Option<u64> {
        if let Some(millis) = text.strip_suffix("ms") {
            return millis.parse().ok();
        }
        let mut total = 0;
        let mut rest = text;
        for (unit, millis) in [('h', 3_600_000), ('m', 60_000)] {
            if let Some((number, behind)) = rest.split_once(unit) {
                total += number.parse::<u64>().ok()? * millis;
                rest = behind;
            }
        }
        let (whole, fraction) = rest.strip_suffix('s')?.split_once('.').unwrap_or((rest.strip_suffix('s')?, "0"));
        Some(total + whole.parse::<u64>().ok()? * 1000 + format!("{fraction:0<3}").parse::<u64>().ok()?)
    }

    proptest! {
        #[test]
        fn reads_back(millis in prop_oneof![0_u64..5_000_000, 0_u64..3_155_760_000_000]) {
            prop_assert_eq!(read(&go_text(Duration::from_millis(millis))), Some(millis));
        }
    }
}
