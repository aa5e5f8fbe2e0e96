//! E-mail addresses as RFC 5321 writes most of them: no quotes, no comments, at most 64 and 255 characters.

use super::recognise::{Class, Found};

const SCORE: u16 = 960;
const LONGEST_LOCAL: usize = 64;
const LONGEST_DOMAIN: usize = 255;

/// Finds all of them.
pub(super) fn find(letters: &[char], found: &mut Vec<Found>) {
    for (at, _) in letters.iter().enumerate().filter(|(_, letter)| **letter == '@' || **letter == '\u{ff20}') {
        let (before, behind) = letters.split_at(at);
        if let (Some(start), Some(end)) = (local(before), domain(behind.get(1..).unwrap_or_default())) {
            found.push(Found { start, end: at + 1 + end, class: Class::Email, score: SCORE });
        }
    }
}

/// Letters and digits of the scripts that addresses are written in; others run words together without spaces.
fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || (letter.is_alphanumeric() && letter < '\u{530}')
}

/// Where the part before the `@` begins.
fn local(before: &[char]) -> Option<usize> {
    let allowed = |letter: &char| is_word(*letter) || ".!#$%&'*+-/=?^_`{|}~".contains(*letter);
    let length = before.iter().rev().take(LONGEST_LOCAL).take_while(|letter| allowed(letter)).count();
    let start = before.len() - length;
    let part = before.get(start..)?;
    // Marks of Markdown, quotes and the syntax of URLs in front of it are not its own.
    let mark = part.iter().rposition(|letter| "/=?&`{|}*".contains(*letter)).map_or(0, |at| at + 1);
    let first = part.get(mark..)?.iter().position(|letter| is_word(*letter))?;
    Some(start + mark + first)
}

/// How long the domain is: labels with points between, the last of them letters only.
fn domain(behind: &[char]) -> Option<usize> {
    let (mut end, mut sound, mut labels) = (0, None, 0);
    loop {
        let rest = behind.get(end..)?;
        let length = rest.iter().take(64).take_while(|letter| is_word(**letter) || **letter == '-').count();
        let label = rest.get(..length)?;
        let trimmed = label.iter().rposition(|letter| *letter != '-').map_or(0, |last| last + 1);
        if trimmed == 0 || length > 63 || end + length > LONGEST_DOMAIN || label.first() == Some(&'-') {
            return sound;
        }
        labels += 1;
        let letters_only = label.get(..trimmed)?.iter().all(|letter| letter.is_alphabetic());
        let punycode = label.get(..4).is_some_and(|head| head.iter().map(char::to_ascii_lowercase).eq("xn--".chars()));
        if labels > 1 && trimmed > 1 && (letters_only || punycode) {
            sound = Some(end + trimmed);
        }
        if trimmed != length || rest.get(length) != Some(&'.') {
            return sound;
        }
        end += length + 1;
    }
}
