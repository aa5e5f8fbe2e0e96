"""The verdicts: one walk along each stream, in O(log n) memory, by the rules of the section "Verdicts" of the format."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from . import CannotVerify
from .chain import chain_mac
from .entries import Columns, Unreadable, read_entry
from .notes import BadNote, Checkpoint, LogKey, read_checkpoint
from .tree import Tree, leaf_hash


class Outcome(Enum):
    """The value is the exit code of a ledger all of whose streams are at best this."""

    SOUND = 0
    TAMPERED = 2
    SHORTER = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """`seq` is the first bad entry of a tampered stream, and the last that is there of a shorter one."""

    stream: int
    outcome: Outcome
    seq: int | None
    entries: int
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    streams: list[Verdict]

    def worst(self) -> Verdict | None:
        """The verdict on the whole: the first tampered stream by number, else the first that is shorter; none when sound."""
        for outcome in (Outcome.TAMPERED, Outcome.SHORTER):
            for verdict in self.streams:
                if verdict.outcome is outcome:
                    return verdict
        return None

    @property
    def exit_code(self) -> int:
        worst = self.worst()
        return worst.outcome.value if worst else 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it is stored. `leaf` is only in an archive, `columns` only in a database; what a damaged row lacks is None."""

    seq: int | None
    body: bytes | None
    mac: bytes
    leaf: bytes | None = None
    columns: Columns | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A checkpoint as it is stored."""

    size: int
    root: bytes
    note: bytes


@dataclass(frozen=True, slots=True)
class Head:
    seq: int
    mac: bytes


@dataclass(frozen=True, slots=True)
class Edge:
    """Where an archive begins: behind entry `size`."""

    size: int
    mac: bytes
    hashes: tuple[bytes, ...]


class Trust:
    """What the caller holds: keys, and checkpoints kept from before. Raises `CannotVerify` when that is nothing, or not of one log."""

    def __init__(self, key: LogKey | None, mac_key: bytes | None = None, checkpoints: Iterable[bytes] = ()) -> None:
        if key is None and mac_key is None:
            raise CannotVerify("a key is missing; give the public key's file, or what opens the MAC key")
        self.key = key
        self.mac_key = mac_key
        self.checkpoints: dict[int, list[Checkpoint]] = {}
        for text in checkpoints:
            try:
                note = self.read(text)
            except BadNote as error:
                raise CannotVerify(f"a trusted checkpoint cannot be used: {error}") from None
            self.checkpoints.setdefault(note.stream, []).append(note)
        for notes in self.checkpoints.values():
            notes.sort(key=lambda note: note.size)

    def read(self, text: bytes) -> Checkpoint:
        """A checkpoint of any stream of this log. Raises `BadNote`."""
        note = read_checkpoint(text)
        if self.key is not None:
            self.key.check(note, note.stream)
        return note

    def read_stored(self, stored: Stored, stream: int) -> Checkpoint:
        """A stored checkpoint whose copied columns agree with it. Raises `BadNote`."""
        note = self.read(stored.note)
        if note.stream != stream:
            raise BadNote("a stored checkpoint is of another stream")
        if (note.size, note.root) != (stored.size, stored.root):
            raise BadNote("the columns of a stored checkpoint are not those of its note")
        return note


class StreamCheck:
    """The walk along one stream. `stored` are its checkpoints by size, and are taken as the walk reaches them."""

    def __init__(self, stream: int, trust: Trust, stored: Iterator[Stored], edge: Edge | None = None) -> None:
        self.stream = stream
        self._trust = trust
        self._stored = stored
        self._next = next(stored, None)
        self._trusted = list(trust.checkpoints.get(stream, ()))
        self._bad: tuple[int, str] | None = None
        self._misplaced = False
        self._tree, self._before = Tree(), b""
        while self._next is not None and self._next.size < 1:
            self._misplaced = True
            self._take()
        if edge is not None:
            self._begin(edge)
        self._good = self.n

    @property
    def n(self) -> int:
        return self._tree.size

    @property
    def is_bad(self) -> bool:
        return self._bad is not None

    def add(self, entry: Entry) -> None:
        """Rules 1 to 6. Once an entry was bad, the others say nothing."""
        if self._bad is not None:
            return
        leaf, why = self._examine(entry)
        if why is not None:
            self._bad = (self.n + 1, why)
            return
        self._tree.add(leaf)
        self._before = entry.mac
        self._compare()

    def add_unreadable(self) -> None:
        if self._bad is None:
            self._bad = (self.n + 1, "the entry cannot be read")

    def finish(self, head: Head | None, head_missing: bool = False, named_beyond: bool = False) -> Verdict:
        """Rules 7 to 12. In an archive a stream may have no head; in a database that is `head_missing`."""
        if head_missing:
            self._bad = (1, "the stream has no head")
        if self._bad is not None:
            return self._verdict(Outcome.TAMPERED, *self._bad)
        longest = max((note.size for note in self._trusted), default=0)
        forged = self._misplaced
        while (stored := self._take()) is not None:
            longest = max(longest, stored.size)
            forged = forged or self._refusal(stored) is not None
        if forged:
            return self._verdict(Outcome.TAMPERED, self.n + 1, "a stored checkpoint beyond the last entry is wrong")
        if longest > self.n:
            return self._verdict(Outcome.SHORTER, self.n, f"a checkpoint is of {longest} entries")
        if head is None:
            return self._verdict(Outcome.SOUND, None, "")
        if self.n < head.seq:
            return self._verdict(Outcome.SHORTER, self.n, f"the head is at entry {head.seq}")
        if self.n > head.seq:
            return self._verdict(Outcome.TAMPERED, head.seq + 1, "there are entries behind the head")
        if self._before != head.mac:
            return self._verdict(Outcome.TAMPERED, self.n, "the MAC of the head is not that of the last entry")
        if named_beyond:
            return self._verdict(Outcome.TAMPERED, self.n + 1, "subjects are named beside an entry that is not there")
        return self._verdict(Outcome.SOUND, None, "")

    def _begin(self, edge: Edge) -> None:
        try:
            self._tree = Tree(edge.size, edge.hashes)
        except ValueError:
            raise CannotVerify(f"the edge of stream {self.stream} is not of the form") from None
        self._before = edge.mac
        root, believed = self._tree.root(), False
        while self._next is not None and self._next.size <= edge.size:
            stored = self._take()
            if stored is not None and stored.size == edge.size:
                believed = believed or (self._refusal(stored) is None and stored.root == root)
        while self._trusted and self._trusted[0].size <= edge.size:
            note = self._trusted.pop(0)
            if note.size < edge.size:
                raise CannotVerify(
                    f"a trusted checkpoint of stream {self.stream} is of a size before the archive; give the part before too"
                )
            if note.root != root:
                raise CannotVerify(f"the edge of stream {self.stream} is not that of the trusted checkpoint")
            believed = True
        if not believed:
            raise CannotVerify(f"the archive begins behind entry {edge.size} of stream {self.stream}; give a checkpoint of that size")

    def _examine(self, entry: Entry) -> tuple[bytes, str | None]:
        seq = self.n + 1
        if entry.seq != seq:
            return b"", "an entry is missing, twice there, or out of order"
        if entry.body is None:
            return b"", "the entry cannot be read"
        try:
            members = read_entry(entry.body)
        except Unreadable:
            return b"", "the entry cannot be read"
        leaf = leaf_hash(entry.body)
        why = None
        if (members.stream, members.seq) != (self.stream, seq):
            why = "the entry is of another place"
        elif self._trust.mac_key is not None and entry.mac != chain_mac(self._trust.mac_key, self.stream, seq, self._before, leaf):
            why = "the MAC is wrong"
        elif entry.leaf is not None and entry.leaf != leaf:
            why = "the hash is not that of the entry"
        elif entry.columns is not None and not entry.columns.agree(members):
            why = "a column is not what the entry says"
        return leaf, why

    def _compare(self) -> None:
        """Rule 6."""
        compared, why, root = False, None, b""
        while self._next is not None and self._next.size == self.n:
            stored = self._take()
            if stored is None:
                break
            compared, root = True, root or self._tree.root()
            why = why or self._refusal(stored) or (None if stored.root == root else "a stored checkpoint is of another tree")
        while self._trusted and self._trusted[0].size == self.n:
            compared, root = True, root or self._tree.root()
            if self._trusted.pop(0).root != root:
                why = why or "a trusted checkpoint is of another tree"
        if why is not None:
            self._bad = (self._good + 1, why)
        elif compared:
            self._good = self.n

    def _refusal(self, stored: Stored) -> str | None:
        try:
            self._trust.read_stored(stored, self.stream)
        except BadNote as error:
            return str(error)
        return None

    def _take(self) -> Stored | None:
        taken, self._next = self._next, next(self._stored, None) if self._next is not None else None
        return taken

    def _verdict(self, outcome: Outcome, seq: int | None, why: str) -> Verdict:
        return Verdict(self.stream, outcome, seq, self.n, why)


def report(verdicts: Sequence[Verdict]) -> Report:
    """Raises `CannotVerify` when there is no stream at all."""
    if not verdicts:
        raise CannotVerify("there is no ledger here")
    return Report(sorted(verdicts, key=lambda verdict: verdict.stream))
