//! Masking: one character in place of each captured one. Nobody turns it back.

use goldfin_crypto::Zeroizing;

use super::misfit::Misfit;
use super::template::Template;

/// Every captured character, counted as Unicode scalar values, becomes `with`; a value that the template does not match whole shows
/// nothing at all.
pub fn mask(template: &Template, value: &str, with: char) -> Result<Zeroizing<String>, Misfit> {
    let taken = template.take(value)?;
    taken.put(&vec![with; taken.captured.len()])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::template::Written;
    use super::*;

    #[test]
    fn captures_are_covered_and_nothing_else() {
        let template = |pattern: &str| {
            Template::new(Written { pattern: pattern.into(), alphabet: "any".into(), encode_format: None, decode_formats: BTreeMap::new() })
                .expect(pattern)
        };
        let last_four = template("([0-9]{3})-([0-9]{2})-[0-9]{4}");
        assert_eq!(mask(&last_four, "123-45-6789", '*').map(|text| text.to_string()), Ok("***-**-6789".to_owned()));
        // A value that is no longer than what is shown does not match, and shows nothing.
        for short in ["6789", "-6789", ""] {
            assert_eq!(mask(&last_four, short, '*'), Err(Misfit::Pattern), "{short}");
        }
        let name = template("(?s)(.*).");
        assert_eq!(mask(&name, "Zoe\u{308} 🦊é", '•').map(|text| text.to_string()), Ok("••••••é".to_owned()));
        assert_eq!(mask(&template("(?s)(.*)"), "ab", '•').map(|text| text.to_string()), Ok("••".to_owned()));
    }
}
