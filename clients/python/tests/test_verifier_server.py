"""A server that lies: it is caught, or nothing can be said; it is never believed, and never makes the verifier stumble."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from goldfin_ledger import CannotVerify
from goldfin_ledger.chain import LedgerKeys
from goldfin_ledger.server import Server, tile_path
from goldfin_ledger.tree import Tree, leaf_hash
from goldfin_ledger.verify import Trust
from ledger_mutants import sign

KEYS = LedgerKeys(bytes(32), Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
COUNT = 300
BODIES = [
    b'{"v":1,"stream":1,"seq":%d,"time":"2026-01-31T12:00:00.000000Z","request_id":"synthetic","account":"synthetic",'
    b'"action":"read_secret","resource":"Secret:a","decision":"granted"}' % seq
    for seq in range(1, COUNT + 1)
]


def root_of(count: int) -> bytes:
    tree = Tree()
    for body in BODIES[:count]:
        tree.add(leaf_hash(body))
    return tree.root()


ROOT = root_of(COUNT)
NOTE = sign(KEYS, 1, COUNT, ROOT)
TRUST = Trust(KEYS.public, None, [sign(KEYS, 1, 299, root_of(299))])
LISTED = {"stream": 1, "node": "n", "origin": "o", "size": COUNT, "root": ROOT.hex(), "note": NOTE.decode(), "key": "k"}
HONEST = {
    "checkpoint": json.dumps({"data": {"checkpoints": [LISTED]}}).encode(),
    "1/tile/lines/000": b"\n".join(BODIES[:256]) + b"\n",
    "1/tile/lines/001.p/44": b"\n".join(BODIES[256:]) + b"\n",
}


class Liar(Server):
    def __init__(self, answers: dict[str, bytes]) -> None:
        self.answers = answers
        super().__init__("https://vault.example.org", None, "synthetic")

    def _ask(self, path: str) -> bytes:
        if path not in self.answers:
            raise CannotVerify("the server answered 404")
        return self.answers[path]


def said(changed: dict[str, bytes], receipts: tuple[str, ...] = (), proofs_only: bool = False) -> tuple[int, str | None]:
    try:
        report = Liar(HONEST | changed).verify(TRUST, receipts, proofs_only)
    except CannotVerify:
        return 4, None
    worst = report.worst()
    return report.exit_code, f"{worst.stream}:{worst.seq}" if worst else None


def listed(**changed: object) -> dict[str, bytes]:
    return {"checkpoint": json.dumps({"data": {"checkpoints": [LISTED | changed]}}).encode()}


def entries(bodies: list[bytes]) -> dict[str, bytes]:
    return {"1/tile/lines/000": b"\n".join(bodies) + b"\n"}


def test_an_honest_server():
    assert said({}) == (0, None)


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        (listed(size=301), (4, None)),
        (listed(root="00" * 32), (2, "1:300")),
        (listed(note="goldfin"), (2, "1:300")),
        (listed(stream=2), (4, None)),
        (listed(size="x"), (4, None)),
        (listed(root="x"), (4, None)),
        (listed(root=None), (4, None)),
        (listed(stream=None), (4, None)),
        ({"checkpoint": b'{"data":{"checkpoints":[]}}'}, (3, "1:0")),
        ({"checkpoint": b'{"data":{"checkpoints":7}}'}, (4, None)),
        ({"checkpoint": b'{"data":7}'}, (4, None)),
        ({"checkpoint": b"[]"}, (4, None)),
        ({"checkpoint": b"\xff"}, (4, None)),
        ({"checkpoint": b"[" * 100_000}, (4, None)),
        (entries([*BODIES[:255], BODIES[255].replace(b"granted", b"denied")]), (2, "1:1")),
        (entries([*BODIES[:254], BODIES[255], BODIES[254]]), (2, "1:255")),
        (entries([*BODIES[:255], b"{}"]), (2, "1:256")),
        (entries(BODIES[:255]), (4, None)),
        (entries(BODIES[:257]), (4, None)),
        ({"1/tile/lines/000": b"\n".join(BODIES[:256])}, (4, None)),
        ({"1/tile/lines/000": b""}, (4, None)),
        ({"1/tile/lines/001.p/44": b""}, (4, None)),
    ],
)
def test_a_server_that_lies(changed, verdict):
    assert said(changed) == verdict


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"hashes": []}, 2),
        ({"hashes": ["00" * 32]}, 2),
        ({"hashes": ["00" * 32] * 100}, 2),
        ({"hashes": ["zz"]}, 4),
        ({"hashes": None}, 4),
        ({}, 4),
        ([], 4),
    ],
)
def test_a_proof_of_consistency_that_is_none(answer, code):
    path = "1/consistency?from=299&to=300"
    assert said({path: json.dumps({"data": answer}).encode()}, proofs_only=True)[0] == code


def test_a_receipt_that_is_not_there():
    leaf = leaf_hash(BODIES[6])
    good = {"body": BODIES[6].decode(), "proof": {"hashes": [], "note": NOTE.decode()}}
    path, receipt = "entries/1/7", (f"1:7:{leaf.hex()}",)
    for answer, verdict in [
        (good, (2, "1:7")),
        (good | {"body": "x"}, (2, "1:7")),
        (good | {"proof": {"hashes": [], "note": "x"}}, (2, "1:7")),
        (good | {"proof": {"hashes": [], "note": sign(KEYS, 2, COUNT, ROOT).decode()}}, (2, "1:7")),
        (good | {"proof": None}, (4, None)),
        (good | {"proof": 7}, (4, None)),
        (good | {"proof": {"note": NOTE.decode()}}, (4, None)),
        ({}, (4, None)),
    ]:
        assert said({path: json.dumps({"data": answer}).encode()}, receipt) == verdict, answer
    for receipt in ("", "1:7", "1:7:zz", "0:7:" + "0" * 64, "1:07:" + "0" * 64, "../../sys:1:" + "0" * 64):
        assert said({}, (receipt,)) == (4, None)


def test_an_auth_token_cannot_carry_a_header():
    for token in ("", "a\nb", "a\r\nX-Other: b", "\u2603"):
        with pytest.raises(CannotVerify):
            Server("https://vault.example.org", None, token)


def test_paths_of_tiles():
    assert [tile_path(number) for number in (0, 7, 999, 1000, 1234067)] == ["000", "007", "999", "x001/000", "x001/x234/067"]
