"""What the duel of the verifiers needs: a real ledger, what damages it, and what compares two verdicts."""

import json
import os
import pathlib
import random
import subprocess

import psycopg
from asking import client_of
from goldfin_server import Server, binary, clean_environment
from ledger_mutants import Ledger, settle

from goldfin_ledger import CannotVerify
from goldfin_ledger.chain import LedgerKeys, read_unseal_key
from goldfin_ledger.database import Database
from goldfin_ledger.verify import Report

# Fixed, so that a change does not fail for luck; other seeds and more rounds look for more.
SEED = int(os.environ.get("GOLDFIN_DUEL_SEED", "20261121"))
ROUNDS = int(os.environ.get("GOLDFIN_DUEL_ROUNDS", 1))
STREAMS = 400


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
