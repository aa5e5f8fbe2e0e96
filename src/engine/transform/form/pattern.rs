//! Patterns of templates: compiled within limits, and what can be known of them without a value.
//!
//! A pattern is matched against the whole value, by an engine whose time is linear in the value (`regex`). How large it may become,
//! and how long a value may be, is bounded, so a hostile pattern costs milliseconds at most. Captures must not nest or repeat: what
//! they take would not be all of what they match.

use std::collections::BTreeMap;

use regex::Regex;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::alphabet::Alphabet;

/// The longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 4096;

/// The most characters that a pattern spells out, repetitions written out.
const MOST_PLACES: usize = 4096;

/// The compiled size, in bytes.
const MOST_COMPILED: usize = 4 << 20;

/// Lengths beyond it are counted together.
const LENGTHS: usize = 64;

/// A pattern whose captures take disjoint parts of a value.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    hir: Hir,
}

impl Pattern {
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.len() > MAX_PATTERN_BYTES {
            return Err("must have 1 to 4,096 bytes");
        }
        let hir = regex_syntax::ParserBuilder::new()
            .nest_limit(32)
            .build()
            .parse(text)
            .map_err(|_| "is not a regular expression (RE2 syntax, without look-around and back references)")?;
        if places(&hir) > MOST_PLACES {
            return Err("spells out more than 4,096 characters, shorten its repetitions");
        }
        if hir.properties().explicit_captures_len() == 0 {
            return Err("captures nothing, put what is to be encoded into parentheses");
        }
        check_captures(&hir, false)?;
        // The text parses alone, so it cannot close the group around it.
        let regex = regex::RegexBuilder::new(&format!("\\A(?:{text})\\z"))
            .nest_limit(40)
            .size_limit(MOST_COMPILED)
            .dfa_size_limit(MOST_COMPILED)
            .build()
            .map_err(|_| "is too large when compiled, shorten its repetitions or its classes")?;
        Ok(Self { regex, hir })
    }

    #[must_use]
    pub fn regex(&self) -> &Regex {
        &self.regex
    }

    /// The smallest number of values that share a length and a layout, as far as `alphabet` can write them; 0 if it can write none.
    #[must_use]
    pub fn smallest_domain(&self, alphabet: &Alphabet) -> u128 {
        counts(&self.hir, alphabet, false).into_values().min().unwrap_or(0)
    }

    /// Whether the alphabet can write far more strings of some length than the pattern admits.
    #[must_use]
    pub fn is_narrow(&self, alphabet: &Alphabet, ratio: u128) -> bool {
        counts(&self.hir, alphabet, false).into_iter().any(|(length, count)| {
            let all = u128::from(alphabet.radix()).checked_pow(u32::try_from(length).unwrap_or(u32::MAX));
            length < LENGTHS && all.is_some_and(|all| count.saturating_mul(ratio) < all)
        })
    }

    /// The insides of the captures in their order, where each of them takes part in every match.
    #[must_use]
    pub fn captures(&self) -> Option<Vec<&Hir>> {
        let mut found = Vec::new();
        always(&self.hir, &mut found)?;
        Some(found)
    }
}

fn places(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(_) => 1,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or_else(|| repetition.min.saturating_add(1)).max(1);
            places(&repetition.sub).max(1).saturating_mul(usize::try_from(times).unwrap_or(usize::MAX))
        }
        HirKind::Capture(capture) => places(&capture.sub),
        HirKind::Concat(subs) | HirKind::Alternation(subs) => subs.iter().fold(0, |sum, sub| sum.saturating_add(places(sub))),
    }
}

fn captures_within(hir: &Hir) -> usize {
    hir.properties().explicit_captures_len()
}

fn check_captures(hir: &Hir, captured: bool) -> Result<(), &'static str> {
    match hir.kind() {
        HirKind::Capture(_) if captured => Err("has a capture inside a capture, use `(?:…)` for the inner one"),
        HirKind::Capture(capture) => check_captures(&capture.sub, true),
        HirKind::Repetition(repetition) => {
            if captures_within(&repetition.sub) > 0 && repetition.max != Some(1) {
                return Err("repeats a capture, of which only the last would be encoded; put the repetition inside the parentheses");
            }
            check_captures(&repetition.sub, captured)
        }
        HirKind::Concat(subs) | HirKind::Alternation(subs) => subs.iter().try_for_each(|sub| check_captures(sub, captured)),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => Ok(()),
    }
}

/// None where a capture may be left out.
fn always<'a>(hir: &'a Hir, found: &mut Vec<&'a Hir>) -> Option<()> {
    match hir.kind() {
        HirKind::Capture(capture) => found.push(&capture.sub),
        HirKind::Concat(subs) => subs.iter().try_for_each(|sub| always(sub, found))?,
        _ if captures_within(hir) > 0 => return None,
        _ => {}
    }
    Some(())
}

/// How many captured strings there are of each length.
type Counts = BTreeMap<usize, u128>;

fn one() -> Counts {
    Counts::from([(0, 1)])
}

fn followed_by(a: &Counts, b: &Counts) -> Counts {
    let mut both = Counts::new();
    for (length, count) in a {
        for (more, times) in b {
            let sum = both.entry((length + more).min(LENGTHS)).or_default();
            *sum = sum.saturating_add(count.saturating_mul(*times));
        }
    }
    both
}

/// One or the other: inside a capture their strings add up; outside the rest of the value tells them apart, and the smaller counts.
fn either(a: &mut Counts, b: Counts, captured: bool) {
    for (length, count) in b {
        let known = a.entry(length).or_insert(if captured { 0 } else { u128::MAX });
        *known = if captured { known.saturating_add(count) } else { (*known).min(count) };
    }
}

fn counts(hir: &Hir, alphabet: &Alphabet, captured: bool) -> Counts {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => one(),
        HirKind::Literal(_) | HirKind::Class(_) if !captured => one(),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) if text.chars().all(|letter| alphabet.has(letter)) => Counts::from([(text.chars().count().min(LENGTHS), 1)]),
            _ => Counts::new(),
        },
        HirKind::Class(class) => match letters(class, Some(alphabet)).len() {
            0 => Counts::new(),
            count => Counts::from([(1, u128::try_from(count).unwrap_or(u128::MAX))]),
        },
        HirKind::Capture(capture) => counts(&capture.sub, alphabet, true),
        HirKind::Concat(subs) => subs.iter().fold(one(), |sum, sub| followed_by(&sum, &counts(sub, alphabet, captured))),
        HirKind::Alternation(subs) => {
            let mut sum = Counts::new();
            for sub in subs {
                either(&mut sum, counts(sub, alphabet, captured), captured);
            }
            sum
        }
        HirKind::Repetition(_) if !captured && captures_within(hir) == 0 => one(),
        HirKind::Repetition(repetition) => {
            let sub = counts(&repetition.sub, alphabet, captured);
            let most = LENGTHS + 1;
            let least = usize::try_from(repetition.min).unwrap_or(most).min(most);
            let last = repetition.max.map_or(most, |max| usize::try_from(max).unwrap_or(most).min(most)).max(least);
            let (mut sum, mut power) = (Counts::new(), one());
            for times in 0..=last {
                if times >= least {
                    either(&mut sum, power.clone(), captured);
                }
                power = followed_by(&power, &sub);
            }
            sum
        }
    }
}

/// The characters of a class, at most as many as an alphabet has.
#[must_use]
pub fn letters(class: &Class, alphabet: Option<&Alphabet>) -> Vec<char> {
    let ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) => class.ranges().iter().map(|range| (range.start(), range.end())).collect(),
        Class::Bytes(class) => class.ranges().iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect(),
    };
    match alphabet {
        Some(alphabet) => {
            let within = |letter: &char| ranges.iter().any(|(start, end)| (start..=end).contains(&letter));
            alphabet.letters().iter().copied().filter(within).collect()
        }
        None => ranges.into_iter().flat_map(|(start, end)| start..=end).take(65_536).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(pattern: &str, alphabet: &str) -> u128 {
        Pattern::new(pattern).expect(pattern).smallest_domain(&Alphabet::new(alphabet).expect("an alphabet"))
    }

    #[test]
    fn patterns_are_matched_against_the_whole() {
        let pattern = Pattern::new("([0-9]{3})|x([0-9])").expect("a pattern");
        for (text, matches) in [("123", true), ("x1", true), ("1234", false), ("a123", false), ("123\n", false), ("", false)] {
            assert_eq!(pattern.regex().is_match(text), matches, "{text:?}");
        }
    }

    #[test]
    fn hostile_and_useless_patterns_are_refused() {
        let many = "(a?){9}".repeat(600);
        for wrong in [
            "",
            "[0-9]{3}",
            "([0-9]+",
            "a)|(?:b",
            "(?x)(a) #",
            "((a)b)",
            "(a)+",
            "(a){2}",
            "(?:(a)b){0,3}",
            "(a{5000})",
            "((?:a{100}){100})",
            "(?:(?:(a{1000}){1000}){1000})",
            "(\\pL{4000})",
            "(a)\\1",
            "(?=a)(b)",
            many.as_str(),
        ] {
            assert!(Pattern::new(wrong).is_err(), "{wrong}");
        }
        assert!(Pattern::new("(?x) ([0-9]{3}) # a comment").is_err(), "the comment would swallow what follows");
        assert!(Pattern::new("(?:(a))?([0-9])").is_ok());
        let twins = Pattern::new("((?:a|a|a|b){1,200})").expect("a pattern");
        assert!(!twins.regex().is_match(&"a".repeat(100_000)));
    }

    #[test]
    fn domains_are_counted_per_length_and_layout() {
        let digits = "0123456789";
        for (pattern, expected) in [
            ("([0-9]{3})-([0-9]{2})-([0-9]{4})", 1_000_000_000),
            ("([0-9]{6})", 1_000_000),
            ("([0-9]{5})", 100_000),
            ("(1[0-9]{5})", 100_000),
            ("([0-9]{5})(?:-([0-9]{4}))?", 100_000),
            ("([0-9]{8,9})", 100_000_000),
            ("([0-9]{6}|[a-z]{6})", 1_000_000),
            ("A([0-9]{6})|B([0-4][0-9]{5})", 500_000),
            ("([0-9]*)", 1),
            ("([0-9]+)", 10),
            ("([a-z]{9})", 0),
            ("([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", 3_720_000),
            ("([0-9a-z]{6})", 1_000_000),
        ] {
            assert_eq!(domain(pattern, digits), expected, "{pattern}");
        }
        let pattern = Pattern::new("([0-4]{9})").expect("a pattern");
        assert!(pattern.is_narrow(&Alphabet::new(digits).expect("digits"), 256));
        assert!(!pattern.is_narrow(&Alphabet::new("01234").expect("digits"), 256));
    }

    #[test]
    fn captures_that_may_be_left_out_are_told() {
        assert_eq!(Pattern::new("([0-9]{3})-?([0-9])").expect("one").captures().map(|found| found.len()), Some(2));
        assert!(Pattern::new("([0-9]{3})(?:-([0-9]))?").expect("one").captures().is_none());
        assert!(Pattern::new("([0-9]{3})|([0-9])").expect("one").captures().is_none());
    }
}
