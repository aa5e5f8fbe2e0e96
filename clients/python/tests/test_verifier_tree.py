"""The tree against the recursive definitions of RFC 6962 section 2.1, for every size up to 300."""

import hashlib
import random

from goldfin_ledger.tree import Tree, is_consistent, is_included, leaf_hash, node_hash

LARGEST = 300
LEAVES = [leaf_hash(str(number).encode()) for number in range(LARGEST)]
ROOTS: dict[tuple[int, int], bytes] = {}


def split(count: int) -> int:
    return 1 << (count - 1).bit_length() - 1


def root(first: int, end: int) -> bytes:
    if (first, end) not in ROOTS:
        count = end - first
        if count == 0:
            ROOTS[first, end] = hashlib.sha256(b"").digest()
        elif count == 1:
            ROOTS[first, end] = LEAVES[first]
        else:
            k = split(count)
            ROOTS[first, end] = node_hash(root(first, first + k), root(first + k, end))
    return ROOTS[first, end]


def path(index: int, first: int, end: int) -> list[bytes]:
    if end - first == 1:
        return []
    middle = first + split(end - first)
    if index < middle:
        return [*path(index, first, middle), root(middle, end)]
    return [*path(index, middle, end), root(first, middle)]


def proof(size: int, first: int, end: int, whole: bool = True) -> list[bytes]:
    """SUBPROOF: `size` leaves from `first`."""
    if size == end - first:
        return [] if whole else [root(first, end)]
    k = split(end - first)
    if size <= k:
        return [*proof(size, first, first + k, whole), root(first + k, end)]
    return [*proof(size - k, first + k, end, False), root(first, first + k)]


def test_roots():
    tree = Tree()
    for size in range(LARGEST):
        assert tree.root() == root(0, size)
        assert Tree(tree.size, tree._edge).root() == tree.root()
        tree.add(LEAVES[size])


def test_every_entry_of_every_size_is_included_and_nowhere_else():
    rng = random.Random(6962)
    for size in range(1, LARGEST + 1):
        for index in range(size):
            parts = path(index, 0, size)
            assert is_included(LEAVES[index], index, size, parts, root(0, size))
            if rng.random() < 0.1:
                other = rng.randrange(size)
                assert other == index or not is_included(LEAVES[other], index, size, parts, root(0, size))
                assert other == index or not is_included(LEAVES[index], other, size, parts, root(0, size))
                for wrong in damaged(parts, rng):
                    assert not is_included(LEAVES[index], index, size, wrong, root(0, size))
        assert not is_included(LEAVES[0], size, size, [], root(0, size))
        assert not is_included(LEAVES[0], -1, size, [], root(0, size))


def test_every_size_is_the_beginning_of_every_later_one():
    rng = random.Random(9162)
    for later in range(1, LARGEST + 1):
        for size in range(1, later + 1):
            parts = proof(size, 0, later)
            assert is_consistent(size, root(0, size), later, root(0, later), parts)
            if rng.random() < 0.05:
                for wrong in damaged(parts, rng):
                    assert not is_consistent(size, root(0, size), later, root(0, later), wrong)
                assert not is_consistent(size, root(0, size - 1), later, root(0, later), parts)
                assert not is_consistent(size, root(0, size), later, root(0, later - 1), parts)
    assert not is_consistent(0, root(0, 0), 5, root(0, 5), [])
    assert not is_consistent(6, root(0, 6), 5, root(0, 5), [])


def damaged(parts: list[bytes], rng: random.Random) -> list[list[bytes]]:
    """Cut, grown, swapped, and with a bit flipped."""
    wrong = [[*parts, rng.randbytes(32)], [rng.randbytes(32), *parts]]
    if parts:
        at = rng.randrange(len(parts))
        flipped = bytearray(parts[at])
        flipped[rng.randrange(32)] ^= 1 << rng.randrange(8)
        wrong += [parts[:-1], parts[1:], [*parts[:at], bytes(flipped), *parts[at + 1 :]]]
    if len(parts) > 1:
        wrong.append([*parts[1:], parts[0]])
    return wrong
