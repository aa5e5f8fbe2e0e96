//! Stretches of a text that hold personal data, and what is done where they overlap.

use std::collections::BTreeMap;

/// A stretch of a text, in code points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub start: usize,
    /// The first code point behind it.
    pub end: usize,
    pub class: String,
    pub score: Score,
}

/// How sure somebody is, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Score(pub u16);

impl Score {
    pub const CERTAIN: Self = Self(1000);

    /// A number from 0 to 1 as JSON writes it.
    pub fn from_digits(digits: &str) -> Option<Self> {
        let score: f64 = digits.parse().ok()?;
        (0.0..=1.0).contains(&score).then_some(Self((score * 1000.0).round() as u16))
    }
}

/// Spans that do not overlap, in the order of the text. Of two that do, the surer one wins, then the longer, then the earlier. What
/// the winner leaves over of the other stays personal data of the other's class: nothing that somebody found is left readable.
pub(super) fn without_overlaps(mut spans: Vec<Span>, letters: &[char]) -> Vec<Span> {
    let length = |span: &Span| span.end.saturating_sub(span.start);
    spans.sort_by(|a, b| (b.score, length(b), a.start).cmp(&(a.score, length(a), b.start)).then_with(|| a.class.cmp(&b.class)));
    // What is taken, by its start; stretches that touch are one.
    let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
    let mut kept = Vec::with_capacity(spans.len());
    for span in spans {
        let gaps = take(&mut taken, span.start, span.end);
        if let [(start, end)] = gaps.as_slice()
            && (*start, *end) == (span.start, span.end)
        {
            kept.push(span);
            continue;
        }
        for (start, end) in gaps {
            let rest = letters.get(start..end).unwrap_or_default();
            let Some(first) = rest.iter().position(|letter| letter.is_alphanumeric()) else { continue };
            let last = rest.iter().rposition(|letter| letter.is_alphanumeric()).unwrap_or(first);
            kept.push(Span { start: start + first, end: start + last + 1, class: span.class.clone(), score: span.score });
        }
    }
    kept.sort_by_key(|span| span.start);
    kept
}

/// Takes a stretch; gives the parts of it that were free.
fn take(taken: &mut BTreeMap<usize, usize>, start: usize, end: usize) -> Vec<(usize, usize)> {
    let mut gaps = Vec::new();
    let (mut from, mut low, mut high) = (start, start, end);
    let before = taken.range(..start).next_back().map(|(begin, until)| (*begin, *until)).filter(|(_, until)| *until >= start);
    let touched: Vec<(usize, usize)> = before.into_iter().chain(taken.range(start..=end).map(|(begin, until)| (*begin, *until))).collect();
    for (begin, until) in touched {
        if begin > from {
            gaps.push((from, begin.min(end)));
        }
        from = from.max(until);
        low = low.min(begin);
        high = high.max(until);
        taken.remove(&begin);
    }
    if from < end {
        gaps.push((from, end));
    }
    taken.insert(low, high);
    gaps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(start: usize, end: usize, class: &str, score: u16) -> Span {
        Span { start, end, class: class.to_owned(), score: Score(score) }
    }

    fn resolved(text: &str, spans: Vec<Span>) -> Vec<(usize, usize, String)> {
        let letters: Vec<char> = text.chars().collect();
        without_overlaps(spans, &letters).into_iter().map(|span| (span.start, span.end, span.class)).collect()
    }

    #[test]
    fn the_surer_wins_then_the_longer_then_the_earlier() {
        let text = "abcdefghij";
        let one = |spans| resolved(text, spans);
        assert_eq!(one(vec![span(0, 4, "a", 500), span(0, 4, "b", 900)]), [(0, 4, "b".to_owned())]);
        assert_eq!(one(vec![span(2, 4, "a", 500), span(0, 8, "b", 500)]), [(0, 8, "b".to_owned())]);
        assert_eq!(one(vec![span(0, 4, "b", 500), span(0, 4, "a", 500)]), [(0, 4, "a".to_owned())]);
        assert_eq!(one(vec![span(3, 7, "late", 500), span(0, 4, "early", 500)]), [(0, 4, "early".to_owned()), (4, 7, "late".to_owned())]);
    }

    #[test]
    fn what_a_winner_leaves_over_is_still_personal() {
        let text = "John Smith 123 of Springfield";
        let spans = vec![span(0, 29, "name", 500), span(11, 14, "ssn", 900)];
        assert_eq!(resolved(text, spans), [(0, 10, "name".to_owned()), (11, 14, "ssn".to_owned()), (15, 29, "name".to_owned())]);
        // Nothing but a space is left over of the second.
        assert_eq!(resolved("ab cd", vec![span(0, 2, "a", 900), span(3, 5, "a", 900), span(0, 5, "b", 100)]).len(), 2);
    }

    #[test]
    fn scores_are_numbers_from_zero_to_one() {
        for (digits, thousandths) in [("0", 0), ("0.0", 0), ("1", 1000), ("1.0", 1000), ("0.85", 850), ("8.5e-1", 850), ("0.3", 300)] {
            assert_eq!(Score::from_digits(digits), Some(Score(thousandths)), "{digits}");
        }
        for wrong in ["-0.1", "1.01", "1e9", "", "x", "NaN", "inf"] {
            assert_eq!(Score::from_digits(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_found_letter_stays_covered_and_none_twice(
            spans in proptest::collection::vec((0_usize..60, 1_usize..20, 0_u16..4), 0..24)
        ) {
            let letters = vec!['x'; 80];
            let asked: Vec<Span> = spans.iter().map(|(start, length, score)| span(*start, start + length, &score.to_string(), *score)).collect();
            let kept = without_overlaps(asked.clone(), &letters);
            let mut owner = vec![None; 80];
            for found in &kept {
                for slot in &mut owner[found.start..found.end] {
                    prop_assert!(slot.replace(found.score).is_none());
                }
            }
            for (at, slot) in owner.iter().enumerate() {
                let best = asked.iter().filter(|span| (span.start..span.end).contains(&at)).map(|span| span.score).max();
                prop_assert_eq!(*slot, best);
            }
        }
    }
}
