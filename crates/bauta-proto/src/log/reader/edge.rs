//! The right edge of a tree from its tiles: where a reader begins that cares only for what comes later.

use bauta_crypto::merkle::{self, Frontier, MerkleError, TILE_WIDTH};

use super::{FetchedCheckpoint, FetchedTiles, HASH_BYTES, LogReader, ReadError};
use crate::transport::Transport;

impl<T: Transport> LogReader<T> {
    /// The edge of the checkpoint's tree, so that [`LogReader::entries`] can begin behind it without reading what is
    /// before.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Inconsistent`] when the tiles are not of this tree.
    pub async fn edge(&self, checkpoint: &FetchedCheckpoint) -> Result<Frontier, ReadError> {
        let (size, root) = (checkpoint.size(), checkpoint.checked().root);
        let Some(last) = size.checked_sub(1) else {
            return Ok(Frontier::new());
        };
        let leaf_tile = tile_of_leaf(last);
        let mut wanted = merkle::tiles_for_inclusion(size, last);
        if !wanted.contains(&leaf_tile) {
            wanted.push(leaf_tile);
        }
        let tiles = self.tiles(&wanted).await?;
        let leaf = last_hash(&tiles, last).ok_or(MerkleError::InconsistentTile)?;
        let path = merkle::prove_inclusion(size, last, root, &tiles)?;
        merkle::check_inclusion(&path, size, root, last, leaf)?;
        self.keep(tiles);
        let frontier = edge_from_path(size, leaf, path);
        let frontier = frontier.filter(|frontier| frontier.root() == root);
        Ok(frontier.ok_or(MerkleError::InvalidProof)?)
    }
}

/// Level, index and width of the tile that ends with this leaf.
fn tile_of_leaf(leaf: u64) -> (u8, u64, u16) {
    let width = u64::from(TILE_WIDTH);
    let hashes = u16::try_from(leaf % width + 1).unwrap_or(TILE_WIDTH);
    (0, leaf / width, hashes)
}

fn last_hash(tiles: &FetchedTiles, leaf: u64) -> Option<merkle::Hash> {
    let (level, index, width) = tile_of_leaf(leaf);
    let tile = tiles.0.get(&(level, index))?;
    let end = usize::from(width) * HASH_BYTES;
    tile.get(end - HASH_BYTES..end)?.try_into().ok()
}

/// All siblings of the last leaf are to its left: first those inside the smallest complete subtree, then the roots of the
/// other complete subtrees, smallest first.
fn edge_from_path(size: u64, leaf: merkle::Hash, path: Vec<merkle::Hash>) -> Option<Frontier> {
    let inside = usize::try_from(size.trailing_zeros()).ok()?;
    let (below, others) = path.split_at_checked(inside)?;
    let smallest = below
        .iter()
        .fold(leaf, |right, left| merkle::node_hash(left, &right));
    let hashes = others.iter().rev().copied().chain([smallest]).collect();
    Frontier::from_parts(size, hashes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::log::test_log::{MemoryFiles, TestLog, leaf, run};

    #[test]
    fn the_edge_is_the_one_that_reading_everything_gives() {
        for size in [0, 1, 2, 3, 255, 256, 257, 512, 700, 65_536, 65_537] {
            let log = TestLog::new(size);
            let files = Arc::new(MemoryFiles::default());
            log.publish(&files, size, 5_000);
            let reader = log.reader(&files);
            let checkpoint = run(reader.checkpoint()).expect("an honest checkpoint");
            let mut frontier = Frontier::new();
            (0..size).for_each(|index| frontier.append(leaf(index).hash()));
            assert_eq!(run(reader.edge(&checkpoint)).expect("reads"), frontier);
        }
    }
}
