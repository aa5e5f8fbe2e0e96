//! The frozen files of `tests/vectors/ledger`: archives and their verdicts, keys, notes, trees. Any language can run them.
//!
//! A vector that no longer passes is a broken format, not a file to renew. `GOLDFIN_WRITE_VECTORS=yes cargo test -p goldfin --lib
//! vectors_are_frozen` writes the files that do not exist yet, and never changes one.

use super::*;
use crate::audit::chain;
use crate::seal::barrier::{checkpoint_key, ledger_key};
use goldfin_crypto::{Key, Purpose, Zeroizing};
use goldfin_ledger::leaf_hash;
use goldfin_ledger::note::LogKey;
use goldfin_ledger::proof::{Subtree, consistency, inclusion, subtrees};
use goldfin_ledger::tree::{fold, root_of};
use serde_json::{Value, json};

fn barrier() -> Key {
    Key::from_exposed(Zeroizing::new(std::array::from_fn(|at| u8::try_from(at).expect("small") + 1)))
}

fn keys(with_mac: bool) -> Keys {
    Keys { log: LogKey::new(checkpoint_key(&barrier()).expect("key").verifying_key()), mac: with_mac.then(|| ledger_key(&barrier())) }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ledger")
}

/// Synthetic entries, with what is awkward in JSON.
fn body(stream: i32, seq: i64) -> String {
    let odd = ["plain", "quote \\\" and backslash \\\\", "nul \\u0000 and newline \\n", "umlaut \u{e4}, \u{2028} and \u{1f41f}"];
    let resource = odd[usize::try_from(seq).expect("small") % odd.len()];
    format!(
        "{{\"v\":1,\"stream\":{stream},\"seq\":{seq},\"time\":\"2026-01-31T12:00:{:02}.000001Z\",\"request_id\":\"01890000-0000-7000-8000-{seq:012}\",\
         \"kind\":\"request\",\"account\":\"synthetic\",\"method\":\"token\",\"namespace\":\"root\",\"verb\":\"read\",\"action\":\"read_secret\",\
         \"resource\":\"Secret:{resource}\",\"decision\":\"granted\",\"status\":200,\"latency_us\":{seq}}}",
        seq % 60
    )
}

struct Made {
    /// The lines of a stream's entries, without line end, and their MACs.
    lines: Vec<String>,
    macs: Vec<[u8; 32]>,
    leaves: Vec<[u8; 32]>,
}

fn line(body: &str, mac: &[u8; 32]) -> String {
    format!("{},\"mac\":\"{}\",\"leaf\":\"{}\"}}", body.strip_suffix('}').expect("an object"), hex(mac), hex(&leaf_hash(body.as_bytes())))
}

fn make(stream: i32, count: i64) -> Made {
    let key = ledger_key(&barrier());
    let mut made = Made { lines: Vec::new(), macs: Vec::new(), leaves: Vec::new() };
    for seq in 1..=count {
        let body = body(stream, seq);
        let leaf = leaf_hash(body.as_bytes());
        let before = made.macs.last().map_or(&[][..], |mac| &mac[..]);
        let mac = chain::link(&key, StreamId(stream), seq, before, &leaf);
        made.lines.push(line(&body, &mac));
        made.macs.push(mac);
        made.leaves.push(leaf);
    }
    made
}

fn note(stream: i32, size: usize, root: [u8; 32]) -> String {
    let key = checkpoint_key(&barrier()).expect("key");
    Checkpoint { stream, size: size as u64, root }.sign(&key).expect("signed")
}

fn checkpoint_line(stream: i32, made: &Made, size: usize) -> String {
    let root = root_of(&made.leaves[..size]);
    json!({ "checkpoint": 1, "stream": stream, "size": size, "root": hex(&root), "note": note(stream, size, root) }).to_string()
}

fn head_line(stream: i32, made: &Made, size: usize) -> String {
    let mac = size.checked_sub(1).map_or(String::new(), |last| hex(&made.macs[last]));
    json!({ "head": 1, "stream": stream, "node": format!("node-{stream}"), "seq": size, "mac": mac }).to_string()
}

/// What is expected of an archive: with the MAC key, and with the public key alone.
struct Case {
    name: &'static str,
    lines: Vec<String>,
    trusted: Vec<String>,
    with_mac: Expected,
    public: Expected,
}

type Expected = (u8, Option<(i32, i64)>);

#[expect(clippy::too_many_lines, reason = "one list, read from top to bottom")]
fn archives() -> Vec<Case> {
    const SOUND: Expected = (0, None);
    let bad = |seq| (2, Some((1, seq)));
    let short = |ends| (3, Some((1, ends)));
    let (one, two) = (make(1, 20), make(2, 3));
    let mut whole: Vec<String> =
        vec![checkpoint_line(1, &one, 8), checkpoint_line(1, &one, 15), head_line(1, &one, 20), head_line(2, &two, 3)];
    whole.extend(one.lines.iter().take(4).cloned());
    whole.extend(two.lines.iter().cloned());
    whole.extend(one.lines.iter().skip(4).cloned());
    let at = |seq: usize| if seq <= 4 { 3 + seq } else { 6 + seq };
    let mut cases = Vec::new();
    let mut case = |name, lines: Vec<String>, with_mac, public| cases.push(Case { name, lines, trusted: Vec::new(), with_mac, public });
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = whole.clone();
        change(&mut lines);
        lines
    };
    case("whole", whole.clone(), SOUND, SOUND);
    case("entries-only", one.lines.clone(), SOUND, SOUND);
    // Edited with the leaf made to fit, as somebody does who knows the format.
    let edited =
        |seq: usize| line(&body(1, i64::try_from(seq).expect("small")).replace("\"status\":200", "\"status\":403"), &one.macs[seq - 1]);
    for (name, seq, behind) in [("edited-first", 1, bad(1)), ("edited-middle", 12, bad(9)), ("edited-behind-checkpoints", 18, SOUND)] {
        case(name, with(&|lines| lines[at(seq)] = edited(seq)), bad(i64::try_from(seq).expect("small")), behind);
    }
    case("edited-leaf-left", with(&|lines| lines[at(12)] = lines[at(12)].replace("\"status\":200", "\"status\":403")), bad(12), bad(12));
    case("removed-first", with(&|lines| drop(lines.remove(at(1)))), bad(1), bad(1));
    case("removed-middle", with(&|lines| drop(lines.remove(at(9)))), bad(9), bad(9));
    case("removed-last", with(&|lines| drop(lines.remove(at(20)))), short(19), short(19));
    case("doubled", with(&|lines| lines.insert(at(9), lines[at(9)].clone())), bad(10), bad(10));
    case("swapped", with(&|lines| lines.swap(at(9), at(10))), bad(9), bad(9));
    case("cut-to-7", with(&|lines| lines.truncate(at(8))), short(7), short(7));
    case(
        "cut-with-head",
        with(&|lines| {
            lines.truncate(at(13));
            lines[2] = head_line(1, &one, 12);
        }),
        short(12),
        short(12),
    );
    case("head-behind", with(&|lines| lines[2] = head_line(1, &one, 17)), bad(18), bad(18));
    case("head-of-another-mac", with(&|lines| lines[2] = lines[2].replace(&hex(&one.macs[19]), &hex(&one.macs[18]))), bad(20), bad(20));
    case("mac-of-another-entry", with(&|lines| lines[at(5)] = line(&body(1, 5), &one.macs[5])), bad(5), SOUND);
    case(
        "checkpoint-root-changed",
        with(&|lines| lines[1] = lines[1].replace(&hex(&root_of(&one.leaves[..15])), &"0".repeat(64))),
        bad(9),
        bad(9),
    );
    case(
        "checkpoint-of-another-stream",
        with(&|lines| lines[1] = checkpoint_line(2, &one, 15).replace("\"stream\":2", "\"stream\":1")),
        bad(9),
        bad(9),
    );
    case("checkpoint-forged-beyond", with(&|lines| lines[1] = lines[1].replace("\"size\":15", "\"size\":25")), bad(21), bad(21));
    case("entry-cut", with(&|lines| lines[at(6)].truncate(300)), bad(6), bad(6));
    case(
        "entry-of-version-2",
        with(&|lines| {
            let body = body(1, 6).replace("{\"v\":1,", "{\"v\":2,");
            lines[at(6)] = line(&body, &one.macs[5]);
        }),
        bad(6),
        bad(6),
    );
    let mut behind = vec![
        json!({
            "edge": 1, "stream": 1, "size": 15, "mac": hex(&one.macs[14]),
            "hashes": subtrees(&(0..15)).iter().map(|part| hex(&hash_of(&one.leaves, part))).collect::<Vec<_>>(),
        })
        .to_string(),
        checkpoint_line(1, &one, 15),
    ];
    behind.extend(one.lines.iter().skip(15).cloned());
    case("from-an-edge", behind.clone(), SOUND, SOUND);
    case(
        "from-an-edge-nobody-vouches-for",
        behind.iter().filter(|line| !line.starts_with("{\"checkpoint\"")).cloned().collect(),
        (4, None),
        (4, None),
    );
    case("another-line", vec!["{\"other\":1}".to_owned()], (4, None), (4, None));
    case("nothing", Vec::new(), (4, None), (4, None));
    let kept = |size: usize| note(1, size, root_of(&one.leaves[..size]));
    let cut: Vec<String> = one.lines.iter().take(10).cloned().collect();
    let of_another = note(1, 10, [7; 32]);
    let mut trusting = |name, lines: &[String], trusted, expected| {
        cases.push(Case { name, lines: lines.to_vec(), trusted: vec![trusted], with_mac: expected, public: expected });
    };
    trusting("kept-checkpoint", &one.lines, kept(10), SOUND);
    trusting("shorter-than-kept", &cut, kept(11), short(10));
    trusting("another-history-than-kept", &one.lines, of_another, bad(1));
    trusting("kept-of-a-stream-that-is-gone", &two.lines, kept(10), short(0));
    trusting("kept-is-no-checkpoint", &one.lines, kept(10).replace("\n10\n", "\n11\n"), (4, None));
    cases
}

fn hash_of(leaves: &[[u8; 32]], part: &Subtree) -> [u8; 32] {
    let start = usize::try_from(part.index << part.level).expect("small");
    root_of(&leaves[start..start + (1 << part.level)])
}

fn verdict(case: &Case, with_mac: bool, path: &Path) -> Expected {
    let keys = keys(with_mac);
    let trusted: Result<Vec<Checkpoint>, _> = case.trusted.iter().map(|note| Checkpoint::open(note.as_bytes(), &keys.log)).collect();
    let Ok(trusted) = trusted else { return (4, None) };
    let Ok(report) = verify(path, &keys, &trusted, &|_| {}) else { return (4, None) };
    let place = report.streams.iter().find_map(|of| match of.verdict {
        Verdict::Tampered { seq, .. } => Some((of.stream.0, seq)),
        Verdict::Shorter { ends, .. } => Some((of.stream.0, ends)),
        Verdict::Sound => None,
    });
    (report.exit_code(), place)
}

fn text_of(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn verdicts() -> Value {
    let expected = |(code, place): Expected| match place {
        Some((stream, seq)) => json!({ "exit": code, "stream": stream, "seq": seq }),
        None => json!({ "exit": code }),
    };
    let cases = archives();
    let cases = cases.iter().map(|case| {
        json!({ "archive": format!("archives/{}.ndjson", case.name), "trusted": case.trusted,
                "with_mac_key": expected(case.with_mac), "public_key_only": expected(case.public) })
    });
    json!({ "about": "archives and what a verifier says of them; `seq` is the last entry where exit is 3", "cases": cases.collect::<Vec<_>>() })
}

fn keys_file() -> Value {
    let derived = |purpose| hex(barrier().derive(purpose, &[&0_i32.to_be_bytes()]).expose_bytes());
    let log = keys(false).log;
    json!({
        "about": "synthetic keys: everything in this folder is under them",
        "barrier_key": hex(barrier().expose_bytes()),
        "mac_key": derived(Purpose::LedgerMac),
        "checkpoint_seed": derived(Purpose::CheckpointKey),
        "public_key": hex(&checkpoint_key(&barrier()).expect("key").verifying_key().0),
        "log_id": log.log_id(),
        "origin_of_stream_1": log.origin(1),
        "key_file": log.to_line(),
    })
}

fn chain_file() -> Value {
    let made = make(1, 6);
    let entries = (0..6).map(|at| {
        json!({ "canonical": body(1, i64::try_from(at).expect("small") + 1), "leaf": hex(&made.leaves[at]), "mac": hex(&made.macs[at]),
                "archive_line": made.lines[at] })
    });
    json!({ "about": "entries of stream 1: leaves and chain", "entries": entries.collect::<Vec<_>>() })
}

fn tree_file() -> Value {
    let leaves: Vec<[u8; 32]> = (0..21).map(|n: u32| leaf_hash(n.to_string().as_bytes())).collect();
    let hashes = |path: Vec<std::ops::Range<u64>>| -> Vec<String> {
        path.iter().map(|stretch| hex(&fold(&subtrees(stretch).iter().map(|part| hash_of(&leaves, part)).collect::<Vec<_>>()))).collect()
    };
    let roots: Vec<String> = (0..=21).map(|size| hex(&root_of(&leaves[..size]))).collect();
    let included = [(0, 1), (0, 21), (7, 8), (8, 9), (13, 21), (20, 21)]
        .map(|(index, size)| json!({ "index": index, "size": size, "hashes": hashes(inclusion(index, size).expect("in")) }));
    let consistent = [(1, 21), (7, 8), (8, 21), (13, 20), (16, 21), (21, 21)]
        .map(|(from, to)| json!({ "from": from, "to": to, "hashes": hashes(consistency(from, to).expect("in")) }));
    json!({ "about": "leaf n is the hash of the decimal number n; root of each size from 0 to 21", "roots": roots, "inclusion": included, "consistency": consistent })
}

fn notes_file() -> Value {
    let good = note(1, 4711, [5; 32]);
    let (text, signature) = good.split_once("\n\n").expect("a note");
    let bad = [
        ("no signature", format!("{text}\n")),
        ("no line end", good.trim_end().to_owned()),
        ("an empty line at the end", format!("{good}\n")),
        ("another size", good.replace("\n4711\n", "\n4712\n")),
        ("a leading zero", good.replace("\n4711\n", "\n04711\n")),
        ("another stream", good.replace("/1\n", "/2\n")),
        ("a hyphen for the dash", good.replace('\u{2014}', "-")),
        ("a carriage return", good.replacen('\n', "\r\n", 1)),
        ("seventeen signatures", format!("{text}\n\n{}", signature.repeat(17))),
    ];
    let witnessed = format!(
        "{good}\u{2014} witness.example AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
    );
    json!({
        "about": "checkpoints under the key of keys.json; `good` are of stream 1, size 4711, root 32 times 05",
        "good": [good, witnessed],
        "bad": bad.map(|(why, note)| json!({ "why": why, "note": note })),
    })
}

#[test]
fn vectors_are_frozen() {
    let pretty = |value: &Value| format!("{}\n", serde_json::to_string_pretty(value).expect("json"));
    let mut files = vec![
        ("keys.json".to_owned(), pretty(&keys_file())),
        ("chain.json".to_owned(), pretty(&chain_file())),
        ("tree.json".to_owned(), pretty(&tree_file())),
        ("notes.json".to_owned(), pretty(&notes_file())),
        ("verdicts.json".to_owned(), pretty(&verdicts())),
        ("ledger.key".to_owned(), keys(false).log.to_line() + "\n"),
    ];
    files.extend(archives().iter().map(|case| (format!("archives/{}.ndjson", case.name), text_of(&case.lines))));
    for (name, text) in files {
        let path = folder().join(&name);
        if std::env::var_os("GOLDFIN_WRITE_VECTORS").is_some() && !path.exists() {
            std::fs::create_dir_all(path.parent().expect("folder")).expect("made");
            std::fs::write(&path, &text).expect("written");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("the vector is there"), text, "{name}");
    }
}

#[test]
fn archives_have_their_verdicts() {
    for case in archives() {
        let path = folder().join(format!("archives/{}.ndjson", case.name));
        assert_eq!(verdict(&case, true, &path), case.with_mac, "{} with the MAC key", case.name);
        assert_eq!(verdict(&case, false, &path), case.public, "{} with the public key", case.name);
    }
}

#[test]
fn notes_are_judged_as_the_vectors_say() {
    let file = notes_file();
    let key = keys(false).log;
    let open = |note: &Value| Checkpoint::open(note.as_str().expect("text").as_bytes(), &key);
    for good in file["good"].as_array().expect("list") {
        assert_eq!(open(good), Ok(Checkpoint { stream: 1, size: 4711, root: [5; 32] }), "{good}");
    }
    for bad in file["bad"].as_array().expect("list") {
        assert!(open(&bad["note"]).is_err(), "{bad}");
    }
}

#[test]
fn a_folder_is_read_file_by_file_in_the_order_of_their_names() {
    let one = make(1, 9);
    let folder = std::env::temp_dir().join(format!("goldfin-archive-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    for (name, lines) in [("b.ndjson", &one.lines[3..]), ("a.ndjson", &one.lines[..3]), ("readme.txt", &one.lines[..1])] {
        std::fs::write(folder.join(name), text_of(lines)).expect("written");
    }
    let report = verify(&folder, &keys(true), &[], &|_| {}).expect("report");
    assert_eq!((report.exit_code(), report.entries()), (0, 9));
    std::fs::remove_dir_all(folder).expect("removed");
}
