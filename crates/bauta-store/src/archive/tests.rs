use std::path::PathBuf;

use bauta_proto::{ids::LockTag, log::leaf::Deed};
use rusqlite::Connection;

use super::*;

struct Folder {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn folder() -> Folder {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("archive.db");
    Folder {
        _folder: folder,
        path,
    }
}

fn leaf(number: u8) -> NewLeaf {
    NewLeaf {
        leaf: Leaf::of_lock(
            Deed::Commit,
            LockTag([number; 32]),
            Timestamp(1_000),
            [number; 32],
        ),
        promised_at: Timestamp(u64::from(number)),
    }
}

fn leaves(numbers: std::ops::Range<u8>) -> Vec<NewLeaf> {
    numbers.map(leaf).collect()
}

fn root_of(leaves: &[NewLeaf]) -> merkle::Hash {
    let mut frontier = Frontier::new();
    leaves
        .iter()
        .for_each(|new| frontier.append(new.leaf.hash()));
    frontier.root()
}

fn checkpoint(size: u64, root: merkle::Hash, time_s: u64) -> SignedCheckpoint {
    SignedCheckpoint {
        size,
        root,
        cosigned_at: Timestamp(time_s),
        note: format!("{size} at {time_s}"),
    }
}

#[test]
fn leaves_keep_their_order_and_the_head_is_their_tree_after_reopening() {
    let folder = folder();
    let mut store = ArchiveStore::open(&folder.path).expect("opens");
    let appended = store.append(&leaves(0..5)).expect("appends");
    assert_eq!(
        appended.iter().map(|a| a.index).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4]
    );
    drop(store);
    let mut store = ArchiveStore::open(&folder.path).expect("opens");
    store.append(&leaves(5..9)).expect("appends");
    let reader = ArchiveReader::open(&folder.path).expect("opens");
    assert_eq!(reader.head().expect("reads").root(), root_of(&leaves(0..9)));
    let bytes: Vec<_> = leaves(2..7).iter().map(|new| new.leaf.to_bytes()).collect();
    assert_eq!(reader.entries(2..7).expect("reads"), bytes);
    assert!(matches!(reader.entries(7..10), Err(StoreError::Damaged(_))));
}

#[test]
fn a_repeated_leaf_keeps_its_place_and_time_in_the_same_batch_and_later() {
    let folder = folder();
    let mut store = ArchiveStore::open(&folder.path).expect("opens");
    let again = |time_s| NewLeaf {
        promised_at: Timestamp(time_s),
        ..leaf(1)
    };
    let first = store
        .append(&[leaf(0), leaf(1), again(50)])
        .expect("appends");
    let later = store.append(&[again(99), leaf(2)]).expect("appends");
    assert!(!first[1].repeated && first[2].repeated && later[0].repeated);
    for repeat in [first[2], later[0]] {
        assert_eq!((repeat.index, repeat.promised_at), (1, Timestamp(1)));
    }
    assert_eq!(later[1].index, 2);
    let reader = ArchiveReader::open(&folder.path).expect("opens");
    let found = reader
        .find(&leaf(1).leaf)
        .expect("reads")
        .expect("is there");
    assert_eq!((found.index, found.promised_at), (1, Timestamp(1)));
    assert_eq!(reader.find(&leaf(9).leaf).expect("reads"), None);
}

#[test]
fn two_leaves_with_the_same_search_key_are_two_leaves() {
    let folder = folder();
    let mut store = ArchiveStore::open(&folder.path).expect("opens");
    store.append(&[leaf(0)]).expect("appends");
    let key = reader::search_key(&leaf(1).leaf.hash());
    let raw = Connection::open(&folder.path).expect("opens");
    raw.execute("UPDATE leaf SET key = ?1", [key])
        .expect("changes");
    let appended = store.append(&[leaf(1)]).expect("appends");
    assert_eq!((appended[0].index, appended[0].repeated), (1, false));
}

#[test]
fn a_batch_that_fails_in_the_middle_leaves_nothing_and_the_next_one_goes_on() {
    let folder = folder();
    let mut store = ArchiveStore::open(&folder.path).expect("opens");
    store.append(&leaves(0..2)).expect("appends");
    let raw = Connection::open(&folder.path).expect("opens");
    raw.execute_batch(
        "CREATE TRIGGER fail BEFORE INSERT ON leaf WHEN new.position = 3
         BEGIN SELECT raise(ABORT, 'fault'); END",
    )
    .expect("a fault");
    store.append(&leaves(2..5)).expect_err("fails");
    let reader = ArchiveReader::open(&folder.path).expect("opens");
    assert_eq!(reader.head().expect("reads").size(), 2);
    assert_eq!(reader.find(&leaf(2).leaf).expect("reads"), None);
    raw.execute_batch("DROP TRIGGER fail").expect("mended");
    let appended = store.append(&leaves(2..5)).expect("appends");
    assert_eq!(appended[0].index, 2);
    assert_eq!(reader.head().expect("reads").root(), root_of(&leaves(0..5)));
}

#[test]
fn two_processes_on_one_store_cannot_fork() {
    let folder = folder();
    let mut first = ArchiveStore::open(&folder.path).expect("opens");
    let mut second = ArchiveStore::open(&folder.path).expect("opens");
    first.append(&[leaf(0)]).expect("appends");
    assert!(matches!(
        second.append(&[leaf(1)]),
        Err(StoreError::Overtaken)
    ));
    let reader = ArchiveReader::open(&folder.path).expect("opens");
    assert_eq!(
        reader.find(&leaf(1).leaf).expect("reads"),
        None,
        "nothing was promised"
    );
    let repeated = second.append(&[leaf(1)]).expect("goes on behind the other");
    assert_eq!(repeated[0].index, 1);
    assert!(matches!(
        first.append(&[leaf(2)]),
        Err(StoreError::Overtaken)
    ));
    assert_eq!(reader.head().expect("reads").root(), root_of(&leaves(0..2)));
}

#[test]
fn a_signed_checkpoint_is_swapped_only_from_what_was_seen_and_only_forward() {
    let folder = folder();
    let mut store = ArchiveStore::open(&folder.path).expect("opens");
    store.append(&leaves(0..3)).expect("appends");
    let (small, root) = (root_of(&leaves(0..2)), root_of(&leaves(0..3)));
    let first = checkpoint(2, small, 10);
    store.swap_checkpoint(None, &first).expect("the first");
    let refused = [
        (None, checkpoint(3, root, 11)),
        (Some(&first), checkpoint(1, small, 11)),
        (Some(&first), checkpoint(2, root, 11)),
        (Some(&first), checkpoint(3, root, 9)),
        (Some(&first), checkpoint(4, root, 11)),
        (Some(&first), checkpoint(3, small, 11)),
    ];
    for (old, new) in refused {
        let outcome = store.swap_checkpoint(old, &new);
        assert!(matches!(outcome, Err(StoreError::Overtaken)), "{new:?}");
    }
    store
        .swap_checkpoint(Some(&first), &checkpoint(2, small, 11))
        .expect("a new time");
    let second = checkpoint(3, root, 11);
    assert!(
        store.swap_checkpoint(Some(&first), &second).is_err(),
        "overtaken"
    );
    store
        .swap_checkpoint(Some(&checkpoint(2, small, 11)), &second)
        .expect("grown");
    let reader = ArchiveReader::open(&folder.path).expect("opens");
    assert_eq!(reader.checkpoint().expect("reads"), Some(second));
}

#[test]
fn written_tiles_and_their_roots_are_noted_and_never_taken_back() {
    let folder = folder();
    let mut store = ArchiveStore::open(&folder.path).expect("opens");
    let root = TileRoot {
        level: 1,
        number: 0,
        hash: [7; 32],
    };
    store.tiles_written(256, &[root]).expect("notes");
    store
        .tiles_written(10, &[root])
        .expect("notes a repetition");
    let reader = ArchiveReader::open(&folder.path).expect("opens");
    assert_eq!(reader.tiles_written().expect("reads"), 256);
    assert_eq!(reader.tile_root(1, 0).expect("reads"), [7; 32]);
    assert!(matches!(
        reader.tile_root(1, 1),
        Err(StoreError::Damaged(_))
    ));
}

#[test]
fn a_damaged_head_is_seen() {
    let folder = folder();
    let mut store = ArchiveStore::open(&folder.path).expect("opens");
    store.append(&leaves(0..3)).expect("appends");
    drop(store);
    let raw = Connection::open(&folder.path).expect("opens");
    raw.execute("UPDATE head SET edge = x'00'", [])
        .expect("changes");
    assert!(matches!(
        ArchiveStore::open(&folder.path),
        Err(StoreError::Damaged(_))
    ));
}
