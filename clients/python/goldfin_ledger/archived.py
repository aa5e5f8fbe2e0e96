"""What a database says of its archives: the signed records, where a stream begins whose older entries were pruned, and what is kept of those.

The rules of the section "Pruned entries" of the format.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from .entries import Unreadable, read_entry
from .notes import LARGEST_SIZE, BadNote, Signature, canonical_base64, read_note, read_origin
from .tree import Tree, leaf_hash
from .verify import Edge, Entry, Trust

_RANGE = re.compile(r"([1-9][0-9]{0,18}) ([1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Archived:
    """A record of the right form. Nothing is known about its signatures before `Trust.check`."""

    origin: str
    stream: int
    first: int
    last: int
    root: bytes
    mac: bytes
    digest: bytes
    kept: bytes
    signed: bytes
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `ledger_archive` that says that it was pruned. What a damaged row lacks is 0 or empty."""

    first: int
    last: int
    root: bytes
    mac: bytes
    hashes: bytes
    digest: bytes
    kept: bytes
    note: bytes


def read_archived(note: bytes) -> Archived:
    """Raises `BadNote` unless `note` is of the form; verifies no signature."""
    lines, signed, signatures = read_note(note, 6)
    if not lines[0].endswith("/archive"):
        raise BadNote("the record of an archive does not say that it is one")
    _, stream = read_origin(lines[0].removesuffix("/archive"))
    found = _RANGE.fullmatch(lines[1])
    if found is None:
        raise BadNote("the record of an archive has no range of its form")
    first, last = int(found[1]), int(found[2])
    hashes = [canonical_base64(line) for line in lines[2:]]
    if not first <= last <= LARGEST_SIZE or any(len(each) != 32 for each in hashes):
        raise BadNote("the record of an archive is not of its form")
    return Archived(lines[0], stream, first, last, *hashes, signed, signatures)


def find_cut(rows: Iterable[Row], stream: int, trust: Trust) -> Edge | None:
    """Where the stream begins; None at its first entry, or where the rows do not say it credibly."""
    cut: Edge | None = None
    for row in rows:
        edge = _edge_of(row, stream, trust)
        if edge is None or row.first != (cut.size if cut else 0) + 1:
            return None
        cut = edge
    return cut


def _edge_of(row: Row, stream: int, trust: Trust) -> Edge | None:
    try:
        says = read_archived(row.note)
        trust.check_archived(says, stream)
    except BadNote:
        return None
    same = (says.first, says.last, says.root, says.mac, says.digest, says.kept) == (
        row.first,
        row.last,
        row.root,
        row.mac,
        row.digest,
        row.kept,
    )
    hashes = tuple(row.hashes[at : at + 32] for at in range(0, len(row.hashes), 32))
    try:
        root = Tree(row.last, hashes).root()
    except ValueError:
        return None
    return Edge(row.last, row.mac, hashes) if same and root == row.root else None


def find_bad_kept(rows: Iterable[Row], stream: int, kept: Iterable[Entry]) -> int | None:
    """The first place at which what is kept is not what was archived; None where all of it is."""
    left = iter(rows)
    row, digest = next(left, None), hashlib.sha256()
    for entry in kept:
        seq = entry.seq or 0
        while row is not None and seq > row.last:
            if digest.digest() != row.kept:
                return row.first
            row, digest = next(left, None), hashlib.sha256()
        if row is None or not _is_whole(entry, stream):
            return seq
        digest.update(leaf_hash(entry.body or b""))
    while row is not None:
        if digest.digest() != row.kept:
            return row.first
        row, digest = next(left, None), hashlib.sha256()
    return None


def _is_whole(entry: Entry, stream: int) -> bool:
    try:
        members = read_entry(entry.body or b"")
    except Unreadable:
        return False
    # The subjects were named in rows that went with the rest.
    members = replace(members, subjects=[])
    return (members.stream, members.seq) == (stream, entry.seq) and entry.columns is not None and entry.columns.agree(members)
