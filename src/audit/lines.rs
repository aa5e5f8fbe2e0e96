//! Entries as NDJSON: what exports and shipping write.

use goldfin_crypto::digest::hex;

use crate::model::document::Node;
use crate::store::ledger::StoredEntry;

use super::chain;

/// One entry a line: its canonical bytes with `mac` and `leaf` behind the last member, so that whoever cuts these off has what was hashed.
#[must_use]
pub fn ndjson(entries: &[StoredEntry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.iter().map(|entry| entry.body.len() + 192).sum());
    for stored in entries {
        match stored.body.strip_suffix('}') {
            Some(members) if members.starts_with("{\"v\":") && !members.contains('\n') => {
                line(&stored.body, &stored.mac, &chain::leaf(&stored.body), &mut out);
                continue;
            }
            // A line all the same, of an entry whose leaf is not that of what it shows: a verifier names its place.
            _ => proven(vec![("v".to_owned(), Node::whole(1))], stored).write(&mut out),
        }
        out.push(b'\n');
    }
    out
}

/// The line of an entry that goldfin wrote.
pub(super) fn line(body: &str, mac: &[u8], leaf: &[u8; 32], out: &mut Vec<u8>) {
    out.extend_from_slice(body.strip_suffix('}').unwrap_or(body).as_bytes());
    out.extend_from_slice(b",\"mac\":\"");
    out.extend_from_slice(hex(mac).as_bytes());
    out.extend_from_slice(b"\",\"leaf\":\"");
    out.extend_from_slice(hex(leaf).as_bytes());
    out.extend_from_slice(b"\"}\n");
}

/// The canonical members of the entry, its MAC and its leaf hash. What goldfin did not write is shown as it is, so that what stands around
/// it can be read.
#[must_use]
pub fn members(stored: &StoredEntry) -> Node {
    match Node::parse(stored.body.as_bytes()) {
        Ok(Node::Object(mut members)) => {
            members.extend(proof(stored));
            Node::Object(members)
        }
        _ => proven(Vec::new(), stored),
    }
}

fn proven(mut members: Vec<(String, Node)>, stored: &StoredEntry) -> Node {
    members.push(("stream".to_owned(), Node::whole(stored.stream.into())));
    members.push(("seq".to_owned(), Node::whole(stored.seq)));
    members.push(("unreadable".to_owned(), Node::text(stored.body.clone())));
    members.extend(proof(stored));
    Node::Object(members)
}

fn proof(stored: &StoredEntry) -> [(String, Node); 2] {
    [("mac".to_owned(), Node::text(hex(&stored.mac))), ("leaf".to_owned(), Node::text(hex(&chain::leaf(&stored.body))))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_canonical_bytes_with_its_proof_behind() {
        let body = r#"{"v":1,"stream":3,"seq":7,"account":"a\"b","count":1}"#;
        let stored = |body: &str| StoredEntry {
            stream: 3,
            seq: 7,
            time: time::OffsetDateTime::UNIX_EPOCH,
            request: uuid::Uuid::nil(),
            account: String::new(),
            action: String::new(),
            resource: String::new(),
            decision: String::new(),
            subject: None,
            change: None,
            body: body.to_owned(),
            mac: vec![0xab; 32],
        };
        let mut whole = Vec::new();
        members(&stored(body)).write(&mut whole);
        whole.push(b'\n');
        assert_eq!(ndjson(&[stored(body)]), whole, "both ways of showing an entry agree");
        let torn = ndjson(&[stored("{\"v\":1,\n\"x\":")]);
        assert_eq!(torn.iter().filter(|byte| **byte == b'\n').count(), 1, "an entry that somebody changed is one line too");
        let torn = String::from_utf8_lossy(&torn).into_owned();
        assert!(torn.starts_with("{\"v\":1,\"stream\":3,\"seq\":7,\"unreadable\":") && torn.len() > 148, "{torn}");
    }
}
