"""Clients that people use, unmodified, against a goldfin that is started for them."""

import itertools
import json
import subprocess

import hvac
import pytest
from server import Server, clean_environment

NUMBERS = itertools.count(1)


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


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The goldfin that all tests share. Who seals it starts another."""
    running = Server(tmp_path_factory.mktemp("goldfin"))
    yield running
    running.stop()


@pytest.fixture
def own_server(tmp_path):
    """Starts goldfins that a test has for itself."""
    running = []

    def start(*options: str) -> Server:
        running.append(Server(tmp_path, *options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def client_of(server: Server, token: str | None = None) -> hvac.Client:
    return hvac.Client(url=server.address, token=token, verify=server.ca)


@pytest.fixture
def root(server) -> hvac.Client:
    return client_of(server, server.root_token)


@pytest.fixture
def stranger(server) -> hvac.Client:
    client = client_of(server)
    client.token = None
    return client


@pytest.fixture
def fresh():
    """A name that no other test uses."""
    return lambda prefix: f"{prefix}-{next(NUMBERS)}"


@pytest.fixture
def kv(root, fresh) -> str:
    """The path of a new mount of versioned secrets."""
    path = fresh("kv")
    root.sys.enable_secrets_engine("kv", path=path, options={"version": "2"})
    yield path
    root.sys.disable_secrets_engine(path)


@pytest.fixture
def transform(root, fresh) -> str:
    """The path of a new mount of the transform engine."""
    path = fresh("transform")
    root.sys.enable_secrets_engine("transform", path=path)
    yield path
    root.sys.disable_secrets_engine(path)


@pytest.fixture
def group(root, fresh):
    """Puts a policy in force that speaks about the group of its own name, and answers that name."""
    made = []

    def write(permit: str) -> str:
        name = fresh("group")
        root.sys.create_or_update_policy(name, permit.replace("GROUP", f'Group::"{name}"'))
        made.append(name)
        return name

    yield write
    for name in made:
        root.sys.delete_policy(name)


@pytest.fixture
def holder(server, root):
    """A client whose token stands in the groups named."""
    return lambda *groups, **options: client_of(
        server, root.auth.token.create(policies=list(groups), ttl="10m", **options)["auth"]["client_token"]
    )
