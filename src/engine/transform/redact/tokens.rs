//! Tokens in the middle of a text: where something stands that could be one.
//!
//! A token is found whatever touches it (a letter, a quotation mark, `_` and `*` of Markdown), since redaction puts it where the value
//! stood; its checksum decides. Markdown's writers escape `_` and `-`: up to two backslashes before one are read as part of the token.

/// The characters of a token behind its prefix and `_`.
const BODY: usize = 39;

/// From here on, what is not a whole token counts as a damaged one.
const DAMAGED: usize = 24;

/// A stretch of a text that has the form of a token, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine::transform) struct Candidate {
    pub start: usize,
    pub end: usize,
    /// Without escapes.
    pub token: String,
    /// The prefixes that it may have: positions in the list that was searched for.
    pub prefix: usize,
}

/// What of the form of a token a text holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::engine::transform) struct Candidates {
    /// In the order of the text; those of several prefixes may overlap.
    pub found: Vec<Candidate>,
    /// The beginning of a token whose rest is missing.
    pub damaged: usize,
}

/// Looks for tokens with one of these prefixes, each given once.
pub(super) fn candidates(text: &str, prefixes: &[&str]) -> Candidates {
    let bytes = text.as_bytes();
    let mut all = Candidates::default();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_') {
        let behind = bytes.get(at + 1..).unwrap_or_default();
        let length = behind.iter().take(BODY).take_while(|byte| byte.is_ascii_alphanumeric()).count();
        if length < DAMAGED {
            continue;
        }
        let mut any = false;
        for (prefix, name) in prefixes.iter().enumerate() {
            let Some(start) = prefix_before(bytes, at, name) else { continue };
            any = true;
            if let (BODY, Some(body)) = (length, text.get(at + 1..at + 1 + BODY)) {
                all.found.push(Candidate { start, end: at + 1 + BODY, token: format!("{name}_{body}"), prefix });
            }
        }
        all.damaged += usize::from(any && length < BODY);
    }
    all
}

/// Where a prefix begins that ends before the `_` at this place.
fn prefix_before(bytes: &[u8], underscore: usize, prefix: &str) -> Option<usize> {
    let unescaped = |mut at: usize| {
        for _ in 0..2 {
            at -= usize::from(at > 0 && bytes.get(at - 1) == Some(&b'\\'));
        }
        at
    };
    let mut at = unescaped(underscore);
    for wanted in prefix.bytes().rev() {
        at = at.checked_sub(1)?;
        if bytes.get(at) != Some(&wanted) {
            return None;
        }
        if matches!(wanted, b'_' | b'-') {
            at = unescaped(at);
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(letter: char) -> String {
        letter.to_string().repeat(BODY)
    }

    #[test]
    fn a_token_is_found_whatever_touches_it() {
        let token = format!("pii_{}", body('7'));
        for (before, after) in [
            ("", ""),
            ("x", "y"),
            ("_", "_"),
            ("**", "**"),
            ("\"", "\"}"),
            ("ü", "ü"),
            ("号", "码"),
            ("> ", "\n"),
            ("pii_", "_"),
            ("`", "`,"),
        ] {
            let text = format!("{before}{token}{after}");
            let found = candidates(&text, &["pii"]).found;
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!((&found[0].token, text.get(found[0].start..found[0].end)), (&token, Some(token.as_str())), "{text}");
        }
        let twice = format!("{token}{token}");
        assert_eq!(candidates(&twice, &["pii"]).found.len(), 2);
    }

    #[test]
    fn escapes_of_markdown_are_read() {
        for (prefix, text) in [("pii", r"pii\_"), ("pii", r"pii\\_"), ("va-ssn", r"va\-ssn\_"), ("a_b", r"a\_b\_")] {
            let text = format!("x {text}{}", body('a'));
            let found = candidates(&text, &[prefix]).found;
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!((found[0].token.clone(), found[0].start), (format!("{prefix}_{}", body('a')), 2));
        }
    }

    #[test]
    fn prefixes_may_end_alike_and_what_is_cut_short_is_counted() {
        let text = format!("x_pii_{}", body('q'));
        let found = candidates(&text, &["pii", "x_pii"]).found;
        assert_eq!(found.iter().map(|found| (found.prefix, found.start)).collect::<Vec<_>>(), [(0, 2), (1, 0)]);
        let cut = format!("pii_{} pii_ab pii {}", "a".repeat(30), "b".repeat(50));
        assert_eq!(candidates(&cut, &["pii"]), Candidates { found: vec![], damaged: 1 });
        assert_eq!(candidates(&format!("other_{}", body('a')), &["pii"]), Candidates::default());
        assert_eq!(candidates("_", &["pii"]), Candidates::default());
    }
}
