"""Verifier keys and checkpoints: signed notes (C2SP), of which this format allows exactly one shape.

What is not of that shape is refused, never repaired: two readers that repair differently see different ledgers.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LONGEST_NOTE = 16_384
MOST_SIGNATURES = 16
LARGEST_SIZE = 2**63 - 1
LARGEST_STREAM = 2**31 - 1

_ORIGIN = re.compile(r"(goldfin/[0-9a-f]{16})/([1-9][0-9]{0,9})")
_SIZE = re.compile(r"[1-9][0-9]{0,18}")
_KEY_LINE = re.compile(r"([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


class BadNote(ValueError):
    """A checkpoint that is not of the form, or that does not verify. The text says why."""


@dataclass(frozen=True, slots=True)
class Signature:
    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A note of the right form. Nothing is known about its signatures before `LogKey.check`."""

    log_id: str
    stream: int
    size: int
    root: bytes
    signed: bytes
    signatures: tuple[Signature, ...]

    @property
    def origin(self) -> str:
        return f"{self.log_id}/{self.stream}"


class LogKey:
    """The public key of a log, which all its streams share."""

    def __init__(self, public: bytes) -> None:
        self.public = public
        self.log_id = "goldfin/" + hashlib.sha256(public).hexdigest()[:16]
        self._key = Ed25519PublicKey.from_public_bytes(public)

    @classmethod
    def read(cls, text: str) -> "LogKey":
        """From the one line of the public key's file. Raises `BadNote`."""
        found = _KEY_LINE.fullmatch(text.removesuffix("\n"))
        if found is None:
            raise BadNote("a public key is one line: NAME+8 DIGITS OF HEX+BASE64")
        name, written_id, encoded = found.groups()
        data = canonical_base64(encoded)
        if len(data) != 33 or data[0] != 1:
            raise BadNote("the public key is not one of Ed25519")
        key = cls(data[1:])
        if written_id != key.key_id(name).hex():
            raise BadNote("the public key does not fit its key ID")
        origin = _ORIGIN.fullmatch(name)
        if name != key.log_id and (origin is None or origin[1] != key.log_id or int(origin[2]) > LARGEST_STREAM):
            raise BadNote("the public key carries a name that is not its own")
        return key

    def key_id(self, name: str) -> bytes:
        return hashlib.sha256(name.encode() + b"\n\x01" + self.public).digest()[:4]

    def check(self, note: Checkpoint, stream: int) -> None:
        """That this log signed it for `stream`. Raises `BadNote`."""
        self.check_origin(note.origin, f"{self.log_id}/{stream}", note.signed, note.signatures)

    def check_origin(self, origin: str, expected: str, signed: bytes, signatures: "tuple[Signature, ...]") -> None:
        """That this log signed what begins with an origin. Raises `BadNote`."""
        if origin != expected:
            raise BadNote("the checkpoint is of another log or stream")
        ours = [part.value for part in signatures if (part.name, part.key_id) == (origin, self.key_id(origin))]
        if not ours:
            raise BadNote("the checkpoint is not signed by the log's key")
        for value in ours:
            try:
                self._key.verify(value, signed)
            except InvalidSignature:
                raise BadNote("a signature of the checkpoint is wrong") from None


def read_checkpoint(note: bytes) -> Checkpoint:
    """Raises `BadNote` unless `note` is of the form; verifies no signature."""
    lines, signed, signatures = read_note(note, 3)
    log_id, stream = read_origin(lines[0])
    if _SIZE.fullmatch(lines[1]) is None or int(lines[1]) > LARGEST_SIZE:
        raise BadNote("the size of the checkpoint is not a number of its form")
    root = canonical_base64(lines[2])
    if len(root) != 32:
        raise BadNote("the root of the checkpoint is not of 32 bytes")
    return Checkpoint(log_id, stream, int(lines[1]), root, signed, signatures)


def read_origin(text: str) -> tuple[str, int]:
    """The id of a log, and the number of a stream. Raises `BadNote`."""
    origin = _ORIGIN.fullmatch(text)
    if origin is None or int(origin[2]) > LARGEST_STREAM:
        raise BadNote("the origin of the checkpoint is not one of goldfin")
    return origin[1], int(origin[2])


def read_note(note: bytes, count: int) -> tuple[list[str], bytes, tuple[Signature, ...]]:
    """A signed note of so many lines: the lines, what is signed, the signatures. Raises `BadNote`; verifies none of them."""
    if len(note) > LONGEST_NOTE:
        raise BadNote("the checkpoint is too long")
    if any(byte < 0x20 and byte != 0x0A for byte in note):
        raise BadNote("the checkpoint holds a control character")
    try:
        text = note.decode()
    except UnicodeDecodeError:
        raise BadNote("the checkpoint is not UTF-8") from None
    if not text.endswith("\n"):
        raise BadNote("the checkpoint does not end with a line end")
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < count + 2 or lines[count] != "":
        raise BadNote("a note is its lines, an empty one, and signatures")
    if len(lines) > count + 1 + MOST_SIGNATURES:
        raise BadNote("the checkpoint has too many signatures")
    signed = "".join(line + "\n" for line in lines[:count]).encode()
    return lines[:count], signed, tuple(map(_signature, lines[count + 1 :]))


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "\u2014" or not name or "+" in name or any(letter.isspace() for letter in name):
        raise BadNote("a signature line of the checkpoint is not of the form")
    data = canonical_base64(encoded)
    if len(data) < 5:
        raise BadNote("a signature of the checkpoint is too short")
    return Signature(name, data[:4], data[4:])


def canonical_base64(text: str) -> bytes:
    """Raises `BadNote` for every text but the one that encodes its bytes."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadNote("a part is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise BadNote("a part is not canonical base64")
    return data
