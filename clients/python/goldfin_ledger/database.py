"""A ledger where goldfin wrote it. One snapshot, read only, through server-side cursors; only tables that the format names."""

from collections.abc import Iterator
from itertools import count

import psycopg
from psycopg.conninfo import conninfo_to_dict

from . import CannotVerify
from .chain import SealRow
from .entries import Columns, Name
from .verify import Entry, Head, Report, Stored, StreamCheck, Trust, Verdict, report

ROWS_AT_ONCE = 1_000

_ENTRIES = """
    SELECT seq, pg_catalog.convert_to(body, 'UTF8'), mac,
           CASE WHEN time >= '0001-01-01 00:00:00Z' AND time < '10000-01-01 00:00:00Z'
                THEN (EXTRACT(epoch FROM time) * 1000000)::bigint END,
           request::text, account, action, resource, decision, subject, change
    FROM ledger_entry WHERE stream = %s ORDER BY seq"""
_NAMES = """
    SELECT seq, encode(subject, 'hex'), class, count,
           CASE WHEN time >= '0001-01-01 00:00:00Z' AND time < '10000-01-01 00:00:00Z'
                THEN (EXTRACT(epoch FROM time) * 1000000)::bigint END
    FROM ledger_subject WHERE stream = %s ORDER BY seq, subject, class"""
_CHECKPOINTS = "SELECT size, root, pg_catalog.convert_to(note, 'UTF8') FROM ledger_checkpoint WHERE stream = %s ORDER BY size"
_STREAMS = """
    WITH RECURSIVE entries (stream) AS (
        SELECT min(stream) FROM ledger_entry
        UNION SELECT (SELECT min(e.stream) FROM ledger_entry e WHERE e.stream > entries.stream) FROM entries WHERE stream IS NOT NULL
    ), names (stream) AS (
        SELECT min(stream) FROM ledger_subject
        UNION SELECT (SELECT min(n.stream) FROM ledger_subject n WHERE n.stream > names.stream) FROM names WHERE stream IS NOT NULL
    )
    SELECT stream FROM entries WHERE stream IS NOT NULL
    UNION SELECT stream FROM names WHERE stream IS NOT NULL
    UNION SELECT stream FROM ledger_head UNION SELECT stream FROM ledger_checkpoint"""


class Database:
    """Raises `CannotVerify` for whatever keeps it from reading."""

    def __init__(self, url: str) -> None:
        try:
            if "password" in conninfo_to_dict(url):
                raise CannotVerify("the URL holds a password, which everyone on this host can see; put it into ~/.pgpass or PGPASSWORD")
            self._connection = psycopg.connect(url, client_encoding="UTF8")
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True
            # An auditor's login, to which the tables are closed, finds views of the same names.
            may_read = "SELECT coalesce(has_table_privilege(to_regclass('public.ledger_entry'), 'SELECT'), true)"
            (is_open,) = self._connection.execute(may_read).fetchone() or (True,)
            self._connection.execute("SET search_path = public" if is_open else "SET search_path = auditing, public")
        except psycopg.Error as error:
            raise _unreadable(error) from None
        self._cursors = count()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def seal(self) -> SealRow:
        try:
            rows = self._connection.execute("SELECT generation, wrapped_root, wrapped_barrier FROM seal").fetchall()
        except psycopg.Error as error:
            raise _unreadable(error) from None
        if len(rows) != 1:
            raise CannotVerify("this database has no seal; it was never initialised")
        return SealRow(*rows[0])

    def verify(self, trust: Trust) -> Report:
        try:
            streams = {row[0] for row in self._connection.execute(_STREAMS)}
            if None in streams:
                raise CannotVerify("the database holds a stream without a number")
            heads: dict[int, Head] = {}
            for stream, seq, mac in self._connection.execute("SELECT stream, seq, mac FROM ledger_head"):
                if stream in heads or seq is None:
                    raise CannotVerify("table ledger_head has two rows of a stream, or one without a number")
                heads[stream] = Head(seq, mac or b"")
            return report(
                [self._stream(stream, trust, heads.get(stream), stream in streams) for stream in streams | set(trust.checkpoints)]
            )
        except psycopg.Error as error:
            raise _unreadable(error) from None

    def _stream(self, stream: int, trust: Trust, head: Head | None, known: bool) -> Verdict:
        check = StreamCheck(stream, trust, self._checkpoints(stream))
        names = Beside(self._names(stream))
        for entry in self._entries(stream, names):
            check.add(entry)
            if check.is_bad:
                break
        return check.finish(head, head_missing=known and head is None, named_beyond=names.left)

    def _entries(self, stream: int, names: "Beside") -> Iterator[Entry]:
        with self._connection.cursor(name=f"goldfin_verify_{next(self._cursors)}") as cursor:
            cursor.itersize = ROWS_AT_ONCE
            for seq, body, mac, *columns in cursor.execute(_ENTRIES, (stream,)):
                repeated = Columns(*columns, names=names.of(seq))
                yield Entry(seq, None if mac is None else body, mac or b"", columns=repeated)

    def _names(self, stream: int) -> Iterator[tuple[int | None, Name]]:
        with self._connection.cursor(name=f"goldfin_verify_{next(self._cursors)}") as cursor:
            cursor.itersize = ROWS_AT_ONCE
            for seq, *name in cursor.execute(_NAMES, (stream,)):
                yield seq, Name(*name)

    def _checkpoints(self, stream: int) -> Iterator[Stored]:
        with self._connection.cursor(name=f"goldfin_verify_{next(self._cursors)}") as cursor:
            cursor.itersize = ROWS_AT_ONCE
            for size, root, note in cursor.execute(_CHECKPOINTS, (stream,)):
                yield Stored(size or 0, root or b"", note or b"")


class Beside:
    """The names beside entries, handed out as the entries come. One without a number is behind them all."""

    def __init__(self, names: Iterator[tuple[int | None, Name]]) -> None:
        self._names = names
        self._next = next(names, None)

    @property
    def left(self) -> bool:
        return self._next is not None

    def of(self, seq: int | None) -> tuple[Name, ...]:
        found = []
        while seq is not None and self._next is not None and self._next[0] is not None and self._next[0] <= seq:
            found.append(self._next[1])
            self._next = next(self._names, None)
        return tuple(found)


def _unreadable(error: psycopg.Error) -> CannotVerify:
    first = str(error).strip().partition("\n")[0]
    return CannotVerify(f"the database cannot be read: {first}")
