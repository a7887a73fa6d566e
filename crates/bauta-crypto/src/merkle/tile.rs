//! Tiles of height 8 (C2SP tlog-tiles): where they are, what they hold, and which of them a tree has.
//!
//! The tile at level `L` and index `N` lists up to 256 consecutive hashes of the tree's level `8L`, from number `256N` on.
//! The last of a level may be partial; a full tile's root is one hash of the level above.

use super::{Hash, MerkleError, node_hash};
use std::collections::BTreeMap;

/// Hashes in a full tile.
pub const TILE_WIDTH: u16 = 1 << TILE_HEIGHT;
/// Levels of the tree in one tile.
pub(super) const TILE_HEIGHT: u8 = 8;

const HASH_BYTES: usize = 32;

/// Where tiles come from.
pub trait TileSource {
    /// The first `width` hashes of a tile, 32 bytes each; `None` if there is no such tile. What it gives is not trusted:
    /// whoever asks checks it against the root.
    fn tile(&self, level: u8, index: u64, width: u16) -> Option<Vec<u8>>;
}

/// The path of a tile of hashes, such as `tile/0/x001/234`, with `.p/W` behind it for a partial one of `W` hashes.
pub fn tile_path(level: u8, index: u64, width: Option<u16>) -> String {
    format!("tile/{level}/{}", place(index, width))
}

/// The path of a bundle of entries, such as `tile/entries/x001/234`, with `.p/W` behind it for a partial one.
pub fn entries_path(index: u64, width: Option<u16>) -> String {
    format!("tile/entries/{}", place(index, width))
}

/// The tiles `(level, index, width)` that a log writes when its tree grows: those with hashes that the old tree did not
/// have, lower levels first.
pub fn tiles_to_write(old_size: u64, new_size: u64) -> Vec<(u8, u64, u16)> {
    let mut tiles = Vec::new();
    for level in 0..64 / TILE_HEIGHT {
        let (old, new) = (hashes_at(level, old_size), hashes_at(level, new_size));
        if old < new {
            let indices = old >> TILE_HEIGHT..=(new - 1) >> TILE_HEIGHT;
            tiles.extend(indices.map(|index| (level, index, width_in(new_size, level, index))));
        }
    }
    tiles
}

/// The root of a full tile: its hash in the level above. `None` if the bytes are not 256 hashes.
pub fn full_tile_root(tile: &[u8]) -> Option<Hash> {
    (tile.len() == usize::from(TILE_WIDTH) * HASH_BYTES).then(|| subtree_root(tile))
}

/// The hashes that a tree of `size` has at the lowest row of a level of tiles.
fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level * TILE_HEIGHT))
        .unwrap_or(0)
}

/// How many hashes the tile has in a tree of `size`; 0 if the tree does not have it.
pub(super) fn width_in(size: u64, level: u8, index: u64) -> u16 {
    let before = index.saturating_mul(u64::from(TILE_WIDTH));
    let width = hashes_at(level, size)
        .saturating_sub(before)
        .min(u64::from(TILE_WIDTH));
    u16::try_from(width).unwrap_or(TILE_WIDTH)
}

/// Tiles of one tree, each proved to be of it.
pub(super) struct Tiles(BTreeMap<(u8, u64), Vec<u8>>);

impl Tiles {
    /// Reads what [`plan`] listed and authenticates every tile against the root.
    pub(super) fn read(
        size: u64,
        root: &Hash,
        plan: &[(u8, u64, u16)],
        source: &impl TileSource,
    ) -> Result<Self, MerkleError> {
        let mut tiles = Self(BTreeMap::new());
        for &(level, index, width) in plan {
            let missing = MerkleError::MissingTile {
                level,
                index,
                width,
            };
            let bytes = source.tile(level, index, width).ok_or(missing)?;
            if bytes.len() != usize::from(width) * HASH_BYTES {
                return Err(MerkleError::InconsistentTile);
            }
            tiles.0.insert((level, index), bytes);
        }
        tiles.authenticate(size, root, plan)?;
        Ok(tiles)
    }

    /// The partial tiles hold just the complete subtrees whose roots make the tree's root; a full tile's root is a hash
    /// of the tile above, which the plan lists too.
    fn authenticate(
        &self,
        size: u64,
        root: &Hash,
        plan: &[(u8, u64, u16)],
    ) -> Result<(), MerkleError> {
        if self.edge_root(size) != Some(*root) {
            return Err(MerkleError::InconsistentTile);
        }
        let full = plan.iter().filter(|(_, _, width)| *width == TILE_WIDTH);
        for &(level, index, _) in full {
            let tile = self.0.get(&(level, index)).map(|tile| subtree_root(tile));
            if tile.is_none() || tile != self.node((level + 1) * TILE_HEIGHT, index) {
                return Err(MerkleError::InconsistentTile);
            }
        }
        Ok(())
    }

    /// The tree's root from the roots of its complete subtrees, the smallest last.
    fn edge_root(&self, size: u64) -> Option<Hash> {
        let levels = (0..u64::BITS as u8).filter(|level| size >> level & 1 == 1);
        let mut subtrees = levels.map(|level| self.node(level, (size >> level) - 1));
        let smallest = subtrees.next()?;
        subtrees.fold(smallest, |right, left| Some(node_hash(&left?, &right?)))
    }

    /// The hash of the tree's node `number` at `level`, counted from the leaves; `None` if it is in no tile read.
    pub(super) fn node(&self, level: u8, number: u64) -> Option<Hash> {
        let (tile_level, row) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        let index = number >> (TILE_HEIGHT - row);
        let start = usize::try_from(number - (index << (TILE_HEIGHT - row))).ok()? << row;
        let tile = self.0.get(&(tile_level, index))?;
        let hashes = tile.get(start * HASH_BYTES..(start + (1 << row)) * HASH_BYTES)?;
        Some(subtree_root(hashes))
    }
}

/// The tiles `(level, index, width)` that prove the given nodes `(level, number)`: theirs, all above them, and the right
/// edge. `None` if a node is not in the tree.
pub(super) fn plan(size: u64, nodes: &[(u8, u64)]) -> Option<Vec<(u8, u64, u16)>> {
    let mut tiles = BTreeMap::new();
    let edge = (0..64 / TILE_HEIGHT).map(|level| (level, hashes_at(level, size) >> TILE_HEIGHT));
    for (level, index) in edge {
        tiles.insert((level, index), width_in(size, level, index));
    }
    for &(level, number) in nodes {
        if (number + 1) << level > size {
            return None;
        }
        let (mut tile_level, mut index) = (
            level / TILE_HEIGHT,
            number >> (TILE_HEIGHT - level % TILE_HEIGHT),
        );
        while width_in(size, tile_level, index) == TILE_WIDTH {
            tiles.insert((tile_level, index), TILE_WIDTH);
            (tile_level, index) = (tile_level + 1, index >> TILE_HEIGHT);
        }
    }
    let present = tiles.into_iter().filter(|(_, width)| *width > 0);
    Some(
        present
            .map(|((level, index), width)| (level, index, width))
            .collect(),
    )
}

/// The root over `2^k` hashes.
fn subtree_root(hashes: &[u8]) -> Hash {
    if let Ok(hash) = hashes.try_into() {
        return hash;
    }
    let (left, right) = hashes.split_at(hashes.len() / 2);
    node_hash(&subtree_root(left), &subtree_root(right))
}

/// An index in groups of three digits, all but the last after an `x`, and the width of a partial tile.
fn place(index: u64, width: Option<u16>) -> String {
    let mut place = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        place = format!("x{:03}/{place}", rest % 1000);
        rest /= 1000;
    }
    match width {
        Some(width) if width < TILE_WIDTH => format!("{place}.p/{width}"),
        _ => place,
    }
}
