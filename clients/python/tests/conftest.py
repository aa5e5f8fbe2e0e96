"""The package beside this folder, and the server of the other suite, are found without being installed."""

import pathlib
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]

sys.path[:0] = [str(REPOSITORY / "clients" / "python"), str(REPOSITORY / "tests" / "compat")]
