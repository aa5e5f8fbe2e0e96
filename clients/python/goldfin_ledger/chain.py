"""The chain of MACs, and its key: from the unseal key, or the shares of `goldfin init`, down to what signs and chains."""

import base64
import binascii
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import CannotVerify
from .notes import LogKey


def chain_mac(key: bytes, stream: int, seq: int, before: bytes, leaf: bytes) -> bytes:
    """`before` is the MAC of the entry before, empty for entry 1."""
    return hmac.digest(key, stream.to_bytes(4, "big", signed=True) + seq.to_bytes(8, "big") + before + leaf, "sha256")


@dataclass(frozen=True, slots=True, repr=False)
class LedgerKeys:
    """Both keys of the ledger. Whoever holds them can forge it."""

    mac: bytes
    signer: Ed25519PrivateKey

    @classmethod
    def derive(cls, barrier: bytes) -> "LedgerKeys":
        seed = _ledger_key(barrier, b"goldfin/v1/checkpoint-key")
        return cls(_ledger_key(barrier, b"goldfin/v1/ledger-mac"), Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> LogKey:
        return LogKey(self.signer.public_key().public_bytes_raw())


@dataclass(frozen=True, slots=True)
class SealRow:
    """The one row of table `seal`."""

    generation: int
    wrapped_root: bytes
    wrapped_barrier: bytes

    def open(self, unseal: bytes) -> LedgerKeys:
        """Raises `CannotVerify` when the unseal key is not the one of this seal."""
        root = _open(unseal, self.wrapped_root, b"root", b"wrapped_root", self.generation, 1, self.generation)
        return LedgerKeys.derive(_open(root, self.wrapped_barrier, b"barrier", b"wrapped_barrier", 1, 2, 1))


def read_unseal_key(text: str) -> bytes:
    """From the seal's key file (base64), or the answer of `goldfin init` (JSON with `keys_base64`)."""
    try:
        if text.lstrip().startswith("{"):
            return combine([base64.b64decode(share, validate=True) for share in json.loads(text)["keys_base64"]])
        key = base64.b64decode(text.strip(), validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise CannotVerify("the unseal key cannot be read; give the seal's key file or the answer of `goldfin init`") from None
    if len(key) != 32:
        raise CannotVerify("the unseal key is not of 32 bytes; give the seal's key file or the answer of `goldfin init`")
    return key


def combine(shares: Sequence[bytes]) -> bytes:
    """The secret at x = 0 of the polynomials over GF(2^8) through all `shares`: 32 values and an x each."""
    places = [share[-1] for share in shares if len(share) == 33]
    if not places or len(places) != len(shares) or len(set(places)) != len(places) or 0 in places:
        raise ValueError("shares are of 33 bytes, with different places that are not 0")
    secret = bytearray(32)
    for share in shares:
        weight = 1
        for place in places:
            if place != share[-1]:
                weight = _times(weight, _times(place, _inverse(place ^ share[-1])))
        for at in range(32):
            secret[at] ^= _times(weight, share[at])
    return bytes(secret)


def _times(left: int, right: int) -> int:
    product = 0
    while right:
        if right & 1:
            product ^= left
        left = (left << 1) ^ (0x11B if left & 0x80 else 0)
        right >>= 1
    return product


def _inverse(value: int) -> int:
    """value^254."""
    result = 1
    for _ in range(254):
        result = _times(result, value)
    return result


def _ledger_key(barrier: bytes, label: bytes) -> bytes:
    """HKDF-SHA-256 without salt, 32 bytes: one block. The context is the root namespace, 0, framed."""
    pseudorandom = hmac.digest(bytes(32), barrier, "sha256")
    return hmac.digest(pseudorandom, label + _framed((0).to_bytes(4, "big")) + b"\x01", "sha256")


def _open(key: bytes, envelope: bytes, row: bytes, column: bytes, version: int, key_id: int, key_version: int) -> bytes:
    """A bare key (algorithm 3) out of an envelope of table `seal`."""
    head = bytes([1, 3]) + key_id.to_bytes(4, "big") + key_version.to_bytes(4, "big")
    parts = [b"\x01", bytes(4), b"seal", b"t" + _framed(row), column, version.to_bytes(8, "big"), head[2:6], head[6:10], b"\x03"]
    if len(envelope) != 70 or envelope[:10] != head:
        raise CannotVerify("the seal of this database is not of the known form")
    try:
        return AESGCM(key).decrypt(envelope[10:22], envelope[22:], b"".join(map(_framed, parts)))
    except InvalidTag:
        raise CannotVerify("the unseal key does not open this seal; give the key or the shares of this vault") from None


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part
