"""A ledger in files of lines (NDJSON). It is read twice: first what may stand anywhere, then the entries.

Checkpoints are kept in memory, entries are not.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from . import CannotVerify
from .entries import Unreadable, read_entry, read_number, read_object, read_text
from .notes import LARGEST_SIZE, LARGEST_STREAM
from .verify import Edge, Entry, Head, Report, Stored, StreamCheck, Trust, report

_Kept = TypeVar("_Kept", Head, Edge)
_TAIL = re.compile(rb',"mac":"([0-9a-f]{64})","leaf":"([0-9a-f]{64})"}')
_TAIL_LENGTH = 148
_MEMBERS = {
    b'{"checkpoint":': {"checkpoint", "stream", "size", "root", "note"},
    b'{"head":': {"head", "stream", "node", "seq", "mac"},
    b'{"edge":': {"edge", "stream", "size", "mac", "hashes"},
}
_DIGEST = re.compile("[0-9a-f]{64}")
_NO_LINE = "a line of the archive is of no known kind, or cannot be read"


def verify_archive(path: Path, trust: Trust) -> Report:
    """Raises `CannotVerify`."""
    archive = _Archive(path)
    streams = set(archive.checkpoints) | set(archive.heads) | set(archive.edges) | set(trust.checkpoints)
    checks: dict[int, StreamCheck] = {}

    def check(stream: int) -> StreamCheck:
        if stream not in checks:
            stored = iter(sorted(archive.checkpoints.get(stream, ()), key=lambda each: each.size))
            checks[stream] = StreamCheck(stream, trust, stored, archive.edges.get(stream))
        return checks[stream]

    for stream in streams:
        check(stream)
    for stream, entry in archive.entries():
        if entry is None:
            check(stream).add_unreadable()
        else:
            check(stream).add(entry)
    return report([each.finish(archive.heads.get(stream)) for stream, each in checks.items()])


class _Archive:
    def __init__(self, path: Path) -> None:
        self.files = _files(path)
        self.checkpoints: dict[int, list[Stored]] = {}
        self.heads: dict[int, Head] = {}
        self.edges: dict[int, Edge] = {}
        for line in self._lines():
            if not line.startswith(b'{"v":'):
                self._keep(line)

    def entries(self) -> Iterator[tuple[int, Entry | None]]:
        """In the archive's order; None for one that cannot be read, in the stream whose turn it is."""
        turn: int | None = None
        for line in self._lines():
            if line.startswith(b'{"v":'):
                stream, entry = _cut(line) or (turn, None)
                if stream is None:
                    raise CannotVerify("the first entry of the archive cannot be read")
                turn = stream
                yield stream, entry

    def _keep(self, line: bytes) -> None:
        kind = line[: line.find(b":") + 1]
        if kind not in _MEMBERS or not line.endswith(b"\n"):
            raise CannotVerify(_NO_LINE)
        try:
            members = read_object(line)
            if members.keys() != _MEMBERS[kind] or read_number(members[kind[2:-2].decode()], LARGEST_SIZE) != 1:
                raise Unreadable
            stream = read_number(members["stream"], LARGEST_STREAM)
            if kind == b'{"checkpoint":':
                note = read_text(members["note"]).encode()
                stored = Stored(read_number(members["size"], LARGEST_SIZE), _digest(members["root"]), note)
                self.checkpoints.setdefault(stream, []).append(stored)
            elif kind == b'{"head":':
                read_text(members["node"])
                seq = read_number(members["seq"], LARGEST_SIZE)
                _once(self.heads, stream, Head(seq, b"" if seq == 0 and members["mac"] == "" else _digest(members["mac"])))
            else:
                hashes = members["hashes"] if isinstance(members["hashes"], list) else [None]
                size = read_number(members["size"], LARGEST_SIZE)
                _once(self.edges, stream, Edge(size, _digest(members["mac"]), tuple(map(_digest, hashes))))
        except Unreadable:
            raise CannotVerify(_NO_LINE) from None

    def _lines(self) -> Iterator[bytes]:
        for path in self.files:
            with path.open("rb") as file:
                yield from file


def _files(path: Path) -> list[Path]:
    try:
        if not path.is_dir():
            path.open("rb").close()
            return [path]
        return sorted((each for each in path.iterdir() if each.name.endswith(".ndjson")), key=lambda each: os.fsencode(each.name))
    except OSError as error:
        raise CannotVerify(f"the archive cannot be read: {error.strerror}") from None


def _cut(line: bytes) -> tuple[int, Entry] | None:
    text = line.removesuffix(b"\n")
    tail = _TAIL.fullmatch(text[-_TAIL_LENGTH:])
    if tail is None or text == line:
        return None
    body = text[:-_TAIL_LENGTH] + b"}"
    try:
        members = read_entry(body)
    except Unreadable:
        return None
    return members.stream, Entry(members.seq, body, bytes.fromhex(tail[1].decode()), leaf=bytes.fromhex(tail[2].decode()))


def _digest(value: object) -> bytes:
    if _DIGEST.fullmatch(text := read_text(value)) is None:
        raise Unreadable
    return bytes.fromhex(text)


def _once(kept: dict[int, _Kept], stream: int, value: _Kept) -> None:
    if stream in kept:
        raise CannotVerify(f"the archive has two heads or two edges of stream {stream}")
    kept[stream] = value
