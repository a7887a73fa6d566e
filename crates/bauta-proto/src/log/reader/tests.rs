use super::*;
use crate::log::test_log::{MemoryFiles, TestLog, key, leaf, run};

const TIME_S: u64 = 5_000;

/// A log of `size` leaves, its files, and a reader of them.
fn world(size: u64) -> (TestLog, Arc<MemoryFiles>, LogReader<MemoryFiles>) {
    let log = TestLog::new(size);
    let files = Arc::new(MemoryFiles::default());
    log.publish(&files, size, TIME_S);
    let reader = log.reader(&files);
    (log, files, reader)
}

fn checkpoint(reader: &LogReader<MemoryFiles>) -> FetchedCheckpoint {
    run(reader.checkpoint()).expect("an honest checkpoint")
}

#[test]
fn every_leaf_is_read_in_order_and_the_frontier_ends_at_the_root() {
    for size in [0, 1, 255, 256, 257, 700] {
        let (_, _, reader) = world(size);
        let checkpoint = checkpoint(&reader);
        let read = run(reader.entries(&Frontier::new(), &checkpoint)).expect("reads");
        let expected: Vec<Leaf> = (0..size).map(leaf).collect();
        assert_eq!(read.leaves, expected);
        assert_eq!(read.frontier.root(), checkpoint.checked().root);
        assert!(read.complete);
    }
}

#[test]
fn reading_goes_on_where_it_stopped_and_asks_only_for_what_is_new() {
    let (log, files, reader) = world(600);
    log.publish(&files, 300, TIME_S);
    let first = run(reader.entries(&Frontier::new(), &checkpoint(&reader))).expect("reads");
    log.publish(&files, 600, TIME_S + 1);
    let newer = checkpoint(&reader);
    files.asked();
    let second = run(reader.entries(&first.frontier, &newer)).expect("reads");
    assert_eq!(second.leaves, (300..600).map(leaf).collect::<Vec<_>>());
    assert!(!files.asked().contains(&"tile/entries/000".to_owned()));
    let nothing = run(reader.entries(&second.frontier, &newer)).expect("reads");
    assert!(nothing.leaves.is_empty() && nothing.complete);
    assert!(files.asked().is_empty());
}

#[test]
fn a_part_of_a_long_log_is_proved_and_not_taken_for_the_whole() {
    let size = BUNDLES_READ_MAX * 256 + 10;
    let (_, _, reader) = world(size);
    let checkpoint = checkpoint(&reader);
    let part = run(reader.entries(&Frontier::new(), &checkpoint)).expect("reads");
    assert_eq!(part.frontier.size(), BUNDLES_READ_MAX * 256);
    assert!(!part.complete);
    let rest = run(reader.entries(&part.frontier, &checkpoint)).expect("reads");
    assert_eq!(rest.leaves.len(), 10);
    assert!(rest.complete);
}

#[test]
fn an_altered_entry_is_refused_in_the_middle_and_at_the_end() {
    for path in ["tile/entries/000", "tile/entries/002.p/88"] {
        let (_, files, reader) = world(600);
        let checkpoint = checkpoint(&reader);
        files.change(path, |bundle| bundle[40] ^= 1);
        let error = run(reader.entries(&Frontier::new(), &checkpoint)).expect_err("altered");
        assert!(matches!(error, ReadError::Inconsistent(_)), "{error:?}");
    }
}

#[test]
fn an_altered_entry_in_a_part_of_a_long_log_is_refused() {
    let (_, files, reader) = world(BUNDLES_READ_MAX * 256 + 10);
    let checkpoint = checkpoint(&reader);
    files.change("tile/entries/003", |bundle| bundle[40] ^= 1);
    let error = run(reader.entries(&Frontier::new(), &checkpoint)).expect_err("altered");
    assert!(matches!(error, ReadError::Inconsistent(_)), "{error:?}");
}

#[test]
fn a_missing_or_short_file_is_the_logs_fault() {
    let (_, files, reader) = world(600);
    let checkpoint = checkpoint(&reader);
    files.change("tile/entries/001", |bundle| bundle.truncate(75));
    let error = run(reader.entries(&Frontier::new(), &checkpoint)).expect_err("short");
    assert!(matches!(error, ReadError::Inconsistent(_)), "{error:?}");
    files
        .files
        .lock()
        .expect("no panic")
        .remove("tile/entries/001");
    let error = run(reader.entries(&Frontier::new(), &checkpoint)).expect_err("missing");
    assert!(matches!(error, ReadError::Missing), "{error:?}");
}

#[test]
fn entries_that_are_not_understood_are_counted_and_passed_over() {
    let (mut log, files, reader) = world(3);
    log.entries[1] = b"a kind of a later version".to_vec();
    log.publish(&files, 3, TIME_S);
    let read = run(reader.entries(&Frontier::new(), &checkpoint(&reader))).expect("reads");
    assert_eq!(read.leaves, [leaf(0), leaf(2)]);
    assert_eq!(read.indices, [0, 2]);
    assert_eq!(read.frontier.size(), 3);
}

#[test]
fn a_receipt_proves_each_leaf_and_never_asks_for_less_than_a_tile() {
    let (log, files, reader) = world(600);
    let checkpoint = checkpoint(&reader);
    for index in [0, 255, 256, 599] {
        let receipt = run(reader.receipt(index, &leaf(index), &checkpoint)).expect("proves");
        receipt.check(&leaf(index), &log.policy()).expect("checks");
    }
    let asked = files.asked();
    let whole = [
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "checkpoint",
    ];
    assert!(asked.iter().all(|path| whole.contains(&path.as_str())));
    assert_eq!(asked.len(), whole.len(), "proved tiles are kept");
}

#[test]
fn a_leaf_beyond_the_tree_or_at_another_index_gets_no_receipt() {
    let (_, _, reader) = world(600);
    let checkpoint = checkpoint(&reader);
    let beyond = run(reader.receipt(600, &leaf(600), &checkpoint)).expect_err("not yet");
    assert!(matches!(beyond, ReadError::NotYet) && beyond.is_temporary());
    let other = run(reader.receipt(5, &leaf(6), &checkpoint)).expect_err("another leaf");
    assert!(matches!(other, ReadError::OtherLeaf(_)) && !other.is_temporary());
}

#[test]
fn an_altered_tile_is_refused_and_not_kept() {
    let (_, files, reader) = world(600);
    let checkpoint = checkpoint(&reader);
    files.change("tile/0/000", |tile| tile[0] ^= 1);
    let error = run(reader.receipt(3, &leaf(3), &checkpoint)).expect_err("altered");
    assert!(matches!(error, ReadError::Inconsistent(_)), "{error:?}");
    files.change("tile/0/000", |tile| tile[0] ^= 1);
    run(reader.receipt(3, &leaf(3), &checkpoint)).expect("the log has mended its file");
}

#[test]
fn a_full_file_stands_in_for_a_partial_one_that_the_log_dropped() {
    let (log, files, reader) = world(600);
    log.publish(&files, 300, TIME_S);
    let older = checkpoint(&reader);
    log.publish(&files, 600, TIME_S + 1);
    let mut map = files.files.lock().expect("no panic");
    map.retain(|path, _| !path.starts_with("tile/0/001.p") && !path.contains("entries/001.p"));
    drop(map);
    run(reader.receipt(299, &leaf(299), &older)).expect("proves");
    let read = run(reader.entries(&Frontier::new(), &older)).expect("reads");
    assert_eq!(read.leaves.len(), 300);
}

#[test]
fn a_log_that_appends_extends_and_one_that_rewrites_is_forked() {
    let (mut log, files, reader) = world(600);
    log.publish(&files, 300, TIME_S);
    let older = checkpoint(&reader);
    log.publish(&files, 600, TIME_S + 1);
    let newer = checkpoint(&reader);
    run(reader.extends(&older, &newer)).expect("appended");
    run(reader.extends(&older, &older)).expect("the same");
    let back = run(reader.extends(&newer, &older)).expect_err("backwards");
    assert!(matches!(back, ReadError::Older));

    log.entries[7] = leaf(1_000).to_bytes();
    log.publish(&files, 600, TIME_S + 2);
    let rewriting = log.reader(&files);
    let forked = checkpoint(&rewriting);
    let error = run(rewriting.extends(&older, &forked)).expect_err("rewritten");
    assert!(matches!(error, ReadError::Forked), "{error:?}");
    let error = run(rewriting.extends(&newer, &forked)).expect_err("rewritten");
    assert!(matches!(error, ReadError::Forked), "{error:?}");
}

#[test]
fn a_frontier_of_another_history_is_refused() {
    let (_, _, reader) = world(600);
    let checkpoint = checkpoint(&reader);
    let mut other = Frontier::new();
    (0..300).for_each(|index| other.append(leaf(index + 1).hash()));
    assert!(run(reader.entries(&other, &checkpoint)).is_err());
    (300..601).for_each(|index| other.append(leaf(index).hash()));
    let error = run(reader.entries(&other, &checkpoint)).expect_err("beyond");
    assert!(matches!(error, ReadError::Older));
}

#[test]
fn checkpoints_of_other_keys_or_without_cosignature_are_refused() {
    let (log, files, reader) = world(5);
    files.change("checkpoint", |note| note[25] ^= 1);
    assert!(matches!(
        run(reader.checkpoint()),
        Err(ReadError::Checkpoint(_))
    ));

    let mut stranger = TestLog::new(5);
    stranger.log =
        bauta_crypto::note::LogSigner::new(&log.log.vkey().name, &key(9)).expect("a name");
    stranger.publish(&files, 5, TIME_S);
    assert!(matches!(
        run(reader.checkpoint()),
        Err(ReadError::Checkpoint(_))
    ));

    let note = log.checkpoint(5, TIME_S);
    let lines: Vec<&str> = note.lines().collect();
    let uncosigned = lines[..lines.len() - 1].join("\n") + "\n";
    files.change("checkpoint", |note| *note = uncosigned.into_bytes());
    let error = run(reader.checkpoint()).expect_err("no quorum");
    assert!(
        matches!(error, ReadError::Checkpoint(PolicyError::Quorum)),
        "{error:?}"
    );
}

#[test]
fn an_endless_checkpoint_is_refused() {
    let (_, files, reader) = world(5);
    files.change("checkpoint", |note| {
        note.resize(CHECKPOINT_BYTES_MAX + 1, b'\n')
    });
    let error = run(reader.checkpoint()).expect_err("too long");
    assert!(matches!(error, ReadError::Inconsistent(_)), "{error:?}");
}
