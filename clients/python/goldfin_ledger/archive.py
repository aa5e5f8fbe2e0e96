"""A ledger in files of lines (NDJSON). It is read twice: first what may stand anywhere, then the entries.

Checkpoints are kept in memory, entries are not.
"""

import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

from . import CannotVerify
from .entries import Unreadable, read_entry, read_number, read_object, read_text
from .notes import LARGEST_SIZE, LARGEST_STREAM
from .verify import Edge, Entry, Head, Report, Stored, StreamCheck, Trust, report

_Kept = TypeVar("_Kept", Head, Edge)
_TAIL = re.compile(rb',"mac":"([0-9a-f]{64})","leaf":"([0-9a-f]{64})"}')
_TAIL_LENGTH = 148
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20
_MEMBERS = {
    b'{"archive":': {"archive", "log", "key", "stream", "node", "month", "first", "last"},
    b'{"checkpoint":': {"checkpoint", "stream", "size", "root", "note"},
    b'{"head":': {"head", "stream", "node", "seq", "mac"},
    b'{"edge":': {"edge", "stream", "size", "mac", "hashes"},
}
_DIGEST = re.compile("[0-9a-f]{64}")
_NO_LINE = "a line of the archive is of no known kind, or cannot be read"


def verify_archive(paths: Path | Sequence[Path], trust: Trust) -> Report:
    """Files that go on from each other, or folders of them. Raises `CannotVerify`."""
    archive = _Archive([paths] if isinstance(paths, Path) else paths, trust)
    streams = set(archive.checkpoints) | set(archive.heads) | set(archive.edges) | set(archive.last) | set(trust.checkpoints)
    checks: dict[int, StreamCheck] = {}

    def check(stream: int) -> StreamCheck:
        if stream not in checks:
            stored = iter(sorted(archive.checkpoints.get(stream, ()), key=lambda each: each.size))
            edges = [edge for _, edge in sorted(archive.edges.get(stream, {}).items())]
            checks[stream] = StreamCheck(stream, trust, stored, edges, archive.last.get(stream, 0))
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
    def __init__(self, paths: Sequence[Path], trust: Trust) -> None:
        self.files = _files(paths)
        self._log_id = trust.key.log_id if trust.key else None
        self.checkpoints: dict[int, list[Stored]] = {}
        self.heads: dict[int, Head] = {}
        self.edges: dict[int, dict[int, Edge]] = {}
        self.last: dict[int, int] = {}
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
            elif kind == b'{"archive":':
                for name in ("key", "node", "month"):
                    read_text(members[name])
                if self._log_id not in (None, read_text(members["log"])):
                    raise CannotVerify("the archive is of another ledger than the public key")
                read_number(members["first"], LARGEST_SIZE)
                self.last[stream] = max(self.last.get(stream, 0), read_number(members["last"], LARGEST_SIZE))
            else:
                hashes = members["hashes"] if isinstance(members["hashes"], list) else [None]
                size = read_number(members["size"], LARGEST_SIZE)
                mac = b"" if size == 0 and members["mac"] == "" else _digest(members["mac"])
                if size < 0 or (size == 0) != (mac == b""):
                    raise Unreadable
                _once(self.edges.setdefault(stream, {}), size, Edge(size, mac, tuple(map(_digest, hashes))))
        except Unreadable:
            raise CannotVerify(_NO_LINE) from None

    def _lines(self) -> Iterator[bytes]:
        for path in self.files:
            yield from _lines_of(path)


def _files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    try:
        for path in paths:
            if path.is_dir():
                files += [each for each in path.iterdir() if each.name.endswith((".ndjson", ".ndjson.gz"))]
            else:
                path.open("rb").close()
                files.append(path)
    except OSError as error:
        raise CannotVerify(f"the archive cannot be read: {error.strerror}") from None
    return sorted(files, key=lambda each: (os.fsencode(each.name), os.fsencode(each)))


def _lines_of(path: Path) -> Iterator[bytes]:
    """Of a file that is compressed or not."""
    try:
        with path.open("rb") as file:
            begin = file.read(len(_GZIP))
            file.seek(0)
            if begin != _GZIP:
                yield from file
                return
            line = b""
            for part in _decompressed(file):
                *whole, line = (line + part).split(b"\n")
                yield from (each + b"\n" for each in whole)
            if line:
                yield line
    except OSError as error:
        raise CannotVerify(f"the archive cannot be read: {error.strerror}") from None


def _decompressed(file: BinaryIO) -> Iterator[bytes]:
    """One member of gzip, to its end, and nothing behind it."""
    member = zlib.decompressobj(wbits=31)
    try:
        while chunk := file.read(_CHUNK):
            if member.eof:
                raise CannotVerify("something stands behind the end of the compressed lines")
            yield member.decompress(chunk)
    except zlib.error:
        raise CannotVerify("the archive cannot be decompressed") from None
    if not member.eof or member.unused_data:
        raise CannotVerify("the archive cannot be decompressed to its end, or something stands behind it")


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


def _once(kept: dict[int, _Kept], key: int, value: _Kept) -> None:
    if key in kept:
        raise CannotVerify("the archive has two heads of a stream, or two edges of one size")
    kept[key] = value
