"""A ledger as a server shows it. Nothing that it says is believed but what the caller's key has signed.

A server can hide what it never showed anybody; it cannot take back a checkpoint that somebody kept.
"""

import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import CannotVerify
from .notes import BadNote, Checkpoint
from .tree import is_consistent, is_included, leaf_hash
from .verify import Entry, Outcome, Report, Stored, StreamCheck, Trust, Verdict, report

PATIENCE = 30
LONGEST_ANSWER = 1 << 28
TILE = 256

_RECEIPT = re.compile(r"([1-9][0-9]{0,9}):([1-9][0-9]{0,18}):([0-9a-f]{64})")


class Server:
    """Raises `CannotVerify` for whatever keeps it from asking."""

    def __init__(self, address: str, ca_cert: Path | None, auth_token: str) -> None:
        self._address = address.rstrip("/")
        if urlsplit(self._address).scheme != "https" or not auth_token or not auth_token.isascii() or not auth_token.isprintable():
            raise CannotVerify("the server is asked over https, with an auth token of printable characters")
        try:
            context = ssl.create_default_context(cafile=ca_cert)
        except OSError:
            raise CannotVerify("the CA certificates cannot be read; give a file of PEM") from None
        # A redirect would hand the auth token to another host.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _NoRedirect()
        )
        self._auth_token = auth_token

    def verify(self, trust: Trust, receipts: Sequence[str] = (), proofs_only: bool = False) -> Report:
        """Every entry below the newest checkpoints, or only that they contain the trusted ones; and the entries of `receipts`."""
        walk = self._prove if proofs_only else self._walk
        notes = self._newest(trust)
        verdicts = {stream: walk(stream, notes.get(stream), trust) for stream in notes.keys() | trust.checkpoints.keys()}
        for receipt in receipts:
            bad = self._check_receipt(receipt, trust)
            known = None if bad is None else verdicts.get(bad.stream)
            if bad is not None and (known is None or known.outcome is not Outcome.TAMPERED or (known.seq or 0) > (bad.seq or 0)):
                verdicts[bad.stream] = bad
        return report(list(verdicts.values()))

    def _newest(self, trust: Trust) -> dict[int, Stored]:
        listed = self._data("checkpoint")
        try:
            return {
                int(each["stream"]): Stored(int(each["size"]), bytes.fromhex(each["root"]), str(each["note"]).encode())
                for each in listed["checkpoints"]
            }
        except (KeyError, TypeError, ValueError):
            raise CannotVerify("the server's list of checkpoints cannot be read") from None

    def _walk(self, stream: int, newest: Stored | None, trust: Trust) -> Verdict:
        check = StreamCheck(stream, trust, iter([newest] if newest else []))
        for body in self._entries(stream, newest.size if newest else 0):
            check.add(Entry(check.n + 1, body, b""))
            if check.is_bad:
                break
        return check.finish(None)

    def _prove(self, stream: int, newest: Stored | None, trust: Trust) -> Verdict:
        """Tampered right behind the last trusted checkpoint that the newest one contains."""
        size = newest.size if newest else 0
        if newest is not None:
            try:
                trust.read_stored(newest, stream)
            except BadNote as error:
                return Verdict(stream, Outcome.TAMPERED, 1, 0, str(error))
        good = 0
        for note in trust.checkpoints.get(stream, ()):
            if newest is None or note.size > size:
                return Verdict(stream, Outcome.SHORTER, size, size, f"a checkpoint is of {note.size} entries")
            path = [] if note.size == size else self._hashes(self._data(f"{stream}/consistency?from={note.size}&to={size}"), "hashes")
            if not is_consistent(note.size, note.root, size, newest.root, path):
                return Verdict(stream, Outcome.TAMPERED, good + 1, good, "the server's checkpoint does not contain the trusted one")
            good = note.size
        return Verdict(stream, Outcome.SOUND, None, size, "")

    def _check_receipt(self, receipt: str, trust: Trust) -> Verdict | None:
        """None when the entry is there, in a tree that the log's key has signed."""
        found = _RECEIPT.fullmatch(receipt)
        if found is None:
            raise CannotVerify("a receipt is STREAM:SEQ:LEAF, as an answer's header says it")
        stream, seq, leaf = int(found[1]), int(found[2]), bytes.fromhex(found[3])
        data = self._data(f"entries/{stream}/{seq}")
        proof = data.get("proof")
        if proof is None:
            raise CannotVerify("no checkpoint covers the receipt's entry yet; ask again in ten seconds")
        try:
            body, text = str(data["body"]).encode(), str(proof["note"]).encode()
        except (KeyError, TypeError):
            raise CannotVerify("the server's proof cannot be read") from None
        try:
            note: Checkpoint = trust.read(text)
        except BadNote as error:
            return Verdict(stream, Outcome.TAMPERED, seq, 0, str(error))
        path = self._hashes(proof, "hashes")
        if note.stream != stream or leaf_hash(body) != leaf or not is_included(leaf, seq - 1, note.size, path, note.root):
            return Verdict(stream, Outcome.TAMPERED, seq, 0, "the receipt's entry is not in the ledger")
        return None

    def _entries(self, stream: int, size: int) -> Iterator[bytes]:
        for first in range(0, size, TILE):
            width = min(TILE, size - first)
            part = "" if width == TILE else f".p/{width}"
            lines = self._ask(f"{stream}/tile/lines/{tile_path(first // TILE)}{part}").split(b"\n")
            if lines.pop() != b"" or len(lines) != width:
                raise CannotVerify("the server's answer is not as many entries as were asked for")
            yield from lines

    def _hashes(self, data: dict[str, Any], member: str) -> list[bytes]:
        try:
            return [bytes.fromhex(each) for each in data[member]]
        except (KeyError, TypeError, ValueError):
            raise CannotVerify("the server's proof cannot be read") from None

    def _data(self, path: str) -> dict[str, Any]:
        try:
            data = json.loads(self._ask(path))["data"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise CannotVerify("the server's answer cannot be read") from None
        if not isinstance(data, dict):
            raise CannotVerify("the server's answer cannot be read")
        return data

    def _ask(self, path: str) -> bytes:
        try:
            request = urllib.request.Request(f"{self._address}/v1/sys/ledger/{path}", headers={"X-Vault-Token": self._auth_token})
            with self._opener.open(request, timeout=PATIENCE) as answer:
                content: bytes = answer.read(LONGEST_ANSWER + 1)
        except urllib.error.HTTPError as error:
            raise CannotVerify(f"the server answered {error.code} for {path.partition('?')[0]}") from None
        except (OSError, HTTPException, ValueError) as error:
            raise CannotVerify(f"the server cannot be asked: {type(error).__name__}: {error}") from None
        if len(content) > LONGEST_ANSWER:
            raise CannotVerify("the server's answer is too long")
        return content


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def tile_path(number: int) -> str:
    """Three digits a part, all but the last behind an x (C2SP tlog-tiles)."""
    parts = [f"{number % 1000:03}"]
    while number := number // 1000:
        parts.append(f"x{number % 1000:03}")
    return "/".join(reversed(parts))
