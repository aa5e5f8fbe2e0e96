//! Personal data made of digits: social security numbers, payment cards, phone numbers, ZIP codes, VA file numbers, EDIPIs, ICNs.
//!
//! A number begins at each group of digits and reaches over a bounded number of groups, so that the work grows with the text only.

use super::context::{About, Context, Support};
use super::recognise::{Class, Found};

/// The most groups of digits that belong to one number.
const GROUPS: usize = 6;

/// The most that stands between two groups, what nobody sees included.
const LONGEST_GAP: usize = 8;

/// The longest run of digits that can be part of anything.
const LONGEST_RUN: usize = 20;

/// What stands between two groups of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    Space,
    Dash,
    Dot,
    /// `) ` behind an area code.
    Closing,
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    start: usize,
    end: usize,
    /// What follows, if another group does.
    gap: Gap,
}

impl Group {
    fn len(&self) -> usize {
        self.end - self.start
    }
}

/// The groups of a number and what is around them.
struct Reader<'a> {
    letters: &'a [char],
    context: &'a Context,
    found: &'a mut Vec<Found>,
}

/// Finds all of them.
pub(super) fn find(letters: &[char], context: &Context, found: &mut Vec<Found>) {
    let groups = groups(letters);
    let mut reader = Reader { letters, context, found };
    for (at, group) in groups.iter().enumerate() {
        if group.len() > LONGEST_RUN {
            continue;
        }
        let ahead = groups.get(at..).unwrap_or_default();
        // Groups that hang together, up to the first gap that joins nothing.
        let ahead = ahead.get(..GROUPS).unwrap_or(ahead);
        let joined = ahead.iter().position(|group| group.gap == Gap::Other).map_or(ahead, |last| ahead.get(..=last).unwrap_or(ahead));
        let before = at.checked_sub(1).and_then(|before| groups.get(before)).map_or(Gap::Other, |before| before.gap);
        reader.ssn(joined, before);
        reader.card(joined, before);
        reader.phone(joined, before);
        reader.zip(joined, before);
        reader.va_file(joined, before);
        reader.edipi(group, before);
        reader.icn(group);
    }
}

fn groups(letters: &[char]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut at = 0;
    while let Some(letter) = letters.get(at) {
        if digit(*letter).is_none() {
            at += 1;
            continue;
        }
        let start = at;
        while letters.get(at).is_some_and(|letter| digit(*letter).is_some()) {
            at += 1;
        }
        if let Some(last) = groups.last_mut() {
            last.gap = gap(letters.get(last.end..start).unwrap_or_default());
        }
        groups.push(Group { start, end: at, gap: Gap::Other });
    }
    groups
}

fn gap(between: &[char]) -> Gap {
    let mut visible = ['\0'; 4];
    let mut slots = visible.iter_mut();
    for letter in between.iter().take(LONGEST_GAP).filter(|letter| !is_invisible(**letter)) {
        let Some(slot) = slots.next() else { return Gap::Other };
        *slot = *letter;
    }
    if between.len() > LONGEST_GAP {
        return Gap::Other;
    }
    match visible {
        ['.', '\0', ..] => Gap::Dot,
        [')', '\0', ..] => Gap::Closing,
        [only, '\0', ..] if is_space(only) => Gap::Space,
        [only, '\0', ..] if is_dash(only) => Gap::Dash,
        [')', only, '\0', _] if is_space(only) || is_dash(only) => Gap::Closing,
        [space, dash, other, '\0'] if is_space(space) && is_dash(dash) && is_space(other) => Gap::Dash,
        _ => Gap::Other,
    }
}

/// Marks of direction and joining, which come along when a number is copied.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// ASCII and full-width digits.
pub(super) fn digit(letter: char) -> Option<u32> {
    match letter {
        '0'..='9' => Some(u32::from(letter) - u32::from('0')),
        '\u{ff10}'..='\u{ff19}' => Some(u32::from(letter) - 0xff10),
        _ => None,
    }
}

fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}')
}

/// Hyphens, dashes and the minus: what word processors make of `-`.
pub(super) fn is_dash(letter: char) -> bool {
    matches!(letter, '-' | '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}')
}

fn is_word(letter: Option<&char>) -> bool {
    letter.is_some_and(|letter| letter.is_ascii_alphanumeric() || digit(*letter).is_some())
}

impl Reader<'_> {
    fn push(&mut self, start: usize, end: usize, class: Class, score: u16) {
        self.found.push(Found { start, end, class, score });
    }

    /// Whether a word ends here: `a`, `a_`. The `_` of Markdown's emphasis is none.
    fn word_before(&self, start: usize) -> bool {
        let back = |back: usize| start.checked_sub(back).and_then(|at| self.letters.get(at));
        is_word(back(1)) || (back(1) == Some(&'_') && is_word(back(2)))
    }

    /// Whether a word begins here.
    fn word_behind(&self, end: usize) -> bool {
        is_word(self.letters.get(end)) || (self.letters.get(end) == Some(&'_') && is_word(self.letters.get(end + 1)))
    }

    fn alone(&self, start: usize, end: usize) -> bool {
        !self.word_before(start) && !self.word_behind(end)
    }

    fn number(&self, start: usize, end: usize) -> u64 {
        let letters = self.letters.get(start..end).unwrap_or_default();
        letters
            .iter()
            .filter_map(|letter| digit(*letter))
            .fold(0, |number: u64, digit| number.saturating_mul(10).saturating_add(digit.into()))
    }

    fn score(&self, start: usize, end: usize, about: About, scores: [u16; 3]) -> u16 {
        let [none, near, nearest] = scores;
        match self.context.support(start, end, about) {
            Support::None => none,
            Support::Near => near,
            Support::Nearest => nearest,
        }
    }

    /// `123-45-6789`, with one kind of separator or none, also with a payee code (`-00`) behind. Areas 000, 666 and 900 to 999, group
    /// 00 and serial 0000 were never given out: these count only where a word calls them what they are taken for.
    fn ssn(&mut self, groups: &[Group], before: Gap) {
        if matches!(before, Gap::Dash | Gap::Dot) {
            return;
        }
        let (end, separated, behind) = match groups {
            [a, b, c, rest @ ..] if (a.len(), b.len(), c.len()) == (3, 2, 4) && a.gap == b.gap && a.gap != Gap::Closing => {
                (c.end, true, rest.first().filter(|_| c.gap == Gap::Dash))
            }
            [a, rest @ ..] if a.len() == 9 && self.alone(a.start, a.end) => (a.end, false, rest.first().filter(|_| a.gap == Gap::Dash)),
            _ => return,
        };
        if behind.is_some_and(|group| group.len() > 2) {
            return;
        }
        let Some(start) = groups.first().map(|group| group.start) else { return };
        let number = self.number(start, end);
        let (area, group, serial) = (number / 1_000_000, number / 10_000 % 100, number % 10_000);
        let given_out = area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
        let scores = match (given_out, separated) {
            (true, true) => [850, 950, 980],
            (true, false) => [400, 800, 900],
            (false, _) => [0, 0, 700],
        };
        let score = self.score(start, end, About::Ssn, scores);
        if score == 0 {
            return;
        }
        self.push(start, end, Class::Ssn, score);
    }

    /// 13 to 19 digits with a right check digit (ISO/IEC 7812, Luhn) that begin as cards do, in one run or in groups.
    fn card(&mut self, groups: &[Group], before: Gap) {
        let Some(first) = groups.first() else { return };
        if before == Gap::Dash || self.word_before(first.start) {
            return;
        }
        let mut digits = 0;
        let mut longest = None;
        for (at, group) in groups.iter().enumerate() {
            digits += group.len();
            let lone = at == 0;
            let fits = if lone { digits >= 13 || first.len() == 4 } else { (2..=6).contains(&group.len()) };
            if digits > 19 || !fits {
                break;
            }
            if digits >= 13 && !self.word_behind(group.end) && self.is_card(first.start, group.end) {
                longest = Some(group.end);
            }
            if !matches!(group.gap, Gap::Space | Gap::Dash) || group.gap != first.gap {
                break;
            }
        }
        if let Some(end) = longest {
            self.push(first.start, end, Class::CreditCard, 930);
        }
    }

    fn is_card(&self, start: usize, end: usize) -> bool {
        let letters = self.letters.get(start..end).unwrap_or_default();
        let digits: Vec<u32> = letters.iter().filter_map(|letter| digit(*letter)).collect();
        let head = digits.iter().take(4).fold(0, |head, digit| head * 10 + digit);
        // American Express, Diners, JCB, Visa, Mastercard, Maestro, Discover, UnionPay.
        let begins = matches!(head, 2221..=2720 | 3000..=3999 | 4000..=4999 | 5000..=5999 | 6000..=6999);
        begins && luhn(&digits)
    }

    /// Ten digits of the North American plan, with or without the country's 1, an area code in brackets, an extension; seven
    /// digits and ten without separators where a word says so.
    fn phone(&mut self, groups: &[Group], before: Gap) {
        let Some(first) = groups.first() else { return };
        if matches!(before, Gap::Dash | Gap::Dot | Gap::Closing) {
            return;
        }
        let (groups, country) = match groups {
            [one, rest @ ..] if one.len() == 1 && self.number(one.start, one.end) == 1 && one.gap != Gap::Closing => (rest, true),
            // `1 (202) …`: the bracket is a gap that joins nothing.
            groups => (groups, false),
        };
        let (end, scores) = match groups {
            [a, b, c, ..] if (a.len(), b.len(), c.len()) == (3, 3, 4) && b.gap != Gap::Closing => (c.end, [750, 850, 900]),
            [a, b, ..] if !country && (a.len(), b.len()) == (3, 4) && matches!(a.gap, Gap::Dash | Gap::Dot) => {
                if b.gap == Gap::Dash || self.word_behind(b.end) || !self.is_exchange(a.start) {
                    return;
                }
                let score = self.score(a.start, b.end, About::Phone, [0, 600, 650]);
                if score > 0 {
                    self.push(a.start, b.end, Class::Phone, score);
                }
                return;
            }
            [a, b, ..] if a.gap == Gap::Closing && (a.len(), b.len()) == (3, 7) => (b.end, [750, 850, 900]),
            [a, ..] if a.len() == 10 && self.alone(first.start, a.end) => (a.end, [if country { 700 } else { 400 }, 750, 850]),
            [a, ..] if !country && a.len() == 11 && self.number(a.start, a.start + 1) == 1 && self.alone(a.start, a.end) => {
                (a.end, [400, 750, 850])
            }
            _ => return,
        };
        if self.word_behind(end) && !self.is_extension(end) {
            return;
        }
        let digits = self.number(first.start, end) % 10_000_000_000;
        if !is_north_american(digits) {
            return;
        }
        let (start, plus) = self.phone_start(first.start);
        let end = self.extension(end);
        let score = self.score(start, end, About::Phone, scores);
        self.push(start, end, Class::Phone, if plus { score.max(880) } else { score });
    }

    /// The bracket and the `+1` before the digits belong to them.
    fn phone_start(&self, digits: usize) -> (usize, bool) {
        let before = |at: usize, back: usize| at.checked_sub(back).and_then(|at| self.letters.get(at)).copied().unwrap_or('\n');
        let mut start = digits;
        if before(start, 1) == '(' {
            start -= 1;
            let space = usize::from(is_space(before(start, 1)) || is_dash(before(start, 1)));
            let one = before(start, 1 + space) == '1' && !self.word_before(start.saturating_sub(1 + space));
            if one {
                start -= 1 + space;
            }
        }
        if before(start, 1) == '+' { (start - 1, true) } else { (start, false) }
    }

    fn is_extension(&self, at: usize) -> bool {
        self.extension(at) > at
    }

    /// Where an extension behind a phone number ends: ` ext. 12`, `x12`.
    fn extension(&self, end: usize) -> usize {
        let at = |at: usize| self.letters.get(at).copied().unwrap_or('\n');
        let skip = |mut from: usize, wanted: fn(char) -> bool| {
            while wanted(at(from)) && from < end + 12 {
                from += 1;
            }
            from
        };
        let word = skip(end, |letter| is_space(letter) || letter == ',');
        let behind = skip(word, |letter| letter.is_ascii_alphabetic());
        let spelt: String = self.letters.get(word..behind).unwrap_or_default().iter().collect::<String>().to_ascii_lowercase();
        if !matches!(spelt.as_str(), "x" | "ext" | "extension") {
            return end;
        }
        let digits = skip(behind, |letter| is_space(letter) || letter == '.' || letter == ':');
        let last = skip(digits, |letter| digit(letter).is_some());
        if (1..=6).contains(&(last - digits)) && !self.word_behind(last) { last } else { end }
    }

    fn is_exchange(&self, start: usize) -> bool {
        let number = self.number(start, start + 3);
        number >= 200 && number % 100 != 11
    }

    /// Five digits, or nine as `12345-6789`, near a word or behind the letters of a state.
    fn zip(&mut self, groups: &[Group], before: Gap) {
        let end = match groups {
            _ if before == Gap::Dash => return,
            [five, four, ..] if (five.len(), four.len()) == (5, 4) && five.gap == Gap::Dash && four.gap != Gap::Dash => four.end,
            [five, ..] if five.len() == 5 && five.gap != Gap::Dash => five.end,
            _ => return,
        };
        let Some(start) = groups.first().map(|group| group.start) else { return };
        if !self.alone(start, end) {
            return;
        }
        let score = self.score(start, end, About::Zip, [0, 750, 850]);
        let score = if self.behind_state(start) { score.max(800) } else { score };
        if score > 0 {
            self.push(start, end, Class::Zip, score);
        }
    }

    /// `TX 78701`, `DC, 20420`: two capital letters of a state or territory.
    fn behind_state(&self, start: usize) -> bool {
        let back = |back: usize| start.checked_sub(back).and_then(|at| self.letters.get(at)).copied().unwrap_or('\n');
        let mut gap = 0;
        while gap < 3 && (is_space(back(gap + 1)) || matches!(back(gap + 1), ',' | '.')) {
            gap += 1;
        }
        let state: String = [back(gap + 2), back(gap + 1)].iter().collect();
        gap > 0 && !back(gap + 3).is_alphanumeric() && STATES.contains(&state.as_str())
    }

    /// Eight or nine digits near a word, with `C`, `XC`, `SS` or `CSS` before them or not, also as `12 345 678`.
    fn va_file(&mut self, groups: &[Group], before: Gap) {
        let end = match groups {
            _ if before == Gap::Dash => return,
            [one, ..] if matches!(one.len(), 8 | 9) && one.gap != Gap::Dash => one.end,
            [a, b, c, ..] if matches!((a.len(), b.len(), c.len()), (2 | 3, 3, 3)) && a.gap == b.gap && c.gap != Gap::Dash => c.end,
            _ => return,
        };
        let Some(digits) = groups.first().map(|group| group.start) else { return };
        let start = self.file_prefix(digits);
        if !self.alone(start, end) {
            return;
        }
        let score = self.score(start, end, About::VaFile, [0, 780, 870]);
        if score > 0 {
            self.push(start, end, Class::VaFileNumber, score);
        }
    }

    fn file_prefix(&self, digits: usize) -> usize {
        let back = |at: usize| at.checked_sub(1).and_then(|at| self.letters.get(at)).copied().unwrap_or('\n');
        let end = digits - usize::from(is_dash(back(digits)) || is_space(back(digits)));
        let mut start = end;
        while end - start < 3 && back(start).is_ascii_alphabetic() {
            start -= 1;
        }
        let letters: String = self.letters.get(start..end).unwrap_or_default().iter().collect();
        let known = matches!(letters.to_ascii_uppercase().as_str(), "C" | "XC" | "SS" | "CSS" | "XSS");
        if known && !self.word_before(start) { start } else { digits }
    }

    /// Ten digits near a word: the electronic data interchange personal identifier of the Department of Defense.
    fn edipi(&mut self, group: &Group, before: Gap) {
        let lone = group.len() == 10 && before != Gap::Dash && group.gap != Gap::Dash && self.alone(group.start, group.end);
        if lone && self.number(group.start, group.start + 1) > 0 {
            let score = self.score(group.start, group.end, About::Edipi, [0, 780, 880]);
            if score > 0 {
                self.push(group.start, group.end, Class::Edipi, score);
            }
        }
    }

    /// `1012345678V123456`, or all 29 characters of it: the integration control number of the VA's master person index.
    fn icn(&mut self, group: &Group) {
        if !matches!(group.len(), 10 | 16) || !self.letters.get(group.end).is_some_and(|letter| matches!(letter, 'V' | 'v')) {
            return;
        }
        let behind = group.end + 1;
        let digits = self.letters.iter().skip(behind).take(13).take_while(|letter| digit(**letter).is_some()).count();
        if matches!(digits, 6 | 12) && self.alone(group.start, behind + digits) {
            self.push(group.start, behind + digits, Class::Icn, 970);
        }
    }
}

/// Area code and exchange begin with 2 to 9 and do not end in 11; no area code has a 9 in the middle.
fn is_north_american(digits: u64) -> bool {
    let (area, exchange) = (digits / 10_000_000, digits / 10_000 % 1000);
    let sound = |code: u64| code >= 200 && code % 100 != 11;
    sound(area) && sound(exchange) && area / 10 % 10 != 9
}

/// ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, *digit) {
            (0, digit) => digit,
            (_, digit @ 0..=4) => digit * 2,
            (_, digit) => digit * 2 - 9,
        })
        .sum();
    sum.is_multiple_of(10)
}

const STATES: [&str; 59] = [
    "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "ID", "IL", "IN", "IA", "KS", "KY", "LA", "ME", "MD", "MA", "MI",
    "MN", "MS", "MO", "MT", "NE", "NV", "NH", "NJ", "NM", "NY", "NC", "ND", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT",
    "VT", "VA", "WA", "WV", "WI", "WY", "DC", "AS", "GU", "MP", "PR", "VI", "AA", "AE", "AP",
];
