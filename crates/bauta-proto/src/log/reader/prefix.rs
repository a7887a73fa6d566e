//! What a tree's first leaves are, whatever they should be: with that a fork is shown in a few hashes.

use bauta_crypto::merkle::{self, Frontier, Hash, MerkleError, TILE_WIDTH};

use super::{FetchedTiles, HASH_BYTES, LogReader, ReadError};
use crate::{log::watch::SignedCheckpoint, transport::Transport};

/// The root that the first leaves of a tree have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// RFC 6962 root of those leaves.
    pub root: Hash,
    /// The proof of consistency (RFC 6962 §2.1.2) from them to the whole tree.
    pub proof: Vec<Hash>,
}

impl<T: Transport> LogReader<T> {
    /// The root of the first `size` leaves of this checkpoint's tree, proved from the log's tiles. If the log signed
    /// another root for that size, the two checkpoints and the proof show a fork.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Older`] when the tree has fewer leaves.
    pub async fn prefix(&self, size: u64, whole: &SignedCheckpoint) -> Result<Prefix, ReadError> {
        if size > whole.size {
            return Err(ReadError::Older);
        }
        if size == whole.size {
            let (root, proof) = (whole.root, Vec::new());
            return Ok(Prefix { root, proof });
        }
        let subtrees = subtrees(size);
        let mut wanted = merkle::tiles_for_consistency(size, whole.size);
        for tile in subtrees.iter().map(|subtree| subtree.tile(whole.size)) {
            if !wanted.contains(&tile) {
                wanted.push(tile);
            }
        }
        let tiles = self.tiles(&wanted).await?;
        let proof = merkle::prove_consistency(size, whole.size, whole.root, &tiles)?;
        let hashes: Option<_> = subtrees.iter().map(|s| s.root(&tiles)).collect();
        let frontier = hashes.and_then(|hashes| Frontier::from_parts(size, hashes));
        let root = frontier.ok_or(MerkleError::InconsistentTile)?.root();
        merkle::check_consistency(&proof, size, root, whole.size, whole.root)?;
        self.keep(tiles);
        Ok(Prefix { root, proof })
    }
}

impl<T: Transport> LogReader<T> {
    /// The hash of the leaf that stands at `index` in this checkpoint's tree, whatever it should be, and its inclusion path.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::NotYet`] when the tree does not reach the index.
    pub async fn leaf_hash(
        &self,
        index: u64,
        whole: &SignedCheckpoint,
    ) -> Result<(Hash, Vec<Hash>), ReadError> {
        if index >= whole.size {
            return Err(ReadError::NotYet);
        }
        let leaf = Subtree {
            first_leaf: index,
            height: 0,
        };
        let mut wanted = merkle::tiles_for_inclusion(whole.size, index);
        let own = leaf.tile(whole.size);
        if !wanted.contains(&own) {
            wanted.push(own);
        }
        let tiles = self.tiles(&wanted).await?;
        let path = merkle::prove_inclusion(whole.size, index, whole.root, &tiles)?;
        let hash = leaf.root(&tiles).ok_or(MerkleError::InconsistentTile)?;
        merkle::check_inclusion(&path, whole.size, whole.root, index, hash)?;
        self.keep(tiles);
        Ok((hash, path))
    }
}

/// A complete subtree of 2^`height` leaves.
struct Subtree {
    first_leaf: u64,
    height: u32,
}

/// The complete subtrees of a tree, the largest first.
fn subtrees(size: u64) -> Vec<Subtree> {
    let heights = (0..u64::BITS)
        .rev()
        .filter(|height| size >> height & 1 == 1);
    let subtree = |height: u32| Subtree {
        first_leaf: size >> height >> 1 << 1 << height,
        height,
    };
    heights.map(subtree).collect()
}

impl Subtree {
    /// Level of the tile that holds its hashes, and the position of the first of them on that level.
    const fn place(&self) -> (u8, u64) {
        let level = self.height / 8;
        (level as u8, self.first_leaf >> (8 * level))
    }

    /// The tile, as wide as a tree of `size` has it.
    fn tile(&self, size: u64) -> (u8, u64, u16) {
        let (level, first) = self.place();
        let width = u64::from(TILE_WIDTH);
        let index = first / width;
        let hashes = (size >> (8 * u32::from(level))) - index * width;
        let hashes = u16::try_from(hashes).unwrap_or(TILE_WIDTH);
        (level, index, hashes.min(TILE_WIDTH))
    }

    fn root(&self, tiles: &FetchedTiles) -> Option<Hash> {
        let (level, first) = self.place();
        let width = u64::from(TILE_WIDTH);
        let tile = tiles.0.get(&(level, first / width))?;
        let start = usize::try_from(first % width).ok()? * HASH_BYTES;
        let bytes = HASH_BYTES << (self.height % 8);
        let mut tree = Frontier::new();
        for hash in tile.get(start..start + bytes)?.chunks_exact(HASH_BYTES) {
            tree.append(hash.try_into().ok()?);
        }
        Some(tree.root())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::log::test_log::{MemoryFiles, TestLog, leaf, run};

    fn world(size: u64) -> (LogReader<MemoryFiles>, SignedCheckpoint) {
        let log = TestLog::new(size);
        let files = Arc::new(MemoryFiles::default());
        log.publish(&files, size, 5_000);
        let whole = SignedCheckpoint::open(&log.checkpoint(size, 5_000), &log.policy());
        (log.reader(&files), whole.expect("signed"))
    }

    #[test]
    fn the_root_of_a_trees_first_leaves_is_the_one_that_reading_them_gives() {
        let sizes = [0, 1, 2, 3, 255, 256, 257, 511, 512, 600, 65_536, 65_537];
        for size in [1, 3, 257, 700, 65_540] {
            let (reader, whole) = world(size);
            let mut frontier = Frontier::new();
            for size in sizes.into_iter().filter(|prefix| *prefix <= size) {
                (frontier.size()..size).for_each(|index| frontier.append(leaf(index).hash()));
                let prefix = run(reader.prefix(size, &whole)).expect("reads");
                assert_eq!(prefix.root, frontier.root(), "{size} of {}", whole.size);
            }
            let beyond = run(reader.prefix(size + 1, &whole));
            assert!(matches!(beyond, Err(ReadError::Older)));
        }
    }

    #[test]
    fn the_hash_at_every_index_is_the_leafs() {
        for size in [1, 257, 700] {
            let (reader, whole) = world(size);
            for index in [0, size / 2, size - 1] {
                let (hash, _) = run(reader.leaf_hash(index, &whole)).expect("reads");
                assert_eq!(hash, leaf(index).hash());
            }
            let beyond = run(reader.leaf_hash(size, &whole));
            assert!(matches!(beyond, Err(ReadError::NotYet)));
        }
    }
}
