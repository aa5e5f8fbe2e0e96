//! Reading the members of a request's body: each is taken once, by a name that the program knows, and an error names only that.

use std::collections::BTreeMap;
use std::time::Duration;

use goldfin_crypto::{Plaintext, Zeroizing};

use super::document::Node;
use super::fault::{Complaint, Fault};
use super::member_class::{MemberClass, class_of};
use super::reading::{self, Way};
use super::text::parse_duration;

/// The members of an object that have not been taken yet. A null member counts as not given.
#[derive(Debug)]
pub struct Members {
    rest: Vec<(String, Node)>,
    /// A name that was asked for and came in letters of other case.
    misspelt: Option<&'static str>,
    /// The position of the batch item that this object is.
    item: Option<usize>,
}

impl Members {
    /// An absent body (`Node::Null`) has no members.
    pub fn new(node: Node) -> Result<Self, Fault> {
        match node {
            Node::Null => Ok(Self { rest: Vec::new(), misspelt: None, item: None }),
            Node::Object(rest) => Ok(Self { rest, misspelt: None, item: None }),
            _ => Err(Fault::invalid("the body must be a JSON object")),
        }
    }

    /// The object at position `item` of a batch.
    pub fn of_item(node: Node, item: usize) -> Result<Self, Fault> {
        match node {
            Node::Object(rest) => Ok(Self { rest, misspelt: None, item: Some(item) }),
            _ => Err(Fault::Invalid(Complaint::new("must be a JSON object").item(item))),
        }
    }

    /// The member as it came.
    pub fn take(&mut self, name: &'static str) -> Option<Node> {
        self.take_as(name, Way::Raw)
    }

    fn take_as(&mut self, name: &'static str, way: Way) -> Option<Node> {
        reading::member(name, way);
        let mut found = None;
        for (at, (known, node)) in self.rest.iter().enumerate() {
            if known == name {
                found = Some(at);
            } else if known.eq_ignore_ascii_case(name) && !matches!(node, Node::Null) {
                self.misspelt.get_or_insert(name);
            }
        }
        match self.rest.swap_remove(found?).1 {
            Node::Null => None,
            node => Some(node),
        }
    }

    /// Text that may be personal or secret. Numbers are refused: a number that was an SSN lost its leading zeros long ago.
    pub fn secret(&mut self, name: &'static str) -> Result<Option<Plaintext>, Fault> {
        match self.take_as(name, Way::Text) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "must be a string")),
        }
    }

    /// The same where it must be decoded as text: a share, a proof.
    pub fn credential(&mut self, name: &'static str) -> Result<Option<Zeroizing<String>>, Fault> {
        match self.secret(name)? {
            None => Ok(None),
            Some(text) => match text.expose_text() {
                Ok(word) => Ok(Some(Zeroizing::new(word.to_owned()))),
                Err(_) => Err(self.wrong(name, "must be a string")),
            },
        }
    }

    /// Text of the configuration: a name, a pattern. Nothing delicate is read so: nobody would wipe it.
    pub fn word(&mut self, name: &'static str) -> Result<Option<String>, Fault> {
        debug_assert!(!is_delicate(name), "`{name}` is read by `secret` or `credential`");
        match self.secret(name)? {
            None => Ok(None),
            Some(text) => match text.expose_text() {
                Ok(word) => Ok(Some(word.to_owned())),
                Err(_) => Err(self.wrong(name, "must be a string")),
            },
        }
    }

    /// A list of strings, or one string with commas in it, as Vault's clients send both.
    pub fn words(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Fault> {
        debug_assert!(!is_delicate(name), "`{name}` is read by `secret` or `credential`");
        match self.take_as(name, Way::Words) {
            None => Ok(None),
            Some(Node::Text(text)) => {
                let text = text.expose_text().map_err(|_| self.wrong(name, "must be a list of strings"))?;
                Ok(Some(text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()))
            }
            Some(Node::List(items)) => items
                .into_iter()
                .map(|item| match item {
                    Node::Text(text) => text.expose_text().map(str::to_owned).map_err(|_| self.wrong(name, "must be a list of strings")),
                    _ => Err(self.wrong(name, "must be a list of strings")),
                })
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(self.wrong(name, "must be a list of strings")),
        }
    }

    pub fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Fault> {
        match self.take_as(name, Way::Flag) {
            None => Ok(None),
            Some(Node::Bool(flag)) => Ok(Some(flag)),
            Some(Node::Text(text)) => match text.expose() {
                b"true" => Ok(Some(true)),
                b"false" => Ok(Some(false)),
                _ => Err(self.wrong(name, "must be true or false")),
            },
            Some(_) => Err(self.wrong(name, "must be true or false")),
        }
    }

    /// A number without fraction, not negative; a string of digits is taken too.
    pub fn whole(&mut self, name: &'static str) -> Result<Option<u64>, Fault> {
        let digits = match self.take_as(name, Way::Whole) {
            None => return Ok(None),
            Some(Node::Number(digits)) => digits,
            Some(Node::Text(text)) => text.expose_text().unwrap_or_default().into(),
            Some(_) => return Err(self.wrong(name, "must be a whole number")),
        };
        digits.parse().map(Some).map_err(|_| self.wrong(name, "must be a whole number that is not negative"))
    }

    /// Seconds as a number, or text such as `"1h30m"`.
    pub fn duration(&mut self, name: &'static str) -> Result<Option<Duration>, Fault> {
        let span = match self.take_as(name, Way::Seconds) {
            None => return Ok(None),
            Some(Node::Number(digits)) => digits.parse().ok().map(Duration::from_secs),
            Some(Node::Text(text)) if text.is_empty() => return Ok(None),
            Some(Node::Text(text)) => text.expose_text().ok().and_then(parse_duration),
            Some(_) => None,
        };
        // A century: beyond it sums with the present moment stop making sense to clients.
        match span {
            Some(span) if span.as_secs() <= 3_155_760_000 => Ok(Some(span)),
            _ => Err(self.wrong(name, "must be a duration: seconds, or text such as `1h30m`")),
        }
    }

    /// A number that may have a fraction, from 0 on; also as text, as command lines send it.
    pub fn fraction(&mut self, name: &'static str) -> Result<Option<f64>, Fault> {
        let number = match self.take(name) {
            None => return Ok(None),
            Some(Node::Number(digits)) => digits.parse::<f64>().ok(),
            Some(Node::Text(text)) => text.expose_text().ok().and_then(|text| text.parse().ok()),
            Some(_) => None,
        };
        match number.filter(|number| number.is_finite() && *number >= 0.0) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(name, "must be a number, from 0")),
        }
    }

    pub fn list(&mut self, name: &'static str) -> Result<Option<Vec<Node>>, Fault> {
        match self.take_as(name, Way::List) {
            None => Ok(None),
            Some(Node::List(items)) => Ok(Some(items)),
            Some(_) => Err(self.wrong(name, "must be a list")),
        }
    }

    pub fn object(&mut self, name: &'static str) -> Result<Option<Vec<(String, Node)>>, Fault> {
        match self.take_as(name, Way::Object) {
            None => Ok(None),
            Some(Node::Object(members)) => Ok(Some(members)),
            Some(_) => Err(self.wrong(name, "must be an object")),
        }
    }

    /// An object whose values are all strings.
    pub fn text_map(&mut self, name: &'static str) -> Result<Option<BTreeMap<String, String>>, Fault> {
        self.map_of(name, Way::TextMap, |node| match node {
            Node::Text(text) => text.expose_text().ok().map(str::to_owned),
            _ => None,
        })
    }

    /// The same where Vault takes numbers and truth values as their text: clients send `{"version": 2}`.
    pub fn loose_text_map(&mut self, name: &'static str) -> Result<Option<BTreeMap<String, String>>, Fault> {
        self.map_of(name, Way::LooseMap, |node| match node {
            Node::Text(text) => text.expose_text().ok().map(str::to_owned),
            Node::Number(digits) => Some(digits.clone().into_string()),
            Node::Bool(truth) => Some(truth.to_string()),
            _ => None,
        })
    }

    fn map_of(
        &mut self,
        name: &'static str,
        way: Way,
        text: impl Fn(&Node) -> Option<String>,
    ) -> Result<Option<BTreeMap<String, String>>, Fault> {
        let members = match self.take_as(name, way) {
            None => return Ok(None),
            Some(Node::Object(members)) => members,
            Some(_) => return Err(self.wrong(name, "must be an object")),
        };
        members
            .into_iter()
            .map(|(key, node)| text(&node).map(|value| (key, value)).ok_or_else(|| self.wrong(name, "must hold strings only")))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Ends the reading. Says how many members were not known; refuses one that is a known name in other letters' case, and one
    /// of `restricting`: members of Vault's API that would have narrowed something and that goldfin does not have.
    pub fn finish(self, restricting: &[&'static str]) -> Result<usize, Fault> {
        if let Some(known) = self.misspelt {
            return Err(Fault::Invalid(self.complain("is spelt in other case in the body, use small letters").at(known)));
        }
        for (name, node) in &self.rest {
            if matches!(node, Node::Null) {
                continue;
            }
            if let Some(known) = restricting.iter().find(|known| known.eq_ignore_ascii_case(name)) {
                let empty = match node {
                    Node::List(items) => items.is_empty(),
                    Node::Text(text) => text.is_empty(),
                    Node::Number(digits) => &**digits == "0",
                    Node::Bool(flag) => !flag,
                    _ => false,
                };
                if !empty {
                    return Err(Fault::Invalid(self.complain("would restrict something and is not supported, leave it out").at(known)));
                }
            }
        }
        Ok(self.rest.iter().filter(|(_, node)| !matches!(node, Node::Null)).count())
    }

    /// The error for a member that the operation cannot do without.
    #[must_use]
    pub fn missing(&self, name: &'static str) -> Fault {
        self.wrong(name, "is missing")
    }

    #[must_use]
    pub fn wrong(&self, name: &'static str, what: &'static str) -> Fault {
        Fault::Invalid(self.complain(what).at(name))
    }

    fn complain(&self, what: &'static str) -> Complaint {
        let complaint = Complaint::new(what);
        match self.item {
            Some(item) => complaint.item(item),
            None => complaint,
        }
    }
}

fn is_delicate(name: &str) -> bool {
    class_of(name).is_some_and(MemberClass::is_delicate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(json: &str) -> Members {
        Members::new(Node::parse(json.as_bytes()).expect("json")).expect("object")
    }

    #[test]
    fn takes_each_type() {
        let mut body = members(r#"{"w":"x","n":7,"d":"1h","f":true,"l":["a","b"],"c":"a, b","m":{"k":"v"},"z":null}"#);
        assert_eq!(body.word("w").expect("word").as_deref(), Some("x"));
        assert_eq!(body.whole("n").expect("whole"), Some(7));
        assert_eq!(body.duration("d").expect("duration"), Some(Duration::from_secs(3600)));
        assert_eq!(body.flag("f").expect("flag"), Some(true));
        assert_eq!(body.words("l").expect("words"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(body.words("c").expect("words"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(body.text_map("m").expect("map").map(|m| m.len()), Some(1));
        let mut loose = members(r#"{"m":{"version":2,"on":true,"k":"v"}}"#);
        let taken: Vec<_> = loose.loose_text_map("m").expect("map").expect("there").into_values().collect();
        assert_eq!(taken, ["v", "true", "2"]);
        assert_eq!(body.word("z").expect("null is absent"), None);
        assert_eq!(body.finish(&[]).expect("nothing is left"), 0);
    }

    #[test]
    fn wrong_types_name_the_member_and_not_the_value() {
        let mut body = members(r#"{"value":123456789,"ttl":-1,"n":1.5}"#);
        assert_eq!(body.secret("value").expect_err("number").to_string(), "`value` must be a string");
        assert!(body.duration("ttl").is_err());
        assert!(body.whole("n").is_err());
    }

    #[test]
    fn unknown_members_are_counted_and_lookalikes_refused() {
        let mut body = members(r#"{"a":1,"b":2,"c":null}"#);
        body.take("a");
        assert_eq!(body.finish(&[]).expect("fine"), 1);
        let mut body = members(r#"{"TTL":1}"#);
        body.take("ttl");
        assert!(body.finish(&[]).is_err());
        let mut body = members(r#"{"ttl":1,"Ttl":2}"#);
        assert!(body.take("ttl").is_some());
        assert!(body.finish(&[]).is_err());
        let mut body = members(r#"{"TTL":null}"#);
        body.take("ttl");
        assert!(body.finish(&[]).is_ok());
        assert!(members(r#"{"num_uses":3}"#).finish(&["num_uses"]).is_err());
        assert!(members(r#"{"num_uses":0}"#).finish(&["num_uses"]).is_ok());
    }
}
