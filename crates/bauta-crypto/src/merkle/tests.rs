use super::*;
use crate::vectors::{array, decode, list, read};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Files by path, as a log publishes them.
#[derive(Clone, Default)]
struct Files(BTreeMap<String, Vec<u8>>);

impl TileSource for Files {
    fn tile(&self, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
        self.0.get(&tile_path(level, index, Some(width))).cloned()
    }
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count)
        .map(|index| leaf_hash(&index.to_be_bytes()))
        .collect()
}

/// The root by RFC 6962's own recursion.
fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            node_hash(&naive_root(&leaves[..split]), &naive_root(&leaves[split..]))
        }
    }
}

/// The inclusion proof by RFC 6962's own recursion.
fn naive_inclusion(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    let (mut proof, other) = if index < split {
        (naive_inclusion(left, index), right)
    } else {
        (naive_inclusion(right, index - split), left)
    };
    proof.push(naive_root(other));
    proof
}

fn frontier(leaves: &[Hash]) -> Frontier {
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| frontier.append(*leaf));
    frontier
}

/// Writes a log's tiles as it grows through the sizes.
fn publish(leaves: &[Hash], sizes: &[u64]) -> Files {
    let mut files = Files::default();
    let mut old_size = 0;
    for &size in sizes {
        for (level, index, width) in tiles_to_write(old_size, size) {
            let first = index * u64::from(TILE_WIDTH);
            let hashes = (first..first + u64::from(width)).map(|number| match level {
                0 => leaves[number as usize],
                _ => full_tile_root(&files.0[&tile_path(level - 1, number, None)])
                    .expect("a full tile"),
            });
            let tile: Vec<u8> = hashes.collect::<Vec<_>>().concat();
            files.0.insert(tile_path(level, index, Some(width)), tile);
        }
        old_size = size;
    }
    files
}

#[test]
fn the_roots_of_certificate_transparency_are_reproduced() {
    let file = read(include_str!("../../tests/vectors/merkle.json"));
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root(), EMPTY_ROOT);
    for (leaf, root) in list(&file, "leaves").iter().zip(list(&file, "roots")) {
        frontier.append(leaf_hash(&decode(leaf.as_str().expect("a leaf is text"))));
        assert_eq!(
            frontier.root().to_vec(),
            decode(root.as_str().expect("a root is text"))
        );
    }
    let first: Hash = array(
        &serde_json::json!({ "root": list(&file, "roots")[0] }),
        "root",
    );
    assert_eq!(leaf_hash(b""), first);
}

#[test]
fn the_root_of_nothing_is_the_hash_of_nothing() {
    assert_eq!(EMPTY_ROOT, sha256(&[]));
}

#[test]
fn paths_are_those_of_tlog_tiles() {
    assert_eq!(tile_path(0, 1_234_067, None), "tile/0/x001/x234/067");
    assert_eq!(tile_path(3, 0, Some(17)), "tile/3/000.p/17");
    assert_eq!(tile_path(1, 999, Some(256)), "tile/1/999");
    assert_eq!(entries_path(1_234, Some(1)), "tile/entries/x001/234.p/1");
    assert_eq!(
        tile_path(0, u64::MAX, None),
        "tile/0/x018/x446/x744/x073/x709/x551/615"
    );
}

#[test]
fn a_frontier_that_does_not_fit_its_size_is_refused() {
    assert!(Frontier::from_parts(3, vec![[0; 32]]).is_none());
    assert!(Frontier::from_parts(0, vec![[0; 32]]).is_none());
    assert!(Frontier::from_parts(SIZE_MAX, vec![[0; 32]]).is_some());
    assert!(Frontier::from_parts(SIZE_MAX + 1, vec![[0; 32]; 2]).is_none());
}

#[test]
fn places_that_are_not_in_the_tree_are_refused_and_nothing_panics() {
    let far = [0, 1, SIZE_MAX, SIZE_MAX + 1, u64::MAX];
    for size in far {
        for index in far {
            let included = check_inclusion(&[], size, EMPTY_ROOT, index, EMPTY_ROOT);
            assert!(included.is_err() || (size, index) == (1, 0));
            let consistent = check_consistency(&[], index, EMPTY_ROOT, size, EMPTY_ROOT);
            assert!(consistent.is_err() || index == 0 || index == size);
            assert!(
                prove_inclusion(size, index, EMPTY_ROOT, &Files::default()).is_err() || size == 1
            );
            let proved = prove_consistency(index, size, EMPTY_ROOT, &Files::default());
            assert!(proved.is_err() || index == 0 || index == size);
            assert!(tiles_for_inclusion(size, index).len() <= 16);
            assert!(tiles_for_consistency(index, size).len() <= 24);
        }
    }
    let long = vec![[0; 32]; 100_000];
    assert_eq!(
        check_inclusion(&long, 9, EMPTY_ROOT, 3, EMPTY_ROOT),
        Err(MerkleError::InvalidProof)
    );
}

#[test]
fn everything_begins_with_the_empty_tree_by_the_empty_proof_only() {
    assert_eq!(check_consistency(&[], 0, EMPTY_ROOT, 5, [1; 32]), Ok(()));
    assert_eq!(
        check_consistency(&[[0; 32]], 0, EMPTY_ROOT, 5, [1; 32]),
        Err(MerkleError::InvalidProof)
    );
    assert_eq!(
        check_consistency(&[], 0, [1; 32], 5, [1; 32]),
        Err(MerkleError::InvalidProof)
    );
    assert_eq!(
        check_consistency(&[], 0, EMPTY_ROOT, 0, [1; 32]),
        Err(MerkleError::InvalidProof)
    );
}

#[test]
fn a_growing_log_writes_each_new_hash_once_more_only_in_partial_tiles() {
    assert_eq!(tiles_to_write(0, 0), []);
    assert_eq!(tiles_to_write(0, 1), [(0, 0, 1)]);
    assert_eq!(tiles_to_write(255, 256), [(0, 0, 256), (1, 0, 1)]);
    assert_eq!(tiles_to_write(256, 300), [(0, 1, 44)]);
    assert_eq!(tiles_to_write(300, 300), []);
    assert_eq!(
        tiles_to_write(300, 600),
        [(0, 1, 256), (0, 2, 88), (1, 0, 2)]
    );
}

#[test]
fn a_missing_tile_is_named() {
    let leaves = leaves(300);
    let root = frontier(&leaves).root();
    let missing = prove_inclusion(300, 7, root, &Files::default());
    assert_eq!(
        missing,
        Err(MerkleError::MissingTile {
            level: 0,
            index: 0,
            width: 256
        })
    );
}

/// Every tile that a proof reads is held against the root: also a full tile whose parent is the only tile of the edge.
#[test]
fn a_tile_altered_anywhere_gives_no_proof() {
    for size in [1_u64, 2, 255, 256, 257, 512, 768, 1_000] {
        let leaves = leaves(size);
        let root = frontier(&leaves).root();
        let files = publish(&leaves, &[size]);
        for index in [0, size / 2, size - 1] {
            for (level, tile_index, width) in tiles_for_inclusion(size, index) {
                let path = tile_path(level, tile_index, Some(width));
                for place in [0, usize::from(width) * 16, usize::from(width) * 32 - 1] {
                    let mut altered = files.clone();
                    altered.0.get_mut(&path).expect("the tile was published")[place] ^= 1;
                    let proof = prove_inclusion(size, index, root, &altered);
                    assert_eq!(
                        proof,
                        Err(MerkleError::InconsistentTile),
                        "{size} {index} {path} {place}"
                    );
                }
                let mut cut = files.clone();
                cut.0.get_mut(&path).expect("the tile was published").pop();
                assert_eq!(
                    prove_inclusion(size, index, root, &cut),
                    Err(MerkleError::InconsistentTile)
                );
            }
        }
    }
}

#[test]
fn proofs_from_tiles_of_three_levels_verify() {
    let (old_size, size) = (65_000, 65_536 + 300);
    let leaves = leaves(size);
    let old_root = frontier(&leaves[..old_size as usize]).root();
    let root = frontier(&leaves).root();
    let files = publish(&leaves, &[old_size, size]);
    for index in [0, 255, 256, 65_535, 65_536, size - 1] {
        let proof = prove_inclusion(size, index, root, &files).expect("the tiles are there");
        assert_eq!(proof, naive_inclusion(&leaves, index as usize));
        assert_eq!(
            check_inclusion(&proof, size, root, index, leaves[index as usize]),
            Ok(())
        );
    }
    let proof = prove_consistency(old_size, size, root, &files).expect("the tiles are there");
    assert_eq!(
        check_consistency(&proof, old_size, old_root, size, root),
        Ok(())
    );
}

#[test]
fn bundles_are_bounded_and_refused_when_cut() {
    let entries = vec![vec![], b"entry".to_vec(), vec![7; 65_535]];
    let bundle = encode_bundle(&entries).expect("three entries fit");
    assert_eq!(decode_bundle(&bundle), Ok(entries));
    assert_eq!(
        decode_bundle(&bundle[..bundle.len() - 1]),
        Err(MerkleError::TruncatedBundle)
    );
    assert_eq!(decode_bundle(&[0]), Err(MerkleError::TruncatedBundle));
    assert_eq!(
        encode_bundle(&[vec![7; 65_536]]),
        Err(MerkleError::EntryTooLong)
    );
    assert!(encode_bundle(&vec![vec![]; 256]).is_ok());
    assert_eq!(
        encode_bundle(&vec![vec![]; 257]),
        Err(MerkleError::EntryTooLong)
    );
    assert_eq!(decode_bundle(&[0; 514]), Err(MerkleError::EntryTooLong));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_frontier_has_the_root_of_the_whole_tree_and_survives_storing(size in 0_u64..600) {
        let leaves = leaves(size);
        let frontier = frontier(&leaves);
        prop_assert_eq!(frontier.root(), naive_root(&leaves));
        let stored = Frontier::from_parts(frontier.size(), frontier.hashes().to_vec());
        prop_assert_eq!(stored, Some(frontier));
    }

    #[test]
    fn inclusion_is_proved_from_tiles_and_refused_when_anything_differs(
        size in 1_u64..1_500, index: prop::sample::Index, place: prop::sample::Index, mask in 1_u8..,
    ) {
        let leaves = leaves(size);
        let index = index.index(leaves.len());
        let root = frontier(&leaves).root();
        let files = publish(&leaves, &[size / 2, size]);
        let proof = prove_inclusion(size, index as u64, root, &files).expect("the tiles are there");
        prop_assert_eq!(&proof, &naive_inclusion(&leaves, index));
        let check = |proof: &[Hash], root, leaf| check_inclusion(proof, size, root, index as u64, leaf);
        prop_assert_eq!(check(&proof, root, leaves[index]), Ok(()));
        prop_assert!(check(&proof, [7; 32], leaves[index]).is_err());
        prop_assert!(check(&proof, root, [7; 32]).is_err());
        let longer = [proof.as_slice(), &[[7; 32]]].concat();
        prop_assert!(check(&longer, root, leaves[index]).is_err());
        if !proof.is_empty() {
            prop_assert!(check(&proof[1..], root, leaves[index]).is_err());
            let mut altered = proof.clone();
            let place = place.index(proof.len() * 32);
            altered[place / 32][place % 32] ^= mask;
            prop_assert!(check(&altered, root, leaves[index]).is_err());
        }
    }

    #[test]
    fn consistency_is_proved_from_tiles_and_refused_when_anything_differs(
        sizes in (0_u64..1_500, 0_u64..1_500), place: prop::sample::Index, mask in 1_u8..,
    ) {
        let (old_size, size) = (sizes.0.min(sizes.1), sizes.0.max(sizes.1));
        let leaves = leaves(size);
        let old_root = naive_root(&leaves[..old_size as usize]);
        let root = naive_root(&leaves);
        let files = publish(&leaves, &[old_size, size]);
        let proof = prove_consistency(old_size, size, root, &files).expect("the tiles are there");
        let check = |proof: &[Hash], old_root, root| check_consistency(proof, old_size, old_root, size, root);
        prop_assert_eq!(check(&proof, old_root, root), Ok(()));
        prop_assert!(check(&proof, [7; 32], root).is_err());
        prop_assert!(old_size == 0 || check(&proof, old_root, [7; 32]).is_err());
        let longer = [proof.as_slice(), &[[7; 32]]].concat();
        prop_assert!(check(&longer, old_root, root).is_err());
        if !proof.is_empty() {
            let mut altered = proof.clone();
            let place = place.index(proof.len() * 32);
            altered[place / 32][place % 32] ^= mask;
            prop_assert!(check(&altered, old_root, root).is_err());
        }
    }

    #[test]
    fn bundles_come_back_and_random_bytes_do_not_panic(
        entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..20), noise: Vec<u8>,
    ) {
        let bundle = encode_bundle(&entries).expect("they fit");
        prop_assert_eq!(decode_bundle(&bundle), Ok(entries));
        if let Ok(decoded) = decode_bundle(&noise) {
            prop_assert_eq!(encode_bundle(&decoded), Ok(noise));
        }
    }
}
