//! Purposes: why a caller reveals. Only a word that stands in a list is written into the ledger: of the transformation, or of the mount.
//! Where there is a list, whatever else a caller writes is refused; where there is none, it is passed over.

use crate::model::fault::{Complaint, Fault};

/// Stands for a purpose that nobody configured. No list can hold it: it is no name.
const UNLISTED: &str = "(unlisted)";

/// A caller's purpose on its way to the lists that may know it.
#[derive(Debug)]
pub(super) struct Given {
    word: String,
    lists: bool,
    known: bool,
}

impl Given {
    pub(super) fn new(word: String) -> Self {
        Self { word, lists: false, known: false }
    }

    pub(super) fn look_in(&mut self, list: &[String]) {
        self.lists = self.lists || !list.is_empty();
        self.known = self.known || list.contains(&self.word);
    }

    /// The word, or what stands for it where the lists do not hold it. Where there is no list nobody cares which word it is: policies
    /// may look at it, and it is not recorded.
    pub(super) fn judged(self) -> Purpose {
        match (self.known, self.lists) {
            (false, true) => Purpose { word: UNLISTED.to_owned(), recorded: true },
            (known, _) => Purpose { word: self.word, recorded: known },
        }
    }
}

/// A caller's purpose as a request carries it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Purpose {
    pub word: String,
    recorded: bool,
}

impl Purpose {
    /// What an entry says of it.
    pub(super) fn for_the_entry(&self) -> String {
        if self.recorded { self.word.clone() } else { UNLISTED.to_owned() }
    }
}

/// Refuses a purpose that does not fit. `own`: the transformation's list; where that is empty the mount's holds. `needed`: something is
/// revealed, so a transformation with a list of its own wants to know why.
pub(super) fn check(purpose: Option<&str>, own: &[String], of_mount: &[String], needed: bool) -> Result<(), Fault> {
    let list = if own.is_empty() { of_mount } else { own };
    let what = match purpose {
        None if own.is_empty() || !needed => return Ok(()),
        None => "is missing, name one that the transformation reveals for",
        Some(word) if list.iter().any(|known| known == word) => return Ok(()),
        // Nobody here asks for one.
        Some(_) if list.is_empty() => return Ok(()),
        Some(_) => "is none of those that are configured here",
    };
    Err(Fault::Invalid(Complaint::new(what).at("purpose").stored(list.join(", "))))
}

/// For an export, which may concern any transformation of the mount: refuses a word that none of them knows.
pub(super) fn check_known(purpose: Option<&str>, of_mount: &[String]) -> Result<(), Fault> {
    if purpose == Some(UNLISTED) { check(purpose, &[], of_mount, false) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn only_listed_words_are_recorded() {
        let recorded = |word: &str, lists: &[&[&str]]| {
            let mut given = Given::new(word.to_owned());
            lists.iter().for_each(|words| given.look_in(&list(words)));
            let purpose = given.judged();
            (purpose.for_the_entry(), purpose.word)
        };
        let pair = |recorded: &str, word: &str| (recorded.to_owned(), word.to_owned());
        assert_eq!(recorded("claims", &[]), pair(UNLISTED, "claims"));
        assert_eq!(recorded("claims", &[&[], &["support", "claims"]]), pair("claims", "claims"));
        assert_eq!(recorded("curiosity", &[&["support"]]), pair(UNLISTED, UNLISTED));
    }

    #[test]
    fn a_purpose_must_be_on_the_list_where_there_is_one() {
        let (none, own, mount) = (list(&[]), list(&["claims", "support"]), list(&["audit"]));
        assert!(check(None, &none, &none, true).is_ok() && check(Some("claims"), &none, &none, true).is_ok());
        assert!(check(Some("claims"), &own, &mount, true).is_ok() && check(Some("audit"), &none, &mount, true).is_ok());
        assert!(check(None, &none, &mount, true).is_ok() && check(None, &own, &none, false).is_ok());
        for wrong in [None, Some("Claims"), Some(""), Some("claims,support"), Some("audit"), Some(UNLISTED)] {
            let refused = check(wrong, &own, &mount, true).expect_err("refused").to_string();
            assert!(refused.starts_with("`purpose` ") && refused.ends_with("(`claims, support`)"), "{refused}");
        }
        assert!(check(Some("claims"), &none, &mount, false).is_err());
        assert!(check(Some(UNLISTED), &none, &none, false).is_ok());
    }
}
