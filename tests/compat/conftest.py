"""Clients that people use, unmodified, against a goldfin that is started for them."""

import itertools

import hvac
import pytest
from asking import client_of
from goldfin_server import Server

NUMBERS = itertools.count(1)


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
