//! Proofs of inclusion and consistency (RFC 6962, 2.1.1 and 2.1.2): checked by anyone, made from tiles.

use super::tile::{Tiles, plan};
use super::{EMPTY_ROOT, Hash, MerkleError, SIZE_MAX, TileSource};
use std::cell::RefCell;
use tlog_tiles::tlog;

/// No proof of a tree of at most 2^48 leaves has more hashes.
const PROOF_HASHES_MAX: usize = 49;

/// Checks that the tree of `size` leaves with this root has `leaf` at `index`.
///
/// # Errors
/// [`MerkleError::OutOfRange`] if the tree has no such index, [`MerkleError::InvalidProof`] if the proof is not one.
pub fn check_inclusion(
    proof: &[Hash],
    size: u64,
    root: Hash,
    index: u64,
    leaf: Hash,
) -> Result<(), MerkleError> {
    if index >= size || size > SIZE_MAX {
        return Err(MerkleError::OutOfRange);
    }
    let proof = bounded(proof)?;
    tlog::check_record(&proof, size, tlog::Hash(root), index, tlog::Hash(leaf))
        .map_err(|_| MerkleError::InvalidProof)
}

/// Checks that the tree of `new_size` leaves begins with the leaves of the tree of `old_size`.
///
/// Everything begins with the empty tree, by an empty proof.
///
/// # Errors
/// [`MerkleError::OutOfRange`] if the old tree is the larger, [`MerkleError::InvalidProof`] if the proof is not one.
pub fn check_consistency(
    proof: &[Hash],
    old_size: u64,
    old_root: Hash,
    new_size: u64,
    new_root: Hash,
) -> Result<(), MerkleError> {
    if old_size > new_size || new_size > SIZE_MAX {
        return Err(MerkleError::OutOfRange);
    }
    if old_size == 0 {
        let holds =
            proof.is_empty() && old_root == EMPTY_ROOT && (new_size > 0 || new_root == EMPTY_ROOT);
        return if holds {
            Ok(())
        } else {
            Err(MerkleError::InvalidProof)
        };
    }
    let proof = bounded(proof)?;
    tlog::check_tree(
        &proof,
        new_size,
        tlog::Hash(new_root),
        old_size,
        tlog::Hash(old_root),
    )
    .map_err(|_| MerkleError::InvalidProof)
}

/// Makes the proof that the tree's leaf `index` is in it, from tiles that are checked against the root.
///
/// # Errors
/// [`MerkleError::OutOfRange`] if the tree has no such index, [`MerkleError::MissingTile`] or
/// [`MerkleError::InconsistentTile`] if the source is at fault.
pub fn prove_inclusion(
    size: u64,
    index: u64,
    root: Hash,
    source: &impl TileSource,
) -> Result<Vec<Hash>, MerkleError> {
    prove(size, &root, source, &inclusion(size, index)?)
}

/// Makes the proof that the tree of `size` begins with the leaves of the tree of `old_size`, from tiles that are checked
/// against the root of the larger.
///
/// # Errors
/// [`MerkleError::OutOfRange`] if the old tree is the larger, [`MerkleError::MissingTile`] or
/// [`MerkleError::InconsistentTile`] if the source is at fault.
pub fn prove_consistency(
    old_size: u64,
    size: u64,
    root: Hash,
    source: &impl TileSource,
) -> Result<Vec<Hash>, MerkleError> {
    prove(size, &root, source, &consistency(old_size, size)?)
}

/// The tiles `(level, index, width)` that [`prove_inclusion`] will ask for, so that a caller can fetch them first; none
/// if the tree has no such index.
pub fn tiles_for_inclusion(size: u64, index: u64) -> Vec<(u8, u64, u16)> {
    inclusion(size, index).map_or_else(|_| Vec::new(), |wanted| wanted.tiles)
}

/// The tiles `(level, index, width)` that [`prove_consistency`] will ask for; none if the old tree is the larger.
pub fn tiles_for_consistency(old_size: u64, size: u64) -> Vec<(u8, u64, u16)> {
    consistency(old_size, size).map_or_else(|_| Vec::new(), |wanted| wanted.tiles)
}

/// What a proof needs and how it is put together.
struct Wanted<F> {
    tiles: Vec<(u8, u64, u16)>,
    assemble: F,
}

fn inclusion(size: u64, index: u64) -> Result<Wanted<impl Fn(&Nodes<'_>) -> Proof>, MerkleError> {
    if index >= size || size > SIZE_MAX {
        return Err(MerkleError::OutOfRange);
    }
    wanted(size, move |nodes: &Nodes<'_>| {
        tlog::prove_record(size, index, nodes)
    })
}

fn consistency(
    old_size: u64,
    size: u64,
) -> Result<Wanted<impl Fn(&Nodes<'_>) -> Proof>, MerkleError> {
    if old_size > size || size > SIZE_MAX {
        return Err(MerkleError::OutOfRange);
    }
    wanted(size, move |nodes: &Nodes<'_>| match old_size {
        0 => Ok(Vec::new()),
        _ => tlog::prove_tree(size, old_size, nodes),
    })
}

type Proof = Result<Vec<tlog::Hash>, tlog::Error>;

/// Assembles the proof once without hashes to see which nodes it takes, and plans their tiles.
fn wanted<F: Fn(&Nodes<'_>) -> Proof>(size: u64, assemble: F) -> Result<Wanted<F>, MerkleError> {
    let nodes = RefCell::new(Vec::new());
    // The error is the recorder's own: it has no hashes to give.
    let complete_without_nodes = assemble(&Nodes::Record(&nodes)).is_ok();
    let tiles = if complete_without_nodes {
        Some(Vec::new())
    } else {
        plan(size, &nodes.into_inner())
    };
    Ok(Wanted {
        tiles: tiles.ok_or(MerkleError::OutOfRange)?,
        assemble,
    })
}

fn prove(
    size: u64,
    root: &Hash,
    source: &impl TileSource,
    wanted: &Wanted<impl Fn(&Nodes<'_>) -> Proof>,
) -> Result<Vec<Hash>, MerkleError> {
    if wanted.tiles.is_empty() {
        return Ok(Vec::new());
    }
    let tiles = Tiles::read(size, root, &wanted.tiles, source)?;
    let proof =
        (wanted.assemble)(&Nodes::Read(&tiles)).map_err(|_| MerkleError::InconsistentTile)?;
    Ok(proof.into_iter().map(|hash| hash.0).collect())
}

/// The hashes of a proof's nodes: written down while planning, read from tiles while proving.
enum Nodes<'a> {
    Record(&'a RefCell<Vec<(u8, u64)>>),
    Read(&'a Tiles),
}

impl tlog::HashReader for Nodes<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Proof {
        let nodes = indexes
            .iter()
            .map(|index| tlog::split_stored_hash_index(*index));
        match self {
            Self::Record(list) => {
                list.borrow_mut().extend(nodes);
                Err(tlog::Error::IndexesNotInTree)
            }
            Self::Read(tiles) => nodes
                .map(|(level, number)| {
                    tiles
                        .node(level, number)
                        .map(tlog::Hash)
                        .ok_or(tlog::Error::IndexesNotInTree)
                })
                .collect(),
        }
    }
}

fn bounded(proof: &[Hash]) -> Result<Vec<tlog::Hash>, MerkleError> {
    if proof.len() > PROOF_HASHES_MAX {
        return Err(MerkleError::InvalidProof);
    }
    Ok(proof.iter().map(|hash| tlog::Hash(*hash)).collect())
}
