"""Two verifiers, one format: goldfin's and this one reach the same verdict on every ledger, sound or not (SEC-87).

The entries are those of a real server, and so are the keys. One archive or database holds hundreds of streams, each damaged in its own
way, so that one run of goldfin judges them all. GOLDFIN_DUEL_SEED repeats a run that failed (as far as the server does),
GOLDFIN_DUEL_ROUNDS makes it longer.
"""

import pathlib
import random
import subprocess

import psycopg
import pytest
from duel import ROUNDS, SEED, STREAMS, Real, damaged, differences, mine
from goldfin_server import clean_environment
from ledger_mutants import COLUMNS, IN_A_DATABASE, Ledger, Note, settle, sign
from pruned_mutants import ARCHIVE_COLUMNS, OF_PRUNED, Pruned, tree_root

from goldfin_ledger import CannotVerify
from goldfin_ledger.chain import LedgerKeys
from goldfin_ledger.database import Database
from goldfin_ledger.notes import LogKey
from goldfin_ledger.server import Server as Asked
from goldfin_ledger.tree import Tree, leaf_hash
from goldfin_ledger.verify import Outcome, Trust

DATABASES = 2 * ROUNDS


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
