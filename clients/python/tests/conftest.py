"""The package beside this folder, and the server of the other suite, are found without being installed."""

import pathlib
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]

sys.path[:0] = [str(REPOSITORY / "clients" / "python"), str(REPOSITORY / "tests" / "compat")]


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """A goldfin that did something, for the duels of the verifiers."""
    from duel import Real

    made = Real(tmp_path_factory.mktemp("duel"))
    yield made
    made.server.stop()
