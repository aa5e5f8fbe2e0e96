//! Whether what the code reads and answers is what the description says. Names and types only, never values.

use goldfin_crypto::Plaintext;

use crate::model::document::Node;
use crate::model::reading::{Asked, Way};
use crate::model::reply::Answer;

use super::member::{Member, There, Type};
use super::route::{Gives, Route};

/// Everything that was asked for is described, with its type.
pub(super) fn asked(route: &Route, asked: &Asked) -> Result<(), String> {
    for parameter in &asked.parameters {
        if !route.query.iter().any(|member| member.name == parameter) && !route.besides.contains(&parameter.as_str()) {
            return Err(format!("the query parameter `{parameter}` is read and not described, add it to `.query(…)`"));
        }
    }
    for (name, way) in &asked.members {
        if route.besides.contains(name) || (*name == "purpose" && route.purpose) {
            continue;
        }
        let described: Vec<Type> = types_of(route, name);
        if described.is_empty() {
            return Err(format!("the member `{name}` is read and not described, add it to `.body(…)`"));
        }
        let raw = *way == Way::Raw || asked.members.contains(&(name, Way::Raw));
        if !raw && !described.iter().any(|is| is_read_as(is, *way)) {
            return Err(format!("the member `{name}` is described as {described:?} and read as {way:?}"));
        }
    }
    Ok(())
}

/// The types of all members of this name, at whatever depth.
fn types_of(route: &Route, name: &str) -> Vec<Type> {
    let mut found = Vec::new();
    for member in route.members() {
        if member.name == name {
            found.push(member.is);
        }
        within(&member.is, &mut |inner| {
            if inner.name == name {
                found.push(inner.is);
            }
        });
    }
    found
}

/// Calls `each` for the members of the objects that a type holds.
pub(super) fn within(is: &Type, each: &mut impl FnMut(&'static Member)) {
    match is {
        Type::Object(members) => {
            for member in *members {
                each(member);
                within(&member.is, each);
            }
        }
        Type::List(of, _) | Type::Map(of) => within(of, each),
        Type::Either(types) => types.iter().for_each(|one| within(one, each)),
        _ => {}
    }
}

fn is_read_as(is: &Type, way: Way) -> bool {
    match is {
        Type::Any => true,
        Type::Either(types) => types.iter().any(|one| is_read_as(one, way)),
        Type::Text | Type::Short(_) | Type::Name | Type::OneOf(_) | Type::Moment | Type::MomentOrSeconds => way == Way::Text,
        Type::Whole(..) | Type::Integer => way == Way::Whole,
        Type::Score | Type::Number => false,
        Type::Seconds | Type::SecondsOrNever => way == Way::Seconds,
        Type::Flag => way == Way::Flag,
        Type::Words => way == Way::Words,
        Type::List(..) => matches!(way, Way::List | Way::Words),
        Type::TextMap | Type::LooseMap | Type::Object(_) | Type::Map(_) | Type::Free => {
            matches!(way, Way::Object | Way::TextMap | Way::LooseMap)
        }
    }
}

/// An answer has the shape that is described.
pub(super) fn reply(route: &Route, answer: &Answer) -> Result<(), String> {
    match (route.gives, answer) {
        (Gives::Nothing | Gives::Perhaps(_) | Gives::Warnings | Gives::Values(_), Answer::Nothing)
        | (Gives::Warnings, Answer::Data(Node::Null))
        | (Gives::Auth, Answer::Auth(_))
        | (Gives::Document, Answer::Bare(_))
        | (Gives::Cosignature, Answer::Told(..))
        | (Gives::Stream(_), Answer::Stream(..) | Answer::Lines { .. })
        | (Gives::DataOrLines(_), Answer::Lines { .. }) => Ok(()),
        (
            Gives::Data(members) | Gives::DataOrAbsent(members, _) | Gives::Perhaps(members) | Gives::DataOrLines(members),
            Answer::Data(node),
        )
        | (Gives::DataOrAbsent(_, members), Answer::Absent(node))
        | (Gives::Bare(members), Answer::Bare(node)) => object(&[members], node),
        (Gives::Parts(parts), Answer::Data(node)) => object(parts, node),
        (Gives::Keys, Answer::Data(node)) => object(&[super::KEYS], node),
        (Gives::Values(members), Answer::Data(node) | Answer::Status(_, node)) => values(members, node),
        (Gives::Table(is), Answer::Table(rows)) => table(&is, rows),
        (gives, _) => Err(format!("it is described as {} and answers otherwise", word(gives))),
    }
}

fn word(gives: Gives) -> String {
    let text = format!("{gives:?}");
    text.split(['(', '{', ' ']).next().unwrap_or_default().to_owned()
}

fn values(members: &'static [Member], node: &Node) -> Result<(), String> {
    if let Node::Written(json) = node {
        return values(members, &read_again(json)?);
    }
    match node.member("batch_results") {
        Some(Node::List(items)) => items.iter().try_for_each(|item| match item.member("error") {
            Some(_) => object(&[super::FAILED, super::REFERENCE], item),
            None => object(&[members, super::REFERENCE], item),
        }),
        _ => object(&[members, super::REFERENCE], node),
    }
}

fn table(is: &Type, rows: &[(String, Node)]) -> Result<(), String> {
    match is {
        Type::Map(of) => rows.iter().try_for_each(|(_, node)| value(of, node)),
        Type::Object(members) => pairs(&[members], rows),
        _ => Err("a table is an object".to_owned()),
    }
}

fn object(parts: &[&[Member]], node: &Node) -> Result<(), String> {
    match node {
        Node::Object(found) => pairs(parts, found),
        Node::Written(json) => object(parts, &read_again(json)?),
        _ => Err("an object was described, and something else is answered".to_owned()),
    }
}

fn read_again(json: &Plaintext) -> Result<Node, String> {
    Node::of_body(json).map_err(|fault| fault.to_string())
}

fn pairs(parts: &[&[Member]], found: &[(String, Node)]) -> Result<(), String> {
    let described = || parts.iter().flat_map(|part| part.iter());
    for (name, node) in found {
        let Some(member) = described().find(|member| member.name == name) else {
            return Err(format!("the answer's member `{name}` is not described"));
        };
        if matches!(node, Node::Null) && member.there == There::Null {
            continue;
        }
        value(&member.is, node).map_err(|wrong| format!("`{name}`: {wrong}"))?;
    }
    match described().find(|member| member.there != There::Maybe && !found.iter().any(|(name, _)| name == member.name)) {
        Some(absent) => Err(format!("the answer's member `{}` is described as always there and is absent: `.maybe()`", absent.name)),
        None => Ok(()),
    }
}

fn value(is: &Type, node: &Node) -> Result<(), String> {
    let right = match (is, node) {
        (Type::Any, _)
        | (Type::Text | Type::Short(_) | Type::Name | Type::OneOf(_) | Type::Moment, Node::Text(_))
        | (Type::Whole(..) | Type::Integer | Type::Number | Type::Seconds | Type::Score, Node::Number(_))
        | (Type::Flag, Node::Bool(_))
        | (Type::Free | Type::LooseMap, Node::Object(_)) => true,
        (Type::Words, Node::List(items)) => items.iter().all(|item| matches!(item, Node::Text(_))),
        (Type::TextMap, Node::Object(found)) => found.iter().all(|(_, node)| matches!(node, Node::Text(_))),
        (Type::Map(of), Node::Object(found)) => return found.iter().try_for_each(|(_, node)| value(of, node)),
        (Type::List(of, _), Node::List(items)) => return items.iter().try_for_each(|item| value(of, item)),
        (Type::Object(members), node) => return object(&[members], node),
        (Type::Either(types), node) => types.iter().any(|one| value(one, node).is_ok()),
        _ => false,
    };
    if right { Ok(()) } else { Err(format!("is described as {} and is {}", type_word(is), node_word(node))) }
}

fn type_word(is: &Type) -> String {
    let text = format!("{is:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

const fn node_word(node: &Node) -> &'static str {
    match node {
        Node::Null => "null: `.null()`",
        Node::Bool(_) => "true or false",
        Node::Number(_) => "a number",
        Node::Text(_) => "text",
        Node::List(_) => "a list",
        Node::Object(_) => "an object",
        Node::Written(_) => "written already",
    }
}
