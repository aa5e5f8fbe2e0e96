//! Proofs of RFC 6962: that an entry is in a tree, and that a tree is the beginning of another.
//!
//! Whoever makes a proof asks which subtrees it takes, and where their hashes are is not known here. Whoever checks one needs no more than
//! the proof and the roots.

use std::ops::Range;

use goldfin_crypto::digest::node_hash;

/// A full subtree: `2^level` leaves, the `index`-th of that size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subtree {
    pub level: u32,
    pub index: u64,
}

/// The full subtrees that make up a stretch of leaves whose start is aligned as a proof's are, the largest first. [`super::tree::fold`]
/// gives the hash of the stretch.
#[must_use]
pub fn subtrees(stretch: &Range<u64>) -> Vec<Subtree> {
    let (mut start, mut left) = (stretch.start, stretch.end.saturating_sub(stretch.start));
    let mut found = Vec::new();
    while left > 0 {
        let level = left.ilog2();
        found.push(Subtree { level, index: start >> level });
        start += 1 << level;
        left -= 1 << level;
    }
    found
}

/// The stretches whose hashes prove that leaf `index` is in the tree of `size` (RFC 6962, 2.1.1), in the proof's order. None where it is
/// not in that tree.
#[must_use]
pub fn inclusion(index: u64, size: u64) -> Option<Vec<Range<u64>>> {
    if index >= size {
        return None;
    }
    let mut within = 0..size;
    let mut path = Vec::new();
    while within.end - within.start > 1 {
        let (left, right) = halves(&within);
        if index < left.end {
            path.push(right);
            within = left;
        } else {
            path.push(left);
            within = right;
        }
    }
    path.reverse();
    Some(path)
}

/// The stretches whose hashes prove that the tree of `from` leaves is the beginning of that of `to` (RFC 6962, 2.1.2). None where `from`
/// is the larger, or empty.
#[must_use]
pub fn consistency(from: u64, to: u64) -> Option<Vec<Range<u64>>> {
    if from == 0 || from > to {
        return None;
    }
    let mut within = 0..to;
    let mut path = Vec::new();
    // Down to the subtree that ends where the older tree did; it is known to the checker only where it is the whole older tree.
    while within.end != from {
        let (left, right) = halves(&within);
        if from <= left.end {
            path.push(right);
            within = left;
        } else {
            path.push(left);
            within = right;
        }
    }
    if within.start > 0 {
        path.push(within);
    }
    path.reverse();
    Some(path)
}

fn halves(stretch: &Range<u64>) -> (Range<u64>, Range<u64>) {
    let half = (stretch.end - stretch.start).next_power_of_two() / 2;
    let middle = stretch.start + half;
    (stretch.start..middle, middle..stretch.end)
}

/// Checks that `leaf` is leaf `index` of the tree of `size` with this root (RFC 9162, 2.1.3.2).
#[must_use]
pub fn includes(leaf: &[u8; 32], index: u64, size: u64, proof: &[[u8; 32]], root: &[u8; 32]) -> bool {
    if index >= size {
        return false;
    }
    let mut walk = Walk { first: index, second: size - 1 };
    let mut hash = *leaf;
    for step in proof {
        match walk.next() {
            Some(Side::Left) => hash = node_hash(step, &hash),
            Some(Side::Right) => hash = node_hash(&hash, step),
            None => return false,
        }
    }
    walk.second == 0 && hash == *root
}

/// Checks that the tree of `from` leaves with root `older` is the beginning of the tree of `to` leaves with root `newer` (RFC 9162,
/// 2.1.4.2). Nothing is the beginning of everything.
#[must_use]
pub fn is_beginning(from: u64, older: &[u8; 32], to: u64, newer: &[u8; 32], proof: &[[u8; 32]]) -> bool {
    if from > to {
        return false;
    }
    if from == to {
        return proof.is_empty() && older == newer;
    }
    if from == 0 {
        return proof.is_empty() && *older == goldfin_crypto::digest::EMPTY_ROOT;
    }
    let mut rest = proof.iter();
    let start = if from.is_power_of_two() { Some(older) } else { rest.next() };
    let Some(start) = start else { return false };
    let mut walk = Walk { first: from - 1, second: to - 1 };
    let whole = walk.first.trailing_ones();
    walk.first = walk.first.checked_shr(whole).unwrap_or(0);
    walk.second = walk.second.checked_shr(whole).unwrap_or(0);
    let (mut old, mut new) = (*start, *start);
    for step in rest {
        match walk.next() {
            Some(Side::Left) => {
                old = node_hash(step, &old);
                new = node_hash(step, &new);
            }
            Some(Side::Right) => new = node_hash(&new, step),
            None => return false,
        }
    }
    walk.second == 0 && old == *older && new == *newer
}

/// The way from a leaf up to the root: the number of the node and of the last node on its level.
struct Walk {
    first: u64,
    second: u64,
}

/// Where the neighbour stands.
enum Side {
    Left,
    Right,
}

impl Walk {
    /// None above the root.
    fn next(&mut self) -> Option<Side> {
        if self.second == 0 {
            return None;
        }
        let side = if self.first & 1 == 1 || self.first == self.second {
            // A last node without right neighbour stands for its parents until it has a left one.
            let lonely = if self.first & 1 == 1 { 0 } else { self.first.trailing_zeros() };
            self.first = self.first.checked_shr(lonely).unwrap_or(0);
            self.second = self.second.checked_shr(lonely).unwrap_or(0);
            Side::Left
        } else {
            Side::Right
        };
        self.first >>= 1;
        self.second >>= 1;
        Some(side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{leaves, specified};
    use crate::tree::{fold, root_of};

    /// The hash of a stretch, put together from full subtrees.
    fn hash(leaves: &[[u8; 32]], stretch: &Range<u64>) -> [u8; 32] {
        let parts: Vec<[u8; 32]> = subtrees(stretch)
            .into_iter()
            .map(|Subtree { level, index }| {
                let start = usize::try_from(index << level).unwrap();
                root_of(&leaves[start..start + (1 << level)])
            })
            .collect();
        fold(&parts)
    }

    #[test]
    fn every_entry_of_every_tree_is_proven_and_nothing_else_is() {
        let leaves = leaves(80);
        for size in 1..=leaves.len() as u64 {
            let root = specified(&leaves[..usize::try_from(size).unwrap()]);
            for index in 0..size {
                let proof: Vec<_> = inclusion(index, size).unwrap().iter().map(|stretch| hash(&leaves, stretch)).collect();
                let leaf = leaves[usize::try_from(index).unwrap()];
                assert!(includes(&leaf, index, size, &proof, &root), "{index} of {size}");
                let theirs = proof.iter().map(|hash| tlog_tiles::Hash(*hash)).collect();
                assert!(tlog_tiles::check_record(&theirs, size, tlog_tiles::Hash(root), index, tlog_tiles::Hash(leaf)).is_ok());
                assert!(!includes(&[7; 32], index, size, &proof, &root));
                assert!(!includes(&leaf, index + 1, size, &proof, &root));
                assert!(!includes(&leaf, index, size, &proof, &[7; 32]));
                let longer: Vec<_> = proof.iter().copied().chain([[7; 32]]).collect();
                assert!(!includes(&leaf, index, size, &longer, &root));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!includes(&leaf, index, size, shorter, &root));
                }
            }
            assert_eq!(inclusion(size, size), None);
        }
    }

    #[test]
    fn every_tree_is_the_beginning_of_every_larger_one() {
        let leaves = leaves(80);
        let roots: Vec<[u8; 32]> = (0..=leaves.len()).map(|size| specified(&leaves[..size])).collect();
        let root = |size: u64| roots[usize::try_from(size).unwrap()];
        for to in 1..=leaves.len() as u64 {
            for from in 1..=to {
                let proof: Vec<_> = consistency(from, to).unwrap().iter().map(|stretch| hash(&leaves, stretch)).collect();
                assert!(is_beginning(from, &root(from), to, &root(to), &proof), "{from} of {to}");
                let theirs = proof.iter().map(|hash| tlog_tiles::Hash(*hash)).collect();
                let (older, newer) = (tlog_tiles::Hash(root(from)), tlog_tiles::Hash(root(to)));
                assert!(tlog_tiles::check_tree(&theirs, to, newer, from, older).is_ok(), "{from} of {to}");
                assert!(!is_beginning(from, &[7; 32], to, &root(to), &proof), "{from} of {to}");
                assert!(!is_beginning(from, &root(from), to, &[7; 32], &proof), "{from} of {to}");
                if from < to {
                    assert!(!is_beginning(from, &root(from), to, &root(to), &[]) || proof.is_empty());
                    let longer: Vec<_> = proof.iter().copied().chain([[7; 32]]).collect();
                    assert!(!is_beginning(from, &root(from), to, &root(to), &longer));
                }
            }
            assert!(is_beginning(0, &goldfin_crypto::digest::EMPTY_ROOT, to, &root(to), &[]));
            assert!(!is_beginning(0, &root(to), to, &root(to), &[]));
            assert!(!is_beginning(to, &root(to), to - 1, &root(to - 1), &[]));
        }
        assert_eq!(consistency(0, 5), None);
        assert_eq!(consistency(6, 5), None);
    }

    #[test]
    fn numbers_at_the_end_of_their_range_do_no_harm() {
        let proof = [[7; 32]; 70];
        assert!(!includes(&[7; 32], u64::MAX - 1, u64::MAX, &proof, &[7; 32]));
        assert!(!is_beginning(1 << 63, &[7; 32], u64::MAX, &[7; 32], &proof));
        assert!(!is_beginning(u64::MAX, &[7; 32], u64::MAX, &[8; 32], &proof));
    }
}
