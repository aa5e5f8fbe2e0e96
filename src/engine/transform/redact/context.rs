//! Words that say what a number near them is. Found once for a whole text, then asked for each number.

/// What a word speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Ssn,
    Phone,
    Zip,
    VaFile,
    Edipi,
    Birth,
    /// A date of something else.
    OtherDate,
}

impl About {
    fn is_date(self) -> bool {
        matches!(self, Self::Birth | Self::OtherDate)
    }

    /// `word` is in small letters, without the points and hyphens of `D.O.B.` and `c-file`.
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "ssn" | "ssns" | "ss" | "social" | "socialsecurity" | "socialsecuritynumber" => Self::Ssn,
            "phone" | "phones" | "phonenumber" | "telephone" | "tel" | "cell" | "cellphone" | "mobile" | "fax" | "call" | "called"
            | "calling" | "text" | "reach" | "reached" | "callback" | "voicemail" => Self::Phone,
            "zip" | "zips" | "zipcode" | "zipcodes" | "postal" | "postalcode" | "postcode" => Self::Zip,
            "file" | "filenumber" | "cfile" | "vafn" | "vafile" | "vafilenumber" | "claim" | "claims" => Self::VaFile,
            "edipi" | "edi" | "dod" | "dodid" | "cac" => Self::Edipi,
            "dob" | "dobs" | "birth" | "births" | "birthdate" | "birthdates" | "birthday" | "birthdays" | "dateofbirth" | "born"
            | "bday" => Self::Birth,
            "discharge" | "discharged" | "separated" | "separation" | "retired" | "enlisted" | "enlistment" | "served" | "deployed"
            | "deployment" | "appointment" | "scheduled" | "visit" | "visited" | "signed" | "filed" | "submitted" | "expires"
            | "expired" | "died" | "death" | "married" => Self::OtherDate,
            _ => return None,
        })
    }
}

/// How strongly the surroundings of a number speak for a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    None,
    /// A word of the class is near.
    Near,
    /// And it is the nearest.
    Nearest,
}

/// How far before and behind a number a word may stand, in code points.
const BEFORE: usize = 56;
const BEHIND: usize = 28;

/// The longest of the words.
const LONGEST: usize = 20;

struct Word {
    start: usize,
    end: usize,
    about: About,
}

/// The telling words of a text, in their order.
pub(super) struct Context(Vec<Word>);

impl Context {
    pub fn of(letters: &[char]) -> Self {
        let mut words = Vec::new();
        let is_letter = |at: usize| letters.get(at).is_some_and(char::is_ascii_alphabetic);
        let mut spelling = String::with_capacity(LONGEST);
        let mut at = 0;
        while at < letters.len() {
            if !is_letter(at) {
                at += 1;
                continue;
            }
            let start = at;
            // Where the part behind the last point or hyphen begins, in the spelling.
            let mut part = 0;
            spelling.clear();
            while let Some(letter) = letters.get(at) {
                if letter.is_ascii_alphabetic() {
                    if spelling.len() < LONGEST + 1 {
                        spelling.push(letter.to_ascii_lowercase());
                    }
                } else if matches!(letter, '.' | '-') && spelling.len() == part + 1 && is_letter(at + 1) {
                    part = spelling.len();
                } else {
                    break;
                }
                at += 1;
            }
            if let Some(about) = About::of(&spelling).or_else(|| About::of(spelling.get(part..).unwrap_or_default())) {
                words.push(Word { start, end: at, about });
            }
        }
        Self(words)
    }

    /// What the words around a stretch say of it. A word behind it counts only where none of its kind stands before. Of words about
    /// dates the nearest alone counts.
    pub fn support(&self, start: usize, end: usize, about: About) -> Support {
        let kin = |word: &&Word| word.about.is_date() == about.is_date();
        let (before, behind) = self.0.split_at(self.0.partition_point(|word| word.end <= start));
        let mut near = before.iter().rev().take_while(|word| start - word.end <= BEFORE).filter(kin);
        if let Some(nearest) = near.next() {
            return if nearest.about == about {
                Support::Nearest
            } else if !about.is_date() && near.any(|word| word.about == about) {
                Support::Near
            } else {
                Support::None
            };
        }
        let next = behind.iter().skip_while(|word| word.start < end).take_while(|word| word.start - end <= BEHIND).find(kin);
        if next.is_some_and(|word| word.about == about) { Support::Nearest } else { Support::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn support(text: &str, about: About) -> Support {
        let letters: Vec<char> = text.chars().collect();
        let start = letters.iter().position(|letter| *letter == '#').expect("a place");
        Context::of(&letters).support(start, start + 1, about)
    }

    #[test]
    fn a_word_speaks_for_what_is_near_it() {
        for text in [
            "DOB: #",
            "D.O.B. #",
            "date of birth\n\n- **#**",
            "born on #",
            "# is my birthday",
            "{\"dob\":\"#\"}",
            "date_of_birth=#",
            "d-o-b #",
            "p.dob #",
            "discharged 1975, born #",
        ] {
            assert_eq!(support(text, About::Birth), Support::Nearest, "{text}");
        }
        let far = format!("dob {} #", "x".repeat(BEFORE));
        for text in ["#", "discharged #", "DOB unknown, discharged #", "reborn #", "dobbin #", &far] {
            assert_eq!(support(text, About::Birth), Support::None, "{text}");
        }
        assert_eq!(support("VA c-file no. #", About::VaFile), Support::Nearest);
        assert_eq!(support("EDIPI and file number: #", About::Edipi), Support::Near);
        assert_eq!(support("phone # and EDIPI", About::Edipi), Support::None);
        assert_eq!(support("birth date, ssn: #", About::Birth), Support::Nearest);
        assert_eq!(support("socialSecurityNumber: #", About::Ssn), Support::Nearest);
    }
}
