"""Two verifiers, one format: goldfin's and this one reach the same verdict on every ledger, sound or not (SEC-87).

The entries are those of a real server, and so are the keys. One archive or database holds hundreds of streams, each damaged in its own
way, so that one run of goldfin judges them all. GOLDFIN_DUEL_SEED repeats a run that failed (as far as the server does),
GOLDFIN_DUEL_ROUNDS makes it longer.
"""

import gzip
import json
import os
import pathlib
import random
import re
import subprocess

import psycopg
import pytest
from asking import client_of
from goldfin_server import Server, binary, clean_environment
from ledger_mutants import COLUMNS, EVERYWHERE, IN_A_DATABASE, Ledger, Note, archive_lines, compact, settle, sign, with_subjects
from pruned_mutants import ARCHIVE_COLUMNS, OF_PRUNED, Pruned, edge_hashes, tree_root

from goldfin_ledger import CannotVerify
from goldfin_ledger.archive import verify_archive
from goldfin_ledger.chain import LedgerKeys, read_unseal_key
from goldfin_ledger.database import Database
from goldfin_ledger.notes import LogKey
from goldfin_ledger.server import Server as Asked
from goldfin_ledger.tree import Tree, leaf_hash
from goldfin_ledger.verify import Outcome, Report, Trust

# Fixed, so that a change does not fail for luck; other seeds and more rounds look for more.
SEED = int(os.environ.get("GOLDFIN_DUEL_SEED", "20261121"))
ROUNDS = int(os.environ.get("GOLDFIN_DUEL_ROUNDS", 1))
STREAMS = 400
ARCHIVES = 6 * ROUNDS
DATABASES = 2 * ROUNDS
SINGLE = 200 * ROUNDS


class Real:
    """A goldfin that did something, and what its ledger then was."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.server = Server(folder)
        self.folder = folder
        busy(self.server)
        self.key_file = folder / "ledger.key"
        self.key_file.write_text(self.server.cli("audit", "key").stdout)
        self.unseal_file = pathlib.Path(self.server.environment["GOLDFIN_UNSEAL_KEYS_FILE"])
        postmaster = (self.server.postgresql / "cluster" / "postmaster.pid").read_text().splitlines()
        self.place = f"?host={postmaster[4]}&port={postmaster[3]}"
        self.url = self.url_of("goldfin")
        with Database(self.url) as database:
            self.keys: LedgerKeys = database.seal().open(read_unseal_key(self.unseal_file.read_text()))
        with psycopg.connect(self.url) as connection:
            self.bodies = [row[0].encode() for row in connection.execute("SELECT body FROM ledger_entry ORDER BY seq")]
            self.notes = connection.execute("SELECT size, root, note FROM ledger_checkpoint ORDER BY size").fetchall()

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@localhost/{database}{self.place}"

    def goldfin(self, *arguments: str) -> tuple[int, dict[int, tuple[str, int | None]]]:
        """Exit code, and the verdict of each stream."""
        command = [binary(), "audit", "verify", "--format", "json", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=60)
        assert done.returncode in (0, 2, 3, 4), done.stderr
        streams = json.loads(done.stdout)["streams"] if done.returncode in (0, 2, 3) else []
        return done.returncode, {each["stream"]: (each["verdict"], each["seq"]) for each in streams}


def busy(server: Server) -> None:
    """Some hundred requests of all sorts: granted, denied, malformed, with subjects and with changes."""
    root, nobody = client_of(server, server.root_token), client_of(server, "hvs.synthetic-unknown")
    rng = random.Random(87)
    for number in range(160):
        path = f"secret/data/duel/{rng.randrange(9)}"
        try:
            match rng.randrange(6):
                case 0 | 1:
                    root.write_data(path, data={"data": {"synthetic": "\u00e4\u2603" * number}})
                case 2:
                    root.read(path)
                case 3:
                    nobody.read(path)
                case 4:
                    root.read(f"no/such/{chr(0x400 + number)}")
                case 5:
                    root.auth.token.revoke(root.auth.token.create(policies=["nothing"])["auth"]["client_token"])
        except Exception as error:  # noqa: BLE001
            if "hvac" not in type(error).__module__:
                raise


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    made = Real(tmp_path_factory.mktemp("duel"))
    yield made
    made.server.stop()


def mine(verify) -> tuple[int, dict[int, tuple[str, int | None]]]:
    try:
        report: Report = verify()
    except CannotVerify:
        return 4, {}
    return report.exit_code, {each.stream: (each.outcome.name.lower(), each.seq) for each in report.streams}


def damaged(real: Real, mutations, seed: int) -> list[tuple[str, Ledger]]:
    rng = random.Random(seed)
    ledgers = []
    for at in range(STREAMS):
        first, length = rng.randrange(len(real.bodies) - 30), rng.randrange(1, 30)
        ledger = settle(real.bodies[first : first + length], 1000 + 17 * at, rng, real.keys)
        mutation = rng.choice(mutations)
        mutation(ledger, rng)
        ledgers.append((mutation.__name__, ledger))
    return ledgers


def differences(ours, theirs, ledgers, trust_mac: bool) -> list[str]:
    names = {ledger.stream: (name, ledger.known) for name, ledger in ledgers}
    found = [
        f"{names.get(stream)}: stream {stream}: python {ours[1].get(stream)}, goldfin {theirs[1].get(stream)}"
        for stream in sorted(ours[1].keys() | theirs[1].keys())
        if ours[1].get(stream) != theirs[1].get(stream)
    ]
    if ours[0] != theirs[0]:
        found.append(f"exit codes: python {ours[0]}, goldfin {theirs[0]}")
    if trust_mac:
        for stream, (name, known) in names.items():
            said = ours[1].get(stream)
            if known is not None and said is not None and said != known:
                found.append(f"{name}: stream {stream}: both say {said}, and it was {known}")
    return found


def test_the_real_ledger_is_sound_by_both_and_its_notes_can_be_made_again(real):
    tree, roots = Tree(), {}
    for body in real.bodies:
        tree.add(leaf_hash(body))
        roots[tree.size] = tree.root()
    for size, root, note in real.notes:
        assert root == roots[size] and note.encode() == sign(real.keys, 1, size, root)
    assert LogKey.read(real.key_file.read_text()).public == real.keys.public.public
    for trust in (Trust(real.keys.public), Trust(real.keys.public, real.keys.mac), Trust(None, real.keys.mac)):
        with Database(real.url) as database:
            assert database.verify(trust).exit_code == 0
    assert real.goldfin("--database", real.url, "--mac-key", str(real.unseal_file))[0] == 0


def test_an_auditors_login_verifies_through_views(real):
    url = real.url.replace("postgres@", "goldfin_auditor@")
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT seq FROM ledger_entry")
    for trusted in ([], [note.encode() for _, _, note in real.notes]):
        with Database(url) as database:
            assert database.verify(Trust(real.keys.public, None, trusted)).exit_code == 0
    with Database(url) as database, pytest.raises(CannotVerify):
        database.seal()
    assert real.goldfin("--database", url, "--public-key", str(real.key_file))[0] == 0


@pytest.mark.parametrize("number", range(ARCHIVES))
def test_archives(real, tmp_path, number):
    ledgers = damaged(real, EVERYWHERE, SEED + number)
    lines = [archive_lines(ledger) for _, ledger in ledgers]
    rng = random.Random(SEED - number)
    if number % 2:
        mixed = []
        while lines:
            part = rng.choice(lines)
            mixed.append(part.pop(0)) if part else lines.remove(part)
    else:
        mixed = [line for part in lines for line in part]
    archive = tmp_path / "ledger.ndjson"
    # The first entry of an archive has to be readable: one that is not would end it all with 4.
    sound = archive_lines(settle(real.bodies[:3], 999, rng, real.keys))
    archive.write_bytes(b"".join(sound + mixed))
    for arguments, trust in (
        (["--public-key", str(real.key_file)], Trust(real.keys.public)),
        (["--mac-key", str(real.unseal_file), "--seal", real.url], Trust(real.keys.public, real.keys.mac)),
    ):
        theirs = real.goldfin("--archive", str(archive), *arguments)
        ours = mine(lambda: verify_archive(archive, trust))  # noqa: B023
        assert not differences(ours, theirs, ledgers, False), f"GOLDFIN_DUEL_SEED={SEED}"
        assert len(ours[1]) > STREAMS * 0.9 and len({verdict for verdict, _ in ours[1].values()}) == 3


def test_every_bit_of_an_entry(real, tmp_path):
    """One stream a bit, with the hash made to fit: whether the entry can be read decides between its own place and the checkpoint's."""
    rng, ledgers = random.Random(SEED), []
    at = max(range(1, len(real.bodies) - 1), key=lambda each: b'"changes"' in real.bodies[each])
    bodies = real.bodies[at - 1 : at + 2]
    # With subjects already, or `settle` gives them to some of the streams and not to others.
    if b'"subjects":' not in bodies[1]:
        bodies[1] = with_subjects(bodies[1], rng)
    body = settle(bodies, 100_001, rng, real.keys).rows[1].body
    for bit in range(8 * 5, 8 * len(body)):
        ledger = settle(bodies, 100_001 + bit, rng, real.keys)
        row, changed = ledger.rows[1], bytearray(ledger.rows[1].body)
        changed[bit // 8] ^= 1 << bit % 8
        if changed[bit // 8] == 0x0A:
            continue
        row.body, row.leaf = bytes(changed), leaf_hash(bytes(changed))
        root = tree_root([each.body for each in ledger.rows])
        ledger.notes = [Note(ledger.stream, 3, bytes(32), sign(real.keys, ledger.stream, 3, root))]
        ledgers.append((f"bit {bit % 8} of {body[: bit // 8 + 1].decode()}", ledger))
    archive = tmp_path / "ledger.ndjson"
    archive.write_bytes(b"".join(line for _, ledger in ledgers for line in archive_lines(ledger)))
    theirs = real.goldfin("--archive", str(archive), "--public-key", str(real.key_file))
    ours = mine(lambda: verify_archive(archive, Trust(real.keys.public)))
    assert not differences(ours, theirs, ledgers, False)
    assert {seq for verdict, seq in ours[1].values() if verdict == "tampered"} == {1, 2}


@pytest.fixture(scope="module")
def duel_database(real):
    """A second database with the same tables, without what keeps a vandal out."""
    dumped = subprocess.run(["pg_dump", "--no-owner", "--no-acl", real.url], capture_output=True, env=clean_environment(), check=True)
    with psycopg.connect(real.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE duel")
    url = real.url_of("duel")
    load = ["psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", url]
    subprocess.run(load, input=dumped.stdout, capture_output=True, env=clean_environment(), check=True)
    with psycopg.connect(url) as connection:
        connection.execute("SET client_min_messages = error")
        for table, name in connection.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint"
            " WHERE conrelid::regclass::text LIKE 'ledger%' AND contype IN ('c', 'f', 'p', 'u') AND coninhcount = 0"
        ).fetchall():
            connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT IF EXISTS "{name}" CASCADE')
        # Months and what is in none of them have triggers of their own.
        for (table,) in connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND relname LIKE 'ledger%'"
        ).fetchall():
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for table, name in connection.execute(
            "SELECT attrelid::regclass::text, attname FROM pg_attribute WHERE attnotnull AND attnum > 0 AND attrelid IN"
            " ('ledger_entry'::regclass, 'ledger_head'::regclass, 'ledger_checkpoint'::regclass, 'ledger_subject'::regclass,"
            " 'ledger_archive'::regclass, 'ledger_kept'::regclass)"
        ).fetchall():
            connection.execute(f'ALTER TABLE {table} ALTER "{name}" DROP NOT NULL')
    return url


@pytest.mark.parametrize("number", range(DATABASES))
def test_databases(real, duel_database, tmp_path, number):
    ledgers = damaged(real, IN_A_DATABASE, SEED + 1000 + number)
    with psycopg.connect(duel_database) as connection:
        fill(connection, [ledger for _, ledger in ledgers])
    kept, trusted = keep(real, tmp_path, SEED + number)
    for arguments, trust in (
        (["--mac-key", str(real.unseal_file)], Trust(real.keys.public, real.keys.mac)),
        (["--public-key", str(real.key_file)], Trust(real.keys.public)),
        (["--public-key", str(real.key_file), *kept], Trust(real.keys.public, None, trusted)),
        (["--mac-key", str(real.unseal_file), *kept], Trust(real.keys.public, real.keys.mac, trusted)),
    ):
        theirs = real.goldfin("--database", duel_database, *arguments)
        with Database(duel_database) as database:
            ours = mine(lambda: database.verify(trust))  # noqa: B023
        assert not differences(ours, theirs, ledgers, trust.mac_key is not None and not trust.checkpoints), f"GOLDFIN_DUEL_SEED={SEED}"
        assert len(ours[1]) > STREAMS * 0.9 and len({verdict for verdict, _ in ours[1].values()}) == 3


def keep(real: Real, folder: pathlib.Path, seed: int) -> tuple[list[str], list[bytes]]:
    """Checkpoints of some streams that were kept from before, of roots that are hardly theirs."""
    rng, arguments, notes = random.Random(seed), [], []
    for number in range(8):
        note = sign(real.keys, 1000 + 17 * rng.randrange(STREAMS + 3), rng.randrange(1, 40), rng.randbytes(32))
        (path := folder / f"kept-{number}").write_bytes(note)
        arguments += ["--checkpoint", str(path)]
        notes.append(note)
    return arguments, notes


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "0001-01-01 BC", "294276-12-31"])
def test_a_moment_that_no_calendar_has(real, duel_database, moment):
    ledger = settle(real.bodies[:5], 7, random.Random(SEED), real.keys)
    ledger.rows[3].columns["time"] = moment
    with psycopg.connect(duel_database) as connection:
        fill(connection, [ledger])
    with Database(duel_database) as database:
        assert mine(lambda: database.verify(Trust(real.keys.public))) == (2, {7: ("tampered", 4)})
    assert real.goldfin("--database", duel_database, "--public-key", str(real.key_file)) == (2, {7: ("tampered", 4)})


STRANGE = {
    "UPDATE ledger_entry SET body = NULL WHERE seq = 4": (2, 4),
    "UPDATE ledger_entry SET mac = NULL WHERE seq = 4": (2, 4),
    "UPDATE ledger_entry SET account = NULL WHERE seq = 4": (2, 4),
    "UPDATE ledger_entry SET seq = NULL WHERE seq = 4": (2, 4),
    "UPDATE ledger_entry SET stream = NULL WHERE seq = 4": (2, 4),
    "UPDATE ledger_entry SET subject = '' WHERE seq = 4": (2, 4),
    "UPDATE ledger_entry SET time = NULL, request = NULL WHERE seq = 4": (2, 4),
    "INSERT INTO ledger_entry (stream, body) SELECT stream, body FROM ledger_entry WHERE seq = 4": (2, 6),
    "INSERT INTO ledger_entry SELECT * FROM ledger_entry WHERE seq = 5": (2, 6),
    "INSERT INTO ledger_subject (stream, seq) VALUES (7, 4)": (2, 4),
    "INSERT INTO ledger_subject (stream, seq) VALUES (7, 6)": (2, 6),
    "INSERT INTO ledger_subject (stream) VALUES (7)": (2, 6),
    "INSERT INTO ledger_subject (stream, seq) VALUES (9, 1)": (2, 1),
    "INSERT INTO ledger_subject (seq) VALUES (1)": (0, None),
    "UPDATE ledger_head SET mac = NULL": (2, 5),
    "UPDATE ledger_head SET seq = NULL": (4, None),
    "UPDATE ledger_head SET stream = NULL": (4, None),
    "UPDATE ledger_checkpoint SET note = NULL": (2, 1),
    "UPDATE ledger_checkpoint SET root = NULL": (2, 1),
    "UPDATE ledger_checkpoint SET size = NULL": (2, 6),
    "INSERT INTO ledger_checkpoint (stream, size) SELECT stream, size FROM ledger_checkpoint": (2, 1),
    "DELETE FROM ledger_head": (2, 1),
    "DELETE FROM ledger_entry": (3, 0),
    "DELETE FROM ledger_stream": (0, None),
    "INSERT INTO ledger_head VALUES (9, 5, '')": (3, 0),
    "INSERT INTO ledger_head SELECT * FROM ledger_head": (4, None),
    "DELETE FROM ledger_entry; DELETE FROM ledger_head; DELETE FROM ledger_checkpoint; DELETE FROM ledger_subject": (4, None),
}


@pytest.mark.parametrize("sql", STRANGE)
def test_rows_that_no_goldfin_writes(real, duel_database, sql):
    """What somebody can do who may change the tables, too. None of it is sound, but for what a verifier does not read."""
    ledger = settle(real.bodies[:5], 7, random.Random(SEED), real.keys)
    root = tree_root([row.body for row in ledger.rows])
    ledger.notes = [Note(7, 5, root, sign(real.keys, 7, 5, root))]
    with psycopg.connect(duel_database) as connection:
        fill(connection, [ledger])
        connection.execute(sql)
    for arguments, trust in (
        (["--public-key", str(real.key_file)], Trust(real.keys.public)),
        (["--mac-key", str(real.unseal_file)], Trust(real.keys.public, real.keys.mac)),
    ):
        with Database(duel_database) as database:
            code, streams = mine(lambda: database.verify(trust))  # noqa: B023
        assert (code, streams) == real.goldfin("--database", duel_database, *arguments)
        worst = next((seq for verdict, seq in streams.values() if verdict != "sound"), None)
        assert (code, worst) == STRANGE[sql]


def fill(connection: psycopg.Connection, ledgers: list[Ledger]) -> None:
    tables = "ledger_entry, ledger_subject, ledger_head, ledger_checkpoint, ledger_tile, ledger_stream, ledger_archive, ledger_kept"
    connection.execute(f"TRUNCATE {tables}")
    cursor = connection.cursor()
    cursor.execute(
        "INSERT INTO ledger_stream (stream, node) OVERRIDING SYSTEM VALUE SELECT s, s::text FROM unnest(%s::int[]) s",
        ([each.stream for each in ledgers],),
    )
    with cursor.copy(f"COPY ledger_entry (stream, seq, body, mac, {', '.join(COLUMNS)}) FROM STDIN") as copy:
        for ledger in ledgers:
            for row in ledger.rows:
                whole = {"body": row.body.decode(), "mac": row.mac} | {name: row.columns[name] for name in COLUMNS}
                copy.write_row([row.stream, row.seq, *(None if name in row.nulls else value for name, value in whole.items())])
    with cursor.copy("COPY ledger_subject (stream, seq, subject, class, count, time) FROM STDIN") as copy:
        for ledger in ledgers:
            for row in ledger.rows:
                for subject, class_, count in row.names:
                    copy.write_row([row.stream, row.seq, subject and bytes.fromhex(subject), class_, count, row.columns["time"]])
            for seq, subject, class_, count in ledger.beyond:
                copy.write_row([ledger.stream, seq, bytes.fromhex(subject), class_, count, "2026-01-31T12:00:00.000000Z"])
    with cursor.copy("COPY ledger_head (stream, seq, mac) FROM STDIN") as copy:
        for ledger in ledgers:
            if ledger.head is not None:
                copy.write_row([ledger.stream, *ledger.head])
    with cursor.copy("COPY ledger_checkpoint (stream, size, root, note) FROM STDIN") as copy:
        for ledger in ledgers:
            for note in ledger.notes:
                copy.write_row([note.stream, note.size, note.root, note.note.decode()])


@pytest.mark.parametrize("number", range(DATABASES))
def test_databases_whose_older_entries_were_pruned(real, duel_database, tmp_path, number):
    rng, ledgers, all_pruned = random.Random(SEED + 3000 + number), [], []
    for at in range(STREAMS):
        first, length = rng.randrange(len(real.bodies) - 40), rng.randrange(8, 40)
        ledger = settle(real.bodies[first : first + length], 1000 + 17 * at, rng, real.keys)
        pruned = Pruned(ledger, rng)
        mutation = rng.choice(OF_PRUNED)
        mutation(pruned, rng)
        ledgers.append((mutation.__name__, ledger))
        all_pruned.append(pruned)
    with psycopg.connect(duel_database) as connection:
        fill(connection, [ledger for _, ledger in ledgers])
        fill_archives(connection, all_pruned)
    for arguments, trust in (
        (["--mac-key", str(real.unseal_file)], Trust(real.keys.public, real.keys.mac)),
        (["--public-key", str(real.key_file)], Trust(real.keys.public)),
    ):
        theirs = real.goldfin("--database", duel_database, *arguments)
        with Database(duel_database) as database:
            ours = mine(lambda: database.verify(trust))  # noqa: B023
        assert not differences(ours, theirs, ledgers, trust.mac_key is not None), f"GOLDFIN_DUEL_SEED={SEED}"
        assert {verdict for verdict, _ in ours[1].values()} >= {"sound", "tampered"}


def test_a_checkpoint_from_before_the_cut_is_for_the_archives(real, duel_database, tmp_path):
    rng = random.Random(SEED + 5000)
    ledger = settle(real.bodies[:12], 7, rng, real.keys)
    bodies, pruned = [row.body for row in ledger.rows], Pruned(ledger, rng, [5, 8])
    with psycopg.connect(duel_database) as connection:
        fill(connection, [ledger])
        fill_archives(connection, [pruned])
    for size, root, code in [
        (4, tree_root(bodies[:4]), 4),
        (8, bytes(32), 4),
        (8, tree_root(bodies[:8]), 0),
        (9, tree_root(bodies[:9]), 0),
        (9, bytes(32), 2),
        (13, bytes(32), 3),
    ]:
        (path := tmp_path / "kept").write_bytes(note := sign(real.keys, 7, size, root))
        with Database(duel_database) as database:
            ours = mine(lambda: database.verify(Trust(real.keys.public, None, [note])))  # noqa: B023
        theirs = real.goldfin("--database", duel_database, "--public-key", str(real.key_file), "--checkpoint", str(path))
        assert ours == theirs and ours[0] == code, (size, code)


def fill_archives(connection: psycopg.Connection, all_pruned: list[Pruned]) -> None:
    columns = ("stream", *ARCHIVE_COLUMNS)
    with connection.cursor().copy(f"COPY ledger_archive ({', '.join(columns)}) FROM STDIN") as copy:
        for pruned in all_pruned:
            for row in pruned.archives:
                copy.write_row([pruned.ledger.stream, *(row[name] for name in ARCHIVE_COLUMNS)])
    with connection.cursor().copy(f"COPY ledger_kept (stream, seq, body, mac, {', '.join(COLUMNS)}) FROM STDIN") as copy:
        for pruned in all_pruned:
            for row in pruned.kept:
                copy.write_row([row.stream, row.seq, row.body.decode(), row.mac, *(row.columns[name] for name in COLUMNS)])


def test_archives_that_go_on_from_each_other(real, tmp_path):
    """Months of two streams, compressed or not, with a file that is missing, damaged, cut or of another place."""
    rng, found, seen = random.Random(SEED + 4000), [], set()
    for number in range(SINGLE // 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths = []
        for stream in (1, 2):
            ledger = settle(real.bodies[:24], stream, rng, real.keys)
            cuts = sorted({0, 24, *rng.sample(range(1, 24), k=2)})
            for first, last in zip(cuts, cuts[1:], strict=False):
                lines = month_lines(ledger, first, last, rng)
                if rng.random() < 0.2:
                    shake(lines, rng)
                content, name = b"".join(lines), f"{stream}-{first:02}.ndjson"
                if rng.random() < 0.6:
                    content, name = gzip.compress(content, mtime=0), f"{name}.gz"
                    content = spoil(content, rng)
                (folder / name).write_bytes(content)
                paths.append(folder / name)
        gone = rng.random()
        if gone < 0.2:
            paths.remove(rng.choice(paths))
        elif gone < 0.4:
            paths = paths[rng.randrange(len(paths)) :]
        rng.shuffle(paths)
        given = [folder] if rng.random() < 0.3 else paths
        arguments = [part for path in given for part in ("--archive", str(path))]
        theirs = real.goldfin(*arguments, "--public-key", str(real.key_file))
        ours = mine(lambda: verify_archive(given, Trust(real.keys.public)))  # noqa: B023
        seen.add(ours[0])
        if ours != theirs:
            found.append(f"{number}: {[path.name for path in given]}: python {ours}, goldfin {theirs}")
    assert not found, f"GOLDFIN_DUEL_SEED={SEED}\n" + "\n".join(found)
    assert {0, 2, 4} <= seen


def month_lines(ledger: Ledger, first: int, last: int, rng: random.Random) -> list[bytes]:
    """The archive of the entries behind `first` up to `last`."""
    bodies, stream, keys = [row.body for row in ledger.rows], ledger.stream, ledger.keys
    named = {"month": "2012-01", "first": first + 1, "last": last, "key": "synthetic", "node": "synthetic"}
    log = keys.public.log_id if rng.random() < 0.98 else "goldfin/0000000000000000"
    lines = [compact({"archive": 1, "log": log, "stream": stream, **named})]
    hashes = [each.hex() for each in edge_hashes(bodies[:first])]
    mac = ledger.rows[first - 1].mac.hex() if first else ""
    lines.append(compact({"edge": 1, "stream": stream, "size": first, "mac": mac, "hashes": hashes}))
    for size in {first, last} - {0}:
        root = tree_root(bodies[:size])
        note = sign(keys, stream, size, root).decode()
        lines.append(compact({"checkpoint": 1, "stream": stream, "size": size, "root": root.hex(), "note": note}))
    rows = ledger.rows[first:last]
    return lines + [row.body[:-1] + b',"mac":"%b","leaf":"%b"}\n' % (row.mac.hex().encode(), row.leaf.hex().encode()) for row in rows]


def spoil(content: bytes, rng: random.Random) -> bytes:
    what, at = rng.random(), rng.randrange(len(content))
    if what < 0.1:
        return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
    if what < 0.15:
        return content[:at]
    if what < 0.2:
        return content + rng.choice([b"\0" * 20, b"{}\n", content])
    return content


def test_single_archives_damaged_byte_by_byte_and_line_by_line(real, tmp_path):
    """What ends in 4, too: one archive each, some from an edge. A third is compared with a checkpoint that was kept."""
    rng = random.Random(SEED + 2000)
    kept = tmp_path / "kept"
    seen, found = set(), []
    for number in range(SINGLE):
        first, second = settle(real.bodies[:12], 1, rng, real.keys), settle(real.bodies[40:52], 2, rng, real.keys)
        bodies, begin = [row.body for row in first.rows], 0
        if number % 4 == 1 and first.notes:
            begin = rng.choice(first.notes).size
        lines = archive_lines(first)[begin:] + archive_lines(second)
        if begin:
            lines.insert(rng.choice([0, len(lines)]), edge(bodies[:begin], first.rows[begin - 1].mac))
        what = shake(lines, rng)
        archive = write(tmp_path / str(number), lines, rng)
        arguments, trusted = [], []
        if number % 3 == 0 and begin < 12:
            size = rng.randrange(begin + 1, 13)
            root = tree_root(bodies[:size]) if rng.random() < 0.8 else rng.randbytes(32)
            trusted = [sign(real.keys, rng.choice([1, 1, 1, 3]), size, root)]
            kept.write_bytes(trusted[0])
            arguments = ["--checkpoint", str(kept)]
        theirs = real.goldfin("--archive", str(archive), "--public-key", str(real.key_file), *arguments)
        ours = mine(lambda: verify_archive(archive, Trust(real.keys.public, None, trusted)))  # noqa: B023
        seen.add(ours[0])
        if ours != theirs:
            found.append(f"{number}: {what}, from {begin}: python {ours}, goldfin {theirs}")
    assert not found, f"GOLDFIN_DUEL_SEED={SEED}\n" + "\n".join(found)
    assert {0, 2, 4} <= seen


def test_an_edge_does_not_hide_a_checkpoint_that_was_kept(real, tmp_path):
    """Of a size before the edge it cannot be compared; of the edge's own size it contradicts."""
    ledger = settle(real.bodies[:12], 1, random.Random(SEED), real.keys)
    bodies = [row.body for row in ledger.rows]
    ledger.notes = [Note(1, 8, tree_root(bodies[:8]), sign(real.keys, 1, 8, tree_root(bodies[:8])))]
    archive = tmp_path / "ledger.ndjson"
    archive.write_bytes(b"".join([edge(bodies[:8], ledger.rows[7].mac), *archive_lines(ledger)[8:]]))
    for size, root, code in [
        (8, tree_root(bodies[:8]), 0),
        (9, tree_root(bodies[:9]), 0),
        (9, bytes(32), 2),
        (4, tree_root(bodies[:4]), 4),
        (8, bytes(32), 4),
    ]:
        trust = Trust(real.keys.public, None, [sign(real.keys, 1, size, root)])
        assert mine(lambda: verify_archive(archive, trust))[0] == code  # noqa: B023


def edge(bodies: list[bytes], mac: bytes) -> bytes:
    hashes = [each.hex() for each in edge_hashes(bodies)]
    return compact({"edge": 1, "stream": 1, "size": len(bodies), "mac": mac.hex(), "hashes": hashes})


def write(path: pathlib.Path, lines: list[bytes], rng: random.Random) -> pathlib.Path:
    """A file, or a folder of some."""
    if rng.random() < 0.7:
        path.write_bytes(b"".join(lines))
        return path
    path.mkdir()
    cut = rng.randrange(len(lines) + 1)
    (path / "part-10.ndjson").write_bytes(b"".join(lines[:cut]))
    (path / "part-9.ndjson").write_bytes(b"".join(lines[cut:]))
    (path / "notes.txt").write_text("passed over\n")
    return path


def shake(lines: list[bytes], rng: random.Random) -> str:
    at = rng.choice([0, len(lines) // 2, len(lines) - 1, rng.randrange(len(lines))])
    what = rng.choice(["flip", "flip", "flip", "flip", "cut", "remove", "double", "swap", "shuffle", "number", "blank", "nothing"])
    line = bytearray(lines[at])
    match what:
        case "flip":
            line[rng.randrange(len(line))] ^= 1 << rng.randrange(8)
            lines[at] = bytes(line)
        case "cut":
            del lines[at + 1 :]
            lines[at] = bytes(line[: rng.randrange(len(line))])
        case "remove":
            del lines[at]
        case "double":
            lines.insert(at, lines[at])
        case "swap":
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case "shuffle":
            rng.shuffle(lines)
        case "number":
            number = rng.choice([b"0", b"-1", b"01", b"1.0", b"1e0", b"null", b"99999999999999999999", b'"1"', b" 1", b"2"])
            lines[at] = re.sub(
                rb"(?<=[\"{]%b\":)-?\d+" % rng.choice([b"stream", b"seq", b"size", b"v", b"head"]), number, lines[at], count=1
            )
        case "blank":
            lines.insert(at, rng.choice([b"\n", b" \n", b"{}\n", b"[]\n", b"null\n", b"\xff\n", b'{"v":1}\n', b'{"v":\n', b'{"head":1}\n']))
    return f"{what} at {at}"


def test_a_server_shows_the_same(real):
    auth = (real.server.address, pathlib.Path(real.server.ca), real.server.root_token)
    trusted = [note.encode() for _, _, note in real.notes]
    trust, size = Trust(real.keys.public, None, trusted), real.notes[-1][0]
    for proofs_only in (False, True):
        assert Asked(*auth).verify(trust, proofs_only=proofs_only).exit_code == 0
    receipts = [f"1:{seq}:{leaf_hash(real.bodies[seq - 1]).hex()}" for seq in (1, size // 2, size)]
    assert Asked(*auth).verify(trust, receipts).exit_code == 0
    forged = Asked(*auth).verify(trust, [receipts[0], f"1:2:{'0' * 64}"]).worst()
    assert (forged.outcome, forged.seq) == (Outcome.TAMPERED, 2)
    other = Trust(real.keys.public, None, [trusted[0], sign(real.keys, 1, size, bytes(32))])
    longer = Trust(real.keys.public, None, [sign(real.keys, 1, 10**6, bytes(32))])
    for proofs_only in (False, True):
        split = Asked(*auth).verify(other, proofs_only=proofs_only).worst()
        assert (split.outcome, split.seq) == (Outcome.TAMPERED, real.notes[0][0] + 1)
        assert Asked(*auth).verify(longer, proofs_only=proofs_only).exit_code == 3
    stranger = Trust(LedgerKeys.derive(bytes(32)).public)
    assert Asked(*auth).verify(stranger).exit_code == 2
    with pytest.raises(CannotVerify):
        Asked(real.server.address, None, real.server.root_token).verify(trust)
