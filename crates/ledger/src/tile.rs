//! Tiles (C2SP tlog-tiles): the hashes of the tree in pieces of 256, and the entries in bundles beside them.

use goldfin_crypto::digest::leaf_hash;

use crate::tree::{Edge, root_of};

/// Hashes in a full tile, and entries in a full bundle.
pub const WIDTH: u64 = 256;

/// Levels of binary tree in a tile.
pub const HEIGHT: u32 = 8;

/// The longest entry that a bundle can hold: its length stands in two bytes.
pub const LONGEST_IN_BUNDLE: usize = u16::MAX as usize;

/// What is in pieces of 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Hashes of a level: the leaves, or the roots of full tiles of the level below.
    Hashes(u32),
    /// Entries behind their lengths.
    Entries,
    /// Entries, one a line: not of tlog-tiles, and without a limit of length.
    Lines,
}

/// The name of a piece: `0/x001/234`, `entries/000.p/17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    pub piece: Piece,
    pub index: u64,
    /// 1 to 256.
    pub width: u64,
}

impl Name {
    /// Reads what stands behind `tile/`. Each piece has exactly one name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (piece, rest) = text.split_once('/')?;
        let piece = match piece {
            "entries" => Piece::Entries,
            "lines" => Piece::Lines,
            level => Piece::Hashes(plain(level).filter(|level| *level < 64).and_then(|level| u32::try_from(level).ok())?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, plain(width).filter(|width| (1..WIDTH).contains(width))?),
            None => (rest, WIDTH),
        };
        let mut index = 0_u64;
        let mut parts = number.split('/').peekable();
        let mut first = true;
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let digits = if last { part } else { part.strip_prefix('x')? };
            if digits.len() != 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
                return None;
            }
            let value: u64 = digits.parse().ok()?;
            if first && !last && value == 0 {
                return None;
            }
            index = index.checked_mul(1000)?.checked_add(value)?;
            first = false;
        }
        Some(Self { piece, index, width })
    }

    /// The first place of the piece and the one behind its last, counted in its level's hashes.
    #[must_use]
    pub fn stretch(&self) -> Option<std::ops::Range<u64>> {
        let start = self.index.checked_mul(WIDTH)?;
        Some(start..start.checked_add(self.width)?)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.piece {
            Piece::Hashes(level) => write!(f, "{level}/")?,
            Piece::Entries => f.write_str("entries/")?,
            Piece::Lines => f.write_str("lines/")?,
        }
        let mut groups = Vec::new();
        let mut rest = self.index;
        loop {
            groups.push(rest % 1000);
            rest /= 1000;
            if rest == 0 {
                break;
            }
        }
        while let Some(group) = groups.pop() {
            if groups.is_empty() {
                write!(f, "{group:03}")?;
            } else {
                write!(f, "x{group:03}/")?;
            }
        }
        if self.width < WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// Decimal without leading zeros.
fn plain(text: &str) -> Option<u64> {
    let canonical = text == "0" || (text.bytes().all(|digit| digit.is_ascii_digit()) && !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

/// A tile that is full and never changes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullTile {
    pub level: u32,
    pub index: u64,
    /// 8,192 bytes.
    pub hashes: Vec<u8>,
}

/// A growing tree that gives out its tiles as they become full. It holds the partial ones: at most 8 KB a level.
#[derive(Debug, Clone, Default)]
pub struct Tiles {
    edge: Edge,
    levels: Vec<Vec<[u8; 32]>>,
}

impl Tiles {
    /// Goes on from the partial tiles of a tree, level by level. None where their widths are not those of a tree of this size.
    #[must_use]
    pub fn from_levels(size: u64, levels: Vec<Vec<[u8; 32]>>) -> Option<Self> {
        let widths = partial_widths(size);
        if levels.len() != widths.len() || levels.iter().zip(&widths).any(|(level, width)| level.len() as u64 != *width) {
            return None;
        }
        let mut hashes = Vec::new();
        for level in levels.iter().rev() {
            let mut rest = level.as_slice();
            while let Some(most) = rest.len().checked_ilog2() {
                let (subtree, behind) = rest.split_at(1 << most);
                hashes.push(root_of(subtree));
                rest = behind;
            }
        }
        Some(Self { edge: Edge::from_parts(size, hashes)?, levels })
    }

    /// The partial tiles, from the leaves up: what [`Self::from_levels`] goes on from, one behind the other.
    #[must_use]
    pub fn partial(&self) -> Vec<u8> {
        self.levels.iter().flat_map(|level| level.concat()).collect()
    }

    /// Goes on from what [`Self::partial`] gave. None where it is not that of a tree of this size.
    #[must_use]
    pub fn from_partial(size: u64, bytes: &[u8]) -> Option<Self> {
        let mut rest = split(bytes)?.into_iter();
        let take = |width: u64| rest.by_ref().take(usize::try_from(width).unwrap_or(usize::MAX)).collect();
        let levels = partial_widths(size).into_iter().map(take).collect();
        let whole = Self::from_levels(size, levels)?;
        rest.next().is_none().then_some(whole)
    }

    #[must_use]
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// Adds a leaf, and to `full` what it completes.
    pub fn push(&mut self, leaf: [u8; 32], full: &mut Vec<FullTile>) {
        self.edge.push(leaf);
        let mut hash = leaf;
        for level in 0_u32.. {
            let at = usize::try_from(level).unwrap_or(usize::MAX);
            if self.levels.len() <= at {
                self.levels.push(Vec::new());
            }
            let Some(partial) = self.levels.get_mut(at) else { return };
            partial.push(hash);
            if (partial.len() as u64) < WIDTH {
                return;
            }
            hash = root_of(partial);
            let index = (self.edge.size() >> (HEIGHT * (level + 1))).saturating_sub(1);
            full.push(FullTile { level, index, hashes: partial.concat() });
            partial.clear();
        }
    }
}

/// How wide the partial tiles of a tree are, from the leaves up; no more levels than the tree has hashes on.
#[must_use]
pub fn partial_widths(size: u64) -> Vec<u64> {
    let mut widths = Vec::new();
    let mut rest = size;
    while rest > 0 {
        widths.push(rest % WIDTH);
        rest /= WIDTH;
    }
    widths
}

/// The hashes of a tile's bytes. None where they are no hashes.
#[must_use]
pub fn split(bytes: &[u8]) -> Option<Vec<[u8; 32]>> {
    bytes.len().is_multiple_of(32).then(|| bytes.chunks_exact(32).filter_map(|hash| hash.try_into().ok()).collect())
}

/// Entries as a bundle. None where one is longer than [`LONGEST_IN_BUNDLE`].
pub fn bundle<'a>(entries: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for entry in entries {
        out.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
        out.extend_from_slice(entry);
    }
    Some(out)
}

/// The leaves of a bundle's entries. None where it ends within an entry.
#[must_use]
pub fn leaves_of_bundle(mut bytes: &[u8]) -> Option<Vec<[u8; 32]>> {
    let mut leaves = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        leaves.push(leaf_hash(entry));
        bytes = rest;
    }
    Some(leaves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::leaves;

    #[test]
    fn names_are_those_of_the_specification() {
        let hashes = |level, index, width| Name { piece: Piece::Hashes(level), index, width };
        for (text, name) in [
            ("0/000", hashes(0, 0, 256)),
            ("0/x001/x234/067", hashes(0, 1_234_067, 256)),
            ("1/x001/000.p/17", hashes(1, 1000, 17)),
            ("63/999.p/255", hashes(63, 999, 255)),
            ("entries/000.p/1", Name { piece: Piece::Entries, index: 0, width: 1 }),
            ("lines/x001/001", Name { piece: Piece::Lines, index: 1001, width: 256 }),
        ] {
            assert_eq!(Name::parse(text), Some(name), "{text}");
            assert_eq!(name.to_string(), text);
        }
        for wrong in [
            "0",
            "0/",
            "0/0",
            "00/000",
            "64/000",
            "0/001/000",
            "0/x000/000",
            "0/x001",
            "0/0000",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/000.p/",
            "-1/000",
            "0/+00",
            "tiles/000",
            "0/000/",
            "0/x999/x999/x999/x999/x999/x999/x999/999",
            "0/000.p/1/2",
        ] {
            assert_eq!(Name::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tiles_are_given_out_once_and_a_tree_goes_on_from_its_partial_ones() {
        let leaves = leaves(70_000);
        let (mut tiles, mut edge, mut full) = (Tiles::default(), Edge::default(), Vec::new());
        for (at, leaf) in leaves.iter().enumerate() {
            if at % 4999 == 0 {
                let again = Tiles::from_levels(tiles.edge.size(), tiles.levels.clone());
                let widths = partial_widths(tiles.edge.size()).len();
                let again = again.or_else(|| Tiles::from_levels(tiles.edge.size(), tiles.levels.get(..widths)?.to_vec())).unwrap();
                assert_eq!(again.edge, tiles.edge);
                assert_eq!(Tiles::from_partial(tiles.edge.size(), &tiles.partial()).unwrap().edge, tiles.edge);
                tiles = again;
            }
            tiles.push(*leaf, &mut full);
            edge.push(*leaf);
        }
        assert_eq!(tiles.edge, edge);
        // The example of the specification: 273 full tiles of leaves, one of level 1.
        assert_eq!(full.iter().filter(|tile| tile.level == 0).count(), 273);
        assert_eq!(full.iter().filter(|tile| tile.level == 1).count(), 1);
        assert_eq!(partial_widths(70_000), [112, 17, 1]);
        for (index, tile) in full.iter().filter(|tile| tile.level == 0).enumerate() {
            assert_eq!(tile.index, index as u64);
            assert_eq!(split(&tile.hashes).unwrap(), leaves[index * 256..index * 256 + 256]);
        }
        let upper = full.iter().find(|tile| tile.level == 1).unwrap();
        assert_eq!((upper.index, split(&upper.hashes).unwrap()[3]), (0, root_of(&leaves[768..1024])));
        assert!(Tiles::from_levels(3, vec![vec![[0; 32]; 2]]).is_none());
    }

    #[test]
    fn bundles_read_back_and_long_entries_fit_in_none() {
        let entries: [&[u8]; 3] = [b"{}", b"", &[7; 65_535]];
        let bytes = bundle(entries.into_iter()).unwrap();
        assert_eq!(bytes.len(), 6 + 2 + 65_535);
        assert_eq!(leaves_of_bundle(&bytes).unwrap(), entries.map(leaf_hash));
        assert_eq!(leaves_of_bundle(&bytes[..bytes.len() - 1]), None);
        assert_eq!(bundle([&[0_u8; 65_536][..]].into_iter()), None);
    }
}
