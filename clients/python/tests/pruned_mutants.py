"""Ledgers whose older entries were pruned, and what a hand with SQL could do to the records of their archives and to what is kept."""

import base64
import hashlib
import random
from typing import Any

from goldfin_ledger.tree import Tree, leaf_hash
from ledger_mutants import Ledger, Row, delete, edit, flip_body, insert, reorder, truncate

ARCHIVE_COLUMNS = ("first", "last", "month", "root", "mac", "hashes", "levels", "digest", "kept", "note", "file", "pruned")
KEPT = ("manifest:", "account:", "auth_token:")
NOW = "2026-01-31T12:00:00Z"


def tree_root(bodies: list[bytes]) -> bytes:
    tree = Tree()
    for body in bodies:
        tree.add(leaf_hash(body))
    return tree.root()


def edge_hashes(bodies: list[bytes]) -> list[bytes]:
    """The largest full subtrees, one for each bit of the size."""
    hashes, at = [], 0
    for bit in reversed(range(len(bodies).bit_length())):
        if len(bodies) >> bit & 1:
            hashes.append(tree_root(bodies[at : at + (1 << bit)]))
            at += 1 << bit
    return hashes


def outlives(row: Row) -> bool:
    return any(item.startswith(KEPT) for item in (row.columns["change"] or "").split("\n"))


class Pruned:
    """A ledger of which one or two months are pruned and perhaps one more is archived. It takes the pruned rows out of the ledger."""

    def __init__(self, ledger: Ledger, rng: random.Random, ends: list[int] | None = None) -> None:
        self.ledger = ledger
        self.all = list(ledger.rows)
        count = len(self.all)
        pruned = len(ends) if ends else 0
        ends = ends or sorted(rng.sample(range(1, count + 1), k=rng.choice([1, 2, 2, 3])))
        pruned = pruned or rng.randrange(1, len(ends) + 1)
        self.archives: list[dict[str, Any]] = []
        self.kept: list[Row] = []
        first = 1
        for at, last in enumerate(ends):
            self.archives.append(self.archive(first, last) | {"pruned": NOW if at < pruned else None})
            if at < pruned:
                self.kept += [row for row in self.all[first - 1 : last] if outlives(row)]
            first = last + 1
        self.cut = ends[pruned - 1]
        ledger.rows = self.all[self.cut :]

    def archive(self, first: int, last: int) -> dict[str, Any]:
        bodies = [row.body for row in self.all[:last]]
        kept = hashlib.sha256(b"".join(row.leaf for row in self.all[first - 1 : last] if outlives(row))).digest()
        row: dict[str, Any] = {"first": first, "last": last, "root": tree_root(bodies), "mac": self.all[last - 1].mac}
        row |= {"hashes": b"".join(edge_hashes(bodies)), "digest": hashlib.sha256(b"synthetic").digest(), "kept": kept}
        return row | {"note": self.sign(row), "month": "2012-01-01", "levels": b"", "file": "synthetic", "pruned": None}

    def sign(self, row: dict[str, Any], name: str = "archive") -> str:
        keys = self.ledger.keys
        origin = f"{keys.public.log_id}/{self.ledger.stream}/{name}"
        lines = [origin, f"{row['first']} {row['last']}"]
        lines += [base64.b64encode(row[each]).decode() for each in ("root", "mac", "digest", "kept")]
        text = "".join(f"{line}\n" for line in lines)
        value = keys.public.key_id(origin) + keys.signer.sign(text.encode())
        return f"{text}\n\u2014 {origin} {base64.b64encode(value).decode()}\n"


def nothing_pruned(pruned: Pruned, rng: random.Random) -> None:
    """The control."""


def disbelieved(pruned: Pruned, is_pruned: object) -> None:
    """Without a record that is believed, the stream begins at entry 1, which is not there."""
    pruned.ledger.known = ("tampered", 1) if is_pruned and pruned.ledger.rows else None


def row_changed(pruned: Pruned, rng: random.Random) -> None:
    row = rng.choice(pruned.archives)
    name = rng.choice(["root", "mac", "digest", "kept", "hashes", "first", "last"])
    row[name] = row[name] + rng.choice([-1, 1]) if isinstance(row[name], int) else rng.randbytes(max(32, len(row[name])))
    disbelieved(pruned, row["pruned"] and name != "last")


def row_null(pruned: Pruned, rng: random.Random) -> None:
    row = rng.choice(pruned.archives)
    row[rng.choice(["root", "mac", "digest", "kept", "hashes", "first", "last", "note", "month"])] = None
    pruned.ledger.known = None


def row_gone(pruned: Pruned, rng: random.Random) -> None:
    row = rng.choice(pruned.archives)
    pruned.archives.remove(row)
    pruned.ledger.known = None


def row_doubled(pruned: Pruned, rng: random.Random) -> None:
    row = rng.choice(pruned.archives)
    pruned.archives.append(dict(row))
    disbelieved(pruned, row["pruned"])


def note_changed(pruned: Pruned, rng: random.Random) -> None:
    row = rng.choice(pruned.archives)
    changed = bytearray(row["note"].encode())
    while True:
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        if b"\0" not in changed and changed.decode(errors="replace").encode() == changed:
            break
        changed = bytearray(row["note"].encode())
    row["note"] = changed.decode()
    disbelieved(pruned, row["pruned"])


def note_of_another_kind(pruned: Pruned, rng: random.Random) -> None:
    row = rng.choice(pruned.archives)
    row["note"] = pruned.sign(row, rng.choice(["archived", "", "1", "archive/archive"]))
    disbelieved(pruned, row["pruned"])


def signed_anew(pruned: Pruned, rng: random.Random) -> None:
    """By whoever has the key, over another history."""
    row = rng.choice(pruned.archives)
    row[rng.choice(["mac", "digest", "kept"])] = rng.randbytes(32)
    row["note"] = pruned.sign(row)
    pruned.ledger.known = None


def said_to_be_pruned(pruned: Pruned, rng: random.Random) -> None:
    for row in pruned.archives:
        row["pruned"] = NOW
    pruned.ledger.known = None


def said_to_be_there(pruned: Pruned, rng: random.Random) -> None:
    for row in pruned.archives[rng.randrange(len(pruned.archives)) :]:
        row["pruned"] = None
    pruned.ledger.known = None


def put_back(pruned: Pruned, rng: random.Random) -> None:
    pruned.ledger.rows.insert(0, rng.choice(pruned.all[: pruned.cut]))
    pruned.ledger.known = ("tampered", pruned.cut + 1)


def kept_gone(pruned: Pruned, rng: random.Random) -> None:
    if pruned.kept:
        pruned.kept.remove(rng.choice(pruned.kept))
        pruned.ledger.known = None


def kept_more(pruned: Pruned, rng: random.Random) -> None:
    row = rng.choice(pruned.all)
    pruned.kept.append(row)
    pruned.kept.sort(key=lambda each: each.seq)
    pruned.ledger.known = None


def kept_changed(pruned: Pruned, rng: random.Random) -> None:
    if pruned.kept:
        row = rng.choice(pruned.kept)
        row.columns = row.columns | {rng.choice(["account", "action", "decision", "resource"]): "synthetic"}
        pruned.ledger.known = ("tampered", row.seq)


def rest_damaged(pruned: Pruned, rng: random.Random) -> None:
    """What can be done to any ledger, behind the cut."""
    if pruned.ledger.rows:
        rng.choice([edit, flip_body, delete, insert, reorder, truncate])(pruned.ledger, rng)
    pruned.ledger.known = None


OF_PRUNED = [
    nothing_pruned,
    nothing_pruned,
    row_changed,
    row_changed,
    row_null,
    row_gone,
    row_doubled,
    note_changed,
    note_of_another_kind,
    signed_anew,
    said_to_be_pruned,
    said_to_be_there,
    put_back,
    kept_gone,
    kept_more,
    kept_changed,
    rest_damaged,
    rest_damaged,
]
