"""Asking goldfin: as curl does, and as hvac does."""

import json
import subprocess

import hvac
from goldfin_server import Server, clean_environment


class Answer:
    """What curl got."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def request_id(self) -> str:
        return self.headers["x-goldfin-request-id"]

    @property
    def receipt(self) -> str | None:
        return self.headers.get("x-goldfin-receipt")


def curl(server: Server, path: str, *options: str, token: str | None = "root", body=None) -> Answer:
    """One request as curl sends it. `path` begins with a slash; `token` None sends none, "root" the root token."""
    command = ["curl", "--silent", "--show-error", "--include", "--path-as-is", "--cacert", server.ca, "--max-time", "30", "--http1.1"]
    if token is not None:
        command += ["--header", f"X-Vault-Token: {server.root_token if token == 'root' else token}"]
    if body is not None:
        text = body if isinstance(body, (str, bytes)) else json.dumps(body)
        command += ["--data-binary", "@-"]
        stdin = text if isinstance(text, bytes) else text.encode()
    else:
        stdin = b""
    done = subprocess.run([*command, *options, server.address + path], input=stdin, capture_output=True, env=clean_environment())
    assert done.returncode == 0, done.stderr.decode()
    return Answer(done.stdout)


def client_of(server: Server, token: str | None = None) -> hvac.Client:
    return hvac.Client(url=server.address, token=token, verify=server.ca)
