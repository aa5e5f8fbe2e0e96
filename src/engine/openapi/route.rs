//! A path below a mount with one meaning: what is asked of it, what it answers, and which right it needs.

use crate::model::action::Action;
use crate::model::call::Verb;

use super::member::{Member, Type};

#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The first names it; a second one means the same.
    pub verbs: &'static [Verb],
    /// Below the mount. `{name}` is one segment, `{name...}` one or more.
    pub path: &'static str,
    /// What it does, in one sentence.
    pub says: &'static str,
    /// The right that it needs; one of them where the request decides which. Empty for what needs none.
    pub actions: &'static [Action],
    pub query: &'static [Member],
    /// Lists of members that the body may have; they are put together.
    pub body: &'static [&'static [Member]],
    pub gives: Gives,
    /// Statuses beside those that any request may get.
    pub also: &'static [u16],
    /// Whether a purpose may be given, in the header or the body.
    pub purpose: bool,
    /// What the body is where it is text and no JSON.
    pub text: &'static str,
    /// Members that are taken and mean nothing here: of other types, or of Vault only.
    pub besides: &'static [&'static str],
    /// Whether it is answered without a credential.
    pub open: bool,
    /// Bodies that are understood. Each of the members stands in at least one, or is read whatever is in the body.
    pub examples: &'static [&'static str],
}

/// What comes back when all is well.
#[derive(Debug, Clone, Copy)]
pub enum Gives {
    /// 204
    Nothing,
    /// 200 with these members in `data`.
    Data(&'static [Member]),
    /// The same from several lists.
    Parts(&'static [&'static [Member]]),
    /// Members in `data`, or 404 with the same envelope where the version is deleted or destroyed.
    DataOrAbsent(&'static [Member], &'static [Member]),
    /// 204, or 200 with these members in `data` where there is something to say.
    Perhaps(&'static [Member]),
    /// 204, or 200 with warnings only.
    Warnings,
    /// 200 with `data.keys`; 404 where there is none.
    Keys,
    /// 200 with an object both in `data` and at the top level.
    Table(Type),
    /// 200 with these members for one, or in `batch_results`; 204 for one where they are empty.
    Values(&'static [Member]),
    /// 200 with `auth`.
    Auth,
    /// 200 without envelope, or the status that the state or the request says.
    Health(&'static [Member]),
    /// 200 without envelope.
    Bare(&'static [Member]),
    /// 200 with a JSON document of another kind.
    Document,
    /// 200 with another type of content.
    Stream(&'static [&'static str]),
    /// What a witness answers (C2SP tlog-witness): a signature, or a 409 or 422 in text.
    Cosignature,
    /// Either the members in `data`, or NDJSON where the request asks for it.
    DataOrLines(&'static [Member]),
}

impl Route {
    #[must_use]
    pub const fn new(verbs: &'static [Verb], path: &'static str, says: &'static str, actions: &'static [Action], gives: Gives) -> Self {
        Self {
            verbs,
            path,
            says,
            actions,
            query: &[],
            body: &[],
            gives,
            also: &[],
            purpose: false,
            text: "",
            besides: &[],
            open: false,
            examples: &[],
        }
    }

    #[must_use]
    pub const fn query(self, query: &'static [Member]) -> Self {
        Self { query, ..self }
    }

    #[must_use]
    pub const fn body(self, body: &'static [&'static [Member]], examples: &'static [&'static str]) -> Self {
        Self { body, examples, ..self }
    }

    #[must_use]
    pub const fn also(self, also: &'static [u16]) -> Self {
        Self { also, ..self }
    }

    #[must_use]
    pub const fn text(self, text: &'static str) -> Self {
        Self { text, ..self }
    }

    #[must_use]
    pub const fn besides(self, besides: &'static [&'static str]) -> Self {
        Self { besides, ..self }
    }

    #[must_use]
    pub const fn open(self) -> Self {
        Self { open: true, ..self }
    }

    #[must_use]
    pub const fn purpose(self) -> Self {
        Self { purpose: true, ..self }
    }

    pub fn members(&self) -> impl Iterator<Item = &'static Member> {
        self.body.iter().flat_map(|part| part.iter())
    }

    /// Whether a path below the mount is one of these.
    #[must_use]
    pub fn matches(&self, verb: Verb, tail: &str) -> bool {
        self.verbs.contains(&verb) && self.fits(tail)
    }

    #[must_use]
    pub fn fits(&self, tail: &str) -> bool {
        fits(&segments(self.path), &segments(tail))
    }

    /// How many segments are no placeholders.
    #[must_use]
    pub fn own_segments(&self) -> usize {
        segments(self.path).iter().filter(|segment| !segment.starts_with('{')).count()
    }
}

pub fn segments(path: &str) -> Vec<&str> {
    if path.is_empty() { Vec::new() } else { path.split('/').collect() }
}

fn fits(template: &[&str], tail: &[&str]) -> bool {
    let Some((first, template)) = template.split_first() else { return tail.is_empty() };
    let Some((segment, rest)) = tail.split_first() else { return false };
    match first.strip_prefix('{') {
        None => first == segment && fits(template, rest),
        Some("kind}") => KINDS.contains(segment) && fits(template, rest),
        Some(placeholder) if placeholder.ends_with("...}") => {
            (0..=rest.len()).any(|more| fits(template, rest.get(more..).unwrap_or_default()))
        }
        Some(_) => fits(template, rest),
    }
}

/// The types of transformations, as a path names them.
pub const KINDS: &[&str] = &["tokenization", "fpe", "masking"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mount::Kind;

    #[test]
    fn the_template_with_the_most_segments_of_its_own_decides_the_verbs() {
        let of = |kind, tail| super::super::verbs_of(kind, tail);
        assert_eq!(of(Kind::System, "mounts/team/kv/tune"), [Verb::Read, Verb::Write]);
        assert_eq!(of(Kind::System, "mounts/team/kv"), [Verb::Read, Verb::Write, Verb::Delete]);
        assert_eq!(of(Kind::Transform, "subjects/erase"), [Verb::Write]);
        assert_eq!(of(Kind::Transform, "transformations/tokenization/keys"), [Verb::List]);
        assert_eq!(of(Kind::Kv, "nothing"), []);
    }

    #[test]
    fn templates_fit_whole_paths() {
        let route = |path| Route::new(&[Verb::Read], path, "", &[], Gives::Nothing);
        for (template, path, fits) in [
            ("config", "config", true),
            ("config", "config/x", false),
            ("config", "", false),
            ("", "", true),
            ("role/{name}", "role/a", true),
            ("role/{name}", "role", false),
            ("role/{name}", "role/a/b", false),
            ("data/{path...}", "data/a/b/c", true),
            ("data/{path...}", "data", false),
            ("mounts/{path...}/tune", "mounts/a/b/tune", true),
            ("mounts/{path...}/tune", "mounts/a/b", false),
            ("transformations/{kind}/{name}", "transformations/fpe/x", true),
            ("transformations/{kind}/{name}", "transformations/else/x", false),
        ] {
            assert_eq!(route(template).matches(Verb::Read, path), fits, "{template} {path}");
        }
        assert!(!route("config").matches(Verb::Write, "config"));
    }
}
