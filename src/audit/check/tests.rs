use super::*;
use goldfin_crypto::{Key, SigningKey, Zeroizing};

const STREAM: i32 = 1;

fn signing() -> SigningKey {
    SigningKey::new(Key::from_exposed(Zeroizing::new([9; 32]))).expect("key")
}

fn keys(with_mac: bool) -> Keys {
    let mac = with_mac.then(|| MacKey::new(Key::from_exposed(Zeroizing::new([3; 32]))));
    Keys { log: LogKey::new(signing().verifying_key()), mac }
}

/// One stream as somebody stored it.
#[derive(Clone, Default)]
struct Log {
    entries: Vec<(i64, String, Vec<u8>)>,
    claims: Vec<Claim>,
}

fn body(seq: i64, note: &str) -> String {
    format!(
        "{{\"v\":1,\"stream\":{STREAM},\"seq\":{seq},\"time\":\"2026-01-31T12:00:00.000000Z\",\"request_id\":\"{note}\",\"account\":\"a\",\
         \"action\":\"b\",\"resource\":\"c\",\"decision\":\"granted\"}}"
    )
}

impl Log {
    /// Entries under a true chain, and checkpoints of some sizes.
    fn of(notes: &[&str], sizes: &[usize]) -> Self {
        let (keys, mut log, mut edge, mut mac) = (keys(true), Self::default(), Edge::default(), Vec::new());
        for (at, note) in notes.iter().enumerate() {
            let seq = i64::try_from(at).expect("small") + 1;
            let body = body(seq, note);
            let leaf = chain::leaf(&body);
            mac = chain::link(keys.mac.as_ref().expect("key"), StreamId(STREAM), seq, &mac, &leaf).to_vec();
            log.entries.push((seq, body, mac.clone()));
            edge.push(leaf);
            if sizes.contains(&(at + 1)) {
                let checkpoint = Checkpoint { stream: STREAM, size: edge.size(), root: edge.root() };
                let note = checkpoint.sign(&signing()).expect("signed");
                log.claims.push(Claim { size: seq, root: checkpoint.root.to_vec(), note });
            }
        }
        log
    }

    fn verdict(&self, with_mac: bool, trusted: &[Checkpoint], head: Option<i64>) -> Verdict {
        let keys = keys(with_mac);
        let mut check = Check::new(&keys, StreamId(STREAM), trusted);
        self.claims.iter().for_each(|claim| check.claim(claim));
        for (seq, body, mac) in &self.entries {
            if let Err(verdict) = check.step(Shown { seq: *seq, body, mac }, |_, _| true) {
                return verdict;
            }
        }
        let mac = self.entries.last().map(|(_, _, mac)| mac.clone()).unwrap_or_default();
        check.finish(head.map(|head| (head, mac.as_slice()))).1
    }
}

fn whole() -> Log {
    Log::of(&["x"; 40], &[10, 25, 40])
}

fn place_of(verdict: Verdict) -> i64 {
    match verdict {
        Verdict::Tampered { seq, .. } => seq,
        other => panic!("{other:?}"),
    }
}

fn renumber(log: &mut Log) {
    for (at, (seq, text, _)) in log.entries.iter_mut().enumerate() {
        let right = i64::try_from(at).expect("small") + 1;
        let note = text.split("\"request_id\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("note").to_owned();
        (*seq, *text) = (right, body(right, &note));
    }
}

#[test]
fn a_whole_log_is_sound_however_it_is_looked_at() {
    for with_mac in [false, true] {
        assert_eq!(whole().verdict(with_mac, &[], Some(40)), Verdict::Sound);
        assert_eq!(whole().verdict(with_mac, &[], None), Verdict::Sound);
        assert_eq!(Log::default().verdict(with_mac, &[], Some(0)), Verdict::Sound);
    }
}

/// Position by position: edited, removed, put in, swapped, doubled, forked. With the MAC key the place is exact; with the public key alone
/// it is the first entry behind the last checkpoint that held.
#[test]
fn every_mutation_at_every_position_is_found_where_it_is() {
    for at in 1..=40_i64 {
        let index = usize::try_from(at).expect("small") - 1;
        let behind = [25, 10, 0].into_iter().find(|size| *size < at).expect("one") + 1;
        let mut edited = whole();
        edited.entries[index].1 = body(at, "y");
        let mut removed = whole();
        removed.entries.remove(index);
        let mut closed = removed.clone();
        renumber(&mut closed);
        let mut inserted = whole();
        inserted.entries.insert(index, (at, body(at, "y"), vec![7; 32]));
        renumber(&mut inserted);
        let mut doubled = whole();
        doubled.entries.insert(index, doubled.entries[index].clone());
        // The same bytes again, renumbered: the tree has one leaf too many, and each of the later ones is another.
        let mut forked = Log::of(&["x"; 40], &[]);
        let notes: Vec<&str> = (1..=40).map(|seq| if seq < at { "x" } else { "z" }).collect();
        forked.entries = Log::of(&notes, &[]).entries;
        forked.claims = whole().claims;
        for (what, log) in [("edited", &edited), ("closed up", &closed), ("put in", &inserted)] {
            let verdict = log.verdict(true, &[], Some(40));
            if what == "closed up" && at == 40 {
                assert_eq!(verdict, Verdict::Shorter { ends: 39, known: 40 });
            } else {
                // Of what moved, the first bad entry is the one whose MAC was made for another place.
                assert_eq!(place_of(verdict), at, "{what} at {at}");
            }
        }
        assert_eq!(place_of(edited.verdict(false, &[], Some(40))), behind, "edited at {at}");
        for with_mac in [false, true] {
            let verdict = removed.verdict(with_mac, &[], Some(40));
            if at == 40 {
                assert_eq!(verdict, Verdict::Shorter { ends: 39, known: 40 });
            } else {
                assert_eq!(place_of(verdict), at, "removed {at}");
            }
            assert_eq!(place_of(doubled.verdict(with_mac, &[], Some(40))), at + 1, "doubled {at}");
        }
        // Whoever holds the MAC key can fork the chain; the checkpoints still tell.
        assert_eq!(place_of(forked.verdict(true, &[], Some(40))), behind, "forked at {at}");
        if at < 40 {
            let mut swapped = whole();
            swapped.entries.swap(index, index + 1);
            assert_eq!(place_of(swapped.verdict(false, &[], Some(40))), at, "swapped {at}");
        }
    }
}

#[test]
fn a_log_cut_short_is_known_from_its_head_its_checkpoints_and_kept_ones() {
    for left in 0..40_usize {
        let mut cut = whole();
        cut.entries.truncate(left);
        let ends = i64::try_from(left).expect("small");
        assert_eq!(cut.verdict(true, &[], Some(40)), Verdict::Shorter { ends, known: 40 });
        // The head set back too: the stored checkpoints know.
        assert_eq!(cut.verdict(false, &[], Some(ends)), Verdict::Shorter { ends, known: 40 });
        // The checkpoints removed too: one that was kept knows, as far as it goes.
        let kept = Checkpoint::open(whole().claims[1].note.as_bytes(), &keys(false).log).expect("opens");
        cut.claims.clear();
        let verdict = cut.verdict(true, &[kept], Some(ends));
        assert_eq!(verdict, if ends < 25 { Verdict::Shorter { ends, known: 25 } } else { Verdict::Sound });
    }
}

#[test]
fn checkpoints_that_were_changed_are_not_taken() {
    let bad = |change: &dyn Fn(&mut Claim)| {
        let mut log = whole();
        change(&mut log.claims[1]);
        place_of(log.verdict(true, &[], Some(40)))
    };
    assert_eq!(bad(&|claim| claim.root = vec![1; 32]), 11);
    assert_eq!(bad(&|claim| claim.size = 26), 11);
    assert_eq!(bad(&|claim| claim.size = 50), 41);
    assert_eq!(bad(&|claim| claim.size = -1), 41);
    assert_eq!(bad(&|claim| claim.note = claim.note.replace("\n25\n", "\n26\n")), 11);
    let other = Checkpoint { stream: STREAM + 1, size: 25, root: [4; 32] }.sign(&signing()).expect("signed");
    assert_eq!(bad(&|claim| claim.note.clone_from(&other)), 11);
    // Of another history: what was kept does not fit.
    let kept = Checkpoint { stream: STREAM, size: 30, root: [4; 32] };
    assert_eq!(place_of(whole().verdict(true, &[kept], Some(40))), 26);
    let elsewhere = Checkpoint { stream: STREAM + 1, size: 30, root: [4; 32] };
    assert_eq!(whole().verdict(true, &[elsewhere], Some(40)), Verdict::Sound);
}

#[test]
fn a_verification_goes_on_from_a_checkpoint() {
    let (log, keys) = (whole(), keys(true));
    let mut edge = Edge::default();
    log.entries.iter().take(25).for_each(|(_, body, _)| edge.push(chain::leaf(body)));
    for changed in [None, Some(30_usize)] {
        let mut check = Check::new(&keys, StreamId(STREAM), &[]);
        check.resume(edge.clone(), log.entries[24].2.clone());
        log.claims.iter().for_each(|claim| check.claim(claim));
        let mut found = None;
        for (at, (seq, text, mac)) in log.entries.iter().enumerate().skip(25) {
            let text = if changed == Some(at) { body(*seq, "y") } else { text.clone() };
            found = check.step(Shown { seq: *seq, body: &text, mac }, |_, _| true).err();
            if found.is_some() {
                break;
            }
        }
        match changed {
            None => assert_eq!((found, check.finish(Some((40, &log.entries[39].2)))), (None, (15, Verdict::Sound))),
            Some(at) => assert_eq!(place_of(found.expect("found")), i64::try_from(at).expect("small") + 1),
        }
    }
}
