//! JSON documents as YAML 1.2: block style, every text double-quoted.
//!
//! Quoting always means that no reader, of YAML 1.1 either, takes `no`, `012` or `1:30` for anything but text. Absent on
//! purpose: reading YAML, anchors, tags and folded scalars.

use zeroize::Zeroizing;

use crate::document::{Json, quote};

/// The document, ending in a line break.
pub fn yaml(document: &Json) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::new());
    match document {
        Json::List(items) if !items.is_empty() => list(items, 0, &mut out),
        Json::Object(members) if !members.is_empty() => object(members, 0, &mut out),
        scalar => {
            out.push_str(&scalar.compact());
            out.push('\n');
        }
    }
    out
}

fn list(items: &[Json], indent: usize, out: &mut String) {
    for item in items {
        pad(indent, out);
        out.push('-');
        nested(item, indent, out);
    }
}

fn object(members: &[(String, Json)], indent: usize, out: &mut String) {
    for (name, value) in members {
        pad(indent, out);
        quote(name, out);
        out.push(':');
        nested(value, indent, out);
    }
}

fn nested(value: &Json, indent: usize, out: &mut String) {
    match value {
        Json::List(items) if !items.is_empty() => {
            out.push('\n');
            list(items, indent + 1, out);
        }
        Json::Object(members) if !members.is_empty() => {
            out.push('\n');
            object(members, indent + 1, out);
        }
        scalar => {
            out.push(' ');
            out.push_str(&scalar.compact());
            out.push('\n');
        }
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", indent));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_indented_and_text_is_always_quoted() {
        let document = Json::parse(br#"{"no":"no","list":[1,{"a":"x: y"},[],["b"]],"empty":{},"none":null}"#).ok().unwrap();
        let expected =
            "\"no\": \"no\"\n\"list\":\n  - 1\n  -\n    \"a\": \"x: y\"\n  - []\n  -\n    - \"b\"\n\"empty\": {}\n\"none\": null\n";
        assert_eq!(*yaml(&document), expected);
    }

    #[test]
    fn a_scalar_is_a_document() {
        assert_eq!(*yaml(&Json::text("é\n")), "\"é\\n\"\n");
        assert_eq!(*yaml(&Json::List(vec![])), "[]\n");
    }
}
