//! Which members and parameters the understanding of a request asked for. In builds with debug assertions it is written down for the
//! thread that understands, so that every test holds the description of the API against what the code reads; other builds write nothing.
//!
//! It holds names that the program knows, never anything that came with a request.

use std::collections::BTreeSet;

/// How a member was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// As it came: whoever took it looked at its type itself.
    Raw,
    Text,
    Words,
    Flag,
    Whole,
    Seconds,
    List,
    Object,
    TextMap,
    LooseMap,
}

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    pub members: BTreeSet<(&'static str, Way)>,
    pub parameters: BTreeSet<String>,
}

#[cfg(debug_assertions)]
thread_local! {
    static ASKED: std::cell::RefCell<Option<Asked>> = const { std::cell::RefCell::new(None) };
}

/// Begins anew.
pub fn begin() {
    #[cfg(debug_assertions)]
    ASKED.replace(Some(Asked::default()));
}

/// What was asked for since the beginning; nothing in other builds.
#[must_use]
pub fn end() -> Asked {
    #[cfg(debug_assertions)]
    return ASKED.take().unwrap_or_default();
    #[cfg(not(debug_assertions))]
    Asked::default()
}

#[cfg_attr(not(debug_assertions), expect(unused_variables, reason = "written down in debug builds only"))]
pub(super) fn member(name: &'static str, way: Way) {
    #[cfg(debug_assertions)]
    ASKED.with_borrow_mut(|asked| {
        if let Some(asked) = asked {
            asked.members.insert((name, way));
        }
    });
}

#[cfg_attr(not(debug_assertions), expect(unused_variables, reason = "written down in debug builds only"))]
pub(super) fn parameter(name: &str) {
    #[cfg(debug_assertions)]
    ASKED.with_borrow_mut(|asked| {
        if let Some(asked) = asked {
            asked.parameters.insert(name.to_owned());
        }
    });
}
