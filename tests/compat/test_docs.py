"""What the documents tell a reader to type, typed."""

import pathlib
import re
import signal
import socket
import subprocess
import time

from asking import client_of
from goldfin_server import REPOSITORY, binary, clean_environment


def block(file: str, kind: str, holding: str) -> str:
    text = (REPOSITORY / file).read_text()
    return next(found for found in re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) if holding in found)


def test_the_tour_of_the_readme(own_server, tmp_path):
    server = own_server()
    tour = (REPOSITORY / "README.md").read_text().partition("## A tour")[2].partition("\n\n")[2].partition("\n\n")[0]
    lines = [line.strip() for line in tour.splitlines()]
    assert lines[1].startswith("goldfin dev") and lines[-1] == "kill %1"
    script = "set -euo pipefail\n" + "\n".join(lines[3:-1])
    assert script.count("goldfin ") > 6
    path = tmp_path / "bin"
    path.mkdir()
    (path / "goldfin").symlink_to(binary())
    environment = clean_environment() | server.environment
    environment["PATH"] = f"{path}:{environment['PATH']}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "202-555-0142" in done.stdout and "pii_" in done.stdout and "sound" in done.stdout


def test_the_documented_configuration_runs_a_second_node(own_server, tmp_path):
    server = own_server()
    certs = pathlib.Path(server.ca).parent
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    text = block("docs/getting-started.md", "toml", "[limits]")
    given = {
        "address": f'"{address}"',
        "certificate": f'"{certs / "server.pem"}"',
        "key": f'"{certs / "server.key"}"',
        "client_ca": f'"{server.ca}"',
        "host": f'"{(server.postgresql / "cluster/postmaster.pid").read_text().splitlines()[4]}"',
        "key_file": f'"{server.folder / "unseal.key"}"',
        "ship": f'"{tmp_path / "ledger.ndjson"}"',
        "ship_position": f'"{tmp_path / "shipped"}"',
        "archive": f'"{tmp_path}"',
    }
    # What would have to be somewhere else: other certificates, a witness.
    absent = ("client_crls", "password_file", "ca", "public", "witness_of", "url")
    lines, section = [], ""
    for line in text.splitlines():
        section = line.split("]")[0] if line.startswith("[") else section
        found = re.match(r"(?:# )?([a-z_]+) = (.*)", line)
        if not found:
            lines.append(line)
        elif found[1] in absent or (section in ("[database", "[ledger") and found[1] in ("certificate", "key")):
            continue
        else:
            lines.append(f"{found[1]} = {given.get(found[1], found[2])}")
    config = tmp_path / "goldfin.toml"
    config.write_text("\n".join(lines))
    command = [binary(), "server", "--config", str(config)]
    checked = subprocess.run([*command, "check"], capture_output=True, text=True, env=clean_environment())
    assert checked.returncode == 0, checked.stderr

    log = (tmp_path / "second.log").open("w+")
    second = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=clean_environment())
    try:
        first_client = client_of(server, server.root_token)
        token = first_client.auth.token.create(policies=["service"])["auth"]["client_token"]
        server.address, first_address = f"https://{address}", server.address
        client = client_of(server, token)
        wait_for(lambda: reachable(client))
        assert client.is_authenticated(), "a token of one node is good on the other"
        first_client.auth.token.revoke(token)
        wait_for(lambda: not client.is_authenticated())
        server.address = first_address
        assert server.cli("audit", "verify").returncode == 0
        assert len(server.psql("SELECT DISTINCT stream FROM ledger_entry")) == 2
    finally:
        second.send_signal(signal.SIGTERM)
        code = second.wait(30)
    log.seek(0)
    assert code == 0, log.read()


def reachable(client) -> bool:
    try:
        return not client.sys.is_sealed()
    except OSError:
        return False


def wait_for(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
