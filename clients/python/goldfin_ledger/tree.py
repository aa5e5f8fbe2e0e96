"""The Merkle tree of RFC 6962: its hashes, a tree that grows in O(log n) memory, and the two kinds of proofs."""

import hashlib
from collections.abc import Sequence


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """Only the right edge: the roots of the full subtrees, the largest first, one for each bit of `size`."""

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        if size < 0 or len(edge) != size.bit_count() or any(len(part) != 32 for part in edge):
            raise ValueError("an edge has one hash for each bit of the size")
        self.size = size
        self._edge = list(edge)

    def add(self, leaf: bytes) -> None:
        filled = self.size
        while filled & 1:
            leaf = node_hash(self._edge.pop(), leaf)
            filled >>= 1
        self._edge.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        if not self._edge:
            return hashlib.sha256(b"").digest()
        root = self._edge[-1]
        for part in reversed(self._edge[:-1]):
            root = node_hash(part, root)
        return root


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that `leaf` is number `index`, from 0, of the tree (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, found = index, size - 1, leaf
    for part in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            found = node_hash(part, found)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            found = node_hash(found, part)
        position, last = position >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(size: int, root: bytes, later_size: int, later_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that the later tree begins with the first `size` leaves of the other (RFC 9162 section 2.1.4.2)."""
    if not 0 < size <= later_size:
        return False
    if size == later_size:
        return not path and root == later_root
    parts = list(path)
    if size.bit_count() == 1:
        parts.insert(0, root)
    if not parts:
        return False
    position, last = size - 1, later_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = parts[0]
    for part in parts[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(part, old), node_hash(part, new)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, part)
        position, last = position >> 1, last >> 1
    return last == 0 and old == root and new == later_root
