"""Verifies goldfin's audit ledger without goldfin: a second reading of docs/ledger-format.md, sharing no code with it.

It writes nothing, and believes nothing that the ledger or its server says about itself: the keys come from the caller.
"""


class CannotVerify(Exception):
    """Nothing can be said about the ledger (exit code 4). The text says what to do."""
