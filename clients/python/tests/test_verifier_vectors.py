"""The frozen vectors: what goldfin's own verifier is held to, too."""

import json
import pathlib
import tracemalloc

import pytest
from goldfin_ledger import CannotVerify
from goldfin_ledger.__main__ import run
from goldfin_ledger.archive import verify_archive
from goldfin_ledger.chain import LedgerKeys, chain_mac, combine, read_unseal_key
from goldfin_ledger.notes import BadNote, LogKey, read_checkpoint
from goldfin_ledger.tree import Tree, is_consistent, is_included, leaf_hash
from goldfin_ledger.verify import Entry, StreamCheck, Trust

BODY = (
    b'{"v":1,"stream":1,"seq":%d,"time":"2026-01-31T12:00:00.000000Z","request_id":"synthetic","account":"synthetic",'
    b'"action":"read","resource":"Secret:a","decision":"granted"}'
)
VECTORS = pathlib.Path(__file__).resolve().parents[3] / "tests" / "vectors"
LEDGER = VECTORS / "ledger"


def read(name: str):
    return json.loads((LEDGER / name).read_text())


KEYS = read("keys.json")
MAC_KEY = bytes.fromhex(KEYS["mac_key"])


def public_key() -> LogKey:
    return LogKey.read((LEDGER / "ledger.key").read_text())


def test_keys():
    keys = LedgerKeys.derive(bytes.fromhex(KEYS["barrier_key"]))
    assert keys.mac == MAC_KEY
    assert keys.signer.private_bytes_raw().hex() == KEYS["checkpoint_seed"]
    assert keys.public.public.hex() == public_key().public.hex() == KEYS["public_key"]
    assert keys.public.log_id == KEYS["log_id"]


def test_chain():
    before = b""
    for seq, entry in enumerate(read("chain.json")["entries"], 1):
        canonical = entry["canonical"].encode()
        leaf = leaf_hash(canonical)
        before = chain_mac(MAC_KEY, 1, seq, before, leaf)
        assert (leaf.hex(), before.hex()) == (entry["leaf"], entry["mac"])
        tail = ',"mac":"' + entry["mac"] + '","leaf":"' + entry["leaf"] + '"}'
        assert canonical[:-1].decode() + tail == entry["archive_line"]


def test_tree():
    vectors, roots = read("tree.json"), []
    tree = Tree()
    for number, root in enumerate(vectors["roots"]):
        assert tree.root().hex() == root
        roots.append(tree.root())
        tree.add(leaf_hash(str(number).encode()))
    for case in vectors["inclusion"]:
        path = [bytes.fromhex(part) for part in case["hashes"]]
        assert is_included(leaf_hash(str(case["index"]).encode()), case["index"], case["size"], path, roots[case["size"]])
    for case in vectors["consistency"]:
        path = [bytes.fromhex(part) for part in case["hashes"]]
        assert is_consistent(case["from"], roots[case["from"]], case["to"], roots[case["to"]], path)


def test_notes():
    key, vectors = public_key(), read("notes.json")
    for note in vectors["good"]:
        parsed = read_checkpoint(note.encode())
        key.check(parsed, 1)
        assert (parsed.size, parsed.root) == (4711, b"\x05" * 32)
    for case in vectors["bad"]:
        with pytest.raises(BadNote):
            key.check(read_checkpoint(case["note"].encode()), 1)


@pytest.mark.parametrize("case", read("verdicts.json")["cases"], ids=lambda case: pathlib.Path(case["archive"]).stem)
@pytest.mark.parametrize("mode", ["with_mac_key", "public_key_only"])
def test_verdicts(case, mode):
    mac_key = MAC_KEY if mode == "with_mac_key" else None
    try:
        trust = Trust(public_key(), mac_key, [note.encode() for note in case["trusted"]])
        report = verify_archive(LEDGER / case["archive"], trust)
    except CannotVerify:
        assert case[mode] == {"exit": 4}
        return
    worst = report.worst()
    said = {"exit": report.exit_code} | ({"stream": worst.stream, "seq": worst.seq} if worst else {})
    assert said == case[mode]


def test_shares():
    for case in json.loads((VECTORS / "crypto" / "shamir.json").read_text())["cases"]:
        shares = [bytes.fromhex(share) for share in case["shares"]]
        for some in (shares, shares[: case["threshold"]], shares[-case["threshold"] :]):
            assert combine(some).hex() == case["key"]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "AAAA", '{"keys_base64":[]}', '{"keys_base64":["AAAA"]}', '{"keys_base64":7}', "\N{SNOWMAN}"]
)
def test_a_bad_unseal_key_is_refused(text):
    with pytest.raises(CannotVerify):
        read_unseal_key(text)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 4),
        (["--help"], 0),
        (["--archive", "whole"], 4),
        (["--archive", "whole", "--public-key", "KEY"], 0),
        (["--archive", "removed-middle", "--public-key", "KEY"], 2),
        (["--archive", "cut-to-7", "--public-key", "KEY"], 3),
        (["--archive", "nothing", "--public-key", "KEY"], 4),
        (["--archive", "whole", "--public-key", "KEY", "--mac-key", "KEY"], 4),
        (["--archive", "not-there", "--public-key", "KEY"], 4),
        (["--archive", "whole", "--public-key", "not-there"], 4),
        (["--archive", "whole", "--public-key", "KEY", "--checkpoint", "KEY"], 4),
        (["--database", "postgresql://a:b@localhost/x", "--public-key", "KEY"], 4),
        (["--database", "postgresql://a@127.0.0.1:1/x", "--public-key", "KEY"], 4),
        (["--server", "http://127.0.0.1:1", "--public-key", "KEY"], 4),
        (["--server", "https://127.0.0.1:1", "--public-key", "KEY"], 4),
    ],
)
def test_exit_codes(arguments, code, capsys, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "synthetic")
    stems = {"KEY": str(LEDGER / "ledger.key")}
    places = {path.stem: str(path) for path in (LEDGER / "archives").iterdir()} | stems
    assert run([places.get(argument, argument) for argument in arguments]) == code
    assert run([*(places.get(argument, argument) for argument in arguments), "--json"]) == code
    capsys.readouterr()


def test_memory_does_not_grow_with_the_ledger():
    keys = LedgerKeys.derive(bytes.fromhex(KEYS["barrier_key"]))

    def peak(count: int) -> int:
        check, before = StreamCheck(1, Trust(keys.public, keys.mac), iter([])), b""
        tracemalloc.start()
        for seq in range(1, count + 1):
            body = BODY % seq
            before = chain_mac(keys.mac, 1, seq, before, leaf_hash(body))
            check.add(Entry(seq, body, before))
        assert check.finish(None).entries == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(8_000) < peak(500) + 20_000
