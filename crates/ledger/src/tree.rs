//! A growing Merkle tree (RFC 6962, 2.1) of which only the right edge is kept: one hash for each bit of its size.

use goldfin_crypto::digest::{EMPTY_ROOT, node_hash};

/// The right edge of a tree: the roots of the full subtrees that make it up, the largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    hashes: Vec<[u8; 32]>,
}

impl Edge {
    /// None where the number of hashes is not that of the size's set bits.
    #[must_use]
    pub fn from_parts(size: u64, hashes: Vec<[u8; 32]>) -> Option<Self> {
        (u32::try_from(hashes.len()) == Ok(size.count_ones())).then_some(Self { size, hashes })
    }

    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    #[must_use]
    pub fn hashes(&self) -> &[[u8; 32]] {
        &self.hashes
    }

    /// Adds a leaf: on average one hash of two nodes.
    pub fn push(&mut self, leaf: [u8; 32]) {
        let mut hash = leaf;
        // Each full subtree on the edge that is as large as the new one merges with it: a carry.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        fold(&self.hashes)
    }
}

/// The root over neighbouring subtrees, the largest first.
#[must_use]
pub fn fold(hashes: &[[u8; 32]]) -> [u8; 32] {
    let mut rest = hashes.iter().rev();
    let Some(last) = rest.next() else { return EMPTY_ROOT };
    rest.fold(*last, |right, left| node_hash(left, &right))
}

/// The root over leaves, or over the roots of full subtrees of one size.
#[must_use]
pub fn root_of(hashes: &[[u8; 32]]) -> [u8; 32] {
    let mut edge = Edge::default();
    hashes.iter().for_each(|hash| edge.push(*hash));
    edge.root()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use goldfin_crypto::digest::{hex, leaf_hash};

    /// RFC 6962, 2.1, word for word.
    pub(crate) fn specified(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => EMPTY_ROOT,
            [one] => *one,
            many => {
                let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
                node_hash(&specified(left), &specified(right))
            }
        }
    }

    pub(crate) fn leaves(count: usize) -> Vec<[u8; 32]> {
        (0..count).map(|n| leaf_hash(n.to_string().as_bytes())).collect()
    }

    #[test]
    fn known_roots() {
        // The reference implementation of RFC 6962.
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let mut edge = Edge::default();
        assert_eq!(edge.root(), EMPTY_ROOT);
        inputs.iter().for_each(|input| edge.push(leaf_hash(input)));
        assert_eq!(hex(&edge.root()), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    #[test]
    fn every_size_has_the_specified_root() {
        let leaves = leaves(600);
        let mut edge = Edge::default();
        for (size, leaf) in leaves.iter().enumerate() {
            assert_eq!(edge.root(), specified(&leaves[..size]), "{size}");
            assert_eq!(Edge::from_parts(edge.size(), edge.hashes().to_vec()), Some(edge.clone()));
            edge.push(*leaf);
        }
        assert_eq!(root_of(&leaves), specified(&leaves));
        assert_eq!(Edge::from_parts(3, vec![[0; 32]]), None);
    }
}
