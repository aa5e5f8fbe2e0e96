"""Reading the canonical bytes of an entry, and the columns of a database that repeat its members."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .notes import LARGEST_SIZE, LARGEST_STREAM

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[\x00-\x7f](\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXTS = ("request_id", "account", "action", "resource", "decision")


class Unreadable(ValueError):
    """Not the canonical bytes of an entry."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What a row repeats. `time` is in microseconds since 1970, None where the column holds no moment."""

    time: int | None
    request: str | None
    account: str | None
    action: str | None
    resource: str | None
    decision: str | None
    subject: bytes | None
    change: str | None
    names: "tuple[Name, ...]" = ()

    def agree(self, members: "Members") -> bool:
        return (
            (self.time, self.request, self.account, self.action, self.resource, self.decision) == (members.time, *members.texts)
            and (None if self.subject is None else self.subject.hex()) == members.subject
            and self.change == (None if members.changes is None else "\n".join(members.changes))
            and self.names == tuple(Name(subject, class_, count, members.time) for subject, class_, count in members.subjects)
        )


@dataclass(frozen=True, slots=True)
class Name:
    """A row beside an entry that concerns several subjects. `subject` is in hexadecimal, `time` as in `Columns`."""

    subject: str | None
    class_: str | None
    count: int | None
    time: int | None


@dataclass(frozen=True, slots=True)
class Members:
    """What is read of an entry. `texts` are those of `_TEXTS`, in that order; `time` is in microseconds since 1970."""

    stream: int
    seq: int
    time: int
    texts: tuple[str, ...]
    subject: str | None
    changes: list[str] | None
    subjects: list[tuple[str, str, int]]


def read_entry(body: bytes) -> Members:
    """Raises `Unreadable`."""
    members = read_object(body, {"v", "stream", "seq", "time", "subject", "changes", "subjects", *_TEXTS})
    if read_number(members.get("v"), LARGEST_SIZE) != 1:
        raise Unreadable
    subject, changes = members.get("subject"), members.get("changes")
    if changes is not None and not isinstance(changes, list):
        raise Unreadable
    return Members(
        read_number(members.get("stream"), LARGEST_STREAM),
        read_number(members.get("seq"), LARGEST_SIZE),
        _microseconds(read_text(members.get("time"))),
        tuple(read_text(members.get(name)) for name in _TEXTS),
        None if subject is None else read_text(subject),
        None if changes is None else [read_text(item) for item in changes],
        _subjects(members.get("subjects")),
    )


def _subjects(value: object) -> list[tuple[str, str, int]]:
    """Each with its class, which is empty where there is none, and its number of values."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unreadable
    return [_subject(item) for item in value]


def _subject(item: object) -> tuple[str, str, int]:
    if not isinstance(item, tuple):
        raise Unreadable
    names = [name for name, _ in item if name in ("subject", "class", "count")]
    if len(set(names)) != len(names):
        raise Unreadable
    members = dict(item)
    class_ = members.get("class")
    return read_text(members.get("subject")), "" if class_ is None else read_text(class_), read_number(members.get("count"), LARGEST_SIZE)


def read_object(text: bytes, once: set[str] | None = None) -> dict[str, Any]:
    """One JSON object (RFC 8259) in UTF-8, with none of what Python allows beyond it.

    No member of `once` is there twice, and none at all without `once`. Objects inside it become tuples of pairs. Raises `Unreadable`.
    """
    try:
        pairs = json.loads(text.decode(), object_pairs_hook=tuple, parse_constant=_refuse, parse_int=_short_integer)
    except (ValueError, RecursionError):
        raise Unreadable from None
    if not isinstance(pairs, tuple):
        raise Unreadable
    names = [name for name, _ in pairs if once is None or name in once]
    if len(set(names)) != len(names):
        raise Unreadable
    return dict(pairs)


def read_number(value: object, largest: int) -> int:
    """A whole number that fits into a word with a sign. Raises `Unreadable`."""
    if type(value) is not int or not -largest - 1 <= value <= largest:
        raise Unreadable
    return value


def read_text(value: object) -> str:
    """Raises `Unreadable` for half a pair of surrogates, too, which is no text."""
    if not isinstance(value, str):
        raise Unreadable
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unreadable from None
    return value


def _microseconds(time: str) -> int:
    found = _TIME.fullmatch(time)
    if found is None:
        raise Unreadable
    date, clock, fraction, offset = found.groups()
    try:
        since = datetime.fromisoformat(f"{date}T{clock}{offset.upper()}") - _EPOCH
    except (ValueError, OverflowError):
        raise Unreadable from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + int(f"{fraction or '':0<6}"[:6])


def _short_integer(digits: str) -> int | float:
    """Longer ones are no number that is read, and Python refuses to make them."""
    return int(digits) if len(digits) <= 20 else float(digits)


def _refuse(_: str) -> None:
    raise Unreadable
