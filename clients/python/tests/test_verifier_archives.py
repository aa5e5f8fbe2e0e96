"""The duel over archives: whole ones, months, single ones damaged byte by byte (SEC-87). See test_verifier_duel.py."""

import gzip
import pathlib
import random
import re

import pytest
from duel import ROUNDS, SEED, STREAMS, damaged, differences, mine
from ledger_mutants import EVERYWHERE, Ledger, Note, archive_lines, compact, settle, sign, with_subjects
from pruned_mutants import edge_hashes, tree_root

from goldfin_ledger.archive import verify_archive
from goldfin_ledger.tree import leaf_hash
from goldfin_ledger.verify import Trust

ARCHIVES = 6 * ROUNDS
SINGLE = 200 * ROUNDS


@pytest.mark.parametrize("number", range(ARCHIVES))
def test_archives(real, tmp_path, number):
    ledgers = damaged(real, EVERYWHERE, SEED + number)
    lines = [archive_lines(ledger) for _, ledger in ledgers]
    rng = random.Random(SEED - number)
    if number % 2:
        mixed = []
        while lines:
            part = rng.choice(lines)
            mixed.append(part.pop(0)) if part else lines.remove(part)
    else:
        mixed = [line for part in lines for line in part]
    archive = tmp_path / "ledger.ndjson"
    # The first entry of an archive has to be readable: one that is not would end it all with 4.
    sound = archive_lines(settle(real.bodies[:3], 999, rng, real.keys))
    archive.write_bytes(b"".join(sound + mixed))
    for arguments, trust in (
        (["--public-key", str(real.key_file)], Trust(real.keys.public)),
        (["--mac-key", str(real.unseal_file), "--seal", real.url], Trust(real.keys.public, real.keys.mac)),
    ):
        theirs = real.goldfin("--archive", str(archive), *arguments)
        ours = mine(lambda: verify_archive(archive, trust))  # noqa: B023
        assert not differences(ours, theirs, ledgers, False), f"GOLDFIN_DUEL_SEED={SEED}"
        assert len(ours[1]) > STREAMS * 0.9 and len({verdict for verdict, _ in ours[1].values()}) == 3


def test_every_bit_of_an_entry(real, tmp_path):
    """One stream a bit, with the hash made to fit: whether the entry can be read decides between its own place and the checkpoint's."""
    rng, ledgers = random.Random(SEED), []
    at = max(range(1, len(real.bodies) - 1), key=lambda each: b'"changes"' in real.bodies[each])
    bodies = real.bodies[at - 1 : at + 2]
    # With subjects already, or `settle` gives them to some of the streams and not to others.
    if b'"subjects":' not in bodies[1]:
        bodies[1] = with_subjects(bodies[1], rng)
    body = settle(bodies, 100_001, rng, real.keys).rows[1].body
    for bit in range(8 * 5, 8 * len(body)):
        ledger = settle(bodies, 100_001 + bit, rng, real.keys)
        row, changed = ledger.rows[1], bytearray(ledger.rows[1].body)
        changed[bit // 8] ^= 1 << bit % 8
        if changed[bit // 8] == 0x0A:
            continue
        row.body, row.leaf = bytes(changed), leaf_hash(bytes(changed))
        root = tree_root([each.body for each in ledger.rows])
        ledger.notes = [Note(ledger.stream, 3, bytes(32), sign(real.keys, ledger.stream, 3, root))]
        ledgers.append((f"bit {bit % 8} of {body[: bit // 8 + 1].decode()}", ledger))
    archive = tmp_path / "ledger.ndjson"
    archive.write_bytes(b"".join(line for _, ledger in ledgers for line in archive_lines(ledger)))
    theirs = real.goldfin("--archive", str(archive), "--public-key", str(real.key_file))
    ours = mine(lambda: verify_archive(archive, Trust(real.keys.public)))
    assert not differences(ours, theirs, ledgers, False)
    assert {seq for verdict, seq in ours[1].values() if verdict == "tampered"} == {1, 2}


def test_archives_that_go_on_from_each_other(real, tmp_path):
    """Months of two streams, compressed or not, with a file that is missing, damaged, cut or of another place."""
    rng, found, seen = random.Random(SEED + 4000), [], set()
    for number in range(SINGLE // 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths = []
        for stream in (1, 2):
            ledger = settle(real.bodies[:24], stream, rng, real.keys)
            cuts = sorted({0, 24, *rng.sample(range(1, 24), k=2)})
            for first, last in zip(cuts, cuts[1:], strict=False):
                lines = month_lines(ledger, first, last, rng)
                if rng.random() < 0.2:
                    shake(lines, rng)
                content, name = b"".join(lines), f"{stream}-{first:02}.ndjson"
                if rng.random() < 0.6:
                    content, name = gzip.compress(content, mtime=0), f"{name}.gz"
                    content = spoil(content, rng)
                (folder / name).write_bytes(content)
                paths.append(folder / name)
        gone = rng.random()
        if gone < 0.2:
            paths.remove(rng.choice(paths))
        elif gone < 0.4:
            paths = paths[rng.randrange(len(paths)) :]
        rng.shuffle(paths)
        given = [folder] if rng.random() < 0.3 else paths
        arguments = [part for path in given for part in ("--archive", str(path))]
        theirs = real.goldfin(*arguments, "--public-key", str(real.key_file))
        ours = mine(lambda: verify_archive(given, Trust(real.keys.public)))  # noqa: B023
        seen.add(ours[0])
        if ours != theirs:
            found.append(f"{number}: {[path.name for path in given]}: python {ours}, goldfin {theirs}")
    assert not found, f"GOLDFIN_DUEL_SEED={SEED}\n" + "\n".join(found)
    assert {0, 2, 4} <= seen


def month_lines(ledger: Ledger, first: int, last: int, rng: random.Random) -> list[bytes]:
    """The archive of the entries behind `first` up to `last`."""
    bodies, stream, keys = [row.body for row in ledger.rows], ledger.stream, ledger.keys
    named = {"month": "2012-01", "first": first + 1, "last": last, "key": "synthetic", "node": "synthetic"}
    log = keys.public.log_id if rng.random() < 0.98 else "goldfin/0000000000000000"
    lines = [compact({"archive": 1, "log": log, "stream": stream, **named})]
    hashes = [each.hex() for each in edge_hashes(bodies[:first])]
    mac = ledger.rows[first - 1].mac.hex() if first else ""
    lines.append(compact({"edge": 1, "stream": stream, "size": first, "mac": mac, "hashes": hashes}))
    for size in {first, last} - {0}:
        root = tree_root(bodies[:size])
        note = sign(keys, stream, size, root).decode()
        lines.append(compact({"checkpoint": 1, "stream": stream, "size": size, "root": root.hex(), "note": note}))
    rows = ledger.rows[first:last]
    return lines + [row.body[:-1] + b',"mac":"%b","leaf":"%b"}\n' % (row.mac.hex().encode(), row.leaf.hex().encode()) for row in rows]


def spoil(content: bytes, rng: random.Random) -> bytes:
    what, at = rng.random(), rng.randrange(len(content))
    if what < 0.1:
        return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
    if what < 0.15:
        return content[:at]
    if what < 0.2:
        return content + rng.choice([b"\0" * 20, b"{}\n", content])
    return content


def test_single_archives_damaged_byte_by_byte_and_line_by_line(real, tmp_path):
    """What ends in 4, too: one archive each, some from an edge. A third is compared with a checkpoint that was kept."""
    rng = random.Random(SEED + 2000)
    kept = tmp_path / "kept"
    seen, found = set(), []
    for number in range(SINGLE):
        first, second = settle(real.bodies[:12], 1, rng, real.keys), settle(real.bodies[40:52], 2, rng, real.keys)
        bodies, begin = [row.body for row in first.rows], 0
        if number % 4 == 1 and first.notes:
            begin = rng.choice(first.notes).size
        lines = archive_lines(first)[begin:] + archive_lines(second)
        if begin:
            lines.insert(rng.choice([0, len(lines)]), edge(bodies[:begin], first.rows[begin - 1].mac))
        what = shake(lines, rng)
        archive = write(tmp_path / str(number), lines, rng)
        arguments, trusted = [], []
        if number % 3 == 0 and begin < 12:
            size = rng.randrange(begin + 1, 13)
            root = tree_root(bodies[:size]) if rng.random() < 0.8 else rng.randbytes(32)
            trusted = [sign(real.keys, rng.choice([1, 1, 1, 3]), size, root)]
            kept.write_bytes(trusted[0])
            arguments = ["--checkpoint", str(kept)]
        theirs = real.goldfin("--archive", str(archive), "--public-key", str(real.key_file), *arguments)
        ours = mine(lambda: verify_archive(archive, Trust(real.keys.public, None, trusted)))  # noqa: B023
        seen.add(ours[0])
        if ours != theirs:
            found.append(f"{number}: {what}, from {begin}: python {ours}, goldfin {theirs}")
    assert not found, f"GOLDFIN_DUEL_SEED={SEED}\n" + "\n".join(found)
    assert {0, 2, 4} <= seen


def test_an_edge_does_not_hide_a_checkpoint_that_was_kept(real, tmp_path):
    """Of a size before the edge it cannot be compared; of the edge's own size it contradicts."""
    ledger = settle(real.bodies[:12], 1, random.Random(SEED), real.keys)
    bodies = [row.body for row in ledger.rows]
    ledger.notes = [Note(1, 8, tree_root(bodies[:8]), sign(real.keys, 1, 8, tree_root(bodies[:8])))]
    archive = tmp_path / "ledger.ndjson"
    archive.write_bytes(b"".join([edge(bodies[:8], ledger.rows[7].mac), *archive_lines(ledger)[8:]]))
    for size, root, code in [
        (8, tree_root(bodies[:8]), 0),
        (9, tree_root(bodies[:9]), 0),
        (9, bytes(32), 2),
        (4, tree_root(bodies[:4]), 4),
        (8, bytes(32), 4),
    ]:
        trust = Trust(real.keys.public, None, [sign(real.keys, 1, size, root)])
        assert mine(lambda: verify_archive(archive, trust))[0] == code  # noqa: B023


def edge(bodies: list[bytes], mac: bytes) -> bytes:
    hashes = [each.hex() for each in edge_hashes(bodies)]
    return compact({"edge": 1, "stream": 1, "size": len(bodies), "mac": mac.hex(), "hashes": hashes})


def write(path: pathlib.Path, lines: list[bytes], rng: random.Random) -> pathlib.Path:
    """A file, or a folder of some."""
    if rng.random() < 0.7:
        path.write_bytes(b"".join(lines))
        return path
    path.mkdir()
    cut = rng.randrange(len(lines) + 1)
    (path / "part-10.ndjson").write_bytes(b"".join(lines[:cut]))
    (path / "part-9.ndjson").write_bytes(b"".join(lines[cut:]))
    (path / "notes.txt").write_text("passed over\n")
    return path


def shake(lines: list[bytes], rng: random.Random) -> str:
    at = rng.choice([0, len(lines) // 2, len(lines) - 1, rng.randrange(len(lines))])
    what = rng.choice(["flip", "flip", "flip", "flip", "cut", "remove", "double", "swap", "shuffle", "number", "blank", "nothing"])
    line = bytearray(lines[at])
    match what:
        case "flip":
            line[rng.randrange(len(line))] ^= 1 << rng.randrange(8)
            lines[at] = bytes(line)
        case "cut":
            del lines[at + 1 :]
            lines[at] = bytes(line[: rng.randrange(len(line))])
        case "remove":
            del lines[at]
        case "double":
            lines.insert(at, lines[at])
        case "swap":
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case "shuffle":
            rng.shuffle(lines)
        case "number":
            number = rng.choice([b"0", b"-1", b"01", b"1.0", b"1e0", b"null", b"99999999999999999999", b'"1"', b" 1", b"2"])
            lines[at] = re.sub(
                rb"(?<=[\"{]%b\":)-?\d+" % rng.choice([b"stream", b"seq", b"size", b"v", b"head"]), number, lines[at], count=1
            )
        case "blank":
            lines.insert(at, rng.choice([b"\n", b" \n", b"{}\n", b"[]\n", b"null\n", b"\xff\n", b'{"v":1}\n', b'{"v":\n', b'{"head":1}\n']))
    return f"{what} at {at}"
