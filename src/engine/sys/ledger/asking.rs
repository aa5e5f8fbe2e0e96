//! Filters and cursors: from the words of a request to what the store looks for.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::action::Action;
use crate::model::clock::Timestamp;
use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::store::ledger_search::{Edge, PathPrefix, Place, Search};

const DEFAULT_LIMIT: usize = 100;
const MOST: usize = 1000;

/// The longest text of a filter, in bytes.
const LONGEST: usize = 1024;

/// The filters that are a whole member of the canonical line, in the order of the line.
const MEMBERS: [&str; 6] = ["kind", "method", "denied_because", "reason", "class", "purpose"];

/// Reads the filters by name, from wherever they come.
pub(super) fn search(mut text: impl FnMut(&'static str) -> Result<Option<String>, Fault>) -> Result<Search, Fault> {
    let mut text = |name| match text(name)? {
        Some(text) if text.len() > LONGEST => Err(Fault::invalid("a filter is too long: 1024 bytes at most")),
        given => Ok(given),
    };
    let invalid = |what| move |()| Fault::invalid(what);
    let mut patterns = Vec::new();
    for name in MEMBERS {
        patterns.extend(text(name)?.map(|value| format!("%{}%", escaped(&member(name, &value)))));
    }
    let path = text("path")?.map(|prefix| {
        let whole = member("path", &prefix);
        let pattern = format!("%{}%", escaped(whole.strip_suffix('"').unwrap_or(&whole)));
        PathPrefix { prefix, pattern }
    });
    if let Some(status) = text("status")? {
        let status: u16 = status.parse().map_err(|_| Fault::invalid("`status` must be a number such as 403"))?;
        patterns.push(format!("%,\"status\":{status},%"));
    }
    let moment = |text: Option<String>, what| text.map(|text| Timestamp::from_rfc3339(&text).ok_or(())).transpose().map_err(invalid(what));
    let limit = text("limit")?.map_or(Ok(DEFAULT_LIMIT), |limit| limit.parse());
    let request = text("request_id")?.map(|id| id.parse().map_err(|_| ())).transpose();
    let cursor = text("cursor")?.map(|cursor| read_cursor(&cursor).ok_or(())).transpose();
    Ok(Search {
        account: text("account")?,
        action: action(text("action")?)?,
        decision: one_of(text("decision")?, &["granted", "denied", "failed"], "`decision` must be `granted`, `denied` or `failed`")?,
        resource: text("resource")?,
        path,
        patterns,
        peer: text("peer")?
            .map(|peer| network(&peer).ok_or(()))
            .transpose()
            .map_err(invalid("`peer` must be an address or a network such as `192.0.2.0/24`"))?,
        subject: subject(text("subject")?)?,
        request: request.map_err(invalid("`request_id` must be a request's id"))?,
        since: moment(text("since")?, "`since` must be a moment as in RFC 3339")?,
        until: moment(text("until")?, "`until` must be a moment as in RFC 3339")?,
        from: cursor.map_err(invalid("`cursor` must be the `next` or `previous` of another page"))?,
        oldest_first: one_of(text("order")?, &["newest", "oldest"], "`order` must be `newest` or `oldest`")?.as_deref() == Some("oldest"),
        limit: limit.map_err(|_| Fault::invalid("`limit` must be a whole number"))?.clamp(1, MOST),
    })
}

fn one_of(text: Option<String>, words: &[&str], what: &'static str) -> Result<Option<String>, Fault> {
    match text {
        Some(text) if !words.contains(&text.as_str()) => Err(Fault::invalid(what)),
        given => Ok(given),
    }
}

fn action(name: Option<String>) -> Result<Option<String>, Fault> {
    match name {
        Some(name) if Action::from_name(&name).is_none() => {
            Err(Fault::invalid("`action` must be one of the actions of `policies/schema.cedarschema`"))
        }
        given => Ok(given),
    }
}

fn subject(hash: Option<String>) -> Result<Option<Vec<u8>>, Fault> {
    let refused = || {
        Fault::invalid(
            "`subject` must be the hash that entries show; to search by a person's own identifier write it to `sys/ledger/search`",
        )
    };
    hash.map(|hash| hash_of(&hash).ok_or_else(refused)).transpose()
}

/// A member as the canonical line holds it. No text of a line holds one by accident: within text, quotes are escaped.
fn member(name: &str, value: &str) -> String {
    let mut written = format!(",\"{name}\":").into_bytes();
    Node::text(value).write(&mut written);
    String::from_utf8(written).unwrap_or_default()
}

/// Without the meaning that `LIKE` gives to some characters.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// An address or a network in a form that PostgreSQL reads, whatever form it came in.
fn network(text: &str) -> Option<String> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then(|| format!("{address}/{bits}"))
}

fn hash_of(hex: &str) -> Option<Vec<u8>> {
    if hex.len() != 64 {
        return None;
    }
    let digits: Option<Vec<u8>> = hex.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    Some(digits?.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

/// Where a page begins, as a word that means nothing to whoever is given it.
pub(super) fn cursor(edge: Edge) -> String {
    let (side, Place { time, stream, seq }) = match edge {
        Edge::Before(place) => ('b', place),
        Edge::After(place) => ('a', place),
    };
    URL_SAFE_NO_PAD.encode(format!("{side},{},{stream},{seq}", time.unix_micros()))
}

fn read_cursor(text: &str) -> Option<Edge> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let mut parts = text.split(',');
    let side = parts.next()?;
    let micros = parts.next()?.parse().ok().filter(|micros| (0..=LAST_MICROS).contains(micros))?;
    let place = Place { time: Timestamp::from_unix_micros(micros), stream: parts.next()?.parse().ok()?, seq: parts.next()?.parse().ok()? };
    match (side, parts.next()) {
        ("b", None) if place.seq > 0 => Some(Edge::Before(place)),
        ("a", None) if place.seq > 0 => Some(Edge::After(place)),
        _ => None,
    }
}

/// The end of the year 9999, beyond which no database's date goes.
const LAST_MICROS: i64 = 253_402_300_799_999_999;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Search, Fault> {
        search(|name| Ok(pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())))
    }

    #[test]
    fn filters_are_read_and_nonsense_is_refused() {
        assert_eq!(of(&[]).expect("none").limit, 100);
        assert_eq!(of(&[("limit", "100000")]).expect("many").limit, 1000);
        assert_eq!(of(&[("subject", &"0f".repeat(32))]).expect("hash").subject, Some(vec![15; 32]));
        assert_eq!(of(&[("peer", "192.0.2.0/24")]).expect("network").peer.as_deref(), Some("192.0.2.0/24"));
        assert_eq!(of(&[("peer", "2001:db8::1")]).expect("address").peer.as_deref(), Some("2001:db8::1/128"));
        for (name, value) in [
            ("action", "read_sekret"),
            ("decision", "yes"),
            ("subject", "an identifier"),
            ("request_id", "7"),
            ("since", "yesterday"),
            ("until", "now"),
            ("cursor", "page 2"),
            ("cursor", "YiwxLDEsMQ,"),
            ("limit", "all"),
            ("order", "random"),
            ("status", "ok"),
            ("peer", "192.0.2.0/33"),
            ("peer", "here"),
            ("class", &"x".repeat(2000)),
        ] {
            assert!(of(&[(name, value)]).is_err(), "{name}");
        }
    }

    #[test]
    fn members_are_looked_for_as_the_line_holds_them() {
        let found = of(&[("class", "a_b%"), ("path", "secret/\"x"), ("status", "403")]).expect("filters");
        assert_eq!(found.patterns, [r#"%,"class":"a\_b\%"%"#, r#"%,"status":403,%"#]);
        assert_eq!(found.path.expect("a path").pattern, r#"%,"path":"secret/\\"x%"#);
    }

    #[test]
    fn a_cursor_reads_back_and_a_forged_one_is_refused() {
        let place = Place { time: Timestamp::from_unix_micros(1_700_000_000_000_001), stream: 3, seq: 77 };
        for edge in [Edge::Before(place), Edge::After(place)] {
            assert_eq!(read_cursor(&cursor(edge)), Some(edge));
        }
        for forged in ["b,1,3", "c,1,3,4", "b,-1,3,4", "b,9223372036854775807,3,4", "b,1,3,0", "b,1,3,4,5"] {
            assert_eq!(read_cursor(&URL_SAFE_NO_PAD.encode(forged)), None, "{forged}");
        }
    }
}
