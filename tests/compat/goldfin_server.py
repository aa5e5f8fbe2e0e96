"""A goldfin of the tests' own: started as anyone would start it, and stopped without leaving anything behind."""

import json
import os
import pathlib
import signal
import subprocess
import time
import uuid

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 60


class Server:
    """`goldfin dev --ephemeral`, and what its env file says."""

    def __init__(self, folder: pathlib.Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"goldfin-{uuid.uuid4().hex}.log"
        env_file = folder / f"{self.log.stem}.env"
        command = [binary(), "dev", "--ephemeral", "--listen", "127.0.0.1:0", "--env-file", env_file]
        command += ["--key-shares", "5", "--key-threshold", "3", *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment())
        self._wait_for(env_file)
        self.environment = dict(line.split("=", 1) for line in env_file.read_text().splitlines())
        self.address = self.environment["VAULT_ADDR"]
        self.ca = self.environment["VAULT_CACERT"]
        self.root_token = self.environment["VAULT_TOKEN"]
        self.keys = json.loads(pathlib.Path(self.environment["GOLDFIN_UNSEAL_KEYS_FILE"]).read_text())
        self.folder = pathlib.Path(self.environment["GOLDFIN_UNSEAL_KEYS_FILE"]).parent
        # It may be a link: below /root the server's user could not enter.
        self.postgresql = (self.folder / "postgresql").resolve()

    def _wait_for(self, env_file: pathlib.Path) -> None:
        deadline = time.monotonic() + PATIENCE
        while not env_file.exists():
            if self.process.poll() is not None:
                raise RuntimeError(f"goldfin ended with {self.process.returncode}:\n{self.log.read_text()}")
            if time.monotonic() > deadline:
                self.process.terminate()
                raise RuntimeError(f"goldfin was not ready after {PATIENCE} s:\n{self.log.read_text()}")
            time.sleep(0.02)

    def psql(self, query: str) -> list[list[str]]:
        """Rows of a query, asked as the superuser over the private socket."""
        arguments = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\x1f", "--record-separator=\x1e"]
        # A path that is too long for a socket is replaced by a short one, which the server knows.
        postmaster = (self.postgresql / "cluster" / "postmaster.pid").read_text().splitlines()
        target = f"host={postmaster[4]} port={postmaster[3]} user=postgres dbname=goldfin"
        done = subprocess.run(["psql", *arguments, "--command", query, target], capture_output=True, text=True, env=clean_environment())
        assert done.returncode == 0, done.stderr
        return [row.split("\x1f") for row in done.stdout.rstrip("\n").removesuffix("\x1e").split("\x1e") if row]

    def cli(self, *arguments: str, stdin: str = "", token: str | None = None) -> subprocess.CompletedProcess:
        """The command line, as the holder of `token` (root unless given)."""
        environment = clean_environment() | self.environment | {"VAULT_TOKEN": token or self.root_token}
        return subprocess.run([binary(), *arguments], input=stdin, capture_output=True, text=True, env=environment)

    def stop(self) -> None:
        """SIGTERM; then neither a process nor a file of it may be left."""
        family = descendants(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        said = self.log.read_text()
        assert code == 0, f"goldfin ended with {code}:\n{said}"
        left = [pid for pid, since in family if since and started(pid) == since]
        assert not left, f"the processes {left} outlived goldfin"
        for place in (self.folder, self.postgresql):
            assert not place.exists(), f"{place} was left behind"
            assert not below(place), f"processes still work in {place}"


def binary() -> str:
    return os.environ.get("GOLDFIN_BINARY", str(REPOSITORY / "target" / "debug" / "goldfin"))


def clean_environment() -> dict[str, str]:
    """Without what would lead a client or a server elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("GOLDFIN_", "VAULT_", "PG", "KRB5"))}


def started(pid: int) -> str | None:
    """When a process started, in ticks; none when it is gone. A number alone may be somebody else's by now."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def descendants(pid: int) -> list[tuple[int, str | None]]:
    parents: dict[int, list[int]] = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += [(child, started(child)) for child in children]
        waiting += children
    return found


def below(folder: pathlib.Path) -> list[int]:
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                place = os.readlink(entry / "cwd")
            except OSError:
                continue
            if place.startswith(f"{folder}/"):
                found.append(int(entry.name))
    return found
