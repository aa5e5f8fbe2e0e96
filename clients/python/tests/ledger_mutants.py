"""Ledgers of a test's own, made of real entries under the real keys, and what a hand with SQL or an editor could do to them."""

import base64
import json
import random
from dataclasses import dataclass, field, replace

from goldfin_ledger.chain import LedgerKeys, chain_mac
from goldfin_ledger.tree import Tree, leaf_hash

COLUMNS = ("time", "request", "account", "action", "resource", "decision", "subject", "change")
STRANGER = bytes(range(32))


@dataclass
class Row:
    """An entry as a database or an archive holds it; its parts can be changed apart from each other."""

    stream: int
    seq: int
    body: bytes
    mac: bytes
    leaf: bytes
    columns: dict[str, str | None]
    names: list[tuple[str | None, str | None, int | None]] = field(default_factory=list)
    nulls: frozenset[str] = frozenset()


@dataclass
class Note:
    stream: int
    size: int
    root: bytes
    note: bytes


@dataclass
class Ledger:
    """One stream. `known` is the verdict that a verifier with the MAC key must reach: (outcome, seq)."""

    stream: int
    rows: list[Row]
    notes: list[Note]
    head: tuple[int, bytes] | None
    keys: LedgerKeys = field(repr=False)
    known: tuple[str, int | None] | None = ("sound", None)
    beyond: list[tuple[int, str, str, int]] = field(default_factory=list)


def columns_of(body: bytes) -> dict[str, str | None]:
    members = json.loads(body)
    subject, changes = members.get("subject"), members.get("changes")
    return {
        "time": members["time"],
        "request": members["request_id"],
        **{name: members[name] for name in ("account", "action", "resource", "decision")},
        "subject": None if subject is None else "\\x" + subject,
        "change": None if changes is None else "\n".join(changes),
    }


def names_of(body: bytes) -> list[tuple[str | None, str | None, int | None]]:
    return [(each["subject"], each.get("class") or "", each["count"]) for each in json.loads(body).get("subjects", [])]


def with_subjects(body: bytes, rng: random.Random) -> bytes:
    """As of an entry that concerns several: sorted by subject and class."""
    several = {(rng.randbytes(32).hex(), rng.choice(["", "dob", "ssn"])) for _ in range(rng.randrange(1, 4))}
    items = [{"subject": subject} | ({"class": class_} if class_ else {}) | {"count": rng.randrange(1, 9)} for subject, class_ in sorted(several)]
    return body[:-1] + b',"subjects":%b}' % json.dumps(items, separators=(",", ":")).encode()


def sign(keys: LedgerKeys, stream: int, size: int, root: bytes) -> bytes:
    origin = f"{keys.public.log_id}/{stream}"
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    value = keys.public.key_id(origin) + keys.signer.sign(text.encode())
    return f"{text}\n\u2014 {origin} {base64.b64encode(value).decode()}\n".encode()


def settle(bodies: list[bytes], stream: int, rng: random.Random, keys: LedgerKeys) -> Ledger:
    """A sound ledger of `stream` with these entries, and checkpoints of some sizes."""
    rows, notes, tree, before = [], [], Tree(), b""
    sizes = set(rng.sample(range(1, len(bodies) + 1), k=min(len(bodies), rng.randrange(6))))
    for seq, old in enumerate(bodies, 1):
        body = b'{"v":1,"stream":%d,"seq":%d,%b' % (stream, seq, old[old.index(b'"time":') :])
        if rng.random() < 0.2 and b'"subjects":' not in body:
            body = with_subjects(body, rng)
        leaf = leaf_hash(body)
        before = chain_mac(keys.mac, stream, seq, before, leaf)
        rows.append(Row(stream, seq, body, before, leaf, columns_of(body), names_of(body)))
        tree.add(leaf)
        if seq in sizes:
            notes.append(Note(stream, seq, tree.root(), sign(keys, stream, seq, tree.root())))
    return Ledger(stream, rows, notes, (len(rows), before), keys)


def position(ledger: Ledger, rng: random.Random) -> int:
    """The first, a middle, the last or any: an index of a row."""
    count = len(ledger.rows)
    return rng.choice([0, count // 2, count - 1, rng.randrange(count), rng.randrange(count)])


def rechain(ledger: Ledger, first: int, key: bytes) -> None:
    """New MACs from row `first`, as whoever has `key` makes them."""
    before = ledger.rows[first - 1].mac if first else b""
    for row in ledger.rows[first:]:
        row.mac = before = chain_mac(key, row.stream, row.seq, before, row.leaf)
    ledger.head = (ledger.rows[-1].seq, before)


def edit(ledger: Ledger, rng: random.Random) -> None:
    """Another word, and whatever of leaf, columns and chain the editor thought of."""
    at = position(ledger, rng)
    row = ledger.rows[at]
    old, new = rng.choice(
        [(b'"granted"', b'"denied"'), (b'"root"', b'"toor"'), (b'"status":2', b'"status":4'), (b'"v":1', b'"v":2'), (b"}", b',"x":1}')]
    )
    body = row.body.replace(old, new, 1)
    if body == row.body:
        body = row.body[:-1] + b',"x":1}'
    row.body = body
    if rng.random() < 0.7:
        row.leaf = leaf_hash(body)
    if rng.random() < 0.7:
        row.columns = columns_of(body)
    ledger.known = ("tampered", row.seq)
    if rng.random() < 0.3:
        rechain(ledger, at, STRANGER)
    elif rng.random() < 0.3:
        rechain(ledger, at, ledger.keys.mac)
        ledger.known = None


def flip_body(ledger: Ledger, rng: random.Random) -> None:
    row = ledger.rows[position(ledger, rng)]
    while True:
        changed = bytearray(row.body)
        changed[rng.randrange(5, len(changed))] ^= 1 << rng.randrange(8)
        if 0 in changed or 10 in changed:
            continue
        try:
            changed.decode()
        except UnicodeDecodeError:
            continue
        break
    row.body = bytes(changed)
    if rng.random() < 0.8:
        row.leaf = leaf_hash(row.body)
    ledger.known = ("tampered", row.seq)


def flip_digest(ledger: Ledger, rng: random.Random) -> None:
    row, bit = ledger.rows[position(ledger, rng)], 1 << rng.randrange(256)
    member = rng.choice(["mac", "leaf"])
    value = int.from_bytes(getattr(row, member), "big") ^ bit
    setattr(row, member, value.to_bytes(32, "big"))
    ledger.known = ("tampered", row.seq) if member == "mac" else None


def delete(ledger: Ledger, rng: random.Random) -> None:
    at, some = position(ledger, rng), rng.choice([1, 1, 1, 2, 5])
    seq, last = ledger.rows[at].seq, at + some >= len(ledger.rows)
    del ledger.rows[at : at + some]
    ledger.known = ("shorter", seq - 1) if last else ("tampered", seq)
    close_gap(ledger, at, rng)


def close_gap(ledger: Ledger, at: int, rng: random.Random) -> None:
    """Sometimes the numbers are made to fit again, in the column and in the bytes."""
    if rng.random() < 0.5 or not ledger.rows[at:]:
        return
    for seq, row in enumerate(ledger.rows[at:], at + 1):
        row.body = row.body.replace(b'"seq":%d,' % row.seq, b'"seq":%d,' % seq, 1)
        row.seq, row.leaf = seq, leaf_hash(row.body)
    if rng.random() < 0.5:
        rechain(ledger, at, STRANGER)
    ledger.known = ("tampered", at + 1)


def insert(ledger: Ledger, rng: random.Random) -> None:
    at = position(ledger, rng)
    body = ledger.rows[at].body.replace(b'"root"', b'"nobody"', 1)
    row = replace(ledger.rows[at], body=body, leaf=leaf_hash(body), columns=columns_of(body), mac=rng.randbytes(32))
    ledger.rows.insert(at, row)
    for later in ledger.rows[at + 1 :]:
        later.body = later.body.replace(b'"seq":%d,' % later.seq, b'"seq":%d,' % (later.seq + 1), 1)
        later.seq, later.leaf = later.seq + 1, leaf_hash(later.body)
    if rng.random() < 0.5:
        rechain(ledger, at, STRANGER)
    ledger.known = ("tampered", at + 1)


def reorder(ledger: Ledger, rng: random.Random) -> None:
    """In an archive the lines change places; in a database that needs the numbers to change, too."""
    if len(ledger.rows) < 2:
        return
    one, other = sorted(rng.sample(range(len(ledger.rows)), 2))
    rows = ledger.rows
    rows[one], rows[other] = rows[other], rows[one]
    rows[one].seq, rows[other].seq = rows[other].seq, rows[one].seq
    if rng.random() < 0.5:
        for row in (rows[one], rows[other]):
            row.body = row.body.replace(b'"seq":%d,' % json.loads(row.body)["seq"], b'"seq":%d,' % row.seq, 1)
            row.leaf = leaf_hash(row.body)
    ledger.known = ("tampered", rows[one].seq)


def duplicate(ledger: Ledger, rng: random.Random) -> None:
    at = position(ledger, rng)
    ledger.rows.insert(at, replace(ledger.rows[at], names=[]))
    ledger.known = ("tampered", ledger.rows[at].seq + 1)


def truncate(ledger: Ledger, rng: random.Random) -> None:
    keep = rng.choice([0, 1, len(ledger.rows) // 2, len(ledger.rows) - 1])
    del ledger.rows[keep:]
    if rng.random() < 0.5 and ledger.rows:
        ledger.head = (keep, ledger.rows[-1].mac)
    if rng.random() < 0.3:
        ledger.notes = [note for note in ledger.notes if note.size <= keep]
    known = max(ledger.head[0], *(note.size for note in ledger.notes), 0)
    ledger.known = ("shorter", keep) if known > keep else ("sound", None)


def fork(ledger: Ledger, rng: random.Random) -> None:
    """Another end, by somebody who has the MAC key; with another's signatures, or none."""
    at = position(ledger, rng)
    for row in ledger.rows[at:]:
        row.body = row.body[:-1] + b',"fork":%d}' % rng.randrange(9)
        row.leaf = leaf_hash(row.body)
    rechain(ledger, at, ledger.keys.mac)
    ledger.known = None
    if rng.random() < 0.3:
        ledger.notes = [note for note in ledger.notes if note.size <= at]
        ledger.known = ("sound", None)


def column(ledger: Ledger, rng: random.Random) -> None:
    """Only a database has them."""
    row = ledger.rows[position(ledger, rng)]
    name = rng.choice(COLUMNS)
    now = row.columns[name]
    changed = {
        "time": [
            "2026-01-31T12:00:00.000000Z",
            "1970-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
            "0001-01-01T00:00:00Z",
            f"{now}"[:-1] + "+01:00",
            f"{now}"[:-2] + "9Z",
        ],
        "request": ["00000000-0000-0000-0000-000000000000"],
        "subject": [None, "\\x", "\\x00", "\\xabcdef"],
        "change": [None, "", "directory", "directory\ndirectory", f"{now or ''}\n"],
    }.get(name, ["", "nobody", f"{now} ", f"{now}".upper(), f"{now}"[:-1]])
    new = rng.choice(changed)
    ledger.known = None if new == now or name == "time" else ("tampered", row.seq)
    row.columns = row.columns | {name: new}


def null(ledger: Ledger, rng: random.Random) -> None:
    """In a column that goldfin always fills."""
    row = ledger.rows[position(ledger, rng)]
    row.nulls = frozenset(rng.sample(["body", "mac", "time", "request", "account", "action", "resource", "decision"], k=rng.choice([1, 1, 2])))
    ledger.known = ("tampered", row.seq)


def name(ledger: Ledger, rng: random.Random) -> None:
    """A row beside an entry: another one, one more, one less, or one with a null."""
    at = position(ledger, rng)
    row = ledger.rows[at]
    extra = (rng.randbytes(32).hex(), "ssn", 1)
    ledger.known = ("tampered", row.seq)
    if not row.names or rng.random() < 0.3:
        row.names = [*row.names, extra]
        return
    place = rng.randrange(len(row.names))
    subject, class_, count = row.names[place]
    changed = rng.choice([extra, (subject, f"{class_}x", count), (subject, class_, count + 1), (None, class_, count), (subject, None, count), (subject, class_, None), None])
    row.names = [each for each in [*row.names[:place], changed, *row.names[place + 1 :]] if each is not None]


def name_beyond(ledger: Ledger, rng: random.Random) -> None:
    """Beside an entry that is not there."""
    ledger.beyond = [(len(ledger.rows) + rng.randrange(1, 9), rng.randbytes(32).hex(), "ssn", 1)]
    ledger.known = ("tampered", len(ledger.rows) + 1)


def name_before(ledger: Ledger, rng: random.Random) -> None:
    ledger.beyond = [(rng.choice([0, -5]), rng.randbytes(32).hex(), "ssn", 1)]
    ledger.known = ("tampered", 1)


def column_number(ledger: Ledger, rng: random.Random) -> None:
    row = ledger.rows[position(ledger, rng)]
    row.seq += rng.choice([-1, 1, 1000, -row.seq, -row.seq - 5])
    ledger.known = None


def head(ledger: Ledger, rng: random.Random) -> None:
    seq, mac = ledger.head
    match rng.randrange(5):
        case 0:
            ledger.head, ledger.known = None, None
        case 1:
            ledger.head, ledger.known = (seq + rng.choice([1, 7]), mac), ("shorter", seq)
        case 2:
            less = seq - rng.randrange(1, seq + 1)
            ledger.head, ledger.known = (less, mac), ("tampered", less + 1)
        case 3:
            ledger.head, ledger.known = (seq, rng.randbytes(32)), ("tampered", seq)
        case 4:
            ledger.head, ledger.known = (seq, bytes([mac[0] ^ 1 << rng.randrange(8)]) + mac[1:]), ("tampered", seq)


def checkpoint(ledger: Ledger, rng: random.Random) -> None:
    ledger.known = None
    if not ledger.notes:
        ledger.notes.append(Note(ledger.stream, 1, bytes(32), sign(ledger.keys, ledger.stream, 1, bytes(32))))
        ledger.known = ("tampered", 1)
        return
    note = rng.choice(ledger.notes)
    beyond = len(ledger.rows) + rng.randrange(1, 9)
    match rng.randrange(9):
        case 0:
            note.size = rng.choice([note.size + 1, beyond, 2**40])
        case 1:
            note.root = rng.randbytes(32)
        case 2:
            changed = bytearray(note.note)
            while True:
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
                if b"\0" not in changed and changed.decode(errors="replace").encode() == changed:
                    break
                changed = bytearray(note.note)
            note.note = bytes(changed)
        case 3:
            ledger.notes.remove(note)
        case 4:
            note.note = sign(ledger.keys, ledger.stream + 1, note.size, note.root)
        case 5:
            note.root = rng.randbytes(32)
            note.note = sign(ledger.keys, ledger.stream, note.size, note.root)
        case 6:
            root = rng.randbytes(32)
            ledger.notes.append(Note(ledger.stream, beyond, root, sign(ledger.keys, ledger.stream, beyond, root)))
            ledger.known = ("shorter", len(ledger.rows))
        case 7:
            ledger.notes.append(replace(note, size=beyond))
            ledger.known = ("tampered", len(ledger.rows) + 1)
        case 8:
            stranger = LedgerKeys.derive(STRANGER)
            forged = sign(stranger, ledger.stream, note.size, note.root).decode()
            note.note = forged.replace(stranger.public.log_id, ledger.keys.public.log_id).encode()


def witness(ledger: Ledger, rng: random.Random) -> None:
    """What a witness adds is nothing bad."""
    for note in ledger.notes:
        note.note += b"\xe2\x80\x94 witness.example " + base64.b64encode(rng.randbytes(76)) + b"\n"


def nothing(ledger: Ledger, rng: random.Random) -> None:
    """The control."""


EVERYWHERE = [
    edit,
    edit,
    flip_body,
    flip_body,
    flip_digest,
    delete,
    insert,
    reorder,
    duplicate,
    truncate,
    fork,
    head,
    checkpoint,
    checkpoint,
    witness,
    nothing,
]
IN_A_DATABASE = [*EVERYWHERE, column, column, column, column_number, null, null, name, name, name_beyond, name_before]


def archive_lines(ledger: Ledger) -> list[bytes]:
    lines = [row.body[:-1] + b',"mac":"%b","leaf":"%b"}\n' % (row.mac.hex().encode(), row.leaf.hex().encode()) for row in ledger.rows]
    for note in ledger.notes:
        members = {"checkpoint": 1, "stream": note.stream, "size": note.size, "root": note.root.hex(), "note": note.note.decode()}
        lines.append(compact(members))
    if ledger.head is not None:
        seq, mac = ledger.head
        lines.append(compact({"head": 1, "stream": ledger.stream, "node": "synthetic", "seq": seq, "mac": mac.hex()}))
    return lines


def compact(members: dict) -> bytes:
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
