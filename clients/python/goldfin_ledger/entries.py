"""Reading the canonical bytes of an entry, and the columns of a database that repeat its members."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .notes import LARGEST_SIZE, LARGEST_STREAM

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_CONTROL = re.compile(rb"[\x00-\x1f]")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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

    def agree(self, members: Mapping[str, Any]) -> bool:
        return (
            self.time is not None
            and self.time == _microseconds(members.get("time"))
            and all(
                _same_text(members.get(member), column)
                for member, column in (
                    ("request_id", self.request),
                    ("account", self.account),
                    ("action", self.action),
                    ("resource", self.resource),
                    ("decision", self.decision),
                )
            )
            and _same_text(members.get("subject"), None if self.subject is None else self.subject.hex())
            and _same_change(members, self.change)
        )


def read_object(text: bytes) -> dict[str, Any]:
    """One JSON object (RFC 8259) in UTF-8, with none of what Python allows beyond it, and no name twice. Raises `Unreadable`."""
    if _CONTROL.search(text):
        raise Unreadable
    try:
        value = json.loads(text.decode(), object_pairs_hook=_without_repetition, parse_constant=_refuse)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Unreadable from None
    if not isinstance(value, dict):
        raise Unreadable
    return value


def read_entry(body: bytes) -> dict[str, Any]:
    """The members of an entry; `stream` and `seq` are numbers that a ledger may have. Raises `Unreadable`."""
    members = read_object(body)
    if not _is_number(members.get("stream"), LARGEST_STREAM) or not _is_number(members.get("seq"), LARGEST_SIZE):
        raise Unreadable
    return members


def is_of_place(members: Mapping[str, Any], stream: int, seq: int) -> bool:
    version = members.get("v")
    return type(version) is int and version == 1 and (members["stream"], members["seq"]) == (stream, seq)


def _is_number(value: object, largest: int) -> bool:
    return type(value) is int and 1 <= value <= largest


def _same_text(member: object, column: str | None) -> bool:
    return column == member if member is None or isinstance(member, str) else False


def _same_change(members: Mapping[str, Any], column: str | None) -> bool:
    if "changes" not in members:
        return column is None
    changes = members["changes"]
    return isinstance(changes, list) and all(isinstance(item, str) for item in changes) and column == "\n".join(changes)


def _microseconds(time: object) -> int | None:
    if not isinstance(time, str) or _TIME.fullmatch(time) is None:
        return None
    try:
        since = datetime.fromisoformat(time) - _EPOCH
    except ValueError:
        return None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Unreadable
    return members


def _refuse(_: str) -> None:
    raise Unreadable
