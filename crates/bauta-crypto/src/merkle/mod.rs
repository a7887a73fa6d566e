//! Trees of RFC 6962 with SHA-256, their proofs, and the tiles of C2SP tlog-tiles in which a log is published.
//!
//! A log appends to a [`Frontier`] and writes tiles; whoever reads the tiles makes proofs from them
//! ([`prove_inclusion`], [`prove_consistency`]), and everybody checks proofs ([`check_inclusion`],
//! [`check_consistency`]). The arithmetic of proofs is that of the `tlog_tiles` crate; the reading and authentication of
//! tiles is ours.

mod bundle;
mod proof;
mod tile;

pub use bundle::{decode_bundle, encode_bundle};
pub use proof::{
    check_consistency, check_inclusion, prove_consistency, prove_inclusion, tiles_for_consistency,
    tiles_for_inclusion,
};
pub use tile::{TILE_WIDTH, TileSource, entries_path, full_tile_root, tile_path, tiles_to_write};

use crate::hash::sha256;

/// A hash of a leaf, a node or a whole tree.
pub type Hash = [u8; 32];

/// The most leaves of a tree: the six levels of tiles of C2SP tlog-tiles.
pub const SIZE_MAX: u64 = 1 << 48;

/// The root of the tree without leaves: the hash of nothing.
pub const EMPTY_ROOT: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Why a proof, a tile or a bundle is refused. Whoever served it is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    /// The index is not in the tree, the old tree is larger than the new, or a tree is larger than [`SIZE_MAX`].
    #[error("the tree has no such place")]
    OutOfRange,
    /// The proof does not lead to the root.
    #[error("the proof does not lead to the root")]
    InvalidProof,
    /// The source does not have a tile that the proof needs.
    #[error("a tile is missing: level {level}, index {index}, width {width}")]
    MissingTile {
        /// The tile's level.
        level: u8,
        /// The tile's index in its level.
        index: u64,
        /// The hashes that were asked for.
        width: u16,
    },
    /// A tile is not of its length, or not of the tree with this root.
    #[error("a tile is not of this tree")]
    InconsistentTile,
    /// A bundle ends in the middle of an entry.
    #[error("the bundle of entries is cut off")]
    TruncatedBundle,
    /// An entry is longer than the 65,535 bytes that a bundle takes, or a bundle has more than 256 entries.
    #[error("the bundle takes no such entry")]
    EntryTooLong,
}

/// The hash of a leaf: `SHA-256(0x00 || data)`.
pub fn leaf_hash(data: &[u8]) -> Hash {
    sha256(&[&[0x00], data])
}

/// The hash of a node: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[0x01], left, right])
}

/// The right edge of a tree: all that appending and the root need, at most 48 hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees, the largest first: one for each bit that is set in the size.
    hashes: Vec<Hash>,
}

impl Frontier {
    /// The edge of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// An edge that was stored; `None` if the number of hashes does not fit the size, or the size is beyond [`SIZE_MAX`].
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Option<Self> {
        let fits = size <= SIZE_MAX && hashes.len() == size.count_ones() as usize;
        fits.then_some(Self { size, hashes })
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, the largest first.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Appends a leaf.
    pub fn append(&mut self, leaf: Hash) {
        let completed = self.size.trailing_ones() as usize;
        let kept = self.hashes.len() - completed;
        let subtree = self
            .hashes
            .drain(kept..)
            .rev()
            .fold(leaf, |right, left| node_hash(&left, &right));
        self.hashes.push(subtree);
        self.size += 1;
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        let mut subtrees = self.hashes.iter().rev();
        let Some(smallest) = subtrees.next() else {
            return EMPTY_ROOT;
        };
        subtrees.fold(*smallest, |right, left| node_hash(left, &right))
    }
}

#[cfg(test)]
mod tests;
