"""A ledger in files of lines (NDJSON). It is read twice: first what may stand anywhere, then the entries.

Checkpoints are kept in memory, entries are not.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from . import CannotVerify
from .entries import Unreadable, read_entry, read_object
from .notes import LARGEST_SIZE, LARGEST_STREAM
from .verify import Edge, Entry, Head, Report, Stored, StreamCheck, Trust, report

_Kept = TypeVar("_Kept", Head, Edge)
_TAIL = re.compile(rb',"mac":"([0-9a-f]{64})","leaf":"([0-9a-f]{64})"}')
_TAIL_LENGTH = 148
_NUMBER = rb"(0|-?[1-9][0-9]{0,18})"
_CHECKPOINT = re.compile(
    rb'\{"checkpoint":1,"stream":%b,"size":%b,"root":"([0-9a-f]{64})","note":("(?:[^"\\]|\\.)*")\}' % (_NUMBER, _NUMBER)
)
_HEAD = re.compile(rb'\{"head":1,"stream":%b,"node":("(?:[^"\\]|\\.)*"),"seq":%b,"mac":"([0-9a-f]*)"\}' % (_NUMBER, _NUMBER))
_EDGE = re.compile(rb'\{"edge":1,"stream":%b,"size":%b,"mac":"([0-9a-f]{64})","hashes":\[((?:"[0-9a-f]{64}",?)+)\]\}' % (_NUMBER, _NUMBER))


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
        begun: set[int] = set()
        for line in self._lines():
            if line.startswith(b'{"v":'):
                stream, entry = _cut(line) or (turn, None)
                if stream is None:
                    raise CannotVerify("the first line of the archive cannot be read")
                turn = stream
                begun.add(stream)
                yield stream, entry
            else:
                turn = _stream_of(line)
                if turn in begun and line.startswith(b'{"edge":'):
                    raise CannotVerify("an edge of the archive stands behind entries of its stream")

    def _keep(self, line: bytes) -> None:
        text = line.removesuffix(b"\n")
        if found := _CHECKPOINT.fullmatch(text):
            stored = Stored(_number(found[2]), bytes.fromhex(found[3].decode()), _text(found[4]))
            self.checkpoints.setdefault(_stream(found[1]), []).append(stored)
        elif found := _HEAD.fullmatch(text):
            _text(found[2])
            if len(found[4]) % 2 or _number(found[3]) < 0:
                raise CannotVerify("a head of the archive cannot be read")
            _once(self.heads, _stream(found[1]), Head(_number(found[3]), bytes.fromhex(found[4].decode())))
        elif found := _EDGE.fullmatch(text):
            hashes = tuple(bytes.fromhex(part) for part in json.loads(b"[" + found[4] + b"]"))
            _once(self.edges, _stream(found[1]), Edge(_number(found[2]), bytes.fromhex(found[3].decode()), hashes))
        else:
            raise CannotVerify("a line of the archive is of no known kind, or cannot be read")

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
    return members["stream"], Entry(members["seq"], body, bytes.fromhex(tail[1].decode()), leaf=bytes.fromhex(tail[2].decode()))


def _stream_of(line: bytes) -> int:
    found = re.match(rb'\{"[a-z]+":1,"stream":([0-9]+)', line)
    if found is None:
        raise CannotVerify("the archive was changed while it was read")
    return int(found[1])


def _stream(digits: bytes) -> int:
    stream = _number(digits)
    if not 1 <= stream <= LARGEST_STREAM:
        raise CannotVerify("a line of the archive is of a stream that no ledger has")
    return stream


def _number(digits: bytes) -> int:
    number = int(digits)
    if abs(number) > LARGEST_SIZE:
        raise CannotVerify("a number of the archive is too large")
    return number


def _text(quoted: bytes) -> bytes:
    """The bytes of a JSON string."""
    try:
        value: str = read_object(b'{"":' + quoted + b"}")[""]
    except Unreadable:
        raise CannotVerify("a line of the archive cannot be read") from None
    return value.encode()


def _once(kept: dict[int, _Kept], stream: int, value: _Kept) -> None:
    if stream in kept:
        raise CannotVerify(f"the archive has two heads or two edges of stream {stream}")
    kept[stream] = value
