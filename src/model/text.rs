//! The small texts of the API: durations.

use std::time::Duration;

/// Reads `"90"`, `"90s"`, `"1h30m"`, `"2d"`; units `s`, `m`, `h`, `d` (and `ms`), each at most once and from large to small.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.is_empty() || text.len() > 32 {
        return None;
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    let mut total = Duration::ZERO;
    let mut last = u64::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at_checked(digits)?;
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at_checked(letters)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        if millis >= last {
            return None;
        }
        last = millis;
        let span = number.parse::<u64>().ok()?.checked_mul(millis)?;
        total = total.checked_add(Duration::from_millis(span))?;
        rest = behind;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("1h30m", 5400), ("2d", 172_800), ("768h", 2_764_800)] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "-1", "1.5h", "h", "1x", "1m1h", "1s1s", "1 h", "99999999999999999999", "9999999999999999d", "1é"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
