//! Decisions that were made before: the same question to the same set of policies has the same answer.
//!
//! A key is the whole question, compared byte for byte, with everything in it that a decision can look at but the moment; an answer
//! that a statement about the moment may have had a part in is never kept. Each set of policies has a memory of its own, so replacing
//! the set forgets all of it. Nothing is kept of who exists: groups, purpose and address come from the request each time.

use std::net::IpAddr;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::asked::{Asked, Caller};
use super::decision::Decision;
use crate::model::action::Action;
use crate::model::operation::{Circumstances, Resource};

/// The questions that were answered lately.
#[derive(Debug)]
pub(super) struct Remembered {
    answers: Cache<Question, Decision, ByBytes>,
}

/// A question without its moment. Two questions are equal if and only if their bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question(Vec<u8>);

#[derive(Debug, Clone)]
struct ByBytes;

/// The room, in bytes.
const CAPACITY: u64 = 4 * 1024 * 1024;

/// For the first guess of their number only.
const EXPECTED: usize = 2048;

/// What an answer takes beside its question.
const AROUND: u64 = 256;

/// Longer questions (a login that hands on hundreds of groups) are decided each time.
const LONGEST: usize = 4096;

impl Remembered {
    /// None only for options that cannot be.
    pub(super) fn new() -> Option<Self> {
        let options = OptionsBuilder::new().shards(4).estimated_items_capacity(EXPECTED).weight_capacity(CAPACITY).build().ok()?;
        Some(Self { answers: Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), DefaultLifecycle::default()) })
    }

    pub(super) fn answer(&self, question: &Question) -> Option<Decision> {
        self.answers.get(question)
    }

    pub(super) fn keep(&self, mut question: Question, decision: &Decision) {
        if question.0.len() <= LONGEST {
            question.0.shrink_to_fit();
            self.answers.insert(question, decision.clone());
        }
    }
}

impl Question {
    /// Taken apart member by member, so that a new member of any of these does not compile until it is part of the question.
    pub(super) fn new(who: &Asked<'_>, action: Action, resource: &Resource, circumstances: &Circumstances) -> Self {
        let Asked { caller, groups, method, peer, channel_bound } = who;
        let Resource { kind, id, mount, class } = resource;
        let Circumstances { purpose, batch_size, grants } = circumstances;
        let mut framed = Framed(Vec::with_capacity(256));
        match caller {
            Caller::Anonymous => framed.text("anonymous"),
            Caller::Account(name) => framed.text("account").text(name),
            Caller::Job(name) => framed.text("job").text(name),
        }
        .texts(groups)
        .text(method)
        .address(*peer)
        .number(u64::from(*channel_bound))
        .text(action.name())
        .text(kind.name())
        .text(id)
        .optional(mount.as_deref())
        .optional(class.as_deref())
        .optional(purpose.as_deref())
        .number(*batch_size)
        .texts(grants);
        Self(framed.0)
    }
}

/// Parts with their lengths in front, so that no two lists of parts are the same bytes.
struct Framed(Vec<u8>);

impl Framed {
    fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64).0.extend_from_slice(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn address(&mut self, address: Option<IpAddr>) -> &mut Self {
        match address {
            None => self.bytes(&[]),
            Some(IpAddr::V4(four)) => self.bytes(&four.octets()),
            Some(IpAddr::V6(six)) => self.bytes(&six.octets()),
        }
    }

    fn optional(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            None => self.number(0),
            Some(text) => self.number(1).text(text),
        }
    }

    fn texts(&mut self, texts: &[String]) -> &mut Self {
        self.number(texts.len() as u64);
        for text in texts {
            self.text(text);
        }
        self
    }
}

impl Weighter<Question, Decision> for ByBytes {
    fn weight(&self, question: &Question, decision: &Decision) -> u64 {
        question.0.len() as u64 + 16 * decision.policies.len() as u64 + AROUND
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::operation::ResourceKind;

    #[test]
    fn every_difference_makes_another_question() {
        let (one, two) = (vec!["a".to_owned(), "b".to_owned()], vec!["ab".to_owned()]);
        let base = Asked::account("svc", &one);
        let secret = Resource::within(ResourceKind::Secret, "secret", "app/db");
        let plain = Circumstances { batch_size: 1, ..Circumstances::default() };
        let ask = |who: &Asked<'_>, action, resource: &Resource, circumstances: &Circumstances| {
            Question::new(who, action, resource, circumstances)
        };
        let of = |who: Asked<'_>| ask(&who, Action::ReadSecret, &secret, &plain);
        let to = |resource: Resource| ask(&base, Action::ReadSecret, &resource, &plain);
        let under = |circumstances: Circumstances| ask(&base, Action::ReadSecret, &secret, &circumstances);
        let all = [
            of(base.clone()),
            of(Asked::account("svc", &two)),
            of(Asked::account("svd", &one)),
            of(Asked::job("svc")),
            of(Asked::anonymous(None)),
            of(base.clone().by("jwt")),
            of(base.clone().from_peer([127, 0, 0, 1].into())),
            of(base.clone().from_peer([127, 0, 0, 2].into())),
            of(Asked { channel_bound: true, ..base.clone() }),
            ask(&base, Action::WriteSecret, &secret, &plain),
            to(Resource::within(ResourceKind::Secret, "secret", "app/dc")),
            to(Resource { mount: None, ..secret.clone() }),
            to(Resource { kind: ResourceKind::Transformation, ..secret.clone() }),
            to(secret.clone().with_class(Some("name".to_owned()))),
            under(Circumstances { purpose: Some("claims".to_owned()), ..plain.clone() }),
            under(Circumstances { batch_size: 2, ..plain.clone() }),
            under(Circumstances { grants: one.clone(), ..plain.clone() }),
            under(Circumstances { grants: two.clone(), ..plain.clone() }),
        ];
        let count = all.len();
        assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), count);
        assert_eq!(of(base.clone()), ask(&base, Action::ReadSecret, &secret, &plain));
    }
}
