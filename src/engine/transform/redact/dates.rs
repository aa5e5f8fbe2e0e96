//! Dates of birth: any usual way to write a day, where a word near it speaks of a birth and none that is nearer of something else.

use super::context::{About, Context, Support};
use super::numbers::{digit, is_dash};
use super::recognise::{Class, Found};

const SCORE: u16 = 860;

/// The first letters tell the months apart.
const MONTHS: [&str; 12] =
    ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];

/// Reads forward through a text from one place.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    letters: &'a [char],
    at: usize,
}

/// Finds all of them.
pub(super) fn find(letters: &[char], context: &Context, found: &mut Vec<Found>) {
    let mut at = 0;
    while at < letters.len() {
        let cursor = Cursor { letters, at };
        if cursor.begins()
            && let Some(end) = cursor.date()
        {
            if context.support(at, end, About::Birth) == Support::Nearest {
                found.push(Found { start: at, end, class: Class::DateOfBirth, score: SCORE });
            }
            at = end;
        } else {
            at += 1;
        }
    }
}

impl Cursor<'_> {
    fn peek(&self) -> char {
        self.letters.get(self.at).copied().unwrap_or('\n')
    }

    /// Whether a run of digits or a word begins here.
    fn begins(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.letters.get(at)).copied().unwrap_or('\n');
        if digit(self.peek()).is_some() {
            digit(before).is_none() && !before.is_ascii_alphabetic()
        } else {
            self.peek().is_ascii_alphabetic() && !before.is_ascii_alphanumeric()
        }
    }

    /// Where the date that begins here ends.
    fn date(self) -> Option<usize> {
        let end = if self.peek().is_ascii_alphabetic() { self.month_first() } else { self.numeric().or_else(|| self.day_first()) }?;
        let behind = Cursor { at: end, ..self };
        // `1951-03-14-7`, `3/14/1951/2` are something else; `1951-03-14T00:00` is a date.
        let goes_on = digit(behind.peek()).is_some()
            || ((is_dash(behind.peek()) || behind.peek() == '/') && digit(Cursor { at: end + 1, ..self }.peek()).is_some());
        (!goes_on).then_some(end)
    }

    /// A run of at most eight digits, and how many there were.
    fn digits(&mut self) -> Option<(u32, usize)> {
        let (mut number, mut count) = (0, 0);
        while let Some(digit) = digit(self.peek()) {
            if count == 8 {
                return None;
            }
            number = number * 10 + digit;
            count += 1;
            self.at += 1;
        }
        (count > 0).then_some((number, count))
    }

    /// `3/14/1951`, `14.03.51`, `1951-03-14`, `03 14 1951`, `03141951`, `19510314`.
    fn numeric(mut self) -> Option<usize> {
        let first = self.digits()?;
        if first.1 == 8 {
            let (number, high) = (first.0, first.0 / 10_000);
            let sound = (is_year(high, 4) && is_day(number / 100 % 100, number % 100))
                || (is_year(number % 10_000, 4) && is_day(high / 100, high % 100));
            return (sound && !self.peek().is_ascii_alphabetic()).then_some(self.at);
        }
        let separator = self.separator()?;
        let second = self.digits()?;
        if self.separator()? != separator {
            return None;
        }
        let third = self.digits()?;
        let sound = if first.1 == 4 {
            is_year(first.0, 4) && second.1 <= 2 && third.1 <= 2 && is_day(second.0, third.0)
        } else {
            first.1 <= 2 && second.1 <= 2 && is_year(third.0, third.1) && is_day(first.0, second.0)
        };
        sound.then_some(self.at)
    }

    /// One of `/ - . ` and a space, with spaces around the first three.
    fn separator(&mut self) -> Option<char> {
        let space = matches!(self.peek(), ' ' | '\u{a0}');
        self.at += usize::from(space);
        let separator = match self.peek() {
            letter if is_dash(letter) => '-',
            letter @ ('/' | '.') => letter,
            _ if space => return Some(' '),
            _ => return None,
        };
        self.at += 1;
        self.at += usize::from(space && matches!(self.peek(), ' ' | '\u{a0}'));
        Some(separator)
    }

    /// `March 14, 1951`, `Mar. 14th 1951`.
    fn month_first(mut self) -> Option<usize> {
        self.month()?;
        self.filling();
        let (day, _) = self.digits()?;
        self.ordinal();
        self.year_behind(day)
    }

    /// `14 March 1951`, `14-MAR-1951`, `14th of March, 1951`.
    fn day_first(mut self) -> Option<usize> {
        let (day, _) = self.digits()?;
        self.ordinal();
        self.filling();
        if self.word_is("of") {
            self.at += 2;
            self.filling();
        }
        self.month()?;
        self.year_behind(day)
    }

    fn year_behind(mut self, day: u32) -> Option<usize> {
        if !(1..=31).contains(&day) {
            return None;
        }
        self.filling();
        if self.peek() == '\'' || self.peek() == '’' {
            self.at += 1;
        }
        let (year, digits) = self.digits()?;
        is_year(year, digits).then_some(self.at)
    }

    fn word_is(&self, word: &str) -> bool {
        let letters = self.letters.get(self.at..self.at + word.len()).unwrap_or_default();
        letters.iter().map(char::to_ascii_lowercase).eq(word.chars())
            && !Cursor { at: self.at + word.len(), ..*self }.peek().is_ascii_alphabetic()
    }

    /// A month's name, whole or its first letters with or without a point.
    fn month(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_ascii_alphabetic() && self.at - start <= 9 {
            self.at += 1;
        }
        let name: String = self.letters.get(start..self.at)?.iter().map(char::to_ascii_lowercase).collect();
        let short = matches!(name.len(), 3 | 4);
        MONTHS.iter().any(|month| name == *month || (short && month.starts_with(&name))).then_some(())
    }

    fn ordinal(&mut self) {
        if ["st", "nd", "rd", "th"].iter().any(|ending| self.word_is(ending)) {
            self.at += 2;
        }
    }

    /// What may stand between the parts of a date with a month's name.
    fn filling(&mut self) {
        let start = self.at;
        while self.at - start < 3 && (matches!(self.peek(), ' ' | '\u{a0}' | ',' | '.' | '/') || is_dash(self.peek())) {
            self.at += 1;
        }
    }
}

fn is_day(one: u32, other: u32) -> bool {
    let sound = |month: u32, day: u32| (1..=12).contains(&month) && (1..=31).contains(&day);
    sound(one, other) || sound(other, one)
}

/// Of somebody who is alive, or was within living memory.
fn is_year(year: u32, digits: usize) -> bool {
    match digits {
        2 => true,
        4 => (1890..2100).contains(&year),
        _ => false,
    }
}
